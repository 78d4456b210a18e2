"""TLS hellos and certificates: RFC 8448's trace, and handshakes of the ssl module."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import ssl
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.tls import (
    Certificate,
    ClientHello,
    ServerFlight,
    read_certificate,
    read_client_hello,
    read_dtls_client,
    read_tls_client,
    read_tls_server,
)
from egressd.model import NEED_MORE, DecodeError

if TYPE_CHECKING:
    from pathlib import Path

# RFC 8448, section 3: ClientHello record of a simple 1-RTT handshake, to the host "server".
RFC8448_CLIENT = bytes.fromhex(
    "16030100c4010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283"
    "024dece7000006130113031302010000910000000b0009000006736572766572ff01000100000a"
    "00140012001d0017001800190100010101020103010400230000003300260024001d002099381d"
    "e560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d00"
    "20001e040305030603020308040805080604010501060102010402050206020202002d00020101"
    "001c00024001"
)
# RFC 8448, section 3: its ServerHello record.
RFC8448_SERVER = bytes.fromhex(
    "160303005a020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772e"
    "d3e269280013010000 2e00330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b"
    "833df1dd69b1b04e751f0f002b00020304"
)


def hello_with(*extensions: bytes, legacy: int = 0x0303) -> bytes:
    """Return a ClientHello record with one cipher and these extensions."""
    block = b"".join(extensions)
    body = legacy.to_bytes(2, "big") + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    body += len(block).to_bytes(2, "big") + block
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + len(message).to_bytes(2, "big") + message


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def server_name(name: bytes, kind: int = 0) -> bytes:
    entry = bytes([kind]) + len(name).to_bytes(2, "big") + name
    return extension(0, len(entry).to_bytes(2, "big") + entry)


def in_records(stream: bytes, size: int) -> bytes:
    """Return a one-record stream cut into records of at most `size` bytes."""
    message = stream[5:]
    parts = [message[i : i + size] for i in range(0, len(message), size)]
    return b"".join(stream[:3] + len(part).to_bytes(2, "big") + part for part in parts)


def hello_of(answer: object) -> ClientHello:
    assert isinstance(answer, ClientHello)
    return answer


def flight_of(answer: object) -> ServerFlight:
    assert isinstance(answer, ServerFlight)
    return answer


def test_the_hello_of_rfc_8448_is_read_whole() -> None:
    assert read_tls_client(RFC8448_CLIENT) == ClientHello(
        version="TLSv1.3",
        legacy_version=0x0303,
        sni="server",
        versions=(0x0304,),
        ciphers=(0x1301, 0x1303, 0x1302),
        extensions=(0, 0xFF01, 10, 35, 51, 43, 13, 45, 28),
        groups=(0x1D, 0x17, 0x18, 0x19, 0x100, 0x101, 0x102, 0x103, 0x104),
        signature_algorithms=(
            *(0x0403, 0x0503, 0x0603, 0x0203, 0x0804, 0x0805, 0x0806, 0x0401),
            *(0x0501, 0x0601, 0x0201, 0x0402, 0x0502, 0x0602, 0x0202),
        ),
    )


def test_every_cut_of_a_hello_needs_more() -> None:
    for end in range(len(RFC8448_CLIENT)):
        assert read_tls_client(RFC8448_CLIENT[:end]) is NEED_MORE


def test_bytes_after_a_hello_change_nothing() -> None:
    assert read_tls_client(RFC8448_CLIENT + b"\0") == read_tls_client(RFC8448_CLIENT)


def test_a_final_cut_hello_gives_the_name_once_it_is_whole() -> None:
    # The server_name extension ends at byte 71 of the record.
    for end in range(len(RFC8448_CLIENT)):
        hello = read_tls_client(RFC8448_CLIENT[:end], final=True)
        if hello is None:
            assert end < 11
            continue
        assert hello_of(hello).cut
        assert hello_of(hello).sni == ("server" if end >= 71 else None)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 199])
def test_a_hello_in_many_records_is_the_same_hello(size: int) -> None:
    stream = in_records(RFC8448_CLIENT, size)
    assert read_tls_client(stream) == read_tls_client(RFC8448_CLIENT)
    assert read_tls_client(stream[:-1]) is NEED_MORE
    assert hello_of(read_tls_client(stream[:-1], final=True)).sni == "server"


def test_a_hello_without_records_is_the_same_hello() -> None:
    assert read_client_hello(RFC8448_CLIENT[5:]) == read_tls_client(RFC8448_CLIENT)
    assert read_client_hello(b"") is NEED_MORE
    assert read_client_hello(b"", final=True) is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\n", id="http"),
        pytest.param(RFC8448_SERVER, id="a server's hello"),
        pytest.param(b"\x15\3\1\0\2\2\x28" + bytes(4), id="alert"),
        pytest.param(b"\x16\2\1", id="version 2.1"),
        pytest.param(b"\x16\3\5", id="version 3.5"),
        pytest.param(b"\x16\3\5\0\x10\1\0\0\x0c", id="version 3.5, long"),
        pytest.param(b"\x16\3\1\0\5\2", id="another message"),
    ],
)
def test_other_protocols_are_not_a_client_hello(head: bytes) -> None:
    assert read_tls_client(head) is None


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\x16\3\1\0\0" + bytes(9), "record length"),
        (b"\x16\3\1\xff\xff\1\0\1\0", "record length"),
        (b"\x16\3\1\0\1\1\x17\3\3\0\1\0", "interrupted hello"),
        (b"\x16\3\1\0\4\1\0\0\0", "hello"),
        (b"\x16\3\1\0\4\1\x7f\0\0", "hello length"),
        (hello_with(extension(0, b"\0\7\0\0\x05name")), "server_name"),
        (hello_with(extension(16, b"\0\3\5h2")), "alpn"),
        (hello_with(extension(10, b"\0\x09\0\x1d")), "extension list"),
        (hello_with(b"\0\x2b\0\xff\3"), "extension length"),
    ],
)
def test_a_broken_hello_is_an_error(head: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_tls_client(head)
    assert (caught.value.protocol, caught.value.reason) == ("tls", reason)


# 41 bytes end behind the compression methods, as SSLv3's hellos do, and are whole.
@pytest.mark.parametrize("size", [*range(41), 42])
def test_a_hello_whose_length_says_it_ends_early_is_broken(size: int) -> None:
    body = hello_with()[9 : 9 + size]
    with pytest.raises(DecodeError):
        read_client_hello(b"\1" + len(body).to_bytes(3, "big") + body)


def test_extensions_that_run_past_their_hello_are_broken() -> None:
    with pytest.raises(DecodeError):
        read_tls_client(hello_with()[:-1] + b"\xff")


def test_a_hello_without_extensions_is_whole() -> None:
    body = b"\3\0" + bytes(32) + b"\0" + b"\0\2\0\x0a" + b"\1\0"
    hello = hello_of(read_client_hello(b"\1\0\0" + bytes([len(body)]) + body))
    assert hello == ClientHello(version="SSLv3", legacy_version=0x0300, ciphers=(10,))


def test_bytes_that_do_not_print_are_escaped_in_names() -> None:
    name = hello_with(server_name(b"a\x00b c\xff.example\n"), extension(16, b"\0\4\3h2\x80"))
    hello = hello_of(read_tls_client(name))
    assert hello.sni == r"a\000b\032c\255.example\010"
    assert hello.alpn == (r"h2\128",)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0", b"\0\3\0\0\0", b"\0\7\1\0\4name"],
    ids=["empty", "empty list", "empty name", "another name type"],
)
def test_a_server_name_without_a_name_is_none(data: bytes) -> None:
    hello = hello_of(read_tls_client(hello_with(extension(0, data))))
    assert hello.sni is None
    assert hello.extensions == (0,)


@pytest.mark.parametrize(
    ("versions", "name"),
    [
        ((0x0A0A, 0x0304, 0x0303), "TLSv1.3"),
        ((0x7F1C, 0x0303), "TLSv1.3 draft-28"),
        ((0xFB1A,), "TLSv1.3 draft-26"),
        ((0x0303, 0x0302), "TLSv1.2"),
        ((0xFEFC, 0xFEFD), "DTLSv1.3"),
        ((0x0909,), "0x0909"),
        ((0xFAFA,), "TLSv1.2"),
        ((), "TLSv1.2"),
    ],
)
def test_the_newest_offered_version_is_named(versions: tuple[int, ...], name: str) -> None:
    data = b"".join(version.to_bytes(2, "big") for version in versions)
    listed = extension(43, bytes([len(data)]) + data)
    hello = hello_of(read_tls_client(hello_with(listed)))
    assert hello.version == name
    assert hello.versions == versions


def test_encrypted_names_are_noticed() -> None:
    hello = hello_of(read_tls_client(hello_with(extension(0xFE0D, b"\0"), server_name(b"relay"))))
    assert (hello.ech, hello.esni, hello.sni) == (True, False, "relay")
    hello = hello_of(read_tls_client(hello_with(extension(0xFFCE, b"\0"))))
    assert (hello.ech, hello.esni, hello.sni) == (False, True, None)


def test_lists_too_short_for_their_own_length_are_empty() -> None:
    hello = hello_of(read_tls_client(hello_with(extension(10, b"\0"), extension(43, b""))))
    assert (hello.groups, hello.versions) == ((), ())


# RFC 5246, E.2: 28 + 9 bytes; three ciphers, the middle one of SSLv2; challenge of 16.
SSLV2 = bytes.fromhex("8022 01 0301 0009 0000 0010 00002f 010080 000035") + bytes(16)


def test_an_sslv2_hello_that_offers_tls_is_read() -> None:
    expected = ClientHello("TLSv1.0", 0x0301, ciphers=(0x2F, 0x010080, 0x35))
    assert read_tls_client(SSLV2) == expected
    for end in range(20):
        assert read_tls_client(SSLV2[:end]) is NEED_MORE
    assert read_tls_client(SSLV2[:10], final=True) is None
    cut = hello_of(read_tls_client(SSLV2[:15], final=True))
    assert (cut.cut, cut.ciphers) == (True, (0x2F,))
    assert read_tls_client(b"", final=True) is None


@pytest.mark.parametrize(
    "change",
    [(1, 0x23), (3, 0x02), (6, 0x08), (6, 0x00), (8, 0x01), (10, 0x0F), (2, 0x04), (3, 0x04)],
)
def test_lengths_that_disagree_are_not_an_sslv2_hello(change: tuple[int, int]) -> None:
    position, value = change
    broken = bytearray(SSLV2)
    broken[position] = value
    assert read_tls_client(bytes(broken)) is None


def test_a_short_challenge_is_not_an_sslv2_hello() -> None:
    assert read_tls_client(bytes.fromhex("8013 01 0301 0003 0000 0007 00002f") + bytes(7)) is None


# DTLS: RFC 6347's layout around the body of a hello.
def dtls_record(body: bytes, offset: int, total: int, *, version: int = 0xFEFD) -> bytes:
    fragment = b"\1" + total.to_bytes(3, "big") + b"\0\0" + offset.to_bytes(3, "big")
    fragment += len(body).to_bytes(3, "big") + body
    header = b"\x16" + version.to_bytes(2, "big") + bytes(8) + len(fragment).to_bytes(2, "big")
    return header + fragment


DTLS_BODY = (
    b"\xfe\xfd" + bytes(32) + b"\0" + b"\2ab" + b"\0\2\xc0\x2b" + b"\1\0" + b"\0\x11"
) + server_name(b"relay.example"[:8])


def test_a_dtls_hello_is_read_with_its_cookie() -> None:
    record = dtls_record(DTLS_BODY, 0, len(DTLS_BODY))
    hello = hello_of(read_dtls_client(record))
    assert (hello.version, hello.sni, hello.ciphers) == ("DTLSv1.2", "relay.ex", (0xC02B,))
    assert read_dtls_client(record + b"\0") == hello


def test_a_dtls_hello_in_fragments_is_joined_within_a_datagram() -> None:
    size = len(DTLS_BODY)
    parts = [dtls_record(DTLS_BODY[i : i + 20], i, size) for i in range(0, size, 20)]
    assert hello_of(read_dtls_client(b"".join(parts))).sni == "relay.ex"
    first = hello_of(read_dtls_client(parts[0]))
    assert (first.cut, first.sni) == (True, None)
    assert hello_of(read_dtls_client(parts[0] + parts[2])).cut
    assert read_dtls_client(parts[1]) is None


@pytest.mark.parametrize("end", range(25))
def test_a_cut_datagram_is_not_dtls(end: int) -> None:
    assert read_dtls_client(dtls_record(DTLS_BODY, 0, len(DTLS_BODY))[:end]) is None


@pytest.mark.parametrize(("position", "value"), [(0, 0x17), (1, 3), (2, 0x33), (13, 2)], ids=str)
def test_other_datagrams_are_not_dtls(position: int, value: int) -> None:
    datagram = bytearray(dtls_record(DTLS_BODY, 0, len(DTLS_BODY)))
    datagram[position] = value
    assert read_dtls_client(bytes(datagram)) is None


@pytest.mark.parametrize("position", [11, 12, 24])
def test_dtls_lengths_that_disagree_are_an_error(position: int) -> None:
    datagram = bytearray(dtls_record(DTLS_BODY, 0, len(DTLS_BODY)))
    datagram[position] = 0 if position == 12 else 0xFF
    if position == 11:
        datagram[14:17] = b"\0\0\1"
    with pytest.raises(DecodeError, match="dtls"):
        read_dtls_client(bytes(datagram))


def test_the_server_of_rfc_8448_chose_tls_1_3_and_shows_no_certificate() -> None:
    assert read_tls_server(RFC8448_SERVER) == ServerFlight("TLSv1.3", 0x1301)
    assert read_tls_server(RFC8448_SERVER + b"\x14\3\3\0\1\1") == ServerFlight("TLSv1.3", 0x1301)


def test_every_cut_of_a_server_hello_needs_more() -> None:
    for end in range(len(RFC8448_SERVER)):
        assert read_tls_server(RFC8448_SERVER[:end]) is NEED_MORE
        assert read_tls_server(RFC8448_SERVER[:end], final=True) is None


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n",
        RFC8448_CLIENT,
        b"\x15\3\3\0\2\2\x28",
        b"\x15\3\3\0\2\2\x28\0\0",
        b"\x16\3\1\0\5\1",
        b"\x16\4\1\0\5\2\0\0\1",
    ],
)
def test_other_protocols_are_not_a_server_flight(head: bytes) -> None:
    assert read_tls_server(head) is None


def tls12_server(*messages: bytes, body: bytes | None = None) -> bytes:
    """Return a TLS 1.2 server's record: hello and these messages."""
    if body is None:
        body = b"\3\3" + bytes(32) + b"\0" + b"\xc0\x2f" + b"\0"
    stream = b"\2" + len(body).to_bytes(3, "big") + body + b"".join(messages)
    return b"\x16\3\3" + len(stream).to_bytes(2, "big") + stream


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (tls12_server(body=bytes(37)), "server hello"),
        (tls12_server(body=b"\3\3" + bytes(32) + b"\x20" + bytes(8)), "server hello"),
        (tls12_server(body=b"\3\3" + bytes(38) + b"\0\x10\0\x40"), "extension length"),
        (b"\x16\3\3\0\4\2\0\0\x46" + b"\x14\3\3\0\1\1", "interrupted hello"),
        (b"\x16\3\3\0\0" + bytes(9), "record length"),
        (tls12_server(bytes.fromhex("0b 000007 000004 000005 00")), "certificate"),
        (tls12_server(bytes.fromhex("0b 000007 000004 000001 00")), "certificate"),
    ],
)
def test_a_broken_server_flight_is_an_error(head: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_tls_server(head)
    assert (caught.value.protocol, caught.value.reason) == ("tls", reason)


@pytest.mark.parametrize(
    ("messages", "after"),
    [
        pytest.param([b"\x0e\0\0\0"], b"", id="done"),
        pytest.param([b"\x0b\0\0\3\0\0\0"], b"", id="empty list"),
        pytest.param([b"\x04\0\0\0"], b"\x14\3\3\0\1\1", id="resumed"),
        pytest.param([], b"\x15\3\3\0\2\2\x28", id="alert"),
    ],
)
def test_a_server_without_certificate_is_not_waited_for(
    messages: list[bytes], after: bytes
) -> None:
    assert read_tls_server(tls12_server(*messages) + after) == ServerFlight("TLSv1.2", 0xC02F)


def test_a_flight_that_ends_before_the_certificate_is_cut() -> None:
    head = tls12_server(b"\x0b\0\0\x20")
    assert read_tls_server(head) is NEED_MORE
    assert read_tls_server(head, final=True) == ServerFlight("TLSv1.2", 0xC02F, cut=True)


def test_the_protocol_a_tls_1_2_server_chose_is_read() -> None:
    body = b"\3\3" + bytes(32) + b"\0\xc0\x2f\0" + b"\0\x09" + extension(16, b"\0\3\2h2")
    flight = flight_of(read_tls_server(tls12_server(b"\x0e\0\0\0", body=body)))
    assert flight.alpn == "h2"


@cache
def self_signed() -> tuple[bytes, bytes]:
    """Return a certificate (PEM) for a camera cloud that does not exist, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Kamera, Müller\x1b[2J"),
            x509.NameAttribute(NameOID.COMMON_NAME, "cloud.example"),
        ]
    )
    names = [
        x509.DNSName("cloud.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.DNSName("*.cloud.example"),
        x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 2, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def handshake(folder: Path, version: ssl.TLSVersion) -> tuple[bytes, bytes]:
    """Return what an OpenSSL client and server say first."""
    certificate, key = self_signed()
    (folder / "server.pem").write_bytes(certificate + key)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "server.pem")
    server_context.set_alpn_protocols(["http/1.1"])
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.maximum_version = version
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="cam.cloud.example")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    said = to_server.read()
    to_server.write(said)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return said, to_client.read()


def test_a_tls_1_2_handshake_of_openssl_shows_name_and_certificate(tmp_path: Path) -> None:
    client, server = handshake(tmp_path, ssl.TLSVersion.TLSv1_2)
    hello = hello_of(read_tls_client(client))
    assert (hello.version, hello.sni) == ("TLSv1.2", "cam.cloud.example")
    assert hello.alpn == ("h2", "http/1.1")
    flight = flight_of(read_tls_server(server))
    assert (flight.version, flight.alpn, flight.cut) == ("TLSv1.2", "http/1.1", False)
    der = ssl.PEM_cert_to_DER_cert(self_signed()[0].decode())
    digest = hashlib.sha1(der, usedforsecurity=False).hexdigest()
    assert flight.certificate == Certificate(
        subject=r"CN=cloud.example, O=Kamera\, Müller\1B[2J, C=DE",
        issuer=r"CN=cloud.example, O=Kamera\, Müller\1B[2J, C=DE",
        sans=("cloud.example", "*.cloud.example", "192.0.2.7", "2001:db8::7"),
        serial="0A:BC",
        not_before="2026-01-02T03:04:05",
        not_after="2027-01-02T00:00:00",
        sha1=":".join(digest[i : i + 2] for i in range(0, 40, 2)),
    )


def test_every_cut_of_a_tls_1_2_flight_needs_more_until_the_leaf_is_whole(tmp_path: Path) -> None:
    _, server = handshake(tmp_path, ssl.TLSVersion.TLSv1_2)
    der = ssl.PEM_cert_to_DER_cert(self_signed()[0].decode())
    whole = server.index(der) + len(der)
    for end in range(whole):
        assert read_tls_server(server[:end]) is NEED_MORE
        flight = read_tls_server(server[:end], final=True)
        assert flight is None or flight_of(flight).cut
    assert flight_of(read_tls_server(server[:whole])).certificate is not None


def test_a_tls_1_3_handshake_of_openssl_shows_the_name_only(tmp_path: Path) -> None:
    client, server = handshake(tmp_path, ssl.TLSVersion.TLSv1_3)
    hello = hello_of(read_tls_client(client))
    assert (hello.version, hello.sni) == ("TLSv1.3", "cam.cloud.example")
    flight = flight_of(read_tls_server(server))
    assert (flight.version, flight.alpn, flight.certificate) == ("TLSv1.3", None, None)


def test_a_certificate_without_alternative_names_has_none() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    day = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day)
    der = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert read_certificate(der).sans == ()
    assert read_certificate(der).serial == "01"


@given(st.integers(0, 600), st.integers(0, 255))
@settings(max_examples=200)
def test_a_damaged_certificate_is_read_or_an_error(position: int, value: int) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(self_signed()[0].decode()))
    der[position % len(der)] = value
    with contextlib.suppress(DecodeError):
        read_certificate(bytes(der))


@given(
    prefix=st.sampled_from([b"", b"\x16\3\1", RFC8448_CLIENT[:60], RFC8448_SERVER[:44], SSLV2[:6]]),
    rest=st.binary(max_size=120),
    final=st.booleans(),
)
@settings(max_examples=200)
def test_any_bytes_give_an_answer_or_a_decode_error(
    prefix: bytes, rest: bytes, *, final: bool
) -> None:
    for read in (read_tls_client, read_tls_server, read_client_hello):
        try:
            answer = read(prefix + rest, final=final)
        except DecodeError:
            continue
        assert not (final and answer is NEED_MORE)


@given(st.sampled_from([b"", dtls_record(DTLS_BODY, 0, 90)[:40]]), st.binary(max_size=80))
@settings(max_examples=150)
def test_any_datagram_gives_an_answer_or_a_decode_error(prefix: bytes, rest: bytes) -> None:
    with contextlib.suppress(DecodeError):
        read_dtls_client(prefix + rest)


@given(st.integers(0, 195), st.integers(0, 255))
@settings(max_examples=150)
def test_a_damaged_hello_is_read_or_an_error(position: int, value: int) -> None:
    message = bytearray(RFC8448_CLIENT[5:])
    message[position] = value
    with contextlib.suppress(DecodeError):
        read_client_hello(bytes(message))
