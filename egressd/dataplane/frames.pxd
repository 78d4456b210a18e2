from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef class Frame:
    # Where we are: offsets into the buffer. `limit` ends what was captured, `wire_limit` what
    # was on the wire; inside a tunnel both end with the carrier's payload.
    cdef Py_ssize_t start, pos, limit, wire_limit
    # The Ethernet frame a flow is charged for begins at `own_start`; `stripped` of its bytes are
    # tags, labels and tunnel headers.
    cdef Py_ssize_t own_start, own_end, stripped
    cdef int ethertype, reason
    cdef int link_headers  # walked in front of one network layer
    # Link layer.
    cdef uint64_t src_mac, dst_mac
    cdef int vlans
    cdef uint16_t vlan0, vlan1
    # Network layer.
    cdef int version, protocol, hops, fragmented, more_fragments
    cdef uint64_t src_hi, src_lo, dst_hi, dst_lo
    cdef uint32_t ip_id, fragment_offset
    cdef Py_ssize_t network, ip_end
    # Transport layer.
    cdef int sport, dport, tcp_flags, icmp_type, icmp_code
    cdef uint32_t seq, ack
    cdef Py_ssize_t transport, payload, payload_length, payload_captured

    cdef int open_link(self, const uint8_t[::1] buf, Py_ssize_t start, Py_ssize_t captured,
                       Py_ssize_t wire, int linktype) except -1 nogil
    cdef int open_network(self, const uint8_t[::1] buf) except -1 nogil
    cdef int open_transport(self, const uint8_t[::1] buf) except -1 nogil
    cdef int open_tunnel(self, const uint8_t[::1] buf) except -1 nogil

    cdef int fail(self, int reason) except -1 nogil
    cdef int ethernet(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int cooked(self, const uint8_t[::1] buf, int linktype) except -1 nogil
    cdef int null_loop(self, const uint8_t[::1] buf) except -1 nogil
    cdef int raw_ip(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int ppp(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int wlan(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int llc(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int frame_relay(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int is_echo(self) except -1 nogil
    cdef int nflog(self, const uint8_t[::1] buf) except -1 nogil
    cdef int tags(self, const uint8_t[::1] buf, Py_ssize_t pos, int ethertype) except -1 nogil
    cdef int mpls(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int ipv4(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int ipv6(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int inner_ethernet(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int inner_wlan(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int inner_ip(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int gre(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int udp_tunnel(self, const uint8_t[::1] buf) except -1 nogil
    cdef int tzsp(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int final_destination(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int capwap(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int gtp(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int teredo(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil
    cdef int l2tp(self, const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil

# Numbers in network byte order. They stand here so that every module can inline them; the
# compiler checks each byte against the buffer.
cdef inline uint32_t u16(const uint8_t[::1] buf, Py_ssize_t pos) except? 0xffffffff nogil:
    return (<uint32_t> buf[pos] << 8) | buf[pos + 1]

cdef inline uint32_t u32(const uint8_t[::1] buf, Py_ssize_t pos) except? 0xffffffff nogil:
    return ((<uint32_t> buf[pos] << 24) | (<uint32_t> buf[pos + 1] << 16)
            | (<uint32_t> buf[pos + 2] << 8) | buf[pos + 3])

cdef inline uint64_t u48(const uint8_t[::1] buf, Py_ssize_t pos) except? 0xffffffffffffffff nogil:
    return (<uint64_t> u16(buf, pos) << 32) | u32(buf, pos + 2)

cdef inline uint64_t u64(const uint8_t[::1] buf, Py_ssize_t pos) except? 0xffffffffffffffff nogil:
    return (<uint64_t> u32(buf, pos) << 32) | u32(buf, pos + 4)

cdef extern from *:
    """
    #define EGRESSD_SOON(address) __builtin_prefetch(address)
    """
    void EGRESSD_SOON(const void *address) noexcept nogil

# Ask for the memory at `pos` before it is needed: a hint to the processor, nothing is read.
cdef inline int soon(const uint8_t[::1] buf, Py_ssize_t pos) except -1 nogil:
    EGRESSD_SOON(&buf[pos])
    return 0
