"""A folder that tcpdump or dumpcap rings into, as batches while it fills.

Files are read in the order of their first frames, each as far as it has been written; where
several grow at once, their frames are merged to within `SLACK` as those of several rings are.
A file is known by its inode and the time of its first frame, so that a rename changes nothing
and a ring that comes round is a new file. `places` says how far each was read; given back after a
restart, no frame is read twice.

Compressed files are left alone: `tcpdump -z` makes them of files that were read already.
"""

from __future__ import annotations

import heapq
import os
import select
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Self

from egressd.capture.batch import BATCH_FRAMES
from egressd.capture.compressed import find_compression
from egressd.capture.damage import MAX_SOURCES, Damage, DamageLog, SourceList
from egressd.capture.growing import Lane, Overwritten
from egressd.capture.pcapfile import HEAD_BYTES, UNKNOWN, first_time, is_capture
from egressd.capture.track import Books, Order
from egressd.model import CaptureError
from egressd.state import FilePlace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from egressd.capture.batch import Batch, Source
    from egressd.capture.damage import Drops
    from egressd.model import Bytes, Nanoseconds, Seconds

POLL: Seconds = 0.2
FILES_A_SECOND = 4_000  # looked at; a folder with more is looked at less often
SLACK: Nanoseconds = 100_000_000  # what the order of frames of two files may differ from time's
SETTLED: Nanoseconds = 60_000_000_000  # written to so much longer ago than another: complete
MAXIMUM_FILES = 65_536
MAXIMUM_LANES = 128
MAXIMUM_DAMAGE = 1_000  # kept until somebody takes it
MASK = (1 << 63) - 1  # what a row of the state can hold of an inode's number

Key = tuple[int, int]  # device and inode


@dataclass(slots=True)
class FollowCounters:
    """What happened in the folder since the start."""

    files: int = 0  # begun
    frames: int = 0  # given out
    complete: int = 0  # read to their end
    missed: int = 0  # gone before they were read to their end
    skipped: int = 0  # no captures, or compressed
    unreadable: int = 0
    beyond: int = 0  # too many files in the folder
    damage: int = 0
    drops: int = 0  # frames that the captures themselves say were lost
    late: int = 0  # files that grew after they were taken for complete


@dataclass(slots=True)
class _File:
    """A file of the folder that is not read now."""

    path: str
    size: Bytes
    changed: Nanoseconds  # mtime
    first: Nanoseconds = UNKNOWN
    is_capture: bool = False
    place: FilePlace | None = None  # how far it was read


class Follow:
    """The folder; batches are valid until the next one is asked for."""

    def __init__(self, folder: Path, places: Iterable[FilePlace] = ()) -> None:
        self.folder = folder
        self.counters = FollowCounters()
        self._damage: list[Damage] = []
        self._drops: dict[Key, list[Drops]] = {}  # of the files that are being read
        self._sources = SourceList()
        self._known: dict[Key, dict[Nanoseconds, FilePlace]] = {}
        for place in places:
            if place.folder == str(folder):
                self._known.setdefault((place.device, place.inode), {})[place.first] = place
        self._files: dict[Key, _File] = {}
        self._waiting: list[tuple[Nanoseconds, str, Key]] = []  # a heap: files to be opened
        self._listed: set[Key] = set()  # those in it
        self._lanes: dict[Key, Lane] = {}
        self._changed: dict[Key, FilePlace] = {}  # not yet told by `take_places`
        self._gone: list[FilePlace] = []
        self._scan_at: Seconds = 0.0
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        try:
            self._scan()
        except OSError as error:
            self.close()
            raise CaptureError(f"{folder}: {error.strerror}") from error
        for key in [key for key in self._known if key not in self._files]:
            self._gone += self._known.pop(key).values()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sources(self) -> list[Source]:
        """The interfaces of the files read so far; `Batch.source` is an index into it."""
        return self._sources.sources

    @property
    def is_exhausted(self) -> bool:
        """Whether a new Follow should take over: soon there are no numbers for sources left."""
        return len(self._sources.sources) > MAX_SOURCES - 1_024

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        """Return the next frames, or None if there are none for so long or somebody woke us."""
        until = monotonic() + timeout_seconds
        while True:
            batch = self._next()
            left = until - monotonic()
            if batch is not None or left <= 0:
                return batch
            if self._poll.poll(1000 * min(left, POLL)):
                self._drain_wake()
                return self._next()

    def wake(self) -> None:
        """End a `read` that waits; may be called from a signal handler."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give up all files."""
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def take_damage(self) -> list[Damage]:
        """Return what was wrong with files since this was last asked."""
        taken = self._damage[:]
        self._damage.clear()  # the tracks hold this very list
        self.counters.damage += len(taken)
        return taken

    @property
    def drops(self) -> int:
        """Frames that the captures read so far say were lost."""
        return self.counters.drops + sum(_lost(drops) for drops in self._drops.values())

    def take_places(self, *, all_of_them: bool = False) -> tuple[list[FilePlace], list[FilePlace]]:
        """Return how far files were read, and which are no more, since this was last asked.

        Frames of the batch that was given out last count as read.
        """
        for key, lane in self._lanes.items():
            self._note(key, lane)
        if all_of_them:
            files = self._files.values()
            changed = [file.place for file in files if file.place is not None]
        else:
            changed = list(self._changed.values())
        self._changed = {}
        gone, self._gone = self._gone, []
        return changed, gone

    # ---- frames ------------------------------------------------------------------------------

    def _next(self) -> Batch | None:
        if monotonic() >= self._scan_at:
            self._rescan()
        while True:
            ready = [(lane.time, key) for key, lane in list(self._lanes.items()) if self._fill(key)]
            times = sorted((time, key) for time, key in ready if time is not None)
            due = self._waiting[0][0] if self._waiting else None
            if due is not None and (not times or due <= times[0][0]):
                key = heapq.heappop(self._waiting)[2]
                self._listed.discard(key)
                self._open(key)
                continue
            if not times:
                if self._scan_at:
                    return None
                self._rescan()  # a file was begun anew
                continue
            others = [time for time, _ in times[1:2]] + ([due] if due is not None else [])
            bound = min(others, default=None)
            lane = self._lanes[times[0][1]]
            batch = lane.before(MASK if bound is None else bound + SLACK)
            if batch is not None:
                self.counters.frames += batch.count
            return batch

    def _fill(self, key: Key) -> bool:
        """Read on in a file; say whether it has frames to give out."""
        lane = self._lanes[key]
        try:
            if lane.fill():
                return True
        except Overwritten:
            if self._lanes[key].is_caught_up:  # as far as we know we have read it all
                self.counters.complete += 1
                lane = self._lanes.pop(key)
                lane.close()
                self.counters.drops += _lost(self._drops.pop(key))
            else:
                self._lose(key, "begun anew by its writer")
            self._forget(key)
            self._scan_at = 0.0
            return False
        except OSError as error:
            lane = self._lanes[key]
            self._lose(key, f"cannot be read any more ({error.strerror})")
            self._note(key, lane, done=True)
            return False
        if lane.is_over:
            self._end(key)
        return False

    def _open(self, key: Key) -> None:
        """Begin to read a file."""
        file = self._files.get(key)
        if file is None:
            return
        skip = file.place.frames if file.place is not None else 0
        log = DamageLog(file.path, self._damage)
        order = Order(rows=BATCH_FRAMES)
        drops: list[Drops] = []
        try:
            lane = Lane(file.path, order, Books(log, self._sources, drops), skip=skip)
            status = os.fstat(lane.windows.descriptor)
        except OSError as error:
            self.counters.missed += 1
            log.add(0, f"cannot be opened any more ({error.strerror})")
            return
        if (status.st_dev & MASK, status.st_ino & MASK) != key:
            lane.close()  # renamed over since the folder was looked at: the next look finds it
            return
        self._lanes[key] = lane
        self._drops[key] = drops
        self.counters.files += 1
        if len(self._lanes) > MAXIMUM_LANES:
            oldest = min(self._lanes, key=lambda known: self._files[known].changed)
            self._lanes[oldest].finish()

    def _end(self, key: Key) -> None:
        """Put down that a file was read to its end."""
        lane = self._lanes.pop(key)
        self.counters.complete += 1
        self.counters.drops += _lost(self._drops.pop(key))
        self._note(key, lane, done=True)

    def _lose(self, key: Key, reason: str) -> None:
        """Give up a file whose rest cannot be read."""
        lane = self._lanes.pop(key)
        lane.close()
        self.counters.missed += 1
        self.counters.drops += _lost(self._drops.pop(key))
        DamageLog(lane.path, self._damage).add(0, f"{reason}; what was left of it is lost")

    def _note(self, key: Key, lane: Lane, *, done: bool = False) -> None:
        """Remember how far a file was read."""
        file = self._files[key]
        size = file.size if done else 0
        name = os.fsencode(lane.path.rpartition("/")[2]).decode("utf-8", "backslashreplace")
        place = FilePlace(str(self.folder), name, *key, file.first, lane.frames, size, done)
        if place != file.place:
            file.place = self._changed[key] = place

    def _drain_wake(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    # ---- the folder --------------------------------------------------------------------------

    def _rescan(self) -> None:
        try:
            self._scan()
        except OSError as error:
            self._scan_at = monotonic() + 1.0
            DamageLog(str(self.folder), self._damage).add(0, f"cannot be read ({error.strerror})")
        more = max(0, len(self._damage) - MAXIMUM_DAMAGE)
        self.counters.damage += more
        del self._damage[:more]

    def _scan(self) -> None:
        """Look what is in the folder: files that came, grew, went, or were begun anew."""
        seen: dict[Key, tuple[str, os.stat_result]] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                try:
                    if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                        continue
                    status = entry.stat(follow_symlinks=False)
                except OSError:  # gone since
                    continue
                if len(seen) >= MAXIMUM_FILES:
                    self.counters.beyond += 1
                    continue
                seen[status.st_dev & MASK, status.st_ino & MASK] = (entry.path, status)
        for key in [key for key in self._files if key not in seen]:
            self._vanished(key)
        for key, (path, status) in seen.items():
            self._look(key, path, status)
        self._settle()
        self._scan_at = monotonic() + max(POLL, len(seen) / FILES_A_SECOND)

    def _look(self, key: Key, path: str, status: os.stat_result) -> None:
        """Take a file as it is now."""
        file = self._files.get(key)
        if file is None:
            file = self._files[key] = _File(path, -1, 0)
        grown = status.st_size != file.size or status.st_mtime_ns != file.changed
        file.path, file.size, file.changed = path, status.st_size, status.st_mtime_ns
        if key in self._lanes or not grown:
            return
        self._identify(key, file)

    def _identify(self, key: Key, file: _File) -> None:
        """Find out which file this is and whether there is something to read in it."""
        try:
            with open(file.path, "rb", buffering=0) as stream:  # noqa: PTH123 - the path is text here
                head = stream.read(HEAD_BYTES) or b""
        except OSError as error:
            if file.place is None and not file.is_capture:
                self.counters.unreadable += 1
                DamageLog(file.path, self._damage).add(0, f"cannot be read ({error.strerror})")
            return
        if not is_capture(head):
            if len(head) >= 4 and not file.is_capture:
                self.counters.skipped += 1
                file.is_capture = False
                reason = "is compressed" if find_compression(head) else "is no capture"
                DamageLog(file.path, self._damage).add(0, f"{reason}; it is left out")
            return
        file.is_capture = True
        first = first_time(head, whole=len(head) == file.size)
        if first == UNKNOWN and file.size <= HEAD_BYTES:  # no frame yet
            return
        if first != file.first:
            file.place = None
            self._unlist(key)
        file.first = first
        self._enlist(key, file)

    def _enlist(self, key: Key, file: _File) -> None:
        """Have a file read, unless that was done to its end."""
        known = self._known.pop(key, {})
        place = file.place or known.pop(file.first, None)
        self._gone += known.values()  # the inode is another file's now
        file.place = place
        if place is not None and place.done:
            if place.size == file.size:
                return
            self.counters.late += 1
            file.place = replace(place, done=False)
        if key not in self._listed:
            self._listed.add(key)
            heapq.heappush(self._waiting, (file.first, file.path, key))

    def _vanished(self, key: Key) -> None:
        """Take that a file is gone; what we have open of it is read to its end."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.finish()
            if not self._fill(key) and key not in self._lanes:
                self._forget(key)
            return
        if key in self._listed:
            self._unlist(key)
            self.counters.missed += 1
            log = DamageLog(self._files[key].path, self._damage)
            log.add(0, "was removed before it was read; its frames are lost")
        self._forget(key)

    def _unlist(self, key: Key) -> None:
        if key in self._listed:
            self._listed.discard(key)
            self._waiting = [entry for entry in self._waiting if entry[2] != key]
            heapq.heapify(self._waiting)

    def _forget(self, key: Key) -> None:
        file = self._files.pop(key, None)
        self._changed.pop(key, None)
        if file is not None and file.place is not None:
            self._gone.append(file.place)

    def _settle(self) -> None:
        """Take for complete what was written to long before the newest."""
        captures = [file.changed for file in self._files.values() if file.is_capture]
        newest = max(captures, default=0)
        for key, lane in self._lanes.items():
            file = self._files.get(key)
            if file is not None and newest - file.changed >= SETTLED:
                lane.finish()


def _lost(drops: Iterable[Drops]) -> int:
    return sum((entry.if_drop or 0) + (entry.os_drop or 0) for entry in drops)
