"""`python -m bench.live_ring`: what the ring takes at full speed, and what it costs.

tcpreplay sends the site mix over a cable of our own as fast as it can; the ring reads,
indexes, and cuts what stays on site, or does not. The sender is the limit, so its rate is
printed, too. Needs root, for a network namespace of its own, and tcpreplay.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.files import make_capture
from bench.plan import SITE_MIX, SMALL_FRAMES
from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.filter import FrameFilter
from egressd.capture.ring import Ring
from egressd.config import load_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.plan import Kind
    from egressd.capture.batch import Batch, Source
    from egressd.capture.interfaces import InterfaceCounters
    from egressd.model import Seconds

DATA = Path(__file__).parent / "data"
NEAR, FAR = "mirror0", "switch0"
KINDS = (SITE_MIX, SMALL_FRAMES)
INSIDE = "EGRESSD_BENCH_NAMESPACE"  # set in the process that runs in a namespace of its own
SILENCE_SECONDS = 0.5  # after the sender has ended: then all has come
SENT = re.compile(r"Actual: (\d+) packets")
RATE = re.compile(r"([\d.]+) pps")


@dataclass(frozen=True, slots=True)
class Task:
    """One run: what is sent and what is done with it."""

    kind: Kind
    cuts: bool  # the filter of the site is in the kernel
    judges: bool  # the engine gets the batches


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run took."""

    sent: int
    sent_per_second: float
    counters: InterfaceCounters
    seconds: Seconds  # from the first frame to the last
    cpu_seconds: Seconds


def main() -> None:
    """Measure each task and print a row for it."""
    parser = argparse.ArgumentParser(prog="python -m bench.live_ring", description=__doc__)
    parser.add_argument("--frames", type=int, default=50_000, help="frames of the file")
    parser.add_argument("--loops", type=int, default=20, help="times the file is sent")
    chosen = parser.parse_args()
    lacking = [name for name in ("ip", "tcpreplay", "unshare") if shutil.which(name) is None]
    if lacking or os.geteuid():
        sys.exit(f"bench.live_ring needs root and {', '.join(lacking) or 'nothing else'}")
    if INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, "-m", "bench.live_ring", *sys.argv[1:]]
        os.execvpe("unshare", command, {**os.environ, INSIDE: "1"})  # noqa: S606, S607 - ourselves
    _lay_cable()
    _say("kind          work           sent/s    frames     drops  on wire  in ring   ns CPU/frame")
    for kind in KINDS:
        path = make_capture(kind, chosen.frames, DATA).path
        for cuts, judges in ((False, False), (True, False), (True, True)):
            task = Task(kind, cuts, judges)
            _say(_row(task, _measure(task, path, chosen.loops)))


def _lay_cable() -> None:
    for which in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
    for command in (
        ["ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR],
        ["ip", "link", "set", NEAR, "up"],
        ["ip", "link", "set", FAR, "up"],
    ):
        subprocess.run(command, check=True)  # noqa: S603 - constants


def _measure(task: Task, path: Path, loops: int) -> Taken:
    """Send the file and read until the sender has ended and nothing more comes."""
    site = load_site(task.kind.site)
    work: Callable[[Batch, list[Source]], object] = _nothing
    if task.judges:
        work = assemble(site, services=load_services(()), geo=Geo(())).feed
    with Ring([NEAR], programs=FrameFilter(site) if task.cuts else None) as ring:
        sender = _send(path, loops)
        first = last = spent = ended = 0.0
        while True:
            batch = ring.read(SILENCE_SECONDS)
            if batch is None:
                if sender.poll() is not None:
                    break
                continue
            if not first:
                first, spent = time.perf_counter(), time.process_time()
            work(batch, ring.sources)
            last, ended = time.perf_counter(), time.process_time()
        said = sender.communicate()[0]
        sent, rate = SENT.search(said), RATE.search(said)
        if sent is None or rate is None or not last:
            sys.exit(f"bench.live_ring: tcpreplay sent nothing: {said[-300:]}")
        return Taken(
            int(sent[1]),
            float(rate[1]),
            ring.counters()[0],
            last - first,
            ended - spent,
        )


def _send(path: Path, loops: int) -> subprocess.Popen[str]:
    command = ["tcpreplay", "--intf1", FAR, "--topspeed", "--preload-pcap"]
    return subprocess.Popen(  # noqa: S603 - constants and our own file
        [*command, f"--loop={loops}", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _nothing(batch: Batch, sources: list[Source]) -> None:
    """Index only: the batch is made, and that is all."""
    del batch, sources


def _row(task: Task, taken: Taken) -> str:
    counters = taken.counters
    work = ("engine" if task.judges else "index") + (", filter" if task.cuts else "")
    lost = taken.sent - counters.frames - counters.drops
    cells = [
        f"{task.kind.name:<13} {work:<14}",
        f"{taken.sent_per_second:>6,.0f}",
        f"{counters.frames:>9,}",
        f"{counters.drops:>9,}",
        f"{counters.wire_bytes / 1e6:>6,.0f}MB",
        f"{counters.captured_bytes / 1e6:>6,.0f}MB",
        f"{taken.cpu_seconds / max(1, counters.frames) * 1e9:>8,.0f}",
        f"= {taken.cpu_seconds / max(taken.seconds, 1e-9):.0%} of a core",
    ]
    return " ".join(cells) + (f"; {lost:,} never came" if lost else "")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
