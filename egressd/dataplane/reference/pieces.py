"""Fragments (RFC 791 3.2, RFC 8200 4.5): datagrams put together to be looked into.

A fixed number of datagrams is under way at a time; the one touched longest ago makes room. A
datagram whose fragments overlap is counted and never trusted (RFC 5722).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.dataplane.reference.flows import Flow
    from egressd.dataplane.reference.packets import Packet
    from egressd.model import Bytes, Nanoseconds

DATAGRAMS = 64  # under way at a time
LONGEST = 65_536
TIMEOUT = 30_000_000_000  # nanoseconds, as Linux (ipfrag_time)

Key = tuple[int, int, int, int, int]  # version, source, destination, protocol, identification


@dataclass(slots=True, eq=False)
class Datagram:
    """A datagram in pieces."""

    key: Key
    last: Nanoseconds
    flow: Flow | None = None  # of the first fragment, once it came
    side: int = 0  # who sent it
    pieces: dict[Bytes, bytes] = field(default_factory=dict)  # by offset
    blocks: set[int] = field(default_factory=set)  # eights of bytes that came
    received: Bytes = 0
    farthest: Bytes = 0
    total: Bytes | None = None  # once the last fragment came
    bad: bool = False  # overlaps, contradicts itself or was cut: never looked into


class PieceTable:
    """Datagrams under way."""

    def __init__(self) -> None:
        self.overlaps = 0
        self._places: list[Datagram | None] = [None] * DATAGRAMS

    def find(self, packet: Packet, now: Nanoseconds) -> Datagram:
        """Return the datagram a fragment belongs to, a new one if need be."""
        key = (
            packet.version,
            packet.src,
            packet.dst,
            packet.protocol,
            packet.identification,
        )
        place = next((n for n, one in enumerate(self._places) if one and one.key == key), None)
        if place is not None:
            known = self._places[place]
            if known and now - known.last <= TIMEOUT:
                known.last = now
                return known
        else:
            place = self._place_to_use()
        new = self._places[place] = Datagram(key, now)
        return new

    def add(self, datagram: Datagram, packet: Packet) -> bytes | None:
        """Take a fragment; return the datagram when it is whole."""
        if datagram.bad:
            return None
        start, length = packet.offset, packet.body_wire
        end = start + length
        blocks = set(range(start // 8, (end + 7) // 8))
        if len(packet.body) < length or length <= 0 or end > LONGEST:
            datagram.bad = True
        elif blocks & datagram.blocks:
            self.overlaps += 1
            datagram.bad = True
        elif packet.more_fragments and length % 8:
            datagram.bad = True
        elif not packet.more_fragments and datagram.total is not None:
            datagram.bad = True  # two ends
        if datagram.bad:
            datagram.pieces.clear()
            return None
        datagram.blocks |= blocks
        datagram.pieces[start] = packet.body
        datagram.received += length
        datagram.farthest = max(datagram.farthest, end)
        if not packet.more_fragments:
            datagram.total = end
        if datagram.total is not None and datagram.farthest > datagram.total:
            datagram.bad = True  # goes on behind its end
        if datagram.bad or datagram.received != datagram.total:
            return None
        self._places[self._places.index(datagram)] = None
        return b"".join(datagram.pieces[at] for at in sorted(datagram.pieces))

    def _place_to_use(self) -> int:
        """Return the first free place, or else that of the datagram touched longest ago."""
        if None in self._places:
            return self._places.index(None)
        ages = [one.last for one in self._places if one]
        return ages.index(min(ages))
