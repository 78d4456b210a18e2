"""Frames of which only a few fields vary, for writing hundreds of thousands a second.

A template keeps the frame in pieces and the one's complement sum of what stays
(RFC 1624), so that a new frame costs one pack. A checksum of 0xFFFF stands for
zero, which is right in UDP and equal in the others. All of it is IPv4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pcaps.generator import wire
from pcaps.generator.wire import Ends, Flag, Header, Protocol, Segment

if TYPE_CHECKING:
    from pcaps.generator.lan import Host

GATEWAY_MAC = "64:d1:54:00:00:01"
RTP = struct.Struct("!18sH4sH12sHHBBHI")
TCP = struct.Struct("!18sH4sH12sII4sH14s")
SYN = struct.Struct("!18sH4sH4sIHHI8sH6s")
DATAGRAM = struct.Struct("!16sHH4sH8sHHHH")
GREETING = struct.Struct("!16sHH4sH8sHH12sH2s")


def words(data: bytes) -> int:
    """Return the sum of the 16-bit words of data, modulo 65,535."""
    return int.from_bytes(data + b"\0" if len(data) % 2 else data, "big") % 0xFFFF


def _frame(src: Host, dst: Host, protocol: int, body: bytes) -> bytes:
    packet = wire.ip(Ends(src.ip, dst.ip), protocol, body, Header(0, src.ttl))
    target = dst.mac if dst.on_site or not src.on_site else GATEWAY_MAC
    return wire.ethernet(target, src.mac, wire.ETHERTYPE_IPV4, packet)


def _ip_sum(frame: bytes) -> int:
    """Return the sum of an IPv4 header without identification and checksum."""
    return words(frame[14:18] + frame[20:24] + frame[26:34])


@dataclass(slots=True)
class Rtp:
    """RTP of one camera: sequence number, timestamp and IP identification advance."""

    start: bytes
    middle: bytes
    addresses: bytes
    tail: bytes
    ip_sum: int
    body_sum: int
    length: int
    count: int = 0

    @classmethod
    def between(cls, camera: Host, recorder: Host, port: int, payload: bytes) -> Self:
        """Return the stream of a camera to a port of the recorder."""
        body = struct.pack("!IH", int.from_bytes(wire.packed(camera.ip)), 1) + payload
        ends = Ends(camera.ip, recorder.ip, 8200, port)
        frame = _frame(
            camera, recorder, Protocol.UDP, wire.udp(ends, b"\x80\x60" + bytes(6) + body)
        )
        length = 8 + 8 + len(body)
        pseudo = wire.pseudo_header(ends, Protocol.UDP, length)
        fixed = pseudo + frame[34:40] + b"\x80\x60" + body
        return cls(
            frame[:18], frame[20:24], frame[26:38], body, _ip_sum(frame), words(fixed), length
        )

    def next(self) -> bytes:
        """Return the next packet of the stream."""
        self.count = count = self.count + 1
        ident = sequence = count & 0xFFFF
        stamp = count * 600 & 0xFFFFFFFF
        marker = 0xE0 if count % 12 == 0 else 0x60
        total = self.body_sum + sequence + (stamp >> 16) + (stamp & 0xFFFF) + marker - 0x60
        return (
            RTP.pack(
                self.start,
                ident,
                self.middle,
                0xFFFF - (self.ip_sum + ident) % 0xFFFF,
                self.addresses,
                self.length,
                0xFFFF - total % 0xFFFF,
                0x80,
                marker,
                sequence,
                stamp,
            )
            + self.tail
        )


@dataclass(slots=True)
class Stream:
    """RTSP-interleaved video of one camera: full TCP segments, and the recorder's ACKs."""

    start: bytes
    middle: bytes
    ends: bytes
    tail: bytes
    ip_sum: int
    body_sum: int
    back: Stream | None
    count: int = 0
    seq: int = 1
    ack: int = 1

    @classmethod
    def between(cls, camera: Host, recorder: Host, port: int, payload: bytes) -> Self:
        """Return the connection that a recorder opened from `port`; data runs to it."""
        data = (b"$\0" + struct.pack("!H", len(payload)) + payload).ljust(1448, b"\x5a")
        back = cls._one_way(recorder, camera, Ends(recorder.ip, camera.ip, port, 554), b"")
        there = cls._one_way(camera, recorder, Ends(camera.ip, recorder.ip, 554, port), data)
        there.back = back
        return there

    @classmethod
    def _one_way(cls, src: Host, dst: Host, ends: Ends, data: bytes) -> Self:
        options = b"\1\1\x08\x0a" + bytes(8)
        segment = wire.tcp(ends, Segment(0, 0, Flag.ACK, data, options))
        frame = _frame(src, dst, Protocol.TCP, segment)
        fixed = wire.pseudo_header(ends, Protocol.TCP, len(segment)) + segment[:16] + segment[18:]
        return cls(frame[:18], frame[20:24], frame[26:38], data, _ip_sum(frame), words(fixed), None)

    def next(self) -> bytes:
        """Return the next segment."""
        self.count = count = self.count + 1
        frame = self._pack(count & 0xFFFF, self.seq, self.ack) + self.tail
        self.seq = (self.seq + len(self.tail)) & 0xFFFFFFFF
        return frame

    def acknowledgement(self) -> bytes:
        """Return the other end's ACK of everything so far."""
        assert self.back is not None
        self.back.count += 1
        return self.back._pack(self.back.count & 0xFFFF, self.ack, self.seq)  # noqa: SLF001 - same class

    def _pack(self, ident: int, seq: int, ack: int) -> bytes:
        total = self.body_sum + (seq >> 16) + (seq & 0xFFFF) + (ack >> 16) + (ack & 0xFFFF)
        return TCP.pack(
            self.start,
            ident,
            self.middle,
            0xFFFF - (self.ip_sum + ident) % 0xFFFF,
            self.ends,
            seq,
            ack,
            b"\x80\x10\x01\xf5",
            0xFFFF - total % 0xFFFF,
            b"\0\0\1\1\x08\x0a" + bytes(8),
        )


@dataclass(slots=True)
class Turn:
    """One frame of a recorded conversation; its client gets another port each time."""

    layout: struct.Struct
    start: bytes
    middle: bytes
    addresses: bytes
    other_port: int
    by_client: bool
    between: bytes
    tail: bytes
    ip_sum: int
    body_sum: int

    @classmethod
    def of(cls, frame: bytes, client: str) -> Self:
        """Take a TCP or UDP frame apart."""
        at = 34 + (16 if frame[23] == Protocol.TCP else 6)
        by_client = frame[26:30] == wire.packed(client)
        ports = struct.unpack("!HH", frame[34:38])
        end = 14 + int.from_bytes(frame[16:18], "big")
        length = struct.pack("!BBH", 0, frame[23], end - 34)
        other = ports[1] if by_client else ports[0]
        fixed = frame[26:34] + length + frame[38:at] + frame[at + 2 : end]
        return cls(
            struct.Struct(f"!18sH4sH8sHH{at - 38}sH"),
            frame[:18],
            frame[20:24],
            frame[26:34],
            other,
            by_client,
            frame[38:at],
            frame[at + 2 :],
            _ip_sum(frame),
            words(fixed) + other,
        )

    def make(self, ident: int, port: int) -> bytes:
        """Return the frame for another conversation."""
        one, other = (port, self.other_port) if self.by_client else (self.other_port, port)
        return (
            self.layout.pack(
                self.start,
                ident,
                self.middle,
                0xFFFF - (self.ip_sum + ident) % 0xFFFF,
                self.addresses,
                one,
                other,
                self.between,
                0xFFFF - (self.body_sum + port) % 0xFFFF,
            )
            + self.tail
        )


@dataclass(slots=True)
class Spoken:
    """A message of any content between two hosts; one port is fixed, the other varies."""

    start: bytes
    middle: bytes
    addresses: bytes
    ip_sum: int
    body_sum: int
    port: int
    asks: bool  # the varying port is the sender's
    is_tcp: bool
    ident: int = 0

    @classmethod
    def udp(cls, src: Host, dst: Host, port: int) -> Self:
        """Return datagrams to that port, or from it where the sender is the resolver."""
        return cls._between(src, dst, (port, Protocol.UDP), asks=src.name != "resolver")

    @classmethod
    def tcp(cls, src: Host, dst: Host, port: int) -> Self:
        """Return first data segments to that port."""
        return cls._between(src, dst, (port, Protocol.TCP), asks=True)

    @classmethod
    def _between(cls, src: Host, dst: Host, what: tuple[int, Protocol], *, asks: bool) -> Self:
        port, protocol = what
        frame = _frame(src, dst, protocol, b"")
        total = words(frame[26:34]) + protocol + port
        base = words(frame[14:16] + frame[20:24] + frame[26:34])
        is_tcp = protocol is Protocol.TCP
        return cls(frame[:16], frame[20:24], frame[26:34], base, total, port, asks, is_tcp)

    def make(self, port: int, data: bytes) -> bytes:
        """Return the frame that carries `data`."""
        self.ident = ident = (self.ident + 1) & 0xFFFF
        one, other = (port, self.port) if self.asks else (self.port, port)
        size = len(data) + (20 if self.is_tcp else 8)
        total = 20 + size
        ip_sum = 0xFFFF - (self.ip_sum + total + ident) % 0xFFFF
        start = self.start
        if self.is_tcp:
            between = b"\0\0\0\1\0\0\0\1\x50\x18\x01\xf5"
            value = 0xFFFF - (self.body_sum + port + size + 0x520F + words(data)) % 0xFFFF
            return (
                GREETING.pack(
                    start, total, ident, self.middle, ip_sum, self.addresses, one, other,
                    between, value, b"\0\0",
                )
                + data
            )  # fmt: skip
        value = 0xFFFF - (self.body_sum + port + 2 * size + words(data)) % 0xFFFF
        frame = (
            DATAGRAM.pack(
                start, total, ident, self.middle, ip_sum, self.addresses, one, other, size, value
            )
            + data
        )  # fmt: skip
        return frame if len(frame) >= wire.SMALLEST_FRAME else frame.ljust(60, b"\0")


@dataclass(slots=True)
class Syn:
    """A SYN of one camera to anywhere: address, port and sequence number vary."""

    start: bytes
    middle: bytes
    source: bytes
    ip_sum: int
    body_sum: int
    ident: int = 0

    @classmethod
    def of(cls, camera: Host) -> Self:
        """Return the SYNs of a camera to TCP port 23."""
        ends = Ends(camera.ip, "0.0.0.0", 0, 23)  # noqa: S104 - set anew in each frame
        segment = wire.tcp(ends, Segment(0, 0, Flag.SYN, b"", b"\2\4\5\xb4", 64240))
        packet = wire.ip(ends, Protocol.TCP, segment, Header(0, camera.ttl))
        frame = wire.ethernet(GATEWAY_MAC, camera.mac, wire.ETHERTYPE_IPV4, packet)
        fixed = wire.pseudo_header(ends, Protocol.TCP, 24) + segment[:16] + segment[18:]
        return cls(frame[:18], frame[20:24], frame[26:30], _ip_sum(frame), words(fixed))

    def make(self, address: int, port: int, seq: int) -> bytes:
        """Return the SYN to an address from a port."""
        self.ident = ident = (self.ident + 1) & 0xFFFF
        target = (address >> 16) + (address & 0xFFFF)
        total = self.body_sum + target + port + (seq >> 16) + (seq & 0xFFFF)
        return SYN.pack(
            self.start,
            ident,
            self.middle,
            0xFFFF - (self.ip_sum + ident + target) % 0xFFFF,
            self.source,
            address,
            port,
            23,
            seq,
            b"\0\0\0\0\x60\x02\xfa\xf0",
            0xFFFF - total % 0xFFFF,
            b"\0\0\2\4\5\xb4",
        ).ljust(60, b"\0")
