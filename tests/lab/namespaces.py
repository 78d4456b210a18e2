"""Network namespaces with names of one's own, and what is done inside them.

A socket belongs to the namespace in which it was made, so that servers and clients of a whole
site can run in one process: `inside` is only needed to make them. Programs run there by way of
`ip netns exec`, and the kernel ends them with us, however we end.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import re
import socket
import struct
import subprocess
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NAMED = Path("/run/netns")  # ip-netns(8)
CLONE_NEWNET = 0x4000_0000
OURS = re.compile(r"egressdlab-([0-9]+)-[0-9]+-[a-z0-9]+")
SIOCETHTOOL = 0x8946  # linux/sockios.h
# linux/ethtool.h: checksums, scatter-gather, segmentation for TCP, in general, and merging.
OFFLOADS = (0x17, 0x19, 0x1F, 0x24, 0x2C)
VALUE = struct.Struct("=II")  # struct ethtool_value: cmd data
INTERFACE_REQUEST = struct.Struct("16sP16x")  # struct ifreq with ifr_data
PATIENCE_SECONDS = 20.0  # a machine that runs other tests beside this one is slow

_libc = ctypes.CDLL(None, use_errno=True)


def require_namespaces() -> None:
    """Skip the test where we may not make network namespaces; fail it under EGRESSD_TEST_ALL=1."""
    if not _may_make_namespaces():
        reason = "network namespaces need root, and not only a container's"
        (pytest.fail if os.environ.get("EGRESSD_TEST_ALL") == "1" else pytest.skip)(reason)


class Spaces:
    """The namespaces of one site; gone with all that is in them when it is closed."""

    _made = 0

    def __init__(self) -> None:
        Spaces._made += 1
        self._prefix = f"egressdlab-{os.getpid()}-{Spaces._made}-"
        self._names: list[str] = []

    def full_name(self, name: str) -> str:
        """Return the name that ip-netns knows."""
        return self._prefix + name

    def make(self, name: str) -> None:
        """Add a namespace in which nobody speaks unasked: IPv6 is off in it."""
        run("ip", "netns", "add", self.full_name(name))
        self._names.append(name)
        with self.inside(name):
            for which in ("all", "default"):
                set_kernel(f"net/ipv6/conf/{which}/disable_ipv6", "1")
        self.links(name, "link set lo up")

    def links(self, name: str, *lines: str) -> None:
        """Have ip-link, ip-address or ip-route do these lines in a namespace."""
        run("ip", "-n", self.full_name(name), "-batch", "-", text="\n".join(lines))

    def command(self, name: str, *command: str) -> list[str]:
        """Return the command that runs a program in a namespace for as long as we live."""
        inside = ["ip", "netns", "exec", self.full_name(name)]
        return [*inside, "setpriv", "--pdeathsig", "KILL", "--", *command]

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a namespace with this thread: sockets made meanwhile stay there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(NAMED / self.full_name(name))
            yield
        finally:
            if _libc.setns(before, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            os.close(before)

    def close(self) -> None:
        """Remove all namespaces."""
        for name in self._names:
            remove(self.full_name(name))
        self._names.clear()


def remove_leftovers() -> list[str]:
    """Remove the namespaces of runs that are no more; return their names."""
    if not NAMED.is_dir():
        return []
    stale = [path.name for path in NAMED.iterdir() if _is_stale(path.name)]
    for name in stale:
        remove(name)
    return stale


def remove(name: str) -> None:
    """Remove a namespace; it does not matter if somebody else has."""
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def run(*command: str, text: str = "") -> str:
    """Run a program to its end; what it complains of is the error."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert not done.returncode, f"{' '.join(command)}: {done.stderr}\n{text}"
    return done.stdout


def set_kernel(key: str, value: str) -> None:
    """Set what sysctl(8) calls a key, where the kernel has it."""
    path = Path("/proc/sys") / key
    if path.exists():
        path.write_text(value)


def switch_offloads_off(interfaces: Iterable[str]) -> None:
    """Have frames be what a wire carries: whole checksums, nothing beyond the MTU."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for interface in interfaces:
            for command in OFFLOADS:
                value = array.array("B", VALUE.pack(command, 0))
                request = INTERFACE_REQUEST.pack(interface.encode(), value.buffer_info()[0])
                with suppress(OSError):  # what a driver does not have is off
                    fcntl.ioctl(control, SIOCETHTOOL, request)


def end(child: subprocess.Popen[bytes], *, kindly: Sequence[int] = ()) -> int:
    """End a program that we started, by its own id; return its status."""
    for number in kindly:
        child.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return child.wait(PATIENCE_SECONDS)
    child.kill()
    return child.wait(PATIENCE_SECONDS)


@cache
def _may_make_namespaces() -> bool:
    tried = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True)
    return not os.geteuid() and not tried.returncode


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


def _is_stale(name: str) -> bool:
    match = OURS.fullmatch(name)
    return match is not None and not Path(f"/proc/{match[1]}").exists()
