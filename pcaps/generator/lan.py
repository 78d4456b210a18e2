"""What is said on the site: hosts, their packets in time, and what each contact came to.

Packets are noted while conversations are played; `Lan.frames` sorts them, gives
them their IP identification in sending order and makes the bytes. Nothing is
captured here: `mirror` decides what the monitor gets to see.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from pcaps.generator import wire

if TYPE_CHECKING:
    import random

START = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Reached(IntEnum):
    """How far a contact got, in the words of DESIGN.md section 6."""

    ATTEMPT = 1
    CONNECTED = 2
    PAYLOAD = 3
    TRANSFER = 4
    MEDIA = 5


@dataclass(frozen=True, slots=True)
class Host:
    """A machine; `mac` is what stands on the mirrored wire, so a router's for hosts off site."""

    name: str
    mac: str
    ip: str
    ttl: int = 64
    on_site: bool = True
    camera: bool = False
    delay: int = 120 * MICROSECOND  # from the mirror to the host, one way
    behind_router: bool = False  # `mac` is a router's on site


@dataclass(slots=True)
class Packet:
    """One packet as its host sends it; frames are made of it later."""

    time: int
    ends: wire.Ends
    protocol: int
    macs: tuple[str, str]  # from, to
    ttl: int
    body: bytes
    payload: int  # transport payload bytes
    contact: Contact | None = None
    repeated: bool = False  # a retransmission
    mtu: int = 1500
    quotes: Packet | None = None  # an ICMP error carries the packet it answers
    number: int = 0
    packets: list[bytes] = field(default_factory=list)  # IP packets, filled by `Lan.frames`

    @property
    def key(self) -> tuple[int, wire.Ends]:
        """The five-tuple as this packet shows it."""
        return self.protocol, self.ends


@dataclass(slots=True)
class Contact:
    """One conversation and what is true of it because the generator played it."""

    opener: Host
    other: Host
    protocol: int
    ends: wire.Ends  # as the opener sends
    reached: Reached = Reached.ATTEMPT
    media: bool = False
    label: str | None = None  # application protocol
    permitted: bool = False  # the site file allows it

    def reach(self, stage: Reached) -> None:
        """Raise the stage; it never falls."""
        self.reached = max(self.reached, stage)


@dataclass(frozen=True, slots=True)
class Frame:
    """One Ethernet frame on the wire; `packet` is None where it carries no IP."""

    time: int
    data: bytes
    packet: Packet | None
    outbound: bool = False  # leaves the site
    inbound: bool = False  # enters the site


@dataclass(frozen=True, slots=True)
class Question:
    """One DNS lookup; `outcome` is an answer code, or "unanswered"."""

    time: int
    client: Host
    resolver: Host
    name: str
    kind: str
    outcome: str
    answers: tuple[str, ...] = ()
    told_by: tuple[Packet, ...] = ()  # any of them, captured whole, tells of the question


@dataclass(frozen=True, slots=True)
class Named:
    """A name that a client used for an address."""

    client: Host
    ip: str
    name: str
    source: str  # dns, sni, quic, http
    told_by: tuple[Packet, ...] = ()  # all of them, captured whole, tell the name


@dataclass(frozen=True, slots=True)
class Sign:
    """Something in the capture by which a host can be recognised."""

    host: str
    source: str  # oui, dhcp, rtsp, http, mdns, ssdp, behaviour
    says: str


class Lan:
    """The site's wire: every packet sent, and what is known about it."""

    def __init__(self, rng: random.Random, gateway_mac: str) -> None:
        self.rng = rng
        self.gateway_mac = gateway_mac
        self.sent: list[Packet] = []
        self.other: list[Frame] = []
        self.contacts: list[Contact] = []
        self.questions: list[Question] = []
        self.names: list[Named] = []
        self.signs: list[Sign] = []
        self._ports: dict[str, int] = {}

    def free_port(self, host: Host) -> int:
        """Return the next ephemeral port of a host."""
        port = self._ports.get(host.ip) or self.rng.randrange(33000, 45000)
        self._ports[host.ip] = port + self.rng.randrange(1, 5)
        return port

    def jitter(self, base: int) -> int:
        """Return a duration between 0.8 and 1.4 times the base."""
        return int(base * self.rng.uniform(0.8, 1.4))

    def mac_towards(self, src: Host, dst: Host) -> str:
        """Return the destination MAC: the gateway's where the packet leaves the site."""
        return dst.mac if dst.on_site or not src.on_site else self.gateway_mac

    def packet(self, time: int, pair: tuple[Host, Host], ends: wire.Ends, body: bytes) -> Packet:
        """Note an IP packet of one host to another; the caller fills in the rest."""
        src, dst = pair
        noted = Packet(
            time,
            ends,
            0,
            (src.mac, self.mac_towards(src, dst)),
            src.ttl,
            body,
            0,
            number=len(self.sent),
        )
        self.sent.append(noted)
        return noted

    def ethernet(self, time: int, frame: bytes) -> None:
        """Note a frame that is not IP."""
        self.other.append(Frame(time, frame, None))

    def icmp_error(self, source: Host, refused: Packet, kind: int, code: int) -> None:
        """Answer a packet with an ICMP error that quotes it (RFC 792; RFC 4443, 3.1)."""
        ends = wire.Ends(source.ip, refused.ends.src)
        time = refused.time + 2 * self.jitter(source.delay)
        target = refused.macs[0]
        protocol = wire.Protocol.ICMP if ends.version == 4 else wire.Protocol.ICMPV6
        self.sent.append(
            Packet(
                time,
                ends,
                protocol,
                (source.mac, target),
                source.ttl,
                bytes((kind, code)),
                0,
                quotes=refused,
                number=len(self.sent),
            )
        )

    def frames(self) -> list[Frame]:
        """Return every frame in order of time; IP identifications count up host by host."""
        idents: dict[str, int] = {}
        made = list(self.other)
        for packet in sorted(self.sent, key=lambda p: (p.time, p.number)):
            ident = idents.setdefault(packet.ends.src, self.rng.randrange(0x10000))
            idents[packet.ends.src] = (ident + 1) & 0xFFFF
            packet.packets = list(_ip_packets(packet, ident))
            for position, data in enumerate(packet.packets):
                made.append(_frame(packet, position, data, self.gateway_mac))
        made.sort(key=lambda frame: frame.time)
        return made


def _frame(packet: Packet, position: int, data: bytes, gateway_mac: str) -> Frame:
    src_mac, dst_mac = packet.macs
    frame = wire.ethernet(dst_mac, src_mac, wire.ethertype_of(data), data)
    # A fragment follows the last after its time on a 100 Mbit/s wire, roughly.
    time = packet.time + position * 122 * MICROSECOND
    return Frame(time, frame, packet, dst_mac == gateway_mac, src_mac == gateway_mac)


def _ip_packets(packet: Packet, ident: int) -> list[bytes]:
    body = packet.body
    if packet.quotes is not None:
        kind, code = body[0], body[1]
        room = 1232 if packet.ends.version == 6 else 548
        body = wire.icmp(packet.ends, kind, code, b"\0\0\0\0" + packet.quotes.packets[0][:room])
    if packet.ends.version == 4 and len(body) + 20 > packet.mtu:
        return wire.fragments(packet.ends, packet.protocol, body, ident, packet.mtu)
    fragment = wire.DONT_FRAGMENT if packet.protocol == wire.Protocol.TCP else 0
    header = wire.Header(ident, packet.ttl, fragment)
    return [wire.ip(packet.ends, packet.protocol, body, header)]


def tcp_options(*, syn: bool, value: int, echo: int, mss: int = 1460) -> bytes:
    """Return the options of a Linux sender: timestamps always, the rest on SYN (RFC 7323)."""
    stamps = struct.pack("!BBII", 8, 10, value & 0xFFFFFFFF, echo & 0xFFFFFFFF)
    if not syn:
        return b"\1\1" + stamps
    return struct.pack("!BBH", 2, 4, mss) + b"\4\2" + stamps + b"\1" + b"\3\3\7"
