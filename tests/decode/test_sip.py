"""SIP: who registers and calls where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.sip import STATUS, SipAddress, SipMessage, read_sip
from egressd.model import NEED_MORE, DecodeError

REGISTER = (
    b"REGISTER sip:pbx.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20:5060\r\n"
    b'From: "Door" <sip:door@pbx.example>;tag=1\r\nTo: <sip:door@pbx.example>\r\n'
    b"Contact: <sip:door:secret@192.0.2.20:5060;transport=udp>\r\nCSeq: 1 REGISTER\r\n"
    b"User-Agent: DS-KV6113\r\n\r\n"
)
ANSWER = (
    b"SIP/2.0 200 OK\r\nf: sip:a@[2001:db8::1]:5060\r\nt: sip:pbx.example\r\n"
    b"CSeq: 2 INVITE\r\nc: application/sdp\r\n\r\nv=0\r\n"
)


def test_a_request_tells_its_ends_and_no_secret() -> None:
    message = read_sip(REGISTER)
    door = SipAddress("door", "pbx.example", None)
    assert message == SipMessage(
        method="REGISTER",
        sender=door,
        receiver=door,
        contact=SipAddress("door", "192.0.2.20", 5060),
        user_agent="DS-KV6113",
    )
    assert message.protocol == "sip"
    assert "secret" not in repr(message)


def test_an_answer_tells_what_it_answers() -> None:
    assert read_sip(ANSWER) == SipMessage(
        method="INVITE",
        status=200,
        sender=SipAddress("a", "[2001:db8::1]", 5060),
        receiver=SipAddress(None, "pbx.example", None),
        content_type="application/sdp",
    )
    bare = read_sip(b"SIP/2.0 100 Trying\r\nFrom: x\r\nTo: sip:a:99999\r\n\r\n")
    assert isinstance(bare, SipMessage)
    assert (bare.method, bare.sender) == ("", None)


def test_a_stream_waits_for_the_end_of_the_head() -> None:
    for end in range(1, len(REGISTER)):
        assert read_sip(REGISTER[:end], final=False) is NEED_MORE


def test_a_port_that_is_none_is_left_out() -> None:
    message = read_sip(b"BYE sip:a SIP/2.0\r\nFrom: sip:a@b:99999\r\n\r\n")
    assert isinstance(message, SipMessage)
    assert message.sender == SipAddress("a", "b", None)


def test_a_broken_status_line_is_an_error() -> None:
    with pytest.raises(DecodeError) as caught:
        read_sip(b"SIP/2.0 OK\r\n\r\n")
    assert (caught.value.protocol, caught.value.reason) == ("sip", STATUS)


@pytest.mark.parametrize(
    "head",
    [
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"OPTIONS rtsp://192.0.2.1 RTSP/1.0\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\n\r\n",
        b"HELLO sip:a SIP/2.0\r\n\r\n",
        b"REGISTER now",
    ],
    ids=["http", "rtsp", "ssdp", "method", "no line"],
)
def test_other_messages_are_not_sip(head: bytes) -> None:
    assert read_sip(head) is None


@given(st.binary(max_size=200), st.sampled_from([b"", REGISTER[:40], b"SIP/2.0 200 OK\r\n"]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    reason = STATUS
    try:
        read_sip(opening + tail)
    except DecodeError as error:
        reason = error.reason
    assert reason in {STATUS, "header too long"}
