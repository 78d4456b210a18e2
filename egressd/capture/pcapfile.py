"""Capture files, folders of them and standard input, as batches.

`open_captures` finds the inputs and looks at their beginnings; the CaptureReader it
returns opens them when they are due, merges them by time and keeps the books: damage,
drops, sources, progress. A file that is damaged, empty or no capture is damage and no
error; a path that cannot be opened is an error, before anything is read.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from egressd.capture.batch import BATCH_FRAMES
from egressd.capture.compressed import MAGIC_BYTES, Compression, Expanded, find_compression
from egressd.capture.damage import DamageLog, SourceList
from egressd.capture.merge import TAIL_FRAMES, Entry, Merge, has_rows
from egressd.capture.pcap import PcapTrack, is_pcap
from egressd.capture.pcapng import SECTION_MAGIC, PcapngTrack
from egressd.capture.records import MAX_TIME
from egressd.capture.track import HEADER_BYTES, Books, Order
from egressd.capture.windows import (
    WINDOW_BYTES,
    Descriptors,
    FileStream,
    FileWindows,
    HeadStream,
    Prefixed,
    StreamWindows,
    open_pipe,
)
from egressd.model import CaptureError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from egressd.capture.batch import Batch, Source
    from egressd.capture.compressed import Bytestream
    from egressd.capture.damage import Damage, Drops
    from egressd.capture.track import Track
    from egressd.capture.windows import Windows
    from egressd.model import Bytes, Nanoseconds

HEAD_BYTES = 1 << 16  # looked at to see what a file is and when it begins
UNKNOWN = -MAX_TIME - 1


@dataclass(slots=True)
class Input:
    """One input: a file, or a pipe that can be read only once."""

    name: str  # as given, or found in a folder as given
    size: Bytes = 0
    pipe: bool = False
    compression: Compression | None = None
    first: Nanoseconds = UNKNOWN
    consumed: Bytes = 0
    outside: int = 0  # frames not between since and until


def open_captures(
    paths: Sequence[str],
    *,
    since: Nanoseconds | None = None,
    until: Nanoseconds | None = None,
    batch_frames: int = BATCH_FRAMES,
    window_bytes: Bytes = WINDOW_BYTES,
) -> CaptureReader:
    """Return a reader of files, folders and standard input (`-`).

    Frames before `since`, and those at `until` and after, are numbered but not given out.
    Raise CaptureError if a path does not exist or cannot be opened.
    """
    reader = CaptureReader(
        Order(
            rows=max(1, batch_frames),
            since=UNKNOWN if since is None else within_clock(since),
            until=MAX_TIME if until is None else within_clock(until),
        ),
        max(1, window_bytes),
    )
    try:
        for path in paths:
            reader.add(path)
    except BaseException:
        reader.close()
        raise
    return reader


class CaptureReader:
    """An iterator of batches, each valid until the next one is asked for."""

    def __init__(self, order: Order, window_bytes: Bytes) -> None:
        self.damage: list[Damage] = []
        self.drops: list[Drops] = []  # one of each interface that told, as last told
        self.skipped: list[str] = []  # files in folders that are no captures
        self.repeated: list[str] = []  # files given before, perhaps by another name
        self.inputs: list[Input] = []
        self.frames = 0  # given out
        self._order = order
        self._window_bytes = window_bytes
        self._sources = SourceList()
        self._descriptors = Descriptors()
        self._known: set[tuple[int, int]] = set()  # device and inode of the inputs
        self._running: dict[int, Track] = {}  # by index of the input
        self._batches = self._read()

    @property
    def sources(self) -> list[Source]:
        """The interfaces met so far; `Batch.source` is an index into it."""
        return self._sources.sources

    @property
    def bytes_total(self) -> Bytes | None:
        """Size of all inputs on disk, or None if one of them is a pipe."""
        if any(entry.pipe for entry in self.inputs):
            return None
        return sum(entry.size for entry in self.inputs)

    @property
    def bytes_read(self) -> Bytes:
        """Bytes of the inputs that were read so far, as they are on disk."""
        self._keep_books()
        return sum(entry.consumed for entry in self.inputs)

    @property
    def outside(self) -> int:
        """Frames met so far that were not given out: not between since and until."""
        self._keep_books()
        return sum(entry.outside for entry in self.inputs)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        batch = next(self._batches)
        self._keep_books()
        self.frames += batch.count
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up all inputs; batches are no longer valid."""
        self._batches.close()
        for track in self._running.values():
            track.close()
        self._keep_books()
        self._descriptors.close_all()

    def add(self, path: str) -> None:
        """Add a file, a folder or standard input; raise CaptureError if it cannot be opened."""
        if path == "-":
            if any(entry.name == "-" for entry in self.inputs):
                raise CaptureError("-: standard input can be read only once")
            self.inputs.append(Input("-", pipe=True))
            return
        try:
            status = Path(path).stat()
            if stat.S_ISDIR(status.st_mode):
                os.scandir(path).close()
                self._add_folder(path)
            elif stat.S_ISREG(status.st_mode):
                self._add_file(path, found=False)
            elif stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
                if not os.access(path, os.R_OK):
                    raise CaptureError(f"{path}: Permission denied")
                if self._is_new(path, status):
                    self.inputs.append(Input(path, pipe=True))
            else:
                raise CaptureError(f"{path}: neither a file, a folder nor a pipe")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CaptureError(f"{path}: {reason}") from error

    def _add_folder(self, path: str) -> None:
        """Add the captures in a folder and in those below it, sorted by path."""

        def note(error: OSError) -> None:
            log = DamageLog(str(error.filename), self.damage)
            log.add(0, f"the folder cannot be read ({error.strerror})")

        found = []
        before = len(self.inputs) + len(self.damage) + len(self.repeated)
        for folder, _, names in os.walk(path, onerror=note):
            found += [os.path.join(folder, name) for name in names]  # noqa: PTH118  # as given
        for name in sorted(found, key=lambda name: Path(name).parts):
            try:
                if stat.S_ISREG(Path(name).stat().st_mode):
                    self._add_file(name, found=True)
                else:
                    self.skipped.append(name)
            except OSError as error:
                DamageLog(name, self.damage).add(0, f"cannot be opened ({error.strerror})")
        if before == len(self.inputs) + len(self.damage) + len(self.repeated):
            DamageLog(path, self.damage).add(0, "there is no capture in this folder")

    def _add_file(self, path: str, *, found: bool) -> None:
        """Look at a file's beginning; one `found` in a folder is skipped if it is no capture."""
        status = Path(path).stat()
        entry = Input(path, size=status.st_size)
        head = self._look_at(entry)
        # A compressed file whose beginning does not expand may be a capture, so it is no skip.
        if found and not is_capture(head) and (head or entry.compression is None):
            self.skipped.append(path)
        elif self._is_new(path, status):
            self.inputs.append(entry)

    def _is_new(self, path: str, status: os.stat_result) -> bool:
        """Whether an input was not given before; one that was is noted, and read once."""
        identity = (status.st_dev, status.st_ino)
        if identity in self._known:
            self.repeated.append(path)
            return False
        self._known.add(identity)
        return True

    def _look_at(self, entry: Input) -> bytes:
        """Find out compression and first time; return the beginning of what is inside."""
        stream: Bytestream = FileStream(entry.name, self._descriptors)
        self._descriptors.descriptor(entry.name)  # raises, where reading would only note
        head = stream.read(HEAD_BYTES)
        stream.close()
        entry.compression = find_compression(head)
        whole = len(head) == entry.size
        if entry.compression:
            expanded = Expanded(HeadStream(head), entry.compression)
            head = expanded.read(HEAD_BYTES)
            whole = False
        entry.first = first_time(head, whole=whole)
        return head

    # Reading.

    def _read(self) -> Generator[Batch]:
        if len(self.inputs) != 1:
            order = replace(self._order, hold=TAIL_FRAMES)
            yield from Merge(
                [
                    Entry(entry.first, index, partial(self._open, index, order))
                    for index, entry in enumerate(self.inputs)
                ],
                order.rows,
            )
            return
        track = self._open(0, self._order)
        while track is not None and has_rows(track):
            yield track.batch

    def _open(self, index: int, order: Order) -> Track | None:
        """Begin to read an input; what keeps us from it is damage."""
        entry = self.inputs[index]
        books = Books(DamageLog(entry.name, self.damage), self._sources, self.drops)
        try:
            windows = self._windows(entry)
        except OSError as error:
            books.log.add(0, f"cannot be opened any more ({error.strerror})")
            return None
        track = open_track(windows, order, books)
        if track is not None:
            self._running[index] = track
        return track

    def _windows(self, entry: Input) -> Windows:
        """Return the bytes of an input, expanded if they are compressed."""
        if entry.pipe:
            pipe = open_pipe(entry.name)
            head = b""
            while len(head) < MAGIC_BYTES and (more := pipe.read(MAGIC_BYTES)):
                head += more
            entry.compression = find_compression(head)
            stream: Bytestream = Prefixed(head, pipe)
        elif entry.compression is None:
            return FileWindows(entry.name, self._descriptors, self._window_bytes)
        else:
            stream = FileStream(entry.name, self._descriptors)
        if entry.compression is not None:
            stream = Expanded(stream, entry.compression)
        return StreamWindows(stream, self._window_bytes)

    def _keep_books(self) -> None:
        """Note how far the running tracks are, and forget those that ended."""
        for index, track in list(self._running.items()):
            self.inputs[index].consumed = track.windows.consumed
            self.inputs[index].outside = track.walk.outside
            if track.closed:
                del self._running[index]


def within_clock(moment: Nanoseconds) -> Nanoseconds:
    """Return the moment nearest to this one that a frame's time can be compared with."""
    return max(UNKNOWN, min(moment, MAX_TIME))


def is_capture(head: bytes) -> bool:
    """Whether data that begin like this are a capture."""
    return head.startswith(SECTION_MAGIC) or is_pcap(head)


def open_track(windows: Windows, order: Order, books: Books) -> Track | None:
    """Return the track that reads what the windows show, or None, noting that none does."""
    head = bytes(memoryview(windows.window(0, HEADER_BYTES).data)[:HEADER_BYTES])
    if head.startswith(SECTION_MAGIC):
        return PcapngTrack(windows, order, books)
    if is_pcap(head):
        return PcapTrack(windows, order, books)
    reason = "not a capture (no pcap or pcapng magic number)" if head else "the input is empty"
    books.log.add(0, windows.problem or reason)
    windows.close()
    return None


def first_time(head: bytes, *, whole: bool) -> Nanoseconds:
    """Return the time of the first frame in the beginning of a capture, or UNKNOWN."""
    damage: list[Damage] = []
    books = Books(DamageLog("", damage), SourceList(), [])
    windows = StreamWindows(HeadStream(head), len(head) + 1)
    track = open_track(windows, Order(rows=1), books)
    if track is None or not track.advance():
        return UNKNOWN
    if not whole and any(entry.lost for entry in damage):
        return UNKNOWN
    return track.batch.time[0]
