"""Which payload is worth a look.

Of a TCP stream: its head, and wherever a message of a known kind begins later. Of a UDP flow:
the first datagrams, all that carry names, and QUIC Initials. DNS is always looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.dataplane.reference.layers import number_of
from egressd.dataplane.reference.packets import SYN
from egressd.dataplane.reference.streams import CIRCLE

if TYPE_CHECKING:
    from egressd.dataplane.reference.flows import Side
    from egressd.dataplane.reference.packets import Packet

HEAD_BYTES = 16_384
HEAD_SEGMENTS = 24
MESSAGE_SEGMENTS = 6  # of a message that begins later
FIRST_DATAGRAMS = 8
LOOKS = 60_000  # of one direction of a flow
INITIALS = 64
INITIAL_BYTES = 1000  # captured of an Initial, which is never below 1200 (RFC 9000 14.1)

DNS = 53
# DNS, mDNS, LLMNR, DHCP and DHCPv6, SSDP, WS-Discovery
NAME_PORTS = frozenset({DNS, 5353, 5355, 67, 68, 546, 547, 1900, 3702})

# HTTP's and RTSP's methods and versions, by their first four letters.
WORDS = frozenset(
    {
        *(b"GET ", b"POST", b"HTTP", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"CONN", b"PATC", b"TRAC"),
        *(b"PROP", b"NOTI", b"SUBS"),  # WebDAV, UPnP
        *(b"RTSP", b"DESC", b"SETU", b"PLAY", b"ANNO", b"RECO"),
    }
)


def stream_offset(packet: Packet, side: Side) -> int:
    """Return where in its stream a segment's payload begins."""
    first = packet.seq + bool(packet.flags & SYN)
    return (first - (side.stream.base or 0)) % CIRCLE


def wants_segment(packet: Packet, side: Side) -> bool:
    """Decide on a TCP segment that has payload."""
    if DNS in {packet.sport, packet.dport}:
        return side.looks < LOOKS
    offset = stream_offset(packet, side)
    if not side.settled and offset < HEAD_BYTES and side.looks < HEAD_SEGMENTS:
        if offset == 0 and not _may_go_on(packet.payload):
            side.settled = True
        elif offset > 0 and _is_past_handshake(packet.payload):
            side.settled = True
            return False
        return True
    if side.looks >= LOOKS:
        return False
    if _begins_message(packet.payload):
        side.message, side.message_segments = packet.seq, MESSAGE_SEGMENTS
        return True
    if side.message_segments and (packet.seq - side.message) % CIRCLE < HEAD_BYTES:
        side.message_segments -= 1
        return True
    return False


def wants_datagram(packet: Packet, side: Side) -> bool:
    """Decide on a UDP datagram that has payload."""
    if packet.sport in NAME_PORTS or packet.dport in NAME_PORTS:
        return side.looks < LOOKS
    if side.looks < FIRST_DATAGRAMS:
        return True
    payload = packet.payload
    if side.looks >= INITIALS or len(payload) < INITIAL_BYTES:
        return False
    return payload[0] & 0xC0 == 0xC0 and payload[1:5] != b"\0\0\0\0"  # RFC 9000 17.2


def _may_go_on(payload: bytes) -> bool:
    """Say whether the message that begins here may need more segments to be read.

    TLS handshake, MQTT CONNECT, text protocols, and binary ones with a length in front.
    """
    first = payload[:1]
    if first == b"\x16" and len(payload) > 5:
        # A record that is followed by another type in this segment is whole.
        following = payload[5 + number_of(payload[3:5]) :][:1]
        return following not in {b"\x14", b"\x17"}
    if b"A" <= first <= b"Z":
        return b"\r\n\r\n" not in payload  # a header that ends in this segment is whole
    return first in {b"\x16", b"\x10"} or first < b"\x04"


def _is_past_handshake(payload: bytes) -> bool:
    """Say whether it is TLS ChangeCipherSpec or application data: of a hello, nothing is left."""
    return (
        len(payload) >= 3
        and payload[0] in {0x14, 0x17}
        and payload[1] == 3
        and payload[2] <= 4  # RFC 8446 4.1.2: versions 3.0 to 3.4
    )


def _begins_message(payload: bytes) -> bool:
    """Say whether it is the beginning of an HTTP, RTSP, ClientHello or ServerHello message."""
    if len(payload) < 6:
        return False
    if payload[:2] == b"\x16\x03":
        return payload[5] in {1, 2}
    return payload[:4] in WORDS
