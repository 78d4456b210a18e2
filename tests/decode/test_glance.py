"""A glance says what the decoder says, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from egressd.decode.dns import read_dns
from egressd.decode.glance import glance_dns, glance_hello
from egressd.decode.tls import ClientHello, read_tls_client
from egressd.model import DecodeError

# RFC 1035 4.1: id, flags RD, one question; www.example, type A, class IN.
QUESTION = bytes.fromhex("1d2c 0100 0001 0000 0000 0000 03777777 076578616d706c65 00 0001 0001")
ANSWER = (
    bytes.fromhex("1d2c 8180 0001 0001 0000 0000 03777777 076578616d706c65 00 0001 0001")
    + bytes.fromhex("c00c 0001 0001 0000003c 0004 c0000201")
)  # fmt: skip
REVERSE = bytes.fromhex("1d2c 0100 0001 0000 0000 0000 0131 00 000c 0001")


def hello_of(name: bytes) -> bytes:
    """Return a TLS record with a ClientHello that has one extension, the server name (RFC 6066)."""
    server_name = len(name).to_bytes(2, "big") + name
    listed = b"\0" + server_name
    body = (len(listed) + 2).to_bytes(2, "big") + len(listed).to_bytes(2, "big") + listed
    extensions = b"\0\0" + body if name else b"\0\x17\0\0"
    hello = (
        b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
        + len(extensions).to_bytes(2, "big") + extensions
    )  # fmt: skip
    message = b"\x01" + len(hello).to_bytes(3, "big") + hello
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


HELLO = hello_of(b"cloud.example")


def test_the_name_of_a_question_is_seen() -> None:
    assert glance_dns(QUESTION) == "www.example"


@pytest.mark.parametrize("message", [ANSWER, REVERSE], ids=["answer", "reverse"])
def test_an_answer_and_a_reverse_lookup_have_no_name_of_interest(message: bytes) -> None:
    assert glance_dns(message) == ""


@pytest.mark.parametrize(
    "message",
    [
        QUESTION[:5] + b"\x02" + QUESTION[6:],
        QUESTION.replace(b"www", b"w w"),
        QUESTION + b"\0",
        ANSWER[:-1],
        QUESTION[:12] + b"\xc0\x0c" + QUESTION[-4:],
    ],
    ids=["two questions", "an odd letter", "a byte too many", "a byte too few", "a pointer"],
)
def test_what_is_not_plain_dns_is_for_the_decoder(message: bytes) -> None:
    assert glance_dns(message) is None


def test_the_name_in_a_hello_is_seen() -> None:
    assert glance_hello(HELLO) == "cloud.example"
    assert glance_hello(hello_of(b"")) == ""
    assert glance_hello(HELLO + b"\x17\x03\x03\0\x01x") == "cloud.example"


@pytest.mark.parametrize("end", range(len(HELLO)))
def test_a_cut_hello_is_for_the_decoder(end: int) -> None:
    assert glance_hello(HELLO[:end]) is None


@given(st.binary(max_size=300))
@example(QUESTION)
@example(ANSWER)
def test_a_glance_at_dns_says_what_the_decoder_says(payload: bytes) -> None:
    name = glance_dns(payload)
    if name is None:
        return
    try:
        message = read_dns(payload, expected=True)
    except DecodeError:
        message = None
    assert message is not None
    assert len(message.questions) == 1
    asked = message.questions[0]
    assert name == ("" if message.is_response or asked.type == "PTR" else asked.name)


@given(st.binary(max_size=40), st.integers(0, len(HELLO)), st.integers(0, 40))
@example(b"", 0, 0)
def test_a_glance_at_a_hello_says_what_the_decoder_says(put: bytes, at: int, drop: int) -> None:
    payload = HELLO[:at] + put + HELLO[at + drop :]
    name = glance_hello(payload)
    if name is not None:
        hello = read_tls_client(payload)
        assert isinstance(hello, ClientHello)
        assert (hello.sni or "") == name


@given(st.binary(max_size=120), st.integers(0, len(ANSWER)), st.integers(0, 40))
def test_a_mutated_answer_is_read_the_same_way(put: bytes, at: int, drop: int) -> None:
    test_a_glance_at_dns_says_what_the_decoder_says.hypothesis.inner_test(  # type: ignore[attr-defined]
        ANSWER[:at] + put + ANSWER[at + drop :]
    )
