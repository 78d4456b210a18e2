"""The engine: the one place that knows the order of the stages.

Frames go in as batches, events come out. No I/O and no clock: time is the
frames' time, so that a replay of what the ring saw gives the same events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.addresses import mac_of, text_of
from egressd.attribute.names import NameTable
from egressd.carryover import CarryOver, Parts, sum_of
from egressd.dataplane.looks import REASONS_ENDED, LookKind
from egressd.flows import FlowReader
from egressd.identify.bindings import Bindings
from egressd.identify.judged import JudgedCameras, JudgedHosts
from egressd.judge.judge import Judge, Opening
from egressd.judge.memory import DESTINATIONS
from egressd.judge.policy import Policy
from egressd.judge.stages import Tally
from egressd.messages import MAXIMUM_CONVERSATIONS, Concerned, Messages, Reading, address_of
from egressd.model import (
    Camera,
    CameraEvent,
    Case,
    Coverage,
    CoverageEvent,
    Direction,
    Event,
    FlowEvent,
    FrameRef,
    Host,
    Name,
)
from egressd.past import Past, concerned, order_of, tally_of
from egressd.reading import CameraTimes, EngineReading, TableFill

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from egressd.attribute.geo import Geo
    from egressd.attribute.services import Services
    from egressd.capture.batch import Batch, Source
    from egressd.config import Site
    from egressd.dataplane.looks import Look as FastLook
    from egressd.dataplane.plane import Plane
    from egressd.dataplane.reference import ReferencePlane
    from egressd.dataplane.reference.looks import Look as ReferenceLook
    from egressd.identify.inventory import Inventory
    from egressd.state import EngineState

    Look = FastLook | ReferenceLook
    Witnessing = Callable[[list[Look], Batch, list[Source], Collection[int]], None]

TCP, UDP = 6, 17
OPENER_B = 1  # Look.detail of NEW: the side that did not send first opened the flow
SPOKE_ITSELF = 1  # Look.detail of HOST: by ARP
DNS_PORT, NTP_PORT = 53, 123
RUNS = 1 << 21
MAXIMUM_FLOWS = 1 << 19  # of a data plane that nobody told otherwise


# Looks of one flow: what they say, they say of its hosts.
OF_FLOWS = frozenset(range(LookKind.NEW, LookKind.ENDED + 1))


NO_MORE = 1 << 63  # the order of what comes after all looks


class Engine:
    """Frames to events: flows and looks, facts, cameras, names, findings."""

    def __init__(  # noqa: PLR0913 - the parts it is made of
        self,
        site: Site,
        *,
        services: Services,
        geo: Geo,
        inventory: Inventory,
        judge_all: bool = False,
        log_all: bool = False,
        silent: bool = False,
        witness: Witnessing | None = None,
        plane: Plane | ReferencePlane,
    ) -> None:
        self.site = site
        self._geo = geo
        self._services = services
        self._plane = plane
        self._log_all = log_all
        self._silent = silent
        self._witness = witness
        self._inventory = inventory
        self._bindings = Bindings()
        self._hosts = self._bindings.hosts
        self._judged = (
            JudgedHosts(inventory, self._hosts) if judge_all else JudgedCameras(inventory)
        )
        self._policy = Policy(site)
        self._flows = FlowReader(plane)
        self._judge = Judge(site, self._judged, services, geo, self._policy, self._last_of)
        self._names = NameTable()
        self._carry_over = CarryOver(
            Parts(inventory, self._bindings, self._names, self._judge, self._policy, self._flows)
        )
        self._followed: set[int] = set()  # hosts whose looks are read at once
        self._judge.silent = silent
        self._past = None if judge_all or log_all else Past(self._followed, inventory.is_news)
        self._is_over = False
        self._current: Look | None = None  # kept, and being read for what its host is
        self._ends: dict[int, int] = {}  # when flows of the past that is read ended
        self._order = 0  # of the look that is read
        self._fresh: list[Look] = []  # later looks of hosts that have just turned out to be cameras
        self._sources: list[Source] = []
        self._announced: set[str] = set()  # cameras
        self._runs = 0  # engines whose state this one goes on with
        self._first_frame: int | None = None
        self._events: list[Event] = []
        concerned_by = Concerned(
            site, self._hosts, inventory, self._judged, self._judge, self._names, services,
            self._flows, self._events, self._frame, self._published, self._announced,
        )  # fmt: skip
        self._messages = Messages(concerned_by, log_all=log_all, silent=silent)
        self._handlers: dict[int, Callable[[Look], None]] = {
            LookKind.HOST: self._host,
            LookKind.NEW: self._new,
            LookKind.PAYLOAD: self._messages.read,
            LookKind.ENDED: self._ended,
            LookKind.ANSWERED: self._state,
            LookKind.CONNECTED: self._state,
            LookKind.DELIVERED: self._state,
            LookKind.TURNED: self._state,
            LookKind.PROGRESS: self._state,
            LookKind.RESET: self._state,
            LookKind.REFUSED: self._state,
            LookKind.GATEWAY: self._gateway,
            LookKind.TURN: self._turn,
            LookKind.MIRROR: self._mirror,
        }

    def feed(self, batch: Batch, sources: list[Source]) -> list[Event]:
        """Take a batch; return what it led to, in the frames' order."""
        for index in range(len(self._sources), len(sources)):
            self._plane.add_source(index, sources[index].linktype)
        if len(sources) != len(self._sources):
            self._sources = list(sources)  # the reader's own list grows
        if self._first_frame is None and batch.count:
            self._first_frame = batch.time[0]
        position = 0
        while position < batch.count:
            position = self._plane.feed(batch, position)
            self._drain(batch)
        if self._judge.has_past_flows(self._last_frame):
            self._events += self._judge.settle_past_flows(self._last_frame)
        return self._taken()

    def tick(self, now: int) -> list[Event]:
        """Let time pass without a frame: flows that are silent too long end."""
        row = 0
        while row >= 0:
            row = self._plane.advance(now, row)
            self._drain(None)
        if self._judge.has_past_flows(now):
            self._events += self._judge.settle_past_flows(now)
        return self._taken()

    def state(self, *, changed_only: bool = False) -> EngineState:
        """Return what the next run must not forget: all of it, or what changed since last asked."""
        state = self._carry_over.rows(changed_only=changed_only)
        state.time = self._last_frame
        state.coverage = self.coverage()
        state.runs = self._runs + 1
        return state

    def restore(self, state: EngineState) -> None:
        """Know what another run knew; to be called before any frame is fed."""
        self._runs = state.runs
        # So that no two flows have one id; of the 53 bits that EVE writes, 21 are left for runs.
        self._flows.first_id = (state.runs % RUNS) << 32
        for camera in self._carry_over.restore(state):
            self._events.append(CameraEvent(state.time, camera))
        for camera in self._judged.cameras:
            self._announced.add(camera.id)
            self._followed.update(self._judged.bindings_of(camera))

    @property
    def one_way_mirror(self) -> bool:
        """Whether acknowledgements prove traffic that the mirror does not show."""
        return self._judge.one_way_mirror

    def reading(self) -> EngineReading:
        """Return what is counted, as it stands."""
        memory, judge, inventory = self._judge.memory, self._judge, self._inventory
        counts = memory.counts
        destinations = {row.labels[0]: row.count for row in counts if row.name == DESTINATIONS}
        cameras = self._judged.cameras
        times = {
            camera.id: CameraTimes(
                inventory.recognised_at(camera),
                destinations.get(camera.id, 0),
                judge.newest_destination_of(self._judged.bindings_of(camera)),
                self._last_frame_of(camera),
            )
            for camera in cameras
        }
        return EngineReading(
            cameras=cameras,
            times=times,
            totals=memory.totals,
            counts=counts,
            findings=judge.open_findings(self._last_frame),
            tables=self._tables(),
            databases=self._geo.databases,
            missing=len(inventory.missing),
        )

    def _last_frame_of(self, camera: Camera) -> int:
        bindings = self._judged.bindings_of(camera)
        # Bindings below zero are of a run before, which the data plane does not know.
        return max((self._plane.last_of_host(index) for index in bindings if index >= 0), default=0)

    def _tables(self) -> list[TableFill]:
        plane, names, judge, hosts = self._plane, self._names, self._judge, self._inventory
        conversations = len(self._messages.conversations)
        return [
            TableFill("flows", plane.live_flows, MAXIMUM_FLOWS, plane.counters()["evicted_flows"]),
            TableFill("names", len(names), names.maximum, names.evicted),
            TableFill("episodes", len(judge), judge.maximum, judge.evicted),
            TableFill("devices", len(hosts), hosts.maximum, hosts.shed_hosts),
            TableFill("conversations", conversations, MAXIMUM_CONVERSATIONS),
        ]

    def finish(self) -> list[Event]:
        """End all flows; return the last events."""
        self._carry_over.suspend()
        for camera in self._judged.cameras:
            self._follow(self._judged.bindings_of(camera))
        self._order = NO_MORE
        self._is_over = True
        rows = self._plane.live_rows()
        position = 0
        while position < len(rows):
            position = self._plane.end_rows(rows, position)
            self._drain(None)
        for index in self._hosts if self._past is None else self._followed:
            if index >= 0:  # else a host of a run before, which the data plane does not know
                self._tell_sums(index)
        for camera in self._judged.cameras:
            if camera.id not in self._announced:
                self._announced.add(camera.id)
                self._events.append(CameraEvent(self._last_frame, camera))
        self._events += self._judge.finish(self._last_frame)
        self._events.append(CoverageEvent(self._last_frame, self.coverage()))
        return self._taken()

    def case(self) -> Case:
        """Return all that was found so far."""
        has_begun = self._first_frame is not None
        warnings = self._geo.warnings(self._last_frame) if has_begun else []
        if self._judge.one_way_mirror:
            warnings.append(
                "The mirror shows one direction only: acknowledgements prove traffic that was "
                "never seen. Stages of UDP contacts cannot be told."
            )
        if self._judge.evicted:
            warnings.append(
                f"Forgotten for want of room: {self._judge.evicted:,} contacts, first those of "
                "hosts that are no cameras."
            )
        warnings += self.site.warnings
        return Case(
            site=self.site.name,
            cameras=self._judged.cameras,
            contacts=self._judge.contacts(),
            findings=self._judge.findings(),
            permits=self._policy.uses,
            coverage=self.coverage(),
            databases=self._geo.databases,
            warnings=warnings,
            missing=[
                device.name or device.mac or device.ip or str(device.network)
                for device in self._inventory.missing
            ],
            other_hosts=self._inventory.other_hosts,
        )

    @property
    def _last_frame(self) -> int:
        return self._plane.last_frame

    def coverage(self) -> Coverage:
        """Return the coverage counters as they stand."""
        errors = dict(sorted(self._messages.errors.items()))
        now = Coverage(**self._plane.counters(), decode_errors=errors)
        before = self._carry_over.coverage
        return sum_of(before, now) if before.frames else now

    # ---- looks -----------------------------------------------------------------------------

    def _drain(self, batch: Batch | None) -> None:
        looks: list[Look] = [*self._plane.drain(batch.buffer if batch is not None else None)]
        if self._past is None:
            for look in looks:
                self._handlers[look.kind](look)
        elif not self._is_over:
            self._sort_out(looks, self._past)
        else:
            for look in looks:  # what a host is, no end of a flow tells
                if look.host_a in self._followed or look.host_b in self._followed:
                    self._handlers[look.kind](look)
        if self._witness is not None and batch is not None:
            # Who is judged is known by now; events are handed out when the batch is done.
            self._witness(looks, batch, self._sources, self._followed)

    def _sort_out(self, looks: list[Look], past: Past) -> None:
        """Read looks in their order: of judged hosts whole, of others for what they are."""
        followed = self._followed
        handlers = self._handlers
        pending = past.sort_out(looks)
        position = 0
        while position < len(pending):
            look = pending[position]
            position += 1
            self._order = look.order
            if look.kind not in OF_FLOWS or look.host_a in followed or look.host_b in followed:
                handlers[look.kind](look)
            else:
                self._identify(look)
            if self._fresh:
                # What hosts that are followed now did after this look is no past.
                later = {rest.order: rest for rest in pending[position:]}
                later.update((rest.order, rest) for rest in self._fresh)
                pending = sorted(later.values(), key=order_of)
                position = 0
                self._fresh = []
        if past.is_full and looks:
            self._order = looks[-1].order  # all that is kept is past by now
        while past.is_full:
            self._recall(past.take_older())

    def _identify(self, look: Look) -> None:
        """Read a look of a host that nobody judges for what the host is."""
        host = concerned(look)
        if look.kind == LookKind.ENDED:
            # What was put off of a contact may still be read, and then ends it itself.
            known = self._messages.glimpses if host else self._messages.conversations
            known.pop(look.flow, None)
            return
        if not host:  # what is said on site is never judged
            self._messages.read(look)
            return
        self._current = look
        self._messages.reading = Reading.IDENTITY
        self._messages.read(look)
        self._messages.reading = Reading.NOW
        self._current = None
        if host in self._followed:
            self._messages.read(look)

    def _follow(self, hosts: Iterable[int]) -> None:
        """Read the looks of hosts at once from now on, and what they did before."""
        if self._past is None:
            return
        fresh = [host for host in hosts if host not in self._followed]
        if not fresh:
            return
        self._followed.update(fresh)
        looks = self._past.take(fresh)
        while looks and looks[-1].order > self._order:
            self._fresh.append(looks.pop())
        if looks and looks[-1] is self._current:  # it is read when its past has been
            looks.pop()
        self._recall(looks)

    def _recall(self, looks: list[Look]) -> None:
        """Read what was put off, in its order; nothing is told of it."""
        judge, messages = self._judge, self._messages
        before = messages.reading, judge.silent, self._ends
        messages.reading, judge.silent = Reading.PAST, True
        self._ends = {look.flow: look.last for look in looks if look.kind == LookKind.ENDED}
        for look in looks:
            self._handlers[look.kind](look)
        messages.reading, judge.silent, self._ends = before

    def _last_of(self, flow: int, row: int) -> int:
        return self._ends.get(flow) or self._flows.last_of(flow, row)

    def _tell_sums(self, index: int) -> None:
        """Tell what a host's flows sent that are not told apart."""
        flows, frames_out, bytes_out, frames_in, bytes_in = self._plane.shed_of(index)
        tally = Tally(bytes_out, bytes_in, frames_out, frames_in)
        if flows:
            self._events += self._judge.scanned(index, flows, tally, self._last_frame)

    # ---- hosts and flows -----------------------------------------------------------------------

    def _taken(self) -> list[Event]:
        events = self._events.copy()
        self._events.clear()
        return events

    def _frame(self, look: Look) -> FrameRef:
        return FrameRef(self._sources[look.source].file, look.number)

    def _host(self, look: Look) -> None:
        """Take a new address behind a MAC, or what one said of itself."""
        host = self._hosts.get(look.row)
        known = host is not None
        if host is None:
            version, high, low, mac, _ = self._plane.host_of(look.row)
            host = self._bindings.introduce(look.row, text_of(version, high, low), mac_of(mac))
        claimed = look.detail == SPOKE_ITSELF
        if self._bindings.learn(host, claimed=claimed, hops=look.hops) or not known:
            self._bind(host, look.time)
        else:
            self._inventory.touch(host)

    def _bind(self, host: Host, at: int) -> None:
        self._published(self._inventory.see_host(host, at), host, at)
        known = self._judged.camera_of(host.index)
        if known is not None and self._past is not None and host.index not in self._followed:
            self._recognised(known, host.index, at)  # from a run before this one

    def _turn(self, look: Look) -> None:
        host = self._hosts.get(look.row)
        if host is not None:
            for moved in self._bindings.speaks(host):
                self._bind(moved, look.time)

    def _gateway(self, look: Look) -> None:
        mac = self._flows.mac_of(look.row, look.side)
        if mac is not None and not self._bindings.is_router(mac):
            for moved in self._bindings.find_router(mac):
                self._bind(moved, look.time)

    def _mirror(self, look: Look) -> None:
        self._judge.one_way_mirror = look.detail == 1

    def _published(self, camera: Camera | None, host: Host | None, at: int) -> None:
        if camera is not None:
            self._announced.add(camera.id)
            self._events.append(CameraEvent(at, camera))
            self._inventory.note_recognition(camera, at)
            self._recognised(camera, host.index if host is not None else None, at)

    def _recognised(self, camera: Camera, host: int | None, at: int) -> None:
        """Tell what a camera did before it was known for one."""
        if host is None or self._judged.camera_of(host) is not camera:
            host = next(iter(self._judged.bindings_of(camera)), None)
        if host is not None and self._judged.camera_of(host) is camera:
            self._follow(self._judged.hosts_of(host))
            self._events += self._judge.recognised(host, at)

    def _new(self, look: Look) -> None:
        """Begin a contact with the first frame of a flow that leaves the site."""
        home = 0 if look.host_a else 1
        host = self._hosts.get(look.host_a or look.host_b)
        if host is None:
            return  # one of those beyond the bound of the host table
        remote_ip = address_of(look, 1 - home)
        local_port = look.port_b if home else look.port_a
        remote_port = look.port_a if home else look.port_b
        inbound = home != (1 if look.detail & OPENER_B else 0)
        opening = Opening(
            flow=look.flow,
            row=look.row,
            host=host.index,
            remote_ip=remote_ip,
            remote_port=remote_port,
            local_port=local_port,
            protocol=look.protocol,
            direction=Direction.INBOUND if inbound else Direction.OUTBOUND,
            names=self._names_of(host, remote_ip, look.time),
            at=look.time,
            frame=self._frame(look),
            home=home,
            home_ip=host.ip,
        )
        self._events += self._judge.begin(opening, tally_of(look, home))

    def _names_of(self, host: Host, ip: str, at: int) -> list[Name]:
        """Return the names that led this device to an address, whichever address it asked from."""
        found: list[Name] = []
        bindings = self._judged.hosts_of(host.index)
        for own in dict.fromkeys(self._hosts[index].ip for index in bindings):
            found += self._names.names_of(own, ip, at)
        if len(found) > 1:
            found.sort(key=lambda name: name.seen, reverse=True)
        return found

    def _state(self, look: Look) -> None:
        """Take what the transport did."""
        flow = look.flow
        judge = self._judge
        if not judge.has(flow):
            return
        frame = self._frame(look)
        home = 0 if look.host_a else 1
        judge.measure(flow, tally_of(look, home), look.time, frame)
        kind = look.kind
        if kind == LookKind.ANSWERED:
            judge.answered(flow, by_host=look.side == home, at=look.time, frame=frame)
        elif kind == LookKind.TURNED:
            judge.turned(flow, at=look.time, frame=frame)
        elif kind == LookKind.CONNECTED:
            judge.connected(flow, at=look.time, frame=frame)
        elif kind == LookKind.DELIVERED:
            judge.delivered(flow, at=look.time, frame=frame)
        elif kind in {LookKind.RESET, LookKind.REFUSED}:
            judge.refused(flow, reset=kind == LookKind.RESET, frame=frame)
        self._events += judge.tell(flow, look.time)

    # ---- events -----------------------------------------------------------------------------

    def _ended(self, look: Look) -> None:
        conversation = self._messages.conversations.pop(look.flow, None)
        judgement = None
        if self._judge.has(look.flow):
            home = 0 if look.host_a else 1
            if not look.watched:  # both are on site: the client is judged
                home = look.side
            judgement = self._judge.end(look.flow, tally_of(look, home), look.last)
            self._events += self._judge.tell_ended(look.time)
        if self._silent or self._messages.reading is Reading.PAST:
            return
        if judgement is None and not self._log_all:
            return
        flow = self._flows.flow_of(look.row, self._sources)
        protocol = conversation.protocols[0] if conversation and conversation.protocols else None
        if protocol is None and look.protocol == UDP and DNS_PORT in (look.port_a, look.port_b):
            protocol = "dns"
        self._events.append(
            FlowEvent(look.time, flow, protocol, REASONS_ENDED[look.detail], judgement)
        )
