# What keeps reads and writes of shared memory in order, on processors that would not (C11 7.17.4).
# There is no code behind it: who cimports it gets the compiler's own.

cdef extern from "<stdatomic.h>" nogil:
    int memory_order_acquire
    int memory_order_release
    void atomic_thread_fence(int order)
