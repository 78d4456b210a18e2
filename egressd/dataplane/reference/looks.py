"""What the reference decoder asks to look at: the attributes of `dataplane.looks.Look`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Bytes, Nanoseconds


class Kind(IntEnum):
    """Kinds of looks."""

    HOST = 1  # a new on-site host; `detail` 1: it said so itself by ARP, 2: its hop limit is known
    NEW = 2  # the first frame of a flow that leaves the site
    PAYLOAD = 3  # a segment or datagram worth decoding
    ANSWERED = 4  # not TCP: the first frame from the side that did not begin
    CONNECTED = 5  # TCP: the other end accepted
    DELIVERED = 6  # TCP: payload of the on-site side was acknowledged for the first time
    TURNED = 7  # not TCP: the side that began spoke again after an answer
    PROGRESS = 8  # the on-site `side` has sent another 16,000 bytes
    RESET = 9  # RST from `side`
    REFUSED = 10  # an ICMP error answered `side`'s peer
    ENDED = 11  # timed out, closed, evicted, end of the input: `detail`; `side` opened it
    GATEWAY = 12  # `side` is off site and behind a MAC that no off-site end had before
    TURN = 13  # a host, where another address behind its MAC spoke last
    MIRROR = 14  # `detail` 1: the mirror shows one direction only, 0: both after all


class End(IntEnum):
    """Why a flow ended; the `detail` of an ENDED look."""

    TIMEOUT = 0
    CLOSED = 1
    EVICTED = 2
    SHUTDOWN = 3


@dataclass(slots=True)
class Look:
    """One event, with the flow's counters as they stood at its frame."""

    kind: int
    side: int
    row: int  # of the flow, or of the host where `kind` is HOST
    time: Nanoseconds
    number: int
    source: int
    detail: int = 0
    flow: int = 0
    last: Nanoseconds = 0  # ENDED: the flow's last frame
    protocol: int = 0
    port_a: int = 0
    port_b: int = 0
    host_a: int = 0
    host_b: int = 0
    own_bytes_a: Bytes = 0
    own_bytes_b: Bytes = 0
    own_frames_a: int = 0
    own_frames_b: int = 0
    payload_bytes_a: Bytes = 0
    payload_bytes_b: Bytes = 0
    hops: int = 0  # HOST: the hop limit it sends with, 0 until that is known
    stream: int = 0  # where in its stream the payload of a segment begins
    watched: bool = False  # one end of the flow is off site
    version: int = 0
    a_hi: int = 0
    a_lo: int = 0
    b_hi: int = 0
    b_lo: int = 0
    cut: bool = False
    shed: bool = False  # ENDED: its host has the totals
    index: int = 0  # of its frame in the batch
    order: int = 0  # counts the looks of a run
    payload: bytes = b""
