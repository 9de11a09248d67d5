"""The `amends` command, typed as people type it, beside a running `amends up`."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from shared.kernel.ids import new_id
from tests.support.builders import group
from tests.support.command import COMMAND, Up, amends, typed
from tests.support.eventually import eventually
from tests.support.servers import throwaway_folder

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with throwaway_folder() as folder, Up(folder) as running:
        yield running


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_without_words_it_helps() -> None:
    helped = typed()
    assert helped.returncode == 0
    for word in ("up", "demo", "keys", "directory", "parked"):
        assert word in helped.stdout


@pytest.mark.parametrize(
    "words",
    [("nonsense",), ("up", "--port", "70000"), ("up", "--nonsense"), ("keys", "create"), ("keys", "create", "pos"), ("parked", "redrive"),
     ("clock", "rebuild"), ("clock", "rebuild", "AM-7F3K-9X", "--all"),
     ("parked", "show", "7"), ("parked", "list", "--service", "nobody", "--data", "nowhere")],
)  # fmt: skip
def test_misuse_is_two(words: tuple[str, ...]) -> None:
    refused = typed(*words)
    assert refused.returncode == 2
    assert refused.stderr.strip()
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "create", "pos", "--scope", "events:write"),
        ("parked", "list"),
        ("parked", "redrive", "--all"),
        ("clock", "rebuild", "--all"),
    ],
)
def test_beside_nothing_it_says_how_to_start(words: tuple[str, ...], tmp_path: Path) -> None:
    refused = typed(*words, "--data", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr == f"Nothing runs in {tmp_path}; start it with `amends up --data {tmp_path}`.\n"


@pytest.mark.parametrize("words", [("republish", "--since", "2026-11-26"), ("replay",)])
def test_a_mistyped_folder_is_not_made_into_a_new_amends(words: tuple[str, ...], tmp_path: Path) -> None:
    refused = typed(*words, "--data", str(tmp_path / "dta"))
    assert (refused.returncode, refused.stderr) == (
        1, f"No Amends has run in {tmp_path / 'dta'} yet; name the folder of yours with --data DIR.\n",
    )  # fmt: skip
    assert not (tmp_path / "dta").exists()


def test_a_word_that_is_no_text_is_misuse() -> None:
    refused = typed("keys", "create", "\udcff", "--scope", "events:write")
    assert (refused.returncode, refused.stderr) == (2, "'\\udcff' is not UTF-8.\n")


@pytest.mark.parametrize("words", ["config", "config --json", "--help"])
def test_a_reader_who_has_seen_enough_and_a_full_disk_are_no_fault_of_the_programme(words: str) -> None:
    for where, told in (("| true", ""), ("> /dev/full", "What was asked for cannot be written (No space left on device).\n")):
        line = f"set -o pipefail; {COMMAND} {words} {where}"
        ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1 and ended.stderr == told, (line, ended)


def test_an_unknown_setting_refuses_to_start(tmp_path: Path) -> None:
    refused = amends("up", "--data", str(tmp_path / "data"), environ={"AMENDS_HTTP__PROT": "8080"})
    assert (refused.returncode, refused.stderr) == (1, "AMENDS_HTTP__PROT is not a setting of Amends; did you mean AMENDS_HTTP__PORT?\n")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = amends("up", "--data", str(tmp_path / "file" / "data"), "--port", "0")
    assert refused.returncode == 1
    assert last_line(refused.stderr).endswith("name another with --data DIR.")
    assert "Traceback" not in refused.stderr


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = amends("up", "--data", str(tmp_path / "data"), "--port", str(port))
    assert refused.returncode == 1
    assert last_line(refused.stderr).startswith(f"Port {port} cannot be used")
    assert "--port" in last_line(refused.stderr)


def test_the_page_answers_once_it_says_so(up: Up) -> None:
    with httpx.Client(base_url=up.url, trust_env=False) as visitor:
        assert visitor.get("/livez").status_code == 200
        page = visitor.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        ready = visitor.get("/readyz?verbose").json()
    assert ready["status"] == "ready"
    print(f"up after {up.seconds:.1f} s, servers and first migration included")


def test_a_second_one_on_the_same_folder_leaves_the_first_alone(up: Up) -> None:
    refused = amends("up", "--data", str(up.data), "--port", "0")
    assert refused.returncode == 1
    assert last_line(refused.stderr).startswith(f"Another Amends (process {up.pid}) already runs")
    assert json.loads((up.data / "run.json").read_text())["pid"] == up.pid
    assert httpx.get(f"{up.url}/readyz", trust_env=False).status_code == 200


def test_the_directory_is_loaded_once(up: Up) -> None:
    file = up.data / "group.json"
    file.write_text(json.dumps(group()))
    first, again = (
        typed("directory", "load", str(file), "--data", str(up.data)),
        typed("directory", "load", str(file), "--data", str(up.data)),
    )
    assert (first.returncode, first.stdout) == (0, "Changed: 2 regions, 3 locations, 9 staff.\n")
    assert (again.returncode, again.stdout) == (0, "Nothing changed.\n")
    counted = typed("directory", "load", str(file), "--data", str(up.data), "--json")
    assert json.loads(counted.stdout) == {"regions": 0, "locations": 0, "staff": 0, "rosters": 0}


def test_a_roster_is_taken_from_a_file_once_tried_before_and_refused_by_its_line(up: Up) -> None:
    file, words = up.data / "week.csv", ("--location", "elm-street", "--data", str(up.data))
    file.write_text("staff_id,from,to\nlee,2026-11-23T09:00,2026-11-23T13:00\nana,2026-11-24T13:00,2026-11-24T18:00\n")
    tried = typed("directory", "import-roster", str(file), "--dry-run", *words)
    assert (tried.returncode, tried.stdout) == (
        0, "2026-11-23 to 2026-11-24: Would be: added 2, removed 0, unchanged 0, left out 0.\n",
    )  # fmt: skip
    first, again = (typed("directory", "import-roster", str(file), *words, "--json") for _ in range(2))
    assert json.loads(first.stdout) == {"added": 2, "removed": 0, "unchanged": 0, "left_out": 0}
    assert json.loads(again.stdout) == {"added": 0, "removed": 0, "unchanged": 2, "left_out": 0}
    file.write_text("staff_id,from,to\nnobody,2026-11-23T09:00,2026-11-23T13:00\n")
    refused = typed("directory", "import-roster", str(file), *words)
    assert (refused.returncode, refused.stdout) == (1, "") and refused.stderr.startswith("/lines/2: there is nobody")
    calendar = up.data / "week.ics"
    calendar.write_text("BEGIN:VCALENDAR\n")
    assert "VCALENDAR does not end" in typed("directory", "import-roster", str(calendar), *words).stderr


def test_a_bad_file_is_told_place_by_place_and_changes_nothing(up: Up) -> None:
    file = up.data / "bad.yaml"
    file.write_text("regions: [{id: north, name: North}]\nstaff: [{id: zoe, name: Zoe Example, role: king}]\n")
    refused = typed("directory", "load", str(file), "--data", str(up.data))
    assert refused.returncode == 1
    assert "/staff/0/role" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_key_works_as_soon_as_it_is_printed(up: Up) -> None:
    made = amends("keys", "create", "pos", "--scope", "events:write", "--scope", "cases:read", "--data", str(up.data))
    assert made.returncode == 0, made.stderr
    key = made.stdout.removesuffix("\n")
    assert key.startswith("amk_")
    assert "\n" not in key
    with httpx.Client(base_url=up.url, headers={"authorization": f"Bearer {key}"}, trust_env=False) as holder:
        assert holder.get("/v1/cases").status_code == 200
        assert holder.get("/v1/restitutions").status_code == 403
    for_machines = json.loads(typed("keys", "create", "x", "--scope", "cases:read", "--json", "--data", str(up.data)).stdout)
    assert for_machines["key"].startswith(f"amk_{for_machines['key_id']}_")


def test_a_key_for_nobody_or_for_nothing_known_is_refused(up: Up) -> None:
    for words in (("--scope", "everything:write"), ("--staff", "nobody")):
        refused = typed("keys", "create", "pos", *words, "--data", str(up.data))
        assert refused.returncode == 1
        assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
        assert not refused.stdout


def test_the_clocks_of_cases_are_looked_at_beside_what_runs(up: Up) -> None:
    looked = typed("clock", "rebuild", "--all", "--data", str(up.data))
    assert (looked.returncode, looked.stdout) == (0, "Nothing differs.\n"), looked.stderr
    unknown = typed("clock", "rebuild", "AM-0000-00", "--data", str(up.data))
    assert (unknown.returncode, unknown.stderr) == (1, "There is no case AM-0000-00.\n")


async def test_poison_is_listed_shown_and_tried_again(up: Up) -> None:
    event_id = new_id()
    servers = json.loads((up.data / "run.json").read_text())["kafka"]
    await _produce(servers, "amends.incidents.v1", "amends.incident.reported", event_id)
    await _produce(servers, "amends.cases.v1", "amends.case.opened", new_id())

    def listed() -> list[dict[str, Any]]:
        rows = json.loads(typed("parked", "list", "--json", "--data", str(up.data)).stdout)
        return [row for row in rows if row["ce_id"] == str(event_id) and row["service"] == "escalation"]

    def page_of(*words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(typed("parked", "list", "--json", *words, "--data", str(up.data)).stdout)
        return found

    (row,) = await eventually(listed, within_seconds=20, every_seconds=0.3)
    assert (row["topic"], row["reason"], row["attempts"]) == ("amends.incidents.v1", "unreadable-body", 0)
    told = await asyncio.to_thread(typed, "parked", "list", "--service", "escalation", "--data", str(up.data))
    assert row["parked_id"] in told.stdout
    assert "unreadable-body" in told.stdout
    await eventually(lambda: len(page_of("--limit", "10")) >= 2, within_seconds=20, every_seconds=0.3)
    (first,) = page_of("--limit", "1")
    further = page_of("--after", first["parked_id"])
    assert first["parked_id"] < min(row["parked_id"] for row in further), "oldest first, across the services"
    part = await asyncio.to_thread(typed, "parked", "list", "--limit", "1", "--data", str(up.data))
    assert f"--after {first['parked_id']}" in part.stdout

    shown = await asyncio.to_thread(typed, "parked", "show", row["parked_id"], "--data", str(up.data))
    assert json.loads(shown.stdout)["offset"] == row["offset"]
    unknown = await asyncio.to_thread(typed, "parked", "show", str(new_id()), "--data", str(up.data))
    assert (unknown.returncode, unknown.stdout) == (1, "")

    again = await asyncio.to_thread(typed, "parked", "redrive", row["parked_id"], "--service", "escalation", "--data", str(up.data))
    assert (again.returncode, again.stdout.split(" is ")[0]) == (0, "1 parked event"), again.stderr
    await eventually(lambda: listed()[0]["attempts"] == 1, within_seconds=20, every_seconds=0.3)


async def _produce(servers: str, topic: str, event_type: str, event_id: object) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        headers = {"ce_specversion": "1.0", "ce_id": str(event_id), "ce_type": event_type, "ce_source": "amends/any",
                   "ce_time": "2026-11-17T15:00:00Z", "content-type": "application/json"}  # fmt: skip
        await producer.send_and_wait(topic, b"{not json", key=b"P-poison", headers=[(n, v.encode()) for n, v in headers.items()])
    finally:
        await producer.stop()
