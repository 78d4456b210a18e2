"""NTP: what a clock says, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.ntp import BAD_EXTENSION, CUT_MESSAGE, REASONS, NtpMessage, read_ntp
from egressd.model import DecodeError

# iotsentinel__D-LinkCam__Setup-A-1-STA.pcap frames 120 and 121: the camera sets its clock
REQUEST = bytes.fromhex(
    "1b0004fa 00010000 00010000 00000000"
    "0000000000000000 0000000000000000 0000000000000000 d75c78fda12c3866"
)
ANSWER = bytes.fromhex(
    "1c0205ed 00000250 00000bec 803b00f5"
    "dabb7aa27636e0cf d75c78fda12c3866 dabb827ac85a2b55 dabb827ac85d82d4"
)
# PcapPlusPlus__many_interfaces-1.pcapng frame 11: a server with a GPS clock
GPS_ANSWER = bytes.fromhex(
    "240106ec 00000000 00000047 47505373"
    "d97b647791fdbdc8 d97b647e296af531 d97b647e48bec57c d97b647e48bfafd4"
)
# mercury__quic_reordered_frames.pcap frame 1: nothing but a transmit time
BARE_REQUEST = bytes.fromhex("23000000" + "00" * 36 + "eb6776d31b0f8286")


def read(payload: bytes) -> NtpMessage:
    message = read_ntp(payload)
    assert message is not None
    return message


def test_a_camera_asks_for_the_time() -> None:
    message = read(REQUEST)
    assert (message.version, message.mode, message.is_request) == (3, "client", True)
    assert message.length == 48
    assert message.receive_time is None
    # tshark: Jul  1, 2014 00:02:05.629580998 UTC
    assert message.transmit_time == 1404172925_629580998
    assert not message.has_extension


def test_a_server_answers_with_its_source() -> None:
    message = read(ANSWER)
    assert (message.mode, message.is_request, message.stratum) == ("server", False, 2)
    assert message.reference_id == "128.59.0.245"
    # tshark: Apr 15, 2016 15:08:42.782676865 UTC
    assert message.transmit_time == 1460732922_782676865
    assert message.originate_time == read(REQUEST).transmit_time


def test_a_first_stratum_names_its_clock() -> None:
    assert read(GPS_ANSWER).reference_id == "GPSs"


def test_a_kiss_code_is_text() -> None:
    # RFC 5905 section 7.4: stratum 0, the code in the reference id
    assert read(GPS_ANSWER[:1] + b"\0" + GPS_ANSWER[2:12] + b"RATE" + GPS_ANSWER[16:]).stratum == 0


def test_a_request_of_zeros_but_its_time_is_ntp() -> None:
    assert read(BARE_REQUEST).reference_id == ""


def test_the_second_era_begins_in_2036() -> None:
    # RFC 4330 section 3: a clear top bit counts from 7 February 2036, 06:28:16 UTC.
    message = read(REQUEST[:40] + bytes.fromhex("0000000000000001"))
    assert message.transmit_time == 2085978496_000000000


@pytest.mark.parametrize("end", range(48))
def test_a_cut_message_is_only_ntp_where_it_is_expected(end: int) -> None:
    assert read_ntp(REQUEST[:end]) is None
    if end:
        with pytest.raises(DecodeError) as caught:
            read_ntp(REQUEST[:end], expected=True)
        assert caught.value.reason == CUT_MESSAGE


def test_a_trailing_byte_is_broken() -> None:
    assert read_ntp(REQUEST + b"\0") is None
    with pytest.raises(DecodeError) as caught:
        read_ntp(REQUEST + b"\0", expected=True)
    assert caught.value.reason == BAD_EXTENSION


@pytest.mark.parametrize("size", [4, 20, 24, 36])
def test_a_digest_is_no_extension(size: int) -> None:
    assert not read(REQUEST + bytes(size)).has_extension


def test_extension_fields_are_seen() -> None:
    # RFC 8915 section 5.3: the unique identifier field (0x0104) with 32 bytes
    field = bytes.fromhex("0104 0024") + bytes(32)
    assert read(REQUEST + field + field).has_extension
    assert read(REQUEST + field + field + bytes(20)).has_extension
    assert read_ntp(REQUEST + field + field[:-4]) is None


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0x18), (0, 0x1E), (0, 0x03), (0, 0x2B), (1, 17), (2, 18), (3, 1), (4, 1), (8, 1)],
    ids=["mode 0", "mode 6", "version 0", "version 5", "stratum", "poll", "precision", "delay",
         "dispersion"],
)  # fmt: skip
def test_unlikely_numbers_are_not_ntp(at: int, value: int) -> None:
    assert read_ntp(REQUEST[:at] + bytes([value]) + REQUEST[at + 1 :]) is None


def test_a_dns_query_of_48_bytes_is_not_ntp() -> None:
    # its id 0x2301 would be version 4, client, stratum 1; the flags 0x0100 poll 1, precision 0
    query = (
        bytes.fromhex("2301 0100 0001 0000 0000 0000 1e") + b"a" * 30 + bytes.fromhex("0000010001")
    )
    assert len(query) == 48
    assert read_ntp(query) is None


def test_unlikely_numbers_pass_where_ntp_is_expected() -> None:
    assert read_ntp(REQUEST[:3] + b"\1" + REQUEST[4:], expected=True) is not None


def test_a_server_must_say_a_time() -> None:
    assert read_ntp(ANSWER[:40] + bytes(8)) is None


def test_nothing_is_not_ntp() -> None:
    assert read_ntp(b"", expected=True) is None


@given(st.binary(min_size=48, max_size=48))
@settings(max_examples=200)
def test_random_payload_is_not_ntp(payload: bytes) -> None:
    # Bytes that a clock would send have small numbers in these places.
    if payload[4] not in (0, 255) and payload[8]:
        assert read_ntp(payload) is None


@given(st.binary(max_size=120), st.booleans())
def test_never_fails_on_any_bytes(tail: bytes, expected: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    reason = CUT_MESSAGE
    for payload in (tail, REQUEST + tail):
        try:
            read_ntp(payload, expected=expected)
        except DecodeError as error:
            reason = error.reason
        assert reason in REASONS
