from libc.stdint cimport int32_t, uint32_t

from egressd.dataplane.flows cimport Side

cdef int track(Side[::1] sides, uint32_t sender, uint32_t other, uint32_t seq, uint32_t ack,
               int flags, Py_ssize_t length) except -1 nogil
cdef int fill(Side[::1] sides, uint32_t sender, uint32_t seq, uint32_t end) except -1 nogil
cdef int acknowledge(Side[::1] sides, uint32_t sender, uint32_t other,
                     uint32_t ack) except -1 nogil
