"""A directory file as text: YAML without its surprises, of which JSON is a part.

Called by `amends directory load` and the demo, before `document.read`.
Invariant: a value is what it looks like: 18:00 and 2026-12-24 stay text, NO is no boolean, a fraction is a Decimal, a key stands once.
"""

import re
from decimal import Decimal
from typing import Any, Final

import yaml

from shared.kernel.errors import Rejected

BYTES_MAX: Final = 16 * 1024 * 1024


def parse(text: str) -> Any:
    """The value of a YAML or JSON text. Dates, times and phone numbers stay text, fractions become Decimal.

    Raises Rejected `malformed-document` with the line, also for a key that is named twice and for text above 16 MiB.
    """
    if len(text) > BYTES_MAX:
        raise Rejected("malformed-document", "The file is larger than 16 MiB.")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, RecursionError) as fault:
        raise Rejected("malformed-document", f"The file cannot be read: {' '.join(str(fault).split())}") from fault


class _PlainLoader(yaml.SafeLoader):
    """YAML without its surprises: 18:00 is no number, 2026-12-24 no date, NO no boolean, and a key stands once."""

    yaml_implicit_resolvers: dict[Any, Any] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                problem = f"{key!r} stands twice" if isinstance(key, str) else f"{key!r} is no name"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: _PlainLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(str(loader.construct_scalar(node)))


_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+$"), list("-0123456789"))
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _decimal)
