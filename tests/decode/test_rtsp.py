"""RTSP heads: the examples of RFC 2326, and what is not RTSP."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.rtsp import (
    RtspRequest,
    RtspResponse,
    read_rtsp_request,
    read_rtsp_response,
)
from egressd.model import NEED_MORE, DecodeError

# RFC 2326, 10.4.
SETUP = (
    b"SETUP rtsp://example.com/foo/bar/baz.rm RTSP/1.0\r\nCSeq: 302\r\n"
    b"Transport: RTP/AVP;unicast;client_port=4588-4589\r\n\r\n"
)
SET_UP = (
    b"RTSP/1.0 200 OK\r\nCSeq: 302\r\nDate: 23 Jan 1997 15:35:06 GMT\r\nSession: 47112344\r\n"
    b"Transport: RTP/AVP;unicast;\r\n  client_port=4588-4589;server_port=6256-6257\r\n\r\n"
)
# RFC 2326, 10.1.
PUBLIC = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE\r\n\r\n"


def test_a_request_is_read() -> None:
    assert read_rtsp_request(SETUP) == RtspRequest(
        "SETUP",
        "rtsp://example.com/foo/bar/baz.rm",
        "RTSP/1.0",
        cseq=302,
        transport="RTP/AVP;unicast;client_port=4588-4589",
    )


def test_a_response_is_read() -> None:
    assert read_rtsp_response(SET_UP) == RtspResponse(
        "RTSP/1.0", 200, "OK", cseq=302, transport="RTP/AVP;unicast;", session=True
    )
    assert read_rtsp_response(PUBLIC) == RtspResponse(
        "RTSP/1.0", 200, "OK", cseq=1, public="DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE"
    )


def test_every_cut_needs_more() -> None:
    for end in range(len(SETUP)):
        assert read_rtsp_request(SETUP[:end]) is NEED_MORE
    for end in range(len(PUBLIC)):
        assert read_rtsp_response(PUBLIC[:end]) is NEED_MORE


def test_bytes_after_the_head_change_nothing() -> None:
    assert read_rtsp_request(SETUP + b"$") == read_rtsp_request(SETUP)
    assert read_rtsp_response(PUBLIC + b"$") == read_rtsp_response(PUBLIC)


def test_a_final_cut_head_gives_its_whole_lines() -> None:
    request = read_rtsp_request(SETUP[:-2], final=True)
    assert isinstance(request, RtspRequest)
    assert (request.cut, request.cseq) == (True, 302)
    response = read_rtsp_response(PUBLIC[:-2], final=True)
    assert isinstance(response, RtspResponse)
    assert (response.cut, response.cseq) == (True, 1)
    assert read_rtsp_request(SETUP[:20], final=True) is None
    assert read_rtsp_response(PUBLIC[:10], final=True) is None


def test_credentials_in_the_url_are_not_kept() -> None:
    request = read_rtsp_request(
        b"DESCRIBE rtsp://admin:secret@192.0.2.9:554/user=admin&password=secret RTSP/1.0\r\n"
        b'Authorization: Digest username="admin", realm="Cam", response="secret"\r\n'
        b"Session: 1\r\nUser-Agent: LIVE555\r\n\r\n"
    )
    assert request == RtspRequest(
        "DESCRIBE",
        "rtsp://192.0.2.9:554/user=admin&password=***",
        "RTSP/1.0",
        user_agent="LIVE555",
        authorization="Digest",
        realm="Cam",
        session=True,
    )


def test_a_challenge_names_the_device() -> None:
    response = read_rtsp_response(
        b"RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nServer: Rtsp Server/3.0\r\n"
        b'WWW-Authenticate: Basic realm="/"\r\nContent-Base: rtsp://u:p@192.0.2.9/\r\n\r\n'
    )
    assert isinstance(response, RtspResponse)
    assert (response.status, response.server) == (401, "Rtsp Server/3.0")
    assert (response.www_authenticate, response.realm) == ("Basic", "/")
    assert response.content_base == "rtsp://192.0.2.9/"


@pytest.mark.parametrize(
    "head",
    [
        b"$\0\1\0" + bytes(256),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS sip:a@example SIP/2.0\r\n\r\n",
        b"OPTIONS RTSP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        PUBLIC,
    ],
)
def test_other_protocols_are_not_a_request(head: bytes) -> None:
    assert read_rtsp_request(head) is None


@pytest.mark.parametrize("head", [SETUP, b"HTTP/1.1 200 OK\r\n\r\n", b"$\0\1\0", b"RTSX"])
def test_other_protocols_are_not_a_response(head: bytes) -> None:
    assert read_rtsp_response(head) is None


def test_options_for_the_whole_server_are_rtsp() -> None:
    request = read_rtsp_request(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    assert request == RtspRequest("OPTIONS", "*", "RTSP/1.0", cseq=1)


def test_a_status_line_without_status_is_an_error() -> None:
    with pytest.raises(DecodeError, match="rtsp: status line"):
        read_rtsp_response(b"RTSP/1.0 OK\r\n\r\n")


def test_a_head_without_end_is_an_error() -> None:
    lines = b"A: b\r\n" * 4_000
    with pytest.raises(DecodeError, match="rtsp: header too long"):
        read_rtsp_request(b"PLAY * RTSP/1.0\r\n" + lines)
    with pytest.raises(DecodeError, match="rtsp: header too long"):
        read_rtsp_response(b"RTSP/1.0 200 OK\r\n" + lines)


@given(
    prefix=st.sampled_from([b"", b"OPTIONS ", b"PLAY * RTSP/1.0\r\n", b"RTSP/1.0 200 OK\r\n"]),
    rest=st.binary(max_size=80),
    final=st.booleans(),
)
@settings(max_examples=150)
def test_any_bytes_give_an_answer_or_a_decode_error(
    prefix: bytes, rest: bytes, *, final: bool
) -> None:
    for read in (read_rtsp_request, read_rtsp_response):
        with contextlib.suppress(DecodeError):
            assert not (read(prefix + rest, final=final) is NEED_MORE and final)
