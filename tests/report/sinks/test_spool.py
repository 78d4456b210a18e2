"""The spool: order, the bound, what goes first, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_stage import NOON, SECOND, can_mount, many, numbers, plain_record

from egressd.report.sinks.spool import OVERHEAD, Record, Spool
from egressd.report.sinks.storefile import StoreError, is_full, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER = NOON + SECOND
BOUND = 1_000_000
ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "soc.sqlite"


OPENED: list[Spool] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close(NOON)


def open_spool(path: Path, bound: int) -> Spool:
    """Return a spool that is closed when the test is over."""
    OPENED.append(Spool(path, bound))
    return OPENED[-1]


def drained(spool: Spool, limit: int = 10) -> list[int]:
    """Take and finish all there is."""
    found = []
    while taken := spool.take(limit):
        found += numbers(taken)
        spool.finish(len(taken))
    return found


def rows_in(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT sequence FROM records ORDER BY 1")]


def test_records_come_out_in_order(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 25))
    assert drained(spool) == list(range(1, 26))
    assert spool.backlog == (0, 0, None)


def test_what_is_taken_is_given_again_until_it_is_finished(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 5))
    assert numbers(spool.take(3)) == numbers(spool.take(3)) == [1, 2, 3]
    spool.finish(2)
    assert numbers(spool.take(3)) == [3]
    spool.finish(1)
    assert numbers(spool.take(3)) == [4, 5]


def test_what_is_handed_over_at_once_never_sees_the_disk(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 5))
    spool.store(NOON + SECOND // 10)
    assert drained(spool) == [1, 2, 3, 4, 5]
    assert rows_in_open(spool) == 0


def rows_in_open(spool: Spool) -> int:
    assert spool._connection is not None  # noqa: SLF001 - no second connection may open the file
    count = spool._connection.execute("SELECT count(*) FROM records").fetchone()[0]  # noqa: SLF001
    return int(count)


def test_what_waits_is_on_disk_after_half_a_second(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 5))
    spool.take(2)
    spool.store(LATER)
    assert rows_in_open(spool) == 5
    assert spool.backlog.records == 5


def test_a_clock_that_was_set_back_keeps_nothing_from_the_disk(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 5))
    spool.store(NOON - 3600 * SECOND)
    assert rows_in_open(spool) == 5


def test_disk_and_memory_are_one_queue(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 5))
    spool.store(LATER)
    spool.offer(many(6, 9))
    assert numbers(spool.take(3)) == [1, 2, 3]
    spool.finish(3)
    spool.offer(many(10, 11))
    assert drained(spool) == [4, 5, 6, 7, 8, 9, 10, 11]
    spool.store(LATER)
    assert rows_in_open(spool) == 0


def test_what_is_left_is_there_after_a_restart(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 9))
    spool.take(4)
    spool.finish(2)
    assert spool.close(NOON)
    again = open_spool(path, BOUND)
    assert again.last_sequence == 9
    assert again.backlog.records == 7
    assert drained(again) == [3, 4, 5, 6, 7, 8, 9]


def test_records_keep_all_they_hold_over_a_restart(path: Path) -> None:
    spool = open_spool(path, BOUND)
    whole = Record(7, "f-1-media-1", '{"a":"\\u00e4"}', is_alert=True, offered=NOON)
    spool.offer([whole])
    spool.close(NOON)
    assert open_spool(path, BOUND).take(1) == [whole]


def test_a_closed_spool_gives_nothing_out(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 3))
    spool.take(1)
    spool.close(NOON)
    assert spool.take(1) == []
    assert spool.store(NOON)
    spool.finish(1)


# ---- the bound ----------------------------------------------------------------------------------


def test_a_full_spool_loses_the_oldest_that_is_no_alert(path: Path) -> None:
    spool = open_spool(path, 10 * (OVERHEAD + 2))
    for n in range(1, 21):
        spool.offer([plain_record(n, is_alert=n % 2 == 0)])
    assert drained(spool) == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    assert (spool.losses.others, spool.losses.alerts) == (10, 0)


def test_a_spool_full_of_alerts_loses_the_oldest_alert(path: Path) -> None:
    spool = open_spool(path, 10 * (OVERHEAD + 2))
    spool.offer(plain_record(n, is_alert=True) for n in range(1, 16))
    assert drained(spool) == list(range(6, 16))
    assert (spool.losses.others, spool.losses.alerts) == (0, 5)


def test_the_bound_holds_for_disk_and_memory_each(path: Path) -> None:
    size = OVERHEAD + 2
    spool = open_spool(path, 10 * size)
    for n in range(1, 101):
        spool.offer([plain_record(n, is_alert=n % 10 == 0)])
        spool.store(LATER)
        assert rows_in_open(spool) <= 10
        assert spool.backlog.bytes <= 20 * size
    assert drained(spool) == list(range(10, 101, 10))
    assert (spool.losses.others, spool.losses.alerts) == (90, 0)


def test_what_is_being_sent_is_not_dropped_under_the_sender(path: Path) -> None:
    spool = open_spool(path, 3 * (OVERHEAD + 2))
    spool.offer([plain_record(1)])
    assert numbers(spool.take(1)) == [1]
    for n in range(2, 20):
        spool.offer([plain_record(n, is_alert=True)])
        spool.store(LATER)
    assert numbers(spool.take(1)) == [1]
    spool.finish(1)
    assert drained(spool) == [18, 19]
    assert spool.losses.alerts == 16


def test_a_record_larger_than_the_spool_is_counted_and_lost(path: Path) -> None:
    spool = open_spool(path, 1000)
    spool.offer([plain_record(1, "x" * 2000, is_alert=True)])
    assert spool.take(1) == []
    assert spool.losses.alerts == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(1, 6), st.booleans()),
        st.tuples(st.just("send"), st.integers(0, 4), st.booleans()),
        st.tuples(st.just("store"), st.just(0), st.booleans()),
        st.tuples(st.just("restart"), st.just(0), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_nothing_is_lost_uncounted_doubled_or_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, work: list[tuple[str, int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "soc.sqlite"
    spool = open_spool(path, 8 * (OVERHEAD + 2))
    offered, dropped, sent = 0, 0, []
    for what, count, flag in work:
        if what == "offer":
            spool.offer(
                plain_record(n, is_alert=flag) for n in range(offered + 1, offered + count + 1)
            )
            offered += count
        elif what == "send":
            taken = spool.take(3)
            done = min(count, len(taken))
            sent += numbers(taken)[:done]
            spool.finish(done)
        elif what == "store":
            spool.store(LATER, everything=flag)
        else:
            spool.close(NOON)
            dropped += spool.losses.alerts + spool.losses.others
            spool = open_spool(path, 8 * (OVERHEAD + 2))
    backlog = spool.backlog.records
    sent += (rest := drained(spool))
    assert len(rest) == backlog
    assert sent == sorted(set(sent))
    dropped += spool.losses.alerts + spool.losses.others
    assert len(sent) + dropped == offered
    spool.close(NOON)


# ---- what the disk does -------------------------------------------------------------------------

VICTIM = """
import sys
from pathlib import Path
from egressd.report.sinks.spool import Record, Spool
spool = Spool(Path(sys.argv[1]), 100_000_000)
n = 0
while True:
    spool.offer(Record(i, f"id-{i}", '{"n":%d}' % i, True, 0) for i in range(n + 1, n + 101))
    n += 100
    assert spool.store(10**18)
    taken = spool.take(7)
    spool.finish(len(taken))
    print(n, taken[-1].sequence, flush=True)
"""


@pytest.mark.parametrize("rounds", [1, 7, 23])
def test_a_process_killed_in_the_middle_leaves_a_whole_spool(path: Path, rounds: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert child.stdout is not None
    for _ in range(rounds):
        told = child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    rest = child.stdout.read()
    child.stdout.close()
    last = [line.split() for line in (told + rest).splitlines() if line.count(" ") == 1][-1]
    stored, done = int(last[0]), int(last[1])
    spool = open_spool(path, 100_000_000)
    assert spool.losses.failures == 0
    found = drained(spool, 500)
    # What was finished and not yet deleted comes again: at least once, in order, without a gap.
    assert found == list(range(found[0], found[-1] + 1))
    assert found[0] <= done + 8
    assert found[-1] >= stored
    spool.close(NOON)


def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 3))
    assert drained(spool) == [1, 2, 3]
    assert path.with_name("soc.sqlite.damaged").read_bytes().startswith(b"no database")


def test_a_damaged_database_is_set_aside(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(plain_record(n, "x" * 3000) for n in range(1, 50))
    spool.close(NOON)
    content = bytearray(path.read_bytes())
    content[4096:40960] = os.urandom(40960 - 4096)
    path.write_bytes(content)
    spool = open_spool(path, BOUND)
    assert spool.take(1) == []
    assert path.with_name("soc.sqlite.damaged").exists()
    spool.offer(many(50, 51))
    assert spool.store(LATER)
    assert drained(spool) == [50, 51]


def test_a_spool_damaged_while_it_is_used_is_given_up_and_counted(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(plain_record(n, "x" * 3000) for n in range(1, 50))
    assert spool.store(LATER)
    assert spool._connection is not None  # noqa: SLF001 - what happens inside is what is tested
    spool._connection.execute("DROP TABLE records")  # noqa: SLF001
    assert spool.take(5) == []
    assert spool.losses.unreadable == 49
    spool.offer(many(50, 52))
    assert spool.store(LATER)
    assert drained(spool) == [50, 51, 52]


def test_a_second_process_is_refused(path: Path) -> None:
    spool = open_spool(path, BOUND)
    with pytest.raises(StoreError, match="in use by another egressd"):
        open_spool(path, BOUND)
    spool.close(NOON)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    open_spool(path, BOUND).close(NOON)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match=r"newer egressd \(version 2, known is 1\)"):
        open_spool(path, BOUND)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        open_spool(tmp_path / "nowhere" / "soc.sqlite", BOUND)


def test_a_spool_is_nobody_elses_to_read(path: Path) -> None:
    spool = open_spool(path, BOUND)
    spool.offer(many(1, 3))
    spool.store(LATER)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert "soc.sqlite-wal" in modes


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """Return a folder where a small disk can be mounted."""
    if not can_mount(tmp_path):
        pytest.skip("nobody may mount a disk here")
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


ON_A_SMALL_DISK = """
import os, sys
from pathlib import Path
from egressd.report.sinks.spool import Record, Spool
folder = Path(sys.argv[1])
spool = Spool(folder / "soc.sqlite", 10_000_000)
ballast = folder / "ballast"
ballast.write_bytes(bytes(os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize))
spool.offer(Record(i, "", "x" * 1000, True, 0) for i in range(1, 101))
assert not spool.store(10**18)
assert spool.losses.failures == 1 and "full" in spool.last_error, spool.last_error
assert spool.backlog.records == 100
sent = spool.take(10)
spool.finish(len(sent))
assert [r.sequence for r in sent] == list(range(1, 11))
ballast.unlink()
assert spool.store(10**18)
assert spool.backlog.records == 90
assert spool.take(1)[0].sequence == 11
spool.close(10**18)
again = Spool(folder / "soc.sqlite", 10_000_000)
assert again.backlog.records == 90 and again.losses.alerts == 0
print("kept")
"""


def test_a_full_disk_leaves_the_queue_in_memory_until_there_is_room(full_disk: Path) -> None:
    mount = f'mount -t tmpfs -o size=2m tmpfs {full_disk} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh",
         sys.executable, "-c", ON_A_SMALL_DISK, str(full_disk)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == "kept\n", done.stderr


def test_only_a_full_disk_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "nowhere" / "x.sqlite", "", 1)
    assert not is_full(caught.value)
    error = StoreError("x")
    error.__cause__ = OSError(28, "No space left on device")
    assert is_full(error)
