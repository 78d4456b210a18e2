# cython: annotation_typing=False
"""The compiled walk over a block of the kernel's ring: its frames become rows where they lie.

Layout: linux/if_packet.h, TPACKET_V3. A block begins with version(4) private(4)
status(4) frames(4) first(4) length(4) sequence(8) times(16). A frame's record is
next(4) seconds(4) nanoseconds(4) captured(4) wire(4) status(4) mac(2) net(2) hash(4)
tci(4) tpid(2) padding(10), then a sockaddr_ll whose byte 10 is the packet's type, then
the frame at `mac`. All numbers are the machine's own. The kernel writes them, so they
are right; they are checked all the same, because the ring is memory that it shares.

A tag that the kernel took off is put back in the ring itself: the two MAC addresses
move four bytes down, into room that PACKET_RESERVE made. A block is walked once.
C types stand in blocks.pxd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython
from cython.cimports.egressd.capture.fence import (
    atomic_thread_fence,
    memory_order_acquire,
    memory_order_release,
)

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]  # there from 3.12 on

    from egressd.capture.batch import Batch

BLOCK_HEADER = 48  # struct tpacket_block_desc
RECORD_HEADER = 68  # struct tpacket3_hdr and struct sockaddr_ll
SMALLEST_RECORD = 96  # TPACKET_ALIGN(RECORD_HEADER + 16 that a link header may take)

# Copies that code without the GIL can read: blocks.pxd makes them C variables.
_BLOCK_HEADER = BLOCK_HEADER
_RECORD_HEADER = RECORD_HEADER
_PACKET_TYPE = 58  # in a record: sll_pkttype
_ADDRESSES = 12  # bytes in front of a tag
_TAG = 4
_BILLION = 1_000_000_000
_USER = 1 << 0  # TP_STATUS_USER: ours, until we write 0
_VLAN_VALID = 1 << 4
_VLAN_TPID_VALID = 1 << 6
_GSO_TCP = 1 << 8  # TP_STATUS_GSO_TCP, Linux 6.0 and later: several segments in one frame
_VLAN_TPID = 0x8100
_OUTGOING = 4  # PACKET_OUTGOING


class BlockWalk:
    """Turns one interface's blocks into rows, and counts what it meets."""

    def __init__(self, ring: Buffer, block_bytes: int) -> None:
        """Walk in this ring, which must begin at a multiple of four."""
        self.source = 0  # index into the reader's sources
        self.ethernet = True  # frames have a place for a tag
        self.outgoing = False  # frames of this machine itself are rows, too
        self.longest = 1522  # on the wire; a longer frame was put together from several
        self.number = 0  # of the last row
        self.wire_bytes = 0  # of rows
        self.captured_bytes = 0  # of these
        self.outgoing_frames = 0  # of this machine itself, and left out
        self.super_frames = 0
        self.cut_frames = 0
        self.tags = 0  # put back
        self.damaged = 0  # records that cannot be, and the rest of their block
        self.last_time = 0
        self.block_bytes = block_bytes
        view = memoryview(ring)
        self.words = view.cast("I")
        self.halves = view.cast("H")
        self.octets = view
        self.row = 0
        self.limit = 0

    def use_columns(self, batch: Batch) -> None:
        """Fill these columns from now on."""
        self.offset = batch.offset
        self.captured = batch.captured
        self.wire = batch.wire
        self.time = batch.time
        self.sources = batch.source
        self.numbers = batch.number
        self.limit = len(batch.offset)

    def close(self) -> None:
        """Let go of the ring, so that it can be unmapped."""
        nothing = memoryview(bytearray(0))
        self.words = nothing.cast("I")
        self.halves = nothing.cast("H")
        self.octets = nothing

    def is_ready(self, block: int) -> bool:
        """Tell whether the kernel has handed a block over."""
        word = block * self.block_bytes >> 2
        ready = self.words[word + 2] & _USER != 0
        # What the kernel wrote before the status is read after it.
        atomic_thread_fence(memory_order_acquire)
        return ready

    def first_time(self, block: int) -> int:
        """Return the time of a block's first frame, or 0 where the block holds none.

        The block's own times tell when it was opened, which on a quiet link is long before.
        """
        start = block * self.block_bytes
        at = start + self.words[(start >> 2) + 4]
        if at & 3 or at + _RECORD_HEADER > start + self.block_bytes:
            return 0
        return self._time(at)

    def fill(self, block: int) -> int:
        """Fill the columns with a block's frames, offsets counting from the ring's beginning.

        Return how many rows there are.
        """
        self.row = 0
        start = block * self.block_bytes
        with cython.nogil:
            self._walk(start)
        return self.row

    def release(self, block: int) -> int:
        """Give a block back to the kernel."""
        word = block * self.block_bytes >> 2
        # All that was read of the block was read before it is the kernel's again.
        atomic_thread_fence(memory_order_release)
        self.words[word + 2] = 0
        return 0

    def _walk(self, start: int) -> int:
        end = start + self.block_bytes
        left = self.words[(start >> 2) + 3]
        first = self.words[(start >> 2) + 4]
        at = start + first
        if first < _BLOCK_HEADER:
            self.damaged += left
            return 0
        while left > 0:
            if at & 3 or at + _RECORD_HEADER > end or self.row == self.limit:
                self.damaged += left
                return 0
            self._frame(at, end)
            left -= 1
            if self.words[at >> 2] < _RECORD_HEADER:  # 0 ends the chain
                self.damaged += left
                return 0
            at += self.words[at >> 2]
        return 0

    def _frame(self, at: int, end: int) -> int:
        """Write a record's row, or count why there is none."""
        word = at >> 2
        half = at >> 1
        captured = self.words[word + 3]
        wire = self.words[word + 4]
        status = self.words[word + 5]
        mac = self.halves[half + 12]
        begin = at + mac
        if mac < _RECORD_HEADER + _TAG or begin + captured > end:
            self.damaged += 1
            return 0
        if self.octets[at + _PACKET_TYPE] == _OUTGOING and not self.outgoing:
            self.outgoing_frames += 1
            return 0
        wire = max(wire, captured)
        if captured < wire:
            self.cut_frames += 1
        if status & _GSO_TCP or wire > self.longest:
            self.super_frames += 1
        if status & _VLAN_VALID and self.ethernet and captured >= _ADDRESSES:
            begin -= _TAG
            captured += _TAG
            wire += _TAG
            self._put_tag_back(at, begin, status)
        self.number += 1
        self.wire_bytes += wire
        self.captured_bytes += captured
        self.last_time = self._time(at)
        self.offset[self.row] = begin
        self.captured[self.row] = captured
        self.wire[self.row] = wire
        self.time[self.row] = self.last_time
        self.sources[self.row] = self.source
        self.numbers[self.row] = self.number
        self.row += 1
        return 0

    def _put_tag_back(self, at: int, begin: int, status: int) -> int:
        """Move the addresses down and write tpid(2) tci(2) behind them, most significant first."""
        kind = self.halves[(at >> 1) + 18] if status & _VLAN_TPID_VALID else _VLAN_TPID
        tag = kind << 16 | self.words[(at >> 2) + 8] & 0xFFFF
        for index in range(begin, begin + _ADDRESSES):
            self.octets[index] = self.octets[index + _TAG]
        for index in range(_TAG):
            self.octets[begin + _ADDRESSES + index] = tag >> (24 - 8 * index) & 0xFF
        self.tags += 1
        return 0

    def _time(self, at: int) -> int:
        return self.words[(at >> 2) + 1] * _BILLION + self.words[(at >> 2) + 2]
