"""How far a contact got: the stage of an episode from what its flows did (DESIGN.md 6).

The data plane says what happened in a flow; here it is read from the camera's
point of view and summed over the flows of one episode with one destination.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from egressd.model import (
    NANOSECONDS_PER_SECOND,
    Bytes,
    Destination,
    Direction,
    FrameRef,
    Nanoseconds,
    Stage,
)

EPISODE_SILENCE = 3600 * NANOSECONDS_PER_SECOND  # DESIGN.md 7: ends an episode
TRANSFER_BYTES = 64_000  # DESIGN.md 7: wire bytes out per episode
MAXIMUM_EVIDENCE = 12
ONSET_GAP = 5 * NANOSECONDS_PER_SECOND  # flows closer together begin together
ONSETS_KEPT = 4
PERIOD_LOW, PERIOD_HIGH = 0.8, 1.25  # of the last interval: a beacon, with its jitter
BACKOFF_LOW, BACKOFF_HIGH = 1.5, 2.6  # of the last interval: a retry that backs off


@dataclass(slots=True)
class Tally:
    """Innermost Ethernet bytes and frames each way, seen from the camera."""

    bytes_out: Bytes = 0
    bytes_in: Bytes = 0
    packets_out: int = 0
    packets_in: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        self.packets_out += other.packets_out
        self.packets_in += other.packets_in

    def subtract(self, other: Tally) -> None:
        """Take another tally from this one."""
        self.bytes_out -= other.bytes_out
        self.bytes_in -= other.bytes_in
        self.packets_out -= other.packets_out
        self.packets_in -= other.packets_in


@dataclass(slots=True)
class Standing:
    """How a flow that goes on stands in the data plane."""

    tally: Tally
    last: Nanoseconds


@dataclass(slots=True)
class Episode:
    """What one host and one destination exchanged, until an hour of silence.

    `live` holds what is in the tally of the flows that go on, as last told.
    """

    host: int
    destination: Destination
    direction: Direction
    stage: Stage
    first: Nanoseconds
    last: Nanoseconds
    local_port: int | None = None
    flows: int = 0
    tally: Tally = field(default_factory=Tally)  # all flows together
    live: dict[int, Tally] = field(default_factory=dict)  # by the flow's id
    protocols: list[str] = field(default_factory=list)
    evidence: list[FrameRef] = field(default_factory=list)
    connected: bool = False  # an end accepted or answered, whatever the bytes
    reset: bool = False
    refused: bool = False
    on_site: bool = False
    told: Stage | None = None  # the stage of the last alert
    finding: str | None = None
    permitted: bool = False
    attributed: bool = False  # whose the far end is has been looked up
    weighed: bool = False  # whether it is permitted has been decided
    onsets: list[Nanoseconds] = field(default_factory=list)  # when its flows began, lately
    id: int = 0  # where it outlives the run; 0 until then
    booked: Tally = field(default_factory=Tally)  # what of it the camera's totals hold
    booked_stage: int = -1
    is_new: bool = False  # no episode with this destination is known before it

    def measure(self, flow: int, tally: Tally) -> None:
        """Take the counters of a flow that goes on."""
        before = self.live.get(flow)
        if before is not None:
            self.tally.subtract(before)
        self.tally.add(tally)
        self.live[flow] = tally

    def close(self, flow: int, tally: Tally) -> None:
        """Take the last counters of a flow."""
        self.measure(flow, tally)
        del self.live[flow]

    def absorb(self, other: Episode, flow: int) -> None:
        """Take over an episode of one flow that turned out to belong here."""
        self.flows += other.flows
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.reset |= other.reset
        self.refused |= other.refused
        for frame in other.evidence:
            self.note(frame)
        for protocol in other.protocols:
            if protocol not in self.protocols:
                self.protocols.append(protocol)
        if flow in other.live:
            self.measure(flow, other.live[flow])
        self.reach(other.stage)
        self.begin(other.first)
        self.weigh()

    def begin(self, at: Nanoseconds) -> None:
        """Take the beginning of a flow."""
        self.last = max(self.last, at)
        if not self.onsets or at - self.onsets[-1] >= ONSET_GAP:
            self.onsets.append(at)
            del self.onsets[:-ONSETS_KEPT]

    def is_chain(self, at: Nanoseconds) -> bool:
        """Say whether a beginning after silence goes on with a beacon or a retry chain.

        The interval is like the last one, or about twice it as that was of the one before
        (exponential back-off).
        """
        if len(self.onsets) < 2:
            return False
        interval = at - self.onsets[-1]
        last = self.onsets[-1] - self.onsets[-2]
        if PERIOD_LOW * last <= interval <= PERIOD_HIGH * last:
            return True
        if len(self.onsets) < 3:
            return False
        before = self.onsets[-2] - self.onsets[-3]
        return all(
            BACKOFF_LOW * shorter <= longer <= BACKOFF_HIGH * shorter
            for shorter, longer in ((before, last), (last, interval))
        )

    def reach(self, stage: Stage) -> bool:
        """Raise the stage; return whether it rose."""
        if stage <= self.stage:
            return False
        self.stage = stage
        return True

    def weigh(self) -> bool:
        """Raise the stage to a transfer where enough went out of a connected contact."""
        if self.stage < Stage.CONNECTED or self.stage >= Stage.TRANSFER:
            return False
        return self.tally.bytes_out >= TRANSFER_BYTES and self.reach(Stage.TRANSFER)

    def note(self, frame: FrameRef) -> None:
        """Keep a frame as evidence, the first of each kind of event."""
        if len(self.evidence) < MAXIMUM_EVIDENCE and frame not in self.evidence:
            self.evidence.append(frame)

    def is_over(self, at: Nanoseconds) -> bool:
        """Say whether silence has ended the episode before `at`."""
        return at - self.last > EPISODE_SILENCE
