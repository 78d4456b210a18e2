"""What was wrong with an input, and what the capture itself says it lost.

Nothing here decides: a damaged capture is read as far as it is sound, and what was
wrong is told once, where it stands, with what was done about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.capture.batch import Source
    from egressd.model import Bytes

MAX_ENTRIES = 100  # of one file
MAX_SOURCES = 1 << 16  # Batch.source has 16 bits


@dataclass(frozen=True, slots=True)
class Damage:
    """Something wrong with one input."""

    file: str
    offset: Bytes  # in the file; of a compressed file, in what it decompresses to
    reason: str  # what was wrong and what was done
    lost: bool = True  # False: every frame was delivered all the same
    odd: bool = False  # True: unusual, and nothing is wrong with it


@dataclass(slots=True)
class Drops:
    """The latest statistics of one interface, as a pcapng file tells them; None = not told."""

    file: str
    interface: str
    received: int | None = None
    if_drop: int | None = None
    filter_accept: int | None = None
    os_drop: int | None = None
    delivered: int | None = None


class DamageLog:
    """The damage of one file, up to a number of entries."""

    def __init__(self, file: str, damage: list[Damage]) -> None:
        self.file = file
        self.damage = damage
        self.entries = 0
        self.last_offset = 0

    def add(self, offset: Bytes, reason: str, *, lost: bool = True, odd: bool = False) -> None:
        """Note one thing; beyond MAX_ENTRIES it is only counted."""
        self.entries += 1
        self.last_offset = offset
        if self.entries <= MAX_ENTRIES:
            self.damage.append(Damage(self.file, offset, reason, lost, odd))

    def close(self) -> None:
        """Say how many entries were left out."""
        more = self.entries - MAX_ENTRIES
        if more > 0:
            self.damage.append(Damage(self.file, self.last_offset, f"and {more} more like these"))
        self.entries = 0


class SourceList:
    """The reader's sources; grows while files are read."""

    def __init__(self) -> None:
        self.sources: list[Source] = []

    def add(self, source: Source) -> int:
        """Return the index of the source, or -1 when there is no room for it."""
        if len(self.sources) == MAX_SOURCES:
            return -1
        self.sources.append(source)
        return len(self.sources) - 1
