"""The reference decoder's data plane: frames in, flow counters and looks out.

Every frame is opened layer by layer, every packet in it charged to its flow, and where the
decoders should look, a look is written. What comes out depends on the frames alone, never on
how they were cut into batches: expiry, eviction and budgets are driven by the frames' own
time and count.
"""

# Over 500 lines, as the fast plane: its parts share the flow and the frame of the moment.

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import dpkt

from egressd.dataplane.reference.carriers import open_carrier
from egressd.dataplane.reference.choices import stream_offset, wants_datagram, wants_segment
from egressd.dataplane.reference.copies import CopyMemory
from egressd.dataplane.reference.flows import SECOND, FlowBook
from egressd.dataplane.reference.hosts import HostBook, Place
from egressd.dataplane.reference.layers import (
    ARP,
    IPV4,
    IPV6,
    NO_MAC,
    Foreign,
    Layer,
    Malformed,
    Reason,
    number_of,
)
from egressd.dataplane.reference.links import open_link
from egressd.dataplane.reference.looks import End, Kind, Look
from egressd.dataplane.reference.packets import (
    ACK,
    ICMP,
    RST,
    SYN,
    TCP,
    UDP,
    Packet,
    open_transport,
    portless,
    read_packet,
)
from egressd.dataplane.reference.pieces import PieceTable
from egressd.dataplane.reference.streams import Segment, follow

if TYPE_CHECKING:
    from egressd.capture.batch import Batch
    from egressd.dataplane.reference.flows import Flow
    from egressd.dataplane.reference.hosts import Host
    from egressd.model import Bytes, Nanoseconds

CLIENT_PORTS = 32_768
START = 60 * SECOND  # what is seen so early may have begun before
LOOKS = 8192  # written before they have to be drained
PACKETS = 6  # of one inside the other in a frame; more are not followed
LONGEST_FRAME = 9236  # 9,216 bytes are the largest Ethernet frames in use, tags come on top
FLOWS_AT_LEAST = 1024

SWEEP_FRAMES = 1024  # the table is swept a piece every so many frames
SWEEP_ROWS = 1024  # or once a second, so many rows at a time
EVICT_ROWS = 4096  # looked at for each eviction
EVICT_FLOWS = 256  # evicted at a time, at most
EVICT_ENOUGH = 64  # and at least, where so many have a row looked at

PROGRESS_BYTES = 16_000  # a quarter of what makes a transfer
PROGRESS_STEPS = 4
SHED_LOOKS = 2  # of each direction of a flow beyond its host's budget
QUOTE_WIRE = 1 << 40  # a packet in an ICMP error was longer than the quote
ARP_FOR_IPV4 = b"\0\1\x08\0\x06\x04"  # Ethernet, IPv4, and their addresses' lengths


@dataclass(slots=True)
class Moment:
    """The frame of the moment."""

    now: Nanoseconds = -(1 << 62)
    number: int = 0
    source: int = 0
    wire: Bytes = 0
    index: int = 0  # in the batch


@dataclass(slots=True)
class Totals:
    """Coverage counters, by their names in model.Coverage."""

    first: Nanoseconds = 0
    last: Nanoseconds = 0
    frames: int = 0
    wire_bytes: Bytes = 0
    captured_bytes: Bytes = 0
    duplicates: int = 0
    cut_frames: int = 0
    super_frames: int = 0
    fragments: int = 0
    lost_bytes: Bytes = 0
    one_way_flows: int = 0
    evicted_flows: int = 0
    shed_looks: int = 0


class ReferencePlane:
    """Flows, hosts and looks of everything fed so far."""

    def __init__(
        self,
        prefixes: list[tuple[int, int, int]],
        seed: int = 0,
        maximum_flows: int = 1 << 19,
        all_flows: bool = False,  # noqa: FBT001, FBT002 - the fast plane's signature
    ) -> None:
        """`prefixes`: (network as int, length, version) of all that counts as on site.

        `seed` is the fast plane's; nothing here is hashed with it.
        """
        del seed
        self._maximum = max(FLOWS_AT_LEAST, maximum_flows)
        self._all_flows = all_flows
        self._linktypes: dict[int, int] = {}
        self._flows = FlowBook()
        self._hosts = HostBook(prefixes)
        self._pieces = PieceTable()
        self._unannounced: Flow | None = None
        self._copies = CopyMemory()
        self._looks: list[Look] = []
        self._moment = Moment()
        self._totals = Totals()
        self._malformed: Counter[Reason] = Counter()
        self._unknown: Counter[int] = Counter()
        self._next_sweep = self._moment.now
        self._sweep_hand = 0
        self._evict_hand = 0
        self._told = 0  # looks
        self._acknowledged = [0, 0]  # payload seen, and payload never seen
        self._one_way_mirror = False

    # ---- feeding --------------------------------------------------------------------------------

    def add_source(self, index: int, linktype: int) -> None:
        """Tell the link type of the frames whose batch column says `source` = index."""
        self._linktypes[index] = linktype

    def feed(self, batch: Batch, start: int) -> int:
        """Walk rows `start`.. of a batch; return the row to go on from after a drain."""
        view = memoryview(batch.buffer)
        for row in range(start, batch.count):
            if len(self._looks) >= LOOKS:
                return row
            at, captured = batch.offset[row], batch.captured[row]
            source = batch.source[row]
            moment = Moment(batch.time[row], batch.number[row], source, batch.wire[row], row)
            self._begin(moment, captured)
            self._walk_frame(bytes(view[at : at + captured]), self._linktypes.get(source, 0xFFFF))
        return batch.count

    def _begin(self, moment: Moment, captured: Bytes) -> None:
        """Count the frame, and let time do its work: sweep, evict."""
        totals, now = self._totals, moment.now
        self._moment = moment
        if totals.frames == 0:
            totals.first = totals.last = now
            self._next_sweep = now + SECOND
        totals.frames += 1
        totals.wire_bytes += moment.wire
        totals.captured_bytes += captured
        totals.cut_frames += captured < moment.wire
        totals.super_frames += moment.wire > LONGEST_FRAME
        totals.first = min(totals.first, now)
        totals.last = max(totals.last, now)
        if now >= self._next_sweep:
            self._next_sweep = now + SECOND
            self._sweep()
        elif totals.frames % SWEEP_FRAMES == 0:
            self._sweep()
        while len(self._flows) >= self._maximum:
            self._evict()

    def _walk_frame(self, data: bytes, linktype: int) -> None:
        try:
            opened = open_link(data, self._moment.wire, linktype)
            if isinstance(opened, Foreign):
                self._unknown[opened.ethertype & 0xFFFF] += 1
                return
            self._walk(opened, assembled=False)
        except Malformed as broken:
            self._malformed[broken.reason] += 1

    def _walk(self, layer: Layer, *, assembled: bool) -> None:
        """Charge every packet in a frame: the outermost first, then what it carries."""
        for depth in range(PACKETS):
            if layer.ethertype == ARP:
                self._arp(layer.data)
                return
            packet = read_packet(layer)
            if packet.is_fragment:
                self._fragment(packet, assembled=assembled)
                return
            open_transport(packet)
            flow = self._packet(packet, assembled=assembled)
            inside = self._open_carrier(packet, last=depth == PACKETS - 1)
            if inside is None:
                return
            flow.carrier = True
            layer = inside

    def _open_carrier(self, packet: Packet, *, last: bool) -> Layer | None:
        try:
            return open_carrier(packet)
        except Malformed:
            if last:  # what it carries would not have been walked
                return None
            raise

    def _packet(self, packet: Packet, *, assembled: bool) -> Flow:
        """Charge one whole packet to its flow and look into it."""
        copy = not assembled and self._copies.is_copy(packet, self._moment.now)
        flow, side = self._flow_of(packet, copy=copy)
        self._charge(flow, side, packet, copy=copy)
        if not copy:
            flow.sides[side].payload += packet.payload_wire
            self._content(flow, side, packet)
        return flow

    # ---- flows ----------------------------------------------------------------------------------

    def _flow_of(self, packet: Packet, *, copy: bool) -> tuple[Flow, int]:
        """Find or make the packet's flow; return the sender's side, too."""
        flow, side = self._flows.find(packet)
        if flow is not None:
            if self._moment.now - flow.last > flow.idle_limit:
                self._end(flow, End.TIMEOUT)
            elif not copy and (
                _reopens(packet, flow, side) or _has_moved(packet, flow, side, self._moment.now)
            ):
                self._end(flow, End.CLOSED)
            else:
                return flow, side
        moment = self._moment
        flow = self._flows.add(packet, moment.now, moment.number, moment.source)
        self._introduce(flow, packet)
        return flow, 0

    def _introduce(self, flow: Flow, packet: Packet) -> None:
        """Place both ends of a new flow, decide whether it is watched, and announce it."""
        src = self._hosts.place_of(packet.version, packet.src)
        dst = self._hosts.place_of(packet.version, packet.dst)
        layer, version = packet.layer, packet.version
        if src == Place.ON_SITE:
            hops = 0 if dst == Place.GROUP else packet.hops  # groups get hop limits of their own
            sender = self._host(version, packet.src, layer.src_mac, hops)
            self._hosts.speaks(sender)
            self._speak(sender)
            flow.sides[0].host = sender.row
        if dst == Place.ON_SITE:
            # A packet to an address carries the next hop's MAC, which need not be the host's.
            known = self._hosts.speaker_of(version, packet.dst)
            flow.sides[1].host = (known or self._host(version, packet.dst, layer.dst_mac)).row
        flow.error = packet.is_icmp_error
        flow.watched = not flow.error and {src, dst} == {Place.ON_SITE, Place.OFF_SITE}
        _guess_opener(
            flow,
            packet,
            inward=src == Place.OFF_SITE and dst == Place.ON_SITE,
            early=self._moment.now - self._totals.first < START,
        )
        if not flow.watched:
            return
        away = 1 if src == Place.ON_SITE else 0
        gateway = flow.sides[away].mac
        if gateway != NO_MAC and self._hosts.is_new_gateway(gateway):
            self._look(Kind.GATEWAY, flow, away)
        host = self._hosts.rows[flow.sides[0].host or flow.sides[1].host]
        if host.may_contact(self._moment.now):
            self._unannounced = flow  # told when its first frame has been charged
        else:
            flow.shed = True
            host.shed_flows += 1
            self._totals.shed_looks += 1

    def _host(self, version: int, ip: int, mac: int, hops: int = 0) -> Host:
        """Return the host of an on-site address; announce a new one.

        `hops` is the hop limit of a packet that it sent, 0 where it sent none.
        """
        host = self._hosts.find(version, ip, mac)
        if host is not None:
            self._hear(host, hops)
            return host
        host = self._hosts.add(version, ip, mac)
        if host is None:
            return self._hosts.others
        host.hops = hops
        self._host_look(host, 0)
        return host

    def _hear(self, host: Host, hops: int) -> None:
        """Keep the hop limit a host sends with: it tells whether a router stands before it."""
        if host.is_real and hops and not host.hops:
            host.hops = hops
            self._host_look(host, 2)

    def _speak(self, host: Host) -> None:
        """Tell that a host spoke where another address behind its MAC did so last."""
        if self._hosts.takes_turn(host):
            self._host_look(host, 0, Kind.TURN)

    def _announce(self) -> None:
        """Tell a new flow, with its first frame in its counters."""
        flow, self._unannounced = self._unannounced, None
        if flow is not None:
            self._look(Kind.NEW, flow, 0, detail=flow.opener_b + 2 * flow.opener_known)

    def _charge(self, flow: Flow, side: int, packet: Packet, *, copy: bool) -> None:
        """Add the frame to the counters of its flow."""
        sent = flow.sides[side]
        flow.last = max(flow.last, self._moment.now)
        sent.frames += 1
        sent.wire += self._moment.wire
        if copy:
            sent.duplicates += 1
            self._totals.duplicates += 1
            self._announce()
            return
        self._hosts.rows[sent.host].last = self._moment.now
        sent.own_frames += 1
        sent.own_bytes += packet.layer.own
        self._announce()
        if side == 1 and not flow.answered:
            flow.answered = True
            self._hear(self._hosts.rows[sent.host], packet.hops)
            self._speak(self._hosts.rows[sent.host])
            if flow.watched and flow.protocol != TCP:  # TCP says more than that itself
                self._look(Kind.ANSWERED, flow, side)
        if flow.sender is None:
            flow.turns = 1
        elif flow.sender != side and flow.turns < 3:
            flow.turns += 1
            if flow.turns == 3 and flow.watched and flow.protocol != TCP:
                self._look(Kind.TURNED, flow, side)
        flow.sender = side
        steps = min(PROGRESS_STEPS, sent.own_bytes // PROGRESS_BYTES)
        if flow.watched and sent.host and steps > sent.progress:
            sent.progress = steps
            self._look(Kind.PROGRESS, flow, side)

    # ---- content --------------------------------------------------------------------------------

    def _content(self, flow: Flow, side: int, packet: Packet) -> None:
        """Follow the transport and decide on a look; what was put together is here, too."""
        sent = flow.sides[side]
        if packet.is_icmp:
            if packet.is_icmp_error:
                self._icmp_error(packet)
            return
        if packet.protocol == TCP:
            self._segment(flow, side, packet)
            if packet.flags & RST:
                return  # a reset carries nothing to look at
            wanted = packet.payload and wants_segment(packet, sent)
        else:
            wanted = packet.protocol == UDP and packet.payload and wants_datagram(packet, sent)
        if wanted:
            self._payload_look(flow, side, packet)

    def _segment(self, flow: Flow, side: int, packet: Packet) -> None:
        """Follow TCP state and sequence numbers."""
        if packet.flags & RST:
            if not flow.reset:
                flow.reset = flow.finished = True
                if flow.watched:
                    self._look(Kind.RESET, flow, side)
            return
        if packet.flags & SYN:
            flow.opener_known = flow.syn_seen = True
            flow.opener_b = bool(packet.flags & ACK) == (side == 0)
        if packet.flags & ACK and not flow.connected:
            flow.connected = True
            if flow.watched:
                self._look(Kind.CONNECTED, flow, side)
        sent, got = flow.sides[side], flow.sides[1 - side]
        segment = Segment(packet.seq, packet.ack, packet.flags, packet.payload_wire)
        news = follow(sent.stream, got.stream, segment, sender_sent=sent.payload > 0)
        # Only what the on-site side sent is of interest, seen or inferred.
        if flow.watched and ((news & 1 and got.host) or (news & 2 and sent.host)):
            if not flow.shed:
                unseen = bool(news & 2) or not (sent.own_frames and got.own_frames)
                self._weigh_mirror(flow, 1 - side, unseen=unseen)
            self._look(Kind.DELIVERED, flow, 1 - side, detail=news)
        if sent.stream.fin_acked and got.stream.fin_acked:
            flow.finished = True

    def _weigh_mirror(self, flow: Flow, side: int, *, unseen: bool) -> None:
        """Weigh whether the mirror shows one direction only: ACKs of unseen bytes prove it."""
        self._acknowledged[unseen] += 1
        seen, lost = self._acknowledged
        one_way = lost > 0 and lost >= 4 * seen
        if one_way != self._one_way_mirror:
            self._one_way_mirror = one_way
            self._look(Kind.MIRROR, flow, side, detail=int(one_way))

    def _payload_look(self, flow: Flow, side: int, packet: Packet) -> None:
        """Write a payload look, within the host's budget."""
        sent = flow.sides[side]
        host = self._hosts.rows[sent.host or flow.sides[1 - side].host]
        if not host.may_look(self._moment.now) or (flow.shed and sent.looks >= SHED_LOOKS):
            self._totals.shed_looks += 1
            return
        sent.looks = min(sent.looks + 1, 0xFFFF)
        flow.touched = True
        look = self._look(Kind.PAYLOAD, flow, side)
        look.payload = packet.payload
        look.cut = len(packet.payload) < packet.payload_wire
        if packet.protocol == TCP:
            look.stream = stream_offset(packet, sent)

    def _icmp_error(self, packet: Packet) -> None:
        """Mark the flow of the packet an ICMP error quotes."""
        version = 4 if packet.protocol == ICMP else 6
        # RFC 792: unreachable, time exceeded; RFC 4443: unreachable, time exceeded.
        if packet.icmp_type not in ({3, 11} if version == 4 else {1, 3}):
            return
        if (version, packet.icmp_type, packet.icmp_code) == (4, 3, 4):
            return  # fragmentation needed: path MTU discovery, not a refusal
        quote = _quoted(packet.payload, version)
        if quote is None:
            return
        flow, side = self._flows.find(quote)
        if flow is not None and not flow.refused:
            flow.refused = True
            if flow.watched:
                self._look(Kind.REFUSED, flow, 1 - side)

    def _arp(self, data: bytes) -> None:
        """RFC 826: the sender says which address stands behind which MAC."""
        if len(data) < 28 or data[:6] != ARP_FOR_IPV4:
            return
        message = dpkt.arp.ARP(data[:28])
        ip = number_of(message.spa)
        if self._hosts.place_of(4, ip) != Place.ON_SITE:
            return
        host = self._host(4, ip, number_of(message.sha))
        self._hosts.speaks(host)
        if host.is_real and not host.announced:
            host.announced = True
            self._host_look(host, 1)

    # ---- fragments ------------------------------------------------------------------------------

    def _fragment(self, packet: Packet, *, assembled: bool) -> None:
        """Charge a fragment to its flow; look into the datagram when it is whole."""
        self._totals.fragments += 1
        copy = not assembled and self._copies.is_copy(packet, self._moment.now)
        datagram = self._pieces.find(packet, self._moment.now)
        first = packet.offset == 0 and _has_transport(packet)
        if not first:
            packet = portless(packet)
        if not first and datagram.flow is not None and not datagram.flow.gone:
            flow, side = datagram.flow, datagram.side
        else:
            flow, side = self._flow_of(packet, copy=copy)
            if first:
                datagram.flow, datagram.side = flow, side
        self._charge(flow, side, packet, copy=copy)
        if copy:
            return
        flow.sides[side].payload += packet.payload_wire
        if assembled:
            return  # a fragment in a datagram that was put together: charged, not put together
        whole = self._pieces.add(datagram, packet)
        if whole is not None:
            self._assembled(packet, whole)

    def _assembled(self, last: Packet, whole: bytes) -> None:
        """Look into a datagram that was put together; its fragments have been charged."""
        layer = replace(last.layer, own=last.layer.head + len(whole))
        packet = replace(
            portless(last), layer=layer, header=0, body=whole, body_wire=len(whole),
            offset=0, more_fragments=False,
        )  # fmt: skip
        open_transport(packet)
        flow, side = self._flow_of(packet, copy=False)
        self._announce()
        if packet.is_icmp:
            return
        self._content(flow, side, packet)
        inside = open_carrier(packet)
        if inside is not None:
            flow.carrier = True
            self._walk(inside, assembled=True)

    # ---- looks ----------------------------------------------------------------------------------

    def _look(self, kind: Kind, flow: Flow, side: int, *, detail: int = 0) -> Look:
        """Write a look with the counters as they stand; a shed flow keeps payloads only."""
        a, b = flow.sides
        ends = flow.ends
        look = Look(
            kind, side, flow.row, self._moment.now, self._moment.number, self._moment.source,
            detail, flow.id, 0, ends.protocol, ends.a_port, ends.b_port, a.host, b.host,
            a.own_bytes, b.own_bytes, a.own_frames, b.own_frames, a.payload, b.payload,
        )  # fmt: skip
        look.watched, look.version, look.index = flow.watched, ends.version, self._moment.index
        look.a_hi, look.a_lo = divmod(ends.a, 1 << 64)
        look.b_hi, look.b_lo = divmod(ends.b, 1 << 64)
        if not flow.shed or kind in {Kind.PAYLOAD, Kind.ENDED}:
            self._looks.append(look)
        return look

    def _host_look(self, host: Host, detail: int, kind: Kind = Kind.HOST) -> None:
        moment = self._moment
        look = Look(kind, 0, host.row, moment.now, moment.number, moment.source, detail)
        look.hops, look.index = host.hops, moment.index
        self._looks.append(look)

    # ---- the end of flows -----------------------------------------------------------------------

    def _end(self, flow: Flow, reason: End) -> None:
        """Take a flow out of the table and tell its end to those who held something for it."""
        a, b = flow.sides
        self._totals.lost_bytes += a.stream.lost + b.stream.lost
        self._totals.one_way_flows += not flow.answered
        self._totals.evicted_flows += reason == End.EVICTED
        if flow.shed:
            home, away = (a, b) if a.host else (b, a)
            self._hosts.rows[home.host].keep_totals(home, away)
        if self._all_flows or flow.touched or (flow.watched and not flow.shed):
            look = self._look(Kind.ENDED, flow, int(flow.opener_b), detail=reason)
            look.last, look.shed = flow.last, flow.shed
        self._flows.remove(flow)

    def _sweep(self) -> None:
        """End flows that have been silent too long, a piece of the table at a time."""
        ended = 0
        for _ in range(min(SWEEP_ROWS, len(self._flows.rows))):
            if self._sweep_hand >= len(self._flows.rows):
                self._sweep_hand = 0
            flow = self._flows.rows[self._sweep_hand]
            self._sweep_hand += 1
            if not flow.gone and self._moment.now - flow.last > flow.idle_limit:
                self._end(flow, End.TIMEOUT)
                ended += 1
                if ended >= EVICT_FLOWS:
                    return

    def _evict(self) -> None:
        """Make room: unanswered and finished flows first, else those that are silent longest."""
        ended = 0
        others: list[Flow] = []
        for _ in range(min(EVICT_ROWS, len(self._flows.rows))):
            if self._evict_hand >= len(self._flows.rows):
                self._evict_hand = 0
            flow = self._flows.rows[self._evict_hand]
            self._evict_hand += 1
            if flow.gone:
                continue
            expendable = not flow.answered or flow.finished
            if expendable and self._moment.now - flow.last >= SECOND:
                self._end(flow, End.EVICTED)
                ended += 1
                if ended >= EVICT_FLOWS:
                    return
            else:
                others.append(flow)
        if ended == 0 and others:
            self._evict_oldest(others)

    def _evict_oldest(self, flows: list[Flow]) -> None:
        """End those that are silent longest, within a factor of two."""
        now = self._moment.now
        ages = [max(0, now - flow.last).bit_length() for flow in flows]
        ranked = sorted(ages, reverse=True)
        least = ranked[EVICT_ENOUGH - 1] if len(ranked) >= EVICT_ENOUGH else 0
        oldest = [flow for flow, age in zip(flows, ages, strict=True) if age >= least]
        for flow in oldest[:EVICT_FLOWS]:
            self._end(flow, End.EVICTED)

    def advance(self, now: Nanoseconds, start: int) -> int:
        """End the flows from row `start` on that are silent too long at `now`.

        Return the row to go on from after a drain, or -1 where there is none.
        """
        self._moment.now = max(self._moment.now, now)
        for row in range(start, len(self._flows.rows)):
            flow = self._flows.rows[row]
            if not flow.gone and self._moment.now - flow.last > flow.idle_limit:
                self._end(flow, End.TIMEOUT)
        return -1

    def live_rows(self) -> list[int]:
        """Return the rows of all flows that go on, in the order they began."""
        return [flow.row for flow in self._flows]

    def end_rows(self, rows: list[int], start: int) -> int:
        """End the flows in `rows` from `start` on; return where to go on after a drain."""
        self._moment.now = self._totals.last
        for at in range(start, len(rows)):
            if len(self._looks) >= LOOKS:
                return at
            self._end(self._flows.rows[rows[at]], End.SHUTDOWN)
        return len(rows)

    # ---- what the reader asks for ---------------------------------------------------------------

    def drain(self, buffer: object) -> list[Look]:  # noqa: ARG002 - payloads were copied already
        """Return the looks written since the last drain."""
        looks, self._looks = self._looks, []
        for look in looks:
            self._told += 1
            look.order = self._told
        return looks

    def id_of(self, row: int) -> int:
        """Return the id of a flow."""
        return self._flows.rows[row].id

    def row_of(self, row: int) -> tuple[int, ...]:
        """Return addresses (high and low halves), ports and the other columns of a flow."""
        flow = self._flows.rows[row]
        ends = flow.ends
        outer = flow.vlans[0] if flow.vlans else 0
        inner = flow.vlans[-1] if len(flow.vlans) > 1 else 0
        return (
            *divmod(ends.a, 1 << 64),
            *divmod(ends.b, 1 << 64),
            ends.a_port,
            ends.b_port,
            ends.version,
            ends.protocol,
            flow.flags,
            flow.id,
            flow.first,
            flow.last,
            flow.number,
            flow.source,
            len(flow.vlans),
            outer,
            inner,
            flow.icmp_type,
            flow.icmp_code,
        )

    def side_of(self, row: int, side: int) -> tuple[int, ...]:
        """Return what one side sent, in the order of model.Side from `mac`."""
        sent = self._flows.rows[row].sides[side]
        return (
            sent.mac,
            sent.host,
            sent.frames,
            sent.wire,
            sent.own_frames,
            sent.own_bytes,
            sent.payload,
            sent.stream.delivered,
            sent.stream.retransmitted,
            sent.stream.lost,
            sent.duplicates,
        )

    def host_of(self, index: int) -> tuple[int, int, int, int, int]:
        """Return (version, high, low, mac, hop limit or 0) of an on-site host."""
        host = self._hosts.rows[index]
        high, low = divmod(host.ip, 1 << 64)
        return host.version, high, low, host.mac, host.hops

    def last_of_host(self, index: int) -> Nanoseconds:
        """Return when an on-site host sent its last frame, 0 where it sent none."""
        return self._hosts.rows[index].last

    def shed_of(self, index: int) -> tuple[int, int, int, int, int]:
        """Return (flows, frames out, bytes out, frames in, bytes in) beyond a host's budget."""
        host = self._hosts.rows[index]
        return (
            host.shed_flows,
            host.shed_frames_out,
            host.shed_bytes_out,
            host.shed_frames_in,
            host.shed_bytes_in,
        )

    def counters(self) -> dict[str, Any]:
        """Return the coverage counters by their names in model.Coverage."""
        totals = self._totals
        return {
            **{name: getattr(totals, name) for name in Totals.__slots__},
            "overlapping_fragments": self._pieces.overlaps,
            "flows": self._flows.ids,
            "malformed": {
                reason: self._malformed[reason]
                for reason in get_args(Reason)
                if self._malformed[reason]
            },
            "unknown": {f"0x{kind:04x}": self._unknown[kind] for kind in sorted(self._unknown)},
        }

    @property
    def last_frame(self) -> Nanoseconds:
        """The time of the newest frame; 0 before there is one."""
        return self._totals.last

    @property
    def live_flows(self) -> int:
        """Flows in the table now."""
        return len(self._flows)


def _reopens(packet: Packet, flow: Flow, side: int) -> bool:
    """Tell whether a SYN on a used five-tuple is another connection: its number differs."""
    if packet.protocol != TCP or packet.flags & (SYN | ACK | RST) != SYN:
        return False
    stream = flow.sides[side].stream
    if stream.base is None:
        return flow.finished
    return stream.seen and stream.base != (packet.seq + 1) % (1 << 32)


def _has_moved(packet: Packet, flow: Flow, side: int, now: Nanoseconds) -> bool:
    """Tell whether an on-site address has gone to another device since its last packet.

    Its MAC differs, and not because a router's copy of the same packet passed as well: that
    would follow at once.
    """
    sent, mac = flow.sides[side], packet.layer.src_mac
    if sent.host <= 1 or not sent.own_frames or NO_MAC in (mac, sent.mac):
        return False
    return mac != sent.mac and now - flow.last > SECOND


def _guess_opener(flow: Flow, packet: Packet, *, inward: bool, early: bool) -> None:
    """Say which side opened a flow, going by its first packet.

    Two guesses that it is an answer whose question went unseen: servers sit on the low ports;
    and nobody off site could have known a port that is a client's (Linux, ip_local_port_range).
    """
    servers_port = packet.sport < 1024 <= packet.dport
    if inward and packet.sport < CLIENT_PORTS <= packet.dport:
        servers_port = True
    if packet.protocol == UDP and not early:  # later the question would have been seen
        servers_port = packet.sport < 1024 and packet.dport >= CLIENT_PORTS
    if packet.protocol == TCP:
        if packet.flags & SYN:
            flow.opener_known = flow.syn_seen = True
            flow.opener_b = bool(packet.flags & ACK)
        else:
            flow.opener_b = servers_port
    elif packet.protocol == UDP:
        flow.opener_b = servers_port
        flow.opener_known = not servers_port
    else:
        flow.opener_b = packet.icmp_type in {0, 129}  # an echo's answer
        flow.opener_known = not flow.opener_b


def _has_transport(packet: Packet) -> bool:
    """Open the transport header of a first fragment, as far as it is there."""
    try:
        open_transport(packet)
    except Malformed:
        return False
    return True


def _quoted(data: bytes, version: int) -> Packet | None:
    """Return the TCP or UDP packet an ICMP error quotes.

    Its own lengths are not trusted beyond the IP header: some stacks change them.
    """
    layer = Layer(data, QUOTE_WIRE, own=0, ethertype=IPV4 if version == 4 else IPV6)
    try:
        packet = read_packet(layer)
    except Malformed:
        return None
    ports = data[packet.header : packet.header + 4]
    if packet.offset or packet.protocol not in {TCP, UDP} or len(ports) < 4:
        return None
    packet.sport, packet.dport = number_of(ports[:2]), number_of(ports[2:])
    return packet
