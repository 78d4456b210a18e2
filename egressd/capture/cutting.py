"""The program that cuts media on site to its headers, written step by step.

`filter` says why and for whom. Here stand the ports and patterns that media is known by,
and the walk through a frame: Ethernet, a tag, IPv4 or IPv6, both ends, ports, RTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from egressd.capture.bpf import Auxiliary, Op

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.capture.bpf import Assembler
    from egressd.config import Prefix

ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN = 0x0800, 0x86DD, 0x8100
TCP, UDP = 6, 17
GROUP_BIT = 0x01  # of a MAC address: multicast or broadcast
IPV4_GROUPS = 0xE000_0000  # 224.0.0.0 and above: multicast, reserved, broadcast
IPV6_GROUPS = 0xFF00_0000  # ff00::/8
FRAGMENT = 0x3FFF  # more fragments, or an offset (RFC 791)

RTP_HEADER = 12  # without contributing sources (RFC 3550 section 5.1)
RTP_MASK, RTP_FIRST = 0xCF, 0x80  # version 2, no contributing sources
RTP_VERSION_MASK, RTP_VERSION = 0xC0, 0x80
INTERLEAVED = 0x24  # "$"
INTERLEAVED_HEADER = 4  # "$", channel, length of what follows
INTERLEAVED_PARTS = 4  # RTP packets in one segment; a segment of more comes whole
CHANNELS = 8  # two each for video, audio, metadata and the way back (ONVIF streaming)
SMALLEST_PART = 8  # an RTCP packet
LEAST_TRANSPORT = 20  # a TCP header, or a UDP header with that of RTP
KNOWN_PORT_BYTES = 48  # kept of a payload that is media by its port only


class Span(NamedTuple):
    """Ports or addresses from the first to the last."""

    first: int
    last: int


# Neither end of what is cut has one of these. Where the data plane finds carriers, it must
# have them whole; names, discovery and sessions are what we live on. IANA service names,
# unless told otherwise.
CONTROL_PORTS = (
    Span(0, 553),  # the well-known ports: DNS, DHCP, HTTP, NTP, TLS, ...
    Span(555, 1023),  # but RTSP's
    Span(1194, 1194),  # OpenVPN
    Span(1701, 1701),  # L2TP, a carrier
    Span(1883, 1883),  # MQTT
    Span(1900, 1900),  # SSDP
    Span(2152, 2152),  # GTP-U, a carrier
    Span(3478, 3479),  # STUN
    Span(3544, 3544),  # Teredo, a carrier
    Span(3702, 3702),  # WS-Discovery
    Span(4500, 4500),  # IPsec through NAT
    Span(4754, 4755),  # GRE in UDP, a carrier
    Span(4789, 4790),  # VXLAN and VXLAN-GPE, carriers
    Span(5060, 5061),  # SIP
    Span(5246, 5247),  # CAPWAP, a carrier
    Span(5349, 5349),  # STUN over TLS
    Span(5353, 5353),  # multicast DNS, whose answers may be unicast
    Span(5355, 5355),  # LLMNR
    Span(5555, 5555),  # foo over UDP (ip-fou(8)), a carrier
    Span(6080, 6081),  # GUE and GENEVE, carriers
    Span(6343, 6343),  # sFlow
    Span(6635, 6636),  # MPLS in UDP, a carrier
    Span(8080, 8080),  # HTTP
    Span(8443, 8443),  # HTTP over TLS, by habit
    Span(8472, 8472),  # VXLAN as Linux has it, a carrier
    Span(8883, 8883),  # MQTT over TLS
    Span(19302, 19309),  # STUN of browsers (reference servers of WebRTC)
    Span(37008, 37008),  # TZSP, a carrier
    Span(37020, 37020),  # discovery of cameras, answered by unicast
    Span(37810, 37810),  # discovery of cameras, answered by unicast
    Span(51820, 51820),  # WireGuard, by habit
)
# Static payload types of audio and video (RFC 3551 section 6) and the dynamic ones. RTCP, whose
# types look like 72 to 95, comes whole: it is small.
PAYLOAD_TYPES = (Span(0, 34), Span(96, 127))


@dataclass(frozen=True, slots=True)
class MediaPorts:
    """Where media on site may be."""

    rtp: tuple[Span, ...] = (Span(5000, 65_535),)  # what looks like RTP there is RTP
    known: tuple[Span, ...] = ()  # media whatever it looks like, unless a control port


ANY_MEDIA = MediaPorts()


class _Memory(IntEnum):
    """What the program notes in its scratch memory."""

    SOURCE = 0  # four words; IPv4 uses the first
    DESTINATION = 4  # four words
    PROTOCOL = 8
    TRANSPORT = 9  # where the transport header begins
    END = 10  # where the IP packet ends
    PAYLOAD = 11  # where the transport's payload begins


class Cutting:
    """Writes the program, in the order in which it runs; "whole" is where all doubts go.

    A load beyond the frame's end would drop the frame, so that every one stands behind a
    comparison with the frame's length, or with END once that is known to lie within.
    """

    def __init__(self, assembler: Assembler, prefixes: Sequence[Prefix], media: MediaPorts) -> None:
        self._to = assembler
        self._ipv4 = _ranges_of([prefix for prefix in prefixes if prefix.version == 4])
        self._ipv6 = [prefix for prefix in prefixes if prefix.version == 6]
        self._rtp = _in_order(media.rtp)
        self._known = _in_order(media.known)
        self._labels = 0

    def write(self) -> None:
        """Write all of it but "whole"."""
        self._link()
        self._ipv4_header()
        self._ipv4_ends()
        self._ipv6_header()
        self._ipv6_ends()
        self._transport()
        self._udp()
        self._tcp()
        for label, kept in (
            ("cut rtp", RTP_HEADER),
            ("cut interleaved", INTERLEAVED_HEADER + RTP_HEADER),
            ("cut known", KNOWN_PORT_BYTES),
        ):
            self._to.place(label)
            self._to.add(Op.LD_MEMORY, _Memory.PAYLOAD)
            self._to.add(Op.ADD, kept)
            self._to.add(Op.RETURN_A)

    def _link(self) -> None:
        """Ethernet with at most one tag, in the frame or taken off by the kernel."""
        to = self._to
        to.add(Op.LD_LENGTH)
        to.branch(Op.IF_AT_LEAST, 18, no="whole")
        to.add(Op.LD_BYTE, 0)
        to.branch(Op.IF_BITS, GROUP_BIT, yes="whole")
        to.add(Op.LD_WORD, Auxiliary.VLAN_TAG_PRESENT)
        to.branch(Op.IF_EQUAL, 0, yes="tag in frame")
        to.add(Op.LD_HALF, 12)
        to.jump("no tag in frame")
        to.place("tag in frame")
        to.add(Op.LD_HALF, 12)
        to.branch(Op.IF_EQUAL, ETHERTYPE_VLAN, no="no tag in frame")
        to.add(Op.LD_HALF, 16)
        to.add(Op.LDX, 18)
        to.jump("network")
        to.place("no tag in frame")
        to.add(Op.LDX, 14)
        to.place("network")  # A is what begins at X
        to.branch(Op.IF_EQUAL, ETHERTYPE_IPV4, yes="ipv4")
        to.branch(Op.IF_EQUAL, ETHERTYPE_IPV6, yes="ipv6", no="whole")

    def _ipv4_header(self) -> None:
        """RFC 791: no fragments; options are stepped over."""
        to = self._to
        to.place("ipv4")
        to.add(Op.LD_LENGTH)
        to.add(Op.SUBTRACT_X)
        to.branch(Op.IF_AT_LEAST, 20, no="whole")
        to.add(Op.LD_HALF_X, 6)
        to.branch(Op.IF_BITS, FRAGMENT, yes="whole")
        to.add(Op.LD_BYTE_X, 9)
        to.add(Op.STORE, _Memory.PROTOCOL)
        to.add(Op.LD_WORD_X, 12)
        to.add(Op.STORE, _Memory.SOURCE)
        to.add(Op.LD_WORD_X, 16)
        to.add(Op.STORE, _Memory.DESTINATION)
        to.add(Op.LD_HALF_X, 2)
        to.add(Op.ADD_X)
        to.add(Op.STORE, _Memory.END)
        to.add(Op.LD_BYTE_X, 0)
        to.branch(Op.IF_AT_LEAST, 0x45, no="whole")  # version 4, five words or more
        to.branch(Op.IF_ABOVE, 0x4F, yes="whole")
        to.add(Op.AND, 0x0F)
        to.add(Op.SHIFT_LEFT, 2)
        to.add(Op.ADD_X)
        to.add(Op.STORE, _Memory.TRANSPORT)

    def _ipv6_header(self) -> None:
        """RFC 8200: TCP or UDP at once, no extension headers."""
        to = self._to
        to.place("ipv6")
        to.add(Op.LD_LENGTH)
        to.add(Op.SUBTRACT_X)
        to.branch(Op.IF_AT_LEAST, 40, no="whole")
        to.add(Op.LD_BYTE_X, 0)
        to.add(Op.AND, 0xF0)
        to.branch(Op.IF_EQUAL, 0x60, no="whole")
        to.add(Op.LD_BYTE_X, 6)
        to.add(Op.STORE, _Memory.PROTOCOL)
        for word in range(4):
            to.add(Op.LD_WORD_X, 8 + 4 * word)
            to.add(Op.STORE, _Memory.SOURCE + word)
            to.add(Op.LD_WORD_X, 24 + 4 * word)
            to.add(Op.STORE, _Memory.DESTINATION + word)
        to.add(Op.LD, 40)
        to.add(Op.ADD_X)
        to.add(Op.STORE, _Memory.TRANSPORT)
        to.add(Op.LD_HALF_X, 4)
        to.add(Op.ADD, 40)
        to.add(Op.ADD_X)
        to.add(Op.STORE, _Memory.END)

    def _ipv4_ends(self) -> None:
        """Both are hosts on site."""
        to = self._to
        to.add(Op.LD_MEMORY, _Memory.SOURCE)
        self._within(self._ipv4, hit="ipv4 destination", miss="whole")
        to.place("ipv4 destination")
        to.add(Op.LD_MEMORY, _Memory.DESTINATION)
        to.branch(Op.IF_AT_LEAST, IPV4_GROUPS, yes="whole")
        self._within(self._ipv4, hit="transport", miss="whole")

    def _ipv6_ends(self) -> None:
        """Both are hosts on site."""
        to = self._to
        self._within_prefixes(_Memory.SOURCE, hit="ipv6 destination")
        to.place("ipv6 destination")
        to.add(Op.LD_MEMORY, _Memory.DESTINATION)
        to.branch(Op.IF_AT_LEAST, IPV6_GROUPS, yes="whole")
        self._within_prefixes(_Memory.DESTINATION, hit="transport")

    def _transport(self) -> None:
        """All of the packet is there, and neither port is one of control.

        From here on END is a safe bound, and X is where the transport header begins.
        """
        to = self._to
        to.place("transport")
        to.add(Op.LDX_MEMORY, _Memory.END)
        to.add(Op.LD_LENGTH)
        to.branch(Op.IF_AT_LEAST_X, no="whole")
        to.add(Op.LDX_MEMORY, _Memory.TRANSPORT)
        to.add(Op.TXA)
        to.add(Op.ADD, LEAST_TRANSPORT)
        to.add(Op.TAX)
        to.add(Op.LD_MEMORY, _Memory.END)
        to.branch(Op.IF_AT_LEAST_X, no="whole")
        to.add(Op.LDX_MEMORY, _Memory.TRANSPORT)
        for port in (0, 2):
            to.add(Op.LD_HALF_X, port)
            self._go_on_beyond(CONTROL_PORTS, hit="whole")
        to.add(Op.LD_MEMORY, _Memory.PROTOCOL)
        to.branch(Op.IF_EQUAL, UDP, yes="udp")
        to.branch(Op.IF_EQUAL, TCP, yes="tcp", no="whole")

    def _udp(self) -> None:
        """RFC 768, carrying what looks like RTP (RFC 3550 section 5.1)."""
        to = self._to
        to.place("udp")
        to.add(Op.LD_HALF_X, 4)  # the length that UDP tells is the one that IP tells
        to.add(Op.ADD_X)
        to.add(Op.TAX)
        to.add(Op.LD_MEMORY, _Memory.END)
        to.add(Op.SUBTRACT_X)
        to.branch(Op.IF_EQUAL, 0, no="whole")
        to.add(Op.LDX_MEMORY, _Memory.TRANSPORT)
        to.add(Op.TXA)
        to.add(Op.ADD, 8)
        to.add(Op.STORE, _Memory.PAYLOAD)
        self._known_ports()
        for port in (0, 2):
            to.add(Op.LD_HALF_X, port)
            self._go_on_within(self._rtp)
        to.add(Op.LD_BYTE_X, 8)
        to.add(Op.AND, RTP_MASK)
        to.branch(Op.IF_EQUAL, RTP_FIRST, no="whole")
        to.add(Op.LD_BYTE_X, 9)
        to.add(Op.AND, 0x7F)  # without the marker
        self._go_on_within(PAYLOAD_TYPES)
        to.add(Op.LD_WORD_X, 16)  # the source's identifier
        to.branch(Op.IF_EQUAL, 0, yes="whole", no="cut rtp")

    def _tcp(self) -> None:
        """RFC 9293, carrying interleaved RTP and RTCP and nothing else (RFC 7826 section 14)."""
        to = self._to
        to.place("tcp")
        to.add(Op.LD_BYTE_X, 12)
        to.add(Op.AND, 0xF0)
        to.add(Op.SHIFT_RIGHT, 2)
        to.branch(Op.IF_AT_LEAST, 20, no="whole")
        to.add(Op.ADD_X)
        to.add(Op.STORE, _Memory.PAYLOAD)
        to.add(Op.TAX)
        to.add(Op.LD_MEMORY, _Memory.END)
        to.branch(Op.IF_ABOVE_X, no="whole")  # without payload there is nothing to cut
        to.add(Op.LDX_MEMORY, _Memory.TRANSPORT)
        self._known_ports()
        to.add(Op.LDX_MEMORY, _Memory.PAYLOAD)
        for _ in range(INTERLEAVED_PARTS):
            self._interleaved()
        to.jump("whole")

    def _interleaved(self) -> None:
        """One part of a segment: X is where it begins, which is before END."""
        to = self._to
        to.add(Op.LD_MEMORY, _Memory.END)
        to.add(Op.SUBTRACT_X)
        to.branch(Op.IF_AT_LEAST, INTERLEAVED_HEADER + RTP_HEADER, no="whole")
        to.add(Op.LD_BYTE_X, 0)
        to.branch(Op.IF_EQUAL, INTERLEAVED, no="whole")
        to.add(Op.LD_BYTE_X, 1)
        to.branch(Op.IF_AT_LEAST, CHANNELS, yes="whole")
        to.add(Op.LD_BYTE_X, INTERLEAVED_HEADER)
        to.add(Op.AND, RTP_VERSION_MASK)
        to.branch(Op.IF_EQUAL, RTP_VERSION, no="whole")
        to.add(Op.LD_HALF_X, 2)
        to.branch(Op.IF_AT_LEAST, SMALLEST_PART, no="whole")
        to.add(Op.ADD, INTERLEAVED_HEADER)
        to.add(Op.ADD_X)
        to.add(Op.TAX)
        to.add(Op.LD_MEMORY, _Memory.END)
        to.branch(Op.IF_ABOVE_X, no="cut interleaved")

    def _known_ports(self) -> None:
        """Go on where neither port is known for media; X is where the transport header begins."""
        if self._known:
            for port in (0, 2):
                self._to.add(Op.LD_HALF_X, port)
                self._go_on_beyond(self._known, hit="cut known")

    def _go_on_within(self, ranges: Sequence[Span]) -> None:
        """Go on where A lies in a range."""
        following = self._label()
        self._within(ranges, hit=following, miss="whole")
        self._to.place(following)

    def _go_on_beyond(self, ranges: Sequence[Span], *, hit: str) -> None:
        """Go on where A lies in no range."""
        following = self._label()
        self._within(ranges, hit=hit, miss=following)
        self._to.place(following)

    def _within(self, ranges: Sequence[Span], *, hit: str, miss: str) -> None:
        """Look A up in ranges that are in order, halving them each time."""
        if not ranges:
            self._to.jump(miss)
        elif len(ranges) == 1:
            self._to.branch(Op.IF_AT_LEAST, ranges[0].first, no=miss)
            self._to.branch(Op.IF_ABOVE, ranges[0].last, yes=miss, no=hit)
        else:
            middle = len(ranges) // 2
            upper = self._label()
            self._to.branch(Op.IF_AT_LEAST, ranges[middle].first, yes=upper)
            self._within(ranges[:middle], hit=hit, miss=miss)
            self._to.place(upper)
            self._within(ranges[middle:], hit=hit, miss=miss)

    def _within_prefixes(self, address: int, *, hit: str) -> None:
        """Compare an IPv6 address word by word with each network in turn."""
        to = self._to
        for prefix in self._ipv6:
            following = self._label()
            for word in range(-(-prefix.length // 32)):
                bits = min(32, prefix.length - 32 * word)
                to.add(Op.LD_MEMORY, address + word)
                if bits < 32:
                    to.add(Op.AND, 0xFFFF_FFFF << (32 - bits) & 0xFFFF_FFFF)
                wanted = prefix.network >> (96 - 32 * word) & 0xFFFF_FFFF
                to.branch(Op.IF_EQUAL, wanted, no=following)
            to.jump(hit)
            to.place(following)
        to.jump("whole")

    def _label(self) -> str:
        self._labels += 1
        return f"step {self._labels}"


def _ranges_of(prefixes: Sequence[Prefix]) -> list[Span]:
    """Return IPv4 networks as ranges."""
    return _in_order(
        [Span(it.network, it.network + (1 << (32 - it.length)) - 1) for it in prefixes]
    )


def _in_order(spans: Sequence[Span]) -> list[Span]:
    """Return ranges in order; neighbours become one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.first <= merged[-1].last + 1:
            merged[-1] = Span(merged[-1].first, max(span.last, merged[-1].last))
        else:
            merged.append(span)
    return merged
