"""What the daemon reads off the engine and its surroundings at one moment.

A snapshot is made by the thread that runs the engine, and then belongs to the
readers: nothing in it changes any more. So a scrape takes no lock of the engine's
and never waits for it. Every count is since the beginning that the state store
remembers, or since the process began; it never falls but to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from egressd.model import Bytes, Coverage, Kind, Nanoseconds, Party, Seconds, Stage


class BlindReason(Enum):
    """Why the sensor does not see what it should, so that silence proves nothing."""

    NO_FRAMES = "no_frames"  # an interface that is up has delivered nothing for too long
    INTERFACE_DOWN = "interface_down"  # an interface is down, without carrier, or gone
    ONE_WAY_MIRROR = "one_way_mirror"  # acknowledgements prove traffic that was never seen
    CANARY_MISSED = "canary_missed"  # the canary's datagrams do not come
    LOSS = "loss"  # more frames are lost on the way than the site allows
    STALLED = "stalled"  # frames come in and are not processed


@dataclass(frozen=True, slots=True)
class Traffic:
    """Innermost Ethernet bytes and frames each way, seen from the camera."""

    bytes_out: Bytes = 0
    bytes_in: Bytes = 0
    packets_out: int = 0
    packets_in: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.bytes_out + other.bytes_out,
            self.bytes_in + other.bytes_in,
            self.packets_out + other.packets_out,
            self.packets_in + other.packets_in,
        )


@dataclass(frozen=True, slots=True)
class PartyTraffic:
    """What a camera exchanged with far ends of one party.

    Bytes count for the party that was known when they were booked, and stay there: moved later,
    they would make a counter fall.
    """

    party: Party
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class OpenFindings:
    """Findings of one camera whose episode goes on, by what they say."""

    rule: str
    severity: int  # 1 high, 2 medium, 3 low
    stage: Stage
    count: int = 1
    acknowledged: bool = False  # somebody took note of them at this stage


@dataclass(frozen=True, slots=True)
class CameraReading:
    """One camera. `recognised` also decides who gets a label of its own where not all can."""

    id: str
    name: str | None = None  # from the site file
    kind: Kind = Kind.CAMERA
    vendor: str | None = None
    listed: bool = False
    recognised: Nanoseconds = 0
    last_frame: Nanoseconds = 0  # any frame of it, on site or off
    traffic: tuple[PartyTraffic, ...] = ()  # that left the site, permitted or not
    destinations: int = 0  # different far ends so far
    last_new_destination: Nanoseconds = 0  # first contact with one it had never been seen with
    findings: tuple[OpenFindings, ...] = ()


@dataclass(frozen=True, slots=True)
class ContactCount:
    """Contacts of cameras that reached a stage; each counts once in every stage up to its own."""

    party: Party
    stage: Stage
    permitted: bool
    count: int


@dataclass(frozen=True, slots=True)
class FindingCount:
    """Findings told by rule and severity, each rise of the stage once."""

    rule: str
    severity: int
    count: int


@dataclass(frozen=True, slots=True)
class InterfaceReading:
    """One interface (or followed folder) and what was lost on the way from it."""

    name: str
    up: bool = True
    frames: int = 0
    last_frame: Nanoseconds = 0
    missed_by_nic: int = 0  # rx_missed_errors, rx_fifo_errors: no room in the card or driver
    dropped_by_kernel: int = 0  # tp_drops: the ring was full
    damaged: int = 0  # rx_crc_errors, rx_frame_errors: broken before they came here
    freezes: int = 0  # times the ring stood still (tp_freeze_q_cnt)
    own_frames: int = 0  # sent by this machine itself, and left out


@dataclass(frozen=True, slots=True)
class TableReading:
    """A table of the engine: how full, how large, and what it lost for want of room."""

    name: str
    entries: int
    limit: int
    evictions: int = 0


@dataclass(frozen=True, slots=True)
class DatabaseReading:
    """Data in use, and the moment it was built; without one, nothing is said."""

    name: str  # "rules", "oui", or the name of a geo database
    built: Nanoseconds | None


@dataclass(frozen=True, slots=True)
class SinkReading:
    """One sink of alerts or records."""

    name: str
    backlog_records: int = 0
    backlog_bytes: Bytes = 0
    oldest: Nanoseconds | None = None  # when the oldest waiting record was taken
    delivered: int = 0
    failures: tuple[tuple[str, int], ...] = ()  # by reason, of a closed set
    dropped: int = 0  # lost: no room, or refused for good
    last_delivery: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class Blindness:
    """One reason to be blind: whether it holds now, and for how long it has in all."""

    reason: BlindReason
    now: bool
    seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class CanaryReading:
    """One canary: `sent` as its sequence numbers tell."""

    name: str
    sent: int = 0
    seen: int = 0
    rejected: int = 0  # forged, replayed, or of another version
    last_seen: Nanoseconds = 0


@dataclass(frozen=True, slots=True)
class ConfigReading:
    """What became of the last reload; the start counts as one."""

    successful: bool = True
    last: Nanoseconds = 0
    last_success: Nanoseconds = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class StateReading:
    """The store that carries counts over a restart."""

    saved: Nanoseconds = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class EvidenceReading:
    """The store of the frames that prove findings."""

    findings: int = 0  # with frames on disk
    size: Bytes = 0
    evictions: int = 0
    failures: int = 0  # writes that failed
    missing_frames: int = 0  # of findings, gone before they could be kept


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the metrics say, at one moment of the wall clock.

    Publish it after the state store has committed the same counts: what was never shown cannot
    be missing after a crash, so that no counter falls to a part of itself.
    """

    taken: Nanoseconds
    started: Nanoseconds = 0
    coverage: Coverage = field(default_factory=Coverage)
    cameras: tuple[CameraReading, ...] = ()
    missing_cameras: int = 0  # in the site file, never seen
    contacts: tuple[ContactCount, ...] = ()
    findings: tuple[FindingCount, ...] = ()
    interfaces: tuple[InterfaceReading, ...] = ()
    tables: tuple[TableReading, ...] = ()
    databases: tuple[DatabaseReading, ...] = ()
    sinks: tuple[SinkReading, ...] = ()
    blind: tuple[Blindness, ...] = ()
    canaries: tuple[CanaryReading, ...] = ()
    config: ConfigReading = field(default_factory=ConfigReading)
    state: StateReading | None = None  # None: nothing is kept
    evidence: EvidenceReading | None = None
    clock_steps: int = 0  # the wall clock jumped against the monotonic one
    backward_frames: int = 0  # frames older than the one before them
    busy: Seconds = 0.0  # spent in the engine
