"""The state file: what a restart must not forget, in one SQLite file.

Every save is one transaction in a write-ahead log, so that a kill at any moment leaves what the
last whole save said, and nothing by half. A file of an older version is brought up to date, one
of a newer version is refused, one that is damaged is set aside under another name and begun
anew; all of that is told. Nobody else may use the file at the same time.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from egressd.daemon.staterows import (
    COUNTS,
    DEVICES,
    EPISODES,
    FILES,
    FLOWS,
    INTERFACES,
    LEASES,
    NAMES,
    PERMITS,
    TABLES,
    TOTALS,
    columns_of,
    filled,
    plain_of,
    reader_of,
    values_of,
)
from egressd.daemon.stateschema import APPLICATION_ID, MIGRATIONS
from egressd.model import Coverage
from egressd.state import EngineState, Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from egressd.daemon.staterows import Table
    from egressd.model import Nanoseconds

FILE_NAME = "state.sqlite"
LOCK_NAME = "state.lock"
ASIDE_KEPT = 3  # damaged files that stay for somebody to look at
BOUNDS_EVERY = 64  # saves
WAL_BYTES = 64 << 20  # what the log may keep on disk between checkpoints
BUSY_SECONDS = 2.0

_ENGINE_TABLES = (DEVICES, NAMES, EPISODES, FLOWS, TOTALS, COUNTS, PERMITS, LEASES)


class StateError(Exception):
    """A state file that cannot be used; the text says what to do."""


class StateFile:
    """The open file; one thread at a time may use it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.set_aside: Path | None = None  # the damaged file that this one took the place of
        self.migrated_from: int | None = None
        self.skipped = 0  # rows that could not be read
        self.evicted = 0  # rows that had to make room
        self.saves = 0
        self._lock = _locked(folder / LOCK_NAME)
        try:
            self._connection = self._opened()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the file; the log is folded into it."""
        with suppress(sqlite3.Error):  # a full disk: the log stays, and is read at the next start
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        os.close(self._lock)

    def load(self) -> Kept:
        """Return all that was kept; a row that makes no sense is left out and counted."""
        engine = EngineState(
            devices=self._rows(DEVICES),
            names=self._rows(NAMES),
            episodes=self._rows(EPISODES),
            flows=self._rows(FLOWS),
            totals=self._rows(TOTALS),
            counts=self._rows(COUNTS),
            permits=self._rows(PERMITS),
            leases=self._rows(LEASES),
        )
        meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        engine.time = self._meta(meta, "time", int, default=0)
        engine.serial = self._meta(meta, "serial", int, default=0)
        engine.runs = self._meta(meta, "runs", int, default=0)
        engine.routers = tuple(self._meta(meta, "routers", list, default=[]))
        engine.servers = tuple(self._meta(meta, "servers", list, default=[]))
        engine.one_way_mirror = self._meta(meta, "one_way_mirror", bool, default=False)
        try:
            engine.coverage = filled(Coverage, json.loads(meta.get("coverage", "{}")))
        except ValueError:
            self.skipped += 1
        return Kept(engine, self._rows(INTERFACES), self._rows(FILES))

    def save(self, kept: Kept, gone_files: Iterable[tuple[str, int, int, int]] = ()) -> None:
        """Write what changed, all of it or nothing; sqlite3.Error where that fails."""
        engine = kept.engine
        with self._transaction() as connection:
            if engine.whole:
                for table in _ENGINE_TABLES:
                    connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - a name of ours
            self._drop(DEVICES, [(key,) for key in engine.gone_devices])
            self._drop(EPISODES, [(key,) for key in engine.gone_episodes])
            self._drop(FLOWS, [(key,) for key in engine.gone_flows])
            self._drop(FILES, gone_files)
            for table, rows in _lists_of(kept):
                self._put(table, rows)
            self._put_meta(engine)
            self.saves += 1
            if self.saves % BOUNDS_EVERY == 1:
                self._keep_bounds(engine.time)

    # ---- opening -----------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._prepared(self._connected())
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise StateError(f"{self.path}: {error}") from error
            self.set_aside = _put_aside(self.path)
        return self._prepared(self._connected())

    def _connected(self) -> sqlite3.Connection:
        # The file holds whom cameras spoke to: nobody else may read it.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    def _prepared(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Check the file and bring it up to date."""
        try:
            # Looked at before anything is written: a file that is not ours stays as it is.
            version = _number(connection, "PRAGMA user_version")
            self._refuse_foreign(connection, version)
            _check(connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
            if version < len(MIGRATIONS):
                self._migrate(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_foreign(self, connection: sqlite3.Connection, version: int) -> None:
        is_empty = _number(connection, "SELECT count(*) FROM sqlite_master") == 0
        if not is_empty and _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            raise StateError(f"{self.path}: is no state of egressd; give another folder")
        if version > len(MIGRATIONS):
            raise StateError(
                f"{self.path}: was written by a newer egressd (state version {version}, this one "
                f"knows {len(MIGRATIONS)}); run that version, or move the file away to begin anew"
            )

    def _migrate(self, connection: sqlite3.Connection, version: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in MIGRATIONS[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        self.migrated_from = version or None

    # ---- rows ----------------------------------------------------------------------------------

    def _rows(self, table: Table) -> list[Any]:
        read: Callable[[Sequence[Any]], Any] = reader_of(table.row)
        columns = ", ".join(columns_of(table.row))
        rows = []
        query = f"SELECT {columns} FROM {table.name} ORDER BY rowid"  # noqa: S608 - names of ours
        for values in self._connection.execute(query):
            try:
                rows.append(read(values))
            except (ValueError, TypeError):
                self.skipped += 1
        return rows

    def _put(self, table: Table, rows: list[Any]) -> None:
        if not rows:
            return
        columns = columns_of(table.row)
        marks = ", ".join("?" * len(columns))
        others = [column for column in columns if column not in table.key]
        change = ", ".join(f"{column} = excluded.{column}" for column in others)
        self._connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) "  # noqa: S608 - names of ours
            f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {change}",
            (values_of(row) for row in rows),
        )

    def _drop(self, table: Table, keys: Iterable[tuple[Any, ...]]) -> None:
        which = " AND ".join(f"{column} = ?" for column in table.key)
        self._connection.executemany(f"DELETE FROM {table.name} WHERE {which}", keys)  # noqa: S608 - names of ours

    def _put_meta(self, engine: EngineState) -> None:
        told = {
            "time": engine.time,
            "serial": engine.serial,
            "runs": engine.runs,
            "routers": engine.routers,
            "servers": engine.servers,
            "one_way_mirror": engine.one_way_mirror,
            "coverage": engine.coverage,
        }
        self._connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)",
            [(key, json.dumps(plain_of(value))) for key, value in told.items()],
        )

    def _meta(self, meta: dict[str, str], key: str, kind: type, *, default: Any) -> Any:
        try:
            value = json.loads(meta[key]) if key in meta else default
        except ValueError:
            value = None
        if isinstance(value, kind):
            return value
        self.skipped += 1
        return default

    def _keep_bounds(self, time: Nanoseconds) -> None:
        """Drop the oldest rows of tables that hold too many, and names that have run out."""
        for table in TABLES:
            more = _number(self._connection, f"SELECT count(*) FROM {table.name}") - table.bound  # noqa: S608 - a name of ours
            if more > 0:
                self._connection.execute(
                    f"DELETE FROM {table.name} WHERE rowid IN "  # noqa: S608 - names of ours
                    f"(SELECT rowid FROM {table.name} ORDER BY {table.oldest} LIMIT {more})"
                )
                self.evicted += more
        self._connection.execute("DELETE FROM names WHERE until < ?", (time,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # some failures have rolled back already
                connection.execute("ROLLBACK")
            raise


def make_folder(folder: Path) -> bool:
    """Make the state's folder where there is none; say whether it was made."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not folder.is_dir():
            raise StateError(f"{folder}: is no folder") from None
        return False
    except OSError as error:
        raise StateError(f"{folder}: cannot be made ({error.strerror})") from error
    return True


def _lists_of(kept: Kept) -> list[tuple[Table, list[Any]]]:
    engine = kept.engine
    return [
        (DEVICES, engine.devices),
        (NAMES, engine.names),
        (EPISODES, engine.episodes),
        (FLOWS, engine.flows),
        (TOTALS, engine.totals),
        (COUNTS, engine.counts),
        (PERMITS, engine.permits),
        (LEASES, engine.leases),
        (INTERFACES, kept.interfaces),
        (FILES, kept.files),
    ]


def _locked(path: Path) -> int:
    """Return the descriptor that keeps others out as long as it is open."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; the state's folder must be ours") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StateError(f"{path.parent}: another egressd watch keeps its state there") from None
    return descriptor


def _put_aside(path: Path) -> Path:
    """Rename a damaged file and what belongs to it; the oldest of those kept so far goes."""
    number = 1 + max((_number_aside(old) for old in _aside(path)), default=0)
    target = path.with_name(f"{path.name}.damaged-{number}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(target.with_name(target.name + suffix))
    for old in sorted(_aside(path), key=_number_aside)[:-ASIDE_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return target


def _aside(path: Path) -> list[Path]:
    found = path.parent.glob(f"{path.name}.damaged-*")
    return [old for old in found if old.name.rpartition("-")[2].isdigit()]


def _number_aside(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _is_damage(error: sqlite3.OperationalError) -> bool:
    """Say whether an operational error means that the file is broken, not that it is busy."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _check(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
