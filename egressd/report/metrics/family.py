"""What a metric family is: its name, its labels, and how its values are read off a snapshot.

The families themselves are tables in `cameras`, `coverage` and `operation`. The
documentation and the dashboards are checked against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from egressd.model import NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from egressd.model import Nanoseconds
    from egressd.report.metrics.snapshot import CameraReading, Snapshot

OTHER = "other"


class FamilyKind(Enum):
    """How Prometheus may reckon with a family's values."""

    COUNTER = "counter"  # only grows; falls to zero when the process begins anew
    GAUGE = "gauge"  # how something stands now


class Row(NamedTuple):
    """One value, under the label values in the family's order."""

    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot, and its cameras under the labels they were given."""

    snapshot: Snapshot
    cameras: Mapping[str, Sequence[CameraReading]]
    label_overflows: int


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family; a counter's name ends in `_total`."""

    name: str
    kind: FamilyKind
    help: str
    labels: tuple[str, ...]
    read: Callable[[View], Iterable[Row]]


def counter(
    name: str, text: str, labels: tuple[str, ...], read: Callable[[View], Iterable[Row]]
) -> Family:
    """Return a family of counters."""
    return Family(name, FamilyKind.COUNTER, text, labels, read)


def gauge(
    name: str, text: str, labels: tuple[str, ...], read: Callable[[View], Iterable[Row]]
) -> Family:
    """Return a family of gauges."""
    return Family(name, FamilyKind.GAUGE, text, labels, read)


def one(value: Callable[[Snapshot], float]) -> Callable[[View], Iterable[Row]]:
    """Return how to read a family of one value without labels."""
    return lambda view: [Row((), value(view.snapshot))]


def moment(value: Callable[[Snapshot], Nanoseconds]) -> Callable[[View], Iterable[Row]]:
    """Return how to read one moment; one that never came has no value, so that no age is wrong."""
    return lambda view: _moments([((), value(view.snapshot))])


def moments(
    pairs: Callable[[View], Iterable[tuple[tuple[str, ...], Nanoseconds]]],
) -> Callable[[View], Iterable[Row]]:
    """Return how to read moments under labels, leaving out those that never came."""
    return lambda view: _moments(pairs(view))


def capped(counts: Mapping[str, int], maximum: int) -> dict[str, int]:
    """Return counts by label value, those beyond the maximum together under `other`.

    Which values are kept goes by the alphabet, so that it does not change while the set of
    values does not.
    """
    if len(counts) <= maximum:
        return dict(counts)
    kept = dict(sorted(counts.items())[:maximum])
    kept[OTHER] = kept.get(OTHER, 0) + sum(counts.values()) - sum(kept.values())
    return kept


def _moments(pairs: Iterable[tuple[tuple[str, ...], Nanoseconds]]) -> Iterable[Row]:
    return [Row(labels, at / NANOSECONDS_PER_SECOND) for labels, at in pairs if at > 0]
