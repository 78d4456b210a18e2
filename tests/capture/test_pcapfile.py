"""Capture files as batches: every format, every byte order, against tshark where it is known."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from capture_files import (
    SECOND,
    START,
    Frame,
    damage_of,
    pcap,
    pcap_header,
    pcap_record,
    pcapng,
    read,
    rows_of,
    times_of,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.pcapfile import open_captures
from egressd.model import CaptureError

SHARED = Path(__file__).parents[2].parent / "shared" / "pcaps"

FRAMES = [Frame(START + i * SECOND, bytes([i]) * (10 + i)) for i in range(20)]
# Wireshark counts custom blocks as frames; these files have three each.
WITH_CUSTOM_BLOCKS = {
    "pcapnggen__output_le__advanced__test102.pcapng",
    "pcapnggen__output_le__difficult__test202.pcapng",
}


def truth_files() -> list[str]:
    return sorted(path.name[:-5] for path in (SHARED / "truth").glob("*.json"))


@pytest.mark.shared
@pytest.mark.parametrize("name", truth_files())
def test_frames_and_times_are_those_of_tshark(name: str) -> None:
    truth = json.loads((SHARED / "truth" / f"{name}.json").read_text())
    rows = read(SHARED / name)
    if truth["tshark_exit"] != 0:
        return
    assert len(rows) == truth["frames"] - 3 * (name in WITH_CUSTOM_BLOCKS)
    first = truth["capinfos"].get("first", "n/a")
    last = truth["capinfos"].get("last", "n/a")
    if first != "n/a" and "-" not in last:
        assert min(times_of(rows)) / SECOND == pytest.approx(float(first), abs=1e-5)
        assert max(times_of(rows)) / SECOND == pytest.approx(float(last), abs=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("libpcap__pcap-invalid-version-1.pcap", "unknown version 1.4, read as 2.4"),
        ("libpcap__pcapng-invalid-vers-1.pcapng", "a section of unknown version 0.1, read as 1.0"),
    ],
)
def test_a_version_that_tshark_refuses_is_read_and_told(name: str, reason: str) -> None:
    assert len(read(SHARED / name)) == 1
    assert [entry.reason for entry in damage_of(SHARED / name)] == [reason]


@pytest.mark.shared
def test_frames_are_numbered_as_wireshark_does_across_custom_blocks() -> None:
    # tshark -r: frames 1, 3 and 8 of this file are custom blocks.
    rows = read(SHARED / "pcapnggen__output_le__advanced__test102.pcapng")
    assert [row.number for row in rows] == [2, 4, 5, 6, 7]


@pytest.mark.shared
def test_rows_do_not_depend_on_windows_or_batches() -> None:
    for name in truth_files()[::10]:
        path = SHARED / name
        whole = read(path)
        assert read(path, batch_frames=3, window_bytes=4096) == whole


# Spelled bytes: the first record of each is at 0x18, from draft-ietf-opsawg-pcap, section 5.
SPELLED = {
    "microseconds, little-endian": (
        "d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000"
        "00f15365 40e20100 02000000 3c000000 abcd"
    ),
    "microseconds, big-endian": (
        "a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001"
        "6553f100 0001e240 00000002 0000003c abcd"
    ),
    "nanoseconds, little-endian": (
        "4d3cb2a1 0200 0400 00000000 00000000 ffff0000 01000000"
        "00f15365 00ca5b07 02000000 3c000000 abcd"
    ),
    "nanoseconds, big-endian": (
        "a1b23c4d 0002 0004 00000000 00000000 0000ffff 00000001"
        "6553f100 075bca00 00000002 0000003c abcd"
    ),
    "Kuznetzov's variant": (
        "34cdb2a1 0200 0400 00000000 00000000 ffff0000 01000000"
        "00f15365 40e20100 02000000 3c000000 00000000 0800 00 00 abcd"
    ),
    "IXIA, hardware": (
        "ac01001c 0200 0400 00000000 00000000 ffff0000 01000000 12000000"
        "00f15365 00ca5b07 02000000 3c000000 abcd"
    ),
    "version 2.2, wire length first": (
        "d4c3b2a1 0200 0200 00000000 00000000 ffff0000 01000000"
        "00f15365 40e20100 3c000000 02000000 abcd"
    ),
    "version 2.3, the smaller length counts": (
        "d4c3b2a1 0200 0300 00000000 00000000 ffff0000 01000000"
        "00f15365 40e20100 3c000000 02000000 abcd"
    ),
    "FCS bits beside the link type": (
        "d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000024"
        "00f15365 40e20100 02000000 3c000000 abcd"
    ),
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED.keys())
def test_one_record_of_each_variant(tmp_path: Path, spelled: str) -> None:
    path = write(tmp_path, "a.pcap", bytes.fromhex(spelled.replace(" ", "")))
    (row,) = read(path)
    assert row == (b"\xab\xcd", 60, START + 123_456_000, 1, 1, "")
    assert damage_of(path) == []


def test_a_reader_tells_its_progress_and_its_sources(tmp_path: Path) -> None:
    content = pcap(FRAMES)
    path = write(tmp_path, "a.pcap", content)
    with open_captures([path], batch_frames=4) as reader:
        assert (reader.bytes_total, reader.bytes_read, reader.frames) == (len(content), 0, 0)
        assert reader.sources == []
        assert next(reader).count == 4
        assert reader.frames == 4
        assert sum(batch.count for batch in reader) == 16
        assert (reader.bytes_read, reader.frames) == (len(content), 20)
        (source,) = reader.sources
        assert (source.file, source.interface, source.linktype, source.snaplen) == (path, "", 1, 0)


def test_frames_outside_since_and_until_keep_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", pcap(FRAMES))
    with open_captures([path], since=START + 5 * SECOND, until=START + 8 * SECOND) as reader:
        rows = rows_of(reader)
        assert [row.number for row in rows] == [6, 7, 8]
        assert (reader.frames, reader.outside) == (3, 17)


@pytest.mark.parametrize("far", [1 << 63, 1 << 90], ids=["2262", "far beyond"])
def test_since_and_until_may_be_beyond_the_clock(tmp_path: Path, far: int) -> None:
    path = write(tmp_path, "a.pcap", pcap(FRAMES))
    assert len(read(path, since=-far, until=far)) == len(FRAMES)
    assert read(path, since=far) == []
    assert read(path, until=-far) == []


def test_a_batch_is_never_longer_than_asked(tmp_path: Path) -> None:
    a = write(tmp_path, "a.pcap", pcap(FRAMES * 30))
    b = write(tmp_path, "b.pcapng", pcapng(FRAMES))
    for paths in ([a], [b], [a, b]):
        with open_captures(paths, batch_frames=7) as reader:
            assert max(batch.count for batch in reader) == 7


# What is no capture, and what cannot be opened.


def test_a_path_that_does_not_exist_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", pcap(FRAMES))
    missing = str(tmp_path / "missing.pcap")
    with pytest.raises(CaptureError, match=r"missing\.pcap: No such file"):
        open_captures([path, missing])


def test_a_path_with_a_null_byte_is_an_error() -> None:
    with pytest.raises(CaptureError, match="null"):
        open_captures(["a\0b"])


def test_standard_input_twice_is_an_error() -> None:
    with pytest.raises(CaptureError, match="only once"):
        open_captures(["-", "-"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the input is empty"),
        (b"PK\x03\x04", "not a capture (no pcap or pcapng magic number)"),
        (pcap([])[:23], "the file header is cut, 23 of 24 bytes are there"),
    ],
    ids=["empty", "zip", "cut header"],
)
def test_a_file_that_is_no_capture_is_damage(tmp_path: Path, content: bytes, reason: str) -> None:
    path = write(tmp_path, "a", content)
    assert read(path) == []
    (damage,) = damage_of(path)
    assert (damage.file, damage.reason, damage.lost) == (path, reason, True)


def test_no_frames_are_no_damage(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", pcap([]))
    assert read(path) == []
    assert damage_of(path) == []


def test_a_folder_gives_its_captures_and_lists_the_rest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path, "z.pcap", pcap(FRAMES[:5]))
    write(tmp_path / "b", "a.dat", pcapng(FRAMES[5:10]))
    notes = write(tmp_path, "notes.txt", b"taken on Monday")
    empty = write(tmp_path, "empty.pcap", b"")
    os.mkfifo(tmp_path / "pipe")
    with open_captures([str(tmp_path)]) as reader:
        assert times_of(rows_of(reader)) == [frame.time for frame in FRAMES[:10]]
        assert sorted(reader.skipped) == sorted([notes, empty, str(tmp_path / "pipe")])
        assert reader.damage == []


def test_a_folder_without_a_capture_is_damage(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for _ in range(2):  # empty, then with a file that is no capture
        (damage,) = damage_of(folder)
        assert (damage.file, damage.reason) == (
            str(folder),
            "there is no capture in this folder",
        )
        write(folder, "notes.txt", b"taken on Monday")


def test_a_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", pcap(FRAMES))
    link = tmp_path / "b.pcap"
    link.symlink_to(path)
    around = str(tmp_path / ".." / tmp_path.name / "a.pcap")
    for paths, repeated in (
        ([path, path], [path]),
        ([path, around, str(link)], [around, str(link)]),
        ([path, str(tmp_path)], [path, str(link)]),
        ([str(tmp_path), path], [str(link), path]),
    ):
        with open_captures(paths) as reader:
            assert len(rows_of(reader)) == len(FRAMES)
            assert [entry.name for entry in reader.inputs] == [path]
            assert reader.repeated == repeated
            assert reader.damage == []


def test_a_file_that_a_folder_left_out_is_read_when_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.pcap", pcap(FRAMES))
    notes = write(tmp_path, "notes.txt", b"taken on Monday")
    with open_captures([str(tmp_path), notes]) as reader:
        rows_of(reader)
        assert [damage.file for damage in reader.damage] == [notes]
        assert reader.repeated == []


def test_a_compressed_file_in_a_folder_that_does_not_expand_is_damage(tmp_path: Path) -> None:
    # RFC 1951, section 3.2.3: a block of type 3 is an error.
    path = write(tmp_path, "a.pcap.gz", b"\x1f\x8b\x08" + bytes(7) + b"\xff")
    with open_captures([str(tmp_path)]) as reader:
        assert rows_of(reader) == []
        assert reader.skipped == []
        (damage,) = reader.damage
        assert damage.file == path
        assert damage.reason.startswith("the gzip data are damaged")


# Standard input and pipes.

READ_STDIN = """
import sys
from egressd.capture.pcapfile import open_captures
with open_captures(["-"]) as reader:
    print(sum(b.count for b in reader), reader.bytes_total, reader.bytes_read, len(reader.damage))
"""


def read_stdin(content: bytes) -> list[str]:
    program = [sys.executable, "-c", READ_STDIN]
    done = subprocess.run(program, input=content, capture_output=True, check=True)
    return done.stdout.decode().split()


def test_standard_input_is_read_to_its_end() -> None:
    content = pcap(FRAMES)
    assert read_stdin(content) == ["20", "None", str(len(content)), "0"]


def test_nothing_on_standard_input_is_damage() -> None:
    assert read_stdin(b"") == ["0", "None", "0", "1"]


def test_frames_from_a_pipe_come_when_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)  # so that the pipe opens, and does not end
    os.write(held, pcap(FRAMES[:3]))
    with open_captures([str(path)]) as reader:
        assert next(reader).count == 3
        os.write(held, pcap_record(FRAMES[3]) + pcap_record(FRAMES[4])[:20])
        batch = next(reader)
        assert (batch.count, batch.number[0]) == (1, 4)
        os.write(held, pcap_record(FRAMES[4])[20:])
        assert next(reader).number[0] == 5
        os.close(held)
        assert list(reader) == []
        assert reader.damage == []


# Files that change while they are read.


def big_capture(count: int) -> bytes:
    record = pcap_record(Frame(START, bytes(1000)))
    return pcap_header() + record * count


def test_a_file_that_is_cut_while_it_is_read_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", big_capture(1000))
    with open_captures([path], batch_frames=100, window_bytes=1 << 17) as reader:
        assert next(reader).count == 100
        os.truncate(path, 24 + 500 * 1016 + 7)
        assert len(rows_of(reader)) == 400
        reasons = [entry.reason for entry in reader.damage]
        assert any("was cut from 1016024 to 508031 bytes" in reason for reason in reasons)
        assert any("the last record is cut, 7 of 16 bytes" in reason for reason in reasons)


def test_a_file_that_grows_while_it_is_read_is_read_to_its_new_end(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcap", big_capture(1000))
    with open_captures([path], batch_frames=100, window_bytes=1 << 17) as reader:
        assert next(reader).count == 100
        with Path(path).open("ab") as file:
            file.write(pcap_record(Frame(START, b"late")))
        assert rows_of(reader)[-1].data == b"late"
        assert reader.damage == []


def test_a_file_that_is_gone_when_its_turn_comes_is_damage(tmp_path: Path) -> None:
    a = write(tmp_path, "a.pcap", pcap(FRAMES[:10]))
    b = write(tmp_path, "b.pcap", pcap(FRAMES[10:]))
    with open_captures([a, b]) as reader:
        Path(b).unlink()
        assert len(rows_of(reader)) == 10
        (damage,) = reader.damage
        assert (damage.file, damage.reason) == (
            b,
            "cannot be opened any more (No such file or directory)",
        )


# Anything may be in a file.

SEEDS = [pcap(FRAMES), pcap(FRAMES, ">"), pcapng(FRAMES), pcapng(FRAMES, ">") + pcapng(FRAMES)]


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=300))
def test_never_fails_on_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for head in (b"", SEEDS[0][:24], SEEDS[2][:72]):
        read(write(folder, "a", head + content), batch_frames=5)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_changed_capture_never_fails_and_reads_the_same_in_small_windows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(places)
    content = content[:cut] if data.draw(st.booleans()) else content
    path = write(tmp_path_factory.mktemp("changed"), "a", bytes(content))
    rows, damage = read(path), damage_of(path)
    size = data.draw(st.integers(1, 9))
    assert read(path, batch_frames=size, window_bytes=1) == rows
    assert damage_of(path, batch_frames=size, window_bytes=1) == damage


def test_a_capture_of_more_entries_than_told_says_how_many(tmp_path: Path) -> None:
    bad = struct.pack("<IIII", START // SECOND, 0, 1 << 30, 1 << 30)
    good = b"".join(pcap_record(frame) for frame in FRAMES[:3])
    path = write(tmp_path, "a.pcap", pcap_header() + (good + bad) * 150)
    damage = damage_of(path)
    assert len(damage) == 101
    assert damage[-1].reason == "and 50 more like these"
