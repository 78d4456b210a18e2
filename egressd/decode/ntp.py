"""NTP and SNTP (RFC 5905, 4330): a camera asks for the time, and from whom.

Time is a common excuse for a contact off site, so only what is truly NTP may pass for it.
Control and private messages (modes 6 and 7) are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from egressd.decode.dns import ip4_text, text_of
from egressd.model import NANOSECONDS_PER_SECOND, DecodeError, Nanoseconds

# leap 2 version 3 mode 3, stratum, poll, precision, root delay, root dispersion, reference id,
# then reference, originate, receive and transmit time (RFC 5905 section 7.3)
HEADER = Struct("!BBbbiI4sQQQQ")
MODES = {1: "active", 2: "passive", 3: "client", 4: "server", 5: "broadcast"}
# Behind the header: nothing, a crypto-NAK, or a key id with a digest of 16, 20 or 32 bytes.
MAC_LENGTHS = frozenset({0, 4, 20, 24, 36})
# RFC 7822 section 7.5.1.4: an extension field takes 16 bytes, and 28 without a MAC behind it.
SHORTEST_EXTENSION = 16

ERA_SECONDS = 1 << 32
UNIX_EPOCH = 2_208_988_800  # in seconds since 1900

CUT_MESSAGE = "cut message"
BAD_EXTENSION = "bad extension"
REASONS = (CUT_MESSAGE, BAD_EXTENSION)


@dataclass(slots=True)
class NtpMessage:
    """One message. Times are None where the field is zero; a client's may be random on purpose."""

    version: int
    mode: str
    stratum: int
    is_request: bool
    length: int
    reference_id: str  # a clock or "kiss" code, else the server's own source
    reference_time: Nanoseconds | None
    originate_time: Nanoseconds | None
    receive_time: Nanoseconds | None
    transmit_time: Nanoseconds | None
    has_extension: bool  # e.g. network time security (RFC 8915)


def read_ntp(payload: bytes, *, expected: bool = False) -> NtpMessage | None:
    """Return the message in a UDP payload, or None if it does not look like one.

    `expected` is for the protocol's own port: the numbers need not be likely there, and a
    message of the right kind that is broken raises DecodeError.
    """
    if not payload:
        return None
    version = payload[0] >> 3 & 7
    mode = MODES.get(payload[0] & 7)
    if mode is None or not 1 <= version <= 4:
        return None
    if len(payload) < HEADER.size:
        if expected:
            raise DecodeError("ntp", CUT_MESSAGE)
        return None
    if not expected and not _is_likely(payload):
        return None
    extra = len(payload) - HEADER.size
    has_extension = extra not in MAC_LENGTHS
    if has_extension and not _is_extension(payload):
        if expected:
            raise DecodeError("ntp", BAD_EXTENSION)
        return None
    fields = HEADER.unpack_from(payload)
    stratum = fields[1]
    return NtpMessage(
        version=version,
        mode=mode,
        stratum=stratum,
        is_request=mode in ("client", "active"),
        length=len(payload),
        reference_id=_reference_of(stratum, fields[6]),
        reference_time=_time_of(fields[7]),
        originate_time=_time_of(fields[8]),
        receive_time=_time_of(fields[9]),
        transmit_time=_time_of(fields[10]),
        has_extension=has_extension,
    )


def _is_likely(payload: bytes) -> bool:
    """Tell whether the numbers are ones that a clock sends; random bytes pass once in 10^8."""
    _, stratum, poll, precision, delay, dispersion, _, _, _, _, transmit = HEADER.unpack_from(
        payload
    )
    if stratum > 16 or not 0 <= poll <= 17 or not -32 <= precision <= 0:
        return False
    # Both are seconds in 16.16 fixed point; MAXDISP is 16 s, some simple clients send 64 s.
    if abs(delay) >= 256 << 16 or dispersion >= 256 << 16:
        return False
    # A DNS header has zeros where the precision stands, too, but its counts are not all zero.
    if precision == 0 and any(payload[1:16]):
        return False
    return bool(transmit) or payload[0] & 7 == 3


def _is_extension(payload: bytes) -> bool:
    """Walk the extension fields: type 2, length 2 (of the whole field), value (RFC 7822)."""
    at = HEADER.size
    while len(payload) - at not in MAC_LENGTHS:
        size = int.from_bytes(payload[at + 2 : at + 4], "big")
        if size < SHORTEST_EXTENSION or size % 4 or at + size > len(payload):
            return False
        at += size
    return True


def _reference_of(stratum: int, raw: bytes) -> str:
    if stratum < 2:
        return text_of(raw.rstrip(b"\0"))
    return ip4_text(raw)


def _time_of(timestamp: int) -> Nanoseconds | None:
    """Return Unix time; a clear top bit means the era from 2036 on (RFC 4330 section 3)."""
    if not timestamp:
        return None
    seconds = timestamp >> 32
    if not seconds >> 31:
        seconds += ERA_SECONDS
    fraction = (timestamp & 0xFFFFFFFF) * NANOSECONDS_PER_SECOND >> 32
    return (seconds - UNIX_EPOCH) * NANOSECONDS_PER_SECOND + fraction
