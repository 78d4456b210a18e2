"""Which value of the label `camera` stands for which camera, and for how many there is room.

Anyone on the site's network can look like a hundred thousand cameras, and every
label value is a series that Prometheus keeps. So the number of values is fixed for
the life of the process: who comes too late is counted together under `other`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.report.metrics.family import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.report.metrics.snapshot import CameraReading

MAXIMUM_CAMERAS = 500
MAXIMUM_OVERFLOWED = 65_536  # ids remembered so that none counts twice


@dataclass(frozen=True, slots=True)
class _Label:
    text: str
    name: str | None  # of the camera when it got the label
    listed: bool


class CameraLabels:
    """Gives each camera a label, first come first served, and keeps to it.

    `reserved` of the places are kept for cameras of the site file, so that strangers cannot
    take them before those are seen.
    """

    def __init__(self, maximum: int = MAXIMUM_CAMERAS, reserved: int = 0) -> None:
        self._maximum = maximum
        self._reserved = min(reserved, maximum)
        self._labels: dict[str, _Label] = {}
        self._overflowed: set[str] = set()
        self._strangers = 0  # labels of cameras that the site file does not list
        self.overflows = 0

    def assign(self, cameras: Iterable[CameraReading]) -> dict[str, str]:
        """Return the label of every camera by its id."""
        ordered = sorted(cameras, key=lambda camera: (camera.recognised, camera.id))
        return {camera.id: self._label_of(camera) for camera in ordered}

    def _label_of(self, camera: CameraReading) -> str:
        label = self._labels.get(camera.id)
        if label is not None and label.name == camera.name:
            return label.text
        if label is not None:  # renamed in the site file
            self._forget(camera.id)
        if not self._has_room(camera):
            self._overflow(camera.id)
            return OTHER
        text = self._free_text(camera)
        self._labels[camera.id] = _Label(text, camera.name, camera.listed)
        self._strangers += not camera.listed
        return text

    def _has_room(self, camera: CameraReading) -> bool:
        if len(self._labels) >= self._maximum:
            return False
        return camera.listed or self._strangers < self._maximum - self._reserved

    def _free_text(self, camera: CameraReading) -> str:
        """Return the name, or the id where cameras share a name (those of a named network)."""
        taken = {label.text for label in self._labels.values()}
        wanted = camera.name or camera.id
        return camera.id if wanted in taken or wanted == OTHER else wanted

    def _forget(self, camera_id: str) -> None:
        label = self._labels.pop(camera_id)
        self._strangers -= not label.listed

    def _overflow(self, camera_id: str) -> None:
        if camera_id in self._overflowed or len(self._overflowed) >= MAXIMUM_OVERFLOWED:
            return
        self._overflowed.add(camera_id)
        self.overflows += 1
