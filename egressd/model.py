"""The nouns of egressd: what the stages hand to each other.

No behaviour beyond properties, and no I/O. Time is the frames' time in
nanoseconds since the Unix epoch; addresses are canonical text (RFC 5952 for
IPv6); MAC addresses are lower-case with colons. Byte directions are seen from
the camera: `bytes_out` leaves it, whoever opened the flow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import NamedTuple

Nanoseconds = int
Seconds = float
Bytes = int

NANOSECONDS_PER_SECOND = 1_000_000_000


class DecodeError(Exception):
    """A message of a known protocol that is broken: `protocol` and `reason` are metric labels."""

    def __init__(self, protocol: str, reason: str) -> None:
        super().__init__(f"{protocol}: {reason}")
        self.protocol = protocol
        self.reason = reason


class CaptureError(Exception):
    """An input that cannot be read as a capture at all."""


class ConfigError(Exception):
    """A site file that cannot be used; the text says file:line:column and what to write instead."""


class RuleError(Exception):
    """A rule file that cannot be used; the text says file:line:column and what to write instead."""


class NeedMore(Enum):
    """The fourth answer of a stream decoder: ours so far, but the message is not complete."""

    NEED_MORE = "need more"


NEED_MORE = NeedMore.NEED_MORE


class Stage(IntEnum):
    """How far a contact got; the highest reached in an episode counts."""

    LOOKUP = 0  # asked for a name
    ATTEMPT = 1  # sent a SYN or a datagram; no answer, a reset or an ICMP error
    CONNECTED = 2  # the far end accepted the connection
    PAYLOAD = 3  # payload was acknowledged, or a datagram was answered
    TRANSFER = 4  # at least 64,000 wire bytes went out in the episode
    MEDIA = 5  # the payload is audio or video

    @property
    def label(self) -> str:
        """The word used in events, metrics and reports."""
        return self.name.lower()


class Direction(Enum):
    """Who opened the contact."""

    OUTBOUND = "outbound"  # the camera
    INBOUND = "inbound"  # a host off site


class Party(Enum):
    """Whose machine is at the far end, from the site owner's point of view."""

    OWNER = "owner"  # the site's owner
    PROCESSOR = "processor"  # under contract to the owner, named in the site file
    VENDOR = "vendor"  # the camera's manufacturer and its affiliates
    VENDOR_INFRA = "vendor_infra"  # rented infrastructure that carries the vendor's names
    PUBLIC_INFRA = "public_infra"  # public resolvers, time servers, certificate authorities
    UNKNOWN = "unknown"  # nothing known decides


class Kind(Enum):
    """What sort of device a camera is."""

    CAMERA = "camera"
    RECORDER = "recorder"
    DOORBELL = "doorbell"
    HOST = "host"  # any other on-site host, where every host is judged


class Confidence(IntEnum):
    """How sure a source or an identification is."""

    LOW = 1  # a hint: never alerts alone
    MEDIUM = 2
    HIGH = 3

    @property
    def label(self) -> str:
        """The word used in events and reports."""
        return self.name.lower()


class NameSource(Enum):
    """Where the name of a far end was read."""

    DNS = "dns"
    SNI = "sni"
    QUIC = "quic"
    HTTP = "http"
    CERT = "cert"


class CountryKind(Enum):
    """What sort of fact a country is."""

    LOCATION = "location"  # where the database believes the machine stands
    REGISTRATION = "registration"  # where the address block or AS is registered


class FrameRef(NamedTuple):
    """A frame that another tool can find: its file and its number there, from 1."""

    file: str
    frame: int


@dataclass(slots=True)
class Host:
    """An on-site endpoint as the mirror sees it: one address behind one MAC.

    `mac` is None where frames carry none (raw IP). `behind_router` is set when
    the MAC is a router's, so that it says nothing about the host itself.
    """

    index: int
    ip: str
    mac: str | None
    behind_router: bool = False


@dataclass(slots=True)
class Evidence:
    """One reason to believe that a host is a camera.

    `source` is one of site, oui, dhcp, rtsp, http, behaviour; `says` is a sentence a person can
    read; `weight` is the probability that a host of which only this is known is a camera.
    """

    source: str
    says: str
    weight: float
    vendor: str | None = None
    frame: FrameRef | None = None


@dataclass(slots=True)
class Camera:
    """A device of interest; `id` is its MAC, or its address where it stands behind a router.

    What is learnt later makes another Camera: this one stays as it was told.
    """

    id: str
    name: str | None = None
    kind: Kind = Kind.CAMERA
    mac: str | None = None
    ips: list[str] = field(default_factory=list)
    vendor: str | None = None
    model: str | None = None
    evidence: list[Evidence] = field(default_factory=list)
    confidence: float = 0.0
    listed: bool = False  # named in the site file


@dataclass(slots=True)
class Name:
    """A name of a far end as one client used it."""

    name: str
    source: NameSource
    seen: Nanoseconds


@dataclass(slots=True, frozen=True)
class Country:
    """A country according to one database; `built` is its build date (ISO 8601)."""

    code: str
    kind: CountryKind
    database: str
    built: str


@dataclass(slots=True, frozen=True)
class Place:
    """What the geo databases say of an address."""

    countries: tuple[Country, ...] = ()
    asn: int | None = None
    org: str | None = None


@dataclass(slots=True, frozen=True)
class Service:
    """What the rules say of a far end: the service, whose it is, and how sure that is.

    `can_alert` is False for hints (sources from memory) and for names that other things than
    cameras use, too; such an entry names a destination but never makes it a camera cloud alone.
    """

    id: str  # the rule's service, e.g. "hik-connect.com"
    vendor: str  # the rule file's id, e.g. "hikvision"
    use: str
    party: Party
    confidence: Confidence
    can_alert: bool
    matched: str  # the entry that decided: a domain suffix, a prefix, a host


@dataclass(slots=True)
class Destination:
    """The off-site end of a contact. A lookup has no `ip`; ICMP has no `port`."""

    ip: str | None
    port: int | None
    transport: str
    names: list[Name] = field(default_factory=list)
    place: Place = field(default_factory=Place)
    service: Service | None = None
    party: Party = Party.UNKNOWN

    def as_known_now(self) -> Destination:
        """Return a copy that what is learnt later does not change.

        The list of names is never changed in place: more names make another list.
        """
        return Destination(
            self.ip, self.port, self.transport, self.names, self.place, self.service, self.party
        )


class FlowState(Enum):
    """The transport state of a flow, in Suricata's words."""

    NEW = "new"  # one direction only
    ESTABLISHED = "established"  # both directions
    CLOSED = "closed"  # FIN both ways, or RST


@dataclass(slots=True)
class Side:
    """What one end of a flow sent.

    `frames` and `wire_bytes` are frames as captured, duplicates and tags included. `own_frames`
    and `own_bytes` are innermost Ethernet frames without mirror duplicates.
    """

    ip: str
    port: int
    mac: str | None
    host: int  # index of the on-site host, 0 for an off-site end
    frames: int
    wire_bytes: Bytes
    own_frames: int
    own_bytes: Bytes
    payload_bytes: Bytes  # transport payload on the wire, retransmissions included
    delivered_bytes: Bytes  # TCP: payload acknowledged by the other end, counted once
    retransmitted_bytes: Bytes
    lost_bytes: Bytes  # TCP: acknowledged by the other end but never seen here
    duplicates: int  # frames the mirror delivered more than once


@dataclass(slots=True)
class Flow:
    """A five-tuple from its first frame to its last. `client` opened it."""

    id: int  # unique in one run
    protocol: int  # IP protocol number
    client: Side
    server: Side
    opener_known: bool  # False where the capture began in the middle
    first: Nanoseconds
    last: Nanoseconds
    state: FlowState
    first_frame: FrameRef
    interface: int
    vlans: tuple[int, ...]
    carrier: bool  # a tunnel whose inside has flows of its own
    reset: bool
    refused: bool  # an ICMP error answered it
    icmp_type: int | None = None
    icmp_code: int | None = None


@dataclass(slots=True)
class Finding:
    """A judged fact: one camera, one destination, one episode."""

    id: str
    rule: str
    severity: int  # 1 high, 2 medium, 3 low (Suricata's order)
    camera: Camera
    destination: Destination
    direction: Direction
    stage: Stage
    first: Nanoseconds
    last: Nanoseconds
    bytes_out: Bytes = 0
    bytes_in: Bytes = 0
    packets_out: int = 0
    packets_in: int = 0
    attempts: int = 0  # flows or datagram bursts, however many retries
    local_port: int | None = None
    protocol: str | None = None
    protocols: tuple[str, ...] = ()
    on_site: bool = False
    stage_undecidable: bool = False
    evidence: list[FrameRef] = field(default_factory=list)
    reason: str = ""


@dataclass(slots=True)
class FlowJudgement:
    """What the judge says of a flow of a camera that leaves the site."""

    camera: Camera
    destination: Destination
    direction: Direction
    stage: Stage
    bytes_out: Bytes
    bytes_in: Bytes
    packets_out: int
    packets_in: int
    flow_class: str  # e.g. "infra.dns", "unknown"
    protocol: str | None = None
    protocols: tuple[str, ...] = ()
    permitted: bool = False
    stage_undecidable: bool = False


@dataclass(slots=True)
class FlowEvent:
    """A flow ended, timed out, was evicted, or the input ended."""

    time: Nanoseconds
    flow: Flow
    app_protocol: str | None
    reason: str  # "timeout", "closed", "evicted", "shutdown"
    judgement: FlowJudgement | None = None


@dataclass(slots=True)
class FactEvent:
    """A decoded message; `src` sent it. `fact` is a dataclass of `egressd.decode`."""

    time: Nanoseconds
    frame: FrameRef
    flow_id: int
    protocol: int
    src_ip: str
    src_port: int
    dest_ip: str
    dest_port: int
    interface: int
    vlans: tuple[int, ...]
    fact: object
    camera: Camera | None = None


@dataclass(slots=True)
class AlertEvent:
    """A finding told: raised, or its stage rose. The finding is a copy made at that frame."""

    time: Nanoseconds
    finding: Finding


@dataclass(slots=True)
class CameraEvent:
    """A camera was recognised, or what is known of it changed."""

    time: Nanoseconds
    camera: Camera


@dataclass(slots=True)
class Coverage:
    """How much was looked at, and what was not: counters since the start."""

    first: Nanoseconds = 0
    last: Nanoseconds = 0
    frames: int = 0
    wire_bytes: Bytes = 0
    captured_bytes: Bytes = 0
    duplicates: int = 0
    cut_frames: int = 0  # the snaplen cut them
    malformed: dict[str, int] = field(default_factory=dict)  # frames, by layer and reason
    unknown: dict[str, int] = field(default_factory=dict)  # frames of no IP, by ethertype or link
    fragments: int = 0
    overlapping_fragments: int = 0
    lost_bytes: Bytes = 0  # acknowledged, never seen
    one_way_flows: int = 0
    flows: int = 0
    evicted_flows: int = 0
    shed_looks: int = 0
    super_frames: int = 0  # longer than any Ethernet frame: GRO or LRO on the capture host
    decode_errors: dict[str, int] = field(default_factory=dict)  # by "protocol reason"
    interface_drops: dict[str, int] = field(default_factory=dict)  # from the capture itself


@dataclass(slots=True)
class CoverageEvent:
    """The coverage counters at a moment."""

    time: Nanoseconds
    coverage: Coverage


Event = FlowEvent | FactEvent | AlertEvent | CameraEvent | CoverageEvent


@dataclass(slots=True)
class PermitUse:
    """One permit of the site file and how often it applied."""

    line: str  # file:line
    text: str  # "gate-1 -> vms.example.org port 443"
    why: str
    used: int = 0  # flows it silenced
    expired: int = 0  # flows it would have silenced before its `until`


@dataclass(slots=True)
class DatabaseInfo:
    """One geo or name database in use."""

    name: str
    kind: str  # e.g. "registration country", "networks", "location country, asn"
    built: str  # ISO 8601 date
    file: str = ""


@dataclass(slots=True)
class Contact:
    """What a camera exchanged with one destination in one episode, permitted or not."""

    camera: Camera
    destination: Destination
    direction: Direction
    stage: Stage
    first: Nanoseconds
    last: Nanoseconds
    bytes_out: Bytes
    bytes_in: Bytes
    packets_out: int
    packets_in: int
    flows: int
    permitted: bool
    finding: str | None = None  # id of the finding it belongs to


@dataclass(slots=True)
class Case:
    """Everything a replay found; the table and the case file are views of it."""

    site: str | None
    cameras: list[Camera] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    permits: list[PermitUse] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    databases: list[DatabaseInfo] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # stale data, a one-way mirror, ...
    missing: list[str] = field(default_factory=list)  # listed in the site file, never seen
    other_hosts: int = 0  # on-site hosts seen that are not cameras
