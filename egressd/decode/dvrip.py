"""Dahua's DVRIP (TCP 37777): the client's login, the device's answer, and JSON calls.

Header, 32 bytes, little-endian: 0 kind, 4 length of the body; of JSON (0xF6) 8 number, 16 the
length again, 24 session; of a login 24 five, 30 A1 AA. A device answers the first request with
`Realm:Login to SERIAL`. Sources: mcw0's proofs of concept and DahuaConsole, which agree. Other
kinds (0xA1, 0xA4, 0xBC, ...) exist and are not told apart from other binary protocols. Xiongmai's
protocol of the same name is another one.
"""

from __future__ import annotations

import re
from struct import Struct

from egressd.decode.fieldtext import json_text
from egressd.decode.http import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, NeedMore

HEADER = 32
LENGTHS = Struct("<4sI8sI")  # kind, length, number and zero, length again
MAX_BODY = 1 << 20
LOGIN_END = b"\xa1\xaa"
# 00 is the login of old firmware (3DES), 01 asks for the realm, 05 logs in.
REQUESTS = {0x00: "LOGIN_3DES", 0x01: "REALM", 0x05: "LOGIN"}
ANSWERS = (b"\xb0\0\0\x58", b"\xb0\1\0\x58")
JSON_KIND = b"\xf6\0\0\0"
FIRST_BYTES = b"\xa0\xb0\xf6"
REALM = re.compile(rb"Realm:(?:Login to ([0-9A-Za-z]{6,40}))?")
DIALECT = "dahua"


def read_dvrip(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the message at the head of a TCP stream, or None if it is another protocol."""
    if head[:1] not in (b"\xa0", b"\xb0", b"\xf6"):
        return None
    if len(head) < HEADER:
        return NEED_MORE if len(head) < 4 or _opens(head[:4]) else None
    if head[0] == 0xA0:
        return _request(head)
    if head[0] == 0xB0:
        return _answer(head)
    return _json(head)


def _opens(kind: bytes) -> bool:
    return kind == JSON_KIND or kind in ANSWERS or (kind[0] == 0xA0 and not any(kind[2:]))


def _request(head: bytes) -> P2pMessage | None:
    name = REQUESTS.get(head[1])
    # The last eight bytes of both published logins; that of 3DES holds the name before them.
    if name is None or any(head[2:4]) or head[24] != 5 or head[30:32] != LOGIN_END:
        return None
    return P2pMessage("dvrip", name, Role.CONTROL, Confidence.HIGH, detail=DIALECT)


def _answer(head: bytes) -> P2pMessage | None:
    if not head.startswith(ANSWERS):
        return None
    length = LENGTHS.unpack_from(head)[1]
    body = head[HEADER:]
    if length > MAX_BODY or len(body) > length:
        return None
    realm = REALM.match(body)
    serial = text_of(realm[1]) if realm and realm[1] else None
    confidence = Confidence.HIGH if realm else Confidence.MEDIUM
    name = "REALM answer" if realm else "answer"
    return P2pMessage("dvrip", name, Role.CONTROL, confidence, serial, detail=DIALECT)


def _json(head: bytes) -> P2pMessage | None:
    kind, length, _, again = LENGTHS.unpack_from(head)
    body = head[HEADER:]
    if kind != JSON_KIND or length != again or not 0 < length <= MAX_BODY:
        return None
    if body and body.lstrip()[:1] != b"{":
        return None
    method = json_text(body, b"method")
    name = method or ("result" if body else "JSON")
    return P2pMessage(
        protocol="dvrip",
        message=name,
        role=Role.CONTROL,
        confidence=Confidence.HIGH if body else Confidence.MEDIUM,
        device_id=json_text(body, b"serialNo", b"SerialNo"),
        detail=DIALECT,
    )
