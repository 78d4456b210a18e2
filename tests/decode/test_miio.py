"""miIO: the device's number, and what is not miIO."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.miio import HELLO, read_miio
from egressd.decode.p2p import Confidence, Role


def message(rest: bytes, *, device: int = 260_123_456, zero: int = 0) -> bytes:
    words = (zero, device, 5000)
    head = b"\x21\x31" + (32 + len(rest)).to_bytes(2, "big")
    return head + b"".join(word.to_bytes(4, "big") for word in words) + bytes(16) + rest


ANSWER = message(b"")


@pytest.mark.parametrize(
    ("payload", "name", "role", "device", "confidence"),
    [
        pytest.param(HELLO, "hello", Role.LAN, None, Confidence.HIGH, id="hello"),
        pytest.param(ANSWER, "hello answer", Role.LAN, "260123456", Confidence.MEDIUM, id="answer"),
        pytest.param(
            message(bytes(48)),
            "message",
            Role.CONTROL,
            "260123456",
            Confidence.MEDIUM,
            id="message",
        ),
    ],
)
def test_messages_tell_the_device(
    payload: bytes, name: str, role: Role, device: str | None, confidence: Confidence
) -> None:
    found = read_miio(payload)
    assert found is not None
    assert (found.message, found.role, found.device_id) == (name, role, device)
    assert found.confidence is confidence


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(message(bytes(16), zero=1), id="no-zero"),
        pytest.param(message(bytes(16), device=0), id="no-device"),
        pytest.param(message(bytes(7)), id="no-whole-blocks"),
        pytest.param(b"\x21\x32" + ANSWER[2:], id="other-magic"),
        pytest.param(ANSWER + bytes(16), id="trailing-bytes"),
        pytest.param(HELLO + b"\xff", id="long-hello"),
    ],
)
def test_what_does_not_fit_is_not_miio(payload: bytes) -> None:
    assert read_miio(payload) is None


@pytest.mark.parametrize("end", range(len(HELLO)))
def test_a_cut_hello_is_not_miio(end: int) -> None:
    assert read_miio(HELLO[:end]) is None
    assert read_miio(ANSWER[:end]) is None


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_miio(payload)
    read_miio(message(payload))


def test_noise_is_not_miio() -> None:
    assert [payload for payload in noise(13, 200_000) if read_miio(payload)] == []
