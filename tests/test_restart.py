"""A restart in the middle of a capture: what is found, told and counted is what one run finds.

The engine's state goes through the state file, in one piece or change by change, and another engine
goes on with the next frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.daemon.statefile import StateFile
from egressd.model import AlertEvent, CameraEvent, FlowEvent
from egressd.state import EngineState, Kept

if TYPE_CHECKING:
    from egressd.config import Site
    from egressd.engine import Engine
    from egressd.model import Event

PCAPS = Path(__file__).parent.parent / "pcaps"
# Of what the mirror copies, a copy seen right behind the restart counts as a frame of its own.
COPIED = "mirror-copies-routed"
CAPTURES = [
    path
    for path in sorted(PCAPS.glob("*.pcap*"))
    if (PCAPS / "sites" / f"{path.stem}.yaml").exists() and path.stem != COPIED
]


def name_of(path: Path) -> str:
    return path.stem


@cache
def parts() -> tuple[object, object]:
    return load_services(), Geo(())


def engine_for(site: Site, state: EngineState | None = None) -> Engine:
    services, geo = parts()
    engine = assemble(site, services=services, geo=geo)  # type: ignore[arg-type]  # cached as objects
    engine.restore(state or EngineState())
    return engine


def site_of(path: Path) -> Site:
    return load_site(PCAPS / "sites" / f"{path.stem}.yaml")


@dataclass
class Run:
    """What was told so far, and what is known in the end."""

    engine: Engine
    alerts: list[tuple[str, str]] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)  # ids, each as often as it was told
    frames: int = 0

    def take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, AlertEvent):
                self.alerts.append((event.finding.id, event.finding.stage.label))
            if isinstance(event, CameraEvent):
                self.cameras.append(event.camera.id)

    def found(self) -> dict[str, object]:
        case = self.engine.case()
        return {
            "contacts": sorted(
                (
                    *(it.camera.id, it.destination.ip or "", it.destination.port or 0),
                    *(it.destination.transport, it.direction.value, it.stage.label),
                    *(it.bytes_out, it.bytes_in, it.packets_out, it.packets_in, it.flows),
                    *(it.permitted, it.finding or "", it.first, it.last),
                    *sorted((name.name, name.source.value) for name in it.destination.names),
                )
                for it in case.contacts
            ),
            "findings": sorted((it.id, it.rule, it.stage.label) for it in case.findings),
            "evidence": [it.evidence for it in case.findings],
            "cameras": sorted(
                (it.id, str(it.name), str(it.vendor), str(it.model), it.confidence)
                for it in case.cameras
            ),
            "reasons": [it.evidence for it in case.cameras],
            "permits": [(it.text, it.used, it.expired) for it in case.permits],
            "frames": [case.coverage.frames, case.coverage.wire_bytes, case.coverage.first],
        }


def through_file(folder: Path, state: EngineState) -> EngineState:
    """Return a state as it is when it was kept in a file."""
    with StateFile(folder) as file:
        file.save(Kept(state))
    with StateFile(folder) as file:
        kept = file.load()
        assert file.skipped == 0
    return kept.engine


def run_of(path: Path, folder: Path | None = None, *, cut: float = 2, finish: bool = False) -> Run:
    """Run a capture through an engine, or through two: the second goes on behind the cut."""
    site = site_of(path)
    run = Run(engine_for(site))
    with open_captures([str(path)], batch_frames=32) as reader:
        for batch in reader:
            if folder is not None and reader.bytes_read > cut * (reader.bytes_total or 0):
                if finish:
                    run.take(run.engine.finish())
                run.engine = engine_for(site, through_file(folder, run.engine.state()))
                folder = None
            run.take(run.engine.feed(batch, reader.sources))
    assert folder is None or cut >= 1, "the capture has no batch behind the cut"
    run.take(run.engine.finish())
    return run


@cache
def whole_of(path: Path) -> Run:
    return run_of(path)


@pytest.mark.parametrize("finish", [False, True], ids=["killed", "ended"])
@pytest.mark.parametrize("path", CAPTURES, ids=name_of)
def test_a_restart_changes_nothing_that_is_found_or_told(
    path: Path, tmp_path: Path, *, finish: bool
) -> None:
    whole = whole_of(path)
    for number, cut in enumerate((0.3, 0.6)):
        (tmp_path / str(number)).mkdir()
        run = run_of(path, tmp_path / str(number), cut=cut, finish=finish)
        assert run.found() == whole.found()
        assert sorted(run.alerts) == sorted(whole.alerts)
        assert sorted(run.cameras) == sorted(whole.cameras)


def test_no_two_flows_have_one_id_over_a_restart() -> None:
    path = PCAPS / "cloud-call.pcapng"
    ids: list[int] = []
    state = EngineState()
    for _ in range(3):
        engine = engine_for(site_of(path), state)
        with open_captures([str(path)]) as reader:
            events = [event for batch in reader for event in engine.feed(batch, reader.sources)]
        events += engine.finish()
        ids += [event.flow.id for event in events if isinstance(event, FlowEvent)]
        state = engine.state()
    assert ids
    assert len(ids) == len(set(ids))
    assert max(ids) < 1 << 53  # what JSON readers keep exact (RFC 8259 section 6)
    assert ids[0] < 1 << 32  # as in a replay


def as_known(state: EngineState) -> dict[str, object]:
    """Return what a state says, whatever its order and the moment of a device's row."""
    return {
        "devices": {row.id: replace(row, seen=0) for row in state.devices},
        "names": set(state.names),
        "episodes": {row.id: row for row in state.episodes},
        "flows": {row.id: row for row in state.flows},
        "totals": set(state.totals),
        "counts": set(state.counts),
        "leases": set(state.leases),
        "rest": (state.routers, state.servers, state.coverage, state.time, state.serial),
    }


@pytest.mark.parametrize("path", CAPTURES, ids=name_of)
def test_changes_add_up_to_the_whole_state(path: Path, tmp_path: Path) -> None:
    engine = engine_for(site_of(path))
    with StateFile(tmp_path) as file, open_captures([str(path)], batch_frames=16) as reader:
        for batch in reader:
            engine.feed(batch, reader.sources)
            file.save(Kept(engine.state(changed_only=True)))
        kept = file.load().engine
        assert file.skipped == 0
    assert as_known(kept) == as_known(engine.state())
