from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from egressd.dataplane.flows cimport FlowTable, HostTable
from egressd.dataplane.fragments cimport FragmentTable
from egressd.dataplane.frames cimport Frame

cdef struct Event:  # a look before it is drained
    int64_t offset
    int64_t time
    uint64_t number
    uint64_t own_bytes_a
    uint64_t own_bytes_b
    uint64_t own_frames_a
    uint64_t own_frames_b
    uint64_t payload_a
    uint64_t payload_b
    uint32_t row
    uint32_t length
    uint32_t stream
    uint32_t index  # of its frame in the batch
    uint16_t source
    uint8_t kind
    uint8_t side
    uint8_t fresh  # K_HOST: hop limit
    uint8_t cut
    uint8_t assembled
    uint8_t detail

cdef class Plane:
    cdef FlowTable table
    cdef FragmentTable fragments
    cdef HostTable host_table
    cdef Frame frame
    cdef Frame probe
    cdef Event[::1] events
    cdef Py_ssize_t event_count
    cdef uint64_t[::1] duplicate_marks
    cdef int64_t[::1] duplicate_times
    cdef uint32_t[::1] linktypes
    cdef uint64_t[::1] malformed
    cdef uint32_t[::1] unknown
    cdef uint64_t maximum
    cdef bint all_flows
    cdef int64_t now
    cdef int64_t next_sweep
    cdef uint32_t sweep_hand
    cdef uint32_t evict_hand
    cdef uint32_t row
    cdef uint64_t number
    cdef uint32_t index
    cdef uint16_t source
    cdef uint64_t wire
    cdef int stop
    cdef int unannounced
    cdef uint32_t[::1] ages
    cdef uint64_t looks
    cdef uint64_t seen_acknowledged
    cdef uint64_t unseen_acknowledged
    cdef int one_way_mirror
    cdef uint64_t proven
    cdef uint64_t proven_duplicates
    cdef uint64_t frames
    cdef uint64_t wire_bytes
    cdef uint64_t captured_bytes
    cdef int64_t first
    cdef int64_t last
    cdef uint64_t duplicates
    cdef uint64_t cut_frames
    cdef uint64_t super_frames
    cdef uint64_t fragment_frames
    cdef uint64_t lost
    cdef uint64_t one_way
    cdef uint64_t ended
    cdef uint64_t ended_before  # the last drain
    cdef uint64_t evicted
    cdef uint64_t shed

    cdef Py_ssize_t run(self, const uint8_t[::1] buf, const int64_t[::1] offset, const uint32_t[::1] captured, const uint32_t[::1] wire, const int64_t[::1] time, const uint16_t[::1] source, const uint64_t[::1] number, Py_ssize_t start, Py_ssize_t count) except -1
    cdef int begin(self, int64_t now, uint64_t number, uint16_t source, uint32_t captured, uint32_t wire) except -1 nogil
    cdef int layers(self, const uint8_t[::1] buf, int status, int assembled) except -1 nogil
    cdef int packet(self, const uint8_t[::1] buf, int assembled) except -1 nogil
    cdef int flow(self, int copy) except -1 nogil
    cdef int reopens(self) except -1 nogil
    cdef int has_moved(self) except -1 nogil
    cdef int announce(self) except -1 nogil
    cdef int spoke(self, uint32_t host) except -1 nogil
    cdef int weigh_mirror(self, int unseen, int side) except -1 nogil
    cdef int is_copy(self, int64_t age, int proves) except -1 nogil
    cdef int introduce(self) except -1 nogil
    cdef int is_reply(self, int place_a, int place_b) except -1 nogil
    cdef int has_budget(self, uint32_t host) except -1 nogil
    cdef int is_icmp_error(self) except -1 nogil
    cdef uint32_t host(self, uint64_t hi, uint64_t lo, uint64_t mac, int hops) except? 0xffffffff nogil
    cdef int heard(self, uint32_t host) except -1 nogil
    cdef int charge(self, int side, int copy) except -1 nogil
    cdef int is_duplicate(self, const uint8_t[::1] buf) except -1 nogil
    cdef int passed_before(self, uint64_t mark, int proves) except -1 nogil
    cdef int mirror_copies(self) except -1 nogil
    cdef int content(self, const uint8_t[::1] buf, int side, int assembled) except -1 nogil
    cdef int segment(self, int side) except -1 nogil
    cdef uint32_t stream_offset(self, int side) except? 0xffffffff nogil
    cdef int wants_segment(self, const uint8_t[::1] buf, int side) except -1 nogil
    cdef int may_go_on(self, const uint8_t[::1] buf) except -1 nogil
    cdef int is_past_handshake(self, const uint8_t[::1] buf) except -1 nogil
    cdef int begins_message(self, const uint8_t[::1] buf) except -1 nogil
    cdef int wants_datagram(self, const uint8_t[::1] buf, int side) except -1 nogil
    cdef int carries_names(self, int port) except -1 nogil
    cdef int look(self, int side, int assembled) except -1 nogil
    cdef int icmp(self, const uint8_t[::1] buf) except -1 nogil
    cdef int arp(self, const uint8_t[::1] buf) except -1 nogil
    cdef int fragment(self, const uint8_t[::1] buf, int assembled) except -1 nogil
    cdef int assembled(self, int slot) except -1 nogil
    cdef int emit(self, int kind, int side) except -1 nogil
    cdef int write(self, int kind, int side, uint32_t row) except -1 nogil
    cdef int64_t idle_limit(self, uint32_t row) except? -1 nogil
    cdef int end(self, uint32_t row, int reason) except -1 nogil
    cdef int keep_totals(self, uint32_t row) except -1 nogil
    cdef int sweep(self) except -1 nogil
    cdef int evict(self) except -1 nogil
    cdef int evict_oldest(self, uint32_t start, uint32_t steps) except -1 nogil
    cdef int age_of(self, uint32_t row) except -1 nogil
