"""`amends secrets`: made once, complete, and each reader finds its own and nothing else."""

from pathlib import Path

import pytest

from services.command.door import Misused
from services.command.secrets import secrets
from shared.contracts.flow import ALL_SERVICES
from shared.settings import read

pytestmark = pytest.mark.unit


def test_what_is_there_is_never_made_anew(tmp_path: Path) -> None:
    secrets(tmp_path)
    first = {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    secrets(tmp_path)
    assert {file: file.read_text() for file in tmp_path.rglob("*") if file.is_file()} == first


def test_a_run_that_was_cut_off_is_made_good(tmp_path: Path) -> None:
    secrets(tmp_path)
    (tmp_path / "owner" / "complete").unlink()
    (tmp_path / "console" / "dsn").unlink()
    secrets(tmp_path)
    assert (tmp_path / "console" / "dsn").read_text() == (tmp_path / "owner" / "console").read_text()
    assert len({(tmp_path / service / "master_key").read_text() for service in ALL_SERVICES}) == 1


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_a_process_starts_with_its_own_folder_and_signs_only_where_it_is_the_console(service: str, tmp_path: Path) -> None:
    secrets(tmp_path, database="db:5432/amends")
    files = {file.name: str(file) for file in (tmp_path / service).iterdir()}
    assert ("assertion_private_key" in files) == (service == "console")
    assert {(tmp_path / service / name).stat().st_mode & 0o077 for name in files} == {0}
    settings = read({
        f"AMENDS_POSTGRES__{service.upper()}_FILE": files["dsn"],
        "AMENDS_VAULT__MASTER_KEY_FILE": files["master_key"],
        "AMENDS_VAULT__INDEX_KEY_FILE": files["index_key"],
    })  # fmt: skip
    assert (settings.postgres.dsn_of(service) or "").endswith("@db:5432/amends")


@pytest.mark.parametrize(
    "database", ["", "amends", "db:5432", "a b/amends", "me:pa55@db/amends", "db:5432/amends?sslmode=off", "db/../x/y"]
)
def test_a_database_that_is_none_is_refused_before_anything_is_written(database: str, tmp_path: Path) -> None:
    with pytest.raises(Misused):
        secrets(tmp_path / "made", database=database)
    assert not (tmp_path / "made").exists()
    for good in ("db.example.org:5432/amends", "localhost/amends", "[::1]:5432/amends"):
        secrets(tmp_path / str(hash(good)), database=good)
