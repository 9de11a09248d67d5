"""What the written pages name exists: files, functions, classes, topics, commands and links."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.contracts.flow import BY_NAME

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"`([^`\n]+)`")
PLACE = re.compile(r"(?:services|shared|deploy|tests|docs|requirements)(?:/[\w.-]+)+/?")
NAMED = re.compile(r"((?:services|shared|tests)/[\w/.]+\.py):([A-Za-z_][\w.]*)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_docs_name_files_that_exist() -> None:
    wrong = [f"{_short(page)}: {word}" for page in PAGES for word in _code(page) for word in missing_places(word)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_docs_name_functions_that_exist() -> None:
    """Method: each `path:name` is looked up among the definitions of that file."""
    wrong = [f"{_short(page)}: {word}" for page in PAGES for word in _code(page) if not is_defined(word)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_docs_name_topics_that_exist() -> None:
    wrong = [
        f"{_short(page)}: {word}"
        for page in PAGES
        for word in _code(page)
        if re.fullmatch(r"amends\.\w+\.v\d+", word) and word not in BY_NAME
    ]
    assert not wrong


def test_docs_link_to_pages_that_exist() -> None:
    wrong = [
        f"{_short(page)}: {target}"
        for page in PAGES
        for target in LINK.findall(page.read_text("utf-8"))
        if not target.startswith(("http://", "https://", "mailto:")) and not (page.parent / target).exists()
    ]
    assert not wrong


def test_docs_name_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = [
        f"{_short(page)}: make {name}"
        for page in PAGES
        for name in re.findall(r"(?:^|`)make ([a-z0-9]+)", page.read_text("utf-8"), re.MULTILINE)
        if name not in targets
    ]
    assert not wrong


def test_docs_of_the_glossary_name_classes_that_exist() -> None:
    rows = [line for line in (ROOT / "docs" / "GLOSSARY.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    wrong = [word for line in rows[1:] for word in CODE.findall(line.split("|")[3]) if word not in _classes()]
    assert not wrong


def test_docs_of_the_walk_pass_every_room() -> None:
    """Goal: the walk stays a walk through all services and all their doors, not a list of files."""
    walked = {name for word in _code(ROOT / "docs" / "ARCHITECTURE.md") for name in re.findall(r"^services/(\w+)/(\w+)", word)}
    for service in ("intake", "escalation", "restitution", "notification"):
        assert {(service, room) for room in ("usecases", "domain", "store")} <= walked
    assert {("intake", "api"), ("escalation", "handlers"), ("notification", "timers"), ("notification", "gateway")} <= walked


def test_a_wrong_name_is_found() -> None:
    assert missing_places("shared/kernel/nowhere.py") == ["shared/kernel/nowhere.py"]
    assert missing_places("shared/kernel/ids.py") == []
    assert not is_defined("shared/kernel/ids.py:no_such_function")
    assert not is_defined("shared/messaging/consumer.py:Engine.no_such_method")
    assert is_defined("shared/messaging/consumer.py:Engine.take")


def missing_places(word: str) -> list[str]:
    """The paths in a piece of code that lead nowhere."""
    return [place for place in PLACE.findall(word) if not (ROOT / place).exists()]


def is_defined(word: str) -> bool:
    """Whether a piece of code of the form `path:name` names something defined there; other pieces are fine."""
    return all((ROOT / path).exists() and name in _names(path) for path, name in NAMED.findall(word))


@cache
def _names(path: str) -> frozenset[str]:
    return frozenset(_defined(ast.parse((ROOT / path).read_text("utf-8")), ""))


def _defined(node: ast.AST, within: str) -> Iterator[str]:
    """Functions, classes, methods as `Class.method`, and functions inside functions by their own name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield child.name
            yield from _defined(child, f"{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + child.name
            yield from _defined(child, "")
        elif isinstance(child, ast.Assign | ast.AnnAssign) and not within:
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        else:
            yield from _defined(child, within)


@cache
def _classes() -> frozenset[str]:
    files = [file for top in ("services", "shared") for file in (ROOT / top).rglob("*.py")]
    return frozenset(name for file in files for name in _names(file.relative_to(ROOT).as_posix()) if name[0].isupper())


def _code(page: Path) -> list[str]:
    return CODE.findall(page.read_text("utf-8")) if page.exists() else []


def _short(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()
