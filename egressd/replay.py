"""A replay: fills the engine from captures and empties it into the reports.

It knows what to read, where to write and when to stop, and nothing of what the
engine does between. Standard output and standard error never mix: with `-` as a
target the machine's lines have standard output, and the table goes to the other.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import default_site, load_site
from egressd.report.casefile import Input, Run, write_case
from egressd.report.eve import EveWriter
from egressd.report.outputs import STANDARD_OUTPUT, check_whole, growing, whole
from egressd.report.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType, TracebackType
    from typing import TextIO

    from egressd.capture.batch import Batch
    from egressd.capture.damage import Damage
    from egressd.capture.pcapfile import CaptureReader
    from egressd.config import Site
    from egressd.engine import Engine
    from egressd.model import Case, Nanoseconds

Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int"

UNKNOWN_LINK = "unknown link type"  # egressd.dataplane.frames.REASONS
SKIPPED_NAMED = 3  # in a warning about files that were left out
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a replay."""

    captures: tuple[str, ...]
    site: Path | None = None
    eve: str | None = None
    case: str | None = None
    judge_all: bool = False  # every host on site, not cameras only
    log_all: bool = False  # EVE records of every flow, not of judged ones only
    since: Nanoseconds | None = None
    until: Nanoseconds | None = None
    reference: bool = False  # the reference decoder, not the fast one
    jobs: int = 1  # one process does the work whatever it says; shards of an archive come later
    geo: tuple[Path, ...] = ()
    rules: tuple[Path, ...] = ()
    progress: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay found, and what it says of itself."""

    case: Case
    run: Run


class ReplayError(Exception):
    """Why a replay cannot begin; the text says what to do."""


def replay(options: Options) -> Outcome:
    """Run the captures through the engine; write EVE lines on the way and the case file after."""
    services = load_services(options.rules)
    site = default_site() if options.site is None else load_site(options.site, services.vendors)
    geo = Geo(options.geo)
    engine = assemble(
        site,
        services=services,
        geo=geo,
        judge="all" if options.judge_all else "cameras",
        log="all" if options.log_all else "judged",
        decoder="reference" if options.reference else "fast",
        silent=options.eve is None,
    )
    # What is made for a flow or a name lives long and holds no cycles: collecting every 700
    # objects, as Python does, would take a fifth of the time.
    gc.set_threshold(100_000, 50, 1_000)
    with open_captures(options.captures, since=options.since, until=options.until) as reader:
        _check_paths(options, reader)
        shift = _Shift(reader)
        interrupted = _run(engine, shift, site, options)
        case = engine.case()
        case.coverage.interface_drops |= shift.drops()
        run = Run(
            inputs=shift.inputs(),
            interrupted=interrupted,
            warnings=(*case.warnings, *_absent(case), *shift.warnings()),
            judged_all=options.judge_all,
            unread_frames=case.coverage.malformed.get(UNKNOWN_LINK, 0),
        )
    if options.case is not None:
        with whole(options.case) as stream:
            write_case(stream, case, run)
    return Outcome(case, run)


def _absent(case: Case) -> list[str]:
    """Say which devices of the site file no frame came from."""
    if not case.missing or not case.coverage.frames:
        return []
    return [f"Listed in the site file and never seen: {', '.join(case.missing)}"]


class _Shift:
    """The reader, and how many frames of each input it gave out."""

    def __init__(self, reader: CaptureReader) -> None:
        self.reader = reader
        self._frames: Counter[int] = Counter()  # by source

    def count(self, batch: Batch) -> None:
        """Add a batch. Most hold frames of one source, which one comparison of bytes tells."""
        column = memoryview(batch.source)[: batch.count]
        raw = column.tobytes()
        if raw[column.itemsize :] != raw[: -column.itemsize]:
            self._frames.update(column)
        elif raw:
            self._frames[column[0]] += batch.count

    def inputs(self) -> tuple[Input, ...]:
        """Return what was read, in the order in which it was given."""
        frames: Counter[str] = Counter()
        for source, count in self._frames.items():
            frames[self.reader.sources[source].file] += count
        damage: dict[str, list[Damage]] = {}
        for hurt in self.reader.damage:
            damage.setdefault(hurt.file, []).append(hurt)
        inputs = [
            Input(it.name, None if it.pipe else it.size, frames[it.name], _taken(damage, it.name))
            for it in self.reader.inputs
        ]
        # What could not even be opened is no input of the reader, but it was asked for.
        return (*inputs, *(Input(name, None, 0, tuple(damage[name])) for name in list(damage)))

    def drops(self) -> dict[str, int]:
        """Return the frames that the capture itself says it lost, by file and interface."""
        lost = {
            f"{drops.file} {drops.interface}".rstrip(): (drops.if_drop or 0) + (drops.os_drop or 0)
            for drops in self.reader.drops
        }
        return {name: count for name, count in lost.items() if count}

    def warnings(self) -> list[str]:
        """Return what was left out without being damaged."""
        skipped, repeated = self.reader.skipped, self.reader.repeated
        warnings = []
        if skipped:
            told = f"{len(skipped):,} of the files in folders are no captures"
            warnings.append(f"{told}: {_some_of(skipped)}")
        if repeated:
            warnings.append(f"Given more than once, and read once: {_some_of(repeated)}")
        return warnings


class Interruption:
    """Turns the first Ctrl-C (or SIGTERM) into a request to stop, and the second into an exception.

    Between two batches the run stops at once. A wait for input, which may never come, is left by
    an exception; the engine is never left in the middle of a batch.
    """

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False
        self._before: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            # None where the handler was not set from Python.
            self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def batches(self, reader: CaptureReader) -> Iterator[Batch]:
        """Yield the reader's batches until it ends or somebody asks to stop."""
        rest = iter(reader)
        while not self.asked:
            try:
                self._waiting = True
                batch = next(rest, None)
            except KeyboardInterrupt:
                return
            finally:
                self._waiting = False
            if batch is None:
                return
            yield batch

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - how handlers are called
        again = self.asked
        self.asked = True
        if again or self._waiting:
            raise KeyboardInterrupt


def _run(engine: Engine, shift: _Shift, site: Site, options: Options) -> bool:
    """Feed the engine to its end; return whether somebody stopped it before."""
    reader = shift.reader
    target: AbstractContextManager[TextIO | None]
    target = nullcontext() if options.eve is None else growing(options.eve)
    with (
        Interruption() as interruption,
        target as stream,
        Progress(sys.stderr, reader.bytes_total, shown=options.progress) as progress,
    ):
        eve = None if stream is None else EveWriter(stream, site=site.name, sources=reader.sources)
        for batch in interruption.batches(reader):
            shift.count(batch)
            events = engine.feed(batch, reader.sources)
            if eve is not None:
                eve.write(events)
            progress.update(reader.bytes_read, reader.frames)
        events = engine.finish()
        if eve is not None:
            eve.write(events)
    return interruption.asked


def _check_paths(options: Options, reader: CaptureReader) -> None:
    """Refuse a run that would write over its inputs, and one whose case file has no place."""
    files = [Path(entry.name) for entry in reader.inputs if not entry.pipe]
    for name in (options.eve, options.case):
        path = Path(name or STANDARD_OUTPUT)
        if path.is_file() and any(file.exists() and path.samefile(file) for file in files):
            raise ReplayError(f"{path}: is an input, and would be overwritten")
    if options.case is not None:
        check_whole(options.case)


def _some_of(names: list[str]) -> str:
    return ", ".join(names[:SKIPPED_NAMED]) + (", ..." if names[SKIPPED_NAMED:] else "")


def _taken(damage: dict[str, list[Damage]], name: str) -> tuple[Damage, ...]:
    return tuple(damage.pop(name, ()))


def writes_to_standard_output(options: Options) -> bool:
    """Tell whether standard output belongs to a program, so that the table must not go there."""
    return STANDARD_OUTPUT in (options.eve, options.case)
