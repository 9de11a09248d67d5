"""What escalation is asked: `queries` (cases, one case, its clock), `commands` (what people do to a case), `views` (how it is shown)."""

from services.escalation.api import commands, queries

ROUTES = [*queries.ROUTES, *commands.ROUTES]

__all__ = ["ROUTES"]
