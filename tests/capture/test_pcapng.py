"""pcapng: sections, interfaces, clocks, statistics, and blocks that make no sense."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from capture_files import (
    SECOND,
    START,
    Frame,
    block,
    damage_of,
    interface,
    option,
    packet,
    pcapng,
    read,
    rows_of,
    section_header,
    times_of,
    write,
)

from egressd.capture.pcapfile import open_captures
from egressd.capture.pcapng import NEVER, units_of

SHARED = Path(__file__).parents[2].parent / "shared" / "pcaps"

MICROSECONDS = START // 1000

# draft-ietf-opsawg-pcapng, sections 4.1 to 4.3, each field on its own.
SPELLED = (
    "0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c"
    "00000001 0000001c 0001 0000 00040000 0002 0002 70310000 0000001c"
    "00000006 00000024 00000000 00060a24 181e4000 00000002 0000003c abcd0000 00000024"
)


def test_a_big_endian_section_spelled_out(tmp_path: Path) -> None:
    path = write(tmp_path, "a", bytes.fromhex(SPELLED.replace(" ", "")))
    assert read(path) == [(b"\xab\xcd", 60, START, 1, 1, "p1")]
    assert damage_of(path) == []


def test_sections_of_either_byte_order_have_their_own_interfaces(tmp_path: Path) -> None:
    content = b""
    for mark, linktype in ("<", 1), (">", 101), ("<", 113):
        content += section_header(mark)
        content += interface(mark, linktype=linktype, options=option(2, b"eth0", mark))
        content += interface(mark, linktype=105, options=option(2, b"wlan0", mark))
        content += packet(MICROSECONDS, b"wire", 0, mark) + packet(MICROSECONDS, b"air", 1, mark)
    rows = read(write(tmp_path, "a", content))
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.linktype for row in rows] == [1, 105, 101, 105, 113, 105]
    assert {row.time for row in rows} == {START}


def test_captures_put_one_behind_the_other_share_their_sources(tmp_path: Path) -> None:
    path = write(tmp_path, "a", pcapng([Frame(START, b"one")]) * 5)
    with open_captures([path]) as reader:
        assert len(rows_of(reader)) == 5
        assert len(reader.sources) == 1


def test_two_interfaces_that_look_alike_are_two_sources(tmp_path: Path) -> None:
    content = section_header() + interface() + interface()
    content += packet(MICROSECONDS, b"a", 0) + packet(MICROSECONDS, b"b", 1)
    with open_captures([write(tmp_path, "a", content)]) as reader:
        (batch,) = [list(batch.source[: batch.count]) for batch in reader]
        assert batch == [0, 1]


# if_tsresol: top bit clear = negative power of ten, set = negative power of two (section 4.2).
@pytest.mark.parametrize(
    ("resolution", "ticks", "time"),
    [
        (b"\x06", 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (b"\x09", 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (b"\x00", 1_700_000_000, 1_700_000_000_000_000_000),
        (b"\x03", 1_700_000_000_123, 1_700_000_000_123_000_000),
        (b"\x0a", 17_000_000_001_234_567_899, 1_700_000_000_123_456_789),
        (b"\x13", 12_345_678_912_345_678_912, 1_234_567_891),
        (b"\x80", 1_700_000_000, 1_700_000_000_000_000_000),
        (b"\x8a", (1_700_000_000 << 10) + 512, 1_700_000_000_500_000_000),
        (b"\xa0", (1_700_000_000 << 32) + (1 << 31), 1_700_000_000_500_000_000),
        (b"\xbf", (1 << 63) + (1 << 62), 1_500_000_000),
        (b"\xff", 1 << 63, 500_000_000),  # 2^127 units in a second are read as 2^64 - 1
        (b"\x00", 1 << 63, (1 << 63) - 2),
    ],
)
def test_clocks_of_any_resolution(tmp_path: Path, resolution: bytes, ticks: int, time: int) -> None:
    content = section_header() + interface(options=option(9, resolution)) + packet(ticks, b"x")
    assert times_of(read(write(tmp_path, "a", content))) == [time]


@pytest.mark.parametrize("shift", [3600, -3600, -1_700_000_001])
def test_an_interface_may_shift_its_clock(tmp_path: Path, shift: int) -> None:
    offset = option(14, struct.pack("<q", shift))
    content = section_header() + interface(options=offset) + packet(MICROSECONDS, b"x")
    assert times_of(read(write(tmp_path, "a", content))) == [START + shift * SECOND]


@pytest.mark.parametrize("shift", [1 << 62, -(1 << 62), (1 << 63) - 1, -(1 << 63)])
def test_a_clock_shifted_out_of_all_reason_is_held(tmp_path: Path, shift: int) -> None:
    offset = option(14, struct.pack("<q", shift))
    content = section_header() + interface(options=offset) + packet(MICROSECONDS, b"x")
    (time,) = times_of(read(write(tmp_path, "a", content)))
    assert abs(time) == (1 << 63) - 2


def test_units_of_a_resolution() -> None:
    assert [units_of(byte) for byte in (0, 6, 19, 20, 0x80, 0xBF, 0xC0)] == [
        *(1, 10**6, 10**19, NEVER, 1, 1 << 63, NEVER)
    ]


def test_a_simple_packet_has_the_last_time_and_the_snaplen_of_interface_0(tmp_path: Path) -> None:
    # draft-ietf-opsawg-pcapng, section 4.4: original length, and the frame.
    simple = block(3, struct.pack("<I", 100) + bytes(range(12)))
    content = section_header() + interface(snaplen=10) + simple
    content += packet(MICROSECONDS, b"x") + simple
    first, _, last = read(write(tmp_path, "a", content))
    assert (first.time, first.data, first.wire) == (0, bytes(range(10)), 100)
    assert (last.time, last.number) == (START, 3)


def test_an_obsolete_packet_block_is_a_frame(tmp_path: Path) -> None:
    # Section 4.5 of the draft's older versions: interface(2) drops(2), then as in 4.3.
    for mark in "<>":
        ticks = (MICROSECONDS >> 32, MICROSECONDS & 0xFFFF_FFFF)
        body = struct.pack(f"{mark}HHIIII", 1, 77, *ticks, 3, 60) + b"old"
        content = section_header(mark) + interface(mark) + interface(mark, linktype=101)
        content += block(2, body, mark)
        assert read(write(tmp_path, "a", content)) == [(b"old", 60, START, 1, 101, "")]


def statistics(number: int, *counters: tuple[int, int]) -> bytes:
    options = b"".join(option(code, struct.pack("<Q", count)) for code, count in counters)
    return block(5, struct.pack("<III", number, 0, 0) + options + option(0, b""))


def test_the_last_statistics_of_an_interface_stand(tmp_path: Path) -> None:
    content = section_header() + interface(options=option(2, b"span0")) + interface()
    content += statistics(0, (4, 10), (5, 1)) + packet(MICROSECONDS, b"x")
    content += statistics(0, (4, 20), (5, 2), (7, 3), (6, 19), (8, 18)) + statistics(1)
    with open_captures([write(tmp_path, "a", content)]) as reader:
        assert len(rows_of(reader)) == 1
        first, second = reader.drops
        assert (first.interface, first.received, first.if_drop) == ("span0", 20, 2)
        assert (first.os_drop, first.filter_accept, first.delivered) == (3, 19, 18)
        assert (second.interface, second.received, second.if_drop) == ("", None, None)


@pytest.mark.shared
def test_the_statistics_of_a_real_capture() -> None:
    # capinfos -M: 124 packets received, 0 dropped on en0.
    with open_captures([str(SHARED / "PcapPlusPlus__many_interfaces-1.pcapng")]) as reader:
        assert len(rows_of(reader)) == 64
        assert reader.drops[0].interface == "en0"
        assert (reader.drops[0].received, reader.drops[0].if_drop) == (124, 0)


HEAD = section_header() + interface()
GOOD = packet(MICROSECONDS, b"good")


@pytest.mark.parametrize(
    ("odd", "reason", "numbers"),
    [
        (packet(1, b"lost", 7), "a frame of an interface that is not described", [1, 3]),
        (packet(1, b"lost", 0xFFFF_FFFF), "a frame of an interface that is not", [1, 3]),
        (
            block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99) + b"lost"),
            "a frame longer than its block",
            [1, 3],
        ),
        (b"\x06\x00\x00\x00" * 3, "a block (type 0x6) with impossible length 6", [1, 2]),
        (block(6, bytes(20))[:-4] + bytes(4), "with impossible length 32", [1, 2]),
        (struct.pack("<II", 6, 1 << 30), "with impossible length 1073741824", [1, 2]),
        (struct.pack("<II", 1, 8) + bytes(4), "(type 0x1) with impossible length 8", [1, 2]),
        (block(0x0A0D0D0A, bytes(16)), "a section header without a byte order", [1, 2]),
    ],
    ids=[
        *("interface 7", "interface -1", "longer than block", "not a multiple of 4"),
        *("lengths differ", "1 GiB", "below 12", "no byte order"),
    ],
)
def test_a_senseless_block_is_told_and_stepped_over(
    tmp_path: Path, odd: bytes, reason: str, numbers: list[int]
) -> None:
    path = write(tmp_path, "a", HEAD + GOOD + odd + GOOD)
    rows = read(path)
    assert [row.data for row in rows] == [b"good", b"good"]
    assert [row.number for row in rows] == numbers
    (damage,) = damage_of(path)
    assert reason in damage.reason
    assert damage.offset == len(HEAD) + len(GOOD)
    assert damage.lost


def test_sound_blocks_are_found_behind_noise(tmp_path: Path) -> None:
    path = write(tmp_path, "a", HEAD + GOOD + b"\x07" * 3_000_001 + GOOD * 3)
    assert len(read(path)) == 4
    assert len(read(path, window_bytes=4096)) == 4
    (damage,) = damage_of(path)
    assert "3000001 bytes up to the next sound record were skipped" in damage.reason


def test_an_option_longer_than_its_block_does_not_spoil_the_interface(tmp_path: Path) -> None:
    options = option(2, b"eth0") + struct.pack("<HH", 9, 500)
    path = write(tmp_path, "a", section_header() + interface(options=options) + GOOD)
    assert [row.interface for row in read(path)] == ["eth0"]
    (damage,) = damage_of(path)
    assert not damage.lost


def test_frames_longer_than_the_snaplen_are_told_once(tmp_path: Path) -> None:
    head = section_header() + interface(snaplen=5) + packet(MICROSECONDS, b"short")
    path = write(tmp_path, "a", head + packet(MICROSECONDS, b"longer") * 5)
    assert len(read(path)) == 6
    (damage,) = damage_of(path)
    assert damage.reason.endswith("were used as they are: 5")
    assert (damage.offset, damage.lost, damage.odd) == (len(head), False, False)


def test_each_interface_tells_where_its_first_frame_beyond_the_snaplen_stands(
    tmp_path: Path,
) -> None:
    head = section_header() + interface() + interface(snaplen=3) + interface(snaplen=2) + GOOD
    first = packet(MICROSECONDS, b"four", 2)
    path = write(tmp_path, "a", head + first + packet(MICROSECONDS, b"four", 1) + first)
    told = [(damage.offset, damage.reason[-1]) for damage in damage_of(path)]
    assert told == [(len(head) + len(first), "1"), (len(head), "2")]


def test_a_large_unknown_block_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "a", HEAD + GOOD + block(0x999, bytes(5_000_000)) + GOOD)
    assert [row.number for row in read(path, window_bytes=4096)] == [1, 2]
    assert damage_of(path) == []


def test_more_interfaces_than_a_batch_can_name(tmp_path: Path) -> None:
    content = section_header() + interface() * 65_537
    content += packet(MICROSECONDS, b"named", 65_535) + packet(MICROSECONDS, b"lost", 65_536)
    path = write(tmp_path, "a", content)
    assert [row.data for row in read(path)] == [b"named"]
    (damage,) = damage_of(path)
    assert damage.reason == "frames of interfaces beyond the first 65536 were skipped: 1"
