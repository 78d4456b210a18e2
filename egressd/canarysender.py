"""Sends canaries: one signed datagram an interval to one address on the same network.

For a host beside the cameras, so that whoever watches the mirror knows that it still shows
something (`canary` says what is sent, and who reads it). It needs no privilege, listens to nothing
and asks no resolver. Every datagram has a hop limit of 1, so that no router passes it on, and a
socket of its own, so that it is a flow of its own for whoever watches.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

from egressd.canary import write_canary
from egressd.model import ConfigError
from egressd.settings.canary import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.model import Seconds

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
LEAST_INTERVAL_SECONDS = 1
HOPS = 1  # IP_TTL, IPV6_UNICAST_HOPS: a router would have to throw it away
BRACKETED = re.compile(r"\[([^\]]*)\](?::([0-9]+))?")
BROADCAST = "255.255.255.255"


@dataclass(frozen=True, slots=True)
class Target:
    """The one address that is sent to."""

    ip: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """The socket's family."""
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def target_of(text: str) -> Target:
    """Return the target that a person wrote: 10.20.0.1, 10.20.0.1:9, fd12::1 or [fd12::1]:9."""
    host, port = text.strip(), str(DEFAULT_PORT)
    bracketed = BRACKETED.fullmatch(host)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2] or port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        address = ip_address(host)
    except ValueError:
        raise ConfigError(
            f"--to {text!r}: no address; write the gateway's own, such as 10.20.0.1 or 10.20.0.1:9"
        ) from None
    if address.is_multicast or address.is_unspecified or host == BROADCAST:
        raise ConfigError(f"--to {text!r}: nobody's own address; write the gateway's, 10.20.0.1")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65_535):
        raise ConfigError(f"--to {text!r}: no port; write 1 to 65535 behind the colon")
    return Target(str(address), int(port))


class CanarySender:
    """Numbers and sends datagrams of one run."""

    def __init__(self, key: bytes, name: str, target: Target) -> None:
        try:
            write_canary(key, name, 0, 0, 0)
        except ValueError as error:
            raise ConfigError(f"--name {error}") from None
        self.sent = 0
        self._key = key
        self._name = name
        self._target = target
        self._run = secrets.randbits(64)

    def send(self) -> None:
        """Send the next datagram; OSError if the network does not take it, and it has no number."""
        now = time.time_ns()  # noqa: TID251 - it says when it was sent
        payload = write_canary(self._key, self._name, self._run, self.sent + 1, now)
        target = self._target
        with socket.socket(target.family, socket.SOCK_DGRAM) as outlet:
            if target.family == socket.AF_INET6:
                outlet.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS)
            else:
                outlet.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
            outlet.setblocking(False)
            outlet.sendto(payload, (target.ip, target.port))
        self.sent += 1


def send_canaries(
    sender: CanarySender, say: Callable[[str], None], *, interval_seconds: Seconds
) -> None:
    """Send one datagram an interval until a signal says to stop.

    What could not be sent, or was slept through, is not made up for.
    """
    failing = ""
    with _Bell() as bell:
        say(f"canary_started interval_seconds={interval_seconds:g}")
        while True:
            due = time.monotonic() + interval_seconds
            try:
                sender.send()
            except OSError as error:
                reason = error.strerror or str(error)
                if reason != failing:
                    say(f'canary_not_sent reason="{reason}"')
                failing = reason
            else:
                if failing:
                    say("canary_sent_again")
                failing = ""
            if bell.rings_before(due):
                say(f"canary_stopped sent={sender.sent}")
                return


def name_of_host() -> str:
    """Return the name a canary has if it is given none."""
    return os.uname().nodename


class _Bell:
    """Waits for a time or a signal.

    Not with sigtimedwait: when a machine has slept past the time, CPython (3.11) returns a signal
    that nobody sent.
    """

    def __enter__(self) -> Self:
        self._hears, self._rings = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before = {
            number: signal.signal(number, lambda *_: None) or signal.SIG_DFL
            for number in STOP_SIGNALS
        }
        self._wakeup = signal.set_wakeup_fd(self._rings, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self._hears)
        os.close(self._rings)

    def rings_before(self, due: Seconds) -> bool:
        """Wait until a time (monotonic); True if a signal came before."""
        while (left := due - time.monotonic()) > 0:
            ready, _, _ = select.select([self._hears], [], [], left)
            if ready and STOP_SIGNALS.intersection(os.read(self._hears, 100)):
                return True
        return False
