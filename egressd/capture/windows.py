"""Bytes of an input as windows that slide: mapped from a file, or filled from a stream.

A window is contiguous memory that starts somewhere in the input. Who walks over it
asks for the next one, telling which bytes must be in it; memory stays flat whatever
the size of the input.

A mapped file that is cut while it is looked at kills the process with SIGBUS, and no
code can catch that. So the size is checked before each window and each batch, the end
of a file (where files are cut) is read rather than mapped, and a file whose size
changes is only read from then on. A file cut by more than a window in the moment
between check and look remains.
"""

from __future__ import annotations

import mmap
import os
import select
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]  # there from 3.12 on

    from egressd.capture.compressed import Bytestream
    from egressd.model import Bytes

WINDOW_BYTES = 16 << 20
READ_BYTES = 1 << 20  # at a time, where a file is read rather than mapped
FIRST_BYTES = 1 << 15  # what a buffer begins with; it grows while there is more to read
STREAM_BYTES = 4 << 20  # what it grows to
MAX_DESCRIPTORS = 128
MAX_MAPPED = 64  # inputs that may hold a mapping, which holds a descriptor of its own


@dataclass(slots=True)
class Window:
    """Some bytes of an input."""

    data: Buffer
    start: Bytes  # where in the input they begin
    last: bool  # nothing follows them


class Windows(Protocol):
    """An input, to be looked at from its beginning to its end."""

    @property
    def consumed(self) -> Bytes:
        """Bytes of the input on disk that were read."""

    @property
    def problem(self) -> str | None:
        """Why it ended before its end."""

    def window(self, offset: Bytes, least: Bytes) -> Window:
        """Return a window with `least` bytes from `offset` on, or with all there are."""

    def has_changed(self) -> bool:
        """Whether the last window must be asked for again before it is looked at."""

    def close(self) -> None:
        """Give up the input."""


class Descriptors:
    """Open files, the one used longest ago closed when there are too many."""

    def __init__(self) -> None:
        self.open: OrderedDict[str, int] = OrderedDict()
        self.identity: dict[str, tuple[int, int]] = {}
        self.mapped = 0

    def descriptor(self, path: str) -> int:
        """Return an open descriptor of the file; raise OSError if there is none, or another."""
        if path in self.open:
            self.open.move_to_end(path)
            return self.open[path]
        while len(self.open) >= MAX_DESCRIPTORS:
            os.close(self.open.popitem(last=False)[1])
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.open[path] = descriptor
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if self.identity.setdefault(path, identity) != identity:
            raise OSError(0, "another file has taken its place")
        return descriptor

    def close(self, path: str) -> None:
        """Forget a file."""
        self.identity.pop(path, None)
        if path in self.open:
            os.close(self.open.pop(path))

    def close_all(self) -> None:
        """Forget all files."""
        for path in list(self.open):
            self.close(path)


class FileWindows:
    """A plain file, mapped where that is safe."""

    def __init__(self, path: str, descriptors: Descriptors, window_bytes: Bytes) -> None:
        self.path = path
        self.descriptors = descriptors
        self.window_bytes = window_bytes
        self.consumed = 0
        self.problem: str | None = None
        self.size = os.fstat(descriptors.descriptor(path)).st_size
        self.changed = False
        self.mapped = False
        self.reads = FIRST_BYTES
        self.buffer = bytearray()

    def window(self, offset: Bytes, least: Bytes) -> Window:
        """Return a window with `least` bytes from `offset` on, or with all there are."""
        try:
            return self._window(offset, least)
        except (OSError, ValueError) as error:
            self.problem = f"cannot be read further ({error})"
            return Window(b"", offset, last=True)

    def has_changed(self) -> bool:
        """Whether the file is no longer of the size it had, which makes mappings unsafe."""
        if not self.mapped:
            return False
        try:
            size = os.fstat(self.descriptors.descriptor(self.path)).st_size
        except OSError:
            return True
        return size != self.size

    def close(self) -> None:
        """Give up the file; windows that somebody still holds stay what they are."""
        self._leave_mapping()
        self.descriptors.close(self.path)

    def _window(self, offset: Bytes, least: Bytes) -> Window:
        descriptor = self.descriptors.descriptor(self.path)
        size = os.fstat(descriptor).st_size
        if size != self.size:
            self.changed = True
            if size < self.size:
                self.problem = f"was cut from {self.size} to {size} bytes while it was read"
            self.size = size
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        end = min(size, max(start + self.window_bytes, offset + least))
        self.consumed = max(self.consumed, min(offset, size))
        if end <= offset:
            self.consumed = size
            return Window(b"", offset, last=True)
        if self.changed or end == size or not self._may_map():
            self._leave_mapping()
            if self.descriptors.mapped < MAX_MAPPED:
                self.reads = min(2 * self.reads, READ_BYTES)
            end = min(end, offset + max(self.reads, least))
            return self._read(descriptor, offset, end, last=end == size)
        data = mmap.mmap(descriptor, end - start, prot=mmap.PROT_READ, offset=start)
        data.madvise(mmap.MADV_WILLNEED)
        return Window(data, start, last=False)

    def _read(self, descriptor: int, offset: Bytes, end: Bytes, *, last: bool) -> Window:
        wanted = end - offset
        if len(self.buffer) < wanted:
            self.buffer = bytearray(wanted)
        view = memoryview(self.buffer)
        done = 0
        while done < wanted:
            count = os.preadv(descriptor, [view[done:wanted]], offset + done)
            if count == 0:  # cut since we asked for its size
                last = True
                break
            done += count
        self.consumed = offset + done
        return Window(view[:done], offset, last)

    def _may_map(self) -> bool:
        if not self.mapped and self.descriptors.mapped < MAX_MAPPED:
            self.mapped = True
            self.descriptors.mapped += 1
        return self.mapped

    def _leave_mapping(self) -> None:
        if self.mapped:
            self.mapped = False
            self.descriptors.mapped -= 1


class StreamWindows:
    """A stream, in one buffer whose contents move to its front with each window."""

    def __init__(self, stream: Bytestream, window_bytes: Bytes) -> None:
        self.stream = stream
        self.most = min(window_bytes, STREAM_BYTES)
        self.buffer = memoryview(bytearray(min(FIRST_BYTES, self.most)))
        self.start = 0
        self.filled = 0
        self.spare = b""  # read, and there was no room
        self.ended = False

    @property
    def consumed(self) -> Bytes:
        """Bytes of the input on disk that were read."""
        return self.stream.consumed

    @property
    def problem(self) -> str | None:
        """Why the stream ended before its end."""
        return self.stream.problem

    def has_changed(self) -> bool:
        """Return False: the bytes are ours."""
        return False

    def close(self) -> None:
        """Give up the stream."""
        self.stream.close()

    def window(self, offset: Bytes, least: Bytes) -> Window:
        """Return a window with `least` bytes from `offset` on, or with all there are."""
        kept = self.buffer[offset - self.start : self.filled]
        self.filled = len(kept)
        if least > len(self.buffer) or len(kept) > len(self.buffer) // 2:
            self._grow(kept, least)
        else:
            self.buffer[: self.filled] = kept
        self.start = offset
        while not self.ended and self._wants_more(least):
            data = self.spare or self.stream.read(len(self.buffer) - self.filled)
            here = min(len(data), len(self.buffer) - self.filled)
            self.buffer[self.filled : self.filled + here] = data[:here]
            self.spare = data[here:]
            self.filled += here
            self.ended = not data
        if self.filled == len(self.buffer) and len(self.buffer) < self.most:
            self._grow(self.buffer, 0)
        return Window(self.buffer[: self.filled], offset, self.ended)

    def _wants_more(self, least: Bytes) -> bool:
        if self.filled < least:
            return True
        return self.filled < len(self.buffer) and (bool(self.spare) or self.stream.is_ready())

    def _grow(self, kept: memoryview, least: Bytes) -> None:
        size = max(least, min(4 * len(self.buffer), self.most), len(kept) + 1)
        buffer = memoryview(bytearray(size))
        buffer[: len(kept)] = kept
        self.buffer = buffer


class FileStream:
    """A file's bytes in order; of a regular file the descriptor may be closed meanwhile."""

    def __init__(self, path: str, descriptors: Descriptors) -> None:
        self.path = path
        self.descriptors = descriptors
        self.consumed = 0
        self.problem: str | None = None

    def read(self, limit: Bytes) -> bytes:
        """Return some bytes, or none at the end."""
        try:
            data = os.pread(self.descriptors.descriptor(self.path), limit, self.consumed)
        except OSError as error:
            self.problem = f"cannot be read further ({error})"
            return b""
        self.consumed += len(data)
        return data

    def is_ready(self) -> bool:
        """Return True: a file has no writer to wait for."""
        return True

    def close(self) -> None:
        """Give up the file."""
        self.descriptors.close(self.path)


class PipeStream:
    """A pipe's bytes as they come."""

    def __init__(self, descriptor: int, *, ours: bool) -> None:
        self.descriptor = descriptor
        self.ours = ours
        self.consumed = 0
        self.problem: str | None = None
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLIN)

    def read(self, limit: Bytes) -> bytes:
        """Return some bytes, or none at the end."""
        try:
            data = os.read(self.descriptor, limit)
        except OSError as error:
            self.problem = f"cannot be read further ({error})"
            return b""
        self.consumed += len(data)
        return data

    def is_ready(self) -> bool:
        """Whether a read would not wait for the writer."""
        return bool(self.poll.poll(0))

    def close(self) -> None:
        """Close it, if we opened it."""
        if self.ours:
            os.close(self.descriptor)
            self.ours = False


class Prefixed:
    """A stream of which the beginning was read already."""

    def __init__(self, head: bytes, rest: Bytestream) -> None:
        self.head = head
        self.rest = rest

    @property
    def consumed(self) -> Bytes:
        """Bytes of the input that were given out."""
        return self.rest.consumed - len(self.head)

    @property
    def problem(self) -> str | None:
        """Why the stream ended before its end."""
        return self.rest.problem

    def read(self, limit: Bytes) -> bytes:
        """Return some bytes, or none at the end."""
        if self.head:
            data, self.head = self.head[:limit], self.head[limit:]
            return data
        return self.rest.read(limit)

    def is_ready(self) -> bool:
        """Whether a read would not wait for a writer."""
        return bool(self.head) or self.rest.is_ready()

    def close(self) -> None:
        """Give up the input."""
        self.rest.close()


class HeadStream:
    """The beginning of an input, already in memory, as if it were all there is."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.consumed = 0
        self.problem: str | None = None

    def read(self, limit: Bytes) -> bytes:
        """Return some bytes, or none at the end."""
        data = self.head[self.consumed : self.consumed + limit]
        self.consumed += len(data)
        return data

    def is_ready(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Nothing to give up."""


def open_pipe(path: str) -> PipeStream:
    """Open standard input (`-`) or a named pipe."""
    if path == "-":
        return PipeStream(0, ours=False)
    return PipeStream(os.open(path, os.O_RDONLY | os.O_CLOEXEC), ours=True)
