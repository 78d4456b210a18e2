"""A layer of a frame: the bytes from here on, and what was read in front of them.

Headers are taken off the front one by one. A header either counts for the flow the frame is
charged to (`skip`), or is only a tag, label or carrier around it (`strip`). dpkt reads the
headers; it never opens what follows one, which is done here layer by layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import dpkt

IPV4 = 0x0800
ARP = 0x0806
IPV6 = 0x86DD
NETWORKS = frozenset({IPV4, ARP, IPV6})

NO_MAC = (1 << 64) - 1

Reason = Literal[
    "link header cut",
    "tag cut",
    "ip header cut",
    "ip header length",
    "ip total length",
    "ip version",
    "ipv6 extension header cut",
    "transport header cut",
    "tcp header length",
    "udp length",
    "tunnel header cut",
    "unknown link type",
]


class Malformed(Exception):  # noqa: N818 - a verdict on the frame, not a failure of the program
    """A frame that is broken at a layer we know."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(slots=True, frozen=True)
class Foreign:
    """What a frame carries is nothing of ours; `ethertype` (or its like) says what it was."""

    ethertype: int = 0


@dataclass(slots=True)
class Layer:
    """The rest of a frame from here on."""

    data: bytes  # as far as it was captured
    wire: int  # how long it was on the wire
    own: int  # bytes of the innermost Ethernet frame, without tags and carriers
    head: int = 0  # those of them in front of `data`
    ethertype: int = 0
    src_mac: int = NO_MAC
    dst_mac: int = NO_MAC
    vlans: list[int] = field(default_factory=list)

    def need(self, size: int, reason: Reason) -> bytes:
        """Return the first `size` bytes, or raise Malformed."""
        if len(self.data) < size:
            raise Malformed(reason)
        return self.data[:size]

    def skip(self, size: int) -> None:
        """Take a header off that counts."""
        self.data = self.data[size:]
        self.wire -= size
        self.head += size

    def strip(self, size: int) -> None:
        """Take a tag, label or carrier's header off: it does not count."""
        self.data = self.data[size:]
        self.wire -= size
        self.own -= size

    def begin_again(self, size: int) -> None:
        """Take a carrier's header off in front of a whole frame: only that frame counts."""
        self.data = self.data[size:]
        self.wire -= size
        self.own = self.wire
        self.head = 0
        self.src_mac = self.dst_mac = NO_MAC
        self.vlans = []


def header_only(kind: Any) -> Any:
    """Return a dpkt class that reads its header and leaves what follows alone."""
    return type(f"{kind.__name__}Header", (kind,), {"unpack": dpkt.Packet.unpack})


def number_of(data: bytes) -> int:
    """Return bytes in network order as a number."""
    return int.from_bytes(data, "big")
