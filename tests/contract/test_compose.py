"""`docker-compose.yml` against the code: settings that exist, the contract's ports, a health check each, no secret in sight."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.command.secrets import made
from shared.contracts.flow import ALL_SERVICES
from shared.settings import PORTS, PREFIX, fields, is_secret, may_be_a_file

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = {name: service for name, service in SERVICES.items() if name not in ("postgres", "kafka")}
KNOWN = dict(fields())


def _settings(service: str) -> dict[str, Any]:
    return {name: value for name, value in OURS[service].get("environment", {}).items() if name.startswith(PREFIX)}


@pytest.mark.parametrize("service", sorted(OURS))
def test_every_setting_it_names_exists(service: str) -> None:
    for name in _settings(service):
        plain = name.removesuffix("_FILE")
        assert name in KNOWN or (plain in KNOWN and may_be_a_file(KNOWN[plain][1])), name


@pytest.mark.parametrize("service", sorted(OURS))
def test_no_secret_is_written_down(service: str) -> None:
    """A secret comes from a file, or from the shell of whoever starts it; never with a default."""
    for name, value in _settings(service).items():
        if name in KNOWN and is_secret(KNOWN[name][1]):
            assert re.fullmatch(rf"\$\{{{name}:-\}}", str(value)), name
    assert not re.search(r"postgresql://|password:|PASSWORD:", TEXT)


@pytest.mark.parametrize("service", ALL_SERVICES)
def test_each_process_has_its_port_its_health_check_and_its_own_secrets(service: str) -> None:
    described, port = SERVICES[service], PORTS[service]
    assert described["command"] == ["serve", service]
    assert described["ports"] == [f"127.0.0.1:${{{service.upper()}_PORT:-{port}}}:{port}"]
    assert f"http://127.0.0.1:{port}/readyz" in described["healthcheck"]["test"][-1]
    assert described["volumes"] == [f"secrets-{service}:/run/secrets:ro"]
    assert described["restart"] == "unless-stopped"
    assert described["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert _settings(service)[f"AMENDS_URLS__{service.upper()}"] == f"http://{service}:{port}"
    dsns = [name for name in _settings(service) if name.startswith("AMENDS_POSTGRES__")]
    assert dsns == [f"AMENDS_POSTGRES__{service.upper()}_FILE"]


@pytest.mark.parametrize("service", [*ALL_SERVICES, "migrate", "command"])
def test_every_file_it_names_is_made(service: str) -> None:
    """Goal: the names of `amends secrets` and of the settings stay the same."""
    reader = service if service in ALL_SERVICES else "owner"
    named = {Path(value).name for name, value in _settings(service).items() if name.endswith("_FILE") and value}
    assert named == set(made("db:5432/amends")[reader])


def test_servers_have_health_checks_and_everything_waits_for_what_it_needs() -> None:
    for server in ("postgres", "kafka"):
        assert SERVICES[server]["healthcheck"]["test"]
        assert SERVICES["migrate"]["depends_on"][server] == {"condition": "service_healthy"}
        assert "ports" not in SERVICES[server]
    assert SERVICES["postgres"]["depends_on"] == {"secrets": {"condition": "service_completed_successfully"}}
    assert SERVICES["postgres"]["healthcheck"]["test"][:4] == ["CMD", "pg_isready", "-h", "127.0.0.1"]


def test_the_broker_is_set_up_as_the_embedded_one() -> None:
    """Goal: what the tests run on is what compose runs on. Method: deploy/kafka/server.properties, but for where it listens and keeps."""
    lines = (ROOT / "deploy" / "kafka" / "server.properties").read_text("utf-8").splitlines()
    embedded = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    own = {"controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}
    own |= {"broker.session.timeout.ms", "broker.heartbeat.interval.ms"}
    composed = {n.removeprefix("KAFKA_").replace("_", ".").lower(): str(v) for n, v in SERVICES["kafka"]["environment"].items()}
    for name in set(embedded) - own:
        assert composed[name] == embedded[name], name


def test_old_engines_can_read_it() -> None:
    """Nothing here asks for a newer engine or a registry that serves by digest."""
    recipe = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    assert "start_interval" not in TEXT
    assert "@sha256" not in TEXT + recipe
    assert not re.search(r"# syntax=|<<\s*[A-Z\"']|--link", recipe)
    assert yaml.safe_load(TEXT).get("version") is None
