"""How much evidence is kept, where and for how long: what the site file says under `evidence`.

Plain values, so that configuration can make them and the store be given them without either knowing
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Bytes

DEFAULT_DAYS = 30
DEFAULT_SIZE = 1_000_000_000
DEFAULT_FILES = 20_000
DEFAULT_BUFFER = 64_000_000


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What becomes of the frames that prove findings."""

    enabled: bool = True
    directory: str | None = None  # None: `evidence` in the state folder
    days: int = DEFAULT_DAYS
    size: Bytes = DEFAULT_SIZE
    files: int = DEFAULT_FILES
    snaplen: Bytes = 0  # of each frame; 0: all of it
    buffer: Bytes = DEFAULT_BUFFER  # of frames that may yet have to prove something
