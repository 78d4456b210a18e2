"""Both data planes say the same of the same frames, whatever the frames and the batches."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, reduce
from typing import TYPE_CHECKING, Any

import pytest
from both_planes import Row, Said, batch_of_rows, fast, rows_of, said_by, slow
from conftest import ROOT, SHARED
from frames import camera, office_pc, other_camera
from hypothesis import given, settings
from hypothesis import strategies as st
from wrappers import WRAPPERS

from egressd.dataplane.reference import ReferencePlane
from pcaps.generator import wire
from pcaps.generator.lan import START
from pcaps.generator.wire import Ends, Flag, Header, Segment

if TYPE_CHECKING:
    from pathlib import Path

OURS = sorted((ROOT / "pcaps").glob("*.pcap*"))
OTHERS = sorted(SHARED.glob("*.pcap*"))
# Those with the most kinds of frames between them.
MUTATED = (
    "fragments",
    "in-erspan3",
    "in-geneve",
    "in-gtpu",
    "in-pppoe",
    "in-qinq",
    "in-tzsp",
    "ipv6",
    "mirror-copies-routed",
    "mirror-loss",
    "port-forward-web",
    "quic-relay",
    "refused-icmp",
    "retransmissions",
    "split-hello",
)
LINKTYPES = (0, 1, 9, 12, 14, 50, 51, 101, 104, 105, 107, 108, 113, 127, 228, 229, 239, 276, 147)
SECOND = 1_000_000_000
SMALL = {"all_flows": True, "maximum_flows": 1024}


def agree(rows: list[Row], linktypes: Any = (1,), **options: Any) -> Said:
    """Assert that both planes say the same, in batches of one, seven and 8192 frames."""
    said = fast(rows, linktypes, **options)
    assert said == slow(rows, linktypes, **options)
    for size in (1, 7):
        assert said == fast(rows, linktypes, size, **options)
    return said


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_planes_agree_on_our_captures(path: Path) -> None:
    rows, linktypes = rows_of(path)
    agree(rows, linktypes, all_flows=True)
    agree(rows, linktypes)


@pytest.mark.shared
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.name)
def test_planes_agree_on_other_peoples_captures(path: Path) -> None:
    rows, linktypes = rows_of(path)
    agree(rows, linktypes, all_flows=True)


@cache
def source_of(name: str) -> list[Row]:
    """Return the frames of a capture of ours."""
    (path,) = [path for path in OURS if path.stem == name]
    return rows_of(path)[0]


@st.composite
def mutated_rows(draw: st.DrawFn) -> list[Row]:
    """Return frames of one capture: changed, cut, padded, repeated, left out, out of order."""
    source = source_of(draw(st.sampled_from(MUTATED)))
    start = draw(st.integers(0, len(source) - 1))
    made, now = [], source[start].time
    for row in source[start : start + draw(st.integers(1, 40))]:
        for _ in range(draw(st.sampled_from((1, 1, 1, 1, 2, 0)))):
            now += draw(st.sampled_from((0, 1000, 500_000, 10_000_000, SECOND, 400 * SECOND)))
            made.append(_mutated(draw, replace(row, time=now)))
    return draw(st.permutations(made)) if draw(st.booleans()) and len(made) < 20 else made


def _mutated(draw: st.DrawFn, row: Row) -> Row:
    data, wire_length = bytearray(row.data), row.wire
    change = draw(st.sampled_from(("none", "none", "bytes", "cut", "snap", "pad")))
    if change == "bytes":
        for _ in range(draw(st.integers(1, 4))):
            data[draw(st.integers(0, min(len(data), 120) - 1))] = draw(st.integers(0, 255))
    elif change in {"cut", "snap"}:
        del data[draw(st.integers(0, len(data) - 1)) :]
        wire_length = len(data) if change == "cut" else wire_length
    elif change == "pad":
        data += bytes(draw(st.integers(1, 40)))
    return Row(bytes(data), row.time, max(wire_length, len(data)))


@settings(max_examples=150, deadline=None)
@given(mutated_rows())
def test_planes_agree_on_mutated_frames(rows: list[Row]) -> None:
    agree(rows, **SMALL)


SPOKEN = (
    camera.says(b"x" * 60, to="203.0.113.55", port=9000),
    camera.knocks("203.0.113.55", 443),
    camera.is_accepted("203.0.113.55", 443),
    camera.greets("dev.hik-connect.com", to="203.0.113.55"),
    other_camera.asks("easy4ipcloud.com", resolver="8.8.8.8"),
    office_pc.pings("192.0.2.1"),
    replace(camera, ip="fd12:3456::11").says(b"y" * 60, to="2001:db8::9", port=9000),
)


@st.composite
def nested_frame(draw: st.DrawFn) -> bytes:
    """Return a frame in a few carriers, with a byte or two changed."""
    around = draw(st.lists(st.sampled_from(WRAPPERS), max_size=8))
    frame = reduce(lambda inside, one: one.wrap(inside), around, draw(st.sampled_from(SPOKEN)))
    data = bytearray(frame)
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from((len(data), len(data), draw(st.integers(0, 300)))))])


@settings(max_examples=150, deadline=None)
@given(st.lists(nested_frame(), min_size=1, max_size=12))
def test_planes_agree_on_carriers_in_carriers(frames: list[bytes]) -> None:
    agree([Row(data, START + n * 400_000) for n, data in enumerate(frames)], **SMALL)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(LINKTYPES), st.lists(st.binary(max_size=120), min_size=1, max_size=8))
def test_planes_agree_on_arbitrary_bytes_of_every_link_type(
    linktype: int, frames: list[bytes]
) -> None:
    said = agree([Row(data, START + n) for n, data in enumerate(frames)], (linktype,), **SMALL)
    assert said.counters["frames"] == len(frames)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from((0, 1, 10, 20, 25, 100, 1 << 30, 1 << 31, (1 << 32) - 5)),
            st.sampled_from((0, 1, 11, 21, 31, 101, 1 << 31)),
            st.sampled_from((2, 18, 16, 24, 17, 4, 20)),
            st.integers(0, 30),
        ),
        max_size=25,
    )
)
def test_planes_agree_on_any_order_of_segments(
    segments: list[tuple[bool, int, int, int, int]],
) -> None:
    rows = []
    for n, (outward, seq, ack, flags, length) in enumerate(segments):
        segment = Segment(1000 + seq, 9000 + ack, Flag(flags), b"G" * length)
        frame = (
            camera.sends(segment, to="203.0.113.55", port=443)
            if outward
            else camera.gets(
                Segment(9000 + seq, 1000 + ack, Flag(flags), b"G" * length),
                by="203.0.113.55",
                port=443,
            )
        )
        rows.append(Row(frame, START + n * 30_000_000))
    agree(rows, **SMALL)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),  # which datagram
            st.integers(0, 4),  # offset in eights
            st.booleans(),
            st.sampled_from((8, 8, 16, 5, 0)),
            st.sampled_from((1000, 30_000_000, 31 * SECOND)),
        ),
        max_size=20,
    )
)
def test_planes_agree_on_any_order_of_fragments(
    pieces: list[tuple[int, int, bool, int, int]],
) -> None:
    rows, now = [], START
    for ident, offset, more, length, gap in pieces:
        now += gap
        header = Header(ident + 1, 64, offset | (wire.MORE_FRAGMENTS if more else 0))
        body = (wire.udp(Ends(camera.ip, "192.0.2.9", 40000, 53), b"q" * 12) + bytes(40))[
            offset * 8 : offset * 8 + length
        ]
        packet = wire.ip(Ends(camera.ip, "192.0.2.9"), 17, body, header)
        frame = wire.ethernet("64:d1:54:00:00:01", camera.mac, wire.ETHERTYPE_IPV4, packet)
        rows.append(Row(frame, now))
    agree(rows, **SMALL)


def scan(count: int, gap: int) -> list[Row]:
    """Return SYNs of one camera to so many addresses; every third is accepted."""
    rows = []
    for n in range(count):
        to = f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}"
        rows.append(Row(camera.knocks(to, 443), START + 2 * n * gap))
        if n % 3 == 0:
            rows.append(Row(camera.is_accepted(to, 443), START + (2 * n + 1) * gap))
    return rows


@pytest.mark.parametrize("gap", [1_000, 2_000_000, SECOND], ids=["fast", "moderate", "slow"])
def test_planes_agree_on_what_is_evicted(gap: int) -> None:
    rows = scan(4000, gap)
    said = fast(rows, maximum_flows=1024)
    assert said == slow(rows, maximum_flows=1024)
    assert said == fast(rows, size=7, maximum_flows=1024)
    assert len(said.live) < 1024


def test_planes_agree_beyond_a_hosts_budget() -> None:
    rows = scan(17_000, 20_000)
    said = fast(rows)
    assert said == slow(rows)
    assert sum(shed[0] for _, shed in said.hosts) == 17_000 - 16_384


def test_rows_of_the_reference_decoder_are_used_again() -> None:
    plane = ReferencePlane([(0x0A000000, 8, 4)], 0, 1024)
    said = said_by(plane, [batch_of_rows(scan(12_000, 5_000_000))], [1])
    assert said.counters["flows"] == 12_000
    assert max(look.row for look in said.looks) < 1024 + 8192 + 32
