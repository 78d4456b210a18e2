"""The arithmetic: medians, slopes and ratios. Pure functions of what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from egressd.model import Bytes, Seconds  # noqa: TC001 - pydantic resolves them


@dataclass(frozen=True, slots=True)
class Runs:
    """All runs of one program on one file."""

    frames: int
    frame_bytes: Bytes
    seconds: tuple[Seconds, ...]
    cpu_seconds: tuple[Seconds, ...]
    peaks: tuple[Bytes, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One program on one kind of traffic: two files, and what follows from them."""

    kind: str
    program: str
    small: Runs
    large: Runs
    packets_per_second: float | None  # None: the larger file did not take longer
    bytes_per_second: float | None
    cpu_packets_per_second: float | None  # the slope over CPU time instead of wall time
    start: Seconds | None  # what the line through both points says of an empty file
    spread: float  # slowest less fastest run of the large file, by the median
    peak: Bytes | None  # on the large file


def measurement_of(kind: str, program: str, small: Runs, large: Runs) -> Measurement:
    """Return what two series of runs say."""
    rate = slope_of(small.frames, median(small.seconds), large.frames, median(large.seconds))
    cpu_rate = None
    if small.cpu_seconds and large.cpu_seconds:
        cpu_rate = slope_of(
            small.frames, median(small.cpu_seconds), large.frames, median(large.cpu_seconds)
        )
    average = (large.frame_bytes - small.frame_bytes) / (large.frames - small.frames)
    return Measurement(
        kind=kind,
        program=program,
        small=small,
        large=large,
        packets_per_second=rate,
        bytes_per_second=None if rate is None else rate * average,
        cpu_packets_per_second=cpu_rate,
        start=None if rate is None else median(small.seconds) - small.frames / rate,
        spread=(max(large.seconds) - min(large.seconds)) / median(large.seconds),
        peak=round(median(large.peaks)) if large.peaks else None,
    )


def slope_of(
    frames: int, seconds: Seconds, more_frames: int, more_seconds: Seconds
) -> float | None:
    """Return frames a second between two files, None if the larger did not take longer."""
    if more_frames <= frames:
        raise ValueError("the second file has to be the larger one")
    if more_seconds <= seconds:
        return None
    return (more_frames - frames) / (more_seconds - seconds)


def ratio_of(ours: Measurement | None, other: Measurement | None) -> float | None:
    """Return how many times as fast ours is, None if either has no rate."""
    if ours is None or other is None:
        return None
    if ours.packets_per_second is None or other.packets_per_second is None:
        return None
    return ours.packets_per_second / other.packets_per_second
