"""Pages out of templates: Jinja with escaping always on, and the domain's words as filters."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from litestar import MediaType, Response
from litestar.datastructures import Cookie

from services.console.domain import phrases, when
from services.console.domain.timeline import actor
from services.console.domain.timeline import amount as amount_of
from shared.kernel.ids import new_id

PAGES = Path(__file__).parent / "pages"
NO_STORE = {"cache-control": "no-store"}


class Gap(jinja2.Undefined):
    """A field that an object lacks is a gap on the page (another version of its service may not tell it); a name that a template was not
    given is our mistake."""

    def _check(self) -> None:
        if self._undefined_obj is jinja2.utils.missing:
            self._fail_with_undefined_error()

    def __str__(self) -> str:
        self._check()
        return ""

    def __bool__(self) -> bool:
        self._check()
        return False

    def __iter__(self) -> Iterator[Any]:
        self._check()
        return iter(())


def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES / "templates"),
        autoescape=True,
        undefined=Gap,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tables = {
        "catalyst": phrases.CATALYSTS, "incident": phrases.INCIDENTS, "status": phrases.STATUSES, "milestone": phrases.MILESTONES,
        "target": phrases.TARGETS, "role": phrases.ROLES, "kind": phrases.KINDS, "gift": phrases.RESTITUTIONS, "notice": phrases.NOTICES,
        "template": phrases.TEMPLATES, "reason": phrases.REASONS, "cause": phrases.ROOT_CAUSES,
        "service": phrases.SERVICES, "parked": phrases.PARKED,
        "fault": phrases.FAULTS, "timer": phrases.TIMERS,
        "promise": phrases.PROMISES, "promise_state": phrases.PROMISE_STATES,
        "channel": phrases.CHANNELS, "ladder_what": phrases.LADDER,
    }  # fmt: skip
    for name, table in tables.items():
        env.filters[name] = _phrase(table)
    env.filters |= {
        "severity": lambda n: phrases.SEVERITIES.get(n, "Normal"),
        "level": lambda n: phrases.LEVELS.get(n, phrases.LEVELS[2]),
        "moment": lambda at, zone: when.moment(at, zone) if at else "",
        "brief": when.brief,
        "friendly": when.friendly,
        "countdown": when.countdown,
        "between": when.between,
        "span": when.span,
        "hours": when.hours,
        "amount": amount_of,
        "iso": lambda at: at.isoformat() if isinstance(at, datetime) else str(at or ""),
        "instant": lambda text: when.parse(str(text)) if text else None,
        "phone": phrases.phone,
        "parked_help": lambda reason: phrases.PARKED_HELP.get(reason, "Look at the record, then try again or tell its sender."),
        "ladder_who": phrases.say_who,
        "fault_help": lambda fault: phrases.FAULTS_HELP.get(fault, "Look at the log of its service."),
        "staff_of": lambda by: actor(by)[1],
    }
    env.filters["wall"] = when.wall
    env.filters |= {"abbreviation": when.abbreviation, "fold": lambda text: text.replace("\r\n", "\n")}
    env.globals |= {
        "new_form_id": lambda: new_id().hex,
        "ROOT_CAUSES": phrases.ROOT_CAUSES,
        "WAITS": phrases.WAITS,
        "ACTIONS": {code: words for code, words in phrases.ACTIONS.items() if code != "offer"},
        "STATUSES": phrases.STATUSES,
        "SEVERITIES": phrases.SEVERITIES,
        "KINDS": phrases.KINDS,
        "PROMISES": phrases.PROMISES,
    }
    return env


def _phrase(table: dict[str, str]) -> Any:
    return lambda code: phrases.say(table, code)


_ENV = _environment()


def render(template: str, **context: Any) -> str:
    """The HTML of a template. Raises jinja2's UndefinedError for a name it was not given."""
    return _ENV.get_template(template).render(**context)


def html(
    template: str, *, status: int = 200, headers: dict[str, str] | None = None, cookies: Sequence[Cookie] = (), **context: Any
) -> Response[str]:
    """A page, never kept by anybody on the way."""
    return Response(
        render(template, **context),
        status_code=status,
        media_type=MediaType.HTML,
        headers=NO_STORE | (headers or {}),
        cookies=list(cookies),
    )
