"""JT/T 1078: video of vehicles in China, sent to the platform that supervises them (TCP, UDP).

Header: 0 "01cd", 4 RTP's flags (0x81), 5 marker and type, 6 sequence, 8 number of the SIM card in
BCD (6 bytes, in the edition of 2019 also 10), then channel, kind of data and part, and for audio
and video a time and the length of the body. Source: analysts' notes on the published standard; no
capture was at hand.
"""

from __future__ import annotations

from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, NeedMore

MAGIC = b"01cd"
VERSION_2 = 0x80
CARD_AT = 8
PADDING = bytes(4)  # a number of 10 bytes begins with zeros: telephones have 11 to 13 digits
KINDS = ("video", "video", "video", "audio", "data")  # I, P and B frames, sound, transparent
PARTS = range(4)  # whole, first, last, middle
# From the byte after the kind to the length: video has a time and two intervals, audio a time.
LENGTH_AFTER = {"video": 12, "audio": 8, "data": 0}
MAX_BODY = 950  # section 5.5.3
SHORTEST = 30


def read_jt1078(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the packet a payload or stream begins with, or None if it is another protocol."""
    if not head.startswith(MAGIC):
        return NEED_MORE if len(head) < len(MAGIC) and MAGIC.startswith(head) else None
    if len(head) < SHORTEST:
        return NEED_MORE
    if head[4] & 0xC0 != VERSION_2:
        return None
    for size in (10, 6) if head.startswith(PADDING, CARD_AT) else (6,):
        kind = _kind_behind(head, size)
        if kind is not None:
            card = head[CARD_AT : CARD_AT + size].hex()
            role = Role.CONTROL if kind == "data" else Role.MEDIA
            device = card.lstrip("0") or None
            return P2pMessage("jt1078", "stream", role, Confidence.HIGH, device, detail=kind)
    return None


def _kind_behind(head: bytes, size: int) -> str | None:
    """Return what a packet holds if its card number has that many bytes, or None if it has not."""
    if not head[CARD_AT : CARD_AT + size].hex().isdecimal():
        return None
    at = CARD_AT + size + 1  # behind the channel
    data, part = head[at] >> 4, head[at] & 0x0F
    if data >= len(KINDS) or part not in PARTS:
        return None
    kind = KINDS[data]
    at += 1 + LENGTH_AFTER[kind]
    length = head[at : at + 2]
    return kind if len(length) == 2 and int.from_bytes(length, "big") <= MAX_BODY else None
