"""The machine the numbers come from, and how much of it others had meanwhile."""

from __future__ import annotations

import os
import platform
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.results import Machine

if TYPE_CHECKING:
    from egressd.model import Seconds

CORES = 2
IDLE_COLUMNS = (3, 4)  # idle and iowait, proc(5) /proc/stat
ALL_COLUMNS = 8  # user to steal; what follows is counted in user already


def use_two_cores() -> None:
    """Keep this process, and with it all it starts, on two cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:CORES])


@dataclass(frozen=True, slots=True)
class Watch:
    """The state of the machine when measuring began."""

    began: Seconds
    busy: Seconds | None
    ours: Seconds
    load: float


def start_watch() -> Watch:
    """Note what the machine has done so far."""
    return Watch(time.perf_counter(), _busy(), _ours(), os.getloadavg()[0])


def machine_since(watch: Watch) -> Machine:
    """Describe the machine, and what others took of it since the watch began."""
    return Machine(
        date=datetime.now(UTC).date().isoformat(),  # noqa: TID251 - when the numbers were taken
        processor=_field("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) * 1024,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_before=round(watch.load, 2),
        others=_others(watch),
    )


def _others(watch: Watch) -> float | None:
    busy = _busy()
    elapsed = time.perf_counter() - watch.began
    if busy is None or watch.busy is None or elapsed <= 0:
        return None
    theirs = (busy - watch.busy) - (_ours() - watch.ours)
    return round(max(theirs, 0.0) / (elapsed * (os.cpu_count() or 1)), 3)


def _busy() -> Seconds | None:
    """Return the time all cores have been busy since the machine started."""
    with suppress(OSError, ValueError):
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
        ticks = [int(word) for word in line.split()[1 : ALL_COLUMNS + 1]]
        busy = sum(ticks) - sum(ticks[column] for column in IDLE_COLUMNS)
        return busy / os.sysconf("SC_CLK_TCK")
    return None


def _ours() -> Seconds:
    """Return the processor time of this process and of all it has waited for."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _field(path: str, name: str) -> str | None:
    with suppress(OSError):
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None
