"""Live frames of one or several interfaces, as batches: a block of the kernel's ring each.

The counterpart of `pcapfile` for a mirror port. No frame is copied: a batch's buffer is
the ring itself, and its block goes back to the kernel when the next batch is asked
for. No thread either: one poll waits for all interfaces and for `wake`.

Order: frames of one interface come in the order in which the kernel took them, and
their numbers count from 1 by interface. Of several interfaces the block whose first
frame is the oldest comes first, among those that are ready. A block is ready when it is
full or has waited for `retire_milliseconds`, so that across interfaces a frame may
come that much late, and more only where the reader itself lags behind.

Down, gone, renamed, come back: an interface is followed, and what happened to it
stands in `take_changes`. It is never an error; an interface that cannot be captured
at the start is.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from egressd.capture.batch import Source
from egressd.capture.blocks import SMALLEST_RECORD
from egressd.capture.interfaces import load_names
from egressd.capture.tap import RingOptions, Tap
from egressd.capture.track import make_batch
from egressd.model import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from egressd.capture.batch import Batch
    from egressd.capture.interfaces import InterfaceChange, InterfaceCounters
    from egressd.capture.tap import Programs
    from egressd.model import Seconds

TURN_SECONDS = 0.1  # the longest wait of an iteration
LOOK_SECONDS = 1.0  # how often interfaces are looked at, besides when they tell of an error
MOST_INTERFACES = 64
MOST_CHANGES = 256  # kept until they are taken; the oldest ones go first
WAKE_BYTES = 1 << 16  # what a pipe holds: all wakes so far are one

PLAIN = RingOptions()


class Ring:
    """An iterator of batches, each valid until the next; None where a turn was empty."""

    def __init__(
        self,
        interfaces: Sequence[str],
        *,
        options: RingOptions = PLAIN,
        programs: Programs | None = None,
        numbers: Mapping[str, int] | None = None,
    ) -> None:
        """Begin to capture; CaptureError says what is missing.

        `programs` is the filter, if there is one. `numbers` are the last frame numbers of an
        earlier run, by interface, where counting is to go on.
        """
        options.check()
        self.sources: list[Source] = []  # `Batch.source` is an index into it; it only grows
        self.turn_seconds: Seconds = TURN_SECONDS
        self.changes_lost = 0
        self._options = options
        self._programs = programs
        self._numbers = dict(numbers or {})
        self._changes: deque[InterfaceChange] = deque(maxlen=MOST_CHANGES)
        self._taps: dict[str, Tap] = {}
        self._held: Tap | None = None  # whose block the caller looks at
        self._batch = make_batch(options.block_bytes // SMALLEST_RECORD + 1)
        self._next_look = 0.0
        self._closed = False
        self._awake, self._alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._awake, select.POLLIN)
        try:
            self._take_up(self._open_all(_once(interfaces), programs))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch | None]:
        """Yield a batch, or None when a turn has passed or somebody woke us, until closed."""
        while not self._closed:
            yield self.read(self.turn_seconds)

    @property
    def wake_descriptor(self) -> int:
        """Where a written byte wakes a read, as for signal.set_wakeup_fd."""
        return self._alarm

    @property
    def numbers(self) -> dict[str, int]:
        """The last frame numbers by interface, for a later run to go on from."""
        return {**self._numbers, **{name: tap.walk.number for name, tap in self._taps.items()}}

    def is_quiet(self) -> bool:
        """Tell whether nothing waits to be read."""
        return not any(
            tap.is_ready(ahead=1 if tap is self._held else 0) for tap in self._taps.values()
        )

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        """Return the next frames, or None after the timeout or when somebody woke us."""
        if self._closed:
            raise CaptureError("the ring is closed")
        self._release()
        deadline = time.monotonic() + timeout_seconds
        while True:
            now = time.monotonic()
            if now >= self._next_look:
                self._next_look = now + LOOK_SECONDS
                for tap in self._taps.values():
                    self._look(tap)
            oldest = self._find_oldest()
            if oldest is None:
                if self._wait(min(deadline, self._next_look) - now):
                    return None
            elif self._fill(oldest):
                return self._batch
            if time.monotonic() >= deadline:
                return None

    def wake(self) -> None:
        """Make the present read, or the next that finds no frames, return None at once.

        May be called from a signal handler or another thread.
        """
        with suppress(BlockingIOError):  # full: somebody is awake already
            os.write(self._alarm, b"\0")

    def counters(self) -> list[InterfaceCounters]:
        """Return what was seen and lost so far, by interface."""
        return [tap.counters() for tap in self._taps.values()]

    def take_changes(self) -> list[InterfaceChange]:
        """Return what has happened to interfaces since this was asked last."""
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def rebind(self, interfaces: Sequence[str], programs: Programs | None) -> None:
        """Go on with these interfaces and this filter; what stays loses no frame.

        A filter can be replaced and an interface given up without any privilege; one that is
        new needs CAP_NET_RAW. After a CaptureError everything is as it was.
        """
        self._release()
        names = _once(interfaces)
        kept = [tap for name, tap in self._taps.items() if name in names]
        fresh = self._open_all([name for name in names if name not in self._taps], programs)
        try:
            for tap in kept:
                tap.attach(programs)
        except CaptureError:
            for tap in kept:
                tap.attach(self._programs)
            for tap in fresh:
                tap.close()
            raise
        self._programs = programs
        for name in [name for name in self._taps if name not in names]:
            self._give_up(self._taps.pop(name))
        self._take_up(fresh)

    def close(self) -> None:
        """Give up all interfaces; batches are no longer valid."""
        if self._closed:
            return
        self._closed = True
        self._release()
        for tap in self._taps.values():
            self._give_up(tap)
        self._taps.clear()
        os.close(self._awake)
        os.close(self._alarm)

    def _open_all(self, names: Sequence[str], programs: Programs | None) -> list[Tap]:
        """Open interfaces; if one fails, none stays open."""
        taps: list[Tap] = []
        try:
            for name in names:
                taps.append(Tap(name, self._options, self._numbers.get(name, 0)))
                if not taps[-1].bind(programs):
                    self._allow_missing(name)
        except BaseException:
            for tap in taps:
                tap.close()
            raise
        return taps

    def _allow_missing(self, name: str) -> None:
        if not self._options.may_be_missing:
            there = ", ".join(load_names(self._options.sysfs))
            raise CaptureError(f"{name}: there is no such interface; there are {there}")

    def _take_up(self, taps: Sequence[Tap]) -> None:
        for tap in taps:
            tap.walk.use_columns(self._batch)
            self._know_source(tap)
            self._taps[tap.interface] = tap
            self._poll.register(tap.socket.fileno(), select.POLLIN)

    def _give_up(self, tap: Tap) -> None:
        self._numbers[tap.interface] = tap.walk.number
        self._poll.unregister(tap.socket.fileno())
        tap.close()

    def _know_source(self, tap: Tap) -> None:
        """Find the source of an interface's frames, or add it: its link type may be a new one."""
        source = Source(tap.interface, tap.interface, tap.linktype, 0)
        if source not in self.sources:
            self.sources.append(source)
        tap.walk.source = self.sources.index(source)

    def _look(self, tap: Tap) -> None:
        change = tap.look(self._programs)
        if change is not None:
            self.changes_lost += len(self._changes) == MOST_CHANGES
            self._changes.append(change)
            self._know_source(tap)

    def _find_oldest(self) -> Tap | None:
        ready = [tap for tap in self._taps.values() if tap.is_ready()]
        if len(ready) < 2:
            return ready[0] if ready else None
        return min(ready, key=lambda tap: tap.walk.first_time(tap.next_block))

    def _fill(self, tap: Tap) -> bool:
        """Make the batch of a block; return False where it holds no frame for us."""
        self._held = tap
        self._batch.count = tap.walk.fill(tap.next_block)
        self._batch.buffer = tap.buffer
        if not self._batch.count:
            self._release()
        return bool(self._batch.count)

    def _release(self) -> None:
        if self._held is not None:
            self._batch.buffer = b""
            self._batch.count = 0
            self._held.release()
            self._held = None

    def _wait(self, seconds: Seconds) -> bool:
        """Wait for a block, an error or a wake; return whether it was a wake."""
        woken = False
        for descriptor, event in self._poll.poll(max(0, seconds) * 1000):
            if descriptor == self._awake:
                os.read(self._awake, WAKE_BYTES)
                woken = True
            elif event & ~select.POLLIN:
                for tap in self._taps.values():
                    if tap.socket.fileno() == descriptor:
                        self._look(tap)
        return woken


def _once(interfaces: Sequence[str]) -> list[str]:
    """Return the names in order, each once; CaptureError if they cannot be watched together."""
    names = list(dict.fromkeys(interfaces))
    if not names:
        raise CaptureError("no interface is named")
    if len(names) > MOST_INTERFACES:
        raise CaptureError(f"{len(names)} interfaces; at most {MOST_INTERFACES} can be watched")
    if "any" in names:
        raise CaptureError("any: is no interface; name those that get the mirror's frames")
    return names
