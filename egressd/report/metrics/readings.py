"""Makes readings of what the program's parts count in their own words.

Each function takes the counters of one part as it keeps them and returns what a
snapshot holds. Nothing is added up here but what two parts count of one thing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND, Party, Stage
from egressd.report.metrics.snapshot import (
    CameraReading,
    CanaryReading,
    ContactCount,
    DatabaseReading,
    EvidenceReading,
    FindingCount,
    InterfaceReading,
    OpenFindings,
    PartyTraffic,
    SinkReading,
    Traffic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from egressd.canary import CanaryCounts
    from egressd.capture.interfaces import InterfaceCounters
    from egressd.model import Camera, DatabaseInfo, Finding, Nanoseconds
    from egressd.report.evidence import EvidenceCounts
    from egressd.report.sinks.delivery import SinkStatistics
    from egressd.state import CountRow, TotalRow

EPISODE_SILENCE = 3600 * NANOSECONDS_PER_SECOND  # DESIGN.md 7: ends an episode
CONTACTS, FINDINGS = "contacts", "findings"  # names of counts in the state
PERMITTED = "permitted"
UP = "up"  # egressd.capture.interfaces.LinkState

STAGES = {stage.label: stage for stage in Stage}


@dataclass(frozen=True, slots=True)
class CameraPast:
    """What is known of a camera's time; zero where it is not."""

    recognised: Nanoseconds = 0
    last_frame: Nanoseconds = 0
    destinations: int = 0
    last_new_destination: Nanoseconds = 0


def camera_readings(
    cameras: Iterable[Camera],
    pasts: Mapping[str, CameraPast],
    totals: Iterable[TotalRow],
    findings: Mapping[str, tuple[OpenFindings, ...]],
) -> tuple[CameraReading, ...]:
    """Return the readings of all cameras; mappings go by the camera's id."""
    traffic: defaultdict[str, list[PartyTraffic]] = defaultdict(list)
    for row in totals:
        sums = Traffic(row.bytes_out, row.bytes_in, row.packets_out, row.packets_in)
        traffic[row.camera].append(PartyTraffic(Party(row.party), sums))
    return tuple(
        _camera_reading(
            camera,
            pasts.get(camera.id, CameraPast()),
            tuple(traffic[camera.id]),
            findings.get(camera.id, ()),
        )
        for camera in cameras
    )


def open_findings(
    findings: Iterable[Finding],
    now: Nanoseconds,
    is_acknowledged: Callable[[Finding], bool] = lambda _: False,
) -> dict[str, tuple[OpenFindings, ...]]:
    """Return the findings whose episode goes on, by camera; `now` is the frames' time."""
    counts: defaultdict[str, Counter[tuple[str, int, Stage, bool]]] = defaultdict(Counter)
    for finding in findings:
        if now - finding.last <= EPISODE_SILENCE:
            key = (finding.rule, finding.severity, finding.stage, is_acknowledged(finding))
            counts[finding.camera.id][key] += 1
    return {
        camera: tuple(
            OpenFindings(rule, severity, stage, count, acknowledged)
            for (rule, severity, stage, acknowledged), count in found.items()
        )
        for camera, found in counts.items()
    }


def contact_counts(rows: Iterable[CountRow]) -> tuple[ContactCount, ...]:
    """Return contacts by party, stage and whether a permit covers them."""
    counts = []
    for row in rows:
        if row.name == CONTACTS:
            party, stage, permitted = row.labels
            counts.append(
                ContactCount(Party(party), STAGES[stage], permitted == PERMITTED, row.count)
            )
    return tuple(counts)


def finding_counts(rows: Iterable[CountRow]) -> tuple[FindingCount, ...]:
    """Return findings by rule and severity."""
    return tuple(
        FindingCount(row.labels[0], int(row.labels[1]), row.count)
        for row in rows
        if row.name == FINDINGS
    )


def interface_reading(counters: InterfaceCounters) -> InterfaceReading:
    """Return the reading of an interface."""
    nic = counters.nic
    return InterfaceReading(
        name=counters.interface,
        up=counters.state.value == UP and counters.carrier is not False,
        frames=counters.frames,
        last_frame=counters.last_frame,
        missed_by_nic=nic.lost,
        dropped_by_kernel=counters.drops,
        damaged=(nic.crc or 0) + (nic.framing or 0) + (nic.length or 0) + counters.damaged,
        freezes=counters.freezes,
        own_frames=counters.outgoing_frames,
    )


def sink_reading(statistics: SinkStatistics) -> SinkReading:
    """Return the reading of a sink."""
    return SinkReading(
        name=statistics.name,
        backlog_records=statistics.backlog_records,
        backlog_bytes=statistics.backlog_bytes,
        oldest=statistics.oldest,
        delivered=statistics.delivered,
        failures=tuple(sorted(statistics.failures.items())),
        dropped=statistics.dropped,
        last_delivery=statistics.last_delivery,
    )


def evidence_reading(counts: EvidenceCounts) -> EvidenceReading:
    """Return the reading of the evidence store."""
    return EvidenceReading(
        findings=counts.folder.files,
        size=counts.folder.bytes,
        evictions=counts.folder.evicted.total() + counts.folder.expired,
        failures=counts.lost.total() + counts.folder.lost.total(),
        missing_frames=counts.missing_frames,
    )


def canary_reading(name: str, counts: CanaryCounts, last_seen: Nanoseconds = 0) -> CanaryReading:
    """Return the reading of the canaries that are expected together."""
    rejected = counts.forged + counts.replayed + counts.untimely + counts.broken + counts.strangers
    return CanaryReading(name, counts.sent, counts.seen, rejected, last_seen)


def database_reading(info: DatabaseInfo) -> DatabaseReading:
    """Return the reading of a geo database."""
    return DatabaseReading(info.name, built_at(info.built))


def built_at(text: str) -> Nanoseconds | None:
    """Return the moment of a build date (ISO 8601), or None where there is none."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return None
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) * NANOSECONDS_PER_SECOND


def _camera_reading(
    camera: Camera,
    past: CameraPast,
    traffic: tuple[PartyTraffic, ...],
    findings: tuple[OpenFindings, ...],
) -> CameraReading:
    return CameraReading(
        id=camera.id,
        name=camera.name,
        kind=camera.kind,
        vendor=camera.vendor,
        listed=camera.listed,
        recognised=past.recognised,
        last_frame=past.last_frame,
        traffic=traffic,
        destinations=past.destinations,
        last_new_destination=past.last_new_destination,
        findings=findings,
    )
