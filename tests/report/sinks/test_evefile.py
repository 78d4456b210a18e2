"""The EVE file: whole lines, rotation by size and age, logrotate, and a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from sink_stage import NOON, SECOND, Clock, can_mount, plain_record

from egressd.report.sinks.evefile import EveFile
from egressd.report.sinks.transport import Failure, UnreachableError
from egressd.settings.sinks import Rotation

if TYPE_CHECKING:
    from egressd.report.sinks.spool import Record

ROOT = Path(__file__).parents[3]
DAY = 86_400


def lines(first: int, last: int) -> list[Record]:
    return [plain_record(n, f'{{"n":{n:05}}}') for n in range(first, last + 1)]


def numbers_in(path: Path) -> list[int]:
    return [int(line[5:10]) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "eve.json"


def old_files(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*"))


def test_lines_are_appended(path: Path) -> None:
    eve = EveFile(str(path), None, Clock())
    eve.deliver(lines(1, 3))
    eve.deliver(lines(4, 5))
    eve.close()
    EveFile(str(path), None, Clock()).deliver(lines(6, 6))
    assert path.read_text() == "".join(f'{{"n":{n:05}}}\n' for n in range(1, 7))


def test_the_file_is_not_for_everybody(path: Path) -> None:
    before = os.umask(0)
    try:
        EveFile(str(path), None, Clock()).deliver(lines(1, 1))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_file_is_there_from_the_start(path: Path) -> None:
    EveFile(str(path), None, Clock()).tend()
    assert path.read_text() == ""


# ---- rotation -----------------------------------------------------------------------------------


def test_no_file_grows_beyond_its_size_and_no_line_is_lost(path: Path) -> None:
    clock = Clock()
    eve = EveFile(str(path), Rotation(size=100, keep=50), clock)
    for n in range(1, 100, 7):
        eve.deliver(lines(n, n + 6))
        clock.go_on(1)
    files = [*old_files(path), path]
    assert len(files) == 14
    assert all(file.stat().st_size <= 100 for file in files)
    assert [n for file in sorted(old_files(path)) for n in numbers_in(file)] + numbers_in(
        path
    ) == list(range(1, 106))


def test_files_of_one_second_have_names_of_their_own(path: Path) -> None:
    eve = EveFile(str(path), Rotation(size=30, keep=50), Clock())
    eve.deliver(lines(1, 9))
    names = {file.name for file in old_files(path)}
    stem = "eve.json.20261122T120000Z"
    assert names == {stem, f"{stem}-1", f"{stem}-2", f"{stem}-3"}


def test_only_so_many_old_files_are_kept_and_nothing_else_is_touched(path: Path) -> None:
    clock = Clock()
    others = [path.with_name(name) for name in ("eve.json.1.gz", "eve.json.bak", "eve.jsonl", "x")]
    for other in others:
        other.write_text("not ours")
    eve = EveFile(str(path), Rotation(size=30, keep=2), clock)
    for n in range(1, 40):
        eve.deliver(lines(n, n))
        clock.go_on(1)
    ours = [file for file in old_files(path) if "Z" in file.name]
    assert [numbers_in(file) for file in ours] == [[35, 36], [37, 38]]
    assert numbers_in(path) == [39]
    assert all(other.read_text() == "not ours" for other in others)


def test_the_oldest_of_many_files_of_one_second_goes_first(path: Path) -> None:
    eve = EveFile(str(path), Rotation(size=12, keep=3), Clock())
    eve.deliver(lines(1, 15))
    kept = sorted(n for file in old_files(path) for n in numbers_in(file))
    assert kept == [12, 13, 14]


def test_a_line_longer_than_a_file_may_be_is_written_whole(path: Path) -> None:
    eve = EveFile(str(path), Rotation(size=30), Clock())
    eve.deliver([plain_record(1, "x" * 200), plain_record(2, "y" * 200)])
    assert path.read_text() == "y" * 200 + "\n"
    assert old_files(path)[0].read_text() == "x" * 200 + "\n"


def test_a_day_ends_at_midnight_utc(path: Path) -> None:
    clock = Clock(NOON + 12 * 3600 * SECOND - SECOND)
    eve = EveFile(str(path), Rotation(age=DAY), clock)
    eve.deliver(lines(1, 2))
    os.utime(path, ns=(clock.now, clock.now))
    assert old_files(path) == []
    clock.go_on(1)
    eve.deliver(lines(3, 3))
    assert [file.name for file in old_files(path)] == ["eve.json.20261123T000000Z"]
    assert numbers_in(path) == [3]


def test_a_file_of_yesterday_is_put_away_after_a_restart(path: Path) -> None:
    path.write_text("{}\n")
    os.utime(path, ns=(NOON - DAY * SECOND, NOON - DAY * SECOND))
    eve = EveFile(str(path), Rotation(age=DAY), Clock())
    eve.deliver(lines(1, 1))
    assert [file.read_text() for file in old_files(path)] == ["{}\n"]
    assert numbers_in(path) == [1]


def test_a_folder_that_lets_nobody_rename_makes_a_long_file_and_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    eve = EveFile(str(path), Rotation(size=30, keep=5), clock)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        eve.deliver(lines(1, 10))
    assert numbers_in(path) == list(range(1, 11))
    clock.go_on(61)
    eve.deliver(lines(11, 11))
    assert numbers_in(path) == [11]


# ---- logrotate ----------------------------------------------------------------------------------


def test_a_file_that_was_moved_is_noticed_at_the_next_line(path: Path) -> None:
    eve = EveFile(str(path), None, Clock())
    eve.deliver(lines(1, 2))
    path.rename(path.with_name("eve.json.1"))
    eve.deliver(lines(3, 4))
    assert numbers_in(path.with_name("eve.json.1")) == [1, 2]
    assert numbers_in(path) == [3, 4]


def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    eve = EveFile(str(path), None, Clock())
    eve.deliver(lines(1, 2))
    path.unlink()
    eve.deliver(lines(3, 4))
    assert numbers_in(path) == [3, 4]


def test_a_file_that_was_copied_and_emptied_goes_on_at_its_beginning(path: Path) -> None:
    eve = EveFile(str(path), Rotation(size=60), Clock())
    eve.deliver(lines(1, 4))
    os.truncate(path, 0)
    eve.deliver(lines(5, 8))
    assert numbers_in(path) == [5, 6, 7, 8]
    assert old_files(path) == []


def test_reopening_makes_the_new_file_without_waiting_for_a_line(path: Path) -> None:
    eve = EveFile(str(path), None, Clock())
    eve.deliver(lines(1, 2))
    path.rename(path.with_name("eve.json.1"))
    eve.renew()
    assert path.read_text() == ""


# ---- crashes and full disks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b'{"n":00001}\n{"n":000', b'{"n":00001}\n', id="half a line"),
        pytest.param(b'{"n":000', b"", id="half of the first line"),
        pytest.param(b'{"n":00001}\n' + b"x" * 200_000, b'{"n":00001}\n', id="half a long line"),
        pytest.param(b'{"n":00001}\n', b'{"n":00001}\n', id="a whole line"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_what_a_crash_left_of_a_line_is_cut_off(path: Path, before: bytes, after: bytes) -> None:
    path.write_bytes(before)
    EveFile(str(path), None, Clock()).deliver(lines(2, 2))
    assert path.read_bytes() == after + b'{"n":00002}\n'


def test_a_file_that_was_never_lines_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"x" * 5_000_000)
    EveFile(str(path), None, Clock()).deliver(lines(2, 2))
    assert path.read_bytes() == b"x" * 5_000_000 + b'\n{"n":00002}\n'


def test_a_device_that_is_full_is_a_failure_of_its_own() -> None:
    eve = EveFile("/dev/full", Rotation(size=100), Clock())
    eve.tend()
    with pytest.raises(UnreachableError) as caught:
        eve.deliver(lines(1, 3))
    assert caught.value.failure is Failure.SPACE
    assert caught.value.delivered == 0
    assert "/dev/full: No space left" in str(caught.value)


@pytest.mark.parametrize("path", ["/nowhere/eve.json", "/"])
def test_a_place_that_cannot_be_written_is_a_failure(path: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        EveFile(path, None, Clock()).tend()
    assert caught.value.failure is Failure.DISK
    assert path in str(caught.value)


ON_A_SMALL_DISK = """
import os, sys
from pathlib import Path
from egressd.report.sinks.evefile import EveFile
from egressd.report.sinks.spool import Record
from egressd.report.sinks.transport import Failure, UnreachableError
folder = Path(sys.argv[1])
eve = EveFile(str(folder / "eve.json"), None, lambda: 0)
records = [Record(n, "", '{"n":%05d,"x":"%s"}' % (n, "x" * 900), False, 0) for n in range(500)]
done = 0
while True:
    try:
        eve.deliver(records[done:done + 50])
        done += 50
    except UnreachableError as error:
        assert error.failure is Failure.SPACE
        done += error.delivered
        break
content = (folder / "eve.json").read_text()
assert content.endswith("}\\n") and len(content.splitlines()) == done, done
(folder / "eve.json").rename(folder / "eve.json.1")
(folder / "eve.json.1").unlink()
eve.deliver(records[done:done + 50])
eve.deliver(records[done + 50:done + 100])
text = (folder / "eve.json").read_text()
assert [int(line[5:10]) for line in text.splitlines()] == list(range(done, done + 100))
print("whole")
"""


def test_a_disk_that_fills_up_leaves_whole_lines_and_writing_resumes(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("nobody may mount a disk here")
    mount = f'mount -t tmpfs -o size=200k tmpfs {tmp_path} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh",
         sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == "whole\n", done.stderr


def test_a_fifo_without_a_reader_is_a_failure_and_with_one_a_place(tmp_path: Path) -> None:
    path = tmp_path / "eve.fifo"
    os.mkfifo(path)
    eve = EveFile(str(path), Rotation(size=30), Clock())
    with pytest.raises(UnreachableError):
        eve.deliver(lines(1, 1))
    got: list[str] = []
    reader = Thread(target=lambda: got.append(path.read_text()))
    reader.start()
    while True:
        try:
            eve.deliver(lines(1, 9))
            break
        except UnreachableError:
            continue
    eve.close()
    reader.join(10)
    assert got == ["".join(f'{{"n":{n:05}}}\n' for n in range(1, 10))]
