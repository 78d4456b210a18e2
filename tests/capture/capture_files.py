"""Writes the captures that the tests of the capture stage read, byte by byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from egressd.capture.pcapfile import open_captures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from egressd.capture.damage import Damage
    from egressd.capture.pcapfile import CaptureReader

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Row(NamedTuple):
    """One frame as a reader gave it."""

    data: bytes
    wire: int
    time: int
    number: int
    linktype: int
    interface: str


class Frame(NamedTuple):
    """One frame to be written."""

    time: int
    data: bytes
    wire: int | None = None


def pcap_header(mark: str = "<", magic: int = 0xA1B23C4D, linktype: int = 1) -> bytes:
    """Magic, version 2.4, zone, accuracy, snaplen, linktype (draft-ietf-opsawg-pcap, 4)."""
    return struct.pack(f"{mark}IHHiIII", magic, 2, 4, 0, 0, 0, linktype)


def pcap_record(frame: Frame, mark: str = "<", unit: int = 1) -> bytes:
    """Seconds, fraction, captured, wire, and the frame (draft-ietf-opsawg-pcap, 5)."""
    seconds, rest = divmod(frame.time, SECOND)
    wire = len(frame.data) if frame.wire is None else frame.wire
    return struct.pack(f"{mark}IIII", seconds, rest // unit, len(frame.data), wire) + frame.data


def pcap(frames: Iterable[Frame], mark: str = "<") -> bytes:
    """Make a nanosecond capture."""
    return pcap_header(mark) + b"".join(pcap_record(frame, mark) for frame in frames)


def block(kind: int, body: bytes, mark: str = "<") -> bytes:
    """Type, length, padded body, length (draft-ietf-opsawg-pcapng, 3.1)."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{mark}I", len(body) + 12)
    return struct.pack(f"{mark}I", kind) + length + body + length


def option(code: int, value: bytes, mark: str = "<") -> bytes:
    """Code, length, padded value (draft-ietf-opsawg-pcapng, 3.5)."""
    return struct.pack(f"{mark}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section_header(mark: str = "<") -> bytes:
    """Byte order, version 1.0, length unknown (draft-ietf-opsawg-pcapng, 4.1)."""
    return block(0x0A0D0D0A, struct.pack(f"{mark}IHHq", 0x1A2B3C4D, 1, 0, -1), mark)


def interface(
    mark: str = "<", *, linktype: int = 1, snaplen: int = 0, options: bytes = b""
) -> bytes:
    """Link type, snaplen, options (draft-ietf-opsawg-pcapng, 4.2)."""
    return block(1, struct.pack(f"{mark}HHI", linktype, 0, snaplen) + options, mark)


def packet(ticks: int, data: bytes, number: int = 0, mark: str = "<") -> bytes:
    """Interface, time, captured, wire, frame (draft-ietf-opsawg-pcapng, 4.3)."""
    head = struct.pack(
        f"{mark}IIIII", number, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), len(data)
    )
    return block(6, head + data, mark)


def pcapng(frames: Iterable[Frame], mark: str = "<") -> bytes:
    """Make a capture of one interface that counts nanoseconds (if_tsresol 9)."""
    head = section_header(mark) + interface(mark, options=option(9, b"\x09", mark))
    return head + b"".join(packet(frame.time, frame.data, 0, mark) for frame in frames)


def rows_of(reader: CaptureReader) -> list[Row]:
    """Read all that is left."""
    rows = []
    for batch in reader:
        view = memoryview(batch.buffer)
        for i in range(batch.count):
            at = batch.offset[i]
            source = reader.sources[batch.source[i]]
            rows.append(
                Row(
                    bytes(view[at : at + batch.captured[i]]),
                    batch.wire[i],
                    batch.time[i],
                    batch.number[i],
                    source.linktype,
                    source.interface,
                )
            )
    return rows


def read(*paths: Path | str, **options: int) -> list[Row]:
    """Read whole captures."""
    with open_captures([str(path) for path in paths], **options) as reader:
        return rows_of(reader)


def damage_of(*paths: Path | str, **options: int) -> list[Damage]:
    """Read whole captures, return what was wrong with them."""
    with open_captures([str(path) for path in paths], **options) as reader:
        rows_of(reader)
        damage: list[Damage] = reader.damage
        return damage


def write(folder: Path, name: str, content: bytes) -> str:
    """Write a file and return its path."""
    (folder / name).write_bytes(content)
    return str(folder / name)


def times_of(rows: Sequence[Row]) -> list[int]:
    """Return the times."""
    return [row.time for row in rows]
