"""One input's frames, chunk by chunk: the part that pcap and pcapng have in common.

A track slides a window over its input, lets the compiled walk fill the columns, and
decides what to do where the walk stops: get more bytes, hand out rows, or find the
next sound record behind damage. Nothing here knows a file format; subclasses do.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.capture.batch import Batch
from egressd.capture.records import FIND_BYTES, MAX_TIME, Stop, Walk

if TYPE_CHECKING:
    from egressd.capture.damage import DamageLog, Drops, SourceList
    from egressd.capture.windows import Windows
    from egressd.model import Bytes, Nanoseconds

HEADER_BYTES = 28  # the longest header a format needs to begin with
FIRST_ROWS = 256  # of the first chunk; each next one has twice as many
HOLD_BYTES = 8 << 20  # rows that span more are not held back any longer
SEARCH_BYTES = 1 << 30  # how far behind damage a sound record is looked for


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a track."""

    rows: int  # most rows in a chunk
    hold: int = 0  # rows kept back, so that it is known how many follow a chunk
    since: Nanoseconds = -MAX_TIME - 1
    until: Nanoseconds = MAX_TIME


@dataclass(slots=True)
class Books:
    """Where a track writes down what it meets besides frames."""

    log: DamageLog
    sources: SourceList
    drops: list[Drops]


@dataclass(frozen=True, slots=True)
class Break:
    """Where an input is broken."""

    offset: Bytes
    reason: str
    otherwise: str  # what is said when nothing sound follows


class Track:
    """The frames of one input; after `advance` the rows [next, end) of `batch` are there."""

    def __init__(self, windows: Windows, order: Order, books: Books) -> None:
        self.windows = windows
        self.order = order
        self.books = books
        self.window = windows.window(0, HEADER_BYTES)
        self.walk = Walk(order.since, order.until)
        self.walk.use_window(self.window.data, self.window.start)
        self.batch = make_batch(min(FIRST_ROWS, order.rows) + order.hold)
        self.next = 0
        self.end = 0
        self.final = False  # no rows follow these
        self.closed = False
        self.crowded = False  # one of many: its chunks stay small
        self._broken: Break | None = None
        self._problem_told = False

    @property
    def file(self) -> str:
        """The input's name, as given."""
        return self.books.log.file

    @property
    def position(self) -> Bytes:
        """Where the walk stands in the input."""
        return self.walk.base + self.walk.position

    def advance(self) -> bool:
        """Go to the next chunk; False when no frames are left."""
        self._begin_chunk()
        while not self.final:
            if self._broken is not None:
                if not self._search(self._broken):
                    break
                continue
            stop = self._walk()
            if stop is Stop.FULL:
                break
            wants_bytes = stop is Stop.MORE or self._settle(stop)
            if wants_bytes and not self._slide():
                break
        self._end_chunk()
        return self.end > 0

    def close(self) -> None:
        """Give up the input."""
        self.final = True
        self.closed = True
        self.walk.use_window(b"", 0)
        self.windows.close()
        self.books.log.close()

    # What the formats differ in.

    def _walk(self) -> Stop:
        raise NotImplementedError

    def _settle(self, stop: Stop) -> bool:
        """Deal with what the walk does not; True when `walk.need` bytes are wanted for it."""
        raise NotImplementedError

    def _find(self, end: Bytes) -> bool:
        """Move the walk to the next sound record before `end` (in the window)."""
        raise NotImplementedError

    def _summary(self) -> None:
        """Tell, at the end of the input, what was only counted."""
        walk, log = self.walk, self.books.log
        if walk.short_wire:
            log.add(
                walk.first_short,
                "frames with fewer bytes on the wire than captured were taken to have "
                f"as many: {walk.short_wire}",
                lost=False,
            )
        if walk.clamped:
            log.add(0, f"frames with a time after the year 2262: {walk.clamped}", lost=False)
        if walk.no_room:
            log.add(0, f"frames of interfaces beyond the first 65536 were skipped: {walk.no_room}")

    # Chunks.

    def _begin_chunk(self) -> None:
        """Move the rows held back to the front; have more rows if all were used."""
        walk, batch = self.walk, self.batch
        held = walk.row - self.end
        size = min(2 * len(batch.offset), self.order.rows + self.order.hold)
        if walk.row == walk.limit and not self.crowded and size > len(batch.offset):
            self.batch = make_batch(size)
        for new, old in zip(columns_of(self.batch), columns_of(batch), strict=True):
            for row in range(held):
                new[row] = old[self.end + row]
        walk.use_columns(self.batch)
        walk.row = held
        walk.limit = len(self.batch.offset)
        if self.windows.has_changed() and not self.final:
            self._move_window(max(1, walk.need))

    def _end_chunk(self) -> None:
        """Say which rows are there, and keep some back if there may be more to come."""
        walk = self.walk
        give_all = self.final or self._broken is not None or self._holds_much()
        self.next = 0
        self.end = walk.row if give_all else max(0, walk.row - self.order.hold)
        self.batch.buffer = self.window.data
        self.batch.count = self.end

    def _holds_much(self) -> bool:
        walk = self.walk
        return walk.row > 0 and walk.position - self.batch.offset[0] > HOLD_BYTES

    # Windows.

    def _slide(self) -> bool:
        """Get the bytes the walk wants; False when rows must be handed out before."""
        walk = self.walk
        if self.window.last:
            self._finish()
            return True
        if walk.row > self.order.hold or self._holds_much():
            return False
        self._move_window(walk.need)
        return True

    def _move_window(self, need: Bytes) -> None:
        """Have a window with the rows of this chunk and `need` bytes behind them."""
        walk = self.walk
        position = self.position
        keep = walk.base + self.batch.offset[0] if walk.row else position
        window = self.windows.window(keep, position - keep + need)
        shift = walk.base - window.start
        offset = self.batch.offset
        for row in range(walk.row):
            offset[row] += shift
        self.window = window
        walk.use_window(window.data, window.start)
        walk.position = position - window.start

    # Ends and damage.

    def _finish(self) -> None:
        """Come to the end of the bytes: of the input, or in the middle of a record."""
        left = self._left()
        if self.windows.problem is not None and not self._problem_told:
            self._problem_told = True
            self.books.log.add(self.position + left, f"{self.windows.problem}; the rest is lost")
        if left == 0:
            self._conclude()
            return
        reason = f"the last record is cut, {left} of {self.walk.need} bytes are there"
        self._broken = Break(self.position, reason, "it was left out")
        self.walk.position += 1

    def _break(self, reason: str) -> None:
        """Note damage at the walk's position; what is sound behind it is looked for next."""
        self._broken = Break(self.position, reason, "nothing behind it was read")
        self.walk.position += 1

    def _search(self, broken: Break) -> bool:
        """Go on behind damage, or end the track; False when rows must be handed out before."""
        while True:
            if self._left() < 2 * FIND_BYTES and not self.window.last:
                if self.walk.row:
                    return False
                self._move_window(2 * FIND_BYTES)
            end = self.walk.position + self._left()
            if not self.window.last:
                end -= FIND_BYTES
            if self._find(end):
                skipped = self.position - broken.offset
                consequence = f"{skipped} bytes up to the next sound record were skipped"
                break
            self.walk.position = end
            if self.window.last or self.position - broken.offset > SEARCH_BYTES:
                consequence = broken.otherwise
                self._conclude()
                break
        self.books.log.add(broken.offset, f"{broken.reason}; {consequence}")
        self._broken = None
        return True

    def _left(self) -> Bytes:
        """Bytes of the window from the walk's position on."""
        return max(0, len(self.window.data) - self.walk.position)

    def _conclude(self) -> None:
        self._summary()
        self.final = True


def make_batch(rows: int) -> Batch:
    """Return an empty batch with room for some rows."""

    def column(code: str) -> array[int]:
        return array(code, bytes(array(code).itemsize * rows))

    return Batch(
        b"", 0, column("q"), column("I"), column("I"), column("q"), column("H"), column("Q")
    )


def columns_of(batch: Batch) -> tuple[array[int], ...]:
    """Return the columns of a batch."""
    return (batch.offset, batch.captured, batch.wire, batch.time, batch.source, batch.number)


def rows_of(batch: Batch, start: int, end: int) -> Batch:
    """Return some rows of a batch as a batch of their own, over the same buffer."""
    if start == 0:
        batch.count = end
        return batch
    return Batch(batch.buffer, end - start, *(column[start:end] for column in columns_of(batch)))
