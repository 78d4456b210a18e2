"""Capture files: pcap in nanoseconds or microseconds, and pcapng (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pcaps.generator.mirror import Captured

ETHERNET = 1  # LINKTYPE_ETHERNET
NO_LIMIT = 262_144


def pcap_header(snaplen: int = NO_LIMIT) -> bytes:
    """Return the file header of a nanosecond pcap, little-endian."""
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, ETHERNET)


def pcap(rows: Iterable[Captured], snaplen: int) -> bytes:
    """Return a nanosecond pcap."""
    parts = [pcap_header(snaplen)]
    for row in rows:
        seconds, rest = divmod(row.time, 1_000_000_000)
        parts.append(struct.pack("<IIII", seconds, rest, len(row.data), row.length) + row.data)
    return b"".join(parts)


def pcapng(rows: Iterable[Captured], snaplen: int) -> bytes:
    """Return a pcapng with one interface, named span0, in nanoseconds."""
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(4, b"egressd capture generator")
    interface = (
        struct.pack("<HHI", ETHERNET, 0, snaplen) + _option(2, b"span0") + _option(9, b"\x09")
    )
    parts = [_block(0x0A0D0D0A, section + _option(0, b"")), _block(1, interface + _option(0, b""))]
    for row in rows:
        head = struct.pack(
            "<IIIII", 0, row.time >> 32, row.time & 0xFFFFFFFF, len(row.data), row.length
        )
        parts.append(_block(6, head + _padded(row.data)))
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
