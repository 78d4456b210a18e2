"""Frames in one line each: `camera.asks("hik-connect.com")` is the bytes of an Ethernet frame.

For tests that need a frame or three and no capture. Batches and pcap files of
such frames are made here, too. Checksums and padding are right; nothing is random.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from pathlib import Path

if str(Path(__file__).parent.parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent.parent))

from egressd.capture.batch import Batch
from pcaps.generator import cast, files, messages, tape, wire
from pcaps.generator.lan import START, Frame, Host
from pcaps.generator.mirror import plain
from pcaps.generator.wire import Ends, Flag, Header, Protocol, Segment

MILLISECOND = 1_000_000
CLIENT_PORT = 40_001
GATEWAY_MAC = cast.GATEWAY_MAC


@dataclass(frozen=True, slots=True)
class Device:
    """A host on site, as an author of frames; `to` is an address on or off site."""

    mac: str
    ip: str
    ttl: int = 64

    def asks(self, name: str, *, resolver: str = "10.20.200.53", kind: int = messages.A) -> bytes:
        """Ask a resolver for a name."""
        return self.says(messages.dns_question(0x1234, name, kind), to=resolver, port=53)

    def hears(self, name: str, *addresses: str, resolver: str = "10.20.200.53") -> bytes:
        """Get a resolver's answer; no address means NXDOMAIN."""
        rcode = 0 if addresses else messages.NXDOMAIN
        kind = messages.AAAA if addresses and ":" in addresses[0] else messages.A
        question = messages.dns_question(0x1234, name, kind)
        answer = messages.dns_answer(question, addresses, rcode=rcode)
        return self.is_told(answer, by=resolver, port=53)

    def says(self, payload: bytes, *, to: str, port: int, source: int = CLIENT_PORT) -> bytes:
        """Send a datagram."""
        return self._out(Protocol.UDP, wire.udp(self._ends(to, port, source), payload), to)

    def is_told(self, payload: bytes, *, by: str, port: int, source: int = CLIENT_PORT) -> bytes:
        """Get a datagram from that address and port."""
        ends = self._ends(by, port, source).reversed
        return self._in(Protocol.UDP, wire.udp(ends, payload), by)

    def knocks(self, to: str, port: int, *, source: int = CLIENT_PORT, seq: int = 1000) -> bytes:
        """Send a SYN."""
        segment = Segment(seq, 0, Flag.SYN, b"", b"\2\4\5\xb4", 64240)
        return self._out(Protocol.TCP, wire.tcp(self._ends(to, port, source), segment), to)

    def is_accepted(self, by: str, port: int, *, source: int = CLIENT_PORT) -> bytes:
        """Get the SYN/ACK to `knocks`."""
        segment = Segment(9000, 1001, Flag.SYN | Flag.ACK, b"", b"\2\4\5\xb4", 64240)
        ends = self._ends(by, port, source).reversed
        return self._in(Protocol.TCP, wire.tcp(ends, segment), by)

    def is_refused(self, by: str, port: int, *, source: int = CLIENT_PORT) -> bytes:
        """Get the RST to `knocks`."""
        segment = Segment(0, 1001, Flag.RST | Flag.ACK, window=0)
        ends = self._ends(by, port, source).reversed
        return self._in(Protocol.TCP, wire.tcp(ends, segment), by)

    def sends(self, segment: Segment, *, to: str, port: int, source: int = CLIENT_PORT) -> bytes:
        """Send a TCP segment."""
        return self._out(Protocol.TCP, wire.tcp(self._ends(to, port, source), segment), to)

    def gets(self, segment: Segment, *, by: str, port: int, source: int = CLIENT_PORT) -> bytes:
        """Get a TCP segment."""
        ends = self._ends(by, port, source).reversed
        return self._in(Protocol.TCP, wire.tcp(ends, segment), by)

    def greets(self, name: str, *, to: str, port: int = 443) -> bytes:
        """Send a recorded TLS 1.3 ClientHello; `name` is one of `record.TLS_NAMES`."""
        hello = tape.flights_of("tls13", name)[0].data
        return self.sends(Segment(1001, 9001, Flag.PSH | Flag.ACK, hello), to=to, port=port)

    def pings(self, to: str) -> bytes:
        """Send an ICMP echo request."""
        protocol, kind = (Protocol.ICMPV6, 128) if ":" in to else (Protocol.ICMP, 8)
        body = wire.icmp(self._ends(to, 0, 0), kind, 0, b"\0\1\0\1" + bytes(range(40)))
        return self._out(protocol, body, to)

    def leases(self, hostname: str, vendor_class: str) -> bytes:
        """Send a DHCP request with options 12 and 60."""
        lease = messages.Lease(self.mac, hostname, vendor_class, self.ip)
        body = messages.dhcp(lease, 3, 0x11223344, "10.20.0.1")
        ends = Ends("0.0.0.0", "255.255.255.255", 68, 67)  # noqa: S104 - no address yet
        packet = wire.ip(ends, Protocol.UDP, wire.udp(ends, body), Header())
        return wire.ethernet(cast.BROADCAST_MAC, self.mac, wire.ETHERTYPE_IPV4, packet)

    def _ends(self, to: str, port: int, source: int) -> Ends:
        return Ends(self.ip, to, source, port)

    def _out(self, protocol: int, body: bytes, to: str) -> bytes:
        packet = wire.ip(Ends(self.ip, to), protocol, body, Header(1, self.ttl))
        return wire.ethernet(_mac_of(to), self.mac, wire.ethertype_of(packet), packet)

    def _in(self, protocol: int, body: bytes, by: str) -> bytes:
        packet = wire.ip(Ends(by, self.ip), protocol, body, Header(1, 52))
        return wire.ethernet(self.mac, _mac_of(by), wire.ethertype_of(packet), packet)


KNOWN = (cast.RECORDER, cast.RESOLVER, cast.TIME_SERVER, cast.OFFICE, cast.GATE, cast.YARD)


def _mac_of(ip: str) -> str:
    """Return the MAC of a host of the cast; every other address is behind the gateway."""
    return {host.ip: host.mac for host in KNOWN}.get(ip, GATEWAY_MAC)


def _device(host: Host) -> Device:
    return Device(host.mac, host.ip, host.ttl)


camera = _device(cast.GATE)
other_camera = _device(cast.YARD)
recorder = _device(cast.RECORDER)
office_pc = _device(cast.OFFICE)


def batch_of(*frames: bytes, start: int = START, gap: int = MILLISECOND) -> Batch:
    """Return frames as a batch of source 0, numbered from 1 and `gap` nanoseconds apart."""
    offsets, at = array("q"), 0
    for frame in frames:
        offsets.append(at)
        at += len(frame)
    lengths = array("I", map(len, frames))
    return Batch(
        b"".join(frames),
        len(frames),
        offsets,
        lengths,
        array("I", lengths),
        array("q", [start + n * gap for n in range(len(frames))]),
        array("H", [0] * len(frames)),
        array("Q", range(1, len(frames) + 1)),
    )


def pcap_of(*frames: bytes, start: int = START, gap: int = MILLISECOND) -> bytes:
    """Return frames as a nanosecond pcap file."""
    rows = plain(Frame(start + n * gap, frame, None) for n, frame in enumerate(frames))
    return files.pcap(rows, files.NO_LIMIT)
