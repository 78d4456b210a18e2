"""Carriers: packets that carry other frames or packets.

`open_carrier` answers the layer at the IP or ARP header inside, or None where the packet is
no carrier. What it holds ends with the carrier's payload.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from egressd.dataplane.reference.layers import IPV4, IPV6, NO_MAC, Layer, Malformed, number_of
from egressd.dataplane.reference.links import (
    MPLS,
    MPLS_MULTICAST,
    open_carried_ethernet,
    open_mpls,
    open_ppp,
    open_raw,
    open_wlan,
)
from egressd.dataplane.reference.packets import UDP

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.dataplane.reference.links import Opened
    from egressd.dataplane.reference.packets import Packet

Inside = Layer | None

ETHERNET = 0x6558
PPTP = 0x880B
ERSPAN, ERSPAN_III = 0x88BE, 0x22EB
TZSP_ETHERNET, TZSP_WLAN = 1, 18


def open_carrier(packet: Packet) -> Inside:
    """Open what a packet carries; raise Malformed where the carrier's header is broken."""
    if packet.protocol == UDP:
        opener = _udp_carrier(packet)
        if opener is None or len(packet.payload) < 8:
            return None
        inside = _inside(packet, packet.transport_header)
        inside.data, inside.wire = packet.payload, packet.payload_wire
    else:
        opener = PROTOCOLS.get(packet.protocol)
        if opener is None:
            return None
        inside = _inside(packet, 0)
    opened = opener(inside)
    return opened if isinstance(opened, Layer) else None


def _inside(packet: Packet, size: int) -> Layer:
    """Return the layer behind a packet's headers: all of them are stripped."""
    return replace(
        packet.layer,
        data=packet.body[size:],
        wire=packet.body_wire - size,
        own=packet.layer.own - packet.header - size,
        vlans=list(packet.layer.vlans),
    )


def _udp_carrier(packet: Packet) -> Callable[[Layer], Opened | None] | None:
    """Return what opens a datagram: some carriers are known by the port they are sent to only."""
    opener = SENT_TO.get(packet.dport)
    if opener is not None:
        return opener
    for port, either in SENT_TO_OR_FROM.items():
        if port in {packet.dport, packet.sport}:
            return either
    return SENT_TO_LAST.get(packet.dport)


# ---- openers: the layer stands at the carrier's own header --------------------------------------


def _ip(layer: Layer) -> Opened:
    if not layer.data:
        raise Malformed("tunnel header cut")
    layer.src_mac = layer.dst_mac = NO_MAC  # those outside are the tunnel's ends
    return open_raw(layer)


def _ether_ip(layer: Layer) -> Opened:
    # RFC 3378: version 3 in a header of two bytes
    layer.need(2, "tunnel header cut")
    return open_carried_ethernet(layer, 2)


def _gre(layer: Layer) -> Opened | None:
    # RFC 2784, RFC 2890: flags(2) protocol(2) [checksum(4)] [key(4)] [sequence(4)]
    header = layer.need(4, "tunnel header cut")
    flags, protocol = number_of(header[:2]), number_of(header[2:])
    size = 4 + 4 * (bool(flags & 0xC000) + bool(flags & 0x2000) + bool(flags & 0x1000))
    if flags & 0x07 == 1:  # RFC 2637: [acknowledgement(4)]
        size += 4 if flags & 0x80 else 0
        if protocol != PPTP or len(layer.data) <= size:
            return None
        layer.strip(size)
        return open_ppp(layer)
    if protocol == ERSPAN:  # type I has no header and no sequence number, type II eight bytes
        return open_carried_ethernet(layer, size + 8 if flags & 0x1000 else size)
    if protocol == ERSPAN_III:  # twelve bytes, eight more with the O bit
        header = layer.need(size + 12, "tunnel header cut")
        return open_carried_ethernet(layer, size + 20 if header[-1] & 1 else size + 12)
    return _by_type(layer, protocol, size)


def _by_type(layer: Layer, ethertype: int, size: int) -> Opened | None:
    """Open what an ethertype in a carrier's header of that size announces."""
    if ethertype == ETHERNET:
        return open_carried_ethernet(layer, size)
    if ethertype in {IPV4, IPV6}:
        layer.strip(size)
        return _ip(layer)
    if ethertype in {MPLS, MPLS_MULTICAST}:
        layer.strip(size)
        return open_mpls(layer)
    return None


def _vxlan(layer: Layer) -> Opened | None:
    # RFC 7348 5: flags(1) reserved(3) VNI(3) reserved(1)
    if not layer.data[0] & 0x08 or layer.data[7] != 0:
        return None
    return open_carried_ethernet(layer, 8)


def _vxlan_gpe(layer: Layer) -> Opened | None:
    # draft-ietf-nvo3-vxlan-gpe: the fourth byte says what follows
    match layer.data[3]:
        case 1 | 2:
            layer.strip(8)
            return _ip(layer)
        case 3:
            return open_carried_ethernet(layer, 8)
    return None


def _geneve(layer: Layer) -> Opened | None:
    # RFC 8926 3.4: version(2 bits) options in words(6 bits) flags(1) type(2) VNI(3) reserved(1)
    if layer.data[0] >> 6:
        return None
    protocol = number_of(layer.data[2:4])
    if protocol not in {ETHERNET, IPV4, IPV6}:
        return None
    return _by_type(layer, protocol, 8 + 4 * (layer.data[0] & 0x3F))


def _tzsp(layer: Layer) -> Opened | None:
    # version(1) type(1) encapsulation(2), then tags: 0 padding, 1 end, else length(1) and value
    data = layer.data
    if data[0] != 1 or data[1] > 1:
        return None
    at = 4
    while at < len(data) and data[at] != 1:
        if data[at] == 0:
            at += 1
        elif at + 1 < len(data):
            at += 2 + data[at + 1]
        else:
            raise Malformed("tunnel header cut")
    if at >= len(data):
        raise Malformed("tunnel header cut")
    encapsulation = number_of(data[2:4])
    if encapsulation == TZSP_ETHERNET:
        return open_carried_ethernet(layer, at + 1)
    if encapsulation == TZSP_WLAN:
        layer.begin_again(at + 1)
        return open_wlan(layer)
    return None


def _gtp(layer: Layer) -> Opened | None:
    # 3GPP TS 29.281 5.1: flags(1) type(1) length(2) TEID(4); with any of E, S, PN also
    # sequence(2) N-PDU(1) next extension(1). An extension ends with the next one's type.
    data = layer.data
    if data[0] & 0xF0 != 0x30 or data[1] != 0xFF:  # version 1, G-PDU
        return None
    size = 8
    if data[0] & 0x07:
        size = 12
        more = layer.need(size, "tunnel header cut")[-1] if data[0] & 0x04 else 0
        while more:
            if layer.need(size + 4, "tunnel header cut")[size] == 0:
                raise Malformed("tunnel header cut")
            size += 4 * data[size]
            more = layer.need(size, "tunnel header cut")[-1]
    layer.strip(size)
    return _ip(layer)


def _capwap(layer: Layer) -> Opened | None:
    # RFC 5415 4.3: preamble(1), header length in words(5 bits) radio(5) binding(5) T(1),
    # F(1) L W M K: with T an 802.11 frame, else Ethernet; F is a fragment, K keeps alive
    data = layer.data
    size = 4 * (data[1] >> 3)
    if data[0] != 0 or data[3] & 0x88 or size < 8:
        return None
    if not data[2] & 1:
        return open_carried_ethernet(layer, size)
    layer.begin_again(size)
    return open_wlan(layer)


def _teredo(layer: Layer) -> Opened | None:
    # RFC 4380 5.1.1: optional authentication (00 01) and origin (00 00) in front of the packet
    data = layer.data
    if data[:2] == b"\x00\x01":
        if len(data) < 13:
            return None
        layer.strip(13 + data[2] + data[3])
    if layer.data[:2] == b"\x00\x00" and len(layer.data) >= 8:
        layer.strip(8)
    if len(layer.data) < 40 or layer.data[0] >> 4 != 6:
        return None
    return _ip(layer)


def _l2tp(layer: Layer) -> Opened | None:
    # RFC 2661 3.1: flags and version(2) [length(2)] tunnel(2) session(2) [Ns(2) Nr(2)]
    # [offset size(2) padding]
    flags = number_of(layer.data[:2])
    if flags & 0x000F != 2 or flags & 0x8000:
        return None  # L2TPv3, or a control message
    size = 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:
        size += 2 + number_of(layer.need(size + 2, "tunnel header cut")[size:])
    layer.need(size + 2, "tunnel header cut")
    layer.strip(size)
    return open_ppp(layer)


PROTOCOLS: dict[int, Callable[[Layer], Opened | None]] = {
    4: _ip,
    41: _ip,
    94: _ip,
    47: _gre,
    97: _ether_ip,
    137: open_mpls,
}
SENT_TO: dict[int, Callable[[Layer], Opened | None]] = {
    4789: _vxlan,
    8472: _vxlan,  # Linux's port from before there was one
    4790: _vxlan_gpe,
    6081: _geneve,
}
SENT_TO_OR_FROM: dict[int, Callable[[Layer], Opened | None]] = {
    37008: _tzsp,
    2152: _gtp,
    3544: _teredo,
    1701: _l2tp,
    5247: _capwap,
}
SENT_TO_LAST: dict[int, Callable[[Layer], Opened | None]] = {4754: _gre, 6635: open_mpls}
