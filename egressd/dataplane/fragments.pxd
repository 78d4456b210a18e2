from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from egressd.dataplane.frames cimport Frame

cdef struct Slot:  # one datagram being put together
    uint64_t src_hi
    uint64_t src_lo
    uint64_t dst_hi
    uint64_t dst_lo
    int64_t last
    uint32_t ip_id
    uint32_t row  # flow row + 1, 0 until the first fragment came
    uint64_t flow_id
    uint32_t received
    uint32_t total  # 0 until the last fragment came
    uint32_t farthest  # where the farthest fragment so far ended
    uint8_t protocol
    uint8_t version
    uint8_t side  # of the flow, that sent it
    uint8_t used
    uint8_t bad  # overlaps or contradicts itself: never looked into

cdef class FragmentTable:
    cdef Slot[::1] slots
    cdef uint8_t[::1] arena
    cdef uint8_t[::1] blocks
    cdef readonly uint64_t overlaps
    cdef readonly uint64_t given_up

    cdef int find(self, Frame frame, int64_t now) except -1 nogil
    cdef int add(self, int slot, const uint8_t[::1] buf, Frame frame) except -1 nogil
