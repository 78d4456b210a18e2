"""The daemon as a whole, as a child that follows a folder: signals, reload, restarts, watchdog."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from watching import ROOT, Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Egressd

BUSY = ROOT / "pcaps/demo.pcapng"
CAPTURE = ROOT / "pcaps/cloud-call.pcapng"
SITE = (ROOT / "pcaps/sites/cloud-call.yaml").read_text() + "metrics: {listen: off}\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as made:
        made.site.write_text(SITE)
        yield made


def findings_of(egressd: Egressd, capture: Path, site: Path, eve: Path) -> list[str]:
    egressd("replay", str(capture), "--site", str(site), "--eve", str(eve))
    records = [json.loads(line) for line in eve.read_text().splitlines()]
    return [r["egressd"]["finding"] for r in records if r["event_type"] == "alert"]


def test_it_tells_what_a_replay_tells(daemon: Daemon, egressd: Egressd, tmp_path: Path) -> None:
    expected = findings_of(egressd, CAPTURE, daemon.site, tmp_path / "replay.json")
    assert expected
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start()
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
    assert daemon.findings() == expected


def test_a_capture_that_grows_is_told_of_at_once(daemon: Daemon) -> None:
    whole = CAPTURE.read_bytes()
    path = daemon.folder / "growing"
    path.write_bytes(whole[: len(whole) // 2])
    daemon.start()
    with path.open("ab") as stream:
        stream.write(whole[len(whole) // 2 :])
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_good_order_and_soon(daemon: Daemon, number: signal.Signals) -> None:
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start()
    began = time.monotonic()
    daemon.send(number)
    assert daemon.end() == 0
    assert time.monotonic() - began < 2
    assert "STOPPING=1" in daemon.heard()
    assert "watch_stopped" in daemon.log.read_text()


HANGING = """
from egressd.engine import Engine
import time
import urllib.request
Engine.finish = lambda self: time.sleep(60)
from egressd.cli import main; main()
"""


def test_a_second_signal_ends_it_at_once(daemon: Daemon) -> None:
    daemon.code = HANGING
    daemon.start()
    daemon.send(signal.SIGTERM)
    daemon.wait(lambda: "STOPPING=1" in daemon.heard(), "stopping")
    daemon.send(signal.SIGTERM)
    assert daemon.end() == 3


# ---- reload and log files -----------------------------------------------------------------------


def test_a_good_site_file_is_taken(daemon: Daemon) -> None:
    daemon.start()
    daemon.site.write_text(SITE.replace("10.20.0.0/16", "10.0.0.0/8"))
    daemon.send(signal.SIGHUP)
    daemon.wait_logged("reload_done")
    daemon.wait(lambda: daemon.heard().count("READY=1") == 2, "ready again")
    words = daemon.heard().splitlines()
    first = words.index("RELOADING=1")
    assert words[first + 1].startswith("MONOTONIC_USEC=")
    assert "READY=1" in words[first:]
    assert daemon.stop() == 0


def test_a_bad_site_file_keeps_the_old_one_and_says_so(daemon: Daemon) -> None:
    daemon.start()
    daemon.site.write_text("site: {networks: [10.20.0.0/33]}\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_logged("reload_failed")
    assert "site.yaml:1:" in daemon.log.read_text()
    daemon.wait(lambda: "the last reload failed" in daemon.heard(), "told in the status")
    shutil.copy(CAPTURE, daemon.folder)
    daemon.wait(daemon.findings, "alerted by the old file")
    assert daemon.stop() == 0


def test_what_was_found_before_a_reload_is_not_told_again(daemon: Daemon) -> None:
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start()
    daemon.wait(daemon.findings, "alerted")
    before = daemon.findings()
    daemon.send(signal.SIGHUP)
    daemon.wait_logged("reload_done")
    assert daemon.stop() == 0
    assert daemon.findings() == before


def test_a_log_that_was_moved_away_is_begun_anew(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    daemon.wait(daemon.eve.exists, "there")
    daemon.eve.rename(tmp_path / "old.json")
    daemon.send(signal.SIGUSR1)
    daemon.wait_logged("files_reopened")
    daemon.wait(daemon.eve.exists, "there again")
    shutil.copy(CAPTURE, daemon.folder)
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0


# ---- restarts -----------------------------------------------------------------------------------


def test_a_restart_reads_no_frame_twice_and_tells_nothing_twice(daemon: Daemon) -> None:
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start()
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
    before = daemon.findings()
    daemon.start()
    assert daemon.stop() == 0
    assert daemon.findings() == before
    assert "watch_stopped frames=0 " in daemon.log.read_text()


def counted_in(state: Path) -> tuple[object, ...]:
    """Return what a state file says of contacts and frames."""
    with closing(sqlite3.connect(state)) as connection:
        contacts = connection.execute(
            "SELECT ip, port, transport, stage, bytes_out, bytes_in, packets_out, packets_in, "
            "flows FROM episodes WHERE ip IS NOT NULL ORDER BY ip, port"
        ).fetchall()
        totals = connection.execute(
            "SELECT camera, party, bytes_out, bytes_in FROM totals ORDER BY camera, party"
        ).fetchall()
        (coverage,) = connection.execute("SELECT value FROM meta WHERE key = 'coverage'").fetchone()
    return contacts, totals, json.loads(coverage)["frames"]


def test_a_kill_at_any_moment_loses_nothing_of_a_folder_and_counts_nothing_twice(
    daemon: Daemon, tmp_path: Path
) -> None:
    whole = BUSY.read_bytes()
    (tmp_path / "once").mkdir()
    with Daemon(tmp_path / "once") as once:
        once.site.write_text(daemon.site.read_text())
        shutil.copy(BUSY, once.folder / "growing")
        once.start()
        once.wait(once.findings, "alerted")
        assert once.stop() == 0
        expected = counted_in(once.home / "state/state.sqlite")
        findings = set(once.findings())
    with (daemon.folder / "growing").open("wb", buffering=0) as stream:
        for part in range(8):
            stream.write(whole[part * len(whole) // 8 : (part + 1) * len(whole) // 8])
            daemon.start()
            time.sleep(0.07 * part)  # it dies while it reads, while it saves, while it is idle
            daemon.kill()
    daemon.start()
    daemon.wait(lambda: findings <= set(daemon.findings()), "alerted")
    assert daemon.stop() == 0
    assert counted_in(daemon.home / "state/state.sqlite") == expected
    assert set(daemon.findings()) == findings


def test_a_newer_state_is_refused(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.stop() == 0
    with closing(sqlite3.connect(daemon.home / "state/state.sqlite")) as connection:
        connection.execute("PRAGMA user_version=99")
    daemon.start(ready=False)
    assert daemon.end() == 2
    assert "was written by a newer egressd" in daemon.log.read_text()


def test_a_damaged_state_is_set_aside_and_the_watch_goes_on(daemon: Daemon) -> None:
    (daemon.home / "state/state.sqlite").write_bytes(b"no database" * 999)
    daemon.start()
    daemon.wait_logged("state_damaged")
    assert daemon.stop() == 0
    assert (daemon.home / "state/state.sqlite.damaged-1").exists()


def test_two_cannot_share_a_state(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    (tmp_path / "other").mkdir()
    with Daemon(tmp_path / "other") as other:
        other.start(
            "--follow", str(daemon.folder), "--state", str(daemon.home / "state"), ready=False
        )
        assert other.end() == 2
        assert "another egressd watch" in other.log.read_text()
    assert daemon.stop() == 0


def test_without_a_state_it_says_so_and_watches(daemon: Daemon) -> None:
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start("--follow", str(daemon.folder))
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
    assert "state_not_kept" in daemon.log.read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["--judge", "all"], "nothing to watch", id="nothing"),
        pytest.param(["span0", "--follow", "."], "exclude each other", id="both"),
        pytest.param(["--follow", "/nonexistent"], "No such file", id="no folder"),
        pytest.param(["no-such-if0"], "no-such-if0", id="no interface"),
    ],
)
def test_what_cannot_be_watched_is_said(daemon: Daemon, options: list[str], says: str) -> None:
    daemon.start(*options, ready=False)
    assert daemon.end() == 2
    log = daemon.log.read_text()
    assert says in log
    assert "Traceback" not in log


# ---- watchdog -----------------------------------------------------------------------------------


def test_a_quiet_folder_feeds_the_watchdog(daemon: Daemon) -> None:
    daemon.environment = {"WATCHDOG_USEC": "200000"}
    daemon.start()
    daemon.wait(lambda: daemon.heard().count("WATCHDOG=1") >= 2, "alive")
    assert daemon.stop() == 0


BLOCKED = """
from egressd.engine import Engine
import time
import urllib.request
Engine.feed = lambda self, batch, sources: time.sleep(60)
from egressd.cli import main; main()
"""


def test_an_engine_that_is_stuck_starves_the_watchdog(daemon: Daemon) -> None:
    daemon.code = BLOCKED
    daemon.environment = {"WATCHDOG_USEC": "200000"}
    daemon.start()
    daemon.wait(lambda: "WATCHDOG=1" in daemon.heard(), "alive")
    shutil.copy(CAPTURE, daemon.folder)
    time.sleep(0.8)  # the folder is looked at, and the engine is stuck
    before = daemon.heard().count("WATCHDOG=1")
    time.sleep(0.5)
    assert daemon.heard().count("WATCHDOG=1") == before


# ---- what it is joined to -----------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_metrics_tell_of_cameras_findings_reloads_and_the_state(daemon: Daemon) -> None:
    port = free_port()
    shown = daemon.site.read_text().replace("{listen: off}", f'{{listen: "127.0.0.1:{port}"}}')
    daemon.site.write_text(shown)
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start()

    def scraped() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:  # not yet ready
            return ""

    daemon.wait(lambda: "egressd_findings_total" in scraped(), "shown")
    daemon.wait(
        lambda: 'egressd_findings_total{rule="cloud-contact",severity="high"} 2.0' in scraped(),
        "counted",
    )
    daemon.site.write_text("site: 7\n")
    daemon.send(signal.SIGHUP)
    daemon.wait(lambda: "egressd_config_last_reload_successful 0.0" in scraped(), "told")
    text = scraped()
    assert 'egressd_camera_bytes_total{camera="' in text
    assert 'egressd_contacts_total{party="vendor",permitted="no",stage="payload"} 1.0' in text
    assert "egressd_config_reload_failures_total 1.0" in text
    daemon.kill()  # what was shown is kept
    before = [line for line in text.splitlines() if line.startswith("egressd_camera_bytes_total{")]
    daemon.site.write_text(shown)
    daemon.start()
    daemon.wait(lambda: all(line in scraped() for line in before), "counted on")
    assert daemon.stop() == 0


def test_the_frames_of_a_finding_are_kept_as_evidence(daemon: Daemon) -> None:
    shutil.copy(CAPTURE, daemon.folder)
    daemon.start()
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
    kept = {path.stem for path in (daemon.home / "state/evidence").rglob("*.pcapng")}
    assert set(daemon.findings()) <= kept


def test_a_canary_that_does_not_come_makes_the_sensor_blind(daemon: Daemon) -> None:
    key = daemon.home / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)
    daemon.site.write_text(SITE + f"canary: {{key_file: {key}, interval: 1s}}\n")
    daemon.start()
    shutil.copy(BUSY, daemon.folder)  # which has none in its 23 seconds
    daemon.wait_logged("sensor_blind reason=canary_missed")
    assert daemon.stop() == 0


FEW_SOURCES = """
import egressd.capture.follow
egressd.capture.follow.MAX_SOURCES = 1_024 + 2
from egressd.cli import main; main()
"""


def test_a_folder_of_more_files_than_there_are_numbers_is_followed_on(daemon: Daemon) -> None:
    daemon.code = FEW_SOURCES
    for number in range(5):
        (daemon.folder / f"{number}").write_bytes((ROOT / "pcaps/clean-site.pcapng").read_bytes())
    daemon.start()
    daemon.wait_logged("intake_renewed")
    shutil.copy(CAPTURE, daemon.folder)
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
