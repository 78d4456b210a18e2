"""Tuya in datagrams: devices that tell their own network who they are, every few seconds.

A frame from 00 00 55 AA to 00 00 AA 55 (since version 3.5 from 00 00 66 99 to 00 00 99 66) around
JSON. Of broadcasts the JSON is in clear, or encrypted with a key that is the same everywhere and
published, so that the id is as good as in clear; anything else is under the device's own key and
stays closed. The cloud is reached over TLS and MQTT, which tls.py and mqtt.py read. Met in captures
of sensors and plugs (nDPI__tuya_lp.pcap, toolsaf__test.pcap).
"""

from __future__ import annotations

import re
from hashlib import md5
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from egressd.decode.dns import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import DecodeError

PROTOCOL = "tuya"
BAD_SUFFIX = "suffix"
REASONS = (BAD_SUFFIX,)

# magic, sequence, command, length of all that follows; code, content, CRC-32, suffix
HEADER = Struct(">4sIII")
MAGIC, SUFFIX = bytes.fromhex("000055aa"), bytes.fromhex("0000aa55")
# magic, two bytes, sequence, command, length; nonce, content, tag; suffix outside the length
HEADER_35 = Struct(">4s2sIII")
MAGIC_35, SUFFIX_35 = bytes.fromhex("00006699"), bytes.fromhex("00009966")
NONCE_SIZE, TAG_SIZE = 12, 16

# The key of broadcasts, from the published libraries (tinytuya, localtuya).
BROADCAST_KEY = md5(b"yGAdlopoPVldABfn", usedforsecurity=False).digest()
BLOCK = 16
COMMANDS = {
    0x00: "broadcast",
    0x09: "heartbeat",
    0x0A: "status request",
    0x13: "broadcast",
    0x23: "broadcast",
    0x25: "search",
}
DEVICE = re.compile(rb'"gwId" ?: ?"([0-9A-Za-z]{8,64})"')
VERSION = re.compile(rb'"version" ?: ?"([0-9.]{1,8})"')


def read_tuya(payload: bytes) -> P2pMessage | None:
    """Return the Tuya message in a UDP payload, or None if it is another protocol.

    Raises DecodeError for a frame of the right length that does not end as one.
    """
    if payload.startswith(MAGIC) and len(payload) >= HEADER.size + 8:
        _, _, command, length = HEADER.unpack_from(payload)
        if length != len(payload) - HEADER.size:
            return None
        if not payload.endswith(SUFFIX):
            raise DecodeError(PROTOCOL, BAD_SUFFIX)
        return _message(command, _opened(payload[HEADER.size : -8]))
    if payload.startswith(MAGIC_35) and len(payload) >= HEADER_35.size + 4:
        _, _, _, command, length = HEADER_35.unpack_from(payload)
        if length != len(payload) - HEADER_35.size - len(SUFFIX_35):
            return None
        if not payload.endswith(SUFFIX_35):
            raise DecodeError(PROTOCOL, BAD_SUFFIX)
        return _message(command, _opened_35(payload))
    return None


def _opened(content: bytes) -> bytes:
    """Return the JSON of a broadcast, which a return code may go before; else nothing."""
    for start in (0, 4):
        text = content[start:]
        if text[:1] == b"{":
            return text
    for start in (4, 0):
        text = content[start:]
        if text and len(text) % BLOCK == 0:
            decryptor = Cipher(AES(BROADCAST_KEY), ECB()).decryptor()  # noqa: S305 - as they do
            clear = decryptor.update(text) + decryptor.finalize()
            if clear.startswith(b"{"):
                return clear
    return b""


def _opened_35(payload: bytes) -> bytes:
    sealed = payload[HEADER_35.size : -len(SUFFIX_35)]
    if len(sealed) < NONCE_SIZE + TAG_SIZE:
        return b""
    nonce, content = sealed[:NONCE_SIZE], sealed[NONCE_SIZE:]
    try:
        clear = AESGCM(BROADCAST_KEY).decrypt(nonce, content, payload[4 : HEADER_35.size])
    except InvalidTag:
        return b""  # under the device's own key
    return clear[4:] if clear[4:5] == b"{" else clear


def _message(command: int, json: bytes) -> P2pMessage:
    device, version = DEVICE.search(json), VERSION.search(json)
    name = COMMANDS.get(command, f"command 0x{command:02x}")
    return P2pMessage(
        PROTOCOL,
        name,
        Role.LAN if device is not None or name in {"broadcast", "search"} else Role.CONTROL,
        Confidence.HIGH,
        text_of(device[1]) if device is not None else None,
        detail=f"version {text_of(version[1])}" if version is not None else None,
    )
