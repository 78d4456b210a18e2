"""Link layers, and the tags and labels between them and the network layer.

`open_link` answers the layer at its IP or ARP header, or Foreign. LINKTYPE_ numbers are
those of the pcap file formats (tcpdump.org/linktypes.html).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dpkt

from egressd.dataplane.reference.layers import (
    IPV4,
    IPV6,
    NETWORKS,
    Foreign,
    Layer,
    Malformed,
    header_only,
    number_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Opened = Layer | Foreign

# Tags, labels and frames within frames in front of one network layer; more are not followed.
LINK_HEADERS = 16
LABELS = 16

MPLS, MPLS_MULTICAST = 0x8847, 0x8848
PPPOE_SESSION = 0x8864
FRAME = 0x6558  # transparent Ethernet bridging
I_TAG = 0x88E7
NSH = 0x894F
LONGEST_LENGTH = 0x0600  # below, the type field is an IEEE 802.3 length

EthernetHeader = header_only(dpkt.ethernet.Ethernet)
SllHeader = header_only(dpkt.sll.SLL)
Sll2Header = header_only(dpkt.sll2.SLL2)
PppoeHeader = header_only(dpkt.pppoe.PPPoE)


def open_link(data: bytes, wire: int, linktype: int) -> Opened:
    """Open a frame; raise Malformed where its link layer is broken or not known."""
    opener = LINKS.get(linktype)
    if opener is None:
        raise Malformed("unknown link type")
    return opener(Layer(data, wire, own=wire))


def open_ethernet(layer: Layer) -> Opened:
    """Open an Ethernet frame."""
    _take_ethernet(layer)
    return open_tags(layer)


def open_carried_ethernet(layer: Layer, size: int) -> Opened:
    """Open an Ethernet frame behind `size` bytes of a carrier; raise Malformed if it is cut."""
    carried = _begin_ethernet(layer, size)
    return carried or open_tags(layer)


def open_raw(layer: Layer) -> Opened:
    """Open an IP packet without a link layer."""
    version = layer.need(1, "link header cut")[0] >> 4
    if version not in {4, 6}:
        raise Malformed("ip version")
    layer.ethertype = IPV4 if version == 4 else IPV6
    return layer


def open_wlan(layer: Layer) -> Opened:
    """Open an IEEE 802.11 frame: data in the clear only (802.11-2020 9.3.2)."""
    header = layer.need(24, "link header cut")
    control, flags = header[0], header[1]
    if control & 0x0F != 0x08 and flags & 0x0F == 0x08:
        control, flags = flags, control  # some controllers swap the two inside CAPWAP
    is_data = control & 0x0C == 0x08
    if not is_data or control & 0x40 or flags & 0x40:  # a null function, or protected
        return Foreign()
    first, second, third = (number_of(header[at : at + 6]) for at in (4, 10, 16))
    size = 24
    match flags & 0x03:
        case 0:  # station to station: DA, SA, BSSID
            layer.dst_mac, layer.src_mac = first, second
        case 1:  # to the distribution system: BSSID, SA, DA
            layer.src_mac, layer.dst_mac = second, third
        case 2:  # from it: DA, BSSID, SA
            layer.dst_mac, layer.src_mac = first, third
        case _:  # between access points: a fourth address
            size = 30
    if control & 0x80:  # QoS control; the order bit adds HT control
        if layer.data[size : size + 1] and layer.data[size] & 0x80:
            return Foreign()  # A-MSDU: several frames in one, not taken apart
        size += 6 if flags & 0x80 else 2
    layer.skip(size)
    return _llc(layer) or open_tags(layer)


def open_ppp(layer: Layer, *, carried: bool = True) -> Opened:
    """Open a PPP frame (RFC 1661 2, RFC 1662); `carried`: its header does not count."""
    found = _ppp(layer, carried=carried)
    return found or open_tags(layer)


def open_mpls(layer: Layer) -> Opened:
    """Open a label stack and what it labels."""
    return _mpls(layer) or open_tags(layer)


def open_tags(layer: Layer) -> Opened:
    """Take tags and labels off until the network layer stands in front."""
    for _ in range(LINK_HEADERS):
        step = STEPS.get(layer.ethertype)
        if step is None and layer.ethertype < LONGEST_LENGTH:
            step = _llc
        if step is None:
            break
        foreign = step(layer)
        if foreign is not None:
            return foreign
    return layer if layer.ethertype in NETWORKS else Foreign(layer.ethertype)


# ---- link layers --------------------------------------------------------------------------------


def _take_ethernet(layer: Layer) -> None:
    # dst(6) src(6) type(2)
    header = EthernetHeader(layer.need(14, "link header cut"))
    layer.dst_mac = number_of(header.dst)
    layer.src_mac = number_of(header.src)
    layer.ethertype = header.type
    layer.skip(14)


def _cooked(layer: Layer, kind: Callable[[bytes], dpkt.Packet], size: int) -> Opened:
    header = kind(layer.need(size, "link header cut"))
    if header.hlen == 6:
        layer.src_mac = number_of(header.hdr[:6])
    layer.ethertype = header.ethtype
    layer.skip(size)
    return open_tags(layer)


def _open_sll(layer: Layer) -> Opened:
    return _cooked(layer, SllHeader, 16)


def _open_sll2(layer: Layer) -> Opened:
    return _cooked(layer, Sll2Header, 20)


def _open_null(layer: Layer) -> Opened:
    # An address family: in network order (LOOP), or in that of the capturing host (NULL).
    header = layer.need(4, "link header cut")
    family = number_of(header)
    if family > 0xFFFF:
        family = int.from_bytes(header[:2], "little")
    layer.skip(4)
    if family == 2:
        layer.ethertype = IPV4
    elif family in {10, 23, 24, 28, 30}:  # AF_INET6 of Linux, Windows and the BSDs
        layer.ethertype = IPV6
    else:  # some writers put an ethertype into the lower half
        layer.ethertype = number_of(header[2:])
    return open_tags(layer)


def _open_radiotap(layer: Layer) -> Opened:
    # version(1) pad(1) length(2, little-endian) present(4) ...
    length = int.from_bytes(layer.need(8, "link header cut")[2:4], "little")
    if length < 8:
        raise Malformed("link header cut")
    layer.skip(length)
    return open_wlan(layer)


def _open_ppp_link(layer: Layer) -> Opened:
    return open_ppp(layer, carried=False)


def _open_pppoe_link(layer: Layer) -> Opened:
    layer.ethertype = PPPOE_SESSION
    return open_tags(layer)


def _open_hdlc(layer: Layer) -> Opened:
    # Cisco HDLC: address(1) control(1) type(2)
    layer.ethertype = number_of(layer.need(4, "link header cut")[2:])
    layer.skip(4)
    return open_tags(layer)


def _open_frame_relay(layer: Layer) -> Opened:
    # A Q.922 address of two bytes; then control and NLPID (RFC 2427), or a type (Cisco)
    kind = layer.need(6, "link header cut")[2:4]
    layer.ethertype = {b"\x03\xcc": IPV4, b"\x03\x8e": IPV6}.get(kind, number_of(kind))
    layer.skip(4)
    return open_tags(layer)


def _open_nflog(layer: Layer) -> Opened:
    # family(1) version(1) resource(2), then length(2) type(2) value, padded to four; lengths in
    # the host's order (little-endian here); type 9 is the packet. linux/netfilter/nfnetlink_log.h
    family = layer.need(4, "link header cut")[0]
    data, at = layer.data, 4
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 2], "little")
        if length < 4:
            raise Malformed("link header cut")
        if data[at + 2 : at + 4] == b"\x09\x00":
            layer.ethertype = IPV6 if family == 10 else IPV4
            layer.skip(at + 4)
            return layer
        at += length + -length % 4
    return Foreign()


LINKS: dict[int, Callable[[Layer], Opened]] = {
    0: _open_null,
    1: open_ethernet,
    9: _open_ppp_link,
    12: open_raw,
    14: open_raw,
    50: _open_ppp_link,
    51: _open_pppoe_link,
    101: open_raw,
    104: _open_hdlc,
    105: open_wlan,
    107: _open_frame_relay,
    108: _open_null,
    113: _open_sll,
    127: _open_radiotap,
    228: open_raw,
    229: open_raw,
    239: _open_nflog,
    276: _open_sll2,
}


# ---- steps: each takes one header off and sets the next type, or answers Foreign ----------------


def _begin_ethernet(layer: Layer, size: int) -> Foreign | None:
    if len(layer.data) < size + 14:
        raise Malformed("tunnel header cut")
    layer.begin_again(size)
    _take_ethernet(layer)
    if layer.ethertype in {FRAME, I_TAG, NSH}:
        return Foreign(layer.ethertype)  # a frame in a frame in a frame: not followed
    return None


def _llc(layer: Layer) -> Foreign | None:
    # IEEE 802.2: DSAP, SSAP, control; with SNAP: aa aa 03, organisation(3), type(2)
    saps = layer.need(3, "link header cut")[:2]
    if saps == b"\xaa\xaa" and len(layer.data) >= 8:
        layer.ethertype = number_of(layer.data[6:8])
        layer.skip(8)
        return None
    if saps == b"\x06\x06":
        layer.ethertype = IPV4
        layer.skip(3)
        return None
    return Foreign(saps[0])


def _vlan(layer: Layer) -> None:
    tag = dpkt.ethernet.VLANtag8021Q(layer.need(4, "tag cut"))
    layer.vlans.append(tag.id)
    layer.ethertype = tag.type
    layer.strip(4)


def _mpls(layer: Layer) -> Foreign | None:
    # RFC 3032; the first nibble behind the stack says IPv4, IPv6 or control word (RFC 4385).
    for _ in range(LABELS):
        label = dpkt.ethernet.MPLSlabel(layer.need(5, "tag cut")[:4])
        layer.strip(4)
        if label.s:
            break
    nibble = layer.data[0] >> 4
    if nibble in {4, 6}:
        layer.ethertype = IPV4 if nibble == 4 else IPV6
        return None
    return _begin_ethernet(layer, 4 if nibble == 0 else 0)


def _pppoe(layer: Layer) -> Foreign | None:
    # RFC 2516: version and type(1) code(1) session(2) length(2); code 0 is session data
    if PppoeHeader(layer.need(6, "tag cut")).code != 0:
        return Foreign(PPPOE_SESSION)
    layer.strip(6)
    return _ppp(layer, carried=True)


def _ppp(layer: Layer, *, carried: bool) -> Foreign | None:
    data = layer.data
    if data[0:1] in {b"\x0f", b"\x8f"} and data[1:2] == b"\0" and len(data) >= 4:
        # Cisco HDLC inside PPP_SERIAL: address, control, type
        layer.ethertype, size = number_of(data[2:4]), 4
    else:
        at = 2 if data[:2] == b"\xff\x03" else 0
        if len(data) < at + 2:
            raise Malformed("link header cut")
        width = 1 if data[at] & 1 else 2  # compressed to one byte (RFC 1661 6.5)
        protocol, size = number_of(data[at : at + width]), at + width
        kinds = {0x0021: IPV4, 0x0057: IPV6, 0x0281: MPLS, 0x0283: MPLS}
        if protocol not in kinds:
            return Foreign(protocol)
        layer.ethertype = kinds[protocol]
    if carried:
        layer.strip(size)
    else:
        layer.skip(size)
    return None


def _vn_tag(layer: Layer) -> None:
    layer.ethertype = number_of(layer.need(6, "tag cut")[4:])
    layer.strip(6)


def _e_tag(layer: Layer) -> None:
    layer.ethertype = number_of(layer.need(8, "tag cut")[6:])
    layer.strip(8)


def _i_tag(layer: Layer) -> Foreign | None:
    return _begin_ethernet(layer, 4)


def _bridged(layer: Layer) -> Foreign | None:
    return _begin_ethernet(layer, 0)


def _nsh(layer: Layer) -> Foreign | None:
    # RFC 8300 2.2: flags and length in words(2), type(1), next protocol(1), service path(4)
    header = layer.need(8, "tag cut")
    size = 4 * (header[1] & 0x3F)
    match header[3]:
        case 1:
            layer.ethertype = IPV4
        case 2:
            layer.ethertype = IPV6
        case 3:
            return _begin_ethernet(layer, size)
        case _:
            return Foreign(NSH)
    layer.strip(size)
    return None


STEPS: dict[int, Callable[[Layer], Foreign | None]] = {
    0x8100: _vlan,
    0x88A8: _vlan,
    0x9100: _vlan,
    0x9200: _vlan,
    MPLS: _mpls,
    MPLS_MULTICAST: _mpls,
    PPPOE_SESSION: _pppoe,
    0x8926: _vn_tag,  # Cisco VN-Tag
    0x893F: _e_tag,  # 802.1BR
    I_TAG: _i_tag,  # 802.1ah
    FRAME: _bridged,
    NSH: _nsh,
}
