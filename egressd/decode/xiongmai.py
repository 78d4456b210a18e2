"""Xiongmai's DVRIP ("Sofia", TCP 34567) and the plain JSON of its cloud (XMEye, iCSee).

DVRIP header, 20 bytes, little-endian: 0 0xFF, 1 version (0 or 1), 2 zero, 4 session, 8 sequence,
12 parts, 13 part, 14 message number, 16 length of the body. Sources: go2rtc (`pkg/dvrip`) for the
header and the numbers 1000, 1410, 1413, 1430 and 1434, and public clients for the others. A
device answers a number with the next one. The same header comes by UDP 34569 when a LAN is
searched; those answers carry the serial number and the MAC.

The cloud's messages are JSON in the body of `POST /`, seen in one capture of 2021 only. What
follows a header that ended a segment is not seen here.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from struct import Struct

from egressd.decode.fieldtext import MAX_DOCUMENT, address_of, json_text, mac_of, port_of
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.model import NEED_MORE, NeedMore

HEADER = Struct("<BBHIIBBHI")
MAGIC = 0xFF
MAX_BODY = 65_536
NUMBERS = range(1000, 2201)
DIALECT = "xiongmai"

LOGIN_ANSWER = 1001
SEARCH_ANSWER = 1531
MESSAGES = {
    1000: "LOGIN_REQ",
    1001: "LOGIN_RSP",
    1006: "KEEPALIVE_REQ",
    1007: "KEEPALIVE_RSP",
    1020: "SYSINFO_REQ",
    1021: "SYSINFO_RSP",
    1410: "MONITOR_REQ",
    1411: "MONITOR_RSP",
    1412: "MONITOR_DATA",
    1413: "MONITOR_CLAIM",
    1414: "MONITOR_CLAIM_RSP",
    1426: "PLAY_DATA",
    1430: "TALK_REQ",
    1431: "TALK_RSP",
    1432: "TALK_CU_PU_DATA",
    1433: "TALK_PU_CU_DATA",
    1434: "TALK_CLAIM",
    1530: "IPSEARCH_REQ",
    1531: "IPSEARCH_RSP",
}
MEDIA = frozenset({1412, 1426, 1432, 1433})
MEDIA_FRAME = b"\0\0\1"  # then FC, FD, FE, FA or F9
KEEPALIVES = frozenset({1006, 1007})
SEARCHES = frozenset({1530, 1531})

CLOUD_MESSAGE = re.compile(rb'"MessageType"\s{0,8}:\s{0,8}"(MSG_[A-Z0-9_]{3,48})"')
CLOUD_WRAPPER = re.compile(rb'\{\s{0,8}"([A-Za-z]{2,16}Protocol)"\s{0,8}:')


def read_dvrip_xiongmai(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the DVRIP message at the head of a TCP stream, or None if it is another protocol."""
    if head[:1] != b"\xff":
        return None
    if len(head) < HEADER.size:
        return NEED_MORE if _may_become(head) else None
    number = _number_of(head)
    if number is None:
        return None
    confidence = Confidence.HIGH if len(head) > HEADER.size else Confidence.MEDIUM
    return P2pMessage(
        protocol="dvrip",
        message=MESSAGES.get(number, f"MSG_{number}"),
        role=_role_of(number),
        confidence=confidence,
        device_id=json_text(head[HEADER.size :], b"SerialNo"),
        detail=DIALECT,
    )


def read_dvrip_search(payload: bytes) -> Introduction | None:
    """Return the search of a LAN in a UDP payload, or its answer, or None if it is neither."""
    if payload[:1] != b"\xff" or len(payload) < HEADER.size:
        return None
    number = _number_of(payload)
    length = HEADER.unpack_from(payload)[8]
    if number not in SEARCHES or length != len(payload) - HEADER.size:
        return None
    message = MESSAGES[number]
    body = payload[HEADER.size :]
    if number != SEARCH_ANSWER or not body:
        return Introduction("dvrip", message, Confidence.HIGH)
    return Introduction(
        protocol="dvrip",
        message=message,
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        vendor=DIALECT,
        firmware=json_text(body, b"Version"),
        serial=json_text(body, b"SN"),
        mac=mac_of(json_text(body, b"MAC")),
        ip=_reversed_address(json_text(body, b"HostIP")),
        name=json_text(body, b"HostName"),
    )


def read_xiongmai_cloud(head: bytes) -> P2pMessage | None:
    """Return the message of Xiongmai's cloud in JSON, or in HTTP around it, or None."""
    found = CLOUD_MESSAGE.search(head, 0, MAX_DOCUMENT)
    if found is None or CLOUD_WRAPPER.search(head, 0, MAX_DOCUMENT) is None:
        return None
    message = found[1].decode("ascii")
    return P2pMessage(
        protocol="xiongmai-cloud",
        message=message,
        role=_cloud_role(message),
        confidence=Confidence.HIGH,
        device_id=json_text(head, b"SerialNumber"),
        peers=_cloud_peers(head),
    )


def _may_become(head: bytes) -> bool:
    return len(head) == 1 or (head[1] < 2 and not any(head[2:4]))


def _number_of(head: bytes) -> int | None:
    """Return the message number of a header that is DVRIP's, or None."""
    _, version, zero, _, _, parts, part, number, length = HEADER.unpack_from(head)
    if version > 1 or zero or number not in NUMBERS or length > MAX_BODY:
        return None
    if parts and part >= parts:
        return None
    body = head[HEADER.size : HEADER.size + length]
    if number in MEDIA:
        return number if not body or parts or body.startswith(MEDIA_FRAME) else None
    if body and body.lstrip()[:1] not in (b"{", b"\0"):
        return None
    return number if number in MESSAGES or body else None


def _role_of(number: int) -> Role:
    if number in MEDIA:
        return Role.MEDIA
    if number in KEEPALIVES:
        return Role.KEEPALIVE
    return Role.LAN if number in SEARCHES else Role.CONTROL


def _cloud_role(message: str) -> Role:
    if "REGISTER" in message:
        return Role.REGISTRATION
    if "START_CON" in message:
        return Role.RELAY  # somebody wants to see the camera, and is told by which relay
    if "QUERY" in message:
        return Role.LOOKUP
    if "KEEPALIVE" in message or "HEARTBEAT" in message:
        return Role.KEEPALIVE
    return Role.CONTROL


def _cloud_peers(head: bytes) -> tuple[Peer, ...]:
    relay = address_of(json_text(head, b"AgentServerIp", b"AgentServerIP"))
    if relay is None:
        return ()
    return (Peer(relay, port_of(json_text(head, b"AgentServerPort")), Part.RELAY),)


def _reversed_address(text: str | None) -> str | None:
    """Return an address that is written as the hexadecimal number of its reversed bytes."""
    if text is None or len(text) != 10 or not text.lower().startswith("0x"):
        return address_of(text)
    try:
        packed = bytes.fromhex(text[2:])
    except ValueError:
        return None
    return address_of(str(IPv4Address(packed[::-1])))
