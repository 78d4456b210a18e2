"""Acknowledgements as the daemon knows them: who has seen a finding, so that nobody need be told.

Without an end, an acknowledgement holds for its finding. With an end, which is one of the wall
clock, it silences later findings about the same thing, too, until then. A stage above the one that
was acknowledged is always told. What is held back waits here, and is told when the
acknowledgement ends while the contact goes on.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from egressd.report.sinks.ackfile import (
    MOST_TOLD,
    Ack,
    ToldFinding,
    acks_in,
    open_shared,
    save_told,
)
from egressd.report.sinks.storefile import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from egressd.model import Nanoseconds

MOST_HELD = 2_000


class AckBook:
    """The daemon's side: answers from memory, and meets the file once in a while."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_finding: dict[str, Ack] = {}
        self._by_subject: dict[str, Ack] = {}  # those with an end
        self._held: dict[str, ToldFinding] = {}
        self._unsaved: deque[ToldFinding] = deque(maxlen=MOST_TOLD)
        self._version = -1
        self.failures = 0
        self.last_error = ""
        self._connection = open_shared(path)
        self._read_all()

    # ---- the engine's side ----------------------------------------------------------------------

    def find(self, finding: str, subject: str, stage: int, now: Nanoseconds) -> Ack | None:
        """Return the acknowledgement that covers a finding as it stands."""
        for ack in (self._by_finding.get(finding), self._by_subject.get(subject)):
            if ack is not None and ack.covers(stage, now):
                return ack
        return None

    def note(self, told: ToldFinding) -> None:
        """Take that a finding was told, or held back."""
        self._unsaved.append(told)
        self._held.pop(told.finding, None)
        if told.held is not None:
            self._held[told.finding] = told
            while len(self._held) > MOST_HELD:
                del self._held[next(iter(self._held))]

    # ---- the keeper's side ----------------------------------------------------------------------

    def meet(self) -> bool:
        """Write what was told and read what was acknowledged; False if the file does not let us."""
        rows = []
        while self._unsaved:
            rows.append(self._unsaved.popleft())
        try:
            if rows:
                save_told(self._connection, rows)
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._read_acks()
                self._version = version
        except sqlite3.Error as error:
            self.failures += 1
            self.last_error = str(error)
            self._unsaved.extendleft(reversed(rows))
            return False
        return True

    def released(self, now: Nanoseconds) -> list[ToldFinding]:
        """Return what was held back and is not covered any more, once."""
        free = [
            held
            for held in list(self._held.values())
            if self.find(held.finding, held.subject, held.stage, now) is None
        ]
        for held in free:
            self._held.pop(held.finding, None)
        return free

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        self.meet()
        self._connection.close()

    def _read_all(self) -> None:
        try:
            self._read_acks()
            self._version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            rows = self._connection.execute(
                "SELECT * FROM told WHERE held IS NOT NULL ORDER BY at DESC LIMIT ?", (MOST_HELD,)
            ).fetchall()
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{self._path}: {error}") from error
        self._held = {row[0]: ToldFinding(*row) for row in reversed(rows)}

    def _read_acks(self) -> None:
        acks = list(acks_in(self._connection))
        by_subject: dict[str, Ack] = {}
        for ack in acks:
            if ack.until is None:
                continue
            before = by_subject.get(ack.subject)
            if before is None or (before.stage, before.until or 0) < (ack.stage, ack.until):
                by_subject[ack.subject] = ack
        self._by_finding = {ack.finding: ack for ack in acks}
        self._by_subject = by_subject
