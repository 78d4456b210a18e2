"""A lab site leaves nothing behind: not after a failure, and not for long after a `kill -9`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from labsite import LabSite
from namespaces import NAMED, PATIENCE_SECONDS, Spaces, remove_leftovers, require_namespaces

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.program("ip"),
    pytest.mark.program("tc"),
    pytest.mark.program("nft"),
    pytest.mark.program("dnsmasq"),
    pytest.mark.program("setpriv"),
    pytest.mark.program("unshare"),
]
KILLED = """
import os, signal, sys
from pathlib import Path
from labsite import LabSite
with LabSite(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _as_root() -> None:
    require_namespaces()


def spaces_of(pid: int) -> list[str]:
    """Return the namespaces that a process has named."""
    return [path.name for path in NAMED.glob(f"egressdlab-{pid}-*")]


def servers_in(folder: Path) -> list[str]:
    """Return the processes whose command line names a folder, but for this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if str(folder).encode() in text and int(path.parent.name) != os.getpid():
            found.append(text.decode())
    return found


def wait(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_scenario_that_fails_leaves_nothing(tmp_path: Path) -> None:
    before = spaces_of(os.getpid())

    def fail() -> None:
        with LabSite(tmp_path):
            assert spaces_of(os.getpid()) != before
            assert servers_in(tmp_path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert spaces_of(os.getpid()) == before
    assert servers_in(tmp_path) == []


def test_a_killed_run_takes_its_servers_along_and_the_next_removes_its_spaces(
    tmp_path: Path,
) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert run.wait(PATIENCE_SECONDS) == -9
    wait(lambda: not servers_in(tmp_path))
    remove_leftovers()
    assert spaces_of(run.pid) == []


def test_what_another_run_still_uses_is_left_alone() -> None:
    spaces = Spaces()
    try:
        spaces.make("used")
        name = spaces.full_name("used")
        assert name not in remove_leftovers()
        assert (NAMED / name).exists()
    finally:
        spaces.close()
    assert not (NAMED / name).exists()
