"""RTP (RFC 3550): audio or video, recognised by how its packets count.

The header has no magic number, so that one packet proves nothing. A run of
packets of one source whose sequence numbers go up by one does: among random
datagrams five such in a row come about once in 2**80.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

HEADER = Struct(">BBHII")  # flags, marker and type, sequence, timestamp, source (section 5.1)
VERSION = 2
RTCP_TYPES = range(72, 96)  # what RTCP packet types look like in the type field (RFC 5761 4)
RUN = 4  # packets that follow each other


@dataclass(slots=True)
class RtpHeader:
    """The fixed header."""

    payload_type: int
    sequence: int
    timestamp: int
    source: int


@dataclass(slots=True)
class RtpTrail:
    """How far each side's packets have counted on."""

    last: list[RtpHeader | None] = field(default_factory=lambda: [None, None])
    run: list[int] = field(default_factory=lambda: [0, 0])

    def follow(self, side: int, header: RtpHeader) -> bool:
        """Take a packet; return whether its side is known to send RTP."""
        last = self.last[side]
        self.last[side] = header
        if last is None or last.source != header.source:
            self.run[side] = 0
            return False
        step = (header.sequence - last.sequence) & 0xFFFF
        if step == 1 and last.payload_type == header.payload_type:
            self.run[side] += 1
        elif step != 0:
            self.run[side] = 0
        return self.run[side] >= RUN


def read_rtp_header(payload: bytes) -> RtpHeader | None:
    """Return the header of what may be an RTP packet, or None."""
    if len(payload) < HEADER.size:
        return None
    flags, kind, sequence, timestamp, source = HEADER.unpack_from(payload)
    if flags >> 6 != VERSION or kind & 0x7F in RTCP_TYPES or not source:
        return None
    if len(payload) < HEADER.size + 4 * (flags & 0x0F):
        return None
    return RtpHeader(kind & 0x7F, sequence, timestamp, source)
