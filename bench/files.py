"""The captures that are measured: made once by the generator, and kept in `bench/data`.

A file's name carries a digest of the generator, so that a file of an older one is
not taken for it; what an older one left is removed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pcaps import generator
from pcaps.generator.bench import Order, write_bench

if TYPE_CHECKING:
    from bench.plan import Kind
    from egressd.model import Bytes

SEED = "bench"
CHUNK = 1 << 22
RECORD_HEADERS = 16  # bytes a frame, pcap
FILE_HEADER = 24


@dataclass(frozen=True, slots=True)
class Capture:
    """One file to be read."""

    path: Path
    frames: int
    frame_bytes: Bytes  # without the file's own headers


def make_capture(kind: Kind, frames: int, folder: Path) -> Capture:
    """Write a capture, or find the one an earlier run wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind.name}-{frames}-{_digest()}.pcap"
    if not path.exists():
        flows = frames // kind.frames_per_flow if kind.frames_per_flow else 0
        part = path.with_suffix(".part")
        write_bench(Order(kind.name, frames, SEED, flows), part)
        part.rename(path)
    content = path.stat().st_size - FILE_HEADER - frames * RECORD_HEADERS
    return Capture(path, frames, content)


def remove_stale(folder: Path) -> None:
    """Remove what another version of the generator wrote, and what was never finished."""
    for path in folder.glob("*.pcap"):
        if not path.stem.endswith(_digest()):
            path.unlink()
    for path in folder.glob("*.part"):
        path.unlink()


def warm(path: Path) -> None:
    """Read a file once, so that it comes from the page cache for all who are measured."""
    with path.open("rb", buffering=0) as file:
        while file.read(CHUNK):
            pass


@cache
def _digest() -> str:
    """Return what tells this generator from every other."""
    digest = hashlib.sha256()
    for source in sorted(Path(next(iter(generator.__path__))).rglob("*")):
        if source.is_file() and source.suffix != ".pyc":
            digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:8]
