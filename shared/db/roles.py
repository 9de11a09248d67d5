"""The role of each service: its name, its password, and a pool that signs in as it.

Called by the stack, by `amends serve` and by the migrations. Invariant: a service works under its own role wherever the server lets that
role in; the owner's power is used in its stead only where it does not, and the log says so.
"""

import hashlib
import hmac
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from shared.db.pool import Pool, open_pool
from shared.telemetry import logs

# A server that says no: the role, its password, the database or a right.
REFUSED: tuple[type[BaseException], ...] = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


def role_of(service: str) -> str:
    """The role that a service signs in as."""
    return f"amends_{service}"


def password_of(service: str, secret: str) -> str:
    """What a service's role signs in with where nobody chose a password: derived from `secret`, so that it is nowhere kept."""
    return hmac.new(secret.encode(), f"postgres role {service}".encode(), hashlib.sha256).hexdigest()


def as_role(dsn: str, role: str, password: str | None) -> str:
    """The same database for another role."""
    parts = urlsplit(dsn)
    who = f"{role}:{quote(password, safe='')}" if password else role
    return urlunsplit(parts._replace(netloc=f"{who}@{parts.netloc.rpartition('@')[2]}"))


async def open_service_pool(owner_dsn: str, service: str, *, password: str | None, size: int) -> Pool:
    """A service's connections where only the owner's DSN is known: as its own role where that role is let in, else as the owner."""
    try:
        return await open_pool(as_role(owner_dsn, role_of(service), password), schema=service, size=size)
    except REFUSED:
        logs.get("database").warning("a service works as the owner of the database", service=service)
        return await open_pool(owner_dsn, schema=service, size=size)
