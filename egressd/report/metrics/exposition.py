"""Snapshots in, the text that Prometheus scrapes out.

The engine's thread publishes; a scrape renders what was published last. Between
them is one reference: neither waits for the other, whatever the other does. A
snapshot is rendered at most once for each format, so that many scrapers cost one.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from egressd.report.metrics.cameras import CAMERA_FAMILIES
from egressd.report.metrics.coverage import FRAME_FAMILIES, SENSOR_FAMILIES
from egressd.report.metrics.family import Family, FamilyKind, View
from egressd.report.metrics.labels import MAXIMUM_CAMERAS, CameraLabels
from egressd.report.metrics.operation import PROGRAM_FAMILIES, STORE_FAMILIES
from egressd.report.metrics.process import PROCESS_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from egressd.model import Seconds
    from egressd.report.metrics.snapshot import CameraReading, Snapshot

FAMILIES: tuple[Family, ...] = (
    *CAMERA_FAMILIES,
    *FRAME_FAMILIES,
    *SENSOR_FAMILIES,
    *PROGRAM_FAMILIES,
    *STORE_FAMILIES,
)
STALE_SECONDS = 60.0  # a snapshot of that age says that the engine is stuck


class Exposition:
    """What is told to Prometheus now.

    `extra` are families that do not come from a snapshot: the listener's own.
    """

    def __init__(
        self,
        *,
        maximum_cameras: int = MAXIMUM_CAMERAS,
        reserved_cameras: int = 0,
        extra: Iterable[Family] = (),
    ) -> None:
        self._families = (*FAMILIES, *PROCESS_FAMILIES, *extra)
        self._labels = CameraLabels(maximum_cameras, reserved_cameras)
        self._current: tuple[Snapshot, Seconds] | None = None
        self._rendering = threading.Lock()  # among scrapes; publishing does not take it
        self._rendered: dict[bool, tuple[Snapshot, bytes]] = {}

    def publish(self, snapshot: Snapshot) -> None:
        """Put a snapshot in the place of the one before it."""
        self._current = (snapshot, time.monotonic())

    def add(self, families: Iterable[Family]) -> None:
        """Tell these families, too; to be called before the first scrape."""
        self._families = (*self._families, *families)

    @property
    def is_ready(self) -> bool:
        """Whether there is a snapshot, and it is not old."""
        current = self._current
        return current is not None and time.monotonic() - current[1] < STALE_SECONDS

    def render(self, *, as_openmetrics: bool = False) -> bytes | None:
        """Return the text, or None before the first snapshot."""
        current = self._current
        if current is None:
            return None
        snapshot = current[0]
        with self._rendering:
            rendered = self._rendered.get(as_openmetrics)
            if rendered is None or rendered[0] is not snapshot:
                rendered = (snapshot, self._text(snapshot, as_openmetrics=as_openmetrics))
                self._rendered[as_openmetrics] = rendered
            return rendered[1]

    def _text(self, snapshot: Snapshot, *, as_openmetrics: bool) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Reading(self._families, self._view(snapshot)))
        if as_openmetrics:
            text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call] # theirs
            return text
        return generate_latest(registry)

    def _view(self, snapshot: Snapshot) -> View:
        labels = self._labels.assign(snapshot.cameras)
        cameras: dict[str, list[CameraReading]] = {}
        for camera in snapshot.cameras:
            cameras.setdefault(labels[camera.id], []).append(camera)
        return View(snapshot, cameras, self._labels.overflows)


class _Reading(Collector):
    """One snapshot as prometheus_client collects it."""

    def __init__(self, families: tuple[Family, ...], view: View) -> None:
        self._families = families
        self._view = view

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            made: CounterMetricFamily | GaugeMetricFamily
            if family.kind is FamilyKind.COUNTER:
                made = CounterMetricFamily(family.name, family.help, labels=family.labels)
            else:
                made = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for row in family.read(self._view):
                made.add_metric(row.labels, row.value)
            yield made
