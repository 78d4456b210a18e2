"""The first bytes of one direction of a stream, put together from its segments.

Segments come in any order, twice, or overlapping. The first copy of a byte is
the one kept; a later copy that differs is counted, because two observers of
the same bytes may then read different names. Nothing past the bound is stored,
and this knows nothing of sequence numbers: offsets count from the first
payload byte.
"""

from __future__ import annotations

from bisect import insort
from typing import TypeAlias

HEAD_LIMIT = 32 * 1024
MAX_PIECES = 64  # Chrome cuts one QUIC hello into up to about 40 CRYPTO frames

Piece: TypeAlias = "tuple[int, bytes]"  # offset, data


class StreamHead:
    """The bytes from offset 0 up to the first gap, at most `limit` of them.

    `conflicts` counts segments that repeat stored bytes with other contents;
    `shed_bytes` counts bytes dropped because too many pieces waited for a gap.
    """

    __slots__ = ("_bytes", "_copy", "_pieces", "conflicts", "limit", "max_pieces", "shed_bytes")

    def __init__(self, limit: int = HEAD_LIMIT, max_pieces: int = MAX_PIECES) -> None:
        self.limit = limit
        self.max_pieces = max_pieces
        self.conflicts = 0
        self.shed_bytes = 0
        self._bytes = bytearray()
        self._copy: bytes | None = b""
        self._pieces: list[Piece] = []  # behind a gap; sorted, never overlapping

    @property
    def head(self) -> bytes:
        """The bytes from the first one up to the first gap."""
        if self._copy is None:
            self._copy = bytes(self._bytes)
        return self._copy

    @property
    def complete(self) -> bool:
        """True when no stored byte waits behind a gap."""
        return not self._pieces

    @property
    def full(self) -> bool:
        """True when the bound is reached: more segments change nothing."""
        return len(self._bytes) >= self.limit

    def add(self, offset: int, data: bytes) -> None:
        """Store a segment whose first byte is byte `offset` of the stream."""
        if offset < 0 or offset >= self.limit:
            return
        if offset + len(data) > self.limit:
            data = data[: self.limit - offset]
        have = len(self._bytes)
        if offset < have:
            stored = self._bytes[offset : offset + len(data)]
            self.conflicts += stored != data[: len(stored)]
            data = data[len(stored) :]
            offset = have
        if not data:
            return
        if self._pieces:
            self._fill(offset, data)
        elif offset == have:
            self._bytes += data
            self._copy = None
        else:
            self._hold(offset, data)

    def _fill(self, offset: int, data: bytes) -> None:
        """Store what of `data` lies between the pieces, then close the gap if it is closed."""
        for piece in self._gaps(offset, data):
            if piece[0] == len(self._bytes):
                self._bytes += piece[1]
                self._copy = None
                self._take_pieces()
            else:
                self._hold(*piece)

    def _gaps(self, offset: int, data: bytes) -> list[Piece]:
        """Return the parts of `data` that no waiting piece covers."""
        parts: list[Piece] = []
        position, end = offset, offset + len(data)
        conflict = False
        for start, held in self._pieces:
            stop = start + len(held)
            if stop <= position:
                continue
            if start >= end:
                break
            if start > position:
                parts.append((position, data[position - offset : start - offset]))
                position = start
            until = min(stop, end)
            if held[position - start : until - start] != data[position - offset : until - offset]:
                conflict = True
            position = until
        if position < end:
            parts.append((position, data[position - offset :]))
        self.conflicts += conflict
        return parts

    def _hold(self, offset: int, data: bytes) -> None:
        if len(self._pieces) < self.max_pieces:
            insort(self._pieces, (offset, data))
        else:
            self.shed_bytes += len(data)

    def _take_pieces(self) -> None:
        """Move the pieces that no gap separates any more."""
        taken = 0
        for start, held in self._pieces:
            if start != len(self._bytes):
                break
            self._bytes += held
            taken += 1
        del self._pieces[:taken]
