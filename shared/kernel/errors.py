"""Errors, named by what the door that meets them must do.

| family | Kafka door | HTTP door | timer door |
| Rejected | done, kept visible by code | 4xx problem+json | done, kept visible |
| Poison | park | 400 | park |
| Transient | keep the batch, back off | 503 + Retry-After | reschedule |
| anything else | isolate the one event, park it | 500 with an id | park |

A class's docstring is its default message. HTTP numbers live in `shared/web/problems.py` only.
"""

from typing import Any


class AmendsError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)


class Rejected(AmendsError):
    """The business says no."""

    def __init__(self, code: str, detail: str | None = None, *, pointer: str | None = None, **facts: Any) -> None:
        """`code` is kebab-case and part of the contract; `pointer` is the RFC 6901 place in the input; `facts` go out with the problem."""
        super().__init__(detail or code.replace("-", " ").capitalize() + ".")
        self.code, self.pointer, self.facts = code, pointer, facts


class Poison(AmendsError):
    """This can never be handled."""

    def __init__(self, reason: str, detail: str | None = None) -> None:
        """`reason` is one of the public literals of `shared/messaging/parked.py`."""
        super().__init__(detail or reason)
        self.reason = reason


class Transient(AmendsError):
    """The world is down; the same request may succeed later."""

    def __init__(self, detail: str | None = None, *, retry_in: float = 1.0) -> None:
        """`retry_in` is in seconds of machine time."""
        super().__init__(detail)
        self.retry_in = retry_in


class Unready(Transient):
    """A row that another topic will bring is not here yet."""

    def __init__(self, what: str, *, retry_in: float = 1.0) -> None:
        """`what` names the missing row for people: `location store-12`."""
        super().__init__(f"waiting for {what}", retry_in=retry_in)
        self.what = what
