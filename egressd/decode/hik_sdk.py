"""HCNetSDK: the login of a program at a Hikvision device (TCP 8000).

0 length of the whole message, big-endian, 4 command and three zero bytes. The layout is known from
memory alone: no stored source and no capture confirm it, so that the confidence is low and only a
whole message of a plausible size counts. What the device answers is not read.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, NeedMore

HEADER = Struct(">I4s")
LOGIN = b"\x5a\0\0\0"
SIZES = range(32, 1025)


def read_hik_sdk(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the login at the head of a TCP stream, or None if it is another protocol."""
    if len(head) < HEADER.size:
        return NEED_MORE if not any(head[:2]) and LOGIN.startswith(head[4:]) else None
    length, command = HEADER.unpack_from(head)
    if command != LOGIN or length not in SIZES or length < len(head):
        return None
    if length > len(head):
        return NEED_MORE
    return P2pMessage("hik-sdk", "login", Role.CONTROL, Confidence.LOW)
