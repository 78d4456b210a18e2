"""The flow table and the host table: rows in arrays, found by hash, never objects.

A flow is a five-tuple; its row holds the key and the times, its two sides hold
what each end sent. Side a sent the first frame. The structs stand in flows.pxd.
"""

import cython
from cython.cimports.cython.view import array as cython_array
from cython.cimports.libc.stdint import (
    int64_t,
    uint32_t,
    uint64_t,
)

ICMP = cython.declare(cython.int, 1)
TCP = cython.declare(cython.int, 6)
UDP = cython.declare(cython.int, 17)
ICMPV6 = cython.declare(cython.int, 58)

GONE = cython.declare(uint32_t, 1 << 31)  # Row.flags: ended, not yet released

# What `place` answers.
OFF_SITE = cython.declare(cython.int, 0)
ON_SITE = cython.declare(cython.int, 1)
GROUP = cython.declare(cython.int, 2)  # multicast, broadcast, unspecified: on site, but no host

NO_MAC = cython.declare(uint64_t, 0xFFFFFFFFFFFFFFFF)
BROADCAST = cython.declare(uint64_t, 0xFFFFFFFF)

COOLING = cython.declare(uint32_t, 8192)  # rows that wait before they are used again
MAXIMUM_HOSTS = cython.declare(uint32_t, 65_536)
OTHER_HOSTS = cython.declare(uint32_t, 1)  # the row that stands for all beyond the bound
GATEWAYS = cython.declare(uint32_t, 4096)  # slots; half of them are used


def row_array(count: cython.Py_ssize_t):
    seed: Row[1]
    one: Row[::1] = seed
    return cython_array((count,), cython.sizeof(Row), memoryview(one).format.encode(), "c", True)


def side_array(count: cython.Py_ssize_t):
    seed: Side[1]
    one: Side[::1] = seed
    return cython_array((count,), cython.sizeof(Side), memoryview(one).format.encode(), "c", True)


def host_array(count: cython.Py_ssize_t):
    seed: HostRow[1]
    one: HostRow[::1] = seed
    return cython_array(
        (count,), cython.sizeof(HostRow), memoryview(one).format.encode(), "c", True
    )


def word_array(count: cython.Py_ssize_t):
    words: uint32_t[::1] = cython_array((count,), 4, b"I", "c", True)
    words[:] = 0
    return words


@cython.cclass
class FlowTable:
    """Flows by five-tuple, at most `rows` of them; a row never used costs no memory.

    `seed` keeps a hostile sender from aiming at one bucket.
    """

    def __init__(self, seed: int, rows: int) -> None:
        self.seed = seed & 0xFFFFFFFFFFFFFFFF
        self.rows = row_array(rows)
        self.sides = side_array(2 * rows)
        buckets = 1 << max(10, (rows - 1).bit_length() - 1)
        self.buckets = word_array(buckets)
        self.mask = buckets - 1
        self.free_first = 0
        self.free_last = 0
        self.free_count = 0
        self.high = 0
        self.ids = 0
        self.live = 0

    def hash_of(self, frame):
        # Symmetric in the two ends, so that both directions meet in one bucket.
        a: uint64_t = mix(frame.src_lo ^ self.seed) + mix(
            frame.src_hi ^ frame.sport ^ (self.seed >> 7)
        )
        b: uint64_t = mix(frame.dst_lo ^ self.seed) + mix(
            frame.dst_hi ^ frame.dport ^ (self.seed >> 7)
        )
        return cython.cast(uint32_t, mix((a + b) ^ (a ^ b) * 3 ^ frame.protocol) >> 20)

    def find(self, frame):
        """Return the row of the frame's flow, or -1; `side` tells who sent the frame."""
        at: uint32_t = self.buckets[self.hash_of(frame) & self.mask]
        row: uint32_t
        while at:
            row = at - 1
            if (
                self.rows[row].protocol == frame.protocol
                and self.rows[row].version == frame.version
            ):
                if (
                    self.rows[row].a_lo == frame.src_lo
                    and self.rows[row].b_lo == frame.dst_lo
                    and self.rows[row].a_port == frame.sport
                    and self.rows[row].b_port == frame.dport
                    and self.rows[row].a_hi == frame.src_hi
                    and self.rows[row].b_hi == frame.dst_hi
                ):
                    self.side = 0
                    return row
                if (
                    self.rows[row].b_lo == frame.src_lo
                    and self.rows[row].a_lo == frame.dst_lo
                    and self.rows[row].b_port == frame.sport
                    and self.rows[row].a_port == frame.dport
                    and self.rows[row].b_hi == frame.src_hi
                    and self.rows[row].a_hi == frame.dst_hi
                ):
                    self.side = 1
                    return row
            at = self.rows[row].next
        return -1

    def insert(self, frame, now, number, source):
        """Hand out a row for the frame's flow; the caller has reserved it."""
        row: uint32_t
        if self.free_count > COOLING:
            row = self.free_first - 1
            self.free_first = self.rows[row].next
            self.free_count -= 1
        else:
            row = self.high
            self.high += 1
        self.ids += 1
        self.live += 1
        hash_: uint32_t = self.hash_of(frame)
        self.rows[row].a_hi = frame.src_hi
        self.rows[row].a_lo = frame.src_lo
        self.rows[row].b_hi = frame.dst_hi
        self.rows[row].b_lo = frame.dst_lo
        self.rows[row].a_port = frame.sport
        self.rows[row].b_port = frame.dport
        self.rows[row].protocol = frame.protocol
        self.rows[row].version = frame.version
        self.rows[row].id = self.ids
        self.rows[row].first = now
        self.rows[row].last = now
        self.rows[row].number = number
        self.rows[row].source = source
        self.rows[row].flags = 0
        self.rows[row].turns = 0
        self.rows[row].vlans = frame.vlans
        self.rows[row].vlan0 = frame.vlan0
        self.rows[row].vlan1 = frame.vlan1
        self.rows[row].icmp_type = frame.icmp_type
        self.rows[row].icmp_code = frame.icmp_code
        self.rows[row].hash = hash_
        self.rows[row].next = self.buckets[hash_ & self.mask]
        self.buckets[hash_ & self.mask] = row + 1
        side: uint32_t
        for side in range(2 * row, 2 * row + 2):
            self.sides[side].frames = 0
            self.sides[side].wire = 0
            self.sides[side].own_frames = 0
            self.sides[side].own_bytes = 0
            self.sides[side].payload = 0
            self.sides[side].delivered = 0
            self.sides[side].retransmitted = 0
            self.sides[side].lost = 0
            self.sides[side].host = 0
            self.sides[side].duplicates = 0
            self.sides[side].looks = 0
            self.sides[side].flags = 0
            self.sides[side].progress = 0
            self.sides[side].window_left = 0
        self.sides[2 * row].mac = frame.src_mac
        self.sides[2 * row + 1].mac = frame.dst_mac
        self.side = 0
        return row

    def remove(self, row):
        """Take an ended flow out of its bucket and queue its row for another.

        The row stays readable until COOLING more have ended: whoever reads the events of the
        data plane has read this one's by then, and which row a flow gets never depends on when.
        """
        bucket: uint32_t = self.rows[row].hash & self.mask
        at: uint32_t = self.buckets[bucket]
        if at == row + 1:
            self.buckets[bucket] = self.rows[row].next
        else:
            while self.rows[at - 1].next != row + 1:
                at = self.rows[at - 1].next
            self.rows[at - 1].next = self.rows[row].next
        self.rows[row].flags |= GONE
        self.rows[row].next = 0
        self.live -= 1
        if self.free_count:
            self.rows[self.free_last - 1].next = row + 1
        else:
            self.free_first = row + 1
        self.free_last = row + 1
        self.free_count += 1
        return 0


@cython.cclass
class HostTable:
    """On-site endpoints by address and MAC, and what counts as on site."""

    def __init__(self, seed: int, prefixes: list) -> None:
        """Take (network as int, prefix length, version) for every on-site network."""
        self.seed = seed & 0xFFFFFFFFFFFFFFFF
        self.hosts = host_array(MAXIMUM_HOSTS)
        self.buckets = word_array(65_536)
        self.ip_buckets = word_array(65_536)
        self.mac_buckets = word_array(65_536)
        self.gateways = cython_array((GATEWAYS,), 8, b"Q", "c", True)
        self.gateways[:] = 0
        self.gateway_count = 0
        self.spoken = 0
        self.count = 2  # row 0 means "off site", row 1 all hosts beyond the bound
        i: cython.Py_ssize_t
        words: uint64_t[::1] = cython_array((max(1, 5 * len(prefixes)),), 8, b"Q", "c", True)
        for i, (network, length, version) in enumerate(prefixes):
            bits = 32 if version == 4 else 128
            mask = ((1 << length) - 1) << (bits - length)
            words[5 * i] = network >> 64
            words[5 * i + 1] = network & 0xFFFFFFFFFFFFFFFF
            words[5 * i + 2] = mask >> 64
            words[5 * i + 3] = mask & 0xFFFFFFFFFFFFFFFF
            words[5 * i + 4] = version
        self.prefixes = words
        self.prefix_count = len(prefixes)
        for i in range(2):
            self.hosts[i].ip_hi = 0
            self.hosts[i].ip_lo = 0
            self.hosts[i].hops = 0
            self.hosts[i].mac = 0xFFFFFFFFFFFFFFFF
            self.hosts[i].version = 0
            self.hosts[i].flags = 0
            self.clear(i)

    def clear(self, at):
        self.hosts[at].last = 0
        self.hosts[at].look_second = 0
        self.hosts[at].looks = 0
        self.hosts[at].contact_hour = 0
        self.hosts[at].contacts = 0
        self.hosts[at].shed_flows = 0
        self.hosts[at].shed_frames_out = 0
        self.hosts[at].shed_bytes_out = 0
        self.hosts[at].shed_frames_in = 0
        self.hosts[at].shed_bytes_in = 0
        return 0

    def place(self, version, hi, lo):
        """Say whether an address is OFF_SITE, an ON_SITE host, or a GROUP on site."""
        i: uint32_t
        if version == 4:
            if lo >> 28 == 14 or lo == BROADCAST or lo >> 24 == 0:
                return GROUP  # 224.0.0.0/4, broadcast, 0.0.0.0/8
        elif hi >> 56 == 255 or (hi == 0 and lo == 0):
            return GROUP  # ff00::/8, ::
        for i in range(self.prefix_count):
            if (
                self.prefixes[5 * i + 4] == cython.cast(uint64_t, version)
                and lo & self.prefixes[5 * i + 3] == self.prefixes[5 * i + 1]
                and hi & self.prefixes[5 * i + 2] == self.prefixes[5 * i]
            ):
                return ON_SITE
        return OFF_SITE

    def find_or_add(self, version, hi, lo, mac):
        """Return the row of an on-site address behind a MAC; row 1 beyond the bound."""
        bucket: uint32_t = mix(lo ^ mix(hi ^ mac ^ self.seed)) & 0xFFFF
        at: uint32_t = self.buckets[bucket]
        while at:
            if (
                self.hosts[at].ip_lo == lo
                and self.hosts[at].mac == mac
                and self.hosts[at].ip_hi == hi
                and self.hosts[at].version == version
            ):
                return at
            at = self.hosts[at].next
        if self.count >= MAXIMUM_HOSTS:
            return OTHER_HOSTS
        at = self.count
        self.count += 1
        self.hosts[at].ip_hi = hi
        self.hosts[at].ip_lo = lo
        self.hosts[at].mac = mac
        self.hosts[at].version = version
        self.hosts[at].flags = 0
        self.hosts[at].hops = 0
        self.clear(at)
        self.hosts[at].spoke = 0
        self.hosts[at].next = self.buckets[bucket]
        self.buckets[bucket] = at
        bucket = mix(lo ^ mix(hi ^ self.seed)) & 0xFFFF
        self.hosts[at].next_of_ip = self.ip_buckets[bucket]
        self.ip_buckets[bucket] = at
        self.hosts[at].speaker = 0
        bucket = mix(mac ^ self.seed) & 0xFFFF
        first: uint32_t = self.mac_buckets[bucket]
        while first and self.hosts[first].mac != mac:
            first = self.hosts[first].next_of_mac
        if first == 0:
            first = at
            self.hosts[at].next_of_mac = self.mac_buckets[bucket]
            self.mac_buckets[bucket] = at
        self.hosts[at].first = first
        return at

    def speaks(self, at):
        """Take that a host sent a packet: its address is its own until another speaks."""
        self.spoken += 1
        self.hosts[at].spoke = self.spoken
        return 0

    def takes_turn(self, at):
        """Say whether an IPv4 host spoke where another behind its MAC did so last."""
        if at <= OTHER_HOSTS or self.hosts[at].version != 4 or self.hosts[at].mac == NO_MAC:
            return 0
        first: uint32_t = self.hosts[at].first
        before: uint32_t = self.hosts[first].speaker
        self.hosts[first].speaker = at
        return before != 0 and before != at

    def is_new_gateway(self, mac):
        """Say whether off-site ends have this MAC for the first time, or too many others had one.

        A slot holds a MAC and 1, so that it is never 0.
        """
        slot: uint32_t = mix(mac ^ self.seed) & (GATEWAYS - 1)
        while self.gateways[slot]:
            if self.gateways[slot] == mac + 1:
                return 0
            slot = (slot + 1) & (GATEWAYS - 1)
        if 2 * self.gateway_count < GATEWAYS:
            self.gateways[slot] = mac + 1
            self.gateway_count += 1
        return 1

    def speaker_of(self, version, hi, lo):
        """Return the host that spoke last with an address, 0 where none has.

        A packet to an address carries the next hop's MAC, which need not be the host's.
        """
        at: uint32_t = self.ip_buckets[mix(lo ^ mix(hi ^ self.seed)) & 0xFFFF]
        last: uint32_t = 0
        while at:
            if (
                self.hosts[at].spoke
                and self.hosts[at].ip_lo == lo
                and self.hosts[at].ip_hi == hi
                and self.hosts[at].version == version
                and (last == 0 or self.hosts[at].spoke > self.hosts[last].spoke)
            ):
                last = at
            at = self.hosts[at].next_of_ip
        return last
