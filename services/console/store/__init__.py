"""How it is kept: `projections` (writing what was heard), `generation` (all of them made again), `queries` (what pages show), `sessions`
(who is signed in, who opened a link)."""

from services.console.store import generation, projections, queries, sessions

__all__ = ["generation", "projections", "queries", "sessions"]
