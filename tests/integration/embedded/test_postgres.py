"""The embedded PostgreSQL keeps what it was given, whoever is killed, and touches nothing that is not its own."""

import os
import sys
from pathlib import Path

import asyncpg
import pytest

from shared.embedded import EmbeddedError, EmbeddedPostgres
from tests.integration.embedded.conftest import Keep
from tests.support.eventually import eventually

pytestmark = pytest.mark.integration


async def write(server: EmbeddedPostgres, word: str) -> None:
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute("create table if not exists words (word text)")
        await connection.execute("insert into words values ($1)", word)
    finally:
        await connection.close()


async def words(server: EmbeddedPostgres) -> list[str]:
    connection = await asyncpg.connect(server.dsn())
    try:
        return [row["word"] for row in await connection.fetch("select word from words order by word")]
    finally:
        await connection.close()


async def setting(server: EmbeddedPostgres, name: str) -> str:
    connection = await asyncpg.connect(server.dsn())
    try:
        return str(await connection.fetchval("select current_setting($1)", name))
    finally:
        await connection.close()


async def test_a_restart_keeps_everything(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    async with server:
        await write(server, "before")
    assert server.pid is None
    assert not server.is_up()
    async with server:
        await write(server, "after")
        assert await words(server) == ["after", "before"]


async def test_it_is_durable_and_private(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        assert await setting(server, "data_checksums") == "on"
        assert await setting(server, "fsync") == "on"
        assert await setting(server, "synchronous_commit") == "on"
        assert await setting(server, "listen_addresses") == ""
        assert await setting(server, "jit") == "off"
        assert await setting(server, "server_encoding") == "UTF8"
        assert (folder / "postgres" / "run").stat().st_mode & 0o077 == 0


async def test_a_folder_has_one_keeper(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        await write(server, "mine")
        with pytest.raises(EmbeddedError, match=f"process {os.getpid()}.* --data DIR"):
            await EmbeddedPostgres(folder).start()
        assert await words(server) == ["mine"]
        assert EmbeddedPostgres(folder).is_up()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
async def test_a_killed_keeper_takes_its_server_along(keep: Keep) -> None:
    keeper = await keep("postgres")
    keeper.kill()
    await eventually(lambda: not keeper.server_is_alive(), within_seconds=5)


async def test_a_leftover_is_stopped_and_its_data_kept(keep: Keep, folder: Path) -> None:
    """Kills a keeper whose server stays behind with a write that nobody shut down, then starts on the same folder."""
    keeper = await keep("postgres", "--unleashed")
    server = EmbeddedPostgres(folder)
    await write(server, "survivor")
    keeper.kill()
    assert keeper.server_is_alive()
    async with server:
        assert not keeper.server_is_alive()
        assert await words(server) == ["survivor"]


async def test_a_killed_server_is_started_again_with_its_data(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        await write(server, "committed")
        first = server.pid
        assert first
        os.kill(first, 9)
        await eventually(lambda: server.pid is None)
        await server.start()
        assert server.pid != first
        assert await words(server) == ["committed"]


async def test_a_pid_file_that_names_another_process_harms_nobody(folder: Path) -> None:
    """As after a container's restart, where the same pid now belongs to another program: here to this test itself."""
    async with EmbeddedPostgres(folder) as server:
        await write(server, "kept")
        pid_file = (folder / "postgres" / "data" / "postmaster.pid").read_text()
    stale = "\n".join([str(os.getpid()), *pid_file.splitlines()[1:]])
    (folder / "postgres" / "data" / "postmaster.pid").write_text(stale + "\n")
    async with server:
        assert await words(server) == ["kept"]


async def test_a_long_path_moves_only_the_socket(folder: Path) -> None:
    deep = folder / ("d" * 90)
    async with EmbeddedPostgres(deep) as server:
        await write(server, "deep")
        assert await words(server) == ["deep"]
        assert (deep / "postgres" / "data" / "PG_VERSION").exists()


async def test_an_interrupted_first_start_begins_anew(folder: Path) -> None:
    half = folder / "postgres" / "making"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(folder) as server:
        await write(server, "whole")
        assert await words(server) == ["whole"]


async def test_a_folder_of_another_version_is_left_alone(folder: Path) -> None:
    cluster = folder / "postgres" / "data"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 15.*AMENDS_POSTGRES__DSN"):
        await EmbeddedPostgres(folder).start()
    assert (cluster / "PG_VERSION").read_text() == "15\n"


async def test_a_folder_that_cannot_be_made_is_one_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"cannot be written .* --data DIR"):
        await EmbeddedPostgres(folder / "file").start()
