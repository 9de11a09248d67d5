"""Reading tables, deciding by them, and what they say of themselves."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest

from shared.policy import BadInput, BadTable, Match, MissingInput, NoRule, Table, TwoRules, check, decide, explain

pytestmark = pytest.mark.unit

GOODWILL = """
name = "goodwill"
version = 3
about = "Who is paid for a third trip"
[inputs]
payer = { type = "enum", values = ["self", "medicare", "tricare"] }
trips = { type = "int", min = 0, max = 50 }
miles = { type = "decimal", min = 0, max = 500, may_be_unknown = true }
[outputs]
action = "text"
limit = "decimal"
[[rows]]
id = "too-few"
when = { trips = { below = 3 } }
then = { action = "nothing", limit = 0 }
[[rows]]
id = "federal"
when = { trips = { from = 3 }, payer = { not = "self" } }
then = { action = "refer", limit = 0 }
why = "Federal payers go to compliance"
[[rows]]
id = "no-distance"
when = { trips = { from = 3 }, payer = "self", miles = "unknown" }
then = { action = "refer", limit = 0 }
[[rows]]
id = "near"
when = { trips = { from = 3 }, payer = "self", miles = { to = 40.5 } }
then = { action = "approve", limit = 50.25 }
[[rows]]
id = "far"
when = { trips = { from = 3 }, payer = "self", miles = { above = 40.5 } }
then = { action = "refer", limit = 150 }
"""


def small(rows: str, inputs: str = 'n = { type = "int", min = 1, max = 4 }') -> Table:
    return Table.load(f'name = "small"\nversion = 1\n[inputs]\n{inputs}\n[outputs]\nok = "bool"\n{rows}')


def row(name: str, when: str) -> str:
    return f'[[rows]]\nid = "{name}"\nwhen = {when}\nthen = {{ ok = true }}\n'


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"payer": "self", "trips": 2, "miles": None}, "too-few"),
        ({"payer": "medicare", "trips": 3, "miles": Decimal(9)}, "federal"),
        ({"payer": "self", "trips": 3, "miles": None}, "no-distance"),
        ({"payer": "self", "trips": 3, "miles": Decimal("40.5")}, "near"),
        ({"payer": "self", "trips": 50, "miles": Decimal("40.50001")}, "far"),
        ({"payer": "self", "trips": 3, "miles": 0}, "near"),
    ],
)
def test_the_one_row_that_applies_decides(inputs: Mapping[str, object], expected: str) -> None:
    answer = decide(Table.load(GOODWILL), inputs)
    assert isinstance(answer, Match)
    assert (answer.table, answer.version, answer.row) == ("goodwill", 3, expected)


def test_numbers_are_decimals_and_never_binary_fractions() -> None:
    table = Table.load(GOODWILL)
    answer = table.decide({"payer": "self", "trips": 3, "miles": "8.2"})
    assert isinstance(answer, Match)
    assert answer.outputs["limit"] == Decimal("50.25")
    assert isinstance(answer.outputs["limit"], Decimal)
    with pytest.raises(BadInput, match="binary fractions"):
        table.decide({"payer": "self", "trips": 3, "miles": 8.2})


def test_a_decision_is_recorded_as_plain_json_that_can_be_tried_again() -> None:
    table = Table.load(GOODWILL)
    answer = table.decide({"payer": "self", "trips": 3, "miles": Decimal("8.20"), "not_asked_for": object()})
    kept = json.loads(json.dumps(answer.record()))
    assert kept == {"table": "goodwill", "version": 3, "row": "near", "inputs": {"payer": "self", "trips": 3, "miles": "8.20"}}
    assert table.decide(kept["inputs"]) == answer


def test_two_rows_that_apply_are_an_error_that_names_both() -> None:
    table = small(row("low", "{ n = { to = 2 } }") + row("high", "{ n = { from = 2 } }"))
    with pytest.raises(TwoRules, match=r"table small version 1: rows low and high both apply to n = 2; exactly one may") as caught:
        table.decide({"n": 2})
    assert caught.value.rows == ("low", "high")


def test_no_row_is_an_explicit_answer_for_a_human() -> None:
    answer = small(row("low", "{ n = 1 }")).decide({"n": 3})
    assert isinstance(answer, NoRule)
    assert answer.words() == "no rule of table small version 1 covers n = 3: a person decides"
    assert answer.record() == {"table": "small", "version": 1, "row": None, "inputs": {"n": 3}}


def test_a_missing_input_is_an_error_even_where_no_row_asks_for_it() -> None:
    table = small(row("low", "{ n = [1, 2, 3, 4] }"), 'n = { type = "int" }\nlate = { type = "bool" }')
    with pytest.raises(MissingInput, match="table small needs the input late"):
        table.decide({"n": 1})


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ('{ type = "int", min = 1, max = 4 }', 5),
        ('{ type = "int", min = 1, max = 4 }', 0),
        ('{ type = "int" }', True),
        ('{ type = "int" }', Decimal(1)),
        ('{ type = "int" }', "1"),
        ('{ type = "int" }', None),
        ('{ type = "enum", values = ["a"] }', "b"),
        ('{ type = "enum", values = ["a"] }', 1),
        ('{ type = "bool" }', 1),
        ('{ type = "bool" }', "true"),
        ('{ type = "decimal" }', Decimal("NaN")),
        ('{ type = "decimal" }', "Infinity"),
        ('{ type = "decimal" }', "1e999999"),
        ('{ type = "decimal" }', "nine"),
        ('{ type = "decimal" }', False),
        ('{ type = "decimal", max = 1 }', "1.0000001"),
        ('{ type = "date" }', "tomorrow"),
        ('{ type = "date", min = 2026-01-01 }', date(2025, 12, 31)),
        ('{ type = "set", values = ["a"] }', ["a", "b"]),
        ('{ type = "set", values = ["a"] }', "a"),
        ('{ type = "set", values = ["a"] }', [["a"]]),
    ],
)
def test_a_value_outside_its_input_is_refused_by_name(spec: str, value: object) -> None:
    table = small(row("any", "{}"), f"n = {spec}")
    with pytest.raises(BadInput, match="input n: ") as caught:
        table.decide({"n": value})
    assert caught.value.name == "n"


@pytest.mark.parametrize(
    ("spec", "when", "inside", "outside"),
    [
        ('{ type = "int" }', "{ from = 3, to = 5 }", [3, 4, 5], [2, 6]),
        ('{ type = "int" }', "{ above = 3, below = 5 }", [4], [3, 5]),
        ('{ type = "int" }', "[1, 9]", [1, 9], [2]),
        ('{ type = "int", may_be_unknown = true }', '[1, "unknown"]', [1, None], [2]),
        ('{ type = "int", may_be_unknown = true }', '{ not = "unknown" }', [0, 1], [None]),
        ('{ type = "int", may_be_unknown = true }', "{ not = 1 }", [2], [1, None]),
        ('{ type = "int", may_be_unknown = true }', "{ from = -100 }", [2], [None]),
        ('{ type = "decimal" }', "{ above = 0.5 }", ["0.51"], ["0.5"]),
        ('{ type = "decimal" }', "2", [2, "2.0"], ["2.01"]),
        ('{ type = "bool" }', "false", [False], [True]),
        ('{ type = "enum", values = ["a", "b", "c"] }', '{ not = ["a", "b"] }', ["c"], ["a", "b"]),
        ('{ type = "date" }', "{ from = 2026-01-01, below = 2027-01-01 }", ["2026-12-31", date(2026, 1, 1)], ["2027-01-01"]),
        ('{ type = "set", values = ["a", "b"] }', '{ has = "a", lacks = "b" }', [["a"]], [[], ["a", "b"], ["b"]]),
        ('{ type = "set", values = ["a", "b"] }', '{ has = ["a", "b"] }', [["a", "b"]], [["a"], {"b"}]),
    ],
)
def test_conditions(spec: str, when: str, inside: list[object], outside: list[object]) -> None:
    table = small(row("it", f"{{ n = {when} }}"), f"n = {spec}")
    assert all(isinstance(table.decide({"n": value}), Match) for value in inside)
    assert all(isinstance(table.decide({"n": value}), NoRule) for value in outside)


def test_all_mistakes_of_a_table_are_said_at_once() -> None:
    with pytest.raises(BadTable) as caught:
        Table.load("""
            name = "Bad Name"
            version = 0
            hit_policy = "FIRST"
            colour = "red"
            [inputs]
            n = { type = "int", min = 5, max = 1 }
            m = { type = "int", step = 2 }
            payer = { type = "enum", values = ["a", "unknown"], may_be_unknown = true }
            k = { type = "int", min = 1 }
            [outputs]
            ok = "bool"
            [[rows]]
            id = "one"
            when = { k = { from = 3, below = 3 }, other = 1 }
            then = { ok = 1, more = 2 }
            [[rows]]
            id = "one"
            when = { k = 0 }
            then = {}
            [[rows]]
            when = { k = { from = 1, above = 2 } }
            then = { ok = true }
        """)
    said = "\n".join(caught.value.problems)
    for mistake in (
        "needs a name",
        "needs a version",
        "must be UNIQUE",
        "the table has 'colour'",
        "input n: its min is above its max",
        "input m: it has 'step'",
        "input payer: 'unknown' is one of its values already",
        "row one, input k: no value is from 3 below 3",
        "row one: other is no input",
        "row one: ok = 1 is not of type bool",
        "row one: more is no output",
        "two rows are called one",
        "row one, input k: 0 is outside 1 and up",
        "row one gives no ok",
        "row number 3 needs an id",
        "row number-3, input k: one bound on each side",
    ):
        assert mistake in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name = ",
        "name = 1",
        'name = "x"\nversion = true',
        'inputs = 3\nrows = 4\noutputs = "x"',
        "rows = [1, 2]",
        "[outputs]\nok = {}",
        "[inputs]\nn = 1",
    ],
)
def test_whatever_the_text_the_error_is_a_bad_table(text: str) -> None:
    with pytest.raises(BadTable):
        Table.load(text)


def test_absurd_numbers_and_depths_are_a_bad_table_too() -> None:
    for absurd in ("[" * 20_000, "9" * 5000, "1e" + "9" * 30):
        with pytest.raises(BadTable):
            Table.load(f"{GOODWILL}\nmore = {absurd}")


@pytest.mark.parametrize("number", ["inf", "nan", "1e999999999", '"150"', "true"])
def test_a_decimal_output_is_a_finite_number_of_human_size(number: str) -> None:
    text = GOODWILL.replace("limit = 150 ", f"limit = {number} ")
    with pytest.raises(BadTable, match=r"row far: limit = .* is not of type decimal"):
        Table.load(text)


def test_the_explanation_says_for_every_row_why() -> None:
    said = explain(Table.load(GOODWILL), {"payer": "medicare", "trips": 3, "miles": Decimal(9)})
    assert said.applied == ("federal",)
    assert said.text().splitlines() == [
        "goodwill version 3, for payer = medicare, trips = 3, miles = 9:",
        "  too-few does not apply: trips is 3, the row asks that it is below 3",
        "  federal applies: trips is from 3 (3); payer is not self (medicare)",
        "  no-distance does not apply: payer is medicare, the row asks that it is self; miles is 9, the row asks that it is unknown",
        "  near does not apply: payer is medicare, the row asks that it is self",
        "  far does not apply: payer is medicare, the row asks that it is self; miles is 9, the row asks that it is above 40.5",
    ]
    assert said.rows[1].why == "Federal payers go to compliance"


def test_the_explanation_shows_two_rows_and_none() -> None:
    table = small(row("low", "{ n = { to = 2 } }") + row("two", "{ n = 2 }"))
    assert "rows low and two both apply" in explain(table, {"n": 2}).text()
    assert explain(table, {"n": 4}).text().endswith("no row applies: a person decides")


def test_a_sound_table_is_proven() -> None:
    proof = check(Table.load(GOODWILL))
    assert proof.holds
    assert proof.sentences() == []
