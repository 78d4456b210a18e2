"""Frames are kept for evidence: found by what they are about, bounded, and never private ones."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.capture.batch import Source
from egressd.framekeeper import (
    FRAME_BYTES,
    MAXIMUM_MARKS,
    Content,
    FrameKeeper,
    KeptFrame,
)
from egressd.model import FrameRef

SPAN = Source("span0", "span0", 1, 0)
CAMERA, CLOUD, RESOLVER = "10.20.30.11", "203.0.113.55", "10.20.200.53"


def is_on_site(ip: str) -> bool:
    return ip.startswith("10.")


def keeper(maximum_bytes: int = 1 << 20, maximum_frames: int = 1000) -> FrameKeeper:
    return FrameKeeper(is_on_site, maximum_bytes=maximum_bytes, maximum_frames=maximum_frames)


def frame(number: int, remote: str = CLOUD, data: bytes = b"frame") -> KeptFrame:
    return KeptFrame(SPAN, number, number, len(data), data, CAMERA, remote, 443)


def answer(number: int, name: str, *addresses: str, host: str = CAMERA) -> KeptFrame:
    return KeptFrame(
        SPAN, number, number, 90, b"answer", host, RESOLVER, 53, Content.LOOKUP, (name,), addresses
    )


def numbers(frames: list[KeptFrame]) -> list[int]:
    return [kept.number for kept in frames]


def test_a_frame_is_found_by_its_number_and_by_its_contact() -> None:
    kept = keeper()
    kept.keep(frame(7))
    found = kept.find(FrameRef("span0", 7))
    assert found is not None
    assert found.data == b"frame"
    assert numbers(kept.contact(CAMERA, CLOUD, 443)) == [7]
    assert kept.contact(CAMERA, CLOUD, 444) == []
    assert kept.find(FrameRef("span1", 7)) is None


def test_an_answer_is_found_by_name_in_any_case_and_by_address() -> None:
    kept = keeper()
    kept.keep(answer(3, "Dev.Hik-Connect.com", CLOUD, "203.0.113.56"))
    assert numbers(kept.lookups(CAMERA, "dev.hik-connect.COM")) == [3]
    assert numbers(kept.answers(CAMERA, "203.0.113.56")) == [3]
    assert kept.answers("10.20.30.12", CLOUD) == []


def test_only_the_last_lookups_of_a_name_are_kept() -> None:
    kept = keeper()
    for number in range(1, 100):
        kept.keep(
            KeptFrame(
                SPAN, number, number, 90, b"a", CAMERA,
                content=Content.LOOKUP, names=("dev.example",),
            )
        )  # fmt: skip
    assert numbers(kept.lookups(CAMERA, "dev.example")) == [96, 97, 98, 99]
    assert (kept.counts.frames, kept.counts.superseded) == (4, 95)


def test_of_a_long_contact_the_handshake_and_the_last_frames_are_kept() -> None:
    kept = keeper()
    for number in range(1, 101):
        kept.keep(frame(number))
    assert numbers(kept.contact(CAMERA, CLOUD, 443)) == [*range(1, 17), *range(85, 101)]
    assert kept.find(FrameRef("span0", 50)) is None
    assert kept.counts.superseded == 68


def test_one_loud_contact_does_not_push_out_the_others() -> None:
    kept = keeper(maximum_frames=100)
    kept.keep(frame(1, "198.51.100.1"))
    for number in range(2, 5000):
        kept.keep(frame(number))
    assert kept.find(FrameRef("span0", 1)) is not None
    assert kept.counts.crowded_out == 0


def test_the_oldest_frames_go_first_when_there_are_too_many() -> None:
    kept = keeper(maximum_frames=10)
    for number in range(1, 16):
        kept.keep(frame(number, f"198.51.100.{number}"))
    assert kept.find(FrameRef("span0", 5)) is None
    assert kept.find(FrameRef("span0", 6)) is not None
    assert kept.contact(CAMERA, "198.51.100.5", 443) == []
    assert (kept.counts.frames, kept.counts.crowded_out, kept.counts.kept) == (10, 5, 15)


def test_the_oldest_frames_go_first_when_they_are_too_big() -> None:
    kept = keeper(maximum_bytes=20_000)
    for number in range(1, 31):
        kept.keep(frame(number, f"198.51.100.{number}", bytes(1500)))
    assert kept.counts.bytes <= 20_000
    assert kept.counts.frames == 20_000 // (1500 + 600 + 250)
    assert kept.find(FrameRef("span0", 30)) is not None


def test_a_frame_bigger_than_the_room_stays_until_the_next_one() -> None:
    kept = keeper(maximum_bytes=100)
    kept.keep(frame(1))
    assert kept.find(FrameRef("span0", 1)) is not None
    kept.keep(frame(2))
    assert kept.find(FrameRef("span0", 1)) is None


def test_a_super_frame_is_kept_to_a_bound() -> None:
    kept = keeper()
    kept.keep(frame(1, data=bytes(FRAME_BYTES + 1)))
    found = kept.find(FrameRef("span0", 1))
    assert found is not None
    assert len(found.data) == FRAME_BYTES


@pytest.mark.parametrize("remote", ["10.20.200.10", None], ids=["to-the-recorder", "to-nobody"])
def test_a_frame_that_stays_on_site_is_refused(remote: str | None) -> None:
    kept = keeper()
    picture = frame(1)
    picture.remote = remote
    kept.keep(picture)
    assert kept.find(FrameRef("span0", 1)) is None
    assert (kept.counts.refused, kept.counts.kept) == (1, 0)


def test_a_message_to_the_sites_time_server_is_kept() -> None:
    kept = keeper()
    asks = frame(1, "10.20.200.123")
    asks.content = Content.SERVICE
    kept.keep(asks)
    assert kept.find(FrameRef("span0", 1)) is asks


def test_a_second_look_at_a_frame_adds_what_it_is_found_by() -> None:
    kept = keeper()
    kept.keep(frame(1, "8.8.8.8"))
    second = frame(1, "8.8.8.8")
    second.names = ("dev.example",)
    kept.keep(second)
    assert numbers(kept.lookups(CAMERA, "dev.example")) == [1]
    assert numbers(kept.contact(CAMERA, "8.8.8.8", 443)) == [1]
    assert (kept.counts.frames, kept.counts.kept) == (1, 1)


def test_an_answer_with_many_addresses_is_listed_by_some() -> None:
    kept = keeper()
    many = [f"203.0.113.{n}" for n in range(200)]
    kept.keep(answer(1, "dev.example", *many))
    found = kept.find(FrameRef("span0", 1))
    assert found is not None
    assert len(found.marks) == MAXIMUM_MARKS
    assert numbers(kept.answers(CAMERA, many[0])) == [1]


def test_what_it_says_it_takes_is_what_it_takes() -> None:
    tracemalloc.start()
    kept = keeper(maximum_bytes=4 << 20, maximum_frames=1 << 30)
    before, _ = tracemalloc.get_traced_memory()
    for n in range(20_000):
        kept.keep(frame(2 * n, f"198.51.{n % 97}.{n % 255}", bytes([n & 255]) * 200))
        kept.keep(answer(2 * n + 1, f"host{n}.example", f"192.0.{n % 89}.{n % 255}"))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept.counts.crowded_out
    assert taken < 1.5 * (4 << 20)


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 60),  # number: some come twice
        st.integers(0, 3),  # remote
        st.lists(st.sampled_from(["a.example", "b.example", "A.example"]), max_size=3),
        st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2"]), max_size=3),
    ),
    max_size=200,
)


@given(ACTIONS, st.integers(1, 40))
def test_whatever_comes_the_books_are_right(
    actions: list[tuple[int, int, list[str], list[str]]], room: int
) -> None:
    kept = keeper(maximum_frames=room)
    for number, remote, names, addresses in actions:
        kept.keep(
            KeptFrame(
                SPAN, number, number, 5, b"frame", CAMERA, f"198.51.100.{remote}", 53,
                names=tuple(names), addresses=tuple(addresses),
            )
        )  # fmt: skip
    held = [found for n in range(61) if (found := kept.find(FrameRef("span0", n))) is not None]
    assert len(held) == kept.counts.frames <= room
    assert sum(found.cost for found in held) == kept.counts.bytes
    assert kept.counts.kept == len(held) + kept.counts.crowded_out + kept.counts.superseded
    listed = [
        *(f for n in range(4) for f in kept.contact(CAMERA, f"198.51.100.{n}", 53)),
        *(f for name in ("a.example", "b.example") for f in kept.lookups(CAMERA, name)),
        *(f for ip in ("192.0.2.1", "192.0.2.2") for f in kept.answers(CAMERA, ip)),
    ]
    assert {id(f) for f in listed} == {id(f) for f in held}
