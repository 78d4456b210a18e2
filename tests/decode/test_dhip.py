"""DHIP over TCP, by mcw0's published exchanges; no capture was at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.dhdiscover import BAD_LENGTH, DHIP
from egressd.decode.dhip import read_dhip
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, DecodeError


def dhip(body: bytes) -> bytes:
    return DHIP.pack(b"\x20\0\0\0", b"DHIP", 9, 1, len(body), 0, len(body), 0) + body


CALL = dhip(b'{"method":"global.login","params":{"clientType":"Dahua3.0-Web3.0"},"id":1}\n')


@pytest.mark.parametrize(
    ("head", "message", "role"),
    [
        (CALL, "global.login", Role.CONTROL),
        (dhip(b'{"method":"global.keepAlive","id":2}'), "global.keepAlive", Role.KEEPALIVE),
        (dhip(b'{"result":true}'), "result", Role.CONTROL),
        (CALL[:32], "result", Role.CONTROL),
    ],
    ids=["call", "keepalive", "result", "header"],
)
def test_a_message_has_a_name(head: bytes, message: str, role: Role) -> None:
    assert read_dhip(head) == P2pMessage("dvrip", message, role, Confidence.HIGH, detail="dhip")


@pytest.mark.parametrize("end", range(1, 32))
def test_a_cut_header_needs_more(end: int) -> None:
    assert read_dhip(CALL[:end]) is NEED_MORE


def test_a_body_of_megabytes_is_an_error() -> None:
    with pytest.raises(DecodeError) as caught:
        read_dhip(CALL[:16] + b"\xff\xff\xff\xff" + CALL[20:])
    assert (caught.value.protocol, caught.value.reason) == ("dvrip", BAD_LENGTH)


@pytest.mark.parametrize("head", [b"\x20\0\0\0HTTP" + bytes(30), b"\x20\1", b" GET"])
def test_other_bytes_are_not_dhip(head: bytes) -> None:
    assert read_dhip(head) is None


@given(st.binary(max_size=80), st.sampled_from([b"", CALL[:8], CALL[:31]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    reason = BAD_LENGTH
    try:
        read_dhip(opening + tail)
    except DecodeError as error:
        reason = error.reason
    assert reason == BAD_LENGTH
