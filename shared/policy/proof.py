"""The proof that a table has no gap and no overlap, or a case that shows it has.

Called by: publishing (`policy check`, the pages), tests over the shipped tables.
Invariant: exact over the declared domains. Each input is cut into classes that no row tells apart, one value standing for each
class, so a row is a box of classes. Boxes that nowhere meet cover the whole exactly when their sizes add up to it: a sound table is
proved by counting, however many inputs it has, and a gap is found by halving what does not add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from itertools import chain, combinations, pairwise
from math import prod
from typing import Any

from shared.policy.cells import DIGITS_MAX, Between, Cell, Input, Members, OneOf, PolicyError, Row, Value
from shared.policy.table import Table, words_of

EXAMPLES_MAX = 20  # a person mends the first few and looks again
WORK_MAX = 500_000  # boxes looked at in the search for gaps: about two seconds, which only a table of many overlaps comes near
LABELS_MAX = 10  # of one set input, as far as rows mention them: 1,024 classes

Box = tuple[int, ...]  # for each input a bit mask of its classes


@dataclass(frozen=True, slots=True)
class Gap:
    """Inputs that the table allows and no row covers."""

    inputs: Mapping[str, Value]

    def words(self) -> str:
        return f"no row covers {words_of(self.inputs)}"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two rows and inputs that both cover."""

    rows: tuple[str, str]
    inputs: Mapping[str, Value]

    def words(self) -> str:
        return f"rows {self.rows[0]} and {self.rows[1]} both cover {words_of(self.inputs)}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What `check` found. `unreachable` rows lie outside the domain of an input. Lists are cut at 20 examples."""

    table: str
    version: int
    gaps: tuple[Gap, ...]
    overlaps: tuple[Overlap, ...]
    unreachable: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every allowed input has exactly one row, and every row its inputs."""
        return not (self.gaps or self.overlaps or self.unreachable)

    def sentences(self) -> list[str]:
        """One sentence for each finding; empty when the proof holds."""
        found: list[Gap | Overlap] = [*self.overlaps, *self.gaps]
        return [f"row {row} can never apply" for row in self.unreachable] + [item.words() for item in found]


def check(table: Table) -> Proof:
    """Proves the table or finds counter-examples. PolicyError when it is too big to be proven."""
    classes = [_classes(spec, [row.when[name] for row in table.rows if name in row.when]) for name, spec in table.inputs.items()]
    names = list(table.inputs)
    boxes = [_box(row, names, classes) for row in table.rows]

    def example(box: Box) -> dict[str, Value]:
        return {name: values[(mask & -mask).bit_length() - 1] for name, values, mask in zip(names, classes, box, strict=True)}

    sound = [(row, box) for row, box in zip(table.rows, boxes, strict=True) if all(box)]
    overlaps: list[Overlap] = []
    for (row, box), (other, other_box) in combinations(sound, 2):
        if _meet(box, other_box):
            overlaps.append(Overlap((row.id, other.id), example(_common(box, other_box))))
            if len(overlaps) == EXAMPLES_MAX:
                break
    whole = tuple((1 << len(values)) - 1 for values in classes)
    gaps = [Gap(example(box)) for box in _gaps(whole, [box for _, box in sound], is_disjoint=not overlaps)]
    unreachable = tuple(row.id for row, box in zip(table.rows, boxes, strict=True) if not all(box))
    return Proof(table.name, table.version, tuple(gaps), tuple(overlaps), unreachable)


def _box(row: Row, names: list[str], classes: list[list[Value]]) -> Box:
    return tuple(_mask(row.when.get(name), values) for name, values in zip(names, classes, strict=True))


def _mask(cell: Cell | None, values: list[Value]) -> int:
    if cell is None:
        return (1 << len(values)) - 1
    return sum(1 << n for n, value in enumerate(values) if cell.matches(value))


def _gaps(whole: Box, boxes: list[Box], *, is_disjoint: bool) -> list[Box]:
    """Up to 20 boxes that no row touches. A piece that is neither free nor covered is cut in two along the row that covers most of it."""
    found: list[Box] = []
    left, work = [(whole, boxes)], 0
    while left and len(found) < EXAMPLES_MAX:
        piece, near = left.pop()
        near = [_common(piece, box) for box in near if _meet(piece, box)]
        work += len(near)
        if work > WORK_MAX and (found or not is_disjoint):
            break  # there is enough to mend: what is found is real, and the table does not hold in any case
        if work > WORK_MAX:
            raise PolicyError("the table is too tangled to be proven: split it, or give its rows fewer conditions")
        if not near:
            found.append(piece)
            continue
        most = max(near, key=_size)
        if most != piece and not (is_disjoint and sum(map(_size, near)) == _size(piece)):
            n = next(n for n, (mask, kept) in enumerate(zip(piece, most, strict=True)) if mask != kept)
            left += [((*piece[:n], part, *piece[n + 1 :]), near) for part in (most[n], piece[n] & ~most[n])]
    return found


def _meet(box: Box, other: Box) -> bool:
    return all(mask & cut for mask, cut in zip(box, other, strict=True))


def _common(box: Box, other: Box) -> Box:
    return tuple(mask & cut for mask, cut in zip(box, other, strict=True))


def _size(box: Box) -> int:
    return prod(mask.bit_count() for mask in box)


def _classes(spec: Input, cells: list[Cell]) -> list[Value]:
    """One value for each class of values that no cell tells apart (some classes may have two)."""
    if spec.type == "enum":
        values: list[Value] = list(spec.values)
    elif spec.type == "bool":
        values = [True, False]
    elif spec.type == "set":
        values = _subsets(spec, cells)
    else:
        values = _ordered(spec, _bounds(cells))
    return [*values, None] if spec.may_be_unknown else values


def _subsets(spec: Input, cells: list[Cell]) -> list[Value]:
    told = sorted({label for cell in cells if isinstance(cell, Members) for label in cell.has | cell.lacks})
    if len(told) > LABELS_MAX:
        raise PolicyError(f"input {spec.name}: rows ask for {len(told)} different labels, a proof takes {LABELS_MAX}")
    return [frozenset(chosen) for size in range(len(told) + 1) for chosen in combinations(told, size)]


def _bounds(cells: list[Cell]) -> set[Any]:
    found: set[Any] = set()
    for cell in cells:
        if isinstance(cell, Between):
            found |= {cell.low, cell.high}
        elif isinstance(cell, OneOf):
            found |= cell.values
    return found - {None}


def _ordered(spec: Input, bounds: set[Any]) -> list[Value]:
    ends = {end for end in (spec.low, spec.high) if end is not None}
    cuts = sorted(bounds | ends)
    if spec.type == "decimal":
        with localcontext(prec=6 * DIGITS_MAX):  # exact: a rounded middle could fall on a bound
            between = [(a + b) / 2 for a, b in pairwise(cuts)]
            beyond = [cuts[0] - 1, cuts[-1] + 1] if cuts else [Decimal(0)]
        candidates = chain(cuts, between, beyond)
    else:
        candidates = chain(cuts, *(_neighbours(cut) for cut in cuts), () if cuts else [_anything(spec)])
    return sorted({value for value in candidates if spec.holds(value)})


def _neighbours(cut: Any) -> list[Any]:
    if isinstance(cut, date):
        day = timedelta(days=1)
        return [cut - day] * (cut > date.min) + [cut + day] * (cut < date.max)
    return [cut - 1, cut + 1]


def _anything(spec: Input) -> Any:
    return date(2000, 1, 1) if spec.type == "date" else 0
