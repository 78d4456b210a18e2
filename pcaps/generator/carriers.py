"""Tags and tunnels that camera traffic reaches a monitor in.

Each carrier takes one Ethernet frame and gives the frame that carries it. Three
families: tags between Ethernet and IP, tunnels that carry the IP packet, and
tunnels that carry the whole Ethernet frame (as remote mirrors do).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pcaps.generator import wire
from pcaps.generator.wire import Ends, Header, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generator.mirror import Captured

SWITCH_MAC, MONITOR_MAC = "00:1b:21:00:fa:01", "00:1b:21:00:fa:09"
SWITCH, MONITOR = "10.20.250.1", "10.20.250.9"
HEADER = 14  # Ethernet


@dataclass(frozen=True, slots=True)
class Carrier:
    """One way to carry frames: its name, how, and what it needs."""

    name: str
    says: str
    wrap: Callable[[bytes, int], bytes]  # frame, number of the frame -> carrying frame
    added: int  # header bytes that an Ethernet frame of the inside does not have
    outer: Ends | None = None
    vlans: tuple[int, ...] = ()
    only_ip: bool = False


def carry(rows: list[Captured], carrier: Carrier) -> list[Captured]:
    """Return the rows inside a carrier; frames that it cannot carry are left out."""
    made = []
    for number, row in enumerate(rows):
        if carrier.only_ip and row.frame.packet is None:
            continue
        data = carrier.wrap(row.data, number)
        outer = carrier.outer
        if outer is not None and outer.sport == 0 and outer.dport:
            outer = replace(outer, sport=_source_port(number))
        own = len(data) - carrier.added
        made.append(
            replace(row, data=data, length=len(data), own=own, outer=outer, vlans=carrier.vlans)
        )
    return made


def _source_port(number: int) -> int:
    """Return one of a few source ports: tunnels spread flows over paths by it (RFC 7348, 5)."""
    return 50000 + number % 3


def _tag(header: bytes) -> Callable[[bytes, int], bytes]:
    return lambda frame, _: frame[:12] + header + frame[12:]


def _mpls(frame: bytes, _: int) -> bytes:
    """Two labels, the second at the bottom of the stack (RFC 3032)."""
    labels = struct.pack("!II", 16001 << 12 | 63, 24005 << 12 | 1 << 8 | 63)
    return (frame[:12] + b"\x88\x47" + labels + _ip_of(frame)).ljust(60, b"\0")


def _pppoe(frame: bytes, _: int) -> bytes:
    """PPPoE session (RFC 2516); PPP protocol 0x0021 or 0x0057."""
    packet = _ip_of(frame)
    ppp = (b"\0\x57" if packet[0] >> 4 == 6 else b"\0\x21") + packet
    head = struct.pack("!BBHH", 0x11, 0, 0x0A0B, len(ppp))
    return (frame[:12] + b"\x88\x64" + head + ppp).ljust(60, b"\0")


def _ip_of(frame: bytes) -> bytes:
    """Return the IP packet in a frame without its Ethernet padding."""
    if frame[12:14] == b"\x86\xdd":
        return frame[HEADER : HEADER + 40 + int.from_bytes(frame[18:20], "big")]
    return frame[HEADER : HEADER + int.from_bytes(frame[16:18], "big")]


def _tunnel(protocol: int, body: bytes, number: int) -> bytes:
    """Return an outer frame from the switch to the monitor."""
    packet = wire.ip(Ends(SWITCH, MONITOR), protocol, body, Header(number & 0xFFFF))
    return wire.ethernet(MONITOR_MAC, SWITCH_MAC, wire.ETHERTYPE_IPV4, packet)


def _udp_tunnel(port: int, head: bytes, inner: bytes, number: int) -> bytes:
    body = wire.udp(Ends(SWITCH, MONITOR, _source_port(number), port), head + inner)
    return _tunnel(Protocol.UDP, body, number)


def _gre(frame: bytes, number: int) -> bytes:
    """GRE with a key (RFC 2784, RFC 2890)."""
    packet = _ip_of(frame)
    head = struct.pack("!HHI", 0x2000, wire.ethertype_of(packet), 77)
    return _tunnel(Protocol.GRE, head + packet, number)


def _erspan1(frame: bytes, number: int) -> bytes:
    """ERSPAN type I: GRE without sequence, no ERSPAN header (draft-foschiano-erspan)."""
    return _tunnel(Protocol.GRE, b"\0\0\x88\xbe" + frame, number)


def _erspan2(frame: bytes, number: int) -> bytes:
    """ERSPAN type II: 8 bytes; version 1, VLAN 30, session 7 (the same draft, 4.2)."""
    head = struct.pack("!HHI", 0x1000, 0x88BE, number)
    return _tunnel(Protocol.GRE, head + struct.pack("!HHI", 1 << 12 | 30, 7, 0) + frame, number)


def _erspan3(frame: bytes, number: int) -> bytes:
    """ERSPAN type III: 12 bytes with a timestamp; version 2 (the same draft, 4.3)."""
    head = struct.pack("!HHI", 0x1000, 0x22EB, number)
    body = struct.pack("!HHIHH", 2 << 12 | 30, 7, number * 100, 0, 0)
    return _tunnel(Protocol.GRE, head + body + frame, number)


def _vxlan(frame: bytes, number: int) -> bytes:
    """VXLAN, network 5030 (RFC 7348, 5)."""
    return _udp_tunnel(4789, struct.pack("!II", 0x08000000, 5030 << 8), frame, number)


def _geneve(frame: bytes, number: int) -> bytes:
    """GENEVE with one 4-byte option, network 5030 (RFC 8926, 3.4)."""
    head = struct.pack("!BBHI", 2, 0, 0x6558, 5030 << 8)
    return _udp_tunnel(6081, head + b"\x01\x02\x80\x01\0\0\0\x2a", frame, number)


def _tzsp(frame: bytes, number: int) -> bytes:
    """TaZmen Sniffer Protocol: version 1, received, Ethernet; only the end tag."""
    return _udp_tunnel(37008, b"\x01\x00\x00\x01\x01", frame, number)


def _ipip(frame: bytes, number: int) -> bytes:
    """IP in IP (RFC 2003)."""
    return _tunnel(Protocol.IPIP, _ip_of(frame), number)


def _gtpu(frame: bytes, number: int) -> bytes:
    """GTP-U, a G-PDU without options (3GPP TS 29.281, 5.1)."""
    packet = _ip_of(frame)
    head = struct.pack("!BBHI", 0x30, 0xFF, len(packet), 0x0A0B0C0D)
    ends = Ends(SWITCH, MONITOR, 2152, 2152)
    return _tunnel(Protocol.UDP, wire.udp(ends, head + packet), number)


PAIR = Ends(SWITCH, MONITOR)
CARRIERS = (
    Carrier("vlan", "802.1Q tag 30", _tag(b"\x81\0\0\x1e"), 4, vlans=(30,)),
    Carrier(
        "qinq", "802.1ad tag 100, inner 30", _tag(b"\x88\xa8\0\x64\x81\0\0\x1e"), 8, None, (100, 30)
    ),
    Carrier("mpls", "two MPLS labels", _mpls, 8, only_ip=True),
    Carrier("pppoe", "a PPPoE session", _pppoe, 8, only_ip=True),
    Carrier("gre", "GRE with a key, carrying IP", _gre, 28, PAIR, only_ip=True),
    Carrier("erspan1", "ERSPAN type I", _erspan1, 38, PAIR),
    Carrier("erspan2", "ERSPAN type II", _erspan2, 50, PAIR),
    Carrier("erspan3", "ERSPAN type III", _erspan3, 54, PAIR),
    Carrier("vxlan", "VXLAN", _vxlan, 50, Ends(SWITCH, MONITOR, 0, 4789)),
    Carrier("geneve", "GENEVE with an option", _geneve, 58, Ends(SWITCH, MONITOR, 0, 6081)),
    Carrier("tzsp", "TZSP", _tzsp, 47, Ends(SWITCH, MONITOR, 0, 37008)),
    Carrier("ipip", "IP in IP", _ipip, 20, PAIR, only_ip=True),
    Carrier("gtpu", "GTP-U", _gtpu, 36, Ends(SWITCH, MONITOR, 2152, 2152), only_ip=True),
)
