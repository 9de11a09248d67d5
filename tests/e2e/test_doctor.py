"""`amends doctor` and `amends config` beside a running `amends up`: well, and with something broken for real."""

import base64
import json
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import psutil
import pytest
import yaml
from aiokafka import AIOKafkaProducer

from shared.kernel.ids import new_id
from tests.support.builders import Patient, group, three_trips
from tests.support.command import Up, amends, typed
from tests.support.eventually import eventually
from tests.support.servers import throwaway_folder
from tests.support.stack import BATCH

pytestmark = pytest.mark.e2e

SMS = {"AMENDS_SMS__ACCOUNT_SID": "AC" + "0" * 32, "AMENDS_SMS__AUTH_TOKEN": "1" * 32, "AMENDS_SMS__FROM_NUMBER": "+12025550100"}


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with throwaway_folder() as folder, Up(folder / "data") as running:
        file = folder / "group.yaml"
        file.write_text(yaml.safe_dump(group()), "utf-8")
        assert typed("directory", "load", str(file), "--data", str(running.data)).returncode == 0
        yield running


def examined(up: Up, environ: Mapping[str, str] | None = None) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code and the findings by what they are about."""
    words = ("doctor", "--json", "--data", str(up.data))
    ran = typed(*words) if environ is None else amends(*words, environ=environ)
    assert "Traceback" not in ran.stderr, ran.stderr
    answer = json.loads(ran.stdout)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in answer["findings"]:
        assert bool(finding["fix"]) == (finding["level"] != "ok"), finding
        found.setdefault(finding["about"], []).append(finding)
    assert answer["ok"] == (ran.returncode == 0)
    return ran.returncode, found


def test_a_fresh_amends_is_well(up: Up) -> None:
    code, found = examined(up)
    assert code == 0, found
    levels = {about: {f["level"] for f in some} for about, some in found.items()}
    for about in (
        "settings",
        "broker",
        "topics",
        "databases",
        "processes",
        "clocks",
        "provider",
        "address",
        "vault keys",
        "traces",
        "parked",
    ):
        assert levels[about] == {"ok"}, found[about]
    shown = typed("doctor", "--data", str(up.data))
    assert shown.returncode == 0 and "FAILED" not in shown.stdout


def test_a_provider_that_nobody_can_reach_fails(up: Up) -> None:
    code, found = examined(up, SMS | {"AMENDS_SMS__BASE_URL": "http://127.0.0.1:1"})
    assert code == 1
    (provider,), (address,) = found["provider"], found["address"]
    assert "does not answer" in provider["detail"] and "AMENDS_HTTP__PUBLIC_URL" in address["fix"]


def test_settings_that_cannot_be_read_fail_alone(up: Up) -> None:
    code, found = examined(up, {"AMENDS_HTTP__PROT": "8080"})
    assert code == 1 and list(found) == ["settings"]
    assert "did you mean AMENDS_HTTP__PORT" in found["settings"][0]["detail"]


async def test_keys_that_do_not_open_what_is_stored_fail(up: Up) -> None:
    key = typed("keys", "create", "pos", "--scope", "events:write", "--scope", "cases:read", "--data", str(up.data)).stdout.strip()
    async with httpx.AsyncClient(base_url=up.url, headers={"authorization": f"Bearer {key}"}, trust_env=False) as http:
        answer = await http.post(
            "/v1/events", json=list(three_trips(Patient("Dora Example"), "order-dora")), headers={"content-type": BATCH}
        )
        assert answer.json()["rejected"] == 0
    assert examined(up)[1]["vault keys"][0]["level"] == "ok"
    code, found = examined(up, {"AMENDS_VAULT__MASTER_KEY": base64.b64encode(os.urandom(32)).decode()})
    assert code == 1 and "do not open" in found["vault keys"][0]["detail"]


async def test_a_parked_event_fails_until_it_is_gone(up: Up) -> None:
    servers = json.loads((up.data / "run.json").read_text("utf-8"))["kafka"]
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        headers = [("ce_id", str(new_id()).encode()), ("ce_type", b"amends.case.nonsense"), ("ce_time", b"2026-11-23T17:00:00+00:00")]
        await producer.send_and_wait("amends.cases.v1", b"{}", key=b"k", headers=headers)
    finally:
        await producer.stop()

    def told() -> list[dict[str, Any]]:
        return [f for f in examined(up)[1]["parked"] if f["level"] == "failed"]

    found = await eventually(told, within_seconds=30)
    assert found is not None
    assert "unknown-type" in found[0]["detail"] and "amends parked list" in found[0]["fix"]


def test_config_shows_each_setting_and_no_secret(up: Up) -> None:
    ran = amends("config", "--json", environ=SMS)
    assert ran.returncode == 0
    rows = {row["name"]: row for row in json.loads(ran.stdout)}
    assert rows["AMENDS_SMS__AUTH_TOKEN"] == {"name": "AMENDS_SMS__AUTH_TOKEN", "value": "hidden", "source": "environment", "file": None}
    assert rows["AMENDS_HTTP__HOST"]["source"] == "default"
    assert SMS["AMENDS_SMS__AUTH_TOKEN"] not in ran.stdout + amends("config", environ=SMS).stdout
    assert amends("config", environ={"AMENDS_NONSENSE": "1"}).returncode == 1


def test_zz_a_broker_that_is_gone_fails_and_the_rest_is_still_examined(up: Up) -> None:
    """Method: the embedded broker is killed, last of all, as nothing after it can count on it."""
    (kafka,) = [p for p in up.children() if "kafka.Kafka" in " ".join(p.cmdline())]
    kafka.send_signal(signal.SIGKILL)
    psutil.wait_procs([kafka], timeout=10)
    code, found = examined(up)
    assert code == 1
    assert [f["level"] for f in found["broker"]] == ["failed"] and "does not answer" in found["broker"][0]["detail"]
    assert found["databases"][0]["level"] == "ok"
