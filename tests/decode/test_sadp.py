"""SADP: a device answers, a program searches, and WS-Discovery is another protocol.

No capture of a real device was at hand: the bytes follow the published implementations.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence, Role
from egressd.decode.sadp import read_sadp

XML = b'<?xml version="1.0" encoding="utf-8"?>'
SEARCH = XML + b"<Probe><Uuid>13A888A9-F1B1</Uuid><Types>inquiry</Types></Probe>"
ANSWER = (
    XML + b"\r\n<ProbeMatch>\r\n<Uuid>13A888A9-F1B1</Uuid><Types>inquiry</Types>"
    b"<DeviceType>1068</DeviceType><DeviceDescription>DS-2CD2143G0-I</DeviceDescription>"
    b"<DeviceSN>DS-2CD2143G0-I20190101AAWRC12345678</DeviceSN><CommandPort>8000</CommandPort>"
    b"<MAC>44-19-b6-a0-00-01</MAC><IPv4Address>192.0.2.64</IPv4Address>"
    b"<SoftwareVersion>V5.7.3build 220112</SoftwareVersion></ProbeMatch>"
)


def test_a_device_tells_who_it_is() -> None:
    assert read_sadp(ANSWER) == Introduction(
        protocol="sadp",
        message="ProbeMatch",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        model="DS-2CD2143G0-I",
        firmware="V5.7.3build 220112",
        serial="DS-2CD2143G0-I20190101AAWRC12345678",
        mac="44:19:b6:a0:00:01",
        ip="192.0.2.64",
    )


def test_a_search_says_nothing_of_its_sender() -> None:
    message = read_sadp(SEARCH)
    assert message == Introduction("sadp", "Probe inquiry", Confidence.HIGH)
    assert (message.role, message.device_id) == (Role.LAN, None)


def test_an_answer_to_another_order_is_not_an_introduction() -> None:
    message = read_sadp(XML + b"<ProbeMatch><Uuid>1</Uuid><Result>success</Result></ProbeMatch>")
    assert message == Introduction("sadp", "ProbeMatch", Confidence.MEDIUM)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        XML + b"<s:Envelope><s:Body><Probe><Uuid>1</Uuid></Probe></s:Body></s:Envelope>",
        XML + b"<Probe><Types>dn:NetworkVideoTransmitter</Types></Probe>",
        XML + b"<ProbeMatch><Other>1</Other></ProbeMatch>",
        XML + b"<root/>",
        b"<html>",
        ANSWER[1:],
    ],
    ids=["nothing", "wsd", "no number", "no field", "root", "html", "cut off"],
)
def test_other_documents_are_not_sadp(payload: bytes) -> None:
    assert read_sadp(payload) is None


@pytest.mark.parametrize("end", range(len(ANSWER)))
def test_a_cut_answer_never_fails(end: int) -> None:
    message = read_sadp(ANSWER[:end])
    assert message is None or message.protocol == "sadp"


@given(st.binary(max_size=200), st.sampled_from([b"", XML, XML + b"<ProbeMatch>"]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_sadp(opening + tail)
