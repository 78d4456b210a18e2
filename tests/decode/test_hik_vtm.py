"""VTM: the relay's first request, and RTSP's media, which begins with the same byte.

No capture was at hand: the bytes follow pyEzvizApi and hikconnect-web.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.hik_vtm import PUBLIC_KEY, read_hik_vtm
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.model import NEED_MORE

URL = b"ysproto://198.51.100.9:8554/C12345678?dev=C12345678&chn=1&stream=1"
BODY = b"\x0a" + bytes([len(URL)]) + URL
REQUEST = b"$\0" + len(BODY).to_bytes(2, "big") + b"\0\0\x01\x3b" + BODY
ENCRYPTED = b"$\1\0\xb0\0\0\0\0" + b"\0\1\2" + PUBLIC_KEY + bytes(160)


def test_a_stream_is_asked_for_by_the_serial_number() -> None:
    assert read_hik_vtm(REQUEST) == P2pMessage(
        protocol="hik-vtm",
        message="StreamInfoReq",
        role=Role.RELAY,
        confidence=Confidence.HIGH,
        device_id="C12345678",
        peers=(Peer("198.51.100.9", 8554, Part.RELAY),),
    )


def test_a_name_is_no_peer() -> None:
    body = b"ysproto://vtm.example:8554/C12345678?x"
    message = read_hik_vtm(b"$\0\0\x27\0\0\x01\x3b\x0a" + body)
    assert isinstance(message, P2pMessage)
    assert (message.device_id, message.peers) == ("C12345678", ())


@pytest.mark.parametrize(
    ("head", "message", "role"),
    [
        (b"$\0\0\2\0\1\x01\x3cok", "StreamInfoRsp", Role.RELAY),
        (b"$\x0a\0\0\0\7\x01\x32", "KeepAliveReq", Role.KEEPALIVE),
    ],
)
def test_a_whole_message_with_a_known_code_is_likely_one(
    head: bytes, message: str, role: Role
) -> None:
    assert read_hik_vtm(head) == P2pMessage("hik-vtm", message, role, Confidence.MEDIUM)


def test_the_encrypted_form_begins_with_a_key() -> None:
    message = read_hik_vtm(ENCRYPTED)
    assert message == P2pMessage("hik-vtm", "EcdhHello", Role.RELAY, Confidence.HIGH)
    assert read_hik_vtm(ENCRYPTED[:100]) is None
    assert read_hik_vtm(b"$\1\0\xb0" + bytes(200)) is None


@pytest.mark.parametrize(
    "head",
    [
        # RTSP's interleaved RTP: version 2, type 96, sequence 0x013B
        b"$\0\0\x10\x80\x60\x01\x3b" + bytes(12),
        b"$\0\0\x10\x80\xe0\x01\x3b" + bytes(12),
        b"$\0\0\2\0\1\x01\x3cok and more",
        b"$\0\0\2\0\1\x01\x3dok",
        b"$\2\0\2\0\1\x01\x3cok",
        b"$\2",
        b"",
    ],
    ids=["rtp", "rtp marker", "longer", "code", "channel", "cut channel", "nothing"],
)
def test_other_bytes_are_not_vtm(head: bytes) -> None:
    assert read_hik_vtm(head) is None


@pytest.mark.parametrize("end", range(1, 8))
def test_a_cut_header_needs_more(end: int) -> None:
    assert read_hik_vtm(REQUEST[:end]) is NEED_MORE


@given(st.binary(max_size=250), st.sampled_from([b"", b"$\0", b"$\1", REQUEST[:20]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_hik_vtm(opening + tail)
