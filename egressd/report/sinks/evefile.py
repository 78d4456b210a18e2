"""A file of EVE lines that grows, is rotated, and survives a full disk.

Lines are whole: what was written of one that did not fit on the disk is cut off again at once, and
so is the unfinished end that a crash left, when the file is opened. A file that was moved or
removed under us (logrotate) is noticed at the next line. Only this file's own rotated names are
ever removed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from egressd.model import NANOSECONDS_PER_SECOND
from egressd.report.sinks.transport import Failure, Stay, UnreachableError
from egressd.report.words import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from egressd.model import Bytes, Nanoseconds, Seconds
    from egressd.report.sinks.spool import Record
    from egressd.report.sinks.transport import WallClock
    from egressd.settings.sinks import Rotation

FILE_MODE = 0o640  # it is personal data: the owner and a group
CHUNK: Bytes = 64 << 10
LONGEST_LINE: Bytes = 4 << 20  # how far back the beginning of an unfinished line is looked for
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
ROTATED = re.compile(r"\.([0-9]{8}T[0-9]{6}Z)(?:-([0-9]{1,6}))?")
ROTATE_AGAIN: Nanoseconds = 60 * NANOSECONDS_PER_SECOND  # after a rotation that failed


class EveFile(Stay):
    """Appends lines to a file."""

    batch = 2000
    # A call for each line would cost more than the lines: those of one moment go together.
    linger: Seconds = 0.02

    def __init__(self, path: str, rotate: Rotation | None, clock: WallClock) -> None:
        self._path = Path(path)
        self._rotate = rotate
        self._clock = clock
        self._descriptor = -1
        self._size: Bytes = 0
        self._period = 0  # which multiple of the age the file belongs to
        self._rotate_from: Nanoseconds = 0
        self._is_regular = True

    def deliver(self, records: Sequence[Record]) -> None:
        """Append lines; before one that does not fit any more, begin a new file."""
        lines = [record.text.encode("ascii", "backslashreplace") + b"\n" for record in records]
        done = 0
        try:
            self._find_file()
            while done < len(lines):
                chunk = self._that_fit(lines, done)
                done += self._append(chunk)
        except _CutError as error:
            cause = error.cause
            raise _failure(cause, self._path, done + error.whole) from cause
        except OSError as error:
            raise _failure(error, self._path, done) from error

    def tend(self) -> Seconds | None:
        """Open the file at the start, so that what is wrong with it is told then."""
        if self._descriptor < 0:
            self.renew()
        return None

    def renew(self) -> None:
        """Open the file anew: it was moved, and here is its successor."""
        self.close()
        try:
            self._open()
        except OSError as error:
            raise _failure(error, self._path, 0) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    # ---- writing --------------------------------------------------------------------------------

    def _that_fit(self, lines: list[bytes], start: int) -> list[bytes]:
        """Return the lines that still go into this file, at least one; rotate if it is time."""
        if self._is_over(len(lines[start])):
            self._begin_new()
        limit = self._rotate.size if self._rotate and self._is_regular else None
        if limit is None or self._clock() < self._rotate_from:
            return lines[start:]
        room = limit - self._size
        end = start
        while end < len(lines) and (room >= len(lines[end]) or end == start):
            room -= len(lines[end])
            end += 1
        return lines[start:end]

    def _append(self, lines: list[bytes]) -> int:
        """Write lines with as few calls as can be; return how many."""
        rest = memoryview(b"".join(lines))
        written = 0
        try:
            while rest:
                count = os.write(self._descriptor, rest)
                written += count
                rest = rest[count:]
        except OSError as error:
            whole = _whole_lines(lines, written)
            self._cut(self._size + sum(map(len, lines[:whole])))
            raise _CutError(error, whole) from error
        self._size += written
        return len(lines)

    def _cut(self, size: Bytes) -> None:
        if self._is_regular:
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            self._size = size

    # ---- the file -------------------------------------------------------------------------------

    def _find_file(self) -> None:
        """Have the file of this name open: another one may have taken its place."""
        if self._descriptor >= 0:
            ours = os.fstat(self._descriptor)
            try:
                there = self._path.stat()
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                self._size = ours.st_size  # logrotate's copytruncate makes it smaller
                return
            self.close()
        self._open()

    def _open(self) -> None:
        """Open or make the file; a FIFO without a reader is an error and not a wait."""
        try:
            self._is_regular = stat.S_ISREG(self._path.stat().st_mode)
        except FileNotFoundError:
            self._is_regular = True
        way = os.O_RDWR | os.O_CREAT if self._is_regular else os.O_WRONLY | os.O_NONBLOCK
        flags = way | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        self._descriptor = os.open(self._path, flags, FILE_MODE)
        os.set_blocking(self._descriptor, True)  # the thread is our own, and may wait
        self._size = 0
        if not self._is_regular:
            return
        status = os.fstat(self._descriptor)
        self._size = self._without_unfinished_end(status.st_size)
        begun = int(status.st_mtime_ns) if self._size else self._clock()
        self._period = self._period_of(begun)

    def _without_unfinished_end(self, size: Bytes) -> Bytes:
        """Cut off what a crash left of a line; return the size after it."""
        if size == 0 or os.pread(self._descriptor, 1, size - 1) == b"\n":
            return size
        start = size
        while start > max(0, size - LONGEST_LINE):
            start, end = max(0, start - CHUNK), start
            found = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if found >= 0:
                os.ftruncate(self._descriptor, start + found + 1)
                return start + found + 1
        if start == 0:
            os.ftruncate(self._descriptor, 0)
            return 0
        os.write(self._descriptor, b"\n")  # no line of ours: it is left as it is
        return size + 1

    # ---- rotation -------------------------------------------------------------------------------

    def _period_of(self, moment: Nanoseconds) -> int:
        age = self._rotate.age if self._rotate else None
        return moment // (age * NANOSECONDS_PER_SECOND) if age else 0

    def _is_over(self, length: Bytes) -> bool:
        """Tell whether the next line, of this length, belongs into a new file."""
        if self._rotate is None or not self._is_regular or self._size == 0:
            return False
        now = self._clock()
        if now < self._rotate_from:
            return False
        limit = self._rotate.size
        too_large = limit is not None and self._size + length > limit
        return too_large or self._period_of(now) > self._period

    def _begin_new(self) -> None:
        """Rename the file by the time, and open its successor."""
        now = self._clock()
        try:
            self._path.rename(self._free_name(now))
        except OSError:
            # A folder that is not ours: better a long file than none.
            self._rotate_from = now + ROTATE_AGAIN
            return
        self.close()
        self._open()
        self._remove_oldest()

    def _free_name(self, now: Nanoseconds) -> Path:
        """Return the name of a file that ends now; those of one second are numbered."""
        moment = seconds_text(now // NANOSECONDS_PER_SECOND).replace("-", "").replace(":", "") + "Z"
        numbers = [old.number for old in self._old_files() if old.moment == moment]
        suffix = f"-{max(numbers) + 1}" if numbers else ""
        return self._path.with_name(f"{self._path.name}.{moment}{suffix}")

    def _remove_oldest(self) -> None:
        assert self._rotate is not None  # only a rotation comes here
        for old in sorted(self._old_files())[: -self._rotate.keep]:
            with suppress(OSError):
                old.path.unlink()

    def _old_files(self) -> Iterator[_OldFile]:
        for entry in self._path.parent.iterdir():
            if not entry.name.startswith(self._path.name):
                continue
            found = ROTATED.fullmatch(entry.name.removeprefix(self._path.name))
            if found is not None:
                yield _OldFile(found[1], int(found[2] or 0), entry)


class _OldFile(NamedTuple):
    """A file that was rotated away; in the order of their ends."""

    moment: str
    number: int
    path: Path


class _CutError(Exception):
    """The disk took the first `whole` lines and not the rest."""

    def __init__(self, cause: OSError, whole: int) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.whole = whole


def _whole_lines(lines: list[bytes], written: Bytes) -> int:
    count = 0
    for line in lines:
        written -= len(line)
        if written < 0:
            break
        count += 1
    return count


def _failure(error: OSError, path: Path, delivered: int) -> UnreachableError:
    failure = Failure.SPACE if error.errno in NO_SPACE else Failure.DISK
    return UnreachableError(failure, f"{path}: {error.strerror}", delivered=delivered)
