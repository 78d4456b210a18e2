"""Hikvision's and EZVIZ's P2P protocol, version 3: setting up, punching and starting a stream.

Twelve bytes of header with a CRC-8 over all, then attributes, mostly encrypted with AES. What
follows the punch in the same flow is SRT, or packets under keys agreed by ECDH, which have a frame
of their own. Names of messages are of published work on the app, where device and app are not told
apart; how a camera registers is not published. Not met in a capture yet; the checksum is verified
on a published message.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role, peer_of

PROTOCOL = "hik-p2p3"
HEADER = Struct(">BBHI2sBB")  # magic, mask, command, sequence, reserved, header length, CRC-8
MAGIC = 0xE2  # the low half could differ, but never does
ENCRYPTED, EXPANDED, LONG, UNUSED = 0x80, 0x04, 0x02, 0x01  # bits of the mask
CRC_AT = 11

COMMANDS = {
    0x0B00: ("TRANSFER_SETUP", Role.LOOKUP),
    0x0B02: ("P2P_SETUP", Role.LOOKUP),
    0x0B03: ("P2P_SETUP_ANSWER", Role.LOOKUP),
    0x0B04: ("TRANSFER_DATA", Role.RELAY),
    0x0B05: ("TRANSFER_DATA_ANSWER", Role.RELAY),
    0x0C00: ("PUNCH", Role.PUNCH),
    0x0C01: ("PUNCH_ANSWER", Role.PUNCH),
    0x0C02: ("PLAY", Role.MEDIA),
    0x0C04: ("TEARDOWN", Role.CONTROL),
    0x0C06: ("CHECK", Role.KEEPALIVE),
    0x0C07: ("VOICE_TALK", Role.MEDIA),
    0x0C08: ("CHECK_ANSWER", Role.KEEPALIVE),
    0x0C0A: ("STREAM_CONTROL", Role.CONTROL),
    0x0C0B: ("DATA_LINK", Role.MEDIA),
    0x0C10: ("PLAYBACK_PAUSE", Role.CONTROL),
    0x0C12: ("PLAYBACK_RESUME", Role.CONTROL),
    0x0C14: ("PLAYBACK_SEEK", Role.CONTROL),
    0x0C16: ("PLAYBACK_SEARCH", Role.CONTROL),
    0x0C18: ("PLAYBACK_CONTROL", Role.CONTROL),
    0x0D00: ("TRANSPARENT", Role.CONTROL),
    0x0D02: ("TRANSPARENT_2", Role.CONTROL),
}
ADDRESS_TAG = 0x74  # "ip:port" of the other end
LONG_TAG = 0x07
END_TAG = 0xFF
MAX_ATTRIBUTES = 32

# 24 02 00, length of the content BE16, zero 2, sequence 4; content; HMAC-SHA256
SECURED = Struct(">3sH2sI")
SECURED_MAGIC = b"\x24\x02\x00"
SECURED_OVERHEAD = 43


def _crc8_table() -> bytes:
    """CRC-8/MAXIM: polynomial 0x31 reflected, start 0."""
    table = bytearray(256)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
        table[byte] = crc
    return bytes(table)


CRC8 = _crc8_table()


def crc8_of(message: bytes) -> int:
    """Return the checksum of a message whose own byte for it counts as zero."""
    crc = 0
    table = CRC8
    for byte in message[:CRC_AT]:
        crc = table[crc ^ byte]
    crc = table[crc]
    for byte in message[CRC_AT + 1 :]:
        crc = table[crc ^ byte]
    return crc


def read_hik_p2p3(payload: bytes) -> P2pMessage | None:
    """Return the message in a UDP payload, or None if it is another protocol."""
    if len(payload) < HEADER.size:
        return None
    if payload[0] != MAGIC:
        return _read_secured(payload)
    _, mask, command, _, _, header_length, crc = HEADER.unpack_from(payload)
    known = COMMANDS.get(command)
    if known is None or mask & UNUSED or not HEADER.size <= header_length <= len(payload):
        return None
    expanded = bool(mask & EXPANDED)
    if expanded != (header_length > HEADER.size) or crc8_of(payload) != crc:
        return None
    name, role = known
    peers = () if mask & ENCRYPTED else _peers_in(payload[header_length:], long=bool(mask & LONG))
    confidence = Confidence.MEDIUM if expanded else Confidence.HIGH
    return P2pMessage(PROTOCOL, name, role, confidence, peers=peers)


def _peers_in(body: bytes, *, long: bool) -> tuple[Peer, ...]:
    """Walk attributes: tag, length (two bytes for one tag where the mask says so), value."""
    peers = []
    at = 0
    for _ in range(MAX_ATTRIBUTES):
        if at + 2 > len(body) or body[at] == END_TAG:
            break
        head = 3 if long and body[at] == LONG_TAG else 2
        length = int.from_bytes(body[at + 1 : at + head], "big")
        value = body[at + head : at + head + length]
        if body[at] == ADDRESS_TAG and (peer := peer_of(value.rstrip(b"\0"), Part.PEER)):
            peers.append(peer)
        at += head + length
    return tuple(peers)


def _read_secured(payload: bytes) -> P2pMessage | None:
    if not payload.startswith(SECURED_MAGIC) or len(payload) < SECURED_OVERHEAD:
        return None
    _, length, zero, _ = SECURED.unpack_from(payload)
    if any(zero) or length != len(payload) - SECURED_OVERHEAD:
        return None
    return P2pMessage(PROTOCOL, "secured data", Role.MEDIA, Confidence.HIGH)
