"""How it is kept: `projections` (writing what was heard), `queries` (what pages show), `sessions` (who is signed in, who opened a link)."""

from services.console.store import projections, queries, sessions

__all__ = ["projections", "queries", "sessions"]
