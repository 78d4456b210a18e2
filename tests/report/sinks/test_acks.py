"""Acknowledgements: what they cover and what never, and two processes at one file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sink_stage import NOON, SECOND

from egressd.model import Stage
from egressd.report.sinks import ackbook, ackfile, acks
from egressd.report.sinks.ackbook import AckBook
from egressd.report.sinks.ackfile import NAME, ToldFinding
from egressd.report.sinks.acks import AckError, acknowledge, acks_of, remove
from egressd.report.sinks.storefile import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600 * SECOND


def told(
    finding: str = "f-1",
    stage: Stage = Stage.PAYLOAD,
    *,
    subject: str = "gate-1 to the cloud",
    at: int = NOON,
    held: str | None = None,
) -> ToldFinding:
    return ToldFinding(
        finding, subject, "contact", int(stage), 1, f"{finding} reached", at, f"{finding}-1", held
    )


@pytest.fixture
def book(tmp_path: Path) -> Iterator[AckBook]:
    made = AckBook(tmp_path / NAME)
    yield made
    made.close()


def tell(book: AckBook, *findings: ToldFinding) -> None:
    for finding in findings:
        book.note(finding)
    assert book.meet()


def say(folder: Path, finding: str = "f-1", *, until: int | None = None) -> None:
    acknowledge(folder, finding, author="ann", reason="known", now=NOON, until=until)


def is_covered(
    book: AckBook,
    finding: str = "f-1",
    stage: Stage = Stage.PAYLOAD,
    *,
    subject: str = "gate-1 to the cloud",
    now: int = NOON,
) -> bool:
    assert book.meet()
    return book.find(finding, subject, int(stage), now) is not None


def test_what_nobody_acknowledged_is_not_covered(book: AckBook) -> None:
    tell(book, told())
    assert not is_covered(book)


def test_an_acknowledged_finding_is_covered_without_a_restart(
    book: AckBook, tmp_path: Path
) -> None:
    tell(book, told())
    say(tmp_path)
    assert is_covered(book)
    ack = book.find("f-1", "", int(Stage.PAYLOAD), NOON)
    assert ack is not None
    assert (ack.author, ack.reason, ack.until) == ("ann", "known", None)


@pytest.mark.parametrize("stage", list(Stage), ids=lambda stage: stage.label)
def test_only_a_stage_above_the_acknowledged_one_is_told(
    book: AckBook, tmp_path: Path, stage: Stage
) -> None:
    tell(book, told())
    say(tmp_path)
    assert is_covered(book, stage=stage) == (stage <= Stage.PAYLOAD)


def test_the_stage_that_counts_is_that_of_the_moment_of_acknowledging(
    book: AckBook, tmp_path: Path
) -> None:
    tell(book, told(stage=Stage.ATTEMPT))
    tell(book, told(stage=Stage.TRANSFER))
    say(tmp_path)
    assert is_covered(book, stage=Stage.TRANSFER)
    assert not is_covered(book, stage=Stage.MEDIA)


def test_acknowledging_again_takes_the_stage_of_now(book: AckBook, tmp_path: Path) -> None:
    tell(book, told(stage=Stage.ATTEMPT))
    say(tmp_path)
    tell(book, told(stage=Stage.MEDIA))
    assert not is_covered(book, stage=Stage.MEDIA)
    say(tmp_path)
    assert is_covered(book, stage=Stage.MEDIA)
    assert len(acks_of(tmp_path)) == 1


def test_without_an_end_later_findings_are_told(book: AckBook, tmp_path: Path) -> None:
    tell(book, told())
    say(tmp_path)
    assert is_covered(book, now=NOON + 10_000 * HOUR)
    assert not is_covered(book, "f-2")


def test_with_an_end_later_findings_about_the_same_are_covered_until_then(
    book: AckBook, tmp_path: Path
) -> None:
    tell(book, told())
    say(tmp_path, until=NOON + 8 * HOUR)
    for finding in ("f-1", "f-2"):
        assert is_covered(book, finding, now=NOON + 8 * HOUR - 1)
        assert not is_covered(book, finding, now=NOON + 8 * HOUR)
        assert not is_covered(book, finding, Stage.MEDIA)
    assert not is_covered(book, "f-3", subject="gate-1 to elsewhere")


def test_of_two_acknowledgements_about_the_same_the_higher_stage_counts(
    book: AckBook, tmp_path: Path
) -> None:
    tell(book, told("f-1", Stage.MEDIA), told("f-2", Stage.ATTEMPT))
    say(tmp_path, "f-1", until=NOON + HOUR)
    say(tmp_path, "f-2", until=NOON + HOUR)
    assert is_covered(book, "f-3", Stage.MEDIA)


def test_an_acknowledgement_can_be_taken_back(book: AckBook, tmp_path: Path) -> None:
    tell(book, told())
    say(tmp_path)
    assert is_covered(book)
    assert remove(tmp_path, "f-1").ack.reason == "known"
    assert not is_covered(book)
    assert acks_of(tmp_path) == []


def test_acknowledgements_outlive_the_daemon(tmp_path: Path) -> None:
    first = AckBook(tmp_path / NAME)
    tell(first, told())
    first.close()
    say(tmp_path)  # while nobody watches
    second = AckBook(tmp_path / NAME)
    assert is_covered(second)
    second.close()


def test_the_list_shows_who_why_and_whether_it_has_risen(book: AckBook, tmp_path: Path) -> None:
    tell(book, told("f-1"), told("f-2"))
    say(tmp_path, "f-1")
    acknowledge(tmp_path, "f-2", author="bob", reason="test", now=NOON + 1, until=NOON + HOUR)
    tell(book, told("f-1", Stage.MEDIA))
    first, second = acks_of(tmp_path)
    assert (first.ack.finding, first.ack.author, first.has_risen) == ("f-1", "ann", True)
    assert (second.ack.finding, second.ack.reason, second.has_risen) == ("f-2", "test", False)
    assert first.told is not None
    assert first.told.reason == "f-1 reached"


# ---- what is held back ---------------------------------------------------------------------------


def test_what_was_held_back_comes_out_once_when_the_time_is_over(
    book: AckBook, tmp_path: Path
) -> None:
    tell(book, told())
    say(tmp_path, until=NOON + HOUR)
    assert is_covered(book)
    tell(book, told("f-2", held="{}"))
    assert book.released(NOON) == []
    (free,) = book.released(NOON + HOUR)
    assert (free.finding, free.held) == ("f-2", "{}")
    assert book.released(NOON + HOUR) == []


def test_what_was_held_back_is_still_there_after_a_restart(tmp_path: Path) -> None:
    first = AckBook(tmp_path / NAME)
    tell(first, told())
    say(tmp_path, until=NOON + HOUR)
    tell(first, told("f-2", held="{}"))
    first.close()
    second = AckBook(tmp_path / NAME)
    assert [free.finding for free in second.released(NOON + HOUR)] == ["f-2"]
    second.close()


def test_what_was_told_after_all_is_not_held_any_more(book: AckBook) -> None:
    tell(book, told("f-1", held="{}"))
    tell(book, told("f-1", Stage.MEDIA))
    assert book.released(NOON) == []


def test_so_much_is_held_and_no_more(book: AckBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ackbook, "MOST_HELD", 3)
    tell(book, *(told(f"f-{n}", held="{}") for n in range(1, 6)))
    assert [free.finding for free in book.released(NOON)] == ["f-3", "f-4", "f-5"]


# ---- what is refused -----------------------------------------------------------------------------


def test_a_finding_that_was_never_told_is_refused_with_a_hint(
    book: AckBook, tmp_path: Path
) -> None:
    tell(book, told("a793d155a63c"))
    with pytest.raises(AckError, match="did you mean a793d155a63c"):
        say(tmp_path, "a793d155a63d")
    with pytest.raises(AckError, match="no such finding"):
        say(tmp_path, "zzz")


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * 501, "\x1b[31m"])
def test_a_reason_is_a_line_of_text(book: AckBook, tmp_path: Path, text: str) -> None:
    tell(book, told())
    with pytest.raises(AckError, match="reason is no line"):
        acknowledge(tmp_path, "f-1", author="ann", reason=text, now=NOON)
    with pytest.raises(AckError, match="name is no line"):
        acknowledge(tmp_path, "f-1", author=text, reason="known", now=NOON)
    assert acks_of(tmp_path) == []


def test_an_end_in_the_past_is_refused(book: AckBook, tmp_path: Path) -> None:
    tell(book, told())
    with pytest.raises(AckError, match="in the past"):
        say(tmp_path, until=NOON)


def test_what_is_not_acknowledged_cannot_be_taken_back(book: AckBook, tmp_path: Path) -> None:
    tell(book, told("f-1"), told("f-2"))
    say(tmp_path, "f-2")
    with pytest.raises(AckError, match="acknowledged are: f-2"):
        remove(tmp_path, "f-1")


def test_a_folder_without_the_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(AckError, match="state directory"):
        say(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_there_are_so_many_acknowledgements_and_no_more(
    book: AckBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acks, "MOST_ACKS", 2)
    tell(book, *(told(f"f-{n}") for n in range(1, 5)))
    say(tmp_path, "f-1", until=NOON + HOUR)
    say(tmp_path, "f-2")
    with pytest.raises(AckError, match="there are 2"):
        say(tmp_path, "f-3")
    say(tmp_path, "f-2")
    acknowledge(tmp_path, "f-4", author="ann", reason="x", now=NOON + HOUR)
    assert [line.ack.finding for line in acks_of(tmp_path)] == ["f-2", "f-4"]


# ---- the file ------------------------------------------------------------------------------------


def test_only_the_last_findings_can_be_acknowledged(
    book: AckBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ackfile, "MOST_TOLD", 3)
    tell(book, *(told(f"f-{n}", at=NOON + n) for n in range(1, 6)))
    say(tmp_path, "f-3")
    with pytest.raises(AckError, match="no such finding"):
        say(tmp_path, "f-2")


def test_a_damaged_file_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    book = AckBook(tmp_path / NAME)
    tell(book, told())
    say(tmp_path)
    assert is_covered(book)
    assert (tmp_path / f"{NAME}.damaged").exists()
    book.close()


def test_a_damaged_file_is_told_to_who_acknowledges(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(AckError, match="not a database"):
        say(tmp_path)


def test_a_file_of_a_newer_version_is_refused_on_both_sides(tmp_path: Path) -> None:
    AckBook(tmp_path / NAME).close()
    with closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="newer egressd"):
        AckBook(tmp_path / NAME)
    with pytest.raises(AckError, match="newer egressd"):
        say(tmp_path)


def test_a_disk_that_takes_nothing_is_counted_and_what_was_told_waits(
    book: AckBook, tmp_path: Path
) -> None:
    book._connection.execute("PRAGMA query_only = 1")  # noqa: SLF001 - the disk is what fails here
    book.note(told())
    assert not book.meet()
    assert book.failures == 1
    assert book.last_error
    book._connection.execute("PRAGMA query_only = 0")  # noqa: SLF001
    assert book.meet()
    say(tmp_path)
    assert is_covered(book)


def test_the_file_is_for_the_daemon_and_its_group(book: AckBook, tmp_path: Path) -> None:
    tell(book, told())
    assert all(file.stat().st_mode & 0o007 == 0 for file in tmp_path.iterdir())
