"""The process's own use of the machine, under the names that every Prometheus client gives them.

Read from `/proc/self` alone: the collector of prometheus_client wants `/proc/stat`, which
`ProcSubset=pid` in the unit hides.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from egressd.report.metrics.family import Family, Row, View, counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
RESIDENT = 1  # field of /proc/self/statm, in pages (proc(5))


def _cpu(_: View) -> Iterable[Row]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [Row((), used.ru_utime + used.ru_stime)]


def _resident(_: View) -> Iterable[Row]:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[RESIDENT])
    except (OSError, ValueError, IndexError):
        return []
    return [Row((), pages * PAGE_BYTES)]


def _descriptors(_: View) -> Iterable[Row]:
    try:
        return [Row((), len(os.listdir("/proc/self/fd")))]  # noqa: PTH208 - counted, never paths
    except OSError:
        return []


PROCESS_FAMILIES: tuple[Family, ...] = (
    counter("process_cpu_seconds_total", "CPU time used by the process.", (), _cpu),
    gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", (), _resident),
    gauge("process_open_fds", "File descriptors that the process has open.", (), _descriptors),
)
