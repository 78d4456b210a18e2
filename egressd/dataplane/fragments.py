"""IP fragments (RFC 791 3.2, RFC 8200 4.5): datagrams put together to be looked into.

Counters do not wait for this: every fragment is charged to its flow when it
comes. Only what a look needs is kept, in a fixed number of slots; the oldest
makes room. A datagram whose fragments overlap is counted and never trusted
(RFC 5722).
"""

import cython
from cython.cimports.cython.view import array as cython_array
from cython.cimports.libc.stdint import int64_t, uint8_t

SLOTS = cython.declare(cython.int, 64)
SLOT_BYTES = cython.declare(cython.int, 65_536)
SLOT_BLOCKS = cython.declare(cython.int, 8_192)  # fragments begin at multiples of eight bytes
TIMEOUT = cython.declare(int64_t, 30_000_000_000)  # nanoseconds, as Linux (ipfrag_time)


@cython.cclass
class FragmentTable:
    """Slots for datagrams in pieces; `arena` holds SLOT_BYTES for each."""

    def __init__(self) -> None:
        seed: Slot[1]
        one: Slot[::1] = seed
        self.slots = cython_array(
            (SLOTS,), cython.sizeof(Slot), memoryview(one).format.encode(), "c", True
        )
        self.arena = bytearray(SLOTS * SLOT_BYTES)
        self.blocks = bytearray(SLOTS * SLOT_BLOCKS)
        i: cython.int
        for i in range(SLOTS):
            self.slots[i].used = 0
            self.slots[i].last = 0

    def find(self, frame, now):
        """Return the slot of the frame's datagram, a new one if need be."""
        i: cython.int
        oldest: cython.int = 0
        late: cython.int = -1  # the same datagram's, but from too long ago
        for i in range(SLOTS):
            if self.slots[i].used:
                if (
                    self.slots[i].ip_id == frame.ip_id
                    and self.slots[i].src_lo == frame.src_lo
                    and self.slots[i].dst_lo == frame.dst_lo
                    and self.slots[i].src_hi == frame.src_hi
                    and self.slots[i].dst_hi == frame.dst_hi
                    and self.slots[i].protocol == frame.protocol
                    and self.slots[i].version == frame.version
                ):
                    if now - self.slots[i].last <= TIMEOUT:
                        self.slots[i].last = now
                        return i
                    late = i
                if self.slots[oldest].used and self.slots[i].last < self.slots[oldest].last:
                    oldest = i
            elif self.slots[oldest].used:
                oldest = i
        if late >= 0:
            oldest = late
        if self.slots[oldest].used:
            self.given_up += 1
        self.slots[oldest].used = 1
        self.slots[oldest].src_hi = frame.src_hi
        self.slots[oldest].src_lo = frame.src_lo
        self.slots[oldest].dst_hi = frame.dst_hi
        self.slots[oldest].dst_lo = frame.dst_lo
        self.slots[oldest].ip_id = frame.ip_id
        self.slots[oldest].protocol = frame.protocol
        self.slots[oldest].version = frame.version
        self.slots[oldest].last = now
        self.slots[oldest].row = 0
        self.slots[oldest].flow_id = 0
        self.slots[oldest].received = 0
        self.slots[oldest].total = 0
        self.slots[oldest].farthest = 0
        self.slots[oldest].side = 0
        self.slots[oldest].bad = 0
        self.blocks[oldest * SLOT_BLOCKS : (oldest + 1) * SLOT_BLOCKS] = 0
        return oldest

    def add(self, slot, buf, frame):
        """Copy a fragment into its slot; return 1 when the datagram is whole."""
        offset: cython.Py_ssize_t = frame.fragment_offset
        length: cython.Py_ssize_t = frame.ip_end - frame.transport
        i: cython.Py_ssize_t
        base: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, slot) * SLOT_BYTES
        block: cython.Py_ssize_t
        if frame.ip_end > frame.limit or length <= 0 or offset + length > SLOT_BYTES:
            self.slots[slot].bad = 1  # cut by the snaplen, empty, or longer than any datagram
            return 0
        for i in range(offset // 8, (offset + length + 7) // 8):
            block = cython.cast(cython.Py_ssize_t, slot) * SLOT_BLOCKS + i
            if self.blocks[block]:
                if not self.slots[slot].bad:
                    self.overlaps += 1
                self.slots[slot].bad = 1
                return 0
            self.blocks[block] = 1
        if frame.more_fragments:
            if length & 7:
                self.slots[slot].bad = 1
                return 0
        elif self.slots[slot].total:
            self.slots[slot].bad = 1  # two ends
            return 0
        else:
            self.slots[slot].total = offset + length
        for i in range(length):
            self.arena[base + offset + i] = buf[frame.transport + i]
        self.slots[slot].received += length
        if offset + length > self.slots[slot].farthest:
            self.slots[slot].farthest = offset + length
        if self.slots[slot].total and self.slots[slot].farthest > self.slots[slot].total:
            self.slots[slot].bad = 1  # goes on behind its end
        if self.slots[slot].bad or self.slots[slot].total == 0:
            return 0
        if self.slots[slot].received != self.slots[slot].total:
            return 0
        self.slots[slot].used = 0
        return 1
