"""Tags and tunnels around a frame, with the bytes each adds, for tests of what a flow is charged.

The generator's own carriers (pcaps/generator/carriers.py) and those that no scenario has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps.generator import wire
from pcaps.generator.carriers import CARRIERS, MONITOR, MONITOR_MAC, SWITCH, SWITCH_MAC
from pcaps.generator.wire import Ends, Header

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generator.carriers import Carrier

ETHERNET = 14
UDP_HEADERS = 28  # IPv4 and UDP


@dataclass(frozen=True, slots=True)
class Wrapper:
    """One way to wrap an Ethernet frame that holds an IP packet."""

    name: str
    wrap: Callable[[bytes], bytes]
    added: int  # bytes of the outer frame that the flow inside is not charged for
    carries: bool = True  # the outer packet is a flow of its own


def packet_of(frame: bytes) -> bytes:
    """Return the IP packet in an untagged frame without padding."""
    return frame[ETHERNET:]


def tunnel(protocol: int, body: bytes) -> bytes:
    """Return an outer frame with that IP payload."""
    packet = wire.ip(Ends(SWITCH, MONITOR), protocol, body, Header(7))
    return wire.ethernet(MONITOR_MAC, SWITCH_MAC, wire.ETHERTYPE_IPV4, packet)


def udp_tunnel(port: int, body: bytes) -> bytes:
    """Return an outer frame with that UDP payload."""
    return tunnel(17, wire.udp(Ends(SWITCH, MONITOR, 50000, port), body))


def tag(header: bytes) -> Callable[[bytes], bytes]:
    """Return what puts a tag behind the MAC addresses."""
    return lambda frame: frame[:12] + header + frame[12:]


def of_generator(carrier: Carrier) -> Wrapper:
    """Return a carrier of the generator; some can only carry untagged IP."""

    def wrap(frame: bytes) -> bytes:
        untagged = frame[12:14] in {b"\x08\0", b"\x86\xdd"}
        return carrier.wrap(frame, 1) if untagged or not carrier.only_ip else frame

    return Wrapper(carrier.name, wrap, carrier.added, carrier.outer is not None)


def wlan(frame: bytes) -> bytes:
    """Return an 802.11 data frame to the distribution system (802.11-2020 9.3.2), with SNAP."""
    macs = MONITOR_MAC.replace(":", "")
    header = b"\x08\x01\0\0" + bytes.fromhex(macs) + frame[6:12] + frame[:6] + b"\0\0"
    return header + b"\xaa\xaa\x03\0\0\0" + frame[12:]


WRAPPERS = [
    *map(of_generator, CARRIERS),
    Wrapper("vn-tag", tag(b"\x89\x26\0\0\0\0"), 6, carries=False),
    Wrapper("e-tag (802.1BR)", tag(b"\x89\x3f" + bytes(6)), 8, carries=False),
    Wrapper(
        "i-tag (802.1ah)",
        lambda frame: frame[:12] + b"\x88\xe7\0\0\0\1" + frame,
        ETHERNET + 4,
        carries=False,
    ),
    Wrapper(  # RFC 8300 2.2: two words, MD type 2, next protocol Ethernet
        "nsh",
        lambda frame: frame[:12] + b"\x89\x4f\0\x02\x02\x03\0\0\x01\xff" + frame,
        ETHERNET + 8,
        carries=False,
    ),
    Wrapper(
        "nsh ip",
        lambda frame: frame[:12] + b"\x89\x4f\0\x02\x02\x01\0\0\x01\xff" + packet_of(frame),
        8,
        carries=False,
    ),
    Wrapper(  # RFC 4385: a pseudowire's control word behind the label
        "mpls pseudowire",
        lambda frame: frame[:12] + b"\x88\x47\0\x01\x01\x40" + bytes(4) + frame,
        ETHERNET + 8,
        carries=False,
    ),
    Wrapper("etherip", lambda frame: tunnel(97, b"\x30\0" + frame), ETHERNET + 20 + 2),
    Wrapper("mpls in ip", lambda frame: tunnel(137, b"\0\x01\x01\x40" + packet_of(frame)), 20 + 4),
    Wrapper(
        "mpls in udp",
        lambda frame: udp_tunnel(6635, b"\0\x01\x01\x40" + packet_of(frame)),
        UDP_HEADERS + 4,
    ),
    Wrapper(
        "gre in udp",
        lambda frame: udp_tunnel(4754, b"\0\0\x08\0" + packet_of(frame)),
        UDP_HEADERS + 4,
    ),
    Wrapper("gre bridging", lambda frame: tunnel(47, b"\0\0\x65\x58" + frame), ETHERNET + 20 + 4),
    Wrapper(  # RFC 2637 4.1: key and sequence number, then PPP with all of its header
        "pptp",
        lambda frame: tunnel(
            47,
            b"\x30\x01\x88\x0b" + bytes(8) + b"\xff\x03\0\x21" + packet_of(frame),
        ),
        20 + 12 + 4,
    ),
    Wrapper(  # RFC 2661 3.1: length, sequence and offset fields
        "l2tp",
        lambda frame: udp_tunnel(
            1701,
            b"\x4a\x02\0\x64\0\1\0\1\0\0\0\0\0\x02\0\0" + b"\0\x21" + packet_of(frame),
        ),
        UDP_HEADERS + 16 + 2,
    ),
    Wrapper(
        "vxlan-gpe ip",
        lambda frame: udp_tunnel(4790, b"\x0c\0\0\x01\0\0\x01\0" + packet_of(frame)),
        UDP_HEADERS + 8,
    ),
    Wrapper(
        "vxlan-gpe",
        lambda frame: udp_tunnel(4790, b"\x0c\0\0\x03\0\0\x01\0" + frame),
        ETHERNET + UDP_HEADERS + 8,
    ),
    Wrapper(
        "geneve ip",
        lambda frame: udp_tunnel(6081, b"\0\0\x08\0\0\0\x01\0" + packet_of(frame)),
        UDP_HEADERS + 8,
    ),
    Wrapper(  # 3GPP TS 29.281 5.2.1: a PDU session container of one word
        "gtp-u with an extension",
        lambda frame: udp_tunnel(
            2152, b"\x34\xff\0\0\0\0\0\1" + b"\0\0\0\x85" + b"\1\0\1\0" + packet_of(frame)
        ),
        UDP_HEADERS + 16,
    ),
    Wrapper(  # RFC 5415 4.3: header of two words, Ethernet payload
        "capwap",
        lambda frame: udp_tunnel(5247, b"\0\x10\0\0\0\0\0\0" + frame),
        ETHERNET + UDP_HEADERS + 8,
    ),
    Wrapper(
        "capwap wlan",
        lambda frame: udp_tunnel(5247, b"\0\x10\x01\0\0\0\0\0" + wlan(frame)),
        ETHERNET + UDP_HEADERS + 8,
    ),
    Wrapper(
        "tzsp wlan with tags",
        lambda frame: udp_tunnel(37008, b"\1\0\0\x12" + b"\0\x0a\1\xc0\x01" + wlan(frame)),
        ETHERNET + UDP_HEADERS + 9,
    ),
]
