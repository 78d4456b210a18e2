"""STUN and TURN: who asks, what is told, and what is not STUN."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.stun import (
    BAD_ATTRIBUTE,
    BAD_LENGTH,
    CUT_ATTRIBUTE,
    CUT_MESSAGE,
    REASONS,
    TRAILING_BYTES,
    ChannelData,
    Endpoint,
    StunMessage,
    read_channel_data,
    read_stun,
    read_stun_stream,
)
from egressd.model import NEED_MORE, DecodeError

# RFC 5769 section 2.1, sample request
REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701bc34d686fa87dfae"
    "80220010 5354554e207465737420636c69656e74"  # SOFTWARE "STUN test client"
    "00240004 6e0001ff"
    "80290008 932ff9b151263b36"
    "00060009 6576746a3a68367659 202020"  # USERNAME "evtj:h6vY", padded with blanks
    "00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004 e57a3bcf"
)
# RFC 5769 section 2.2, sample IPv4 response
RESPONSE = bytes.fromhex(
    "0101003c 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200008 0001a147e112a643"
    "00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004 c07d4c96"
)
# RFC 5769 section 2.3, sample IPv6 response
RESPONSE_6 = bytes.fromhex(
    "01010048 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014 a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004 c8fb0b4c"
)
# mercury__stun.pcap frame 2: MAPPED-ADDRESS, RESPONSE-ORIGIN, OTHER-ADDRESS, XOR-MAPPED-ADDRESS
MAPPED_TWICE = bytes.fromhex(
    "01010030 2112a442 9ab34ced9aac13fe01000000"
    "00010008 0001cc9c88380445 802b0008 00010d960384e4f9"
    "802c0008 00010d970387d455 00200008 0001ed8ea92aa007"
)
# nDPI__stun.pcap frame 19: the relay asks for credentials
UNAUTHENTICATED = bytes.fromhex(
    "0113003c 2112a442 536e4c665278533665516e54"
    "00090004 00000401"
    "00140011 7475726e2e6c2e676f6f676c652e636f6d 000000"
    "00150018 6d6168366f4f746c33364c46346d774b3061775559413d3d"
)
# nDPI__stun.pcap frame 21: the relay gives an address
ALLOCATED = bytes.fromhex(
    "01030038 2112a442 494343786141736b5a4a5474"
    "00160008 00018e7e2b10a414 000d0004 00000078 00200008 00017d527c3d45a3"
    "00080014 77cf2e9849f6a529bef11df87598fc35db94339e"
)
# nDPI__stun_dtls_rtp.pcapng frame 58: a channel to a peer, from TCP
CHANNEL_BIND = bytes.fromhex(
    "000900902112a4424135494b4b63656862636b78000c00044000000000120008000125f92b1fa4700006002b"
    "434f6a76344b384745675955794c537053476f5935767a2f68374d4c4949436a42544142534e472b74695100"
    "001400117475726e2e6c2e676f6f676c652e636f6d0000000015001843744753477733634c32756b30346b4e"
    "5869516e44413d3d00080014040f5215452e441ec89aa353a531a3b15e5ca638"
)
# nDPI__stun_dtls_rtp.pcapng frame 50, its DATA (112 bytes) left out and the lengths set anew
DATA_INDICATION = bytes.fromhex(
    "00170014 2112a442 637aff741314b5137d655a71 00120008 000125f92b1fa470 00130003 010203 00"
)
# nDPI__stun_classic.pcap frames 1 and 2
CLASSIC_REQUEST = bytes.fromhex("00010008 9429ef88294dd52632c72931cb8dbb4c 00030004 00000000")
CLASSIC_RESPONSE = bytes.fromhex(
    "0101000c 9429ef88294dd52632c72931cb8dbb4c 00010008 0001d70aac103fe0"
)


def read(payload: bytes) -> StunMessage:
    message = read_stun(payload)
    assert message is not None
    return message


def with_attributes(attributes: str, message_type: str = "0101") -> bytes:
    body = bytes.fromhex(attributes)
    head = bytes.fromhex(message_type) + len(body).to_bytes(2, "big")
    return head + bytes.fromhex("2112a442 b7e7a701bc34d686fa87dfae") + body


def reason_of(payload: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        read_stun(payload)
    assert caught.value.protocol == "stun"
    return caught.value.reason


@pytest.mark.parametrize("sample", [REQUEST, RESPONSE, RESPONSE_6])
def test_the_samples_are_spelled_as_the_rfc_has_them(sample: bytes) -> None:
    # RFC 8489 section 14.7: FINGERPRINT is the CRC-32 of all before it, XORed.
    fingerprint = zlib.crc32(sample[:-8]) ^ 0x5354554E
    assert sample[-4:] == fingerprint.to_bytes(4, "big")


def test_a_request_says_who_asks() -> None:
    assert read(REQUEST) == StunMessage(
        method="Binding",
        message_class="request",
        transaction_id="b7e7a701bc34d686fa87dfae",
        cookie=True,
        software="STUN test client",
        username="evtj:h6vY",
    )


@pytest.mark.parametrize(
    ("payload", "mapped"),
    [
        (RESPONSE, Endpoint("192.0.2.1", 32853)),
        (RESPONSE_6, Endpoint("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
        (MAPPED_TWICE, Endpoint("136.56.4.69", 52380)),
        (CLASSIC_RESPONSE, Endpoint("172.16.63.224", 55050)),
    ],
    ids=["ipv4", "ipv6", "both forms", "classic"],
)
def test_a_response_says_where_the_asker_is_seen_from(payload: bytes, mapped: Endpoint) -> None:
    message = read(payload)
    assert (message.message_class, message.mapped) == ("success", mapped)


def test_the_masked_address_is_believed_before_the_plain_one() -> None:
    # A gateway may rewrite addresses it finds in payload (RFC 8489 section 14.2).
    payload = with_attributes("00200008 0001a147e112a643 00010008 0001000109090909")
    assert read(payload).mapped == Endpoint("192.0.2.1", 32853)


def test_a_relay_asks_for_credentials() -> None:
    message = read(UNAUTHENTICATED)
    assert (message.method, message.message_class) == ("Allocate", "error")
    assert (message.error_code, message.realm) == (401, "turn.l.google.com")


def test_a_relay_gives_an_address() -> None:
    message = read(ALLOCATED)
    assert message.relayed == Endpoint("10.2.0.86", 44908)
    assert message.mapped == Endpoint("93.47.225.225", 23616)


def test_a_channel_names_the_peer_behind_the_relay() -> None:
    message = read(CHANNEL_BIND)
    assert (message.method, message.channel) == ("ChannelBind", 0x4000)
    assert message.peers == (Endpoint("10.13.0.50", 1259),)


def test_data_are_counted_and_never_kept() -> None:
    message = read(DATA_INDICATION)
    assert (message.method, message.message_class) == ("Data", "indication")
    assert (message.data_bytes, message.peers) == (3, (Endpoint("10.13.0.50", 1259),))


def test_a_permission_may_name_several_peers() -> None:
    payload = with_attributes("00120008 000125f92b1fa470 00120008 0001a147e112a643", "0008")
    assert [peer.ip for peer in read(payload).peers] == ["10.13.0.50", "192.0.2.1"]


def test_the_classic_form_has_no_cookie() -> None:
    message = read(CLASSIC_REQUEST)
    assert (message.method, message.message_class, message.cookie) == ("Binding", "request", False)
    assert message.transaction_id == "9429ef88294dd52632c72931cb8dbb4c"


def test_an_unknown_method_is_a_number() -> None:
    assert read(with_attributes("", "0200")).method == "0x080"


@pytest.mark.parametrize("end", range(20))
def test_a_cut_header_is_not_stun(end: int) -> None:
    assert read_stun(REQUEST[:end]) is None


@pytest.mark.parametrize("end", range(20, len(REQUEST)))
def test_a_cut_message_is_broken(end: int) -> None:
    assert reason_of(REQUEST[:end]) == CUT_MESSAGE


@pytest.mark.parametrize("end", range(len(CLASSIC_RESPONSE)))
def test_a_cut_classic_message_is_not_stun(end: int) -> None:
    assert read_stun(CLASSIC_RESPONSE[:end]) is None


def test_a_trailing_byte_is_broken() -> None:
    assert reason_of(REQUEST + b"\0") == TRAILING_BYTES
    assert read_stun(CLASSIC_REQUEST + b"\0") is None


def test_an_error_without_its_code_is_broken() -> None:
    # spicystun__stun-malformed-error.pcap frame 2: ERROR-CODE of three bytes
    payload = bytes.fromhex(
        "01110034 2112a442 e7f02b9c4f87d5596104a2fc"
        "00090003 00000500 534552564552204552524f52"
        "00080014 f7f544c1694a3e93f8db145a1b6a889ef488cc6d 80280004 b7586f5e"
    )
    assert reason_of(payload) == BAD_ATTRIBUTE


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ("00200008 0001a147", CUT_ATTRIBUTE),
        ("00200004 0001a147", BAD_ATTRIBUTE),
        ("00010008 0003a147e112a643", BAD_ATTRIBUTE),
        ("000c0002 40000000", BAD_ATTRIBUTE),
    ],
)
def test_a_broken_attribute_has_a_reason(attributes: str, reason: str) -> None:
    assert reason_of(with_attributes(attributes)) == reason


def test_lengths_are_multiples_of_four() -> None:
    payload = REQUEST[:2] + b"\0\x57" + REQUEST[4:-1]
    assert reason_of(payload) == BAD_LENGTH
    with pytest.raises(DecodeError):
        read_stun_stream(payload)


@pytest.mark.parametrize(
    "payload",
    [
        # a DNS query with the id 1, of 20 bytes and more
        bytes.fromhex("0001 0000 0001 0000 0000 0000 02 6162 00 0001 0001"),
        # the inverted form of some camera clouds: every byte complemented
        bytes(255 - byte for byte in CLASSIC_REQUEST),
        bytes.fromhex("0003 0000 9429ef88294dd52632c72931cb8dbb4c"),  # no classic method
        bytes.fromhex(
            "0001 0004 9429ef88294dd52632c72931cb8dbb4c 0020 0000"
        ),  # no classic attribute
        bytes.fromhex("0001 0006 9429ef88294dd52632c72931cb8dbb4c 0003 0000 0000"),
        bytes.fromhex("0101 0008 9429ef88294dd52632c72931cb8dbb4c 0001 0004 0001 0000"),
        bytes(20),
    ],
    ids=["dns", "inverted", "method", "attribute", "walk", "address", "zeros"],
)
def test_other_protocols_are_not_stun(payload: bytes) -> None:
    assert read_stun(payload) is None


def test_a_stream_waits_for_the_whole_message() -> None:
    for end in range(len(CHANNEL_BIND)):
        assert read_stun_stream(CHANNEL_BIND[:end]) is NEED_MORE
    assert read_stun_stream(CHANNEL_BIND) == read(CHANNEL_BIND)
    assert read_stun_stream(CHANNEL_BIND + b"@") == read(CHANNEL_BIND)


def test_a_stream_may_put_the_length_before_each_message() -> None:
    # as in nDPI__stun.pcap frame 3 (RFC 4571)
    framed = len(REQUEST).to_bytes(2, "big") + REQUEST
    for end in range(len(framed)):
        assert read_stun_stream(framed[:end]) is NEED_MORE
    assert read_stun_stream(framed + b"\0") == read(REQUEST)
    assert read_stun_stream(b"\0\x20" + REQUEST) is None


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n", bytes.fromhex("16030100c8010000c403")])
def test_other_streams_are_not_stun(head: bytes) -> None:
    assert read_stun_stream(head) is None


def test_a_channel_may_carry_stun_again() -> None:
    # nDPI__stun.pcap frame 110 opens like this: channel 0x4003, then a Binding request
    inner = REQUEST
    framed = b"\x40\x03" + len(inner).to_bytes(2, "big") + inner
    assert read_stun(framed) is None
    assert read_channel_data(framed) == ChannelData(0x4003, len(inner))


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ("4000 0003 010203", ChannelData(0x4000, 3)),
        ("4000 0003 010203 00", ChannelData(0x4000, 3)),
        ("4000 0004 010203", None),
        ("4000 0003 010203 0000000000", None),
        ("8000 0003 010203", None),
        ("4000", None),
    ],
    ids=["bare", "padded", "cut", "trailing", "rtp", "short"],
)
def test_channel_data_are_a_frame_that_fits(payload: str, answer: ChannelData | None) -> None:
    assert read_channel_data(bytes.fromhex(payload)) == answer


@given(st.binary(max_size=120), st.sampled_from([b"", REQUEST[:8], CLASSIC_REQUEST[:20]]))
def test_never_fails_on_any_bytes(tail: bytes, head: bytes) -> None:
    reason = REASONS[0]
    for read_any in (read_stun, read_stun_stream, read_channel_data):
        try:
            read_any(head + tail)
        except DecodeError as error:
            reason = error.reason
        assert reason in REASONS


@given(st.binary(max_size=100))
def test_attributes_of_any_bytes_never_fail(body: bytes) -> None:
    reason = REASONS[0]
    try:
        read_stun(with_attributes((body + bytes(-len(body) % 4)).hex()))
    except DecodeError as error:
        reason = error.reason
    assert reason in REASONS
