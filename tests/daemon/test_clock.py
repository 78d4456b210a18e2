"""Clocks that are set, and machines that sleep, are noticed; slewing is not."""

from __future__ import annotations

from dataclasses import dataclass

from egressd.daemon.clock import Clocks, ClockWatch

SECOND = 1_000_000_000


@dataclass
class Time:
    """Three clocks that the test turns."""

    wall: int = 1_795_348_800 * SECOND
    boot: int = 50 * SECOND
    monotonic: int = 40 * SECOND

    def passes(self, nanoseconds: int) -> None:
        self.wall += nanoseconds
        self.boot += nanoseconds
        self.monotonic += nanoseconds

    def sleeps(self, nanoseconds: int) -> None:
        self.wall += nanoseconds
        self.boot += nanoseconds

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.monotonic, lambda: self.boot)


def test_time_that_passes_is_no_step() -> None:
    time = Time()
    watch = ClockWatch(time.clocks)
    time.passes(3600 * SECOND)
    assert watch.find_step() == 0
    assert watch.find_sleep() == 0


def test_a_clock_that_is_set_is_a_step_once() -> None:
    time = Time()
    watch = ClockWatch(time.clocks)
    time.wall -= 5 * SECOND
    assert watch.find_step() == -5 * SECOND
    assert watch.find_step() == 0
    time.wall += 3600 * SECOND
    assert watch.find_step() == 3600 * SECOND
    assert watch.steps == 2
    assert watch.last_step == 3600 * SECOND


def test_slewing_never_adds_up_to_a_step() -> None:
    time = Time()
    watch = ClockWatch(time.clocks)
    for _ in range(100):
        time.passes(SECOND)
        time.wall += SECOND // 10
        assert watch.find_step() == 0


def test_sleep_is_told_and_is_no_step() -> None:
    time = Time()
    watch = ClockWatch(time.clocks)
    time.sleeps(600 * SECOND)
    assert watch.find_step() == 0
    assert watch.find_sleep() == 600 * SECOND
    assert watch.find_sleep() == 0
    assert watch.slept == 600 * SECOND


def test_the_machines_own_clocks_agree() -> None:
    watch = ClockWatch(Clocks())
    assert watch.find_step() == 0
    assert watch.find_sleep() == 0
