"""One examination: an interface or a capture in, facts and complaints out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.interfaces import SYSFS, load_names
from egressd.capture.pcapfile import open_captures
from egressd.capture.ring import Ring
from egressd.config import default_site, load_site
from egressd.doctor.checks import complaints_of, is_usable
from egressd.doctor.measure import Measurement
from egressd.model import CaptureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.doctor.facts import Complaint, Facts
    from egressd.model import Seconds

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Examination:
    """What was measured, and what is wrong."""

    facts: Facts
    complaints: list[Complaint]

    @property
    def usable(self) -> bool:
        """Whether the mirror can prove anything."""
        return is_usable(self.complaints)


def examine(
    target: str, *, seconds: Seconds, site: Path | None = None, rules: Sequence[Path] = ()
) -> Examination:
    """Watch an interface for so long, or read a capture; CaptureError if it is neither."""
    services = load_services(tuple(rules))
    described = default_site() if site is None else load_site(site, services.vendors)
    measurement = Measurement(described, services, Geo(()))
    now = time.time_ns()  # noqa: TID251 - frames of the future are told by the clock
    if is_interface(target):
        with Ring([target]) as ring:
            facts = measurement.interface(target, ring, seconds, now)
    else:
        if target != STANDARD_INPUT and not Path(target).exists():
            there = ", ".join(load_names())
            raise CaptureError(
                f"{target}: neither an interface nor a file; the interfaces are {there}"
            )
        with open_captures([target]) as reader:
            facts = measurement.capture(target, reader, now)
    return Examination(facts, complaints_of(facts))


def is_interface(target: str, sysfs: Path = SYSFS) -> bool:
    """Tell whether a name is an interface's; a file of the same name is given as ./NAME."""
    return "/" not in target and target not in ("", ".", "..") and (sysfs / target).is_dir()
