"""What one run of the engine hands to the next: plain rows, each with its own key.

A restart or a reload must not forget who is a camera, which names led where, which contacts are
going on and what was told of them. Here are the rows; how the engine makes them and takes them
back is its own business, and how they are kept is `statefile`'s. A row stands for itself: it
names hosts, flows and frames by what is seen on the wire, never by a number of one run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from egressd.model import Bytes, Coverage, Nanoseconds


@dataclass(frozen=True, slots=True)
class PieceRow:
    """One reason to believe that a host is a camera; the fields of its clue stand beside it.

    `key` is what the rules are asked by: where they still know it, what they say now counts.
    """

    key: str
    channel: str
    says: str
    clue_says: str
    weight: float = 0.0
    against: float | None = None
    vendor: str | None = None
    kind: str | None = None
    model: str | None = None
    file: str | None = None
    frame: int = 0
    ip: str = ""  # the address it was seen on, "" for the device as a whole


@dataclass(frozen=True, slots=True)
class HostRow:
    """One address behind one MAC."""

    ip: str
    mac: str | None = None
    behind_router: bool = False
    claimed: bool = False  # it said by ARP that the address is its own
    routed: bool = False  # its packets have passed a router


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device: its addresses and what is known of it. Key: `id`."""

    id: str
    seen: Nanoseconds  # when this last changed: what is oldest makes room
    mac: str | None = None
    ips: tuple[str, ...] = ()
    hosts: tuple[HostRow, ...] = ()
    pieces: tuple[PieceRow, ...] = ()
    domains: tuple[str, ...] = ()
    clouds: tuple[str, ...] = ()
    pulled: tuple[str, ...] = ()
    serves: bool = False
    judged: bool = False
    told: str = ""  # a mark of what was told of it as a camera
    recognised: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class NameRow:
    """A name that led a client to an address. Key: client, address, name."""

    client: str
    address: str
    name: str
    seen: Nanoseconds
    until: Nanoseconds


@dataclass(frozen=True, slots=True)
class NameOfEnd:
    """A name of a far end in a contact."""

    name: str
    source: str
    seen: Nanoseconds


@dataclass(frozen=True, slots=True)
class FrameOf:
    """A frame that another tool can find."""

    file: str
    frame: int


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """What a host and a destination exchanged, until an hour of silence. Key: `id`."""

    id: int  # never used again, in this run or another
    host_ip: str
    host_mac: str | None
    ip: str | None
    port: int | None
    transport: str
    direction: str
    stage: int
    first: Nanoseconds
    last: Nanoseconds
    local_port: int | None = None
    pending: bool = False  # a name may yet permit it; then it joins another, or stands for itself
    flows: int = 0
    bytes_out: Bytes = 0
    bytes_in: Bytes = 0
    packets_out: int = 0
    packets_in: int = 0
    connected: bool = False
    reset: bool = False
    refused: bool = False
    on_site: bool = False
    permitted: bool = False
    weighed: bool = False
    told: int | None = None
    finding: str | None = None
    names: tuple[NameOfEnd, ...] = ()
    protocols: tuple[str, ...] = ()
    evidence: tuple[FrameOf, ...] = ()
    onsets: tuple[Nanoseconds, ...] = ()
    # What of it has been added to the camera's totals, and up to which stage it was counted.
    counted_out: Bytes = 0
    counted_in: Bytes = 0
    counted_packets_out: int = 0
    counted_packets_in: int = 0
    counted_stage: int = -1


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A flow that was going on, so that its next frame is not taken for a new contact. Key: `id`.

    `id` is its protocol and both ends (`flow_id`); `episode` is the id of the one it belongs to.
    """

    id: str
    episode: int
    last: Nanoseconds
    direction: str


@dataclass(frozen=True, slots=True)
class TotalRow:
    """Bytes of a camera by whose machines they went to; they only grow. Key: camera, party."""

    camera: str
    party: str
    bytes_out: Bytes = 0
    bytes_in: Bytes = 0
    packets_out: int = 0
    packets_in: int = 0


@dataclass(frozen=True, slots=True)
class CountRow:
    """A count that only grows. Key: name, labels (values of closed sets)."""

    name: str
    labels: tuple[str, ...]
    count: int = 0


@dataclass(frozen=True, slots=True)
class PermitRow:
    """How often a permit applied. Key: its text."""

    text: str
    used: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Whose an address is, as a DHCP server told. Key: `ip`."""

    ip: str
    mac: str


@dataclass(slots=True)
class EngineState:
    """Rows to keep. `whole`: all there is; else what changed since this was last asked for.

    `gone_*` are keys of rows that are no more.
    """

    whole: bool = True
    time: Nanoseconds = 0  # the last frame it stands for
    devices: list[DeviceRow] = field(default_factory=list)
    names: list[NameRow] = field(default_factory=list)
    episodes: list[EpisodeRow] = field(default_factory=list)
    flows: list[FlowRow] = field(default_factory=list)
    totals: list[TotalRow] = field(default_factory=list)
    counts: list[CountRow] = field(default_factory=list)
    permits: list[PermitRow] = field(default_factory=list)
    leases: list[LeaseRow] = field(default_factory=list)
    routers: tuple[str, ...] = ()  # MACs, always all of them
    servers: tuple[str, ...] = ()  # addresses that serve the network, always all of them
    one_way_mirror: bool = False
    coverage: Coverage = field(default_factory=Coverage)
    serial: int = 0  # the highest id given to an episode so far
    runs: int = 0  # engines that it went through
    gone_devices: list[str] = field(default_factory=list)
    gone_episodes: list[int] = field(default_factory=list)
    gone_flows: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FrameCount:
    """How many frames of an interface were numbered, so that no number is given twice."""

    interface: str
    frames: int


@dataclass(frozen=True, slots=True)
class FilePlace:
    """How far a followed file was read. Key: folder, device, inode, first.

    The name may change (and be given to another file); which file it is, inode and first frame
    tell.
    """

    folder: str
    name: str
    device: int
    inode: int
    first: Nanoseconds  # time of its first frame
    frames: int  # read
    size: Bytes = 0  # of the file when it was done
    done: bool = False  # read to its end, and it does not grow any more


@dataclass(slots=True)
class Kept:
    """Everything the state file holds."""

    engine: EngineState = field(default_factory=EngineState)
    interfaces: list[FrameCount] = field(default_factory=list)
    files: list[FilePlace] = field(default_factory=list)


def flow_id(protocol: int, host_ip: str, local_port: int, remote_ip: str, remote_port: int) -> str:
    """Return what a flow is known by over a restart; the host on site stands first."""
    return f"{protocol} {host_ip} {local_port} {remote_ip} {remote_port}"
