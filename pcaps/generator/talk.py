"""Conversations: TCP connections and UDP exchanges, played packet by packet.

A conversation keeps its own clock (`now`), so that many of them overlap in one
capture. The clock is the mirror's, which stands beside the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps.generator import wire
from pcaps.generator.lan import (
    MICROSECOND,
    MILLISECOND,
    SECOND,
    Contact,
    Host,
    Lan,
    Packet,
    Reached,
    tcp_options,
)
from pcaps.generator.wire import Ends, Flag, Segment

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SEGMENT = 1448  # 1,500 less IP, TCP and timestamps


@dataclass(slots=True)
class Side:
    """One end of a TCP connection."""

    host: Host
    ends: Ends
    seq: int
    clock: int  # offset of its timestamp clock
    expects: int = 0  # next sequence number from the peer
    echo: int = 0  # last timestamp value seen of the peer


@dataclass(frozen=True, slots=True)
class To:
    """Whom a conversation goes to, when and from which port (0: the next free one)."""

    host: Host
    port: int
    at: int
    source_port: int = 0


class Tcp:
    """One TCP connection; nothing is sent until `connect` or `knock`."""

    def __init__(self, lan: Lan, client: Host, to: To, label: str | None = None) -> None:
        self.lan = lan
        self.now = to.at
        ends = Ends(client.ip, to.host.ip, to.source_port or lan.free_port(client), to.port)
        self.client = Side(client, ends, lan.rng.getrandbits(32), lan.rng.getrandbits(31))
        self.server = Side(to.host, ends.reversed, lan.rng.getrandbits(32), lan.rng.getrandbits(31))
        self.contact = Contact(client, to.host, wire.Protocol.TCP, ends, label=label)
        lan.contacts.append(self.contact)

    def connect(self) -> Tcp:
        """Play the three-way handshake."""
        self._emit(self.client, Flag.SYN)
        self._advance(self.client)
        self._wait(self.server)
        self.server.expects = self.client.seq
        self._emit(self.server, Flag.SYN | Flag.ACK)
        self._advance(self.server)
        self.client.expects = self.server.seq
        self._wait(self.client)
        self._emit(self.client, Flag.ACK)
        self.now += self.lan.jitter(30 * MICROSECOND)
        self.contact.reach(Reached.CONNECTED)
        return self

    def knock(self, times: int = 4) -> list[Packet]:
        """Send a SYN again and again without an answer: 1, 2, 4, 8 ... seconds (RFC 6298)."""
        packets = []
        for attempt in range(times):
            packet = self._emit(self.client, Flag.SYN)
            packet.repeated = attempt > 0
            packets.append(packet)
            self.now += self.lan.jitter(SECOND << min(attempt, 6))
        return packets

    def refuse(self) -> None:
        """Send a SYN that is answered by RST."""
        self._emit(self.client, Flag.SYN)
        self._advance(self.client)
        self._wait(self.server)
        self.server.expects = self.client.seq
        self.server.seq = 0
        self._emit(self.server, Flag.RST | Flag.ACK)

    def send(
        self, sender: Host, data: bytes, *, repeat: Collection[int] = (), pause: int = 0
    ) -> Tcp:
        """Send data and have it acknowledged; segments named in `repeat` go twice."""
        self.now += pause
        side, peer = self._sides(sender)
        pieces = [data[i : i + SEGMENT] for i in range(0, len(data), SEGMENT)]
        window, start = 10, 0
        while start < len(pieces):
            here = range(start, min(start + window, len(pieces)))
            self._burst(side, peer, pieces, (here, repeat))
            start, window = here.stop, min(window * 2, 64)
        self.contact.reach(Reached.PAYLOAD)
        return self

    def stream(self, sender: Host, data: bytes) -> None:
        """Send data at once without waiting; the peer acknowledges the end of it."""
        side, peer = self._sides(sender)
        for i in range(0, len(data), SEGMENT):
            piece = data[i : i + SEGMENT]
            last = i + SEGMENT >= len(data)
            self._emit(side, Flag.ACK | (Flag.PSH if last else Flag(0)), piece)
            self._advance(side, len(piece))
            self.now += self.lan.jitter(15 * MICROSECOND)
        peer.expects = side.seq
        self._emit(peer, Flag.ACK, at=self.now + 2 * self.lan.jitter(peer.host.delay))
        self.contact.reach(Reached.PAYLOAD)

    def pieces(self, sender: Host, parts: Sequence[bytes], order: Sequence[int]) -> None:
        """Send the parts of one message as segments that arrive in the given order."""
        side, peer = self._sides(sender)
        starts = [side.seq + sum(map(len, parts[:i])) for i in range(len(parts))]
        for index in order:
            self._emit(side, Flag.ACK | Flag.PSH, parts[index], seq=starts[index])
            self.now += self.lan.jitter(90 * MICROSECOND)
        self._advance(side, sum(map(len, parts)))
        peer.expects = side.seq
        self._wait(peer.host)
        self._emit(peer, Flag.ACK)
        self.contact.reach(Reached.PAYLOAD)

    def close(self, first: Host | None = None) -> None:
        """End the connection: FIN both ways."""
        side, peer = self._sides(first or self.client.host)
        self.now += self.lan.jitter(300 * MICROSECOND)
        for one, other in ((side, peer), (peer, side)):
            self._emit(one, Flag.FIN | Flag.ACK)
            self._advance(one)
            other.expects = one.seq
            self._wait(other.host)
        self._emit(side, Flag.ACK)

    def reset(self, sender: Host) -> None:
        """End the connection with RST."""
        side, _ = self._sides(sender)
        self.now += self.lan.jitter(300 * MICROSECOND)
        self._emit(side, Flag.RST | Flag.ACK)

    def _burst(
        self, side: Side, peer: Side, pieces: list[bytes], which: tuple[range, Collection[int]]
    ) -> None:
        """Send one window; a lost segment is repeated after the duplicate ACKs."""
        here, repeat = which
        lost: list[tuple[int, bytes]] = []
        ack_at = self.now
        echo, newest = side.echo, side.echo  # an ACK under way is not yet echoed
        for index in here:
            piece = pieces[index]
            last = index == here[-1]
            self._emit(side, Flag.ACK | (Flag.PSH if last else Flag(0)), piece)
            if index in repeat:
                lost.append((side.seq, piece))
            self._advance(side, len(piece))
            if index % 2 or last or lost:
                peer.expects = lost[0][0] if lost else side.seq
                ack_at = max(ack_at, self.now) + self.lan.jitter(4 * MICROSECOND)
                ack_at = max(ack_at, self.now + 2 * self.lan.jitter(peer.host.delay))
                self._emit(peer, Flag.ACK, at=ack_at)
                newest, side.echo = side.echo, echo
            self.now += self.lan.jitter(14 * MICROSECOND)
        side.echo = newest
        self.now = ack_at + 2 * self.lan.jitter(side.host.delay)
        for seq, piece in lost:
            self._emit(side, Flag.ACK | Flag.PSH, piece, seq=seq).repeated = True
            self.now += self.lan.jitter(20 * MICROSECOND)
        if lost:
            peer.expects = side.seq
            self._wait(peer.host)
            self._emit(peer, Flag.ACK)

    def _sides(self, sender: Host) -> tuple[Side, Side]:
        if sender is self.client.host:
            return self.client, self.server
        return self.server, self.client

    def _wait(self, host: Host | Side) -> None:
        delay = host.host.delay if isinstance(host, Side) else host.delay
        self.now += 2 * self.lan.jitter(delay)

    def _advance(self, side: Side, count: int = 1) -> None:
        side.seq += count

    def _emit(
        self,
        side: Side,
        flags: Flag,
        payload: bytes = b"",
        *,
        at: int | None = None,
        seq: int | None = None,
    ) -> Packet:
        time = self.now if at is None else at
        peer = self.server if side is self.client else self.client
        value = side.clock + time // MILLISECOND
        options = tcp_options(syn=bool(flags & Flag.SYN), value=value, echo=side.echo)
        bare = Flag.RST in flags  # a reset has no options and no window
        number = side.seq if seq is None else seq
        segment = Segment(
            number,
            side.expects,
            flags,
            payload,
            b"" if bare else options,
            64240 if flags & Flag.SYN else 0 if bare else 501,
        )
        peer.echo = value
        packet = self.lan.packet(
            time, (side.host, peer.host), side.ends, wire.tcp(side.ends, segment)
        )
        packet.protocol = wire.Protocol.TCP
        packet.payload = len(payload)
        packet.contact = self.contact
        return packet


class Udp:
    """Datagrams between two ports; the first one opens the contact."""

    def __init__(self, lan: Lan, client: Host, to: To, label: str | None = None) -> None:
        self.lan = lan
        self.now = to.at
        self.client = client
        self.server = to.host
        self.ends = Ends(client.ip, to.host.ip, to.source_port or lan.free_port(client), to.port)
        self.contact = Contact(client, to.host, wire.Protocol.UDP, self.ends, label=label)
        lan.contacts.append(self.contact)

    def say(self, payload: bytes, *, pause: int = 0, mtu: int = 1500) -> Packet:
        """Send a datagram from the opener."""
        self.now += pause
        return self._emit((self.client, self.server), self.ends, payload, mtu)

    def reply(self, payload: bytes, *, mtu: int = 1500) -> Packet:
        """Send a datagram from the other end, one round trip later."""
        self.now += 2 * self.lan.jitter(self.server.delay)
        return self.more(payload, mtu=mtu)

    def more(self, payload: bytes, *, mtu: int = 1500) -> Packet:
        """Send another datagram from the other end, at once."""
        self.contact.reach(Reached.PAYLOAD)
        return self._emit((self.server, self.client), self.ends.reversed, payload, mtu)

    def _emit(self, pair: tuple[Host, Host], ends: Ends, payload: bytes, mtu: int) -> Packet:
        packet = self.lan.packet(self.now, pair, ends, wire.udp(ends, payload))
        packet.protocol = wire.Protocol.UDP
        packet.payload = len(payload)
        packet.contact = self.contact
        packet.mtu = mtu
        return packet


def echo(lan: Lan, client: Host, server: Host, at: int, *, answered: int = 2) -> Contact:
    """Play three ICMP echoes, a second apart, of which some are answered."""
    ends = Ends(client.ip, server.ip)
    protocol = wire.Protocol.ICMP if ends.version == 4 else wire.Protocol.ICMPV6
    ask, answer = (8, 0) if ends.version == 4 else (128, 129)
    contact = Contact(client, server, protocol, ends, label="icmp")
    lan.contacts.append(contact)
    ident = lan.rng.getrandbits(16).to_bytes(2, "big")
    for number in range(3):
        rest = ident + number.to_bytes(2, "big") + bytes(range(0x10, 0x38))
        time = at + number * SECOND
        _echo_packet(lan, contact, (client, server), (time, wire.icmp(ends, ask, 0, rest)))
        if number < answered:
            back = ends.reversed
            time += 2 * lan.jitter(server.delay)
            body = wire.icmp(back, answer, 0, rest)
            _echo_packet(lan, contact, (server, client), (time, body))
            contact.reach(Reached.PAYLOAD)
    return contact


def _echo_packet(
    lan: Lan, contact: Contact, pair: tuple[Host, Host], timed: tuple[int, bytes]
) -> None:
    time, body = timed
    packet = lan.packet(time, pair, Ends(pair[0].ip, pair[1].ip), body)
    packet.protocol = contact.protocol
    packet.payload = len(body) - 8
    packet.contact = contact
