"""The proof of no gap and no overlap: counter-examples that are real, agreement with brute force, and tables as big as they get."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.policy import Match, NoRule, PolicyError, Table, TwoRules, check

pytestmark = pytest.mark.unit


def table(inputs: str, *whens: str) -> Table:
    rows = "".join(f'[[rows]]\nid = "r{n}"\nwhen = {when}\nthen = {{ ok = true }}\n' for n, when in enumerate(whens))
    return Table.load(f'name = "t"\nversion = 1\n[inputs]\n{inputs}\n[outputs]\nok = "bool"\n{rows}')


def test_a_gap_is_shown_by_a_case_that_no_row_covers() -> None:
    found = table('miles = { type = "decimal", min = 0, max = 100 }', "{ miles = { below = 10 } }", "{ miles = { above = 10 } }")
    proof = check(found)
    assert [dict(gap.inputs) for gap in proof.gaps] == [{"miles": Decimal(10)}]
    assert proof.sentences() == ["no row covers miles = 10"]
    assert isinstance(found.decide(proof.gaps[0].inputs), NoRule)


def test_a_gap_between_two_decimals_is_found() -> None:
    found = table('miles = { type = "decimal", min = 0, max = 100 }', "{ miles = { to = 10 } }", "{ miles = { from = 10.01 } }")
    (gap,) = check(found).gaps
    assert Decimal(10) < gap.inputs["miles"] < Decimal("10.01")  # type: ignore[operator]


def test_between_two_whole_numbers_there_is_no_gap() -> None:
    assert check(table('n = { type = "int", min = 0, max = 100 }', "{ n = { to = 10 } }", "{ n = { from = 11 } }")).holds


def test_a_gap_at_the_unbounded_end_is_found() -> None:
    (gap,) = check(table('n = { type = "int" }', "{ n = { from = 3 } }")).gaps
    assert gap.inputs == {"n": 2}


def test_an_unknown_value_that_no_row_covers_is_a_gap() -> None:
    proof = check(table('n = { type = "int", min = 0, may_be_unknown = true }', "{ n = { from = 0 } }"))
    assert proof.sentences() == ["no row covers n = unknown"]


def test_an_overlap_names_both_rows_and_a_case() -> None:
    found = table(
        'n = { type = "int", min = 1, max = 9 }\nlate = { type = "bool" }',
        "{ n = { to = 5 } }",
        "{ n = { from = 6 } }",
        "{ n = 7, late = true }",
    )
    proof = check(found)
    assert proof.sentences() == ["rows r1 and r2 both cover n = 7, late = yes"]
    with pytest.raises(TwoRules):
        found.decide(proof.overlaps[0].inputs)


def test_a_row_outside_the_domain_is_named() -> None:
    proof = check(table('n = { type = "int", min = 1, max = 9 }', "{}", "{ n = { above = 9 } }"))
    assert proof.sentences() == ["row r1 can never apply"]
    assert not proof.holds


def test_dates_have_no_gap_between_days() -> None:
    sound = table('on = { type = "date", min = 2022-01-01 }', "{ on = { below = 2022-07-01 } }", "{ on = { from = 2022-07-01 } }")
    assert check(sound).holds
    (gap,) = check(table('on = { type = "date", min = 2022-01-01 }', "{ on = { to = 2022-06-29 } }", "{ on = { from = 2022-07-01 } }")).gaps
    assert gap.inputs == {"on": date(2022, 6, 30)}


def test_a_table_too_big_to_be_proven_says_so() -> None:
    labels = ", ".join(f'"l{n}"' for n in range(12))
    with pytest.raises(PolicyError, match="12 different labels"):
        check(table(f's = {{ type = "set", values = [{labels}] }}', f"{{ s = {{ has = [{labels}] }} }}"))


# The property: over small domains, every single input is tried by deciding, and the proof must tell the same.
_N = [*range(5), None]
_D = [Decimal(n) / 4 for n in range(9)]
_E = ["a", "b", "c"]
_S: list[list[str]] = [[], ["x"], ["y"], ["x", "y"]]
_ON = [date(2026, 1, 1) + timedelta(days=n) for n in range(4)]
_INPUTS = """
n = { type = "int", min = 0, max = 4, may_be_unknown = true }
d = { type = "decimal", min = 0, max = 2 }
e = { type = "enum", values = ["a", "b", "c"] }
s = { type = "set", values = ["x", "y"] }
b = { type = "bool" }
on = { type = "date", min = 2026-01-01, max = 2026-01-04 }
"""


def _between(low: str, low_key: str, high: str, high_key: str) -> str:
    return f"{{ {low_key} = {low}, {high_key} = {high} }}"


def _bounds(values: list[str]) -> st.SearchStrategy[str]:
    pairs = [(low, high) for n, low in enumerate(values) for high in values[n + 1 :]]
    both = [_between(low, a, high, b) for (low, high), a, b in product(pairs, ("from", "above"), ("to", "below"))]
    return st.sampled_from(both + [f"{{ {key} = {value} }}" for key, value in product(("from", "above", "to", "below"), values)])


_halves = [str(Decimal(n) / 2) for n in range(5)]
_cells: dict[str, st.SearchStrategy[str]] = {
    "n": _bounds(["0", "1", "2", "3", "4"]) | st.sampled_from(["2", '"unknown"', '[0, "unknown"]', '{ not = "unknown" }', "{ not = 3 }"]),
    "d": _bounds(_halves) | st.sampled_from(_halves),
    "e": st.sampled_from(['"a"', '["a", "b"]', '{ not = "a" }', '{ not = ["a", "c"] }']),
    "s": st.sampled_from(['{ has = "x" }', '{ lacks = "x" }', '{ has = "y", lacks = "x" }', '{ has = ["x", "y"] }']),
    "b": st.sampled_from(["true", "false"]),
    "on": _bounds([f"2026-01-0{n}" for n in (1, 2, 3, 4)]) | st.just("2026-01-02"),
}


def _cells_of(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.tuples(*(_cells[name].map(f"{name} = {{}}".format) for name in names))


_row = st.lists(st.sampled_from(sorted(_cells)), max_size=3, unique=True).flatmap(_cells_of)
_ALL: list[dict[str, Any]] = [
    dict(zip(("n", "d", "e", "s", "b", "on"), combo, strict=True)) for combo in product(_N, _D, _E, _S, (True, False), _ON)
]


@settings(max_examples=60, deadline=None)
@given(st.lists(_row, min_size=1, max_size=5))
def test_the_proof_agrees_with_trying_every_input(rows: list[tuple[str, ...]]) -> None:
    found = table(_INPUTS, *("{ " + ", ".join(cells) + " }" for cells in rows))
    read = [found.read_inputs(inputs) for inputs in _ALL]
    hits = [[row.id for row in found.rows if row.matches(inputs)] for inputs in read]
    proof = check(found)
    assert bool(proof.gaps) == any(not ids for ids in hits)
    pairs = {(a, b) for ids in hits for n, a in enumerate(ids) for b in ids[n + 1 :]}
    assert {overlap.rows for overlap in proof.overlaps} == pairs
    assert set(proof.unreachable) == {row.id for row in found.rows} - {row_id for ids in hits for row_id in ids}
    for gap in proof.gaps:
        assert isinstance(found.decide(gap.inputs), NoRule)
    for overlap in proof.overlaps:
        assert all(row.matches(overlap.inputs) for row in found.rows if row.id in overlap.rows)
    for inputs, ids in zip(read[:40], hits[:40], strict=True):
        if len(ids) == 1:
            answer = found.decide(inputs)
            assert isinstance(answer, Match) and answer.row == ids[0]


# Tables of the shape of the SLA plans: the whole space of six inputs is cut in two again and again, so that the pieces are a sound table.
Piece = dict[str, tuple[Any, ...]]
_SIX: Piece = {
    "kind": tuple(f"k{n}" for n in range(9)),
    "severity": (1, 2, 3),
    "catalyst": tuple(f"c{n}" for n in range(14)),
    "channel": tuple(f"h{n}" for n in range(5)),
    "payer": ("commercial", "self", "federal", "unknown"),
    "repeats": tuple(range(1, 1001)),
}


def _cut_up(seed: int, pieces: int) -> list[Piece]:
    chance, found = Random(seed), [_SIX]
    while len(found) < pieces:
        n = chance.choice([n for n, piece in enumerate(found) if any(len(values) > 1 for values in piece.values())])
        name = chance.choice([name for name, values in found[n].items() if len(values) > 1])
        values = found[n][name]
        if isinstance(values[0], str):
            values = tuple(chance.sample(values, len(values)))
        cut = chance.randrange(1, len(values))
        found.append(found[n] | {name: values[cut:]})
        found[n] = found[n] | {name: values[:cut]}
    return found


def _six(pieces: list[Piece]) -> Table:
    inputs = "".join(
        f'{name} = {{ type = "int", min = {values[0]}, max = {values[-1]} }}\n'
        if isinstance(values[0], int)
        else f'{name} = {{ type = "enum", values = {list(values)} }}\n'
        for name, values in _SIX.items()
    )
    whens = []
    for piece in pieces:
        cells = (
            f"{name} = {{ from = {v[0]}, to = {v[-1]} }}" if isinstance(v[0], int) else f"{name} = {list(v)}" for name, v in piece.items()
        )
        whens.append(f"{{ {', '.join(cells)} }}")
    return table(inputs, *whens)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.data())
def test_six_inputs_cut_up_are_sound_and_a_piece_taken_out_or_doubled_is_found(seed: int, count: int, data: st.DataObject) -> None:
    pieces = _cut_up(seed, count)
    assert check(_six(pieces)).holds
    gone = data.draw(st.integers(0, count - 1))
    found = _six([piece for n, piece in enumerate(pieces) if n != gone])
    proof = check(found)
    assert proof.gaps and not proof.overlaps and not proof.unreachable
    for gap in proof.gaps:
        assert isinstance(found.decide(gap.inputs), NoRule)
        assert all(gap.inputs[name] in values for name, values in pieces[gone].items())
    doubled = check(_six([*pieces, pieces[gone]]))
    assert [overlap.rows for overlap in doubled.overlaps] == [(f"r{gone}", f"r{count}")]
    assert not doubled.gaps


def test_the_biggest_table_of_six_inputs_is_proved_and_its_one_gap_found() -> None:
    pieces = _cut_up(7, 1000)
    assert check(_six(pieces)).holds
    found = _six(pieces[:-1])
    for gap in check(found).gaps:
        assert isinstance(found.decide(gap.inputs), NoRule)
    assert check(found).gaps
