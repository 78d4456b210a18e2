"""GB/T 28181: what makes SIP a video platform's, by the standard; no capture was at hand."""

from __future__ import annotations

import pytest

from egressd.decode.gb28181 import gb28181_of
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.decode.sip import SipMessage, read_sip

CAMERA = b"34020000001320000001"
RECORDER = b"34020000001180000002"
PLATFORM = b"34020000002000000001"


def sip(line: bytes, sender: bytes, receiver: bytes, more: bytes = b"", body: bytes = b"") -> bytes:
    return (
        line + b"\r\nFrom: <sip:" + sender + b"@3402000000>;tag=1\r\nTo: <sip:" + receiver
        + b"@3402000000>\r\nCSeq: 1 " + (line.split()[0] if line[:3] != b"SIP" else b"INVITE")
        + b"\r\n" + more + b"\r\n" + body
    )  # fmt: skip


def read(payload: bytes) -> P2pMessage | None:
    message = read_sip(payload)
    assert isinstance(message, SipMessage)
    return gb28181_of(message, payload)


def test_a_camera_registers() -> None:
    payload = sip(
        b"REGISTER sip:" + PLATFORM + b"@3402000000 SIP/2.0", CAMERA, CAMERA,
        b"Contact: <sip:" + CAMERA + b"@192.0.2.64:5060>\r\n",
    )  # fmt: skip
    assert read(payload) == P2pMessage(
        protocol="gb28181",
        message="REGISTER",
        role=Role.REGISTRATION,
        confidence=Confidence.HIGH,
        device_id=CAMERA.decode(),
        peers=(Peer("192.0.2.64", 5060, Part.SELF),),
        detail="camera",
    )


def test_a_recorder_keeps_its_session_open() -> None:
    payload = sip(
        b"MESSAGE sip:" + PLATFORM + b"@3402000000 SIP/2.0", RECORDER, PLATFORM,
        b"Content-Type: Application/MANSCDP+xml\r\n",
        b"<Notify><CmdType>Keepalive</CmdType><SN>1</SN></Notify>",
    )  # fmt: skip
    message = read(payload)
    assert message is not None
    assert (message.message, message.role) == ("MESSAGE Keepalive", Role.KEEPALIVE)
    assert (message.device_id, message.detail) == (RECORDER.decode(), "recorder")


def test_an_invitation_tells_where_the_video_is_to_go() -> None:
    payload = sip(
        b"INVITE sip:" + CAMERA + b"@3402000000 SIP/2.0", PLATFORM, CAMERA,
        b"Content-Type: application/sdp\r\n",
        b"v=0\r\ns=Play\r\nc=IN IP4 198.51.100.9\r\nm=video 30000 RTP/AVP 96\r\ny=0100000001\r\n",
    )  # fmt: skip
    message = read(payload)
    assert message is not None
    assert (message.message, message.role) == ("INVITE", Role.MEDIA)
    assert message.device_id == CAMERA.decode()
    assert message.peers == (Peer("198.51.100.9", 30_000, Part.PEER),)
    portless = payload.replace(b"m=video", b"m=other").replace(b"198.51", b"bad")
    unknown = read(portless)
    assert unknown is not None
    assert unknown.peers == ()


def test_an_answer_has_its_status() -> None:
    message = read(sip(b"SIP/2.0 200 OK", PLATFORM, CAMERA))
    assert message is not None
    assert (message.message, message.role) == ("200 INVITE", Role.MEDIA)


def test_one_long_number_alone_is_less_sure() -> None:
    message = read(sip(b"SUBSCRIBE sip:x SIP/2.0", PLATFORM, b"x"))
    assert message is not None
    assert (message.confidence, message.device_id) == (Confidence.MEDIUM, None)


@pytest.mark.parametrize("user", [b"door", b"3402000000132000001", b"340200000013200000011"])
def test_a_telephone_is_not_on_a_platform(user: bytes) -> None:
    assert (
        read(sip(b"REGISTER sip:x SIP/2.0", user, user, b"Contact: <sip:a@door.example>\r\n"))
        is None
    )


def test_a_contact_by_name_is_no_peer() -> None:
    payload = sip(b"REGISTER sip:x SIP/2.0", CAMERA, CAMERA, b"Contact: <sip:a@door.example>\r\n")
    message = read(payload)
    assert message is not None
    assert message.peers == ()


def test_video_without_a_port_still_has_an_address() -> None:
    payload = sip(
        b"INVITE sip:x SIP/2.0", PLATFORM, CAMERA, b"Content-Type: application/sdp\r\n",
        b"v=0\r\nc=IN IP4 198.51.100.9\r\n",
    )  # fmt: skip
    message = read(payload)
    assert message is not None
    assert message.peers == (Peer("198.51.100.9", None, Part.PEER),)
