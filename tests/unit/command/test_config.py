"""`amends config`: each setting once, with where it came from, and no secret."""

import json
from pathlib import Path

from services.command.config import shown
from shared.settings import fields, read


def test_each_setting_says_where_it_came_from_and_hides_what_is_secret(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret-token\n")
    environ = {
        "AMENDS_HTTP__PORT": "9090",
        "AMENDS_SMS__AUTH_TOKEN_FILE": str(file),
        "AMENDS_SMS__BASE_URL": "https://me:pa55@sms.example",
        "AMENDS_POSTGRES__DSN": "postgresql://me:pa55@db.example/amends",
        "AMENDS_WEBHOOK__URL": "https://hooks.example/pages?token=pa55",
        "AMENDS_WEBHOOK__PER_REGION": json.dumps({"north": "https://me:pa55@hooks.example/north?key=pa55"}),
        "AMENDS_VAULT__RETIRED_KEYS": json.dumps({"k0": "b2xkLXNlY3JldA=="}),
    }
    rows = {row["name"]: row for row in shown(read(environ, with_keys=False), environ, tmp_path)}
    assert list(rows) == [name for name, _ in fields()]
    told = {name: (row["value"], row["source"], row["file"]) for name, row in rows.items()}
    assert told["AMENDS_HTTP__PORT"] == (9090, "environment", None)
    assert told["AMENDS_SMS__AUTH_TOKEN"] == ("hidden", "file", str(file))
    assert told["AMENDS_SMS__BASE_URL"] == ("https://hidden@sms.example", "environment", None)
    assert told["AMENDS_POSTGRES__DSN"] == ("hidden", "environment", None)
    assert told["AMENDS_WEBHOOK__URL"][0] == "https://hooks.example/pages?hidden"
    assert told["AMENDS_WEBHOOK__PER_REGION"][0] == {"north": "https://hidden@hooks.example/north?hidden"}
    assert told["AMENDS_VAULT__RETIRED_KEYS"] == ("hidden", "environment", None)
    assert told["AMENDS_VAULT__MASTER_KEY"] == (None, "default", None)
    assert told["AMENDS_TEXTING__START"] == ("09:00:00", "default", None)
    text = json.dumps(list(rows.values()))
    for secret in ("s3cret", "pa55", "b2xk"):
        assert secret not in text


def test_the_keys_an_embedded_amends_made_are_in_its_folder(tmp_path: Path) -> None:
    def told() -> tuple[object, object, object]:
        rows = {row["name"]: row for row in shown(read({}), {}, tmp_path)}
        row = rows["AMENDS_VAULT__MASTER_KEY"]
        return row["value"], row["source"], row["file"]

    assert told() == (None, "default", None)
    (tmp_path / "keys.json").touch()
    assert told() == ("hidden", "data folder", str(tmp_path / "keys.json"))
