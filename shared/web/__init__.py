"""What every HTTP door of the product shares: who is asking, reading a body, saying no, doing a thing once, streaming, listening.

Called by each service's `api` room and `__main__`; imports no service. Invariant: whatever arrives, the answer is the one asked for
or an RFC 9457 problem; a request that could not be understood is never a 5xx.
"""

from shared.web.app import HttpServer, PortTaken, make_app, service_router
from shared.web.auth import PUBLIC, Access, Auth, Principal, requires, requires_any
from shared.web.body import FORMS, RAW, read_json, read_model
from shared.web.pages import check_etag, cursor_of, etag, page, read_cursor
from shared.web.sse import Say, stream

__all__ = [
    "FORMS",
    "PUBLIC",
    "RAW",
    "Access",
    "Auth",
    "HttpServer",
    "PortTaken",
    "Principal",
    "Say",
    "check_etag",
    "cursor_of",
    "etag",
    "make_app",
    "page",
    "read_cursor",
    "read_json",
    "read_model",
    "requires",
    "requires_any",
    "service_router",
    "stream",
]
