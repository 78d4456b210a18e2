"""One frame from its link layer to its transport: the layers a flow is made of.

`open_link`, `open_network` and `open_transport` walk one layer each;
`open_tunnel` steps into what a carrier carries, and the walk begins again at the
network layer. Each returns FOUND, OTHER (nothing of ours; `ethertype` says what
it was) or BROKEN (`reason` says why). Nothing is allocated and no object is made.

Every length from the wire is checked against `limit` (what was captured) before
it is used; the compiler checks every access once more. The attributes stand in
frames.pxd.
"""

# Longer than 500 lines would be if each link layer and carrier had a module; they share one walk.

import cython

FOUND = cython.declare(cython.int, 1)
OTHER = cython.declare(cython.int, 0)
BROKEN = cython.declare(cython.int, 2)

# Reasons of BROKEN; the index is what `Frame.reason` holds.
REASONS = (
    "",
    "link header cut",
    "tag cut",
    "ip header cut",
    "ip header length",
    "ip total length",
    "ip version",
    "ipv6 extension header cut",
    "transport header cut",
    "tcp header length",
    "udp length",
    "tunnel header cut",
    "unknown link type",
)
R_LINK = cython.declare(cython.int, 1)
R_TAG = cython.declare(cython.int, 2)
R_IP = cython.declare(cython.int, 3)
R_IP_HEADER_LENGTH = cython.declare(cython.int, 4)
R_IP_TOTAL_LENGTH = cython.declare(cython.int, 5)
R_IP_VERSION = cython.declare(cython.int, 6)
R_EXTENSION = cython.declare(cython.int, 7)
R_TRANSPORT = cython.declare(cython.int, 8)
R_TCP_LENGTH = cython.declare(cython.int, 9)
R_UDP_LENGTH = cython.declare(cython.int, 10)
R_TUNNEL = cython.declare(cython.int, 11)
R_LINKTYPE = cython.declare(cython.int, 12)

NO_MAC = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
IPV4 = cython.declare(cython.int, 0x0800)
ARP = cython.declare(cython.int, 0x0806)
IPV6 = cython.declare(cython.int, 0x86DD)

TCP = cython.declare(cython.int, 6)
UDP = cython.declare(cython.int, 17)
ICMP = cython.declare(cython.int, 1)
ICMPV6 = cython.declare(cython.int, 58)
SCTP = cython.declare(cython.int, 132)
UDPLITE = cython.declare(cython.int, 136)

# Tags, labels and frames within frames in front of one network layer; more are not followed.
LINK_HEADERS = cython.declare(cython.int, 16)


@cython.cclass
class Frame:
    """The layers of one frame as far as they were walked."""

    def fail(self, reason):
        self.reason = reason
        return BROKEN

    # ---- link layer -------------------------------------------------------------------------

    def open_link(self, buf, start, captured, wire, linktype):
        """Walk the link layer; LINKTYPE_ numbers are those of the pcap file formats."""
        self.start = start
        self.limit = start + captured
        self.wire_limit = start + wire
        self.own_start = start
        self.own_end = start + wire
        self.stripped = 0
        self.src_mac = NO_MAC
        self.dst_mac = NO_MAC
        self.vlans = 0
        self.vlan0 = 0
        self.vlan1 = 0
        self.ethertype = 0
        self.link_headers = 0
        if linktype == 1:
            return self.ethernet(buf, start)
        if linktype == 113 or linktype == 276:
            return self.cooked(buf, linktype)
        if (
            linktype == 101
            or linktype == 12
            or linktype == 14
            or linktype == 228
            or linktype == 229
        ):
            return self.raw_ip(buf, start)
        if linktype == 0 or linktype == 108:
            return self.null_loop(buf)
        if linktype == 105:
            return self.wlan(buf, start)
        if linktype == 127:  # radiotap: version, pad, length (little-endian), present flags
            if start + 8 > self.limit:
                return self.fail(R_LINK)
            length: cython.Py_ssize_t = buf[start + 2] | (buf[start + 3] << 8)
            if length < 8:
                return self.fail(R_LINK)
            return self.wlan(buf, start + length)
        if linktype == 9 or linktype == 50:
            return self.ppp(buf, start)
        if linktype == 51:  # PPPoE session header without Ethernet
            return self.tags(buf, start, 0x8864)
        if linktype == 104:  # Cisco HDLC: address, control, ethertype
            if start + 4 > self.limit:
                return self.fail(R_LINK)
            return self.tags(buf, start + 4, u16(buf, start + 2))
        if linktype == 107:  # frame relay: Q.922 address, then RFC 2427 or Cisco ethertype
            return self.frame_relay(buf, start)
        if linktype == 239:
            return self.nflog(buf)
        return self.fail(R_LINKTYPE)

    def frame_relay(self, buf, pos):
        if pos + 6 > self.limit:
            return self.fail(R_LINK)
        if buf[pos + 2] == 3 and buf[pos + 3] == 0xCC:
            return self.tags(buf, pos + 4, IPV4)
        if buf[pos + 2] == 3 and buf[pos + 3] == 0x8E:
            return self.tags(buf, pos + 4, IPV6)
        return self.tags(buf, pos + 4, u16(buf, pos + 2))

    def ethernet(self, buf, pos):
        # dst(6) src(6) ethertype(2)
        if pos + 14 > self.limit:
            return self.fail(R_LINK)
        self.dst_mac = u48(buf, pos)
        self.src_mac = u48(buf, pos + 6)
        return self.tags(buf, pos + 14, u16(buf, pos + 12))

    def cooked(self, buf, linktype):
        # LINUX_SLL: type(2) arphrd(2) length(2) address(8) protocol(2)
        # LINUX_SLL2: protocol(2) reserved(2) ifindex(4) arphrd(2) type(1) length(1) address(8)
        length: cython.int
        pos: cython.Py_ssize_t = self.start
        ethertype: cython.int
        address: cython.Py_ssize_t
        header: cython.Py_ssize_t
        if linktype == 113:
            header = 16
            if pos + header > self.limit:
                return self.fail(R_LINK)
            length = u16(buf, pos + 4)
            address = pos + 6
            ethertype = u16(buf, pos + 14)
        else:
            header = 20
            if pos + header > self.limit:
                return self.fail(R_LINK)
            length = buf[pos + 11]
            address = pos + 12
            ethertype = u16(buf, pos)
        if length == 6:
            self.src_mac = u48(buf, address)
        return self.tags(buf, pos + header, ethertype)

    def null_loop(self, buf):
        # A 4-byte address family in the byte order of the capturing host (NULL) or network (LOOP).
        pos: cython.Py_ssize_t = self.start
        if pos + 4 > self.limit:
            return self.fail(R_LINK)
        family: cython.uint = u32(buf, pos)
        if family > 0xFFFF:
            family = buf[pos] | (buf[pos + 1] << 8)
        if family == 2:
            return self.tags(buf, pos + 4, IPV4)
        if family == 10 or family == 23 or family == 24 or family == 28 or family == 30:
            return self.tags(buf, pos + 4, IPV6)
        # Some writers put an ethertype into the lower half.
        return self.tags(buf, pos + 4, u16(buf, pos + 2))

    def raw_ip(self, buf, pos):
        if pos + 1 > self.limit:
            return self.fail(R_LINK)
        version: cython.int = buf[pos] >> 4
        self.pos = pos
        if version == 4:
            self.ethertype = IPV4
            return FOUND
        if version == 6:
            self.ethertype = IPV6
            return FOUND
        return self.fail(R_IP_VERSION)

    def ppp(self, buf, pos):
        # RFC 1662: optional ff 03, then a protocol of one (odd) or two bytes (RFC 1661 2).
        begin: cython.Py_ssize_t = pos
        if pos + 2 <= self.limit and buf[pos] == 0xFF and buf[pos + 1] == 0x03:
            pos += 2
        elif pos + 4 <= self.limit and (buf[pos] == 0x0F or buf[pos] == 0x8F) and buf[pos + 1] == 0:
            # Cisco HDLC inside PPP_SERIAL: address, control, ethertype.
            if begin != self.start:
                self.stripped += 4
            return self.tags(buf, pos + 4, u16(buf, pos + 2))
        if pos + 2 > self.limit:
            return self.fail(R_LINK)
        protocol: cython.int = buf[pos]
        if protocol & 1:
            pos += 1
        else:
            protocol = u16(buf, pos)
            pos += 2
        if begin != self.start:  # inside a carrier, of which it is a part
            self.stripped += pos - begin
        if protocol == 0x0021:
            return self.tags(buf, pos, IPV4)
        if protocol == 0x0057:
            return self.tags(buf, pos, IPV6)
        if protocol == 0x0281 or protocol == 0x0283:
            return self.tags(buf, pos, 0x8847)
        self.ethertype = protocol
        return OTHER

    def wlan(self, buf, pos):
        # IEEE 802.11-2020 9.3.2: data frames in clear only; LLC/SNAP follows the header.
        if pos + 24 > self.limit:
            return self.fail(R_LINK)
        control: cython.int = buf[pos]
        flags: cython.int = buf[pos + 1]
        if (control & 0x0F) != 0x08 and (flags & 0x0F) == 0x08:
            control, flags = flags, control  # some controllers swap the two inside CAPWAP
        if (control & 0x0C) != 0x08 or (control & 0x40) or (flags & 0x40):
            return OTHER  # not data, a null function, or protected
        length: cython.Py_ssize_t = 24
        if (flags & 0x03) == 0x03:
            length = 30
        if (flags & 0x03) == 0x01:  # to the distribution system: BSSID, SA, DA
            self.src_mac = u48(buf, pos + 10)
            self.dst_mac = u48(buf, pos + 16)
        elif (flags & 0x03) == 0x02:  # from it: DA, BSSID, SA
            self.dst_mac = u48(buf, pos + 4)
            self.src_mac = u48(buf, pos + 16)
        elif (flags & 0x03) == 0x00:
            self.dst_mac = u48(buf, pos + 4)
            self.src_mac = u48(buf, pos + 10)
        if control & 0x80:  # QoS control; the order bit adds HT control
            if pos + length < self.limit and buf[pos + length] & 0x80:
                return OTHER  # A-MSDU: several frames in one; not taken apart
            length += 6 if flags & 0x80 else 2
        return self.llc(buf, pos + length)

    def llc(self, buf, pos):
        # IEEE 802.2 with SNAP: aa aa 03, organisation(3), ethertype(2)
        if pos + 3 > self.limit:
            return self.fail(R_LINK)
        if buf[pos] == 0xAA and buf[pos + 1] == 0xAA and pos + 8 <= self.limit:
            return self.tags(buf, pos + 8, u16(buf, pos + 6))
        if buf[pos] == 0x06 and buf[pos + 1] == 0x06:
            return self.tags(buf, pos + 3, IPV4)
        self.ethertype = buf[pos]
        return OTHER

    def nflog(self, buf):
        # family(1) version(1) resource(2), then TLVs (host order, length(2) type(2)) padded to 4;
        # type 9 is the packet. linux/netfilter/nfnetlink_log.h.
        pos: cython.Py_ssize_t = self.start + 4
        length: cython.Py_ssize_t
        if pos > self.limit:
            return self.fail(R_LINK)
        family: cython.int = buf[self.start]
        while pos + 4 <= self.limit:
            length = buf[pos] | (buf[pos + 1] << 8)
            if length < 4:
                return self.fail(R_LINK)
            if buf[pos + 2] == 9 and buf[pos + 3] == 0:
                return self.tags(buf, pos + 4, IPV6 if family == 10 else IPV4)
            pos += (length + 3) & ~3
        return OTHER

    def tags(self, buf, pos, ethertype):
        """Walk tags and labels between the link header and the network layer."""
        while self.link_headers < LINK_HEADERS:
            if ethertype == IPV4 or ethertype == IPV6:
                break
            self.link_headers += 1
            if (
                ethertype == 0x8100
                or ethertype == 0x88A8
                or ethertype == 0x9100
                or ethertype == 0x9200
            ):
                if pos + 4 > self.limit:
                    return self.fail(R_TAG)
                if self.vlans == 0:
                    self.vlan0 = u16(buf, pos) & 0x0FFF
                else:
                    self.vlan1 = u16(buf, pos) & 0x0FFF
                self.vlans += 1
                ethertype = u16(buf, pos + 2)
                pos += 4
                self.stripped += 4
            elif ethertype == 0x8847 or ethertype == 0x8848:
                return self.mpls(buf, pos)
            elif ethertype == 0x8864:  # PPPoE session (RFC 2516): version/type code session length
                if pos + 6 > self.limit:
                    return self.fail(R_TAG)
                if buf[pos + 1] != 0:
                    break
                self.stripped += 6
                return self.ppp(buf, pos + 6)
            elif ethertype == 0x8926:  # Cisco VN-Tag
                if pos + 6 > self.limit:
                    return self.fail(R_TAG)
                ethertype = u16(buf, pos + 4)
                pos += 6
                self.stripped += 6
            elif ethertype == 0x893F:  # 802.1BR E-Tag
                if pos + 8 > self.limit:
                    return self.fail(R_TAG)
                ethertype = u16(buf, pos + 6)
                pos += 8
                self.stripped += 8
            elif ethertype == 0x88E7:  # 802.1ah I-Tag, then a whole frame
                return self.inner_ethernet(buf, pos + 4)
            elif ethertype == 0x6558:
                return self.inner_ethernet(buf, pos)
            elif ethertype == 0x894F:  # NSH (RFC 8300): length in words, next protocol
                if pos + 8 > self.limit:
                    return self.fail(R_TAG)
                if buf[pos + 3] == 3:
                    return self.inner_ethernet(buf, pos + 4 * (buf[pos + 1] & 0x3F))
                if buf[pos + 3] != 1 and buf[pos + 3] != 2:
                    break
                ethertype = IPV4 if buf[pos + 3] == 1 else IPV6
                self.stripped += 4 * (buf[pos + 1] & 0x3F)
                pos += 4 * (buf[pos + 1] & 0x3F)
            elif ethertype < 0x0600:
                return self.llc(buf, pos)
            else:
                break
        self.pos = pos
        self.ethertype = ethertype
        if ethertype == IPV4 or ethertype == IPV6 or ethertype == ARP:
            return FOUND
        return OTHER

    def mpls(self, buf, pos):
        # RFC 3032: label stack entries of 4 bytes until the bottom bit; the payload's first
        # nibble says IPv4, IPv6, or a pseudowire control word (RFC 4385).
        depth: cython.int
        for depth in range(16):
            if pos + 5 > self.limit:
                return self.fail(R_TAG)
            pos += 4
            self.stripped += 4
            if buf[pos - 2] & 1:
                break
        version: cython.int = buf[pos] >> 4
        self.pos = pos
        if version == 4:
            self.ethertype = IPV4
            return FOUND
        if version == 6:
            self.ethertype = IPV6
            return FOUND
        if version == 0:
            return self.inner_ethernet(buf, pos + 4)
        return self.inner_ethernet(buf, pos)

    def inner_ethernet(self, buf, pos):
        """Begin again at an Ethernet frame inside this one: it is what a flow is charged for."""
        if pos + 14 > self.limit:
            return self.fail(R_TUNNEL)
        self.own_start = pos
        self.own_end = self.wire_limit
        self.stripped = 0
        self.vlans = 0
        self.vlan0 = 0
        self.vlan1 = 0
        self.dst_mac = u48(buf, pos)
        self.src_mac = u48(buf, pos + 6)
        ethertype: cython.int = u16(buf, pos + 12)
        if ethertype == 0x6558 or ethertype == 0x88E7 or ethertype == 0x894F:
            self.ethertype = ethertype  # a frame in a frame in a frame: not followed here
            return OTHER
        return self.tags(buf, pos + 14, ethertype)

    def inner_wlan(self, buf, pos):
        """Begin again at an 802.11 frame inside this one."""
        self.own_start = pos
        self.own_end = self.wire_limit
        self.stripped = 0
        self.vlans = 0
        self.vlan0 = 0
        self.vlan1 = 0
        self.src_mac = NO_MAC
        self.dst_mac = NO_MAC
        return self.wlan(buf, pos)

    def inner_ip(self, buf, pos):
        """Step into an IP packet inside this one; the headers between are stripped."""
        if pos + 1 > self.limit:
            return self.fail(R_TUNNEL)
        self.stripped += pos - self.network
        self.src_mac = NO_MAC  # those outside are the tunnel's ends
        self.dst_mac = NO_MAC
        return self.raw_ip(buf, pos)

    # ---- network layer ----------------------------------------------------------------------

    def open_network(self, buf):
        """Walk IPv4 or IPv6 to the transport header, or say OTHER for ARP."""
        self.fragmented = 0
        self.more_fragments = 0
        self.fragment_offset = 0
        self.network = self.pos
        if self.ethertype == IPV4:
            return self.ipv4(buf, self.pos)
        if self.ethertype == IPV6:
            return self.ipv6(buf, self.pos)
        return OTHER

    def ipv4(self, buf, pos):
        # RFC 791 3.1
        if pos + 20 > self.limit:
            return self.fail(R_IP)
        if buf[pos] >> 4 != 4:
            return self.fail(R_IP_VERSION)
        header: cython.Py_ssize_t = (buf[pos] & 0x0F) * 4
        total: cython.Py_ssize_t = u16(buf, pos + 2)
        if header < 20:
            return self.fail(R_IP_HEADER_LENGTH)
        if total == 0:  # segmentation offload on the capturing host leaves it empty
            total = self.wire_limit - pos
        if total < header:
            return self.fail(R_IP_TOTAL_LENGTH)
        self.ip_end = pos + total
        if self.ip_end > self.wire_limit:
            self.ip_end = self.wire_limit
        self.version = 4
        self.ip_id = u16(buf, pos + 4)
        fragment: cython.uint = u16(buf, pos + 6)
        self.more_fragments = 1 if fragment & 0x2000 else 0
        self.fragment_offset = (fragment & 0x1FFF) * 8
        self.fragmented = 1 if self.more_fragments or self.fragment_offset else 0
        self.hops = buf[pos + 8]
        self.protocol = buf[pos + 9]
        self.src_hi = 0
        self.src_lo = u32(buf, pos + 12)
        self.dst_hi = 0
        self.dst_lo = u32(buf, pos + 16)
        self.transport = pos + header
        if self.transport > self.limit:
            return self.fail(R_IP)
        return FOUND

    def ipv6(self, buf, pos):
        # RFC 8200 3 and 4: a fixed header, then extension headers
        if pos + 40 > self.limit:
            return self.fail(R_IP)
        if buf[pos] >> 4 != 6:
            return self.fail(R_IP_VERSION)
        length: cython.Py_ssize_t = u16(buf, pos + 4)
        self.ip_end = pos + 40 + length
        if length == 0 or self.ip_end > self.wire_limit:  # 0: jumbogram or offload
            self.ip_end = self.wire_limit
        self.version = 6
        self.ip_id = 0
        self.src_hi = u64(buf, pos + 8)
        self.src_lo = u64(buf, pos + 16)
        self.dst_hi = u64(buf, pos + 24)
        self.dst_lo = u64(buf, pos + 32)
        protocol: cython.int = buf[pos + 6]
        self.hops = buf[pos + 7]
        pos += 40
        depth: cython.int
        for depth in range(12):
            if (
                protocol == 0
                or protocol == 43
                or protocol == 60
                or protocol == 135
                or protocol == 139
                or protocol == 140
            ):
                if pos + 8 > self.limit:
                    return self.fail(R_EXTENSION)
                if protocol == 43 and buf[pos + 3]:
                    self.final_destination(buf, pos)
                protocol = buf[pos]
                pos += 8 + 8 * cython.cast(cython.Py_ssize_t, buf[pos + 1])
            elif protocol == 44:  # fragment: next, reserved, offset and flags, identification
                if pos + 8 > self.limit:
                    return self.fail(R_EXTENSION)
                protocol = buf[pos]
                self.fragment_offset = u16(buf, pos + 2) & 0xFFF8
                self.more_fragments = buf[pos + 3] & 1
                self.ip_id = u32(buf, pos + 4)
                # An atomic fragment (RFC 6946) is a whole datagram.
                self.fragmented = 1 if self.more_fragments or self.fragment_offset else 0
                pos += 8
                if self.fragment_offset:
                    break
            elif protocol == 51:  # authentication header: length in words, minus 2
                if pos + 8 > self.limit:
                    return self.fail(R_EXTENSION)
                protocol = buf[pos]
                pos += 8 + 4 * cython.cast(cython.Py_ssize_t, buf[pos + 1])
            else:
                break
        if pos > self.limit or pos > self.ip_end:
            return self.fail(R_EXTENSION)
        self.protocol = protocol
        self.transport = pos
        return FOUND

    def final_destination(self, buf, pos):
        """Segments are left: the packet is for the last address of the routing header."""
        last: cython.Py_ssize_t = pos + 8  # type 4 (RFC 8754) lists them backwards
        if buf[pos + 2] == 0:  # RFC 2460 4.4, of old captures and attacks
            last = pos + 8 * cython.cast(cython.Py_ssize_t, buf[pos + 1]) - 8
        elif buf[pos + 2] != 2 and buf[pos + 2] != 4:
            return OTHER
        end: cython.Py_ssize_t = pos + 8 + 8 * cython.cast(cython.Py_ssize_t, buf[pos + 1])
        if last < pos + 8 or last + 16 > end or end > self.limit:
            return OTHER
        self.dst_hi = u64(buf, last)
        self.dst_lo = u64(buf, last + 8)
        return FOUND

    # ---- transport layer --------------------------------------------------------------------

    def open_transport(self, buf):
        """Read ports, flags and the payload's place; a fragment after the first has neither."""
        pos: cython.Py_ssize_t = self.transport
        end: cython.Py_ssize_t = self.ip_end
        header: cython.Py_ssize_t = 0
        length: cython.Py_ssize_t
        protocol: cython.int = self.protocol
        self.sport = 0
        self.dport = 0
        self.tcp_flags = 0
        self.icmp_type = -1
        self.icmp_code = -1
        limit: cython.Py_ssize_t = self.limit if self.limit < end else end
        if protocol == TCP:  # RFC 9293 3.1
            if pos + 20 > limit:
                return self.fail(R_TRANSPORT)
            header = (buf[pos + 12] >> 4) * 4
            if header < 20:
                return self.fail(R_TCP_LENGTH)
            self.sport = u16(buf, pos)
            self.dport = u16(buf, pos + 2)
            self.seq = u32(buf, pos + 4)
            self.ack = u32(buf, pos + 8)
            self.tcp_flags = buf[pos + 13]
            if pos + header > end:  # options that the packet itself does not hold
                return self.fail(R_TCP_LENGTH)
        elif protocol == UDP or protocol == UDPLITE:  # RFC 768
            if pos + 8 > limit:
                return self.fail(R_TRANSPORT)
            self.sport = u16(buf, pos)
            self.dport = u16(buf, pos + 2)
            length = u16(buf, pos + 4)
            if protocol == UDP and length:
                if length < 8:
                    return self.fail(R_UDP_LENGTH)
                if pos + length < end and not self.fragmented:
                    end = pos + length
            header = 8
        elif protocol == ICMP or protocol == ICMPV6:
            if pos + 4 > limit:
                return self.fail(R_TRANSPORT)
            self.icmp_type = buf[pos]
            self.icmp_code = buf[pos + 1]
            header = 8 if pos + 8 <= limit else 4
            if header == 8 and self.is_echo():
                self.sport = u16(buf, pos + 4)  # the identifier: one ping, one flow
                self.dport = self.sport
        elif protocol == SCTP:  # RFC 9260 3.1
            if pos + 12 > limit:
                return self.fail(R_TRANSPORT)
            self.sport = u16(buf, pos)
            self.dport = u16(buf, pos + 2)
            header = 12
        self.payload = pos + header
        self.payload_length = end - self.payload
        if self.payload_length < 0:
            self.payload_length = 0
        self.payload_captured = (self.limit if self.limit < end else end) - self.payload
        if self.payload_captured < 0:
            self.payload_captured = 0
        return FOUND

    def is_echo(self):
        if self.protocol == ICMP:
            return self.icmp_type == 8 or self.icmp_type == 0
        return self.icmp_type == 128 or self.icmp_type == 129

    # ---- carriers ---------------------------------------------------------------------------

    def open_tunnel(self, buf):
        """Step into what this packet carries, or say OTHER; the next call is open_network."""
        protocol: cython.int = self.protocol
        if protocol == TCP or protocol == ICMP or protocol == ICMPV6:
            return OTHER
        # What the carrier holds ends with the carrier's packet, not with the frame.
        self.wire_limit = self.ip_end
        if protocol == UDP:
            self.wire_limit = self.payload + self.payload_length
        if self.limit > self.wire_limit:
            self.limit = self.wire_limit
        self.link_headers = 0
        if protocol == UDP:
            return self.udp_tunnel(buf)
        if protocol == 4 or protocol == 41 or protocol == 94:
            return self.inner_ip(buf, self.transport)
        if protocol == 47:
            return self.gre(buf, self.transport)
        if protocol == 97:  # EtherIP (RFC 3378): version 3 in a 2-byte header
            if self.transport + 2 > self.limit:
                return self.fail(R_TUNNEL)
            return self.inner_ethernet(buf, self.transport + 2)
        if protocol == 137:
            self.stripped += self.transport - self.network
            return self.mpls(buf, self.transport)
        return OTHER

    def gre(self, buf, pos):
        # RFC 2784, RFC 2890: flags(2) protocol(2) [checksum(4)] [key(4)] [sequence(4)]
        # RFC 2637 (PPTP, version 1): key is there, [sequence(4)] [acknowledgement(4)]
        if pos + 4 > self.limit:
            return self.fail(R_TUNNEL)
        flags: cython.int = u16(buf, pos)
        protocol: cython.int = u16(buf, pos + 2)
        sequence: cython.int = flags & 0x1000
        pos += 4
        if flags & 0x8000 or flags & 0x4000:
            pos += 4
        if flags & 0x2000:
            pos += 4
        if sequence:
            pos += 4
        if flags & 0x07 == 1:
            if flags & 0x80:
                pos += 4
            if protocol != 0x880B or pos >= self.limit:
                return OTHER
            self.stripped += pos - self.network
            return self.ppp(buf, pos)
        if protocol == IPV4 or protocol == IPV6:
            return self.inner_ip(buf, pos)
        if protocol == 0x8847 or protocol == 0x8848:
            self.stripped += pos - self.network
            return self.mpls(buf, pos)
        if protocol == 0x6558:
            return self.inner_ethernet(buf, pos)
        if protocol == 0x88BE:  # ERSPAN type I has no header, type II eight bytes (draft-foschiano)
            return self.inner_ethernet(buf, pos + 8 if sequence else pos)
        if protocol == 0x22EB:  # type III: twelve bytes, eight more with the O bit
            if pos + 12 > self.limit:
                return self.fail(R_TUNNEL)
            return self.inner_ethernet(buf, pos + 20 if buf[pos + 11] & 1 else pos + 12)
        return OTHER

    def udp_tunnel(self, buf):
        pos: cython.Py_ssize_t = self.payload
        length: cython.Py_ssize_t = self.payload_captured
        if length < 8:
            return OTHER
        if self.dport == 4789 or self.dport == 8472:  # VXLAN (RFC 7348): flags, VNI
            if not buf[pos] & 0x08 or buf[pos + 7] != 0:
                return OTHER
            return self.inner_ethernet(buf, pos + 8)
        if self.dport == 4790:  # VXLAN-GPE: next protocol in the fourth byte
            if buf[pos + 3] == 3:
                return self.inner_ethernet(buf, pos + 8)
            if buf[pos + 3] == 1 or buf[pos + 3] == 2:
                return self.inner_ip(buf, pos + 8)
            return OTHER
        if self.dport == 6081:  # GENEVE (RFC 8926): option length in words, protocol type
            if buf[pos] >> 6:
                return OTHER
            pos += 8 + 4 * (buf[pos] & 0x3F)
            if u16(buf, self.payload + 2) == 0x6558:
                return self.inner_ethernet(buf, pos)
            if u16(buf, self.payload + 2) == IPV4 or u16(buf, self.payload + 2) == IPV6:
                return self.inner_ip(buf, pos)
            return OTHER
        if self.dport == 37008 or self.sport == 37008:
            return self.tzsp(buf, pos)
        if self.dport == 2152 or self.sport == 2152:
            return self.gtp(buf, pos)
        if self.dport == 3544 or self.sport == 3544:
            return self.teredo(buf, pos)
        if self.dport == 1701 or self.sport == 1701:
            return self.l2tp(buf, pos)
        if self.dport == 5247 or self.sport == 5247:
            return self.capwap(buf, pos)
        if self.dport == 4754:
            return self.gre(buf, pos)
        if self.dport == 6635:
            self.stripped += pos - self.network
            return self.mpls(buf, pos)
        return OTHER

    def tzsp(self, buf, pos):
        # version(1)=1 type(1) encapsulation(2), tags: 0 padding, 1 end, else length(1) and value.
        if buf[pos] != 1 or buf[pos + 1] > 1:
            return OTHER
        encapsulation: cython.int = u16(buf, pos + 2)
        pos += 4
        tag: cython.int
        while pos + 1 <= self.limit:
            tag = buf[pos]
            pos += 1
            if tag == 1:
                if encapsulation == 1:
                    return self.inner_ethernet(buf, pos)
                if encapsulation == 18:
                    return self.inner_wlan(buf, pos)
                return OTHER
            if tag != 0:
                if pos + 1 > self.limit:
                    return self.fail(R_TUNNEL)
                pos += 1 + cython.cast(cython.Py_ssize_t, buf[pos])
        return self.fail(R_TUNNEL)

    def capwap(self, buf, pos):
        # RFC 5415 4.3: preamble(1), header length in words(5 bits) radio(5) binding(5) T(1),
        # F(1) L W M K; T: the payload is an 802.11 frame, else Ethernet; F: a fragment.
        if buf[pos] != 0 or buf[pos + 3] & 0x88:
            return OTHER
        inner: cython.Py_ssize_t = pos + 4 * (buf[pos + 1] >> 3)
        if buf[pos + 1] >> 3 < 2:
            return OTHER
        if not buf[pos + 2] & 1:
            return self.inner_ethernet(buf, inner)
        return self.inner_wlan(buf, inner)

    def gtp(self, buf, pos):
        # 3GPP TS 29.281 5.1: flags, type (255 = T-PDU), length(2), TEID(4), then, if any of
        # E, S, PN is set, sequence(2) N-PDU(1) next extension(1); extensions count in words.
        flags: cython.int = buf[pos]
        if flags & 0xF0 != 0x30 or buf[pos + 1] != 0xFF:
            return OTHER
        pos += 8
        following: cython.int
        words: cython.Py_ssize_t
        if flags & 0x07:
            if pos + 4 > self.limit:
                return self.fail(R_TUNNEL)
            following = buf[pos + 3] if flags & 0x04 else 0
            pos += 4
            while following:
                if pos + 4 > self.limit:
                    return self.fail(R_TUNNEL)
                words = buf[pos]
                if words == 0:
                    return self.fail(R_TUNNEL)
                pos += 4 * words
                if pos > self.limit:
                    return self.fail(R_TUNNEL)
                following = buf[pos - 1]
        return self.inner_ip(buf, pos)

    def teredo(self, buf, pos):
        # RFC 4380 5.1.1: optional authentication (00 01) and origin (00 00) before the packet
        if buf[pos] == 0 and buf[pos + 1] == 1:
            if pos + 13 > self.limit:
                return OTHER
            pos += 13 + buf[pos + 2] + buf[pos + 3]
        if pos + 8 <= self.limit and buf[pos] == 0 and buf[pos + 1] == 0:
            pos += 8
        if pos + 40 > self.limit or buf[pos] >> 4 != 6:
            return OTHER
        return self.inner_ip(buf, pos)

    def l2tp(self, buf, pos):
        # RFC 2661 3.1: flags and version, [length], tunnel, session, [Ns Nr], [offset size]
        flags: cython.int = u16(buf, pos)
        if flags & 0x000F != 2 or flags & 0x8000:
            return OTHER  # L2TPv3, or a control message
        pos += 6
        if flags & 0x4000:
            pos += 2
        if flags & 0x0800:
            pos += 4
        if flags & 0x0200:
            if pos + 2 > self.limit:
                return self.fail(R_TUNNEL)
            pos += 2 + u16(buf, pos)
        if pos + 2 > self.limit:
            return self.fail(R_TUNNEL)
        self.stripped += pos - self.network
        return self.ppp(buf, pos)
