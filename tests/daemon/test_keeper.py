"""The state is saved beside the loop: one save at a time, and a disk that fails loses only time."""

from __future__ import annotations

import io
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from egressd.daemon import keeper as keepers
from egressd.daemon.keeper import AFTER_FAILURE, EVERY, URGENT_EVERY, Keeper
from egressd.daemon.logs import Log
from egressd.state import EngineState, Kept

if TYPE_CHECKING:
    from collections.abc import Callable


class File:
    """A state file that fails on request, or takes its time."""

    def __init__(self) -> None:
        self.saved: list[bool] = []  # whether each save was of all there is
        self.failing: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.closed = False

    def save(self, kept: Kept, gone: list[Any]) -> None:
        assert gone == []
        self.may_go_on.wait(5)
        if self.failing is not None:
            raise self.failing
        self.saved.append(kept.engine.whole)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A keeper, its file, its log and its clock."""

    def __init__(self) -> None:
        self.now = 10**12
        self.file = File()
        self.told = io.StringIO()
        self.keeper = Keeper(self.file, Log(self.told, journal=True))  # type: ignore[arg-type]  # a stand-in

    def put(self, *, whole: bool = False, then: Callable[[], None] | None = None) -> None:
        """Hand something over and wait for the writer."""
        done = threading.Event()

        def both() -> None:
            if then is not None:
                then()
            done.set()

        self.keeper.put(Kept(EngineState(whole=whole)), then=both)
        assert done.wait(5)
        while self.keeper._job is not None:  # noqa: SLF001 - the writer is about to say so
            pass


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(keepers, "monotonic_now", lambda: made.now)
    return made


def test_a_save_is_due_every_two_seconds_or_when_an_alert_was_told(bench: Bench) -> None:
    assert bench.keeper.is_due()
    bench.put()
    assert not bench.keeper.is_due()
    assert not bench.keeper.is_due(urgent=True)
    bench.now += URGENT_EVERY
    assert not bench.keeper.is_due()
    assert bench.keeper.is_due(urgent=True)
    bench.now += EVERY
    assert bench.keeper.is_due()
    assert bench.keeper.saves == 1
    assert bench.keeper.saved > 0


def test_a_slow_disk_is_not_given_more(bench: Bench) -> None:
    bench.file.may_go_on.clear()
    bench.keeper.put(Kept(EngineState(whole=False)))
    bench.now += 10 * EVERY
    assert not bench.keeper.is_due(urgent=True)
    bench.file.may_go_on.set()


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
        UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed"),
    ],
    ids=["disk", "number", "text"],
)
def test_a_save_that_fails_is_told_and_tried_again_with_everything(
    bench: Bench, error: Exception
) -> None:
    bench.file.failing = error
    shown: list[str] = []
    bench.put(then=lambda: shown.append("all the same"))
    assert bench.keeper.failures == 1
    assert bench.keeper.wants_all
    assert shown == ["all the same"]
    assert "state_not_saved" in bench.told.getvalue()
    assert not bench.keeper.is_due(urgent=True)
    bench.now += AFTER_FAILURE
    bench.file.failing = None
    assert bench.keeper.is_due()
    bench.put(whole=True)
    assert bench.file.saved == [True]
    assert vars(bench.keeper)["wants_all"] is False


def test_the_last_save_is_made_before_it_ends(bench: Bench) -> None:
    bench.put()
    bench.keeper.close(Kept(EngineState(whole=False)), timeout_seconds=5)
    assert bench.file.saved == [False, False]
    assert bench.file.closed


def test_an_end_does_not_wait_for_ever_for_a_disk(bench: Bench) -> None:
    bench.file.may_go_on.clear()
    bench.keeper.put(Kept(EngineState(whole=False)))
    bench.keeper.close(Kept(EngineState(whole=False)), timeout_seconds=0.05)
    assert "state_not_saved" in bench.told.getvalue()
    assert not bench.file.closed
    bench.file.may_go_on.set()
