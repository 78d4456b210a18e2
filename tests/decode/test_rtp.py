"""RTP is recognised by a run of packets, never by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.rtp import RtpTrail, read_rtp_header

# RFC 3550 5.1: version 2, marker off, type 96, sequence, timestamp 0x00000bb8, source 0x5ca1ab1e
HEADER = "80 60 {sequence:04x} 00 00 0b b8 5c a1 ab 1e 65 88 80 00"


def packet(sequence: int, *, source: str = "5c a1 ab 1e") -> bytes:
    text = HEADER.format(sequence=sequence & 0xFFFF).replace("5c a1 ab 1e", source)
    return bytes.fromhex(text)


def follow(*packets: bytes) -> bool:
    trail = RtpTrail()
    known = False
    for each in packets:
        header = read_rtp_header(each)
        assert header is not None
        known = trail.follow(0, header)
    return known


def test_the_fixed_header_is_read() -> None:
    header = read_rtp_header(packet(7))
    assert header is not None
    assert (header.payload_type, header.sequence, header.timestamp, header.source) == (
        96,
        7,
        3000,
        0x5CA1AB1E,
    )


def test_five_packets_that_count_on_are_rtp() -> None:
    assert follow(*(packet(n) for n in range(5)))


def test_the_sequence_number_wraps() -> None:
    assert follow(*(packet(n) for n in range(65_533, 65_538)))


def test_four_packets_are_not_enough() -> None:
    assert not follow(*(packet(n) for n in range(4)))


def test_a_gap_begins_the_run_again() -> None:
    assert not follow(*(packet(n) for n in (1, 2, 3, 4, 9)))


def test_another_source_begins_the_run_again() -> None:
    assert not follow(*(packet(n) for n in range(4)), packet(4, source="00 00 00 09"))


@pytest.mark.parametrize("end", range(12))
def test_a_cut_header_is_not_rtp(end: int) -> None:
    assert read_rtp_header(packet(1)[:end]) is None


@pytest.mark.parametrize(
    "first",
    [bytes.fromhex("40 60"), bytes.fromhex("80 c8"), bytes.fromhex("8f 60")],
    ids=["version 1", "RTCP sender report", "more sources than bytes"],
)
def test_what_cannot_be_rtp_is_not(first: bytes) -> None:
    assert read_rtp_header(first + packet(1)[2:]) is None


@given(st.binary(max_size=100))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_rtp_header(payload)
