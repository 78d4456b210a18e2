"""Compressed captures as a stream of bytes: gzip, zstd, xz, lz4 and bzip2, known by magic.

Members and frames that follow each other are one stream, as the tools that write them
have it. What is held is one piece of input and one piece of output, whatever the
input claims to expand to. A stream that breaks gives what came before the break,
and says in `problem` what was wrong.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

import lz4.frame
import zstandard

if TYPE_CHECKING:
    from egressd.model import Bytes

READ_BYTES = 1 << 16
MAX_HISTORY = 1 << 27  # bytes a stream may ask us to remember; `zstd -d` has the same limit

ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, RuntimeError)


class Compression(Enum):
    """A format, by the bytes it begins with."""

    GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1
    ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1
    XZ = b"\xfd7zXZ\x00"  # The .xz File Format, section 2.1.1.1
    LZ4 = b"\x04\x22\x4d\x18"  # LZ4 Frame Format, "Magic Number"
    BZIP2 = b"BZh"

    @property
    def label(self) -> str:
        """The word used in messages."""
        return self.name.lower()


MAGIC_BYTES = max(len(c.value) for c in Compression)


class Bytestream(Protocol):
    """Bytes in order, from wherever they come."""

    @property
    def consumed(self) -> Bytes:
        """Bytes of the input on disk that were read."""

    @property
    def problem(self) -> str | None:
        """Why it ended before its end."""

    def read(self, limit: Bytes) -> bytes:
        """Return some bytes, or none at the end."""

    def is_ready(self) -> bool:
        """Whether a read would not wait for a writer."""

    def close(self) -> None:
        """Give up the input."""


class Member(Protocol):
    """One gzip member, zstd frame, xz stream, ...; the interface of bz2.BZ2Decompressor."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""

    @property
    def needs_input(self) -> bool:
        """Whether there is nothing more to give without more input."""

    @property
    def unused_data(self) -> bytes:
        """Return what was given beyond the end of the member."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take all of `data`, return some output."""


def find_compression(head: bytes) -> Compression | None:
    """Return the format of data that begin like this, or None if they are not compressed."""
    # A zstd stream may begin with a skippable frame, as pzstd's do (RFC 8878, section 3.1.2).
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD
    return next((c for c in Compression if head.startswith(c.value)), None)


class Expanded:
    """What a compressed stream expands to."""

    def __init__(self, source: Bytestream, compression: Compression) -> None:
        self.source = source
        self.compression = compression
        self.problem: str | None = None
        self.member: Member | None = None
        self.pending = b""  # read, not yet given to a member
        self.members = 0
        self.ended = False

    @property
    def consumed(self) -> Bytes:
        """Bytes of the compressed input that were read."""
        return self.source.consumed

    def is_ready(self) -> bool:
        """Whether a read would not wait for a writer."""
        has_output = self.member is not None and not self.member.needs_input
        return has_output or bool(self.pending) or self.source.is_ready()

    def close(self) -> None:
        """Give up the input."""
        self.source.close()

    def read(self, limit: Bytes) -> bytes:
        """Return some expanded bytes (zstd: up to a block more than `limit`), none at the end."""
        while not self.ended:
            if self.member is None and not self._open_member():
                break
            try:
                output = self._step(limit)
            except ERRORS as error:
                self._give_up(f"the {self.compression.label} data are damaged ({error})")
                break
            if output:
                return output
        return b""

    def _step(self, limit: Bytes) -> bytes:
        member = cast("Member", self.member)
        if member.needs_input and not self.pending:
            self.pending = self.source.read(READ_BYTES)
            if not self.pending:
                reason = f"the {self.compression.label} data end before their end"
                self._give_up(self.source.problem or reason)
                return _last_bytes(member)
        data, self.pending = self.pending, b""
        output = member.decompress(data, limit)
        if member.eof:
            self.pending = member.unused_data or b""  # lz4 has None
            self.member = None
        return output

    def _open_member(self) -> bool:
        """Find the next member; False at the end of the stream."""
        while True:
            if self.members:  # zero bytes may pad what follows a member
                self.pending = self.pending.lstrip(b"\x00")
            if len(self.pending) >= MAGIC_BYTES:
                break
            more = self.source.read(READ_BYTES)
            if not more:
                break
            self.pending += more
        if not self.pending:
            self._give_up(self.source.problem)
            return False
        if find_compression(self.pending) is not self.compression:
            self._give_up(
                f"the {self.compression.label} data are followed by others, which were not read"
            )
            return False
        self.members += 1
        self.member = _open(self.compression)
        return True

    def _give_up(self, problem: str | None) -> None:
        self.problem = problem
        self.ended = True
        self.member = None


class GzipMember:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self.inflate = zlib.decompressobj(wbits=31)
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take all of `data`, return at most `max_length` bytes."""
        output = self.inflate.decompress(self.inflate.unconsumed_tail + data, max_length)
        self.eof = self.inflate.eof
        self.needs_input = not self.inflate.unconsumed_tail
        self.unused_data = self.inflate.unused_data
        return output

    def last_bytes(self) -> bytes:
        """Return what zlib still holds of a member that was cut."""
        return self.inflate.flush()


class ZstdFrame:
    """A zstd frame, given to the library block by block: no block expands beyond 128 KiB.

    The library's own streaming interfaces either expand all they are given at once, or
    do not tell a cut frame from a whole one. Layout: RFC 8878, section 3.1.1.
    """

    MAX_BLOCK = 1 << 17

    def __init__(self) -> None:
        self.frame = zstandard.ZstdDecompressor(max_window_size=MAX_HISTORY).decompressobj()
        self.eof = False
        self.needs_input = True
        self.unused_data = b""
        self.held = bytearray()
        self.skip = 0  # bytes left of a skippable frame
        self.checksum = False
        self.state = self._header_bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002  # theirs
        """Take all of `data`, return what one block of it expands to."""
        self.held += data
        piece = self.state()
        self.needs_input = not self.eof and piece is None
        if self.eof:
            self.unused_data = bytes(self.held)
        return self.frame.decompress(piece) if piece else b""

    def _take(self, size: int) -> bytes | None:
        if len(self.held) < size:
            return None
        piece = bytes(self.held[:size])
        del self.held[:size]
        return piece

    def _header_bytes(self) -> bytes | None:
        """Magic, descriptor, window, dictionary id, content size."""
        if len(self.held) < 5:
            return None
        if self.held[0] & 0xF0 == 0x50:
            return self._skippable()
        descriptor = self.held[4]
        single = descriptor >> 5 & 1
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        content = (single, 2, 4, 8)[descriptor >> 6]
        header = self._take(5 + (1 - single) + dictionary + content)
        if header is not None:
            self.checksum = bool(descriptor & 4)
            self.state = self._block_bytes
        return header

    def _block_bytes(self) -> bytes | None:
        """Last(1 bit) type(2) size(21), and the block."""
        if len(self.held) < 3:
            return None
        header = int.from_bytes(self.held[:3], "little")
        kind = header >> 1 & 3
        size = 1 if kind == 1 else header >> 3  # one byte, to be repeated
        if header >> 3 > self.MAX_BLOCK or kind == 3:
            raise zstandard.ZstdError("block header")
        block = self._take(3 + size)
        if block is not None and header & 1:
            self.state = self._checksum_bytes
            self.eof = not self.checksum
        return block

    def _checksum_bytes(self) -> bytes | None:
        checksum = self._take(4)
        self.eof = checksum is not None
        return checksum

    def _skippable(self) -> bytes | None:
        header = self._take(8)
        if header is not None:
            self.skip = int.from_bytes(header[4:], "little")
            self.state = self._skipped_bytes
            return b""
        return None

    def _skipped_bytes(self) -> bytes | None:
        """Drop what there is of a skippable frame."""
        here = min(self.skip, len(self.held))
        del self.held[:here]
        self.skip -= here
        self.eof = self.skip == 0
        return b"" if self.eof else None


def _open(compression: Compression) -> Member:
    match compression:
        case Compression.GZIP:
            return GzipMember()
        case Compression.ZSTD:
            return ZstdFrame()
        case Compression.XZ:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_HISTORY)
        case Compression.LZ4:
            return cast("Member", lz4.frame.LZ4FrameDecompressor())
        case Compression.BZIP2:
            return bz2.BZ2Decompressor()


def _last_bytes(member: Member) -> bytes:
    return member.last_bytes() if isinstance(member, GzipMember) else b""
