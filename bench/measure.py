"""One run of one program: its wall time, CPU time and peak memory.

Wall time is that of the whole process, start-up included. Peak memory is asked of
GNU time, because a child of a big process inherits that process's own peak; of a
program of several processes it is the biggest one's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Bytes, Seconds

GNU_TIME = shutil.which("time")
FAILURE_TEXT = 200  # characters of a failed program's last words


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run took."""

    seconds: Seconds
    cpu_seconds: Seconds | None
    peak: Bytes | None
    output: str


class RunError(Exception):
    """A program that did not do its work; the text is its own last line."""


def measure(command: list[str], *, timeout: Seconds, accepted: frozenset[int]) -> Sample:
    """Run a command to its end; RunError if it fails or takes longer than the timeout."""
    with tempfile.NamedTemporaryFile("r", prefix="bench-") as figures:
        if GNU_TIME is not None:
            command = [GNU_TIME, "-q", "-f", "%U %S %M", "-o", figures.name, "--", *command]
        began = time.perf_counter()
        ended = _run(command, timeout)
        seconds = time.perf_counter() - began
        words = figures.read().split()
    if ended.status not in accepted:
        raise RunError(f"exit status {ended.status}: {_last_line(ended)}")
    if len(words) != 3:
        return Sample(seconds, None, None, ended.output)
    user, system, peak = words
    return Sample(seconds, float(user) + float(system), int(peak) * 1024, ended.output)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a process ended."""

    status: int
    output: str
    complaint: str


def _last_line(ended: _Ended) -> str:
    lines = [line for line in (ended.complaint or ended.output).splitlines() if line.strip()]
    return lines[-1].strip()[:FAILURE_TEXT] if lines else "it said nothing"


def _run(command: list[str], timeout: Seconds) -> _Ended:
    """Run a command in a session of its own, so that a slow one ends with its children."""
    with subprocess.Popen(  # noqa: S603 - the commands are those of bench.programs
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            output, complaint = process.communicate(timeout=timeout)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RunError(f"not done after {timeout:.0f} s") from error
            raise
    return _Ended(process.returncode, output, complaint)
