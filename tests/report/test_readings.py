"""What the program's parts count becomes what a snapshot holds, without loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import sample_case
from sample_snapshot import NOON, SECOND

from egressd.canary import CanaryCounts
from egressd.capture.interfaces import InterfaceCounters, LinkState, NicCounters
from egressd.framekeeper import KeeperCounts
from egressd.model import DatabaseInfo, Party, Stage
from egressd.report.evidence import EvidenceCounts
from egressd.report.evidencefolder import FolderCounts
from egressd.report.metrics.readings import (
    CameraPast,
    built_at,
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
    ContactCount,
    FindingCount,
    OpenFindings,
    PartyTraffic,
    Traffic,
)
from egressd.report.sinks.delivery import SinkStatistics
from egressd.state import CountRow, TotalRow

SPAN = InterfaceCounters(
    interface="span0", name="span1", state=LinkState.UP, frames=100, wire_bytes=9_000,
    captured_bytes=5_000, last_frame=NOON, packets=103, drops=3, freezes=1, outgoing_frames=2,
    super_frames=0, cut_frames=40, tags=0, damaged=1, outages=0, carrier=True,
    nic=NicCounters(missed=7, fifo=7, over=None, crc=2, framing=1, length=None),
)  # fmt: skip


def test_totals_are_a_cameras_traffic_by_party() -> None:
    camera = sample_case.camera()
    totals = [
        TotalRow(camera.id, "vendor", 10, 20, 1, 2),
        TotalRow(camera.id, "unknown", 30, 40, 3, 4),
        TotalRow("00:00:5e:00:53:99", "vendor", 1, 1, 1, 1),
    ]
    past = CameraPast(NOON, NOON + 5, 4, NOON + 2)
    (reading,) = camera_readings([camera], {camera.id: past}, totals, {})
    assert reading.traffic == (
        PartyTraffic(Party.VENDOR, Traffic(10, 20, 1, 2)),
        PartyTraffic(Party.UNKNOWN, Traffic(30, 40, 3, 4)),
    )
    assert (reading.name, reading.vendor, reading.recognised) == ("gate-1", "hikvision", NOON)
    assert (reading.destinations, reading.last_new_destination) == (4, NOON + 2)


def test_a_finding_is_open_until_an_hour_of_silence() -> None:
    finding = sample_case.finding()
    hour = 3600 * SECOND
    assert finding.camera.id in open_findings([finding], finding.last + hour)
    assert open_findings([finding], finding.last + hour + 1) == {}


def test_findings_alike_are_counted_together_and_acknowledged_ones_apart() -> None:
    first, second = sample_case.finding(), sample_case.finding()
    third = replace(first, id="f-3")
    found = open_findings([first, second, third], NOON, lambda finding: finding.id == "f-3")
    assert found[first.camera.id] == (
        OpenFindings("vendor-cloud", 1, Stage.TRANSFER, 2, acknowledged=False),
        OpenFindings("vendor-cloud", 1, Stage.TRANSFER, 1, acknowledged=True),
    )


def test_counts_of_the_state_are_told_by_what_they_count() -> None:
    rows = [
        CountRow("contacts", ("vendor", "media", "unpermitted"), 2),
        CountRow("contacts", ("owner", "lookup", "permitted"), 1),
        CountRow("findings", ("scan", "2"), 5),
        CountRow("something else", (), 9),
    ]
    assert contact_counts(rows) == (
        ContactCount(Party.VENDOR, Stage.MEDIA, permitted=False, count=2),
        ContactCount(Party.OWNER, Stage.LOOKUP, permitted=True, count=1),
    )
    assert finding_counts(rows) == (FindingCount("scan", 2, 5),)


def test_an_interface_is_named_as_it_was_asked_for_and_its_losses_have_layers() -> None:
    reading = interface_reading(SPAN)
    assert (reading.name, reading.up, reading.frames) == ("span0", True, 100)
    assert (reading.missed_by_nic, reading.dropped_by_kernel) == (7, 3)
    assert (reading.damaged, reading.own_frames) == (2 + 1 + 1, 2)


@pytest.mark.parametrize(
    ("state", "carrier", "is_up"),
    [(LinkState.UP, True, True), (LinkState.UP, None, True), (LinkState.UP, False, False),
     (LinkState.DOWN, None, False), (LinkState.GONE, None, False)],
)  # fmt: skip
def test_an_interface_without_carrier_is_not_up(
    state: LinkState, *, carrier: bool | None, is_up: bool
) -> None:
    assert interface_reading(replace(SPAN, state=state, carrier=carrier)).up is is_up


def test_all_that_a_sink_lost_is_dropped() -> None:
    statistics = SinkStatistics(
        name="soc", type="syslog", backlog_records=3, backlog_bytes=900, oldest=NOON, delivered=10,
        failures={"timeout": 2, "refused": 1}, refused=1, dropped_alerts=2, dropped_others=4,
        unreadable=8, spool_failures=0, last_delivery=NOON, is_failing=True, is_alive=True,
    )  # fmt: skip
    reading = sink_reading(statistics)
    assert reading.dropped == 1 + 2 + 4 + 8
    assert reading.failures == (("refused", 1), ("timeout", 2))


def test_evidence_counts_what_both_of_its_parts_lost() -> None:
    folder = FolderCounts(
        files=2, bytes=500, evicted=Counter({"low": 3}), expired=1, lost=Counter({"full": 2})
    )
    counts = EvidenceCounts(folder, KeeperCounts(), missing_frames=6, lost=Counter({"crowd": 1}))
    reading = evidence_reading(counts)
    assert (reading.findings, reading.size, reading.evictions) == (2, 500, 4)
    assert (reading.failures, reading.missing_frames) == (3, 6)


def test_a_canary_that_is_not_trusted_is_rejected_whatever_the_reason() -> None:
    counts = CanaryCounts(seen=9, sent=10, copies=3, forged=1, replayed=2, untimely=4, broken=8)
    reading = canary_reading("hall", counts, NOON)
    assert (reading.seen, reading.sent, reading.rejected) == (9, 10, 15)


@pytest.mark.parametrize(
    ("text", "built"),
    [("2026-11-22", NOON - 12 * 3600 * SECOND), ("2026-11-22T10:00:00Z", NOON - 12 * 3600 * SECOND),
     ("", None), ("unknown", None)],
)  # fmt: skip
def test_a_build_date_is_its_midnight_or_nothing(text: str, built: int | None) -> None:
    assert built_at(text) == built
    assert database_reading(DatabaseInfo("x", "networks", text)).built == built
