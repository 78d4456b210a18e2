"""PPPP over TCP: its direct form on a LAN, and the way out through port 443 that is not TLS.

In front of a message stand eight bytes: 0 length of the message, big-endian, 2 "h", then two
random bytes and a checksum. Sources: go2rtc (`pkg/xiaomi/miss/cs2`) for the form in clear, and an
overview of the protocol for the one on port 443, whose messages are obfuscated with a key from
the header. One analysis has a header of seven bytes, so that both are tried. Of an obfuscated
message nothing can be checked but its size: low confidence, and only sizes that PPPP has.
"""

from __future__ import annotations

from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.decode.pppp import read_pppp
from egressd.model import NEED_MORE, NeedMore

MARK = 0x68
HEADERS = (8, 7)
MAGIC = 0xF1
LONGEST = 0x0600  # a piece of video in a DRW message
# HELLO; 16, 20, 24 and 36 bytes and header; DEV_LGN, DEV_LGN_CRC, DEV_LGN_DSK, DEV_LGN_KEY
OBFUSCATED_SIZES = frozenset({4, 20, 24, 28, 40, 44, 48, 72, 108})


def read_pppp_tcp(head: bytes, *, final: bool = True) -> P2pMessage | NeedMore | None:
    """Return the message at the head of a TCP stream, or None if it is another protocol."""
    if len(head) < 3:
        return None if final else NEED_MORE
    length = int.from_bytes(head[:2], "big")
    if head[2] != MARK or not 4 <= length <= LONGEST:
        return None
    for size in HEADERS:
        if head[size : size + 1] == bytes([MAGIC]):
            if len(head) < size + length and not final:
                return NEED_MORE
            message = read_pppp(head[size : size + length])
            if message is not None:
                # The header has said the same length twice.
                message.confidence = Confidence.HIGH
                return message
    if length in OBFUSCATED_SIZES and len(head) - length in HEADERS:
        return P2pMessage("pppp-obfuscated", "TCP frame", Role.UNKNOWN, Confidence.LOW)
    return None
