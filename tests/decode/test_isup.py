"""ISUP's XML: a device registers at a platform. No capture was at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.isup import read_isup
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.model import NEED_MORE

XML = b'<?xml version="1.0" encoding="UTF-8" ?>\n'
REGISTER = (
    XML + b"<PPVSPMessage><Version>4.0</Version><Sequence>1</Sequence>"
    b"<CommandType>REQUEST</CommandType><Method>REGISTER</Method><Command>REGISTER</Command>"
    b"<Params><SerialNumber>DS-2CD2143</SerialNumber><DeviceID>gate01</DeviceID>"
    b"<LocalIP>192.0.2.64</LocalIP><LocalPort>7660</LocalPort>"
    b"<RegisterServer>198.51.100.9</RegisterServer></Params></PPVSPMessage>"
)
ANSWER = (
    XML + b"<PPVSPMessage><CommandType>RESPONSE</CommandType><Command>REGISTER</Command>"
    b"<Params><Status>200</Status></Params></PPVSPMessage>"
)


def test_a_device_registers_with_its_names() -> None:
    assert read_isup(REGISTER) == P2pMessage(
        protocol="isup",
        message="REGISTER",
        role=Role.REGISTRATION,
        confidence=Confidence.HIGH,
        device_id="gate01",
        peers=(Peer("192.0.2.64", 7660, Part.SELF), Peer("198.51.100.9", None, Part.SERVER)),
        detail="DS-2CD2143",
    )


def test_the_platform_s_answer_is_told_apart() -> None:
    message = read_isup(ANSWER)
    assert isinstance(message, P2pMessage)
    assert (message.message, message.role) == ("REGISTER_RESPONSE", Role.REGISTRATION)
    bare = read_isup(b"<PPVSPMessage><Command>NOTIFY</Command></PPVSPMessage>")
    assert isinstance(bare, P2pMessage)
    assert (bare.message, bare.role) == ("NOTIFY_MESSAGE", Role.CONTROL)


def test_a_stream_waits_for_the_end() -> None:
    for end in range(1, len(REGISTER)):
        assert read_isup(REGISTER[:end], final=False) is NEED_MORE
    assert read_isup(REGISTER, final=False) == read_isup(REGISTER)


@pytest.mark.parametrize(
    "head",
    [XML + b"<Probe/>", b"<html>", b"<PPVSPMessage></PPVSPMessage>", b"", XML + b" " * 300],
    ids=["sadp", "html", "no command", "nothing", "far"],
)
def test_other_documents_are_not_isup(head: bytes) -> None:
    assert read_isup(head) is None


def test_a_long_other_document_is_given_up() -> None:
    assert read_isup(XML + b"<root>" + b" " * 300, final=False) is None
    assert read_isup(b"<html>", final=False) is None


@given(st.binary(max_size=100), st.sampled_from([b"", XML + b"<PPVSPMessage>"]), st.booleans())
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes, final: bool) -> None:  # noqa: FBT001 - drawn
    read_isup(opening + tail, final=final)
