"""What the filter's program must keep of a frame, said once more and in another way.

Plain Python over slices, with the ports and addresses asked of the site and not of ranges:
it shares no code with `capture.cutting` but for the list of control ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from egressd.capture.cutting import CONTROL_PORTS

if TYPE_CHECKING:
    from egressd.config import Site

WHOLE = 262_144
IPV4, IPV6, VLAN = 0x0800, 0x86DD, 0x8100
TCP, UDP = 6, 17
CONTROL = {port for span in CONTROL_PORTS for port in range(span.first, span.last + 1)}
RTP_TYPES = {*range(35), *range(96, 128)}


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet that is no fragment and has no extension headers."""

    src: str
    dst: str
    protocol: int
    at: int  # where its payload begins in the frame
    payload: bytes


def number(data: bytes) -> int:
    """Return a number in network order."""
    return int.from_bytes(data, "big")


def kept_of(frame: bytes, site: Site, *, tag_taken_off: bool = False) -> int:
    """Return how many bytes are kept: WHOLE, or up to the end of the RTP header."""
    packet = find_packet(frame, tag_taken_off=tag_taken_off)
    if packet is None or not all(is_host(ip, site) for ip in (packet.src, packet.dst)):
        return WHOLE
    media = udp_media(packet) if packet.protocol == UDP else tcp_media(packet)
    return WHOLE if media is None else packet.at + media


def find_packet(frame: bytes, *, tag_taken_off: bool) -> Packet | None:
    """Return the packet right behind Ethernet and at most one 802.1Q tag."""
    if len(frame) < 18 or frame[0] & 1:
        return None
    at, kind = 14, number(frame[12:14])
    if kind == VLAN and not tag_taken_off:
        at, kind = 18, number(frame[16:18])
    packet = frame[at:]
    if kind == IPV4 and len(packet) >= 20 and packet[0] >> 4 == 4:
        header, total = 4 * (packet[0] & 15), number(packet[2:4])
        if header < 20 or number(packet[6:8]) & 0x3FFF or total > len(packet):
            return None
        src, dst = (str(ip_address(packet[n : n + 4])) for n in (12, 16))
        return Packet(src, dst, packet[9], at + header, packet[header:total])
    if kind == IPV6 and len(packet) >= 40 and packet[0] >> 4 == 6:
        total = 40 + number(packet[4:6])
        if total > len(packet):
            return None
        src, dst = (str(ip_address(packet[n : n + 16])) for n in (8, 24))
        return Packet(src, dst, packet[6], at + 40, packet[40:total])
    return None


def is_host(ip: str, site: Site) -> bool:
    """Tell whether an address is that of a host on site, and not of a group."""
    address = ip_address(ip)
    group = int(address) >= 0xE000_0000 if address.version == 4 else address.is_multicast
    return site.is_on_site(ip) and not group


def udp_media(packet: Packet) -> int | None:
    """Return how much of an RTP datagram is kept from the UDP header on, or None."""
    data = packet.payload
    if len(data) < 20 or number(data[4:6]) != len(data):
        return None
    ports = {number(data[:2]), number(data[2:4])}
    if ports & CONTROL or min(ports) < 5000:
        return None
    rtp = data[8:]
    plausible = rtp[0] >> 6 == 2 and not rtp[0] & 15 and rtp[1] & 127 in RTP_TYPES
    return 20 if plausible and any(rtp[8:12]) else None


def tcp_media(packet: Packet) -> int | None:
    """Return how much of a segment of interleaved media is kept from the TCP header on."""
    data = packet.payload
    if packet.protocol != TCP or len(data) < 20:
        return None
    header = data[12] >> 4 << 2
    if header < 20 or {number(data[:2]), number(data[2:4])} & CONTROL:
        return None
    rest, parts = data[header:], 0
    while rest:
        parts += 1
        length = number(rest[2:4])
        if parts > 4 or len(rest) < 16 or rest[0] != ord("$") or rest[1] > 7:
            return None
        if rest[4] >> 6 != 2 or length < 8:
            return None
        rest = rest[4 + length :]
    return header + 16 if parts else None
