# The C types of records.py: that file stays plain Python.

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef uint32_t _MAX_FRAME, _MAX_BLOCK, _FIND_BLOCK
cdef int64_t _DAY, _TIME_LIMIT, _SECONDS_LIMIT
cdef uint64_t _FINE_UNITS, _BILLION
cdef uint32_t _SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _STATISTICS, _PACKET, _BYTE_ORDER
cdef uint32_t _JOURNAL, _CUSTOM, _CUSTOM_NOT_COPIED
cdef int _MORE, _FULL, _BAD, _RARE, _NO_INTERFACE, _OVERLONG, _GO_ON, _WIRE_FIRST, _UNSURE

cdef class Walk:
    cdef public int64_t position, need, row, limit, number, last_time
    cdef public int64_t outside, over, first_over, short_wire, first_short, clamped, no_room
    cdef public int64_t base
    cdef readonly int64_t since, until
    # The window and the columns.
    cdef const uint8_t[::1] data
    cdef int64_t size
    cdef int64_t[::1] offset, time
    cdef uint32_t[::1] captured, wire
    cdef uint16_t[::1] source
    cdef uint64_t[::1] numbers
    # The layout: of a pcap file, or of a pcapng section and its interfaces.
    cdef public bint big
    cdef public int64_t unit, header
    cdef public int lengths
    cdef public uint32_t snaplen
    cdef public uint16_t file_source
    cdef int64_t interfaces
    cdef int32_t[::1] sources
    cdef uint64_t[::1] units
    cdef int64_t[::1] shift
    cdef uint32_t[::1] snaplens
    cdef uint64_t[::1] overs
    cdef int64_t[::1] first_overs
    # The search: where it ends, and whether the window is the last one.
    cdef int64_t find_end
    cdef bint in_last
    # The two lengths of the record being read.
    cdef uint32_t length, original

    cdef int _pcap_records(self) except -1 nogil
    @cython.locals(kind=uint32_t, block=uint32_t, stop=int)
    cdef int _pcapng_blocks(self) except -1 nogil
    cdef int _block(self, uint32_t kind, uint32_t block) except -1 nogil
    @cython.locals(interface=uint32_t, ticks=uint64_t)
    cdef int _packet(self, uint32_t kind, uint32_t block) except -1 nogil
    @cython.locals(snaplen=uint32_t)
    cdef int _simple_packet(self, uint32_t block) except -1 nogil
    @cython.locals(source=int32_t)
    cdef int _ng_frame(self, uint32_t interface, int64_t start) except -1 nogil
    cdef int _keep(self, uint16_t source, int64_t start) except -1 nogil
    @cython.locals(swap=uint32_t)
    cdef int _pcap_lengths(self, int64_t at) except -1 nogil
    cdef bint _find_pcap(self) except -1 nogil
    cdef bint _find_pcapng(self) except -1 nogil
    @cython.locals(before=int64_t, time=int64_t, run=int)
    cdef bint _pcap_run(self, int64_t position) except -1 nogil
    @cython.locals(kind=uint32_t, block=uint32_t, big=bint)
    cdef bint _sound_block(self, int64_t position) except -1 nogil
    @cython.locals(a=uint32_t, b=uint32_t, c=uint32_t, d=uint32_t)
    cdef uint32_t _word(self, int64_t at, bint big) except? 0xffffffff nogil
    @cython.locals(seconds=int64_t, rest=uint64_t, fraction=int64_t)
    cdef int64_t _time_of(self, uint64_t ticks, uint64_t units, int64_t shift) except? -1 nogil

cdef class Weave:
    cdef readonly int64_t rows, used
    cdef int64_t begin_row, room, capacity, lanes
    cdef uint8_t[::1] out
    cdef int64_t[::1] offset, time
    cdef uint32_t[::1] captured, wire
    cdef uint16_t[::1] source
    cdef uint64_t[::1] numbers
    cdef uint32_t[::1] lane_of
    # What is being merged: the lanes' times and lengths, one behind the other.
    cdef const int64_t[::1] times, next_row, end_row, orders
    cdef int64_t[::1] cursors
    cdef const uint32_t[::1] lengths
    cdef int64_t bound_time, bound_order, planned
    # The lane being copied.
    cdef const uint8_t[::1] data
    cdef uint32_t from_lane
    cdef int64_t from_row
    cdef const int64_t[::1] from_offset, from_time
    cdef const uint32_t[::1] from_wire
    cdef const uint16_t[::1] from_source
    cdef const uint64_t[::1] from_numbers

    @cython.locals(best=int64_t, lane=int64_t, time=int64_t, best_time=int64_t,
                   at=int64_t, length=int64_t)
    cdef int _plan(self) except -1 nogil
    @cython.locals(row=int64_t, start=int64_t, end=int64_t, here=int64_t)
    cdef int _take(self) except -1 nogil

@cython.locals(row=int64_t)
cpdef int64_t run_length(const int64_t[::1] time, int64_t start, int64_t end, int64_t bound) except -1
