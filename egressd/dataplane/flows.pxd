from libc.stdint cimport int16_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from egressd.dataplane.frames cimport Frame

cdef struct Row:  # a flow: its key, its times, what is true of both sides
    uint64_t a_hi
    uint64_t a_lo
    uint64_t b_hi
    uint64_t b_lo
    uint64_t id
    int64_t first
    int64_t last
    uint64_t number  # of the first frame in its file
    uint32_t hash
    uint32_t next  # row + 1 of the next in this bucket or in the free list
    uint32_t source
    uint32_t flags
    uint16_t a_port
    uint16_t b_port
    uint16_t vlan0
    uint16_t vlan1
    int16_t icmp_type
    int16_t icmp_code
    uint8_t protocol
    uint8_t version
    uint8_t vlans
    uint8_t turns  # how often the sender changed, up to 3

cdef struct Side:  # what one end sent; rows 2n (the first sender, a) and 2n + 1 (b) of a flow
    uint64_t mac
    uint64_t frames
    uint64_t wire
    uint64_t own_frames
    uint64_t own_bytes
    uint64_t payload
    uint64_t delivered
    uint64_t retransmitted
    uint64_t lost
    uint32_t host
    uint32_t duplicates
    uint32_t base  # sequence number of the first payload byte
    uint32_t next  # highest sequence number sent
    uint32_t acked  # highest acknowledgement of it
    uint32_t hole_start
    uint32_t hole_end
    uint32_t window  # sequence number where the latest message began
    uint16_t looks
    uint8_t flags
    uint8_t progress
    uint8_t window_left  # more segments of it to look at

cdef struct HostRow:  # one on-site address behind one MAC
    uint64_t ip_hi
    uint64_t ip_lo
    uint64_t mac
    int64_t last  # when it sent its last frame
    int64_t look_second
    int64_t contact_hour
    uint64_t shed_flows
    uint64_t shed_frames_out
    uint64_t shed_bytes_out
    uint64_t shed_frames_in
    uint64_t shed_bytes_in
    uint64_t spoke  # counts up: the host of an address that spoke last has the most
    uint32_t next
    uint32_t next_of_ip
    uint32_t next_of_mac  # of first hosts only, as is `speaker`
    uint32_t first  # the host that came first behind this MAC
    uint32_t speaker  # the IPv4 host that spoke last behind this MAC
    uint32_t looks
    uint32_t contacts
    uint8_t version
    uint8_t flags
    uint8_t hops  # hop limit of the first packet it sent to one host, 0 until then

cdef class FlowTable:
    cdef Row[::1] rows
    cdef Side[::1] sides
    cdef uint32_t[::1] buckets
    cdef uint64_t seed
    cdef uint32_t mask
    cdef uint32_t free_first  # the queue of rows to use again, row + 1
    cdef uint32_t free_last
    cdef uint32_t free_count
    cdef uint32_t high  # rows ever used
    cdef uint64_t ids
    cdef readonly uint64_t live
    cdef int side  # of the last find: 0 the frame's sender is a, 1 it is b

    cdef uint32_t hash_of(self, Frame frame) except? 0xffffffff nogil
    cdef int64_t find(self, Frame frame) except -2 nogil
    cdef int64_t insert(self, Frame frame, int64_t now, uint64_t number, uint32_t source) except -2 nogil
    cdef int remove(self, uint32_t row) except -1 nogil

cdef class HostTable:
    cdef HostRow[::1] hosts
    cdef uint32_t[::1] buckets
    cdef uint32_t[::1] ip_buckets
    cdef uint32_t[::1] mac_buckets
    cdef uint64_t[::1] gateways
    cdef uint32_t gateway_count
    cdef uint64_t spoken
    cdef uint64_t seed
    cdef uint32_t count
    cdef uint64_t[::1] prefixes  # (hi, lo, mask_hi, mask_lo, version) a prefix
    cdef uint32_t prefix_count

    cdef int clear(self, uint32_t at) except -1 nogil
    cdef int place(self, int version, uint64_t hi, uint64_t lo) except -1 nogil
    cdef int speaks(self, uint32_t at) except -1 nogil
    cdef int takes_turn(self, uint32_t at) except -1 nogil
    cdef int is_new_gateway(self, uint64_t mac) except -1 nogil
    cdef uint32_t speaker_of(self, int version, uint64_t hi, uint64_t lo) except? 0xffffffff nogil
    cdef uint32_t find_or_add(self, int version, uint64_t hi, uint64_t lo, uint64_t mac) except? 0xffffffff nogil

# The finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output.
cdef inline uint64_t mix(uint64_t value) noexcept nogil:
    value ^= value >> 30
    value *= <uint64_t> 0xBF58476D1CE4E5B9
    value ^= value >> 27
    value *= <uint64_t> 0x94D049BB133111EB
    return value ^ (value >> 31)
