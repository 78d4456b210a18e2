"""A folder that others ring into: what is whole is read, in order, once, and over a restart."""

from __future__ import annotations

import gzip
import os
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest
from capture_files import SECOND, START, Frame, packet, pcap, pcap_record, pcapng

from egressd.capture.follow import Follow
from egressd.capture.growing import GrowingWindows, Waiting
from egressd.model import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from egressd.state import FilePlace


def frames(count: int, start: int = 0, gap: int = SECOND) -> list[Frame]:
    """Return frames of which each says its number in its own bytes."""
    numbers = range(start, start + count)
    return [Frame(START + number * gap, number.to_bytes(4, "big") * 16) for number in numbers]


def record_of(frame: Frame, path: Path) -> bytes:
    """Return what is to be appended to a file for one more frame."""
    if path.read_bytes()[:1] == b"\n":
        return packet(frame.time, frame.data)
    return pcap_record(frame)


def said(follow: Follow) -> list[int]:
    """Read all there is; return what the frames say, in order."""
    got = []
    while (batch := follow.read(0)) is not None:
        view = memoryview(batch.buffer)
        got += [
            int.from_bytes(view[batch.offset[row] : batch.offset[row] + 4], "big")
            for row in range(batch.count)
        ]
    return got


def touched(path: Path, at: int) -> None:
    """Set when a file was last written to, in seconds."""
    os.utime(path, (at, at))


def scan(follow: Follow) -> None:
    """Have the folder looked at again with the next read."""
    follow._scan_at = 0.0  # noqa: SLF001 - instead of waiting for its turn


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Follow]:
    with Follow(tmp_path) as opened:
        yield opened


def test_what_is_there_is_read_in_the_order_of_time_not_of_names(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(3, 10)))
    (tmp_path / "b.pcap").write_bytes(pcap(frames(10)))
    (tmp_path / "c.pcapng").write_bytes(pcapng(frames(4, 20)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [*range(13), *range(20, 24)]
        assert follow.counters.frames == 17
        assert [source.file.rpartition("/")[2] for source in follow.sources] == [
            "b.pcap",
            "a.pcap",
            "c.pcapng",
        ]


def test_a_file_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        assert said(follow) == []
        with path.open("ab") as stream:
            stream.write(b"".join(map(pcap_record, frames(3, 2))))
        assert said(follow) == [2, 3, 4]


@pytest.mark.parametrize("write", [pcap, pcapng], ids=["pcap", "pcapng"])
def test_a_file_that_grows_byte_by_byte_is_whole_in_the_end(tmp_path: Path, write: object) -> None:
    whole = write(frames(5))  # type: ignore[operator]  # one of two functions
    path = tmp_path / "a"
    got: list[int] = []
    with Follow(tmp_path) as follow, path.open("wb", buffering=0) as stream:
        for at in range(len(whole)):
            stream.write(whole[at : at + 1])
            scan(follow)
            got += said(follow)
        assert got == list(range(5))
        assert follow.take_damage() == []
        assert follow.counters.damage == 0


def test_a_cut_record_is_no_damage_while_the_file_may_grow(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(3))[:-5])
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        assert follow.take_damage() == []


def test_a_cut_record_is_damage_when_the_next_file_is_long_begun(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(3))[:-5])
    (tmp_path / "b.pcap").write_bytes(pcap(frames(1, 10)))
    touched(tmp_path / "a.pcap", 1_000)
    touched(tmp_path / "b.pcap", 1_100)
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1, 10]
        scan(follow)
        assert said(follow) == []
        (damage,) = follow.take_damage()
        assert "the last record is cut" in damage.reason
        assert follow.counters.complete == 1
        assert follow.counters.damage == 1


def test_a_file_that_grows_after_all_is_read_on(tmp_path: Path) -> None:
    old, new = tmp_path / "a.pcap", tmp_path / "b.pcap"
    old.write_bytes(pcap(frames(2)))
    new.write_bytes(pcap(frames(1, 10)))
    touched(old, 1_000)
    touched(new, 1_100)
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1, 10]
        scan(follow)
        assert said(follow) == []
        with old.open("ab") as stream:
            stream.write(pcap_record(frames(1, 2)[0]))
        scan(follow)
        assert said(follow) == [2]
        assert follow.counters.late == 1


def test_a_new_file_is_found(tmp_path: Path, follow: Follow) -> None:
    assert said(follow) == []
    (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))
    scan(follow)
    assert said(follow) == [0, 1]


def test_a_read_waits_for_a_writer(tmp_path: Path, follow: Follow) -> None:
    def write() -> None:
        (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))

    writer = threading.Timer(0.05, write)
    writer.start()
    batch = follow.read(5)
    writer.join()
    assert batch is not None
    assert batch.count == 2


def test_a_read_can_be_woken(follow: Follow) -> None:
    waker = threading.Timer(0.05, follow.wake)
    waker.start()
    began = time.monotonic()
    assert follow.read(5) is None
    waker.join()
    assert time.monotonic() - began < 2


def test_a_read_without_frames_ends_in_time(follow: Follow) -> None:
    began = time.monotonic()
    assert follow.read(0.1) is None
    assert 0.09 <= time.monotonic() - began < 1


def test_files_of_two_writers_are_merged(tmp_path: Path) -> None:
    gap = SECOND // 4
    ones, twos = frames(20, gap=gap)[::2], frames(20, gap=gap)[1::2]
    (tmp_path / "one.pcap").write_bytes(pcap(ones))
    (tmp_path / "two.pcap").write_bytes(pcap(twos))
    with Follow(tmp_path) as follow:
        assert said(follow) == list(range(20))


def test_two_files_that_grow_are_both_read(tmp_path: Path) -> None:
    paths = [tmp_path / "one.pcap", tmp_path / "two.pcap"]
    for number, path in enumerate(paths):
        path.write_bytes(pcap(frames(1, number)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        for number, path in enumerate(paths):
            with path.open("ab") as stream:
                stream.write(pcap_record(frames(1, 2 + number)[0]))
        assert sorted(said(follow)) == [2, 3]


# ---- what rings do ------------------------------------------------------------------------------


def test_a_file_removed_under_us_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        with path.open("ab") as stream:
            stream.write(pcap_record(frames(1, 2)[0]))
        path.unlink()
        scan(follow)
        assert said(follow) == [2]
        scan(follow)
        assert said(follow) == []
        assert follow.counters.missed == 0
        _, gone = follow.take_places()
        assert [place.name for place in gone] == ["a.pcap"]


def test_a_file_removed_before_it_was_read_is_missed(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(9000)))
    (tmp_path / "b.pcap").write_bytes(pcap(frames(2, 9000)))
    with Follow(tmp_path) as follow:
        assert follow.read(0) is not None
        (tmp_path / "b.pcap").unlink()
        scan(follow)
        assert said(follow)[-1] == 8999
        assert follow.counters.missed == 1
        assert [damage.reason for damage in follow.take_damage()] == [
            "was removed before it was read; its frames are lost"
        ]


def test_a_ring_that_comes_round_is_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "ring0"
    path.write_bytes(pcap(frames(5)))
    with Follow(tmp_path) as follow:
        assert said(follow) == list(range(5))
        with path.open("r+b") as stream:  # as tcpdump -W: the same inode
            stream.truncate()
            stream.write(pcap(frames(2, 100)))
        scan(follow)
        assert said(follow) == [100, 101]
        assert follow.counters.files == 2
        assert follow.counters.missed == 0


def test_a_ring_that_comes_round_with_more_than_before_is_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "ring0"
    path.write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        with path.open("r+b") as stream:
            stream.truncate()
            stream.write(pcap(frames(7, 100)))
        scan(follow)
        assert said(follow) == list(range(100, 107))


def test_a_file_that_is_renamed_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        (tmp_path / "a.pcap").rename(tmp_path / "z.pcap")
        scan(follow)
        assert said(follow) == []


def test_what_is_compressed_afterwards_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(pcap(frames(2))))
        (tmp_path / "a.pcap").unlink()
        scan(follow)
        assert said(follow) == []
        assert follow.counters.skipped == 1
        assert [damage.reason for damage in follow.take_damage()] == [
            "is compressed; it is left out"
        ]


def test_other_files_are_left_out_and_told_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no capture at all")
    (tmp_path / ".hidden.pcap").write_bytes(pcap(frames(1)))
    (tmp_path / "folder").mkdir()
    with Follow(tmp_path) as follow:
        for _ in range(3):
            scan(follow)
            assert said(follow) == []
        assert follow.counters.skipped == 1
        assert len(follow.take_damage()) == 1


def test_damage_in_the_middle_loses_one_record(tmp_path: Path) -> None:
    whole = bytearray(pcap(frames(40_000)))
    at = 24 + 100 * (16 + 64) + 8
    whole[at : at + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "a.pcap").write_bytes(whole)
    with Follow(tmp_path) as follow:
        got = said(follow)
        assert got == [*range(100), *range(101, 40_000)]
        assert len(follow.take_damage()) == 1


def test_drops_that_dumpcap_tells_are_added_up(tmp_path: Path) -> None:
    statistics = bytes.fromhex("00000000 00000000 00000000 0500 0800 0700000000000000 00000000")
    block = b"\x05\0\0\0" + (len(statistics) + 12).to_bytes(4, "little") + statistics
    block += block[4:8]
    (tmp_path / "a.pcapng").write_bytes(pcapng(frames(2)) + block)
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1]
        assert follow.drops == 7


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        Follow(tmp_path / "none")


def test_a_folder_that_goes_away_is_told_and_lived_with(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with Follow(folder) as follow:
        folder.rmdir()
        scan(follow)
        assert follow.read(0) is None
        assert "cannot be read" in follow.take_damage()[0].reason
        folder.mkdir()
        (folder / "a.pcap").write_bytes(pcap(frames(1)))
        scan(follow)
        assert said(follow) == [0]


# ---- over a restart ----------------------------------------------------------------------------


def read_some(follow: Follow, batches: int) -> list[int]:
    got = []
    for _ in range(batches):
        batch = follow.read(0)
        if batch is None:
            break
        view = memoryview(batch.buffer)
        got += [
            int.from_bytes(view[batch.offset[row] : batch.offset[row] + 4], "big")
            for row in range(batch.count)
        ]
    return got


@pytest.mark.parametrize("seed", range(8))
def test_no_frame_is_read_twice_or_lost_over_restarts(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's choice of moments
    folder = tmp_path / "in"
    folder.mkdir()
    total = 12_000
    some = frames(total, gap=SECOND // 1000)
    got: list[int] = []
    places: dict[tuple[int, int, int], FilePlace] = {}
    written = 0
    number = 0
    while written < total or len(got) < total:
        more = some[written : written + chance.randrange(1, 3000)]
        written += len(more)
        newest = folder / f"{number:04}"
        if more and (number == 0 or chance.random() < 0.5):
            number += 1
            write = chance.choice([pcap, pcapng])
            (folder / f"{number:04}").write_bytes(write(more))
        elif more:
            added = b"".join(record_of(frame, newest) for frame in more)
            with newest.open("ab") as stream:
                stream.write(added)
        with Follow(folder, places.values()) as follow:
            got += read_some(follow, chance.randrange(1, 9))
            changed, gone = follow.take_places()
        for place in gone:
            places.pop((place.device, place.inode, place.first), None)
        for place in changed:
            places[place.device, place.inode, place.first] = place
    assert got == list(range(total))


def test_a_file_read_to_its_end_is_not_opened_again(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))
    (tmp_path / "b.pcap").write_bytes(pcap(frames(1, 10)))
    touched(tmp_path / "a.pcap", 1_000)
    touched(tmp_path / "b.pcap", 1_100)
    with Follow(tmp_path) as follow:
        assert said(follow) == [0, 1, 10]
        scan(follow)
        assert said(follow) == []
        places, _ = follow.take_places()
    assert [place.done for place in sorted(places, key=lambda place: place.first)] == [True, False]
    with Follow(tmp_path, places) as follow:
        assert said(follow) == []
        assert follow.counters.files == 1


def test_places_of_files_that_are_no_more_are_given_back(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        said(follow)
        places, _ = follow.take_places()
    (tmp_path / "a.pcap").unlink()
    with Follow(tmp_path, places) as follow:
        _, gone = follow.take_places()
    assert gone == places


def test_places_of_another_folder_do_not_count(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (one / "a.pcap").write_bytes(pcap(frames(2)))
    with Follow(one) as follow:
        said(follow)
        places, _ = follow.take_places()
    (one / "a.pcap").rename(two / "a.pcap")
    with Follow(two, places) as follow:
        assert said(follow) == [0, 1]


def test_places_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(2)))
    with Follow(tmp_path) as follow:
        said(follow)
        assert len(follow.take_places()[0]) == 1
        assert follow.take_places() == ([], [])
        assert len(follow.take_places(all_of_them=True)[0]) == 1


# ---- windows ------------------------------------------------------------------------------------


def test_a_window_waits_for_its_least(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    windows = GrowingWindows(str(path))
    with pytest.raises(Waiting):
        windows.window(0, 6)
    assert not windows.has_more()
    with path.open("ab") as stream:
        stream.write(b"6")
    assert windows.has_more()
    window = windows.window(2, 4)
    assert bytes(window.data) == b"3456"
    assert not window.last
    windows.complete = True
    assert windows.window(2, 9).last
    windows.close()
