"""The alerts that an Alertmanager holds up for us: what must be sent again until it is over.

Kept in a file, so that after a restart what goes on is kept up and what has ended is resolved.
A disk that does not take it costs that memory and nothing else.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING, Any

from egressd.report.sinks.storefile import StoreError, is_full, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from egressd.model import Nanoseconds, Seconds

VERSION = 1
TABLES = """
CREATE TABLE raised (
    finding TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    contact TEXT NOT NULL,
    stage INTEGER NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    starts INTEGER NOT NULL,
    last INTEGER NOT NULL,
    state TEXT NOT NULL
);
"""
MOST = 10_000  # kept up at a time; the one seen least lately then resolves itself

Labels = dict[str, str]


class State(Enum):
    """What the Alertmanager was told of an alert last."""

    UP = "up"
    MUTED = "muted"  # resolved, because somebody has acknowledged the finding
    OVER = "over"  # resolved, because it is; a retry after hours may bring the same finding back


@dataclass(slots=True)
class Raised:
    """One alert."""

    finding: str
    subject: str
    contact: str
    stage: int
    labels: Labels
    annotations: Labels
    starts: Nanoseconds
    last: Nanoseconds  # in the frames' time
    state: State = State.UP
    sent: Seconds = float("-inf")  # of the monotonic clock


class RaisedBook:
    """All alerts held up at one Alertmanager."""

    def __init__(self, path: Path) -> None:
        self._rows: dict[str, Raised] = {}
        self._lock = Lock()  # the file may be closed under a thread that hangs
        self._connection: sqlite3.Connection | None = None
        self.forgotten = 0
        self.failures = 0
        try:
            self._connection = open_store(path, TABLES, VERSION)
            for row in self._connection.execute("SELECT * FROM raised ORDER BY last"):
                raised = _read(row)
                self._rows[raised.finding] = raised
        except StoreError as error:
            if not is_full(error):
                raise
            self.failures += 1
        except (sqlite3.Error, ValueError) as error:
            self.close()
            raise StoreError(f"{path}: {error}; move the file away") from error

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Raised]:
        return iter(list(self._rows.values()))

    def find(self, finding: str) -> Raised | None:
        """Return the alert of a finding."""
        return self._rows.get(finding)

    def keep(self, raised: Iterable[Raised]) -> None:
        """Take alerts that were sent, or have changed."""
        rows = list(raised)
        for row in rows:
            self._rows[row.finding] = row
        out = []
        while len(self._rows) > MOST:
            out.append(min(self._rows.values(), key=lambda row: row.last).finding)
            del self._rows[out[-1]]
            self.forgotten += 1
        self._write(rows, out)

    def forget(self, raised: Iterable[Raised]) -> None:
        """Let go of alerts that were resolved."""
        gone = [row.finding for row in raised]
        for finding in gone:
            self._rows.pop(finding, None)
        self._write([], gone)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write(self, rows: list[Raised], gone: list[str]) -> None:
        with self._lock:
            connection = self._connection
            if connection is None or not (rows or gone):
                return
            try:
                connection.execute("BEGIN")
                connection.executemany(
                    "INSERT OR REPLACE INTO raised VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [_row_of(raised) for raised in rows],
                )
                connection.executemany(
                    "DELETE FROM raised WHERE finding = ?", [(finding,) for finding in gone]
                )
                connection.execute("COMMIT")
            except sqlite3.Error:
                self.failures += 1
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _row_of(raised: Raised) -> tuple[Any, ...]:
    return (
        raised.finding,
        raised.subject,
        raised.contact,
        raised.stage,
        json.dumps(raised.labels),
        json.dumps(raised.annotations),
        raised.starts,
        raised.last,
        raised.state.value,
    )


def _read(row: tuple[Any, ...]) -> Raised:
    finding, subject, contact, stage, labels, annotations, starts, last, state = row
    return Raised(
        finding, subject, contact, stage, json.loads(labels), json.loads(annotations),
        starts, last, State(state),
    )  # fmt: skip
