"""How sizes and lengths of time are spelled in the site file and on the command line.

`100MB` and `24h`, a whole number and its unit. A bare number is refused: whether 90 means seconds
or minutes is a guess that somebody gets wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Bytes

# Decimal as in `report.words`, and the binary ones of IEC 80000-13 for who means those.
BYTES = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MEASURE = re.compile(r"([0-9]{1,12}) ?([A-Za-z]{1,3})")


def bytes_of(text: str) -> Bytes:
    """Return a size such as 100MB in bytes; ValueError says what to write instead."""
    return _measure(text, BYTES, "no size; write a whole number and its unit, such as 100MB")


def seconds_of(text: str) -> int:
    """Return a length of time such as 24h in seconds; ValueError says what to write instead."""
    return _measure(
        text, SECONDS, "no length of time; write a whole number and s, min, h or d, such as 24h"
    )


def _measure(text: str, units: dict[str, int], complaint: str) -> int:
    found = _MEASURE.fullmatch(text.strip())
    unit = units.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ValueError(f"{text[:60]!r} is {complaint}")
    return int(found[1]) * unit
