"""Baichuan: Reolink's login, and who of the two is the camera.

The bytes are those of neolink__EncryptionProtocol02_login.pcapng.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.baichuan import BAD_CLASS, BAD_LENGTH, REASONS, read_baichuan
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, DecodeError

UPGRADE = bytes.fromhex("f0debc0a010000009100000000000001 02dd 1466 2312442636490e9a")  # frame 2
LOGIN = bytes.fromhex("f0debc0a010000002801000000000001 0000 1464 00000000 23124426")  # frame 3
REQUEST = bytes.fromhex("f0debc0a66000000000000000000000600001464 00000000")  # frame 5
ANSWER = bytes.fromhex("f0debc0a660000005500000000000006c8000000 00000000 a62f81c3")  # frame 6
REFUSAL = bytes.fromhex("f0debc0a1f0000000000000000000005 9001 0000 00000000")  # frame 12
# By the reference: a client's first message, and video
LEGACY = bytes.fromhex("f0debc0a010000002c07000000000001 01dc 1465")
VIDEO = bytes.fromhex("a0cbed0f030000000010000000000001 0000 8264")


@pytest.mark.parametrize(
    ("head", "message", "role"),
    [
        (UPGRADE, "login answer", Role.CONTROL),
        (LOGIN, "login", Role.CONTROL),
        (REQUEST, "message 102", Role.CONTROL),
        (ANSWER, "message 102 answer", Role.CONTROL),
        (REFUSAL, "message 31 answer", Role.CONTROL),
        (LEGACY, "login", Role.CONTROL),
        (VIDEO, "video", Role.MEDIA),
    ],
    ids=["upgrade", "login", "request", "answer", "refusal", "legacy", "video"],
)
def test_a_message_has_a_name_and_a_role(head: bytes, message: str, role: Role) -> None:
    assert read_baichuan(head) == P2pMessage("reolink-baichuan", message, role, Confidence.HIGH)


@pytest.mark.parametrize("end", range(1, 20))
def test_a_cut_header_needs_more(end: int) -> None:
    assert read_baichuan(ANSWER[:end]) is NEED_MORE


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (UPGRADE[:18] + b"\1\2", BAD_CLASS),
        (UPGRADE[:8] + b"\0\0\0\2" + UPGRADE[12:], BAD_LENGTH),
    ],
    ids=["class", "length"],
)
def test_a_broken_header_has_a_reason(head: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_baichuan(head)
    assert (caught.value.protocol, caught.value.reason) == ("reolink-baichuan", reason)


@pytest.mark.parametrize(
    "head", [b"\xf0\xde\xbc\x0b" + bytes(20), b"\xf1", b"\xa0\x01\0\0", b"GET"]
)
def test_other_bytes_are_not_baichuan(head: bytes) -> None:
    assert read_baichuan(head) is None


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xf0\xde\xbc\x0a", b"\xa0\xcb\xed\x0f"]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    reason = BAD_CLASS
    try:
        read_baichuan(opening + tail)
    except DecodeError as error:
        reason = error.reason
    assert reason in REASONS
