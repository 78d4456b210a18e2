"""One capture file while another program still writes it.

The same tracks read it as read any file; what differs is its end. Bytes that are not there yet
are awaited: a record cut in its middle is one that is being written, until somebody says that
the file is complete. Files are read here and never mapped, because they may be cut any time.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import TYPE_CHECKING

from egressd.capture.pcapfile import open_track
from egressd.capture.track import rows_of
from egressd.capture.windows import Window

if TYPE_CHECKING:
    from egressd.capture.batch import Batch
    from egressd.capture.track import Books, Order, Track
    from egressd.model import Bytes, Nanoseconds

READ_BYTES: Bytes = 1 << 20
HEAD_BYTES: Bytes = 512  # compared, to see whether a file was begun anew


class Waiting(Exception):  # noqa: N818 - no error: the writer is not that far
    """What is wanted next has not been written yet."""


class Overwritten(Exception):  # noqa: N818 - no error: rings do that
    """The file was begun anew under our hands."""


class GrowingWindows:
    """A file's bytes as windows; `complete` says that nothing will follow what is there."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.consumed: Bytes = 0
        self.problem: str | None = None
        self.complete = False
        self.asked: Bytes = 0  # the size that the file did not have when it was last waited for
        self._buffer = bytearray()
        self._reached: Bytes = 0
        self._head = b""

    def size(self) -> Bytes:
        """Return the file's size now."""
        return os.fstat(self.descriptor).st_size

    def has_more(self) -> bool:
        """Whether what was waited for is there; raise Overwritten if the file is another."""
        size = self.size()
        if size < self._reached:
            raise Overwritten
        return self.complete or size >= self.asked

    def window(self, offset: Bytes, least: Bytes) -> Window:
        """Return a window with `least` bytes from `offset` on, or with all of a complete file."""
        size = self.size()
        if size < self._reached or self._is_another():
            raise Overwritten
        end = min(size, offset + max(READ_BYTES, least))
        if end < offset + least and not self.complete:
            self.asked = offset + least
            raise Waiting
        try:
            data = self._read(offset, max(end - offset, 0))
        except OSError as error:
            self.problem = f"cannot be read further ({error.strerror})"
            return Window(b"", offset, last=True)
        self.consumed = self._reached = offset + len(data)
        return Window(data, offset, last=self.complete and self._reached >= size)

    def has_changed(self) -> bool:
        """Return False: the bytes are ours."""
        return False

    def close(self) -> None:
        """Give up the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _read(self, offset: Bytes, wanted: Bytes) -> memoryview:
        if len(self._buffer) < wanted:
            self._buffer = bytearray(wanted)
        view = memoryview(self._buffer)[:wanted]
        done = 0
        while done < wanted:
            count = os.preadv(self.descriptor, [view[done:]], offset + done)
            if count == 0:  # cut since we asked for its size
                raise Overwritten
            done += count
        return view

    def _is_another(self) -> bool:
        """Say whether the file's beginning is not what it was: a ring came round."""
        try:
            head = os.pread(self.descriptor, HEAD_BYTES, 0)
        except OSError:
            return False  # told when it is read
        before, self._head = self._head, head
        return not head.startswith(before)


class Lane:
    """A file that is being read, up to where it has been written."""

    def __init__(self, path: str, order: Order, books: Books, *, skip: int = 0) -> None:
        self.path = path
        self.windows = GrowingWindows(path)
        self.is_caught_up = False  # all that was written was read when we last looked
        self.frames = skip  # the number of the last one that was given out, or needs not be
        self._order = order
        self._books = books
        self._track: Track | None = None

    @property
    def time(self) -> Nanoseconds | None:
        """The time of the next frame that can be given out, if one can."""
        track = self._track
        return track.batch.time[track.next] if track is not None and self.rows else None

    @property
    def rows(self) -> int:
        """How many rows are there to be given out."""
        return self._track.end - self._track.next if self._track is not None else 0

    @property
    def is_over(self) -> bool:
        """Whether no frame will follow those that are there."""
        return self.windows.descriptor < 0

    def fill(self) -> bool:
        """Read on if nothing is left; say whether there are rows. May raise Overwritten."""
        while not self.rows and not self.is_over:
            if not self.windows.has_more():
                return False
            self.is_caught_up = False
            try:
                if not self._advance():
                    self.close()
            except Waiting:
                self.is_caught_up = True
                return False
        return self.rows > 0

    def before(self, bound: Nanoseconds) -> Batch | None:
        """Return the rows that come before `bound`, and the next one whenever it is."""
        track = self._track
        if track is None or not self.rows:
            return None
        rows = 1
        times = track.batch.time
        # The first of a run decides: a chunk is in order but for what the writer stirred.
        low, high = track.next + 1, track.end
        if high > low and times[high - 1] < bound:
            rows = self.rows
        elif high > low:
            rows = bisect_right(times, bound - 1, low, high) - track.next
        batch = rows_of(track.batch, track.next, track.next + rows)
        track.next += rows
        self.frames = batch.number[batch.count - 1]
        return batch

    def finish(self) -> None:
        """Take the file as it is now for complete."""
        self.windows.complete = True

    def close(self) -> None:
        """Give up the file; rows that are left stay until the next `fill`."""
        if self._track is not None and not self._track.closed:
            self._track.close()
        self.windows.close()

    def _advance(self) -> bool:
        if self._track is None:
            self._track = open_track(self.windows, self._order, self._books)
            if self._track is None:
                return False
        track = self._track
        try:
            there = track.advance()
        except Waiting:
            track.next = track.end = 0  # the chunk has begun, and holds nothing
            raise
        if there and track.batch.number[track.next] <= self.frames:  # read before a restart
            track.next = bisect_right(track.batch.number, self.frames, track.next, track.end)
        return there
