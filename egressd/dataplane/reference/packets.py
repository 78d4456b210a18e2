"""IP packets: the network layer, its fragments' place, and the transport's header.

`read_packet` reads IPv4 (RFC 791) and IPv6 (RFC 8200) up to the transport; `open_transport`
goes on from there. Both raise Malformed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import dpkt

from egressd.dataplane.reference.layers import IPV4, Layer, Malformed, header_only, number_of

if TYPE_CHECKING:
    from egressd.model import Bytes

ICMP, TCP, UDP, ICMPV6, SCTP, UDP_LITE = 1, 6, 17, 58, 132, 136
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

OPTIONS = frozenset({0, 43, 60, 135, 139, 140})  # extension headers counted in eights of bytes
ROUTING = 43
FRAGMENT, AUTHENTICATION = 44, 51
EXTENSIONS = 12  # more are not followed

Ip4Header = header_only(dpkt.ip.IP)
Ip6Header = header_only(dpkt.ip6.IP6)
FragmentHeader = header_only(dpkt.ip6.IP6FragmentHeader)
TcpHeader = header_only(dpkt.tcp.TCP)
UdpHeader = header_only(dpkt.udp.UDP)
IcmpHeader = header_only(dpkt.icmp.ICMP)  # type, code and checksum are ICMPv6's, too


@dataclass(slots=True)
class Packet:
    """One IP packet; from `sport` on, what `open_transport` has read."""

    layer: Layer  # at the IP header
    version: int
    src: int
    dst: int
    protocol: int
    identification: int
    hops: int  # time to live
    header: Bytes  # extension headers included
    body: bytes  # what follows, as far as it was captured
    body_wire: Bytes
    offset: Bytes = 0  # of a fragment
    more_fragments: bool = False
    sport: int = 0
    dport: int = 0
    icmp_type: int = -1
    icmp_code: int = -1
    flags: int = 0  # TCP's
    seq: int = 0
    ack: int = 0
    transport_header: Bytes = 0
    payload: bytes = b""
    payload_wire: Bytes = 0

    @property
    def is_fragment(self) -> bool:
        """Whether it is a part of a datagram; an atomic fragment (RFC 6946) is a whole one."""
        return self.more_fragments or self.offset > 0

    @property
    def is_icmp(self) -> bool:
        """Whether it is ICMP of either version."""
        return self.protocol in {ICMP, ICMPV6}

    @property
    def is_icmp_error(self) -> bool:
        """Whether it quotes the packet it is about (RFC 792, RFC 4443 2.1)."""
        if self.protocol == ICMP:
            return self.icmp_type in {3, 4, 5, 11, 12}
        return self.protocol == ICMPV6 and 0 <= self.icmp_type < 128


def read_packet(layer: Layer) -> Packet:
    """Read the IP header in front of a layer."""
    return _read_ip4(layer) if layer.ethertype == IPV4 else _read_ip6(layer)


def portless(packet: Packet) -> Packet:
    """Return the packet of a fragment whose ports are not known."""
    return replace(
        packet, sport=0, dport=0, flags=0, icmp_type=-1, icmp_code=-1,
        payload=packet.body, payload_wire=packet.body_wire,
    )  # fmt: skip


def _read_ip4(layer: Layer) -> Packet:
    header = Ip4Header(layer.need(20, "ip header cut"))
    if header.v != 4:
        raise Malformed("ip version")
    size = 4 * header.hl
    if size < 20:
        raise Malformed("ip header length")
    total = header.len or layer.wire  # segmentation offload leaves it empty
    if total < size:
        raise Malformed("ip total length")
    layer.need(size, "ip header cut")
    total = min(total, layer.wire)
    return Packet(
        layer,
        version=4,
        src=number_of(header.src),
        dst=number_of(header.dst),
        protocol=header.p,
        identification=header.id,
        hops=header.ttl,
        header=size,
        body=layer.data[size:total],
        body_wire=total - size,
        offset=8 * header.offset,
        more_fragments=bool(header.mf),
    )


def _read_ip6(layer: Layer) -> Packet:
    header = Ip6Header(layer.need(40, "ip header cut"))
    if header.v != 6:
        raise Malformed("ip version")
    length = header.plen or layer.wire - 40  # a jumbogram or offload leaves it empty
    length = min(length, layer.wire - 40)
    packet = Packet(
        layer,
        version=6,
        src=number_of(header.src),
        dst=number_of(header.dst),
        protocol=header.nxt,
        identification=0,
        hops=header.hlim,
        header=40,
        body=layer.data[40 : 40 + length],
        body_wire=length,
    )
    for _ in range(EXTENSIONS):
        if not _take_extension(packet):
            break
    return packet


def _take_extension(packet: Packet) -> bool:
    """Take one extension header off; False where there is none to take."""
    if packet.protocol not in OPTIONS | {FRAGMENT, AUTHENTICATION}:
        return False
    body = packet.body
    if len(body) < 8:
        raise Malformed("ipv6 extension header cut")
    size, goes_on = 8, True
    if packet.protocol == FRAGMENT:
        header = FragmentHeader(body[:8])
        packet.offset = 8 * header.frag_off
        packet.more_fragments = bool(header.m_flag)
        packet.identification = header.id
        goes_on = packet.offset == 0  # what follows is the middle of a datagram
    else:
        unit = 4 if packet.protocol == AUTHENTICATION else 8  # RFC 4302 2.2: in words, minus two
        size += unit * body[1]
    if len(body) < size:
        raise Malformed("ipv6 extension header cut")
    if packet.protocol == ROUTING and body[3]:
        final = _final_destination(body[:size])
        packet.dst = packet.dst if final is None else final
    packet.protocol = body[0]
    packet.header += size
    packet.body = body[size:]
    packet.body_wire -= size
    return goes_on


def _final_destination(header: bytes) -> int | None:
    """Return the last address of a routing header on the way: the packet is for that one."""
    match header[2]:
        case 0:  # RFC 2460 4.4, of old captures and attacks
            address = header[8:][-16:]
        case 2 | 4:  # RFC 6275 6.4; RFC 8754 2 lists them backwards
            address = header[8:24]
        case _:
            return None
    return number_of(address) if len(address) == 16 else None


def open_transport(packet: Packet) -> None:
    """Read ports, flags and where the payload is."""
    packet.payload_wire = packet.body_wire
    reader = TRANSPORTS.get(packet.protocol)
    if reader is not None:
        reader(packet)
    packet.payload = packet.body[packet.transport_header :]
    packet.payload_wire = max(0, packet.payload_wire - packet.transport_header)
    packet.payload = packet.payload[: packet.payload_wire]


def _need(packet: Packet, size: int) -> bytes:
    if len(packet.body) < size:
        raise Malformed("transport header cut")
    return packet.body[:size]


def _tcp(packet: Packet) -> None:
    # RFC 9293 3.1
    header = TcpHeader(_need(packet, 20))
    size = 4 * header.off
    if size < 20 or size > packet.body_wire:
        raise Malformed("tcp header length")
    packet.sport, packet.dport = header.sport, header.dport
    packet.seq, packet.ack = header.seq, header.ack
    packet.flags = header.flags & 0xFF
    packet.transport_header = size


def _udp(packet: Packet) -> None:
    # RFC 768; a length of zero is a jumbogram's or offload's, UDP-Lite has a coverage instead
    header = UdpHeader(_need(packet, 8))
    packet.sport, packet.dport = header.sport, header.dport
    packet.transport_header = 8
    if packet.protocol != UDP or header.ulen == 0:
        return
    if header.ulen < 8:
        raise Malformed("udp length")
    if not packet.is_fragment:
        packet.payload_wire = min(packet.payload_wire, header.ulen)


def _icmp(packet: Packet) -> None:
    header = IcmpHeader(_need(packet, 4))
    packet.icmp_type, packet.icmp_code = header.type, header.code
    packet.transport_header = 8 if len(packet.body) >= 8 else 4
    echo = {0, 8} if packet.protocol == ICMP else {128, 129}
    if packet.icmp_type in echo and len(packet.body) >= 8:
        # The identifier stands for both ports: one ping, one flow.
        packet.sport = packet.dport = number_of(packet.body[4:6])


def _sctp(packet: Packet) -> None:
    # RFC 9260 3.1
    header = _need(packet, 12)
    packet.sport, packet.dport = number_of(header[:2]), number_of(header[2:4])
    packet.transport_header = 12


TRANSPORTS = {
    ICMP: _icmp,
    ICMPV6: _icmp,
    TCP: _tcp,
    UDP: _udp,
    UDP_LITE: _udp,
    SCTP: _sctp,
}
