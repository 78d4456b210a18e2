"""Makes the snapshots that the metrics show, of the engine and of everything around it.

Reading the engine takes longer the more it knows; so it is read anew only after a hundred times as
long as it took, and what is cheap is read each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.report.metrics.readings import (
    CameraPast,
    camera_readings,
    canary_reading,
    contact_counts,
    database_reading,
    evidence_reading,
    finding_counts,
    interface_reading,
    open_findings,
    sink_reading,
)
from egressd.report.metrics.snapshot import (
    ConfigReading,
    InterfaceReading,
    Snapshot,
    StateReading,
    TableReading,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.daemon.watch import Watch
    from egressd.engine import Engine
    from egressd.model import Nanoseconds
    from egressd.reading import EngineReading
    from egressd.report.metrics.exposition import Exposition

READ_SHARE = 100
READ_EVERY: Nanoseconds = 5_000_000_000  # at most
SHOW_EVERY: Nanoseconds = 1_000_000_000  # at most


class Gauges:
    """The way to the exposition; None where nobody listens."""

    def __init__(self, exposition: Exposition | None, started: Nanoseconds) -> None:
        self._exposition = exposition
        self._started = started
        self._reading: EngineReading | None = None
        self._of: Engine | None = None
        self._read_next: Nanoseconds = 0
        self._show_next: Nanoseconds = 0

    def reading_of(self, watch: Watch) -> EngineReading:
        """Return what the engine counts, as it was a moment ago or now."""
        clocks = watch.around.clocks
        began = clocks.monotonic()
        if self._reading is None or self._of is not watch.engine or began >= self._read_next:
            self._reading, self._of = watch.engine.reading(), watch.engine
            took = clocks.monotonic() - began
            self._read_next = began + max(READ_EVERY, READ_SHARE * took)
        return self._reading

    def read(self, watch: Watch) -> Callable[[], None]:
        """Read all counts; return what shows them."""
        exposition, now = self._exposition, watch.around.clocks.monotonic()
        if exposition is None or now < self._show_next:
            return _show_nothing
        self._show_next = now + SHOW_EVERY
        snapshot = self._snapshot(watch)
        return lambda: exposition.publish(snapshot)

    def _snapshot(self, watch: Watch) -> Snapshot:
        around, counters, reading = watch.around, watch.counters, self.reading_of(watch)
        coverage = watch.engine.coverage()
        pasts = {
            camera: CameraPast(
                recognised=times.recognised,
                destinations=times.destinations,
                last_new_destination=times.last_new_destination,
                last_frame=times.last_frame,
            )
            for camera, times in reading.times.items()
        }
        findings = open_findings(reading.findings, coverage.last)
        evidence = around.bystanders.evidence_counts()
        keeper = around.keeper
        canary = around.bystanders.canary
        return Snapshot(
            taken=around.clocks.wall(),
            started=self._started,
            coverage=coverage,
            cameras=camera_readings(reading.cameras, pasts, reading.totals, findings),
            missing_cameras=reading.missing,
            contacts=contact_counts(reading.counts),
            findings=finding_counts(reading.counts),
            interfaces=_interfaces(watch),
            tables=tuple(
                TableReading(table.name, table.entries, table.limit, table.evictions)
                for table in reading.tables
            ),
            databases=tuple(database_reading(info) for info in reading.databases),
            sinks=tuple(sink_reading(one) for one in around.outlet.statistics()),
            blind=watch.sensor.readings(),
            canaries=() if canary is None else (canary_reading("canary", canary.counts),),
            config=ConfigReading(
                counters.reload_successful,
                counters.reload_at,
                counters.reload_success_at,
                counters.reload_failures,
            ),
            state=None if keeper is None else StateReading(keeper.saved, keeper.failures),
            evidence=None if evidence is None else evidence_reading(evidence),
            clock_steps=watch.clock_watch.steps,
            backward_frames=counters.backward,
            busy=counters.busy / 1e9,
        )


def _interfaces(watch: Watch) -> tuple[InterfaceReading, ...]:
    rings = watch.intake.interfaces()
    if rings:
        return tuple(interface_reading(ring) for ring in rings)
    lost = sum(watch.intake.drops().values())
    counters = watch.counters
    return (
        InterfaceReading(
            "folder",
            frames=counters.frames,
            last_frame=counters.last_frame,
            dropped_by_kernel=lost,
        ),
    )


def _show_nothing() -> None:
    return
