"""What the service manager hears: sd_notify(3) over a socket of the test's own."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from egressd.daemon.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(2)
        yield heard


def test_readiness_and_status_are_told(manager: socket.socket) -> None:
    with Notifier(manager.getsockname()) as notifier:
        notifier.ready("1 frame")
    assert manager.recv(999) == b"READY=1\nSTATUS=1 frame"


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    with Notifier(manager.getsockname()) as notifier:
        notifier.reloading(12_345_678)
    assert manager.recv(999) == b"RELOADING=1\nMONOTONIC_USEC=12345"


def test_the_end_is_told(manager: socket.socket) -> None:
    with Notifier(manager.getsockname()) as notifier:
        notifier.stopping()
    assert manager.recv(999).startswith(b"STOPPING=1\n")


def test_a_status_stays_one_line(manager: socket.socket) -> None:
    with Notifier(manager.getsockname()) as notifier:
        notifier.status("a\nREADY=1" + "x" * 999)
    assert b"\n" not in manager.recv(999)


def test_an_abstract_socket_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0egressd-test-{os.getpid()}")
        heard.settimeout(2)
        with Notifier.of({"NOTIFY_SOCKET": f"@egressd-test-{os.getpid()}"}) as notifier:
            assert notifier.is_heard
            notifier.status("here")
        assert heard.recv(999) == b"STATUS=here"


@pytest.mark.parametrize(
    ("environment", "watchdog"),
    [
        pytest.param({"WATCHDOG_USEC": "30000000"}, 30_000_000_000, id="for anybody"),
        pytest.param({"WATCHDOG_USEC": "5", "WATCHDOG_PID": str(os.getpid())}, 5_000, id="for us"),
        pytest.param({"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}, None, id="for another"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="zero"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="no number"),
        pytest.param({}, None, id="none"),
    ],
)
def test_the_watchdog_is_for_whom_it_is_meant(
    environment: dict[str, str], watchdog: int | None
) -> None:
    with Notifier.of({"NOTIFY_SOCKET": "@none", **environment}) as notifier:
        assert notifier.watchdog == watchdog


def test_life_is_told_only_where_a_watchdog_listens(manager: socket.socket) -> None:
    with Notifier(manager.getsockname()) as notifier:
        notifier.alive()
    with Notifier(manager.getsockname(), watchdog=5) as notifier:
        notifier.alive()
    assert manager.recv(999) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234"])
def test_nobody_there_is_no_error(address: str | None) -> None:
    notifier = Notifier.of({} if address is None else {"NOTIFY_SOCKET": address})
    notifier.ready("to nobody")
    assert not notifier.is_heard
    assert notifier.failures == 0


def test_a_manager_that_went_away_is_counted(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "gone"))
    notifier.status("heard by nobody")
    assert notifier.failures == 1
    notifier.close()
    notifier.status("after the end")
    assert notifier.failures == 1


def test_a_manager_that_does_not_read_is_not_waited_for(manager: socket.socket) -> None:
    with Notifier(manager.getsockname()) as notifier:
        for _ in range(1000):  # more than the kernel queues (net.unix.max_dgram_qlen)
            notifier.status("unread")
        assert notifier.failures > 0
