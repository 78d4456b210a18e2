"""The head of a stream: any order, first copy wins, bounded."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.stream import StreamHead

if TYPE_CHECKING:
    from random import Random


def test_segments_in_order_are_joined() -> None:
    stream = StreamHead()
    stream.add(0, b"GET ")
    stream.add(4, b"/ HTTP/1.1")
    assert stream.head == b"GET / HTTP/1.1"
    assert stream.complete
    assert not stream.full


def test_a_segment_behind_a_gap_waits_for_it() -> None:
    stream = StreamHead()
    stream.add(4, b"4567")
    assert stream.head == b""
    assert not stream.complete
    stream.add(0, b"0123")
    assert stream.head == b"01234567"
    assert stream.complete


def test_a_retransmission_changes_nothing() -> None:
    stream = StreamHead()
    stream.add(0, b"0123")
    stream.add(0, b"0123")
    stream.add(2, b"2345")
    assert stream.head == b"012345"
    assert stream.conflicts == 0


def test_the_first_copy_of_a_byte_wins_and_the_conflict_is_counted() -> None:
    stream = StreamHead()
    stream.add(0, b"camera")
    stream.add(3, b"EYE!")
    assert stream.head == b"camera!"
    assert stream.conflicts == 1


def test_the_first_copy_wins_behind_a_gap_too() -> None:
    stream = StreamHead()
    stream.add(2, b"cd")
    stream.add(6, b"gh")
    stream.add(0, b"abXXefXXij")
    assert stream.head == b"abcdefghij"
    assert stream.conflicts == 1


def test_parts_between_waiting_pieces_are_kept() -> None:
    stream = StreamHead()
    stream.add(8, b"8")
    stream.add(4, b"4")
    stream.add(3, b"34567")
    stream.add(2, b"23")
    assert stream.head == b""
    stream.add(0, b"01")
    assert stream.head == b"012345678"
    assert stream.conflicts == 0


def test_nothing_is_stored_beyond_the_limit() -> None:
    stream = StreamHead(limit=4)
    stream.add(2, b"2345")
    stream.add(4, b"4567")
    stream.add(2**62, b"far")
    stream.add(-1, b"before")
    stream.add(0, b"01")
    assert stream.head == b"0123"
    assert stream.full


def test_pieces_that_wait_are_bounded_and_the_rest_is_counted() -> None:
    stream = StreamHead(max_pieces=2)
    for offset in (2, 4, 6):
        stream.add(offset, b"x")
    assert stream.shed_bytes == 1
    stream.add(0, b"ab")
    stream.add(3, b"d")
    assert stream.head == b"abxdx"


def test_an_empty_segment_is_nothing() -> None:
    stream = StreamHead()
    stream.add(5, b"")
    assert stream.complete
    assert stream.head == b""


@given(
    text=st.binary(min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    order=st.randoms(use_true_random=False),
    limit=st.integers(1, 80),
)
@settings(max_examples=150)
def test_any_order_and_overlap_gives_the_text_back(
    text: bytes, cuts: list[int], order: Random, limit: int
) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    segments = [(begin, text[max(begin - 2, 0) : end]) for begin, end in pairwise(edges)]
    order.shuffle(segments)
    stream = StreamHead(limit=limit)
    for begin, data in segments:
        stream.add(max(begin - 2, 0), data)
    assert stream.head == text[:limit]
    assert stream.complete
    assert stream.conflicts == 0


@given(
    pieces=st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=8)), max_size=20),
)
@settings(max_examples=150)
def test_the_first_copy_of_every_byte_is_the_one_kept(pieces: list[tuple[int, bytes]]) -> None:
    stream = StreamHead()
    first: dict[int, int] = {}
    for offset, data in pieces:
        stream.add(offset, data)
        for position, byte in enumerate(data, offset):
            first.setdefault(position, byte)
    expected = bytearray()
    while len(expected) in first:
        expected.append(first[len(expected)])
    assert stream.head == bytes(expected)


@pytest.mark.parametrize("count", [3000])
def test_many_small_segments_cost_little(count: int) -> None:
    stream = StreamHead()
    for offset in range(count):
        stream.add(offset, b"x")
    assert len(stream.head) == count
