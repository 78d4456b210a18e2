"""Kalay, the P2P protocol of ThroughTek (TUTK, IOTC): looked up by a UID of twenty characters.

Every datagram is scrambled with one text that stands in all apps and cameras, so that anyone can
read it: sixteen bytes at a time are rotated, mixed and masked. Sixteen bits of what comes out are
the same in each message, and they depend on sixteen bits that go in: these are looked at first.
From published code of the app's side; how a camera registers is not published, so that messages
of its kind are told as registrations with less confidence. Not met in a capture yet.
"""

from __future__ import annotations

import re
from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Part, Role, peer_at

WORDS = Struct("<4I")
WORD = Struct("<I")
MASK = b"Charlie is the designer of P2P!!"[:16]
ORDER = (11, 9, 8, 15, 13, 10, 12, 14, 2, 1, 5, 0, 6, 4, 7, 3)
FIRST_TURNS = (3, 7, 11, 15)
LAST_TURNS = (1, 5, 9, 13)

BLOCK = 16
HEADER_SIZE = 16
SCRAMBLED_BLOCKS = 4  # all that is read here; of media packets no more is scrambled
# The bits that become `04 02`, in the third word and in byte 14 (worked out by flipping each).
TELLING_BITS = 0xE01FE00F
TELLING_VALUE = 0x2008200D

# magic 2, version, stage, size of what follows LE16, channel sequence 2, type 3, ...
MAGIC = b"\x04\x02"
VERSIONS = range(0x10, 0x20)  # 0x12, 0x16, 0x19 and 0x1A were seen
CONNECTING = 0x02
UID_AT = 16
UID = re.compile(rb"[A-Z0-9]{20}")
PEER_AT = 40

KINDS = {
    b"\x01\x06\x21": ("search", Role.LOOKUP),
    b"\x02\x06\x12": ("search answer", Role.LOOKUP),
    b"\x07\x10\x18": ("public address", Role.LOOKUP),
    b"\x03\x02\x34": ("lookup", Role.LOOKUP),
    b"\x01\x03\x43": ("lookup answer", Role.LOOKUP),
    b"\x01\x04\x33": ("remote request", Role.RELAY),
    b"\x02\x04\x33": ("remote acknowledgement", Role.RELAY),
    b"\x04\x04\x33": ("remote ready", Role.RELAY),
    b"\x28\x04\x12": ("ping", Role.KEEPALIVE),
    b"\x27\x04\x21": ("pong", Role.KEEPALIVE),
    b"\x07\x04\x21": ("data to camera", Role.MEDIA),
    b"\x08\x04\x12": ("data from camera", Role.MEDIA),
}
LOOKUP_ANSWER = b"\x01\x03\x43"
FROM_CLIENT = 0x21


def read_kalay(payload: bytes) -> P2pMessage | None:
    """Return the Kalay message in a UDP payload, or None if it is another protocol."""
    if len(payload) < HEADER_SIZE:
        return None
    if WORD.unpack_from(payload, 8)[0] & TELLING_BITS != TELLING_VALUE or payload[14] & 1:
        return None
    header = descramble(payload[:BLOCK])
    if not header.startswith(MAGIC) or header[2] not in VERSIONS:
        return None
    if int.from_bytes(header[4:6], "little") != len(payload) - HEADER_SIZE:
        return None
    kind = header[8:11]
    name, role = KINDS.get(kind, (f"type {kind.hex()}", Role.UNKNOWN))
    message = P2pMessage("kalay", name, role, Confidence.HIGH)
    if header[3] == CONNECTING:
        _read_opening(message, kind, payload)
    elif kind not in KINDS:
        message.confidence = Confidence.MEDIUM
    return message


def _read_opening(message: P2pMessage, kind: bytes, payload: bytes) -> None:
    """Read what stands in the messages that set a session up."""
    whole = min(len(payload) // BLOCK, SCRAMBLED_BLOCKS)
    clear = b"".join(descramble(payload[at * BLOCK :][:BLOCK]) for at in range(whole))
    uid = clear[UID_AT : UID_AT + 20]
    if UID.fullmatch(uid):
        message.device_id = uid.decode("ascii")
    if kind == LOOKUP_ANSWER and len(clear) >= PEER_AT + 4:
        port = int.from_bytes(clear[PEER_AT - 2 : PEER_AT], "big")
        peer = peer_at(clear[PEER_AT : PEER_AT + 4], port, Part.PEER)
        message.peers = () if peer is None else (peer,)
    if kind not in KINDS:
        message.confidence = Confidence.MEDIUM
        if message.device_id is not None and kind[2] != FROM_CLIENT:
            message.role = Role.REGISTRATION


def descramble(block: bytes) -> bytes:
    """Return sixteen scrambled bytes in clear."""
    turned = WORDS.pack(*map(_rotated, WORDS.unpack(block), FIRST_TURNS))
    mixed = bytes(turned[place] ^ mask for place, mask in zip(ORDER, MASK, strict=True))
    return WORDS.pack(*map(_rotated, WORDS.unpack(mixed), LAST_TURNS))


def _rotated(word: int, turns: int) -> int:
    return (word << turns | word >> 32 - turns) & 0xFFFFFFFF
