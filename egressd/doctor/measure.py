"""Measures a mirror: watches an interface for some seconds, or reads a capture, into Facts.

The engine does the measuring, as it does in `watch` and `replay`, with every flow told; here flows
are only counted by what the mirror showed of them. Whether the result is good is not asked here.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from egressd.assembly import assemble
from egressd.capture.interfaces import LinkState
from egressd.doctor.facts import Directions, Facts, InterfaceFacts
from egressd.doctor.machine import is_clock_synchronised, own_addresses
from egressd.model import NANOSECONDS_PER_SECOND, CameraEvent, FlowEvent, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from egressd.attribute.geo import Geo
    from egressd.attribute.services import Services
    from egressd.capture.batch import Batch, Source
    from egressd.capture.damage import Damage, Drops
    from egressd.capture.interfaces import InterfaceCounters, NicCounters
    from egressd.config import Site
    from egressd.engine import Engine
    from egressd.model import Event, Flow, Seconds, Side

TCP, UDP = 6, 17
QUESTIONS = {53: "dns", 123: "ntp"}  # ports of servers that answer what they are asked
LONG_BYTES = 2_000  # 1,514 and the tags and tunnels in use; two joined frames are longer
JUMBO_BYTES = 9_236  # beyond, no Ethernet frame: the data plane counts those
TURN_SECONDS = 0.2
MACS_A_NETWORK = 64  # by which networks are told apart


class LiveFrames(Protocol):
    """What is asked of a live source; `capture.ring.Ring` is one."""

    sources: list[Source]

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        """Return the next frames, or None when none came in time or somebody woke it."""

    def wake(self) -> None:
        """End a read."""

    def counters(self) -> list[InterfaceCounters]:
        """Return what interfaces counted so far."""


class Capture(Protocol):
    """What is asked of a capture; `capture.pcapfile.CaptureReader` is one."""

    damage: list[Damage]
    drops: list[Drops]

    @property
    def sources(self) -> list[Source]:
        """The interfaces met so far."""

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches."""


class Measurement:
    """An engine, and the counting of what it tells."""

    def __init__(self, site: Site, services: Services, geo: Geo) -> None:
        self._site = site
        self._engine: Engine = assemble(site, services=services, geo=geo, log="all")
        self._tally = Tally(site)

    def capture(self, target: str, capture: Capture, now: int) -> Facts:
        """Read a capture to its end."""
        for batch in capture:
            self._take(batch, capture.sources)
        facts = self._facts(target)
        coverage = facts.coverage
        facts.seconds = (coverage.last - coverage.first) / NANOSECONDS_PER_SECOND
        facts.now = now
        facts.damage = [f"{hurt.file}: {hurt.reason}" for hurt in capture.damage if not hurt.odd]
        facts.dropped_by_interface = sum(drops.if_drop or 0 for drops in capture.drops)
        facts.dropped_by_kernel = sum(drops.os_drop or 0 for drops in capture.drops)
        return facts

    def interface(self, target: str, frames: LiveFrames, seconds: Seconds, now: int) -> Facts:
        """Watch an interface for so long, or until Ctrl-C."""
        self._tally.own = own_addresses()
        before = _nics(frames)
        start = time.monotonic()
        with _stopping(frames) as asked:
            while not asked and (left := start + seconds - time.monotonic()) > 0:
                batch = frames.read(min(left, TURN_SECONDS))
                if batch is not None:
                    self._take(batch, frames.sources)
        watched = time.monotonic() - start
        counters = frames.counters()
        facts = self._facts(target)
        facts.live = True
        facts.seconds = watched
        facts.now = now
        facts.clock_synchronised = is_clock_synchronised()
        facts.interface = _interface_facts(counters, before)
        return facts

    def _take(self, batch: Batch, sources: list[Source]) -> None:
        self._tally.long_frames += _long_frames(batch)
        self._tally.take(self._engine.feed(batch, sources))

    def _facts(self, target: str) -> Facts:
        self._tally.take(self._engine.finish())
        case = self._engine.case()
        facts = self._tally.facts(target)
        facts.coverage = case.coverage
        facts.cameras = len(case.cameras)
        facts.hosts = case.other_hosts + facts.cameras
        facts.listed = len(self._site.devices)
        facts.missing = list(case.missing)
        return facts


class Tally:
    """Counts flows by what the mirror showed of them."""

    def __init__(self, site: Site) -> None:
        self.own: Collection[str] = ()  # addresses of this machine
        self.long_frames = 0
        self._facts = Facts("")
        self._cameras: set[str] = set()  # MACs and addresses
        # Without a site file nobody has said which networks there are.
        self._networks = site.networks if site.file is not None else ()
        self._macs: list[set[str]] = [set() for _ in self._networks]  # of hosts, by network
        self._seen: list[bool] = [False] * len(self._networks)

    def take(self, events: Iterable[Event]) -> None:
        """Count events."""
        for event in events:
            if isinstance(event, FlowEvent):
                if not event.flow.carrier:
                    self._count(event.flow)
            elif isinstance(event, CameraEvent) and event.camera.kind is not Kind.RECORDER:
                self._cameras.update([event.camera.mac or "", *event.camera.ips])

    def facts(self, target: str) -> Facts:
        """Return the counts as facts."""
        facts = self._facts
        facts.target = target
        facts.long_frames = self.long_frames
        pairs = list(zip(self._networks, self._seen, strict=True))
        spoken = {network.version for network, seen in pairs if seen}  # IPv6 may not be in use
        facts.networks_seen = [str(network) for network, seen in pairs if seen]
        facts.networks_unseen = [
            str(network) for network, seen in pairs if not seen and network.version in spoken
        ]
        facts.networks_apart = self._apart()
        return facts

    def _count(self, flow: Flow) -> None:
        facts = self._facts
        frames = flow.client.frames + flow.server.frames
        if flow.vlans:
            facts.vlans[flow.vlans[0]] += 1
        else:
            facts.untagged_flows += 1
        for side in (flow.client, flow.server):
            if side.frames and side.host and not is_group(side):
                self._place(side)
        if is_group(flow.client) or is_group(flow.server):
            facts.group_frames += frames
        elif flow.client.ip in self.own or flow.server.ip in self.own:
            facts.own_frames += frames
        else:
            facts.passing_frames += frames
            self._weigh(flow, frames)

    def _weigh(self, flow: Flow, frames: int) -> None:
        """Count a flow between two others by its transport and its directions."""
        facts = self._facts
        if flow.protocol == TCP:
            facts.tcp_frames += frames
            # A SYN that nobody answers is no proof; who sends data has heard the other side.
            if flow.client.payload_bytes or flow.server.payload_bytes:
                self._direct(flow, facts.tcp)
        elif flow.protocol == UDP:
            if flow.server.port in QUESTIONS or flow.client.port in QUESTIONS:
                self._direct(flow, facts.questions)
            else:
                facts.datagram_frames += frames

    def _direct(self, flow: Flow, directions: Directions) -> None:
        client, server = flow.client, flow.server
        if client.frames and server.frames:
            directions.both += 1
            return
        seen, unseen = (client, server) if client.frames else (server, client)
        if self._is_camera(seen) != self._is_camera(unseen):
            sent = self._is_camera(seen)
        else:
            sent = bool(seen.host)
        directions.sent += sent
        directions.received += not sent

    def _is_camera(self, side: Side) -> bool:
        return side.ip in self._cameras or (side.host > 0 and (side.mac or " ") in self._cameras)

    def _place(self, side: Side) -> None:
        """Note in which of the site's networks a host was seen, and behind which MAC."""
        address = ip_address(side.ip)
        for index, network in enumerate(self._networks):
            if address in network:
                self._seen[index] = True
                if side.mac is not None and len(self._macs[index]) < MACS_A_NETWORK:
                    self._macs[index].add(side.mac)

    def _apart(self) -> int:
        """Return how many networks have a host whose MAC no host of another network has.

        A router's MAC stands behind hosts of all of them, so that it tells nothing.
        """
        apart = 0
        for index, macs in enumerate(self._macs):
            others = set().union(*(m for other, m in enumerate(self._macs) if other != index))
            apart += bool(macs - others)
        return apart


def is_group(side: Side) -> bool:
    """Tell whether a side of a flow is a group or everybody."""
    if side.mac is not None and int(side.mac[:2], 16) & 1:
        return True
    return side.ip == "255.255.255.255" or ip_address(side.ip).is_multicast


def _long_frames(batch: Batch) -> int:
    lengths = memoryview(batch.wire)[: batch.count]
    if not batch.count or max(lengths) <= LONG_BYTES:
        return 0
    return sum(LONG_BYTES < length <= JUMBO_BYTES for length in lengths)


def _nics(frames: LiveFrames) -> dict[str, NicCounters]:
    return {counters.interface: counters.nic for counters in frames.counters()}


def _interface_facts(
    counters: list[InterfaceCounters], before: dict[str, NicCounters]
) -> InterfaceFacts | None:
    if not counters:
        return None
    (one,) = counters[:1]
    then, now = before[one.interface], one.nic
    return InterfaceFacts(
        up=one.state is LinkState.UP,
        carrier=one.carrier,
        mtu=one.mtu,
        merging=one.merging,
        kernel_drops=one.drops,
        super_frames=one.super_frames,
        nic_drops=sum(
            _more(a, b)
            for a, b in ((then.missed, now.missed), (then.fifo, now.fifo), (then.over, now.over))
        ),
        nic_errors=sum(
            _more(a, b)
            for a, b in (
                (then.crc, now.crc), (then.length, now.length), (then.framing, now.framing),
            )
        ),
        damaged=one.damaged,
        outages=one.outages,
    )  # fmt: skip


def _more(then: int | None, now: int | None) -> int:
    """Return by how much a counter grew, 0 where it is not told or began anew."""
    return max(0, now - then) if then is not None and now is not None else 0


@contextmanager
def _stopping(frames: LiveFrames) -> Iterator[list[int]]:
    """Note Ctrl-C or SIGTERM in a list, so that what was seen until then is told.

    A second one does what it did before.
    """
    asked: list[int] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def note(number: int, _: object) -> None:
        asked.append(number)
        frames.wake()
        restore()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
        yield asked
    finally:
        restore()
