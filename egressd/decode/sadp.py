"""SADP: Hikvision's search for devices on the own network (UDP 37020, 239.255.255.250).

XML without a namespace. A search is `<Probe>`, a device's answer `<ProbeMatch>`; WS-Discovery uses
the same group and the same words inside a SOAP envelope, so that an envelope is not ours. Source:
the protocol's public implementations (UniversalScanner, `Hikvision.cs`). No capture of a real
device was at hand. The form over raw Ethernet (type 0x8033) is not read.
"""

from __future__ import annotations

from egressd.decode.fieldtext import address_of, mac_of, xml_text
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence

PROBE_MATCH = b"<ProbeMatch>"
PROBE = b"<Probe>"
OPENING = 256  # bytes within which the root element stands


def read_sadp(payload: bytes) -> Introduction | None:
    """Return the SADP message in a UDP payload, or None if it is another protocol."""
    if not payload.startswith((b"<?xml", PROBE, PROBE_MATCH)):
        return None
    opening = payload[:OPENING]
    if b"Envelope" in opening:
        return None
    if PROBE_MATCH in opening:
        return _answer_of(payload)
    if PROBE not in opening or b"<Uuid>" not in payload:
        return None
    asked = xml_text(payload, b"Types") or "inquiry"
    return Introduction("sadp", f"Probe {asked}", Confidence.HIGH)


def _answer_of(payload: bytes) -> Introduction | None:
    serial = xml_text(payload, b"DeviceSN")
    model = xml_text(payload, b"DeviceDescription")
    mac = mac_of(xml_text(payload, b"MAC"))
    if serial is None and model is None and mac is None:
        # An answer to another order (a changed password, say): ours if it has its number.
        if b"<Uuid>" not in payload:
            return None
        return Introduction("sadp", "ProbeMatch", Confidence.MEDIUM)
    return Introduction(
        protocol="sadp",
        message="ProbeMatch",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=model,
        firmware=xml_text(payload, b"SoftwareVersion"),
        serial=serial,
        mac=mac,
        ip=address_of(xml_text(payload, b"IPv4Address")),
    )
