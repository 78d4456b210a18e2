"""The file of acknowledgements: which findings were told, and which were acknowledged.

One small SQLite file in the state directory, for two processes: the daemon writes what was told, so
that `egressd ack` knows the stage of a finding; `egressd ack` writes the acknowledgements.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from egressd.report.sinks.storefile import (
    DAMAGE,
    StoreError,
    check_whole,
    code_of,
    refuse_newer,
    set_aside,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from egressd.model import Nanoseconds

NAME = "acks.sqlite"
VERSION = 1
TABLES = """
CREATE TABLE told (
    finding TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    contact TEXT NOT NULL,
    stage INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    id TEXT NOT NULL,
    held TEXT
);
CREATE INDEX by_time ON told (at);
CREATE TABLE acks (
    finding TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    stage INTEGER NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER
);
"""
# In one step: between two of them Python gives its lock away, to an engine that is busy.
ADD_TOLD = """
INSERT OR REPLACE INTO told
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]')
FROM json_each(?)
"""
FILE_MODE = 0o660  # who may acknowledge is in the daemon's group
WAIT_SECONDS = 5.0  # for the other process
MOST_TOLD = 10_000  # findings that can be acknowledged: the last ones


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement."""

    finding: str
    subject: str  # what later findings about the same thing have in common
    stage: int  # of the finding when it was acknowledged
    author: str
    reason: str
    made: Nanoseconds
    until: Nanoseconds | None  # of the wall clock; None: as long as the finding lasts

    def is_over(self, now: Nanoseconds) -> bool:
        """Tell whether its time has passed."""
        return self.until is not None and now >= self.until

    def covers(self, stage: int, now: Nanoseconds) -> bool:
        """Tell whether it holds now, for a finding of this stage."""
        return stage <= self.stage and not self.is_over(now)


@dataclass(frozen=True, slots=True)
class ToldFinding:
    """A finding as it was told last."""

    finding: str
    subject: str
    contact: str
    stage: int
    severity: int
    reason: str
    at: Nanoseconds  # wall clock
    id: str  # of the alert
    held: str | None = None  # its EVE record, where it was held back


def open_shared(path: Path) -> sqlite3.Connection:
    """Open the daemon's file or begin it; a damaged one is set aside."""
    try:
        return _opened(path)
    except sqlite3.Error as error:
        if code_of(error) not in DAMAGE:
            raise StoreError(f"{path}: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    try:
        set_aside(path)
        return _opened(path)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open(path, flags, FILE_MODE))
    connection = connected(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        refuse_newer(path, found, VERSION)
        check_whole(connection)
        if found == 0:
            connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def connected(path: Path) -> sqlite3.Connection:
    """Open the file as it is; who else has it open is waited for."""
    connection = sqlite3.connect(
        path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def save_told(connection: sqlite3.Connection, rows: list[ToldFinding]) -> None:
    """Write findings that were told; the oldest beyond the bound go."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        told = [astuple(row) for row in rows]
        connection.execute(ADD_TOLD, (json.dumps(told),))
        connection.execute(
            "DELETE FROM told WHERE finding IN "
            "(SELECT finding FROM told ORDER BY at DESC LIMIT -1 OFFSET ?)",
            (MOST_TOLD,),
        )
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def find_told(connection: sqlite3.Connection, finding: str) -> ToldFinding | None:
    """Return a finding that was told."""
    row = connection.execute("SELECT * FROM told WHERE finding = ?", (finding,)).fetchone()
    return ToldFinding(*row) if row is not None else None


def acks_in(connection: sqlite3.Connection) -> Iterator[Ack]:
    """Return all acknowledgements, the latest last."""
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT * FROM acks ORDER BY made, finding"
    ).fetchall()
    return (Ack(*row) for row in rows)
