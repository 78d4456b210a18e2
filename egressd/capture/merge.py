"""Several inputs become one, ordered by the frames' times.

The input whose next frame is the earliest goes next (ties: the order of the paths),
and frames of one input never change places, as mergecap has it. Inputs are opened when
their first frame is due. Where one input runs alone its batches pass through as they
are; only where inputs overlap are frames copied.

A capture that was split while it was written may have frames a little out of order
across the cut. So an input waits for one that is about to end: one with at most
TAIL_FRAMES frames left, all of them before or just after the new one's first.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from egressd.capture.records import MAX_TIME, Lanes, Weave, run_length
from egressd.capture.track import make_batch, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from egressd.capture.batch import Batch
    from egressd.capture.track import Track
    from egressd.model import Nanoseconds

TAIL_FRAMES = 16
TAIL_NANOSECONDS = 1_000_000
PASS_FRAMES = 256  # a run of at least so many is passed on as it is
CROWD = 16  # inputs that overlap; more get small buffers
WOVEN_BYTES = 2 << 20  # any frame fits

Turn = tuple["Nanoseconds", int]  # a frame's time, and its input's order
NEVER: Turn = (MAX_TIME, 1 << 62)


@dataclass(order=True, slots=True)
class Entry:
    """An input that waits for its turn."""

    first: Nanoseconds  # its first frame's time, or the earliest of all where it is not known
    order: int  # among the inputs
    open: Callable[[], Track | None] = field(compare=False)


@dataclass(slots=True)
class Lane:
    """An input whose frames are being given out."""

    track: Track
    order: int

    @property
    def turn(self) -> Turn:
        """When it is due: the time of its next frame, then its order."""
        return self.track.batch.time[self.track.next], self.order

    @property
    def left(self) -> int:
        """Rows of the chunk that are still to be given out."""
        return self.track.end - self.track.next

    def ends_by(self, time: Nanoseconds) -> bool:
        """Whether few frames are left, and none is later than this."""
        track = self.track
        if not track.final or self.left > TAIL_FRAMES:
            return False
        return max(track.batch.time[track.next : track.end]) <= time

    def pass_on(self, rows: int) -> Batch:
        """Return the next rows as a batch over the track's own buffer."""
        start = self.track.next
        self.track.next += rows
        return rows_of(self.track.batch, start, start + rows)


class Merge:
    """The inputs that wait, the lanes that run, and the batch that is being woven."""

    def __init__(self, entries: Iterable[Entry], batch_frames: int) -> None:
        self.waiting = list(entries)
        heapq.heapify(self.waiting)
        self.lanes: list[Lane] = []  # by order
        self.batch_frames = batch_frames
        self.woven = make_batch(0)
        self.weave: Weave | None = None  # made when inputs overlap

    def __iter__(self) -> Iterator[Batch]:
        while self.waiting or self.lanes:
            bound = self._bound()
            if bound is None:
                self._start()
            else:
                yield from self._advance(bound)
                self.lanes = [lane for lane in self.lanes if lane.left or has_rows(lane.track)]
        yield from self._flush()

    def close(self) -> None:
        """Give up all inputs."""
        for lane in self.lanes:
            lane.track.close()
        self.lanes = []
        self.waiting = []

    def _bound(self) -> Turn | None:
        """Return when the next waiting input is due, or None if it is due now."""
        if not self.waiting:
            return NEVER
        entry = self.waiting[0]
        turn = (entry.first, entry.order)
        if self.lanes and turn > min(lane.turn for lane in self.lanes):
            return turn
        by = entry.first + TAIL_NANOSECONDS
        return NEVER if any(lane.ends_by(by) for lane in self.lanes) else None

    def _start(self) -> None:
        """Open the next waiting input."""
        entry = heapq.heappop(self.waiting)
        track = entry.open()
        if track is not None and has_rows(track):
            track.crowded = len(self.lanes) >= CROWD
            self.lanes.append(Lane(track, entry.order))
            self.lanes.sort(key=lambda lane: lane.order)

    def _advance(self, bound: Turn) -> Iterator[Batch]:
        """Give out frames from before the bound."""
        first = min(self.lanes, key=lambda lane: lane.turn)
        time, order = min([bound, *(lane.turn for lane in self.lanes if lane is not first)])
        if first.order < order and time < MAX_TIME:
            time += 1  # of equal times, ours come first
        track = first.track
        run = run_length(track.batch.time, track.next, track.end, time)
        if len(self.lanes) == 1 or run >= PASS_FRAMES:
            yield from self._flush()
            yield first.pass_on(min(run, self.batch_frames))
        else:
            yield from self._weave(bound)

    def _weave(self, bound: Turn) -> Iterator[Batch]:
        """Copy frames of all lanes in order, until the bound, or until a lane has no more."""
        if self.weave is None:
            self.woven = make_batch(self.batch_frames)
            self.woven.buffer = bytearray(WOVEN_BYTES)
            self.weave = Weave(self.woven, self.woven.buffer)
        lanes = Lanes()
        for lane in self.lanes:
            track = lane.track
            end = min(track.end, track.next + self.batch_frames)
            lanes.add(track.batch, slice(track.next, end), lane.order)
        self.weave.know_lanes(lanes)
        if self.weave.plan(*bound) == 0:
            yield from self._flush()
            return
        for number, lane in enumerate(self.lanes):
            rows = lanes.cursors[number] - lanes.start[number]
            if rows:
                self.weave.take(number, lane.track.batch, lane.track.next)
                lane.track.next += rows
        if self.weave.rows == self.batch_frames:
            yield from self._flush()

    def _flush(self) -> Iterator[Batch]:
        """Give out what was woven."""
        if self.weave is not None and self.weave.rows:
            self.woven.count = self.weave.rows
            yield self.woven
            self.weave.clear()


def has_rows(track: Track) -> bool:
    """Go to the track's next chunk, or close it and say that there is none."""
    if track.advance():
        return True
    track.close()
    return False
