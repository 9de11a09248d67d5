"""How it is kept: notices, people, and what comes from outside."""

from services.notification.store import notices, people, traffic

__all__ = ["notices", "people", "traffic"]
