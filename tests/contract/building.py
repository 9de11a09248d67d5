"""Every service built as in production, with nothing behind it: enough to see what it listens to and what it can be asked.

Called by the tests of the flow and of the API's page, and by whoever must know what is heard. Neither a database nor a broker is touched:
subscribers register when they are made and connect only when they are started.
"""

import importlib
from collections.abc import Mapping
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import Litestar
from pydantic import SecretStr

from shared import reference
from shared.contracts.flow import ALL_SERVICES
from shared.db import Pool
from shared.kernel.clock import MachineClock
from shared.messaging.broker import make_broker
from shared.runtime import Host, Process, Service
from shared.settings import Settings, read
from shared.vault import Vault
from shared.web.app import Check, make_app

NOWHERE = "localhost:1"


def host() -> Host:
    """A host whose pools lead nowhere."""
    signing = Ed25519PrivateKey.generate()
    settings: Settings = read({})
    sms = settings.sms.model_copy(
        update={"account_sid": "AC00000000000000000000000000000000", "auth_token": SecretStr("token"), "from_number": "+12025550100"}
    )
    return Host(
        pools=dict.fromkeys(ALL_SERVICES, cast("Pool", object())),
        clock=MachineClock(),
        vault=Vault.from_keys("k1", {"k1": bytes(32)}, b"i" * 32),
        settings=settings.model_copy(update={"sms": sms}),
        public_url="http://localhost:8080",
        service_urls=dict.fromkeys(ALL_SERVICES, "http://localhost:8080"),
        signing_key=signing,
        verifying_key=signing.public_key(),
    )


def service(name: str) -> Service:
    """One service as its `__main__` wires it, with its subscribers registered."""
    built: Service = importlib.import_module(f"services.{name}.__main__").build(host())
    broker = make_broker(NOWHERE)
    reference.subscribe(broker, built.engine)
    built.subscribe(broker)
    return built


def passed_over() -> dict[tuple[str, str], frozenset[str]]:
    """The types that each listener does nothing about, by (listener, topic): they leave no row in its inbox."""
    engines = (service(name).engine for name in ALL_SERVICES)
    return {(e.name, topic): frozenset(kind.decode() for kind in kinds) for e in engines for topic, kinds in e.passed_over.items()}


def application() -> Litestar:
    """The one application that answers for all services."""
    builders = [importlib.import_module(f"services.{name}.__main__").build for name in ALL_SERVICES]
    process = Process(host(), builders, bootstrap_servers=NOWHERE)
    return make_app(process.routers(), title="Amends", health=_healthy)


async def _healthy() -> Mapping[str, Check]:
    return {}


def operations(app: Litestar) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each published operation, by path."""
    schema = app.openapi_schema.to_schema()
    methods = ("get", "post", "put", "patch", "delete")
    return [
        (path, method.upper(), item[method])
        for path, item in sorted(schema.get("paths", {}).items())
        for method in methods
        if method in item
    ]
