"""Snapshots for the tests of the metrics: one with a bit of everything, and one of a replay.

Addresses and MACs as in sample_case.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.model import Case, Coverage, Kind, Party, Stage
from egressd.report.metrics import (
    Blindness,
    BlindReason,
    CameraReading,
    CanaryReading,
    ConfigReading,
    ContactCount,
    DatabaseReading,
    EvidenceReading,
    FindingCount,
    InterfaceReading,
    OpenFindings,
    PartyTraffic,
    SinkReading,
    Snapshot,
    StateReading,
    TableReading,
    Traffic,
)

if TYPE_CHECKING:
    from egressd.model import Camera, Contact, Nanoseconds

ROOT = Path(__file__).parents[2]
NOON = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z
SECOND = 1_000_000_000


def camera_reading(number: int = 1, **changes: object) -> CameraReading:
    reading = CameraReading(
        id=f"00:00:5e:00:53:{number:02x}",
        kind=Kind.CAMERA,
        vendor="hikvision",
        recognised=NOON + number,
        last_frame=NOON + 60 * SECOND,
        traffic=(
            PartyTraffic(Party.VENDOR, Traffic(1_000, 100, 10, 5)),
            PartyTraffic(Party.UNKNOWN, Traffic(64_000, 2_000, 60, 40)),
        ),
        destinations=3,
        last_new_destination=NOON + 30 * SECOND,
        findings=(OpenFindings("cloud-contact", 1, Stage.PAYLOAD),),
    )
    return replace(reading, **changes)  # type: ignore[arg-type] # what the caller names


def full_snapshot() -> Snapshot:
    return Snapshot(
        taken=NOON + 61 * SECOND,
        started=NOON,
        coverage=Coverage(
            first=NOON,
            last=NOON + 60 * SECOND,
            frames=1_000,
            wire_bytes=900_000,
            captured_bytes=500_000,
            duplicates=3,
            cut_frames=4,
            malformed={"tag cut": 2},
            unknown={"0x88cc": 7, "0x8863": 1},
            fragments=5,
            overlapping_fragments=1,
            lost_bytes=1_460,
            one_way_flows=6,
            flows=30,
            evicted_flows=0,
            shed_looks=9,
            super_frames=11,
            decode_errors={"dns short header": 2, "tls hello": 1},
        ),
        cameras=(
            camera_reading(1, name="gate-1", listed=True),
            camera_reading(2, kind=Kind.RECORDER, vendor=None),
        ),
        missing_cameras=1,
        contacts=(ContactCount(Party.VENDOR, Stage.PAYLOAD, permitted=False, count=2),),
        findings=(FindingCount("cloud-contact", 1, 2),),
        interfaces=(
            InterfaceReading(
                "span0", frames=1_000, last_frame=NOON + 60 * SECOND, missed_by_nic=1,
                dropped_by_kernel=2, damaged=4, freezes=5, own_frames=6,
            ),
        ),
        tables=(TableReading("flows", 25, 500_000, 0),),
        databases=(DatabaseReading("oui", NOON - 30 * 86_400 * SECOND), DatabaseReading("x", None)),
        sinks=(
            SinkReading(
                "soc", 12, 3_400, NOON, 100, (("timeout", 3), ("refused", 1)), 2, NOON + SECOND
            ),
            SinkReading("eve", delivered=500, last_delivery=NOON + 60 * SECOND),
        ),
        blind=(Blindness(BlindReason.NO_FRAMES, now=False, seconds=2.5),),
        canaries=(CanaryReading("hall", 60, 59, 1, NOON),),
        config=ConfigReading(last=NOON, last_success=NOON, failures=1),
        state=StateReading(NOON, 1),
        evidence=EvidenceReading(2, 40_000, 1, 0, 3),
        clock_steps=1,
        backward_frames=2,
        busy=1.5,
    )  # fmt: skip


def replayed(name: str) -> Case:
    """Return what a bundled capture shows."""
    services = load_services()
    site = load_site(ROOT / f"pcaps/sites/{name}.yaml", services.vendors)
    engine = assemble(site, services=services, geo=Geo())
    capture = next((ROOT / "pcaps").glob(f"{name}.pcap*"))
    with open_captures([str(capture)]) as reader:
        for batch in reader:
            engine.feed(batch, reader.sources)
    engine.finish()
    return engine.case()


def snapshot_of(case: Case, taken: Nanoseconds) -> Snapshot:
    """Return what the daemon would tell of a case."""
    stages = Counter((c.destination.party, c.stage, c.permitted) for c in case.contacts)
    told = Counter((finding.rule, finding.severity) for finding in case.findings)
    return Snapshot(
        taken=taken,
        started=case.coverage.first,
        coverage=case.coverage,
        cameras=tuple(_reading_of(camera, case) for camera in case.cameras),
        missing_cameras=len(case.missing),
        contacts=tuple(ContactCount(*key, count) for key, count in stages.items()),
        findings=tuple(FindingCount(*key, count) for key, count in told.items()),
    )


def _reading_of(camera: Camera, case: Case) -> CameraReading:
    contacts = [contact for contact in case.contacts if contact.camera is camera]
    open_ones = Counter(
        (finding.rule, finding.severity, finding.stage)
        for finding in case.findings
        if finding.camera.id == camera.id
    )
    return CameraReading(
        id=camera.id,
        name=camera.name,
        kind=camera.kind,
        vendor=camera.vendor,
        listed=camera.listed,
        recognised=case.coverage.first,
        last_frame=case.coverage.last,
        traffic=tuple(
            PartyTraffic(contact.destination.party, _traffic_of(contact)) for contact in contacts
        ),
        destinations=len({contact.destination.ip for contact in contacts}),
        last_new_destination=max((contact.first for contact in contacts), default=0),
        findings=tuple(OpenFindings(*key, count) for key, count in open_ones.items()),
    )


def _traffic_of(contact: Contact) -> Traffic:
    return Traffic(contact.bytes_out, contact.bytes_in, contact.packets_out, contact.packets_in)
