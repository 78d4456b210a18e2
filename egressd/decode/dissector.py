"""Which decoder reads which payload: looks in, facts out.

One `Conversation` a flow remembers what its streams hold so far and what the
flow turned out to be. Decoders are chosen by bytes; ports only say where a
name-bearing protocol is expected, so that its broken messages are errors and
not another protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from egressd.decode.cameras import (
    STREAM_READERS,
    messages_inside,
    read_camera_datagram,
    read_sip_or_platform,
)
from egressd.decode.dhcp import read_dhcp, read_dhcp6
from egressd.decode.dns import DnsStream, read_dns, read_dns_stream
from egressd.decode.http import read_http_request, read_http_response
from egressd.decode.mqtt import read_mqtt_connect
from egressd.decode.ntp import read_ntp
from egressd.decode.p2p import P2pMessage, Role
from egressd.decode.p2pdatagram import P2pTrail, is_obfuscated_size, read_p2p_datagram
from egressd.decode.quic import QuicReader, is_quic_initial, read_gquic_chlo
from egressd.decode.rtp import RtpTrail, read_rtp_header
from egressd.decode.rtsp import read_rtsp_request, read_rtsp_response
from egressd.decode.ssdp import read_ssdp
from egressd.decode.stream import StreamHead
from egressd.decode.stun import read_stun, read_stun_stream
from egressd.decode.tls import ClientHello, read_dtls_client, read_tls_client, read_tls_server
from egressd.model import NEED_MORE, DecodeError, NeedMore

if TYPE_CHECKING:
    from collections.abc import Callable

TCP = 6
UDP = 17
DNS_PORT = 53
NTP_PORT = 123
SSDP_PORT = 1900

TLS_HANDSHAKE = 0x16
MQTT_CONNECT = 0x10


@dataclass(slots=True)
class QuicHello:
    """The ClientHello of a QUIC connection."""

    hello: ClientHello
    version: str  # "v1", "v2", "draft-29"


@dataclass(slots=True)
class Fact:
    """A decoded message and the protocol it is of, in Wireshark's name."""

    protocol: str
    message: object
    again: bool = False  # told before: sent before the capture began, or a P2P message once more


@dataclass(slots=True)
class _Stream:
    """One direction of a TCP flow: the message that is being put together."""

    head: StreamHead | None = None
    base: int = 0  # where in the stream `head` begins
    begun: bool = False
    done: int = 0  # everything before has been read


@dataclass(slots=True)
class Conversation:
    """What a flow turned out to be; `streams` are those of side a and side b."""

    protocols: list[str] = field(default_factory=list)
    told: int = 0  # how many of them the judge knows
    streams: tuple[_Stream, _Stream] = field(default_factory=lambda: (_Stream(), _Stream()))
    quic: QuicReader | None = None
    playing: bool = False  # RTSP: PLAY was asked, not yet answered
    interleaved: bool = False  # RTSP: the media comes in the same connection
    media: list[bool] = field(default_factory=lambda: [False, False])  # a side sends it
    rtp: RtpTrail | None = None
    p2p: P2pTrail | None = None

    def note(self, protocol: str) -> None:
        """Remember a protocol of this flow, outermost first."""
        if protocol not in self.protocols:
            self.protocols.append(protocol)


def read_datagram(
    conversation: Conversation, side: int, payload: bytes, ports: tuple[int, int]
) -> list[Fact]:
    """Return the facts in a UDP payload sent from ports[0] to ports[1].

    Raises DecodeError for a broken message of a known protocol.
    """
    fact = _by_port(payload, ports) or _by_bytes(conversation, payload)
    if fact is None:
        return _read_p2p(conversation, side, payload, ports)
    _learn(conversation, side, fact)
    return [fact]


def read_segment(  # noqa: PLR0913 - a segment and where it belongs
    conversation: Conversation, side: int, offset: int, payload: bytes, *, cut: bool, dns: bool
) -> list[Fact]:
    """Return the facts that a TCP segment completes; `offset` is its place in the stream.

    `cut` says that the capture does not hold the segment's end, `dns` that a DNS port is
    in use. Raises DecodeError for a broken message of a known protocol.
    """
    stream = conversation.streams[side]
    if offset >= BEFORE:
        return _read_again(payload)
    if stream.head is None:
        if offset < stream.done:
            return []  # sent again
        if stream.begun and not dns and not begins_message(payload):
            return []
        stream.base = offset if stream.begun or offset > STREAM_START else 0
        stream.head = StreamHead()
        stream.begun = True
    stream.head.add(offset - stream.base, payload)
    head = stream.head.head
    if not head:
        return []
    if dns:
        return _read_dns_messages(conversation, stream, head)
    try:
        fact = _by_first_bytes(head, final=cut or stream.head.full)
    except DecodeError:
        stream.head = None
        raise
    if fact is NEED_MORE:
        return []
    stream.done = stream.base + len(head)
    stream.head = None
    return [] if fact is None else _with_inside(conversation, side, fact, head)


def _with_inside(conversation: Conversation, side: int, fact: Fact, head: bytes) -> list[Fact]:
    """Return a message of a stream behind what it is in a camera's cloud, if it is that."""
    inside = [Fact(found.protocol, found) for found in messages_inside(fact.message, head)]
    facts = [*inside, fact]
    for found in facts:
        _learn(conversation, side, found)
    return facts


def _learn(conversation: Conversation, side: int, fact: Fact) -> None:
    """Take what a message says of its flow."""
    conversation.note(fact.protocol)
    message = fact.message
    if isinstance(message, P2pMessage) and message.role is Role.MEDIA:
        # Only a decoder that saw which it is says so; other sessions may be commands.
        conversation.media[side] |= message.detail in ("video", "audio")


def _read_again(payload: bytes) -> list[Fact]:
    """Read what the capture holds only of a second sending: it was first sent before it began."""
    if not begins_message(payload):
        return []
    fact = _by_first_bytes(payload, final=True)
    if not isinstance(fact, Fact):
        return []
    fact.again = True
    return [fact]


BEFORE = 1 << 31  # offsets are modulo 2**32: from here on they lie before the stream's start

# A first segment further into the stream than this is the middle of something.
STREAM_START = 16_384

BEGINNINGS = (
    b"GET ", b"POST", b"HTTP", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"CONN", b"PATC", b"TRAC",
    b"PROP", b"NOTI", b"SUBS", b"RTSP", b"DESC", b"SETU", b"PLAY", b"ANNO", b"RECO",
)  # fmt: skip


def begins_message(payload: bytes) -> bool:
    """Say whether a segment begins as a message does; the data plane's test, in Python.

    Both must agree: what is looked at later in a flow depends on it.
    """
    if len(payload) < 6:
        return False
    if payload[0] == TLS_HANDSHAKE:
        return payload[1] == 3 and payload[5] in {1, 2}
    return payload.startswith(BEGINNINGS)


def _read_dns_messages(conversation: Conversation, stream: _Stream, head: bytes) -> list[Fact]:
    try:
        read = read_dns_stream(
            head, expected=True, ended=stream.head.full if stream.head else False
        )
    except DecodeError:
        stream.head = None
        raise
    if read is NEED_MORE:
        return []
    if not isinstance(read, DnsStream):
        stream.head = None
        return []
    stream.base += read.used
    stream.head = StreamHead()
    stream.head.add(0, head[read.used :])
    conversation.note("dns")
    return [Fact("dns", message) for message in read.messages]


def _by_port(payload: bytes, ports: tuple[int, int]) -> Fact | None:
    """Protocols that own their port."""
    for port in ports:
        reader = BY_PORT.get(port)
        if reader is not None:
            fact = reader(payload)
            if fact is not None:
                return fact
    return None


def _dns(payload: bytes) -> Fact | None:
    message = read_dns(payload, expected=True)
    return Fact("dns", message) if message else None


def _mdns(payload: bytes) -> Fact | None:
    message = read_dns(payload, "mdns", expected=True)
    return Fact("mdns", message) if message else None


def _llmnr(payload: bytes) -> Fact | None:
    message = read_dns(payload, "llmnr", expected=True)
    return Fact("llmnr", message) if message else None


def _dhcp(payload: bytes) -> Fact | None:
    message = read_dhcp(payload)
    return Fact("dhcp", message) if message else None


def _dhcp6(payload: bytes) -> Fact | None:
    message = read_dhcp6(payload)
    return Fact("dhcpv6", message) if message else None


def _ntp(payload: bytes) -> Fact | None:
    message = read_ntp(payload, expected=True)
    return Fact("ntp", message) if message else None


def _ssdp(payload: bytes) -> Fact | None:
    message = read_ssdp(payload)
    return Fact("ssdp", message) if message else None


BY_PORT: dict[int, Callable[[bytes], Fact | None]] = {
    DNS_PORT: _dns,
    5353: _mdns,
    5355: _llmnr,
    67: _dhcp,
    68: _dhcp,
    546: _dhcp6,
    547: _dhcp6,
    NTP_PORT: _ntp,
    SSDP_PORT: _ssdp,
}


def _by_bytes(conversation: Conversation, payload: bytes) -> Fact | None:
    """Protocols that say what they are."""
    reader = conversation.quic
    if reader is not None or is_quic_initial(payload):
        if reader is None or reader.done:
            reader = conversation.quic = QuicReader()
        conversation.note("quic")
        hello = reader.add(payload)
        return Fact("quic", QuicHello(hello, reader.version or "")) if hello else None
    stun = read_stun(payload)
    if stun is not None:
        return Fact("stun", stun)
    if payload[0] == TLS_HANDSHAKE:
        dtls = read_dtls_client(payload)
        if dtls is not None:
            return Fact("dtls", dtls)
    gquic = read_gquic_chlo(payload)
    if gquic is not None:
        return Fact("gquic", gquic)
    message = read_camera_datagram(payload)
    return Fact(message.protocol, message) if message is not None else None


def _read_p2p(
    conversation: Conversation, side: int, payload: bytes, ports: tuple[int, int]
) -> list[Fact]:
    """Camera P2P protocols; what is none of them may be media."""
    message = None
    if conversation.quic is None:
        message = read_p2p_datagram(payload, ports, conversation.protocols)
        if message is None and is_obfuscated_size(payload, ports[1]):
            message = _p2p_trail(conversation).follow_obfuscated(payload, ports[1])
    if message is None:
        _follow_rtp(conversation, side, payload)
        return []
    fact = Fact(message.protocol, message, not _p2p_trail(conversation).is_news(message))
    _learn(conversation, side, fact)
    return [fact]


def _p2p_trail(conversation: Conversation) -> P2pTrail:
    if conversation.p2p is None:
        conversation.p2p = P2pTrail()
    return conversation.p2p


def _follow_rtp(conversation: Conversation, side: int, payload: bytes) -> None:
    """RTP has no magic: a run of packets that count as RTP does is one."""
    header = read_rtp_header(payload)
    if header is None:
        return
    trail = conversation.rtp
    if trail is None:
        trail = conversation.rtp = RtpTrail()
    if trail.follow(side, header):
        conversation.media[side] = True
        conversation.note("rtp")


def _by_first_bytes(head: bytes, *, final: bool) -> Fact | NeedMore | None:
    """Read a stream by its first bytes; the first reader that knows it decides."""
    for protocol, reader in READERS.get(head[0], TEXT_READERS):
        message = reader(head, final)
        if message is NEED_MORE:
            if not final:
                return NEED_MORE
        elif message is not None:
            # SIP may turn out to be a video platform's.
            label = message.protocol if isinstance(message, P2pMessage) else protocol
            return Fact(label, message)
    return None


Reader = tuple[str, "Callable[[bytes, bool], object]"]

TEXT_READERS: tuple[Reader, ...] = (
    ("rtsp", lambda head, final: read_rtsp_request(head, final=final)),
    ("rtsp", lambda head, final: read_rtsp_response(head, final=final)),
    ("http", lambda head, final: read_http_request(head, final=final)),
    ("http", lambda head, final: read_http_response(head, final=final)),
    ("sip", lambda head, final: read_sip_or_platform(head, final=final)),
)
STUN_READERS: tuple[Reader, ...] = (("stun", lambda head, _: read_stun_stream(head)),)
READERS: dict[int, tuple[Reader, ...]] = STREAM_READERS | {
    TLS_HANDSHAKE: (
        ("tls", lambda head, final: read_tls_client(head, final=final)),
        ("tls", lambda head, final: read_tls_server(head, final=final)),
    ),
    MQTT_CONNECT: (("mqtt", lambda head, _: read_mqtt_connect(head)),),
    0x00: (*STUN_READERS, *STREAM_READERS[0x00]),
    0x01: (*STUN_READERS, *STREAM_READERS[0x01]),
}
