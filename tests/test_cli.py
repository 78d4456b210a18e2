"""The command line: what stands where, and what the exit status says.

The engine is a stand-in that counts frames and finds what it is told to, so that
these tests are about the shell around it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd import __version__
from egressd.cli import moment_of

NOON = 1_795_348_800  # 2026-11-22T12:00:00Z
# Two frames: an Ethernet broadcast of 60 zero bytes behind its addresses, one second apart.
FRAME = bytes.fromhex("ffffffffffff 00005e005301 0800") + bytes(46)
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
RECORDS = b"".join(struct.pack("<IIII", NOON + s, 0, 60, 60) + FRAME for s in (0, 1))

STAND_IN = """
    import sys, types
    from egressd import model

    class Engine:
        def __init__(self, site, *, services, geo, judge, log, decoder, silent):
            self.coverage = model.Coverage()
            self.camera = model.Camera("00:00:5e:00:53:01", name="gate-1")
            self.site = site
        def feed(self, batch, sources):
            {feeding}
            for row in range(batch.count):
                self.coverage.first = self.coverage.first or batch.time[row]
                self.coverage.last = batch.time[row]
                self.coverage.wire_bytes += batch.wire[row]
            self.coverage.frames += batch.count
            return [model.CameraEvent(batch.time[0], self.camera)]
        def finish(self):
            return [model.CoverageEvent(self.coverage.last, self.coverage)]
        def case(self):
            found = {finds} and [model.Finding(
                "f-1", "rule", 1, self.camera, model.Destination("192.0.2.7", 443, "tcp"),
                model.Direction.OUTBOUND, model.Stage.PAYLOAD, 1, 2, reason="It called home.",
                evidence=[model.FrameRef(sys.argv[2], 1)],
            )]
            return model.Case(self.site.name, cameras=[self.camera], findings=found or [],
                              coverage=self.coverage)

    module = types.ModuleType("egressd.assembly")
    module.assemble = Engine
    sys.modules["egressd.assembly"] = module
    from egressd.cli import main
    main()
"""


REAL = "from egressd.cli import main; main()"


class Program:
    """egressd with a stand-in for its engine."""

    def __init__(self, finds: bool = False, feeding: str = "pass") -> None:  # noqa: FBT001, FBT002 - a test's switch
        self.code = dedent(STAND_IN).format(finds=finds, feeding=feeding)

    def command(self, *arguments: str) -> list[str]:
        """Return what starts it."""
        return [sys.executable, "-c", self.code, *arguments]

    def __call__(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, check=False, timeout=60
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)


finds_nothing, finds = Program(), Program(finds=True)


@pytest.fixture
def capture(tmp_path: Path) -> str:
    path = tmp_path / "a.pcap"
    path.write_bytes(HEADER + RECORDS)
    return str(path)


@pytest.fixture
def cut(tmp_path: Path) -> str:
    path = tmp_path / "cut.pcap"
    path.write_bytes(HEADER + RECORDS[:-5])
    return str(path)


def test_no_finding_is_0(capture: str) -> None:
    done = finds_nothing("replay", capture)
    assert done.returncode == 0
    assert "2 frames" in done.stdout
    assert "not proof" in done.stdout
    assert not done.stderr


def test_a_finding_is_1(capture: str) -> None:
    done = finds("replay", capture)
    assert done.returncode == 1
    assert "1 camera calls home: gate-1" in done.stdout


def test_fail_on_never_turns_1_into_0(capture: str) -> None:
    assert finds("replay", capture, "--fail-on", "never").returncode == 0


# A record of 60 bytes: in a file whose snaplen is 59, and with 59 bytes on the wire.
SHORT_SNAPLEN = HEADER[:16] + struct.pack("<I", 59) + HEADER[20:] + RECORDS
SHORT_WIRE = HEADER + RECORDS[:12] + struct.pack("<I", 59) + RECORDS[16:]


@pytest.mark.parametrize(
    ("content", "told"),
    [(SHORT_SNAPLEN, "snaplen of 59"), (SHORT_WIRE, "fewer bytes on the wire than captured")],
    ids=["snaplen", "wire length"],
)
def test_a_damaged_capture_is_3_even_if_all_was_read(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    done = finds("replay", str(path))
    assert done.returncode == 3
    words = " ".join(done.stdout.split())
    assert "2 frames" in words
    assert told in words
    assert "(at byte 24)" in words
    assert "though every frame of it was read" in words


def test_an_unknown_minor_version_is_told_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(HEADER[:6] + struct.pack("<H", 5) + HEADER[8:] + RECORDS)
    done = finds_nothing("replay", str(path))
    assert done.returncode == 0
    assert "unknown version 2.5" in done.stdout


def test_a_folder_without_a_capture_is_3(tmp_path: Path) -> None:
    done = finds_nothing("replay", str(tmp_path))
    assert done.returncode == 3
    assert "there is no capture in this folder" in " ".join(done.stdout.split())


def test_a_file_that_is_given_twice_is_read_once(capture: str) -> None:
    done = finds_nothing("replay", capture, str(Path(capture).parent), "--json", "-")
    assert done.returncode == 0
    case = json.loads(done.stdout)
    assert [item["frames"] for item in case["inputs"]] == [2]
    assert case["warnings"] == [f"Given more than once, and read once: {capture}"]


def test_a_cut_capture_is_3_and_beats_1(cut: str) -> None:
    for options in ([], ["--fail-on", "never"]):
        done = finds("replay", cut, *options)
        assert done.returncode == 3
        assert "1 camera calls home" in done.stdout


@pytest.mark.parametrize("content", [b"", b"this is no capture"], ids=["empty", "text"])
def test_what_is_no_capture_is_3(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert finds_nothing("replay", str(tmp_path / "x")).returncode == 3


def test_an_unknown_link_type_is_3(tmp_path: Path) -> None:
    # LINKTYPE_USER0 (147): private use, so that nobody can know what is in there.
    header = HEADER[:20] + struct.pack("<I", 147)
    (tmp_path / "user.pcap").write_bytes(header + RECORDS)
    done = subprocess.run(
        [sys.executable, "-c", REAL, "replay", str(tmp_path / "user.pcap")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "2 frames are of a link type that cannot be read" in done.stdout


USAGE = {
    "a missing path": ["replay", "nowhere.pcap"],
    "no path": ["replay"],
    "both on standard output": ["replay", "-", "--eve", "-", "--json", "-"],
    "stdin twice": ["replay", "-", "-"],
    "an unknown option": ["replay", "-", "--colour"],
    "an unknown judge": ["replay", "-", "--judge", "me"],
    "a time that is none": ["replay", "-", "--since", "yesterday"],
    "an empty span": ["replay", "-", "--since", "5", "--until", "5"],
    "a missing site file": ["replay", "-", "--site", "nowhere.yaml"],
    "missing rules": ["replay", "-", "--rules", "nowhere"],
    "a missing database": ["replay", "-", "--geo", "nowhere.mmdb"],
    "a missing folder": ["replay", "-", "--json", "nowhere/case.json"],
    "a missing folder for events": ["replay", "-", "--eve", "nowhere/eve.json"],
    "one file for two": ["replay", "-", "--json", "x", "--eve", "./x"],
    "an unknown command": ["replai"],
    "a missing site file to check": ["check", "--site", "nowhere.yaml"],
    "no name of a capture": ["replay", ""],
    "no name of a capture to explain": ["explain", "", "f-1"],
    "no name for events": ["replay", "-", "--eve", ""],
    "no name for the case file": ["replay", "-", "--json", ""],
    "explaining a pipe": ["explain", "-", "f-1"],
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE.keys())
def test_what_cannot_run_is_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = finds_nothing(*arguments, stdin=HEADER + RECORDS)
    assert done.returncode == 2
    assert done.stderr
    assert not done.stdout


def test_an_empty_name_is_told_with_what_to_give(capture: str) -> None:
    assert "CAPTURE is empty: give" in finds_nothing("replay", "").stderr
    assert "--eve is empty: give" in finds_nothing("replay", capture, "--eve", "").stderr
    assert "--json is empty: give" in finds_nothing("replay", capture, "--json", "").stderr


def test_a_case_file_that_cannot_be_written_is_told_before_the_run(
    capture: str, tmp_path: Path
) -> None:
    target, eve = tmp_path / "nowhere/case.json", tmp_path / "eve.json"
    done = finds_nothing("replay", capture, "--json", str(target), "--eve", str(eve))
    assert done.returncode == 2
    assert done.stderr == f"egressd: {target}: No such file or directory\n"
    assert not eve.exists()


def test_a_span_beyond_the_clock_is_no_error(capture: str) -> None:
    done = finds_nothing("replay", capture, "--since", "0001-01-01", "--until", "9999-12-31")
    assert done.returncode == 0
    assert "2 frames" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_none_to_fail_on(capture: str, tmp_path: Path, closed: str) -> None:
    case = tmp_path / "case.json"
    command = shlex.join(finds.command("replay", capture, "--json", str(case)))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads(case.read_text())["inputs"][0]["frames"] == 2


def test_an_input_is_not_overwritten(capture: str) -> None:
    for option in ("--eve", "--json"):
        done = finds_nothing("replay", capture, option, capture)
        assert done.returncode == 2
        assert "would be overwritten" in done.stderr
    assert Path(capture).read_bytes() == HEADER + RECORDS


def test_eve_on_standard_output_sends_the_table_to_the_other(capture: str) -> None:
    done = finds("replay", capture, "--eve", "-")
    assert [json.loads(line)["event_type"] for line in done.stdout.splitlines()] == [
        "camera",
        "coverage",
    ]
    assert "1 camera calls home" in done.stderr


def test_the_case_file_on_standard_output_is_all_there_is(capture: str) -> None:
    done = finds("replay", capture, "--json", "-")
    case = json.loads(done.stdout)
    assert case["inputs"] == [{"file": capture, "bytes": 176, "frames": 2, "damage": []}]
    assert "1 camera calls home" in done.stderr


def test_reports_go_to_files(capture: str, tmp_path: Path) -> None:
    eve, case = tmp_path / "eve.json", tmp_path / "case.json"
    done = finds("replay", capture, "--eve", str(eve), "--json", str(case))
    assert "1 camera calls home" in done.stdout
    assert len(eve.read_text().splitlines()) == 2
    assert json.loads(case.read_text())["findings"][0]["finding"] == "f-1"


def test_a_replay_twice_writes_the_same_bytes(capture: str) -> None:
    first, second = (finds("replay", capture, "--json", "-").stdout for _ in range(2))
    assert first == second


def test_standard_input_is_a_capture() -> None:
    done = finds_nothing("replay", "-", "--json", "-", stdin=HEADER + RECORDS)
    assert done.returncode == 0
    assert json.loads(done.stdout)["inputs"][0]["bytes"] is None


def test_since_is_in_and_until_is_out(capture: str) -> None:
    def frames(*options: str) -> int:
        done = finds_nothing("replay", capture, "--json", "-", *options)
        return int(json.loads(done.stdout)["coverage"]["frames"])

    assert frames("--since", "2026-11-22T12:00:01Z") == 1
    assert frames("--until", "2026-11-22 12:00:01") == 1
    assert frames("--since", str(NOON), "--until", "2026-11-22T14:00:02+02:00") == 2


def test_several_captures_are_counted_apart(capture: str, tmp_path: Path) -> None:
    other = tmp_path / "b.pcap"
    other.write_bytes(HEADER + RECORDS[:76])
    done = finds_nothing("replay", capture, str(other), "--json", "-")
    assert [item["frames"] for item in json.loads(done.stdout)["inputs"]] == [2, 1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("option", ["--eve", "--json"])
def test_a_full_disk_is_2_and_said(capture: str, option: str) -> None:
    done = finds("replay", capture, option, "/dev/full")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_table_that_cannot_be_written_is_2(capture: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            finds.command("replay", capture),
            stdout=full,
            stderr=subprocess.PIPE,
            # Buffered: what is left at exit must not be tried again, or Python ends with 120.
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("egressd: cannot write: No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["--version"], ["check"], ["replay"]])
def test_nowhere_to_write_at_all_is_2(capture: str, arguments: list[str]) -> None:
    asked = [*arguments, capture] if arguments == ["replay"] else arguments
    with Path("/dev/full").open("w") as full:
        # What is still buffered at exit must not be tried again: Python would end with 120.
        buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        done = subprocess.run(
            finds.command(*asked), stdout=full, stderr=full, env=buffered, check=False
        )
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("options", "status"), [([], 1), (["--eve", "-"], 3)], ids=["table", "events"]
)
def test_a_closed_pipe_is_quiet(capture: str, options: list[str], status: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            finds.command("replay", capture, *options),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (status, "")


def interrupt(process: subprocess.Popen[bytes], marker: Path) -> None:
    """Send Ctrl-C once the program has come to `marker`."""
    for _ in range(500):
        if marker.exists():
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("moment", ["waiting", "at work"])
def test_ctrl_c_leaves_a_valid_report(tmp_path: Path, moment: str) -> None:
    marker, case = tmp_path / "came", tmp_path / "case.json"
    work = f"open({str(marker)!r}, 'w').close()"
    if moment == "at work":
        work += "; __import__('time').sleep(1)"
    process = subprocess.Popen(
        Program(finds=True, feeding=work).command("replay", "-", "--json", str(case)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    # Enough frames for a first batch; the pipe stays open, so that more could come.
    process.stdin.write(HEADER + RECORDS * 1000)
    process.stdin.flush()
    interrupt(process, marker)
    # The pipe is still open: the program must not wait for its end.
    assert process.wait(timeout=30) == 3
    out, err = process.communicate()
    assert b"interrupted" in out
    assert b"Traceback" not in err
    read = json.loads(case.read_text())
    assert (read["interrupted"], read["whole"]) == (True, False)


def test_a_broken_site_file_is_2_with_its_place(capture: str, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("site: {networks: [10.20.0.0/16]}\nkamera: []\n")
    for arguments in (["replay", capture], ["check"]):
        done = finds_nothing(*arguments, "--site", str(site))
        assert done.returncode == 2
        assert f"{site}:2:1" in done.stderr


def test_a_good_site_file_passes_the_check(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("site: {networks: [10.20.0.0/16]}\n")
    done = finds_nothing("check", "--site", str(site))
    assert (done.returncode, done.stdout) == (0, "ok\n")


@pytest.mark.program("tshark")
def test_explain_shows_the_packets(capture: str) -> None:
    done = finds("explain", capture, "f-1")
    assert done.returncode == 0
    assert "It called home." in done.stdout
    assert "00:00:5e:00:53:01" in done.stdout


def test_a_bug_is_not_a_finding(capture: str) -> None:
    done = subprocess.run(
        Program(feeding="raise KeyError(1)").command("replay", capture),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith("this is a bug in egressd; please report it with the lines above\n")


def test_explain_knows_what_was_meant(capture: str) -> None:
    done = finds("explain", capture, "f1")
    assert done.returncode == 2
    assert "did you mean f-1?" in done.stderr


def test_version_is_said() -> None:
    done = finds_nothing("--version")
    assert (done.returncode, done.stdout) == (0, f"egressd {__version__}\n")


def test_version_loads_nothing_heavy() -> None:
    code = "import sys, egressd.cli; print(*(set(sys.modules) & set(sys.argv)))"
    heavy = ["rich", "pydantic", "yaml", "maxminddb", "cryptography", "egressd.replay"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert not done.stdout.strip()


@pytest.mark.parametrize("command", ["replay", "explain", "check"])
def test_help_names_every_option(command: str) -> None:
    done = finds_nothing(command, "--help")
    assert done.returncode == 0
    assert "--site" in done.stdout


def test_the_real_engine_replays(capture: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REAL, "replay", capture, "--json", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["coverage"]["frames"] == 2


@pytest.mark.parametrize(
    ("text", "seconds", "nanoseconds"),
    [
        ("2026-11-22T12:00:00Z", NOON, 0),
        ("2026-11-22T12:00:00", NOON, 0),
        ("2026-11-22 12:00:00", NOON, 0),
        ("2026-11-22 12:00", NOON, 0),
        ("2026-11-22", NOON - 43_200, 0),
        ("2026-11-22T14:00:00+02:00", NOON, 0),
        ("2026-11-22T12:00:00.123456789Z", NOON, 123_456_789),
        ("2026-11-22 12:00:00,5", NOON, 500_000_000),
        (str(NOON), NOON, 0),
        (f"{NOON}.000000001", NOON, 1),
        ("-1.5", -2, 500_000_000),
        (" 0 ", 0, 0),
        ("1969-12-31T23:59:59.25Z", -1, 250_000_000),
    ],
)
def test_a_moment_is_read(text: str, seconds: int, nanoseconds: int) -> None:
    assert moment_of(text) == seconds * 1_000_000_000 + nanoseconds


@settings(max_examples=200)
@given(st.text(alphabet="0123456789-:T.,+Z ", max_size=32))
def test_a_moment_is_a_number_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        assert isinstance(moment_of(text), int)
