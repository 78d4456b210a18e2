"""Damage in pcap files: what is whole is used, and what is said of the rest."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from capture_files import (
    SECOND,
    START,
    Frame,
    damage_of,
    pcap,
    pcap_header,
    pcap_record,
    read,
    times_of,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = [Frame(START + i * SECOND, bytes([i]) * 50) for i in range(4)]
WHOLE = pcap(FRAMES)
RECORD = 66


@pytest.mark.parametrize("end", range(24, len(WHOLE)))
def test_a_cut_capture_gives_the_frames_that_are_whole(tmp_path: Path, end: int) -> None:
    path = write(tmp_path, "a.pcap", WHOLE[:end])
    whole, left = divmod(end - 24, RECORD)
    assert times_of(read(path)) == [frame.time for frame in FRAMES[:whole]]
    damage = damage_of(path)
    if left == 0:
        assert damage == []
        return
    wanted = 16 if left < 16 else RECORD
    assert damage[0].offset == end - left
    assert damage[0].reason == (
        f"the last record is cut, {left} of {wanted} bytes are there; it was left out"
    )


@pytest.mark.parametrize("window", [1, 1 << 20], ids=["small windows", "one window"])
def test_sound_records_are_found_behind_an_impossible_length(tmp_path: Path, window: int) -> None:
    bad = bytearray(WHOLE)
    bad[24 + RECORD + 8 : 24 + RECORD + 12] = b"\xff\xff\xff\xff"
    path = write(tmp_path, "a.pcap", bytes(bad) + WHOLE[24:])
    rows = read(path, window_bytes=window)
    assert times_of(rows) == [FRAMES[i].time for i in (0, 2, 3, 0, 1, 2, 3)]
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    (damage,) = damage_of(path, window_bytes=window)
    assert damage.offset == 24 + RECORD
    assert damage.reason == (
        "the record claims 4294967295 captured bytes, more than 262144; "
        f"{RECORD} bytes up to the next sound record were skipped"
    )


def test_a_hole_of_zero_bytes_is_frames_of_no_length_as_tshark_has_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", WHOLE + bytes(160))
    assert [row.data for row in read(path)[4:]] == [b""] * 10


def test_a_length_beyond_the_end_of_the_file_does_not_hide_what_follows(tmp_path: Path) -> None:
    bad = struct.pack("<IIII", START // SECOND, 0, 200_000, 200_000)
    path = write(tmp_path, "a.pcap", pcap_header() + bad + WHOLE[24:])
    assert len(read(path)) == 4
    (damage,) = damage_of(path)
    assert "16 bytes up to the next sound record were skipped" in damage.reason


def test_records_of_another_day_are_not_taken_for_sound(tmp_path: Path) -> None:
    bad = struct.pack("<IIII", START // SECOND, 0, 1 << 30, 1 << 30)
    later = b"".join(pcap_record(Frame(f.time + 2 * 86_400 * SECOND, f.data)) for f in FRAMES)
    path = write(tmp_path, "a.pcap", WHOLE + bad + later)
    assert len(read(path)) == 4
    (damage,) = damage_of(path)
    assert damage.reason.endswith("nothing behind it was read")


def test_noise_that_never_ends_is_searched_once(tmp_path: Path) -> None:
    noise = struct.pack("<IIII", START // SECOND, 0, 1 << 30, 1 << 30) * 100_000
    path = write(tmp_path, "a.pcap", WHOLE + noise)
    assert len(read(path, window_bytes=4096)) == 4
    assert len(damage_of(path)) == 1


def test_a_frame_of_the_greatest_length_is_whole_and_one_byte_more_is_not(tmp_path: Path) -> None:
    # WTAP_MAX_PACKET_SIZE_STANDARD in Wireshark's wiretap/wtap.h is 262144.
    most = pcap([Frame(START, bytes(262_144))])
    assert len(read(write(tmp_path, "a.pcap", most), window_bytes=1)) == 1
    more = pcap([Frame(START, bytes(262_145))])
    assert len(read(write(tmp_path, "b.pcap", more))) == 0


def test_fewer_bytes_on_the_wire_than_captured_are_taken_as_captured(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", pcap([Frame(START, b"12345", wire=3)]))
    assert [(row.data, row.wire) for row in read(path)] == [(b"12345", 5)]
    (damage,) = damage_of(path)
    assert (damage.offset, damage.lost, damage.odd) == (24, False, False)


def test_a_time_with_more_than_a_second_in_its_fraction_is_carried(tmp_path: Path) -> None:
    # tcpdump's timestamp_invalid_micro.pcap: a fraction of more than 999,999 microseconds.
    head = pcap_header(magic=0xA1B2C3D4)
    path = write(tmp_path, "a.pcap", head + struct.pack("<IIII", 7, 1_500_000, 1, 1) + b"x")
    assert times_of(read(path)) == [8_500_000_000]


def test_the_last_second_of_the_pcap_clock(tmp_path: Path) -> None:
    record = struct.pack("<IIII", 0xFFFF_FFFF, 0xFFFF_FFFF, 1, 1) + b"x"
    path = write(tmp_path, "a.pcap", pcap_header(magic=0xA1B2C3D4) + record)
    assert times_of(read(path)) == [0xFFFF_FFFF * SECOND + 0xFFFF_FFFF * 1000]
