"""A batch: frames as rows in columns over one buffer, never as objects.

What every capture source (file, pipe, ring) hands to the data plane. The buffer
is only valid until the next batch is asked for; whoever keeps bytes copies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array
    from collections.abc import Buffer  # type: ignore[attr-defined]

BATCH_FRAMES = 2048


@dataclass(slots=True, frozen=True)
class Source:
    """One interface of one input; `Batch.source` holds its index in the reader's list."""

    file: str  # as given, or "-" for standard input
    interface: str  # name from the capture, or ""
    linktype: int  # LINKTYPE_ value of the pcap file formats
    snaplen: int  # 0 where unlimited or unknown


@dataclass(slots=True)
class Batch:
    """Rows 0..count-1 of six columns; column lengths may exceed `count`."""

    buffer: Buffer  # C-contiguous bytes; read-only is fine
    count: int
    offset: array[int]  # 'q': where the frame starts in `buffer`
    captured: array[int]  # 'I': bytes of it that are there
    wire: array[int]  # 'I': bytes it had on the wire, never below `captured`
    time: array[int]  # 'q': nanoseconds since the epoch
    source: array[int]  # 'H': index into the reader's sources
    number: array[int]  # 'Q': frame number in its file, from 1
