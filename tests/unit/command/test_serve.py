"""What stands in the way of a process of its own: each is one sentence with the way out, found before anything is started."""

from collections.abc import Mapping

import pytest

from services.command.door import Failed
from services.command.migrate import migrate
from services.command.serve import prepared, said
from shared.settings import SettingsError, read
from tests.support.fleet import settings_of

pytestmark = pytest.mark.unit

NOWHERE = "localhost:1"
DSN = f"postgresql://amends_intake:hush@{NOWHERE}/amends"
SETTINGS = settings_of(NOWHERE, {})


@pytest.mark.parametrize(
    ("service", "changes", "sentence"),
    [
        ("intake", {"AMENDS_POSTGRES__INTAKE": ""}, "AMENDS_POSTGRES__INTAKE is missing: name the database of intake"),
        ("intake", {"AMENDS_KAFKA__BOOTSTRAP_SERVERS": ""}, "AMENDS_KAFKA__BOOTSTRAP_SERVERS is missing: name your brokers"),
        ("intake", {"AMENDS_VAULT__MASTER_KEY": ""}, "AMENDS_VAULT__MASTER_KEY (or …_FILE) is required"),
        ("intake", {"AMENDS_VAULT__INDEX_KEY": "c2hvcnQ="}, "make one with `openssl rand -base64 32`"),
        ("intake", {"AMENDS_SIGN_IN__ASSERTION_PUBLIC_KEY": ""}, "AMENDS_SIGN_IN__ASSERTION_PUBLIC_KEY (or …_FILE) is missing"),
        ("intake", {"AMENDS_SIGN_IN__ASSERTION_PUBLIC_KEY": "hush"}, "make one with `openssl genpkey -algorithm ed25519`"),
        ("console", {"AMENDS_SIGN_IN__ASSERTION_PRIVATE_KEY": ""}, "AMENDS_SIGN_IN__ASSERTION_PRIVATE_KEY (or …_FILE) is missing"),
        ("console", {"AMENDS_SIGN_IN__ASSERTION_PRIVATE_KEY": "hush"}, "make one with `openssl genpkey -algorithm ed25519`"),
        ("intake", {}, "A server does not answer"),
        ("intake", {"AMENDS_POSTGRES__INTAKE": "mysql://localhost/amends"}, "AMENDS_POSTGRES__INTAKE cannot be used"),
    ],
)
async def test_a_service_says_in_one_sentence_why_it_does_not_start(service: str, changes: Mapping[str, str], sentence: str) -> None:
    with pytest.raises((Failed, SettingsError)) as told:
        async with said():
            await prepared(read({**SETTINGS, "AMENDS_POSTGRES__INTAKE": DSN, **changes}), service, 0)
    assert sentence in str(told.value)
    assert str(told.value).endswith(".")
    assert "hush" not in str(told.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "A server does not answer"),
        (
            {"AMENDS_POSTGRES__DSN": "", "AMENDS_POSTGRES__DIRECTORY": "", "AMENDS_POSTGRES__INTAKE": DSN},
            "AMENDS_POSTGRES__DSN is missing: name the owner of the database",
        ),
        ({"AMENDS_POSTGRES__DIRECTORY": ""}, "A server does not answer"),
        ({"AMENDS_POSTGRES__DIRECTORY": "", "AMENDS_VAULT__INDEX_KEY": ""}, "name the DSN of directory's role, amends_directory, too"),
        ({"AMENDS_KAFKA__BOOTSTRAP_SERVERS": ""}, "AMENDS_KAFKA__BOOTSTRAP_SERVERS is missing"),
    ],
)
def test_a_migration_says_in_one_sentence_why_it_cannot(changes: Mapping[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"AMENDS_POSTGRES__DSN": DSN, "AMENDS_POSTGRES__DIRECTORY": DSN}
    for name, value in {**SETTINGS, **own, **changes}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Failed) as told:
        migrate()
    assert sentence in str(told.value)
    assert "hush" not in str(told.value)
