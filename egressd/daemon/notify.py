"""What systemd is told: ready, reloading, stopping, a line of status, and that we are alive.

The protocol of sd_notify(3): datagrams of `KEY=value` lines to the socket that the environment
names. Nobody there is no error. A datagram that does not get through is counted; the watchdog
then does what it is for. Whether we are alive is not decided here.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egressd.model import Nanoseconds

MICROSECOND: Nanoseconds = 1_000
LONGEST_STATUS = 400  # characters


class Notifier:
    """The way to the service manager; `watchdog` is how often it wants to hear that we live."""

    def __init__(self, address: str | None = None, watchdog: Nanoseconds | None = None) -> None:
        self._address = _spelled(address) if address else None
        self._socket: socket.socket | None = None
        self.watchdog = watchdog
        self.failures = 0
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Return the notifier that NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID ask for."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@"):  # vsock: is for virtual machines' own systemd
            return cls()
        return cls(address, _watchdog_of(environment))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """Say that the work has begun, or goes on after a reload."""
        self._send("READY=1", f"STATUS={_line(status)}")

    def reloading(self, monotonic: Nanoseconds) -> None:
        """Say that a reload has begun (systemd's Type=notify-reload wants to know when)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic // MICROSECOND}")

    def stopping(self) -> None:
        """Say that we are about to end."""
        self._send("STOPPING=1", "STATUS=stopping")

    def status(self, text: str) -> None:
        """Give the line that `systemctl status` shows."""
        self._send(f"STATUS={_line(text)}")

    def alive(self) -> None:
        """Say that frames are really looked at."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Give up the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            # Never wait: a manager that does not read must not stop us from looking at frames.
            self._socket.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT, self._address)
        except OSError:
            self.failures += 1


def _spelled(address: str) -> str:
    """Return a socket's address as the kernel has it: an abstract one begins with a zero byte."""
    return "\0" + address[1:] if address.startswith("@") else address


def _watchdog_of(environment: Mapping[str, str]) -> Nanoseconds | None:
    """Return the watchdog's time (sd_watchdog_enabled(3)), or None if none is meant for us."""
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) * MICROSECOND


def _line(text: str) -> str:
    return text.replace("\n", " ")[:LONGEST_STATUS]
