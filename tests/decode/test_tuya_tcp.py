"""Tuya over TCP: the first frame of a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.p2p import P2pMessage, Role
from egressd.decode.tuya_tcp import read_tuya_tcp
from egressd.model import NEED_MORE, DecodeError

HEARTBEAT = bytes.fromhex("000055aa 00000001 00000009 00000008 12345678 0000aa55")
SEALED = bytes.fromhex("00006699 0000 00000001 00000010 0000001e") + bytes(30) + b"\0\0\x99\x66"


@pytest.mark.parametrize("head", [HEARTBEAT, HEARTBEAT * 2, SEALED], ids=["one", "two", "3.5"])
def test_the_first_frame_is_read(head: bytes) -> None:
    message = read_tuya_tcp(head)
    assert isinstance(message, P2pMessage)
    assert (message.protocol, message.role) == ("tuya", Role.CONTROL)


@pytest.mark.parametrize("frame", [HEARTBEAT, SEALED], ids=["old", "3.5"])
def test_a_cut_frame_needs_more(frame: bytes) -> None:
    for end in range(1, len(frame)):
        assert read_tuya_tcp(frame[:end], final=False) is NEED_MORE
        assert read_tuya_tcp(frame[:end]) is None


@pytest.mark.parametrize(
    "head",
    [b"\0\0\x55\xab" + bytes(40), HEARTBEAT[:12] + b"\0\1\0\0" + bytes(40), b"\0\1"],
    ids=["magic", "huge", "cut"],
)
def test_other_bytes_are_not_tuya(head: bytes) -> None:
    assert read_tuya_tcp(head, final=False) is None


@given(st.binary(max_size=60), st.sampled_from([b"", HEARTBEAT[:16], SEALED[:18]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    reason = ""
    try:
        read_tuya_tcp(opening + tail)
    except DecodeError as error:
        reason = error.protocol
    assert reason in {"", "tuya"}
