"""SQLite files that one process owns: whole after a crash, set aside when damaged.

Write-ahead log with a sync at every commit: what is committed survives a power cut. A file of a
newer version is refused; one that is no database any more is renamed `....damaged` (one of them
is kept), and a new one is begun in its place.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DAMAGED = ".damaged"
FILE_MODE = 0o600  # alerts tell where cameras are and whom they speak to
WAIT_SECONDS = 1.0  # for another process; there should be none
# https://www.sqlite.org/rescode.html; the lowest byte is the primary code.
FULL, DAMAGE = frozenset({13}), frozenset({11, 26})  # SQLITE_FULL; SQLITE_CORRUPT, SQLITE_NOTADB
BUSY = frozenset({5})  # SQLITE_BUSY
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class StoreError(Exception):
    """A file that cannot be used; the text says which and what to do."""


def open_store(path: Path, tables: str, version: int) -> sqlite3.Connection:
    """Open a file that belongs to this process, or begin it; StoreError if that cannot be."""
    try:
        return _opened(path, tables, version)
    except sqlite3.Error as error:
        code = code_of(error)
        if code in BUSY:
            raise StoreError(f"{path}: is in use by another egressd; stop that one") from error
        if code not in DAMAGE:
            raise StoreError(f"{path}: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    try:
        set_aside(path)
        return _opened(path, tables, version)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {error}") from error


def refuse_newer(path: Path, found: int, known: int) -> None:
    """Raise StoreError for a file whose layout this program does not know yet."""
    if found > known:
        raise StoreError(
            f"{path}: was written by a newer egressd (version {found}, known is {known}); "
            "run that one, or move the file away"
        )


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that it can be looked at; the one set aside before goes."""
    with suppress(FileNotFoundError):
        path.replace(path.with_name(path.name + DAMAGED))
    for extra in ("-wal", "-shm", "-journal"):  # of the damaged file: they fit no other
        path.with_name(path.name + extra).unlink(missing_ok=True)


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code of an error, 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_full(error: StoreError) -> bool:
    """Tell whether a file could not be begun because the disk is full."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.errno in NO_SPACE
    return cause is not None and code_of(cause) in FULL


def _opened(path: Path, tables: str, version: int) -> sqlite3.Connection:
    # Made here, so that SQLite's companion files take over the mode.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open(path, flags, FILE_MODE))
    connection = sqlite3.connect(
        path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only of use before the first table
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 1000000").fetchall()
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        refuse_newer(path, found, version)
        if found == 0:
            connection.executescript(f"BEGIN; {tables} PRAGMA user_version = {version}; COMMIT;")
        check_whole(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_whole(connection: sqlite3.Connection) -> None:
    """Raise the error of a damaged file if the file is one."""
    told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if told != "ok":
        damage = sqlite3.DatabaseError(told)
        damage.sqlite_errorcode = min(DAMAGE)
        raise damage
