"""Bytes of frames: Ethernet, IPv4, IPv6, TCP, UDP, ICMP, with right checksums.

No state and no time: identification, TTL and sequence numbers are arguments.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from ipaddress import ip_address

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
SMALLEST_FRAME = 60  # IEEE 802.3 minimum of 64 without the FCS
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000


class Protocol(IntEnum):
    """IP protocol numbers (IANA)."""

    ICMP = 1
    IPIP = 4
    TCP = 6
    UDP = 17
    GRE = 47
    ICMPV6 = 58


class Flag(IntFlag):
    """TCP flags (RFC 9293, section 3.1)."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a packet comes from and goes to; ports are 0 where there are none."""

    src: str
    dst: str
    sport: int = 0
    dport: int = 0

    @property
    def reversed(self) -> Ends:
        """The ends of the answer."""
        return Ends(self.dst, self.src, self.dport, self.sport)

    @property
    def version(self) -> int:
        """The IP version, 4 or 6."""
        return 6 if ":" in self.src else 4


@dataclass(frozen=True, slots=True)
class Segment:
    """The parts of a TCP segment that a connection decides."""

    seq: int
    ack: int
    flags: Flag
    payload: bytes = b""
    options: bytes = b""
    window: int = 501


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of an IP header that the sending host decides."""

    ident: int = 0
    ttl: int = 64
    fragment: int = 0  # flags and offset of IPv4 (RFC 791)


@lru_cache(maxsize=65536)
def packed(address: str) -> bytes:
    """Return the bytes of an IPv4 or IPv6 address."""
    return ip_address(address).packed


@lru_cache(maxsize=65536)
def mac_bytes(mac: str) -> bytes:
    """Return the bytes of a MAC address written with colons."""
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of data that is not all zeros.

    The one's complement sum of 16-bit words is the whole number modulo 65,535.
    """
    if len(data) % 2:
        data += b"\0"
    left = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - left if left else 0


def pseudo_header(ends: Ends, protocol: int, length: int) -> bytes:
    """Return what TCP, UDP and ICMPv6 add to their checksum (RFC 9293 3.1, RFC 8200 8.1)."""
    if ends.version == 4:
        tail = struct.pack("!BBH", 0, protocol, length)
    else:
        tail = struct.pack("!II", length, protocol)
    return packed(ends.src) + packed(ends.dst) + tail


def udp(ends: Ends, payload: bytes) -> bytes:
    """Return a UDP datagram (RFC 768)."""
    length = 8 + len(payload)
    start = struct.pack("!HHH", ends.sport, ends.dport, length)
    covered = pseudo_header(ends, Protocol.UDP, length) + start + b"\0\0" + payload
    return start + struct.pack("!H", checksum(covered) or 0xFFFF) + payload


def tcp(ends: Ends, segment: Segment) -> bytes:
    """Return a TCP segment; options are padded to whole words."""
    options = segment.options + b"\1" * (-len(segment.options) % 4)
    offset = (20 + len(options)) // 4 << 4
    head = struct.pack(
        "!HHIIBBH",
        ends.sport,
        ends.dport,
        segment.seq & 0xFFFFFFFF,
        segment.ack & 0xFFFFFFFF,
        offset,
        segment.flags,
        segment.window,
    )
    rest = b"\0\0" + options + segment.payload
    length = len(head) + 2 + len(rest)
    value = checksum(pseudo_header(ends, Protocol.TCP, length) + head + b"\0\0" + rest)
    return head + struct.pack("!H", value) + rest


def icmp(ends: Ends, kind: int, code: int, rest: bytes) -> bytes:
    """Return an ICMP or ICMPv6 message; `rest` starts after the checksum."""
    start = bytes((kind, code))
    covered = start + b"\0\0" + rest
    if ends.version == 6:
        covered = pseudo_header(ends, Protocol.ICMPV6, len(covered)) + covered
    return start + struct.pack("!H", checksum(covered)) + rest


def ip(ends: Ends, protocol: int, body: bytes, header: Header) -> bytes:
    """Return an IPv4 or IPv6 packet."""
    if ends.version == 6:
        start = struct.pack("!IHBB", 6 << 28, len(body), protocol, header.ttl)
        return start + packed(ends.src) + packed(ends.dst) + body
    start = struct.pack(
        "!BBHHHBB",
        0x45,
        0,
        20 + len(body),
        header.ident,
        header.fragment,
        header.ttl,
        protocol,
    )
    addresses = packed(ends.src) + packed(ends.dst)
    value = checksum(start + b"\0\0" + addresses)
    return start + struct.pack("!H", value) + addresses + body


def ethertype_of(packet: bytes) -> int:
    """Return the ethertype of an IP packet."""
    return ETHERTYPE_IPV6 if packet[0] >> 4 == 6 else ETHERTYPE_IPV4


def ethernet(dst: str, src: str, ethertype: int, payload: bytes) -> bytes:
    """Return an Ethernet frame without FCS, padded to the minimum."""
    frame = mac_bytes(dst) + mac_bytes(src) + struct.pack("!H", ethertype) + payload
    return frame.ljust(SMALLEST_FRAME, b"\0")


def fragments(ends: Ends, protocol: int, body: bytes, ident: int, mtu: int) -> list[bytes]:
    """Return the IPv4 packets that carry `body` over a link of that MTU (RFC 791, 3.2)."""
    step = (mtu - 20) // 8 * 8
    packets = []
    for start in range(0, len(body), step):
        more = MORE_FRAGMENTS if start + step < len(body) else 0
        header = Header(ident, 64, more | start // 8)
        packets.append(ip(ends, protocol, body[start : start + step], header))
    return packets


def routed(packet: bytes, hops: int = 1) -> bytes:
    """Return an IP packet as it is some routers further on: TTL lower, header checksum anew."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes((packet[7] - hops,)) + packet[8:]
    start = packet[:8] + bytes((packet[8] - hops,)) + packet[9:10]
    addresses = packet[12:20]
    value = checksum(start + b"\0\0" + addresses)
    return start + struct.pack("!H", value) + addresses + packet[20:]
