"""What escalation is asked: `queries` (cases, one case, its clock), `commands` (what people do to a case), `many` (to many
at once), `views` (how it is shown)."""

from services.escalation.api import commands, many, queries

ROUTES = [*queries.ROUTES, *commands.ROUTES, *many.ROUTES]

__all__ = ["ROUTES"]
