"""Runs egressd with a recorder in its ring: what a read gives is written down, then looked at.

    python ringrecorder.py FILE watch INTERFACE ...

A second socket beside the daemon's would not do: of many frames in the lab it had times that
differed from the first one's by 1 to 3 microseconds.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from egressd.capture.ring import Ring
from egressd.cli import main

if TYPE_CHECKING:
    from egressd.capture.batch import Batch
    from egressd.model import Seconds

# Blocks of pcapng (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3), little-endian.
SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
INTERFACE, PACKET = 1, 6
IF_NAME, IF_TSRESOL = 2, 9
ETHERNET, SNAPLEN = 1, 262_144


def interface_of(name: str) -> bytes:
    """Return the description of an interface whose times are nanoseconds."""
    return _block(
        INTERFACE,
        struct.pack("<HHI", ETHERNET, 0, SNAPLEN)
        + struct.pack("<HH", IF_NAME, len(name))
        + _padded(name.encode())
        + struct.pack("<HHBxxxI", IF_TSRESOL, 1, 9, 0),
    )


def packets_of(batch: Batch) -> bytes:
    """Return the frames of a batch."""
    view = memoryview(batch.buffer)
    blocks = []
    for row in range(batch.count):
        at, captured = batch.offset[row], batch.captured[row]
        high, low = divmod(batch.time[row], 1 << 32)
        head = struct.pack("<IIIII", 0, high, low, captured, batch.wire[row])
        blocks.append(_block(PACKET, head + _padded(bytes(view[at : at + captured]))))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def record_into(out: BinaryIO) -> None:
    """Have all rings of this process write down what they give."""
    read = Ring.read

    def read_and_record(ring: Ring, timeout_seconds: Seconds) -> Batch | None:
        batch = read(ring, timeout_seconds)
        if batch is not None:
            out.write(packets_of(batch))
            out.flush()
        return batch

    Ring.read = read_and_record  # type: ignore[method-assign,assignment]


def run(file: Path, arguments: list[str]) -> None:
    """Run the program, recording; the file is open before privileges go."""
    with file.open("wb") as out:
        out.write(SECTION + interface_of(arguments[1]))
        record_into(out)
        sys.argv = ["egressd", *arguments]
        main()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
