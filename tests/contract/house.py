"""The rules of the house: what ruff, mypy and the import contracts do not see, as functions from a source file to its breaches.

Called by `test_house_rules.py`, on the tree and on planted sources. A breach names its file, its line and the rule it breaks.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

FILE_LINES: Final = 400
FUNCTION_LINES: Final = 70
SERVICES: Final = ("directory", "intake", "escalation", "restitution", "notification", "console")
ROOMS: Final = frozenset({"__init__", "__main__", "api", "domain", "gateway", "handlers", "store", "timers", "usecases"})
# Folders beside the rooms that hold data, not code.
# `demo` is the invented group that `amends demo` shows.
DATA_FOLDERS: Final = frozenset({"schema", "policy", "demo"})

SQL_ROOMS: Final = re.compile(
    r"services/\w+/store(\.py|/)|shared/(db|vault|messaging|reference|timers)/|shared/web/idempotency\.py|/schema/|tests/"
)
SQL: Final = re.compile(
    r"^\s*(?:--[^\n]*\s+)*(?:"
    r"select\s(?:[\s\S]*\bfrom\s|1\b|pg_)|insert\s+into\s|update\s+\w+\s+(?:as\s+\w+\s+)?set\s|delete\s+from\s|"
    r"with\s+(?:recursive\s+)?\w+\s*(?:\([^)]*\)\s*)?as\s|(?:create|alter|drop|truncate)\s+(?:table|index|schema|role|database|sequence)\b)",
    re.IGNORECASE,
)
MONEY_FILES: Final = re.compile(r"shared/kernel/money\.py|shared/policy/|services/restitution/|shared/contracts/restitutions\.py")
MONEY_NAME: Final = re.compile(r"(?:^|_)(?:amount|minor|money|price|budget|balance|miles|mileage|currency|cents|payout)(?:_|$)")
# The engine's doors: here an exception of any kind ends as a park, a problem, a restart or a count; see "Errors" in the architecture.
DOORS: Final = re.compile(
    r"shared/messaging/(?:consumer|broker|relay|transaction)\.py|shared/timers/due\.py|shared/web/(?:app|problems|sse)\.py|"
    r"shared/runtime/process\.py|shared/messaging/together\.py|services/intake/usecases/commit\.py|tests/"
)


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """`path:line rule: what`."""

    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.rule}: {self.what}"


Rule = Callable[[str, str, ast.Module], Iterable[Breach]]


def breaches(path: str, source: str, rules: Iterable[Rule] | None = None) -> list[Breach]:
    """All breaches of one Python file; `path` is relative to the repository, with slashes."""
    tree = _parsed(path, source)
    return sorted(breach for rule in rules or RULES for breach in rule(path, source, tree))


@cache
def _parsed(path: str, source: str) -> ast.Module:
    return ast.parse(source, path)


def tree_of(root: Path) -> Iterator[tuple[str, str]]:
    """Every Python file of the product and its tests: its path and its source."""
    for top in ("services", "shared", "tests"):
        for file in sorted((root / top).rglob("*.py")):
            yield file.relative_to(root).as_posix(), file.read_text("utf-8")


def long_file(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """A file has at most 400 lines."""
    if (lines := len(source.splitlines())) > FILE_LINES:
        yield Breach(path, lines, "long-file", f"{lines} lines, at most {FILE_LINES}")


def long_function(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """A function has at most 70 lines, its decorators not counted."""
    for function in _functions(tree):
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > FUNCTION_LINES:
            yield Breach(path, function.lineno, "long-function", f"{function.name} has {lines} lines, at most {FUNCTION_LINES}")


def stray_sql(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """SQL stands only in the rooms that keep things."""
    if SQL_ROOMS.search(path):
        return
    prose = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose and SQL.match(node.value):
            yield Breach(path, node.lineno, "stray-sql", f"{' '.join(node.value.split())[:60]!r} belongs to a store")


def float_near_money(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """No float in the files of money; elsewhere none that touches a name of money."""
    if path.startswith("tests/"):
        return
    for node in ast.walk(tree):
        is_float = isinstance(node, ast.Name) and node.id == "float" and isinstance(node.ctx, ast.Load)
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        if MONEY_FILES.match(path) and (is_float or is_literal) and not (isinstance(node, ast.Constant) and _is_seconds(tree, node)):
            yield Breach(path, _line(node), "float-near-money", "a float in a file of money")
        elif not MONEY_FILES.match(path) and (name := _money_float(node)):
            yield Breach(path, _line(node), "float-near-money", f"{name} and a float")


def many_use_cases(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """A Kafka handler and a timer hand over to exactly one use case."""
    if not re.fullmatch(r"services/\w+/(handlers|timers)\.py", path):
        return
    for function in _functions(tree):
        if isinstance(function, ast.AsyncFunctionDef):
            called = {n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute) and _name(n.value) == "usecases"}
            if len(called) != 1:
                yield Breach(path, function.lineno, "one-use-case", f"{function.name} hands over to {sorted(called) or 'none'}")


def many_commands(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """An HTTP handler that changes something hands over to at most one use case, so that it is one transaction."""
    if not re.match(r"services/\w+/api(\.py|/)", path):
        return
    for function in _functions(tree):
        verbs = {_name(mark.func) for mark in function.decorator_list if isinstance(mark, ast.Call)}
        if not verbs & {"post", "put", "patch", "delete"}:
            continue
        calls = [n.func for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        called = sorted({call.attr for call in calls if _name(call.value) == "usecases"})
        if len(called) > 1:
            yield Breach(path, function.lineno, "one-command", f"{function.name} hands over to {called}")


def blind_except(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """Outside the doors an `except` names what it expects; one that raises on every path only cleans up and is fine."""
    if DOORS.match(path):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_blind(node.type) and not isinstance(node.body[-1], ast.Raise):
            yield Breach(path, node.lineno, "blind-except", "only a door of the engine may catch what it does not know")
        if isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(_is_blind(argument) for argument in node.args):
            yield Breach(path, node.lineno, "blind-except", "suppress(Exception) hides what nobody expected")


def stray_event(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """Every event class lies in shared/contracts and is listed in flow.py."""
    from shared.contracts.flow import EVENT_TYPES  # here, so that planted sources need no tree

    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or path.startswith("tests/"):
            continue
        for statement in node.body:
            named = statement.target if isinstance(statement, ast.AnnAssign) else None
            if _name(named) == "type_name" and isinstance(statement, ast.AnnAssign) and isinstance(statement.value, ast.Constant):
                if not path.startswith("shared/contracts/"):
                    yield Breach(path, node.lineno, "stray-event", f"{node.name} belongs to shared/contracts")
                elif statement.value.value not in EVENT_TYPES:
                    yield Breach(path, node.lineno, "stray-event", f"{node.name} is not in shared/contracts/flow.py")


def strange_room(path: str, source: str, tree: ast.Module) -> Iterator[Breach]:
    """A service has its rooms and nothing beside them; Python lies in no folder of data. `command` is the command line's words."""
    parts = PurePosixPath(path).parts
    if parts[0] != "services" or len(parts) < 3 or parts[1] == "command":
        return
    room = PurePosixPath(parts[2]).stem
    if parts[1] not in SERVICES:
        yield Breach(path, 1, "strange-room", f"{parts[1]} is no service")
    elif room not in ROOMS:
        yield Breach(path, 1, "strange-room", f"{parts[2]} is no room of a service")


RULES: Final[tuple[Rule, ...]] = (
    long_file, long_function, stray_sql, float_near_money, many_use_cases, many_commands, blind_except, stray_event, strange_room,
)  # fmt: skip


# Written in pieces, so that this file does not break its own rule.
_MAKERS: Final = "|".join(("ant" + "hropic", "cla" + "ude", "co" + "pilot", "chat" + "gpt", "l" + "lm", "ai" + "-generated"))
_HOSTS: Final = "|".join(
    ("py" + "pi.org", "python" + "hosted.org", "repo1.mav" + "en.org", "registry-1.dock" + "er.io", "artifact" + "ory")
)
FORBIDDEN: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a path of one machine", re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/(?=\w)")),
    ("a number of an issue", re.compile(r"(?i)\b(?:issue|ticket|pull request)(?:\s+#?|#)\d+\b|(?<![\w&#/])#\d{1,4}(?=[\s.,;)])")),
    ("how it was written", re.compile(rf"(?i)\b(?:{_MAKERS})\b")),
    ("the host of a registry", re.compile(rf"(?i)\b(?:{_HOSTS})\b")),
    ("an address to download from", re.compile(r"--(?:extra-)?index-" + r"url\s+http")),
)
READ: Final = frozenset({".py", ".md", ".toml", ".sql", ".yaml", ".yml", ".txt", ".in", ".html", ".css", ".js", ".properties", ".json", ""})


def forbidden_words(path: str, text: str) -> Iterator[Breach]:
    """The repository speaks of the product alone."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in FORBIDDEN:
            if found := pattern.search(line):
                yield Breach(path, number, "forbidden-words", f"{what} ({found.group()!r})")


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _docstrings(tree: ast.Module) -> set[int]:
    """Identities of the constants that stand alone: docstrings."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}


def _name(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def _is_blind(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_is_blind(part) for part in node.elts)
    return node is None or _name(node) in ("Exception", "BaseException")


def _is_seconds(tree: ast.Module, literal: ast.Constant) -> bool:
    """Whether a float literal is a length of machine time: the value of a name or a keyword that says so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.value is literal:
            return node.arg is not None and bool(re.search(r"seconds|timeout|retry_in|_in$", node.arg))
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is literal:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            return bool(re.search(r"(?i)seconds|timeout|patience|lease|between|every", _name(target) or ""))
    return False


def _money_float(node: ast.AST) -> str | None:
    """The name of money that this node makes a float of."""
    if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
        name = node.arg if isinstance(node, ast.arg) else _name(node.target)
        floats = any(isinstance(n, ast.Name) and n.id == "float" for n in ast.walk(node.annotation))
        return name if name and floats and MONEY_NAME.search(name) else None
    if isinstance(node, ast.Call) and _name(node.func) == "float":
        return next(_money_names(node), None)
    if isinstance(node, ast.BinOp):
        literal = any(isinstance(n, ast.Constant) and isinstance(n.value, float) for n in (node.left, node.right))
        if literal or isinstance(node.op, ast.Div):
            return next(_money_names(node), None)
    return None


def _money_names(node: ast.AST) -> Iterator[str]:
    yield from (name for n in ast.walk(node) if (name := _name(n)) and MONEY_NAME.search(name))
