"""The tables that ship with egressd, and the one layout they share.

A table is a few lines of text that say what it is and where it comes from, an
empty line, and its columns as one zlib stream:

    egressd table 1
    name: oui
    built: 2026-10-24
    source: IEEE registration authority ...
    columns: prefix24=I38675 owner24=H38675 ... names=B792977

so that `head -n 8` answers the first question of an auditor. A column is
little-endian numbers of one size (`array` type codes B, H, I, Q); text is a
column of bytes. What the columns mean is the business of their reader.
"""

from __future__ import annotations

import re
import sys
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = "egressd table 1"
HEADER_LIMIT = 16_384
PAYLOAD_LIMIT = 64 * 2**20  # a table is a few MB; more is not one
SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}

COLUMN = re.compile(r"([a-z][a-z0-9_]*)=([BHIQ])([0-9]{1,9})")
HEADER_LINE = re.compile(r"([a-z]+): ([^\n]*)")

DIRECTORY = Path(__file__).parent


class TableError(Exception):
    """A file that is not a table of this layout, or is damaged."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what it says of itself, and its columns."""

    header: Mapping[str, str]
    columns: Mapping[str, array[int]]

    @property
    def built(self) -> str:
        """The date of the data (ISO 8601), or an empty string."""
        return self.header.get("built", "")


def read_table(data: bytes) -> Table:
    """Return the table in `data`, or raise TableError."""
    head, separator, _ = data[:HEADER_LIMIT].partition(b"\n\n")
    if not separator:
        raise TableError("it does not begin with the text header of a table")
    header = _read_header(head)
    layout = header.pop("columns", "")
    columns = _read_columns(layout, data[len(head) + 2 :])
    return Table(header, columns)


def pack_table(header: Mapping[str, str], columns: Mapping[str, array[int]]) -> bytes:
    """Return the bytes of a table file; `read_table` is its inverse."""
    layout = " ".join(f"{name}={c.typecode}{len(c)}" for name, c in columns.items())
    lines = [MAGIC, *(f"{key}: {' '.join(value.split())}" for key, value in header.items())]
    head = "\n".join([*lines, f"columns: {layout}", "", ""])
    payload = b"".join(_little_endian(column).tobytes() for column in columns.values())
    return head.encode() + zlib.compress(payload, 9)


def _read_header(head: bytes) -> dict[str, str]:
    try:
        first, *lines = head.decode().split("\n")
    except UnicodeDecodeError as error:
        raise TableError("its header is not text") from error
    if first != MAGIC:
        raise TableError(f"its first line is not {MAGIC!r}")
    header: dict[str, str] = {}
    for line in lines:
        found = HEADER_LINE.fullmatch(line)
        if found is None:
            raise TableError(f"its header has the line {line[:80]!r}")
        header[found[1]] = found[2]
    return header


def _read_columns(layout: str, stream: bytes) -> dict[str, array[int]]:
    plan: list[re.Match[str]] = []
    for word in layout.split():
        found = COLUMN.fullmatch(word)
        if found is None:
            raise TableError(f"its header has the column {word[:80]!r}")
        plan.append(found)
    size = sum(SIZES[c[2]] * int(c[3]) for c in plan)
    if size > PAYLOAD_LIMIT:
        raise TableError(f"it claims {size} bytes of columns")
    payload = _inflate(stream, size)
    columns: dict[str, array[int]] = {}
    start = 0
    for column in plan:
        end = start + SIZES[column[2]] * int(column[3])
        values = array(column[2], payload[start:end])
        columns[column[1]] = _little_endian(values)
        start = end
    return columns


def _inflate(stream: bytes, size: int) -> bytes:
    # One byte more than announced is asked for, so that a longer stream is noticed, not unpacked.
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stream, size + 1)
    except zlib.error as error:
        raise TableError(f"its columns are damaged ({error})") from error
    if len(payload) != size or not inflater.eof:
        raise TableError("its columns are cut, or longer than its header says")
    return payload


def _little_endian(values: array[int]) -> array[int]:
    if sys.byteorder == "big":  # pragma: no cover - no such machine in the tests
        values = values[:]
        values.byteswap()
    return values
