"""The families about cameras: where their bytes go, what was found, whether they are seen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from egressd.model import Kind, Party, Stage
from egressd.report.metrics.family import OTHER, Family, Row, View, counter, gauge, moments, one
from egressd.report.metrics.snapshot import Traffic
from egressd.report.signatures import SIGNATURES
from egressd.report.words import SEVERITY_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from egressd.model import Nanoseconds
    from egressd.report.metrics.snapshot import CameraReading

UNKNOWN_SEVERITY = "low"


def _of_each(
    read: Callable[[Sequence[CameraReading]], Nanoseconds],
) -> Callable[[View], Iterable[Row]]:
    """Return how to read one moment of each camera."""
    return moments(
        lambda view: [((label,), read(cameras)) for label, cameras in view.cameras.items()]
    )


def _bytes(view: View) -> Iterable[Row]:
    """Yield bytes each way for every party, from the start.

    A series that begins with its first byte hides that byte from `increase()`.
    """
    for label, cameras in view.cameras.items():
        sums = dict.fromkeys(Party, Traffic()) | _sums_of(cameras)
        for party, traffic in sums.items():
            yield Row((label, "out", party.value), traffic.bytes_out)
            yield Row((label, "in", party.value), traffic.bytes_in)


def _packets(view: View) -> Iterable[Row]:
    """Yield frames each way for the parties there were any of: they are half of all series."""
    for label, cameras in view.cameras.items():
        for party, traffic in _sums_of(cameras).items():
            yield Row((label, "out", party.value), traffic.packets_out)
            yield Row((label, "in", party.value), traffic.packets_in)


def _sums_of(cameras: Sequence[CameraReading]) -> dict[Party, Traffic]:
    sums: dict[Party, Traffic] = {}
    for camera in cameras:
        for part in camera.traffic:
            sums[part.party] = sums.get(part.party, Traffic()) + part.traffic
    return sums


def _open_findings(view: View) -> Iterable[Row]:
    for label, cameras in view.cameras.items():
        counts: Counter[tuple[str, ...]] = Counter()
        for camera in cameras:
            for found in camera.findings:
                acknowledged = "yes" if found.acknowledged else "no"
                severity = SEVERITY_WORDS.get(found.severity, UNKNOWN_SEVERITY)
                key = (label, found.rule, severity, found.stage.label, acknowledged)
                counts[key] += found.count
        yield from (Row(key, count) for key, count in counts.items())


def _findings(view: View) -> Iterable[Row]:
    counts = {(rule, word): 0 for rule in SIGNATURES for word in SEVERITY_WORDS.values()}
    for told in view.snapshot.findings:
        key = (told.rule, SEVERITY_WORDS.get(told.severity, UNKNOWN_SEVERITY))
        counts[key] = counts.get(key, 0) + told.count
    return [Row(key, count) for key, count in counts.items()]


def _contacts(view: View) -> Iterable[Row]:
    counts = {
        (party.value, stage.label, permitted): 0
        for party in Party
        for stage in Stage
        for permitted in ("no", "yes")
    }
    for told in view.snapshot.contacts:
        counts[told.party.value, told.stage.label, "yes" if told.permitted else "no"] += told.count
    return [Row(key, count) for key, count in counts.items()]


def _kinds(view: View) -> Iterable[Row]:
    counts = Counter(camera.kind for camera in view.snapshot.cameras)
    return [Row((kind.value,), counts[kind]) for kind in Kind]


def _information(view: View) -> Iterable[Row]:
    return [
        Row((label, camera.kind.value, camera.vendor or "", "yes" if camera.listed else "no"), 1)
        for label, cameras in view.cameras.items()
        if label != OTHER
        for camera in cameras
    ]


def _destinations(view: View) -> Iterable[Row]:
    return [
        Row((label,), sum(camera.destinations for camera in cameras))
        for label, cameras in view.cameras.items()
    ]


CAMERA_FAMILIES: tuple[Family, ...] = (
    gauge("egressd_cameras", "Cameras and recorders known.", ("kind",), _kinds),
    gauge(
        "egressd_cameras_missing",
        "Devices of the site file that were never seen.",
        (),
        one(lambda snapshot: snapshot.missing_cameras),
    ),
    gauge(
        "egressd_cameras_unlabelled",
        "Cameras that are counted together under the label value other.",
        (),
        lambda view: [Row((), len(view.cameras.get(OTHER, ())))],
    ),
    counter(
        "egressd_camera_label_overflows_total",
        "Cameras that found no label value of their own free.",
        (),
        lambda view: [Row((), view.label_overflows)],
    ),
    gauge(
        "egressd_camera_info",
        "A camera and what it is; always 1.",
        ("camera", "kind", "vendor", "listed"),
        _information,
    ),
    gauge(
        "egressd_camera_recognised_timestamp_seconds",
        "When the camera was recognised.",
        ("camera",),
        _of_each(lambda cameras: min(camera.recognised for camera in cameras)),
    ),
    gauge(
        "egressd_camera_last_frame_timestamp_seconds",
        "When the last frame of the camera was seen, on site or off.",
        ("camera",),
        _of_each(lambda cameras: max(camera.last_frame for camera in cameras)),
    ),
    counter(
        "egressd_camera_bytes_total",
        "Bytes between the camera and far ends off site, as seen from the camera.",
        ("camera", "direction", "party"),
        _bytes,
    ),
    counter(
        "egressd_camera_packets_total",
        "Frames between the camera and far ends off site, as seen from the camera.",
        ("camera", "direction", "party"),
        _packets,
    ),
    counter(
        "egressd_camera_destinations_total",
        "Different far ends off site that the camera was seen with.",
        ("camera",),
        _destinations,
    ),
    gauge(
        "egressd_camera_last_new_destination_timestamp_seconds",
        "When the camera was last seen with a far end it had never been seen with.",
        ("camera",),
        _of_each(lambda cameras: max(camera.last_new_destination for camera in cameras)),
    ),
    gauge(
        "egressd_findings_open",
        "Findings whose episode goes on.",
        ("camera", "rule", "severity", "stage", "acknowledged"),
        _open_findings,
    ),
    counter(
        "egressd_findings_total",
        "Findings told, each rise of the stage once.",
        ("rule", "severity"),
        _findings,
    ),
    counter(
        "egressd_contacts_total",
        "Contacts of cameras off site that reached a stage.",
        ("party", "stage", "permitted"),
        _contacts,
    ),
)
