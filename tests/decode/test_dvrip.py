"""Dahua's DVRIP, by mcw0's published exchanges; no capture was at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.dvrip import read_dvrip
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE

REALM = bytes.fromhex("a0010000") + bytes(20) + bytes.fromhex("050201010000a1aa")
LOGIN = (
    bytes.fromhex("a0050000 42000000") + bytes(16) + bytes.fromhex("050200080000a1aa")
    + b"admin&&" + b"0" * 59
)  # fmt: skip
TEXT = b"Realm:Login to 4M0ABCDPAG00001\r\nRandom:1234567890\r\n\r\n"
REALM_ANSWER = b"\xb0\0\0\x58" + len(TEXT).to_bytes(4, "little") + bytes(24) + TEXT
LOGIN_ANSWER = b"\xb0\0\0\x58" + bytes(28)
CALL = b'{"method":"magicBox.getSerialNo","id":3,"session":5}\n\0'
SIZE = len(CALL).to_bytes(4, "little")
JSON = b"\xf6\0\0\0" + SIZE + b"\3\0\0\0" + bytes(4) + SIZE + bytes(12) + CALL


@pytest.mark.parametrize(
    ("head", "message", "confidence", "device"),
    [
        (REALM, "REALM", Confidence.HIGH, None),
        (LOGIN, "LOGIN", Confidence.HIGH, None),
        (REALM_ANSWER, "REALM answer", Confidence.HIGH, "4M0ABCDPAG00001"),
        (LOGIN_ANSWER, "answer", Confidence.MEDIUM, None),
        (JSON, "magicBox.getSerialNo", Confidence.HIGH, None),
        (JSON[:32], "JSON", Confidence.MEDIUM, None),
        (JSON[:32] + b'{"result":true}', "result", Confidence.HIGH, None),
        (JSON[:32] + b'{"params":{"serialNo":"4M0"}', "result", Confidence.HIGH, "4M0"),
    ],
    ids=["realm", "login", "realm answer", "login answer", "call", "header", "result", "serial"],
)
def test_a_message_has_a_name(
    head: bytes, message: str, confidence: Confidence, device: str | None
) -> None:
    expected = P2pMessage("dvrip", message, Role.CONTROL, confidence, device, detail="dahua")
    assert read_dvrip(head) == expected


@pytest.mark.parametrize("head", [REALM, REALM_ANSWER, JSON], ids=["realm", "answer", "json"])
def test_a_cut_header_needs_more(head: bytes) -> None:
    for end in range(1, 32):
        assert read_dvrip(head[:end]) is NEED_MORE


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xa0\xcb\xed\x0f" + bytes(40),
        REALM[:31] + b"\xab",
        b"\xa0\2" + REALM[2:],
        b"\xb0\0\0\x59" + bytes(28),
        b"\xb0\0\0\x58" + bytes(28) + b"more",
        b"\xb0\0\0\x58\xff\xff\xff\xff" + bytes(24),
        JSON[:16] + b"\1" + JSON[17:],
        JSON[:32] + b"no json",
        b"\xf6\0\0\0" + bytes(28),
        b"\xf6\1\0\0",
        b"\xa0\1\1\0",
    ],
    ids=["nothing", "baichuan", "end", "kind", "answer", "longer", "length", "two lengths", "text",
         "no body", "short json", "short request"],
)  # fmt: skip
def test_other_bytes_are_not_dvrip(head: bytes) -> None:
    assert read_dvrip(head) is None


@given(st.binary(max_size=80), st.sampled_from([b"", b"\xa0\1\0\0", LOGIN_ANSWER[:4], JSON[:28]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_dvrip(opening + tail)
