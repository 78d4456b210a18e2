"""A sink's queue: first in memory, and on disk what could not be handed over at once.

`offer` is called by the thread that runs the engine: it takes a lock for a moment and never
touches the disk. The keeper's thread calls `store` a few times a second, which writes what has
waited for almost half a second; so a sink that works costs no disk, and a process that is killed
loses the last second at most. The sink's thread calls `take` and `finish`.

The bound holds for both parts. Who has no room loses the oldest record that is no alert; only
when there is none, the oldest alert. SQLite keeps the file whole whatever happens; one that is
damaged all the same is set aside, and a new one begun.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from egressd.report.sinks.storefile import StoreError, is_full, open_store, set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from egressd.model import Bytes, Nanoseconds

VERSION = 1
TABLES = """
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    is_alert INTEGER NOT NULL,
    offered INTEGER NOT NULL,
    size INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX by_weight ON records (is_alert, sequence, size);
"""
# Each statement does its work in one step, however many rows there are: between two steps Python
# gives its lock away, and beside a busy engine it takes milliseconds to come back each time.
ADD = """
INSERT OR REPLACE INTO records (sequence, id, is_alert, offered, size, text)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')
FROM json_each(?)
"""
OLDEST = """
SELECT json_group_array(json_array(sequence, id, is_alert, offered, text))
FROM (SELECT *, sum(size) OVER (ORDER BY sequence) AS running
      FROM (SELECT * FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?))
WHERE running - size < ?
"""
# How far one has to go, from the oldest on, to get rid of so many bytes.
EXCESS = """
SELECT max(sequence), count(*), total(size)
FROM (SELECT sequence, size, sum(size) OVER (ORDER BY sequence) AS running
      FROM records WHERE is_alert = ? AND sequence > ?)
WHERE running - size < ?
"""
OVERHEAD: Bytes = 100  # what a record takes beside its text, in memory or on disk
MEMORY: Bytes = 8_000_000  # of records not yet on disk
SETTLING: Nanoseconds = 400_000_000  # what is handed over sooner never sees the disk
TAKEN: Bytes = 1_000_000  # of records handed to the sink, or written to disk, at once


@dataclass(slots=True)
class Record:
    """One line for a sink. `sequence` grows over all sinks and restarts."""

    sequence: int
    id: str  # stable: the same for every attempt, "" for what is no alert
    text: str  # JSON, ASCII
    is_alert: bool
    offered: Nanoseconds  # wall clock

    @property
    def size(self) -> Bytes:
        """What it counts for."""
        return len(self.text) + OVERHEAD


class Backlog(NamedTuple):
    """What waits in a spool."""

    records: int
    bytes: Bytes
    oldest: Nanoseconds | None  # when the oldest was offered


@dataclass(slots=True)
class _Trimmed:
    """What one writing had to delete for the bound."""

    alerts: int = 0
    others: int = 0
    bytes: Bytes = 0


class _Queue:
    """Records in their order; the least important can be dropped at once."""

    def __init__(self) -> None:
        self._alerts: deque[Record] = deque()
        self._others: deque[Record] = deque()
        self.bytes: Bytes = 0

    def __len__(self) -> int:
        return len(self._alerts) + len(self._others)

    def push(self, record: Record) -> None:
        (self._alerts if record.is_alert else self._others).append(record)
        self.bytes += record.size

    def give_back(self, records: Sequence[Record]) -> None:
        """Take records again that are older than all that are here."""
        for record in reversed(records):
            (self._alerts if record.is_alert else self._others).appendleft(record)
            self.bytes += record.size

    def find_head(self) -> Record | None:
        found = self._older()
        return found[0] if found else None

    def pop(self) -> Record:
        record = self._older().popleft()
        self.bytes -= record.size
        return record

    def drop(self) -> Record:
        record = (self._others or self._alerts).popleft()
        self.bytes -= record.size
        return record

    def _older(self) -> deque[Record]:
        alerts, others = self._alerts, self._others
        if not alerts or not others:
            return alerts or others
        return alerts if alerts[0].sequence < others[0].sequence else others


@dataclass(slots=True)
class Losses:
    """What the spool had to give up."""

    alerts: int = 0  # no room
    others: int = 0  # no room
    unreadable: int = 0  # stood in a file that was damaged
    failures: int = 0  # times that the disk did not take what it was given


class Spool:
    """The queue of one sink."""

    def __init__(self, path: Path, bound: Bytes) -> None:
        self._path = path
        self._bound = bound
        self._memory = min(bound, MEMORY)
        self._gate = Lock()  # of everything in memory; held for moments
        self._disk = Lock()  # of the file; held while it is written
        self._fresh = _Queue()
        self._taken: list[Record] = []
        self._storing: list[Record] = []  # on the way from memory to the disk
        self._stored_records = 0  # on disk and not finished, those taken among them
        self._stored_bytes: Bytes = 0
        self._stored_through = 0  # the newest record on disk; what is newer is in memory only
        self._done_through = 0
        self._deleted_through = 0
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self.losses = Losses()
        self.last_error = ""
        try:
            self._open()
        except StoreError as error:
            # On a full disk there is no new file; then the queue is in memory for now. What else
            # is wrong is an error: an old file that turned up later would come out of order.
            if not is_full(error):
                raise
            self._fail(error)

    # ---- the engine's side ----------------------------------------------------------------------

    def offer(self, records: Iterable[Record]) -> None:
        """Take records, newest last, and make room for them if need be."""
        with self._gate:
            for record in records:
                self._fresh.push(record)
            self._make_room()

    @property
    def is_crowded(self) -> bool:
        """Whether it would be good if the disk took some soon."""
        return self._fresh.bytes > self._memory // 2

    @property
    def last_sequence(self) -> int:
        """The highest number known here; numbers of new records must be above it."""
        return self._stored_through

    # ---- the sink's side ------------------------------------------------------------------------

    def take(self, limit: int) -> list[Record]:
        """Return the oldest records, the same ones until they are finished."""
        with self._disk:
            with self._gate:
                if self._taken or self._closed:
                    return [] if self._closed else list(self._taken)
                after, on_disk = self._done_through, self._stored_records > 0
            found = self._read(after, limit) if on_disk else []
            with self._gate:
                self._taken = found or self._pop(limit)
                return list(self._taken)

    def finish(self, count: int) -> None:
        """Forget the first records that were taken: they have arrived, or never will."""
        with self._gate:
            done, self._taken = self._taken[:count], self._taken[count:]
            for record in done:
                self._done_through = record.sequence
                if record.sequence <= self._stored_through:
                    self._stored_records -= 1
                    self._stored_bytes -= record.size

    # ---- the keeper's side ----------------------------------------------------------------------

    def store(self, now: Nanoseconds, *, everything: bool = False) -> bool:
        """Write what has waited; return False if the disk does not take it."""
        with self._disk:
            while True:
                if self._closed or not self._is_open():
                    return self._closed
                with self._gate:
                    waiting = [r for r in self._taken if r.sequence > self._stored_through]
                    popped = self._pop_settled(now, everything=everything)
                    self._storing = popped
                    done = self._done_through
                if not waiting and not popped and done == self._deleted_through:
                    return True
                try:
                    self._write(waiting + popped, done)
                except sqlite3.Error as error:
                    self._take_back(popped)
                    self._fail(error)
                    return False

    def close(self, now: Nanoseconds) -> bool:
        """Leave on disk what is not finished; return False if the disk does not take it."""
        whole = self.store(now, everything=True)
        with self._disk, self._gate:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        return whole

    # ---- what it says of itself -----------------------------------------------------------------

    @property
    def backlog(self) -> Backlog:
        """What waits."""
        with self._gate:
            unsaved = [r for r in self._taken if r.sequence > self._stored_through]
            unsaved += self._storing
            oldest = unsaved[0] if unsaved else self._fresh.find_head()
            if self._taken:
                oldest = self._taken[0]
            return Backlog(
                records=self._stored_records + len(unsaved) + len(self._fresh),
                bytes=self._stored_bytes + sum(r.size for r in unsaved) + self._fresh.bytes,
                oldest=oldest.offered if oldest is not None else None,
            )

    # ---- inside ---------------------------------------------------------------------------------

    def _make_room(self) -> None:
        while self._fresh.bytes > self._memory:
            self._count_dropped(self._fresh.drop())

    def _count_dropped(self, record: Record) -> None:
        if record.is_alert:
            self.losses.alerts += 1
        else:
            self.losses.others += 1

    def _pop(self, limit: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        while self._fresh and len(records) < limit and size < TAKEN:
            records.append(self._fresh.pop())
            size += records[-1].size
        return records

    def _pop_settled(self, now: Nanoseconds, *, everything: bool) -> list[Record]:
        """Pop what has waited long enough. A clock that was set back makes no record young."""
        everything = everything or self.is_crowded
        records: list[Record] = []
        size = 0
        while (head := self._fresh.find_head()) is not None and size < TAKEN:
            if not everything and abs(now - head.offered) < SETTLING:
                break
            records.append(self._fresh.pop())
            size += head.size
        return records

    def _take_back(self, records: list[Record]) -> None:
        """Have records in memory again that the disk did not take."""
        with self._gate:
            self._storing = []
            self._fresh.give_back(records)
            self._make_room()

    def _read(self, after: int, limit: int) -> list[Record]:
        """Return the oldest records on disk; if it cannot be read, give them up."""
        if self._connection is None:
            return []
        records: list[Record] = []
        try:
            told = self._connection.execute(OLDEST, (after, limit, TAKEN)).fetchone()[0]
            for sequence, name, is_alert, offered, text in json.loads(told):
                records.append(Record(sequence, name, text, bool(is_alert), offered))
        except (sqlite3.Error, ValueError) as error:
            records = []
            self._fail(error)
        if not records:
            self._give_up_file()
        return records

    def _write(self, records: list[Record], done: int) -> None:
        """Add records, remove what is finished, and keep the bound, in one transaction."""
        connection = self._connection
        assert connection is not None  # store() has opened it
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("DELETE FROM records WHERE sequence <= ?", (done,))
            rows = [(r.sequence, r.id, r.is_alert, r.offered, r.size, r.text) for r in records]
            connection.execute(ADD, (json.dumps(rows),))
            trimmed = self._trim(connection, sum(r.size for r in records))
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        with self._gate:
            self._deleted_through = done
            self._storing = []
            if records:
                self._stored_through = max(self._stored_through, records[-1].sequence)
            # The sink's thread may have finished some of them meanwhile.
            lasting = [r for r in records if r.sequence > self._done_through]
            self._stored_records += len(lasting) - trimmed.alerts - trimmed.others
            self._stored_bytes += sum(r.size for r in lasting) - trimmed.bytes
            self.losses.alerts += trimmed.alerts
            self.losses.others += trimmed.others
        if not self._stored_records:
            with suppress(sqlite3.Error):  # the file stays large, and nothing is lost
                connection.execute("PRAGMA incremental_vacuum").fetchall()

    def _trim(self, connection: sqlite3.Connection, added: Bytes) -> _Trimmed:
        """Delete the oldest records that are no alerts, then alerts, until the bound holds."""
        with self._gate:
            excess = self._stored_bytes + added - self._bound
            after = self._taken[-1].sequence if self._taken else self._done_through
        trimmed = _Trimmed()
        for is_alert in (0, 1):
            if trimmed.bytes >= excess:
                break
            missing = excess - trimmed.bytes
            last, count, size = connection.execute(EXCESS, (is_alert, after, missing)).fetchone()
            if not count:
                continue
            connection.execute(
                "DELETE FROM records WHERE is_alert = ? AND sequence > ? AND sequence <= ?",
                (is_alert, after, last),
            )
            trimmed.bytes += int(size)
            trimmed.alerts += count * is_alert
            trimmed.others += count * (1 - is_alert)
        return trimmed

    def _is_open(self) -> bool:
        if self._connection is None:
            try:
                self._open()
            except StoreError as error:
                self._fail(error)
        return self._connection is not None

    def _open(self) -> None:
        connection = open_store(self._path, TABLES, VERSION)
        try:
            count, size, last = connection.execute(
                "SELECT count(*), total(size), max(sequence) FROM records"
            ).fetchone()
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(f"{self._path}: {error}; move the file away") from error
        with self._gate:
            self._connection = connection
            self._stored_records = count
            self._stored_bytes = int(size)
            self._stored_through = max(self._stored_through, last or 0)

    def _give_up_file(self) -> None:
        """Set a file aside that says it holds records and does not give them."""
        with self._gate:
            self.losses.unreadable += self._stored_records
            self._stored_records = self._stored_bytes = 0
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        set_aside(self._path)

    def _fail(self, error: Exception) -> None:
        self.losses.failures += 1
        self.last_error = str(error)
