"""Runs frames through a data plane and keeps everything it says, to be compared."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from egressd.capture.batch import Batch
from egressd.capture.pcapfile import open_captures
from egressd.dataplane.plane import Plane
from egressd.dataplane.reference import ReferencePlane
from egressd.dataplane.reference.looks import Kind, Look

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

# Flags of row_of.
ANSWERED, CONNECTED, RESET, REFUSED, OPENER_B, OPENER_KNOWN = 1, 2, 4, 8, 16, 32
WATCHED, CARRIER, SHED, ERROR, FINISHED = 128, 512, 1024, 2048, 16384

# `index` tells of the batch, and not of the frames.
COLUMNS = [column.name for column in fields(Look) if column.name != "index"]


@dataclass(frozen=True, slots=True)
class Row:
    """A frame and its columns of a batch."""

    data: bytes
    time: int
    wire: int = 0  # 0: as captured
    source: int = 0


@dataclass(slots=True)
class SideRead:
    """One side of a flow as `side_of` told it, with its end."""

    ip: int
    port: int
    mac: int
    host: int
    frames: int
    wire: int
    own_frames: int
    own_bytes: int
    payload: int
    delivered: int
    retransmitted: int
    lost: int
    duplicates: int


@dataclass(slots=True)
class FlowRead:
    """A flow as `row_of` told it when it had ended, or its end was told."""

    a: SideRead
    b: SideRead
    version: int
    protocol: int
    flags: int
    id: int
    first: int
    last: int
    number: int
    source: int
    vlans: tuple[int, ...]
    icmp_type: int
    icmp_code: int

    def has(self, flag: int) -> bool:
        """Say whether a flag is set."""
        return bool(self.flags & flag)


@dataclass(slots=True)
class Said:
    """Everything a data plane said of some frames."""

    looks: list[Look] = field(default_factory=list)
    live: list[FlowRead] = field(default_factory=list)  # when the frames had been fed
    ended: list[FlowRead] = field(default_factory=list)  # in the order of the looks of their ends
    hosts: list[tuple[Any, ...]] = field(default_factory=list)  # host_of, shed_of
    counters: dict[str, Any] = field(default_factory=dict)

    def of(self, *kinds: Kind) -> list[Look]:
        """Return the looks of some kinds."""
        return [look for look in self.looks if look.kind in kinds]

    def flow(self, **ports: int) -> FlowRead:
        """Return the one flow that is no carrier, or that with the port `to`."""
        to = ports.get("to")
        (found,) = [
            flow
            for flow in self.ended
            if (flow.b.port == to if to is not None else not flow.has(CARRIER))
        ]
        return found


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
    assert [plane.id_of(row) for row in rows] == sorted(plane.id_of(row) for row in rows)
    said.live = [_flow(plane, row) for row in rows]
    at = 0
    while at < len(rows):
        at = plane.end_rows(rows, at)
        _keep(plane, said, b"")
    said.counters = plane.counters()
    hosts = {0, 1} | {look.row for look in said.of(Kind.HOST)}
    said.hosts = [(plane.host_of(host), plane.shed_of(host)) for host in sorted(hosts)]
    return said


def _keep(plane: Plane | ReferencePlane, said: Said, buffer: Any) -> None:
    for look in plane.drain(buffer):
        copy = Look(**{name: getattr(look, name) for name in COLUMNS})
        said.looks.append(copy)
        if copy.kind == Kind.ENDED:
            assert plane.id_of(copy.row) == copy.flow
            said.ended.append(_flow(plane, copy.row))


def _flow(plane: Plane | ReferencePlane, row: int) -> FlowRead:
    columns: list[int] = list(plane.row_of(row))
    a_high, a_low, b_high, b_low, a_port, b_port, version, protocol, flags = columns[:9]
    id_, first, last, number, source, vlans, outer, inner, icmp_type, icmp_code = columns[9:]
    return FlowRead(
        SideRead(a_high << 64 | a_low, a_port, *plane.side_of(row, 0)),
        SideRead(b_high << 64 | b_low, b_port, *plane.side_of(row, 1)),
        version,
        protocol,
        flags,
        id_,
        first,
        last,
        number,
        source,
        (outer, inner)[:vlans],
        icmp_type,
        icmp_code,
    )


def fast(
    rows: list[Row], linktypes: Iterable[int] = (1,), size: int = 8192, **options: Any
) -> Said:
    """Run the compiled data plane."""
    return said_by(Plane(ON_SITE, SEED, **options), batches_of(rows, size), linktypes)


def slow(rows: list[Row], linktypes: Iterable[int] = (1,), **options: Any) -> Said:
    """Run the reference decoder."""
    return said_by(ReferencePlane(ON_SITE, SEED, **options), batches_of(rows, 8192), linktypes)
