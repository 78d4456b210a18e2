"""What a capture truly holds, counted from what was sent and what the mirror delivered.

Nothing here reads a frame: every number comes from the generator's own notes, so
that a decoder's mistake cannot creep into the truth it is tested against. Words
are those of DESIGN.md section 7.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pcaps.generator.cast import CLOUDS, ORGANISATIONS
from pcaps.generator.lan import Contact, Host, Lan, Packet, Question, Reached
from pcaps.generator.wire import Ends, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pcaps.generator.mirror import Captured

Json = dict[str, Any]
TRANSFER_BYTES = 64_000  # DESIGN.md 7, "Stage"
TRANSPORTS = {
    Protocol.TCP: "tcp",
    Protocol.UDP: "udp",
    Protocol.ICMP: "icmp",
    Protocol.ICMPV6: "icmp",
}


@dataclass(slots=True)
class Way:
    """Counters of one direction of a flow."""

    frames: int = 0  # as captured: copies, tags and tunnel headers included
    wire_bytes: int = 0
    packets: int = 0  # without copies; bytes are innermost Ethernet frames
    bytes: int = 0
    payload_bytes: int = 0  # of those packets; retransmissions included
    retransmitted_bytes: int = 0
    copies: int = 0
    lost_frames: int = 0  # sent, but not captured

    def count(self, row: Captured, packet: Packet) -> None:
        """Add one captured frame."""
        self.frames += 1
        self.wire_bytes += row.length
        if row.copy:
            self.copies += 1
            return
        self.packets += 1
        self.bytes += row.own
        if not _is_later_fragment(row, packet):
            self.payload_bytes += packet.payload
            self.retransmitted_bytes += packet.payload if packet.repeated else 0

    def as_json(self) -> Json:
        """Return the counters by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class FlowTruth:
    """A five-tuple; `to_other` counts what its opener sent."""

    protocol: int
    opener: Ends
    to_other: Way = field(default_factory=Way)
    to_opener: Way = field(default_factory=Way)
    first: int = 0
    last: int = 0
    vlans: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """What the scenario's site file says and who is on it."""

    hosts: tuple[Host, ...]  # cameras and recorders, every address of each
    listed: frozenset[str]  # names in the site file
    undecidable: bool = False  # a one-way mirror: UDP contacts have no stage


def truth_of(lan: Lan, rows: list[Captured], site: Site) -> Json:
    """Return the whole truth of a capture as JSON."""
    seen = _whole(rows)
    lan.names = [n for n in lan.names if all(id(packet) in seen for packet in n.told_by)]
    lan.questions = [_as_seen(q, seen) for q in lan.questions if _is_told(q, seen)]
    flows = _flows(lan, rows)
    contacts = _contacts(lan, rows, site)
    return {
        "totals": {
            "frames": len(rows),
            "wire_bytes": sum(row.length for row in rows),
            "captured_bytes": sum(len(row.data) for row in rows),
            "copies": sum(row.copy for row in rows),
            "not_ip": sum(row.frame.packet is None for row in rows),
            "cut": sum(len(row.data) < row.length for row in rows),
            "fragments": sum(
                row.frame.packet is not None and len(row.frame.packet.packets) > 1 for row in rows
            ),
        },
        "cameras": _cameras(lan, rows, site),
        "flows": [
            _flow_json(flow) for flow in flows if flow.to_other.frames + flow.to_opener.frames
        ],
        "carriers": _carriers(rows),
        "contacts": contacts,
        "lookups": _lookups(lan),
        "names": sorted(
            (
                {"client": n.client.ip, "ip": n.ip, "name": n.name, "source": n.source}
                for n in lan.names
            ),
            key=lambda name: tuple(name.values()),
        ),
        "findings": _findings(lan, contacts),
    }


def _is_told(question: Question, seen: set[int]) -> bool:
    return any(id(packet) in seen for packet in question.told_by)


def _as_seen(question: Question, seen: set[int]) -> Question:
    """Return a lookup as the capture shows it: without the answer where that is not there."""
    if len(question.told_by) < 2 or id(question.told_by[1]) in seen:
        return question
    return replace(question, outcome="unanswered", answers=())


def _whole(rows: Iterable[Captured]) -> set[int]:
    """Return the packets of which every frame is captured, and none cut."""
    times: dict[int, set[int]] = defaultdict(set)
    parts: dict[int, int] = {}
    for row in rows:
        packet = row.frame.packet
        if packet is not None and len(row.data) == row.length:
            times[id(packet)].add(row.frame.time)
            parts[id(packet)] = len(packet.packets)
    return {key for key, captured in times.items() if len(captured) == parts[key]}


def _is_later_fragment(row: Captured, packet: Packet) -> bool:
    return len(packet.packets) > 1 and row.frame.time != packet.time


def _key(packet: Packet) -> tuple[int, frozenset[tuple[str, int]]]:
    ends = packet.ends
    return packet.protocol, frozenset(((ends.src, ends.sport), (ends.dst, ends.dport)))


def _flows(lan: Lan, rows: list[Captured]) -> list[FlowTruth]:
    """Count frames five-tuple by five-tuple; who sent first opened it."""
    flows: dict[object, FlowTruth] = {}
    for packet in sorted(lan.sent, key=lambda p: (p.time, p.number)):
        flow = flows.setdefault(_key(packet), FlowTruth(packet.protocol, packet.ends))
        _way(flow, packet).lost_frames += len(packet.packets)
    seen: set[tuple[int, int]] = set()
    for row in rows:
        packet_of_row = row.frame.packet
        if packet_of_row is None:
            continue
        flow = flows[_key(packet_of_row)]
        way = _way(flow, packet_of_row)
        way.count(row, packet_of_row)
        if (id(packet_of_row), row.frame.time) not in seen:
            seen.add((id(packet_of_row), row.frame.time))
            way.lost_frames -= 1
        flow.first = flow.first or row.time
        flow.last = row.time
        flow.vlans = row.vlans if not flow.vlans else flow.vlans
    return list(flows.values())


def _way(flow: FlowTruth, packet: Packet) -> Way:
    return flow.to_other if packet.ends == flow.opener else flow.to_opener


def _flow_json(flow: FlowTruth) -> Json:
    return {
        "transport": TRANSPORTS[Protocol(flow.protocol)],
        "opener": {"ip": flow.opener.src, "port": flow.opener.sport},
        "other": {"ip": flow.opener.dst, "port": flow.opener.dport},
        "to_other": flow.to_other.as_json(),
        "to_opener": flow.to_opener.as_json(),
        "first": flow.first,
        "last": flow.last,
        "vlans": list(flow.vlans),
    }


def _carriers(rows: Iterable[Captured]) -> list[Json]:
    """Count the tunnels themselves, five-tuple by five-tuple."""
    found: dict[Ends, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if row.outer is not None:
            found[row.outer][0] += 1
            found[row.outer][1] += row.length
    return [
        {
            "src": {"ip": ends.src, "port": ends.sport},
            "dst": {"ip": ends.dst, "port": ends.dport},
            "frames": frames,
            "wire_bytes": wire_bytes,
        }
        for ends, (frames, wire_bytes) in found.items()
    ]


@dataclass(slots=True)
class Episode:
    """Every conversation of a camera with one destination."""

    camera: Host
    far: Host
    transport: str
    port: int | None
    inbound: bool
    local_port: int | None
    contacts: list[Contact] = field(default_factory=list)
    stage: Reached = Reached.ATTEMPT
    out: Way = field(default_factory=Way)
    into: Way = field(default_factory=Way)
    times: list[int] = field(default_factory=list)


def _contacts(lan: Lan, rows: list[Captured], site: Site) -> list[Json]:
    """Return what each camera exchanged with each off-site end, in order of first sight."""
    episodes: dict[object, Episode] = {}
    by_contact: dict[int, Episode] = {}
    for contact in lan.contacts:
        inbound = not contact.opener.on_site
        camera, other = (
            (contact.other, contact.opener) if inbound else (contact.opener, contact.other)
        )
        if not camera.camera or other.on_site:
            continue
        port = contact.ends.sport if inbound else contact.ends.dport
        transport = TRANSPORTS[Protocol(contact.protocol)]
        key = (camera.name, other.ip, transport, port, inbound)
        local = contact.ends.dport if inbound else None
        new = Episode(camera, other, transport, port or None, inbound, local)
        episode = episodes.setdefault(key, new)
        episode.contacts.append(contact)
        episode.stage = max(episode.stage, contact.reached)
        by_contact[id(contact)] = episode
    for row in rows:
        packet = row.frame.packet
        if packet is None or packet.contact is None or id(packet.contact) not in by_contact:
            continue
        episode = by_contact[id(packet.contact)]
        way = episode.into if packet.ends.src == episode.far.ip else episode.out
        way.count(row, packet)
        episode.times.append(row.time)
    seen = [episode for episode in episodes.values() if episode.times]
    seen.sort(key=lambda episode: episode.times[0])
    return [_contact_json(lan, episode, site) for episode in seen]


def _contact_json(lan: Lan, episode: Episode, site: Site) -> Json:
    stage = episode.stage
    if stage is Reached.PAYLOAD and episode.out.bytes >= TRANSFER_BYTES:
        stage = Reached.TRANSFER
    names = [
        {"name": n.name, "source": n.source}
        for n in lan.names
        if n.ip == episode.far.ip and n.client.name == episode.camera.name
    ]
    record: Json = {
        "camera": episode.camera.name,
        "camera_mac": episode.camera.mac,
        "direction": "inbound" if episode.inbound else "outbound",
        "destination": {
            "ip": episode.far.ip,
            "port": episode.port,
            "transport": episode.transport,
        },
        "local_port": episode.local_port,
        "names": names,
        "stage": stage.name.lower(),
        "stage_undecidable": site.undecidable and episode.transport == "udp",
        "bytes_out": episode.out.bytes,
        "bytes_in": episode.into.bytes,
        "packets_out": episode.out.packets,
        "packets_in": episode.into.packets,
        "flows": len(episode.contacts),
        "first": min(episode.times),
        "last": max(episode.times),
        "protocol": next((c.label for c in episode.contacts if c.label), None),
        "permitted": all(c.permitted for c in episode.contacts),
    }
    record["kind"] = None if record["permitted"] else _kind(record)
    return record


def _kind(contact: Json) -> str:
    """Name the finding; the first that fits decides."""
    if contact["direction"] == "inbound":
        return "inbound"
    if contact["destination"]["port"] == 53:
        return "foreign-resolver"
    if contact["destination"]["port"] == 123:
        return "foreign-time-server"
    if any(is_cloud(name["name"]) for name in contact["names"]):
        return "cloud"
    if contact["stage"] == "attempt":
        return "attempt"
    return "unlisted"


def is_cloud(name: str) -> bool:
    """Say whether a name is of a listed camera cloud."""
    return any(name == suffix or name.endswith("." + suffix) for suffix in CLOUDS)


def _lookups(lan: Lan) -> list[Json]:
    return [
        {
            "camera": q.client.name if q.client.camera else None,
            "client": q.client.ip,
            "resolver": q.resolver.ip,
            "name": q.name,
            "type": q.kind,
            "outcome": q.outcome,
            "answers": list(q.answers),
            "time": q.time,
        }
        for q in sorted(lan.questions, key=lambda q: q.time)
    ]


def _findings(lan: Lan, contacts: list[Json]) -> list[Json]:
    """Return every contact that is not permitted, and cloud lookups that no contact followed."""
    told = ("camera", "direction", "destination", "local_port", "names", "stage", "kind")
    found = [{name: c[name] for name in told} for c in contacts if c["kind"]]
    met = {(contact["camera"], contact["destination"]["ip"]) for contact in contacts}
    lookups: dict[tuple[str, str], Json] = {}
    for question in sorted(lan.questions, key=lambda q: q.time):
        camera = question.client.name
        if not question.client.camera or not is_cloud(question.name):
            continue
        if any((camera, answer) in met for answer in question.answers):
            continue
        lookup = lookups.setdefault(
            (camera, question.name),
            {
                "camera": camera,
                "direction": "outbound",
                "destination": {"ip": None, "port": None, "transport": "udp"},
                "names": [{"name": question.name, "source": "dns"}],
                "stage": "lookup",
                "kind": "lookup",
                "questions": 0,
            },
        )
        lookup["questions"] += 1
    return found + list(lookups.values())


def _cameras(lan: Lan, rows: list[Captured], site: Site) -> list[Json]:
    """Return the cameras that are there, with every sign by which they can be known."""
    alive = {row.frame.packet.ends.src for row in rows if row.frame.packet is not None}
    cameras: dict[str, Json] = {}
    for host in site.hosts:
        entry = cameras.setdefault(
            host.name,
            {
                "name": host.name,
                "mac": host.mac,
                "behind_router": host.behind_router,
                "ips": [],
                "kind": "recorder" if host.name == "nvr" else "camera",
                "listed": host.name in site.listed,
                "evidence": [],
            },
        )
        if host.ip in alive and host.ip not in entry["ips"]:
            entry["ips"].append(host.ip)
        organisation = ORGANISATIONS.get(host.mac[:8])
        signs = [("site", host.name)] if host.name in site.listed else []
        signs += [("oui", organisation)] if organisation else []
        signs += [(sign.source, sign.says) for sign in lan.signs if sign.host == host.name]
        for source, says in signs:
            if {"source": source, "says": says} not in entry["evidence"]:
                entry["evidence"].append({"source": source, "says": says})
    return [entry for entry in cameras.values() if entry["ips"]]
