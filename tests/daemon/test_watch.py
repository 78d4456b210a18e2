"""The loop: what it does between frames, with stand-ins for everything around it."""

from __future__ import annotations

import io
from array import array
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from egressd.capture.batch import Batch
from egressd.daemon.clock import Clocks
from egressd.daemon.logs import Log
from egressd.daemon.watch import COVERAGE_EVERY, LOOK_EVERY, TICK_EVERY, Surroundings, Watch
from egressd.model import AlertEvent, Coverage, CoverageEvent
from egressd.reading import EngineReading
from egressd.state import EngineState, FilePlace

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.daemon.keeper import FileKey
    from egressd.model import Event
    from egressd.state import Kept

SECOND = 1_000_000_000
NOON = 1_795_348_800 * SECOND


def batch_at(*times: int) -> Batch:
    count = len(times)
    return Batch(
        b"",
        count,
        array("q", [0] * count),
        array("I", [0] * count),
        array("I", [0] * count),
        array("q", times),
        array("H", [0] * count),
        array("Q", range(1, count + 1)),
    )


ALERT: Any = AlertEvent(NOON, SimpleNamespace(id="f1"))  # type: ignore[arg-type]  # nobody looks in


@dataclass
class Engine:
    """Answers with what the test prepared, and remembers what it was asked."""

    answers: list[list[Event]] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    asked: list[bool] = field(default_factory=list)  # whether for changes only
    restored: EngineState | None = None
    one_way_mirror: bool = False
    is_finished: bool = False

    def feed(self, batch: Batch, sources: list[object]) -> list[Event]:
        assert batch is not None
        assert sources == []
        return self.answers.pop(0) if self.answers else []

    def tick(self, now: int) -> list[Event]:
        self.ticks.append(now)
        return []

    def finish(self) -> list[Event]:
        self.is_finished = True
        return []

    def state(self, *, changed_only: bool = False) -> EngineState:
        self.asked.append(changed_only)
        return EngineState(whole=not changed_only, serial=7)

    def restore(self, state: EngineState) -> None:
        self.restored = state

    def coverage(self) -> Coverage:
        return Coverage(frames=5)


@dataclass
class Intake:
    """Gives batches, then nothing."""

    batches: list[Batch] = field(default_factory=list)
    sources: list[object] = field(default_factory=list)
    is_exhausted: bool = False
    came: int = 0
    took: int = 0
    closed: bool = False

    def read(self, timeout_seconds: float) -> Batch | None:
        assert timeout_seconds < 1
        return self.batches.pop(0) if self.batches else None

    def arrived(self) -> int:
        return self.came

    def taken(self) -> int:
        return self.took

    def up_to(self) -> int:
        return NOON

    def interfaces(self) -> list[object]:
        return []

    def drops(self) -> dict[str, int]:
        return {"span0": 3}

    def tell(self, log: Log) -> None:
        assert log is not None

    def frame_counts(self) -> list[object]:
        return []

    def places(self, *, all_of_them: bool) -> tuple[list[FilePlace], list[FilePlace]]:
        gone = [] if all_of_them else [FilePlace("/in", "a", 1, 2, 3, 4)]
        return [], gone

    def renewed(self) -> Intake:
        return Intake()

    def wake(self) -> None:
        self.came += 0

    def close(self) -> None:
        self.closed = True


@dataclass
class Keeper:
    """Remembers what was to be saved."""

    due: bool = False
    puts: list[Kept] = field(default_factory=list)
    gone: list[FileKey] = field(default_factory=list)
    urgent: list[bool] = field(default_factory=list)
    wants_all: bool = False
    closed: bool = False

    def is_due(self, *, urgent: bool) -> bool:
        self.urgent.append(urgent)
        return self.due or urgent

    def put(self, kept: Kept, gone: list[FileKey], then: Callable[[], None]) -> None:
        self.puts.append(kept)
        self.gone += gone
        then()

    def close(self, kept: Kept, gone: list[FileKey], *, timeout_seconds: float) -> None:
        assert timeout_seconds <= 1
        self.puts.append(kept)
        self.gone += gone
        self.closed = True


class Bench:
    """A loop and all its stand-ins."""

    def __init__(self, *, keeps: bool = True, watchdog: int | None = None) -> None:
        self.wall, self.monotonic, self.boot = NOON, 50 * SECOND, 60 * SECOND
        self.engine, self.intake = Engine(), Intake()
        self.keeper = Keeper()
        self.told = io.StringIO()
        self.published: list[Event] = []
        self.beats = 0
        self.shown = 0
        self.signals = SimpleNamespace(
            stop=False, wake=None, take_reload=lambda: False, take_reopen=lambda: False
        )
        clocks = Clocks(lambda: self.wall, lambda: self.monotonic, lambda: self.boot)
        around: Any = Surroundings(
            outlet=self.outlet(),
            keeper=self.keeper if keeps else None,  # type: ignore[arg-type]  # a stand-in, as all here
            notifier=self.notifier(watchdog),
            signals=self.signals,  # type: ignore[arg-type]
            gauges=self.gauges(),
            bystanders=self.bystanders(),
            log=Log(self.told, journal=True),
            clocks=clocks,
            begin_reload=lambda: None,  # type: ignore[arg-type, return-value]
            make_engine=Engine,  # type: ignore[arg-type]
            after_reload=lambda _: None,
            after_renewal=lambda _: None,
        )
        self.watch = Watch(self.engine, self.intake, around)  # type: ignore[arg-type]

    def outlet(self) -> Any:
        return SimpleNamespace(
            publish=self.published.extend,
            refresh=lambda *_: None,
            reopen=lambda: None,
            close=lambda _: None,
        )

    def notifier(self, watchdog: int | None) -> Any:
        def alive() -> None:
            self.beats += 1

        return SimpleNamespace(
            watchdog=watchdog,
            alive=alive,
            status=lambda _: None,
            ready=lambda _: None,
            stopping=lambda: None,
            close=lambda: None,
        )

    def gauges(self) -> Any:
        def show() -> None:
            self.shown += 1

        return SimpleNamespace(read=lambda _: show, reading_of=lambda _: EngineReading())

    def bystanders(self) -> Any:
        return SimpleNamespace(
            take=lambda _: None,
            tick=lambda _: None,
            canary_report=lambda _: None,
            close=lambda _: None,
        )

    def passes(self, nanoseconds: int) -> None:
        """Let time pass, by all clocks."""
        self.wall += nanoseconds
        self.monotonic += nanoseconds
        self.boot += nanoseconds


def test_frames_go_to_the_engine_and_what_it_says_is_published() -> None:
    bench = Bench()
    bench.intake.batches = [batch_at(NOON, NOON + 1)]
    bench.engine.answers = [[ALERT]]
    bench.watch.turn()
    assert bench.published[0] is ALERT
    assert (bench.watch.counters.frames, bench.watch.counters.alerts) == (2, 1)
    assert bench.watch.status == "2 frames, 1 alert"


def test_on_a_quiet_link_time_goes_on_once_a_second() -> None:
    bench = Bench()
    for _ in range(3):
        bench.watch.turn()
        bench.passes(TICK_EVERY // 2)
    assert bench.engine.ticks == [NOON, NOON]


def test_an_alert_is_saved_at_once_and_other_things_in_their_time() -> None:
    bench = Bench()
    bench.watch.turn()
    assert bench.keeper.puts == []
    bench.intake.batches = [batch_at(NOON)]
    bench.engine.answers = [[ALERT]]
    bench.watch.turn()
    assert bench.keeper.urgent == [False, True]
    assert len(bench.keeper.puts) == 1
    assert bench.keeper.gone == [("/in", 1, 2, 3)]
    assert bench.shown == 1
    bench.watch.turn()
    assert bench.keeper.urgent[-1] is False


def test_after_a_save_that_was_lost_everything_is_saved() -> None:
    bench = Bench()
    bench.keeper.due = True
    bench.watch.turn()
    bench.keeper.wants_all = True
    bench.watch.turn()
    assert bench.engine.asked == [True, False]


def test_where_nothing_is_kept_changes_are_taken_all_the_same() -> None:
    bench = Bench(keeps=False)
    bench.watch.turn()
    assert bench.engine.asked == [True]  # or they would pile up
    assert bench.shown == 1


@pytest.mark.parametrize("step", [-7 * SECOND, 7 * SECOND])
def test_a_clock_that_is_set_is_told(step: int) -> None:
    bench = Bench()
    bench.watch.turn()
    bench.passes(LOOK_EVERY)
    bench.wall += step
    bench.watch.turn()
    assert f"<4>clock_stepped seconds={step // SECOND:+d}.000" in bench.told.getvalue()
    assert bench.watch.clock_watch.steps == 1


def test_a_machine_that_slept_says_so() -> None:
    bench = Bench()
    bench.watch.turn()
    bench.passes(LOOK_EVERY)
    bench.wall += 60 * SECOND
    bench.boot += 60 * SECOND
    bench.watch.turn()
    assert "machine_slept seconds=60.000" in bench.told.getvalue()
    assert "clock_stepped" not in bench.told.getvalue()


def test_frames_from_before_others_are_counted_if_by_more_than_rings_do() -> None:
    bench = Bench()
    for time in (NOON, NOON - SECOND // 2, NOON - 2 * SECOND, NOON + 1):
        bench.intake.batches = [batch_at(time)]
        bench.watch.turn()
    assert bench.watch.counters.backward == 1
    assert bench.watch.counters.last_frame == NOON + 1


def test_the_watchdog_is_fed_while_frames_are_taken_or_none_comes() -> None:
    bench = Bench(watchdog=2 * SECOND)
    for came, took, beats in ((0, 0, 1), (0, 0, 2), (9, 9, 3), (15, 9, 3), (20, 9, 3), (25, 11, 4)):
        bench.intake.came, bench.intake.took = came, took
        bench.passes(SECOND)
        bench.watch.turn()
        assert bench.beats == beats
    assert "sensor_blind reason=stalled" in bench.told.getvalue()


def test_coverage_is_told_every_minute_with_what_was_lost_before_us() -> None:
    bench = Bench()
    bench.watch.turn()
    bench.passes(COVERAGE_EVERY)
    bench.watch.turn()
    (event,) = bench.published
    assert isinstance(event, CoverageEvent)
    assert event.coverage.interface_drops == {"span0": 3}


def test_an_engine_is_swapped_with_all_it_knows() -> None:
    bench = Bench()
    fresh = Engine()
    bench.watch.swap(fresh)  # type: ignore[arg-type]  # a stand-in
    assert bench.engine.is_finished
    assert fresh.restored is not None
    assert (fresh.restored.whole, fresh.restored.serial) == (True, 7)
    bench.keeper.due = True
    bench.watch.turn()
    assert fresh.asked == [False]  # all of it is saved once


def test_an_intake_without_numbers_for_sources_is_opened_anew_with_an_engine() -> None:
    bench = Bench()
    before = bench.intake
    before.is_exhausted = True
    bench.watch.turn()
    now: list[object] = [bench.watch.intake, bench.watch.engine]
    assert now[0] is not before
    assert now[1] is not bench.engine
    assert "intake_renewed" in bench.told.getvalue()


def test_the_end_is_published_saved_and_closed() -> None:
    bench = Bench()
    bench.signals.stop = True
    bench.watch.run()
    assert bench.engine.is_finished
    assert bench.keeper.closed
    assert bench.intake.closed
