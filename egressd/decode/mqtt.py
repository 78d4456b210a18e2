"""MQTT (OASIS 3.1.1 and 5.0, IBM 3.1): the first packet of a camera that signals to its cloud.

CONNECT says who the device is: client id and user name are often its serial number. Nothing
after it is read, and the password is never kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from egressd.decode.dns import text_of
from egressd.model import NEED_MORE, DecodeError, NeedMore

CONNECT = 0x10  # type 1 in the upper half, the reserved flags zero (MQTT 3.1.1 section 2.2)
# The variable header opens with the protocol's name and level (section 3.1.2.1).
MQTT_3_1 = b"\0\6MQIsdp\3"
MQTT_3_1_1 = b"\0\4MQTT\4"
MQTT_5 = b"\0\4MQTT\5"
VERSIONS = {
    MQTT_3_1: "3.1",
    MQTT_3_1_1: "3.1.1",
    MQTT_5: "5.0",
    # A broker that bridges to another sets the top bit of the level (Mosquitto).
    b"\0\6MQIsdp\x83": "3.1",
    b"\0\4MQTT\x84": "3.1.1",
}
SHORTEST_CONNECT = 12  # name 6, level 1, flags 1, keep alive 2, an empty client id 2

# Connect flags (section 3.1.2.3)
USERNAME_FLAG = 0x80
PASSWORD_FLAG = 0x40
WILL_RETAIN = 0x20
WILL_QUALITY = 0x18
WILL_FLAG = 0x04
CLEAN = 0x02
RESERVED = 0x01

BAD_LENGTH = "bad length"
BAD_FLAGS = "bad flags"
CUT_FIELD = "cut field"
TRAILING_BYTES = "trailing bytes"
REASONS = (BAD_LENGTH, BAD_FLAGS, CUT_FIELD, TRAILING_BYTES)


@dataclass(slots=True)
class MqttConnect:
    """What a client says of itself when it connects."""

    version: str  # "3.1", "3.1.1" or "5.0"
    client_id: str
    username: str | None
    has_password: bool
    keep_alive: int  # seconds
    will_topic: str | None
    clean: bool


class _Fields:
    """The fields of one packet, taken from the front."""

    __slots__ = ("at", "packet")

    def __init__(self, packet: bytes, at: int) -> None:
        self.packet = packet
        self.at = at

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self.at + size
        if end > len(self.packet):
            raise DecodeError("mqtt", CUT_FIELD)
        taken = self.packet[self.at : end]
        self.at = end
        return taken

    def take_string(self) -> bytes:
        """Return a string or binary with its length in two bytes before it."""
        return self.take(int.from_bytes(self.take(2), "big"))

    def skip_properties(self) -> None:
        """Pass over the properties of version 5 (MQTT 5.0 section 2.2.2)."""
        length = shift = 0
        for shift in (0, 7, 14, 21):
            byte = self.take(1)[0]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        self.take(length)


def read_mqtt_connect(head: bytes) -> MqttConnect | NeedMore | None:
    """Return the CONNECT packet at the head of a TCP stream, or None if it is another protocol."""
    if not head:
        return NEED_MORE
    if head[0] != CONNECT:
        return None
    # The length has one to four bytes of seven bits each, the lowest first (section 2.2.3).
    start = 1
    while start < len(head) and start < 5 and head[start] & 0x80:
        start += 1
    if start == 5:
        return None
    if start >= len(head):
        return NEED_MORE
    length = sum((head[i] & 0x7F) << 7 * (i - 1) for i in range(1, start + 1))
    start += 1
    opening = _opening_of(head[start : start + 9])
    if not isinstance(opening, bytes):
        return opening
    if length < SHORTEST_CONNECT:
        raise DecodeError("mqtt", BAD_LENGTH)
    if len(head) < start + length:
        return NEED_MORE
    return _connect_of(VERSIONS[opening], _Fields(head[: start + length], start + len(opening)))


def _opening_of(head: bytes) -> bytes | NeedMore | None:
    for opening in VERSIONS:
        if head.startswith(opening):
            return opening
    return NEED_MORE if any(opening.startswith(head) for opening in VERSIONS) else None


def _connect_of(version: str, fields: _Fields) -> MqttConnect:
    flags = fields.take(1)[0]
    if flags & RESERVED or (flags & (WILL_QUALITY | WILL_RETAIN) and not flags & WILL_FLAG):
        raise DecodeError("mqtt", BAD_FLAGS)
    keep_alive = int.from_bytes(fields.take(2), "big")
    if version == "5.0":
        fields.skip_properties()
    client_id = text_of(fields.take_string())
    will_topic = None
    if flags & WILL_FLAG:
        if version == "5.0":
            fields.skip_properties()
        will_topic = text_of(fields.take_string())
        fields.take_string()
    username = text_of(fields.take_string()) if flags & USERNAME_FLAG else None
    if flags & PASSWORD_FLAG:
        fields.take_string()
    if fields.at != len(fields.packet):
        raise DecodeError("mqtt", TRAILING_BYTES)
    return MqttConnect(
        version=version,
        client_id=client_id,
        username=username,
        has_password=bool(flags & PASSWORD_FLAG),
        keep_alive=keep_alive,
        will_topic=will_topic,
        clean=bool(flags & CLEAN),
    )
