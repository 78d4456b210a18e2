"""What all tests share: where things are, the whole program, and the two markers that may skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Egressd = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "pcaps"

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for pcaps.generator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer what `make accept` asks for."""
    parser.addoption("--accept", action="store_true", help="write expected outputs anew")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program or captures are not here; fail it under EGRESSD_TEST_ALL=1."""
    lacking = [
        f"no {name} on this machine"
        for marker in item.iter_markers("program")
        for name in marker.args
        if shutil.which(name) is None
    ]
    if lacking and os.environ.get("EGRESSD_TEST_ALL") == "1":
        pytest.fail(lacking[0])
    if item.get_closest_marker("shared") and not SHARED.is_dir():
        lacking.append("no ../shared/pcaps")
    if lacking:
        pytest.skip(lacking[0])


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    """Say whether expected outputs are to be written instead of compared."""
    return bool(request.config.getoption("--accept"))


@pytest.fixture
def root() -> Path:
    """Return the project's folder."""
    return ROOT


@pytest.fixture
def egressd() -> Egressd:
    """Return the whole program: called with arguments, it runs in the project's folder."""

    def run(*arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from egressd.cli import main; main()", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": str(columns)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
