"""Whether the sensor sees what it should, and if not, why: silence must not look like peace.

Each reason is one question with an answer in counters. When an answer changes, that is told; how
long each held is added up, so that a report can say for how much of a month nobody looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND
from egressd.report.metrics.snapshot import Blindness, BlindReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.capture.interfaces import InterfaceCounters
    from egressd.daemon.logs import Log
    from egressd.model import Nanoseconds

NO_FRAMES_AFTER: Nanoseconds = 60 * NANOSECONDS_PER_SECOND  # no site's mirror is quiet so long
LOSS_SPAN: Nanoseconds = 60 * NANOSECONDS_PER_SECOND
LOSS_SHARE = 0.01  # of the frames that came in the span


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known at a moment."""

    now: Nanoseconds  # of a clock that only grows
    interfaces: Sequence[InterfaceCounters] = ()  # none where a folder is followed
    is_stalled: bool = False
    one_way_mirror: bool = False
    canary_missed: bool = False


@dataclass(slots=True)
class _Held:
    """One reason: since when it holds, and for how long it did before."""

    since: Nanoseconds | None = None
    before: Nanoseconds = 0


@dataclass(slots=True)
class _Seen:
    """An interface's counters when they last changed, or at the beginning of a span."""

    frames: int = 0
    frames_at: Nanoseconds = 0
    packets: int = 0
    drops: int = 0
    span_at: Nanoseconds = 0
    is_losing: bool = False


class Sensor:
    """The reasons to be blind."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held = {reason: _Held() for reason in BlindReason}
        self._seen: dict[str, _Seen] = {}
        self._now: Nanoseconds = 0

    @property
    def reasons(self) -> list[BlindReason]:
        """Why it is blind now; none where it sees."""
        return [reason for reason, held in self._held.items() if held.since is not None]

    def look(self, signs: Signs) -> None:
        """Take what is known now; tell what that changes."""
        self._now = signs.now
        # Each interface is asked, whatever the others say: that is how its counts are followed.
        silent = [self._is_silent(one, signs) for one in signs.interfaces]
        losing = [self._is_losing(one, signs) for one in signs.interfaces]
        holds = {
            BlindReason.NO_FRAMES: any(silent),
            BlindReason.INTERFACE_DOWN: any(not _is_up(one) for one in signs.interfaces),
            BlindReason.ONE_WAY_MIRROR: signs.one_way_mirror,
            BlindReason.CANARY_MISSED: signs.canary_missed,
            BlindReason.LOSS: any(losing),
            BlindReason.STALLED: signs.is_stalled,
        }
        for reason, is_so in holds.items():
            held = self._held[reason]
            if is_so and held.since is None:
                held.since = signs.now
                self._log.warning("sensor_blind", reason=reason.value)
            elif not is_so and held.since is not None:
                lasted, held.since = signs.now - held.since, None
                held.before += lasted
                seconds = lasted // NANOSECONDS_PER_SECOND
                self._log.notice("sensor_sees_again", reason=reason.value, seconds=seconds)

    def readings(self) -> tuple[Blindness, ...]:
        """Return each reason with how long it has held in all."""
        readings = []
        for reason, held in self._held.items():
            lasted = held.before + (self._now - held.since if held.since is not None else 0)
            seconds = lasted / NANOSECONDS_PER_SECOND
            readings.append(Blindness(reason, held.since is not None, seconds))
        return tuple(readings)

    def _is_silent(self, counters: InterfaceCounters, signs: Signs) -> bool:
        seen = self._seen_of(counters, signs)
        if counters.frames != seen.frames:
            seen.frames, seen.frames_at = counters.frames, signs.now
        return _is_up(counters) and signs.now - seen.frames_at >= NO_FRAMES_AFTER

    def _is_losing(self, counters: InterfaceCounters, signs: Signs) -> bool:
        """Say whether too much was lost in the last span that is over."""
        seen = self._seen_of(counters, signs)
        if signs.now - seen.span_at >= LOSS_SPAN:
            came, lost = counters.packets - seen.packets, _lost(counters) - seen.drops
            seen.is_losing = came > 0 and lost > LOSS_SHARE * came
            seen.packets, seen.drops, seen.span_at = counters.packets, _lost(counters), signs.now
        return seen.is_losing

    def _seen_of(self, counters: InterfaceCounters, signs: Signs) -> _Seen:
        seen = self._seen.get(counters.interface)
        if seen is None:
            seen = self._seen[counters.interface] = _Seen(
                counters.frames, signs.now, counters.packets, _lost(counters), signs.now
            )
        return seen


def _is_up(counters: InterfaceCounters) -> bool:
    return counters.state.value == "up" and counters.carrier is not False


def _lost(counters: InterfaceCounters) -> int:
    """Return what the kernel and the card lost."""
    return counters.drops + counters.nic.lost
