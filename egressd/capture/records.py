# cython: annotation_typing=False
"""The compiled walk over capture records: headers become rows, frames stay where they are.

Two walks (pcap records, pcapng blocks) and two searches for the next sound record
behind damage. They know layouts and nothing else: what a stop means, and what is
said about it, is their callers' business. C types stand in records.pxd.

Layouts: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. A frame longer than
262,144 bytes is damage, as it is to Wireshark (WTAP_MAX_PACKET_SIZE_STANDARD in
wiretap/wtap.h), and so is a pcapng block longer than 16 MiB.
"""

# Longer than 500 lines: all of the capture stage that is compiled stands here.

from __future__ import annotations

from array import array
from enum import IntEnum
from typing import TYPE_CHECKING

import cython

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]  # there from 3.12 on

    from egressd.capture.batch import Batch

MAX_FRAME = 262_144
MAX_BLOCK = 16 << 20
MAX_TIME = (1 << 63) - 1  # nanoseconds: the year 2262

FIND_BYTES = 1 << 20  # how far a search looks ahead of the place it judges

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
INTERFACE_STATISTICS = 5
BYTE_ORDER_MAGIC = 0x1A2B3C4D


class Stop(IntEnum):
    """Why a walk came back."""

    MORE = 0  # `need` bytes from `position` on are wanted; the window ends before
    FULL = 1  # the columns are full
    BAD = 2  # what stands at `position` is no record
    RARE = 3  # a pcapng block that says something about the blocks behind it
    NO_INTERFACE = 4  # a pcapng frame of an interface that was not described
    OVERLONG = 5  # a pcapng frame longer than its block, or than any frame


class LengthOrder(IntEnum):
    """Which of the two lengths of a pcap record comes first."""

    CAPTURED_FIRST = 0  # version 2.4, and what all others write
    WIRE_FIRST = 1  # before version 2.3
    UNSURE = 2  # version 2.3: the smaller one is the captured length


# Copies that code without the GIL can read: records.pxd makes them C variables.
_MAX_FRAME = MAX_FRAME
_MAX_BLOCK = MAX_BLOCK
_BILLION = 1_000_000_000
_FIND_BLOCK = FIND_BYTES
_DAY = 86_400 * 1_000_000_000
_TIME_LIMIT = MAX_TIME - 1  # so that every frame is before MAX_TIME
_SECONDS_LIMIT = 9_223_372_035
_FINE_UNITS = 1 << 34
_SECTION = SECTION_HEADER
_INTERFACE = INTERFACE_DESCRIPTION
_OLD_PACKET = 2
_SIMPLE_PACKET = 3
_STATISTICS = INTERFACE_STATISTICS
_PACKET = 6
_JOURNAL = 9
_CUSTOM = 0x0BAD
_CUSTOM_NOT_COPIED = 0x4000_0BAD
_BYTE_ORDER = BYTE_ORDER_MAGIC
_GO_ON = -2
_MORE = int(Stop.MORE)
_FULL = int(Stop.FULL)
_BAD = int(Stop.BAD)
_RARE = int(Stop.RARE)
_NO_INTERFACE = int(Stop.NO_INTERFACE)
_OVERLONG = int(Stop.OVERLONG)
_WIRE_FIRST = int(LengthOrder.WIRE_FIRST)
_UNSURE = int(LengthOrder.UNSURE)


class Walk:
    """Where the walk over one file stands, how its records are laid out, what it met.

    `position` counts in the window, which starts `base` bytes into the file.
    """

    def __init__(self, since: int, until: int) -> None:
        self.data = b""
        self.since = since
        self.until = until
        self.base = 0
        self.position = 0
        self.need = 0
        self.row = 0  # rows filled
        self.limit = 0  # rows there are
        self.number = 0  # of the last frame, delivered or not, as Wireshark counts
        self.last_time = 0
        self.outside = 0  # frames not in [since, until)
        self.over = 0  # frames longer than the snaplen (pcap; interfaces count their own)
        self.first_over = 0  # where the first of them stands in the file
        self.short_wire = 0  # frames with fewer bytes on the wire than captured
        self.first_short = 0
        self.clamped = 0  # frames from after 2262
        self.no_room = 0  # frames of an interface beyond the number of sources
        self.big = False
        self.unit = 1000  # nanoseconds in one unit of a pcap record's fraction
        self.header = 16  # bytes of a pcap record's header
        self.lengths = 0  # LengthOrder
        self.snaplen = 0
        self.file_source = 0
        self.interfaces = 0
        self.length = 0
        self.original = 0
        self.find_end = 0
        self.in_last = False

    def use_window(self, window: Buffer, base: int) -> None:
        """Walk in this window from now on; `position` is the caller's to set."""
        self.data = window
        self.size = len(self.data)
        self.base = base

    def use_columns(self, batch: Batch) -> None:
        """Fill these columns from now on."""
        self.offset = batch.offset
        self.captured = batch.captured
        self.wire = batch.wire
        self.time = batch.time
        self.source = batch.source
        self.numbers = batch.number

    def use_interfaces(self, section: Section) -> None:
        """Know these interfaces from now on."""
        self.interfaces = section.count
        self.sources = section.source
        self.units = section.units
        self.shift = section.shift
        self.snaplens = section.snaplen
        self.overs = section.over
        self.first_overs = section.first_over

    def walk_pcap(self) -> Stop:
        """Turn pcap records into rows until the columns are full or something is odd.

        A record is seconds(4) fraction(4) captured(4) wire(4) and the frame; Kuznetzov's
        variant has interface(4) protocol(2) type(1) pad(1) before the frame.
        """
        with cython.nogil:
            stop = self._pcap_records()
        return Stop(stop)

    def walk_pcapng(self) -> Stop:
        """Turn pcapng packet blocks into rows, skip what is of no concern, stop at the rest.

        A block is type(4) length(4) body length(4).
        """
        with cython.nogil:
            stop = self._pcapng_blocks()
        return Stop(stop)

    def find_pcap(self, end: int, *, last: bool) -> bool:
        """Move to where three plausible records follow each other; False if none do before `end`.

        Times must lie within a day of the last good frame, then of each other. In the
        `last` window a shorter run counts if it ends exactly where the file does.
        """
        self.find_end = end
        self.in_last = last
        with cython.nogil:
            found = self._find_pcap()
        return bool(found)

    def find_pcapng(self, end: int) -> bool:
        """Move to a block of known type whose two lengths agree; False if none is before `end`."""
        self.find_end = end
        with cython.nogil:
            found = self._find_pcapng()
        return bool(found)

    def _pcap_records(self) -> int:
        while self.row < self.limit:
            if self.size - self.position < self.header:
                self.need = self.header
                return _MORE
            self._pcap_lengths(self.position)
            if self.length > _MAX_FRAME:
                return _BAD
            if self.size - self.position < self.header + self.length:
                self.need = self.header + self.length
                return _MORE
            self.last_time = (
                self._word(self.position, self.big) * _BILLION
                + self._word(self.position + 4, self.big) * self.unit
            )
            self.number += 1
            if self.length > self.snaplen and self.snaplen != 0:
                if self.over == 0:
                    self.first_over = self.base + self.position
                self.over += 1
            self._keep(self.file_source, self.position + self.header)
            self.position += self.header + self.length
        return _FULL

    def _pcapng_blocks(self) -> int:
        while self.row < self.limit:
            if self.size - self.position < 12:
                self.need = 12
                return _MORE
            kind = self._word(self.position, self.big)
            if kind == _SECTION:  # its byte order is its own
                return _RARE
            block = self._word(self.position + 4, self.big)
            if block < 12 or block > _MAX_BLOCK or block & 3:
                return _BAD
            if self.size - self.position < block:
                self.need = block
                return _MORE
            if self._word(self.position + block - 4, self.big) != block:
                return _BAD
            stop = self._block(kind, block)
            if stop != _GO_ON:
                return stop
            self.position += block
        return _FULL

    def _block(self, kind: int, block: int) -> int:
        if kind in (_PACKET, _OLD_PACKET):
            return self._packet(kind, block)
        if kind == _SIMPLE_PACKET:
            return self._simple_packet(block)
        if kind in (_INTERFACE, _STATISTICS):
            return _RARE
        if kind in (_CUSTOM, _CUSTOM_NOT_COPIED, _JOURNAL):
            self.number += 1  # no frames, but Wireshark numbers them like frames
        return _GO_ON

    def _packet(self, kind: int, block: int) -> int:
        """Read interface(4) time(8) captured(4) wire(4) frame options.

        The obsolete block has interface(2) drops(2) and then the same.
        """
        if block < 32:
            return _BAD
        interface = self._word(self.position + 8, self.big)
        if kind == _OLD_PACKET:
            interface = interface >> 16 if self.big else interface & 0xFFFF
        self.length = self._word(self.position + 20, self.big)
        self.original = self._word(self.position + 24, self.big)
        if interface >= self.interfaces:
            return _NO_INTERFACE
        if self.length > block - 32 or self.length > _MAX_FRAME:
            return _OVERLONG
        ticks = self._word(self.position + 12, self.big)
        ticks = ticks << 32 | self._word(self.position + 16, self.big)
        self.last_time = self._time_of(ticks, self.units[interface], self.shift[interface])
        if self.last_time == _TIME_LIMIT:
            self.clamped += 1
        return self._ng_frame(interface, self.position + 28)

    def _simple_packet(self, block: int) -> int:
        """Read wire(4) frame: of interface 0, at a time that is not told."""
        if block < 16:
            return _BAD
        if self.interfaces == 0:
            return _NO_INTERFACE
        self.original = self._word(self.position + 8, self.big)
        self.length = min(self.original, block - 16)
        snaplen = self.snaplens[0]
        if snaplen != 0 and snaplen < self.length:
            self.length = snaplen
        if self.length > _MAX_FRAME:
            return _OVERLONG
        return self._ng_frame(0, self.position + 12)

    def _ng_frame(self, interface: int, start: int) -> int:
        self.number += 1
        if self.length > self.snaplens[interface] and self.snaplens[interface] != 0:
            if self.overs[interface] == 0:
                self.first_overs[interface] = self.base + self.position
            self.overs[interface] += 1
        source = self.sources[interface]
        if source < 0:
            self.no_room += 1
        else:
            self._keep(source, start)
        return _GO_ON

    def _keep(self, source: int, start: int) -> int:
        """Write the row, if the time is one that was asked for."""
        if self.original < self.length:
            if self.short_wire == 0:
                self.first_short = self.base + self.position
            self.short_wire += 1
            self.original = self.length
        if self.last_time < self.since or self.last_time >= self.until:
            self.outside += 1
            return 0
        self.offset[self.row] = start
        self.captured[self.row] = self.length
        self.wire[self.row] = self.original
        self.time[self.row] = self.last_time
        self.source[self.row] = source
        self.numbers[self.row] = self.number
        self.row += 1
        return 0

    def _pcap_lengths(self, at: int) -> int:
        self.length = self._word(at + 8, self.big)
        self.original = self._word(at + 12, self.big)
        if self.lengths == _WIRE_FIRST or (self.lengths == _UNSURE and self.length > self.original):
            swap = self.length
            self.length = self.original
            self.original = swap
        return 0

    def _find_pcap(self) -> bool:
        while self.position < self.find_end and self.position + self.header <= self.size:
            if self._pcap_run(self.position):
                return True
            self.position += 1
        return False

    def _find_pcapng(self) -> bool:
        while self.position < self.find_end and self.position + 12 <= self.size:
            if self._sound_block(self.position):
                return True
            self.position += 1
        return False

    def _pcap_run(self, position: int) -> bool:
        before = self.last_time
        run = 0
        while run < 3 and position + self.header <= self.size:
            self._pcap_lengths(position)
            if self.length == 0 or self.length > self.original or self.original > _MAX_FRAME:
                return False
            if self._word(position + 4, self.big) * self.unit >= _BILLION:
                return False
            time = self._word(position, self.big) * _BILLION
            if (self.number > 0 or run > 0) and (time - before > _DAY or before - time > _DAY):
                return False
            before = time
            position += self.header + self.length
            run += 1
        if run == 3:
            return position <= self.size
        return self.in_last and run > 0 and position == self.size

    def _sound_block(self, position: int) -> bool:
        kind = self._word(position, self.big)
        big = self.big
        if kind == _SECTION and position + 28 <= self.size:
            big = self._word(position + 8, True) == _BYTE_ORDER
            if not big and self._word(position + 8, False) != _BYTE_ORDER:
                return False
        elif kind == 0 or kind > _PACKET:
            return False
        block = self._word(position + 4, big)
        if block < 12 or block > _FIND_BLOCK or block & 3 or self.size - position < block:
            return False
        if self._word(position + block - 4, big) != block:
            return False
        if kind == _PACKET:
            return block >= 32 and self._word(position + 8, big) < self.interfaces
        return True

    def _word(self, at: int, big: bool) -> int:  # noqa: FBT001  # a C function
        a = self.data[at]
        b = self.data[at + 1]
        c = self.data[at + 2]
        d = self.data[at + 3]
        if big:
            return a << 24 | b << 16 | c << 8 | d
        return d << 24 | c << 16 | b << 8 | a

    def _time_of(self, ticks: int, units: int, shift: int) -> int:
        """Nanoseconds since the epoch, held within what 63 bits hold."""
        rest = ticks % units
        ticks //= units
        if ticks > _FINE_UNITS:  # far beyond the limit, whatever the shift
            return _TIME_LIMIT
        seconds = ticks
        seconds += shift
        if seconds >= _SECONDS_LIMIT:
            return _TIME_LIMIT
        if seconds <= -_SECONDS_LIMIT:
            return -_TIME_LIMIT
        # The fraction times 10^9 must fit 64 bits: units finer than 2^-34 are made coarser.
        while units > _FINE_UNITS:
            units >>= 1
            rest >>= 1
        rest *= _BILLION
        fraction = rest // units
        return seconds * _BILLION + fraction


class Section:
    """The interfaces of one pcapng section, as columns that grow."""

    def __init__(self) -> None:
        self.count = 0
        self.source = array("i", [0])  # index into the reader's sources, -1 without room
        self.units = array("Q", [1])  # units of time in a second
        self.shift = array("q", [0])  # seconds to add
        self.snaplen = array("I", [0])
        self.over = array("Q", [0])  # frames longer than the snaplen: the walk counts
        self.first_over = array("q", [0])  # where the first of them stands in the file
        self.names: list[str] = []

    def describe(self, name: str, source: int, snaplen: int, units: int, shift: int) -> None:
        """Add an interface; a walk must be told to use the columns again."""
        if self.count == len(self.source):
            # Views on the columns are out, so they are replaced rather than extended.
            self.source = self.source + self.source
            self.units = self.units + self.units
            self.shift = self.shift + self.shift
            self.snaplen = self.snaplen + self.snaplen
            self.over = self.over + array("Q", bytes(8 * self.count))
            self.first_over = self.first_over + array("q", bytes(8 * self.count))
        self.names.append(name)
        self.source[self.count] = source
        self.units[self.count] = units
        self.shift[self.count] = shift
        self.snaplen[self.count] = snaplen
        self.over[self.count] = 0
        self.count += 1


class Weave:
    """Frames of several inputs copied into one buffer, in the order of their times."""

    def __init__(self, batch: Batch, out: bytearray) -> None:
        self.out = out
        self.capacity = len(out)
        self.offset = batch.offset
        self.captured = batch.captured
        self.wire = batch.wire
        self.time = batch.time
        self.source = batch.source
        self.numbers = batch.number
        self.lane_of = array("I", bytes(4 * len(batch.offset)))
        self.room = len(batch.offset)
        self.lanes = 0
        self.rows = 0
        self.used = 0
        self.begin_row = 0
        self.planned = 0
        self.bound_time = 0
        self.bound_order = 0

    def clear(self) -> None:
        """Begin a new batch."""
        self.rows = 0
        self.used = 0

    def know_lanes(self, lanes: Lanes) -> None:
        """Merge these from now on."""
        self.lanes = len(lanes.start)
        self.times = lanes.times
        self.lengths = lanes.lengths
        self.next_row = lanes.start
        self.end_row = lanes.end
        self.orders = lanes.orders
        self.cursors = lanes.cursors

    def plan(self, bound_time: int, bound_order: int) -> int:
        """Choose the next rows, and return how many.

        Ends before the bound, when a lane has no more rows, and when the batch is full.
        """
        self.bound_time = bound_time
        self.bound_order = bound_order
        self.begin_row = self.rows
        with cython.nogil:
            self._plan()
        return self.rows - self.begin_row

    def take(self, lane: int, batch: Batch, first: int) -> None:
        """Copy the planned rows of one lane; `first` is the row of its batch to begin with."""
        self.data = batch.buffer
        self.from_lane = lane
        self.from_row = first
        self.from_offset = batch.offset
        self.from_time = batch.time
        self.from_wire = batch.wire
        self.from_source = batch.source
        self.from_numbers = batch.number
        with cython.nogil:
            self._take()
        self.data = b""

    def _plan(self) -> int:
        for lane in range(self.lanes):
            self.cursors[lane] = self.next_row[lane]
        while self.rows < self.room:
            best = 0
            best_time = self.times[self.cursors[0]]
            for lane in range(1, self.lanes):
                time = self.times[self.cursors[lane]]
                if time < best_time:
                    best = lane
                    best_time = time
            if best_time > self.bound_time or (
                best_time == self.bound_time and self.orders[best] > self.bound_order
            ):
                return 0
            at = self.cursors[best]
            length = self.lengths[at]
            if self.used + length > self.capacity:
                return 0
            self.lane_of[self.rows] = best
            self.offset[self.rows] = self.used
            self.captured[self.rows] = length
            self.used += length
            self.rows += 1
            self.cursors[best] = at + 1
            if at + 1 == self.end_row[best]:
                return 0
        return 0

    def _take(self) -> int:
        for row in range(self.begin_row, self.rows):
            if self.lane_of[row] == self.from_lane:
                here = self.offset[row]
                end = here + self.captured[row]
                start = self.from_offset[self.from_row]
                self.out[here:end] = self.data[start : start + end - here]
                self.wire[row] = self.from_wire[self.from_row]
                self.time[row] = self.from_time[self.from_row]
                self.source[row] = self.from_source[self.from_row]
                self.numbers[row] = self.from_numbers[self.from_row]
                self.from_row += 1
        return 0


class Lanes:
    """Times and captured lengths of several batches, one behind the other; lanes by path order."""

    def __init__(self) -> None:
        self.times = array("q")
        self.lengths = array("I")
        self.start = array("q")
        self.end = array("q")
        self.orders = array("q")
        self.cursors = array("q")  # the next row of each, after a plan

    def add(self, batch: Batch, rows: slice, order: int) -> None:
        """Add some rows of a batch, at least one."""
        self.start.append(len(self.times))
        self.cursors.append(0)
        self.times.extend(batch.time[rows])
        self.lengths.extend(batch.captured[rows])
        self.end.append(len(self.times))
        self.orders.append(order)


def run_length(time: array[int], start: int, end: int, bound: int) -> int:
    """Return how many rows from `start` on come before the bound."""
    row = start
    while row < end and time[row] < bound:
        row += 1
    return row - start
