# The C types of blocks.py: that file stays plain Python.

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef int64_t _BLOCK_HEADER, _RECORD_HEADER, _PACKET_TYPE, _ADDRESSES, _TAG
cdef int64_t _BILLION
cdef uint32_t _USER, _VLAN_VALID, _VLAN_TPID_VALID, _GSO_TCP, _VLAN_TPID
cdef uint8_t _OUTGOING

cdef class BlockWalk:
    cdef public int64_t source, longest
    cdef public bint ethernet, outgoing
    cdef public uint64_t number
    cdef readonly uint64_t wire_bytes, captured_bytes, outgoing_frames, super_frames, cut_frames, tags, damaged
    cdef readonly int64_t last_time
    # The ring, seen three ways.
    cdef uint32_t[::1] words
    cdef uint16_t[::1] halves
    cdef uint8_t[::1] octets
    cdef int64_t block_bytes
    # The columns.
    cdef int64_t[::1] offset, time
    cdef uint32_t[::1] captured, wire
    cdef uint16_t[::1] sources
    cdef uint64_t[::1] numbers
    cdef int64_t row, limit

    @cython.locals(word=int64_t)
    cpdef bint is_ready(self, int64_t block) except -1
    @cython.locals(start=int64_t, at=int64_t)
    cpdef int64_t first_time(self, int64_t block) except? -1
    @cython.locals(start=int64_t)
    cpdef int64_t fill(self, int64_t block) except -1
    @cython.locals(word=int64_t)
    cpdef int release(self, int64_t block) except -1
    @cython.locals(end=int64_t, at=int64_t, left=uint32_t, first=uint32_t)
    cdef int _walk(self, int64_t start) except -1 nogil
    @cython.locals(word=int64_t, half=int64_t, status=uint32_t, captured=uint32_t, wire=uint32_t,
                   begin=int64_t, mac=int64_t)
    cdef int _frame(self, int64_t at, int64_t end) except -1 nogil
    @cython.locals(index=int64_t, kind=uint32_t, tag=uint32_t)
    cdef int _put_tag_back(self, int64_t at, int64_t begin, uint32_t status) except -1 nogil
    cdef int64_t _time(self, int64_t at) except? -1 nogil
