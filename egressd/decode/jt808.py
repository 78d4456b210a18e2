"""JT/T 808: terminals in vehicles of China sign on at their platform (TCP, UDP).

A message stands between two 0x7E; 0x7D 02 and 0x7D 01 inside stand for 0x7E and 0x7D. Header: 0
message number, 2 properties (the length in the lower ten bits), 4 telephone number in BCD (6
bytes; the edition of 2019 has a version and 10 bytes), then a sequence; the last byte is the XOR of
all. Known from the published standard by memory; the checksum makes up for that.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, NeedMore

FLAG = 0x7E
LONGEST = 2100  # 1,023 bytes of body and the header, all of them escaped
SHORTEST = 13  # header of 12, checksum
LENGTH_BITS = 0x03FF
PARTED = 0x2000  # four bytes more in the header
VERSIONED = 0x4000
MESSAGES = {
    0x0001: ("terminal answer", Role.CONTROL),
    0x0002: ("heartbeat", Role.KEEPALIVE),
    0x0100: ("register", Role.REGISTRATION),
    0x0102: ("authenticate", Role.REGISTRATION),
    0x0200: ("location", Role.CONTROL),
    0x0704: ("locations", Role.CONTROL),
    0x8001: ("platform answer", Role.CONTROL),
    0x8100: ("register answer", Role.REGISTRATION),
    0x9101: ("live video request", Role.MEDIA),
    0x9201: ("playback request", Role.MEDIA),
}


def read_jt808(head: bytes, *, final: bool = True) -> P2pMessage | NeedMore | None:
    """Return the message a payload begins with, or None; `final`: no more bytes will come."""
    # No message number has a byte that is escaped.
    number = int.from_bytes(head[1:3], "big")
    if head[:1] != b"\x7e" or (len(head) > 2 and number not in MESSAGES):
        return None
    end = head.find(b"\x7e", 1, LONGEST)
    if end < 0:
        return NEED_MORE if not final and len(head) < LONGEST else None
    message = head[1:end].replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
    if len(message) < SHORTEST or reduce(xor, message):
        return None
    properties = int.from_bytes(message[2:4], "big")
    start = 5 if properties & VERSIONED else 4
    stop = start + (10 if properties & VERSIONED else 6)
    header = stop + (6 if properties & PARTED else 2)
    phone = message[start:stop].hex()
    if header + (properties & LENGTH_BITS) + 1 != len(message) or not phone.isdecimal():
        return None
    name, role = MESSAGES[number]
    return P2pMessage("jt808", name, role, Confidence.HIGH, phone.lstrip("0") or None)
