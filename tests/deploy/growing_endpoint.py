"""A live endpoint of egressd whose counters grow, as Prometheus sees it while the daemon works."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from sample_snapshot import full_snapshot, replayed, snapshot_of

from egressd.report.listener import MetricsListener
from egressd.report.metrics import Exposition, Snapshot
from egressd.settings.metrics import MetricsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000_000
STEP_SECONDS = 0.25
MOMENTS = {"taken", "started", "first", "last", "recognised", "last_frame",
           "last_new_destination", "built", "oldest", "last_delivery", "last_seen", "last_success",
           "saved"}  # fmt: skip
STANDING = {"severity", "limit"}

Part = TypeVar("Part")


@contextmanager
def endpoint() -> Iterator[int]:
    """Serve what a replay of the demo found, growing; yield the port."""
    now = time.time_ns()  # noqa: TID251 - Prometheus reckons by the wall clock
    snapshot = _whole(now)
    exposition = Exposition()
    exposition.publish(snapshot)
    done = threading.Event()

    def publish() -> None:
        for round_number in range(2, 10_000):
            if done.wait(STEP_SECONDS):
                return
            taken = time.time_ns()  # noqa: TID251 - as above
            exposition.publish(replace(grown(snapshot, round_number), taken=taken))

    with MetricsListener(MetricsSettings(address="127.0.0.1", port=0), exposition) as listener:
        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            yield listener.port
        finally:
            done.set()
            publisher.join()


def grown(part: Part, times: int) -> Part:
    """Return a reading with every count as many times as large, and every moment as it was."""
    if part is None or isinstance(part, bool | Enum):
        return part
    if isinstance(part, int | float):
        return part * times  # type: ignore[return-value] # a number stays one
    if isinstance(part, dict):
        return {key: grown(value, times) for key, value in part.items()}  # type: ignore[return-value] # a dict stays one
    if isinstance(part, tuple):
        return tuple(grown(value, times) for value in part)  # type: ignore[return-value] # a tuple stays one
    if is_dataclass(part) and not isinstance(part, type):
        changes: dict[str, Any] = {
            field.name: grown(getattr(part, field.name), times)
            for field in fields(part)
            if field.name not in MOMENTS | STANDING
        }
        return replace(part, **changes)
    return part


def _whole(now: int) -> Snapshot:
    """Return what a replay found, with what only a daemon has, moved to now."""
    case = replayed("demo")
    found = snapshot_of(case, now)
    other = full_snapshot()
    moved = now - other.taken
    cameras = tuple(
        replace(
            camera,
            listed=True,
            recognised=now - 90 * SECOND,
            last_frame=now - 2 * SECOND,
            last_new_destination=now - 60 * SECOND,
        )
        for camera in found.cameras
    )
    whole: Snapshot = replace(
        _moved(other, moved),
        cameras=cameras,
        contacts=found.contacts,
        findings=found.findings,
    )
    return whole


def _moved(part: Part, by: int) -> Part:
    """Return a reading with every moment moved, so that it is of today."""
    if isinstance(part, tuple):
        return tuple(_moved(value, by) for value in part)  # type: ignore[return-value] # a tuple stays one
    if is_dataclass(part) and not isinstance(part, type):
        changes: dict[str, Any] = {}
        for field in fields(part):
            value = getattr(part, field.name)
            is_moment = field.name in MOMENTS and isinstance(value, int) and value
            changes[field.name] = value + by if is_moment else _moved(value, by)
        return replace(part, **changes)
    return part
