"""TP-Link Kasa and Tapo in the own network: JSON under a mask, and the newer search on port 20002.

The mask is the byte before, the first one 0xAB, so that every message begins the same. The newer
form has a header with a CRC-32 and JSON, part of which is encrypted. The mask is as nDPI knows it;
the newer header's checksum is verified on the search that published libraries send. Neither was met
in a capture yet.
"""

from __future__ import annotations

import re
from struct import Struct
from zlib import crc32

from egressd.decode.dns import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Role

PROTOCOL = "tplink-smarthome"
FIRST_KEY = 0xAB
SHORTEST, LONGEST = 16, 4096
JSON = re.compile(rb'\{"[\x20-\x7e\r\n\t]*\}\s*')
QUICK = bytes((0x7B ^ FIRST_KEY, 0x7B ^ FIRST_KEY ^ 0x22))  # {"
DEVICE = re.compile(rb'"deviceId" ?: ?"([0-9A-Fa-f]{8,64})"')
MODEL = re.compile(rb'"(?:model|device_model)" ?: ?"([\x20\x23-\x7e]{1,40})"')
FAMILY = re.compile(rb'"([a-zA-Z_.]{1,40})"')

# version, what 2, zero 1; length of what follows, what BE16; flags 2; serial 4; CRC-32
TDP = Struct(">B3sH2s4sI")
TDP_VERSION = 2
TDP_KINDS = frozenset({b"\x00\x00\x01", b"\x00\x01\x01"})
TDP_START = 0x5A6B7C8D  # stands in the checksum's place while it is worked out
TDP_CRC_AT = 12


def read_tplink_smarthome(payload: bytes) -> P2pMessage | None:
    """Return the message in a UDP payload, or None if it is another protocol."""
    if payload.startswith(QUICK):
        return _read_masked(payload)
    if len(payload) >= TDP.size and payload[0] == TDP_VERSION and payload[1:4] in TDP_KINDS:
        return _read_tdp(payload)
    return None


def _read_masked(payload: bytes) -> P2pMessage | None:
    if not SHORTEST <= len(payload) <= LONGEST:
        return None
    clear = bytes(a ^ b for a, b in zip(payload, bytes((FIRST_KEY,)) + payload, strict=False))
    if not JSON.fullmatch(clear):
        return None
    family = FAMILY.match(clear, 1)
    name = text_of(family[1]) if family is not None else "message"
    device = DEVICE.search(clear)
    role = Role.LAN if b"get_sysinfo" in clear else Role.CONTROL
    return _message(name, role, device, MODEL.search(clear))


def _read_tdp(payload: bytes) -> P2pMessage | None:
    _, _, length, _, _, checksum = TDP.unpack_from(payload)
    if length != len(payload) - TDP.size:
        return None
    start = TDP_START.to_bytes(4, "big")
    if crc32(payload[:TDP_CRC_AT] + start + payload[TDP.size :]) != checksum:
        return None
    json = payload[TDP.size :]
    device = re.search(rb'"device_id" ?: ?"([0-9A-Za-z]{8,64})"', json)
    return _message("answer" if json else "search", Role.LAN, device, MODEL.search(json))


def _message(
    name: str, role: Role, device: re.Match[bytes] | None, model: re.Match[bytes] | None
) -> P2pMessage:
    return P2pMessage(
        PROTOCOL,
        name,
        role,
        Confidence.HIGH,
        text_of(device[1]) if device is not None else None,
        detail=f"model {text_of(model[1])}" if model is not None else None,
    )
