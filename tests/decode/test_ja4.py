"""JA4 against FoxIO's published example and the rules of its technical description."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.ja4 import ja4_of
from egressd.decode.tls import ClientHello

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(it, 16) for it in text.split(","))


# FoxIO, technical_details/JA4.md, "Raw Output", in the original order; GREASE added to every list.
CIPHERS = "0a0a,1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
EXTENSIONS = (
    "1a1a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015,2a2a"
)
ALGORITHMS = "0403,0804,0401,0503,0805,0501,0806,0601"


def chrome() -> ClientHello:
    return ClientHello(
        version="TLSv1.3",
        legacy_version=0x0303,
        sni="example.com",
        alpn=("h2", "http/1.1"),
        versions=(0x3A3A, 0x0304, 0x0303),
        ciphers=numbers(CIPHERS),
        extensions=numbers(EXTENSIONS),
        signature_algorithms=numbers(ALGORITHMS),
    )


def test_the_published_example_has_its_published_value() -> None:
    assert ja4_of(chrome(), "t") == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_without_signature_algorithms_the_extensions_are_hashed_alone() -> None:
    hello = chrome()
    hello.signature_algorithms = ()
    assert ja4_of(hello, "t") == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_without_server_name_the_destination_is_an_address() -> None:
    hello = chrome()
    hello.sni = None
    hello.extensions = tuple(kind for kind in hello.extensions if kind != 0)
    assert ja4_of(hello, "t") == "t13i1515h2_8daaf6152771_e5627efa2ab1"


def test_a_hello_with_nothing_in_it_has_zeros_for_hashes() -> None:
    empty = ClientHello("TLSv1.0", 0x0301)
    assert ja4_of(empty, "q") == "q10i000000_000000000000_000000000000"


def test_counts_stop_at_99() -> None:
    many = ClientHello("TLSv1.2", 0x0303, ciphers=(5,) * 120, extensions=(7,) * 120)
    assert ja4_of(many, "t")[:8] == "t12i9999"


# The examples of the section "ALPN Extension Value", and its text.
@pytest.mark.parametrize(
    ("alpn", "expected"),
    [
        ((), "00"),
        (("",), "00"),
        (("h2",), "h2"),
        (("http/1.1",), "h1"),
        (("h",), "hh"),
        ((r"\171",), "ab"),
        ((r"\171\205",), "ad"),
        ((r"0\171",), "3b"),
        ((r"01\171\205",), "3d"),
        ((r"0\171\2051",), "01"),
        (("a-",), "6d"),
        (("\\",), "5c"),
    ],
)
def test_alpn_ends(alpn: tuple[str, ...], expected: str) -> None:
    assert ja4_of(ClientHello("TLSv1.3", 0x0304, alpn=alpn), "t")[8:10] == expected


@pytest.mark.parametrize(
    ("legacy", "versions", "expected"),
    [
        (0x0300, (), "s3"),
        (0x0002, (), "s2"),
        (0x0302, (), "11"),
        (0xFEFF, (), "d1"),
        (0xFEFD, (0xFEFC,), "d3"),
        (0x0303, (0x0A0A,), "12"),
        (0x0303, (0x7F1C, 0x0303), "00"),
    ],
)
def test_versions(legacy: int, versions: Iterable[int], expected: str) -> None:
    assert ja4_of(ClientHello("", legacy, versions=tuple(versions)), "d")[1:3] == expected


@given(order=st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_ciphers_and_extensions_does_not_matter(order: Random) -> None:
    hello = chrome()
    hello.ciphers = tuple(shuffled(hello.ciphers, order))
    hello.extensions = tuple(shuffled(hello.extensions, order))
    assert ja4_of(hello, "q") == "q13d1516h2_8daaf6152771_e5627efa2ab1"


def shuffled(values: Iterable[int], order: Random) -> list[int]:
    listed = list(values)
    order.shuffle(listed)
    return listed


@given(st.lists(st.text("\\0123456789ah", max_size=9), max_size=2))
@settings(max_examples=100)
def test_any_protocol_name_gives_two_characters(alpn: list[str]) -> None:
    value = ja4_of(ClientHello("TLSv1.3", 0x0304, alpn=tuple(alpn)), "t")
    assert len(value) == 36
    assert value[8:10].isalnum()
