"""Runs frames through a data plane and keeps everything it says, to be compared."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from egressd.capture.batch import Batch
from egressd.capture.pcapfile import open_captures
from egressd.dataplane.plane import Plane
from egressd.dataplane.reference import ReferencePlane

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ON_SITE = [
    (0x0A000000, 8, 4),
    (0xAC100000, 12, 4),
    (0xC0A80000, 16, 4),
    (0xA9FE0000, 16, 4),
    (0xFC << 120, 7, 6),
    (0xFE80 << 112, 10, 6),
]
SEED = 12345
COLUMNS = (
    "kind side row time number source detail flow protocol port_a port_b host_a host_b own_bytes_a"
    " own_bytes_b own_frames_a own_frames_b payload_bytes_a payload_bytes_b stream cut payload"
).split()


@dataclass(frozen=True, slots=True)
class Row:
    """A frame and its columns of a batch."""

    data: bytes
    time: int
    wire: int = 0  # 0: as captured
    source: int = 0


@dataclass(slots=True)
class Said:
    """Everything a data plane said of some frames."""

    looks: list[tuple[Any, ...]] = field(default_factory=list)
    flows: list[tuple[Any, ...]] = field(default_factory=list)  # (row_of, side a, side b)
    hosts: list[tuple[Any, ...]] = field(default_factory=list)  # (host_of, shed_of)
    counters: dict[str, Any] = field(default_factory=dict)

    def of_kind(self, kind: int) -> list[dict[str, Any]]:
        """Return the looks of one kind, by the names of their columns."""
        return [dict(zip(COLUMNS, look, strict=True)) for look in self.looks if look[0] == kind]


def batch_of_rows(rows: list[Row], first: int = 1) -> Batch:
    """Return rows as a batch; frames are numbered from `first`."""
    offsets, at = array("q"), 0
    for row in rows:
        offsets.append(at)
        at += len(row.data)
    return Batch(
        b"".join(row.data for row in rows),
        len(rows),
        offsets,
        array("I", [len(row.data) for row in rows]),
        array("I", [max(row.wire, len(row.data)) for row in rows]),
        array("q", [row.time for row in rows]),
        array("H", [row.source for row in rows]),
        array("Q", range(first, first + len(rows))),
    )


def batches_of(rows: list[Row], size: int) -> Iterable[Batch]:
    """Cut rows into batches of `size` frames."""
    for at in range(0, len(rows), size):
        yield batch_of_rows(rows[at : at + size], at + 1)


def rows_of(path: Path, most: int | None = None) -> tuple[list[Row], list[int]]:
    """Return a capture's frames, and the link types of its sources."""
    reader = open_captures([str(path)])
    rows: list[Row] = []
    for batch in reader:
        view = memoryview(batch.buffer)
        for n in range(batch.count):
            at = batch.offset[n]
            data = bytes(view[at : at + batch.captured[n]])
            rows.append(Row(data, batch.time[n], batch.wire[n], batch.source[n]))
        view.release()
        if most is not None and len(rows) >= most:
            break
    linktypes = [source.linktype for source in reader.sources]
    reader.close()
    return rows[:most], linktypes


def said_by(
    plane: Plane | ReferencePlane, batches: Iterable[Batch], linktypes: Iterable[int]
) -> Said:
    """Feed batches to the end, end all flows, and return what was said."""
    said = Said()
    for index, linktype in enumerate(linktypes):
        plane.add_source(index, linktype)
    for batch in batches:
        at = 0
        while at < batch.count:
            at = plane.feed(batch, at)
            _keep(plane, said, batch.buffer)
    rows = plane.live_rows()
    assert len(rows) == plane.live_flows
    said.flows = [(plane.row_of(row), plane.side_of(row, 0), plane.side_of(row, 1)) for row in rows]
    at = 0
    while at < len(rows):
        at = plane.end_rows(rows, at)
        _keep(plane, said, b"")
    said.counters = plane.counters()
    hosts = {look[2] for look in said.looks if look[0] == 1}
    said.hosts = [(plane.host_of(host), plane.shed_of(host)) for host in sorted(hosts)]
    return said


def _keep(plane: Plane | ReferencePlane, said: Said, buffer: Any) -> None:
    for look in plane.drain(buffer):
        columns = [getattr(look, name) for name in COLUMNS]
        said.looks.append(tuple(columns))


def fast(rows: list[Row], linktypes: Iterable[int] = (1,), size: int = 8192, **options: Any) -> Said:
    """Run the compiled data plane."""
    return said_by(Plane(ON_SITE, SEED, **options), batches_of(rows, size), linktypes)


def slow(rows: list[Row], linktypes: Iterable[int] = (1,), **options: Any) -> Said:
    """Run the reference decoder."""
    return said_by(ReferencePlane(ON_SITE, SEED, **options), batches_of(rows, 8192), linktypes)
