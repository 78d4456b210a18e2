"""Discovery protocols of single makers: Bosch, Foscam, Hanwha, i-PRO, Sony, Vivotek, VStarcam.

Each is one search and one answer, so that they share a module. Source: UniversalScanner, one file a
maker; of Foscam's answer the maker's own description of the protocol, from memory. No capture of a
real device was at hand, so that whatever an answer tells must have the right form before it
counts. Searches are recognised where they have a magic number; Hanwha's holds uninitialised
memory and is not.
"""

from __future__ import annotations

from egressd.decode.fieldtext import (
    address_of,
    ipv4_of,
    mac_of,
    padded_text,
    printable,
    xml_text,
)
from egressd.decode.http import text_of
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence

BOSCH_MAGIC = bytes.fromhex("9939a427")
BOSCH_SEARCH = bytes.fromhex("ff0006de")
BOSCH_ELEMENT = b"unitIPAddress"
FOSCAM_MAGIC = b"MO_I"
FOSCAM_HEADER = 23
FOSCAM_ID = 13  # the MAC as twelve digits, and a zero byte
FOSCAM_NAME = 21
HANWHA_ANSWER = 0x0B
HANWHA_LENGTH = 172
IPRO_SEARCH = bytes.fromhex("00010000000d000000000000")
IPRO_SEARCH_LENGTH = 52
IPRO_FIELDS_AT = 53
IPRO_ADDRESS, IPRO_LONG_NAME, IPRO_SHORT_NAME = 0x20, 0xA7, 0xA8
SONY_START, SONY_LINE_END, SONY_END = b"\x02", b"\xff", b"\x03"
VIVOTEK_MAGIC = bytes.fromhex("4a5d8f1c")  # behind a counter of one byte
VIVOTEK_MAC, VIVOTEK_ADDRESS, VIVOTEK_SHORT_NAME, VIVOTEK_BYTE = 2, 3, 9, 4
VSTARCAM_SEARCH = b"DH\1\1"
VSTARCAM_ANSWER = b"DH\1\x08"
VSTARCAM_LENGTH = 0x100
MAX_FIELDS = 64


def read_bosch(payload: bytes) -> Introduction | None:
    """Return Bosch's search or answer (UDP 1757, 1758), or None if it is another protocol."""
    if payload[:1] == b"<":
        return _bosch_xml(payload) if BOSCH_ELEMENT in payload else None
    if not payload.startswith(BOSCH_MAGIC):
        return None
    if len(payload) == 12 and payload.endswith(BOSCH_SEARCH):
        return Introduction("bosch-lan", "search", Confidence.HIGH)
    if len(payload) != 32:
        return None
    return Introduction(
        protocol="bosch-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        mac=mac_of(payload[8:14].hex()),
        ip=ipv4_of(payload[16:20]),
    )


def _bosch_xml(payload: bytes) -> Introduction | None:
    ip = address_of(xml_text(payload, b"unitIPAddress"))
    mac = mac_of(xml_text(payload, b"physAddress"))
    if ip is None or mac is None:
        return None
    return Introduction(
        protocol="bosch-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=xml_text(payload, b"friendlyName"),
        serial=xml_text(payload, b"serialNumber"),
        mac=mac,
        ip=ip,
    )


def read_foscam(payload: bytes) -> Introduction | None:
    """Return Foscam's search or answer (UDP 10000), or None if it is another protocol."""
    if not payload.startswith(FOSCAM_MAGIC) or len(payload) < FOSCAM_HEADER:
        return None
    order = int.from_bytes(payload[4:6], "little")
    length = int.from_bytes(payload[15:19], "little")
    if length != len(payload) - FOSCAM_HEADER:
        return None
    if order == 0:
        return Introduction("foscam-lan", "search", Confidence.HIGH)
    body = payload[FOSCAM_HEADER:]
    mac = mac_of(padded_text(body[:FOSCAM_ID]))
    if order != 1 or mac is None:
        return None
    end = FOSCAM_ID + FOSCAM_NAME
    return Introduction(
        protocol="foscam-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        serial=padded_text(body[:FOSCAM_ID]),
        mac=mac,
        ip=ipv4_of(body[end : end + 4]),
        name=padded_text(body[FOSCAM_ID:end]),
    )


def read_hanwha(payload: bytes) -> Introduction | None:
    """Return Hanwha's answer (UDP 7711), or None if it is another protocol."""
    if payload[:1] != b"\x0b" or len(payload) < HANWHA_LENGTH or payload[36]:
        return None  # the text of the MAC ends in a zero byte
    mac = mac_of(padded_text(payload[19:37]))
    ip = address_of(padded_text(payload[37:53]))
    if mac is None or ip is None or not printable(payload[109:119]):
        return None
    return Introduction(
        protocol="hanwha-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=padded_text(payload[109:119]),
        mac=mac,
        ip=ip,
    )


def read_ipro(payload: bytes) -> Introduction | None:
    """Return Panasonic's and i-PRO's search or answer (UDP 10669, 10670), or None."""
    if len(payload) == IPRO_SEARCH_LENGTH and payload.startswith(IPRO_SEARCH):
        return Introduction("ipro-lan", "search", Confidence.MEDIUM)
    if payload[:2] != b"\0\1" or len(payload) <= IPRO_FIELDS_AT + 4:
        return None
    fields: dict[int, bytes] = {}
    at = IPRO_FIELDS_AT
    while at + 4 <= len(payload) and len(fields) < MAX_FIELDS:
        key = int.from_bytes(payload[at : at + 2], "big")
        size = int.from_bytes(payload[at + 2 : at + 4], "big")
        at += 4
        if at + size > len(payload):
            break
        fields.setdefault(key, payload[at : at + size])
        at += size
    name = fields.get(IPRO_LONG_NAME) or fields.get(IPRO_SHORT_NAME)
    ip = ipv4_of(fields.get(IPRO_ADDRESS, b""))
    mac = mac_of(payload[6:12].hex())
    if not name or ip is None or mac is None or not printable(name):
        return None
    return Introduction(
        protocol="ipro-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=padded_text(name),
        mac=mac,
        ip=ip,
    )


def read_sony(payload: bytes) -> Introduction | None:
    """Return Sony's search or answer (UDP 2380), or None if it is another protocol."""
    if not payload.startswith(SONY_START) or not payload.endswith(SONY_LINE_END + SONY_END):
        return None
    fields: dict[bytes, bytes] = {}
    for line in payload[1:-2].split(SONY_LINE_END)[:MAX_FIELDS]:
        name, colon, value = line.partition(b":")
        if not colon or not name.isascii():
            return None
        fields.setdefault(name.strip().lower(), value.strip())
    if b"enq" in fields:
        return Introduction("sony-lan", "ENQ", Confidence.HIGH)
    model, address = fields.get(b"model"), fields.get(b"ipadr")
    if not model or not address:
        return None
    return Introduction(
        protocol="sony-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=padded_text(model),
        serial=padded_text(fields.get(b"serial", b"")),
        mac=mac_of(padded_text(fields.get(b"mac", b""))),
        ip=address_of(text_of(address[:45])),
    )


def read_vivotek(payload: bytes) -> Introduction | None:
    """Return Vivotek's search or answer (UDP 10000), or None if it is another protocol."""
    if payload[1:5] != VIVOTEK_MAGIC:
        return None
    fields: dict[int, bytes] = {}
    at = 5
    while at + 2 <= len(payload) and len(fields) < MAX_FIELDS:
        key, size = payload[at], payload[at + 1]
        at += 2
        if key == VIVOTEK_BYTE:  # the size is the value
            continue
        fields.setdefault(key, payload[at : at + size])
        at += size
    mac = mac_of(fields.get(VIVOTEK_MAC, b"").hex())
    if mac is None:
        return Introduction("vivotek-lan", "search", Confidence.MEDIUM)
    return Introduction(
        protocol="vivotek-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model=padded_text(fields.get(VIVOTEK_SHORT_NAME, b"")),
        mac=mac,
        ip=ipv4_of(fields.get(VIVOTEK_ADDRESS, b"")),
    )


def read_vstarcam(payload: bytes) -> Introduction | None:
    """Return VStarcam's search or answer (UDP 8600), or None if it is another protocol."""
    if payload == VSTARCAM_SEARCH:
        return Introduction("vstarcam-lan", "search", Confidence.MEDIUM)
    if not payload.startswith(VSTARCAM_ANSWER) or len(payload) < VSTARCAM_LENGTH:
        return None
    ip = address_of(padded_text(payload[4:20]))
    if ip is None:
        return None
    return Introduction(
        protocol="vstarcam-lan",
        message="answer",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        firmware=padded_text(payload[0xCC:0xEC]),
        serial=padded_text(payload[0x5C:0x7C]),
        mac=mac_of(payload[0x54:0x5A].hex()),
        ip=ip,
        name=padded_text(payload[0x7C:0x9C]),
    )
