"""DHIP: Dahua's JSON calls over TCP (ports 5000, 37777, 80, 443), and over an active registration.

The header is DHDiscover's; here the session and the number are not zero. Sources: mcw0's proofs
of concept and DahuaConsole. Its flows are labelled `dvrip`: it is the same service on the device.
A camera that opens such a connection to a host off site hands over its controls.
"""

from __future__ import annotations

from egressd.decode.dhdiscover import BAD_LENGTH, DHIP, DHIP_MAGIC
from egressd.decode.fieldtext import json_text
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, DecodeError, NeedMore

MAX_BODY = 1 << 20
KEEPALIVE = "global.keepAlive"


def read_dhip(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the message at the head of a TCP stream, or None if it is another protocol."""
    if not head.startswith(DHIP_MAGIC):
        return NEED_MORE if len(head) < len(DHIP_MAGIC) and DHIP_MAGIC.startswith(head) else None
    if len(head) < DHIP.size:
        return NEED_MORE
    length, again = DHIP.unpack_from(head)[4], DHIP.unpack_from(head)[6]
    if length > MAX_BODY or again > MAX_BODY:
        raise DecodeError("dvrip", BAD_LENGTH)
    body = head[DHIP.size : DHIP.size + length]
    method = json_text(body, b"method")
    return P2pMessage(
        protocol="dvrip",
        message=method or "result",
        role=Role.KEEPALIVE if method == KEEPALIVE else Role.CONTROL,
        confidence=Confidence.HIGH,
        device_id=json_text(body, b"serialNo", b"SerialNo"),
        detail="dhip",
    )
