"""Who may import whom: the contracts hold in the tree, and each of them bites on a planted import.

Method of the planted ones: a skeleton of empty modules with every room and layer that the contracts name, one import planted in it.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).parent / "lint-imports"
SERVICES = ("directory", "intake", "escalation", "restitution", "notification", "console")
ROOMS = ("domain", "store", "gateway", "usecases", "handlers", "api", "timers", "__main__")


def _config() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    return found


LAYERS = [
    layer.strip()
    for contract in _config()["contracts"]
    if contract["id"] == "shared-layers"
    for row in contract["layers"]
    for layer in re.sub(r"[()]", "", row).split("|")
]


def test_the_contracts_hold() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """Empty modules for every room and every layer, under the contracts of the repository."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(text[text.index("[tool.importlinter]") :], "utf-8")
    files = [f"services/{name}/{room}.py" for name in SERVICES for room in (*ROOMS, "__init__")]
    files += [f"shared/{layer}/__init__.py" for layer in LAYERS] + ["shared/__init__.py"]
    files += [f"services/{file}.py" for file in ("__init__", "__main__", "command/__init__")]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


PLANTED = [
    ("Services never import one another", "services/intake/usecases.py", "from services.escalation import domain"),
    ("The command stands above the services, and only its door calls it", "services/intake/api.py", "import services.command"),
    ("The command stands above the services, and only its door calls it", "services/command/serve.py", "import services.__main__"),
    ("The command stands above the services, and only its door calls it", "services/helpers.py", "x = 1"),
    ("shared never imports services", "shared/runtime/__init__.py", "import services.intake.api"),
    ("Every service has the same rooms, in the same order", "services/intake/domain.py", "from services.intake import store"),
    ("Every service has the same rooms, in the same order", "services/intake/usecases.py", "from services.intake import api"),
    ("Every service has the same rooms, in the same order", "services/intake/utils.py", "x = 1"),
    ("shared is layered", "shared/kernel/__init__.py", "import shared.contracts"),
    ("shared is layered", "shared/messaging/__init__.py", "import shared.timers"),
    ("shared is layered", "shared/common/__init__.py", "x = 1"),
    ("Domain rules do no I/O", "services/escalation/domain.py", "import asyncpg"),
    ("Domain rules do no I/O", "shared/calendars/__init__.py", "import time"),
    ("Kafka is touched only by handlers and shared.messaging", "services/intake/usecases.py", "import faststream"),
    ("HTTP is spoken only by api", "services/intake/usecases.py", "import litestar"),
    ("HTTP is spoken only by api", "services/intake/store.py", "import shared.web"),
    ("Settings are read once, at the door", "services/intake/usecases.py", "import shared.settings"),
]


def test_the_skeleton_breaks_nothing(skeleton: Path) -> None:
    done = _lint(skeleton)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("contract", "path", "line"), PLANTED)
def test_a_planted_import_is_caught(skeleton: Path, contract: str, path: str, line: str) -> None:
    (skeleton / path).parent.mkdir(parents=True, exist_ok=True)
    (skeleton / path).write_text(line + "\n", "utf-8")
    done = _lint(skeleton)
    assert done.returncode == 1 and f"{contract} BROKEN" in done.stdout, done.stdout


def test_a_cycle_is_caught(skeleton: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (skeleton / "shared" / "vault" / f"{one}.py").write_text(f"import shared.vault.{other}\n", "utf-8")
    assert "No cycles BROKEN" in _lint(skeleton).stdout


def test_every_contract_has_a_planted_import() -> None:
    assert {contract for contract, _, _ in PLANTED} | {"No cycles"} == {contract["name"] for contract in _config()["contracts"]}


def _lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, env={"COLUMNS": "200", "NO_COLOR": "1"}
    )
