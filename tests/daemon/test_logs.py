"""Log lines: a name and fields, one line whatever the values hold."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

import pytest

from egressd.daemon import logs
from egressd.daemon.logs import BURST, Log

if TYPE_CHECKING:
    from pathlib import Path


class Full(io.StringIO):
    """A stream onto a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def line_of(journal: bool = True, **fields: object) -> str:  # noqa: FBT001, FBT002 - a test's switch
    stream = io.StringIO()
    Log(stream, journal=journal).info("frame_seen", **fields)
    return stream.getvalue()


def test_a_line_is_a_name_and_fields() -> None:
    assert line_of(camera="gate-1", bytes_out=7, ok=True) == (
        "<6>frame_seen camera=gate-1 bytes_out=7 ok=true\n"
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("two words", '"two words"'),
        ("a\nb", '"a\\nb"'),
        ('say "x"', '"say \\"x\\""'),
        ("a=b", '"a=b"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("käse", '"k\\u00e4se"'),
        ("", '""'),
    ],
)
def test_a_value_cannot_break_the_line(value: str, told: str) -> None:
    assert line_of(name=value) == f"<6>frame_seen name={told}\n"


def test_a_long_value_is_cut() -> None:
    assert len(line_of(text="x" * 5000)) < 400


def test_elsewhere_a_line_begins_with_the_time() -> None:
    stamp, priority, event = line_of(journal=False).split()
    assert stamp.endswith("Z")
    assert (priority, event) == ("info", "frame_seen")


def test_priorities_are_syslogs() -> None:
    stream = io.StringIO()
    log = Log(stream, journal=True)
    log.error("a")
    log.warning("b")
    log.notice("c")
    log.info("d")
    assert stream.getvalue() == "<3>a\n<4>b\n<5>c\n<6>d\n"


def test_the_journal_is_known_by_its_inode(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        Log.to(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}).info("a")
        Log.to(stream, {"JOURNAL_STREAM": "1:2"}).info("b")
        Log.to(stream, {}).info("c")
        stream.seek(0)
        first, *others = stream.read().splitlines()
    assert first == "<6>a"
    assert [line.split()[1:] for line in others] == [["info", "b"], ["info", "c"]]


def test_an_event_that_floods_is_told_a_few_times_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0
    monkeypatch.setattr(logs, "monotonic_now", lambda: now)
    stream = io.StringIO()
    log = Log(stream, journal=True)
    for _ in range(BURST + 5):
        log.info("flood")
    log.info("other")
    assert stream.getvalue().count("flood") == BURST
    assert "other" in stream.getvalue()
    assert log.hidden == 5
    now += logs.MINUTE
    log.info("flood")
    assert stream.getvalue().endswith("flood not_told=5\n")


def test_a_stream_that_cannot_be_written_to_is_counted() -> None:
    stream = io.StringIO()
    log = Log(stream)
    stream.close()
    log.info("unheard")
    assert log.lost == 1
    full = Full()
    log = Log(full)
    log.info("no room")
    assert log.lost == 1


def test_the_number_of_events_counted_is_bounded() -> None:
    log = Log(io.StringIO())
    for number in range(2 * logs.MAXIMUM_EVENTS):
        name = f"event_{number}"
        log.info(name)
    assert len(log._counts) == logs.MAXIMUM_EVENTS  # noqa: SLF001 - its bound
