"""What the judge knows as rows that outlive a run, and what of it changed since it was last asked.

Only a run that is asked for its state keeps track; a replay does not pay for it. A row carries the
counters of flows that go on as they stand in the data plane, without telling the judge: when an
episode becomes a transfer must depend on the frames alone, not on when somebody asked.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from egressd.judge.stages import Episode, Standing, Tally
from egressd.model import Destination, Direction, FrameRef, Name, NameSource, Stage
from egressd.state import (
    CountRow,
    EpisodeRow,
    FlowRow,
    FrameOf,
    NameOfEnd,
    TotalRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from egressd.judge.judge import Thread
    from egressd.model import Camera, Host, Nanoseconds

SWEEP = 4_000  # flows that go on whose counters are looked up at a time
MAXIMUM_COUNTS = 80_000  # their labels are of closed sets, or cameras: it never comes to that
MAXIMUM_GONE = 100_000  # remembered while nobody asks
# Names of counts.
CONTACTS = "contacts"  # by party, stage, and whether a permit covers it
FINDINGS = "findings"  # told, by rule and severity
DESTINATIONS = "destinations"  # different ones off site, by camera


@dataclass(slots=True)
class Surroundings:
    """What the memory asks of others to make rows."""

    host_of: Callable[[int], Host | None]
    standing_of: Callable[[Thread], Standing | None]
    whose: Callable[[Episode], Camera | None]  # also says whose the far end is


@dataclass(slots=True)
class Resumed:
    """A flow that was going on when the run before this one ended."""

    episode: Episode
    direction: Direction
    pending: bool


@dataclass(slots=True)
class JudgeRows:
    """Rows to keep."""

    episodes: list[EpisodeRow] = field(default_factory=list)
    flows: list[FlowRow] = field(default_factory=list)
    totals: list[TotalRow] = field(default_factory=list)
    counts: list[CountRow] = field(default_factory=list)
    gone_episodes: list[int] = field(default_factory=list)
    gone_flows: list[str] = field(default_factory=list)


class Memory:
    """The judge's changes. `episodes` and `threads` are the judge's own books."""

    def __init__(self, episodes: OrderedDict[int, Episode], threads: dict[int, Thread]) -> None:
        self.serial = 0
        self._episodes = episodes
        self._threads = threads
        self._changed: dict[int, Episode] = {}
        self._gone: list[int] = []
        self._begun: dict[int, Thread] = {}  # flows, by their id in this run
        self._ended: list[str] = []
        self.is_suspended = False  # flows end only because the run does
        self.is_behind = False  # what changed is not all known: everything is to be asked for
        self._at = 0  # how far the sweep over flows has come
        self._totals: dict[tuple[str, str], Tally] = {}
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._changed_totals: set[tuple[str, str]] = set()
        self._changed_counts: set[tuple[str, tuple[str, ...]]] = set()

    # ---- what the judge tells ----------------------------------------------------------------

    def touch(self, episode: Episode) -> None:
        """Take that an episode changed; a new one gets its number."""
        if not episode.id:
            self.serial += 1
            episode.id = self.serial
        self._changed[episode.id] = episode

    def forget(self, episode: Episode) -> None:
        """Take that an episode is no more."""
        if episode.id:
            self._changed.pop(episode.id, None)
            self._gone.append(episode.id)
            if len(self._gone) > MAXIMUM_GONE:
                self._fall_behind()

    def _fall_behind(self) -> None:
        """Forget what is no more: nobody has asked for long, and will be told all there is."""
        self._gone, self._ended = [], []
        self.is_behind = True

    def began(self, thread: Thread) -> None:
        """Take that a flow began, or belongs to another episode now."""
        self._begun[thread.opening.flow] = thread

    def ended(self, thread: Thread) -> None:
        """Take that a flow ended, unless it only ends because this run does."""
        if not self.is_suspended:
            self._begun.pop(thread.opening.flow, None)
            self._ended.append(thread.opening.id)
            if len(self._ended) > MAXIMUM_GONE:
                self._fall_behind()

    def suspend(self) -> None:
        """Take that flows end from now on only because the run does."""
        for thread in self._threads.values():
            self._begun[thread.opening.flow] = thread
        self.is_suspended = True

    def count(self, name: str, *labels: str) -> None:
        """Add one to a count."""
        key = (name, labels)
        if key in self._counts or len(self._counts) < MAXIMUM_COUNTS:
            self._counts[key] += 1
            self._changed_counts.add(key)

    # ---- rows --------------------------------------------------------------------------------

    def rows(self, around: Surroundings, *, changed_only: bool) -> JudgeRows:
        """Return all rows, or those that changed since this was last asked."""
        rows = JudgeRows()
        self.is_behind = False
        if not changed_only:
            for episode in self._episodes.values():
                self.touch(episode)
            for thread in self._threads.values():  # those that wait for a name are in no list
                self.touch(thread.episode)
            self._begun.update(self._threads)
            self._changed_totals = set(self._totals)
            self._changed_counts = set(self._counts)
        threads = (*self._threads.values(), *self._begun.values())
        pending = {thread.episode.id for thread in threads if thread.pending}
        standings = self._sweep(around, everything=not changed_only)
        for episode in self._changed.values():
            row = self._row(episode, around, standings, pending=episode.id in pending)
            if row is not None:
                rows.episodes.append(row)
        for thread in self._begun.values():
            rows.flows.append(_flow_row(thread))
        rows.totals = [_total_row(key, self._totals[key]) for key in self._changed_totals]
        rows.counts = [CountRow(*key, self._counts[key]) for key in self._changed_counts]
        rows.gone_episodes, rows.gone_flows = self._gone, self._ended
        self._changed, self._begun = {}, {}
        self._gone, self._ended = [], []
        self._changed_totals, self._changed_counts = set(), set()
        return rows

    def _sweep(self, around: Surroundings, *, everything: bool) -> dict[int, Standing]:
        """Look up the counters of flows that go on, some at a time; their episodes changed."""
        flows = [flow for episode in self._changed.values() for flow in episode.live]
        if everything or len(self._threads) <= SWEEP:
            flows = list(self._threads)
        else:
            self._at = self._at if self._at < len(self._threads) else 0
            flows += islice(self._threads, self._at, self._at + SWEEP)
            self._at += SWEEP
        standings = {}
        for flow in flows:
            thread = self._threads.get(flow)
            standing = around.standing_of(thread) if thread is not None else None
            if thread is None or standing is None:
                continue
            standings[flow] = standing
            known = thread.episode.live.get(flow)
            if known is None or known != standing.tally:
                self.touch(thread.episode)
        return standings

    def _row(
        self,
        episode: Episode,
        around: Surroundings,
        standings: dict[int, Standing],
        *,
        pending: bool,
    ) -> EpisodeRow | None:
        host = around.host_of(episode.host)
        if host is None:
            return None
        tally, last = Tally(), episode.last
        tally.add(episode.tally)
        for flow, known in episode.live.items():
            standing = standings.get(flow)
            if standing is not None:
                tally.subtract(known)
                tally.add(standing.tally)
                last = max(last, standing.last)
        camera = around.whose(episode)
        if camera is not None and not pending and not episode.on_site:
            self._book(episode, camera, tally)
        return row_of(episode, host, tally, last, pending=pending)

    def _book(self, episode: Episode, camera: Camera, tally: Tally) -> None:
        """Add to a camera's totals what an episode has grown by, under whose it is known to be."""
        party = episode.destination.party.value
        grown = Tally()
        grown.add(tally)
        grown.subtract(episode.booked)
        if grown != Tally():
            key = (camera.id, party)
            self._totals.setdefault(key, Tally()).add(grown)
            self._changed_totals.add(key)
            episode.booked = tally
        if episode.is_new and episode.booked_stage < 0:
            self.count(DESTINATIONS, camera.id)
        permitted = "permitted" if episode.permitted else "unpermitted"
        lowest = Stage.LOOKUP if episode.stage is Stage.LOOKUP else Stage.ATTEMPT
        for number in range(max(lowest, episode.booked_stage + 1), episode.stage + 1):
            self.count(CONTACTS, party, Stage(number).label, permitted)
        episode.booked_stage = max(episode.booked_stage, int(episode.stage))

    # ---- restored ------------------------------------------------------------------------------

    def restore_totals(self, totals: Iterable[TotalRow], counts: Iterable[CountRow]) -> None:
        """Go on counting where the run before this one ended."""
        for total in totals:
            self._totals[total.camera, total.party] = Tally(
                total.bytes_out, total.bytes_in, total.packets_out, total.packets_in
            )
        for row in counts:
            self._counts[row.name, row.labels] = row.count

    @property
    def totals(self) -> list[TotalRow]:
        """Bytes of every camera by whose machines they went to, as last booked."""
        return [_total_row(key, tally) for key, tally in self._totals.items()]

    @property
    def counts(self) -> list[CountRow]:
        """Everything counted so far."""
        return [CountRow(*key, count) for key, count in self._counts.items()]


def row_of(
    episode: Episode, host: Host, tally: Tally, last: Nanoseconds, *, pending: bool
) -> EpisodeRow:
    """Return an episode as a row, with these counters."""
    destination, booked = episode.destination, episode.booked
    return EpisodeRow(
        id=episode.id,
        host_ip=host.ip,
        host_mac=host.mac,
        ip=destination.ip,
        port=destination.port,
        transport=destination.transport,
        direction=episode.direction.value,
        stage=int(episode.stage),
        first=episode.first,
        last=last,
        local_port=episode.local_port,
        pending=pending,
        flows=episode.flows,
        bytes_out=tally.bytes_out,
        bytes_in=tally.bytes_in,
        packets_out=tally.packets_out,
        packets_in=tally.packets_in,
        connected=episode.connected,
        reset=episode.reset,
        refused=episode.refused,
        on_site=episode.on_site,
        permitted=episode.permitted,
        weighed=episode.weighed,
        told=None if episode.told is None else int(episode.told),
        finding=episode.finding,
        names=tuple(NameOfEnd(n.name, n.source.value, n.seen) for n in destination.names),
        protocols=tuple(episode.protocols),
        evidence=tuple(FrameOf(ref.file, ref.frame) for ref in episode.evidence),
        onsets=tuple(episode.onsets),
        counted_out=booked.bytes_out,
        counted_in=booked.bytes_in,
        counted_packets_out=booked.packets_out,
        counted_packets_in=booked.packets_in,
        counted_stage=episode.booked_stage,
    )


def episode_of(row: EpisodeRow, host: int) -> Episode:
    """Return the episode that a row tells of; whose the far end is has to be found out again.

    ValueError where a row says what the model has no word for.
    """
    names = [Name(name.name, NameSource(name.source), name.seen) for name in row.names]
    return Episode(
        host,
        Destination(row.ip, row.port, row.transport, names),
        Direction(row.direction),
        Stage(row.stage),
        row.first,
        row.last,
        row.local_port,
        flows=row.flows,
        tally=Tally(row.bytes_out, row.bytes_in, row.packets_out, row.packets_in),
        protocols=list(row.protocols),
        evidence=[FrameRef(frame.file, frame.frame) for frame in row.evidence],
        connected=row.connected,
        reset=row.reset,
        refused=row.refused,
        on_site=row.on_site,
        told=None if row.told is None else Stage(row.told),
        finding=row.finding,
        permitted=row.permitted,
        weighed=row.weighed,
        onsets=list(row.onsets),
        id=row.id,
        booked=Tally(
            row.counted_out, row.counted_in, row.counted_packets_out, row.counted_packets_in
        ),
        booked_stage=row.counted_stage,
    )


def _flow_row(thread: Thread) -> FlowRow:
    opening = thread.opening
    return FlowRow(opening.id, thread.episode.id, opening.at, opening.direction.value)


def _total_row(key: tuple[str, str], tally: Tally) -> TotalRow:
    return TotalRow(*key, tally.bytes_out, tally.bytes_in, tally.packets_out, tally.packets_in)
