"""Where reports go: whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from egressd.report.outputs import check_whole, growing, whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "case.json"
    with whole(str(target)) as stream:
        stream.write("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["case.json"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "case.json"
    target.write_text("old")

    def fail() -> None:
        with whole(str(target)) as stream:
            stream.write("new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["case.json"]


def test_a_file_gets_the_usual_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole(str(tmp_path / "case.json")):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "case.json").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"), whole(str(tmp_path / "nowhere/x")):
        pass


def test_a_place_is_checked_without_leaving_anything(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 250)
    check_whole(str(target))
    assert not list(tmp_path.iterdir())
    with whole(str(target)) as stream:
        stream.write("old")
    check_whole(str(target))
    assert target.read_text() == "old"
    os.mkfifo(tmp_path / "fifo")
    for name in ("-", "/dev/null", str(tmp_path / "fifo")):
        check_whole(name)  # does not wait for a reader


def test_a_place_where_nothing_can_be_written_is_named_as_given(tmp_path: Path) -> None:
    target = str(tmp_path / "nowhere/case.json")
    with pytest.raises(FileNotFoundError) as caught:
        check_whole(target)
    assert caught.value.filename == target


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("opened", [growing, whole], ids=["growing", "whole"])
def test_a_full_disk_is_an_error(opened: type) -> None:
    with pytest.raises(OSError, match="space") as caught, opened("/dev/full") as stream:
        stream.write("x")
    assert caught.value.errno == errno.ENOSPC


def test_a_device_is_written_to_and_not_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    with whole("/dev/null") as stream:
        stream.write("x")
    assert not Path("/dev/null").is_file()
    with whole("-") as stream:
        stream.write("to stdout")
    assert capfd.readouterr().out == "to stdout"
