"""The data plane: frames in, flow counters and looks out.

`Plane.feed` walks the rows of a batch without the GIL, charges every frame to
its flow, and writes an event where Python should look: the first payload of a
flow, a name-bearing datagram, a state that changes the stage of a contact, the
end of a flow. `Plane.drain` hands the events over as `Look` objects.

What comes out depends on the frames alone, never on how they were cut into
batches: expiry, eviction and budgets are driven by the frames' own time and
count, and a look carries the counters as they stood at its frame.
"""

# One class over 500 lines: its parts share the row, the side and the frame of the moment.

import cython
from cython.cimports.cython.view import array as cython_array
from cython.cimports.egressd.dataplane.flows import FlowTable, HostTable, mix
from cython.cimports.egressd.dataplane.fragments import FragmentTable
from cython.cimports.egressd.dataplane.frames import Frame, soon, u16, u32, u64
from cython.cimports.egressd.dataplane.tcp import track
from cython.cimports.libc.stdint import int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from egressd.dataplane.frames import REASONS
from egressd.dataplane.looks import Look, LookKind

FOUND = cython.declare(cython.int, 1)
OTHER = cython.declare(cython.int, 0)
BROKEN = cython.declare(cython.int, 2)

ICMP = cython.declare(cython.int, 1)
TCP = cython.declare(cython.int, 6)
UDP = cython.declare(cython.int, 17)
ICMPV6 = cython.declare(cython.int, 58)
ETHERTYPE_ARP = cython.declare(cython.int, 0x0806)
NO_MAC = cython.declare(uint64_t, 0xFFFFFFFFFFFFFFFF)

FIN = cython.declare(cython.int, 0x01)
SYN = cython.declare(cython.int, 0x02)
RST = cython.declare(cython.int, 0x04)
ACK = cython.declare(cython.int, 0x10)

# Row.flags
ANSWERED = cython.declare(uint32_t, 1)
CONNECTED = cython.declare(uint32_t, 2)
RESET = cython.declare(uint32_t, 4)
REFUSED = cython.declare(uint32_t, 8)
OPENER_B = cython.declare(uint32_t, 16)  # side b opened the flow
OPENER_KNOWN = cython.declare(uint32_t, 32)
LAST_B = cython.declare(uint32_t, 64)  # the last frame came from side b
WATCHED = cython.declare(uint32_t, 128)  # one end on site, the other off site
TOUCHED = cython.declare(uint32_t, 256)  # Python holds something for it
CARRIER = cython.declare(uint32_t, 512)
SHED = cython.declare(uint32_t, 1024)  # beyond its host's budget: counters only
ERROR = cython.declare(uint32_t, 2048)  # an ICMP error: not a contact
GONE = cython.declare(uint32_t, 1 << 31)
SETTLED_A = cython.declare(uint32_t, 4096)  # side a's stream: only messages that begin later
SETTLED_B = cython.declare(uint32_t, 8192)
FINISHED = cython.declare(uint32_t, 16384)  # FIN acknowledged both ways, or reset
TURNED = cython.declare(uint32_t, 32768)
SYN_SEEN = cython.declare(uint32_t, 65536)

# tcp.Side flags that matter here
SIDE_BASE = cython.declare(cython.int, 1)
SIDE_FIN_ACKED = cython.declare(cython.int, 16)
SIDE_UNSEEN = cython.declare(cython.int, 32)

# Kinds of events; the numbers of looks.LookKind.
K_HOST = cython.declare(cython.int, 1)
K_NEW = cython.declare(cython.int, 2)
K_PAYLOAD = cython.declare(cython.int, 3)
K_ANSWERED = cython.declare(cython.int, 4)
K_CONNECTED = cython.declare(cython.int, 5)
K_DELIVERED = cython.declare(cython.int, 6)
K_TURNED = cython.declare(cython.int, 7)
K_PROGRESS = cython.declare(cython.int, 8)
K_RESET = cython.declare(cython.int, 9)
K_REFUSED = cython.declare(cython.int, 10)
K_ENDED = cython.declare(cython.int, 11)
K_GATEWAY = cython.declare(cython.int, 12)
K_TURN = cython.declare(cython.int, 13)
K_MIRROR = cython.declare(cython.int, 14)

# Why a flow ended; the indexes of looks.REASONS_ENDED.
E_TIMEOUT = cython.declare(cython.int, 0)
E_CLOSED = cython.declare(cython.int, 1)
E_EVICTED = cython.declare(cython.int, 2)
E_SHUTDOWN = cython.declare(cython.int, 3)

SECOND = cython.declare(int64_t, 1_000_000_000)
# Idle times after which a flow has ended. None exceeds an hour, the silence that ends an
# episode (DESIGN.md 7), so no flow spans two episodes.
IDLE_TCP = cython.declare(int64_t, 3600 * SECOND)
IDLE_CLOSED = cython.declare(int64_t, 60 * SECOND)
IDLE_OTHER = cython.declare(int64_t, 300 * SECOND)

EVENTS = cython.declare(cython.Py_ssize_t, 8192)
AHEAD = cython.declare(cython.Py_ssize_t, 12)  # frames
EVENTS_SPARE = cython.declare(cython.Py_ssize_t, 640)  # most that one frame can write
ENDS_SPARE = cython.declare(uint64_t, 640)  # flows that one frame can end: their rows still cool
ROWS_SPARE = cython.declare(uint32_t, 32)  # more than one frame can begin flows
START = cython.declare(int64_t, 60 * SECOND)  # what is seen so early may have begun before
SWEEP_FRAMES = cython.declare(uint64_t, 1024)  # the table is swept a piece every so many frames
SWEEP_ROWS = cython.declare(uint32_t, 1024)  # or once a second, so many rows at a time
EVICT_ROWS = cython.declare(uint32_t, 4096)  # looked at for each eviction
EVICT_FLOWS = cython.declare(cython.int, 256)  # evicted at a time, at most
EVICT_ENOUGH = cython.declare(cython.uint, 64)  # and at least, where so many have a row looked at

# Budgets of looks.
STREAM_BYTES = cython.declare(uint32_t, 16_384)  # of each direction of a TCP flow
STREAM_SEGMENTS = cython.declare(cython.int, 24)
MESSAGE_SEGMENTS = cython.declare(cython.int, 6)  # of a message that begins later
DATAGRAMS = cython.declare(cython.int, 8)  # of each direction of a UDP flow
FRESH_LOOKS = cython.declare(cython.int, 60_000)  # messages that begin later in a flow
HOST_LOOKS = cython.declare(uint32_t, 20_000)  # a host, a second
HOST_CONTACTS = cython.declare(uint32_t, 16_384)  # new off-site flows a host, an hour
PROGRESS_BYTES = cython.declare(uint64_t, 16_000)  # a quarter of what makes a transfer
PROGRESS_STEPS = cython.declare(cython.int, 4)

# Mirror duplicates: the same packet again within this time. The identification field or TCP
# sequence numbers prove it; a datagram without either is one only where the mirror is known
# to copy.
DUPLICATE_PROVEN = cython.declare(int64_t, 20_000_000)
DUPLICATE_LIKELY = cython.declare(int64_t, 5_000_000)
GOLDEN = cython.declare(uint64_t, 0x9E3779B97F4A7C15)  # 2**64 / golden ratio
DUPLICATE_SETS = cython.declare(uint64_t, 4096)  # a packet's mark is kept in one of the ways
DUPLICATE_WAYS = cython.declare(uint64_t, 4)  # of its set; the oldest makes room


@cython.cclass
class Plane:
    """Flows, hosts and looks of everything fed so far."""

    def __init__(
        self, prefixes: list, seed: int, maximum_flows: int = 1 << 19, *, all_flows: bool = False
    ) -> None:
        """`prefixes`: (network as int, length, version) of all that counts as on site."""
        self.maximum = max(1024, maximum_flows)
        self.table = FlowTable(seed, self.maximum + EVENTS + ROWS_SPARE)  # EVENTS rows cool
        self.fragments = FragmentTable()
        self.host_table = HostTable(seed, prefixes)
        self.frame = Frame()
        self.probe = Frame()
        seed_event: Event[1]
        one: Event[::1] = seed_event
        self.events = cython_array(
            (EVENTS,), cython.sizeof(Event), memoryview(one).format.encode(), "c", True
        )
        self.duplicate_marks = cython_array((DUPLICATE_SETS * DUPLICATE_WAYS,), 8, b"Q", "c", True)
        self.duplicate_marks[:] = 0
        self.duplicate_times = cython_array((DUPLICATE_SETS * DUPLICATE_WAYS,), 8, b"q", "c", True)
        self.duplicate_times[:] = 0
        self.linktypes = cython_array((65_536,), 4, b"I", "c", True)
        self.linktypes[:] = 0xFFFF
        self.malformed = cython_array((32,), 8, b"Q", "c", True)
        self.malformed[:] = 0
        self.unknown = cython_array((65_536,), 4, b"I", "c", True)
        self.unknown[:] = 0
        self.ages = cython_array((64,), 4, b"I", "c", True)
        self.all_flows = all_flows
        self.next_sweep = -(1 << 62)
        self.now = -(1 << 62)

    # ---- feeding ----------------------------------------------------------------------------

    def add_source(self, index: int, linktype: int) -> None:
        """Tell the link type of the frames whose batch column says `source` = index."""
        self.linktypes[index] = linktype

    def feed(self, batch: object, start: int) -> int:
        """Walk rows `start`.. of a batch; return the row to go on from after a drain."""
        return self.run(
            batch.buffer,
            batch.offset,
            batch.captured,
            batch.wire,
            batch.time,
            batch.source,
            batch.number,
            start,
            batch.count,
        )

    def run(self, buf, offset, captured, wire, time, source, number, start, count):
        i: cython.Py_ssize_t = start
        status: cython.int
        with cython.nogil:
            while i < count:
                if (
                    self.event_count + EVENTS_SPARE > EVENTS
                    or self.ended - self.ended_before + ENDS_SPARE > EVENTS
                    or self.stop
                ):
                    break
                # The headers of a frame further on come while this one is worked on.
                if i + AHEAD < count and captured[i + AHEAD] > 64:
                    soon(buf, offset[i + AHEAD])
                    soon(buf, offset[i + AHEAD] + 64)
                self.index = cython.cast(uint32_t, i)
                self.begin(time[i], number[i], source[i], captured[i], wire[i])
                status = self.frame.open_link(
                    buf, offset[i], captured[i], wire[i], self.linktypes[source[i]]
                )
                self.layers(buf, status, 0)
                i += 1
        return i

    def begin(self, now, number, source, captured, wire):
        """Count the frame, and let time do its work: sweep, evict."""
        if self.frames == 0:
            self.first = now
            self.last = now
            self.next_sweep = now + SECOND
        self.frames += 1
        self.wire_bytes += wire
        self.captured_bytes += captured
        if captured < wire:
            self.cut_frames += 1
        if wire > 9_236:  # 9,216 bytes are the largest Ethernet frames in use, tags come on top
            self.super_frames += 1
        self.now = now
        if now < self.first:
            self.first = now
        if now > self.last:
            self.last = now
        self.number = number
        self.source = source
        self.wire = wire
        if self.frames % SWEEP_FRAMES == 0 or now >= self.next_sweep:
            if now >= self.next_sweep:
                self.next_sweep = now + SECOND
            self.sweep()
        while self.table.live >= self.maximum:
            self.evict()
        return 0

    def layers(self, buf, status, assembled):
        """Charge every packet in the frame: the outermost first, then what it carries."""
        depth: cython.int
        for depth in range(6):
            if status == BROKEN:
                self.malformed[self.frame.reason] += 1
                return 0
            if status == OTHER:
                if depth == 0:
                    self.unknown[self.frame.ethertype & 0xFFFF] += 1
                return 0
            status = self.frame.open_network(buf)
            if status == OTHER:
                if self.frame.ethertype == ETHERTYPE_ARP:
                    self.arp(buf)
                return 0
            if status == FOUND and self.frame.fragmented:
                return self.fragment(buf, assembled)
            if status == FOUND:
                status = self.frame.open_transport(buf)
            if status == BROKEN:
                self.malformed[self.frame.reason] += 1
                return 0
            self.packet(buf, assembled)
            status = self.frame.open_tunnel(buf)
            if status == OTHER:
                return 0
            if status == FOUND:
                self.table.rows[self.row].flags |= CARRIER
        return 0

    def packet(self, buf, assembled):
        """Charge one whole packet to its flow and look into it."""
        copy: cython.int = 0 if assembled else self.is_duplicate(buf)
        side: cython.int = self.flow(copy)
        if self.charge(side, copy):
            return 0
        self.table.sides[2 * self.row + side].payload += self.frame.payload_length
        if self.frame.protocol == ICMP or self.frame.protocol == ICMPV6:
            return self.icmp(buf)
        return self.content(buf, side, assembled)

    def flow(self, copy):
        """Find or make the frame's flow (`self.row`); return the sender's side."""
        found: int64_t = self.table.find(self.frame)
        if found >= 0:
            self.row = cython.cast(uint32_t, found)
            if self.now - self.table.rows[self.row].last > self.idle_limit(self.row):
                self.end(self.row, E_TIMEOUT)
                found = -1
            elif not copy and (self.reopens() or self.has_moved()):
                self.end(self.row, E_CLOSED)
                found = -1
        if found < 0:
            self.row = cython.cast(
                uint32_t,
                self.table.insert(self.frame, self.now, self.number, self.source),
            )
            self.introduce()
        return self.table.side

    def reopens(self):
        """Say whether a SYN begins another connection on a used five-tuple: its number differs."""
        if self.frame.protocol != TCP or self.frame.tcp_flags & (SYN | ACK | RST) != SYN:
            return 0
        s: uint32_t = 2 * self.row + self.table.side
        if not self.table.sides[s].flags & SIDE_BASE:
            return 1 if self.table.rows[self.row].flags & FINISHED else 0
        if self.table.sides[s].flags & SIDE_UNSEEN:
            return 0
        return 1 if self.table.sides[s].base != self.frame.seq + 1 else 0

    def has_moved(self):
        """Say whether an on-site address has gone to another device since its last packet.

        Its MAC differs, and not because a router's copy of the same packet passed as well: that
        would follow at once.
        """
        s: uint32_t = 2 * self.row + self.table.side
        return (
            self.table.sides[s].host > 1
            and self.table.sides[s].own_frames > 0
            and self.frame.src_mac != NO_MAC
            and self.table.sides[s].mac != NO_MAC
            and self.frame.src_mac != self.table.sides[s].mac
            and self.now - self.table.rows[self.row].last > SECOND
        )

    def introduce(self):
        """Place both ends of a new flow, decide whether it is watched, and announce it."""
        row: uint32_t = self.row
        version: cython.int = self.frame.version
        place_a: cython.int = self.host_table.place(version, self.frame.src_hi, self.frame.src_lo)
        place_b: cython.int = self.host_table.place(version, self.frame.dst_hi, self.frame.dst_lo)
        flags: uint32_t = 0
        host: uint32_t = 0
        if place_a == 1:
            host = self.host(
                self.frame.src_hi,
                self.frame.src_lo,
                self.frame.src_mac,
                0 if place_b == 2 else self.frame.hops,  # groups get hop limits of their own
            )
            self.table.sides[2 * row].host = host
            self.host_table.speaks(host)
            self.spoke(host)
        if place_b == 1:
            host = self.host_table.speaker_of(version, self.frame.dst_hi, self.frame.dst_lo)
            if host == 0:
                host = self.host(self.frame.dst_hi, self.frame.dst_lo, self.frame.dst_mac, 0)
            self.table.sides[2 * row + 1].host = host
        if self.is_icmp_error():
            flags |= ERROR
        elif place_a + place_b == 1 and place_a != 2 and place_b != 2:
            flags |= WATCHED
        if self.frame.protocol == TCP:
            if self.frame.tcp_flags & SYN:
                flags |= OPENER_KNOWN | SYN_SEEN
                if self.frame.tcp_flags & ACK:
                    flags |= OPENER_B
            elif self.frame.sport < 1024 and self.frame.dport >= 1024:
                flags |= OPENER_B  # a guess: servers sit on the low ports
            elif self.is_reply(place_a, place_b):
                flags |= OPENER_B
        elif self.frame.protocol == UDP:
            if self.frame.sport < 1024 and self.frame.dport >= 32_768:
                flags |= OPENER_B
            elif self.now - self.first < START and (
                (self.frame.sport < 1024 and self.frame.dport >= 1024)
                or self.is_reply(place_a, place_b)
            ):
                flags |= OPENER_B  # its question may have come before the capture began
            else:
                flags |= OPENER_KNOWN
        elif self.frame.icmp_type == 0 or self.frame.icmp_type == 129:
            flags |= OPENER_B
        else:
            flags |= OPENER_KNOWN
        self.table.rows[row].flags = flags
        if flags & WATCHED:
            away: cython.int = 1 if place_a == 1 else 0
            if self.table.sides[2 * row + away].mac != NO_MAC and self.host_table.is_new_gateway(
                self.table.sides[2 * row + away].mac
            ):
                self.emit(K_GATEWAY, away)
            if self.has_budget(host):
                self.unannounced = 1  # told when its first frame has been charged
            else:
                self.table.rows[row].flags |= SHED
                self.host_table.hosts[host].shed_flows += 1
                self.shed += 1
        return 0

    def is_reply(self, place_a, place_b):
        """Say whether a far end's first packet goes to a client's port.

        Nobody could have known that port, so that the beginning went unseen. Ports from 32768
        on are the clients' (Linux, ip_local_port_range).
        """
        return (
            place_a == 0
            and place_b == 1
            and self.frame.sport < 32_768
            and self.frame.dport >= 32_768
        )

    def has_budget(self, host):
        """One host may announce so many off-site flows an hour; the rest keep counters only."""
        hour: int64_t = self.now // (3600 * SECOND)
        if self.host_table.hosts[host].contact_hour != hour:
            self.host_table.hosts[host].contact_hour = hour
            self.host_table.hosts[host].contacts = 0
        self.host_table.hosts[host].contacts += 1
        return 1 if self.host_table.hosts[host].contacts <= HOST_CONTACTS else 0

    def is_icmp_error(self):
        # RFC 792: 3 unreachable, 4 quench, 5 redirect, 11 time, 12 parameter. RFC 4443: below 128.
        kind: cython.int = self.frame.icmp_type
        if self.frame.protocol == ICMP:
            return kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12
        return self.frame.protocol == ICMPV6 and 0 <= kind < 128

    def host(self, hi, lo, mac, hops):
        """Return the host row of an on-site address; announce a new one.

        `hops` is the hop limit of a packet that it sent, 0 where it sent none.
        """
        before: uint32_t = self.host_table.count
        host: uint32_t = self.host_table.find_or_add(self.frame.version, hi, lo, mac)
        if self.host_table.count != before:
            self.host_table.hosts[host].hops = hops
            self.write(K_HOST, 0, host)
        elif hops:
            self.heard(host)
        return host

    def heard(self, host):
        """Keep the hop limit a host sends with: it tells whether a router stands before it."""
        if host > 1 and self.frame.hops and self.host_table.hosts[host].hops == 0:
            self.host_table.hosts[host].hops = self.frame.hops
            at: cython.Py_ssize_t = self.event_count
            self.write(K_HOST, 0, host)
            self.events[at].detail = 2
        return 0

    def spoke(self, host):
        """Tell that a host spoke where another address behind its MAC did so last."""
        if self.host_table.takes_turn(host):
            self.write(K_TURN, 0, host)
        return 0

    def announce(self):
        """Tell a new flow, with its first frame in its counters."""
        if self.unannounced:
            self.unannounced = 0
            self.emit(K_NEW, 0)
        return 0

    def charge(self, side, copy):
        """Add the frame to the counters; return 1 where it is a mirror duplicate."""
        row: uint32_t = self.row
        s: uint32_t = 2 * row + side
        if self.now > self.table.rows[row].last:
            self.table.rows[row].last = self.now
        self.table.sides[s].frames += 1
        self.table.sides[s].wire += self.wire
        if copy:
            self.table.sides[s].duplicates += 1
            self.duplicates += 1
            self.announce()
            return 1
        flags: uint32_t = self.table.rows[row].flags
        self.host_table.hosts[self.table.sides[s].host].last = self.now
        self.table.sides[s].own_frames += 1
        self.table.sides[s].own_bytes += (
            self.frame.own_end - self.frame.own_start - self.frame.stripped
        )
        self.announce()
        if side == 1 and not flags & ANSWERED:
            flags |= ANSWERED
            self.table.rows[row].flags = flags
            self.heard(self.table.sides[s].host)
            self.spoke(self.table.sides[s].host)
            if flags & WATCHED and self.frame.protocol != TCP:  # TCP says more than that itself
                self.emit(K_ANSWERED, side)
        if self.table.rows[row].turns == 0:
            self.table.rows[row].turns = 1
        elif (flags & LAST_B != 0) != (side == 1) and self.table.rows[row].turns < 3:
            self.table.rows[row].turns += 1
            if self.table.rows[row].turns == 3 and flags & WATCHED and self.frame.protocol != TCP:
                self.emit(K_TURNED, side)
        if side == 1:
            self.table.rows[row].flags |= LAST_B
        else:
            self.table.rows[row].flags &= ~LAST_B
        if (
            flags & WATCHED
            and self.table.sides[s].progress < PROGRESS_STEPS
            and self.table.sides[s].host
        ):
            if self.table.sides[s].own_bytes >= PROGRESS_BYTES * (self.table.sides[s].progress + 1):
                self.table.sides[s].progress = min(
                    PROGRESS_STEPS, self.table.sides[s].own_bytes // PROGRESS_BYTES
                )
                self.emit(K_PROGRESS, side)
        return 0

    # ---- duplicates -------------------------------------------------------------------------

    def is_duplicate(self, buf):
        """Has this packet passed a moment ago? Link layer, tags and hop limit may differ."""
        length: cython.Py_ssize_t = self.frame.ip_end - self.frame.transport
        mark: uint64_t = mix(
            self.frame.src_lo
            ^ (self.frame.dst_lo << 1)
            ^ (self.frame.src_hi << 2)
            ^ self.frame.dst_hi
        )
        mark = mix(
            mark
            ^ (cython.cast(uint64_t, self.frame.ip_id) << 32)
            ^ (cython.cast(uint64_t, length) << 8)
            ^ self.frame.protocol
            ^ (cython.cast(uint64_t, self.frame.fragment_offset) << 40)
        )
        pos: cython.Py_ssize_t = self.frame.transport
        end: cython.Py_ssize_t = (
            self.frame.limit if self.frame.limit < self.frame.ip_end else self.frame.ip_end
        )
        if end > pos + 48 and not (self.frame.protocol == UDP and u16(buf, pos + 6) == 0):
            # The transport header, its checksum over the rest, and some payload; where UDP
            # leaves the checksum out, all of it.
            end = pos + 48
        while pos + 8 <= end:
            mark = (mark ^ u64(buf, pos)) * GOLDEN
            mark ^= mark >> 29
            pos += 8
        while pos < end:
            mark = (mark ^ buf[pos]) * GOLDEN
            pos += 1
        mark = mix(mark) | 1
        proves: cython.int = self.frame.ip_id != 0 or (
            self.frame.protocol == TCP
            and not self.frame.fragmented
            and (self.frame.payload_length > 0 or self.frame.tcp_flags & (SYN | FIN | RST) != 0)
        )
        if proves:
            self.proven += 1
        return self.passed_before(mark, proves)

    def passed_before(self, mark, proves):
        """Find a packet's mark among those of its set, or put it in place of the oldest."""
        way: uint64_t
        age: int64_t
        base: uint64_t = ((mark >> 32) & (DUPLICATE_SETS - 1)) * DUPLICATE_WAYS
        oldest: uint64_t = base
        for way in range(base, base + DUPLICATE_WAYS):
            if self.duplicate_marks[way] == mark:
                age = self.now - self.duplicate_times[way]
                if age >= 0 and self.is_copy(age, proves):
                    return 1
                oldest = way
                break
            if self.duplicate_times[way] < self.duplicate_times[oldest]:
                oldest = way
        self.duplicate_marks[oldest] = mark
        self.duplicate_times[oldest] = self.now
        return 0

    def is_copy(self, age, proves):
        """Judge a packet that is the same as one that passed `age` nanoseconds ago.

        The identification field proves a copy. A TCP sequence number may be sent again, and a
        datagram without identification says nothing: then the copy must follow at once, or the
        mirror be known to copy.
        """
        copies: cython.int = self.mirror_copies()
        settled: cython.int = copies and self.proven >= 8
        if age > (DUPLICATE_PROVEN if self.frame.ip_id or settled else DUPLICATE_LIKELY):
            return 0
        if proves:
            self.proven_duplicates += 1
            return 1
        return copies

    def mirror_copies(self):
        """Is this a mirror that copies frames? One in eight of those that can tell is enough."""
        return self.proven < 8 or self.proven_duplicates * 8 >= self.proven

    # ---- content ----------------------------------------------------------------------------

    def content(self, buf, side, assembled):
        """Follow the transport and decide on a look."""
        if self.frame.protocol == TCP:
            self.segment(side)
            if self.frame.tcp_flags & RST:
                return 0  # a reset carries nothing to look at
            if self.frame.payload_captured > 0 and self.wants_segment(buf, side):
                self.look(side, assembled)
        elif self.frame.protocol == UDP:
            if self.frame.payload_captured > 0 and self.wants_datagram(buf, side):
                self.look(side, assembled)
        return 0

    def segment(self, side):
        """Follow TCP state and sequence numbers."""
        row: uint32_t = self.row
        s: uint32_t = 2 * row + side
        other: uint32_t = 2 * row + 1 - side
        tcp: cython.int = self.frame.tcp_flags
        flags: uint32_t = self.table.rows[row].flags
        watched: cython.int = flags & WATCHED != 0
        if tcp & RST:
            if not flags & RESET:
                self.table.rows[row].flags |= RESET | FINISHED
                if watched:
                    self.emit(K_RESET, side)
            return 0
        if tcp & SYN:
            flags |= OPENER_KNOWN | SYN_SEEN
            flags &= ~OPENER_B
            if (tcp & ACK != 0) == (side == 0):
                flags |= OPENER_B
            self.table.rows[row].flags = flags
        if tcp & ACK and not flags & CONNECTED:
            self.table.rows[row].flags |= CONNECTED
            if watched:
                self.emit(K_CONNECTED, side)
        delivered: cython.int = track(
            self.table.sides,
            s,
            other,
            self.frame.seq,
            self.frame.ack,
            tcp,
            self.frame.payload_length,
        )
        # Only what the on-site side sent is of interest, seen or inferred.
        if (
            watched
            and not flags & SHED
            and (
                (delivered & 1 and self.table.sides[other].host)
                or (delivered & 2 and self.table.sides[s].host)
            )
        ):
            self.weigh_mirror(
                delivered & 2
                or not self.table.sides[s].own_frames
                or not self.table.sides[other].own_frames,
                1 - side,
            )
            self.emit(K_DELIVERED, 1 - side)
            self.events[self.event_count - 1].detail = delivered
        if (
            self.table.sides[s].flags & SIDE_FIN_ACKED
            and self.table.sides[other].flags & SIDE_FIN_ACKED
        ):
            self.table.rows[row].flags |= FINISHED
        return 0

    def weigh_mirror(self, unseen, side):
        """Weigh whether the mirror shows one direction only: ACKs of unseen bytes prove it."""
        if unseen:
            self.unseen_acknowledged += 1
        else:
            self.seen_acknowledged += 1
        one_way: cython.int = (
            self.unseen_acknowledged > 0 and self.unseen_acknowledged >= 4 * self.seen_acknowledged
        )
        if one_way != self.one_way_mirror:
            self.one_way_mirror = one_way
            self.emit(K_MIRROR, side)
            self.events[self.event_count - 1].detail = one_way
        return 0

    def stream_offset(self, side):
        """Where in its stream a segment's payload begins; a SYN has a number of its own."""
        first: uint32_t = self.frame.seq + (1 if self.frame.tcp_flags & SYN else 0)
        return first - self.table.sides[2 * self.row + side].base

    def wants_segment(self, buf, side):
        """Look at the head of each direction, and wherever a message begins later."""
        row: uint32_t = self.row
        s: uint32_t = 2 * row + side
        settled: uint32_t = SETTLED_B if side else SETTLED_A
        offset: uint32_t = self.stream_offset(side)
        if self.frame.sport == 53 or self.frame.dport == 53:
            return self.table.sides[s].looks < FRESH_LOOKS
        if (
            not self.table.rows[row].flags & settled
            and offset < STREAM_BYTES
            and self.table.sides[s].looks < STREAM_SEGMENTS
        ):
            if offset == 0 and not self.may_go_on(buf):
                self.table.rows[row].flags |= settled
            elif offset and self.is_past_handshake(buf):
                self.table.rows[row].flags |= settled
                return 0
            return 1
        if self.table.sides[s].looks >= FRESH_LOOKS:
            return 0
        if self.begins_message(buf):
            self.table.sides[s].window = self.frame.seq
            self.table.sides[s].window_left = MESSAGE_SEGMENTS
            return 1
        if (
            self.table.sides[s].window_left
            and self.frame.seq - self.table.sides[s].window < STREAM_BYTES
        ):
            self.table.sides[s].window_left -= 1
            return 1
        return 0

    def may_go_on(self, buf):
        """Say whether the message that begins here may need more segments.

        TLS handshake, MQTT CONNECT, text protocols, and binary ones with a length in front.
        """
        pos: cython.Py_ssize_t = self.frame.payload
        end: cython.Py_ssize_t = pos + self.frame.payload_captured
        first: cython.int = buf[pos]
        if first == 0x16 and pos + 5 < end:
            # A record that is followed by another type in this segment is whole.
            pos += 5 + cython.cast(cython.Py_ssize_t, u16(buf, pos + 3))
            return pos >= end or (buf[pos] != 0x14 and buf[pos] != 0x17)
        if 0x41 <= first <= 0x5A:
            # A header that ends in this segment is whole.
            while pos + 4 <= end:
                if buf[pos] == 0x0D and u32(buf, pos) == 0x0D0A0D0A:
                    return 0
                pos += 1
            return 1
        return first == 0x16 or first == 0x10 or first < 0x04

    def is_past_handshake(self, buf):
        """TLS ChangeCipherSpec or application data: nothing of this side's hello is left."""
        pos: cython.Py_ssize_t = self.frame.payload
        if self.frame.payload_captured < 3:
            return 0
        return (buf[pos] == 0x17 or buf[pos] == 0x14) and buf[pos + 1] == 3 and buf[pos + 2] <= 4

    def begins_message(self, buf):
        """Say whether the payload begins as an HTTP, RTSP or TLS handshake message does."""
        pos: cython.Py_ssize_t = self.frame.payload
        if self.frame.payload_captured < 6:
            return 0
        first: cython.int = buf[pos]
        if first == 0x16:  # TLS handshake record, ClientHello or ServerHello
            return buf[pos + 1] == 3 and (buf[pos + 5] == 1 or buf[pos + 5] == 2)
        if first < 0x41 or first > 0x55:  # 'A'..'U'
            return 0
        word: uint32_t = u32(buf, pos)
        return (
            word == 0x47455420  # "GET "
            or word == 0x504F5354  # "POST"
            or word == 0x48545450  # "HTTP"
            or word == 0x48454144  # "HEAD"
            or word == 0x50555420  # "PUT "
            or word == 0x4F505449  # "OPTI"
            or word == 0x44454C45  # "DELE"
            or word == 0x434F4E4E  # "CONN"
            or word == 0x50415443  # "PATC"
            or word == 0x54524143  # "TRAC"
            or word == 0x50524F50  # "PROP"
            or word == 0x4E4F5449  # "NOTI"
            or word == 0x53554253  # "SUBS"
            or word == 0x52545350  # "RTSP"
            or word == 0x44455343  # "DESC"
            or word == 0x53455455  # "SETU"
            or word == 0x504C4159  # "PLAY"
            or word == 0x414E4E4F  # "ANNO"
            or word == 0x5245434F  # "RECO"
        )

    def wants_datagram(self, buf, side):
        """Look at the first datagrams, at every name-bearing one, and at QUIC Initials."""
        row: uint32_t = self.row
        s: uint32_t = 2 * row + side
        if self.carries_names(self.frame.sport) or self.carries_names(self.frame.dport):
            return self.table.sides[s].looks < FRESH_LOOKS
        settled: uint32_t = SETTLED_B if side else SETTLED_A
        if self.table.sides[s].looks < DATAGRAMS and not self.table.rows[row].flags & settled:
            return 1
        if self.table.sides[s].looks >= 64 or self.frame.payload_captured < 1000:
            return 0
        pos: cython.Py_ssize_t = self.frame.payload
        return buf[pos] & 0xC0 == 0xC0 and u32(buf, pos + 1) != 0

    def carries_names(self, port):
        # DNS, mDNS, LLMNR, DHCP (both families), SSDP, WS-Discovery
        return (
            port == 53
            or port == 5353
            or port == 5355
            or port == 67
            or port == 68
            or port == 546
            or port == 547
            or port == 1900
            or port == 3702
        )

    def look(self, side, assembled):
        """Write a payload event, within the host's budget."""
        row: uint32_t = self.row
        s: uint32_t = 2 * row + side
        host: uint32_t = self.table.sides[s].host
        if host == 0:
            host = self.table.sides[2 * row + 1 - side].host
        second: int64_t = self.now // SECOND
        if self.host_table.hosts[host].look_second != second:
            self.host_table.hosts[host].look_second = second
            self.host_table.hosts[host].looks = 0
        self.host_table.hosts[host].looks += 1
        if self.host_table.hosts[host].looks > HOST_LOOKS:
            self.shed += 1
            return 0
        if self.table.rows[row].flags & SHED and self.table.sides[s].looks >= 2:
            self.shed += 1
            return 0
        if self.table.sides[s].looks < 65_535:
            self.table.sides[s].looks += 1
        self.table.rows[row].flags |= TOUCHED
        at: cython.Py_ssize_t = self.event_count
        self.emit(K_PAYLOAD, side)
        self.events[at].offset = self.frame.payload
        self.events[at].length = self.frame.payload_captured
        self.events[at].cut = self.frame.payload_captured < self.frame.payload_length
        self.events[at].assembled = assembled
        if self.frame.protocol == TCP:
            self.events[at].stream = self.stream_offset(side)
        if assembled:
            self.stop = 1  # the arena may change with the next frame
        return 0

    # ---- ICMP, ARP, fragments ---------------------------------------------------------------

    def icmp(self, buf):
        """Mark the flow of the packet that an ICMP error quotes."""
        if not self.is_icmp_error():
            return 0
        self.probe.start = self.frame.payload
        self.probe.pos = self.frame.payload
        self.probe.limit = (
            self.frame.limit if self.frame.limit < self.frame.ip_end else self.frame.ip_end
        )
        self.probe.wire_limit = 1 << 40  # the quoted packet was longer than the quote
        self.probe.ethertype = 0x0800 if self.frame.protocol == ICMP else 0x86DD
        if self.probe.open_network(buf) != FOUND or self.probe.fragment_offset:
            return 0
        if self.probe.protocol != TCP and self.probe.protocol != UDP:
            return 0
        if self.probe.transport + 4 > self.probe.limit:
            return 0
        self.probe.sport = u16(buf, self.probe.transport)
        self.probe.dport = u16(buf, self.probe.transport + 2)
        found: int64_t = self.table.find(self.probe)
        if found < 0:
            return 0
        row: uint32_t = cython.cast(uint32_t, found)
        if self.frame.protocol == ICMP and self.frame.icmp_type != 3 and self.frame.icmp_type != 11:
            return 0
        if (
            self.frame.protocol == ICMPV6
            and self.frame.icmp_type != 1
            and self.frame.icmp_type != 3
        ):
            return 0
        if self.frame.protocol == ICMP and self.frame.icmp_type == 3 and self.frame.icmp_code == 4:
            return 0  # fragmentation needed: path MTU discovery, not a refusal
        if not self.table.rows[row].flags & REFUSED:
            self.table.rows[row].flags |= REFUSED
            if self.table.rows[row].flags & WATCHED:
                self.write(K_REFUSED, 1 - self.table.side, row)
        return 0

    def arp(self, buf):
        """RFC 826: the sender says which address stands behind which MAC."""
        pos: cython.Py_ssize_t = self.frame.pos
        if pos + 28 > self.frame.limit:
            return 0
        if u32(buf, pos) != 0x00010800 or u16(buf, pos + 4) != 0x0604:
            return 0
        lo: uint64_t = u32(buf, pos + 14)
        mac: uint64_t = (cython.cast(uint64_t, u32(buf, pos + 8)) << 16) | u16(buf, pos + 12)
        self.frame.version = 4
        if self.host_table.place(4, 0, lo) != 1:
            return 0
        host: uint32_t = self.host(0, lo, mac, 0)
        self.host_table.speaks(host)
        if host > 1 and not self.host_table.hosts[host].flags & 1:
            self.host_table.hosts[host].flags |= 1
            at: cython.Py_ssize_t = self.event_count
            self.write(K_HOST, 0, host)
            self.events[at].detail = 1
        return 0

    def fragment(self, buf, assembled):
        """Charge a fragment to its flow; look into the datagram when it is whole."""
        self.fragment_frames += 1
        copy: cython.int = 0 if assembled else self.is_duplicate(buf)
        slot: cython.int = self.fragments.find(self.frame, self.now)
        ports: cython.int = 0
        side: cython.int
        if self.frame.fragment_offset == 0:
            ports = self.frame.open_transport(buf) == FOUND
        known: uint32_t = self.fragments.slots[slot].row
        if (
            ports
            or known == 0
            or (
                self.table.rows[known - 1].id != self.fragments.slots[slot].flow_id
                or self.table.rows[known - 1].flags & GONE
            )
        ):
            if not ports:
                self.frame.sport = 0
                self.frame.dport = 0
                self.frame.tcp_flags = 0
                self.frame.icmp_type = -1
                self.frame.icmp_code = -1
            side = self.flow(copy)
            if ports:
                self.fragments.slots[slot].row = self.row + 1
                self.fragments.slots[slot].flow_id = self.table.rows[self.row].id
                self.fragments.slots[slot].side = side
        else:
            self.row = known - 1
            side = self.fragments.slots[slot].side
        if self.charge(side, copy):
            return 0
        if not ports:
            self.frame.payload_length = self.frame.ip_end - self.frame.transport
        self.table.sides[2 * self.row + side].payload += self.frame.payload_length
        if assembled:
            return 0  # in a datagram that was put together itself: `buf` is the arena
        if not self.fragments.add(slot, buf, self.frame):
            return 0
        return self.assembled(slot)

    def assembled(self, slot):
        """Look into a datagram that was put together."""
        head: cython.Py_ssize_t = self.frame.network - self.frame.own_start - self.frame.stripped
        self.frame.transport = cython.cast(cython.Py_ssize_t, slot) * 65_536
        self.frame.ip_end = self.frame.transport + self.fragments.slots[slot].total
        self.frame.limit = self.frame.ip_end
        self.frame.wire_limit = self.frame.ip_end
        self.frame.network = self.frame.transport
        self.frame.fragmented = 0
        self.frame.own_start = self.frame.transport - head
        self.frame.own_end = self.frame.ip_end
        self.frame.stripped = 0
        if self.frame.open_transport(self.fragments.arena) != FOUND:
            self.malformed[self.frame.reason] += 1
            return 0
        side: cython.int = self.flow(0)
        self.announce()
        if self.frame.protocol == ICMP or self.frame.protocol == ICMPV6:
            return 0
        self.content(self.fragments.arena, side, 1)
        status: cython.int = self.frame.open_tunnel(self.fragments.arena)
        if status == OTHER:
            return 0
        if status == FOUND:
            self.table.rows[self.row].flags |= CARRIER
        return self.layers(self.fragments.arena, status, 1)

    # ---- events -----------------------------------------------------------------------------

    def emit(self, kind, side):
        return self.write(kind, side, self.row)

    def write(self, kind, side, row):
        """Write an event with the counters as they stand.

        For K_HOST and K_TURN, `row` is the host's.
        """
        at: cython.Py_ssize_t = self.event_count
        of_host: cython.int = kind == K_HOST or kind == K_TURN
        if not of_host and self.table.rows[row].flags & SHED and kind != K_PAYLOAD:
            return 0
        self.event_count += 1
        self.events[at].kind = kind
        self.events[at].side = side
        self.events[at].row = row
        self.events[at].time = self.now
        self.events[at].number = self.number
        self.events[at].index = self.index
        self.events[at].source = self.source
        self.events[at].offset = 0
        self.events[at].length = 0
        self.events[at].stream = 0
        self.events[at].fresh = 0
        self.events[at].cut = 0
        self.events[at].assembled = 0
        self.events[at].detail = 0
        if of_host:
            self.events[at].fresh = self.host_table.hosts[row].hops
            return 0
        self.events[at].own_bytes_a = self.table.sides[2 * row].own_bytes
        self.events[at].own_bytes_b = self.table.sides[2 * row + 1].own_bytes
        self.events[at].own_frames_a = self.table.sides[2 * row].own_frames
        self.events[at].own_frames_b = self.table.sides[2 * row + 1].own_frames
        self.events[at].payload_a = self.table.sides[2 * row].payload
        self.events[at].payload_b = self.table.sides[2 * row + 1].payload
        if kind == K_NEW:
            self.events[at].detail = (self.table.rows[row].flags & (OPENER_B | OPENER_KNOWN)) >> 4
        return 0

    # ---- the end of flows -------------------------------------------------------------------

    def idle_limit(self, row):
        flags: uint32_t = self.table.rows[row].flags
        if self.table.rows[row].protocol != TCP or not flags & CONNECTED:
            return IDLE_OTHER
        return IDLE_CLOSED if flags & FINISHED else IDLE_TCP

    def end(self, row, reason):
        """Take a flow out of the table and tell its end to those who held something for it."""
        flags: uint32_t = self.table.rows[row].flags
        a: uint32_t = 2 * row
        b: uint32_t = 2 * row + 1
        self.ended += 1
        self.lost += self.table.sides[a].lost + self.table.sides[b].lost
        if not flags & ANSWERED:
            self.one_way += 1
        if flags & SHED:
            self.keep_totals(row)
        told: cython.int = (
            self.all_flows or flags & TOUCHED or (flags & WATCHED and not flags & SHED)
        )
        if told:
            at: cython.Py_ssize_t = self.event_count
            shed: uint32_t = flags & SHED
            self.table.rows[row].flags &= ~SHED
            self.write(K_ENDED, 1 if flags & OPENER_B else 0, row)
            self.table.rows[row].flags |= shed
            self.events[at].detail = reason
            self.events[at].cut = shed != 0
        self.table.remove(row)
        return 0

    def keep_totals(self, row):
        """Give the counters of a flow beyond its host's budget to the host."""
        home: uint32_t = 2 * row if self.table.sides[2 * row].host else 2 * row + 1
        away: uint32_t = home ^ 1
        host: uint32_t = self.table.sides[home].host
        self.host_table.hosts[host].shed_frames_out += self.table.sides[home].own_frames
        self.host_table.hosts[host].shed_bytes_out += self.table.sides[home].own_bytes
        self.host_table.hosts[host].shed_frames_in += self.table.sides[away].own_frames
        self.host_table.hosts[host].shed_bytes_in += self.table.sides[away].own_bytes
        return 0

    def sweep(self):
        """End flows that have been silent too long, a piece of the table at a time."""
        i: uint32_t
        ended: cython.int = 0
        steps: uint32_t = SWEEP_ROWS if self.table.high > SWEEP_ROWS else self.table.high
        for i in range(steps):
            if self.sweep_hand >= self.table.high:
                self.sweep_hand = 0
            if not self.table.rows[self.sweep_hand].flags & GONE and self.now - self.table.rows[
                self.sweep_hand
            ].last > self.idle_limit(self.sweep_hand):
                self.end(self.sweep_hand, E_TIMEOUT)
                ended += 1
            self.sweep_hand += 1
            if ended >= EVICT_FLOWS:
                break
        return 0

    def evict(self):
        """Make room: unanswered and finished flows first, else those that are silent longest."""
        i: uint32_t
        row: uint32_t
        ended: cython.int = 0
        start: uint32_t = self.evict_hand
        steps: uint32_t = EVICT_ROWS if self.table.high > EVICT_ROWS else self.table.high
        self.ages[:] = 0
        for i in range(steps):
            if self.evict_hand >= self.table.high:
                self.evict_hand = 0
            row = self.evict_hand
            self.evict_hand += 1
            if self.table.rows[row].flags & GONE:
                continue
            if (
                not self.table.rows[row].flags & ANSWERED or self.table.rows[row].flags & FINISHED
            ) and self.now - self.table.rows[row].last >= SECOND:
                self.end(row, E_EVICTED)
                self.evicted += 1
                ended += 1
                if ended >= EVICT_FLOWS:
                    return 0
            else:
                self.ages[self.age_of(row)] += 1
        if ended == 0:
            self.evict_oldest(start, steps)
        return 0

    def age_of(self, row):
        """Return how long a flow has been silent, as a number of bits."""
        age: int64_t = self.now - self.table.rows[row].last
        bits: cython.int = 0
        while age > 0:
            age >>= 1
            bits += 1
        return bits

    def evict_oldest(self, start, steps):
        """End those among `steps` rows that are silent longest, within a factor of two."""
        i: uint32_t
        row: uint32_t = start
        ended: cython.int = 0
        enough: cython.uint = 0
        least: cython.int = 63
        while least > 0:
            enough += self.ages[least]
            if enough >= EVICT_ENOUGH:
                break
            least -= 1
        for i in range(steps):
            if row >= self.table.high:
                row = 0
            if not self.table.rows[row].flags & GONE and self.age_of(row) >= least:
                self.end(row, E_EVICTED)
                self.evicted += 1
                ended += 1
                if ended >= EVICT_FLOWS:
                    break
            row += 1
        return 0

    def advance(self, now: int, start: int) -> int:
        """End the flows from row `start` on that are silent too long at `now`.

        Return the row to go on from after a drain, or -1 where there is none.
        """
        row: uint32_t
        self.now = max(self.now, now)
        for row in range(start, self.table.high):
            if (
                self.event_count + EVENTS_SPARE > EVENTS
                or self.ended - self.ended_before + ENDS_SPARE > EVENTS
            ):
                return row
            if not self.table.rows[row].flags & GONE and self.now - self.table.rows[
                row
            ].last > self.idle_limit(row):
                self.end(row, E_TIMEOUT)
        return -1

    def live_rows(self) -> list:
        """Return the rows of all flows that go on, in the order they began."""
        row: uint32_t
        rows = [row for row in range(self.table.high) if not self.table.rows[row].flags & GONE]
        rows.sort(key=self.id_of)
        return rows

    def end_rows(self, rows: list, start: int) -> int:
        """End the flows in `rows` from `start` on; return where to go on after a drain."""
        i: cython.Py_ssize_t = start
        self.now = self.last
        while i < len(rows) and self.event_count + EVENTS_SPARE <= EVENTS:
            self.end(rows[i], E_SHUTDOWN)
            i += 1
        return i

    # ---- what Python reads ------------------------------------------------------------------

    def drain(self, buffer: object) -> list:
        """Return the looks written since the last drain; payloads are copied out of `buffer`."""
        out = []
        data: object = memoryview(buffer) if buffer is not None else None
        arena: object = memoryview(self.fragments.arena)
        i: cython.Py_ssize_t
        row: uint32_t
        for i in range(self.event_count):
            look = Look()
            row = self.events[i].row
            look.kind = self.events[i].kind
            look.side = self.events[i].side
            look.row = row
            look.time = self.events[i].time
            look.number = self.events[i].number
            look.index = self.events[i].index
            look.source = self.events[i].source
            look.detail = self.events[i].detail
            look.hops = self.events[i].fresh
            self.looks += 1
            look.order = self.looks
            if self.events[i].kind != K_HOST and self.events[i].kind != K_TURN:
                look.flow = self.table.rows[row].id
                look.protocol = self.table.rows[row].protocol
                look.port_a = self.table.rows[row].a_port
                look.port_b = self.table.rows[row].b_port
                look.watched = self.table.rows[row].flags & WATCHED != 0
                look.version = self.table.rows[row].version
                look.a_hi = self.table.rows[row].a_hi
                look.a_lo = self.table.rows[row].a_lo
                look.b_hi = self.table.rows[row].b_hi
                look.b_lo = self.table.rows[row].b_lo
                look.host_a = self.table.sides[2 * row].host
                look.host_b = self.table.sides[2 * row + 1].host
                look.own_bytes_a = self.events[i].own_bytes_a
                look.own_bytes_b = self.events[i].own_bytes_b
                look.own_frames_a = self.events[i].own_frames_a
                look.own_frames_b = self.events[i].own_frames_b
                look.payload_bytes_a = self.events[i].payload_a
                look.payload_bytes_b = self.events[i].payload_b
            if self.events[i].kind == K_ENDED:
                look.last = self.table.rows[row].last
                look.shed = self.events[i].cut != 0
            if self.events[i].kind == K_PAYLOAD:
                at = self.events[i].offset
                source = arena if self.events[i].assembled else data
                look.payload = source[at : at + self.events[i].length].tobytes()
                look.stream = self.events[i].stream
                look.cut = self.events[i].cut != 0
            else:
                look.payload = b""
            out.append(look)
        self.event_count = 0
        self.ended_before = self.ended
        self.stop = 0
        return out

    def id_of(self, row: int) -> int:
        """Return the id of a flow."""
        r: uint32_t = row
        return self.table.rows[r].id

    def row_of(self, row: int) -> tuple:
        """Return the columns of a flow as looks.FlowRow takes them."""
        r: uint32_t = row
        return (
            self.table.rows[r].a_hi,
            self.table.rows[r].a_lo,
            self.table.rows[r].b_hi,
            self.table.rows[r].b_lo,
            self.table.rows[r].a_port,
            self.table.rows[r].b_port,
            self.table.rows[r].version,
            self.table.rows[r].protocol,
            self.table.rows[r].flags,
            self.table.rows[r].id,
            self.table.rows[r].first,
            self.table.rows[r].last,
            self.table.rows[r].number,
            self.table.rows[r].source,
            self.table.rows[r].vlans,
            self.table.rows[r].vlan0,
            self.table.rows[r].vlan1,
            self.table.rows[r].icmp_type,
            self.table.rows[r].icmp_code,
        )

    def side_of(self, row: int, side: int) -> tuple:
        """Return what one side sent, in the order of model.Side from `mac`."""
        s: uint32_t = 2 * row + side
        return (
            self.table.sides[s].mac,
            self.table.sides[s].host,
            self.table.sides[s].frames,
            self.table.sides[s].wire,
            self.table.sides[s].own_frames,
            self.table.sides[s].own_bytes,
            self.table.sides[s].payload,
            self.table.sides[s].delivered,
            self.table.sides[s].retransmitted,
            self.table.sides[s].lost,
            self.table.sides[s].duplicates,
        )

    def host_of(self, index: int) -> tuple:
        """Return (version, hi, lo, mac, hop limit or 0) of an on-site host."""
        i: uint32_t = index
        return (
            self.host_table.hosts[i].version,
            self.host_table.hosts[i].ip_hi,
            self.host_table.hosts[i].ip_lo,
            self.host_table.hosts[i].mac,
            self.host_table.hosts[i].hops,
        )

    def last_of_host(self, index: int) -> int:
        """Return when an on-site host sent its last frame, 0 where it sent none."""
        i: uint32_t = index
        return self.host_table.hosts[i].last

    def shed_of(self, index: int) -> tuple:
        """Return (flows, frames out, bytes out, frames in, bytes in) beyond a host's budget."""
        i: uint32_t = index
        return (
            self.host_table.hosts[i].shed_flows,
            self.host_table.hosts[i].shed_frames_out,
            self.host_table.hosts[i].shed_bytes_out,
            self.host_table.hosts[i].shed_frames_in,
            self.host_table.hosts[i].shed_bytes_in,
        )

    def counters(self) -> dict:
        """Return the coverage counters by their names in model.Coverage."""
        i: cython.Py_ssize_t
        return {
            "first": self.first,
            "last": self.last,
            "frames": self.frames,
            "wire_bytes": self.wire_bytes,
            "captured_bytes": self.captured_bytes,
            "duplicates": self.duplicates,
            "cut_frames": self.cut_frames,
            "super_frames": self.super_frames,
            "fragments": self.fragment_frames,
            "overlapping_fragments": self.fragments.overlaps,
            "lost_bytes": self.lost,
            "one_way_flows": self.one_way,
            "flows": self.table.ids,
            "evicted_flows": self.evicted,
            "shed_looks": self.shed,
            "malformed": {
                REASONS[i]: self.malformed[i] for i in range(1, len(REASONS)) if self.malformed[i]
            },
            "unknown": {f"0x{i:04x}": self.unknown[i] for i in range(65_536) if self.unknown[i]},
        }

    @property
    def last_frame(self) -> int:
        """The time of the newest frame, in nanoseconds; 0 before there is one."""
        return self.last

    @property
    def live_flows(self) -> int:
        """Flows in the table now."""
        return self.table.live
