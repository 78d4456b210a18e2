"""Sizes and lengths of time as people write them."""

from __future__ import annotations

import pytest

from egressd.measures import bytes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("500 B", 500),
        ("100kB", 100_000),
        ("100MB", 100_000_000),
        ("64mb", 64_000_000),
        (" 1 GB ", 1_000_000_000),
        ("2TB", 2_000_000_000_000),
        ("1KiB", 1024),
        ("1MiB", 1_048_576),
        ("1GiB", 1_073_741_824),
    ],
)
def test_a_size_has_a_unit(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("90min", 5400),
        ("24h", 86_400),
        ("14 d", 1_209_600),
        ("1w", 604_800),
    ],
)
def test_a_length_of_time_has_a_unit(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


WRONG = ["", "100", "MB", "1.5GB", "-1MB", "1 0MB", "1MBs", "1e3B", "\u0661MB", "9" * 13 + "B"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 100MB"):
        bytes_of(text)


@pytest.mark.parametrize("text", ["", "90", "h", "1.5h", "1 month", "-1h", "1M B"])
def test_what_is_no_length_of_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 24h"):
        seconds_of(text)
