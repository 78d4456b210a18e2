"""The whole engine: the same frames give the same events, however they come."""

from __future__ import annotations

import gzip
import io
import lzma
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.model import AlertEvent, Case
from egressd.past import Past
from egressd.report.eve import EveWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

PCAPS = Path(__file__).parent.parent / "pcaps"
SCENARIOS = sorted(path.stem for path in (PCAPS / "truth").glob("*.json"))
SOME = ["demo", "mirror-copies", "fragments", "scan", "port-forward", "dhcp-renumbering"]


def capture_of(name: str) -> Path:
    return next(path for path in PCAPS.glob(f"{name}.pcap*"))


def events_of(  # noqa: PLR0913 - all that must change nothing
    name: str,
    paths: Sequence[Path],
    *,
    batch_frames: int = 8192,
    decoder: str = "fast",
    log: str = "all",
    listed: bool = True,
) -> str:
    """Return the EVE lines of a replay, with every file called by the scenario's name.

    Where devices are not `listed`, cameras must be recognised, in the middle of what they do.
    """
    site = load_site(PCAPS / "sites" / f"{name}.yaml")
    if not listed:
        site = replace(site, cameras=(), recorders=())
    engine = assemble(
        site,
        services=load_services(),
        geo=Geo(),
        log=log,  # type: ignore[arg-type]  # one of its two words
        decoder=decoder,  # type: ignore[arg-type]  # one of its two words
    )
    stream = io.StringIO()
    with open_captures([str(path) for path in paths], batch_frames=batch_frames) as reader:
        writer = EveWriter(stream, sources=reader.sources)
        for batch in reader:
            writer.write(engine.feed(batch, reader.sources))
        writer.write(engine.finish())
    lines = stream.getvalue()
    for path in paths:
        lines = lines.replace(str(path), name)
    return lines


@pytest.mark.parametrize("name", [name for name in SOME if name in SCENARIOS])
@pytest.mark.parametrize("batch_frames", [1, 7, 100])
def test_the_batch_size_changes_nothing(name: str, batch_frames: int) -> None:
    capture = [capture_of(name)]
    assert events_of(name, capture, batch_frames=batch_frames) == events_of(name, capture)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("decoder", ["fast", "reference"])
def test_the_batch_size_changes_nothing_where_cameras_are_recognised(
    name: str, decoder: str
) -> None:
    capture = [capture_of(name)]
    once = events_of(name, capture, decoder=decoder, log="judged", listed=False)
    assert once == events_of(name, capture, batch_frames=3, log="judged", listed=False)


def case_of(name: str, *, room: int | None = None, since: int | None = None) -> Case:
    """Return what is found where no device is listed, with room for so many looks put off."""
    site = replace(load_site(PCAPS / "sites" / f"{name}.yaml"), cameras=(), recorders=())
    log = "all" if room == 0 else "judged"
    engine = assemble(site, services=load_services(), geo=Geo(), log=log)  # type: ignore[arg-type]
    if room:
        engine._past = Past(engine._followed, engine._inventory.is_news, room)  # noqa: SLF001 - less
    with open_captures([str(capture_of(name))], since=since, batch_frames=50) as reader:
        for batch in reader:
            engine.feed(batch, reader.sources)
        engine.finish()
    return engine.case()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "permitted"])
@pytest.mark.parametrize("room", [1, 30, None])
def test_what_is_put_off_changes_nothing_that_is_found(name: str, room: int | None) -> None:
    # Not where a permit names a camera: nobody could know it by its name here.
    at_once, put_off = case_of(name, room=0), case_of(name, room=room)
    assert put_off.contacts == at_once.contacts
    assert put_off.findings == at_once.findings


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_capture_that_begins_in_the_middle_is_read(name: str) -> None:
    with open_captures([str(capture_of(name))]) as reader:
        times = [time for batch in reader for time in batch.time[: batch.count]]
    for part in (4, 3, 2):
        since = times[len(times) // part]
        assert case_of(name, since=since).contacts == case_of(name, room=0, since=since).contacts


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_silent_engine_finds_the_same(name: str) -> None:
    cases = []
    for silent in (False, True):
        engine = assemble(
            load_site(PCAPS / "sites" / f"{name}.yaml"),
            services=load_services(),
            geo=Geo(),
            silent=silent,
        )
        with open_captures([str(capture_of(name))]) as reader:
            events = [engine.feed(batch, reader.sources) for batch in reader]
            events.append(engine.finish())
        cases.append(engine.case())
        alerts = [event for part in events for event in part if isinstance(event, AlertEvent)]
        assert not (silent and alerts)
    heard, unheard = cases
    assert heard == unheard


@pytest.mark.parametrize("ending", ["gz", "xz"])
def test_compression_changes_nothing(tmp_path: Path, ending: str) -> None:
    plain = capture_of("demo")
    packed = tmp_path / f"demo.pcapng.{ending}"
    data = plain.read_bytes()
    packed.write_bytes(gzip.compress(data) if ending == "gz" else lzma.compress(data))
    assert events_of("demo", [packed]) == events_of("demo", [plain])


def test_the_hash_seed_changes_nothing() -> None:
    capture = [capture_of("scan")]
    assert events_of("scan", capture) == events_of("scan", capture)
