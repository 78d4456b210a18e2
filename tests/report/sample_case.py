"""A case with a bit of everything, for the tests of the reports.

Addresses are from RFC 5737 and RFC 3849, names from RFC 2606, the MAC from the
documentation range of RFC 7042 section 2.1.2.
"""

from __future__ import annotations

from egressd.model import (
    Camera,
    Case,
    Confidence,
    Contact,
    Country,
    CountryKind,
    Coverage,
    DatabaseInfo,
    Destination,
    Direction,
    Evidence,
    Finding,
    Flow,
    FlowState,
    FrameRef,
    Name,
    NameSource,
    Party,
    PermitUse,
    Place,
    Service,
    Side,
    Stage,
)

NOON = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z
SECOND = 1_000_000_000


def camera(name: str | None = "gate-1") -> Camera:
    return Camera(
        id="00:00:5e:00:53:01",
        name=name,
        mac="00:00:5e:00:53:01",
        ips=["10.20.30.11"],
        vendor="hikvision",
        evidence=[
            Evidence("oui", "the MAC is of a block of Hikvision", 0.8, "hikvision"),
            Evidence("dhcp", "DHCP hostname HIKVISION", 0.9, frame=FrameRef("a.pcap", 3)),
        ],
        confidence=0.98,
    )


def destination(name: str = "dev.example.com", ip: str | None = "192.0.2.7") -> Destination:
    return Destination(
        ip=ip,
        port=443 if ip else None,
        transport="tcp" if ip else "udp",
        names=[Name(name, NameSource.DNS, NOON), Name(name, NameSource.SNI, NOON)],
        place=Place(
            (Country("CN", CountryKind.REGISTRATION, "iptocc", "2026-11-01"),),
            64496,
            "Example Org",
        ),
        service=Service(
            "example.com",
            "hikvision",
            "cloud",
            Party.VENDOR,
            Confidence.HIGH,
            can_alert=True,
            matched="example.com",
        ),
        party=Party.VENDOR,
    )


def finding(stage: Stage = Stage.TRANSFER, who: Camera | None = None) -> Finding:
    return Finding(
        id="f-1",
        rule="vendor-cloud",
        severity=1,
        camera=who or camera(),
        destination=destination(),
        direction=Direction.OUTBOUND,
        stage=stage,
        first=NOON,
        last=NOON + 12 * SECOND,
        bytes_out=1_234_567,
        bytes_in=8_901,
        packets_out=1000,
        packets_in=400,
        attempts=1,
        protocol="tls",
        protocols=("tls",),
        evidence=[FrameRef("a.pcap", 7), FrameRef("a.pcap", 9), FrameRef("b.pcap", 1)],
        reason="gate-1 sent 1.2 MB to dev.example.com (192.0.2.7) in 12 s.",
    )


def contact(*, permitted: bool = False, of: Finding | None = None) -> Contact:
    return Contact(
        camera=of.camera if of else camera(),
        destination=of.destination if of else destination("vms.example.org", "198.51.100.3"),
        direction=Direction.OUTBOUND,
        stage=of.stage if of else Stage.PAYLOAD,
        first=NOON,
        last=NOON + 12 * SECOND,
        bytes_out=1_234_567,
        bytes_in=8_901,
        packets_out=1000,
        packets_in=400,
        flows=2,
        permitted=permitted,
        finding=of.id if of else None,
    )


def coverage() -> Coverage:
    return Coverage(
        first=NOON,
        last=NOON + 720 * SECOND,
        frames=85_000,
        wire_bytes=61_000_000,
        captured_bytes=61_000_000,
        flows=321,
        malformed={"ipv4 header length": 2},
        decode_errors={"dns cut name": 1},
    )


def full_case() -> Case:
    found = finding()
    return Case(
        site="Depot North",
        cameras=[found.camera],
        contacts=[contact(of=found), contact(permitted=True)],
        findings=[found],
        permits=[PermitUse("site.yaml:9", "gate-1 -> vms.example.org port 443", "contract 12", 2)],
        coverage=coverage(),
        databases=[DatabaseInfo("iptocc", "registration country", "2026-11-01")],
        other_hosts=4,
    )


def side(ip: str, port: int, mac: str | None = None, frames: int = 10) -> Side:
    return Side(
        ip=ip,
        port=port,
        mac=mac,
        host=0,
        frames=frames,
        wire_bytes=frames * 100,
        own_frames=frames,
        own_bytes=frames * 100,
        payload_bytes=frames * 46,
        delivered_bytes=frames * 46,
        retransmitted_bytes=0,
        lost_bytes=0,
        duplicates=0,
    )


def flow(protocol: int = 6) -> Flow:
    return Flow(
        id=42,
        protocol=protocol,
        client=side("10.20.30.11", 40000, "00:00:5e:00:53:01"),
        server=side("192.0.2.7", 443, "00:00:5e:00:53:fe", 8),
        opener_known=True,
        first=NOON,
        last=NOON + 12 * SECOND,
        state=FlowState.ESTABLISHED,
        first_frame=FrameRef("a.pcap", 7),
        interface=0,
        vlans=(30,),
        carrier=False,
        reset=False,
        refused=False,
    )
