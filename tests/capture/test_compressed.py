"""Compressed captures: whole, cut, damaged, joined, padded, and made to explode."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import lz4.frame
import pytest
import zstandard
from capture_files import SECOND, START, Frame, damage_of, pcap, pcapng, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.compressed import Compression, Expanded, find_compression
from egressd.capture.windows import HeadStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Compress = Callable[[bytes], bytes]

FRAMES = [Frame(START + i * SECOND, os.urandom(40) + bytes(900)) for i in range(300)]
CONTENT = pcap(FRAMES)

COMPRESS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(level=1, write_checksum=True).compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
    "bzip2": bz2.compress,
}
formats = pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS.keys())

# RFC 8878, section 3.1.2: magic, size, and that many bytes nobody reads.
SKIPPABLE = bytes.fromhex("502a4d18 04000000 deadbeef")


def expanded(data: bytes, limit: int = 1 << 16) -> tuple[bytes, str | None]:
    compression = find_compression(data)
    assert compression is not None
    stream = Expanded(HeadStream(data), compression)
    pieces = []
    while piece := stream.read(limit):
        pieces.append(piece)
    return b"".join(pieces), stream.problem


@formats
def test_a_compressed_capture_is_known_by_its_magic(tmp_path: Path, compress: Compress) -> None:
    plain = write(tmp_path, "plain", CONTENT)
    packed = write(tmp_path, "packed.txt", compress(CONTENT))
    assert read(packed) == read(plain)
    assert read(packed, batch_frames=7, window_bytes=1) == read(plain)
    assert damage_of(packed) == []


@formats
def test_members_that_follow_each_other_are_one_stream(compress: Compress) -> None:
    packed = compress(CONTENT[:1000]) + compress(b"") + compress(CONTENT[1000:])
    assert expanded(packed) == (CONTENT, None)


@formats
@pytest.mark.parametrize("pad", [4, 512, 200_000])
def test_zero_bytes_behind_a_member_are_padding(compress: Compress, pad: int) -> None:
    assert expanded(compress(CONTENT) + bytes(pad)) == (CONTENT, None)


@formats
def test_something_else_behind_a_member_is_told(compress: Compress) -> None:
    content, problem = expanded(compress(CONTENT) + b"something else")
    assert content == CONTENT
    assert problem is not None
    assert "followed by others, which were not read" in problem


@formats
def test_a_cut_stream_gives_what_came_before_the_cut(tmp_path: Path, compress: Compress) -> None:
    packed = compress(os.urandom(500_000))
    for size in range(6, len(packed), 49_999):
        content, problem = expanded(packed[:size])
        assert problem is not None
        assert len(content) <= 500_000
    path = write(tmp_path, "a", compress(CONTENT)[:-3])
    first, *_ = damage_of(path)
    assert "data end before their end; the rest is lost" in first.reason


@pytest.mark.parametrize("name", ["gzip", "zstd", "lz4"])
def test_frames_before_a_cut_are_read(tmp_path: Path, name: str) -> None:
    frames = [Frame(START + i, os.urandom(900)) for i in range(1000)]
    packed = COMPRESS[name](pcap(frames))
    rows = read(write(tmp_path, "a", packed[: len(packed) // 2]))
    assert 250 < len(rows) < 550
    assert [row.data for row in rows] == [frame.data for frame in frames[: len(rows)]]


@pytest.mark.parametrize("name", ["gzip", "zstd", "xz"])
def test_a_changed_byte_is_told(tmp_path: Path, name: str) -> None:
    packed = bytearray(COMPRESS[name](CONTENT))
    packed[len(packed) // 2] ^= 0xFF
    first, *_ = damage_of(write(tmp_path, "a", bytes(packed)))
    assert f"the {name} data are damaged" in first.reason


@pytest.mark.parametrize("level", [-5, 1, 3, 19])
def test_zstd_frames_are_walked_as_the_library_does(level: int) -> None:
    content = CONTENT + bytes(1_000_000) + os.urandom(300_000)
    for checksum in (False, True):
        packer = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
        assert expanded(packer.compress(content)) == (content, None)
        stream = packer.compressobj()  # writes no content size
        packed = stream.compress(content) + stream.flush()
        assert expanded(SKIPPABLE + packed + SKIPPABLE) == (content, None)


def test_zstd_history_beyond_our_limit_is_told() -> None:
    # Frame header: descriptor 0, window descriptor 0xa0 = 2^30 bytes (RFC 8878, 3.1.1.1.2).
    content, problem = expanded(bytes.fromhex("28b52ffd 00a0 010000"))
    assert content == b""
    assert problem is not None
    assert "zstd data are damaged" in problem


def test_xz_history_beyond_our_limit_is_told() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    content, problem = expanded(lzma.compress(b"x", filters=filters))
    assert content == b""
    assert problem is not None
    assert "Memory usage limit" in problem


def test_what_has_no_magic_is_not_compressed() -> None:
    assert find_compression(b"") is None
    assert find_compression(b"\xd4\xc3\xb2\xa1") is None
    assert find_compression(b"BZh9") is Compression.BZIP2


BOMB = """
import resource, sys
from egressd.capture.pcapfile import open_captures
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_captures(sys.argv[1:]) as reader:
    frames = sum(batch.count for batch in reader)
print(frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@formats
def test_a_bomb_does_not_grow_memory(tmp_path: Path, compress: Compress) -> None:
    # 16 zero bytes are a record of no length, so this is also the most frames a byte can make.
    path = write(tmp_path, "bomb", compress(CONTENT[:24] + bytes(64 << 20)))
    program = [sys.executable, "-c", BOMB, path]
    done = subprocess.run(program, capture_output=True, check=True)
    frames, kilobytes = map(int, done.stdout.split())
    assert frames == 4 << 20
    assert kilobytes < 40_000


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    name=st.sampled_from(sorted(COMPRESS)),
    limit=st.sampled_from([1, 100, 1 << 16]),
)
def test_any_change_ends_with_an_answer(data: st.DataObject, name: str, limit: int) -> None:
    packed = bytearray(COMPRESS[name](pcapng(FRAMES[:3]) * 2))
    places = st.integers(len(Compression[name.upper()].value), len(packed) - 1)
    for place in data.draw(st.lists(places, max_size=3)):
        packed[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.none(), places))
    expanded(bytes(packed[:end]), limit)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(Compression)), st.binary(max_size=200))
def test_never_fails_on_any_bytes_behind_a_magic(compression: Compression, rest: bytes) -> None:
    stream = Expanded(HeadStream(compression.value + rest), compression)
    while stream.read(1 << 16):
        pass
