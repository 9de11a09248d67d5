"""Migrations in two steps: what may be applied while the version before still runs, and what waits until it is gone."""

from pathlib import Path

import pytest

from shared.db import Migration, migrations_in, steps_left

pytestmark = pytest.mark.unit

FILES = ("a/0001_first.sql", "a/0002_gone.post.sql", "a/0003_more.sql", "a/0004_gone.post.sql", "b/0001_last.post.sql")
ALL = [Migration(name, "") for name in FILES]


@pytest.mark.parametrize(
    ("applied", "step", "left"),
    [
        ((), None, FILES),
        ((), "post", FILES),
        # The second is of an earlier version than the third: what waited for it to go has waited long enough.
        ((), "pre", FILES[:3]),
        (FILES[:3], "pre", ()),
        (FILES[:3], "post", FILES[3:]),
        (FILES[:1], "pre", FILES[1:3]),
        (FILES, None, ()),
    ],
)
def test_the_steps(applied: tuple[str, ...], step: str | None, left: tuple[str, ...]) -> None:
    assert tuple(m.name for m in steps_left(ALL, applied, step)) == left  # type: ignore[arg-type]


def test_names_tell_the_step_and_a_strange_one_is_refused(tmp_path: Path) -> None:
    for name in ("0001_first.sql", "0002_old_column.post.sql"):
        (tmp_path / name).write_text("select 1")
    assert [m.is_post for m in migrations_in(tmp_path, "a")] == [False, True]
    (tmp_path / "0003_odd.later.sql").write_text("select 1")
    with pytest.raises(ValueError, match="0003_odd"):
        migrations_in(tmp_path, "a")
