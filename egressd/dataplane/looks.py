"""What the data plane asks Python to look at, and a flow's columns as text."""

import cython
from cython.cimports.libc.stdint import int64_t, uint32_t, uint64_t


class LookKind:
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


REASONS_ENDED = ("timeout", "closed", "evicted", "shutdown")


@cython.cclass
class Look:
    """One event of the data plane, with the flow's counters as they stood at its frame."""

    kind = cython.declare(cython.int, visibility="public")
    side = cython.declare(cython.int, visibility="public")
    row = cython.declare(uint32_t, visibility="public")
    flow = cython.declare(uint64_t, visibility="public")
    last = cython.declare(int64_t, visibility="public")  # ENDED: the flow's last frame
    time = cython.declare(int64_t, visibility="public")
    number = cython.declare(uint64_t, visibility="public")
    source = cython.declare(cython.int, visibility="public")
    index = cython.declare(uint32_t, visibility="public")  # of its frame in the batch
    detail = cython.declare(cython.int, visibility="public")
    protocol = cython.declare(cython.int, visibility="public")
    port_a = cython.declare(cython.int, visibility="public")
    port_b = cython.declare(cython.int, visibility="public")
    watched = cython.declare(cython.bint, visibility="public")  # one end of the flow is off site
    version = cython.declare(cython.int, visibility="public")
    a_hi = cython.declare(uint64_t, visibility="public")
    a_lo = cython.declare(uint64_t, visibility="public")
    b_hi = cython.declare(uint64_t, visibility="public")
    b_lo = cython.declare(uint64_t, visibility="public")
    host_a = cython.declare(uint32_t, visibility="public")
    host_b = cython.declare(uint32_t, visibility="public")
    own_bytes_a = cython.declare(uint64_t, visibility="public")
    own_bytes_b = cython.declare(uint64_t, visibility="public")
    own_frames_a = cython.declare(uint64_t, visibility="public")
    own_frames_b = cython.declare(uint64_t, visibility="public")
    payload_bytes_a = cython.declare(uint64_t, visibility="public")
    payload_bytes_b = cython.declare(uint64_t, visibility="public")
    hops = cython.declare(cython.int, visibility="public")
    stream = cython.declare(uint32_t, visibility="public")
    cut = cython.declare(cython.bint, visibility="public")
    shed = cython.declare(cython.bint, visibility="public")  # ENDED: its host has the totals
    order = cython.declare(uint64_t, visibility="public")  # counts the looks of a run
    payload = cython.declare(bytes, visibility="public")
