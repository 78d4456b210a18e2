"""Hikvision's "STUN": the serial number goes out, the address comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.hik_stun import CUT_BODY, read_hik_stun
from egressd.decode.p2p import Confidence, Part, Peer, Role
from egressd.model import DecodeError

MAGIC = bytes.fromhex("9ebaace901000000")


def message(command: int, body: bytes, *, tail: bytes = b"f" * 32) -> bytes:
    words = (1, 0, command, 0, len(body), 0)
    return MAGIC + b"".join(word.to_bytes(4, "big") for word in words) + body + tail


REQUEST = message(0x0812, b"<Request><DevSerial>D12345678</DevSerial></Request>")
ANSWER = message(0x0811, b'<Response><Client Address="198.51.100.3" Port="4500"/></Response>')


def test_a_request_tells_the_serial() -> None:
    found = read_hik_stun(REQUEST)
    assert found is not None
    assert (found.message, found.role) == ("STUN request", Role.REGISTRATION)
    assert (found.device_id, found.confidence) == ("D12345678", Confidence.HIGH)


def test_an_answer_tells_the_address() -> None:
    found = read_hik_stun(ANSWER)
    assert found is not None
    assert found.peers == (Peer("198.51.100.3", 4500, Part.MAPPED),)


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        pytest.param(message(0x300F, b"\1\2\3"), "device message", id="encrypted"),
        pytest.param(message(0x7777, b""), "0x7777", id="unknown"),
        pytest.param(
            message(0x0811, b'<Client Address="0.0.0.0" Port="1"/>'), "STUN answer", id="nobody"
        ),
    ],
)
def test_a_message_that_names_nobody_is_still_known(payload: bytes, name: str) -> None:
    found = read_hik_stun(payload)
    assert found is not None
    assert (found.message, found.device_id, found.peers) == (name, None, ())


def test_an_odd_tail_is_believed_less() -> None:
    found = read_hik_stun(REQUEST + b"\0")
    assert found is not None
    assert found.confidence is Confidence.MEDIUM


@pytest.mark.parametrize("end", range(len(REQUEST)))
def test_a_cut_message_is_broken(end: int) -> None:
    cut = REQUEST[:end]
    if end < 32:
        assert read_hik_stun(cut) is None
    elif end < len(REQUEST) - 32:
        with pytest.raises(DecodeError, match=CUT_BODY):
            read_hik_stun(cut)
    else:
        assert read_hik_stun(cut) is not None


@given(st.binary(max_size=120))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    for candidate in (payload, MAGIC + payload, message(0x0811, payload)):
        try:
            read_hik_stun(candidate)
        except DecodeError as error:
            assert error.reason == CUT_BODY  # noqa: PT017 - a look at both answers


def test_noise_is_not_hik_stun() -> None:
    assert [payload for payload in noise(8, 200_000) if read_hik_stun(payload)] == []
