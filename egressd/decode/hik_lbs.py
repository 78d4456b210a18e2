"""SafeProtocol over TCP: EZVIZ' and Hik-Connect's CAS and LBS servers, where they speak in clear.

Frame: 0 magic, 4 version word, 8 sequence, 16 command, 24 length of the body, big-endian; at 32
an XML body, then 32 bytes of a hash. Sources: pyEzvizApi (`cas.py`) and hikconnect-web, which
agree. Most of it is inside TLS today. The same frame over UDP is the protocol's own kind of STUN.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.fieldtext import xml_text
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, DecodeError, NeedMore

OPENING = bytes.fromhex("9ebaace901000000")
HEADER = Struct(">8sIIIIII")
MAX_BODY = 1 << 20
COMMANDS = {
    0x0811: "StunAnswer",
    0x0812: "StunRequest",
    0x0813: "StunRequest",
    0x0814: "StunRequest",
    0x2001: "GetOperationCode",
    0x2005: "Verify",
    0x300F: "DeviceMessage",
    0x5003: "CloudReplay",
    0x5010: "CloudReplay",
}
ROLES = {0x2001: Role.LOOKUP, 0x5003: Role.RELAY, 0x5010: Role.RELAY}
BAD_LENGTH = "bad length"


def read_hik_lbs(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the frame at the head of a TCP stream, or None if it is another protocol."""
    if not head.startswith(OPENING):
        return NEED_MORE if len(head) < len(OPENING) and OPENING.startswith(head) else None
    if len(head) < HEADER.size:
        return NEED_MORE
    command, length = HEADER.unpack_from(head)[3], HEADER.unpack_from(head)[5]
    if length > MAX_BODY:
        raise DecodeError("hik-lbs", BAD_LENGTH)
    body = head[HEADER.size : HEADER.size + length]
    return P2pMessage(
        protocol="hik-lbs",
        message=COMMANDS.get(command, f"command {command:#06x}"),
        role=ROLES.get(command, Role.CONTROL),
        confidence=Confidence.HIGH,
        device_id=xml_text(body, b"DevSerial"),
    )
