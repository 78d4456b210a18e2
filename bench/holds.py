"""The numbers we hold ourselves to, each with what was measured: held, not held, or not known.

A hold that this bench does not measure is listed all the same, with the place
where it is measured, so that the table never looks better than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING

from bench import programs
from bench.plan import NAME_DENSE, SITE_MIX, TEN_THOUSAND_CAMERAS
from bench.rates import ratio_of
from bench.run import SMALL_REPLAY, VERSION

if TYPE_CHECKING:
    from bench.results import Results
    from egressd.model import Seconds

MEGABYTE = 1_000_000
OURS = programs.EGRESSD_EVE  # all features on, EVE lines included: the slower of the two


class Kept(Enum):
    """Whether a number we hold ourselves to was reached."""

    HELD = "held"
    NOT_HELD = "not held"
    NOT_MEASURED = "not measured"  # by this bench, or not on this machine
    UNDECIDED = "undecided"  # what was measured is harder than what is held, and was not reached


@dataclass(frozen=True, slots=True)
class Judged:
    """One line of the table."""

    what: str
    hold: str
    measured: str
    kept: Kept


def judge_holds(results: Results) -> list[Judged]:
    """Return every hold with its verdict."""
    return [
        _ratio(results, SITE_MIX.name, programs.NDPI, 4),
        _site_mix_rate(results, 3_000_000),
        _ratio(results, NAME_DENSE.name, programs.NDPI, 2),
        _ratio(results, SITE_MIX.name, programs.NFSTREAM, 25),
        _ratio(results, SITE_MIX.name, programs.DPKT, 60),
        _ratio(results, SITE_MIX.name, programs.TSHARK_FIELDS, 150),
        _memory(results, "10,000 cameras and 1 M flows", 400, large=True),
        _small_memory(results),
        _start(results, VERSION, 0.3),
        _start(results, SMALL_REPLAY, 0.8),
        *NOT_MEASURED_HERE,
    ]


NOT_MEASURED_HERE = (
    Judged("live, tcpreplay at full speed", "0 drops, <= 25 % of a core", "", Kept.NOT_MEASURED),
    Judged("first frame to EVE line on disk", "p99 <= 250 ms", "", Kept.NOT_MEASURED),
    Judged("memory over a soak", "flat", "", Kept.NOT_MEASURED),
    Judged("names found, vs tshark", ">= 99.5 %", "not a speed: see the tests", Kept.NOT_MEASURED),
    Judged(
        "bytes and packets per conversation, vs tshark",
        "equal",
        "not a speed: see the tests",
        Kept.NOT_MEASURED,
    ),
)


def _ratio(results: Results, kind: str, other: str, least: float) -> Judged:
    what, hold = f"replay, {kind}, vs {other}", f">= {least:g}x"
    ratio = ratio_of(results.find(kind, OURS), results.find(kind, other))
    if ratio is None:
        return Judged(what, hold, "", Kept.NOT_MEASURED)
    return Judged(what, hold, f"{ratio:.1f}x", _kept(ratio >= least))


def _site_mix_rate(results: Results, least: float) -> Judged:
    what, hold = "replay, site-mix", f">= {least / 1e6:g} M packets/s"
    found = results.find(SITE_MIX.name, OURS)
    if found is None or found.packets_per_second is None:
        return Judged(what, hold, "", Kept.NOT_MEASURED)
    rate = found.packets_per_second
    return Judged(what, hold, f"{rate / 1e6:.2f} M packets/s", _kept(rate >= least))


def _memory(results: Results, what: str, most: int, *, large: bool) -> Judged:
    """Judge the memory on one of the two files of ten thousand cameras."""
    found = [
        results.find(TEN_THOUSAND_CAMERAS.name, name)
        for name in (programs.EGRESSD, programs.EGRESSD_EVE)
    ]
    peaks = [
        median(runs.peaks)
        for measurement in found
        if measurement is not None
        if (runs := measurement.large if large else measurement.small).peaks
    ]
    hold = f"<= {most} MB"
    full = not results.quick  # a quick run's files are a tenth of what the hold is about
    if not peaks or not full:
        return Judged(f"memory, {what}", hold, "", Kept.NOT_MEASURED)
    peak = max(peaks) / MEGABYTE
    return Judged(f"memory, {what}", hold, f"{peak:.0f} MB", _kept(peak <= most))


def _small_memory(results: Results) -> Judged:
    """Judge the smaller memory hold on a file with ten times its cameras."""
    found = _memory(results, "1,000 cameras and 100 k flows", 120, large=False)
    if found.kept is Kept.NOT_MEASURED:
        return found
    kept = Kept.HELD if found.kept is Kept.HELD else Kept.UNDECIDED
    return Judged(found.what, found.hold, f"{found.measured} at 10,000 cameras", kept)


def _start(results: Results, what: str, most: Seconds) -> Judged:
    hold = f"<= {most:g} s"
    for start in results.starts:
        if start.what == what:
            taken = median(start.seconds)
            return Judged(what, hold, f"{taken:.2f} s", _kept(taken <= most))
    return Judged(what, hold, "", Kept.NOT_MEASURED)


def _kept(reached: bool) -> Kept:  # noqa: FBT001 - the one thing it is about
    return Kept.HELD if reached else Kept.NOT_HELD
