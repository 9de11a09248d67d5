"""Settings are read strictly: what is misspelt, unreadable or impossible stops the start with a sentence."""

import base64
from datetime import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared import settings
from shared.settings import SettingsError, read

pytestmark = pytest.mark.unit

KEYS = {name: base64.b64encode(bytes(32)).decode() for name in ("AMENDS_VAULT__MASTER_KEY", "AMENDS_VAULT__INDEX_KEY")}


def test_an_empty_environment_is_fully_embedded() -> None:
    found = read({"PATH": "/bin"})
    assert found.is_embedded
    assert (found.http.host, found.http.port_of("console"), found.http.port_of("intake")) == ("127.0.0.1", 8080, 8081)
    assert (found.texting.start, found.texting.end) == (time(9), time(20))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("AMENDS_HTP__PORT", "AMENDS_HTTP__PORT"),
        ("AMENDS_HTTP__PROT", "AMENDS_HTTP__PORT"),
        ("AMENDS_KAFKA_BOOTSTRAP", "AMENDS_KAFKA__BOOT"),
    ],
)
def test_an_unknown_name_stops_the_start_and_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not a setting of Amends; did you mean {hint}"):
        read({name: "1"})


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as told:
        read({"AMENDS_HTP__PORT": "1", "AMENDS_KAFKA__PARTISAN": "1"})
    assert len(str(told.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AMENDS_HTTP__PORT", "65536"),
        ("AMENDS_HTTP__PORT", "http"),
        ("AMENDS_HTTP__PUBLIC_URL", "example.org/"),
        ("AMENDS_SMS__FROM_NUMBER", "555-0100"),
        ("AMENDS_TEXTING__PER_STATE", "FL"),
        ("AMENDS_TEXTING__PER_STATE", '{"FL": {"start": "21:00"}}'),
        ("AMENDS_TEXTING__START", "20:00"),
        ("AMENDS_POSTGRES__POOL_SIZE", "0"),
    ],
)
def test_an_impossible_value_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name.rpartition("__")[0]):
        read({name: value})


def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    found = read({"AMENDS_SMS__AUTH_TOKEN_FILE": str(tmp_path / "token")})
    assert found.sms.auth_token is not None
    assert found.sms.auth_token.get_secret_value() == "hush"
    assert "hush" not in repr(found)


def test_only_secrets_come_from_files_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    with pytest.raises(SettingsError, match="AMENDS_HTTP__PORT_FILE is not a setting"):
        read({"AMENDS_HTTP__PORT_FILE": str(tmp_path / "file")})
    with pytest.raises(SettingsError, match="both set"):
        read({"AMENDS_SMS__AUTH_TOKEN": "a", "AMENDS_SMS__AUTH_TOKEN_FILE": str(tmp_path / "file")})
    with pytest.raises(SettingsError, match="cannot be read"):
        read({"AMENDS_SMS__AUTH_TOKEN_FILE": str(tmp_path / "none")})


def test_servers_of_ones_own_need_keys_of_ones_own() -> None:
    with pytest.raises(SettingsError, match="AMENDS_VAULT__MASTER_KEY"):
        read({"AMENDS_POSTGRES__INTAKE": "postgresql://intake@db/amends"})
    found = read({"AMENDS_POSTGRES__INTAKE": "postgresql://intake@db/amends", "AMENDS_POSTGRES__DSN": "postgresql://all@db/amends", **KEYS})
    assert found.postgres.dsn_of("intake") == "postgresql://intake@db/amends"
    assert found.postgres.dsn_of("console") == "postgresql://all@db/amends"
    assert not found.is_embedded


def test_an_empty_variable_means_not_set() -> None:
    assert read({"AMENDS_KAFKA__BOOTSTRAP_SERVERS": "", "AMENDS_POSTGRES__DSN": ""}).is_embedded


def test_the_tree_is_frozen() -> None:
    with pytest.raises(ValidationError):
        read({}).http.port = 1  # type: ignore[misc]


def test_every_setting_has_its_sentence() -> None:
    for name, _, _, sentence in settings.rows():
        assert sentence.endswith("."), name
        assert len(sentence) > 20, name


@pytest.mark.parametrize(
    "dsn", ["nonsense", "mysql://u:pa55@db/amends", "postgresql://u:pa55@[::1/amends", "postgresql://u:pa55@db:99999/amends"]
)
def test_a_dsn_that_is_none_is_refused_by_its_name_and_not_quoted(dsn: str) -> None:
    for name in ("AMENDS_POSTGRES__DSN", "AMENDS_POSTGRES__INTAKE"):
        with pytest.raises(SettingsError) as refused:
            read({name: dsn, **KEYS})
        assert str(refused.value).startswith(f"{name} cannot be used: it is no address such as postgresql://")
        assert "pa55" not in str(refused.value) and "nonsense" not in str(refused.value)
