"""Fields out of XML, JSON and fixed records: what is read, and what is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.fieldtext import (
    address_of,
    ipv4_of,
    json_text,
    mac_of,
    padded_text,
    port_of,
    printable,
    xml_bytes,
    xml_text,
)


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (b"<a><Name>gate</Name></a>", "gate"),
        (b"<x:Name a='1'> gate </x:Name>", "gate"),
        (b"<Name>a&amp;b&lt;</Name>", "a&b<"),
        (b"<Names>no</Names><Name>gate</Name>", "gate"),
        (b"<Name>\xc3\xa9</Name>", "\\195\\169"),
        (b"<Name>" + b"x" * 1000 + b"</Name>", "x" * 300),
        (b"<Name></Name>", None),
        (b"<Name> </Name>", None),
        (b"<Name/>", None),
        (b"<Name>cut", None),
        (b"", None),
    ],
    ids=["plain", "prefix", "entities", "other name", "bytes", "long", "empty", "blank", "closed",
         "cut", "nothing"],
)  # fmt: skip
def test_an_element_gives_its_text(xml: bytes, text: str | None) -> None:
    assert xml_text(xml, b"Name") == text


def test_an_element_far_behind_is_not_looked_for() -> None:
    assert xml_bytes(b" " * 20_000 + b"<Name>gate</Name>", b"Name") is None


@pytest.mark.parametrize(
    ("json", "text"),
    [
        (b'{"SN": "4M0"}', "4M0"),
        (b'{"SN" : 12}', "12"),
        (b'{"other":"a","serial":"b"}', "b"),
        (b'{"SN":""}', None),
        (b'{"SN":" "}', None),
        (b'{"SN":null}', None),
        (b'{"SN":"cut', None),
    ],
    ids=["text", "number", "second name", "empty", "blank", "null", "cut"],
)
def test_a_member_gives_its_text(json: bytes, text: str | None) -> None:
    assert json_text(json, b"SN", b"serial") == text


def test_a_fixed_field_ends_at_its_first_zero() -> None:
    assert padded_text(b"SND-6083\0\0junk") == "SND-6083"
    assert padded_text(b"\0\0") is None
    assert printable(b"SND-6083\0\0")
    assert not printable(b"SND\0-6083")
    assert not printable(b"\xff\xfe")


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("00:16:6C:7D:75:6E", "00:16:6c:7d:75:6e"),
        ("00-16-6c-7d-75-6e", "00:16:6c:7d:75:6e"),
        ("00166C7D756E", "00:16:6c:7d:75:6e"),
        ("00:00:00:00:00:00", None),
        ("ff:ff:ff:ff:ff:ff", None),
        ("00:16:6c:7d:75", None),
        (None, None),
    ],
)
def test_a_mac_has_one_form(text: str | None, mac: str | None) -> None:
    assert mac_of(text) == mac


def test_an_address_is_canonical_and_not_the_one_that_is_none() -> None:
    assert address_of("192.0.2.7") == "192.0.2.7"
    assert address_of("2001:DB8:0::1") == "2001:db8::1"
    for text in (None, "", "0.0.0.0", "::", "192.0.2.256", "1" * 99):  # noqa: S104 - a text
        assert address_of(text) is None
    assert ipv4_of(bytes([192, 0, 2, 7])) == "192.0.2.7"
    assert ipv4_of(bytes(4)) is None
    assert ipv4_of(b"\1") is None


def test_a_port_lies_between_its_bounds() -> None:
    assert port_of("7660") == 7660
    for text in (None, "0", "65536", "123456", "-1", ""):
        assert port_of(text) is None


@given(st.binary(max_size=300))
def test_never_fails_on_any_bytes(data: bytes) -> None:
    xml_text(b"<A>" + data, b"A")
    json_text(b'{"A":"' + data, b"A")
    padded_text(data)
    printable(data)


@given(st.text(max_size=60))
def test_never_fails_on_any_text(text: str) -> None:
    mac_of(text)
    address_of(text)
    port_of(text)
