"""The rules of the house hold in the whole tree, and each of them bites."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.contract import house

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
LONG = "def far():\n" + "    pass\n" * 70


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__.replace("_", "-"))
def test_no_file_breaks_the_rule(rule: house.Rule) -> None:
    """Goal: one failing name per rule, with every place. Method: the rule over every Python file."""
    found = [breach for path, source in house.tree_of(ROOT) for breach in house.breaches(path, source, [rule])]
    assert not found, "\n" + "\n".join(map(str, found))


def test_services_have_no_folder_beside_their_rooms() -> None:
    strange = [
        f"{folder.relative_to(ROOT)}: strange-room"
        for name in house.SERVICES
        for folder in sorted((ROOT / "services" / name).iterdir() if (ROOT / "services" / name).is_dir() else ())
        if folder.is_dir() and folder.name not in house.ROOMS | house.DATA_FOLDERS | {"__pycache__"} and any(folder.rglob("*.*"))
    ]
    assert not strange, "\n" + "\n".join(strange)


def test_no_tracked_file_speaks_of_anything_but_the_product() -> None:
    """Method: every text that git tracks, and what is about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("this is no clone: git cannot say what belongs to the repository")
    files = [ROOT / name for name in listed.stdout.splitlines()]
    found = [
        breach
        for file in files
        if file.suffix in house.READ and file.is_file()
        for breach in house.forbidden_words(file.relative_to(ROOT).as_posix(), file.read_text("utf-8", "replace"))
    ]
    assert not found, "\n" + "\n".join(map(str, found))


PLANTED = [
    ("long-file", "shared/kernel/long.py", "x = 1\n" * 401, 401),
    ("long-function", "shared/kernel/long.py", LONG, 1),
    ("stray-sql", "services/intake/usecases/sly.py", 'SQL = """\n-- Why.\nselect a\nfrom b\n"""\n', 1),
    ("stray-sql", "services/intake/api/sly.py", "async def f(c):\n    await c.execute('update cases set level = 1')\n", 2),
    ("stray-sql", "shared/web/auth.py", "Q = f'delete from sessions where id = {1}'\n", 1),
    ("float-near-money", "services/restitution/domain/gas.py", "RATE = 0.725\n", 1),
    ("float-near-money", "services/restitution/domain/gas.py", "def f(x):\n    return float(x)\n", 2),
    ("float-near-money", "services/console/domain/show.py", "def f(amount_minor):\n    return amount_minor / 100\n", 2),
    ("float-near-money", "shared/contracts/x.py", "class A:\n    distance_miles: float | None = None\n", 2),
    ("float-near-money", "services/intake/domain/x.py", "def f(row):\n    return float(row.amount_minor)\n", 2),
    ("one-use-case", "services/intake/handlers.py", "async def on_x(b):\n    await usecases.a(b)\n    await usecases.c(b)\n", 1),
    ("one-use-case", "services/intake/timers.py", "async def when_x_is_due(tx, due):\n    pass\n", 1),
    ("one-command", "services/intake/api/x.py", "@post('/x')\nasync def f(tx):\n    await usecases.a(tx)\n    await usecases.b(tx)\n", 2),
    ("blind-except", "services/intake/usecases/x.py", "try:\n    f()\nexcept Exception:\n    g()\n", 3),
    ("blind-except", "services/intake/gateway.py", "try:\n    f()\nexcept (ValueError, BaseException):\n    pass\n", 3),
    ("blind-except", "shared/kernel/x.py", "try:\n    f()\nexcept:\n    pass\n", 3),
    ("blind-except", "shared/embedded/x.py", "with contextlib.suppress(Exception):\n    f()\n", 1),
    ("stray-event", "services/intake/domain/x.py", "class Odd(Event):\n    type_name: ClassVar[str] = 'amends.odd.happened'\n", 1),
    ("stray-event", "shared/contracts/odd.py", "class Odd(Event):\n    type_name: ClassVar[str] = 'amends.odd.happened'\n", 1),
    ("strange-room", "services/intake/utils.py", "x = 1\n", 1),
    ("strange-room", "services/intake/helpers/deep.py", "x = 1\n", 1),
    ("strange-room", "services/billing/domain.py", "x = 1\n", 1),
]


@pytest.mark.parametrize(("rule", "path", "source", "line"), PLANTED)
def test_a_planted_breach_is_found_with_its_line(rule: str, path: str, source: str, line: int) -> None:
    assert [(b.rule, b.path, b.line) for b in house.breaches(path, source)] == [(rule, path, line)]


FINE = [
    ("shared/kernel/fine.py", "x = 1\n" * 400),
    ("services/intake/store.py", "Q = 'select a from b'\n"),
    ("services/intake/usecases/fine.py", '"""Select the newest from those heard."""\nWORD = "selected from a list"\n'),
    ("services/restitution/gateway.py", "async def f(call):\n    await call(timeout_seconds=5.0)\n"),
    ("services/console/domain/fine.py", "def span(seconds: float) -> str:\n    return str(seconds / 60)\n"),
    ("services/intake/usecases/fine.py", "try:\n    f()\nexcept Exception:\n    undo()\n    raise\n"),
    ("services/intake/api/fine.py", "@get('/x')\nasync def f(c):\n    return await usecases.a(c), await usecases.b(c)\n"),
    ("shared/messaging/consumer.py", "try:\n    f()\nexcept Exception:\n    park()\n"),
    ("services/intake/handlers.py", "async def on_x(b):\n    await take(b, partial(usecases.take_x, desk))\n"),
    ("services/intake/domain/prices.py", "x = 1\n"),
]


@pytest.mark.parametrize(("path", "source"), FINE)
def test_what_is_fine_is_not_reported(path: str, source: str) -> None:
    assert house.breaches(path, source) == []


@pytest.mark.parametrize(
    "text",
    [
        "see /wo" + "rk/shared for more",
        "as agreed in iss" + "ue 12",
        "fixed (#" + "123).",
        "from https://py" + "pi.org/simple",
        "written with Cla" + "ude",
    ],
)
def test_a_planted_word_is_found(text: str) -> None:
    assert [(breach.rule, breach.line) for breach in house.forbidden_words("docs/X.md", "fine\n" + text)] == [("forbidden-words", 2)]


@pytest.mark.parametrize("text", ["the network path /v1/work", "color: #123456;", "&#39;", "a session of 15 minutes", "order 12 is late"])
def test_words_of_the_product_are_fine(text: str) -> None:
    assert list(house.forbidden_words("docs/X.md", text)) == []


def test_every_rule_has_a_planted_breach() -> None:
    """Goal: no rule without a proof that it can fail."""
    tried = {rule.__name__ for rule in house.RULES for _, path, source, _ in PLANTED if any(rule(path, source, ast.parse(source)))}
    assert tried == {rule.__name__ for rule in house.RULES}
