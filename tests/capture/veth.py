"""A cable of one's own: two interfaces, in a network namespace that only this test sees.

What is sent into one end comes out of the other; `ends[0]` is the one to capture. Nobody
else sends: IPv6, which would speak by itself, is off.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from egressd.capture.batch import Batch
    from egressd.capture.ring import Ring

CLONE_NEWNET = 0x4000_0000
SOL_PACKET, PACKET_VNET_HDR = 263, 15  # linux/if_packet.h
VNET_HEADER = struct.Struct("<BBHHHH")  # flags type header size start offset: virtio_net.h
NEEDS_CHECKSUM, GSO_TCPV4 = 1, 1
PATIENCE_SECONDS = 5.0  # nothing here takes longer, unless it never comes


@dataclass(slots=True)
class Row:
    """A frame as the ring gave it."""

    data: bytes
    wire: int
    time: int
    number: int
    source: int


@dataclass(slots=True)
class Cable:
    """The namespace and what is in it."""

    sysfs: Path
    senders: dict[str, socket.socket] = field(default_factory=dict)

    def ip(self, *arguments: str) -> None:
        """Change what there is, as ip-link(8) says."""
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    def plug(self, near: str, far: str, *, mtu: int = 1500) -> None:
        """Add a cable and switch both ends on."""
        self.ip("link", "add", near, "mtu", str(mtu), "type", "veth", "peer", "name", far)
        self.ip("link", "set", far, "mtu", str(mtu))
        self.switch_on(far, near)

    def switch_on(self, *ends: str) -> None:
        """Switch both ends of a cable on, and wait until the kernel lets them send.

        It does so some time after the cable has come alive, and drops what is sent before.
        """
        for end in ends:
            self.ip("link", "set", end, "up")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while {(self.sysfs / end / "operstate").read_text() for end in ends} != {"up\n"}:
            assert time.monotonic() < deadline, f"{ends} do not come up"
            time.sleep(0.002)
        self.ip("link", "set", ends[0], "up")  # waits for the lock under which that is done

    def unplug(self, near: str) -> None:
        """Remove a cable with both its ends."""
        self.ip("link", "delete", near)
        for sender in self.senders.values():
            sender.close()
        self.senders.clear()

    def send(self, frames: Iterable[bytes], by: str = "switch0") -> None:
        """Send frames out of an interface."""
        sender = self.senders.get(by)
        if sender is None:
            sender = self.senders[by] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sender.bind((by, 0))
        for frame in frames:
            sender.send(frame)

    def send_segments(self, frame: bytes, size: int, by: str = "switch0") -> None:
        """Send a TCP frame of more than an MTU, as a host does whose card would cut it up."""
        header = VNET_HEADER.pack(NEEDS_CHECKSUM, GSO_TCPV4, 54, size, 34, 16)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            sender.bind((by, 0))
            sender.send(header + frame)


@contextmanager
def cable_of_ones_own(folder: Path, *, mtu: int = 1500) -> Iterator[Cable]:
    """Enter a namespace with mirror0 <- switch0; leave it again."""
    if os.geteuid():
        reason = "network namespaces need root"
        (pytest.fail if os.environ.get("EGRESSD_TEST_ALL") == "1" else pytest.skip)(reason)
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        cable = Cable(folder / "sys" / "class" / "net")
        (folder / "sys").mkdir()
        subprocess.run(["mount", "-t", "sysfs", "none", str(folder / "sys")], check=True)
        try:
            for which in ("all", "default"):
                path = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
                if path.exists():
                    path.write_text("1")
            cable.plug("mirror0", "switch0", mtu=mtu)
            yield cable
        finally:
            for sender in cable.senders.values():
                sender.close()
            subprocess.run(["umount", str(folder / "sys")], check=True)
    finally:
        if libc.setns(before, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(before)


def rows_of(batch: Batch) -> list[Row]:
    """Copy the frames of a batch."""
    view = memoryview(batch.buffer)
    return [
        Row(
            bytes(view[batch.offset[row] : batch.offset[row] + batch.captured[row]]),
            batch.wire[row],
            batch.time[row],
            batch.number[row],
            batch.source[row],
        )
        for row in range(batch.count)
    ]


def read_rows(ring: Ring, count: int) -> list[Row]:
    """Read until so many frames have come."""
    rows: list[Row] = []
    while len(rows) < count:
        batch = ring.read(PATIENCE_SECONDS)
        assert batch is not None, f"{len(rows)} of {count} frames came"
        rows += rows_of(batch)
    return rows


def data_of(rows: Sequence[Row]) -> list[bytes]:
    """Return the frames."""
    return [row.data for row in rows]
