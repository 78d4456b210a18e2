"""Facts of the data plane, asked of both: the compiled one and the reference decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from both_planes import (
    ANSWERED,
    CARRIER,
    CONNECTED,
    ERROR,
    FINISHED,
    OPENER_B,
    OPENER_KNOWN,
    REFUSED,
    RESET,
    SHED,
    Row,
    Said,
    fast,
    slow,
)
from frames import batch_of, camera, office_pc, recorder
from wrappers import WRAPPERS, Wrapper, packet_of, tunnel, udp_tunnel

from egressd.dataplane.plane import Plane
from egressd.dataplane.reference import ReferencePlane
from egressd.dataplane.reference.looks import End, Kind
from pcaps.generator import wire
from pcaps.generator.lan import START
from pcaps.generator.wire import Ends, Flag, Header, Segment

MILLISECOND, SECOND = 1_000_000, 1_000_000_000
FAR, GATEWAY = "203.0.113.55", "64:d1:54:00:00:01"
ACK, PUSH = Flag.ACK, Flag.PSH | Flag.ACK

Run = Callable[..., Said]


@pytest.fixture(params=[fast, slow], ids=["fast", "reference"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run rows, or frames 30 ms apart (too late for a mirror's copy), with all flows told."""

    def run_rows(*given: Row | bytes, linktype: int = 1, **options: Any) -> Said:
        rows = [
            one if isinstance(one, Row) else Row(one, START + n * 30 * MILLISECOND)
            for n, one in enumerate(given)
        ]
        said: Said = request.param(rows, (linktype,), **{"all_flows": True, **options})
        return said

    return run_rows


def out(seq: int, ack: int, payload: bytes = b"", flags: Flag = PUSH) -> bytes:
    """Return a segment of the camera; its first payload byte has sequence number 1001."""
    return camera.sends(Segment(seq, ack, flags, payload), to=FAR, port=443)


def back(seq: int, ack: int, payload: bytes = b"", flags: Flag = ACK) -> bytes:
    """Return a segment of the far end; its first payload byte has sequence number 9001."""
    return camera.gets(Segment(seq, ack, flags, payload), by=FAR, port=443)


HANDSHAKE = (camera.knocks(FAR, 443), camera.is_accepted(FAR, 443), out(1001, 9001, flags=ACK))


def ethernet(packet: bytes) -> bytes:
    """Return a frame of the camera to the gateway."""
    return wire.ethernet(GATEWAY, camera.mac, wire.ethertype_of(packet), packet)


# ---- TCP ----------------------------------------------------------------------------------------


def test_acknowledged_payload_is_delivered(run: Run) -> None:
    said = run(*HANDSHAKE, out(1001, 9001, b"x" * 10), back(9001, 1011))
    flow = said.flow()
    assert (flow.a.payload, flow.a.delivered, flow.b.delivered) == (10, 10, 0)
    assert (flow.a.own_frames, flow.a.own_bytes) == (3, 60 + 60 + 64)
    (delivered,) = said.of(Kind.DELIVERED)
    assert (delivered.side, delivered.detail, delivered.number) == (0, 1, 5)
    assert flow.has(CONNECTED | OPENER_KNOWN)
    assert not flow.has(OPENER_B)


def test_payload_without_an_acknowledgement_is_not_delivered(run: Run) -> None:
    said = run(*HANDSHAKE, out(1001, 9001, b"x" * 10), back(9001, 1001))
    assert said.flow().a.delivered == 0
    assert said.of(Kind.DELIVERED) == []


def test_a_fin_is_no_payload_and_ends_the_flow(run: Run) -> None:
    fin = Flag.FIN | Flag.ACK
    said = run(
        *HANDSHAKE,
        out(1001, 9001, b"x" * 10, fin),
        back(9001, 1012, b"", fin),
        out(1012, 9002, flags=ACK),
    )
    flow = said.flow()
    assert (flow.a.delivered, flow.b.delivered) == (10, 0)
    assert flow.has(FINISHED)


def test_a_retransmission_is_counted_and_charged(run: Run) -> None:
    segment = out(1001, 9001, b"x" * 10)
    flow = run(*HANDSHAKE, segment, segment, back(9001, 1011)).flow()
    assert (flow.a.retransmitted, flow.a.payload, flow.a.delivered) == (10, 20, 10)
    assert (flow.a.own_bytes, flow.a.duplicates) == (60 + 60 + 64 + 64, 0)


def test_bytes_acknowledged_but_never_seen_are_lost(run: Run) -> None:
    flow = run(*HANDSHAKE, out(1001, 9001, b"x" * 10), back(9001, 1111)).flow()
    assert (flow.a.lost, flow.a.delivered) == (100, 110)


def test_a_skipped_part_is_lost_once_it_is_acknowledged(run: Run) -> None:
    later = (out(1001, 9001, b"x" * 10), out(1021, 9001, b"z" * 10))
    assert run(*HANDSHAKE, *later).flow().a.lost == 0
    assert run(*HANDSHAKE, *later, back(9001, 1031)).flow().a.lost == 10


@pytest.mark.parametrize(
    ("seq", "length", "sent_again"),
    [(1011, 10, 0), (1006, 20, 10), (1001, 40, 20)],
    ids=["exactly", "and its neighbours", "and beyond the end"],
)
def test_a_filled_hole_is_neither_lost_nor_sent_again(
    run: Run, seq: int, length: int, sent_again: int
) -> None:
    # Sent 1001-1010 and 1021-1030; then what was skipped, coalesced with what was not.
    flow = run(
        *HANDSHAKE,
        out(1001, 9001, b"x" * 10),
        out(1021, 9001, b"z" * 10),
        out(seq, 9001, b"y" * length),
        back(9001, 1031),
    ).flow()
    assert (flow.a.lost, flow.a.retransmitted) == (0, sent_again)


def test_sequence_numbers_wrap_around(run: Run) -> None:
    # RFC 9293 3.4: arithmetic modulo 2**32
    start = 0xFFFFFFFA
    flow = run(
        camera.knocks(FAR, 443, seq=start),
        out(start + 1, 9001, b"x" * 10),
        back(9001, start + 11),
    ).flow()
    assert (flow.a.delivered, flow.a.lost, flow.a.retransmitted) == (10, 0, 0)


def test_a_segment_out_of_any_window_is_no_loss(run: Run) -> None:
    # RFC 7323 2.3: no window is larger than 2**30
    jump = 0x7FFFFFF0
    flow = run(
        *HANDSHAKE,
        out(1001 + jump, 9001, b"x" * 10),
        back(9001, 1011 + jump),
        out(1011 + jump, 9001, b"x" * 5),
        back(9001, 1016 + jump),
    ).flow()
    assert (flow.a.lost, flow.a.retransmitted, flow.a.delivered) == (0, 0, 15)


def test_a_one_way_mirror_shows_what_acknowledgements_say(run: Run) -> None:
    # Only the far end's frames: its ACK numbers advance over what the camera sent.
    said = run(back(9001, 1001), back(9001, 1501, b"y" * 10), back(9011, 2001))
    flow = said.flow()
    assert (flow.b.frames, flow.b.delivered, flow.b.lost) == (0, 1000, 1000)
    assert not flow.has(ANSWERED)
    # What was acknowledged first, and that the camera replied to the far end's payload.
    assert [look.detail for look in said.of(Kind.DELIVERED)] == [3]
    assert said.counters["one_way_flows"] == 1


def test_a_new_connection_on_the_same_five_tuple_is_another_flow(run: Run) -> None:
    said = run(camera.knocks(FAR, 443, seq=1000), camera.knocks(FAR, 443, seq=77000))
    assert [flow.a.frames for flow in said.ended] == [1, 1]
    assert [look.detail for look in said.of(Kind.ENDED)] == [End.CLOSED, End.SHUTDOWN]


def test_a_syn_sent_again_is_the_same_connection(run: Run) -> None:
    again = camera.knocks(FAR, 443)
    assert run(again, again, again).flow().a.frames == 3


def test_a_syn_with_data_begins_the_stream(run: Run) -> None:
    # TCP Fast Open (RFC 7413): the SYN's sequence number comes before the first byte.
    said = run(out(1000, 0, b"\x16\x03\x01\x02\x00\x01", Flag.SYN), out(1007, 9001, b"more"))
    assert [(look.stream, look.payload[:4]) for look in said.of(Kind.PAYLOAD)] == [
        (0, b"\x16\x03\x01\x02"),
        (6, b"more"),
    ]


def test_a_reset_ends_the_flow_and_carries_nothing(run: Run) -> None:
    said = run(*HANDSHAKE, back(9001, 1001, b"go away", Flag.RST | Flag.ACK))
    assert said.flow().has(RESET | FINISHED)
    assert [look.side for look in said.of(Kind.RESET)] == [1]
    assert said.of(Kind.PAYLOAD) == []


def test_a_reset_with_payload_before_anything_else_is_no_look(run: Run) -> None:
    assert run(out(1001, 9001, b"GET / HTTP/1.1", Flag.RST)).of(Kind.PAYLOAD) == []


@pytest.mark.parametrize(
    ("silence", "flows"), [(3600 * SECOND, 1), (3600 * SECOND + 1, 2)], ids=["an hour", "more"]
)
def test_a_connection_ends_after_an_hour_of_silence(run: Run, silence: int, flows: int) -> None:
    rows = [Row(frame, START) for frame in HANDSHAKE]
    said = run(*rows, Row(out(1001, 9001, b"x"), START + silence))
    assert len(said.ended) == flows


def test_udp_ends_after_five_minutes_of_silence(run: Run) -> None:
    frame = camera.says(b"hello", to=FAR, port=9000)
    assert len(run(Row(frame, START), Row(frame, START + 300 * SECOND)).ended) == 1
    assert len(run(Row(frame, START), Row(frame, START + 300 * SECOND + 1)).ended) == 2


# ---- looks --------------------------------------------------------------------------------------


def test_a_host_is_told_once_and_once_more_when_it_says_so_itself(run: Run) -> None:
    # RFC 826: hardware and protocol type, lengths, operation, sender's and target's addresses
    arp = (
        wire.mac_bytes("ff:ff:ff:ff:ff:ff")
        + wire.mac_bytes(camera.mac)
        + b"\x08\x06\0\1\x08\0\6\4\0\1"
        + wire.mac_bytes(camera.mac)
        + wire.packed(camera.ip)
        + bytes(6)
        + wire.packed("10.20.0.1")
    )
    said = run(camera.says(b"hello", to=FAR, port=9000), arp, arp)
    assert [(look.detail, look.hops) for look in said.of(Kind.HOST)] == [(0, 64), (1, 64)]
    (_, _, low, mac, hops), _ = said.hosts[-1]
    assert (low, mac, hops) == (0x0A141E0B, 0x4419B6A00001, 64)


def test_a_gateway_is_told_once(run: Run) -> None:
    said = run(
        camera.says(b"one", to=FAR, port=9000),
        camera.says(b"two", to="198.51.100.7", port=9000),
        camera.says(b"three", to="10.20.0.77", port=9000),
    )
    assert [(look.side, look.b_lo) for look in said.of(Kind.GATEWAY)] == [(1, 0xCB007137)]


def test_addresses_that_take_turns_behind_a_mac_are_told(run: Run) -> None:
    other = replace(camera, ip="10.20.30.99")
    said = run(*(host.says(b"x", to=FAR, port=port) for port in (1, 2) for host in (camera, other)))
    turns = [said.hosts[look.row][0][2] & 0xFF for look in said.of(Kind.TURN)]
    assert turns == [99, 11, 99]


def test_a_mirror_that_shows_one_direction_only_is_told(run: Run) -> None:
    unseen = [
        camera.gets(Segment(9001, ack, ACK, b"ok"), by="198.51.100.7", port=443)
        for ack in (1001, 1101)
    ]
    both = (*HANDSHAKE, out(1001, 9001, b"hello"), back(9001, 1006))
    said = run(*unseen, *both)
    assert [look.detail for look in said.of(Kind.MIRROR)] == [1, 0]


def test_a_udp_exchange_is_answered_and_turned(run: Run) -> None:
    question = camera.says(b"one", to=FAR, port=9000)
    said = run(question, camera.is_told(b"two", by=FAR, port=9000), question)
    assert [(look.kind, look.side) for look in said.looks if look.kind != Kind.HOST] == [
        (Kind.GATEWAY, 1),
        (Kind.NEW, 0),
        (Kind.PAYLOAD, 0),
        (Kind.ANSWERED, 1),
        (Kind.PAYLOAD, 1),
        (Kind.TURNED, 0),
        (Kind.PAYLOAD, 0),
        (Kind.ENDED, 0),
    ]


def test_progress_is_told_every_16000_bytes_the_camera_sent(run: Run) -> None:
    frame = camera.says(bytes(1000), to=FAR, port=9000)
    said = run(*[frame] * 70)
    sent = [look.own_bytes_a for look in said.of(Kind.PROGRESS)]
    assert sent == [16 * 1042, 31 * 1042, 47 * 1042, 62 * 1042]


def test_a_flow_on_site_is_not_watched(run: Run) -> None:
    said = run(camera.says(b"x", to=recorder.ip, port=9000), all_flows=False)
    assert said.of(Kind.NEW) == []


def test_only_the_head_of_an_opaque_stream_is_looked_at(run: Run) -> None:
    said = run(*HANDSHAKE, *[out(1001 + n * 100, 9001, b"\xff" * 100) for n in range(30)])
    assert [look.stream for look in said.of(Kind.PAYLOAD)] == [0]


def test_a_message_that_begins_later_is_looked_at(run: Run) -> None:
    said = run(
        *HANDSHAKE,
        out(1001, 9001, b"\xff" * 100),
        out(1101, 9001, b"\xff" * 100),
        out(1201, 9001, b"GET / HTTP/1.1\r\n\r\n"),
    )
    assert [look.stream for look in said.of(Kind.PAYLOAD)] == [0, 200]


def test_a_cut_payload_is_told_as_cut(run: Run) -> None:
    frame = camera.says(bytes(500), to=FAR, port=9000)
    said = run(Row(frame[:142], START, len(frame)))
    (look,) = said.of(Kind.PAYLOAD)
    assert (look.cut, len(look.payload), look.payload_bytes_a) == (True, 100, 500)
    assert said.flow().a.own_bytes == len(frame)


def test_a_refused_flow_is_marked_by_the_icmp_error(run: Run) -> None:
    knock = camera.knocks(FAR, 443)
    # RFC 792: type 3, code 13; four unused bytes, then the packet as it was
    body = wire.icmp(Ends("10.20.0.1", camera.ip), 3, 13, bytes(4) + knock[14:42])
    error = ethernet(wire.ip(Ends("10.20.0.1", camera.ip), 1, body, Header(9)))
    said = run(knock, error)
    refused, about = said.ended
    assert refused.has(REFUSED)
    assert about.has(ERROR)
    assert [(look.flow, look.side) for look in said.of(Kind.REFUSED)] == [(refused.id, 1)]
    assert len(said.of(Kind.NEW)) == 1  # the error itself is no contact


def test_path_mtu_discovery_is_no_refusal(run: Run) -> None:
    knock = camera.knocks(FAR, 443)
    # RFC 1191 4: type 3, code 4, next-hop MTU in the last two bytes
    body = wire.icmp(Ends("10.20.0.1", camera.ip), 3, 4, b"\0\0\x05\x14" + knock[14:42])
    error = ethernet(wire.ip(Ends("10.20.0.1", camera.ip), 1, body, Header(9)))
    assert run(knock, error).of(Kind.REFUSED) == []


# ---- mirror copies ------------------------------------------------------------------------------

SAID = camera.says(b"hello far end", to=FAR, port=9000)
COPIES = {
    "the same": SAID,
    "tagged": SAID[:12] + b"\x81\0\0\x1e" + SAID[12:],
    "behind a router": ethernet(wire.routed(packet_of(SAID)[:41])),
    "padded": SAID + bytes(4),
    "in VXLAN": udp_tunnel(4789, b"\x08\0\0\0\0\0\1\0" + SAID),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_within_20_ms_is_counted_once(run: Run, copy: bytes) -> None:
    said = run(Row(SAID, START), Row(copy, START + 20 * MILLISECOND))
    flow = said.flow()
    assert (flow.a.frames, flow.a.own_frames, flow.a.duplicates) == (2, 1, 1)
    assert (flow.a.own_bytes, flow.a.payload) == (len(SAID), 13)
    assert flow.a.wire == len(SAID) + len(copy)
    assert said.counters["duplicates"] == 1


def test_the_same_packet_after_20_ms_is_no_copy(run: Run) -> None:
    flow = run(Row(SAID, START), Row(SAID, START + 20 * MILLISECOND + 1)).flow()
    assert (flow.a.own_frames, flow.a.duplicates) == (2, 0)


def test_a_packet_with_another_identification_is_no_copy(run: Run) -> None:
    packet = packet_of(SAID)
    other = ethernet(packet[:4] + b"\0\2" + packet[6:])
    assert run(Row(SAID, START), Row(other, START + MILLISECOND)).flow().a.duplicates == 0


def test_nothing_proves_a_copy_of_a_datagram_without_identification(run: Run) -> None:
    # RFC 6864: an atomic datagram's identification means nothing, and many systems send 0.
    packet = packet_of(SAID)
    plain = ethernet(packet[:4] + b"\0\0" + packet[6:])
    proven = [
        Row(camera.says(bytes([n]), to=FAR, port=9001), START + n * MILLISECOND) for n in range(8)
    ]
    later = START + SECOND
    twice = (Row(plain, later), Row(plain, later + MILLISECOND))
    # On a mirror of which nothing is known it is taken for one, on a mirror that copies nothing
    # it is not.
    assert run(*twice).flow(to=9000).a.duplicates == 1
    assert run(*proven, *twice).flow(to=9000).a.duplicates == 0
    copied = [row for one in proven for row in (one, replace(one, time=one.time + 1000))]
    assert run(*copied, *twice).flow(to=9000).a.duplicates == 1


# ---- carriers -----------------------------------------------------------------------------------

INSIDE = camera.says(bytes(range(100)), to=FAR, port=9000)


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.name)
def test_the_flow_inside_is_charged_without_tags_and_carriers(run: Run, wrapper: Wrapper) -> None:
    frame = wrapper.wrap(INSIDE)
    said = run(frame)
    flow = said.flow(to=9000)
    assert flow.a.own_bytes == len(frame) - wrapper.added
    assert (flow.a.wire, flow.a.payload) == (len(frame), 100)
    assert [look.payload for look in said.of(Kind.PAYLOAD)][-1] == bytes(range(100))
    assert sum(one.has(CARRIER) for one in said.ended) == wrapper.carries
    assert said.counters["malformed"] == said.counters["unknown"] == {}


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.name)
def test_a_wrapped_frame_cut_anywhere_is_counted(run: Run, wrapper: Wrapper) -> None:
    frame = wrapper.wrap(INSIDE)
    said = run(*[frame[:end] for end in range(len(frame))])
    assert said.counters["frames"] == len(frame)
    for flow in said.ended:
        assert flow.a.own_bytes <= flow.a.wire


@pytest.mark.parametrize(
    ("header", "vlans"),
    [(b"\x81\0\xe0\x1e", (30,)), (b"\x88\xa8\0\x64\x81\0\0\x1e", (100, 30))],
    ids=["802.1Q with priority", "QinQ"],
)
def test_vlans_are_told(run: Run, header: bytes, vlans: tuple[int, ...]) -> None:
    assert run(INSIDE[:12] + header + INSIDE[12:]).flow().vlans == vlans


def test_teredo_is_opened_behind_its_headers(run: Run) -> None:
    inner = wire.ip(
        Ends("2001:db8::1", "2001:db8::9"),
        17,
        wire.udp(Ends("2001:db8::1", "2001:db8::9", 1, 9000), b"hello"),
        Header(),
    )
    # RFC 4380 5.1.1: authentication without id and value, then origin
    frame = udp_tunnel(3544, b"\0\1\0\0" + bytes(9) + bytes(8) + inner)
    flow = run(frame).flow(to=9000)
    assert (flow.version, flow.a.own_bytes) == (6, 14 + len(inner))


def test_a_flow_in_ip_in_ip_has_no_macs(run: Run) -> None:
    flow = run(tunnel(4, packet_of(INSIDE))).flow()
    assert (flow.a.mac, flow.b.mac) == ((1 << 64) - 1, (1 << 64) - 1)


def test_what_stands_behind_a_carriers_datagram_is_not_in_it(run: Run) -> None:
    # A UDP length of 16 ends the datagram with the VXLAN header; the IP packet goes on.
    ends = Ends("10.20.250.1", "10.20.250.9", 50000, 4789)
    datagram = wire.udp(ends, b"\x08\0\0\0\0\0\1\0" + INSIDE[:12] + b"\x81\0\0\1" + INSIDE[12:])
    short = datagram[:4] + b"\0\x10" + datagram[6:]
    said = run(ethernet(wire.ip(Ends("10.20.250.1", "10.20.250.9"), 17, short, Header(1))))
    assert said.counters["malformed"] == {"tunnel header cut": 1}
    assert len(said.ended) == 1


def test_an_a_msdu_is_not_taken_apart(run: Run) -> None:
    # 802.11-2020 9.2.4.5.9: bit 7 of the QoS control field, here of a frame with four addresses
    header = b"\x88\x03" + bytes(28) + b"\x80\0" + b"\xaa\xaa\x03\0\0\0\x08\0"
    said = run(header + packet_of(INSIDE), linktype=105)
    assert said.ended == []
    assert said.counters["unknown"] == {"0x0000": 1}


@pytest.mark.parametrize(
    "unit",
    [b"\xaa\xaa\x03\0\0\0\0\0", b"\x81\0\0\1", b"\0\0\1\0\0\0\0\0" + bytes(12) + b"\x88\x47"],
    ids=["LLC in LLC", "tags", "labels and frames"],
)
def test_headers_without_end_are_not_followed(run: Run, unit: bytes) -> None:
    # 262,144 bytes are the longest frame a capture can hold.
    first = b"\x88\x47" if unit.endswith(b"\x88\x47") else b"\0\0"
    first = b"\x81\0" if unit.startswith(b"\x81") else first
    frame = (bytes(12) + first + unit * 262_144)[:262_144]
    said = run(frame)
    assert sum(said.counters["unknown"].values()) == 1


def test_carriers_in_carriers_are_followed_six_deep(run: Run) -> None:
    packet = packet_of(INSIDE)
    for _ in range(9):
        packet = wire.ip(Ends("10.20.250.1", "10.20.250.9"), 4, packet, Header(1))
    packet = wire.ip(Ends("10.20.250.1", "10.20.250.9"), 4, packet, Header(2))
    said = run(ethernet(packet))
    assert said.ended[0].a.frames == 6


# ---- fragments ----------------------------------------------------------------------------------


def pieces_of(payload: bytes, mtu: int = 100, ident: int = 5) -> list[bytes]:
    """Return the frames of a datagram of the camera in fragments."""
    body = wire.udp(Ends(camera.ip, FAR, 40001, 9000), payload)
    return [ethernet(one) for one in wire.fragments(Ends(camera.ip, FAR), 17, body, ident, mtu)]


LETTERS = bytes(range(65, 91)) * 10


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_a_datagram_in_fragments_is_looked_at_whole(run: Run, order: int) -> None:
    said = run(*pieces_of(LETTERS)[::order])
    assert [look.payload for look in said.of(Kind.PAYLOAD)] == [LETTERS]
    assert said.counters["fragments"] == 4
    assert sum(flow.a.own_frames for flow in said.ended) == 4
    assert sum(flow.a.own_bytes for flow in said.ended) == sum(map(len, pieces_of(LETTERS)))


def test_fragments_are_charged_to_the_flow_of_the_first(run: Run) -> None:
    flow = run(*pieces_of(LETTERS)).flow()
    assert (flow.a.frames, flow.b.port, flow.a.payload) == (4, 9000, len(LETTERS))


def test_fragments_to_oneself_have_one_side(run: Run) -> None:
    ends = Ends("127.0.0.1", "127.0.0.1", 40001, 9000)
    packets = wire.fragments(ends, 17, wire.udp(ends, LETTERS), 5, 100)
    flow = run(*map(ethernet, packets)).flow()
    assert (flow.a.frames, flow.b.frames) == (4, 0)


def test_overlapping_fragments_are_counted_and_not_trusted(run: Run) -> None:
    # RFC 5722 3; pcaps of the teardrop attack have two such
    first, second, *rest = pieces_of(LETTERS)
    liar = pieces_of(LETTERS.lower())[1]
    said = run(first, second, liar, *rest)
    assert said.counters["overlapping_fragments"] == 1
    assert said.of(Kind.PAYLOAD) == []
    assert said.flow().a.frames == 5


def test_a_fragment_behind_the_end_spoils_the_datagram(run: Run) -> None:
    # 16 bytes end at 16; eight came from 24 on; the first eight never did.
    ends = Ends(camera.ip, FAR)
    behind = wire.ip(ends, 17, b"BEHINDIT", Header(5, 64, wire.MORE_FRAGMENTS | 3))
    end = wire.ip(ends, 17, b"THE END.", Header(5, 64, 1))
    said = run(ethernet(behind), ethernet(end))
    assert said.of(Kind.PAYLOAD) == []
    assert said.counters["malformed"] == {}


def test_a_fragment_after_30_seconds_is_of_another_datagram(run: Run) -> None:
    frames = pieces_of(LETTERS)
    rows = [Row(one, START) for one in frames[:-1]]
    assert run(*rows, Row(frames[-1], START + 30 * SECOND)).of(Kind.PAYLOAD)
    assert not run(*rows, Row(frames[-1], START + 30 * SECOND + 1)).of(Kind.PAYLOAD)


@pytest.mark.parametrize(
    ("protocol", "header"), [(4, b""), (47, b"\0\0\x08\0")], ids=["IP in IP", "GRE"]
)
def test_a_flow_in_a_fragmented_carrier_is_charged_as_if_it_were_whole(
    run: Run, protocol: int, header: bytes
) -> None:
    ends = Ends("10.20.250.1", "10.20.250.9")
    packets = wire.fragments(ends, protocol, header + packet_of(INSIDE), 5, 100)
    said = run(*map(ethernet, packets))
    flow = said.flow(to=9000)
    assert (flow.a.own_bytes, flow.a.payload) == (len(INSIDE), 100)
    assert flow.a.wire == len(ethernet(packets[-1]))  # as tshark counts: with the last fragment


def test_a_fragment_inside_a_reassembled_carrier_is_charged(run: Run) -> None:
    inner, _ = wire.fragments(
        Ends(camera.ip, FAR), 17, wire.udp(Ends(camera.ip, FAR, 1, 9000), bytes(200)), 6, 164
    )
    ends = Ends("10.20.250.1", "10.20.250.9")
    said = run(*map(ethernet, wire.fragments(ends, 4, inner, 5, 100)))
    flow = said.flow(to=9000)
    assert (flow.a.frames, flow.a.own_bytes) == (1, 14 + len(inner))


# ---- bounds -------------------------------------------------------------------------------------


def scan(count: int, gap: int) -> list[Row]:
    """Return SYNs of one camera to so many addresses."""
    return [
        Row(camera.knocks(f"198.18.{n // 256}.{n % 256}", 443), START + n * gap)
        for n in range(count)
    ]


def test_a_host_beyond_its_budget_keeps_exact_totals() -> None:
    # 16,384 contacts of a host an hour are told; of the others, the counters go to the host.
    said = fast(scan(20_000, 20_000))
    told = [look for look in said.of(Kind.ENDED) if look.detail != End.CLOSED]
    assert len(said.of(Kind.NEW)) == len(told) == 16_384
    (shed,) = [shed for _, shed in said.hosts if shed[0]]
    assert shed == (3_616, 3_616, 3_616 * 60, 0, 0)
    assert sum(look.own_bytes_a for look in told) + shed[2] == 20_000 * 60
    assert not any(flow.has(SHED) for flow in said.ended)


@pytest.mark.parametrize("gap", [1_000, 3 * MILLISECOND], ids=["at once", "in time"])
def test_a_full_table_loses_detail_but_no_totals(run: Run, gap: int) -> None:
    rows = scan(4_000, gap)
    said = run(*rows, maximum_flows=1024)
    assert len(said.live) <= 1024
    assert said.counters["evicted_flows"] >= 4_000 - 1024
    assert sum(flow.a.own_bytes for flow in said.ended) == 4_000 * 60


def test_a_full_table_keeps_its_bound_when_each_frame_begins_six_flows(run: Run) -> None:
    rows, number = [], 0
    for n in range(600):
        packet = b"abcdefgh"
        for depth in range(6):
            number += 1
            ends = Ends("10.0.0.1", f"198.{number >> 16}.{number >> 8 & 255}.{number & 255}")
            packet = wire.ip(ends, 4 if depth else 253, packet, Header())
        rows.append(Row(ethernet(packet), START + n * 1000))
    said = run(*rows, maximum_flows=1024)
    assert said.counters["flows"] == 3_600
    assert len(said.live) < 1024 + 6


def test_an_ended_flows_look_is_its_own_however_late_it_is_read() -> None:
    # More flows end between two drains than rows wait to be used again.
    rows, number = [], 0
    for n in range(4_000):
        packet = wire.udp(Ends(camera.ip, FAR, n + 1, 9000), b"x")
        packet = wire.ip(Ends(camera.ip, FAR), 17, packet, Header(1))
        for _ in range(5):
            number += 1
            ends = Ends("10.0.0.1", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
            packet = wire.ip(ends, 4, packet, Header(1))
        rows.append(Row(ethernet(packet), START + n * 1000))
    assert fast(rows, maximum_flows=1024) == fast(rows, size=1, maximum_flows=1024)


def test_a_source_nobody_told_of_is_of_an_unknown_link_type(run: Run) -> None:
    said = run(Row(SAID, START, source=3))
    assert said.counters["malformed"] == {"unknown link type": 1}


def test_coverage_counts_what_was_seen(run: Run) -> None:
    long = office_pc.says(bytes(10_000), to=FAR, port=9000)
    said = run(Row(SAID[:40], START, len(SAID)), Row(long, START + SECOND), Row(b"", START))
    counters = said.counters
    assert (counters["first"], counters["last"]) == (START, START + SECOND)
    assert (counters["frames"], counters["cut_frames"], counters["super_frames"]) == (3, 1, 1)
    assert counters["wire_bytes"] == len(SAID) + len(long)
    assert counters["captured_bytes"] == 40 + len(long)
    assert counters["malformed"] == {"link header cut": 1, "transport header cut": 1}


@pytest.mark.parametrize("make", [Plane, ReferencePlane], ids=["fast", "reference"])
def test_a_look_tells_the_row_of_its_frame(make: type[Plane | ReferencePlane]) -> None:
    plane = make([(0x0A140000, 16, 4)], 0)
    plane.add_source(0, 1)
    batch = batch_of(*(camera.says(b"x", to=FAR, port=port) for port in range(1, 9)))
    assert plane.feed(batch, 0) == batch.count
    looks = [look for look in plane.drain(batch.buffer) if look.kind == Kind.PAYLOAD]
    assert [batch.number[look.index] for look in looks] == [look.number for look in looks]
    assert len(looks) == 8


@pytest.mark.parametrize("make", [Plane, ReferencePlane], ids=["fast", "reference"])
def test_when_a_host_spoke_last_is_known(make: type[Plane | ReferencePlane]) -> None:
    plane = make([(0x0A140000, 16, 4)], 0)
    plane.add_source(0, 1)
    batch = batch_of(
        camera.says(b"x", to=FAR, port=9),
        camera.says(b"y", to="10.20.0.77", port=9),
        camera.is_told(b"z", by=FAR, port=9),
    )
    plane.feed(batch, 0)
    hosts = {look.row for look in plane.drain(batch.buffer) if look.kind == Kind.HOST}
    assert {plane.last_of_host(row) for row in hosts} == {batch.time[1], 0}
