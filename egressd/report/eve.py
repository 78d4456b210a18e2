"""EVE lines: events in Suricata's schema, one JSON object a line.

Field names and types are Suricata's, so that what reads Suricata reads us; what
is ours stands under the one key `egressd`. `src_ip` is the end that opened the
flow, in alerts the camera. Facts of a protocol that Suricata has no record for
are not written: their flow names the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.model import (
    NANOSECONDS_PER_SECOND,
    AlertEvent,
    CameraEvent,
    CoverageEvent,
    Direction,
    FactEvent,
    FlowEvent,
    Nanoseconds,
)
from egressd.report.communityid import ICMP, ICMPV6, TCP, WITH_PORTS, community_id
from egressd.report.evefacts import encode, quoted, record_of
from egressd.report.shapes import (
    Json,
    camera_shape,
    contact_shape,
    coverage_shape,
    destination_shape,
    frames_shape,
    names_shape,
    whose_shape,
)
from egressd.report.signatures import signature_of
from egressd.report.words import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from egressd.capture.batch import Source
    from egressd.model import Camera, Destination, Event, Finding, Flow, FlowJudgement

# IP protocol numbers as Suricata prints them; others are their number.
PROTOCOLS = {
    0: "HOPOPT",
    1: "ICMP",
    2: "IGMP",
    4: "IP-in-IP",
    6: "TCP",
    17: "UDP",
    41: "IPv6",
    46: "RSVP",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "IPv6-ICMP",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    115: "L2TP",
    132: "SCTP",
}
# How a finding's transport is printed; ICMP depends on the address family.
TRANSPORTS = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP", "icmp": "ICMP"}

LARGEST_ID = (1 << 53) - 1  # what every JSON reader keeps exact (RFC 8259 section 6)
ALERTED_BOUND = 100_000  # contacts remembered so that their flows say "alerted"


class EveWriter:
    """Writes events to a text stream; `sources` names the interfaces and may grow."""

    def __init__(
        self, stream: TextIO, *, site: str | None = None, sources: Sequence[Source] = ()
    ) -> None:
        self.stream = stream
        self.site = site
        self.sources = sources
        self.lines = 0
        self._alerted: dict[str, None] = {}
        self._host = f'"host":{encode(site)},' if site is not None else ""
        self._second = 0
        self._second_text = seconds_text(0)

    def write(self, events: Iterable[Event]) -> None:
        """Write each event that has a record, in order."""
        lines = [line for event in events if (line := self.line(event)) is not None]
        if lines:
            self.lines += len(lines)
            lines.append("")
            self.stream.write("\n".join(lines))

    def line(self, event: Event) -> str | None:
        """Return the event's JSON text, or None where the schema has no place for it."""
        if type(event) is FactEvent:
            return self._fact(event)
        return encode(self._record(event))

    def _record(self, event: Event) -> Json:
        match event:
            case FlowEvent():
                return self._flow(event)
            case AlertEvent():
                return self._alert(event)
            case CameraEvent():
                ours = {"camera": camera_shape(event.camera)}
                return self._head(event.time, "camera") | {"egressd": ours}
            case CoverageEvent():
                ours = {"coverage": self._coverage(event)}
                return self._head(event.time, "coverage") | {"egressd": ours}
            case FactEvent():  # written as text by _fact
                raise TypeError

    def _fact(self, event: FactEvent) -> str | None:
        """Return the record of a message as text: there are many, so no dict is made of it."""
        found = record_of(event.fact, event.protocol)
        if found is None:
            return None
        source, source_port = event.src_ip, event.src_port
        destination, destination_port = event.dest_ip, event.dest_port
        if found.answer:
            source, destination = destination, source
            source_port, destination_port = destination_port, source_port
        protocol = event.protocol
        flow = community_id(protocol, source, source_port, destination, destination_port)
        body = f'"{found.event_type}":{found.body}'
        ours = []
        if event.camera is not None:
            ours.append(f'"camera":{encode(_short_camera(event.camera))}')
        if found.ours:
            ours.append(body)
            body = ""
        if ours:
            body += f'{"," if body else ""}"egressd":{{{",".join(ours)}}}'
        return (
            f'{{"timestamp":"{self._moment(event.time)}","event_type":"{found.event_type}",'
            f'{self._host}"flow_id":{event.flow_id & LARGEST_ID},'
            f"{self._place_text(event.interface, event.vlans)}"
            f'"pcap_cnt":{event.frame.frame},"capture_file":{quoted(event.frame.file)},'
            f'"src_ip":"{source}","src_port":{source_port},'
            f'"dest_ip":"{destination}","dest_port":{destination_port},'
            f'"proto":"{PROTOCOLS.get(protocol) or protocol}",'
            f'"ip_v":{6 if ":" in source else 4},"community_id":"{flow}",'
            f"{body}}}"
        )

    def _flow(self, event: FlowEvent) -> Json:
        flow, judgement = event.flow, event.judgement
        client, server = flow.client, flow.server
        record = self._head(event.time, "flow")
        record["flow_id"] = flow.id & LARGEST_ID
        self._add_place(record, flow.interface, flow.vlans)
        record["pcap_cnt"] = flow.first_frame.frame
        record["capture_file"] = flow.first_frame.file
        record |= _ends_of(flow)
        if event.app_protocol is not None:
            record["app_proto"] = event.app_protocol
        alerted = judgement is not None and self._is_alerted(judgement)
        record["flow"] = {
            "pkts_toserver": client.frames,
            "pkts_toclient": server.frames,
            "bytes_toserver": client.wire_bytes,
            "bytes_toclient": server.wire_bytes,
            "start": self._moment(flow.first),
            "end": self._moment(flow.last),
            "age": max(flow.last - flow.first, 0) // NANOSECONDS_PER_SECOND,
            "state": flow.state.value,
            "reason": event.reason,
            "alerted": alerted,
        }
        if flow.reset and flow.protocol == TCP:
            record["tcp"] = {"rst": True}
        ours = _judgement_shape(judgement) if judgement is not None else {}
        ours |= _mirror_shape(flow)
        if ours:
            record["egressd"] = ours
        return record

    def _alert(self, event: AlertEvent) -> Json:
        finding = event.finding
        signature = signature_of(finding.rule)
        self._remember(finding)
        record = self._head(event.time, "alert")
        record |= _contact_ends(finding)
        record["alert"] = {
            "action": "allowed",
            "gid": 1,
            "signature_id": signature.id,
            "rev": 1,
            "signature": signature.text,
            "category": signature.category,
            "severity": finding.severity,
        }
        record["egressd"] = self._finding_shape(finding)
        return record

    def _finding_shape(self, finding: Finding) -> Json:
        shape: Json = {
            "finding": finding.id,
            "rule": finding.rule,
            "camera": camera_shape(finding.camera),
            "destination": destination_shape(finding.destination),
        }
        shape |= contact_shape(finding)
        shape["first"] = self._moment(finding.first)
        shape["last"] = self._moment(finding.last)
        shape["evidence"] = frames_shape(finding.evidence)
        shape["reason"] = finding.reason
        return shape

    def _coverage(self, event: CoverageEvent) -> Json:
        coverage = event.coverage
        moments = {"first": self._moment(coverage.first), "last": self._moment(coverage.last)}
        return moments | coverage_shape(coverage)

    def _head(self, time: Nanoseconds, event_type: str) -> Json:
        record: Json = {"timestamp": self._moment(time), "event_type": event_type}
        if self.site is not None:
            record["host"] = self.site
        return record

    def _place_text(self, interface: int, vlans: tuple[int, ...]) -> str:
        place: Json = {}
        self._add_place(place, interface, vlans)
        return encode(place)[1:-1] + "," if place else ""

    def _add_place(self, record: Json, interface: int, vlans: tuple[int, ...]) -> None:
        if interface < len(self.sources) and self.sources[interface].interface:
            record["in_iface"] = self.sources[interface].interface
        if vlans:
            record["vlan"] = list(vlans)

    def _moment(self, time: Nanoseconds) -> str:
        """Return a moment as Suricata prints it: microseconds, and +0000 for UTC."""
        seconds, microseconds = divmod(time // 1000, 1_000_000)
        if seconds != self._second:
            self._second, self._second_text = seconds, seconds_text(seconds)
        return f"{self._second_text}.{microseconds:06d}+0000"

    def _remember(self, finding: Finding) -> None:
        if len(self._alerted) >= ALERTED_BOUND:
            del self._alerted[next(iter(self._alerted))]
        self._alerted[_contact_key(finding.camera, finding.destination)] = None

    def _is_alerted(self, judgement: FlowJudgement) -> bool:
        return _contact_key(judgement.camera, judgement.destination) in self._alerted


def _judgement_shape(judgement: FlowJudgement) -> Json:
    shape: Json = {
        "camera": camera_shape(judgement.camera),
        "bytes_out": judgement.bytes_out,
        "bytes_in": judgement.bytes_in,
        "packets_out": judgement.packets_out,
        "packets_in": judgement.packets_in,
        "stage": judgement.stage.label,
        "direction": judgement.direction.value,
        "names": names_shape(judgement.destination.names),
    }
    shape |= whose_shape(judgement.destination)
    shape["protocol"] = judgement.protocol
    shape["protocols"] = list(judgement.protocols)
    shape["class"] = judgement.flow_class
    if judgement.permitted:
        shape["permitted"] = True
    if judgement.stage_undecidable:
        shape["stage_undecidable"] = True
    return shape


def _mirror_shape(flow: Flow) -> Json:
    """Return what the mirror did to a flow; nothing where it did well."""
    client, server = flow.client, flow.server
    counts = {
        "duplicates": client.duplicates + server.duplicates,
        "retransmitted_bytes": client.retransmitted_bytes + server.retransmitted_bytes,
        "lost_bytes": client.lost_bytes + server.lost_bytes,
    }
    shape: Json = {key: count for key, count in counts.items() if count}
    if flow.carrier:
        shape["carrier"] = True
    if not flow.opener_known:
        shape["opener_known"] = False
    return shape


def _ends_of(flow: Flow) -> Json:
    client, server = flow.client, flow.server
    first, second = client.port, server.port
    record: Json = {"src_ip": client.ip}
    if flow.protocol in WITH_PORTS:
        record |= {"src_port": first, "dest_ip": server.ip, "dest_port": second}
    else:
        record["dest_ip"] = server.ip
    record["proto"] = PROTOCOLS.get(flow.protocol) or str(flow.protocol)
    record["ip_v"] = 6 if ":" in client.ip else 4
    if flow.protocol in (ICMP, ICMPV6):
        first, second = flow.icmp_type or 0, flow.icmp_code or 0
        record |= {"icmp_type": first, "icmp_code": second}
    if client.mac is not None and server.mac is not None:
        record["ether"] = {"dest_macs": [server.mac], "src_macs": [client.mac]}
    record["community_id"] = community_id(flow.protocol, client.ip, first, server.ip, second)
    return record


def _contact_ends(finding: Finding) -> Json:
    """Return the ends of an alert: the camera first, unless somebody called it."""
    camera_end = (finding.camera.ips[-1] if finding.camera.ips else None, finding.local_port)
    far_end = (finding.destination.ip, finding.destination.port)
    inbound = finding.direction is Direction.INBOUND
    source, destination = (far_end, camera_end) if inbound else (camera_end, far_end)
    transport = finding.destination.transport
    ends: Json = {
        "src_ip": source[0],
        "src_port": source[1],
        "dest_ip": destination[0],
        "dest_port": destination[1],
        "proto": TRANSPORTS.get(transport) or transport.upper(),
    }
    if transport == "icmp" and ":" in (finding.destination.ip or ""):
        ends["proto"] = PROTOCOLS[ICMPV6]
    if finding.protocol is not None:
        ends["app_proto"] = finding.protocol
    return {key: value for key, value in ends.items() if value is not None}


def _contact_key(camera: Camera, destination: Destination) -> str:
    return f"{camera.id} {destination.ip} {destination.port} {destination.transport}"


def _short_camera(camera: Camera) -> Json:
    return {"id": camera.id, "name": camera.name, "mac": camera.mac, "ips": list(camera.ips)}
