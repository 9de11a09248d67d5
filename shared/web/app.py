"""One HTTP application out of the routers of one or several services, and the server that runs it inside a loop that is there already.

Called by `shared.runtime` and by tests. Invariant: whatever goes wrong on the way, the answer is a problem; every answer carries the
security headers; a stop ends open streams first, so that it takes seconds, not minutes.
"""

import asyncio
import socket
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import LitestarDeprecationWarning
from litestar.middleware import ASGIMiddleware
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send

from shared.db import Pool
from shared.kernel.errors import Rejected
from shared.telemetry import metrics, traces
from shared.web.auth import Auth, AuthMiddleware, principal_of
from shared.web.body import SIZE_LIMIT, BodyMiddleware
from shared.web.docs import STYLE, STYLE_PATH, ReadingPage, with_problems
from shared.web.idempotency import IdempotencyMiddleware, Sealer
from shared.web.problems import respond
from shared.web.transport import OneWriteProtocol

READY_SECONDS = 5.0
GRACE_SECONDS = 5
VERSION = "0.1.0"

SECURITY_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """What one part says about being ready; `detail` is for people and names no secret."""

    ok: bool
    detail: str = ""


Health = Callable[[], Awaitable[Mapping[str, Check]]]
Hook = Callable[[], Awaitable[None]]


def service_router(
    service: str,
    routes: Sequence[ControllerRouterHandler],
    *,
    desk: object,
    auth: Auth,
    pool: "Pool | None" = None,
    sealer: Sealer | None = None,
) -> Router:
    """The routes of one service behind its own doorkeepers: who asks, the body, Idempotency-Key (kept in `pool`), in this order.

    Handlers get `desk` and, unless PUBLIC, `principal` injected by name. `sealer` encrypts stored answers where they may hold words.
    """
    doorkeepers: list[ASGIMiddleware] = [AuthMiddleware(auth), BodyMiddleware()]
    if pool is not None:
        doorkeepers.append(IdempotencyMiddleware(service, pool, sealer))
    return Router(
        "/",
        route_handlers=routes,
        middleware=doorkeepers,
        dependencies={"desk": Provide(lambda: desk, sync_to_thread=False), "principal": Provide(_principal, sync_to_thread=False)},
        tags=[service],
    )


def _principal(request: Request[Any, Any, Any]) -> Any:
    return principal_of(request)


def make_app(
    routers: Sequence[ControllerRouterHandler],
    *,
    title: str,
    health: Health,
    asyncapi: Callable[[], Mapping[str, Any]] | None = None,
    before: Sequence[ASGIMiddleware] = (),
    on_startup: Sequence[Hook] = (),
    on_shutdown: Sequence[Hook] = (),
) -> Litestar:
    """The application: `routers` (see `service_router`; plain handlers are fine too) and the addresses every service has.

    `health` is asked at `/readyz` and has 5 seconds; `before` are middlewares outside of every router's own. Schemas and pages at
    `/openapi.json`, `/docs`, `/asyncapi.json`; `/livez`, `/metrics`.
    """

    async def ready(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        return await _ready(health, "verbose" in request.query_params)

    async def channels() -> Mapping[str, Any]:
        if asyncapi is None:
            raise Rejected("not-found", "Nothing is published here.")
        return asyncapi()

    with warnings.catch_warnings():
        # Parameters and dependencies are declared by name and type alone here. Litestar will want markers in 3.0; 2.x is pinned.
        warnings.filterwarnings(
            "ignore",
            message=r".*(deprecated inferred style|Inferred dependency field|without a body marker)",
            category=LitestarDeprecationWarning,
        )
        return Litestar(
            route_handlers=[
                *routers,
                get("/livez", media_type=MediaType.JSON, include_in_schema=False)(_live),
                get("/readyz", media_type=MediaType.JSON, include_in_schema=False)(ready),
                get("/metrics", include_in_schema=False)(_metrics),
                get("/openapi.json", include_in_schema=False)(_openapi),
                get("/asyncapi.json", media_type=MediaType.JSON, include_in_schema=False)(channels),
                get(STYLE_PATH, include_in_schema=False)(_style),
            ],
            middleware=[RequestMiddleware(), *before],
            exception_handlers={Exception: respond},
            openapi_config=_openapi_config(title),
            before_send=[_finish],
            on_startup=[*on_startup],
            on_shutdown=[_close_streams, *on_shutdown],
            logging_config=None,
            request_max_body_size=16 * SIZE_LIMIT,
            state=State({"closing": asyncio.Event()}),
        )


def _openapi_config(title: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title=title,
        version=VERSION,
        path="/docs",
        render_plugins=[ReadingPage()],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", description="`amk_…`, see `amends keys create`")}
        ),
        security=[{"bearer": []}],
    )


class RequestMiddleware(ASGIMiddleware):
    """Around every routed request: a path that can name nothing ends here, the caller's trace is taken up, and the time to the first byte
    is measured."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Litestar calls this after routing."""
        template, method = str(scope.get("path_template", "")), str(scope.get("method", ""))
        if "\x00" in scope["path"]:
            raise Rejected("not-found", "There is nothing at this address.")  # no column can hold it, so nobody is called so
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                metrics.HTTP_SECONDS.labels(method=method, route=template).observe(loop.time() - began)
            await send(message)

        with traces.attached(given), traces.span(f"{method} {template}", traces.SERVER):
            await next_app(scope, receive, measured)


async def _finish(message: Message, scope: Scope) -> None:
    """On the way out of every answer, problems of the routing included: security headers that are not set yet, and the count."""
    if message["type"] != "http.response.start":
        return
    headers = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers += [pair for pair in SECURITY_HEADERS if pair[0] not in present]
    message["headers"] = headers
    # Not the path: an unrouted one is the asker's choice, and each would be a series of its own.
    template = str(scope.get("path_template", "unrouted"))
    method = str(scope.get("method", ""))
    known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
    metrics.HTTP_REQUESTS.labels(method=known, route=template, status=str(message["status"])).inc()


async def _live() -> dict[str, str]:
    return {"status": "alive"}


async def _ready(health: Health, verbose: bool) -> Response[dict[str, Any]]:
    try:
        async with asyncio.timeout(READY_SECONDS):
            checks = dict(await health())
    except TimeoutError:
        checks = {"health": Check(False, f"no answer within {READY_SECONDS:g} seconds")}
    ready = all(check.ok for check in checks.values())
    body: dict[str, Any] = {"status": "ready" if ready else "not-ready"}
    if verbose:
        body["checks"] = {name: {"ok": check.ok, "detail": check.detail} for name, check in sorted(checks.items())}
    return Response(body, status_code=200 if ready else 503, headers={"cache-control": "no-store"})


async def _metrics() -> Response[bytes]:
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


async def _openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    return Response(with_problems(request.app.openapi_schema.to_schema()), media_type="application/json")


async def _style() -> Response[str]:
    return Response(STYLE, media_type="text/css; charset=utf-8", headers={"cache-control": "max-age=3600"})


async def _close_streams(app: Litestar) -> None:
    app.state.closing.set()


class PortTaken(Exception):
    """The port is taken."""


class HttpServer(uvicorn.Server):
    """uvicorn inside a running loop: installs no signal handlers, says when it listens, stops when told.

    `await server.start()` returns once requests are answered; `server.port` is the real one where 0 was asked for; `await server.stop()`
    ends streams, waits up to 5 seconds for the requests under way, and returns.
    """

    def __init__(self, app: Litestar, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                http=OneWriteProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_keep_alive=15,
                timeout_graceful_shutdown=GRACE_SECONDS,
                h11_max_incomplete_event_size=64 * 1024,
            )
        )
        self._app, self._host, self.port = app, host, port
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen and start. Raises PortTaken with a sentence for people; what the start-up hooks raise is raised here."""
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        self._running = asyncio.create_task(self.serve(sockets=[listener]), name="http")
        while not self.started:
            if self._running.done():
                listener.close()
                await self._running
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Stop listening, let go of streams, finish what is under way. Calling it twice does no harm."""
        self._app.state.closing.set()
        self.should_exit = True
        if self._running is not None:
            await asyncio.wait({self._running})

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to one of its servers."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"cannot listen on {host}:{port} ({(error.strerror or 'no reason given').lower()}); choose another with --port"
        ) from error
    listener.setblocking(False)
    return listener
