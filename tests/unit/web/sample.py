"""A small service with one door of each kind, to try the HTTP room on."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, cast

import httpx
from litestar import Litestar, Request, Response, get, post
from pydantic import BaseModel, ConfigDict

from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.web import PUBLIC, RAW, Access, Auth, Principal, check_etag, make_app, read_json, requires, service_router
from shared.web.app import Check
from shared.web.auth import hash_secret

SECRETS = {"writer": "w" * 48, "reader": "r" * 48, "ana": "a" * 48, "gone": "g" * 48}
ACCESS = {
    "writer": Access("writer", hash_secret(SECRETS["writer"]), frozenset({"cases:write", "cases:read"})),
    "reader": Access("reader", hash_secret(SECRETS["reader"]), frozenset({"cases:read"})),
    "ana": Access("ana", hash_secret(SECRETS["ana"]), staff_id="ana", role="store_manager", locations=("store-12",)),
    "gone": Access("gone", hash_secret(SECRETS["gone"]), frozenset({"cases:write"}), revoked=True),
}


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer amk_{name}_{SECRETS[name]}"}


class Gateway(Protocol):
    async def send(self, text: str) -> str: ...


@dataclass(frozen=True)
class Desk:
    """As a real one: with members that no validator could look into."""

    pool: object
    gateway: Gateway | None = None
    render: Callable[[str], str] = str.upper
    calls: list[str] = field(default_factory=list)


class Line(BaseModel):
    sku: str
    price: Decimal


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    amount_minor: int = 0
    lines: tuple[Line, ...] = ()
    labels: dict[str, int] = {}


@post("/v1/orders", guards=[requires("cases:write")], status_code=200)
async def create_order(desk: Desk, principal: Principal, data: Order) -> dict[str, Any]:
    """Take an order."""
    desk.calls.append(data.name)
    return {
        "name": desk.render(data.name),
        "by": principal.actor,
        "call": len(desk.calls),
        "total": sum((line.price for line in data.lines), Decimal(0)),
    }


@post("/v1/orders/{order_id:str}/confirm", guards=[requires("cases:write")], status_code=200)
async def confirm_order(desk: Desk, order_id: str, request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Confirm it, without a body."""
    check_etag(request.headers.get("if-match"), 3)
    desk.calls.append(order_id)
    return {"order_id": order_id, "call": len(desk.calls)}


@get("/v1/orders", guards=[requires("cases:read")])
async def list_orders(limit: int = 50) -> dict[str, Any]:
    """All of them."""
    return {"items": [], "limit": limit}


@get("/v1/lines", guards=[requires("cases:read")])
async def list_lines(order_id: str) -> dict[str, Any]:
    """Those of one order."""
    return {"items": [], "order_id": order_id}


@post("/v1/raw", guards=[requires("cases:write")], status_code=202, opt=RAW)
async def take_raw(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Reads its own body."""
    return {"value": read_json(await request.body())}


@post("/v1/webhooks/form", opt=PUBLIC, status_code=200)
async def take_form(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """A provider's form."""
    form = await request.form()
    return {"from": form.get("From")}


FAILURES: Mapping[str, Callable[[], Exception]] = {
    "rejected": lambda: Rejected("story-not-confirmed", reference="AM-0000-00"),
    "own": lambda: Rejected("own-approval"),
    "unknown": lambda: Rejected("unknown-case"),
    "unknown-in-body": lambda: Rejected("unknown-location", pointer="/data/location_id"),
    "poison": lambda: Poison("bad-envelope"),
    "transient": lambda: Transient("the database is restarting", retry_in=2.4),
    "unready": lambda: Unready("location store-12"),
    "refused": lambda: ConnectionRefusedError("10.0.0.1"),
    "bug": lambda: ValueError("secret +12125550143"),
}


@get("/v1/fail/{how:str}", opt=PUBLIC)
async def fail(how: str) -> None:
    """Goes wrong on demand."""
    raise FAILURES[how]()


ROUTES = [create_order, confirm_order, list_orders, list_lines, take_raw, take_form, fail]


async def lookup(key_id: str) -> Access | None:
    return ACCESS.get(key_id)


async def healthy() -> Mapping[str, Check]:
    return {"database": Check(True), "subscribers": Check(True, "4 assigned")}


def sample_app(desk: Desk | None = None, **settings: Any) -> Litestar:
    auth = Auth(audience="sample", lookup=lookup, console_key=settings.pop("console_key", None))
    router = service_router(
        "sample",
        [*ROUTES, *settings.pop("more", [])],
        desk=desk or Desk(object()),
        auth=auth,
        pool=settings.pop("pool", None),
        sealer=settings.pop("sealer", None),
    )
    return make_app([router], title="Sample", health=settings.pop("health", healthy), **settings)


@asynccontextmanager
async def client_of(app: Litestar, *, raise_errors: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=raise_errors)
    async with httpx.AsyncClient(transport=transport, base_url="http://sample") as client:
        yield client


__all__ = ["ACCESS", "Desk", "Response", "bearer", "client_of", "lookup", "sample_app"]
