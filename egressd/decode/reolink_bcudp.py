"""BcUDP, Reolink's P2P protocol: XML under a mask whose key stands in the same datagram.

Discovery messages look up a camera by its UID, register it and connect the two ends; their first
tag says who speaks to whom (C the client, D the device, M the master, R the register server).
Acknowledgements and data carry the session. Layouts and the checksum are verified on a published
sample; a device's own registration (D2M, D2R) is not published, but reads the same way.
"""

from __future__ import annotations

import re
from struct import Struct
from zlib import crc32

from egressd.decode.dns import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role, peer_of
from egressd.model import DecodeError

PROTOCOL = "reolink-bcudp"
BAD_CHECKSUM = "checksum"
REASONS = (BAD_CHECKSUM,)

MAGIC_TAIL = b"\xcf\x87\x2a"
DISCOVERY, RELAYED, ACK, DATA = 0x3A, 0x31, 0x20, 0x10
# discovery: magic, size, 1, transaction, CRC-32; data: magic, connection, 0, number, size
HEADER = Struct("<4s4I")
ACK_SIZE = 28  # magic, connection, 0, group, number, latency, size of what follows
KEY = (
    0x1F2D3C4B, 0x5A6C7F8D, 0x38172E4B, 0x8271635A,
    0x863F1A2B, 0xA5C6F7D8, 0x8371E1B4, 0x17F2D3A5,
)  # fmt: skip
MAX_XML = 2048
SEARCH = bytes.fromhex("aaaa0000")  # to port 2000 of the own network

TAG = re.compile(rb"<P2P>\s*<([A-Z0-9_]{3,16})>")
UID = re.compile(rb"<uid>([0-9A-Za-z]{8,32})</uid>")
CONNECTION = re.compile(rb"<conn>(local|map|relay|[a-z]{1,12})</conn>")
ENDPOINT = re.compile(
    rb"<(reg|relay|log|t|dmap|dev|cli|map)>\s*<ip>([0-9.]{7,15})</ip>\s*<port>(\d{1,5})</port>"
)
PARTS = {
    b"reg": Part.SERVER,
    b"log": Part.SERVER,
    b"t": Part.SERVER,
    b"relay": Part.RELAY,
    b"dmap": Part.PEER,
    b"dev": Part.PEER,
    b"cli": Part.SELF,
    b"map": Part.MAPPED,
}
MAX_PEERS = 8
# Who speaks to whom, in either direction; the first that fits.
ROLES = (
    (re.compile(r".*_HB"), Role.KEEPALIVE),
    (re.compile(r".*_DISC"), Role.CONTROL),
    (re.compile(r"D2[MR]_.*|[MR]2D_.*"), Role.REGISTRATION),
    (re.compile(r"C2M_.*|M2C_.*"), Role.LOOKUP),
    (re.compile(r"C2R_.*|R2C_.*"), Role.PUNCH),
    (re.compile(r"C2D_S(_R)?|D2C_S(_R)?"), Role.LAN),
    (re.compile(r"C2D_.*|D2C_.*"), Role.PUNCH),
)


def read_reolink_bcudp(payload: bytes) -> P2pMessage | None:
    """Return the message in a UDP payload, or None if it is another protocol.

    Raises DecodeError for a discovery message whose checksum is wrong.
    """
    if payload == SEARCH:
        return P2pMessage(PROTOCOL, "LAN search", Role.LAN, Confidence.LOW)
    if payload[1:4] != MAGIC_TAIL or len(payload) < HEADER.size:
        return None
    _, second, third, fourth, fifth = HEADER.unpack_from(payload)
    behind = len(payload) - HEADER.size
    kind = payload[0]
    if kind == DISCOVERY and second == behind and third == 1:
        return _read_discovery(payload[HEADER.size :], fourth, fifth)
    if kind == RELAYED and second == behind:
        return P2pMessage(PROTOCOL, "relayed", Role.RELAY, Confidence.MEDIUM)
    if kind == DATA and third == 0 and fifth == behind:
        return P2pMessage(PROTOCOL, "data", Role.MEDIA, Confidence.HIGH)
    if kind == ACK and third == 0 and _is_ack(payload):
        return P2pMessage(PROTOCOL, "acknowledgement", Role.KEEPALIVE, Confidence.HIGH)
    return None


def _is_ack(payload: bytes) -> bool:
    size = int.from_bytes(payload[24:ACK_SIZE], "little")
    return len(payload) >= ACK_SIZE and size == len(payload) - ACK_SIZE


def _read_discovery(masked: bytes, transaction: int, checksum: int) -> P2pMessage:
    # The usual CRC-32, begun and ended with zeros where zlib has ones.
    if crc32(masked, 0xFFFFFFFF) ^ 0xFFFFFFFF != checksum:
        raise DecodeError(PROTOCOL, BAD_CHECKSUM)
    xml = unmask(masked[:MAX_XML], transaction)
    tag = TAG.match(xml)
    name = tag[1].decode("ascii") if tag is not None else "discovery"
    uid = UID.search(xml)
    connection = CONNECTION.search(xml)
    return P2pMessage(
        PROTOCOL,
        name,
        _role_of(name),
        Confidence.HIGH,
        text_of(uid[1]) if uid is not None else None,
        _peers_in(xml),
        text_of(connection[1]) if connection is not None else None,
    )


def unmask(masked: bytes, transaction: int) -> bytes:
    """Return the XML under the mask: eight words, the transaction added to each, over and over."""
    key = b"".join(((word + transaction) & 0xFFFFFFFF).to_bytes(4, "little") for word in KEY)
    size = len(masked)
    mask = (key * (size // len(key) + 1))[:size]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def _role_of(name: str) -> Role:
    for pattern, role in ROLES:
        if pattern.fullmatch(name):
            return role
    return Role.UNKNOWN


def _peers_in(xml: bytes) -> tuple[Peer, ...]:
    found: list[Peer] = []
    for element in ENDPOINT.finditer(xml):
        peer = peer_of(element[2] + b":" + element[3], PARTS[element[1]])
        if peer is not None and len(found) < MAX_PEERS:
            found.append(peer)
    return tuple(found)
