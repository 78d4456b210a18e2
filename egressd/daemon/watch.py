"""The daemon's loop: frames in, events out, and between them what has to be seen to in time.

One thread does it all in turns, none of them long: a turn ends when frames came or a quarter of a
second went by without. The state is written by another thread, a reload is read by another one,
and sinks have their own. The loop takes what they finished between two turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.canary import CanaryState
from egressd.daemon.clock import ClockWatch
from egressd.daemon.heartbeat import Heartbeat
from egressd.daemon.sensor import Sensor, Signs
from egressd.model import NANOSECONDS_PER_SECOND, AlertEvent, CoverageEvent
from egressd.report.words import counted
from egressd.state import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.capture.batch import Batch
    from egressd.daemon.bystanders import Bystanders
    from egressd.daemon.clock import Clocks
    from egressd.daemon.gauges import Gauges
    from egressd.daemon.intake import Intake
    from egressd.daemon.keeper import FileKey, Keeper
    from egressd.daemon.logs import Log
    from egressd.daemon.notify import Notifier
    from egressd.daemon.outlet import Outlet
    from egressd.daemon.reload import Reload
    from egressd.daemon.signals import Signals
    from egressd.engine import Engine
    from egressd.model import Event, Nanoseconds, Seconds

TURN: Seconds = 0.25
LOOK_EVERY: Nanoseconds = 500_000_000  # at the clocks, the intake's log, the watchdog
STATUS_EVERY: Nanoseconds = 10_000_000_000
SENSOR_EVERY: Nanoseconds = 2_000_000_000
TICK_EVERY: Nanoseconds = 1_000_000_000
SHOW_EVERY: Nanoseconds = 2_000_000_000
COVERAGE_EVERY: Nanoseconds = 60_000_000_000
LAST_SAVE: Seconds = 1.0  # how long the disk may take when we are to end
LAST_EVIDENCE: Seconds = 0.3  # and the evidence
LAST_FLUSH: Seconds = 0.7  # and the sinks
BACKWARD: Nanoseconds = NANOSECONDS_PER_SECOND  # less is what several rings or files do


@dataclass(slots=True)
class WatchCounters:
    """What the loop did since the start."""

    frames: int = 0
    turns: int = 0
    alerts: int = 0
    busy: Nanoseconds = 0  # in the engine
    backward: int = 0  # times that frames were older than those before them
    last_frame: Nanoseconds = 0  # the newest frame's time
    reloads: int = 0
    reload_failures: int = 0
    reload_successful: bool = True  # the last one; the start counts as one
    reload_text: str = ""  # why it failed
    reload_at: Nanoseconds = 0  # by the wall clock
    reload_success_at: Nanoseconds = 0


@dataclass(slots=True)
class Surroundings:
    """What the loop works with, besides the engine and the intake."""

    outlet: Outlet
    keeper: Keeper | None  # None: nothing is kept over a restart
    notifier: Notifier
    signals: Signals
    gauges: Gauges
    bystanders: Bystanders
    log: Log
    clocks: Clocks
    begin_reload: Callable[[], Reload]
    make_engine: Callable[[], Engine]  # with the site and rules that hold now
    after_reload: Callable[[Reload], None]
    after_renewal: Callable[[Intake], None]


@dataclass(slots=True)
class _Due:
    """When what is next due, by the monotonic clock."""

    look: Nanoseconds = 0
    status: Nanoseconds = 0
    coverage: Nanoseconds = 0
    gauges: Nanoseconds = 0
    sensor: Nanoseconds = 0
    tick: Nanoseconds = 0


class Watch:
    """An engine that is fed from an intake until somebody says stop."""

    def __init__(self, engine: Engine, intake: Intake, around: Surroundings) -> None:
        self.engine = engine
        self.intake = intake
        self.around = around
        self.counters = WatchCounters()
        self.clock_watch = ClockWatch(around.clocks)
        self.heartbeat = Heartbeat(_half(around.notifier.watchdog))
        self.sensor = Sensor(around.log)
        self._reload: Reload | None = None
        self._due = _Due()
        self._urgent = False  # an alert was told and not saved yet
        self._wants_all = False
        now = around.clocks.wall()
        self.counters.reload_at = self.counters.reload_success_at = now
        around.signals.wake = self._wake

    def run(self) -> None:
        """Go on until a signal ends it; then bring out and save everything."""
        self.around.notifier.ready(self.status)
        while not self.around.signals.stop:
            self.turn()
        self._end()

    def turn(self) -> None:
        """Take the frames that came, or go on with the time."""
        self.counters.turns += 1
        batch = self.intake.read(TURN)
        if batch is not None:
            self._take(batch)
        else:
            self._pass_time()
        now = self.around.clocks.monotonic()
        if now >= self._due.look:
            self._due.look = now + LOOK_EVERY
            self._look_around(now)
        self._save()

    @property
    def status(self) -> str:
        """One line on how it goes."""
        count = self.counters
        parts = [counted(count.frames, "frame"), counted(count.alerts, "alert")]
        if not count.reload_successful:
            parts.append(f"the last reload failed: {count.reload_text}")
        if self.sensor.reasons:
            parts.append(f"blind: {', '.join(reason.value for reason in self.sensor.reasons)}")
        return ", ".join(parts)

    # ---- frames ------------------------------------------------------------------------------

    def _take(self, batch: Batch) -> None:
        count = batch.count
        if count:
            first, last = batch.time[0], batch.time[count - 1]
            if min(first, last) < self.counters.last_frame - BACKWARD:
                self.counters.backward += 1
            self.counters.last_frame = max(self.counters.last_frame, last)
        began = self.around.clocks.monotonic()
        events = self.engine.feed(batch, self.intake.sources)
        self.counters.busy += self.around.clocks.monotonic() - began
        self.counters.frames += count
        self._publish(events)

    def _pass_time(self) -> None:
        """Bring the engine forward while nothing comes: what is due must not wait for a frame."""
        now = self.around.clocks.monotonic()
        up_to = self.intake.up_to() if now >= self._due.tick else None
        if up_to is not None:
            self._due.tick = now + TICK_EVERY
            self._publish(self.engine.tick(up_to))

    def _publish(self, events: list[Event]) -> None:
        if not events:
            return
        alerts = 0
        for event in events:
            if isinstance(event, AlertEvent):
                alerts += 1
            elif isinstance(event, CoverageEvent):
                event.coverage.interface_drops |= self.intake.drops()
        self.counters.alerts += alerts
        self._urgent |= alerts > 0
        self.around.bystanders.take(events)
        self.around.outlet.publish(events)

    # ---- between frames ----------------------------------------------------------------------

    def _look_around(self, now: Nanoseconds) -> None:
        around = self.around
        self._watch_clocks()
        self.intake.tell(around.log)
        if self.heartbeat.is_due(now) and self.heartbeat.may_beat(
            now, looked_at=self.intake.taken(), arrived=self.intake.arrived()
        ):
            around.notifier.alive()
        if around.signals.take_reopen():
            around.log.info("files_reopened")
            around.outlet.reopen()
        self._see_to_reload()
        if self.intake.is_exhausted:
            self._renew_intake()
        if now >= self._due.sensor:
            self._due.sensor = now + SENSOR_EVERY
            self._look_at_the_sensor(now)
        if now >= self._due.coverage:
            if self._due.coverage:
                coverage = self.engine.coverage()
                self._publish([CoverageEvent(self.counters.last_frame, coverage)])
                self._tell_what_goes_on()
            self._due.coverage = now + COVERAGE_EVERY
        if now >= self._due.status:
            self._due.status = now + STATUS_EVERY
            around.notifier.status(self.status)

    def _tell_what_goes_on(self) -> None:
        """Say once a minute when findings were last seen, so that none is taken for over."""
        reading = self.around.gauges.reading_of(self)
        last_seen = {finding.id: finding.last for finding in reading.findings}
        now = self._frames_now()
        self.around.outlet.refresh(last_seen, now)
        self.around.bystanders.tick(now)

    def _look_at_the_sensor(self, now: Nanoseconds) -> None:
        report = self.around.bystanders.canary_report(self._frames_now())
        self.sensor.look(
            Signs(
                now,
                self.intake.interfaces(),
                is_stalled=self.heartbeat.is_stalled,
                one_way_mirror=self.engine.one_way_mirror,
                canary_missed=report is not None and report.state is CanaryState.BLIND,
            )
        )

    def _frames_now(self) -> Nanoseconds:
        """Return how late it is for the frames."""
        return max(self.counters.last_frame, self.intake.up_to() or 0)

    def _watch_clocks(self) -> None:
        step = self.clock_watch.find_step()
        if step:
            seconds = f"{step / NANOSECONDS_PER_SECOND:+.3f}"
            self.around.log.warning("clock_stepped", seconds=seconds)
        slept = self.clock_watch.find_sleep()
        if slept:
            seconds = f"{slept / NANOSECONDS_PER_SECOND:.3f}"
            self.around.log.warning("machine_slept", seconds=seconds)

    def _wake(self) -> None:
        self.intake.wake()

    # ---- reload --------------------------------------------------------------------------------

    def _see_to_reload(self) -> None:
        """Begin a reload that was asked for, or take one that is ready."""
        around = self.around
        if self._reload is None:
            if around.signals.take_reload():
                around.log.info("reload_begun")
                around.notifier.reloading(around.clocks.monotonic())
                self._reload = around.begin_reload()
            return
        if not self._reload.is_over:
            return
        reload, self._reload = self._reload, None
        count = self.counters
        count.reloads += 1
        count.reload_at = around.clocks.wall()
        count.reload_successful = reload.engine is not None
        count.reload_text = reload.problem
        if reload.engine is None:
            count.reload_failures += 1
            around.log.error("reload_failed", reason=reload.problem, kept="what was before")
            around.outlet.reopen()
        else:
            count.reload_success_at = count.reload_at
            self.swap(reload.engine)
            around.after_reload(reload)
            around.log.info("reload_done")
        around.notifier.ready(self.status)

    def swap(self, engine: Engine) -> None:
        """Go on with another engine that knows what the one before did."""
        self._publish(self.engine.finish())
        engine.restore(self.engine.state())
        self.engine = engine
        self._wants_all = True

    def _renew_intake(self) -> None:
        """Open the intake anew, and with it an engine: numbers of sources begin again."""
        self.around.log.info("intake_renewed", sources=len(self.intake.sources))
        self.swap(self.around.make_engine())
        self.intake = self.intake.renewed()
        self.around.after_renewal(self.intake)

    # ---- state ---------------------------------------------------------------------------------

    def _save(self) -> None:
        """Hand over what changed, every two seconds or when an alert was told."""
        keeper = self.around.keeper
        if keeper is None:
            now = self.around.clocks.monotonic()
            if now >= self._due.gauges:
                self._due.gauges = now + SHOW_EVERY
                self._kept(whole=False)  # what changed is booked, and need not be remembered
                self.around.gauges.read(self)()
            return
        if not keeper.is_due(urgent=self._urgent):
            return
        self._urgent = False
        whole = keeper.wants_all or self._wants_all
        self._wants_all = False
        kept, gone = self._kept(whole=whole)
        # Shown when it is saved: a crash must not leave less than what was shown.
        keeper.put(kept, gone, self.around.gauges.read(self))

    def _kept(self, *, whole: bool) -> tuple[Kept, list[FileKey]]:
        state = self.engine.state(changed_only=not whole)
        places, gone = self.intake.places(all_of_them=whole)
        kept = Kept(state, self.intake.frame_counts(), places)
        return kept, [(place.folder, place.device, place.inode, place.first) for place in gone]

    def _end(self) -> None:
        """Bring out and save everything; what takes too long is in the state all the same."""
        around = self.around
        around.notifier.stopping()
        around.log.info("watch_stopping", frames=self.counters.frames)
        self._publish(self.engine.finish())
        around.bystanders.close(LAST_EVIDENCE)
        around.outlet.close(LAST_FLUSH)
        if around.keeper is not None:
            kept, gone = self._kept(whole=around.keeper.wants_all or self._wants_all)
            around.keeper.close(kept, gone, timeout_seconds=LAST_SAVE)
        self.intake.close()
        around.notifier.close()
        around.log.info("watch_stopped", frames=self.counters.frames, alerts=self.counters.alerts)


def _half(watchdog: Nanoseconds | None) -> Nanoseconds | None:
    """Return how often to tell the watchdog: sd_watchdog_enabled(3) says half its time."""
    return watchdog // 2 if watchdog is not None else None
