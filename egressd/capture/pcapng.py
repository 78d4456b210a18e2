"""pcapng files: sections, interfaces, statistics; the packets are the compiled walk's.

Read are section headers, interface descriptions and interface statistics. Names,
secrets, custom and unknown blocks are skipped. Layout: draft-ietf-opsawg-pcapng,
section 4.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from egressd.capture.batch import Source
from egressd.capture.damage import Drops
from egressd.capture.records import (
    BYTE_ORDER_MAGIC,
    INTERFACE_DESCRIPTION,
    MAX_BLOCK,
    SECTION_HEADER,
    Section,
    Stop,
)
from egressd.capture.track import Track

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egressd.capture.track import Books, Order
    from egressd.capture.windows import Windows
    from egressd.model import Bytes

SECTION_MAGIC = SECTION_HEADER.to_bytes(4, "big")  # reads the same in either byte order

NAME_BYTES = 256  # of an interface's name

IF_NAME = 2
IF_TSRESOL = 9
IF_TSOFFSET = 14
MICROSECONDS = 6  # if_tsresol where there is none
NEVER = (1 << 64) - 1  # units in a second nobody can mean; Wireshark takes it, too

STATISTICS = {4: "received", 5: "if_drop", 6: "filter_accept", 7: "os_drop", 8: "delivered"}


class PcapngTrack(Track):
    """The frames of one pcapng file."""

    def __init__(self, windows: Windows, order: Order, books: Books) -> None:
        super().__init__(windows, order, books)
        self.section = Section()
        self.known: dict[tuple[int, Source], int] = {}  # by number in the section
        self.drops: dict[int, Drops] = {}  # by interface

    def _walk(self) -> Stop:
        return self.walk.walk_pcapng()

    def _find(self, end: Bytes) -> bool:
        return self.walk.find_pcapng(end)

    def _settle(self, stop: Stop) -> bool:
        """Read the blocks the walk leaves to us, and step over packets it cannot place."""
        if stop is Stop.RARE:
            return self._read_rare()
        kind, block = struct.unpack(f"{self._mark}II", self._bytes(8))
        if stop is Stop.BAD:
            self._break(f"a block (type {kind:#x}) with impossible length {block}")
            return False
        what = (
            "a frame of an interface that is not described"
            if stop is Stop.NO_INTERFACE
            else "a frame longer than its block"
        )
        self.books.log.add(self.position, f"{what}; it was skipped")
        self.walk.number += 1
        self.walk.position += block
        return False

    def _summary(self) -> None:
        self._end_section()
        super()._summary()

    @property
    def _mark(self) -> str:
        """The section's byte order, as struct has it."""
        return ">" if self.walk.big else "<"

    def _bytes(self, size: Bytes) -> bytes:
        """Return bytes of the window from the walk's position on."""
        at = self.walk.position
        return bytes(memoryview(self.window.data)[at : at + size])

    def _read_rare(self) -> bool:
        """Read a block that says something about others; True if more of it is wanted."""
        kind = struct.unpack(f"{self._mark}I", self._bytes(4))[0]
        if kind == SECTION_HEADER and not self._turn_byte_order():
            return False
        block = struct.unpack(f"{self._mark}I", self._bytes(8)[4:])[0]
        least = {SECTION_HEADER: 28, INTERFACE_DESCRIPTION: 20}.get(kind, 24)
        if block < least or block > MAX_BLOCK or block % 4:
            self._break(f"a block (type {kind:#x}) with impossible length {block}")
            return False
        if self._left() < block:
            self.walk.need = block
            return True
        body = self._bytes(block)
        if body[-4:] != body[4:8]:
            self._break(f"a block (type {kind:#x}) whose two lengths differ")
            return False
        if kind == SECTION_HEADER:
            self._begin_section(body)
        elif kind == INTERFACE_DESCRIPTION:
            self._describe_interface(body)
        else:
            self._read_statistics(body)
        self.walk.position += block
        return False

    def _turn_byte_order(self) -> bool:
        """Take the byte order of the section that begins here, if it has one."""
        magic = self._bytes(12)[8:]
        if magic == BYTE_ORDER_MAGIC.to_bytes(4, "big"):
            self.walk.big = True
        elif magic == BYTE_ORDER_MAGIC.to_bytes(4, "little"):
            self.walk.big = False
        else:
            self._break("a section header without a byte order")
            return False
        return True

    def _begin_section(self, body: bytes) -> None:
        """Read magic(4) major(2) minor(2) length(8) options; what was before counts no more."""
        self._end_section()
        major, minor = struct.unpack_from(f"{self._mark}HH", body, 12)
        if major != 1:
            reason = f"a section of unknown version {major}.{minor}, read as 1.0"
            self.books.log.add(self.position, reason)
        self.section = Section()
        self.drops = {}
        self.walk.last_time = 0  # of simple packets before any that has a time
        self.walk.use_interfaces(self.section)

    def _end_section(self) -> None:
        """Tell what the walk counted of each interface."""
        section = self.section
        for number, name in enumerate(section.names):
            if section.over[number]:
                self.books.log.add(
                    section.first_over[number],
                    f"frames longer than the snaplen of {section.snaplen[number]} of interface "
                    f"{number} ({name or 'no name'}) were used as they are: {section.over[number]}",
                    lost=False,
                )
        self.section = Section()

    def _describe_interface(self, body: bytes) -> None:
        """Read linktype(2) reserved(2) snaplen(4) options."""
        linktype, snaplen = struct.unpack_from(f"{self._mark}HxxI", body, 8)
        name, resolution, shift = "", MICROSECONDS, 0
        for code, value in self._options(body, 16):
            if code == IF_NAME:
                name = value[:NAME_BYTES].rstrip(b"\x00").decode("utf-8", "replace")
            elif code == IF_TSRESOL and value:
                resolution = value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                shift = struct.unpack(f"{self._mark}q", value)[0]
        units = units_of(resolution)
        if units == NEVER:
            reason = f"an interface with impossible time resolution {resolution:#04x}"
            self.books.log.add(self.position, f"{reason}; its frames have no time", lost=False)
        source = Source(self.file, name, linktype, snaplen)
        # Files put one behind the other describe the same interfaces again.
        key = (self.section.count, source)
        index = self.known.get(key, -1)
        if index < 0:
            index = self.books.sources.add(source)
            if index >= 0:
                self.known[key] = index
        self.section.describe(name, index, snaplen, units, shift)
        self.walk.use_interfaces(self.section)

    def _read_statistics(self, body: bytes) -> None:
        """Read interface(4) time(8) options; counters are totals, so the last ones stand."""
        interface = struct.unpack_from(f"{self._mark}I", body, 8)[0]
        if interface >= self.section.count:
            reason = f"statistics of interface {interface}, which is not described"
            self.books.log.add(self.position, f"{reason}; they were skipped", lost=False)
            return
        if interface not in self.drops:
            self.drops[interface] = Drops(self.file, self.section.names[interface])
            self.books.drops.append(self.drops[interface])
        for code, value in self._options(body, 20):
            if code in STATISTICS and len(value) == 8:
                count = struct.unpack(f"{self._mark}Q", value)[0]
                setattr(self.drops[interface], STATISTICS[code], count)

    def _options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield code(2) length(2) value, padded to four bytes, until code 0 or the end."""
        end = len(body) - 4
        while at + 4 <= end:
            code, length = struct.unpack_from(f"{self._mark}HH", body, at)
            if code == 0:
                return
            at += 4
            if at + length > end:
                self.books.log.add(
                    self.position, "an option is longer than its block; it was skipped", lost=False
                )
                return
            yield code, body[at : at + length]
            at += length + -length % 4


def units_of(resolution: int) -> int:
    """Return the units of time in a second that an if_tsresol byte means.

    Its top bit tells powers of two from powers of ten; what 64 bits do not hold is NEVER.
    """
    exponent = resolution & 0x7F
    units: int = 2**exponent if resolution & 0x80 else 10**exponent
    return min(units, NEVER)
