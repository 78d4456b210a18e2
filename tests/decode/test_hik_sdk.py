"""HCNetSDK's login: known from memory, and so never of more than low confidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.hik_sdk import read_hik_sdk
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE

LOGIN = bytes.fromhex("000000545a000000") + bytes(76)


def test_a_whole_login_is_of_low_confidence() -> None:
    assert read_hik_sdk(LOGIN) == P2pMessage("hik-sdk", "login", Role.CONTROL, Confidence.LOW)


@pytest.mark.parametrize("end", [*range(1, 8), 20, 83])
def test_a_cut_login_needs_more(end: int) -> None:
    assert read_hik_sdk(LOGIN[:end]) is NEED_MORE


@pytest.mark.parametrize(
    "head",
    [LOGIN + b"\0", b"\0\0\0\x545b\0\0\0" + bytes(76), b"\0\0\0\x1f\x5a\0\0\0" + bytes(23), b"\0\1",
     b"\0\0\0\x54\x5b"],
    ids=["longer", "command", "short", "length", "cut command"],
)  # fmt: skip
def test_other_bytes_are_not_a_login(head: bytes) -> None:
    assert read_hik_sdk(head) is None


@given(st.binary(max_size=100), st.sampled_from([b"", LOGIN[:8]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_hik_sdk(opening + tail)
