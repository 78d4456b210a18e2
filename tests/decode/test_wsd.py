"""WS-Discovery: cameras, printers and computers say which of these they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence
from egressd.decode.wsd import read_wsd

HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?><env:Envelope '
    b'xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    b'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><env:Body>'
)
TAIL = b"</env:Body></env:Envelope>"
MATCH = (
    b"<d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
    b"<d:Scopes>onvif://www.onvif.org/type/video_encoder"
    b" onvif://www.onvif.org/name/HIKVISION%20DS-2CD2143"
    b" onvif://www.onvif.org/hardware/DS-2CD2143 onvif://www.onvif.org/MAC/44:19:b6:a0:00:01"
    b" onvif://www.onvif.org/location/%20 http://example.org/other</d:Scopes>"
    b"<d:XAddrs>http://192.0.2.64/onvif/device_service http://[fe80::1]/onvif</d:XAddrs>"
    b"</d:ProbeMatch>"
)
ANSWER = HEAD + b"<d:ProbeMatches>" + MATCH + b"</d:ProbeMatches>" + TAIL
SEARCH = HEAD + b"<d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe>" + TAIL


def test_a_camera_tells_what_it_is() -> None:
    assert read_wsd(ANSWER) == Introduction(
        protocol="wsd",
        message="ProbeMatches",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model="DS-2CD2143",
        mac="44:19:b6:a0:00:01",
        ip="192.0.2.64",
        name="HIKVISION DS-2CD2143",
        types=("dn:NetworkVideoTransmitter", "tds:Device"),
    )


def test_who_searches_for_cameras_is_not_one() -> None:
    for payload in (SEARCH, b"\xef\xbb\xbf" + SEARCH):
        message = read_wsd(payload)
        assert message is not None
        assert message.message == "Probe"
        assert not message.speaks_for_itself


def test_a_printer_says_so() -> None:
    hello = b"<d:Hello><d:Types>wsdp:Device wprt:PrintDeviceType</d:Types></d:Hello>"
    message = read_wsd(HEAD + hello + TAIL)
    assert message is not None
    assert message.speaks_for_itself
    assert message.types == ("wsdp:Device", "wprt:PrintDeviceType")
    assert (message.model, message.ip) == (None, None)


def test_a_proxy_speaks_for_nobody() -> None:
    payload = HEAD + b"<d:ProbeMatches>" + MATCH + MATCH + b"</d:ProbeMatches>" + TAIL
    message = read_wsd(payload)
    assert message is not None
    assert not message.speaks_for_itself


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"<",
        b"<Envelope><Body><Probe></Probe></Body></Envelope>",
        HEAD + b"<other/>" + TAIL,
        b"GET / HTTP/1.1\r\n\r\n" + ANSWER,
    ],
    ids=["nothing", "bracket", "no namespace", "no message", "http"],
)
def test_other_documents_are_not_wsd(payload: bytes) -> None:
    assert read_wsd(payload) is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"<", HEAD, HEAD + b"<d:Hello>"]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_wsd(opening + tail)


@pytest.mark.parametrize("end", range(0, len(ANSWER), 7))
def test_a_cut_answer_never_fails(end: int) -> None:
    message = read_wsd(ANSWER[:end])
    assert message is None or message.protocol == "wsd"
