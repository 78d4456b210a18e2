"""What was measured of a mirror, and what is said of it.

Facts are numbers and names, gathered in `measure`; `checks` makes complaints of them, and nothing
of either looks at a network.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from egressd.model import Coverage

if TYPE_CHECKING:
    from egressd.model import Bytes, Nanoseconds, Seconds


class Weight(Enum):
    """How much a complaint matters."""

    UNUSABLE = "unusable"  # what is found or not found through this mirror proves nothing
    WARNING = "warning"  # it can be used, and something is lost
    HINT = "hint"  # may be as it should be; somebody who knows the site can tell


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: what was measured, and how to mend it."""

    id: str
    weight: Weight
    says: str
    mend: str


@dataclass(slots=True)
class InterfaceFacts:
    """What an interface counted while it was watched; None where it does not tell."""

    up: bool = True
    carrier: bool | None = None
    mtu: int | None = None
    merging: tuple[str, ...] | None = None  # features that put frames together
    kernel_drops: int = 0
    super_frames: int = 0  # longer than the interface takes
    nic_drops: int = 0  # no room in the card or its driver's buffers
    nic_errors: int = 0  # damaged on the wire
    damaged: int = 0  # records of the ring
    outages: int = 0


@dataclass(slots=True)
class Directions:
    """Flows that cannot be one-way in truth, by what the mirror showed of them."""

    both: int = 0
    sent: int = 0  # only what the host on site sent
    received: int = 0  # only what it was sent

    @property
    def one(self) -> int:
        """Those of which one side is missing."""
        return self.sent + self.received

    @property
    def all(self) -> int:
        """All of them."""
        return self.both + self.one


@dataclass(slots=True)
class Facts:
    """A mirror as it was measured."""

    target: str
    live: bool = False
    seconds: Seconds = 0.0  # for which it was watched, or that the capture spans
    now: Nanoseconds = 0  # when it was looked at, by this machine's clock
    clock_synchronised: bool | None = None  # this machine's; None if nobody tells
    interface: InterfaceFacts | None = None
    coverage: Coverage = field(default_factory=Coverage)
    # Frames by where they go.
    group_frames: int = 0  # to a group or to all
    own_frames: int = 0  # from or to this machine itself
    passing_frames: int = 0  # between two others: what a mirror is for
    # Flows by what the mirror showed of them.
    tcp: Directions = field(default_factory=Directions)  # connections that carried payload
    questions: Directions = field(default_factory=Directions)  # DNS and time, asked and answered
    tcp_frames: int = 0
    datagram_frames: int = 0  # UDP between two others, but for DNS and time
    long_frames: int = 0  # longer than an Ethernet frame with tags and tunnels, up to a jumbo frame
    vlans: Counter[int] = field(default_factory=Counter)  # flows by outermost tag
    untagged_flows: int = 0
    networks_seen: list[str] = field(default_factory=list)  # of the site file, with hosts in them
    networks_unseen: list[str] = field(default_factory=list)
    networks_apart: int = 0  # whose hosts have MACs that no other network's have: own segments
    # Devices.
    cameras: int = 0
    hosts: int = 0  # on site, cameras among them
    listed: int = 0  # devices that the site file names by MAC or address
    missing: list[str] = field(default_factory=list)  # of these, never seen
    # What the capture says of itself.
    damage: list[str] = field(default_factory=list)
    dropped_by_interface: int = 0
    dropped_by_kernel: int = 0

    @property
    def frames(self) -> int:
        """All frames."""
        return self.coverage.frames

    @property
    def wire_bytes(self) -> Bytes:
        """All bytes on the wire."""
        return self.coverage.wire_bytes
