"""The evidence folder holds whole files, a quota, and what weighs most."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from egressd.report import evidencefolder
from egressd.report.evidencefolder import EvidenceFolder, Quota
from egressd.report.pcapngwriter import Interface, Packet, Section, Writer, read_section

ROOT = Path(__file__).parents[2]
NOON = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z
HOUR = 3_600_000_000_000
DAY = 24 * HOUR
HIGH, MEDIUM, LOW = 1, 2, 3
WORDS = {HIGH: "high", MEDIUM: "medium", LOW: "low"}


def section(severity: int = HIGH, size: int = 1000, time: int = NOON) -> Section:
    return Section(
        Writer("Linux", "egressd"),
        [f"finding x\nseverity {WORDS[severity]}\nstage attempt"],
        [Interface("span0", 1)],
        [Packet(0, time, size, bytes(size), "shows it")],
    )


def put(
    folder: EvidenceFolder, finding: str, severity: int = HIGH, *, size: int = 1000, day: int = 0
) -> bool:
    return folder.put(finding, NOON + day * DAY, severity, section(severity, size))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_finding_has_a_file_in_the_folder_of_its_day(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence", Quota())
    assert put(folder, "a793d155a63c")
    assert names(tmp_path) == ["evidence/2026-11-22/a793d155a63c.pcapng"]
    path = folder.path_of("a793d155a63c")
    assert path is not None
    assert read_section(path.read_bytes()) == section()
    assert (folder.counts.files, folder.counts.bytes) == (1, path.stat().st_size)


def test_others_cannot_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        put(EvidenceFolder(tmp_path / "evidence", Quota()), "a793d155a63c")
    finally:
        os.umask(before)
    for path in (tmp_path / "evidence").rglob("*"):
        assert path.stat().st_mode & 0o007 == 0


def test_a_finding_that_grows_stays_one_file(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota())
    put(folder, "f-1", LOW)
    assert folder.put("f-1", NOON + DAY, HIGH, section(HIGH, 500, NOON - 1))
    (name,) = names(tmp_path)
    whole = read_section((tmp_path / name).read_bytes())
    assert whole is not None
    assert [len(packet.data) for packet in whole.packets] == [500, 1000]
    assert [comment.split("\n")[1] for comment in whole.comments] == [
        "severity high", "severity low",
    ]  # fmt: skip
    assert (folder.counts.files, folder.counts.written) == (1, 2)
    assert folder.counts.bytes == (tmp_path / name).stat().st_size


def test_after_a_restart_a_finding_goes_on_in_its_file(tmp_path: Path) -> None:
    put(EvidenceFolder(tmp_path, Quota()), "f-1")
    folder = EvidenceFolder(tmp_path, Quota())
    assert folder.counts.files == 1
    put(folder, "f-1", day=3)
    assert names(tmp_path) == ["2026-11-22/f-1.pcapng"]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_what_weighs_least_goes_first_and_of_that_the_oldest(
    tmp_path: Path,
    restarted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    folder = EvidenceFolder(tmp_path, Quota(files=6))
    order = [("h-old", HIGH), ("l-old", LOW), ("m-old", MEDIUM), ("l-new", LOW), ("h-new", HIGH)]
    for day, (finding, severity) in enumerate(order):
        put(folder, finding, severity, day=day)
    quota = Quota(files=3)
    folder = EvidenceFolder(tmp_path, quota) if restarted else folder
    folder._quota = quota  # noqa: SLF001 - as if it had been so all along
    put(folder, "m-new", MEDIUM, day=9)
    left = {Path(name).stem for name in names(tmp_path)}
    assert left <= {"h-old", "h-new", "m-new"}
    assert {"h-old", "h-new"} <= left
    assert folder.counts.evicted["low"] == 2
    assert folder.counts.evicted["high"] == 0


def test_a_rise_in_severity_protects_a_finding(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota(bytes=6_000))
    put(folder, "rises", LOW)
    put(folder, "rises", HIGH, size=10)
    for n in range(20):
        put(folder, f"low-{n}", LOW, day=1)
    assert folder.path_of("rises") is not None
    assert folder.counts.bytes <= 6_000
    assert folder.counts.evicted == {"low": 20 - folder.counts.files + 1}


def test_the_quota_in_bytes_holds_at_every_moment(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota(bytes=10_000))
    for n in range(50):
        put(folder, f"f-{n}", 1 + n % 3, size=100 * (n % 9))
        used = sum(path.stat().st_size for path in tmp_path.rglob("*.pcapng"))
        assert used == folder.counts.bytes <= 10_000


def test_evidence_older_than_the_days_goes_and_its_folder_too(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota(days=30))
    put(folder, "old")
    put(folder, "new", day=1)
    for hour in range(3):
        folder.expire(NOON + 31 * DAY + hour * HOUR)
    assert names(tmp_path) == ["2026-11-23/new.pcapng"]
    assert not (tmp_path / "2026-11-22").exists()
    assert (folder.counts.expired, folder.counts.files) == (1, 1)


def test_a_clock_that_jumps_costs_no_evidence(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota(days=30))
    put(folder, "f-1")
    for minute in range(120):
        folder.expire(NOON + minute * HOUR // 60)
    folder.expire(NOON + 4000 * DAY)
    folder.expire(NOON + 4000 * DAY + HOUR // 2)
    folder.expire(NOON + 2 * HOUR)
    assert folder.path_of("f-1") is not None


def test_a_clock_that_goes_on_evenly_is_believed(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota(days=30))
    put(folder, "f-1")
    for minute in range(61):
        folder.expire(NOON + 4000 * DAY + minute * HOUR // 60)
    assert folder.path_of("f-1") is None


def test_a_full_disk_is_counted_and_leaves_no_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = EvidenceFolder(tmp_path, Quota())
    put(folder, "f-1")
    before = (tmp_path / "2026-11-22/f-1.pcapng").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert not put(folder, "f-1")
    assert not put(folder, "f-2")
    assert names(tmp_path) == ["2026-11-22/f-1.pcapng"]
    assert (tmp_path / "2026-11-22/f-1.pcapng").read_bytes() == before
    assert folder.counts.lost == {"disk full": 2}
    monkeypatch.undo()
    assert put(folder, "f-2")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
@pytest.mark.program("unshare")
def test_a_really_full_disk_is_counted_and_writing_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    program = """
import sys
sys.path[:0] = ["tests/report", "."]
from pathlib import Path
from test_evidencefolder import *
mount = Path(sys.argv[1])
folder = EvidenceFolder(mount / "evidence", Quota())
(mount / "filler").write_bytes(bytes(60_000))
done = [put(folder, f"f-{n}", size=30_000) for n in range(4)]
(mount / "filler").unlink()
done.append(put(folder, "last", size=30_000))
print(done, dict(folder.counts.lost), names(mount))
"""
    script = f'mount -t tmpfs -o size=100k none "{tmp_path}" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == (
        "[True, False, False, False, True] {'disk full': 3} "
        "['evidence/2026-11-22/f-0.pcapng', 'evidence/2026-11-22/last.pcapng']\n"
    )


def test_a_folder_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota())
    (tmp_path / "2026-11-22").write_text("a file where the day's folder should be")
    assert not put(folder, "f-1")
    assert folder.counts.lost == {"not writable": 1}


def test_a_file_that_grew_to_the_bound_grows_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidencefolder, "FILE_BYTES", 3000)
    folder = EvidenceFolder(tmp_path, Quota())
    assert put(folder, "f-1", size=1000)
    assert put(folder, "f-1", size=1001)
    assert not put(folder, "f-1", size=1002)
    assert folder.counts.lost == {"file full": 1}


def test_a_file_that_others_changed_is_set_aside(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota())
    put(folder, "f-1")
    path = tmp_path / "2026-11-22/f-1.pcapng"
    path.write_bytes(path.read_bytes()[:-4])
    assert put(folder, "f-1")
    assert names(tmp_path) == ["2026-11-22/f-1.pcapng", "2026-11-22/f-1.pcapng.damaged"]
    assert folder.counts.set_aside == 1
    assert folder.counts.bytes == path.stat().st_size


def test_a_huge_file_in_place_of_ours_is_not_read(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, Quota())
    put(folder, "f-1")
    os.truncate(tmp_path / "2026-11-22/f-1.pcapng", (64 << 20) + 4)
    assert put(folder, "f-1")
    assert folder.counts.set_aside == 1


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    others = ["readme.txt", "2026-11-22/notes.txt", "old/f-1.pcapng", "2026-11-22/a b.pcapng"]
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    folder = EvidenceFolder(tmp_path, Quota(days=1, bytes=0, files=0))
    for hour in range(3):
        folder.expire(NOON + 400 * DAY + hour * HOUR)
    assert names(tmp_path) == sorted(others)
    assert folder.counts.files == 0


def test_what_a_killed_run_had_begun_is_cleared_away(tmp_path: Path) -> None:
    put(EvidenceFolder(tmp_path, Quota()), "f-1")
    (tmp_path / "2026-11-22/.f-2.abcdefgh.pcapng").write_bytes(b"half")
    EvidenceFolder(tmp_path, Quota())
    assert names(tmp_path) == ["2026-11-22/f-1.pcapng"]


@pytest.mark.parametrize("finding", ["", "../../etc/x", "a/b", ".hidden", "x" * 65, "a\0b"])
def test_a_name_that_could_lead_out_of_the_folder_is_refused(tmp_path: Path, finding: str) -> None:
    folder = EvidenceFolder(tmp_path / "evidence", Quota())
    assert not put(folder, finding)
    assert names(tmp_path) == []
    assert folder.counts.lost == {"bad id": 1}


def test_killed_at_any_moment_it_leaves_whole_files(tmp_path: Path) -> None:
    program = """
import sys
sys.path[:0] = ["tests/report", "."]
from pathlib import Path
from test_evidencefolder import *
folder = EvidenceFolder(Path(sys.argv[1]), Quota())
print("go", flush=True)
for n in range(10**9):
    put(folder, f"f-{n % 7}", 1 + n % 3, size=50 + n % 900)
"""
    for attempt in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        time.sleep(0.05 + 0.03 * attempt)
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
        child.stdout.close()
        files = list(tmp_path.glob("*/f-*.pcapng"))
        assert files
        for path in files:
            assert read_section(path.read_bytes()) is not None
        EvidenceFolder(tmp_path, Quota())
        assert list(tmp_path.glob("*/.*")) == []
