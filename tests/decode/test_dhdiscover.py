"""DHDiscover: both forms of Dahua's search.

No capture of a real device was at hand: the bytes follow UniversalScanner and DahuaConsole.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.dhdiscover import BAD_LENGTH, DHIP, OLD_SEARCH, read_dhdiscover
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence
from egressd.model import DecodeError


def dhip(body: bytes) -> bytes:
    return DHIP.pack(b"\x20\0\0\0", b"DHIP", 0, 0, len(body), 0, len(body), 0) + body


SEARCH = dhip(b'{ "method" : "DHDiscover.search", "params" : { "mac" : "", "uni" : 1 } }\r\n')
ANSWER = dhip(
    b'{"mac":"3c:ef:8c:00:00:01","method":"client.notifyDevInfo","params":{"deviceInfo":{'
    b'"DeviceClass":"IPC","DeviceType":"IPC-HDW2431T","MachineName":"gate",'
    b'"IPv4Address":{"IPAddress":"192.0.2.108"},"SerialNo":"4M0ABCDPAG00001",'
    b'"Vendor":"Dahua","Version":"2.800.0000000.44.R"}}}\n\0'
)
OLD_ANSWER = (
    b"\xb3\0\x1b\x58" + bytes(12) + b"\2\0\0\0" + bytes(20)
    + b"IPC".ljust(16, b"\0") + bytes([192, 0, 2, 108]) + bytes(60)
    + b"3c:ef:8c:00:00:01IPC-HFW1000"
)  # fmt: skip


def test_a_device_tells_who_it_is() -> None:
    assert read_dhdiscover(ANSWER) == Introduction(
        protocol="dhdiscover",
        message="client.notifyDevInfo",
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        vendor="Dahua",
        model="IPC-HDW2431T",
        firmware="2.800.0000000.44.R",
        serial="4M0ABCDPAG00001",
        mac="3c:ef:8c:00:00:01",
        ip="192.0.2.108",
        name="gate",
    )


def test_an_old_device_tells_mac_model_and_address() -> None:
    message = read_dhdiscover(OLD_ANSWER)
    assert message is not None
    assert message.speaks_for_itself
    assert message.mac == "3c:ef:8c:00:00:01"
    assert message.model == "IPC-HFW100"  # as long as the tail says
    assert message.ip == "192.0.2.108"


def test_a_search_says_nothing_of_its_sender() -> None:
    assert read_dhdiscover(SEARCH) == Introduction(
        "dhdiscover", "DHDiscover.search", Confidence.HIGH
    )
    assert read_dhdiscover(OLD_SEARCH) == Introduction("dhdiscover", "search", Confidence.HIGH)
    assert read_dhdiscover(dhip(b'{"result":true}')) == Introduction(
        "dhdiscover", "result", Confidence.HIGH
    )


@pytest.mark.parametrize(
    "payload",
    [ANSWER[:-1], ANSWER + b"\0", ANSWER[:20], ANSWER[:16] + b"\1\0\0\0" + ANSWER[20:]],
    ids=["cut", "trailing byte", "cut header", "two lengths"],
)
def test_a_wrong_length_is_an_error(payload: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        read_dhdiscover(payload)
    assert (caught.value.protocol, caught.value.reason) == ("dhdiscover", BAD_LENGTH)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        OLD_SEARCH + b"\0",
        OLD_ANSWER[:130],
        OLD_ANSWER[:16] + b"\3" + OLD_ANSWER[17:],
        OLD_ANSWER.replace(b"3c:ef", b"no:ma"),
        b"\xb3" + bytes(200),
    ],
    ids=["nothing", "longer search", "cut", "version", "no mac", "zeros"],
)
def test_other_records_are_not_dhdiscover(payload: bytes) -> None:
    assert read_dhdiscover(payload) is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xb3\0", OLD_ANSWER[:56], SEARCH[:8]]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    reason = BAD_LENGTH
    try:
        read_dhdiscover(opening + tail)
    except DecodeError as error:
        reason = error.reason
    assert reason == BAD_LENGTH
