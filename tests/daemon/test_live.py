"""The daemon on an interface: a cable in a namespace of its own. Needs root."""

from __future__ import annotations

import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from watching import AS_USER, ROOT, Daemon

sys.path.insert(0, str(ROOT / "tests/capture"))

from veth import Cable, cable_of_ones_own

from egressd.capture.pcapfile import open_captures

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURE = ROOT / "pcaps/cloud-call.pcapng"
SITE = (ROOT / "pcaps/sites/cloud-call.yaml").read_text() + "metrics: {listen: off}\n"


def frames_of(capture: Path) -> list[bytes]:
    frames = []
    with open_captures([str(capture)]) as reader:
        for batch in reader:
            view = memoryview(batch.buffer)
            for row in range(batch.count):
                at = batch.offset[row]
                frames.append(bytes(view[at : at + batch.captured[row]]))
    return frames


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    (tmp_path / "net").mkdir()
    with cable_of_ones_own(tmp_path / "net") as made:
        yield made


@pytest.fixture
def daemon(cable: Cable, tmp_path: Path) -> Iterator[Daemon]:
    assert cable.sysfs.exists()  # the namespace is entered before the child is started
    with Daemon(tmp_path) as made:
        made.site.write_text(SITE + "interfaces: [mirror0]\n")
        yield made


def start(daemon: Daemon) -> None:
    daemon.start("--state", str(daemon.home / "state"))


def saved_frames(daemon: Daemon) -> int:
    with closing(sqlite3.connect(daemon.home / "state/state.sqlite")) as connection:
        row = connection.execute("SELECT frames FROM interfaces").fetchone()
    return int(row[0]) if row else 0


def test_what_a_mirror_shows_is_told_within_a_second(daemon: Daemon, cable: Cable) -> None:
    frames = frames_of(CAPTURE)
    start(daemon)
    began = time.monotonic()
    cable.send(frames)
    daemon.wait(daemon.findings, "alerted")
    assert time.monotonic() - began < 1.0 + len(frames) / 1000
    assert daemon.stop() == 0
    (alert, *_) = daemon.records("alert")
    assert alert["egressd"]["evidence"]["file"] == "mirror0"


def test_numbers_of_frames_go_on_over_a_restart(daemon: Daemon, cable: Cable) -> None:
    frames = frames_of(CAPTURE)[:10]
    for run in (1, 2):
        start(daemon)
        cable.send(frames)
        daemon.wait(lambda run=run: saved_frames(daemon) == 10 * run, "saved")  # type: ignore[misc]
        assert daemon.stop() == 0


def test_a_quiet_link_feeds_the_watchdog_and_ends_in_time(daemon: Daemon) -> None:
    daemon.environment = {"WATCHDOG_USEC": "200000"}
    start(daemon)
    daemon.wait(lambda: daemon.heard().count("WATCHDOG=1") >= 2, "alive")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 1


def test_it_watches_without_any_privilege(daemon: Daemon) -> None:
    start(daemon)
    daemon.wait_logged("new_interfaces_need_a_restart")
    assert "capabilities=none" in daemon.log.read_text()
    assert daemon.child is not None
    status = Path(f"/proc/{daemon.child.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert daemon.stop() == 0
    assert AS_USER  # of root alone


def test_a_reload_keeps_the_interface_and_says_that_a_new_one_needs_a_restart(
    daemon: Daemon, cable: Cable
) -> None:
    cable.plug("mirror1", "switch1")
    start(daemon)
    daemon.site.write_text(SITE + "interfaces: [mirror0, mirror1]\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_logged("interfaces_not_changed")
    daemon.wait_logged("reload_done")
    cable.send(frames_of(CAPTURE))
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0


def test_under_systemd_a_reload_opens_a_new_interface(daemon: Daemon, cable: Cable) -> None:
    daemon.environment = {"INVOCATION_ID": "0" * 32}
    cable.plug("mirror1", "switch1")
    start(daemon)
    daemon.site.write_text(SITE + "interfaces: [mirror1]\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_logged("reload_done")
    cable.send(frames_of(CAPTURE), by="switch1")
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
    assert "interfaces_not_changed" not in daemon.log.read_text()


def test_an_interface_that_goes_and_comes_back_is_told(daemon: Daemon, cable: Cable) -> None:
    start(daemon)
    cable.ip("link", "set", "mirror0", "down")
    daemon.wait_logged("state=down")
    cable.switch_on("switch0", "mirror0")
    daemon.wait_logged("state=up")
    cable.send(frames_of(CAPTURE))
    daemon.wait(daemon.findings, "alerted")
    assert daemon.stop() == 0
