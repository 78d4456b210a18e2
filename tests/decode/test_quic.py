"""QUIC Initials: the vectors of RFC 9001 and RFC 9369, and hellos that aioquic sends."""

from __future__ import annotations

import contextlib

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import CryptoPair
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.quic import (
    MAX_DATAGRAMS,
    GquicHello,
    QuicReader,
    is_quic_initial,
    read_gquic_chlo,
)
from egressd.decode.tls import ClientHello
from egressd.model import DecodeError

V1, V2 = 0x00000001, 0x6B3343CF

# RFC 9001 and RFC 9369, A.2: connection id, CRYPTO frame, how the protected packet begins and ends.
DCID = bytes.fromhex("8394c8f03e515708")
HELLO_FRAME = bytes.fromhex(
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c"
    "00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006"
    "001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa4"
    "7fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e040305"
    "0306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ff"
    "ff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff"
)
HELLO = HELLO_FRAME[4:]
V1_BEGINS = bytes.fromhex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11")
V1_ENDS = bytes.fromhex("e221af44860018ab0856972e194cd934")
V2_BEGINS = bytes.fromhex("d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485")


def crypto(offset: int, data: bytes) -> bytes:
    """Return a CRYPTO frame (RFC 9000, 19.6)."""
    return b"\x06" + varint(offset) + varint(len(data)) + data


def varint(value: int) -> bytes:
    return (value | 0x80000000).to_bytes(4, "big")


def initial(  # noqa: PLR0913 - every field of a packet that a test changes
    frames: bytes,
    *,
    number: int = 0,
    dcid: bytes = DCID,
    keys: bytes = DCID,
    version: int = V1,
    token: bytes = b"",
) -> bytes:
    """Return a client's Initial packet, protected by aioquic with the keys of `keys`."""
    pair = CryptoPair()
    pair.setup_initial(cid=keys, is_client=True, version=version)
    first = 0xC3 if version == V1 else 0xD3
    header = bytes([first]) + version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid + b"\0"
    header += varint(len(token)) + token + varint(4 + len(frames) + 16) + number.to_bytes(4, "big")
    protected: bytes = pair.encrypt_packet(header, frames, number)
    return protected


def rfc_packet(version: int) -> bytes:
    pair = CryptoPair()
    pair.setup_initial(cid=DCID, is_client=True, version=version)
    header = bytes([0xC3 if version == V1 else 0xD3]) + version.to_bytes(4, "big")
    header += bytes.fromhex("088394c8f03e5157080000449e00000002")
    protected: bytes = pair.encrypt_packet(header, HELLO_FRAME.ljust(1162, b"\0"), 2)
    return protected


def test_the_packets_here_are_those_of_the_rfcs() -> None:
    assert rfc_packet(V1).startswith(V1_BEGINS)
    assert rfc_packet(V1).endswith(V1_ENDS)
    assert rfc_packet(V2).startswith(V2_BEGINS)
    assert len(rfc_packet(V1)) == len(rfc_packet(V2)) == 1200


@pytest.mark.parametrize(("version", "name"), [(V1, "v1"), (V2, "v2")], ids=["9001", "9369"])
def test_the_hello_of_the_rfcs_is_read(version: int, name: str) -> None:
    reader = QuicReader()
    hello = reader.add(rfc_packet(version))
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.alpn, hello.version) == ("example.com", ("alpn",), "TLSv1.3")
    assert (reader.version, reader.done, reader.hello) == (name, True, hello)
    assert reader.add(rfc_packet(version)) is None
    assert reader.undecryptable == 0


def test_every_cut_of_an_initial_stays_closed() -> None:
    packet = rfc_packet(V1)
    for end in range(0, len(packet), 7):
        reader = QuicReader()
        assert reader.add(packet[:end]) is None
        assert reader.undecryptable == 0


def test_bytes_after_a_packet_change_nothing() -> None:
    hello = QuicReader().add(rfc_packet(V1) + b"\0")
    assert hello is not None
    assert hello.sni == "example.com"


def test_a_damaged_packet_is_counted_and_the_next_one_read() -> None:
    packet = rfc_packet(V1)
    reader = QuicReader()
    assert reader.add(packet[:-1] + b"\0") is None
    assert reader.undecryptable == 1
    assert reader.add(packet) is not None


def test_a_hello_in_many_frames_and_packets_out_of_order_is_joined() -> None:
    reader = QuicReader()
    last = b"\1" + crypto(200, HELLO[200:]) + bytes(9) + crypto(100, HELLO[100:150])
    assert reader.add(initial(last, number=1)) is None
    assert not reader.done
    ack = b"\x02" + varint(7) + varint(0) + varint(1) + varint(0) * 3
    ack_ecn = b"\x03" + varint(7) + varint(0) + varint(0) + varint(0) * 4
    first = ack + ack_ecn + crypto(0, HELLO[:100]) + crypto(140, HELLO[140:200])
    hello = reader.add(initial(first, number=0))
    assert hello is not None
    assert hello.sni == "example.com"


def test_coalesced_packets_are_read() -> None:
    handshake = b"\xe0" + V1.to_bytes(4, "big") + b"\x08" + DCID + b"\0" + varint(30) + bytes(30)
    two = initial(crypto(0, HELLO[:80])) + handshake + initial(crypto(80, HELLO[80:]), number=1)
    assert QuicReader().add(two) is not None


def test_a_packet_to_another_connection_is_not_read_with_the_first_one() -> None:
    other = initial(crypto(80, HELLO[80:]), number=1, dcid=b"other", keys=b"other")
    reader = QuicReader()
    assert reader.add(initial(crypto(0, HELLO[:80])) + other) is None
    assert reader.undecryptable == 0


def test_keys_stay_those_of_the_first_connection_id() -> None:
    # RFC 9001, 5.2: the client takes over the server's id, the keys do not change.
    reader = QuicReader()
    assert reader.add(initial(crypto(0, HELLO[:80]))) is None
    assert reader.add(initial(crypto(80, HELLO[80:]), number=1, dcid=b"server")) is not None


def test_a_retry_brings_new_keys_and_the_hello_again() -> None:
    reader = QuicReader()
    assert reader.add(initial(crypto(0, HELLO[:80]))) is None
    retried = initial(crypto(0, HELLO), number=1, dcid=b"retry", keys=b"retry", token=b"token")
    assert reader.add(retried) is not None


def test_a_server_initial_is_counted_as_undecryptable() -> None:
    pair = CryptoPair()
    pair.setup_initial(cid=DCID, is_client=False, version=V1)
    header = b"\xc3" + V1.to_bytes(4, "big") + b"\0\0" + varint(0) + varint(50) + bytes(4)
    reader = QuicReader()
    assert reader.add(pair.encrypt_packet(header, bytes(30), 0)) is None
    assert reader.undecryptable == 1
    assert reader.add(initial(crypto(0, HELLO))) is not None


def test_a_closed_connection_gives_nothing() -> None:
    reader = QuicReader()
    assert reader.add(initial(b"\x1c" + bytes(40))) is None
    assert not reader.done


def test_the_number_of_datagrams_is_bounded() -> None:
    reader = QuicReader()
    for _ in range(MAX_DATAGRAMS):
        assert not reader.done
        assert reader.add(initial(b"\1" + bytes(30))) is None
    assert reader.done
    assert reader.add(rfc_packet(V1)) is None


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (b"\x08" + bytes(30), "quic: frame type"),
        (b"\x06" + varint(0) + varint(900) + bytes(30), "quic: frame length"),
        (bytes(30) + b"\x06\xc0", "quic: frame length"),
        (b"\x02" + varint(0) * 2 + varint(1 << 29) + bytes(30), "quic: frame length"),
        (crypto(0, b"\2\0\0\0" + bytes(20)), "tls: no hello"),
        (crypto(0, b"\1\0\0\4" + bytes(20)), "tls: hello"),
    ],
)
def test_authentic_packets_with_broken_contents_are_an_error(frames: bytes, message: str) -> None:
    reader = QuicReader()
    with pytest.raises(DecodeError, match=message):
        reader.add(initial(frames))
    assert reader.done


@pytest.mark.parametrize(("version", "name"), [(V1, "v1"), (V2, "v2")])
def test_a_hello_of_aioquic_over_several_datagrams_is_read(version: int, name: str) -> None:
    protocols = ["h3", *(f"protocol-{number}" for number in range(200))]
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=protocols,
        server_name="cam.cloud.example",
        original_version=version,
        supported_versions=[version],
    )
    client = QuicConnection(configuration=configuration)
    client.connect(("192.0.2.1", 443), now=0.0)
    datagrams = [data for data, _ in client.datagrams_to_send(now=0.0)]
    assert len(datagrams) > 1
    assert all(is_quic_initial(datagram) for datagram in datagrams)
    reader = QuicReader()
    answers = [reader.add(datagram) for datagram in datagrams]
    hello = reader.hello
    assert hello is not None
    assert [answer for answer in answers if answer is not None] == [hello]
    assert (hello.sni, reader.version) == ("cam.cloud.example", name)
    assert hello.alpn == tuple(protocols)


@pytest.mark.parametrize(
    ("datagram", "answer"),
    [
        pytest.param(V1_BEGINS, True, id="v1"),
        pytest.param(V2_BEGINS, True, id="v2"),
        pytest.param(b"\xc0\xff\0\0\x1d\x08" + DCID, True, id="draft-29"),
        pytest.param(b"\xe0" + V1_BEGINS[1:], False, id="v1 handshake"),
        pytest.param(b"\xc0" + V2_BEGINS[1:], False, id="v2 retry"),
        pytest.param(b"\x40" + V1_BEGINS[1:], False, id="short header"),
        pytest.param(b"\x80" + V1_BEGINS[1:], False, id="no fixed bit"),
        pytest.param(b"\xc0\0\0\0\0\x08" + DCID, False, id="version negotiation"),
        pytest.param(b"\xc0\0\0\0\1\x15" + bytes(30), False, id="connection id of 21"),
        pytest.param(V1_BEGINS[:7], False, id="short"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_what_an_initial_looks_like(datagram: bytes, answer: bool) -> None:  # noqa: FBT001 - a case
    assert is_quic_initial(datagram) is answer


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(b"\xc0\0\0\0\1\x15" + bytes(40), id="connection id of 21"),
        pytest.param(b"\xc0\0\0\0\1\x14" + bytes(10), id="connection id beyond the end"),
        pytest.param(b"\xc0\0\0\0\1\0\xff" + bytes(10), id="source id beyond the end"),
        pytest.param(b"\xc0\0\0\0\1\0\0\x40", id="half a token length"),
        pytest.param(b"\xc0\0\0\0\1\0\0\0\x13" + bytes(40), id="too short to sample"),
    ],
)
def test_a_broken_header_is_passed_over(datagram: bytes) -> None:
    reader = QuicReader()
    assert reader.add(datagram) is None
    assert reader.undecryptable == 0


# nDPI's quic_q46.pcap, frame 1 as to header and order of tags; values shortened.
def chlo(*tags: tuple[bytes, bytes]) -> bytes:
    table, values = b"", b""
    for tag, value in tags:
        values += value
        table += tag + len(values).to_bytes(4, "little")
    return b"CHLO" + len(tags).to_bytes(2, "little") + b"\0\0" + table + values


Q046 = bytes.fromhex("c3 51303436 50 eacfe6e706df272d 00000004 60da58929f6839d0860efc58 a4010400")
Q035 = bytes.fromhex("0d 484a3d55c439cd13 51303335 01 0bf537e576ae5f9e40356f33 01a00100")
TAGS = ((b"PAD\0", b"--"), (b"SNI\0", b"play.example"), (b"VER\0", b"Q0"), (b"UAID", b"App 1"))


def test_a_google_chlo_names_its_server() -> None:
    expected = GquicHello("Q046", "play.example", "App 1")
    assert read_gquic_chlo(Q046 + chlo(*TAGS)) == expected
    assert read_gquic_chlo(Q046 + chlo(*TAGS) + b"x") == expected
    expected.version = "Q035"
    assert read_gquic_chlo(Q035 + chlo(*TAGS)) == expected


def test_a_chlo_without_version_is_read_too() -> None:
    resent = bytes.fromhex("0c 623fa35a37824423 02 21882b9bdca464c1652be8f2 4001f00d")
    assert read_gquic_chlo(resent + chlo(*TAGS[:2])) == GquicHello(None, "play.example", None)


def test_every_cut_of_a_chlo_is_read_as_far_as_it_goes() -> None:
    datagram = Q046 + chlo(*TAGS)
    name_end = datagram.index(b"play.example") + len("play.example")
    for end in range(len(datagram)):
        found = read_gquic_chlo(datagram[:end])
        assert (found.sni if found else None) == ("play.example" if end >= name_end else None)


@pytest.mark.parametrize(
    "datagram",
    [rfc_packet(V1), Q046 + b"CHLO\0\0\0\0" + bytes(20), Q046 + b"CHLO\1\0\1\0" + bytes(20), b""],
    ids=["quic", "no tags", "no padding", "empty"],
)
def test_other_datagrams_hold_no_chlo(datagram: bytes) -> None:
    assert read_gquic_chlo(datagram) is None


def test_a_chlo_whose_ends_go_back_is_an_error() -> None:
    broken = bytearray(Q046 + chlo(*TAGS))
    at = broken.index(b"SNI\0") + 4
    broken[at] = 0
    with pytest.raises(DecodeError, match="gquic: chlo"):
        read_gquic_chlo(bytes(broken))


@given(
    st.sampled_from([b"", V1_BEGINS[:6], V1_BEGINS, V2_BEGINS, Q046, Q046 + b"CHLO\2\0\0\0"]),
    st.binary(max_size=120),
)
@settings(max_examples=200)
def test_any_datagram_gives_an_answer_or_a_decode_error(prefix: bytes, rest: bytes) -> None:
    reader = QuicReader()
    assert reader.add(prefix + rest) is None
    is_quic_initial(prefix + rest)
    with contextlib.suppress(DecodeError):
        read_gquic_chlo(prefix + rest)


@given(st.binary(max_size=60))
@settings(max_examples=100)
def test_any_authentic_contents_give_an_answer_or_a_decode_error(frames: bytes) -> None:
    with contextlib.suppress(DecodeError):
        QuicReader().add(initial(frames + bytes(4)))
