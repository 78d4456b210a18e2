"""DHDiscover: Dahua's search for devices on the own network, in its two forms.

The newer one is JSON behind DHIP's header (UDP 37810, 239.255.255.251), the older one a fixed
record (UDP 5050, broadcast). Sources: UniversalScanner (`Dahua1.cs`, `Dahua2.cs`) and DahuaConsole
(`net.py`), which agree. No capture of a real device was at hand.

DHIP, 32 bytes, little-endian: 0 header length (0x20), 4 "DHIP", 8 session, 12 number, 16 length of
the body, 20 zero, 24 the same length, 28 zero. The old record: 0 0xB3, 2 length of the tail, 16
version (2), 40 host name, 56 address; the tail at 120 is the MAC as text, then the model.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.fieldtext import (
    address_of,
    ipv4_of,
    json_text,
    mac_of,
    padded_text,
)
from egressd.decode.http import text_of
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence
from egressd.model import DecodeError

DHIP = Struct("<4s4sIIIIII")
DHIP_MAGIC = b"\x20\0\0\0DHIP"
OLD_SEARCH = b"\xa3\x01\0\1" + bytes(12) + b"\2" + bytes(15)
OLD_ANSWER = 0xB3
OLD_VERSION = b"\2\0\0\0"
TAIL = 120
MAC_TEXT = 17  # "3c:ef:8c:00:00:01"

BAD_LENGTH = "bad length"
# Methods that only a device calls; the others are a program's orders.
DEVICE_METHODS = ("client.notifyDevInfo",)


def read_dhdiscover(payload: bytes) -> Introduction | None:
    """Return the DHDiscover message in a UDP payload, or None if it is another protocol."""
    if payload.startswith(DHIP_MAGIC):
        return _json_form(payload)
    if payload == OLD_SEARCH:
        return Introduction("dhdiscover", "search", Confidence.HIGH)
    if payload[:1] == b"\xb3":
        return _old_answer(payload)
    return None


def _json_form(payload: bytes) -> Introduction:
    if len(payload) < DHIP.size:
        raise DecodeError("dhdiscover", BAD_LENGTH)
    length, again = DHIP.unpack_from(payload)[4], DHIP.unpack_from(payload)[6]
    body = payload[DHIP.size :]
    if length != again or length != len(body):
        raise DecodeError("dhdiscover", BAD_LENGTH)
    method = json_text(body, b"method")
    if method not in DEVICE_METHODS:
        return Introduction("dhdiscover", method or "result", Confidence.HIGH)
    return Introduction(
        protocol="dhdiscover",
        message=method,
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        vendor=json_text(body, b"Vendor"),
        model=json_text(body, b"DeviceType", b"DetailType"),
        firmware=json_text(body, b"Version"),
        serial=json_text(body, b"SerialNo", b"SN"),
        mac=mac_of(json_text(body, b"mac", b"MAC")),
        ip=address_of(json_text(body, b"IPAddress")),
        name=json_text(body, b"MachineName"),
    )


def _old_answer(payload: bytes) -> Introduction | None:
    if len(payload) < TAIL + MAC_TEXT or payload[1] != 0 or payload[16:20] != OLD_VERSION:
        return None
    tail = payload[TAIL : TAIL + payload[2]]
    mac = mac_of(text_of(tail[:MAC_TEXT]))
    if mac is None:
        return None
    return Introduction(
        protocol="dhdiscover",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=padded_text(tail[MAC_TEXT:]) or padded_text(payload[40:56]),
        mac=mac,
        ip=ipv4_of(payload[56:60]),
    )
