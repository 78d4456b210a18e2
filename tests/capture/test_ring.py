"""The ring over a cable of our own: what is sent is what comes, whatever the interface does."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from fcntl import ioctl
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from capture_files import rows_of as file_rows_of
from frames import batch_of, camera, office_pc, recorder
from veth import PATIENCE_SECONDS, Cable, cable_of_ones_own, data_of, read_rows, rows_of

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture import tap as tap_module
from egressd.capture.bpf import DROP_ALL, KEEP_ALL, Instruction, Op
from egressd.capture.interfaces import InterfaceChange, InterfaceCounters, LinkState
from egressd.capture.pcapfile import open_captures
from egressd.capture.ring import Ring
from egressd.capture.tap import RingOptions
from egressd.config import load_site
from egressd.model import CaptureError
from pcaps.generator.wire import Flag, Segment

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from egressd.capture.batch import Batch
    from egressd.capture.bpf import Program
    from egressd.engine import Engine

PCAPS = Path(__file__).parents[2] / "pcaps"
SECOND = 1_000_000_000
CAP_NET_RAW = 13
ASKS = camera.asks("dev.example")
UP, DOWN, GONE = LinkState.UP, LinkState.DOWN, LinkState.GONE

pytestmark = pytest.mark.program("ip")


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    """Return mirror0 <- switch0 in a namespace of our own."""
    with cable_of_ones_own(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at interfaces more often than one has to: the tests wait for it."""
    monkeypatch.setattr("egressd.capture.ring.LOOK_SECONDS", 0.15)


@pytest.fixture
def options(cable: Cable) -> RingOptions:
    """Return options for a small and quick ring."""
    return RingOptions(blocks=16, block_bytes=1 << 17, retire_milliseconds=10, sysfs=cable.sysfs)


@pytest.fixture
def ring(cable: Cable, options: RingOptions) -> Iterator[Ring]:
    """Return a ring on mirror0."""
    del cable  # it must be there
    with Ring(["mirror0"], options=options) as made:
        yield made


def counted(ring: Ring) -> InterfaceCounters:
    """Return the counters of a ring's only interface."""
    (counters,) = ring.counters()
    return counters


def descriptors_open() -> int:
    """Return how many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def read_changes(ring: Ring, count: int) -> list[InterfaceChange]:
    """Read until so many changes were told; no frame may come meanwhile."""
    changes = ring.take_changes()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(changes) < count:
        assert time.monotonic() < deadline, changes
        assert ring.read(0.05) is None
        changes += ring.take_changes()
    return changes


# ---- frames ---------------------------------------------------------------------------------


def test_what_is_sent_is_what_comes(cable: Cable, ring: Ring) -> None:
    sent = [camera.says(bytes(n % 1400), to="192.0.2.1", port=9000) for n in range(0, 5000, 7)]
    before = time.time_ns()  # noqa: TID251 - the kernel stamps with the wall clock
    cable.send(sent)
    rows = read_rows(ring, len(sent))
    after = time.time_ns()  # noqa: TID251
    assert data_of(rows) == sent
    assert [row.wire for row in rows] == list(map(len, sent))
    assert [row.number for row in rows] == list(range(1, len(sent) + 1))
    times = [row.time for row in rows]
    assert times == sorted(times)
    assert before <= times[0]
    assert times[-1] <= after
    assert {row.source for row in rows} == {0}
    assert [(s.file, s.interface, s.linktype, s.snaplen) for s in ring.sources] == [
        ("mirror0", "mirror0", 1, 0)
    ]
    counters = counted(ring)
    assert (counters.frames, counters.packets, counters.drops) == (len(sent), len(sent), 0)
    assert counters.wire_bytes == sum(map(len, sent))
    assert counters.last_frame == times[-1]
    assert (counters.nic.frames, counters.nic.wire_bytes) == (len(sent), counters.wire_bytes)


@pytest.mark.parametrize(
    "tags",
    [b"\x81\0\0\x1e", b"\x81\0\xe0\0", b"\x88\xa8\0\x64\x81\0\0\x1e", b"\x81\0\0\1\x81\0\0\2"],
    ids=["802.1Q", "priority only", "802.1ad", "802.1Q twice"],
)
def test_a_tag_comes_back_where_it_was(cable: Cable, ring: Ring, tags: bytes) -> None:
    tagged = ASKS[:12] + tags + ASKS[12:]
    cable.send([tagged, ASKS])
    rows = read_rows(ring, 2)
    assert data_of(rows) == [tagged, ASKS]
    assert [row.wire for row in rows] == [len(tagged), len(ASKS)]
    assert counted(ring).tags == 1


def test_frames_of_the_box_itself_are_left_out(cable: Cable, ring: Ring) -> None:
    cable.send([ASKS], by="mirror0")
    cable.send([ASKS, ASKS])
    assert len(read_rows(ring, 2)) == 2
    assert ring.read(0.05) is None
    assert counted(ring).frames == 2


def test_an_old_kernel_shows_frames_of_the_box_and_they_are_counted(
    cable: Cable, options: RingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_module, "PACKET_IGNORE_OUTGOING", 9999)  # no protocol option
    with Ring(["mirror0"], options=options) as ring:
        cable.send([ASKS] * 3, by="mirror0")
        assert ring.read(0.1) is None  # a block of nothing for us is an empty turn
        cable.send([ASKS])
        (row,) = read_rows(ring, 1)
        assert row.number == 1
        assert (counted(ring).outgoing_frames, counted(ring).frames) == (3, 1)


def test_a_gateway_sees_what_it_sends(cable: Cable, options: RingOptions) -> None:
    with Ring(["mirror0"], options=replace(options, outgoing=True)) as ring:
        tagged = ASKS[:12] + b"\x81\0\0\5" + ASKS[12:]
        cable.send([tagged], by="mirror0")
        cable.send([ASKS])
        assert data_of(read_rows(ring, 2)) == [tagged, ASKS]


@pytest.mark.parametrize("outgoing", [False, True])
def test_loopback_frames_come_once(cable: Cable, options: RingOptions, *, outgoing: bool) -> None:
    cable.ip("link", "set", "lo", "up")
    with Ring(["lo"], options=replace(options, outgoing=outgoing)) as ring:
        cable.send([ASKS] * 3, by="lo")
        assert data_of(read_rows(ring, 3)) == [ASKS] * 3
        assert ring.read(0.05) is None


def test_a_frame_of_several_segments_is_told(cable: Cable, ring: Ring) -> None:
    segment = Segment(1, 1, Flag.ACK | Flag.PSH, bytes(4000))
    whole = camera.sends(segment, to="192.0.2.1", port=9000)
    assert counted(ring).mtu == 1500
    cable.send_segments(whole, 1448)
    cable.send([ASKS])
    rows = read_rows(ring, 2)
    assert [row.wire for row in rows] == [len(whole), len(ASKS)]
    assert counted(ring).super_frames == 1


def test_a_longer_mtu_makes_longer_frames_plain(cable: Cable, options: RingOptions) -> None:
    cable.plug("mirror1", "switch1", mtu=9000)
    with Ring(["mirror1"], options=options) as ring:
        jumbo = camera.says(bytes(8000), to="192.0.2.1", port=9000)
        cable.send([jumbo], by="switch1")
        assert data_of(read_rows(ring, 1)) == [jumbo]
        assert counted(ring).super_frames == 0


def test_an_interface_without_a_link_layer_is_raw_ip(cable: Cable, options: RingOptions) -> None:
    cable.ip("tuntap", "add", "tun0", "mode", "tun")
    cable.ip("link", "set", "tun0", "up")
    tun = os.open("/dev/net/tun", os.O_RDWR)
    try:
        ioctl_tun(tun, b"tun0")
        with Ring(["tun0"], options=options) as ring:
            os.write(tun, ASKS[14:])
            (row,) = read_rows(ring, 1)
            assert row.data == ASKS[14:]
            assert ring.sources[0].linktype == 101
    finally:
        os.close(tun)


def ioctl_tun(descriptor: int, name: bytes) -> None:
    """Take hold of a tun interface (linux/if_tun.h: TUNSETIFF, IFF_TUN | IFF_NO_PI)."""
    ioctl(descriptor, 0x400454CA, struct.pack("16sH22x", name, 0x1001))


@pytest.mark.parametrize("promiscuous", [True, False])
def test_a_mirror_is_promiscuous_while_it_is_watched(
    cable: Cable, options: RingOptions, *, promiscuous: bool
) -> None:
    with Ring(["mirror0"], options=replace(options, promiscuous=promiscuous)):
        assert promiscuity_of("mirror0") == promiscuous
        cable.unplug("mirror0")
    cable.plug("mirror0", "switch0")
    with Ring(["mirror0"], options=replace(options, promiscuous=promiscuous)) as ring:
        cable.unplug("mirror0")
        read_changes(ring, 1)
        cable.plug("mirror0", "switch0")
        read_changes(ring, 1)
        assert promiscuity_of("mirror0") == promiscuous
    assert promiscuity_of("mirror0") == 0


def promiscuity_of(name: str) -> int:
    """Return how many watch an interface promiscuously."""
    command = ["ip", "-details", "-json", "link", "show", name]
    done = subprocess.run(command, check=True, capture_output=True)
    return int(json.loads(done.stdout)[0]["promiscuity"])


def test_an_interface_that_cannot_be_promiscuous_is_refused(
    cable: Cable, options: RingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ring(["mirror0"], options=options) as ring:
        monkeypatch.setattr(tap_module, "PACKET_ADD_MEMBERSHIP", 9999)
        with pytest.raises(CaptureError, match=r"^mirror0: cannot be made promiscuous"):
            Ring(["mirror0"], options=options)
        # One that comes back so is told of, and tried again.
        cable.unplug("mirror0")
        read_changes(ring, 1)
        cable.plug("mirror0", "switch0")
        (change,) = read_changes(ring, 1)
        assert (change.state, change.reason[:20]) == (GONE, "mirror0: cannot be m")
        monkeypatch.undo()
        assert [change.state for change in read_changes(ring, 1)] == [UP]


# ---- several interfaces ---------------------------------------------------------------------


def test_interfaces_count_for_themselves(cable: Cable, options: RingOptions) -> None:
    cable.plug("mirror1", "switch1")
    with Ring(["mirror0", "mirror1", "mirror0"], options=options) as ring:
        for n in range(5):
            cable.send([camera.asks(f"a{n}.example")])
            cable.send([office_pc.asks(f"b{n}.example")] * 2, by="switch1")
        rows = read_rows(ring, 15)
        by_source = {
            source: [row.number for row in rows if row.source == source] for source in (0, 1)
        }
        assert by_source == {0: [1, 2, 3, 4, 5], 1: list(range(1, 11))}
        assert [source.interface for source in ring.sources] == ["mirror0", "mirror1"]
        assert [counters.frames for counters in ring.counters()] == [5, 10]


def test_the_oldest_block_comes_first(cable: Cable, options: RingOptions) -> None:
    cable.plug("mirror1", "switch1")
    with Ring(["mirror0", "mirror1"], options=options) as ring:
        for turn in range(3):
            for by in ("switch1", "switch0") if turn % 2 else ("switch0", "switch1"):
                cable.send([ASKS] * 3, by=by)
                time.sleep(0.03)  # longer than a block waits
        rows = read_rows(ring, 18)
        times = [row.time for row in rows]
        assert times == sorted(times)
        assert [rows[n].source for n in range(0, 18, 3)] == [0, 1, 1, 0, 0, 1]


# ---- waiting --------------------------------------------------------------------------------


def test_a_quiet_link_gives_empty_turns(ring: Ring) -> None:
    began = time.monotonic()
    assert ring.read(0.1) is None
    assert 0.09 <= time.monotonic() - began < 1
    ring.turn_seconds = 0.02
    turns = iter(ring)
    assert [next(turns) for _ in range(3)] == [None, None, None]


def test_a_frame_ends_the_wait(cable: Cable, ring: Ring) -> None:
    cable.send([ASKS])  # opens the sender
    read_rows(ring, 1)
    timer = threading.Timer(0.1, cable.senders["switch0"].send, [ASKS])
    timer.start()
    began = time.monotonic()
    assert data_of(read_rows(ring, 1)) == [ASKS]
    assert time.monotonic() - began < 1
    timer.join()


@pytest.mark.parametrize("how", ["wake", "descriptor"])
def test_a_wake_ends_the_wait(ring: Ring, how: str) -> None:
    def wake() -> None:
        if how == "wake":
            ring.wake()
        else:
            os.write(ring.wake_descriptor, b"\x0f")

    timer = threading.Timer(0.1, wake)
    timer.start()
    began = time.monotonic()
    assert ring.read(PATIENCE_SECONDS) is None
    assert time.monotonic() - began < 1
    timer.join()


def test_a_signal_ends_the_wait(ring: Ring) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: ring.wake())
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        began = time.monotonic()
        assert ring.read(PATIENCE_SECONDS) is None
        assert time.monotonic() - began < 1
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_wake_before_the_wait_is_not_lost_and_many_are_one(ring: Ring) -> None:
    for _ in range(100_000):  # more than a pipe holds
        ring.wake()
    began = time.monotonic()
    assert ring.read(PATIENCE_SECONDS) is None
    assert time.monotonic() - began < 1
    began = time.monotonic()
    assert ring.read(0.1) is None
    assert time.monotonic() - began >= 0.09


def test_waiting_costs_nothing(cable: Cable, ring: Ring) -> None:
    cable.ip("link", "set", "mirror0", "down")
    read_changes(ring, 1)
    cable.unplug("mirror0")
    read_changes(ring, 1)
    spent = time.process_time()
    assert ring.read(1.5) is None
    assert time.process_time() - spent < 0.2


# ---- loss -----------------------------------------------------------------------------------


def test_drops_are_counted_when_nobody_reads(cable: Cable, options: RingOptions) -> None:
    small = replace(options, blocks=2)
    with Ring(["mirror0"], options=small) as ring:
        sent = [camera.says(bytes(1000), to="192.0.2.1", port=n) for n in range(1, 1001)]
        cable.send(sent)
        counters = counted(ring)
        assert counters.packets == 1000
        assert counters.drops > 500
        assert counters.freezes >= 1
        kept = read_rows(ring, 1000 - counters.drops)
        assert data_of(kept) == sent[: len(kept)]
        assert ring.read(0.05) is None
        # And on it goes.
        cable.send(sent[:10])
        assert data_of(read_rows(ring, 10)) == sent[:10]
        counters = counted(ring)
        assert counters.packets == counters.frames + counters.drops == 1010


def test_quiet_means_that_nothing_waits(cable: Cable, ring: Ring) -> None:
    assert ring.is_quiet()
    cable.send([ASKS])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while ring.is_quiet() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not ring.is_quiet()
    assert ring.read(0) is not None
    assert ring.is_quiet()


def test_a_batch_is_valid_until_the_next_is_asked_for(cable: Cable, options: RingOptions) -> None:
    with Ring(["mirror0"], options=replace(options, blocks=2)) as ring:
        first = [camera.says(b"first" * 100, to="192.0.2.1", port=n) for n in range(1, 11)]
        cable.send(first)
        batch = ring.read(PATIENCE_SECONDS)
        assert batch is not None
        cable.send([recorder.says(bytes(1000), to="192.0.2.1", port=9)] * 1000)  # would overrun
        assert data_of(rows_of(batch)) == first[: batch.count]


# ---- what happens to interfaces -------------------------------------------------------------


def test_an_interface_that_goes_down_and_up_is_survived(cable: Cable, ring: Ring) -> None:
    cable.send([ASKS])
    read_rows(ring, 1)
    cable.ip("link", "set", "mirror0", "down")
    assert read_changes(ring, 1) == [InterfaceChange("mirror0", "mirror0", DOWN, "")]
    assert counted(ring).state is DOWN
    cable.switch_on("mirror0", "switch0")
    assert read_changes(ring, 1) == [InterfaceChange("mirror0", "mirror0", UP, "")]
    cable.send([ASKS])
    (row,) = read_rows(ring, 1)
    assert row.number == 2
    assert counted(ring).outages == 1


def test_an_interface_that_is_down_at_first_is_waited_for(
    cable: Cable, options: RingOptions
) -> None:
    cable.ip("link", "set", "mirror0", "down")
    with Ring(["mirror0"], options=options) as ring:
        assert counted(ring).state is DOWN
        assert ring.read(0.02) is None
        cable.switch_on("mirror0", "switch0")
        assert [change.state for change in read_changes(ring, 1)] == [UP]
        cable.send([ASKS])
        assert data_of(read_rows(ring, 1)) == [ASKS]


def test_an_interface_that_is_deleted_and_made_anew_is_taken_again(
    cable: Cable, ring: Ring
) -> None:
    cable.send([ASKS])
    read_rows(ring, 1)
    cable.unplug("mirror0")
    assert read_changes(ring, 1) == [InterfaceChange("mirror0", "mirror0", GONE, "")]
    assert counted(ring).mtu is None
    cable.plug("mirror0", "switch0")
    assert read_changes(ring, 1) == [InterfaceChange("mirror0", "mirror0", UP, "")]
    cable.send([ASKS])
    (row,) = read_rows(ring, 1)
    assert (row.number, row.source) == (2, 0)
    assert (counted(ring).outages, len(ring.sources)) == (1, 1)


def test_a_deletion_between_two_looks_is_told(cable: Cable, ring: Ring) -> None:
    cable.unplug("mirror0")
    cable.plug("mirror0", "switch0")
    assert read_changes(ring, 1) == [InterfaceChange("mirror0", "mirror0", UP, "")]
    cable.send([ASKS])
    assert data_of(read_rows(ring, 1)) == [ASKS]
    assert counted(ring).outages == 1


def test_an_interface_is_followed_by_its_index_and_found_again_by_its_name(
    cable: Cable, ring: Ring
) -> None:
    cable.ip("link", "set", "mirror0", "name", "span7")
    assert read_changes(ring, 1) == [InterfaceChange("mirror0", "span7", UP, "is called span7 now")]
    cable.send([ASKS])
    assert data_of(read_rows(ring, 1)) == [ASKS]
    assert (counted(ring).interface, counted(ring).name) == ("mirror0", "span7")
    # Another one may have the name meanwhile: ours is still there.
    cable.plug("mirror0", "switch1")
    cable.send([ASKS], by="switch1")
    assert ring.read(0.4) is None
    cable.unplug("span7")
    assert [change.name for change in read_changes(ring, 1)] == ["mirror0"]
    cable.send([ASKS], by="switch1")
    assert data_of(read_rows(ring, 1)) == [ASKS]


def test_an_interface_of_another_kind_is_another_source(cable: Cable, options: RingOptions) -> None:
    with Ring(["mirror0"], options=options) as ring:
        cable.send([ASKS])
        assert {row.source for row in read_rows(ring, 1)} == {0}
        cable.unplug("mirror0")
        cable.ip("tuntap", "add", "mirror0", "mode", "tun")
        changes = read_changes(ring, 2)
        assert changes[0].state is GONE
        assert changes[-1].state is DOWN
        assert [source.linktype for source in ring.sources] == [1, 101]
        cable.unplug("mirror0")
        cable.plug("mirror0", "switch0")
        while read_changes(ring, 1)[-1].state is not UP:
            pass
        cable.send([ASKS])
        assert {row.source for row in read_rows(ring, 1)} == {0}
        assert len(ring.sources) == 2


def test_an_interface_of_a_kind_nobody_reads_is_said_once(
    cable: Cable, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egressd.capture.interfaces.LINKTYPES", {1: 1})
    cable.unplug("mirror0")
    read_changes(ring, 1)
    cable.ip("tuntap", "add", "mirror0", "mode", "tun")
    (change,) = read_changes(ring, 1)
    assert change.state is GONE
    assert "hardware type 65534" in change.reason
    assert ring.read(0.5) is None
    assert ring.take_changes() == []


def test_an_interface_that_is_not_there_yet_may_be_waited_for(
    cable: Cable, options: RingOptions
) -> None:
    with pytest.raises(CaptureError, match=r"^mirror9: there is no such interface; there are lo,"):
        Ring(["mirror9"], options=options)
    patient = replace(options, may_be_missing=True)
    with Ring(["mirror9", "mirror0"], options=patient) as ring:
        assert [counters.state for counters in ring.counters()] == [GONE, UP]
        cable.plug("mirror9", "switch9")
        assert read_changes(ring, 1) == [InterfaceChange("mirror9", "mirror9", UP, "")]
        cable.send([ASKS], by="switch9")
        assert {row.source for row in read_rows(ring, 1)} == {0}


def test_changes_that_nobody_takes_are_bounded(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    ups = cycle([False, True])
    monkeypatch.setattr("egressd.capture.ring.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("egressd.capture.tap.is_up", lambda *_: next(ups))
    for _ in range(300):
        assert ring.read(0) is None
    assert ring.changes_lost == 300 - 256
    assert [change.state for change in ring.take_changes()] == [DOWN, UP] * 128
    assert ring.take_changes() == []


# ---- frame numbers and reload ---------------------------------------------------------------


def test_numbers_go_on_from_an_earlier_run(cable: Cable, options: RingOptions) -> None:
    with Ring(["mirror0"], options=options, numbers={"mirror0": 41, "mirror5": 7}) as ring:
        cable.send([ASKS] * 2)
        assert [row.number for row in read_rows(ring, 2)] == [42, 43]
        assert counted(ring).frames == 2
        assert ring.numbers == {"mirror0": 43, "mirror5": 7}
    assert ring.numbers == {"mirror0": 43, "mirror5": 7}


class OneProgram:
    """A filter for frames of all kinds."""

    def __init__(self, program: Program | None) -> None:
        self.program = program

    def program_of(self, linktype: int) -> Program | None:
        del linktype
        return self.program


HEADERS = OneProgram((Instruction(Op.RETURN, 0, 0, 60),))


def test_a_filter_cuts_and_drops(cable: Cable, options: RingOptions) -> None:
    long = camera.says(bytes(500), to="192.0.2.1", port=9000)
    with Ring(["mirror0"], options=options, programs=HEADERS) as ring:
        cable.send([long])
        (row,) = read_rows(ring, 1)
        assert (row.data, row.wire) == (long[:60], len(long))
        assert counted(ring).cut_frames == 1
        ring.rebind(["mirror0"], OneProgram(DROP_ALL))
        cable.send([long])
        assert ring.read(0.05) is None
        ring.rebind(["mirror0"], OneProgram(KEEP_ALL))
        cable.send([long])
        assert data_of(read_rows(ring, 1)) == [long]
        ring.rebind(["mirror0"], None)
        cable.send([long])
        assert [row.number for row in read_rows(ring, 1)] == [3]


def test_no_frame_is_in_the_ring_that_the_filter_did_not_see(
    cable: Cable, options: RingOptions
) -> None:
    cable.send([ASKS])
    stop = threading.Event()
    sender = cable.senders["switch0"]

    def send() -> None:
        while not stop.is_set():
            sender.send(ASKS)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for _ in range(20):
            with Ring(["mirror0"], options=options, programs=OneProgram(DROP_ALL)) as ring:
                assert ring.read(0.02) is None
                assert counted(ring).packets == 0
    finally:
        stop.set()
        thread.join()


def test_a_reload_keeps_adds_and_gives_up_interfaces(cable: Cable, options: RingOptions) -> None:
    cable.plug("mirror1", "switch1")
    cable.plug("mirror2", "switch2")
    with Ring(["mirror0", "mirror1"], options=options) as ring:
        cable.send([ASKS] * 2, by="switch1")
        read_rows(ring, 2)
        ring.rebind(["mirror1", "mirror2"], None)
        for by in ("switch0", "switch1", "switch2"):
            cable.send([ASKS], by=by)
        rows = read_rows(ring, 2)
        assert sorted((row.source, row.number) for row in rows) == [(1, 3), (2, 1)]
        assert ring.read(0.05) is None
        assert [counters.interface for counters in ring.counters()] == ["mirror1", "mirror2"]
        ring.rebind(["mirror0"], None)
        cable.send([ASKS])
        assert [(row.source, row.number) for row in read_rows(ring, 1)] == [(0, 1)]


class NoProgram:
    """A filter that cannot be had."""

    def program_of(self, linktype: int) -> Program | None:
        raise CaptureError(f"no filter for link type {linktype}")


def test_a_reload_that_fails_leaves_all_as_it_was(cable: Cable, options: RingOptions) -> None:
    cable.plug("mirror1", "switch1")
    refused = OneProgram((Instruction(0xFFFF, 0, 0, 0),))  # no instruction there is
    with Ring(["mirror0"], options=options, programs=HEADERS) as ring:
        before = descriptors_open()
        for names, programs in (
            (["mirror0", "mirror9"], None),
            (["mirror0"], NoProgram()),
            (["mirror0"], refused),
            (["mirror1", "mirror0", "mirror9"], HEADERS),
            ([], None),
        ):
            with pytest.raises(CaptureError):
                ring.rebind(names, programs)
        assert descriptors_open() == before
        long = camera.says(bytes(500), to="192.0.2.1", port=9000)
        cable.send([long])
        assert data_of(read_rows(ring, 1)) == [long[:60]]
        assert len(ring.counters()) == 1


@contextmanager
def without_net_raw() -> Iterator[None]:
    """Give up CAP_NET_RAW for a while; only this thread does (capset(2), capability(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("Ii", 0x2008_0522, 0)
    before = ctypes.create_string_buffer(24)
    assert libc.capget(header, before) == 0
    effective, *rest = struct.unpack("6I", before.raw)
    assert libc.capset(header, struct.pack("6I", effective & ~(1 << CAP_NET_RAW), *rest)) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


def test_the_privilege_is_needed_to_open_and_for_nothing_else(
    cable: Cable, options: RingOptions
) -> None:
    with Ring(["mirror0", "lo"], options=options) as ring:
        cable.send([ASKS])
        read_rows(ring, 1)
        cable.unplug("mirror0")
        read_changes(ring, 1)
        cable.plug("mirror0", "switch0")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind(("switch0", 0))
            with without_net_raw():
                with pytest.raises(CaptureError, match="switch0: capturing needs CAP_NET_RAW"):
                    ring.rebind(["mirror0", "switch0"], None)
                assert [change.state for change in read_changes(ring, 1)] == [UP]
                ring.rebind(["mirror0"], HEADERS)
                long = camera.says(bytes(500), to="192.0.2.1", port=9000)
                sender.send(long)
                assert data_of(read_rows(ring, 1)) == [long[:60]]
                assert counted(ring).packets == 2


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interfaces", "reason"),
    [
        ([], "no interface is named"),
        (["any"], "any: is no interface"),
        ([f"if{n}" for n in range(65)], "65 interfaces; at most 64"),
        (["no such"], "no such: there is no such interface"),
    ],
    ids=["none", "any", "too many", "none of that name"],
)
def test_interfaces_that_cannot_be_watched(
    cable: Cable, options: RingOptions, interfaces: list[str], reason: str
) -> None:
    del cable
    with pytest.raises(CaptureError, match=reason):
        Ring(interfaces, options=options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (RingOptions(block_bytes=4096), "blocks of 4096 bytes; write a multiple of"),
        (RingOptions(block_bytes=(1 << 17) + 1), "write a multiple of"),
        (RingOptions(blocks=1), "1 blocks of 1048576 bytes; write at least 2"),
        (RingOptions(blocks=5000), "less than 4 GiB"),
        (RingOptions(retire_milliseconds=0), "after 0 ms; write 1 to 1000"),
    ],
    ids=["small blocks", "blocks of no pages", "one block", "too much", "at once"],
)
def test_rings_that_cannot_be(options: RingOptions, reason: str) -> None:
    with pytest.raises(CaptureError, match=reason):
        Ring(["lo"], options=options)


def test_a_ring_that_the_kernel_refuses(
    cable: Cable, options: RingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cable
    monkeypatch.setattr(tap_module, "FRAME_BYTES", 12_345)
    before = descriptors_open()
    with pytest.raises(CaptureError, match=r"^mirror0: the kernel refuses a ring of 16 blocks"):
        Ring(["mirror0"], options=options)
    assert descriptors_open() == before


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(1, "Operation not permitted"), "needs CAP_NET_RAW; run as root, or let"),
        (OSError(97, "Address family not supported"), "RestrictAddressFamilies= name AF_PACKET"),
    ],
    ids=["no privilege", "no packet sockets"],
)
def test_a_socket_that_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("socket.socket", refuse)
    with pytest.raises(CaptureError, match=reason):
        Ring(["lo"])


# ---- the end --------------------------------------------------------------------------------


def test_nothing_stays_open(cable: Cable, options: RingOptions) -> None:
    del cable
    before = descriptors_open()
    for _ in range(3):
        with Ring(["mirror0", "switch0"], options=options) as ring:
            ring.read(0)
        ring.close()  # a second time is nothing
    assert descriptors_open() == before
    with pytest.raises(CaptureError, match="closed"):
        ring.read(0)
    assert list(ring) == []


def test_a_batch_that_somebody_holds_outlives_the_ring(cable: Cable, options: RingOptions) -> None:
    ring = Ring(["mirror0"], options=options)
    cable.send([ASKS])
    batch = ring.read(PATIENCE_SECONDS)
    assert batch is not None
    view = memoryview(batch.buffer)[batch.offset[0] : batch.offset[0] + batch.captured[0]]
    ring.close()
    assert bytes(view) == ASKS
    before = descriptors_open()
    del view, batch, ring
    gc.collect()
    assert descriptors_open() < before


# ---- the engine behind it -------------------------------------------------------------------


def engine_of(name: str) -> Engine:
    return assemble(
        load_site(PCAPS / "sites" / f"{name}.yaml"), services=load_services(()), geo=Geo(())
    )


def told(value: Any) -> Any:
    """Return what the engine said, without where a frame stands."""
    return str(value).replace(f"{PCAPS}/", "")


@pytest.mark.parametrize(
    "name", ["cloud-call", "tls-upload", "media-out", "in-vlan", "in-qinq", "in-vxlan", "ipv6"]
)
def test_what_the_ring_saw_is_what_a_replay_finds(
    cable: Cable, options: RingOptions, name: str
) -> None:
    path = next(PCAPS.glob(f"{name}.pcap*"))
    engine = engine_of(name)
    expected: list[Any] = []
    with open_captures([str(path)]) as reader:
        for batch in reader:
            expected += engine.feed(batch, reader.sources)
        replayed_source = reader.sources[0]
    expected += engine.finish()
    expected_findings = engine.case().findings
    with open_captures([str(path)]) as reader:
        recorded = file_rows_of(reader)

    live = engine_of(name)
    events: list[Any] = []
    seen = 0
    cable.plug("mirror1", "switch1", mtu=1600)  # carriers make frames longer
    with Ring(["mirror1"], options=options) as ring:
        for start in range(0, len(recorded), 50):
            part = recorded[start : start + 50]
            cable.send([row.data for row in part], by="switch1")
            while seen < start + len(part):
                taken = ring.read(PATIENCE_SECONDS)
                assert taken is not None
                for row in range(taken.count):  # as long ago as it was recorded
                    taken.time[row] = recorded[taken.number[row] - 1].time
                seen += taken.count
                events += live.feed(taken, [replayed_source])
        assert counted(ring).drops == 0
    events += live.finish()
    assert told(events) == told(expected)
    assert told(live.case().findings) == told(expected_findings)
    assert expected_findings


def test_columns_are_those_of_a_batch_made_by_hand(cable: Cable, ring: Ring) -> None:
    frames = [ASKS, camera.knocks("192.0.2.1", 443), camera.pings("192.0.2.1")]
    cable.send(frames)
    made, taken = batch_of(*frames), Counter[str]()
    batch: Batch | None = ring.read(PATIENCE_SECONDS)
    assert batch is not None
    for column in ("offset", "captured", "wire", "time", "source", "number"):
        mine: array[int] = getattr(batch, column)
        assert mine.typecode == getattr(made, column).typecode
        taken[column] += len(mine) >= batch.count
    assert set(taken.values()) == {1}
