"""What the engine counts, as those read it who show it: metrics, a status line.

Plain values of one moment; nothing in them changes any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.model import Camera, DatabaseInfo, Finding, Nanoseconds
    from egressd.state import CountRow, TotalRow


@dataclass(frozen=True, slots=True)
class CameraTimes:
    """What is known of a camera's time; zero where it is not."""

    recognised: Nanoseconds = 0
    destinations: int = 0  # different far ends so far
    last_new_destination: Nanoseconds = 0
    last_frame: Nanoseconds = 0  # that it sent in this run, on site or off


@dataclass(frozen=True, slots=True)
class TableFill:
    """A table of the engine: how full it is, how large, and what it lost for want of room."""

    name: str
    entries: int
    limit: int
    evictions: int = 0


@dataclass(slots=True)
class EngineReading:
    """Everything at one moment."""

    cameras: list[Camera] = field(default_factory=list)
    times: dict[str, CameraTimes] = field(default_factory=dict)  # by the camera's id
    totals: list[TotalRow] = field(default_factory=list)
    counts: list[CountRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)  # whose episodes may go on
    tables: list[TableFill] = field(default_factory=list)
    databases: list[DatabaseInfo] = field(default_factory=list)
    missing: int = 0  # listed in the site file, never seen
