"""Hikvision's P2P version 3: the checksum decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.hik_p2p3 import crc8_of, read_hik_p2p3
from egressd.decode.p2p import Confidence, Part, Peer, Role

PUBLISHED = bytes.fromhex("e2020b030000000200000c23020400000003")


def message(command: int, body: bytes, *, mask: int = 0, header_length: int = 12) -> bytes:
    head = bytearray(12)
    head[0], head[1], head[10] = 0xE2, mask, header_length
    head[2:4] = command.to_bytes(2, "big")
    whole = bytes(head) + body
    return whole[:11] + bytes((crc8_of(whole),)) + whole[12:]


PEER = b"\x74\x11198.51.100.9:6001\xff"
SETUP = message(0x0B02, b"\x05\x03key\xff")


def test_a_published_message_has_the_right_checksum() -> None:
    assert crc8_of(PUBLISHED) == 0x23
    found = read_hik_p2p3(PUBLISHED)
    assert found is not None
    assert (found.message, found.role) == ("P2P_SETUP_ANSWER", Role.LOOKUP)
    assert found.confidence is Confidence.HIGH


@pytest.mark.parametrize(
    ("payload", "peers"),
    [
        pytest.param(message(0x0B03, PEER), 1, id="in-clear"),
        pytest.param(message(0x0B03, b"\x05\x02ab" + PEER), 1, id="behind-another"),
        pytest.param(message(0x0B03, b"\x07\0\x02ab" + PEER, mask=2), 1, id="behind-a-long-one"),
        pytest.param(message(0x0B03, PEER, mask=0x80), 0, id="encrypted"),
        pytest.param(message(0x0B03, b"\x74\x03abc"), 0, id="no-address"),
        pytest.param(message(0x0B03, b"\1\0" * 40 + PEER), 0, id="too-many"),
        pytest.param(message(0x0B03, b"\x74"), 0, id="half-an-attribute"),
    ],
)
def test_an_answer_names_the_peer(payload: bytes, peers: int) -> None:
    found = read_hik_p2p3(payload)
    assert found is not None
    assert found.peers == (Peer("198.51.100.9", 6001, Part.PEER),) * peers


def test_an_expanded_header_is_believed_less() -> None:
    found = read_hik_p2p3(message(0x0C02, bytes(8), mask=4, header_length=18))
    assert found is not None
    assert (found.role, found.confidence) == (Role.MEDIA, Confidence.MEDIUM)


def test_secured_data_is_known_by_its_frame() -> None:
    payload = bytes.fromhex("240200 0010 0000 00000007") + bytes(16 + 32)
    found = read_hik_p2p3(payload)
    assert found is not None
    assert (found.message, found.role) == ("secured data", Role.MEDIA)
    assert read_hik_p2p3(payload + b"\0") is None
    assert read_hik_p2p3(payload[:5] + b"\1" + payload[6:]) is None
    assert read_hik_p2p3(b"\x24\x00\0\x04" + bytes(40)) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(message(0x0B77, b""), id="unknown-command"),
        pytest.param(message(0x0B02, b"", mask=1), id="unused-bit"),
        pytest.param(message(0x0B02, bytes(8), header_length=11), id="short-header"),
        pytest.param(message(0x0B02, b"", header_length=200), id="header-beyond-the-end"),
        pytest.param(message(0x0B02, bytes(8), header_length=13), id="unannounced-expansion"),
        pytest.param(b"\xe1" + SETUP[1:], id="other-magic"),
        pytest.param(SETUP[:11] + bytes((SETUP[11] ^ 1,)) + SETUP[12:], id="wrong-checksum"),
        pytest.param(SETUP + b"\1", id="trailing-byte"),
    ],
)
def test_what_does_not_fit_is_not_hikvision_s(payload: bytes) -> None:
    assert read_hik_p2p3(payload) is None


@pytest.mark.parametrize("end", range(len(SETUP)))
def test_a_cut_message_is_not_hikvision_s(end: int) -> None:
    assert read_hik_p2p3(SETUP[:end]) is None


@given(st.binary(max_size=80), st.sampled_from([0, 2, 4, 0x80]))
def test_never_fails_on_any_bytes(payload: bytes, mask: int) -> None:
    read_hik_p2p3(payload)
    read_hik_p2p3(b"\xe2" + payload)
    read_hik_p2p3(message(0x0B03, payload, mask=mask, header_length=12 + (mask == 4)))


def test_noise_is_not_hikvision_s() -> None:
    assert [payload for payload in noise(9, 200_000) if read_hik_p2p3(payload)] == []
