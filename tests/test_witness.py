"""What proves a finding is kept before the finding is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from frames import batch_of, camera

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.batch import Source
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.framekeeper import FrameKeeper
from egressd.model import AlertEvent
from egressd.witness import witness_of

PCAPS = Path(__file__).parent.parent / "pcaps"
SCENARIOS = sorted(path.stem for path in (PCAPS / "truth").glob("*.json"))


def frames_in(path: Path) -> dict[int, bytes]:
    """Return the frames of a capture by number."""
    found = {}
    with open_captures([str(path)]) as reader:
        for batch in reader:
            view = memoryview(batch.buffer)
            for row in range(batch.count):
                at = batch.offset[row]
                found[batch.number[row]] = bytes(view[at : at + batch.captured[row]])
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_frames_of_every_alert_are_there_when_it_is_told(name: str) -> None:
    site = load_site(PCAPS / "sites" / f"{name}.yaml")
    capture = next(PCAPS.glob(f"{name}.pcap*"))
    truth = frames_in(capture)
    keeper = FrameKeeper(site.is_on_site)
    engine = assemble(
        site, services=load_services(), geo=Geo(), witness=witness_of(keeper, None, None)
    )
    with open_captures([str(capture)], batch_frames=100) as reader:
        for batch in reader:
            for event in engine.feed(batch, reader.sources):
                if not isinstance(event, AlertEvent):
                    continue
                for ref in event.finding.evidence:
                    kept = keeper.find(ref)
                    assert kept is not None
                    assert kept.data == truth[ref.frame]
    assert keeper.counts.kept > 0


def test_a_lookup_is_found_by_its_name_and_by_what_was_answered(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(f"site: {{networks: [10.20.0.0/16]}}\ncameras: [{{ip: {camera.ip}}}]\n")
    site = load_site(file)
    keeper = FrameKeeper(site.is_on_site)
    engine = assemble(
        site, services=load_services(), geo=Geo(), witness=witness_of(keeper, None, None)
    )
    batch = batch_of(camera.asks("www.example"), camera.hears("www.example", "203.0.113.9"))
    engine.feed(batch, [Source("span0", "span0", 1, 0)])
    assert len(keeper.lookups(camera.ip, "www.example")) == 2
    assert len(keeper.answers(camera.ip, "203.0.113.9")) == 1
