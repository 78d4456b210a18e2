"""Copies a mirror makes: the same packet again a moment later.

Link layer, tags and hop limit of a copy may differ. An identification or TCP sequence numbers
prove a copy; a datagram without either is one only where the mirror is known to copy. Marks of
packets are kept in a fixed number of places, the same ones as the fast decoder's: each has a
few to choose from and takes that of the oldest, and a packet whose place was taken since is
not recognised by either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.dataplane.reference.layers import number_of
from egressd.dataplane.reference.packets import FIN, RST, SYN, TCP

if TYPE_CHECKING:
    from egressd.dataplane.reference.packets import Packet
    from egressd.model import Nanoseconds

PROVEN = 20_000_000  # nanoseconds after which the same packet is no copy
LIKELY = 5_000_000  # the same, where nothing proves it
SETS, PLACES_IN_A_SET = 4096, 4
WORDS = (1 << 64) - 1
UDP = 17
COMPARED = 48  # the transport header, its checksum over the rest, and some payload
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio


@dataclass(slots=True)
class Passed:
    """A packet that passed."""

    mark: int = 0
    time: Nanoseconds = 0


class CopyMemory:
    """What passed a moment ago."""

    def __init__(self) -> None:
        self._sets: dict[int, list[Passed]] = {}
        self._able = 0  # packets whose copies could be proven
        self._copies = 0  # and those that were copies

    def is_copy(self, packet: Packet, now: Nanoseconds) -> bool:
        """Say whether this packet passed a moment ago."""
        mark, proves = mark_of(packet), _can_prove(packet)
        self._able += proves
        places = self._sets.setdefault(
            (mark >> 32) % SETS, [Passed() for _ in range(PLACES_IN_A_SET)]
        )
        place = next((one for one in places if one.mark == mark), None)
        if place is not None and self._is_copy(packet, now - place.time, proves=proves):
            self._copies += proves
            return True
        if place is None:
            place = min(places, key=lambda one: one.time)
        place.mark, place.time = mark, now
        return False

    def _is_copy(self, packet: Packet, age: Nanoseconds, *, proves: bool) -> bool:
        """Judge a packet that is the same as one that passed `age` ago."""
        copies = self._mirror_copies()
        settled = copies and self._able >= 8
        longest = PROVEN if packet.identification or settled else LIKELY
        return 0 <= age <= longest and (proves or copies)

    def _mirror_copies(self) -> bool:
        """Say whether this mirror copies: one in eight of the packets that can tell is enough."""
        return self._able < 8 or self._copies * 8 >= self._able


def mark_of(packet: Packet) -> int:
    """Return 64 bits that stand for addresses, place in the datagram, and first bytes."""
    src_high, src_low = divmod(packet.src, 1 << 64)
    dst_high, dst_low = divmod(packet.dst, 1 << 64)
    ends = _mixed(src_low ^ dst_low << 1 ^ src_high << 2 ^ dst_high)
    mark = _mixed(
        ends
        ^ packet.identification << 32
        ^ packet.offset << 40
        ^ packet.body_wire << 8
        ^ packet.protocol
    )
    has_no_checksum = packet.protocol == UDP and packet.body[6:8] == b"\0\0"
    compared = packet.body if has_no_checksum else packet.body[:COMPARED]
    whole = len(compared) & ~7
    for at in range(0, whole, 8):
        mark = ((mark ^ number_of(compared[at : at + 8])) * GOLDEN) & WORDS
        mark ^= mark >> 29
    for byte in compared[whole:]:
        mark = ((mark ^ byte) * GOLDEN) & WORDS
    return _mixed(mark) | 1


def _can_prove(packet: Packet) -> bool:
    if packet.identification:
        return True
    if packet.protocol != TCP or packet.is_fragment:
        return False
    return packet.payload_wire > 0 or bool(packet.flags & (SYN | FIN | RST))


def _mixed(value: int) -> int:
    # The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit reaches every other.
    value &= WORDS
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & WORDS
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & WORDS
    return value ^ value >> 31
