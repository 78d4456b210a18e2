"""Runs the plan: file by file, round by round, one program at a time.

Programs take turns within a round, so that whatever slows the machine down for a
while slows all of them, and the ratios stand.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.files import Capture, make_capture, remove_stale, warm
from bench.machine import machine_since, start_watch
from bench.measure import RunError, Sample, measure
from bench.plan import SITE_MIX, Kind, Plan, Sizes
from bench.programs import EGRESSD, NDPI, Absent, Program, Task
from bench.rates import Measurement, Runs, measurement_of
from bench.results import Contestant, Failure, Results, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parent.parent
START_FRAMES = 100
VERSION = "egressd --version"
SMALL_REPLAY = "100-packet replay"


@dataclass(slots=True)
class _Series:
    """One program on one kind, while it is measured."""

    program: Program
    sizes: Sizes
    samples: dict[int, list[Sample]] = field(default_factory=dict)  # by frames
    spent: float = 0.0


def run_bench(
    plan: Plan,
    programs: Sequence[Program | Absent],
    data: Path,
    say: Callable[[str], object],
    *,
    quick: bool = False,
) -> Results:
    """Measure all that is there, and return what was found."""
    remove_stale(data)
    present = [program for program in programs if isinstance(program, Program)]
    made = {
        (kind.name, frames): make_capture(kind, frames, data)
        for kind in plan.kinds
        for frames in _frames_of(kind, present)
    }
    watch = start_watch()
    measurements: list[Measurement] = []
    failures: list[Failure] = []
    with tempfile.TemporaryDirectory(prefix="run-", dir=data) as scratch:
        bench = _Bench(plan, Path(scratch), say, made, failures)
        for kind in plan.kinds:
            measurements += bench.measure_kind(kind, present)
        starts: list[Start] = []
        for program in present:
            if program.name == EGRESSD:
                starts = bench.measure_starts(program, make_capture(SITE_MIX, START_FRAMES, data))
    return Results(
        quick=quick,
        machine=machine_since(watch),
        contestants=tuple(map(_contestant, programs)),
        measurements=tuple(measurements),
        starts=tuple(starts),
        failures=tuple(failures),
    )


@dataclass(slots=True)
class _Bench:
    """What stays the same from one measurement to the next."""

    plan: Plan
    scratch: Path
    say: Callable[[str], object]
    captures: dict[tuple[str, int], Capture]
    failures: list[Failure]

    def measure_kind(self, kind: Kind, programs: Sequence[Program]) -> list[Measurement]:
        """Measure every program on both of its files."""
        series = [_Series(program, sizes_for(kind, program)) for program in programs]
        for frames in sorted({n for one in series for n in (one.sizes.small, one.sizes.large)}):
            warm(self.captures[kind.name, frames].path)
        for number in range(self.plan.rounds):
            for one in list(series):
                if number >= self._rounds_of(one):
                    continue
                try:
                    self._take_turn(kind, one)
                except RunError as error:
                    series.remove(one)
                    self._failed(kind.name, one.program.name, error)
        return [self._finish(kind, one) for one in series]

    def _rounds_of(self, one: _Series) -> int:
        """Return how many rounds a program may have, given what it has taken so far."""
        if one.spent < self.plan.patience:
            return self.plan.rounds
        return self.plan.least_rounds if one.spent < 3 * self.plan.patience else 1

    def _take_turn(self, kind: Kind, one: _Series) -> None:
        for frames in (one.sizes.small, one.sizes.large):
            capture = self.captures[kind.name, frames]
            sample = self._read(one.program, capture, kind.site)
            one.samples.setdefault(frames, []).append(sample)
            one.spent += sample.seconds

    def _read(self, program: Program, capture: Capture, site: Path) -> Sample:
        """Let a program read a capture, and see that it read all of it."""
        task = Task(capture.path, site, self.scratch / "eve.json")
        task.eve.unlink(missing_ok=True)
        sample = measure(
            program.command(task), timeout=self.plan.timeout, accepted=program.accepted
        )
        if program.frames is not None:
            counted = program.frames(sample.output)
            if counted is None:
                raise RunError("did not say how many frames it read")
            if counted != capture.frames:
                raise RunError(f"read {counted:,} of {capture.frames:,} frames")
        return sample

    def _failed(self, kind: str, what: str, error: RunError) -> None:
        reason = str(error).replace(f"{self.scratch.parent}/", "").replace(f"{ROOT}/", "")
        self.failures.append(Failure(kind, what, reason))
        self.say(f"{kind}: {what}: {error}")

    def _finish(self, kind: Kind, one: _Series) -> Measurement:
        small, large = (
            _runs_of(self.captures[kind.name, frames], one.samples[frames])
            for frames in (one.sizes.small, one.sizes.large)
        )
        found = measurement_of(kind.name, one.program.name, small, large)
        rate = found.packets_per_second
        told = "no rate: too short" if rate is None else f"{rate:,.0f} packets/s"
        self.say(f"{kind.name}: {one.program.name}: {told}")
        return found

    def measure_starts(self, egressd: Program, capture: Capture) -> list[Start]:
        """Measure how long egressd takes to say its version, and to replay a hundred packets."""
        version = [egressd.command(Task(capture.path, SITE_MIX.site, self.scratch))[0], "--version"]
        return [
            *self._start(
                VERSION,
                VERSION,
                lambda: measure(version, timeout=self.plan.timeout, accepted=frozenset({0})),
            ),
            *self._start(
                SMALL_REPLAY, egressd.shown, lambda: self._read(egressd, capture, SITE_MIX.site)
            ),
        ]

    def _start(self, what: str, shown: str, run: Callable[[], Sample]) -> list[Start]:
        try:
            samples = [run() for _ in range(self.plan.starts)]
        except RunError as error:
            self._failed("start-up", what, error)
            return []
        start = Start(what, shown, tuple(round(s.seconds, 4) for s in samples), _peak_of(samples))
        self.say(f"{what}: {median(start.seconds):.3f} s")
        return [start]


def sizes_for(kind: Kind, program: Program) -> Sizes:
    """Return the two sizes a program is measured on: the slice for those slow on that kind."""
    if program.slow or (kind.many_flows and program.name == NDPI):
        return kind.slice
    return kind.sizes


def _frames_of(kind: Kind, programs: Sequence[Program]) -> set[int]:
    sizes = {sizes_for(kind, program) for program in programs}
    return {frames for size in sizes for frames in (size.small, size.large)}


def _runs_of(capture: Capture, samples: Sequence[Sample]) -> Runs:
    return Runs(
        capture.frames,
        capture.frame_bytes,
        tuple(round(sample.seconds, 4) for sample in samples),
        tuple(sample.cpu_seconds for sample in samples if sample.cpu_seconds is not None),
        tuple(sample.peak for sample in samples if sample.peak is not None),
    )


def _peak_of(samples: Sequence[Sample]) -> int | None:
    peaks = [sample.peak for sample in samples if sample.peak is not None]
    return round(median(peaks)) if peaks else None


def _contestant(program: Program | Absent) -> Contestant:
    if isinstance(program, Absent):
        return Contestant(program.name, "", "", "", program.reason)
    return Contestant(program.name, program.version, program.shown, program.does)
