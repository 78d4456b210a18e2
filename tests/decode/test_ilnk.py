"""iLnk: PPPP's sibling, told apart by its ids and its own numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.ilnk import read_ilnk
from egressd.decode.p2p import Confidence, Role

DID = b"PTZA\0\0\0\0" + (4711).to_bytes(4, "big") + b"BCADE\0\0\0"
CS2_DID = b"VSTA\0\0\0\0" + (4711).to_bytes(4, "big") + b"KLMNP\0\0\0"
ID = "PTZA-004711-BCADE"


def message(magic: int, number: int, rest: bytes) -> bytes:
    return bytes((magic, number)) + len(rest).to_bytes(2, "big") + rest


AWAKE = message(0xA1, 0x00, DID)


@pytest.mark.parametrize(
    ("payload", "name", "role"),
    [
        pytest.param(AWAKE, "AWAKE", Role.KEEPALIVE, id="awake"),
        pytest.param(message(0xA1, 0x01, DID), "SLEEPING", Role.KEEPALIVE, id="sleeping"),
        pytest.param(message(0xF2, 0x10, DID + b"\1"), "0xF210", Role.UNKNOWN, id="f2"),
        pytest.param(message(0xF1, 0x12, DID), "DEV_LGN", Role.REGISTRATION, id="own-login"),
        pytest.param(message(0xF1, 0x33, DID + bytes(32)), "0x33", Role.LAN, id="own-33"),
        pytest.param(message(0xF1, 0x10, DID + bytes(4)), "DEV_LGN", Role.REGISTRATION, id="login"),
        pytest.param(message(0xF1, 0x41, DID), "PUNCH_PKT", Role.PUNCH, id="punch"),
    ],
)
def test_messages_tell_the_id(payload: bytes, name: str, role: Role) -> None:
    found = read_ilnk(payload)
    assert found is not None
    assert (found.protocol, found.message, found.role) == ("ilnk", name, role)
    assert (found.device_id, found.confidence) == (ID, Confidence.HIGH)


def test_an_own_number_without_an_id_is_less_sure() -> None:
    found = read_ilnk(message(0xF1, 0x77, b"\xff" * 288))
    assert found is not None
    assert (found.device_id, found.confidence) == (None, Confidence.MEDIUM)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(message(0xF1, 0x41, CS2_DID), id="id-of-cs2"),
        pytest.param(message(0xF1, 0x41, bytes(20)), id="no-id"),
        pytest.param(message(0xF1, 0x40, DID), id="not-shared"),
        pytest.param(message(0xA1, 0x00, DID + b"\0"), id="wrong-size"),
        pytest.param(message(0xA1, 0x05, DID), id="unknown-type"),
        pytest.param(message(0xA1, 0x00, bytes(20)), id="awake-without-id"),
        pytest.param(message(0xF2, 0x11, DID), id="unknown-f2"),
        pytest.param(AWAKE + b"\0", id="trailing-byte"),
    ],
)
def test_what_does_not_fit_is_not_ilnk(payload: bytes) -> None:
    assert read_ilnk(payload) is None


@pytest.mark.parametrize("end", range(len(AWAKE)))
def test_a_cut_message_is_not_ilnk(end: int) -> None:
    assert read_ilnk(AWAKE[:end]) is None


@given(st.binary(max_size=60), st.sampled_from([b"\xf1\x10", b"\xf1\x12", b"\xa1\0", b"\xf2\x10"]))
def test_never_fails_on_any_bytes(payload: bytes, start: bytes) -> None:
    read_ilnk(payload)
    read_ilnk(start + len(payload).to_bytes(2, "big") + payload)


def test_noise_is_not_ilnk() -> None:
    assert [payload for payload in noise(2, 200_000) if read_ilnk(payload)] == []
