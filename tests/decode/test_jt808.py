"""JT/T 808: framing, escapes and the checksum."""

from __future__ import annotations

from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.jt808 import read_jt808
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE


def framed(message: bytes) -> bytes:
    whole = message + bytes([reduce(xor, message)])
    return b"~" + whole.replace(b"\x7d", b"\x7d\1").replace(b"~", b"\x7d\2") + b"~"


PHONE = bytes.fromhex("013812345678")
HEARTBEAT = framed(b"\0\2\0\0" + PHONE + b"\0\1")
REGISTER = framed(b"\1\0\0\5" + PHONE + b"\0\1" + b"~\x7dabc")
AUTHENTICATE_2019 = framed(b"\1\2\x40\4\1" + b"\0\0\0\0" + PHONE + b"\0\1" + b"code")
PARTED = framed(b"\1\0\x20\2" + PHONE + b"\0\1\0\2\0\1" + b"ab")


@pytest.mark.parametrize(
    ("head", "message", "role"),
    [
        (HEARTBEAT, "heartbeat", Role.KEEPALIVE),
        (REGISTER, "register", Role.REGISTRATION),
        (AUTHENTICATE_2019, "authenticate", Role.REGISTRATION),
        (PARTED, "register", Role.REGISTRATION),
        (HEARTBEAT + REGISTER, "heartbeat", Role.KEEPALIVE),
    ],
    ids=["heartbeat", "register", "2019", "parted", "two"],
)
def test_a_message_names_the_terminal(head: bytes, message: str, role: Role) -> None:
    assert read_jt808(head) == P2pMessage("jt808", message, role, Confidence.HIGH, "13812345678")


def test_a_cut_message_needs_more() -> None:
    for end in range(1, len(REGISTER)):
        assert read_jt808(REGISTER[:end], final=False) is NEED_MORE
        assert read_jt808(REGISTER[:end]) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"~~",
        b"~short~",
        HEARTBEAT[:-2] + bytes([HEARTBEAT[-2] ^ 1]) + b"~",
        framed(b"\0\2\0\1" + PHONE + b"\0\1"),
        framed(b"\0\2\0\0" + b"\xff" * 6 + b"\0\1"),
        framed(b"\x77\2\0\0" + PHONE + b"\0\1"),
        b"~" + bytes(3000),
    ],
    ids=["nothing", "empty", "short", "checksum", "length", "phone", "number", "endless"],
)
def test_other_bytes_are_not_jt808(head: bytes) -> None:
    assert read_jt808(head) is None
    assert read_jt808(head, final=False) is None


@given(st.binary(max_size=60))
def test_never_fails_on_any_bytes(tail: bytes) -> None:
    read_jt808(b"~" + tail)
    read_jt808(framed(b"\0\2" + tail))
