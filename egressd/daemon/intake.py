"""Where the daemon's frames come from, whatever it is: a mirror port's ring, or a folder.

Both give batches, can be woken, and say how much has come, so that it can be told whether all
of it is looked at. `up_to` is the time before which no frame is expected any more: until then the
engine may be brought forward while nothing comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from egressd.capture.cutting import MediaPorts, Span
from egressd.capture.filter import FrameFilter
from egressd.capture.follow import Follow
from egressd.capture.interfaces import LinkState
from egressd.capture.ring import Ring
from egressd.capture.tap import RingOptions
from egressd.state import FrameCount

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from egressd.capture.batch import Batch, Source
    from egressd.capture.interfaces import InterfaceCounters
    from egressd.config import Site
    from egressd.daemon.clock import Clocks
    from egressd.daemon.logs import Log
    from egressd.model import Nanoseconds, Seconds
    from egressd.state import FilePlace

# tcpdump hands a buffer of 4 KiB to its file when it is full: on a quiet link that takes a while.
FOLDER_LAG: Nanoseconds = 60_000_000_000
# A block of the ring is handed over after 50 ms, and the kernel stamps frames before that.
RING_LAG: Nanoseconds = 1_000_000_000


class Intake(Protocol):
    """What the loop asks of where frames come from."""

    @property
    def sources(self) -> list[Source]:
        """The interfaces; `Batch.source` is an index into it."""

    @property
    def is_exhausted(self) -> bool:
        """Whether it has to be opened anew, with an engine that knows no sources yet."""

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        """Return the next frames, or None if none came for so long or somebody woke us."""

    def wake(self) -> None:
        """End a `read` that waits; may be called from a signal handler."""

    def arrived(self) -> int:
        """Return how many frames have come so far, looked at or not."""

    def taken(self) -> int:
        """Return how many of them were taken out."""

    def interfaces(self) -> list[InterfaceCounters]:
        """Return the counters of each interface, none where a folder is followed."""

    def drops(self) -> dict[str, int]:
        """Return how many frames were lost before us, by where; nothing where none was."""

    def up_to(self) -> Nanoseconds | None:
        """Return the time before which no frame is expected any more, None if nobody knows."""

    def tell(self, log: Log) -> None:
        """Log what happened since this was last asked."""

    def frame_counts(self) -> list[FrameCount]:
        """Return how many frames of each interface were numbered."""

    def places(self, *, all_of_them: bool) -> tuple[list[FilePlace], list[FilePlace]]:
        """Return how far files were read and which are no more, since this was last asked."""

    def renewed(self) -> Intake:
        """Give this up and return one that goes on where it was."""

    def change(self, site: Site) -> None:
        """Go by another site file; CaptureError if that cannot be, and all is as it was."""

    def close(self) -> None:
        """Give up everything."""


class FolderIntake:
    """A folder that others ring into."""

    def __init__(self, folder: Path, places: Iterable[FilePlace], clocks: Clocks) -> None:
        self._clocks = clocks
        self.follow = Follow(folder, places)
        self._newest: Nanoseconds = 0  # of the frames so far
        self._quiet_since: Nanoseconds = 0  # by the monotonic clock

    @property
    def sources(self) -> list[Source]:
        """The interfaces of the files read so far."""
        return self.follow.sources

    @property
    def is_exhausted(self) -> bool:
        """Whether soon no number is left for another file."""
        return self.follow.is_exhausted

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        """Return the next frames, or None if none came for so long or somebody woke us."""
        batch = self.follow.read(timeout_seconds)
        if batch is not None and batch.count:
            self._newest = max(self._newest, batch.time[batch.count - 1])
            self._quiet_since = self._clocks.monotonic()
        return batch

    def wake(self) -> None:
        """End a `read` that waits."""
        self.follow.wake()

    def arrived(self) -> int:
        """Return how many frames were given out: a `read` leaves nothing that could be read."""
        return self.follow.counters.frames

    def taken(self) -> int:
        """Return the same."""
        return self.follow.counters.frames

    def interfaces(self) -> list[InterfaceCounters]:
        """Return none."""
        return []

    def drops(self) -> dict[str, int]:
        """Return what the captures say they lost."""
        lost = self.follow.drops
        return {str(self.follow.folder): lost} if lost else {}

    def up_to(self) -> Nanoseconds | None:
        """Return the newest frame's time, brought forward by how long nothing has come."""
        if not self._newest:
            return None
        return self._newest + self._clocks.monotonic() - self._quiet_since - FOLDER_LAG

    def tell(self, log: Log) -> None:
        """Log what was wrong with files."""
        for hurt in self.follow.take_damage():
            say = log.warning if hurt.lost else log.info
            say("capture_damaged", file=hurt.file, offset=hurt.offset, reason=hurt.reason)

    def frame_counts(self) -> list[FrameCount]:
        """Return nothing: files number their own frames."""
        return []

    def places(self, *, all_of_them: bool) -> tuple[list[FilePlace], list[FilePlace]]:
        """Return how far files were read and which are no more."""
        return self.follow.take_places(all_of_them=all_of_them)

    def renewed(self) -> FolderIntake:
        """Open the folder anew where this was."""
        places, _ = self.follow.take_places(all_of_them=True)
        self.follow.close()
        fresh = FolderIntake(self.follow.folder, places, self._clocks)
        fresh.follow.counters = self.follow.counters
        fresh._newest, fresh._quiet_since = self._newest, self._quiet_since
        return fresh

    def change(self, site: Site) -> None:
        """Do nothing: what is in the folder is looked at."""

    def close(self) -> None:
        """Give up all files."""
        self.follow.close()


class RingIntake:
    """The rings of one or several interfaces; `named` are those of the command line."""

    def __init__(
        self, site: Site, named: Sequence[str], numbers: Iterable[FrameCount], clocks: Clocks
    ) -> None:
        self._named = tuple(named)
        self._clocks = clocks
        self.ring = Ring(
            self._names(site),
            # An interface that is not there is an error: a misspelled one would never be seen.
            options=RingOptions(outgoing=site.watch.outgoing),
            programs=_filter_of(site),
            numbers={count.interface: count.frames for count in numbers},
        )
        self._missed_before = {one.interface: one.nic.lost for one in self.ring.counters()}

    @property
    def sources(self) -> list[Source]:
        """The interfaces."""
        return self.ring.sources

    @property
    def is_exhausted(self) -> bool:
        """Return False: interfaces are few."""
        return False

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        """Return the next frames, or None if none came for so long or somebody woke us."""
        return self.ring.read(timeout_seconds)

    def wake(self) -> None:
        """End a `read` that waits."""
        self.ring.wake()

    def arrived(self) -> int:
        """Return how many frames the kernel has put into the rings, or was to."""
        return sum(count.packets for count in self.ring.counters())

    def taken(self) -> int:
        """Return how many frames were taken out of the rings."""
        counters = self.ring.counters()
        return sum(count.frames + count.outgoing_frames + count.damaged for count in counters)

    def interfaces(self) -> list[InterfaceCounters]:
        """Return what each interface saw, and what was lost at which layer."""
        return self.ring.counters()

    def drops(self) -> dict[str, int]:
        """Return what the card lost since we began, and the kernel because the ring was full."""
        lost = {}
        for one in self.ring.counters():
            before = self._missed_before.setdefault(one.interface, one.nic.lost)
            lost[one.interface] = one.drops + max(0, one.nic.lost - before)
        return {name: count for name, count in lost.items() if count}

    def up_to(self) -> Nanoseconds | None:
        """Return the wall clock's time less what a frame may take from the wire to us."""
        return self._clocks.wall() - RING_LAG if self.ring.is_quiet() else None

    def tell(self, log: Log) -> None:
        """Log what happened to interfaces."""
        for change in self.ring.take_changes():
            say = log.notice if change.state is LinkState.UP else log.warning
            say(
                "interface_changed",
                interface=change.interface,
                name=change.name,
                state=change.state.value,
                reason=change.reason or "none given",
            )

    def frame_counts(self) -> list[FrameCount]:
        """Return the last number given to a frame of each interface."""
        return [FrameCount(name, number) for name, number in self.ring.numbers.items()]

    def places(
        self,
        *,
        all_of_them: bool,  # noqa: ARG002 - what an intake is asked
    ) -> tuple[list[FilePlace], list[FilePlace]]:
        """Return nothing: there are no files."""
        return [], []

    def renewed(self) -> Intake:
        """Return this: it never comes to that."""
        return self

    def change(self, site: Site) -> None:
        """Take the interfaces and the filter of another site file."""
        self.ring.rebind(self._names(site), _filter_of(site))

    def close(self) -> None:
        """Give up all interfaces."""
        self.ring.close()

    def _names(self, site: Site) -> tuple[str, ...]:
        return self._named or site.watch.interfaces


def _filter_of(site: Site) -> FrameFilter:
    """Return what frames have to pass in the kernel."""
    watch = site.watch
    media = MediaPorts(known=tuple(Span(port, port) for port in watch.media_ports))
    return FrameFilter(site if watch.cut_media else None, expression=watch.expression, media=media)
