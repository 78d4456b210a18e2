"""iLnk, the P2P protocol of Yunni: a sibling of PPPP with sizes and types of its own.

Its device ids are always in clear, and their check codes are of the letters A to F only, where
those of CS2's PPPP have no A: that tells the two apart where types are shared. From a published
analysis of the libraries [Palant 2025]; not met in a capture yet.
"""

from __future__ import annotations

import re

from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.decode.pppp import DID_SIZE, HEADER, KINDS, MAGIC, read_did

POWER_MAGIC = 0xA1  # cameras on batteries
OTHER_MAGIC = 0xF2
POWER_KINDS = {0x00: "AWAKE", 0x01: "SLEEPING", 0x02: "QUERY", 0x04: "WAKE_UP", 0x06: "WAKE_UP"}
OTHER_KIND = 0x10

# Numbers that PPPP gives to other things, or to nothing: number, size, role.
OWN_SIZES = {0x12: 20, 0x62: 44, 0x77: 288, 0x33: 52}
OWN_ROLES = {0x12: Role.REGISTRATION, 0x62: Role.RELAY, 0x33: Role.LAN}
SHARED = frozenset({0x10, 0x20, 0x41, 0x42, 0x67, 0x80, 0x84})
CHECK_CODE = re.compile(r"[A-F]+")


def read_ilnk(payload: bytes) -> P2pMessage | None:
    """Return the iLnk message in a UDP payload, or None if it is another protocol."""
    if len(payload) < HEADER.size:
        return None
    magic, number, size = HEADER.unpack_from(payload)
    if size != len(payload) - HEADER.size:
        return None
    did = read_did(payload[HEADER.size : HEADER.size + DID_SIZE])
    if magic == MAGIC:
        return _read_shared(number, size, did)
    if did is None:
        return None
    if magic == POWER_MAGIC and number in POWER_KINDS and size == DID_SIZE:
        return _message(POWER_KINDS[number], Role.KEEPALIVE, did)
    if magic == OTHER_MAGIC and number == OTHER_KIND:
        return _message("0xF210", Role.UNKNOWN, did)
    return None


def _read_shared(number: int, size: int, did: str | None) -> P2pMessage | None:
    if OWN_SIZES.get(number) == size:
        name = "DEV_LGN" if number == 0x12 else f"0x{number:02X}"
        return _message(name, OWN_ROLES.get(number, Role.UNKNOWN), did)
    if number not in SHARED or did is None or not CHECK_CODE.fullmatch(did.rpartition("-")[2]):
        return None
    return _message(KINDS[number].name, KINDS[number].role, did)


def _message(name: str, role: Role, did: str | None) -> P2pMessage:
    confidence = Confidence.HIGH if did is not None else Confidence.MEDIUM
    return P2pMessage("ilnk", name, role, confidence, did)
