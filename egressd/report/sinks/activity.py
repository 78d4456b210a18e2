"""When each finding was last seen, in the frames' time: what goes on, and what is over.

Filled by the engine's thread, read by those of the sinks. An episode is over after an hour of
silence (docs/explanation/stages-and-bytes.md), or when the daemon says so.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from egressd.model import Nanoseconds

SILENCE: Nanoseconds = 3600 * NANOSECONDS_PER_SECOND  # judge/stages.py ends an episode by it
REMEMBERED = 50_000  # findings and contacts; of what is forgotten, the alert's own time counts


class Activity:
    """The last moments of findings and contacts."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[str, Nanoseconds] = {}
        self._ended: dict[str, None] = {}
        self._now: Nanoseconds = 0
        self._since: Nanoseconds | None = None  # what was before, nobody watched: no silence

    def note(self, last: Mapping[str, Nanoseconds], now: Nanoseconds) -> None:
        """Take the last moments of findings or contacts by key, and how late it is."""
        with self._lock:
            for key, at in last.items():
                before = self._last.pop(key, at)
                self._last[key] = max(at, before)
            while len(self._last) > REMEMBERED:
                del self._last[next(iter(self._last))]
            self._now = max(self._now, now)
            if self._since is None:
                self._since = now

    def end(self, findings: Iterable[str]) -> None:
        """Take that findings are over, whatever was seen of them."""
        with self._lock:
            self._ended |= dict.fromkeys(findings)
            while len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]

    def begin(self, finding: str) -> None:
        """Take that a finding was told, so that it goes on."""
        with self._lock:
            self._ended.pop(finding, None)

    def last_of(self, *keys: str, at_least: Nanoseconds) -> Nanoseconds:
        """Return when any of these was last seen."""
        with self._lock:
            return max(at_least, *(self._last.get(key, 0) for key in keys))

    @property
    def now(self) -> Nanoseconds:
        """How late it is."""
        return self._now

    def is_over(self, finding: str, last: Nanoseconds) -> bool:
        """Tell whether a finding that was last seen then has ended."""
        with self._lock:
            quiet_since = max(last, self._since or 0)
            return finding in self._ended or self._now - quiet_since > SILENCE
