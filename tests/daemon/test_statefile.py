"""The state file: what was saved is there again, and what cannot be used is said."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from egressd.daemon import statefile, stateschema
from egressd.daemon.statefile import FILE_NAME, StateError, StateFile, make_folder
from egressd.daemon.staterows import NAMES, TABLES, columns_of, filled, reader_of, values_of
from egressd.model import Coverage
from egressd.state import (
    CountRow,
    DeviceRow,
    EngineState,
    EpisodeRow,
    FilePlace,
    FlowRow,
    FrameCount,
    FrameOf,
    HostRow,
    Kept,
    LeaseRow,
    NameOfEnd,
    NameRow,
    PermitRow,
    PieceRow,
    TotalRow,
)

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = DeviceRow(
    "44:19:b6:a0:00:01",
    5,
    mac="44:19:b6:a0:00:01",
    ips=("10.20.30.11", "fd12:3456::11"),
    hosts=(HostRow("10.20.30.11", "44:19:b6:a0:00:01", claimed=True),),
    pieces=(PieceRow("lookup hik", "lookup", "asked", "a name", 0.3, vendor="hikvision"),),
    judged=True,
)
EPISODE = EpisodeRow(
    7,
    "10.20.30.11",
    "44:19:b6:a0:00:01",
    "203.0.113.55",
    8555,
    "tcp",
    "outbound",
    3,
    10,
    20,
    bytes_out=1 << 40,
    told=3,
    finding="a793d155a63c",
    names=(NameOfEnd("dev.example", "dns", 9),),
    protocols=("tls",),
    evidence=(FrameOf("span0", 278),),
    onsets=(10,),
)
STATE = EngineState(
    time=99,
    devices=[DEVICE],
    names=[NameRow("10.20.30.11", "203.0.113.55", "dev.example", 9, 999)],
    episodes=[EPISODE],
    flows=[FlowRow("6 10.20.30.11 40001 203.0.113.55 8555", 7, 20, "outbound")],
    totals=[TotalRow("44:19:b6:a0:00:01", "vendor", 952, 900, 8, 7)],
    counts=[CountRow("findings", ("scan", "high"), 3)],
    permits=[PermitRow("gate-1 -> vms.example.org", 3, 1)],
    leases=[LeaseRow("10.20.30.11", "44:19:b6:a0:00:01")],
    routers=("02:00:00:00:00:01",),
    servers=("10.20.200.53",),
    coverage=Coverage(frames=1808, decode_errors={"dns cut": 2}),
    one_way_mirror=True,
    serial=7,
    runs=3,
)
KEPT = Kept(STATE, [FrameCount("span0", 1808)], [FilePlace("/in", "a.pcap", 1, 2, 3, 4)])


def saved(folder: Path, kept: Kept = KEPT) -> None:
    with StateFile(folder) as file:
        file.save(kept)


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    saved(tmp_path)
    with StateFile(tmp_path) as file:
        assert file.load() == KEPT
        assert file.skipped == 0
        assert file.set_aside is None


def test_a_new_file_holds_nothing(tmp_path: Path) -> None:
    with StateFile(tmp_path) as file:
        assert file.load() == Kept()
        assert file.migrated_from is None


def test_a_change_replaces_its_row_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    other = replace(EPISODE, id=8)
    grown = replace(EPISODE, bytes_out=5)
    change = EngineState(whole=False, episodes=[grown, other], serial=8)
    saved(tmp_path, Kept(change))
    with StateFile(tmp_path) as file:
        kept = file.load()
    assert kept.engine.episodes == [grown, other]
    assert kept.engine.devices == [DEVICE]
    assert kept.files == KEPT.files
    assert kept.engine.serial == 8


def test_rows_that_are_gone_are_dropped(tmp_path: Path) -> None:
    saved(tmp_path)
    change = EngineState(
        whole=False,
        gone_devices=[DEVICE.id],
        gone_episodes=[7],
        gone_flows=[STATE.flows[0].id],
    )
    with StateFile(tmp_path) as file:
        file.save(Kept(change), [("/in", 1, 2, 3)])
        kept = file.load()
    assert kept.engine.devices == []
    assert kept.engine.episodes == []
    assert kept.engine.flows == []
    assert kept.files == []
    assert kept.engine.names == STATE.names


def test_a_whole_state_replaces_all_there_was_of_the_engine(tmp_path: Path) -> None:
    saved(tmp_path)
    saved(tmp_path, Kept(EngineState()))
    with StateFile(tmp_path) as file:
        kept = file.load()
    assert kept.engine == EngineState()
    assert kept.interfaces == KEPT.interfaces


def test_a_row_comes_back_in_the_order_in_which_it_first_came(tmp_path: Path) -> None:
    devices = [replace(DEVICE, id=f"{number}") for number in (3, 1, 2)]
    saved(tmp_path, Kept(EngineState(devices=devices)))
    saved(tmp_path, Kept(EngineState(whole=False, devices=[replace(devices[0], seen=9)])))
    with StateFile(tmp_path) as file:
        assert [device.id for device in file.load().engine.devices] == ["3", "1", "2"]


def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "state")
    saved(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777 == 0o600


# ---- what can be wrong --------------------------------------------------------------------------


def test_a_save_that_fails_leaves_what_was(tmp_path: Path) -> None:
    saved(tmp_path)
    broken = Kept(EngineState(episodes=[replace(EPISODE, bytes_out=1 << 70)]))
    with StateFile(tmp_path) as file:
        with pytest.raises(OverflowError):
            file.save(broken)
        assert file.load() == KEPT
        file.save(Kept(EngineState(whole=False)))


KILLED = """
import sys
from pathlib import Path
from dataclasses import replace
sys.path[:0] = {path!r}
from test_statefile import EPISODE, STATE, Kept, EngineState, FilePlace, StateFile
file = StateFile(Path({folder!r}))
print("begun", flush=True)
number = 0
while True:
    number += 1
    rows = [replace(EPISODE, id=row, bytes_out=number) for row in range(200)]
    place = FilePlace("/in", "a", 1, 2, 3, number)
    file.save(Kept(EngineState(whole=False, episodes=rows), [], [place]))
"""


def test_a_kill_leaves_one_whole_save(tmp_path: Path) -> None:
    code = KILLED.format(path=sys.path, folder=str(tmp_path))
    for after in (0.01, 0.05, 0.1):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"begun\n"
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(after)
            child.send_signal(signal.SIGKILL)
        with StateFile(tmp_path) as file:
            assert file.set_aside is None
            kept = file.load()
        numbers = {row.bytes_out for row in kept.engine.episodes}
        assert numbers == {place.frames for place in kept.files}


def test_a_newer_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    saved(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version=99")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StateError, match="newer egressd"):
        StateFile(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


# As version 1 made it; written out here so that a change of the program does not change it.
FIRST_NAMES = (
    "CREATE TABLE names (client TEXT NOT NULL, address TEXT NOT NULL, name TEXT NOT NULL, "
    "seen INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (client, address, name))"
)


def test_an_older_file_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        for statement in stateschema.MIGRATIONS[0]:
            connection.execute(FIRST_NAMES if "TABLE names " in statement else statement)
        connection.execute("INSERT INTO names VALUES ('10.0.0.1', '192.0.2.7', 'a.example', 1, 2)")
        connection.execute(f"PRAGMA application_id={0x65677364}")
        connection.execute("PRAGMA user_version=1")
        connection.commit()
    later = (
        "ALTER TABLE names ADD COLUMN extra TEXT NOT NULL DEFAULT 'none'",
        "UPDATE names SET name = 'b.example'",
    )
    steps = (*stateschema.MIGRATIONS, later)
    monkeypatch.setattr(statefile, "MIGRATIONS", steps)
    with StateFile(tmp_path) as file:
        assert file.migrated_from == 1
        (name,) = file.load().engine.names
    assert name == NameRow("10.0.0.1", "192.0.2.7", "b.example", 1, 2)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    broken = ("DELETE FROM names", "ALTER TABLE nothing ADD COLUMN extra")
    with monkeypatch.context() as patch:
        patch.setattr(statefile, "MIGRATIONS", (*stateschema.MIGRATIONS, broken))
        with pytest.raises(StateError, match="nothing"):
            StateFile(tmp_path)
    with StateFile(tmp_path) as file:
        assert file.load() == KEPT


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"no database " + data, id="no database"),
        pytest.param(lambda data: data[:100] + bytes(4000) + data[4100:], id="zeros"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut"),
    ],
)
def test_a_damaged_file_is_set_aside_and_begun_anew(tmp_path: Path, damage: object) -> None:
    saved(tmp_path)
    path = tmp_path / FILE_NAME
    hurt = damage(path.read_bytes())  # type: ignore[operator]  # one of the functions above
    path.write_bytes(hurt)
    with StateFile(tmp_path) as file:
        assert file.set_aside == tmp_path / f"{FILE_NAME}.damaged-1"
        assert file.load() == Kept()
        assert file.set_aside.read_bytes() == hurt
        file.save(KEPT)
    with StateFile(tmp_path) as file:
        assert file.load() == KEPT


def test_only_the_last_damaged_files_are_kept(tmp_path: Path) -> None:
    for _ in range(5):
        (tmp_path / FILE_NAME).write_bytes(b"nothing of the kind" * 100)
        StateFile(tmp_path).close()
    aside = sorted(path.name for path in tmp_path.glob("*.damaged-*"))
    assert aside == [f"{FILE_NAME}.damaged-{number}" for number in (3, 4, 5)]


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(StateError, match="is no state of egressd"):
        StateFile(tmp_path)


def test_two_cannot_use_it_at_once(tmp_path: Path) -> None:
    with StateFile(tmp_path), pytest.raises(StateError, match="another egressd watch"):
        StateFile(tmp_path)
    StateFile(tmp_path).close()


def test_a_row_that_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    saved(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("UPDATE devices SET hosts = '[1'")
        connection.execute("UPDATE episodes SET stage = 'high'")
        connection.execute("UPDATE meta SET value = '{\"frames\": []}' WHERE key = 'coverage'")
        connection.execute("UPDATE meta SET value = 'x' WHERE key = 'serial'")
        connection.commit()
    with StateFile(tmp_path) as file:
        kept = file.load()
        assert file.skipped == 4
    assert kept.engine.devices == []
    assert kept.engine.episodes == []
    assert kept.engine.coverage == Coverage()
    assert kept.engine.names == STATE.names


def test_the_oldest_rows_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statefile, "TABLES", (replace(NAMES, bound=10),))
    names = [NameRow("10.0.0.1", "192.0.2.1", f"{at}.example", at, at) for at in range(25)]
    with StateFile(tmp_path) as file:
        file.save(Kept(EngineState(names=names)))
        assert file.evicted == 15
        assert [name.seen for name in file.load().engine.names] == list(range(15, 25))


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="is no folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(StateError, match="cannot be made"):
        make_folder(tmp_path / "file" / "below")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_a_folder_that_is_not_ours_is_said() -> None:
    from pathlib import Path  # noqa: PLC0415 - here alone

    with pytest.raises(StateError, match="must be ours"):
        StateFile(Path("/dev/full"))


# ---- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
def test_every_field_has_its_column(tmp_path: Path, table: object) -> None:
    from egressd.daemon.staterows import Table  # noqa: PLC0415 - for the type alone

    assert isinstance(table, Table)
    StateFile(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")]
    assert columns == columns_of(table.row)
    assert set(table.key) <= set(columns)


def test_a_row_reads_as_it_was_written() -> None:
    assert reader_of(DeviceRow)(values_of(DEVICE)) == DEVICE


def test_what_a_row_did_not_have_yet_has_its_default() -> None:
    assert filled(HostRow, {"ip": "10.0.0.1"}) == HostRow("10.0.0.1")
    with pytest.raises(ValueError, match="no ip"):
        filled(HostRow, {})
