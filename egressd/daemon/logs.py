"""What the daemon says while it runs: a short event name and fields, a line each.

`camera_calls_home camera=gate-1 destination=192.0.2.7 bytes_out=1044`: the name never changes,
so that it can be searched for; what differs stands in the fields. Under the journal a line begins
with its priority (sd-daemon(3)); elsewhere with the time. An event that comes again and again
is told a few times a minute and counted the rest, so that a broken input cannot fill a disk.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

from egressd.daemon.clock import monotonic_now, wall_now
from egressd.report.words import seconds_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from egressd.model import Nanoseconds

BURST = 20  # lines of one event in a minute
MINUTE = 60 * 1_000_000_000
MAXIMUM_EVENTS = 256  # names whose lines are counted
LONGEST_VALUE = 300  # characters of one field
PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without blank, quote, = and backslash


class Priority(IntEnum):
    """How much a line matters; syslog's numbers (RFC 5424, table 2)."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


@dataclass(slots=True)
class _Count:
    """The lines of one event in the minute that began at `since`."""

    since: Nanoseconds
    lines: int = 0
    hidden: int = 0


class Log:
    """Writes events to a stream; a stream that cannot be written to is counted, never raised."""

    def __init__(self, stream: TextIO, *, journal: bool = False) -> None:
        self._stream = stream
        self._journal = journal
        self._counts: dict[str, _Count] = {}
        self.lost = 0  # lines that could not be written
        self.hidden = 0  # lines left out because there were too many of their kind

    @classmethod
    def to(cls, stream: TextIO, environment: Mapping[str, str]) -> Self:
        """Return a log on a stream; JOURNAL_STREAM (systemd.exec(5)) may say it is the journal."""
        return cls(stream, journal=_is_journal(stream, environment.get("JOURNAL_STREAM", "")))

    def info(self, event: str, **fields: object) -> None:
        """Tell what is as it should be."""
        self._say(Priority.INFO, event, fields)

    def notice(self, event: str, **fields: object) -> None:
        """Tell what an operator may want to know later."""
        self._say(Priority.NOTICE, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Tell what an operator should look at."""
        self._say(Priority.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Tell what does not work."""
        self._say(Priority.ERROR, event, fields)

    def _say(self, priority: Priority, event: str, fields: Mapping[str, object]) -> None:
        hidden = self._room(event)
        if hidden is None:
            self.hidden += 1
            return
        words = [event, *(f"{key}={_told(value)}" for key, value in fields.items())]
        if hidden:
            words.append(f"not_told={hidden}")
        head = f"<{priority.value}>" if self._journal else f"{_moment()} {priority.name.lower()} "
        try:
            self._stream.write(f"{head}{' '.join(words)}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self.lost += 1

    def _room(self, event: str) -> int | None:
        """Return how many lines of this event were left out before; None: this one, too."""
        now = monotonic_now()
        count = self._counts.get(event)
        if count is None or now - count.since >= MINUTE:
            if count is None and len(self._counts) >= MAXIMUM_EVENTS:
                del self._counts[next(iter(self._counts))]
            hidden = count.hidden if count is not None else 0
            self._counts[event] = _Count(now, 1)
            return hidden
        if count.lines >= BURST:
            count.hidden += 1
            return None
        count.lines += 1
        return 0


def _told(value: object) -> str:
    """Return a value as one word: what holds blanks or signs is quoted as JSON does."""
    text = str(value) if not isinstance(value, bool) else str(value).lower()
    if len(text) > LONGEST_VALUE:
        text = text[: LONGEST_VALUE - 3] + "..."
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def _moment() -> str:
    seconds, rest = divmod(wall_now(), 1_000_000_000)
    return f"{seconds_text(seconds)}.{rest // 1_000_000:03d}Z"


def _is_journal(stream: TextIO, named: str) -> bool:
    """Say whether a stream is the one that systemd names by device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
