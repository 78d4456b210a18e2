"""Xiongmai's DVRIP and cloud: roles, the serial number, and what only begins alike.

No capture of a real device was at hand: header and numbers follow go2rtc, the cloud's messages an
analyst's notes.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.decode.xiongmai import (
    HEADER,
    read_dvrip_search,
    read_dvrip_xiongmai,
    read_xiongmai_cloud,
)
from egressd.model import NEED_MORE


def dvrip(number: int, body: bytes, *, parts: int = 0, part: int = 0) -> bytes:
    return HEADER.pack(0xFF, 1, 0, 7, 0, parts, part, number, len(body)) + body


LOGIN = dvrip(1000, b'{"EncryptType":"MD5","LoginType":"DVRIP-Web","UserName":"admin"}\n\0')
LOGIN_ANSWER = dvrip(1001, b'{"AliveInterval":20,"Ret":100,"SessionID":"0x00000007"}\n\0')
FRAME = dvrip(1412, b"\0\0\1\xfc" + bytes(60))
SEARCH_ANSWER = dvrip(
    1531,
    b'{"NetWork.NetCommon":{"HostIP":"0x0A0200C0","HostName":"LocalHost",'
    b'"MAC":"00:12:31:00:00:01","SN":"0123456789abcdef","Version":"V4.02"},"Ret":100}\n\0',
)
REGISTER = (
    b"POST / HTTP/1.1\r\nHost: 192.0.2.1\r\nContent-Length: 200\r\n\r\n"
    b'{"AgentProtocol":{"Header":{"MessageType":"MSG_AGENT_REGISTER_REQ"},'
    b'"Body":{"SerialNumber":"0123456789abcdef","AuthCode":"x","DevicePort":34567}}}'
)


@pytest.mark.parametrize(
    ("head", "message", "role"),
    [
        (LOGIN, "LOGIN_REQ", Role.CONTROL),
        (LOGIN_ANSWER, "LOGIN_RSP", Role.CONTROL),
        (FRAME, "MONITOR_DATA", Role.MEDIA),
        (dvrip(1412, b"middle of a frame", parts=3, part=1), "MONITOR_DATA", Role.MEDIA),
        (dvrip(1006, b'{"Name":"KeepAlive"}'), "KEEPALIVE_REQ", Role.KEEPALIVE),
        (dvrip(1450, b'{"Name":"OPTimeQuery"}'), "MSG_1450", Role.CONTROL),
        (SEARCH_ANSWER, "IPSEARCH_RSP", Role.LAN),
    ],
    ids=["login", "answer", "video", "part", "keepalive", "other", "search"],
)
def test_a_message_has_a_name_and_a_role(head: bytes, message: str, role: Role) -> None:
    found = read_dvrip_xiongmai(head)
    assert isinstance(found, P2pMessage)
    assert (found.protocol, found.message, found.role) == ("dvrip", message, role)
    assert (found.confidence, found.detail) == (Confidence.HIGH, "xiongmai")


def test_a_header_alone_is_less_sure() -> None:
    found = read_dvrip_xiongmai(LOGIN[:20])
    assert isinstance(found, P2pMessage)
    assert found.confidence is Confidence.MEDIUM


@pytest.mark.parametrize("end", range(1, 20))
def test_a_cut_header_needs_more(end: int) -> None:
    assert read_dvrip_xiongmai(LOGIN[:end]) is NEED_MORE


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xfb\x01\xff\xfb\x03",  # telnet
        b"\xff\xd8\xff\xe0" + bytes(40),  # JPEG
        b"\xff\1\0\1" + LOGIN[4:],
        dvrip(999, b"{}"),
        dvrip(2201, b"{}"),
        dvrip(1450, b""),
        dvrip(1000, b"not json"),
        dvrip(1412, b"not video"),
        dvrip(1000, b"{}", parts=1, part=1),
        HEADER.pack(0xFF, 1, 0, 0, 0, 0, 0, 1000, 65_537),
        b"",
    ],
    ids=["telnet", "jpeg", "reserved", "low", "high", "unknown", "text", "no frame", "part", "long",
         "nothing"],
)  # fmt: skip
def test_other_bytes_are_not_dvrip(head: bytes) -> None:
    assert read_dvrip_xiongmai(head) is None


def test_a_device_that_is_searched_for_tells_who_it_is() -> None:
    assert read_dvrip_search(SEARCH_ANSWER) == Introduction(
        protocol="dvrip",
        message="IPSEARCH_RSP",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        vendor="xiongmai",
        firmware="V4.02",
        serial="0123456789abcdef",
        mac="00:12:31:00:00:01",
        ip="192.0.2.10",
        name="LocalHost",
    )


@pytest.mark.parametrize(
    ("text", "ip"),
    [(b"192.0.2.4", "192.0.2.4"), (b"0xZZ0200C0", None), (b"0x00000000", None)],
)
def test_an_address_is_written_in_two_ways(text: bytes, ip: str | None) -> None:
    message = read_dvrip_search(dvrip(1531, b'{"HostIP":"' + text + b'"}'))
    assert message is not None
    assert message.ip == ip


def test_a_search_says_nothing_of_its_sender() -> None:
    expected = Introduction("dvrip", "IPSEARCH_REQ", Confidence.HIGH)
    assert read_dvrip_search(dvrip(1530, b"")) == expected
    for payload in (LOGIN, SEARCH_ANSWER + b"\0", SEARCH_ANSWER[:-1], b"", SEARCH_ANSWER[:19]):
        assert read_dvrip_search(payload) is None


def test_a_camera_registers_with_its_serial_number() -> None:
    assert read_xiongmai_cloud(REGISTER) == P2pMessage(
        protocol="xiongmai-cloud",
        message="MSG_AGENT_REGISTER_REQ",
        role=Role.REGISTRATION,
        confidence=Confidence.HIGH,
        device_id="0123456789abcdef",
    )


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (b"MSG_DEV_START_CON", Role.RELAY),
        (b"MSG_XM_DNS_MULTIQUERY_REQ", Role.LOOKUP),
        (b"MSG_DEV_HEARTBEAT_REQ", Role.KEEPALIVE),
        (b"MSG_DEV_OTHER", Role.CONTROL),
    ],
)
def test_a_cloud_message_has_a_role(message: bytes, role: Role) -> None:
    json = b'{"DssProtocol":{"Header":{"MessageType":"' + message + b'"}}}'
    found = read_xiongmai_cloud(json)
    assert found is not None
    assert found.role is role


def test_a_viewer_comes_by_a_relay() -> None:
    found = read_xiongmai_cloud(
        b'{"DssProtocol":{"MessageType":"MSG_DEV_START_CON",'
        b'"AgentServerIp":"198.51.100.7","AgentServerPort":6611}}'
    )
    assert found is not None
    assert found.peers == (Peer("198.51.100.7", 6611, Part.RELAY),)


@pytest.mark.parametrize(
    "head",
    [b"", b'{"MessageType":"MSG_X_Y_Z"}', b'{"AgentProtocol":{"MessageType":"hello"}}', b"{}"],
)
def test_other_json_is_not_the_cloud(head: bytes) -> None:
    assert read_xiongmai_cloud(head) is None


@given(st.binary(max_size=100), st.sampled_from([b"", b"\xff", LOGIN[:14], SEARCH_ANSWER[:20]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_dvrip_xiongmai(opening + tail)
    read_dvrip_search(opening + tail)
    read_xiongmai_cloud(REGISTER[:110] + tail)
