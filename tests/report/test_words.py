"""The words of the reports."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.report.words import (
    counted,
    exact_moment,
    human_bytes,
    human_span,
    plain,
    short_moment,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_960, "10 kB"),
        (64_000, "64 kB"),
        (999_499, "999 kB"),
        (999_999, "1.0 MB"),
        (3_400_000_000, "3.4 GB"),
        (2**64, "18 EB"),
    ],
)
def test_bytes_are_in_decimal_units(count: int, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0.4 s"),
        (59, "59 s"),
        (720, "12 min"),
        (7200, "2 h"),
        (12_000, "3 h 20 min"),
        (14 * 86400 + 3600, "14 d 1 h"),
    ],
)
def test_spans_have_two_units_at_most(seconds: float, text: str) -> None:
    assert human_span(int(seconds * 1_000_000_000)) == text


def test_a_moment_keeps_its_nanoseconds() -> None:
    # 1795348800 is 2026-11-22T12:00:00Z (date -u -d @1795348800).
    assert exact_moment(1_795_348_800_123_456_789) == "2026-11-22T12:00:00.123456789Z"
    assert short_moment(1_795_348_800_123_456_789) == "2026-11-22 12:00:00"


@settings(max_examples=100)
@given(st.integers(-(2**70), 2**70))
def test_any_64_bit_time_is_a_moment(time: int) -> None:
    # pcapng timestamps are 64 bits in units the file chooses: anything can stand there.
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", exact_moment(time))


def test_an_escape_sequence_is_shown_and_not_sent() -> None:
    assert plain("\x1b[31mred\x07") == "\\u{1b}[31mred\\u{7}"


def test_a_direction_override_is_shown() -> None:
    assert plain("gpj.\u202eexe") == "gpj.\\u{202e}exe"


@settings(max_examples=200)
@given(st.text())
def test_plain_text_is_printable(text: str) -> None:
    assert plain(text).isprintable()


def test_one_is_singular() -> None:
    assert counted(1, "camera") == "1 camera"
    assert counted(2000, "camera") == "2,000 cameras"
