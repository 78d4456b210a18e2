"""What is measured: which files, of which two sizes, and how often.

A rate is the slope between two sizes of the same file, the smaller being the head
of the larger. Programs that would need minutes get a slice: two smaller heads of
that file. The sizes are chosen so that a full run ends within ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Seconds

SITES = Path(__file__).parent / "sites"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Frames of the two files between which the slope is taken."""

    small: int
    large: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of traffic, as `pcaps.generator bench --kind` writes it."""

    name: str
    shows: str
    sizes: Sizes
    slice: Sizes  # for programs that are slow on it
    site: Path = SITES / "every-host.yaml"
    many_flows: bool = False  # ndpiReader slows down with every flow: it gets the slice
    frames_per_flow: int = 0  # given to the generator where it asks for flows


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the bench."""

    kinds: tuple[Kind, ...]
    rounds: int  # runs of each program on each file
    least_rounds: int  # of a program that has used up its patience; one, three times over
    patience: Seconds  # for one program on one kind
    starts: int  # runs of the start-up measures
    timeout: Seconds = 120.0  # for one run of one program


SITE_MIX = Kind(
    "site-mix",
    "60 cameras streaming to a recorder, PCs browsing, cameras calling home; 1,080 B a frame",
    Sizes(1_000_000, 4_000_000),
    Sizes(50_000, 250_000),
    site=SITES / "sixty-cameras.yaml",
)
NAME_DENSE = Kind(
    "name-dense",
    "every frame is a DNS question, its answer or a ClientHello; 250 B a frame",
    Sizes(100_000, 400_000),
    Sizes(20_000, 100_000),
)
SMALL_FRAMES = Kind(
    "small-frames",
    "60-byte datagrams in up to a million flows; no camera is listed",
    Sizes(1_000_000, 4_000_000),
    Sizes(20_000, 100_000),
    site=SITES / "networks-only.yaml",
    many_flows=True,
)
TEN_THOUSAND_CAMERAS = Kind(
    "ten-thousand-cameras",
    "10,000 streaming cameras; every second frame opens a contact off site",
    Sizes(200_000, 2_000_000),  # 100,000 and 1,000,000 contacts
    Sizes(20_000, 100_000),
    many_flows=True,
    frames_per_flow=2,
)
SCAN = Kind(
    "scan",
    "one camera knocks at as many addresses as there are frames",
    Sizes(200_000, 1_000_000),
    Sizes(20_000, 100_000),
    many_flows=True,
)

FULL = Plan(
    (SITE_MIX, NAME_DENSE, SMALL_FRAMES, TEN_THOUSAND_CAMERAS, SCAN),
    rounds=5,
    least_rounds=3,
    patience=12.0,
    starts=11,
)


def quick_of(plan: Plan) -> Plan:
    """Return the plan with a tenth of the frames and one run of each: a look, not a number."""
    kinds = tuple(
        replace(
            kind,
            sizes=_tenth(kind.sizes),
            slice=Sizes(kind.slice.small // 5, kind.slice.large // 5),
        )
        for kind in plan.kinds
    )
    return replace(plan, kinds=kinds, rounds=1, least_rounds=1, starts=3)


def _tenth(sizes: Sizes) -> Sizes:
    return Sizes(sizes.small // 10, sizes.large // 10)
