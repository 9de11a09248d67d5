"""What the command says on a terminal."""

import pytest

from services.command.door import printable

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("AM-7F3K-9X → zoë\nnext", "AM-7F3K-9X → zoë\nnext"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("over\rwritten\x9b2J", "over\\x0dwritten\\x9b2J"),
        ("\u202eturned \udcff", "\\u202eturned \\udcff"),
    ],
)
def test_nothing_that_steers_a_terminal_gets_there(text: str, shown: str) -> None:
    """Goal: whoever writes to a topic writes nothing on the screen of whoever looks at the park."""
    assert printable(text) == shown
