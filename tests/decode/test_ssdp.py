"""SSDP: announcements, searches and answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.ssdp import SsdpMessage, read_ssdp

NOTIFY = (
    b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n"
    b"LOCATION: http://192.0.2.9:49152/IPCam.xml\r\nNTS: ssdp:alive\r\n"
    b"SERVER: Linux/2.6, UPnP/1.0\r\nNT: upnp:rootdevice\r\nUSN: uuid:1::upnp:rootdevice\r\n\r\n"
)
SEARCH = (
    b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n'
    b"ST: ssdp:all\r\nUSER-AGENT: Chrome/120 Windows\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nUSN: uuid:1\r\nSERVER: x\r\n\r\n"


def test_a_device_announces_itself() -> None:
    message = read_ssdp(NOTIFY)
    assert message == SsdpMessage(
        kind="notify",
        type="upnp:rootdevice",
        subtype="ssdp:alive",
        usn="uuid:1::upnp:rootdevice",
        server="Linux/2.6, UPnP/1.0",
        location="http://192.0.2.9:49152/IPCam.xml",
    )
    assert message.speaks_for_itself
    assert message.protocol == "ssdp"


def test_a_search_names_its_program() -> None:
    message = read_ssdp(SEARCH)
    assert message == SsdpMessage("search", type="ssdp:all", user_agent="Chrome/120 Windows")
    assert not message.speaks_for_itself


def test_an_answer_has_a_type_and_a_name() -> None:
    message = read_ssdp(ANSWER)
    assert message is not None
    assert (message.kind, message.type, message.usn) == ("answer", "upnp:rootdevice", "uuid:1")


@pytest.mark.parametrize(
    "payload",
    [b"", b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", b"NOTIFY sip:a@b SIP/2.0\r\n", NOTIFY[1:]],
    ids=["nothing", "plain http", "sip", "cut off"],
)
def test_other_messages_are_not_ssdp(payload: bytes) -> None:
    assert read_ssdp(payload) is None


@given(st.binary(max_size=200), st.sampled_from([b"", NOTIFY[:20], ANSWER[:17]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_ssdp(opening + tail)
