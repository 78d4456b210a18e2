"""Sections are pcapng that our reader and Wireshark's read, comments included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.capture.pcapfile import open_captures
from egressd.report.pcapngwriter import (
    COMMENT_BYTES,
    COMMENTS,
    Interface,
    Packet,
    Section,
    Writer,
    bytes_of,
    comments_of,
    header_bytes_of,
    joined,
    read_section,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
from capture_files import damage_of, read, write

WRITER = Writer("Linux 6.1.0 x86_64", "egressd 0.1.0")
TIME = 1_795_348_800_123_456_789
# Ethernet II to a documentation MAC (RFC 7042, 2.1.2), ethertype 88B5: local experiments.
FRAME = bytes.fromhex("00005e005301 00005e005302 88b5") + b"forty-one bytes of payload, and no IP"
SPAN = Interface("span0", 1)


def tshark(path: str, *fields: str) -> list[list[str]]:
    asked = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-r", path, "-T", "fields", *asked],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


def section(*packets: Packet, comment: str = "why", at: tuple[Interface, ...] = (SPAN,)) -> Section:
    return Section(WRITER, [comment], list(at), list(packets))


def test_a_frame_comes_back_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, "a.pcapng", bytes_of(section(Packet(0, TIME, 1500, FRAME, "because"))))
    (row,) = read(path)
    assert (row.data, row.wire, row.time) == (FRAME, 1500, TIME)
    assert (row.interface, row.linktype) == ("span0", 1)
    assert damage_of(path) == []


def test_what_was_written_is_read_again() -> None:
    written = section(
        Packet(1, TIME, 60, FRAME, "süd"),
        Packet(0, TIME, 60, b"E"),
        at=(SPAN, Interface("tun0", 101, 96)),
    )
    assert read_section(bytes_of(written)) == written


def test_two_sections_become_one_in_order_of_time() -> None:
    older = section(Packet(0, TIME + 5, 60, FRAME, "late"), comment="first")
    tunnel = Interface("tun0", 101)
    newer = section(
        Packet(0, TIME, 60, b"E", "early"), Packet(1, TIME + 9, 60, FRAME), comment="second",
        at=(tunnel, SPAN),
    )  # fmt: skip
    whole = joined(older, newer)
    assert whole.comments == ["second", "first"]
    assert whole.interfaces == [SPAN, tunnel]
    assert [(packet.interface, packet.comment) for packet in whole.packets] == [
        (1, "early"), (0, "late"), (0, ""),
    ]  # fmt: skip


def test_of_a_frame_that_is_in_both_the_newer_word_counts() -> None:
    older = section(Packet(0, TIME, 60, FRAME, "perhaps"))
    whole = joined(older, section(Packet(0, TIME, 60, FRAME, "certainly")))
    assert [packet.comment for packet in whole.packets] == ["certainly"]


def test_the_comments_of_a_section_are_bounded() -> None:
    whole = section(comment="0")
    for number in range(1, 2 * COMMENTS):
        whole = joined(whole, section(comment=str(number)))
    assert len(whole.comments) == COMMENTS
    assert whole.comments[0] == str(2 * COMMENTS - 1)


def test_the_header_says_how_long_it_is() -> None:
    content = bytes_of(section(Packet(0, TIME, 60, FRAME)))
    size = header_bytes_of(content[:24])
    assert size is not None
    assert list(comments_of(content[:size])) == ["why"]


FOREIGN = {
    "nothing": b"",
    "zeros": bytes(24),
    "cut": bytes_of(section())[:23],
    "big-endian": bytes.fromhex("0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff"),
    "unknown-length": bytes.fromhex("0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff"),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_another_file_is_not_ours(content: bytes) -> None:
    assert header_bytes_of(content) is None
    assert read_section(content) is None


CHANGED = bytes_of(section(Packet(0, TIME, 60, FRAME, "because")))


@pytest.mark.parametrize("end", range(len(CHANGED)))
def test_a_cut_file_is_not_read_as_a_whole_one(end: int) -> None:
    assert read_section(CHANGED[:end]) is None


def test_a_frame_of_an_interface_that_is_not_described_is_not_read() -> None:
    assert read_section(bytes_of(section(Packet(1, TIME, 60, FRAME)))) is None


def test_a_long_comment_is_cut_between_characters() -> None:
    content = bytes_of(section(comment="x" + "ü" * COMMENT_BYTES))
    (comment,) = comments_of(content)
    assert comment == "x" + "ü" * (COMMENT_BYTES // 2 - 1)


@pytest.mark.parametrize(
    ("time", "told"),
    [pytest.param(-5, 0, id="before-1970"), pytest.param(1 << 70, (1 << 64) - 1, id="late")],
)
def test_a_time_that_pcapng_cannot_hold_is_the_nearest(time: int, told: int) -> None:
    found = read_section(bytes_of(section(Packet(0, time, 60, FRAME))))
    assert found is not None
    assert found.packets[0].time == told


@pytest.mark.program("tshark")
def test_wireshark_reads_comments_times_and_interfaces(tmp_path: Path) -> None:
    older = section(Packet(0, TIME, 60, FRAME, "süd"))
    newer = section(Packet(0, TIME + 7, 60, FRAME, "p 2"), at=(Interface("span1", 1),))
    path = write(tmp_path, "a.pcapng", bytes_of(joined(older, newer)))
    fields = ("frame.comment", "frame.interface_name", "frame.time_epoch", "frame.len")
    assert tshark(path, *fields) == [
        ["süd", "span0", "1795348800.123456789", "60"],
        ["p 2", "span1", "1795348800.123456796", "60"],
    ]


@pytest.mark.program("capinfos")
def test_capinfos_tells_the_sections_comment_and_writer(tmp_path: Path) -> None:
    told = section(Packet(0, TIME, 60, FRAME), comment="finding f-1")
    path = write(tmp_path, "a.pcapng", bytes_of(told))
    done = subprocess.run(
        ["capinfos", path], capture_output=True, text=True, check=True, timeout=60
    )
    assert "finding f-1" in done.stdout
    assert WRITER.system in done.stdout
    assert WRITER.application in done.stdout
    assert "Time precision = nanoseconds" in done.stdout


@given(
    st.text(max_size=80),
    st.lists(st.tuples(st.binary(max_size=90), st.text(max_size=40)), max_size=5),
)
def test_any_bytes_and_any_comments_make_a_sound_file(
    tmp_path_factory: pytest.TempPathFactory, comment: str, frames: list[tuple[bytes, str]]
) -> None:
    packets = [Packet(0, TIME + n, len(data), data, why) for n, (data, why) in enumerate(frames)]
    written = section(*packets, comment=comment)
    path = tmp_path_factory.getbasetemp() / "any.pcapng"
    path.write_bytes(bytes_of(written))
    with open_captures([str(path)]) as reader:
        assert sum(batch.count for batch in reader) == len(frames)
        assert reader.damage == []
    again = read_section(path.read_bytes())
    assert again is not None
    assert [packet.data for packet in again.packets] == [data for data, _ in frames]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail(content: bytes) -> None:
    read_section(content)
    read_section(bytes_of(section()) + content)
