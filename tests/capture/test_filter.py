"""The filter: media on site is cut to its headers, and nothing else is touched.

The program runs in a machine of our own over every capture and over frames made up, and is
held to the rule in `cutting_rule`; in the kernel it runs over a cable of our own.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bpf_machine import Arrival, check, run
from capture_files import rows_of as file_rows_of
from cutting_rule import WHOLE, kept_of
from frames import batch_of, camera, office_pc, recorder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from veth import cable_of_ones_own, read_rows

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.bpf import (
    KEEP_ALL,
    Instruction,
    LongProgramError,
    Op,
    Program,
    kernel_bytes_of,
)
from egressd.capture.cutting import CONTROL_PORTS, MediaPorts, Span
from egressd.capture.filter import OPTMEM, FrameFilter, load_limit
from egressd.capture.pcapfile import open_captures
from egressd.capture.pcapfilter import compile_expression
from egressd.capture.ring import Ring
from egressd.capture.tap import RingOptions
from egressd.config import Site, default_site, load_site
from egressd.model import CaptureError, CoverageEvent
from egressd.spelling import network_of
from pcaps.generator import wire
from pcaps.generator.carriers import CARRIERS
from pcaps.generator.wire import Ends, Flag, Header, Protocol, Segment

if TYPE_CHECKING:
    from capture_files import Row

    from egressd.capture.batch import Batch
    from egressd.engine import Engine

PCAPS = Path(__file__).parents[2] / "pcaps"
SHARED = PCAPS.parents[1] / "shared" / "pcaps"
TAG = b"\x81\0\0\x1e"
TAGS = (b"\x81\0", b"\x88\xa8")
CAMERA, RECORDER, FAR = "10.20.30.11", "10.20.200.10", "192.0.2.1"
CAMERA6, RECORDER6 = "fd12:3456::11", "fd12:3456::10"
# Version 2, payload type 96, sequence 0x1234, a time, a source, and a picture.
RTP = bytes.fromhex("80601234 00015f90 deadbeef") + b"\x65\x88picture" * 100
RTCP = bytes.fromhex("80c80006 deadbeef") + bytes(20)  # a sender report (RFC 3550, 6.4.1)
SITE = Site(networks=tuple(network_of(text) for text in ("10.20.0.0/16", "fd12:3456::/32")))


def program_of(site: Site = SITE, **choices: Any) -> Program:
    """Return the program for Ethernet frames."""
    program = FrameFilter(site, **choices).program_of(1)
    assert program is not None
    check(program)
    return program


PROGRAM = program_of()


def datagram(
    payload: bytes = RTP,
    src: str = CAMERA,
    dst: str = RECORDER,
    sport: int = 20_000,
    dport: int = 30_000,
) -> bytes:
    """Return an Ethernet frame with UDP."""
    ends = Ends(src, dst, sport, dport)
    return frame_of(ends, Protocol.UDP, wire.udp(ends, payload))


def segment(
    payload: bytes,
    src: str = CAMERA,
    dst: str = RECORDER,
    sport: int = 554,
    dport: int = 40_000,
) -> bytes:
    """Return an Ethernet frame with TCP."""
    ends = Ends(src, dst, sport, dport)
    return frame_of(ends, Protocol.TCP, wire.tcp(ends, Segment(1000, 2000, Flag.ACK, payload)))


def stamped(payload: bytes) -> bytes:
    """Return an Ethernet frame with TCP and its timestamp option (RFC 7323)."""
    ends = Ends(CAMERA, RECORDER, 554, 40_000)
    options = b"\1\1\x08\x0a" + bytes(8)
    body = wire.tcp(ends, Segment(1000, 2000, Flag.ACK, payload, options))
    return frame_of(ends, Protocol.TCP, body)


def frame_of(ends: Ends, protocol: int, body: bytes, mac: str = "bc:32:5f:20:00:10") -> bytes:
    packet = wire.ip(ends, protocol, body, Header(7))
    return wire.ethernet(mac, "44:19:b6:a0:00:01", wire.ethertype_of(packet), packet)


def interleaved(data: bytes, channel: int = 0) -> bytes:
    """Return a part of an RTSP connection (RFC 7826, 14)."""
    return b"$" + bytes((channel,)) + struct.pack("!H", len(data)) + data


def tagged(frame: bytes, tag: bytes = TAG) -> bytes:
    return frame[:12] + tag + frame[12:]


def kept(frame: bytes, program: Program = PROGRAM, tag: int | None = None) -> int:
    return run(program, Arrival(frame, tag))


# ---- what is cut ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (datagram(), 14 + 20 + 8 + 12),
        (datagram(src=CAMERA6, dst=RECORDER6), 14 + 40 + 8 + 12),
        (tagged(datagram()), 18 + 20 + 8 + 12),
        (tagged(datagram(src=CAMERA6, dst=RECORDER6)), 18 + 40 + 8 + 12),
        (segment(interleaved(RTP)), 14 + 20 + 20 + 16),
        (segment(interleaved(RTP), src=CAMERA6, dst=RECORDER6), 14 + 40 + 20 + 16),
        (stamped(interleaved(RTP)), 14 + 20 + 32 + 16),
        (segment(interleaved(RTP) + interleaved(RTCP, 1) + interleaved(RTP, 2)), 70),
        (segment(interleaved(RTP)[:700]), 70),
        (datagram(src="169.254.1.1", dst="169.254.1.2"), 54),
    ],
    ids=[
        "RTP",
        "RTP over IPv6",
        "RTP with a tag",
        "RTP over IPv6 with a tag",
        "interleaved RTP",
        "interleaved RTP over IPv6",
        "interleaved RTP behind TCP options",
        "several parts in a segment",
        "a part that goes on in the next segment",
        "RTP between link-local addresses",
    ],
)
def test_media_on_site_is_cut_behind_its_header(frame: bytes, expected: int) -> None:
    assert kept(frame) == expected
    assert kept_of(frame, SITE) == expected
    assert b"picture" not in frame[:expected]
    assert RTP[:12] in frame[:expected]  # sequence number, time and source are there


def test_a_tag_that_the_kernel_took_off_changes_nothing() -> None:
    assert kept(datagram(), tag=30) == kept(datagram())
    assert kept(segment(interleaved(RTP)), tag=0) == kept(segment(interleaved(RTP)))


def test_copies_with_and_without_a_tag_keep_the_same_of_the_packet() -> None:
    for frame in (datagram(), segment(interleaved(RTP))):
        assert kept(tagged(frame)) == kept(frame) + 4


def test_the_longest_headers_leave_the_sequence_number_in() -> None:
    ends = Ends(CAMERA, RECORDER, 554, 40_000)
    body = wire.tcp(ends, Segment(1, 1, Flag.ACK, interleaved(RTP), b"\1" * 40))
    plain = wire.ip(ends, Protocol.TCP, body, Header(7))
    packet = b"\x4f" + plain[1:2] + struct.pack("!H", len(plain) + 40) + plain[4:20] + b"\1" * 40
    frame = wire.ethernet("bc:32:5f:20:00:10", "44:19:b6:a0:00:01", 0x0800, packet + plain[20:])
    assert kept(frame) == 14 + 60 + 60 + 16
    assert kept_of(frame, SITE) == kept(frame)


# ---- what comes whole -----------------------------------------------------------------------


def fragment(flags: int) -> bytes:
    ends = Ends(CAMERA, RECORDER, 20_000, 30_000)
    packet = wire.ip(ends, Protocol.UDP, wire.udp(ends, RTP), Header(7, 64, flags))
    return wire.ethernet("bc:32:5f:20:00:10", "44:19:b6:a0:00:01", 0x0800, packet)


def extended(header: int) -> bytes:
    """Return RTP over IPv6 behind an extension header."""
    ends = Ends(CAMERA6, RECORDER6, 20_000, 30_000)
    return frame_of(ends, header, bytes((Protocol.UDP, 0)) + bytes(6) + wire.udp(ends, RTP))


def changed(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + bytes((value,)) + frame[at + 1 :]


WHOLES = {
    "to the outside": datagram(dst=FAR),
    "from the outside": datagram(src=FAR),
    "outside both": datagram(src=FAR, dst="198.51.100.1"),
    "to the outside over IPv6": datagram(src=CAMERA6, dst="2001:db8::1"),
    "from the outside over IPv6": datagram(src="2001:db8::1", dst=CAMERA6),
    "interleaved to the outside": segment(interleaved(RTP), dst=FAR),
    "interleaved from the outside": segment(interleaved(RTP), src=FAR),
    "to a group": datagram(dst="239.1.2.3"),
    "to a group over IPv6": datagram(src=CAMERA6, dst="ff02::1"),
    "to all": datagram(dst="255.255.255.255"),
    "to a group's MAC": changed(datagram(), 0, 0x01),
    "the first fragment": fragment(0x2000),
    "a later fragment": fragment(0x0010),
    "behind a hop-by-hop header": extended(0),
    "behind a routing header": extended(43),
    "behind a fragment header": extended(44),
    "behind destination options": extended(60),
    "two tags": tagged(datagram(), TAG + TAG),
    "a provider's tag in the frame": tagged(datagram(), b"\x88\xa8\0\x64"),
    "an old provider's tag": tagged(datagram(), b"\x91\0\0\x64"),
    "another version in the header": changed(datagram(), 14, 0x65),
    "a header too short to be": changed(datagram(), 14, 0x44),
    "a total length beyond the frame": changed(datagram(), 16, 0x40),
    "a total length of nothing": changed(changed(datagram(), 16, 0), 17, 0),
    "a UDP length beside the total": changed(datagram(), 39, 0x20),
    "SCTP": changed(datagram(), 23, 132),
    "ping": camera.pings(RECORDER),
    "ARP": wire.ethernet("bc:32:5f:20:00:10", "44:19:b6:a0:00:01", 0x0806, RTP),
    "LLDP": wire.ethernet("01:80:c2:00:00:0e", "44:19:b6:a0:00:01", 0x88CC, RTP),
    "no IP at all": RTP,
    "DNS": camera.asks("a.example"),
    "DHCP": camera.leases("gate-1", "IPC"),
    "RTCP": datagram(RTCP),
    "RTP of an unknown type": datagram(b"\x80\x50" + RTP[2:]),
    "RTP of no source": datagram(RTP[:8] + bytes(4) + RTP[12:]),
    "RTP with contributing sources": datagram(b"\x81" + RTP[1:]),
    "a datagram that is no RTP": datagram(b"\x40" + RTP[1:]),
    "a short datagram": datagram(RTP[:11]),
    "STUN": datagram(bytes.fromhex("00010000 2112a442") + RTP),
    "DTLS": datagram(b"\x16\xfe\xfd" + RTP),
    "a low port": datagram(sport=4999),
    "RTSP": segment(b"RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n" + bytes(200)),
    "RTSP behind interleaved RTP": segment(interleaved(RTP[:200]) + b"RTSP/1.0 200 OK\r\n\r\n"),
    "RTSP behind three parts": segment(interleaved(RTP[:20]) * 3 + b"OPTIONS * RTSP/1.0\r\n"),
    "more parts than are followed": segment(interleaved(RTP[:20]) * 5),
    "a part on a channel too high": segment(interleaved(RTP, 8)),
    "a part of no length": segment(b"$\0\0\0" + RTP),
    "a part that is no RTP": segment(interleaved(b"\x40" + RTP[1:])),
    "the middle of a part": segment(interleaved(RTP)[100:]),
    "a dollar and no more": segment(b"$"),
    "a part whose header goes on": segment(interleaved(RTP)[:15]),
    "a part behind which a header goes on": segment(interleaved(RTP[:100]) + b"$\0\0"),
    "TLS": segment(b"\x17\x03\x03" + RTP, sport=443),
    "a TCP header too short to be": changed(segment(interleaved(RTP)), 46, 0x40),
    "a TCP header beyond the packet": changed(segment(b"$\0"), 46, 0xF0),
    "a bare acknowledgement": segment(b""),
}


@pytest.mark.parametrize("frame", WHOLES.values(), ids=WHOLES.keys())
def test_all_else_comes_whole(frame: bytes) -> None:
    assert kept(frame) == WHOLE
    assert kept_of(frame, SITE) == WHOLE


def test_a_second_tag_behind_the_one_taken_off_comes_whole() -> None:
    assert kept(tagged(datagram()), tag=100) == WHOLE
    assert kept(tagged(datagram(), b"\x88\xa8\0\x64"), tag=100) == WHOLE


@pytest.mark.parametrize("carrier", CARRIERS[1:], ids=lambda carrier: carrier.name)
@pytest.mark.parametrize("frame", [datagram(), segment(interleaved(RTP))], ids=["udp", "tcp"])
def test_what_carriers_carry_comes_whole(carrier: Any, frame: bytes) -> None:
    assert kept(carrier.wrap(frame, 1)) == WHOLE


def test_a_frame_that_is_cut_comes_whole() -> None:
    for frame in (datagram(), segment(interleaved(RTP)), datagram(src=CAMERA6, dst=RECORDER6)):
        assert {kept(frame[:end]) for end in range(len(frame))} == {WHOLE}


@pytest.mark.parametrize("span", CONTROL_PORTS, ids=str)
def test_control_ports_come_whole_on_either_side(span: Span) -> None:
    for port in set(span):
        assert kept(datagram(sport=port)) == kept(datagram(dport=port)) == WHOLE
        assert kept(segment(interleaved(RTP), sport=port)) == WHOLE
        assert kept(segment(interleaved(RTP), dport=port)) == WHOLE


def test_every_port_where_the_data_plane_finds_a_carrier_is_a_control_port() -> None:
    walk = (PCAPS.parent / "egressd/dataplane/frames.py").read_text()
    carriers = {int(port) for port in re.findall(r"self\.[sd]port == (\d+)", walk)}
    assert len(carriers) >= 11
    assert carriers <= {port for span in CONTROL_PORTS for port in range(span[0], span[1] + 1)}


def test_control_ports_are_in_order() -> None:
    assert list(CONTROL_PORTS) == sorted(CONTROL_PORTS)
    for span, following in pairwise(CONTROL_PORTS):
        assert span.first <= span.last < following.first


# ---- every frame that was ever captured, and many that never were -----------------------------


def frames_of(path: Path) -> list[bytes]:
    """Return a capture's Ethernet frames."""
    with open_captures([str(path)]) as reader:
        return [row.data for row in file_rows_of(reader) if row.linktype == 1]


def site_of(path: Path) -> Site:
    site = PCAPS / "sites" / f"{path.stem}.yaml"
    return load_site(site) if site.exists() else default_site()


def arrival_of(frame: bytes) -> Arrival:
    """Return a frame as the kernel has it: without its outermost tag."""
    if frame[12:14] in TAGS and len(frame) >= 18:
        return Arrival(frame[:12] + frame[16:], int.from_bytes(frame[14:16], "big"))
    return Arrival(frame)


def hold_to_the_rule(frames: list[bytes], site: Site) -> int:
    """Compare the program with the rule, tags in the frames and beside them; count the cut."""
    program, cut = program_of(site), 0
    for frame in frames:
        assert kept(frame, program) == kept_of(frame, site), frame.hex()
        arrival = arrival_of(frame)
        expected = kept_of(arrival.data, site, tag_taken_off=arrival.tag is not None)
        assert run(program, arrival) == expected, frame.hex()
        cut += expected < len(arrival.data)
    return cut


def test_the_captures_hold_to_the_rule() -> None:
    cut = {
        path.stem: hold_to_the_rule(frames_of(path), site_of(path))
        for path in sorted(PCAPS.glob("*.pcap*"))
    }
    assert cut["clean-site"] > 90
    assert cut["in-vlan"] > 10
    assert cut["media-push"] == 6  # what goes off site is whole
    carriers = {f"in-{carrier.name}" for carrier in CARRIERS[1:]}
    assert {cut[name] for name in carriers} == {0}


@pytest.mark.shared
def test_other_peoples_captures_hold_to_the_rule() -> None:
    cut = {
        path.name: hold_to_the_rule(frames_of(path), default_site())
        for path in sorted(SHARED.glob("*.pcap*"))
    }
    # RTP between two private addresses; RFC 2833 digits.
    assert {name for name, count in cut.items() if count} == {
        "nDPI__stun_classic.pcap",
        "sipp__dtmf_2833_1.pcap",
    }


addresses = st.sampled_from(
    [
        CAMERA,
        RECORDER,
        "10.20.255.255",
        "10.21.0.0",
        FAR,
        "169.254.9.9",
        "239.0.0.1",
        "255.255.255.255",
    ]
)
ports = st.one_of(st.sampled_from([53, 554, 5000, 6081, 8554, 20_000]), st.integers(1, 65_535))
payloads = st.one_of(
    st.just(RTP),
    st.binary(max_size=60),
    st.builds(lambda head: head + RTP[2:], st.binary(min_size=2, max_size=2)),
    st.lists(
        st.one_of(
            st.builds(
                lambda size, channel: interleaved(RTP[:size], channel),
                st.integers(0, 40),
                st.integers(0, 9),
            ),
            st.binary(max_size=6),
        ),
        max_size=10,
    ).map(b"".join),
)
made_frames = st.one_of(
    st.builds(datagram, payloads, addresses, addresses, ports, ports),
    st.builds(segment, payloads, addresses, addresses, ports, ports),
    st.builds(datagram, payloads, st.just(CAMERA6), st.sampled_from([RECORDER6, "2001:db8::1"])),
    st.builds(segment, payloads, st.just(CAMERA6), st.just(RECORDER6), ports, ports),
)


@settings(max_examples=600, deadline=None)
@given(
    frame=made_frames,
    tag=st.sampled_from([b"", TAG, TAG + TAG, b"\x88\xa8\0\1"]),
    spot=st.integers(0, 90),
    noise=st.one_of(st.none(), st.integers(0, 255)),
    end=st.one_of(st.none(), st.integers(0, 120)),
)
def test_made_up_frames_hold_to_the_rule(
    frame: bytes, tag: bytes, spot: int, noise: int | None, end: int | None
) -> None:
    frame = tagged(frame, tag)
    if noise is not None and spot < len(frame):
        frame = changed(frame, spot, noise)
    frame = frame[:end]
    hold_to_the_rule([frame], SITE)


@settings(max_examples=500, deadline=None)
@given(frame=st.binary(max_size=200), tag=st.one_of(st.none(), st.integers(0, 0xFFFF)))
@example(b"", None)
def test_any_frame_is_kept(frame: bytes, tag: int | None) -> None:
    assert kept(frame, tag=tag) > 0


# ---- choices --------------------------------------------------------------------------------


def test_a_known_media_port_is_cut_whatever_it_carries() -> None:
    transport_stream = b"\x47\x40\0\x10" + bytes(1312)
    program = program_of(media=MediaPorts(known=(Span(1234, 1234), Span(5353, 5353))))
    for frame in (datagram(transport_stream, dport=1234), datagram(transport_stream, sport=1234)):
        assert kept(frame) == WHOLE
        assert kept(frame, program) == 14 + 20 + 8 + 48
    assert kept(segment(bytes(1000), dport=1234), program) == 14 + 20 + 20 + 48
    assert kept(datagram(transport_stream, dst=FAR, dport=1234), program) == WHOLE
    assert kept(datagram(transport_stream, dport=5353), program) == WHOLE  # control all the same


def test_media_ports_may_be_fewer() -> None:
    program = program_of(media=MediaPorts(rtp=(Span(30_000, 30_010), Span(20_000, 20_000))))
    assert kept(datagram(), program) == 54
    assert kept(datagram(sport=20_001), program) == WHOLE
    assert kept(datagram(), program_of(media=MediaPorts(rtp=()))) == WHOLE


def test_without_a_site_or_on_another_link_there_is_no_program() -> None:
    assert FrameFilter(None).program_of(1) is None
    assert FrameFilter(SITE).program_of(101) is None
    assert FrameFilter(SITE).program_of(127) is None


def test_a_site_of_many_networks_leaves_out_the_smallest() -> None:
    wide = [f"10.{n}.0.0/16" for n in range(0, 256, 2)]
    narrow = [f"172.16.{n}.{m}/32" for n in range(20) for m in range(0, 250, 2)]
    site = Site(networks=tuple(network_of(text) for text in wide + narrow))
    frames = FrameFilter(site)
    program = frames.program_of(1)
    assert program is not None
    check(program)
    assert 0 < frames.networks_left_out < len(narrow)
    assert kept(datagram(src="10.2.0.1", dst="10.254.0.1"), program) == 54
    assert kept(datagram(src="10.2.0.1", dst="10.3.0.1"), program) == WHOLE
    on_site = {
        kept(datagram(src="10.2.0.1", dst=f"172.16.{n}.{m}"), program)
        for n in range(20)
        for m in range(250)
        if m % 2
    }
    assert on_site == {WHOLE}  # what is off site stays whole, however much is left out
    assert FrameFilter(SITE).networks_left_out == 0


def test_many_ipv6_networks_are_told_apart() -> None:
    networks = [f"2001:db8:{n:x}::/48" for n in range(60)] + ["2001:db8:ff00:8000::/49"]
    program = program_of(Site(networks=tuple(network_of(text) for text in networks)))
    for dst, expected in (
        ("2001:db8:3b::1", 74),
        ("2001:db8:3c::1", WHOLE),
        ("2001:db8:ff00:8001::1", 74),
        ("2001:db8:ff00:7fff::1", WHOLE),
    ):
        assert kept(datagram(src="2001:db8::1", dst=dst), program) == expected


def test_an_older_kernel_has_less_room_for_a_program(tmp_path: Path) -> None:
    (tmp_path / "optmem_max").write_text("20480\n")
    assert load_limit(tmp_path / "optmem_max") == load_limit(tmp_path / "hidden") == 10_240
    networks = [f"10.{n // 250}.{n % 250}.0/32" for n in range(0, 400, 2)]
    site = Site(networks=tuple(network_of(text) for text in networks))
    frames = FrameFilter(site, limit=10_240)
    program = frames.program_of(1)
    assert program is not None
    assert kernel_bytes_of(program) <= 10_240
    assert 0 < frames.networks_left_out < len(networks)
    small = FrameFilter(SITE, limit=10_240)
    assert small.program_of(1) == PROGRAM
    assert small.networks_left_out == 0


# ---- a filter of the user's -----------------------------------------------------------------

EXPRESSIONS = [
    "host 10.20.30.11",
    "not (udp port 20000 and host 10.20.30.11)",
    "tcp[tcpflags] & tcp-syn != 0 or ip6",
    "net 10.20.200.0/24 and less 200",
    "ether host 44:19:b6:a0:00:01 and not arp",
    "greater 1000000",
    "len >= 0",
]


@pytest.fixture(scope="module")
def libpcap() -> None:
    """Skip, or fail in CI, where there is no libpcap."""
    try:
        compile_expression("ip", 1)
    except CaptureError as error:
        (pytest.fail if os.environ.get("EGRESSD_TEST_ALL") == "1" else pytest.skip)(str(error))


@pytest.mark.usefixtures("libpcap")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_an_expression_refuses_is_dropped_and_the_rest_goes_on_to_ours(
    expression: str,
) -> None:
    theirs = compile_expression(expression, 1)
    both = program_of(expression=expression)
    only = FrameFilter(None, expression=expression).program_of(1)
    assert only is not None
    check(only)
    frames = [*WHOLES.values(), datagram(), *frames_of(PCAPS / "ipv6.pcapng")]
    for frame in frames:
        refused = run(theirs, Arrival(frame)) == 0
        assert kept(frame, both) == (0 if refused else kept(frame))
        assert kept(frame, only) == (0 if refused else WHOLE)


@pytest.mark.usefixtures("libpcap")
def test_an_expression_holds_on_every_link() -> None:
    frames = FrameFilter(SITE, expression="udp")
    program = frames.program_of(101)
    assert program is not None
    assert run(program, Arrival(datagram()[14:])) == WHOLE
    assert run(program, Arrival(segment(b"")[14:])) == 0
    assert frames.program_of(101) is program


@pytest.mark.parametrize("length", [3700, 4094, 4095])
def test_a_long_expression_leaves_fewer_networks(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    assert FrameFilter(SITE, limit=1 << 20).program_of(1) == PROGRAM
    theirs = (*[Instruction(Op.LD_LENGTH, 0, 0, 0)] * (length - 1), *KEEP_ALL)
    monkeypatch.setattr("egressd.capture.filter.compile_expression", lambda *_: theirs)
    frames = FrameFilter(SITE, expression="long", limit=1 << 20)
    if length > 4094:  # and two returns of ours
        with pytest.raises(LongProgramError, match="a filter of 4097 instructions"):
            frames.program_of(1)
        return
    program = frames.program_of(1)
    assert program is not None
    check(program)
    assert frames.networks_left_out == len(SITE.prefixes()) - 3  # groups are no hosts
    assert kept(datagram(), program) == WHOLE


# ---- the engine behind it, and the kernel ---------------------------------------------------


def engine_of(path: Path) -> Engine:
    return assemble(site_of(path), services=load_services(()), geo=Geo(()))


def story_of(path: Path, batches: list[Batch], linktype: int) -> list[str]:
    """Return all that an engine says, but for how much it was shown."""
    engine = engine_of(path)
    with open_captures([str(path)]) as reader:
        next(reader)
        sources = [replace(reader.sources[0], linktype=linktype)]
    events = [event for batch in batches for event in engine.feed(batch, sources)]
    events += engine.finish()
    case = engine.case()
    told = [event for event in events if not isinstance(event, CoverageEvent)]
    return [str(part) for part in (*told, *case.findings, *case.contacts, *case.cameras)]


def batch_of_rows(rows: list[Row], kept_bytes: list[int]) -> Batch:
    """Return rows as one batch, each cut to so many bytes."""
    batch = batch_of(*(row.data[:size] for row, size in zip(rows, kept_bytes, strict=True)))
    for index, row in enumerate(rows):
        batch.wire[index] = row.wire
        batch.time[index] = row.time
        batch.number[index] = row.number
    return batch


@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap*")), ids=lambda path: path.stem)
def test_no_finding_hangs_on_what_is_cut(path: Path) -> None:
    with open_captures([str(path)]) as reader:
        rows = file_rows_of(reader)
    program = program_of(site_of(path))
    whole = batch_of_rows(rows, [WHOLE] * len(rows))
    cut = batch_of_rows(rows, [run(program, Arrival(row.data)) for row in rows])
    assert story_of(path, [cut], 1) == story_of(path, [whole], 1)


@pytest.mark.program("ip")
@pytest.mark.parametrize("name", ["clean-site", "in-vlan", "in-qinq", "in-gtpu", "ipv6"])
def test_the_kernel_runs_it_as_we_do(tmp_path: Path, name: str) -> None:
    path = next(PCAPS.glob(f"{name}.pcap*"))
    site = site_of(path)
    program = program_of(site)
    sent = [*frames_of(path), *WHOLES.values(), datagram(), segment(interleaved(RTP))]
    sent = [frame for frame in sent if len(frame) >= 14]
    with cable_of_ones_own(tmp_path, mtu=1600) as cable:
        options = RingOptions(blocks=16, block_bytes=1 << 18, sysfs=cable.sysfs)
        with Ring(["mirror0"], options=options, programs=FrameFilter(site)) as ring:
            cable.send(sent)
            rows = read_rows(ring, len(sent))
            (counters,) = ring.counters()
    cut = 0
    for row, frame in zip(rows, sent, strict=True):
        arrival = arrival_of(frame)
        expected = run(program, arrival)
        cut += expected < len(arrival.data)
        captured = min(expected, len(arrival.data)) + len(frame) - len(arrival.data)
        assert (row.data, row.wire) == (frame[:captured], len(frame))
    assert cut > 1
    assert counters.cut_frames == cut
    assert counters.packets == len(sent)


@pytest.mark.program("ip")
@pytest.mark.usefixtures("libpcap")
def test_the_kernel_takes_an_expression_with_ours(tmp_path: Path) -> None:
    programs = FrameFilter(SITE, expression="not host 10.20.40.21")
    with cable_of_ones_own(tmp_path) as cable:
        options = RingOptions(blocks=4, block_bytes=1 << 17, sysfs=cable.sysfs)
        with Ring(["mirror0"], options=options, programs=programs) as ring:
            cable.send([office_pc.asks("a.example"), datagram(), recorder.asks("b.example")])
            rows = read_rows(ring, 2)
    assert [row.data for row in rows] == [datagram()[:54], recorder.asks("b.example")]


@pytest.mark.program("ip")
def test_one_program_replaces_another_in_the_room_there_is(tmp_path: Path) -> None:
    programs = FrameFilter(SITE, limit=1 << 20)
    room = 2 * kernel_bytes_of(PROGRAM)
    with cable_of_ones_own(tmp_path) as cable:
        if not OPTMEM.exists():
            pytest.skip("before Linux 6.7 this is a setting of the whole machine")
        OPTMEM.write_text(str(room))  # of this namespace only
        options = RingOptions(blocks=4, block_bytes=1 << 17, sysfs=cable.sysfs)
        with Ring(["mirror0"], options=options, programs=programs) as ring:
            for _ in range(3):
                ring.rebind(["mirror0"], programs)
            cable.send([datagram()])
            assert read_rows(ring, 1)[0].data == datagram()[:54]
        OPTMEM.write_text("4096")
        with pytest.raises(CaptureError, match=r"kernel refuses a filter of .*optmem_max"):
            Ring(["mirror0"], options=options, programs=programs)


@pytest.mark.program("ip")
def test_the_kernel_takes_the_longest_program(tmp_path: Path) -> None:
    networks = [f"10.{n // 250}.{n % 250}.0/32" for n in range(0, 6000, 2)]
    programs = FrameFilter(Site(networks=tuple(network_of(text) for text in networks)))
    program = programs.program_of(1)
    assert program is not None
    assert len(program) > 2500
    with cable_of_ones_own(tmp_path) as cable:
        options = RingOptions(blocks=4, block_bytes=1 << 17, sysfs=cable.sysfs)
        with Ring(["mirror0"], options=options, programs=programs) as ring:
            cable.send([datagram()])
            assert read_rows(ring, 1)[0].data == datagram()
