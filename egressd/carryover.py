"""What an engine hands to the next one: its state as rows, all of it or what changed.

The next engine stands on another data plane, which numbers hosts and flows anew. So hosts of the
run before get numbers below zero: they are further bindings of the devices they belong to, and
whatever is asked of a device finds what was known by them. Flows are known again by their ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from egressd.identify.carried import InventoryRows
from egressd.judge.memory import Resumed, Surroundings, episode_of
from egressd.judge.stages import Standing, Tally
from egressd.model import Coverage, Direction
from egressd.state import EngineState

if TYPE_CHECKING:
    from egressd.attribute.names import NameTable
    from egressd.flows import FlowReader
    from egressd.identify.bindings import Bindings
    from egressd.identify.inventory import Inventory
    from egressd.judge.judge import Judge, Thread
    from egressd.judge.policy import Policy
    from egressd.judge.stages import Episode
    from egressd.model import Camera, Host


@dataclass(slots=True)
class Parts:
    """The engine's parts that know something."""

    inventory: Inventory
    bindings: Bindings
    names: NameTable
    judge: Judge
    policy: Policy
    flows: FlowReader


class CarryOver:
    """Rows of an engine's parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._keeps = False
        self._is_tracking = False  # rows were asked for: what changes from then on is known
        self.coverage = Coverage()  # of the runs before this one
        self.skipped = 0  # rows that made no sense, or that there was no room for

    def rows(self, *, changed_only: bool) -> EngineState:
        """Return what changed since this was last asked; the first time, all there is."""
        parts = self._parts
        memory = parts.judge.memory
        changed_only = changed_only and self._is_tracking and not memory.is_behind
        self._is_tracking = self._keeps = True
        around = Surroundings(parts.bindings.hosts.get, self._standing_of, parts.judge.whose)
        judged = memory.rows(around, changed_only=changed_only)
        known = parts.inventory.rows(parts.bindings.row_of, changed_only=changed_only)
        return EngineState(
            whole=not changed_only,
            devices=known.devices,
            names=parts.names.rows(changed_only=changed_only),
            episodes=judged.episodes,
            flows=judged.flows,
            totals=judged.totals,
            counts=judged.counts,
            permits=parts.policy.rows(),
            leases=known.leases,
            routers=tuple(sorted({*known.routers, *parts.bindings.routers})),
            servers=known.servers,
            one_way_mirror=parts.judge.one_way_mirror,
            serial=memory.serial,
            gone_devices=known.gone,
            gone_episodes=judged.gone_episodes,
            gone_flows=judged.gone_flows,
        )

    def suspend(self) -> None:
        """Take that flows end from now on only because the run does."""
        if self._keeps:
            self._parts.judge.memory.suspend()

    def restore(self, state: EngineState) -> list[Camera]:
        """Have a fresh engine know it; return the cameras of which there is something to tell."""
        parts = self._parts
        hosts: dict[tuple[str, str | None], int] = {}
        bound: dict[str, list[Host]] = {}
        parts.bindings.restore_routers(state.routers)
        for device in state.devices:
            for row in device.hosts:
                index = hosts.setdefault((row.ip, row.mac), -1 - len(hosts))
                bound.setdefault(device.id, []).append(parts.bindings.restore(index, row))
        known = InventoryRows(state.devices, state.leases, state.routers, state.servers)
        self._keeps = True
        changed = parts.inventory.restore(known, bound)
        parts.names.restore(row for row in state.names if row.until >= state.time)
        parts.policy.restore(state.permits)
        parts.judge.one_way_mirror = state.one_way_mirror
        self._restore_episodes(state, hosts)
        parts.judge.memory.serial = state.serial
        parts.judge.memory.restore_totals(state.totals, state.counts)
        self.coverage = state.coverage
        return changed

    def _restore_episodes(
        self, state: EngineState, hosts: dict[tuple[str, str | None], int]
    ) -> None:
        settled: list[Episode] = []
        by_id: dict[int, Episode] = {}
        pending = set()
        for row in sorted(state.episodes, key=lambda row: row.id):
            host = hosts.get((row.host_ip, row.host_mac))
            try:
                if host is None:
                    raise ValueError("a host that is not known any more")  # noqa: TRY301 - as below
                episode = episode_of(row, host)
            except ValueError:
                self.skipped += 1
                continue
            by_id[row.id] = episode
            if row.pending:
                pending.add(row.id)
            else:
                settled.append(episode)
        resumable = {
            flow.id: Resumed(
                by_id[flow.episode], Direction(flow.direction), flow.episode in pending
            )
            for flow in state.flows
            if flow.episode in by_id and flow.direction in DIRECTIONS
        }
        self._parts.judge.restore(settled, resumable)

    def _standing_of(self, thread: Thread) -> Standing | None:
        """Return a flow's counters now; None where its place in the data plane is another's."""
        opening, flows = thread.opening, self._parts.flows
        last = flows.last_of(opening.flow, opening.row)
        if not last:
            return None
        own = flows.counts_of(opening.row, opening.home)
        other = flows.counts_of(opening.row, 1 - opening.home)
        return Standing(Tally(own.bytes, other.bytes, own.frames, other.frames), last)


DIRECTIONS = frozenset(direction.value for direction in Direction)


def sum_of(before: Coverage, now: Coverage) -> Coverage:
    """Return the coverage of two runs, one after the other; neither is changed."""
    total = Coverage()
    for field in fields(Coverage):
        old, new = getattr(before, field.name), getattr(now, field.name)
        if isinstance(old, dict):
            new = {key: old.get(key, 0) + new.get(key, 0) for key in sorted({*old, *new})}
        else:
            new += old
        setattr(total, field.name, new)
    total.first = min((run.first for run in (before, now) if run.first), default=0)
    total.last = max(before.last, now.last)
    return total
