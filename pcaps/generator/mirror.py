"""What the monitor gets: the frames of the wire after copies, loss, cuts and carriers.

Every step keeps for each frame where it comes from, so that truth can count it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from pcaps.generator import wire
from pcaps.generator.lan import MICROSECOND, Frame

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

WAN_ROUTER = "00:00:5e:00:01:0a"  # the provider's side of the gateway
WAN_PORT = "64:d1:54:00:02:01"


@dataclass(frozen=True, slots=True)
class Captured:
    """One frame in the capture file."""

    time: int
    data: bytes  # as captured
    length: int  # on the wire
    frame: Frame  # what it is, or is a copy of
    own: int  # length of the innermost Ethernet frame without tags and tunnel headers
    copy: bool = False  # the mirror delivered it before
    outer: wire.Ends | None = None  # the tunnel it came in
    vlans: tuple[int, ...] = ()


class Way(Enum):
    """Which half of the cameras' traffic a one-way mirror shows."""

    FROM_CAMERAS = auto()
    TO_CAMERAS = auto()


def plain(frames: Iterable[Frame]) -> list[Captured]:
    """Return the frames as a faultless mirror delivers them."""
    return [Captured(f.time, f.data, len(f.data), f, len(f.data)) for f in frames]


def copies(rows: list[Captured], rng: random.Random) -> list[Captured]:
    """Return every frame twice: SPAN of a source port's receive and another's transmit."""
    made = []
    for row in rows:
        gap = rng.randrange(1, 200) * MICROSECOND
        made += [row, replace(row, time=row.time + gap, copy=True)]
    return in_time(made)


def tagged_copies(rows: list[Captured], rng: random.Random) -> list[Captured]:
    """Return every frame twice, the second time from a trunk, with its VLAN tag."""
    made = []
    for row in rows:
        gap = rng.randrange(1, 200) * MICROSECOND
        data = row.data[:12] + b"\x81\0\0\x1e" + row.data[12:]
        copy = replace(
            row, time=row.time + gap, data=data, length=len(data), copy=True, vlans=(30,)
        )
        made += [row, copy]
    return in_time(made)


def routed_copies(rows: list[Captured], rng: random.Random) -> list[Captured]:
    """Return frames that pass the gateway twice: on the LAN, and beyond with other MACs."""
    made = []
    for row in rows:
        made.append(row)
        if row.frame.packet is None or not (row.frame.outbound or row.frame.inbound):
            continue
        gap = rng.randrange(20, 200) * MICROSECOND
        packet = row.frame.packet.packets[0]
        kind = wire.ethertype_of(packet)
        if row.frame.outbound:
            data = wire.ethernet(WAN_ROUTER, WAN_PORT, kind, wire.routed(packet))
            made.append(replace(row, time=row.time + gap, data=data, length=len(data), copy=True))
            continue
        # Coming in, the outer frame is seen first and the LAN's frame is the copy.
        made[-1] = replace(row, copy=True)
        early = wire.ethernet(WAN_PORT, WAN_ROUTER, kind, wire.routed(packet, hops=-1))
        made.append(replace(row, time=row.time - gap, data=early, length=len(early)))
    return in_time(made)


def lossy(rows: list[Captured], rng: random.Random, share: float) -> list[Captured]:
    """Return the rows without a share of them, picked at random."""
    return [row for row in rows if rng.random() >= share]


def one_way(rows: list[Captured], macs: set[str], way: Way) -> list[Captured]:
    """Return only the frames from, or only those to, the cameras."""
    known = {wire.mac_bytes(mac) for mac in macs}
    at = 6 if way is Way.FROM_CAMERAS else 0
    return [row for row in rows if row.data[at : at + 6] in known]


def cut(rows: list[Captured], snaplen: int) -> list[Captured]:
    """Return the rows with at most `snaplen` bytes each."""
    return [replace(row, data=row.data[:snaplen]) for row in rows]


def in_time(rows: list[Captured]) -> list[Captured]:
    """Return the rows in order of time."""
    return sorted(rows, key=lambda row: row.time)
