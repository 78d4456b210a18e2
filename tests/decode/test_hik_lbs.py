"""SafeProtocol over TCP, by pyEzvizApi and hikconnect-web; no capture was at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.hik_lbs import BAD_LENGTH, OPENING, read_hik_lbs
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE, DecodeError


def frame(command: int, body: bytes) -> bytes:
    words = (1, 0, command, 0, len(body), 0)
    return OPENING + b"".join(word.to_bytes(4, "big") for word in words) + body + b"a" * 32


REQUEST = frame(0x2001, b"<Request><DevSerial>C12345678</DevSerial></Request>")


def test_a_request_names_the_device() -> None:
    assert read_hik_lbs(REQUEST) == P2pMessage(
        "hik-lbs", "GetOperationCode", Role.LOOKUP, Confidence.HIGH, "C12345678"
    )


def test_an_unknown_command_is_told_by_its_number() -> None:
    message = read_hik_lbs(frame(0x1234, b""))
    assert message == P2pMessage("hik-lbs", "command 0x1234", Role.CONTROL, Confidence.HIGH)


@pytest.mark.parametrize("end", range(1, 32))
def test_a_cut_header_needs_more(end: int) -> None:
    assert read_hik_lbs(REQUEST[:end]) is NEED_MORE


def test_a_body_of_megabytes_is_an_error() -> None:
    with pytest.raises(DecodeError) as caught:
        read_hik_lbs(REQUEST[:24] + b"\x7f\0\0\0" + REQUEST[28:])
    assert (caught.value.protocol, caught.value.reason) == ("hik-lbs", BAD_LENGTH)


@pytest.mark.parametrize("head", [OPENING[:4] + bytes(60), b"\x9e\xbb", b"GET / HTTP/1.1\r\n"])
def test_other_bytes_are_not_safeprotocol(head: bytes) -> None:
    assert read_hik_lbs(head) is None


@given(st.binary(max_size=100), st.sampled_from([b"", OPENING, REQUEST[:28]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    reason = BAD_LENGTH
    try:
        read_hik_lbs(opening + tail)
    except DecodeError as error:
        reason = error.reason
    assert reason == BAD_LENGTH
