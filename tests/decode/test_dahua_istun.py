"""Inverted STUN: who sees whom, in the bytes that published client code sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.dahua_istun import read_dahua_istun
from egressd.decode.p2p import Confidence, Part, Peer, Role

COOKIE, TRANSACTION, TOKEN = bytes(range(4)), bytes(range(12)), bytes(range(8))
PEER = bytes(255 - byte for byte in (0x1F, 0x90, 192, 0, 2, 33))  # 192.0.2.33:8080
NAMED = b"\xff\xfb\xff\xf7\xff\xfe" + PEER
REQUEST = b"\xff\xfe\xff\xe7" + COOKIE + TRANSACTION + b"\x7f\xd5\xff\xf7" + TOKEN + NAMED
SUCCESS = b"\xfe\xfe\xff\xe7" + COOKIE + TRANSACTION + b"\x7f\xd6\xff\xf7" + TOKEN + NAMED
LONGER = b"\xfe\xfe\xff\xf3" + SUCCESS[4:]  # says 12 and is 24


def plain(kind: int, attributes: bytes, length: int | None = None) -> bytes:
    """Return a message of old STUN, turned over."""
    size = len(attributes) if length is None else length
    clear = kind.to_bytes(2, "big") + size.to_bytes(2, "big") + bytes(16) + attributes
    return bytes(255 - byte for byte in clear)


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        pytest.param(REQUEST, "Binding request", id="request"),
        pytest.param(SUCCESS, "Binding success", id="success"),
        pytest.param(LONGER, "Binding success", id="longer-than-it-says"),
    ],
)
def test_a_punch_names_the_peer(payload: bytes, name: str) -> None:
    found = read_dahua_istun(payload)
    assert found is not None
    assert (found.message, found.role, found.confidence) == (name, Role.PUNCH, Confidence.HIGH)
    assert found.peers == (Peer("192.0.2.33", 8080, Part.PEER),)


def test_plain_attributes_are_believed_less() -> None:
    found = read_dahua_istun(plain(0x0101, bytes.fromhex("00010008 0001 1f90 c0000221")))
    assert found is not None
    assert found.confidence is Confidence.MEDIUM
    assert found.peers == (Peer("192.0.2.33", 8080, Part.MAPPED),)


@pytest.mark.parametrize(
    ("payload", "peers"),
    [
        pytest.param(plain(1, bytes.fromhex("00010008 0002 1f90 c0000221")), 0, id="family"),
        pytest.param(plain(1, bytes.fromhex("00010004 00011f90")), 0, id="short-address"),
        pytest.param(plain(1, bytes.fromhex("00030004 00000000")), 0, id="no-address"),
    ],
)
def test_odd_addresses_name_nobody(payload: bytes, peers: int) -> None:
    found = read_dahua_istun(payload)
    assert found is not None
    assert len(found.peers) == peers


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(plain(2, bytes.fromhex("00030004 00000000")), id="other-type"),
        pytest.param(plain(1, bytes.fromhex("00030004 00000000"), 12), id="plain-and-too-long"),
        pytest.param(plain(1, bytes.fromhex("00990004 00000000")), id="unknown-attribute"),
        pytest.param(plain(1, bytes.fromhex("00030014 00000000")), id="attribute-too-long"),
        pytest.param(plain(1, b""), id="nothing-inside"),
        pytest.param(REQUEST + bytes(300), id="too-long"),
        pytest.param(REQUEST + b"\0", id="trailing-byte"),
        pytest.param(bytes(255 - byte for byte in REQUEST), id="not-turned-over"),
    ],
)
def test_what_does_not_fit_is_not_inverted_stun(payload: bytes) -> None:
    assert read_dahua_istun(payload) is None


@pytest.mark.parametrize("end", set(range(len(REQUEST))) - {32})
def test_a_cut_message_is_not_inverted_stun(end: int) -> None:
    assert read_dahua_istun(REQUEST[:end]) is None


def test_a_message_cut_between_attributes_is_still_known() -> None:
    found = read_dahua_istun(REQUEST[:32])
    assert found is not None
    assert found.peers == ()


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_dahua_istun(payload)
    read_dahua_istun(plain(1, payload))


def test_noise_is_not_inverted_stun() -> None:
    assert [payload for payload in noise(6, 200_000) if read_dahua_istun(payload)] == []
