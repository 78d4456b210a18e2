"""What all tests share: the project's root on the path, and the two markers that may skip."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "pcaps"

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for pcaps.generator


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program or captures are not here; fail it under EGRESSD_TEST_ALL=1."""
    lacking = [
        f"no {name} on this machine"
        for marker in item.iter_markers("program")
        for name in marker.args
        if shutil.which(name) is None
    ]
    if item.get_closest_marker("shared") and not SHARED.is_dir():
        lacking.append("no ../shared/pcaps")
    if lacking and os.environ.get("EGRESSD_TEST_ALL") == "1" and lacking != ["no ../shared/pcaps"]:
        pytest.fail(lacking[0])
    if lacking:
        pytest.skip(lacking[0])
