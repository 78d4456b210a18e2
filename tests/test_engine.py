"""The whole engine: the same frames give the same events, however they come."""

from __future__ import annotations

import gzip
import io
import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.report.eve import EveWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

PCAPS = Path(__file__).parent.parent / "pcaps"
SCENARIOS = sorted(path.stem for path in (PCAPS / "truth").glob("*.json"))
SOME = ["demo", "mirror-copies", "fragments", "scan", "port-forward", "dhcp-renumbering"]


def capture_of(name: str) -> Path:
    return next(path for path in PCAPS.glob(f"{name}.pcap*"))


def events_of(
    name: str, paths: Sequence[Path], *, batch_frames: int = 8192, decoder: str = "fast"
) -> str:
    """Return the EVE lines of a replay, with every file called by the scenario's name."""
    site = load_site(PCAPS / "sites" / f"{name}.yaml")
    engine = assemble(
        site,
        services=load_services(),
        geo=Geo(),
        log="all",
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
