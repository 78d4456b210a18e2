"""The clocks: the one place where the daemon asks what time it is.

The engine never does: its time is the frames' time. The daemon needs the wall clock to bring the
engine forward on a quiet link, and it watches that clock: a step makes frames look early or late,
a machine that slept saw nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.model import Nanoseconds

NOTICED: Nanoseconds = 1_000_000_000  # NTP slews 0.5 ms a second: this much at once is a step


def wall_now() -> Nanoseconds:
    """Return the time that frames are stamped with."""
    return time.time_ns()  # noqa: TID251 - the daemon is where the clock is read


def monotonic_now() -> Nanoseconds:
    """Return a time that only grows, and stands still while the machine sleeps."""
    return time.monotonic_ns()


def awake_and_asleep_now() -> Nanoseconds:
    """Return a time that only grows, and goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The three clocks; tests bring their own."""

    wall: Callable[[], Nanoseconds] = wall_now
    monotonic: Callable[[], Nanoseconds] = monotonic_now
    boot: Callable[[], Nanoseconds] = awake_and_asleep_now


class ClockWatch:
    """Compares the clocks now and then, and says when one jumped."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._wall_ahead = clocks.wall() - clocks.boot()
        self._boot_ahead = clocks.boot() - clocks.monotonic()
        self.steps = 0
        self.last_step: Nanoseconds = 0
        self.slept: Nanoseconds = 0

    def find_step(self) -> Nanoseconds:
        """Return how far the wall clock was set since this was last asked, 0 if it was not."""
        ahead = self._clocks.wall() - self._clocks.boot()
        step = ahead - self._wall_ahead
        self._wall_ahead = ahead  # what it is slewed by does not add up to a step
        if abs(step) <= NOTICED:
            return 0
        self.steps += 1
        self.last_step = step
        return step

    def find_sleep(self) -> Nanoseconds:
        """Return how long the machine slept since this was last asked."""
        ahead = self._clocks.boot() - self._clocks.monotonic()
        slept = ahead - self._boot_ahead
        self._boot_ahead = ahead
        if slept <= NOTICED:
            return 0
        self.slept += slept
        return slept
