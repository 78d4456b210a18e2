"""QUIC: the ClientHello inside a connection's first packets, and Google's older CHLO.

A client's Initial packets are encrypted with keys that anyone who sees them can
derive (RFC 9001, 5.2), so the name in them is as open as in TLS over TCP. Only
Initials from the client are opened. Cut datagrams stay closed: without its end
a packet cannot be authenticated.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from egressd.decode.stream import StreamHead
from egressd.decode.tls import ClientHello, read_client_hello
from egressd.model import DecodeError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.ciphers.modes import ECB

U32 = Struct(">I").unpack_from
CHLO_TAG = Struct("<4sI").unpack_from

MAX_DATAGRAMS = 16  # of one flow; a hello takes 1 to 3, resent a few times
MAX_HELLO = 16 * 1024
MAX_CONNECTION_ID = 20  # RFC 9000, 17.2

PADDING, PING, ACK, ACK_ECN, CRYPTO, CLOSE = 0x00, 0x01, 0x02, 0x03, 0x06, 0x1C
NOT_PADDING = re.compile(rb"[^\x00]")
UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")

VarInt: TypeAlias = "tuple[int, int]"  # value, offset behind it


@dataclass(slots=True, frozen=True)
class Version:
    """What a QUIC version changes in an Initial packet."""

    name: str
    salt: bytes
    labels: str = "quic"  # how the HKDF labels begin
    initial: int = 0  # packet type bits of an Initial


SALT_DRAFT_22 = bytes.fromhex("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")
SALT_DRAFT_23 = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
SALT_DRAFT_29 = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # RFC 9001, 5.2
SALT_V2_DRAFT = bytes.fromhex("a707c203a59b47184a1d62ca570406ea7ae3e5d3")
SALT_V2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")  # RFC 9369, 3.3.1

VERSIONS = {
    1: Version("v1", SALT_V1),
    0x6B3343CF: Version("v2", SALT_V2, "quicv2", 1),
    0x709A50C4: Version("v2-draft", SALT_V2_DRAFT, "quicv2", 1),
    0xFF000016: Version("draft-22", SALT_DRAFT_22),
    **{0xFF000000 | n: Version(f"draft-{n}", SALT_DRAFT_23) for n in range(23, 29)},
    **{0xFF000000 | n: Version(f"draft-{n}", SALT_DRAFT_29) for n in range(29, 33)},
    **{0xFF000000 | n: Version(f"draft-{n}", SALT_V1) for n in range(33, 35)},
    # mvfst, the implementation of Meta's apps, numbers its own.
    0xFACEB001: Version("mvfst-1", SALT_DRAFT_22),
    0xFACEB002: Version("mvfst-2", SALT_DRAFT_23),
    0xFACEB003: Version("mvfst-3", SALT_V1),
    0xFACEB004: Version("mvfst-4", SALT_V1),
    0xFACEB00E: Version("mvfst-e", SALT_DRAFT_23),
}


@dataclass(slots=True)
class GquicHello:
    """What a client of Google's QUIC before TLS (Q025 to Q046) sends in clear."""

    version: str | None  # "Q046"; None in packets that leave it out
    sni: str | None
    user_agent: str | None


def is_quic_initial(datagram: bytes) -> bool:
    """Return whether a datagram begins with an Initial packet of a version read here."""
    return (
        len(datagram) > 7
        and datagram[0] >= 0xC0  # long header, fixed bit
        and (version := VERSIONS.get(U32(datagram, 1)[0])) is not None
        and datagram[0] >> 4 & 3 == version.initial
        and datagram[5] <= MAX_CONNECTION_ID
    )


def read_gquic_chlo(datagram: bytes) -> GquicHello | None:
    """Return the CHLO of a Google QUIC datagram, or None if it holds none.

    The tag, a count (LE16), two bytes of padding, then per value its tag and its end
    (LE32); the values follow. Where packet and frame headers end depends on the
    version, so the tag is looked for.
    """
    start = datagram.find(b"CHLO", 9, 64)
    if start < 0 or len(datagram) < start + 8:
        return None
    count = int.from_bytes(datagram[start + 4 : start + 6], "little")
    if not 0 < count <= 128 or datagram[start + 6 : start + 8] != b"\0\0":
        return None
    values = start + 8 + 8 * count
    found = {}
    begin = 0
    for position in range(start + 8, min(values, len(datagram) - 7), 8):
        tag, end = CHLO_TAG(datagram, position)
        if end < begin:
            raise DecodeError("gquic", "chlo")
        if values + end <= len(datagram):
            found[tag] = datagram[values + begin : values + end]
        begin = end
    version = datagram[1:5] if datagram[0] & 0x80 else datagram[9:13]
    known = version[:1] == b"Q" and version[1:].isdigit()
    return GquicHello(
        version=version.decode("ascii") if known else None,
        sni=_text(found.get(b"SNI\0", b"")).replace(" ", r"\032") or None,
        user_agent=_text(found.get(b"UAID", b"")) or None,
    )


class QuicReader:
    """Opens the client's Initials of one flow until the ClientHello is whole.

    `undecryptable` counts Initials that no key opened: cut or damaged ones, and the
    server's. After `done` nothing more is read.
    """

    __slots__ = ("_crypto", "_datagrams", "_keys", "done", "hello", "undecryptable", "version")

    def __init__(self) -> None:
        self.hello: ClientHello | None = None
        self.version: str | None = None  # "v1", "v2", "draft-29"
        self.done = False
        self.undecryptable = 0
        self._datagrams = 0
        self._keys: _Keys | None = None
        self._crypto = StreamHead(MAX_HELLO)

    def add(self, datagram: bytes) -> ClientHello | None:
        """Read one more datagram; return the ClientHello when this one completes it."""
        if self.done:
            return None
        self._datagrams += 1
        try:
            self._walk(datagram)
        except DecodeError:
            self.done = True
            raise
        if self.hello is not None or self._datagrams >= MAX_DATAGRAMS:
            self.done = True
        return self.hello

    def _walk(self, datagram: bytes) -> None:
        """Open the Initials among a datagram's coalesced packets (RFC 9000, 12.2)."""
        position = 0
        dcid = None
        while self.hello is None and len(datagram) - position > 7 and datagram[position] >= 0xC0:
            packet = _packet(datagram, position)
            if packet is None or dcid not in {None, packet.dcid}:
                return
            if packet.initial and not self._open(packet):
                return
            position = packet.end
            dcid = packet.dcid

    def _open(self, packet: _Packet) -> bool:
        """Read an Initial; return whether a key opened it.

        The keys that worked before come first, then those of the packet's own connection
        id: it changes after a Retry, and when a new connection takes over the ports.
        """
        self.version = packet.version.name
        payload = None
        if self._keys is not None and self._keys.version is packet.version:
            payload = _decrypt(packet, self._keys)
        if payload is None and (self._keys is None or self._keys.dcid != packet.dcid):
            keys = _keys_of(packet.version, packet.dcid)
            payload = _decrypt(packet, keys)
            if payload is not None:
                self._keys = keys
                self._crypto = StreamHead(MAX_HELLO)
        if payload is None:
            self.undecryptable += 1
            return False
        _read_frames(payload, self._crypto)
        hello = read_client_hello(self._crypto.head)
        if isinstance(hello, ClientHello):
            self.hello = hello
        return True


@dataclass(slots=True)
class _Packet:
    """One long-header packet of a datagram, still protected."""

    datagram: bytes
    start: int
    number: int  # where the packet number begins
    end: int
    version: Version
    dcid: bytes
    initial: bool


@dataclass(slots=True)
class _Keys:
    """What opens the Initials that a client sends to one connection id."""

    version: Version
    dcid: bytes
    header: Cipher[ECB]
    payload: AESGCM
    iv: int


def _packet(datagram: bytes, start: int) -> _Packet | None:
    """Return the packet at an offset, or None if it cannot be one or is cut.

    first 1, version 4, DCID 1+, SCID 1+, [Initial: token varint+], length varint, packet
    number 1-4, payload (RFC 9000, 17.2.2).
    """
    version = VERSIONS.get(U32(datagram, start + 1)[0])
    dcid_end = start + 6 + datagram[start + 5]
    if version is None or datagram[start + 5] > MAX_CONNECTION_ID or dcid_end >= len(datagram):
        return None
    initial = datagram[start] >> 4 & 3 == version.initial
    try:
        position = dcid_end + 1 + datagram[dcid_end]
        if initial:
            size, position = _varint(datagram, position)
            position += size
        size, number = _varint(datagram, position)
    except IndexError:
        return None
    end = number + size
    # The header's mask is taken from 16 bytes, 4 behind the packet number (RFC 9001, 5.4.2).
    if size < 20 or end > len(datagram):
        return None
    dcid = datagram[start + 6 : dcid_end]
    return _Packet(datagram, start, number, end, version, dcid, initial)


def _varint(data: bytes, position: int) -> VarInt:
    """Return a variable-length integer and where it ends (RFC 9000, 16)."""
    first = data[position]
    end = position + (1 << (first >> 6))
    if end > len(data):
        raise IndexError
    value = int.from_bytes(data[position:end], "big")
    return value & ((1 << (8 * (end - position) - 2)) - 1), end


def _keys_of(version: Version, dcid: bytes) -> _Keys:
    """Derive a client's Initial keys (RFC 9001, 5.1 and 5.2)."""
    # The library takes a tenth of a second to load: only captures with QUIC pay it.
    from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415 - start-up time
        Cipher,
        algorithms,
        modes,
    )
    from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - start-up time
        AESGCM,
    )

    initial = hmac.digest(version.salt, dcid, "sha256")
    secret = _expand(initial, "client in", 32)
    return _Keys(
        version,
        dcid,
        # One block as a mask, as RFC 9001, 5.4.3 prescribes: not a mode for messages.
        Cipher(
            algorithms.AES(_expand(secret, f"{version.labels} hp", 16)),
            modes.ECB(),  # noqa: S305 - see above
        ),
        AESGCM(_expand(secret, f"{version.labels} key", 16)),
        int.from_bytes(_expand(secret, f"{version.labels} iv", 12), "big"),
    )


def _expand(secret: bytes, label: str, size: int) -> bytes:
    """Return HKDF-Expand-Label (RFC 8446, 7.1) for at most 32 bytes and an empty context."""
    text = b"tls13 " + label.encode("ascii")
    info = size.to_bytes(2, "big") + bytes([len(text)]) + text + b"\0"
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def _decrypt(packet: _Packet, keys: _Keys) -> bytes | None:
    """Return a packet's frames, or None if these are not its keys."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - start-up time

    data, number = packet.datagram, packet.number
    mask = keys.header.encryptor().update(data[number + 4 : number + 20])
    first = data[packet.start] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    sealed = int.from_bytes(data[number : number + size], "big")
    # A client's first packets: the number has never outgrown its 1 to 4 bytes.
    plain = sealed ^ int.from_bytes(mask[1 : 1 + size], "big")
    header = bytes([first]) + data[packet.start + 1 : number] + plain.to_bytes(size, "big")
    nonce = (keys.iv ^ plain).to_bytes(12, "big")
    try:
        return keys.payload.decrypt(nonce, data[number + size : packet.end], header)
    except InvalidTag:
        return None


def _read_frames(payload: bytes, crypto: StreamHead) -> None:
    """Store the CRYPTO frames of an Initial; others it may hold are stepped over."""
    position = 0
    try:
        while (found := NOT_PADDING.search(payload, position)) is not None:
            position = found.start() + 1
            kind = payload[position - 1]
            if kind == CRYPTO:
                offset, position = _varint(payload, position)
                size, position = _varint(payload, position)
                if position + size > len(payload):
                    raise DecodeError("quic", "frame length")
                crypto.add(offset, payload[position : position + size])
                position += size
            elif kind in {ACK, ACK_ECN}:
                position = _after_ack(payload, position, ecn=kind == ACK_ECN)
            elif kind == CLOSE:
                return
            elif kind != PING:
                raise DecodeError("quic", "frame type")
    except IndexError:
        raise DecodeError("quic", "frame length") from None


def _after_ack(payload: bytes, position: int, *, ecn: bool) -> int:
    """Return where an ACK frame ends (RFC 9000, 19.3)."""
    for _ in range(2):  # largest acknowledged, delay
        _, position = _varint(payload, position)
    ranges, position = _varint(payload, position)
    for _ in range(1 + 2 * ranges + 3 * ecn):
        _, position = _varint(payload, position)
    return position


def _text(raw: bytes) -> str:
    return UNPRINTABLE.sub(lambda match: b"\\%03d" % match[0][0], raw).decode("ascii")
