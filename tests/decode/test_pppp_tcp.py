"""PPPP over TCP: in clear by its message, obfuscated by its size alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.p2p import Confidence, P2pMessage
from egressd.decode.pppp_tcp import read_pppp_tcp
from egressd.model import NEED_MORE

# The reference's example of a registration, and the TCP header before it
DID = b"ABCD\0\0\0\0\0\1\xe2\x40EFGHJ\0\0\0"
PUNCH = b"\xf1\x41\0\x14" + DID
TCP = b"\0\x18\x68\1\2\3\4\5" + PUNCH


@pytest.mark.parametrize("head", [TCP, TCP + TCP, TCP[:7] + PUNCH], ids=["one", "two", "seven"])
def test_the_message_behind_the_header_is_read(head: bytes) -> None:
    message = read_pppp_tcp(head)
    assert isinstance(message, P2pMessage)
    assert (message.protocol, message.message) == ("pppp", "PUNCH_PKT")
    assert (message.confidence, message.device_id) == (Confidence.HIGH, "ABCD-123456-EFGHJ")


@pytest.mark.parametrize("end", [1, 2, *range(9, len(TCP))])
def test_a_cut_message_needs_more(end: int) -> None:
    assert read_pppp_tcp(TCP[:end], final=False) is NEED_MORE


@pytest.mark.parametrize("header", [8, 7])
def test_an_obfuscated_message_is_told_by_its_size_and_of_low_confidence(header: int) -> None:
    message = read_pppp_tcp(b"\0\x2c\x68".ljust(header, b"\x55") + b"\x99" * 44)
    assert isinstance(message, P2pMessage)
    assert (message.protocol, message.confidence) == ("pppp-obfuscated", Confidence.LOW)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\x2c\x69" + bytes(49),
        b"\0\x2d\x68" + bytes(50),
        b"\0\x2c\x68" + bytes(46),
        b"\xff\xff\x68" + bytes(49),
        b"\0\x19\x68" + bytes(5) + b"\xf1\xff\0\x15" + bytes(21),
        b"\0",
    ],
    ids=["mark", "size", "length", "huge", "kind", "cut"],
)
def test_other_bytes_are_not_pppp(head: bytes) -> None:
    assert read_pppp_tcp(head) is None


@given(st.binary(max_size=60), st.sampled_from([b"", b"\0\x14\x68", TCP[:9]]), st.booleans())
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes, final: bool) -> None:  # noqa: FBT001 - drawn
    read_pppp_tcp(opening + tail, final=final)
