"""What `egressd ack` does: acknowledge a finding that was told, take it back, list them all."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from egressd.report.sinks.ackfile import (
    NAME,
    VERSION,
    Ack,
    ToldFinding,
    acks_in,
    connected,
    find_told,
)
from egressd.report.sinks.storefile import StoreError, refuse_newer

if TYPE_CHECKING:
    from pathlib import Path

    from egressd.model import Nanoseconds

MOST_ACKS = 10_000
LONGEST_TEXT = 500
LATEST: Nanoseconds = 2**63 - 1  # what SQLite keeps: the year 2262


class AckError(Exception):
    """What was asked for cannot be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class AckLine:
    """An acknowledgement and the finding it is about, as far as that is still known."""

    ack: Ack
    told: ToldFinding | None

    @property
    def has_risen(self) -> bool:
        """Whether the finding has gone above the stage that was acknowledged."""
        return self.told is not None and self.told.stage > self.ack.stage


def acknowledge(  # noqa: PLR0913 - who, what, why, since when and until when
    folder: Path,
    finding: str,
    *,
    author: str,
    reason: str,
    now: Nanoseconds,
    until: Nanoseconds | None = None,
) -> AckLine:
    """Write an acknowledgement, in place of an earlier one; AckError says why it cannot be."""
    reason, author = _line(reason, "reason"), _line(author, "name")
    if until is not None and until <= now:
        raise AckError("the end is in the past: nothing would be acknowledged")
    if until is not None and until > LATEST:
        raise AckError("the end is too far away; leave it out")
    connection = _open_existing(folder)
    try:
        told = find_told(connection, finding)
        if told is None:
            raise AckError(_unknown(connection, finding))
        ack = Ack(finding, told.subject, told.stage, author, reason, now, until)
        connection.execute("BEGIN IMMEDIATE")
        _make_room_for_ack(connection, finding, now)
        connection.execute(
            "INSERT OR REPLACE INTO acks VALUES (?, ?, ?, ?, ?, ?, ?)",
            (finding, ack.subject, ack.stage, author, reason, now, until),
        )
        connection.execute("COMMIT")
        return AckLine(ack, told)
    except sqlite3.Error as error:
        raise AckError(f"{folder / NAME}: {error}") from error
    finally:
        connection.close()


def remove(folder: Path, finding: str) -> AckLine:
    """Take an acknowledgement back and return it; AckError if there is none."""
    connection = _open_existing(folder)
    try:
        found = {ack.finding: ack for ack in acks_in(connection)}
        if finding not in found:
            known = ", ".join(list(found)[:5]) or "there are none"
            raise AckError(f"{finding}: is not acknowledged; acknowledged are: {known}")
        connection.execute("DELETE FROM acks WHERE finding = ?", (finding,))
        return AckLine(found[finding], find_told(connection, finding))
    except sqlite3.Error as error:
        raise AckError(f"{folder / NAME}: {error}") from error
    finally:
        connection.close()


def acks_of(folder: Path) -> list[AckLine]:
    """Return all acknowledgements, the latest last; those that are over among them."""
    connection = _open_existing(folder)
    try:
        return [AckLine(ack, find_told(connection, ack.finding)) for ack in acks_in(connection)]
    except sqlite3.Error as error:
        raise AckError(f"{folder / NAME}: {error}") from error
    finally:
        connection.close()


def _open_existing(folder: Path) -> sqlite3.Connection:
    path = folder / NAME
    if not path.is_file():
        raise AckError(f"{path}: is not there; is {folder} the state directory of egressd watch?")
    try:
        connection = connected(path)
    except sqlite3.Error as error:
        raise AckError(f"{path}: {error}") from error
    try:
        refuse_newer(path, connection.execute("PRAGMA user_version").fetchone()[0], VERSION)
        connection.execute("SELECT count(*) FROM acks").fetchone()
    except StoreError as error:
        connection.close()
        raise AckError(str(error)) from error
    except sqlite3.Error as error:
        connection.close()
        raise AckError(f"{path}: {error}") from error
    return connection


def _make_room_for_ack(connection: sqlite3.Connection, finding: str, now: Nanoseconds) -> None:
    """Delete acknowledgements that are over, the oldest first, if there are too many."""
    count = connection.execute(
        "SELECT count(*) FROM acks WHERE finding <> ?", (finding,)
    ).fetchone()[0]
    if count < MOST_ACKS:
        return
    connection.execute(
        "DELETE FROM acks WHERE finding IN "
        "(SELECT finding FROM acks WHERE until <= ? ORDER BY made LIMIT ?)",
        (now, count - MOST_ACKS + 1),
    )
    if connection.execute("SELECT count(*) FROM acks").fetchone()[0] >= MOST_ACKS:
        connection.execute("ROLLBACK")
        raise AckError(f"there are {MOST_ACKS:,} acknowledgements; remove some (--remove FINDING)")


def _unknown(connection: sqlite3.Connection, finding: str) -> str:
    rows = connection.execute("SELECT finding FROM told ORDER BY at DESC").fetchall()
    known = [str(row[0]) for row in rows]
    close = get_close_matches(finding[:100], known, n=1)
    hint = f"did you mean {close[0]}?" if close else "its id stands in the alert as `finding`"
    return f"{finding[:100]}: no such finding was told from here; {hint}"


def _line(text: str, what: str) -> str:
    line = text.strip()
    if not line or len(line) > LONGEST_TEXT or not line.isprintable():
        raise AckError(f"the {what} is no line of text; write 1 to {LONGEST_TEXT} printable signs")
    return line
