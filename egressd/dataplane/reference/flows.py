"""Flows by five-tuple, in rows that are used again.

Side a sent the first frame. A row that ended waits until others have ended, too, so that its
last look can be read; which row a flow gets depends on the frames alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from egressd.dataplane.reference.layers import NO_MAC
from egressd.dataplane.reference.packets import TCP
from egressd.dataplane.reference.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egressd.dataplane.reference.packets import Packet
    from egressd.model import Bytes, Nanoseconds

COOLING = 8192  # rows that wait before they are used again

SECOND = 1_000_000_000
# Silence after which a flow has ended.
IDLE_TCP = 3600 * SECOND
IDLE_CLOSED = 60 * SECOND
IDLE_OTHER = 300 * SECOND


class Ends(NamedTuple):
    """The key of a flow; `a` sent its first frame."""

    protocol: int
    version: int
    a: int
    a_port: int
    b: int
    b_port: int

    @property
    def reversed(self) -> Ends:
        """The same as the other side sends it."""
        return Ends(self.protocol, self.version, self.b, self.b_port, self.a, self.a_port)


@dataclass(slots=True)
class Side:
    """What one end sent."""

    mac: int = NO_MAC
    host: int = 0
    frames: int = 0
    wire: Bytes = 0
    own_frames: int = 0
    own_bytes: Bytes = 0
    payload: Bytes = 0
    duplicates: int = 0
    looks: int = 0
    progress: int = 0  # steps of it told
    settled: bool = False  # its stream: only messages that begin later are looked at
    message: int = 0  # sequence number where the latest of those began
    message_segments: int = 0  # more segments of it to look at
    stream: Stream = field(default_factory=Stream)


@dataclass(slots=True, eq=False)
class Flow:
    """A flow; the booleans are the bits of `row_of`'s flags."""

    row: int
    id: int
    ends: Ends
    first: Nanoseconds
    last: Nanoseconds
    number: int  # of the first frame in its file
    source: int
    vlans: list[int]
    icmp_type: int
    icmp_code: int
    sides: tuple[Side, Side]
    sender: int | None = None  # side of the last frame
    turns: int = 0  # how often the sender changed, up to 3
    answered: bool = False
    connected: bool = False
    reset: bool = False
    refused: bool = False
    opener_b: bool = False  # side b opened it
    opener_known: bool = False
    watched: bool = False  # one end on site, the other off site
    touched: bool = False  # the reader of the looks holds something for it
    carrier: bool = False
    shed: bool = False  # beyond its host's budget: counters only
    error: bool = False  # an ICMP error: not a contact
    finished: bool = False  # FIN acknowledged both ways, or reset
    syn_seen: bool = False
    gone: bool = False

    @property
    def protocol(self) -> int:
        """The IP protocol number."""
        return self.ends.protocol

    @property
    def idle_limit(self) -> Nanoseconds:
        """The silence after which it has ended."""
        if self.protocol != TCP or not self.connected:
            return IDLE_OTHER
        return IDLE_CLOSED if self.finished else IDLE_TCP

    @property
    def flags(self) -> int:
        """The flags as `row_of` tells them."""
        bits = {
            1: self.answered,
            2: self.connected,
            4: self.reset,
            8: self.refused,
            16: self.opener_b,
            32: self.opener_known,
            64: self.sender == 1,
            128: self.watched,
            256: self.touched,
            512: self.carrier,
            1024: self.shed,
            2048: self.error,
            4096: self.sides[0].settled,
            8192: self.sides[1].settled,
            16384: self.finished,
            65536: self.syn_seen,
            1 << 31: self.gone,
        }
        return sum(bit for bit, is_set in bits.items() if is_set)


class FlowBook:
    """All flows; `rows` keeps those that ended until their row is used again."""

    def __init__(self) -> None:
        self.rows: list[Flow] = []
        self.ids = 0
        self._by_ends: dict[Ends, Flow] = {}
        self._cooling: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._by_ends)

    def __iter__(self) -> Iterator[Flow]:
        """Go through the flows that have not ended, in the order they began."""
        return iter(self._by_ends.values())

    def find(self, packet: Packet) -> tuple[Flow | None, int]:
        """Return the flow of a packet and the side that sent it."""
        ends = _ends_of(packet)
        flow = self._by_ends.get(ends)
        if flow is not None:
            return flow, 0
        return self._by_ends.get(ends.reversed), 1

    def add(self, packet: Packet, now: Nanoseconds, number: int, source: int) -> Flow:
        """Return a new flow for a packet."""
        row = self._cooling.popleft() if len(self._cooling) > COOLING else len(self.rows)
        self.ids += 1
        flow = Flow(
            row,
            self.ids,
            _ends_of(packet),
            now,
            now,
            number,
            source,
            packet.layer.vlans,
            packet.icmp_type,
            packet.icmp_code,
            (Side(packet.layer.src_mac), Side(packet.layer.dst_mac)),
        )
        self.rows[row : row + 1] = [flow]
        self._by_ends[flow.ends] = flow
        return flow

    def remove(self, flow: Flow) -> None:
        """Take an ended flow out."""
        del self._by_ends[flow.ends]
        flow.gone = True
        self._cooling.append(flow.row)


def _ends_of(packet: Packet) -> Ends:
    return Ends(
        packet.protocol,
        packet.version,
        packet.src,
        packet.sport,
        packet.dst,
        packet.dport,
    )
