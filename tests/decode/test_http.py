"""HTTP heads: RFC 9110's own examples, what cameras send, and what is not HTTP."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.http import (
    HttpRequest,
    HttpResponse,
    read_http_request,
    read_http_response,
)
from egressd.model import NEED_MORE, DecodeError

# RFC 9110, 3.9.
REQUEST = (
    b"GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\n"
    b"Accept-Language: en, mi\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\n"
    b"Content-Length: 51\r\nVary: Accept-Encoding\r\nContent-Type: text/plain\r\n\r\n"
)


def request_of(answer: object) -> HttpRequest:
    assert isinstance(answer, HttpRequest)
    return answer


def response_of(answer: object) -> HttpResponse:
    assert isinstance(answer, HttpResponse)
    return answer


def test_a_request_is_read() -> None:
    assert read_http_request(REQUEST) == HttpRequest(
        "GET", "/hello.txt", "HTTP/1.1", host="www.example.com", user_agent="curl/7.64.1"
    )


def test_a_response_is_read() -> None:
    assert read_http_response(RESPONSE) == HttpResponse(
        "HTTP/1.1", 200, "OK", server="Apache", content_type="text/plain", content_length=51
    )


def test_every_cut_needs_more() -> None:
    for end in range(len(REQUEST)):
        assert read_http_request(REQUEST[:end]) is NEED_MORE
    for end in range(len(RESPONSE)):
        assert read_http_response(RESPONSE[:end]) is NEED_MORE


def test_bytes_after_the_head_change_nothing() -> None:
    assert read_http_request(REQUEST + b"x") == read_http_request(REQUEST)
    assert read_http_response(RESPONSE + b"x") == read_http_response(RESPONSE)


def test_a_final_cut_request_gives_its_whole_lines() -> None:
    host = REQUEST.index(b"Accept")
    for end in range(len(REQUEST)):
        request = read_http_request(REQUEST[:end], final=True)
        if end <= REQUEST.index(b"\n"):
            assert request is None
            continue
        assert request_of(request).cut
        assert request_of(request).host == ("www.example.com" if end >= host else None)
    assert response_of(read_http_response(RESPONSE[:17], final=True)).cut
    assert read_http_response(RESPONSE[:10], final=True) is None


def test_bare_line_feeds_end_lines_too() -> None:
    head = REQUEST.replace(b"\r\n", b"\n")
    assert read_http_request(head) == read_http_request(REQUEST)


def test_the_host_of_an_absolute_target_is_the_host_header() -> None:
    request = request_of(
        read_http_request(b"GET http://a.example/x HTTP/1.1\r\nhOsT : b.example:8080\r\n\r\n")
    )
    assert (request.url, request.host) == ("http://a.example/x", "b.example:8080")
    request = request_of(read_http_request(b"GET http://a.example/x HTTP/1.0\r\n\r\n"))
    assert request.host is None


def test_the_first_host_counts_and_folded_lines_are_no_fields() -> None:
    head = b"GET / HTTP/1.1\r\nX: y\r\n Host: folded\r\nHost: one\r\nHost: two\r\n\r\n"
    assert request_of(read_http_request(head)).host == "one"


def test_bytes_that_do_not_print_are_escaped() -> None:
    head = b"GET /\xe4 b HTTP/1.1\r\nHost: a\tb c\r\nUser-Agent: Cam\x1b[2J 1.0\r\n\r\n"
    request = request_of(read_http_request(head))
    assert request.host == r"a\009b\032c"
    assert request.url == r"/\228 b"
    assert request.user_agent == r"Cam\027[2J 1.0"


# UPnP Device Architecture 1.1, 1.3.2 and 1.2.2.
def test_ssdp_messages_are_requests_and_responses() -> None:
    search = (
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n'
        b"MX: 1\r\nST: ssdp:all\r\n\r\n"
    )
    assert request_of(read_http_request(search)).host == "239.255.255.250:1900"
    notify = search.replace(b"M-SEARCH", b"NOTIFY")
    assert request_of(read_http_request(notify)).method == "NOTIFY"
    answer = b"HTTP/1.1 200 OK\r\nLOCATION: http://192.0.2.4:99/d.xml\r\nSERVER: UPnP/1.0\r\n\r\n"
    response = response_of(read_http_response(answer))
    assert (response.location, response.server) == ("http://192.0.2.4:99/d.xml", "UPnP/1.0")


@pytest.mark.parametrize(
    ("value", "scheme", "realm"),
    [
        (b"Basic YWRtaW46c2VjcmV0", "Basic", None),
        (
            b'digest username="admin", realm="IP Cam(1)", nonce="n"',
            "Digest",
            "IP Cam(1)",
        ),
        (b"YWRtaW46c2VjcmV0", "unknown", None),
        (b"AWS4-HMAC-SHA256 Credential=AKID/x", "AWS4-HMAC-SHA256", None),
        (b'Digest realm=""', "Digest", None),
        (b"", None, None),
    ],
)
def test_of_credentials_only_scheme_and_realm_are_kept(
    value: bytes, scheme: str | None, realm: str | None
) -> None:
    head = b"PUT / HTTP/1.1\r\nAuthorization: " + value + b"\r\n\r\n"
    request = request_of(read_http_request(head))
    assert (request.authorization, request.realm) == (scheme, realm)
    assert "secret" not in repr(request)
    assert "YWRt" not in repr(request)


def test_a_challenge_names_the_device() -> None:
    head = b'HTTP/1.1 401\r\nWWW-Authenticate: Digest realm="DS-2CD2032", qop="auth"\r\n\r\n'
    response = response_of(read_http_response(head))
    assert (response.status, response.reason) == (401, None)
    assert (response.www_authenticate, response.realm) == ("Digest", "DS-2CD2032")


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (b"http://u:secret@h.example/p", "http://h.example/p"),
        (b"http://u:sec@ret@h.example/p", "http://h.example/p"),
        (b"http://u:sec/ret@h.example/p", "http://h.example/p"),
        (b"http://h.example:8080/p@q", "http://h.example:8080/p@q"),
        (b"/?usr=admin&pwd=secret&x=1", "/?usr=admin&pwd=***&x=1"),
        (b"/u=admin&PASSWORD=secret", "/u=admin&PASSWORD=***"),
    ],
)
def test_passwords_in_a_url_are_not_kept(target: bytes, url: str) -> None:
    assert request_of(read_http_request(b"GET " + target + b" HTTP/1.1\r\n\r\n")).url == url


@pytest.mark.parametrize("value", [b"-1", b"12a", b"9" * 19, b""])
def test_a_content_length_that_is_no_number_is_none(value: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: " + value + b"\r\n\r\n"
    assert request_of(read_http_request(head)).content_length is None


@pytest.mark.parametrize(
    "head",
    [
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n",
        b"DESCRIBE rtsp://192.0.2.1/ RTSP/1.0\r\n\r\n",
        b"NOTIFY sip:a@example SIP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n",
        b"GET /HTTP/1.1\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GETX",
        b"UNSUBSCRIBEUNSUBSCRIBE",
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\3\1\0\x05",
        RESPONSE,
    ],
)
def test_other_protocols_are_not_a_request(head: bytes) -> None:
    assert read_http_request(head) is None


@pytest.mark.parametrize("head", [REQUEST, b"RTSP/1.0 200 OK\r\n\r\n", b"HTTP/2 200\r\n", b"h"])
def test_other_protocols_are_not_a_response(head: bytes) -> None:
    assert read_http_response(head) is None


def test_a_status_line_without_status_is_an_error() -> None:
    with pytest.raises(DecodeError, match="status line"):
        read_http_response(b"HTTP/1.1 OK\r\n\r\n")


@pytest.mark.parametrize(
    "head", [b"GET /" + b"a" * 20_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 4_000]
)
def test_a_head_without_end_is_an_error(head: bytes) -> None:
    with pytest.raises(DecodeError, match="too long"):
        read_http_request(head)
    with pytest.raises(DecodeError, match="too long"):
        read_http_response(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 4_000)


@given(
    prefix=st.sampled_from([b"", b"GET ", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP"]),
    rest=st.binary(max_size=80) | st.text("\r\n :Hosta=@/", max_size=40).map(str.encode),
    final=st.booleans(),
)
@settings(max_examples=200)
def test_any_bytes_give_an_answer_or_a_decode_error(
    prefix: bytes, rest: bytes, *, final: bool
) -> None:
    for read in (read_http_request, read_http_response):
        with contextlib.suppress(DecodeError):
            assert not (read(prefix + rest, final=final) is NEED_MORE and final)
