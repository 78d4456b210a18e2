"""Which canaries are expected: what the site file says under `canary`.

Plain values, so that configuration can make them and the watch be given them without either knowing
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Seconds

DEFAULT_PORT = 9  # discard (RFC 863): what is sent there is meant to be thrown away
DEFAULT_INTERVAL: Seconds = 60
DEFAULT_MISSES = 1
DEFAULT_CLOCK_TOLERANCE: Seconds = 300


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """What is expected, and how late it may be."""

    key_file: str
    interval_seconds: Seconds = DEFAULT_INTERVAL
    misses: int = DEFAULT_MISSES  # intervals without a datagram before the monitor counts as blind
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()  # each must be heard; where none is named, any will do
    clock_tolerance_seconds: Seconds = DEFAULT_CLOCK_TOLERANCE
