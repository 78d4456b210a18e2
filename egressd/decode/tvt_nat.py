"""AutoNAT, the P2P protocol of TVT recorders: a handshake, then XML with the device's number.

Messages are rows of LE32 words: what it is, five numbers of the connection, a mark; the XML and
its length follow. The bytes are of captures published with a viewer's code, so that they show the
viewer's side, to the server and to the recorder. The newer NAT20 is not published and not read.
"""

from __future__ import annotations

import re

from egressd.decode.dns import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Role

PROTOCOL = "tvt-nat"

# The first byte: 2 to the server, 1 to the recorder; the second: what it is.
LEGS = {0x01: "recorder", 0x02: "server"}
HANDSHAKE, COMMAND, ACK = 0x00, 0x01, 0x03
HEAD_TAIL = b"\x01\x00"
MARK_AT = 24
HANDSHAKE_MARK = bytes.fromhex("fefe0001")
DATA_MARK = b"1111"
HANDSHAKE_SIZE, ACK_SIZE, COMMAND_SIZE = 28, 24, 32

XML = b"<Nat version="
COMMAND_ID = re.compile(rb'<Cmd id="(\d{1,6})"')
DEVICE = re.compile(rb"<DeviceNo>([0-9A-Za-z]{4,32})</DeviceNo>")
COMMANDS = {
    "10002": ("connect", Role.PUNCH),
    "10006": ("lookup", Role.LOOKUP),
}


def read_tvt_nat(payload: bytes) -> P2pMessage | None:
    """Return the AutoNAT message in a UDP payload, or None if it is another protocol."""
    if len(payload) < ACK_SIZE or payload[2:4] != HEAD_TAIL:
        return None
    leg = LEGS.get(payload[0])
    if leg is None:
        return None
    kind = payload[1]
    mark = payload[MARK_AT : MARK_AT + 4]
    if kind == HANDSHAKE and len(payload) == HANDSHAKE_SIZE and mark == HANDSHAKE_MARK:
        return P2pMessage(PROTOCOL, f"handshake with {leg}", Role.PUNCH, Confidence.HIGH)
    if kind == ACK and len(payload) == ACK_SIZE:
        return P2pMessage(PROTOCOL, "acknowledgement", Role.KEEPALIVE, Confidence.LOW)
    if kind != COMMAND or len(payload) < COMMAND_SIZE:
        return None
    size = int.from_bytes(payload[28:32], "little")
    if size > len(payload) - COMMAND_SIZE:
        return None
    body = payload[COMMAND_SIZE : COMMAND_SIZE + size]
    if body.startswith(XML):
        return _read_command(body)
    if mark == DATA_MARK and size == len(payload) - COMMAND_SIZE:
        return P2pMessage(PROTOCOL, "data", Role.MEDIA, Confidence.HIGH)
    return None


def _read_command(xml: bytes) -> P2pMessage:
    found = COMMAND_ID.search(xml)
    number = found[1].decode("ascii") if found is not None else "unknown"
    name, role = COMMANDS.get(number, (f"command {number}", Role.UNKNOWN))
    device = DEVICE.search(xml)
    serial = text_of(device[1]) if device is not None else None
    return P2pMessage(PROTOCOL, name, role, Confidence.HIGH, serial)
