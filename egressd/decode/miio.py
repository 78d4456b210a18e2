"""miIO, Xiaomi's protocol in the own network: a number for the device, the rest encrypted.

Thirty-two bytes of header (21 31, length of all, zero, device, time stamp, MD5), then AES. A search
has ones in all fields behind the length. The layout is of several published libraries that agree;
not met in a capture yet, and nothing but the header can be checked.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Role

PROTOCOL = "miio"
HEADER = Struct(">HHIII16s")  # magic, length, zero, device, stamp, checksum or token
MAGIC = 0x2131
HELLO = bytes.fromhex("21310020") + b"\xff" * 28
BLOCK = 16  # AES-128-CBC pads to it


def read_miio(payload: bytes) -> P2pMessage | None:
    """Return the miIO message in a UDP payload, or None if it is another protocol."""
    if payload == HELLO:
        return P2pMessage(PROTOCOL, "hello", Role.LAN, Confidence.HIGH)
    if len(payload) < HEADER.size or len(payload) % BLOCK:
        return None
    magic, length, zero, device, _, _ = HEADER.unpack_from(payload)
    if magic != MAGIC or length != len(payload) or zero or device in {0, 0xFFFFFFFF}:
        return None
    if length == HEADER.size:
        return P2pMessage(PROTOCOL, "hello answer", Role.LAN, Confidence.MEDIUM, str(device))
    return P2pMessage(PROTOCOL, "message", Role.CONTROL, Confidence.MEDIUM, str(device))
