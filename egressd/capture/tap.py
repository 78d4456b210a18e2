"""One interface's packet socket and the ring that the kernel fills: packet(7), TPACKET_V3.

The one module of the capture stage that opens a socket. It is bound to receive, and
nothing here can send. The socket outlives its interface: it needs its privilege only
to be made, so that an interface that comes back is taken again without any.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from array import array
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.capture.blocks import BlockWalk
from egressd.capture.bpf import DROP_ALL, KEEP_ALL, pack
from egressd.capture.filter import ETHERNET
from egressd.capture.interfaces import (
    SYSFS,
    InterfaceChange,
    InterfaceCounters,
    LinkState,
    index_of,
    is_loopback,
    is_up,
    linktype_of,
    load_carrier,
    load_nic_counters,
    load_operstate,
    merging_features,
    mtu_of,
    name_of,
)
from egressd.model import CaptureError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Protocol

    from egressd.capture.bpf import Program
    from egressd.model import Bytes

    class Programs(Protocol):
        """Whoever has a filter for frames of each link type; see filter.FrameFilter."""

        def program_of(self, linktype: int) -> Program | None:
            """Return the program, or None where all frames are wanted whole."""


# linux/if_ether.h, linux/if_packet.h, asm-generic/socket.h, linux/socket.h
ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_RX_RING = 5
PACKET_STATISTICS = 6
PACKET_VERSION = 10
PACKET_RESERVE = 12
PACKET_IGNORE_OUTGOING = 23  # Linux 4.20
PACKET_MR_PROMISC = 1
TPACKET_V3 = 2
SO_ATTACH_FILTER = 26

TAG_BYTES = 4  # room that the kernel leaves in front of a frame, for the tag it took off
LINK_BYTES = 14 + 2 * TAG_BYTES  # what a frame may have on the wire besides its MTU
FRAME_BYTES = 2048  # TPACKET_V3 packs frames and needs a number all the same
SMALLEST_BLOCK = 1 << 17  # a super-frame of 64 KiB must fit
RING_LIMIT = (1 << 32) - 1  # the kernel counts a ring's bytes in 32 bits


@dataclass(frozen=True, slots=True)
class RingOptions:
    """How an interface is captured."""

    blocks: int = 64
    block_bytes: Bytes = 1 << 20  # a multiple of the page size
    retire_milliseconds: int = 50  # a block with frames is handed over after that, full or not
    outgoing: bool = False  # frames of this machine itself, too: on a gateway
    promiscuous: bool = True
    may_be_missing: bool = False  # an interface that is not there yet is waited for
    sysfs: Path = SYSFS

    def check(self) -> None:
        """Raise CaptureError unless the kernel can be asked for such a ring."""
        page = mmap.PAGESIZE
        if self.block_bytes < SMALLEST_BLOCK or self.block_bytes % page:
            raise CaptureError(
                f"ring: blocks of {self.block_bytes} bytes; "
                f"write a multiple of {page}, at least {SMALLEST_BLOCK}"
            )
        if self.blocks < 2 or self.blocks * self.block_bytes > RING_LIMIT:
            raise CaptureError(
                f"ring: {self.blocks} blocks of {self.block_bytes} bytes; "
                "write at least 2, and less than 4 GiB together"
            )
        if not 1 <= self.retire_milliseconds <= 1000:
            raise CaptureError(
                f"ring: blocks handed over after {self.retire_milliseconds} ms; write 1 to 1000"
            )


class Tap:
    """One interface: its socket, its ring, and how it stands."""

    def __init__(self, interface: str, options: RingOptions, number: int = 0) -> None:
        """Make the socket and its ring; `bind` begins to receive.

        The first frame gets the number that follows `number`.
        """
        self.interface = interface
        self.name = interface  # as it is called now, or was last
        self.options = options
        self.state = LinkState.GONE
        self.reason = ""  # more about the state
        self.linktype = ETHERNET  # until the interface is there and says otherwise
        self.next_block = 0
        self._index = 0
        self._outages = 0
        self._first_number = number
        self._statistics = [0, 0, 0]  # packets, drops, freezes: the kernel forgets once asked
        self.socket = _open_socket(interface)
        try:
            self._ring = _make_ring(self.socket, interface, options)
        except BaseException:
            self.socket.close()
            raise
        self.buffer = memoryview(self._ring)
        self.walk = BlockWalk(self._ring, options.block_bytes)
        self.walk.number = number

    def bind(self, programs: Programs | None) -> bool:
        """Receive from the interface; return False if there is none.

        CaptureError if its frames are not understood, or the filter is refused.
        """
        descriptor = self.socket.fileno()
        linktype = linktype_of(descriptor, self.interface)
        if linktype is None:
            return False
        # Before it is bound for the first time the socket has no protocol and receives nothing,
        # so that there is no frame in the ring that the filter did not see.
        self.attach(programs, linktype)
        try:
            self.socket.bind((self.interface, ETH_P_ALL))
        except OSError as error:
            if error.errno in {errno.ENODEV, errno.ENXIO}:
                return False
            raise CaptureError(f"{self.interface}: {error.strerror}") from error
        self.linktype = linktype
        self.name = self.interface
        self.walk.ethernet = linktype == ETHERNET
        # What leaves by loopback comes back by it, and once is enough.
        self.walk.outgoing = self.options.outgoing and not is_loopback(descriptor, self.name)
        index = index_of(descriptor, self.interface) or 0
        self._join(index)
        self._index = index
        self._measure()
        self._stand(LinkState.UP if is_up(descriptor, self.name) else LinkState.DOWN, "")
        return True

    def attach(self, programs: Programs | None, linktype: int | None = None) -> None:
        """Put another filter in place of the present one; no frame is lost between the two."""
        kind = self.linktype if linktype is None else linktype
        program = None if programs is None else programs.program_of(kind)
        self._attach(KEEP_ALL if program is None else program)

    def look(self, programs: Programs | None) -> InterfaceChange | None:
        """Find out how the interface stands, and take it again if it has come back.

        It is followed by its index while it exists, whatever it is called, and then waited for
        by the name that was asked for.
        """
        before = (self.state, self.name, self.reason, self._outages)
        descriptor = self.socket.fileno()
        # An error is told until it is read, and a poll would return for it at once, for ever.
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._read_statistics()
        name = name_of(descriptor, self._index) if self._index else None
        if name is not None:
            self.name = name
            self._measure()
            renamed = "" if name == self.interface else f"is called {name} now"
            self._stand(LinkState.UP if is_up(descriptor, name) else LinkState.DOWN, renamed)
        else:
            settled = self.state is LinkState.GONE and not self.is_ready()
            self._index = 0
            self._stand(LinkState.GONE, self.reason if self.state is LinkState.GONE else "")
            self._take_again(programs, settled=settled)
        if before == (self.state, self.name, self.reason, self._outages):
            return None
        return InterfaceChange(self.interface, self.name, self.state, self.reason)

    def is_ready(self, ahead: int = 0) -> bool:
        """Tell whether a block waits to be read, the next one or one so many blocks ahead."""
        return self.walk.is_ready((self.next_block + ahead) % self.options.blocks)

    def release(self) -> None:
        """Give the block that was read back to the kernel, and go on to the next."""
        self.walk.release(self.next_block)
        self.next_block = (self.next_block + 1) % self.options.blocks

    def close(self) -> None:
        """Stop receiving and give the ring back."""
        with suppress(CaptureError):
            self._attach(DROP_ALL)
        self.socket.close()
        self.walk.close()
        # Where somebody holds on to a batch, the mapping goes when the batch does.
        with suppress(BufferError):
            self.buffer.release()
            self._ring.close()

    def counters(self) -> InterfaceCounters:
        """Return what was seen and lost so far."""
        self._read_statistics()
        packets, drops, freezes = self._statistics
        descriptor, folder, walk = self.socket.fileno(), self.options.sysfs, self.walk
        return InterfaceCounters(
            interface=self.interface,
            name=self.name,
            state=self.state,
            frames=walk.number - self._first_number,
            wire_bytes=walk.wire_bytes,
            captured_bytes=walk.captured_bytes,
            last_frame=walk.last_time,
            packets=packets,
            drops=drops,
            freezes=freezes,
            outgoing_frames=walk.outgoing_frames,
            super_frames=walk.super_frames,
            cut_frames=walk.cut_frames,
            tags=walk.tags,
            damaged=walk.damaged,
            outages=self._outages,
            operstate=load_operstate(self.name, folder),
            carrier=load_carrier(self.name, folder),
            mtu=mtu_of(descriptor, self.name),
            merging=merging_features(descriptor, self.name),
            nic=load_nic_counters(self.name, folder),
        )

    def _take_again(self, programs: Programs | None, *, settled: bool) -> None:
        """Bind to an interface that has come back by its name.

        One of another link type has to wait until all frames of the old one have been read.
        """
        try:
            linktype = linktype_of(self.socket.fileno(), self.interface)
            if linktype == self.linktype or settled:
                self.bind(programs)
        except CaptureError as error:  # frames that nobody reads
            self.reason = str(error)

    def _attach(self, program: Program) -> None:
        steps = array("B", pack(program))
        pointer = struct.pack("HP", len(program), steps.buffer_info()[0])  # struct sock_fprog
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)
        except OSError as error:
            raise CaptureError(
                f"{self.interface}: the kernel refuses a filter of {len(program)} instructions "
                f"({error.strerror}); set net.core.optmem_max higher"
            ) from error

    def _join(self, index: int) -> None:
        """Ask for all frames on the wire; the kernel forgets it when the interface goes."""
        if not self.options.promiscuous:
            return
        request = struct.pack("iHH8x", index, PACKET_MR_PROMISC, 0)  # struct packet_mreq
        try:
            self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
        except OSError as error:
            raise CaptureError(
                f"{self.interface}: cannot be made promiscuous ({error.strerror}); "
                "a mirror's frames are for others and would not be seen"
            ) from error

    def _measure(self) -> None:
        """Know how long a frame may be: a longer one was put together from several."""
        mtu = mtu_of(self.socket.fileno(), self.name)
        if mtu is not None:
            self.walk.longest = mtu + LINK_BYTES

    def _stand(self, state: LinkState, reason: str) -> None:
        if self.state is LinkState.UP and state is not LinkState.UP:
            self._outages += 1
        self.state = state
        self.reason = reason

    def _read_statistics(self) -> None:
        """Add up struct tpacket_stats_v3: packets, drops, freezes since it was read last."""
        told = struct.unpack("III", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        self._statistics = [
            total + more for total, more in zip(self._statistics, told, strict=True)
        ]


def _open_socket(interface: str) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise CaptureError(
            f"{interface}: capturing needs CAP_NET_RAW; run as root, or let systemd give it "
            "(AmbientCapabilities=CAP_NET_RAW)"
        ) from error
    except OSError as error:
        raise CaptureError(
            f"{interface}: no packet socket ({error.strerror}); "
            "does the unit's RestrictAddressFamilies= name AF_PACKET?"
        ) from error


def _make_ring(tap: socket.socket, interface: str, options: RingOptions) -> mmap.mmap:
    """Give the socket its ring and map it."""
    total = options.blocks * options.block_bytes
    request = struct.pack(  # struct tpacket_req3
        "IIIIIII",
        options.block_bytes,
        options.blocks,
        FRAME_BYTES,
        total // FRAME_BYTES,
        options.retire_milliseconds,
        0,
        0,
    )
    try:
        tap.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        tap.setsockopt(SOL_PACKET, PACKET_RESERVE, TAG_BYTES)
        tap.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
        ring = mmap.mmap(tap.fileno(), total)
    except OSError as error:
        raise CaptureError(
            f"{interface}: the kernel refuses a ring of {options.blocks} blocks of "
            f"{options.block_bytes} bytes ({error.strerror}); give it fewer or smaller blocks"
        ) from error
    if not options.outgoing:
        with suppress(OSError):  # an older kernel: the walk leaves them out and counts them
            tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    return ring
