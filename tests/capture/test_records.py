"""The compiled walk against readers that are slow and plain."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import dpkt
import pytest
from capture_files import START, Frame, pcap, pcap_header, pcap_record, read
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.records import MAX_TIME, Section, Stop, Walk, run_length
from egressd.capture.track import make_batch

if TYPE_CHECKING:
    from egressd.capture.batch import Batch

SHARED = Path(__file__).parents[2].parent / "shared" / "pcaps"

FRAMES = [Frame(START + i, bytes([i]) * i) for i in range(10)]
RECORDS = b"".join(pcap_record(frame) for frame in FRAMES)


def walk_over(data: bytes, rows: int = 100) -> tuple[Walk, Batch]:
    batch = make_batch(rows)
    walk = Walk(-MAX_TIME - 1, MAX_TIME)
    walk.use_columns(batch)
    walk.use_window(data, 0)
    walk.unit = 1
    walk.limit = rows
    return walk, batch


def test_a_walk_stops_when_the_columns_are_full_and_goes_on() -> None:
    walk, batch = walk_over(RECORDS, 4)
    assert walk.walk_pcap() is Stop.FULL
    assert list(batch.number) == [1, 2, 3, 4]
    walk.row = 0
    assert walk.walk_pcap() is Stop.FULL
    assert list(batch.number) == [5, 6, 7, 8]


@pytest.mark.parametrize("end", range(len(RECORDS) + 1))
def test_a_walk_asks_for_what_a_cut_record_needs(end: int) -> None:
    walk, batch = walk_over(RECORDS[:end])
    assert walk.walk_pcap() is Stop.MORE
    assert walk.row == sum(16 * (i + 1) + sum(range(i + 1)) <= end for i in range(10))
    left = end - walk.position
    assert left < walk.need <= 16 + walk.row
    assert [batch.captured[i] for i in range(walk.row)] == list(range(walk.row))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400), big=st.booleans())
def test_a_walk_over_any_bytes_stays_inside_them(data: bytes, *, big: bool) -> None:
    walk, batch = walk_over(data)
    walk.big = big
    section = Section()
    section.describe("", 0, 4, 10**6, 0)
    walk.use_interfaces(section)
    for step in (walk.walk_pcap, walk.walk_pcapng):
        walk.position, walk.row = 0, 0
        step()
        assert 0 <= walk.position <= len(data)
        for row in range(walk.row):
            assert batch.offset[row] + batch.captured[row] <= len(data)
            assert batch.captured[row] <= batch.wire[row]
    walk.position = 0
    if walk.find_pcap(len(data), last=True):
        assert walk.position < len(data)
    walk.position = 0
    if walk.find_pcapng(len(data)):
        assert walk.position < len(data)


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=100))
def test_three_records_are_found_behind_any_noise(noise: bytes) -> None:
    walk, _ = walk_over(noise + RECORDS[16:])
    assert walk.find_pcap(len(noise) + 1, last=False)
    assert walk.position <= len(noise)


def test_two_records_are_found_only_where_the_file_ends_with_them() -> None:
    two = b"".join(pcap_record(frame) for frame in FRAMES[8:])
    for last in (False, True):
        walk, _ = walk_over(b"\xff" * 7 + two)
        assert walk.find_pcap(len(two), last=last) is last
    assert walk.position == 7


def test_a_run_ends_before_the_bound() -> None:
    batch = make_batch(5)
    for row, time in enumerate([1, 2, 2, 5, 3]):
        batch.time[row] = time
    assert [run_length(batch.time, 0, 5, bound) for bound in (1, 2, 3, 5, 6)] == [0, 1, 3, 3, 5]
    assert run_length(batch.time, 4, 5, 4) == 1


def test_interfaces_are_kept_when_their_columns_grow() -> None:
    section = Section()
    for i in range(100):
        section.describe(f"if{i}", i, i, i + 1, -i)
        section.over[i] = i
    assert section.count == 100
    assert list(section.source[:100]) == list(range(100))
    assert list(section.shift[:100]) == [-i for i in range(100)]
    assert list(section.over[:100]) == list(range(100))


def pcap_names() -> list[str]:
    return sorted(path.name for path in SHARED.glob("*.pcap"))


@pytest.mark.shared
def test_every_frame_is_the_one_dpkt_reads() -> None:
    compared = 0
    for name in pcap_names():
        with (SHARED / name).open("rb") as file:
            try:
                frames = [(data, round(time * 10**6)) for time, data in dpkt.pcap.Reader(file)]
            except (ValueError, dpkt.Error):
                continue  # dpkt knows fewer magic numbers
        rows = read(SHARED / name)
        assert [row.data for row in rows] == [data for data, _ in frames][: len(rows)]
        assert len(frames) - len(rows) <= 1  # dpkt gives what is left of a cut frame
        for row, (_, microseconds) in zip(rows, frames, strict=False):
            assert abs(row.time // 1000 - microseconds) <= 1
        compared += 1
    assert compared > 100


def test_the_form_of_the_test_captures() -> None:
    assert pcap(FRAMES) == pcap_header() + RECORDS
    assert struct.unpack("<I", RECORDS[:4])[0] == START // 10**9
