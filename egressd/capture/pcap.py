"""Classic pcap files: microseconds or nanoseconds, either byte order, and their relatives.

Read besides the two standard forms: Kuznetzov's variant with a longer record header,
IXIA's with a length behind the file header, and the old versions that had the two
lengths of a record the other way round. Layout: draft-ietf-opsawg-pcap, section 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.capture.batch import Source
from egressd.capture.records import MAX_FRAME, LengthOrder
from egressd.capture.track import Track

if TYPE_CHECKING:
    from egressd.capture.records import Stop
    from egressd.capture.track import Books, Order
    from egressd.capture.windows import Windows
    from egressd.model import Bytes

FILE_HEADER = 24
LINKTYPE_MASK = 0x03FF_FFFF  # the bits above tell the length of the FCS


@dataclass(frozen=True, slots=True)
class Variant:
    """What a magic number says."""

    unit: int  # nanoseconds in one unit of a time's fraction
    header: Bytes = 16  # of a record
    extra: Bytes = 0  # behind the file header


VARIANTS = {
    0xA1B2C3D4: Variant(1000),
    0xA1B23C4D: Variant(1),
    0xA1B2CD34: Variant(1000, header=24),  # Kuznetzov's libpcap patch
    0x1C0001AC: Variant(1, extra=4),  # IXIA lcap, taken by hardware
    0x1C0001AB: Variant(1000, extra=4),  # IXIA lcap, taken by software
}


def is_pcap(head: bytes) -> bool:
    """Whether data that begin like this are a pcap file."""
    return any(int.from_bytes(head[:4], order) in VARIANTS for order in ("big", "little"))


class PcapTrack(Track):
    """The frames of one pcap file."""

    def __init__(self, windows: Windows, order: Order, books: Books) -> None:
        super().__init__(windows, order, books)
        head = bytes(memoryview(self.window.data)[: FILE_HEADER + 4])
        big = int.from_bytes(head[:4], "big") in VARIANTS
        variant = VARIANTS[int.from_bytes(head[:4], "big" if big else "little")]
        if len(head) < FILE_HEADER + variant.extra:
            self._without_header(len(head))
            return
        self._read_header(head, variant, big=big)

    def _without_header(self, size: Bytes) -> None:
        self.books.log.add(size, f"the file header is cut, {size} of {FILE_HEADER} bytes are there")
        self.final = True

    def _read_header(self, head: bytes, variant: Variant, *, big: bool) -> None:
        """Read magic(4) major(2) minor(2) zone(4) accuracy(4) snaplen(4) linktype(4)."""
        form = ">HHiIII" if big else "<HHiIII"
        major, minor, _, _, snaplen, linktype = struct.unpack_from(form, head, 4)
        if major != 2 or minor > 4:
            reason = f"unknown version {major}.{minor}, read as 2.4"
            self.books.log.add(4, reason, lost=major != 2, odd=major == 2)
        walk = self.walk
        walk.big = big
        walk.unit = variant.unit
        walk.header = variant.header
        # Wireshark, wiretap/libpcap.c: the lengths changed places with 2.3, in most writers.
        if major == 2 and minor < 3:
            walk.lengths = LengthOrder.WIRE_FIRST
        elif major == 2 and minor == 3:
            walk.lengths = LengthOrder.UNSURE
        walk.snaplen = snaplen
        walk.position = FILE_HEADER + variant.extra
        source = Source(self.file, "", linktype & LINKTYPE_MASK, snaplen)
        index = self.books.sources.add(source)
        if index < 0:
            self.books.log.add(0, "more inputs than can be told apart; the file was not read")
            self.final = True
            return
        walk.file_source = index

    def _walk(self) -> Stop:
        return self.walk.walk_pcap()

    def _settle(self, stop: Stop) -> bool:
        """Go on behind a record that claims more bytes than any frame has."""
        del stop  # can only be BAD
        at = self.walk.position + 8
        # Where the captured length stands second (version 2.3 and older), either may be meant.
        lengths = bytes(memoryview(self.window.data)[at : at + 8])
        first, second = struct.unpack(">II" if self.walk.big else "<II", lengths)
        wire_first = self.walk.lengths is LengthOrder.WIRE_FIRST or (
            self.walk.lengths == LengthOrder.UNSURE and first > second
        )
        self._break(
            f"the record claims {second if wire_first else first} captured bytes, "
            f"more than {MAX_FRAME}"
        )
        return False

    def _find(self, end: Bytes) -> bool:
        return self.walk.find_pcap(end, last=self.window.last)

    def _summary(self) -> None:
        walk = self.walk
        if walk.over:
            self.books.log.add(
                walk.first_over,
                f"frames longer than the file's snaplen of {walk.snaplen} "
                f"were used as they are: {walk.over}",
                lost=False,
            )
        super()._summary()
