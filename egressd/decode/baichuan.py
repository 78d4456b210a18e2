"""Baichuan: Reolink's own protocol (TCP 9000), and the one inside its P2P datagrams.

Header, little-endian: 0 magic, 4 message number, 8 length of the body, 12 channel, 13 stream, 14
message handle, 16 what is encrypted or the status of an answer, 18 class; two classes have 4
bytes more. Sources: Neolink (`dissector/`), and the login in
`neolink__EncryptionProtocol02_login.pcapng`, which agrees. The body is XORed or encrypted and is
not read.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, DecodeError, NeedMore

HEADER = Struct("<4sIIBBHHH")
CLIENT_MAGIC = b"\xf0\xde\xbc\x0a"
DEVICE_MAGIC = b"\xa0\xcb\xed\x0f"
MAGICS = (CLIENT_MAGIC, DEVICE_MAGIC)
MAX_BODY = 1 << 24  # a key frame of 4K video is below it

# Classes of messages: which end sends them was seen in the capture of a login.
LEGACY = 0x6514  # the first login: from a client
UPGRADE = 0x6614  # the answer to it: from a device
REQUESTS = (0x6414, 0x6482)
ANSWER = 0x0000
STATUS = range(200, 600)  # as in HTTP; 200 and 400 seen
CLASSES = (LEGACY, UPGRADE, *REQUESTS, ANSWER)

LOGIN, VIDEO, TALK, KEEPALIVE = 1, 3, 10, 234
NAMES = {1: "login", 2: "logout", 3: "video", 10: "talk", 80: "version", 234: "keepalive"}
ROLES = {VIDEO: Role.MEDIA, KEEPALIVE: Role.KEEPALIVE}

BAD_CLASS = "unknown class"
BAD_LENGTH = "bad length"
REASONS = (BAD_CLASS, BAD_LENGTH)


def read_baichuan(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the message at the head of a TCP stream, or None if it is another protocol."""
    if not head.startswith(MAGICS):
        begun = len(head) < 4 and any(magic.startswith(head) for magic in MAGICS)
        return NEED_MORE if begun else None
    if len(head) < HEADER.size:
        return NEED_MORE
    _, number, length, _, _, _, status, kind = HEADER.unpack_from(head)
    if kind not in CLASSES:
        raise DecodeError("reolink-baichuan", BAD_CLASS)
    if length > MAX_BODY:
        raise DecodeError("reolink-baichuan", BAD_LENGTH)
    answers = kind == UPGRADE or (kind == ANSWER and status in STATUS)
    name = NAMES.get(number, f"message {number}")
    return P2pMessage(
        protocol="reolink-baichuan",
        message=f"{name} answer" if answers else name,
        role=ROLES.get(number, Role.CONTROL),
        confidence=Confidence.HIGH,
    )
