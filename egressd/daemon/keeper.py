"""Saves the state while frames go on being looked at: a thread that writes, one save at a time.

The loop hands over what changed and never waits for the disk. A save that fails is told, counted
and tried again with everything there is, so that a disk that was full loses nothing but time.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from egressd.daemon.clock import monotonic_now, wall_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from egressd.daemon.logs import Log
    from egressd.daemon.statefile import StateFile
    from egressd.model import Nanoseconds, Seconds
    from egressd.state import Kept

EVERY: Nanoseconds = 2_000_000_000
URGENT_EVERY: Nanoseconds = 200_000_000  # at most, when alert follows alert
AFTER_FAILURE: Nanoseconds = 10_000_000_000

FileKey = tuple[str, int, int, int]  # of a FilePlace


class Keeper:
    """The way to the state file; all methods belong to the loop's thread."""

    def __init__(self, file: StateFile, log: Log) -> None:
        self.failures = 0
        self.saves = 0
        self.saved: Nanoseconds = 0  # by the wall clock
        self.wants_all = False  # a save was lost: what changed is not enough
        self._file = file
        self._log = log
        self._next: Nanoseconds = 0  # by the monotonic clock
        self._urgent_from: Nanoseconds = 0
        self._retry_at: Nanoseconds = 0
        self._turn = threading.Condition()
        self._job: Callable[[], None] | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="state", daemon=True)
        self._thread.start()

    def is_due(self, *, urgent: bool = False) -> bool:
        """Say whether the state is to be handed over now; `urgent`: an alert was told."""
        now = monotonic_now()
        with self._turn:
            if self._job is not None or now < self._retry_at:
                return False
        return now >= (self._urgent_from if urgent else self._next)

    def put(
        self, kept: Kept, gone: Iterable[FileKey] = (), then: Callable[[], None] | None = None
    ) -> None:
        """Hand over what is to be saved; the writer calls `then` after it, saved or not."""
        now = monotonic_now()
        self._next, self._urgent_from = now + EVERY, now + URGENT_EVERY
        keys = list(gone)

        def job() -> None:
            self._save(kept, keys, then)

        with self._turn:
            self._job = job
            self._turn.notify_all()

    def finish(self, timeout_seconds: Seconds) -> bool:
        """Let a save that is under way end, and the thread with it; False if it takes too long."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def close(self, kept: Kept, gone: Iterable[FileKey] = (), *, timeout_seconds: Seconds) -> None:
        """Save for the last time and give up the file."""
        if not self.finish(timeout_seconds):
            self._log.error("state_not_saved", reason="the disk takes too long")
            return
        self._save(kept, list(gone), None)
        self._file.close()

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._job is not None or self._ended)
                job = self._job
            if job is None:
                return
            job()
            with self._turn:
                self._job = None

    def _save(self, kept: Kept, gone: list[FileKey], then: Callable[[], None] | None) -> None:
        try:
            self._file.save(kept, gone)
            self.saves += 1
            self.saved = wall_now()
            if kept.engine.whole:
                self.wants_all = False
        except (sqlite3.Error, OverflowError, ValueError) as error:  # the disk, or a value of a row
            self.failures += 1
            self.wants_all = True
            self._retry_at = monotonic_now() + AFTER_FAILURE
            self._log.error("state_not_saved", reason=error)
        if then is not None:
            then()
