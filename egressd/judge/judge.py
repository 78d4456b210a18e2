"""The judge: flows and lookups of every on-site host, gathered into episodes.

A host may turn out to be a camera after it has called home, so that the judge
keeps the episodes of all hosts and tells those of cameras: when the episode
begins, when its stage rises, or when the camera is recognised.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from egressd.judge.classes import WITH_PORTS, class_of, transport_of
from egressd.judge.findings import Rule, finding_of, id_of, rule_of
from egressd.judge.memory import FINDINGS, Memory, Resumed
from egressd.judge.stages import EPISODE_SILENCE, Episode, Tally
from egressd.model import (
    NANOSECONDS_PER_SECOND,
    AlertEvent,
    Camera,
    Contact,
    Destination,
    Direction,
    Finding,
    FlowJudgement,
    FrameRef,
    Name,
    NameSource,
    Nanoseconds,
    Party,
    Place,
    Service,
    Stage,
)
from egressd.state import flow_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from egressd.attribute.services import Services
    from egressd.config import Site
    from egressd.judge.policy import Policy

TCP = 6
LOOKUP = "lookup"  # stands for the transport in the key of what has no address
MAXIMUM_EPISODES = 250_000
MAXIMUM_NAMES = 16  # of one destination
RESUMED_PENDING = 300 * NANOSECONDS_PER_SECOND  # after a restart, as for datagrams (plane.py)


class Identities(Protocol):
    """What the judge asks of the inventory."""

    def camera_of(self, host_index: int) -> Camera | None:
        """Return the judged camera a host is, or None."""

    def hosts_of(self, host_index: int) -> Iterable[int]:
        """Return all hosts that are the same device, the given one among them."""


class Places(Protocol):
    """What the judge asks of the geo databases."""

    def place_of(self, ip: str) -> Place:
        """Return what the databases say of an address."""


@dataclass(slots=True)
class Opening:
    """A flow as its first frame shows it, from the on-site host's point of view."""

    flow: int
    row: int  # of the data plane, while the flow goes on
    host: int
    remote_ip: str
    remote_port: int
    local_port: int
    protocol: int
    direction: Direction
    names: list[Name]
    at: Nanoseconds
    frame: FrameRef
    on_site: bool = False
    home: int = 0  # the side of the data plane's flow that the host is
    home_ip: str = ""

    @property
    def id(self) -> str:
        """What the flow is known by over a restart."""
        return flow_id(
            self.protocol, self.home_ip, self.local_port, self.remote_ip, self.remote_port
        )


@dataclass(slots=True)
class Thread:
    """One flow in the judge's book."""

    opening: Opening
    transport: str
    port: int | None
    episode: Episode = field(init=False)
    pending: bool = False  # a name may yet permit it; its episode is its own until then

    @property
    def inbound(self) -> bool:
        """Whether a host off site opened it."""
        return self.opening.direction is Direction.INBOUND

    @property
    def datagrams(self) -> bool:
        """Whether answers alone tell how far it got."""
        return self.opening.protocol != TCP


# Host, address or name, port, transport, local port where inbound, permitted.
Key = tuple[int, str | None, int | None, str, int | None, bool]


class Judge:
    """Episodes of all hosts, findings of cameras."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it asks
        self,
        site: Site,
        identities: Identities,
        services: Services,
        places: Places,
        policy: Policy,
        last_of: Callable[[int, int], Nanoseconds],
        maximum: int = MAXIMUM_EPISODES,
    ) -> None:
        self._site = site
        self._identities = identities
        self._services = services
        self._places = places
        self._policy = policy
        self._last_of = last_of  # the last frame of a flow that goes on, by its id and row
        self._maximum = maximum
        self._open: dict[Key, Episode] = {}  # the latest episode of each destination
        self._episodes: OrderedDict[int, Episode] = OrderedDict()  # all, by id(), oldest first
        self._threads: dict[int, Thread] = {}
        self._by_host: dict[int, list[Episode]] = {}
        self._newest: dict[int, Nanoseconds] = {}  # by host: first contact with its newest far end
        self._just_ended: Episode | None = None
        self.one_way_mirror = False  # acknowledgements prove payload that is never seen
        self.silent = False  # nothing is told: what comes has been
        self.evicted = 0
        self._memory: Memory | None = None  # made when somebody asks for the state
        self._resumable: dict[str, Resumed] = {}  # flows of the run before, by flow_id
        self._resumed_at: Nanoseconds = 0

    # ---- flows ----------------------------------------------------------------------------

    def begin(self, opening: Opening, tally: Tally) -> list[AlertEvent]:
        """Take the first frame of a flow that leaves the site, and its counters so far."""
        transport = transport_of(opening.protocol)
        port = opening.remote_port if transport in WITH_PORTS else None
        thread = Thread(opening, transport, port)
        camera = self._identities.camera_of(opening.host)
        if not self._is_resumed(thread, camera):
            self._place(thread, camera)
        self._threads[opening.flow] = thread
        episode = thread.episode
        episode.measure(opening.flow, tally)
        self._learn_names(episode, opening.names)
        if self._memory is not None:
            self._memory.touch(episode)
            self._memory.began(thread)
        return self._tell(episode, opening.at)

    def _place(self, thread: Thread, camera: Camera | None) -> None:
        """Give a new flow its episode."""
        opening = thread.opening
        if camera is not None and self._policy.may_permit_by_name(
            camera, thread.port, thread.transport, opening.at
        ):
            # Which permit covers it, the names it is yet to tell decide.
            thread.pending = True
            thread.episode = self._opened(thread, weighed=True)
        else:
            permitted = camera is not None and self._is_permitted(camera, thread, opening.names)
            thread.episode = self._episode_for(thread, permitted, weighed=camera is not None)
        thread.episode.flows += 1
        thread.episode.begin(opening.at)
        thread.episode.note(opening.frame)

    def answered(self, flow: int, *, by_host: bool, at: Nanoseconds, frame: FrameRef) -> None:
        """Take the other side's first frame: decisive for datagrams only."""
        thread = self._threads.get(flow)
        if thread is None or not thread.datagrams:
            return
        spoke_only = thread.inbound and by_host and thread.transport != "icmp"
        self._rise(thread, Stage.CONNECTED if spoke_only else Stage.PAYLOAD, at, frame)

    def turned(self, flow: int, *, at: Nanoseconds, frame: FrameRef) -> None:
        """Take that the side which began spoke again: what the host sent has arrived."""
        thread = self._threads.get(flow)
        if thread is not None and thread.datagrams and thread.inbound:
            self._rise(thread, Stage.PAYLOAD, at, frame)

    def connected(self, flow: int, *, at: Nanoseconds, frame: FrameRef) -> None:
        """Take that a TCP connection was accepted."""
        thread = self._threads.get(flow)
        if thread is not None:
            self._rise(thread, Stage.CONNECTED, at, frame)

    def delivered(self, flow: int, *, at: Nanoseconds, frame: FrameRef) -> None:
        """Take that payload of the on-site host was acknowledged."""
        thread = self._threads.get(flow)
        if thread is not None:
            self._rise(thread, Stage.PAYLOAD, at, frame)

    def media(self, flow: int, at: Nanoseconds, frame: FrameRef) -> None:
        """Take that audio or video went out."""
        thread = self._threads.get(flow)
        if thread is not None:
            self._rise(thread, Stage.MEDIA, at, frame)

    def refused(self, flow: int, *, reset: bool, frame: FrameRef) -> None:
        """Take a reset or an ICMP error."""
        thread = self._threads.get(flow)
        if thread is not None:
            thread.episode.reset |= reset
            thread.episode.refused |= not reset
            if thread.episode.stage is Stage.ATTEMPT:
                thread.episode.note(frame)
            self._touch(thread.episode)

    def measure(self, flow: int, tally: Tally, at: Nanoseconds, frame: FrameRef) -> None:
        """Take the counters of a flow as they stand."""
        thread = self._threads.get(flow)
        if thread is None:
            return
        episode = thread.episode
        episode.measure(flow, tally)
        episode.last = max(episode.last, at)
        if episode.weigh():
            episode.note(frame)
        self._touch(episode)

    def learn(self, flow: int, protocol: str, name: Name | None) -> None:
        """Take what a message of a flow says: its protocol, a name of the far end."""
        thread = self._threads.get(flow)
        if thread is None:
            return
        if protocol and protocol not in thread.episode.protocols:
            thread.episode.protocols.append(protocol)
        self._touch(thread.episode)
        if name is not None:
            self._learn_names(thread.episode, [name])
            if name.source in TOLD and thread.pending:
                self._settle(flow, thread, [name])

    def has(self, flow: int) -> bool:
        """Say whether a flow is in the book."""
        return flow in self._threads

    def tell(self, flow: int, at: Nanoseconds) -> list[AlertEvent]:
        """Alert what is new in a flow's episode."""
        thread = self._threads.get(flow)
        if thread is None:
            return []
        if thread.pending and thread.episode.stage >= Stage.PAYLOAD:
            self._settle(flow, thread, thread.opening.names)
        return self._tell(thread.episode, at)

    def end(self, flow: int, tally: Tally, last: Nanoseconds) -> FlowJudgement | None:
        """Close a flow and return what is to be said of it, if its host is a camera."""
        thread = self._threads.get(flow)
        if thread is None:
            return None
        if thread.pending and not (self._memory is not None and self._memory.is_suspended):
            self._settle(flow, thread, thread.opening.names)
        del self._threads[flow]
        episode = thread.episode
        if self._memory is not None:
            self._memory.touch(episode)
            self._memory.ended(thread)
        episode.close(flow, tally)
        episode.last = max(episode.last, last)
        episode.weigh()
        self._just_ended = episode
        camera = None if self.silent else self._identities.camera_of(thread.opening.host)
        return self._judgement(episode, camera, tally) if camera is not None else None

    def _judgement(self, episode: Episode, camera: Camera, tally: Tally) -> FlowJudgement:
        self._attribute(episode)
        destination = episode.destination
        return FlowJudgement(
            camera=camera,
            destination=destination.as_known_now(),
            direction=episode.direction,
            stage=episode.stage,
            bytes_out=tally.bytes_out,
            bytes_in=tally.bytes_in,
            packets_out=tally.packets_out,
            packets_in=tally.packets_in,
            flow_class=class_of(
                episode.protocols,
                destination.transport,
                destination.port,
                inbound=episode.direction is Direction.INBOUND,
            ),
            protocol=episode.protocols[0] if episode.protocols else None,
            protocols=tuple(episode.protocols),
            permitted=episode.permitted,
            stage_undecidable=self._is_undecidable(episode),
        )

    # ---- lookups and scans -------------------------------------------------------------------

    def looked_up(  # noqa: PLR0913, PLR0917 - who asked for what, how and when
        self,
        host: int,
        name: str,
        service: Service,
        transport: str,
        at: Nanoseconds,
        frame: FrameRef,
        *,
        asked: bool,
    ) -> list[AlertEvent]:
        """Take a lookup: a contact of its own where the name is a camera cloud's."""
        if not service.can_alert or not _is_cloud(service):
            return []
        wanted = name.lower()
        for sibling in self._identities.hosts_of(host):
            episode = self._open.get((sibling, wanted, None, LOOKUP, None, False))
            if episode is not None and self._goes_on(episode, at):
                episode.flows += asked
                episode.begin(at)
                self._touch(episode)
                return self._tell(episode, at)
        destination = Destination(None, None, transport, [Name(name, NameSource.DNS, at)])
        destination.service = service
        destination.party = service.party
        episode = Episode(host, destination, Direction.OUTBOUND, Stage.LOOKUP, at, at, flows=1)
        episode.protocols.append("dns")
        episode.begin(at)
        episode.note(frame)
        self._add(episode)
        return self._tell(episode, at)

    def scanned(self, host: int, flows: int, tally: Tally, at: Nanoseconds) -> list[AlertEvent]:
        """Take the sums of the flows that a host opened beyond those told apart."""
        episode = Episode(
            host, Destination(None, None, "any"), Direction.OUTBOUND, Stage.ATTEMPT, at, at
        )
        episode.flows = flows
        episode.tally = tally
        self._add(episode)
        return self._tell(episode, at)

    # ---- cameras -----------------------------------------------------------------------------

    def recognised(self, host: int, at: Nanoseconds) -> list[AlertEvent]:
        """Tell what a host did before it turned out to be a camera."""
        events = []
        for sibling in self._identities.hosts_of(host):
            for episode in list(self._by_host.get(sibling, ())):
                events += self._tell(episode, at)
        return events

    def tell_ended(self, at: Nanoseconds) -> list[AlertEvent]:
        """Alert what the counters of the flow that ended last add."""
        episode, self._just_ended = self._just_ended, None
        return self._tell(episode, at) if episode is not None else []

    def finish(self, at: Nanoseconds) -> list[AlertEvent]:
        """Tell what the last counters add."""
        events = []
        for episode in list(self._episodes.values()):
            events += self._tell(episode, at)
            if self.silent:
                camera = self._identities.camera_of(episode.host)
                if camera is not None:
                    self._rule_of(episode, camera)
        return events

    def contacts(self) -> list[Contact]:
        """Return all contacts of cameras, in the order of their first frames."""
        found = []
        for episode in sorted(self._episodes.values(), key=_place_of):
            camera = self._identities.camera_of(episode.host)
            if camera is None or episode.destination.ip is None:
                continue
            self._attribute(episode)
            tally = episode.tally
            found.append(
                Contact(
                    camera,
                    episode.destination,
                    episode.direction,
                    episode.stage,
                    episode.first,
                    episode.last,
                    tally.bytes_out,
                    tally.bytes_in,
                    tally.packets_out,
                    tally.packets_in,
                    episode.flows,
                    episode.permitted,
                    episode.finding,
                )
            )
        return found

    def findings(self) -> list[Finding]:
        """Return all findings as they stand now, in the order of their first frames."""
        found = []
        for episode in sorted(self._episodes.values(), key=_place_of):
            camera = self._identities.camera_of(episode.host)
            if camera is None or episode.finding is None:
                continue
            rule = self._rule_of(episode, camera)
            if rule is not None:
                found.append(self._finding(episode, camera, rule))
        return found

    @property
    def maximum(self) -> int:
        """How many episodes there is room for."""
        return self._maximum

    def __len__(self) -> int:
        return len(self._episodes)

    # ---- over a restart ----------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        """What is to be kept; asking for it begins to keep track."""
        if self._memory is None:
            self._memory = Memory(self._episodes, self._threads)
        return self._memory

    def open_findings(self, at: Nanoseconds) -> list[Finding]:
        """Return the findings told whose episodes may go on."""
        found = []
        for episode in self._episodes.values():
            if episode.finding is None or episode.told is None:
                continue
            last = episode.last
            for flow in episode.live:  # a quiet flow tells nothing of itself
                thread = self._threads.get(flow)
                if thread is not None:
                    last = max(last, self._last_of(flow, thread.opening.row))
            camera = self._identities.camera_of(episode.host)
            if at - last > EPISODE_SILENCE or camera is None:
                continue
            rule = self._rule_of(episode, camera)
            if rule is not None:
                finding = self._finding(episode, camera, rule)
                finding.last = last
                found.append(finding)
        return found

    def newest_destination_of(self, hosts: Iterable[int]) -> Nanoseconds:
        """Return when a device's hosts were first seen with their newest far end, 0 if never."""
        return max((self._newest.get(host, 0) for host in hosts), default=0)

    def whose(self, episode: Episode) -> Camera | None:
        """Return the camera an episode is of, and find out whose its far end is."""
        camera = self._identities.camera_of(episode.host)
        if camera is not None:
            self._attribute(episode)
        return camera

    def restore(self, episodes: Iterable[Episode], resumable: dict[str, Resumed]) -> None:
        """Take what the run before this one knew, the oldest episode first."""
        for episode in episodes:
            self._add(episode)
        self._resumable = resumable

    def has_past_flows(self, at: Nanoseconds) -> bool:
        """Say whether to see to flows that were going on before a restart."""
        return bool(self._resumable) and at - self._resumed_at > RESUMED_PENDING

    def settle_past_flows(self, at: Nanoseconds) -> list[AlertEvent]:
        """Decide on flows of the run before that wait for a name and do not go on."""
        if not self._resumed_at:
            self._resumed_at = at
            return []
        events = []
        for key, resumed in list(self._resumable.items()):
            if resumed.pending:
                del self._resumable[key]
                events += self._settle_alone(resumed.episode, at)
        if at - self._resumed_at > EPISODE_SILENCE:
            self._resumable.clear()
        return events

    def _is_resumed(self, thread: Thread, camera: Camera | None) -> bool:
        """Say whether a flow is one that was going on before a restart; give it its episode."""
        if not self._resumable:
            return False
        opening = thread.opening
        resumed = self._resumable.pop(opening.id, None)
        if resumed is None:
            return False
        episode = resumed.episode
        if episode.is_over(opening.at):
            return False  # the same ports again, long after
        if camera is not None and not resumed.pending:
            names = _trusted(episode.destination)
            if self._would_permit(camera, thread, names) != episode.permitted:
                return False  # the site file has changed
        opening.direction = resumed.direction
        thread.episode, thread.pending = episode, resumed.pending
        episode.last = max(episode.last, opening.at)
        return True

    def _would_permit(self, camera: Camera, thread: Thread, names: list[str]) -> bool:
        opening = thread.opening
        return self._policy.would_permit(
            camera, opening.remote_ip, names, thread.port, thread.transport, opening.at
        )

    def _settle_alone(self, episode: Episode, at: Nanoseconds) -> list[AlertEvent]:
        """Decide on an episode whose flow ended while nobody looked."""
        episode.weighed = False
        self._add(episode)
        return self._tell(episode, at)

    def _touch(self, episode: Episode) -> None:
        if self._memory is not None:
            self._memory.touch(episode)

    # ---- inside ------------------------------------------------------------------------------

    def _is_permitted(self, camera: Camera, thread: Thread, names: list[Name]) -> bool:
        """Ask the policy about one flow, at its own time."""
        opening = thread.opening
        texts = [name.name for name in names]
        return (
            self._policy.find(
                camera, opening.remote_ip, texts, thread.port, thread.transport, opening.at
            )
            is not None
        )

    def _settle(self, flow: int, thread: Thread, names: list[Name]) -> None:
        """Decide on a flow that waited for its name, and put it where it belongs."""
        thread.pending = False
        own = thread.episode
        camera = self._identities.camera_of(thread.opening.host)
        own.permitted = camera is not None and self._is_permitted(camera, thread, names)
        episode = self._continued(thread, own.permitted)
        if episode is None:
            self._add(own)
            return
        episode.absorb(own, flow)
        thread.episode = episode
        if self._memory is not None:
            self._memory.forget(own)
            self._memory.touch(episode)
            self._memory.began(thread)
        self._learn_names(episode, own.destination.names)

    def _episode_for(self, thread: Thread, permitted: bool, *, weighed: bool) -> Episode:  # noqa: FBT001 - part of the key
        """Return the episode a new flow goes on with, or a new one."""
        episode = self._continued(thread, permitted)
        if episode is None:
            episode = self._opened(thread, weighed=weighed)
            episode.permitted = permitted
            self._add(episode)
        return episode

    def _opened(self, thread: Thread, *, weighed: bool) -> Episode:
        opening = thread.opening
        destination = Destination(opening.remote_ip, thread.port, thread.transport)
        return Episode(
            opening.host,
            destination,
            opening.direction,
            Stage.ATTEMPT,
            opening.at,
            opening.at,
            opening.local_port if thread.port is not None else None,
            on_site=opening.on_site,
            weighed=weighed,
        )

    def _continued(self, thread: Thread, permitted: bool) -> Episode | None:  # noqa: FBT001 - part of the key
        """Return the episode a flow goes on with.

        A datagram from a far end that this host spoke to before is an answer, although its
        flow has timed out meanwhile.
        """
        opening = thread.opening
        inbound_port = None
        if opening.direction is Direction.INBOUND and thread.port is not None:
            inbound_port = opening.local_port
        ports: list[int | None] = [None] if inbound_port is None else [None, inbound_port]
        for sibling in self._identities.hosts_of(opening.host):
            for local in ports:
                key = (
                    sibling, opening.remote_ip, thread.port, thread.transport, local, permitted
                )  # fmt: skip
                episode = self._open.get(key)
                if episode is None or not self._goes_on(episode, opening.at):
                    continue
                if local is None and inbound_port is not None:
                    if opening.protocol == TCP:
                        continue
                    opening.direction = Direction.OUTBOUND
                return episode
        return None

    def _goes_on(self, episode: Episode, at: Nanoseconds) -> bool:
        """Say whether what begins at `at` belongs to an episode: no silence, or a chain."""
        if not episode.is_over(at):
            return True
        for flow in episode.live:  # a quiet flow tells nothing of itself
            thread = self._threads.get(flow)
            if thread is not None:
                episode.last = max(episode.last, self._last_of(flow, thread.opening.row))
        return not episode.is_over(at) or episode.is_chain(at)

    def _add(self, episode: Episode) -> None:
        key = _key_of(episode.host, episode)
        before = self._open.get(key)
        if before is not None:
            episode.onsets[:0] = before.onsets
        elif episode.destination.ip is not None and not episode.on_site:
            episode.is_new = True
            newest = self._newest.get(episode.host, 0)
            self._newest[episode.host] = max(newest, episode.first)
        self._open[key] = episode
        self._episodes[id(episode)] = episode
        self._by_host.setdefault(episode.host, []).append(episode)
        self._touch(episode)
        if len(self._episodes) > self._maximum:
            self._evict()

    def _evict(self) -> None:
        """Forget the oldest finished episode of a host that is not judged, else of any."""
        victim = None
        for number, episode in enumerate(self._episodes.values()):
            if episode.live:
                continue
            if victim is None:
                victim = episode
            if self._identities.camera_of(episode.host) is None:
                victim = episode
                break
            if number >= 64:
                break
        if victim is None:
            victim = next(iter(self._episodes.values()))
        del self._episodes[id(victim)]
        self._by_host[victim.host].remove(victim)
        key = _key_of(victim.host, victim)
        if self._open.get(key) is victim:
            del self._open[key]
        if self._memory is not None:
            self._memory.forget(victim)
        self.evicted += 1

    def _rise(self, thread: Thread, stage: Stage, at: Nanoseconds, frame: FrameRef) -> None:
        episode = thread.episode
        episode.last = max(episode.last, at)
        if episode.reach(stage):
            episode.note(frame)
        self._touch(episode)

    def _learn_names(self, episode: Episode, names: list[Name]) -> None:
        destination = episode.destination
        fresh = [name for name in names if not _is_known(name, destination.names)]
        if not fresh and destination.names:
            return
        room = MAXIMUM_NAMES - len(destination.names)
        if room <= 0 and all(name.source is NameSource.DNS for name in fresh):
            return
        # What the camera itself said to the far end tells more than what it had asked before.
        destination.names = sorted(
            destination.names + fresh[:room], key=lambda name: name.source is NameSource.DNS
        )
        episode.attributed = False

    def _attribute(self, episode: Episode) -> None:
        """Say whose the far end is and where: by its names first, else by its address.

        Only what is told of a camera needs it, so that it waits until then.
        """
        if episode.attributed:
            return
        episode.attributed = True
        destination = episode.destination
        hint = None
        for name in destination.names:
            service = self._services.of_name(name.name)
            if service is not None and service.can_alert:
                hint = service
                break
            hint = hint or service
        if destination.ip is not None:
            destination.place = self._places.place_of(destination.ip)
            hint = hint or self._services.of_address(
                destination.ip, destination.port, destination.transport
            )
        destination.service = hint
        destination.party = hint.party if hint is not None else Party.UNKNOWN

    def _tell(self, episode: Episode, at: Nanoseconds) -> list[AlertEvent]:
        """Alert an episode whose stage is above what was told, unless it is permitted."""
        if self.silent or (episode.told is not None and episode.stage <= episode.told):
            return []
        camera = self._identities.camera_of(episode.host)
        rule = self._rule_of(episode, camera) if camera is not None else None
        if camera is None or rule is None:
            return []
        episode.told = episode.stage
        finding = self._finding(episode, camera, rule)
        if self._memory is not None:
            self._memory.touch(episode)
            self._memory.count(FINDINGS, finding.rule, str(finding.severity))
        return [AlertEvent(at, finding)]

    def _rule_of(self, episode: Episode, camera: Camera) -> Rule | None:
        """Return the rule that a camera's episode breaks, unless it is permitted or forgotten."""
        self._attribute(episode)
        rule = rule_of(episode, self._site)
        if rule is None:
            return None
        if not episode.weighed:
            episode.weighed = True
            self._touch(episode)
            destination = episode.destination
            permit = self._policy.find(
                camera, destination.ip, _trusted(destination), destination.port,
                destination.transport, episode.first,
            )  # fmt: skip
            episode.permitted = permit is not None
        if episode.permitted or id(episode) not in self._episodes:
            return None
        if episode.finding is None:
            episode.finding = id_of(episode, camera)
        return rule

    def _finding(self, episode: Episode, camera: Camera, rule: Rule) -> Finding:
        finding = finding_of(episode, camera, rule)
        finding.stage_undecidable = self._is_undecidable(episode)
        return finding

    def _is_undecidable(self, episode: Episode) -> bool:
        return (
            episode.destination.transport != "tcp"
            and episode.stage is Stage.ATTEMPT
            and self.one_way_mirror
        )


def _place_of(episode: Episode) -> tuple[Nanoseconds, FrameRef, str, int]:
    """Return what orders contacts: their first frames, whenever they were learnt of."""
    frame = episode.evidence[0] if episode.evidence else FrameRef("", 0)
    destination = episode.destination
    return (episode.first, frame, destination.ip or "", destination.port or 0)


def _is_known(name: Name, names: list[Name]) -> bool:
    return any(other.name == name.name and other.source is name.source for other in names)


def _trusted(destination: Destination) -> list[str]:
    """Return the names that a permit may go by.

    What the camera told the far end counts alone: a name asked for before, of another
    service at the same address, would let it hide behind that.
    """
    told = [name.name for name in destination.names if name.source in TOLD]
    return told or [n.name for n in destination.names if n.source is NameSource.DNS]


TOLD = frozenset({NameSource.SNI, NameSource.QUIC, NameSource.HTTP})


def _is_cloud(service: Service) -> bool:
    return service.party in {Party.VENDOR, Party.VENDOR_INFRA}


def _key_of(host: int, episode: Episode) -> Key:
    destination = episode.destination
    if destination.ip is None:
        name = destination.names[0].name.lower() if destination.names else None
        return (host, name, None, LOOKUP, None, False)
    local = episode.local_port if episode.direction is Direction.INBOUND else None
    return (
        host, destination.ip, destination.port, destination.transport, local, episode.permitted
    )  # fmt: skip
