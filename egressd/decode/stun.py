"""STUN and TURN (RFC 8489, 8656, 3489): a camera asks where it is seen from, or for a relay.

Most camera P2P and WebRTC sessions begin with it. We say who asked what, which addresses were
told, and which peers a relay is opened for. Message integrity is not checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from egressd.decode.dns import ip4_text, ip6_text, text_of
from egressd.model import NEED_MORE, DecodeError, NeedMore

HEADER = Struct("!HHI12s")  # type, length, magic cookie, transaction id (RFC 8489 section 5)
ATTRIBUTE = Struct("!HH")  # type, length of the value without padding (RFC 8489 section 14)
CHANNEL = Struct("!HH")  # channel number, length of the data (RFC 8656 section 12.4)
MAGIC_COOKIE = 0x2112A442
COOKIE = MAGIC_COOKIE.to_bytes(4, "big")

CUT_MESSAGE = "cut message"
TRAILING_BYTES = "trailing bytes"
BAD_LENGTH = "bad length"
CUT_ATTRIBUTE = "cut attribute"
BAD_ATTRIBUTE = "bad attribute"
REASONS = (CUT_MESSAGE, TRAILING_BYTES, BAD_LENGTH, CUT_ATTRIBUTE, BAD_ATTRIBUTE)

METHODS = {
    0x001: "Binding",
    0x002: "SharedSecret",  # RFC 3489 only
    0x003: "Allocate",
    0x004: "Refresh",
    0x006: "Send",
    0x007: "Data",
    0x008: "CreatePermission",
    0x009: "ChannelBind",
    0x00A: "Connect",  # RFC 6062, relays over TCP
    0x00B: "ConnectionBind",
    0x00C: "ConnectionAttempt",
}
MESSAGE_CLASSES = ("request", "indication", "success", "error")
CLASSIC_TYPES = frozenset({0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112})
LAST_CLASSIC_ATTRIBUTE = 0x000B  # REFLECTED-FROM, RFC 3489 section 11.2


class Attribute(IntEnum):
    """The attributes that are read."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    ERROR_CODE = 0x0009
    CHANNEL_NUMBER = 0x000C
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    XOR_RELAYED_ADDRESS = 0x0016
    XOR_MAPPED_ADDRESS = 0x0020
    OLD_XOR_MAPPED_ADDRESS = 0x8020  # drafts before RFC 5389; still sent by old servers
    SOFTWARE = 0x8022


@dataclass(slots=True, frozen=True)
class Endpoint:
    """An address and a port."""

    ip: str
    port: int


@dataclass(slots=True)
class StunMessage:
    """One message; `cookie` is False for the older RFC 3489 form."""

    method: str
    message_class: str  # one of MESSAGE_CLASSES
    transaction_id: str  # hex
    cookie: bool
    software: str | None = None
    username: str | None = None  # ICE: the two fragments "theirs:ours" (RFC 8445 section 7.2.2)
    realm: str | None = None
    mapped: Endpoint | None = None  # the address the asker is seen from
    relayed: Endpoint | None = None  # the address a relay gave to the asker
    peers: tuple[Endpoint, ...] = ()  # whom the relay talks to on the asker's behalf
    channel: int | None = None
    data_bytes: int | None = None  # what Send and Data carry for a peer
    error_code: int | None = None


@dataclass(slots=True)
class ChannelData:
    """Payload on a channel of a relay; only its frame, never its content."""

    channel: int
    data_bytes: int


def read_stun(payload: bytes) -> StunMessage | None:
    """Return the STUN message in a UDP payload, or None if it is another protocol."""
    if len(payload) < HEADER.size or payload[0] & 0xC0:
        return None
    message_type, length, cookie, _ = HEADER.unpack_from(payload)
    if cookie != MAGIC_COOKIE:
        return _read_classic(payload, message_type, length)
    if length % 4:
        raise DecodeError("stun", BAD_LENGTH)
    if length > len(payload) - HEADER.size:
        raise DecodeError("stun", CUT_MESSAGE)
    if length < len(payload) - HEADER.size:
        raise DecodeError("stun", TRAILING_BYTES)
    message = _message_of(message_type, payload, cookie=True)
    _read_attributes(message, payload)
    return message


def read_stun_stream(head: bytes) -> StunMessage | NeedMore | None:
    """Return the first message of a TCP stream; only with the cookie.

    It stands there alone (RFC 8489 section 6.2.2), or as ICE sends it behind its length in two
    bytes (RFC 4571 section 2).
    """
    for start in (0, 2):
        opening = head[start:]
        if opening[:1] > b"\x3f" or not COOKIE.startswith(opening[4:8]):
            continue
        if len(opening) < HEADER.size:
            return NEED_MORE
        size = HEADER.size + int.from_bytes(opening[2:4], "big")
        if start and int.from_bytes(head[:2], "big") != size:
            continue
        if size % 4:
            raise DecodeError("stun", BAD_LENGTH)
        return read_stun(opening[:size]) if len(opening) >= size else NEED_MORE
    return None


def read_channel_data(payload: bytes) -> ChannelData | None:
    """Return the ChannelData frame in a UDP payload (RFC 8656 section 12.4), or None.

    Four bytes are little to know a protocol by: ask only in a flow where STUN was seen.
    """
    if len(payload) < CHANNEL.size:
        return None
    channel, length = CHANNEL.unpack_from(payload)
    padding = len(payload) - CHANNEL.size - length
    # RFC 8656 narrowed the channels to 0x4000-0x4FFF; RFC 5766 had them up to 0x7FFF.
    if not 0x4000 <= channel <= 0x7FFF or not 0 <= padding <= 3:
        return None
    return ChannelData(channel, length)


def _read_classic(payload: bytes, message_type: int, length: int) -> StunMessage | None:
    """RFC 3489 has no cookie: everything must fit, or it is another protocol."""
    if message_type not in CLASSIC_TYPES or length != len(payload) - HEADER.size:
        return None
    # Sixteen random bytes have hardly any zeros; a DNS header with the id 1 is full of them.
    if payload.count(0, 4, 20) > 8:
        return None
    if not _is_classic_walk(payload):
        return None
    message = _message_of(message_type, payload, cookie=False)
    try:
        _read_attributes(message, payload)
    except DecodeError:
        return None
    return message


def _is_classic_walk(payload: bytes) -> bool:
    at = HEADER.size
    while at + ATTRIBUTE.size <= len(payload):
        attribute, length = ATTRIBUTE.unpack_from(payload, at)
        if attribute == 0 or LAST_CLASSIC_ATTRIBUTE < attribute < 0x8000:
            return False
        at += ATTRIBUTE.size + length
    return at == len(payload)


def _message_of(message_type: int, payload: bytes, *, cookie: bool) -> StunMessage:
    # The two class bits sit inside the method bits (RFC 8489, figure 3).
    method = message_type & 0xF | (message_type & 0xE0) >> 1 | (message_type & 0x3E00) >> 2
    kind = (message_type & 0x10) >> 4 | (message_type & 0x100) >> 7
    return StunMessage(
        method=METHODS.get(method) or f"0x{method:03x}",
        message_class=MESSAGE_CLASSES[kind],
        transaction_id=payload[8 if cookie else 4 : 20].hex(),
        cookie=cookie,
    )


def _read_attributes(message: StunMessage, payload: bytes) -> None:
    at = HEADER.size
    peers: list[Endpoint] = []
    while at < len(payload):
        # Whole words only: with the cookie by the length's check, without it by the walk before.
        attribute, length = ATTRIBUTE.unpack_from(payload, at)
        at += ATTRIBUTE.size
        if at + length > len(payload):
            raise DecodeError("stun", CUT_ATTRIBUTE)
        value = payload[at : at + length]
        if attribute == Attribute.XOR_PEER_ADDRESS:
            peers.append(_endpoint_of(_unmask(value, payload)))
        else:
            _read_attribute(message, attribute, value, payload)
        at += length + -length % 4 if message.cookie else length
    message.peers = tuple(peers)


def _read_attribute(message: StunMessage, attribute: int, value: bytes, payload: bytes) -> None:
    match attribute:
        case Attribute.XOR_MAPPED_ADDRESS | Attribute.OLD_XOR_MAPPED_ADDRESS:
            message.mapped = _endpoint_of(_unmask(value, payload))
        case Attribute.MAPPED_ADDRESS:
            message.mapped = message.mapped or _endpoint_of(value)
        case Attribute.XOR_RELAYED_ADDRESS:
            message.relayed = _endpoint_of(_unmask(value, payload))
        case Attribute.USERNAME:
            message.username = text_of(value)
        case Attribute.REALM:
            message.realm = text_of(value)
        case Attribute.SOFTWARE:
            message.software = text_of(value.rstrip(b"\0"))
        case Attribute.CHANNEL_NUMBER:
            message.channel = int.from_bytes(_at_least(4, value)[:2], "big")
        case Attribute.ERROR_CODE:  # 21 zero bits, hundreds in 3, the rest in 8
            message.error_code = _at_least(4, value)[2] % 8 * 100 + value[3]
        case Attribute.DATA:
            message.data_bytes = len(value)


def _at_least(size: int, value: bytes) -> bytes:
    if len(value) < size:
        raise DecodeError("stun", BAD_ATTRIBUTE)
    return value


def _endpoint_of(value: bytes) -> Endpoint:
    # zero 1, family 1, port 2, address (RFC 8489 section 14.1)
    port = int.from_bytes(value[2:4], "big")
    if len(value) == 8 and value[1] == 1:
        return Endpoint(ip4_text(value[4:8]), port)
    if len(value) == 20 and value[1] == 2:
        return Endpoint(ip6_text(value[4:20]), port)
    raise DecodeError("stun", BAD_ATTRIBUTE)


def _unmask(value: bytes, payload: bytes) -> bytes:
    """Return an address attribute without its XOR (RFC 8489 section 14.2)."""
    mask = payload[4:20]
    address = bytes(a ^ b for a, b in zip(value[4:20], mask, strict=False))
    port = bytes(a ^ b for a, b in zip(value[2:4], mask, strict=False))
    return value[:2] + port + address
