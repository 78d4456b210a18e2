"""PTCP: what the tunnel carries, in the bytes that published client code sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.dahua_ptcp import read_dahua_ptcp
from egressd.decode.p2p import Confidence, Role

HEADER = b"PTCP" + bytes(8) + bytes.fromhex("0002ffff 00000000 00000000")
REALM = bytes.fromhex("1a2b3c4d")


def message(kind: int, content: bytes, *, length: int = 0) -> bytes:
    return HEADER + bytes((kind,)) + length.to_bytes(3, "big") + REALM + bytes(4) + content


def data(content: bytes) -> bytes:
    return message(0x10, content, length=len(content))


BIND = message(0x11, bytes.fromhex("0000022a 7f000001"))


@pytest.mark.parametrize(
    ("payload", "name", "role", "detail"),
    [
        pytest.param(HEADER, "acknowledgement", Role.KEEPALIVE, None, id="header-only"),
        pytest.param(HEADER + bytes.fromhex("00030100"), "SYN", Role.PUNCH, None, id="syn"),
        pytest.param(BIND, "bind", Role.CONTROL, "port 554", id="bind"),
        pytest.param(message(0x11, bytes(8)), "bind", Role.CONTROL, None, id="bind-elsewhere"),
        pytest.param(message(0x12, b"CONN"), "status", Role.CONTROL, "CONN", id="connected"),
        pytest.param(message(0x12, b"????"), "status", Role.CONTROL, None, id="odd-status"),
        pytest.param(message(0x13, b""), "heartbeat", Role.KEEPALIVE, None, id="heartbeat"),
        pytest.param(message(0x17, b""), "sign request", Role.RELAY, None, id="sign"),
        pytest.param(data(b"RTSP/1.0 200 OK"), "data", Role.MEDIA, "rtsp", id="rtsp"),
        pytest.param(data(b"$\0\0\4abcd"), "data", Role.MEDIA, "interleaved rtp", id="rtp"),
        pytest.param(data(b"\xa0\x01\0"), "data", Role.MEDIA, "dvrip", id="dvrip"),
        pytest.param(data(b"\1\2\3"), "data", Role.MEDIA, None, id="other-data"),
    ],
)
def test_messages_have_a_role(payload: bytes, name: str, role: Role, detail: str | None) -> None:
    found = read_dahua_ptcp(payload)
    assert found is not None
    assert (found.message, found.role, found.detail) == (name, role, detail)
    assert found.confidence is Confidence.HIGH


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"PTCQ" + HEADER[4:], id="other-magic"),
        pytest.param(HEADER + b"\0\3\1\1", id="odd-syn"),
        pytest.param(message(0x44, b"abcd"), id="unknown-kind"),
        pytest.param(message(0x10, b"abcd", length=5), id="wrong-length"),
        pytest.param(message(0x13, b"")[:32] + b"\1\0\0\0", id="no-zeros"),
        pytest.param(b"PTCP is the name of a protocol, and this is a text", id="text"),
    ],
)
def test_what_does_not_fit_is_not_ptcp(payload: bytes) -> None:
    assert read_dahua_ptcp(payload) is None


@pytest.mark.parametrize("end", set(range(36)) - {24})
def test_a_cut_message_is_not_ptcp(end: int) -> None:
    assert read_dahua_ptcp(data(b"RTSP/1.0")[:end]) is None


def test_data_with_a_trailing_byte_is_not_ptcp() -> None:
    assert read_dahua_ptcp(data(b"RTSP/1.0") + b"\0") is None


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_dahua_ptcp(payload)
    read_dahua_ptcp(HEADER + payload)


def test_noise_is_not_ptcp() -> None:
    assert [payload for payload in noise(7, 200_000) if read_dahua_ptcp(payload)] == []
