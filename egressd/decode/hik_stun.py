"""Hikvision's and EZVIZ's SafeProtocol in datagrams: "STUN" that tells the serial number.

A header of 32 bytes, XML, and 32 bytes of check. The request names the device, the answer the
address it is seen from. The same frame serves CAS over TCP. From published work on the apps, seen
live there; not met in a capture yet.
"""

from __future__ import annotations

import re
from struct import Struct

from egressd.decode.dns import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role, peer_of
from egressd.model import DecodeError

PROTOCOL = "hik-stun"
CUT_BODY = "cut body"
REASONS = (CUT_BODY,)

MAGIC = bytes.fromhex("9ebaace9 01000000")  # and version
HEADER = Struct(">8sI4xIII4x")  # magic, sequence, zero, command, flags, length of the body, hint
CHECK_SIZE = 32
COMMANDS = {
    0x0811: ("STUN answer", Role.LOOKUP),
    0x0812: ("STUN request", Role.REGISTRATION),
    0x0813: ("STUN request 2", Role.REGISTRATION),
    0x0814: ("STUN request 3", Role.REGISTRATION),
    0x2001: ("operation code", Role.CONTROL),
    0x2005: ("verify", Role.CONTROL),
    0x300F: ("device message", Role.CONTROL),
    0x5003: ("cloud replay", Role.MEDIA),
    0x5010: ("cloud replay", Role.MEDIA),
}
SERIAL = re.compile(rb"<DevSerial>([0-9A-Za-z:_-]{4,64})</DevSerial>")
CLIENT = re.compile(rb'<Client\s+Address="([0-9.]{7,15})"\s+Port="(\d{1,5})"')


def read_hik_stun(payload: bytes) -> P2pMessage | None:
    """Return the message in a UDP payload, or None if it is another protocol.

    Raises DecodeError where less is there than the header says.
    """
    if not payload.startswith(MAGIC) or len(payload) < HEADER.size:
        return None
    _, _, command, _, length = HEADER.unpack_from(payload)
    body = payload[HEADER.size : HEADER.size + length]
    if len(body) != length:
        raise DecodeError(PROTOCOL, CUT_BODY)
    name, role = COMMANDS.get(command, (f"0x{command:04x}", Role.UNKNOWN))
    serial = SERIAL.search(body)
    whole = len(payload) == HEADER.size + length + CHECK_SIZE
    return P2pMessage(
        PROTOCOL,
        name,
        role,
        Confidence.HIGH if whole else Confidence.MEDIUM,
        text_of(serial[1]) if serial is not None else None,
        _client_in(body),
    )


def _client_in(body: bytes) -> tuple[Peer, ...]:
    found = CLIENT.search(body)
    if found is None:
        return ()
    peer = peer_of(found[1] + b":" + found[2], Part.MAPPED)
    return () if peer is None else (peer,)
