"""Whether the daemon is alive, as the watchdog means it: frames that come are looked at.

A loop that goes round proves nothing while frames wait in the kernel. So a beat is due only if
frames were looked at since the last one, or if none has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Nanoseconds


class Heartbeat:
    """Asked every turn; `every` is how often a beat is due, None if nobody listens."""

    def __init__(self, every: Nanoseconds | None) -> None:
        self._every = every
        self._next: Nanoseconds = 0
        self._looked_at = 0
        self._arrived = 0
        self.is_stalled = False  # frames come, and none is looked at

    def is_due(self, now: Nanoseconds) -> bool:
        """Say whether it is time to ask `may_beat`, which costs a question to the kernel."""
        return self._every is not None and now >= self._next

    def may_beat(self, now: Nanoseconds, *, looked_at: int, arrived: int) -> bool:
        """Say whether to tell the watchdog that we live, from two counts of frames so far."""
        moved = looked_at != self._looked_at
        quiet = arrived == self._arrived
        self.is_stalled = not (moved or quiet)
        if self.is_stalled:
            return False
        self._looked_at, self._arrived = looked_at, arrived
        self._next = now + (self._every or 0)
        return True
