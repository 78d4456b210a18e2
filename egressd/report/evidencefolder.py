"""The evidence folder: one pcapng file a finding, under a quota of days, bytes and files.

    2026-11-22/a793d155a63c.pcapng      the day (UTC) of the finding's first frame, and its id

A file is written beside and renamed, so that it is whole whenever the program dies. A finding that
grows is written again, with what it has gained. When the quota is full, what weighs least goes
first and, of that, the oldest; what is older than the days allowed goes whatever it weighs. What
is in the folder and not named like this is neither counted nor touched.
"""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import mkstemp

from egressd.model import NANOSECONDS_PER_SECOND, Bytes, Nanoseconds
from egressd.report.pcapngwriter import (
    HEAD_BYTES,
    Section,
    bytes_of,
    comments_of,
    header_bytes_of,
    joined,
    read_section,
)
from egressd.report.words import SEVERITY_WORDS, seconds_text
from egressd.settings.evidence import DEFAULT_DAYS, DEFAULT_FILES, DEFAULT_SIZE

SUFFIX = ".pcapng"
DAMAGED = ".damaged"  # added to the name of a file that another program has changed
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SEVERITY = re.compile(r"^severity (\w+)$", re.MULTILINE)
SEVERITIES = {word: number for number, word in SEVERITY_WORDS.items()}
FILE_BYTES = 8 << 20  # of one finding; beyond, its file grows no more
LARGEST_BYTES = 64 << 20  # of a file; a larger one was not written by us
FILE_MODE, FOLDER_MODE = 0o640, 0o750  # it is personal data: the owner and a group
LOW_WATER = 0.95  # of the quota, so that not every file that comes has to make one go
SETTLED = 3600 * NANOSECONDS_PER_SECOND  # for so long a clock must go on evenly to be believed
HEADER_BYTES = 1 << 20  # of a file; a longer one was not written by us
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Quota:
    """How long evidence is kept, and how much of it."""

    days: int = DEFAULT_DAYS
    bytes: Bytes = DEFAULT_SIZE
    files: int = DEFAULT_FILES


@dataclass(slots=True)
class FolderCounts:
    """What is in the folder, and what became of what is not."""

    files: int = 0
    bytes: Bytes = 0
    written: int = 0  # tellings
    evicted: Counter[str] = field(default_factory=Counter)  # files, by severity
    expired: int = 0  # files
    set_aside: int = 0  # files that another program had changed
    lost: Counter[str] = field(default_factory=Counter)  # tellings, by reason


@dataclass(slots=True)
class _File:
    path: Path
    size: Bytes
    severity: int
    age: int  # when it was written last: the file's mtime

    @property
    def day(self) -> str:
        return self.path.parent.name


class EvidenceFolder:
    """Files by finding. Its methods write to the disk and may take long."""

    def __init__(self, folder: Path, quota: Quota) -> None:
        self.folder = folder
        self.counts = FolderCounts()
        self._quota = quota
        self._files: dict[str, _File] = {}
        self._believed: Nanoseconds = 0  # the clock at the last look
        self._even_since: Nanoseconds | None = None
        self._open()

    def put(self, finding: str, first: Nanoseconds, severity: int, section: Section) -> bool:
        """Add to a finding's file what was told of it; False if it is lost, which is counted."""
        if not ID.fullmatch(finding):
            return self._lost("bad id")
        known = self._files.get(finding)
        path = known.path if known is not None else self._path_of(finding, first)
        try:
            older = self._load(path)
            content = bytes_of(joined(older, section) if older is not None else section)
            if older is not None and len(content) > FILE_BYTES:
                return self._lost("file full")
            _write(path, content)
            status = path.stat()
        except OSError as error:
            return self._lost("disk full" if error.errno in NO_SPACE else "not writable")
        self._note(finding, _File(path, status.st_size, severity, status.st_mtime_ns))
        self.counts.written += 1
        self._evict()
        return True

    def path_of(self, finding: str) -> Path | None:
        """Return where a finding's frames are, or None where there are none."""
        known = self._files.get(finding)
        return known.path if known is not None else None

    def expire(self, now: Nanoseconds) -> None:
        """Remove what is older than the quota's days.

        A clock that jumps is believed only after it has gone on evenly for an hour: one wrong
        second must not cost all evidence.
        """
        if self._even_since is None or abs(now - self._believed) > SETTLED:
            self._even_since = now
        self._believed = now
        if now - self._even_since < SETTLED:
            return
        today = date.fromisoformat(_day_of(now))
        last = (today - timedelta(days=self._quota.days)).isoformat()
        for finding, file in list(self._files.items()):
            if file.day < last and self._remove(finding):
                self.counts.expired += 1

    # ---- inside ------------------------------------------------------------------------------

    def _open(self) -> None:
        """Find what earlier runs left; remove what they had begun and not finished."""
        self.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        for day in sorted(self.folder.iterdir()):
            if not DAY.fullmatch(day.name) or not day.is_dir():
                continue
            for path in sorted(day.iterdir()):
                if path.name.startswith(".") and path.name.endswith(SUFFIX):
                    path.unlink(missing_ok=True)
                elif path.suffix == SUFFIX and ID.fullmatch(path.stem) and path.is_file():
                    status = path.stat()
                    # The same finding in two days' folders: somebody copied it there.
                    key = path.stem if path.stem not in self._files else str(path)
                    self._note(
                        key, _File(path, status.st_size, _severity_in(path), status.st_mtime_ns)
                    )
        self._evict()

    def _note(self, finding: str, file: _File) -> None:
        self._subtract(self._files.get(finding))
        self._files[finding] = file
        self.counts.files += 1
        self.counts.bytes += file.size

    def _subtract(self, file: _File | None) -> None:
        if file is not None:
            self.counts.files -= 1
            self.counts.bytes -= file.size

    def _path_of(self, finding: str, first: Nanoseconds) -> Path:
        return self.folder / _day_of(first) / f"{finding}{SUFFIX}"

    def _load(self, path: Path) -> Section | None:
        """Return what a file holds so far; one that is not ours any more is set aside."""
        try:
            is_ours = path.stat().st_size <= LARGEST_BYTES
            section = read_section(path.read_bytes()) if is_ours else None
        except FileNotFoundError:
            return None
        if section is None:
            path.rename(path.with_name(path.name + DAMAGED))
            self._subtract(self._files.pop(path.stem, None))
            self.counts.set_aside += 1
        return section

    def _evict(self) -> None:
        """Make room: what weighs least first and, of that, the oldest."""
        counts, quota = self.counts, self._quota
        if counts.bytes <= quota.bytes and counts.files <= quota.files:
            return
        victims = sorted(
            self._files.items(),
            key=lambda item: (-item[1].severity, item[1].day, item[1].age, item[0]),
        )
        for finding, file in victims:
            if counts.bytes <= quota.bytes * LOW_WATER and counts.files <= quota.files * LOW_WATER:
                return
            if self._remove(finding):
                counts.evicted[SEVERITY_WORDS[file.severity]] += 1

    def _remove(self, finding: str) -> bool:
        file = self._files[finding]
        try:
            file.path.unlink(missing_ok=True)
        except OSError:
            self.counts.lost["not removable"] += 1
            return False
        self._subtract(self._files.pop(finding))
        with suppress(OSError):  # there is more of that day
            file.path.parent.rmdir()
        return True

    def _lost(self, reason: str) -> bool:
        self.counts.lost[reason] += 1
        return False


def _write(path: Path, content: bytes) -> None:
    """Let a file take its name when all of it is on the disk."""
    path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=SUFFIX)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor has no path
            stream.write(content)
            stream.flush()
            os.fchmod(descriptor, FILE_MODE)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _day_of(time: Nanoseconds) -> str:
    return seconds_text(time // NANOSECONDS_PER_SECOND)[:10]


def _severity_in(path: Path) -> int:
    """Return how bad the finding of a file is, as its header says; the worst if it says not."""
    said = ""
    with suppress(OSError), path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        size = header_bytes_of(head)
        if size is not None and size <= HEADER_BYTES:
            said = next(comments_of(head + stream.read(size - HEAD_BYTES)), "")
    found = SEVERITY.search(said)
    return SEVERITIES.get(found[1], 1) if found else 1
