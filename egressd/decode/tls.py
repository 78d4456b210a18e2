"""TLS, DTLS and SSL: which name a client asks for, and what the server shows of itself.

A ClientHello is read whole: name, protocols, versions, and all that a JA4 needs.
Of a server only what travels in clear: version and cipher, and up to TLS 1.2 the
leaf certificate. Nothing is decrypted and no certificate is validated: that a
server shows a name does not prove that it owns it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1
from struct import Struct, unpack_from
from typing import TYPE_CHECKING

from egressd.model import NEED_MORE, DecodeError, NeedMore

if TYPE_CHECKING:
    from cryptography import x509

U16 = Struct(">H").unpack_from
RECORD = Struct(">BHH").unpack_from  # type, version, length
HEADER = Struct(">BHHB").unpack_from  # the same, then the first handshake type
EXTENSION = Struct(">HH").unpack_from  # type, length
SSLV2_HELLO = Struct(">HBHHHH").unpack_from

HANDSHAKE = 22  # record type
CLIENT_HELLO = 1  # handshake types from here on
SERVER_HELLO = 2
CERTIFICATE = 11
BEFORE_CERTIFICATE = {0, 4, 22, 23}  # hello request, ticket, status, supplemental data

# RFC 8446, 5.1 and RFC 5246, 6.2.1: a plaintext record holds 1 to 2^14 bytes; some stacks sent
# up to 2048 more.
MAX_RECORD = 0x4000 + 0x800
MAX_HELLO = 1 << 17  # OpenSSL's own limit is 131,396

# https://www.iana.org/assignments/tls-extensiontype-values
SERVER_NAME = 0
SUPPORTED_GROUPS = 10
SIGNATURE_ALGORITHMS = 13
ALPN = 16
SUPPORTED_VERSIONS = 43
ENCRYPTED_CLIENT_HELLO = 0xFE0D  # RFC 9849
ENCRYPTED_SERVER_NAME = 0xFFCE  # draft-ietf-tls-esni-02

VERSION_NAMES = {
    0x0002: "SSLv2",
    0x0300: "SSLv3",
    0x0301: "TLSv1.0",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
    0xFEFF: "DTLSv1.0",
    0xFEFD: "DTLSv1.2",
    0xFEFC: "DTLSv1.3",
    0x0100: "DTLSv1.0",  # what OpenSSL sent before RFC 4347
}
DRAFT_PREFIXES = {0x7F, 0xFB}  # RFC 8446, 4.2.1.1 drafts; Facebook's own count of them

UNPRINTABLE = re.compile(rb"[^\x21-\x7e]")


@dataclass(slots=True)
class ClientHello:
    """What a client offers; GREASE values (RFC 8701) are kept where they stood."""

    version: str  # the newest it offers, as "TLSv1.2"
    legacy_version: int
    cut: bool = False  # the capture holds only its beginning
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    ciphers: tuple[int, ...] = ()
    extensions: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    signature_algorithms: tuple[int, ...] = ()
    ech: bool = False  # encrypted_client_hello: `sni` is the relay's public name, or GREASE
    esni: bool = False


@dataclass(slots=True)
class Certificate:
    """A leaf certificate as it was shown, in the text forms of Suricata's EVE."""

    subject: str  # RFC 4514 order: "CN=..., O=..."
    issuer: str
    sans: tuple[str, ...]  # DNS names, then addresses
    serial: str  # "0A:BC:..."
    not_before: str  # ISO 8601 in UTC, without zone
    not_after: str
    sha1: str  # of the DER, "0a:bc:..."


@dataclass(slots=True)
class ServerFlight:
    """What a server answered in clear."""

    version: str
    cipher: int
    alpn: str | None = None  # encrypted, so never seen, in TLS 1.3
    certificate: Certificate | None = None
    cut: bool = False  # a certificate may have followed what the capture holds


def read_tls_client(head: bytes, *, final: bool = False) -> ClientHello | NeedMore | None:
    """Return the ClientHello a TCP stream begins with, or None if it is another protocol.

    `final` says that no more bytes will come: a hello that is not whole is then
    returned as far as it goes, with `cut` set.
    """
    if head[:1] != b"\x16":
        return _read_sslv2_hello(head, final=final)
    size = len(head)
    if size < 9:
        return _begins_handshake(head, CLIENT_HELLO, final=final)
    _, version, record_size, kind = HEADER(head)
    if not 0x0300 <= version <= 0x0304 or (kind != CLIENT_HELLO and record_size):
        return None
    stop = 9 + int.from_bytes(head[6:9], "big")
    if not 4 <= record_size <= MAX_RECORD or stop > record_size + 5:
        return _read_whole_hello(_handshake_of(head), final=final)
    if size >= stop:
        return _client_hello(head, 9, stop)
    return _client_hello(head, 9, size, cut=True) if final else NEED_MORE


def read_client_hello(message: bytes, *, final: bool = False) -> ClientHello | NeedMore | None:
    """Return the ClientHello of a handshake stream without records, as QUIC carries it."""
    return _read_whole_hello(_Handshake(message, closed=False), final=final)


def read_dtls_client(datagram: bytes) -> ClientHello | None:
    """Return the ClientHello in a datagram, `cut` if its fragments go on in another one."""
    if len(datagram) < 25 or datagram[:1] != b"\x16" or datagram[1] not in {0xFE, 0x01}:
        return None
    if U16(datagram, 1)[0] not in VERSION_NAMES or datagram[13] != CLIENT_HELLO:
        return None
    length = int.from_bytes(datagram[14:17], "big")
    body = b""
    # Record: type 1, version 2, epoch 2, sequence 6, length 2 (RFC 6347, 4.1). Handshake:
    # type 1, length 3, message sequence 2, fragment offset 3, fragment length 3 (4.2.2).
    position = 0
    while len(body) < length and datagram[position + 13 : position + 14] == b"\x01":
        record_end = position + 13 + U16(datagram, position + 11)[0]
        if record_end < position + 25 or len(datagram) < position + 25:
            raise DecodeError("dtls", "record length")
        offset = int.from_bytes(datagram[position + 19 : position + 22], "big")
        fragment = int.from_bytes(datagram[position + 22 : position + 25], "big")
        if offset + fragment > length or position + 25 + fragment > record_end:
            raise DecodeError("dtls", "fragment length")
        if offset != len(body):
            break
        body += datagram[position + 25 : position + 25 + fragment]
        position = record_end
    if not body and length:
        return None  # the middle of a hello
    return _client_hello(body, 0, len(body), cut=len(body) < length, datagram=True)


def read_tls_server(head: bytes, *, final: bool = False) -> ServerFlight | NeedMore | None:
    """Return the server's first flight, or None if it is another protocol or only an alert.

    Returned as soon as the leaf certificate is whole, or is known not to come.
    """
    if len(head) < 9:
        return _begins_handshake(head, SERVER_HELLO, final=final)
    record_type, version, record_size, kind = HEADER(head)
    tls = record_type == HANDSHAKE and 0x0300 <= version <= 0x0304
    if not tls or (kind != SERVER_HELLO and record_size):
        return None
    handshake = _handshake_of(head)
    message = handshake.message
    stop = 4 + int.from_bytes(message[1:4], "big")
    if len(message) < max(stop, 4):
        if handshake.closed:
            raise DecodeError("tls", "interrupted hello")
        return None if final else NEED_MORE
    flight = _server_hello(message, 4, stop)
    if flight.version.startswith("TLSv1.3"):
        return flight
    leaf = _find_leaf(message, stop)
    if isinstance(leaf, NeedMore):
        flight.cut = not handshake.closed
        return flight if final or handshake.closed else NEED_MORE
    if leaf is not None:
        flight.certificate = read_certificate(leaf)
    return flight


def read_certificate(der: bytes) -> Certificate:
    """Return the facts of a DER certificate; needs and validates nothing else."""
    # The library takes a tenth of a second to load: only captures with certificates pay it.
    from cryptography import x509  # noqa: PLC0415 - start-up time
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - start-up time

    try:
        return _certificate(x509.load_der_x509_certificate(der), der)
    except (
        ValueError,
        TypeError,
        OverflowError,
        UserWarning,  # its notices of deprecation, where warnings are errors
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise DecodeError("tls", "certificate") from error


@dataclass(slots=True)
class _Handshake:
    """The handshake messages of one direction, without record headers."""

    message: bytes
    closed: bool  # a record of another type follows them


def _begins_handshake(head: bytes, kind: int, *, final: bool) -> NeedMore | None:
    """Return NEED_MORE if fewer than nine bytes may still become a hello of this kind."""
    pattern = (b"\x16", b"\x03", head[2:3], head[3:4], head[4:5], bytes([kind]))
    fits = all(head[i : i + 1] in {b"", byte} for i, byte in enumerate(pattern))
    return NEED_MORE if fits and head[2:3] <= b"\x04" and not final else None


def _handshake_of(head: bytes) -> _Handshake:
    """Join the handshake records at the beginning of a stream."""
    parts = []
    position = 0
    closed = False
    while len(head) - position >= 5:
        record_type, version, size = RECORD(head, position)
        if record_type != HANDSHAKE or version >> 8 != 3:
            closed = True
            break
        if not 0 < size <= MAX_RECORD:
            raise DecodeError("tls", "record length")
        parts.append(head[position + 5 : position + 5 + size])
        position += 5 + size
    return _Handshake(b"".join(parts), closed)


def _read_whole_hello(handshake: _Handshake, *, final: bool) -> ClientHello | NeedMore | None:
    message = handshake.message
    if message[:1] not in {b"", b"\x01"}:
        raise DecodeError("tls", "no hello")
    stop = 4 + int.from_bytes(message[1:4], "big")
    if len(message) >= 4 and stop > MAX_HELLO:
        raise DecodeError("tls", "hello length")
    if len(message) >= max(stop, 4):
        return _client_hello(message, 4, stop)
    if handshake.closed:
        raise DecodeError("tls", "interrupted hello")
    return _client_hello(message, 4, len(message), cut=True) if final else NEED_MORE


def _client_hello(
    data: bytes, position: int, stop: int, *, cut: bool = False, datagram: bool = False
) -> ClientHello | None:
    """Read a hello's body between two offsets; a cut one ends wherever it ends.

    version 2, random 32, session id 1+, [DTLS: cookie 1+], ciphers 2+, compression
    methods 1+, extensions 2+ (RFC 8446, 4.1.2; RFC 6347, 4.2.1).
    """
    if stop - position < 2:
        return _ends_early(None, cut=cut)
    (legacy,) = U16(data, position)
    hello = ClientHello(VERSION_NAMES.get(legacy) or _version_name(legacy), legacy, cut)
    position = _after_vector(data, position + 34, stop)
    if datagram:
        position = _after_vector(data, position, stop)
    if position + 2 > stop:
        return _ends_early(hello, cut=cut)
    (size,) = U16(data, position)
    position += 2
    if position + size > stop:
        return _ends_early(hello, cut=cut)
    hello.ciphers = unpack_from(f">{size // 2}H", data, position)
    position = _after_vector(data, position + size, stop)
    if position == stop:
        return hello  # SSLv3 and TLS 1.0 know no extensions
    if position + 2 > stop:
        return _ends_early(hello, cut=cut)
    end = position + 2 + U16(data, position)[0]
    if end > stop and not cut:
        raise DecodeError("tls", "hello")
    _read_extensions(hello, data, position + 2, min(end, stop))
    return hello


def _ends_early(hello: ClientHello | None, *, cut: bool) -> ClientHello | None:
    if cut:
        return hello
    raise DecodeError("tls", "hello")


def _after_vector(data: bytes, position: int, stop: int) -> int:
    """Return where a vector with a one-byte length ends; beyond `stop` if its length does."""
    return position + 1 + (data[position] if position < stop else 0)


def _read_extensions(hello: ClientHello, data: bytes, position: int, stop: int) -> None:
    kinds = []
    starts = {}
    while position + 4 <= stop:
        kind, size = EXTENSION(data, position)
        position += 4 + size
        kinds.append(kind)
        if position <= stop:
            starts[kind] = position - size
        elif not hello.cut:
            raise DecodeError("tls", "extension length")
    hello.extensions = tuple(kinds)
    if SERVER_NAME in starts:
        hello.sni = _server_name(data, starts[SERVER_NAME])
    if ALPN in starts:
        hello.alpn = _protocols(data, starts[ALPN])
    if SUPPORTED_GROUPS in starts:
        hello.groups = _numbers(data, starts[SUPPORTED_GROUPS])
    if SIGNATURE_ALGORITHMS in starts:
        hello.signature_algorithms = _numbers(data, starts[SIGNATURE_ALGORITHMS])
    if SUPPORTED_VERSIONS in starts:
        hello.versions = _numbers(data, starts[SUPPORTED_VERSIONS], width=1)
        hello.version = _newest(hello.versions) or hello.version
    hello.ech = ENCRYPTED_CLIENT_HELLO in starts
    hello.esni = ENCRYPTED_SERVER_NAME in starts


def _server_name(data: bytes, start: int) -> str | None:
    """Return the host name of a server_name extension (RFC 6066, 3), escaped."""
    size = U16(data, start - 2)[0]
    if size < 5 or data[start + 2]:  # list length 2, name type 1 (0 is a host name), length 2
        return None
    length = U16(data, start + 3)[0]
    if length + 5 > size:
        raise DecodeError("tls", "server_name")
    return _text(data[start + 5 : start + 5 + length]) or None


def _protocols(data: bytes, start: int) -> tuple[str, ...]:
    """Return the names of an ALPN extension (RFC 7301, 3.1), escaped."""
    stop = start + U16(data, start - 2)[0]
    position = start + 2
    names = []
    while position < stop:
        end = position + 1 + data[position]
        if end > stop:
            raise DecodeError("tls", "alpn")
        names.append(_text(data[position + 1 : end]))
        position = end
    return tuple(names)


def _numbers(data: bytes, start: int, *, width: int = 2) -> tuple[int, ...]:
    """Return an extension's list of 16-bit numbers behind a length of `width` bytes."""
    room = U16(data, start - 2)[0] - width
    if room < 0:
        return ()
    size = U16(data, start)[0] if width == 2 else data[start]
    if size > room:
        raise DecodeError("tls", "extension list")
    return unpack_from(f">{size // 2}H", data, start + width)


def _text(raw: bytes) -> str:
    return UNPRINTABLE.sub(lambda match: b"\\%03d" % match[0][0], raw).decode("ascii")


def is_grease(value: int) -> bool:
    """Return whether a number only checks that others ignore it (RFC 8701)."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _newest(versions: tuple[int, ...]) -> str | None:
    """Return the name of the newest version offered, or None if there is none but GREASE."""
    if 0x0304 in versions:
        return "TLSv1.3"
    offered = [version for version in versions if not is_grease(version)]
    if not offered:
        return None
    # DTLS counts downwards.
    return _version_name(min(offered) if offered[0] >> 8 == 0xFE else max(offered))


def _version_name(version: int) -> str:
    if version >> 8 in DRAFT_PREFIXES:
        return f"TLSv1.3 draft-{version & 0xFF}"
    return VERSION_NAMES.get(version, f"0x{version:04x}")


def _read_sslv2_hello(head: bytes, *, final: bool) -> ClientHello | NeedMore | None:
    """Return an SSLv2 hello that offers a later version (RFC 5246, E.2).

    0x8000 | length 2, type 1, version 2, lengths of ciphers, session id, challenge 2 each.
    """
    if not head:
        return None if final else NEED_MORE
    if head[0] < 0x80 or head[2:3] not in {b"", b"\x01"} or head[3:4] > b"\x03":
        return None
    if len(head) < 11:
        return None if final else NEED_MORE
    size, kind, version, ciphers, session, challenge = SSLV2_HELLO(head)
    if kind != CLIENT_HELLO or version not in VERSION_NAMES or ciphers % 3 or not ciphers:
        return None
    if size & 0x7FFF != 9 + ciphers + session + challenge or session not in {0, 16}:
        return None
    if not 16 <= challenge <= 32:
        return None
    if len(head) < 11 + ciphers and not final:
        return NEED_MORE
    listed = head[11 : 11 + ciphers]
    numbers = [int.from_bytes(listed[i : i + 3], "big") for i in range(0, len(listed) - 2, 3)]
    cut = len(listed) < ciphers
    return ClientHello(_version_name(version), version, cut, ciphers=tuple(numbers))


def _server_hello(data: bytes, position: int, stop: int) -> ServerFlight:
    """Read a server hello's body: version 2, random 32, session id 1+, cipher 2, method 1."""
    if stop - position < 38:
        raise DecodeError("tls", "server hello")
    (version,) = U16(data, position)
    position = _after_vector(data, position + 34, stop)
    if position + 3 > stop:
        raise DecodeError("tls", "server hello")
    flight = ServerFlight(_version_name(version), U16(data, position)[0])
    position += 5
    while position + 4 <= stop:
        kind, size = EXTENSION(data, position)
        position += 4 + size
        if position > stop:
            raise DecodeError("tls", "extension length")
        if kind == SUPPORTED_VERSIONS and size == 2:
            flight.version = _version_name(U16(data, position - size)[0])
        elif kind == ALPN:
            flight.alpn = next(iter(_protocols(data, position - size)), None)
    return flight


def _find_leaf(message: bytes, position: int) -> bytes | NeedMore | None:
    """Return the first certificate after the hello, or None if the server sends none."""
    while len(message) - position >= 4:
        kind = message[position]
        size = int.from_bytes(message[position + 1 : position + 4], "big")
        if kind == CERTIFICATE:
            # All certificates 3, then each: length 3, DER (RFC 5246, 7.4.2).
            if len(message) - position < 10:
                return None if size < 6 else NEED_MORE
            leaf = int.from_bytes(message[position + 7 : position + 10], "big")
            if leaf + 6 > size:
                raise DecodeError("tls", "certificate")
            der = message[position + 10 : position + 10 + leaf]
            return der if len(der) == leaf else NEED_MORE
        if kind not in BEFORE_CERTIFICATE:
            return None
        position += 4 + size
    return NEED_MORE


def _certificate(parsed: x509.Certificate, der: bytes) -> Certificate:
    from cryptography import x509  # noqa: PLC0415 - start-up time

    sans: list[str] = []
    with suppress(x509.ExtensionNotFound):
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        sans += map(_printable, names.get_values_for_type(x509.DNSName))
        sans += map(str, names.get_values_for_type(x509.IPAddress))
    serial = f"{parsed.serial_number:X}"
    return Certificate(
        subject=_distinguished(parsed.subject),
        issuer=_distinguished(parsed.issuer),
        sans=tuple(sans),
        serial=_pairs(serial.zfill(len(serial) + len(serial) % 2)),
        not_before=parsed.not_valid_before_utc.replace(tzinfo=None).isoformat(),
        not_after=parsed.not_valid_after_utc.replace(tzinfo=None).isoformat(),
        # SHA-1 names a certificate here, as everywhere; nothing rests on its strength.
        sha1=_pairs(sha1(der, usedforsecurity=False).hexdigest()),
    )


def _distinguished(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - start-up time

    names = {NameOID.EMAIL_ADDRESS: "emailAddress"}  # not one of RFC 4514's, but everyone's
    return _printable(", ".join(part.rfc4514_string(names) for part in reversed(name.rdns)))


def _printable(text: str) -> str:
    r"""Return text with characters that print nothing as UTF-8 in `\XX` (RFC 4514, 2.4)."""
    if text.isprintable():
        return text
    escapes = {it: [f"\\{byte:02X}" for byte in it.encode("utf-8", "replace")] for it in text}
    return "".join(it if it.isprintable() else "".join(escapes[it]) for it in text)


def _pairs(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
