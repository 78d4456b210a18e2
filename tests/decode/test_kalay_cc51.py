"""Kalay 4.3: the plain header, and what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.kalay_cc51 import read_kalay_cc51
from egressd.decode.p2p import Confidence, Role


def message(command: int, rest: bytes, *, answer: int = 0) -> bytes:
    fields = (command, len(rest), answer, 1)
    return b"\x51\xcc\0\0" + b"".join(field.to_bytes(2, "little") for field in fields) + rest


DISCOVERY = message(0x1002, bytes(40))
DTLS = bytes(16) + bytes.fromhex("16fefd") + bytes(40)


@pytest.mark.parametrize(
    ("payload", "name", "role"),
    [
        pytest.param(DISCOVERY, "discovery", Role.LOOKUP, id="discovery"),
        pytest.param(
            message(0x1002, bytes(40), answer=0xFFFF), "discovery answer", Role.LOOKUP, id="answer"
        ),
        pytest.param(message(0x1202, bytes(36)), "keepalive", Role.KEEPALIVE, id="keepalive"),
        pytest.param(message(0x1502, DTLS), "data", Role.MEDIA, id="data"),
    ],
)
def test_messages_have_a_role(payload: bytes, name: str, role: Role) -> None:
    found = read_kalay_cc51(payload)
    assert found is not None
    assert (found.protocol, found.message, found.role) == ("kalay-cc51", name, role)
    assert (found.device_id, found.confidence) == (None, Confidence.HIGH)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(message(0x1003, bytes(40)), id="unknown-command"),
        pytest.param(message(0x1002, bytes(19)), id="no-room-for-the-signature"),
        pytest.param(message(0x1502, bytes(60)), id="data-without-dtls"),
        pytest.param(message(0x1502, bytes(20)), id="short-data"),
        pytest.param(DISCOVERY + b"\0", id="trailing-byte"),
    ],
)
def test_what_does_not_fit_is_not_kalay(payload: bytes) -> None:
    assert read_kalay_cc51(payload) is None


@pytest.mark.parametrize("end", range(len(DISCOVERY)))
def test_a_cut_message_is_not_kalay(end: int) -> None:
    assert read_kalay_cc51(DISCOVERY[:end]) is None


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_kalay_cc51(payload)
    read_kalay_cc51(b"\x51\xcc" + payload)
    read_kalay_cc51(message(0x1502, payload))


def test_noise_is_not_kalay() -> None:
    assert [payload for payload in noise(4, 200_000) if read_kalay_cc51(payload)] == []
