"""Several inputs as one: against a plain model of the merge, and against the unsplit capture."""

from __future__ import annotations

import resource
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from capture_files import SECOND, START, Frame, Row, pcap, pcapng, read, rows_of, times_of, write
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.batch import BATCH_FRAMES
from egressd.capture.pcapfile import open_captures

if TYPE_CHECKING:
    from collections.abc import Sequence

MILLISECOND = 1_000_000


def named(times: Sequence[int], name: str) -> list[Frame]:
    return [Frame(START + time, f"{name} {i}".encode()) for i, time in enumerate(times)]


def merged(*inputs: list[Frame]) -> list[bytes]:
    """Take the input whose next frame is the earliest; of equal ones, the first."""
    waiting = [list(frames) for frames in inputs if frames]
    out = []
    while waiting:
        first = min(waiting, key=lambda frames: frames[0].time)
        out.append(first.pop(0).data)
        waiting = [frames for frames in waiting if frames]
    return out


def data_of(rows: list[Row]) -> list[bytes]:
    return [row.data for row in rows]


def test_two_taps_are_interleaved(tmp_path: Path) -> None:
    a = named([i * 2 * SECOND for i in range(1000)], "a")
    b = named([i * 2 * SECOND + SECOND for i in range(1000)], "b")
    paths = [write(tmp_path, "a", pcap(a)), write(tmp_path, "b", pcapng(b))]
    assert data_of(read(*paths)) == merged(a, b)
    assert data_of(read(*paths, batch_frames=7, window_bytes=1)) == merged(a, b)


def test_equal_times_go_in_the_order_of_the_paths(tmp_path: Path) -> None:
    frames = [named([0, 0, SECOND, SECOND] * 30, name) for name in "abc"]
    paths = [write(tmp_path, f"{i}", pcap(given)) for i, given in enumerate(frames)]
    assert data_of(read(*paths)) == merged(*frames)
    assert data_of(read(*reversed(paths))) == merged(*reversed(frames))


def test_frames_of_one_input_keep_their_order_where_its_clock_steps_back(tmp_path: Path) -> None:
    a = named([i * SECOND for i in [*range(50), *range(30), *range(20, 60)]], "a")
    b = named([i * SECOND + 5 for i in range(100)], "b")
    paths = [write(tmp_path, "a", pcap(a)), write(tmp_path, "b", pcap(b))]
    rows = read(*paths)
    assert data_of(rows) == merged(a, b)
    assert [row.number for row in rows if row.data.startswith(b"a")] == list(range(1, 121))


@settings(max_examples=100, deadline=None)
@given(
    inputs=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=40), min_size=2, max_size=5),
    size=st.integers(1, 9),
)
def test_any_inputs_are_merged_as_the_model_has_it(
    tmp_path_factory: pytest.TempPathFactory, inputs: list[list[int]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    # Ends far apart, so that no input is taken for the continuation of another.
    spaced = [[time * SECOND for time in times] + [10_000 * SECOND] * 17 for times in inputs]
    frames = [named(times, f"{i}") for i, times in enumerate(spaced)]
    paths = [write(folder, f"{i}", pcap(given)) for i, given in enumerate(frames)]
    assert data_of(read(*paths)) == merged(*frames)
    assert data_of(read(*paths, batch_frames=size, window_bytes=1)) == merged(*frames)


def slightly_unordered(count: int) -> list[Frame]:
    """Frames 100 us apart, each up to 300 us early or late, as several CPUs write them."""
    jitter = [(-300, 200, 0, 300, -100, 100, -200)[i * i % 7] for i in range(count)]
    return named([1000 * (i * 100 + late) for i, late in enumerate(jitter, 10)], "f")


@pytest.mark.parametrize("cut", range(100, 130))
def test_a_split_capture_reads_as_the_unsplit_one(tmp_path: Path, cut: int) -> None:
    frames = slightly_unordered(300)
    whole = write(tmp_path, "whole", pcap(frames))
    paths = [write(tmp_path, "p1", pcap(frames[:cut])), write(tmp_path, "p2", pcap(frames[cut:]))]
    assert data_of(read(*paths)) == data_of(read(whole))
    assert data_of(read(*paths, batch_frames=3, window_bytes=1)) == data_of(read(whole))


@settings(max_examples=100, deadline=None)
@given(
    cuts=st.sets(st.integers(20, 980).map(lambda cut: cut // 20 * 20), max_size=10), data=st.data()
)
def test_a_capture_split_into_many_reads_as_the_unsplit_one(
    tmp_path_factory: pytest.TempPathFactory, cuts: set[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("split")
    frames = slightly_unordered(1000)
    ends = [0, *sorted(cuts), len(frames)]
    parts = [frames[start:end] for start, end in pairwise(ends)]
    make = data.draw(st.sampled_from([pcap, pcapng]))
    paths = [write(folder, f"{i:02}", make(part)) for i, part in enumerate(parts)]
    size = data.draw(st.sampled_from([1, 5, BATCH_FRAMES]))
    given = data.draw(st.permutations(paths))
    assert data_of(read(*given, batch_frames=size)) == [frame.data for frame in frames]


def test_rotated_files_pass_through_without_a_copy(tmp_path: Path) -> None:
    frames = named([i * MILLISECOND for i in range(2000)], "f")
    for i in range(4):
        write(tmp_path, f"{i}", pcap(frames[i * 500 : i * 500 + 500]))
    with open_captures([str(tmp_path)]) as reader:
        offsets = [batch.offset[0] for batch in reader]
    # The first frame of a copied batch stands at 0; a file's first one behind its headers.
    assert 0 not in offsets


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_thousand_rotated_files_are_not_held_open(tmp_path: Path) -> None:
    frames = named([i * SECOND for i in range(3000)], "f")
    for i in range(1000):
        write(tmp_path, f"{i:04}", pcap(frames[i * 3 : i * 3 + 3]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with open_captures([str(tmp_path)]) as reader:
            before = open_descriptors()
            most = 0
            count = 0
            for batch in reader:
                count += batch.count
                most = max(most, open_descriptors())
        assert count == 3000
        assert most - before < 8
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_overlapping_files_than_descriptors(tmp_path: Path) -> None:
    frames = [named([i * SECOND + n for i in range(20)], f"{n}") for n in range(300)]
    for n, part in enumerate(frames):
        write(tmp_path, f"{n:03}", (pcap if n % 2 else pcapng)(part))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (220, hard))
    try:
        rows = read(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert times_of(rows) == sorted(times_of(rows))
    assert len(rows) == 6000


def test_since_and_until_choose_across_files(tmp_path: Path) -> None:
    frames = named([i * SECOND for i in range(100)], "f")
    for i in range(10):
        write(tmp_path, f"{i}", pcap(frames[i * 10 : i * 10 + 10]))
    with open_captures([str(tmp_path)], since=START + 25 * SECOND, until=START + 45 * SECOND) as r:
        rows = rows_of(r)
        assert data_of(rows) == [frame.data for frame in frames[25:45]]
        assert [row.number for row in rows] == [*range(6, 11), *range(1, 11), *range(1, 6)]
        assert r.outside == 80


def test_damage_in_one_input_does_not_touch_the_others(tmp_path: Path) -> None:
    a = named([i * SECOND for i in range(100)], "a")
    b = named([i * SECOND + 1 for i in range(100)], "b")
    paths = [
        write(tmp_path, "a", pcap(a)[:-3]),
        write(tmp_path, "b", pcap(b)),
        write(tmp_path, "c", b"nonsense"),
        write(tmp_path, "d", b""),
    ]
    with open_captures(paths) as reader:
        assert data_of(rows_of(reader)) == merged(a[:-1], b)
        assert sorted(damage.file for damage in reader.damage) == [paths[0], paths[2], paths[3]]
