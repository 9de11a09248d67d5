"""What restitution is asked over HTTP."""

from services.restitution.api import books, policies, restitutions

ROUTES = [*restitutions.ROUTES, *books.ROUTES, *policies.ROUTES]

__all__ = ["ROUTES"]
