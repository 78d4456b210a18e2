"""Windows over files and streams, and how many descriptors they hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from capture_files import write
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.windows import (
    MAX_DESCRIPTORS,
    MAX_MAPPED,
    Descriptors,
    FileStream,
    FileWindows,
    HeadStream,
    Prefixed,
    StreamWindows,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = os.urandom(300_000)


@pytest.fixture
def descriptors() -> Iterator[Descriptors]:
    held = Descriptors()
    yield held
    held.close_all()


def shown(window: Window, offset: int, size: int) -> bytes:
    start = offset - window.start
    return bytes(memoryview(window.data)[start : start + size])


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 50_000)), max_size=20),
    size=st.sampled_from([1, 5000, 70_000, 1 << 20]),
)
def test_a_window_shows_what_was_asked_for(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], size: int
) -> None:
    descriptors = Descriptors()
    path = write(tmp_path_factory.mktemp("windows"), "a", CONTENT)
    file = FileWindows(path, descriptors, size)
    stream = StreamWindows(HeadStream(CONTENT), size)
    offset = 0
    for skip, least in steps:
        for windows in (file, stream):
            window = windows.window(offset, least)
            assert shown(window, offset, least) == CONTENT[offset : offset + least]
            if window.last:
                assert window.start + len(window.data) == len(CONTENT)
        offset = min(offset + min(skip, least), len(CONTENT))
    file.close()
    descriptors.close_all()


def test_the_end_of_a_file_is_read_and_the_rest_is_mapped(
    tmp_path: Path, descriptors: Descriptors
) -> None:
    windows = FileWindows(write(tmp_path, "a", CONTENT), descriptors, 65536)
    assert not windows.window(0, 1).last
    assert descriptors.mapped == 1
    assert windows.window(299_000, 1000).last
    assert descriptors.mapped == 0
    assert windows.window(300_000, 1) == Window(b"", 300_000, last=True)
    assert windows.consumed == 300_000


def test_a_file_whose_size_changes_is_no_longer_mapped(
    tmp_path: Path, descriptors: Descriptors
) -> None:
    path = write(tmp_path, "a", CONTENT)
    windows = FileWindows(path, descriptors, 65536)
    windows.window(0, 1)
    assert not windows.has_changed()
    os.truncate(path, 200_000)
    assert windows.has_changed()
    window = windows.window(1000, 1)
    assert isinstance(window.data, memoryview)
    assert not windows.mapped
    assert windows.problem == "was cut from 300000 to 200000 bytes while it was read"


def test_only_some_files_are_mapped_at_a_time(tmp_path: Path, descriptors: Descriptors) -> None:
    count = MAX_MAPPED + 3
    paths = [write(tmp_path, f"{i}", CONTENT[:9000]) for i in range(count)]
    windows = [FileWindows(path, descriptors, 4096) for path in paths]
    for file in windows:
        assert shown(file.window(4096, 10), 4096, 10) == CONTENT[4096:4106]
    assert sum(file.mapped for file in windows) == MAX_MAPPED
    for file in windows:
        file.close()
    assert descriptors.mapped == 0


def test_descriptors_are_bounded_and_come_back(tmp_path: Path, descriptors: Descriptors) -> None:
    count = MAX_DESCRIPTORS + 10
    paths = [write(tmp_path, f"{i}", b"%d" % i) for i in range(count)]
    streams = [FileStream(path, descriptors) for path in paths]
    assert [stream.read(1) for stream in streams] == [(b"%d" % i)[:1] for i in range(count)]
    assert len(descriptors.open) == MAX_DESCRIPTORS
    assert streams[12].read(9) == b"2"


def test_a_file_that_another_took_the_place_of_is_not_read_on(
    tmp_path: Path, descriptors: Descriptors
) -> None:
    path = write(tmp_path, "a", b"first")
    stream = FileStream(path, descriptors)
    assert stream.read(2) == b"fi"
    os.close(descriptors.open.pop(path))  # as when there are too many
    (tmp_path / "b").write_bytes(b"other")
    (tmp_path / "b").replace(path)
    assert stream.read(9) == b""
    assert stream.problem is not None
    assert "another file has taken its place" in stream.problem


def test_what_was_read_already_comes_first() -> None:
    rest = HeadStream(b"abcdef")
    stream = Prefixed(rest.read(3), rest)
    assert [stream.read(2) for _ in range(4)] == [b"ab", b"c", b"de", b"f"]
    assert stream.read(1) == b""
