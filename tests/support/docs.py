"""Generated pages of docs/: a test renders each and holds it against the file; `make docs` writes them instead."""

import os
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def hold(name: str, text: str) -> None:
    """Fails when docs/`name` differs from `text`; with UPDATE_DOCS=1 in the environment writes it."""
    page = DOCS / name
    if os.environ.get("UPDATE_DOCS") == "1":
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
        return
    assert page.exists(), f"docs/{name} is missing: run `make docs`"
    assert page.read_text(encoding="utf-8") == text, f"docs/{name} is out of date: run `make docs`"
