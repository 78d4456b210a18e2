"""Progress: silent for short runs, a line now and then for long ones."""

from __future__ import annotations

import io

import pytest

from egressd.report import progress
from egressd.report.progress import Progress, progress_line


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    return clock


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_short_run_says_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream, 1000) as shown:
        clock.now += 9
        shown.update(1000, 10)
    assert not stream.getvalue()


def test_without_a_terminal_there_is_a_line_every_ten_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream, 4_000_000) as shown:
        for _ in range(25):
            clock.now += 1
            shown.update(1_000_000, 2000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == (
        "egressd: 1.0 MB of 4.0 MB (25%), 2,000 frames, 200 frames/s, 100 kB/s, 30 s left"
    )


def test_a_pipe_has_no_end_to_tell() -> None:
    assert progress_line(1_000_000, None, 500, 2.0) == (
        "1.0 MB, 500 frames, 250 frames/s, 500 kB/s"
    )


def test_a_terminal_gets_a_bar_after_a_second(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with Progress(stream, 2000) as shown:
        shown.update(10, 1)
        assert not stream.getvalue()
        clock.now += 1.5
        shown.update(1000, 10)
        assert "50%" in stream.getvalue()


def test_no_progress_is_no_progress(clock: Clock) -> None:
    stream = Terminal()
    with Progress(stream, 2000, shown=False) as shown:
        clock.now += 100
        shown.update(1000, 10)
    assert not stream.getvalue()
