"""TCP sequence numbers (RFC 9293): what was delivered, sent again, or never seen here.

Each side remembers the first payload byte (`base`), the highest byte sent
(`next`), the highest byte acknowledged (`acked`) and one hole. An
acknowledgement that covers bytes which never passed the mirror is loss in the
capture, as in Zeek's capture-loss method. A side that is never seen (a one-way
mirror) is followed by the other side's acknowledgements alone.
"""

import cython
from cython.cimports.libc.stdint import int32_t

FIN = cython.declare(cython.int, 0x01)
SYN = cython.declare(cython.int, 0x02)
ACK = cython.declare(cython.int, 0x10)

# Side.flags
BASE = cython.declare(cython.int, 1)  # `base` and `next` are known
ACKED = cython.declare(cython.int, 2)  # `acked` is known
HOLE = cython.declare(cython.int, 4)  # hole_start..hole_end was skipped
FIN_SENT = cython.declare(cython.int, 8)
FIN_ACKED = cython.declare(cython.int, 16)
UNSEEN = cython.declare(cython.int, 32)  # known from the other side's acknowledgements only
DELIVERED = cython.declare(cython.int, 64)  # payload was acknowledged
REPLIED = cython.declare(cython.int, 128)  # never seen, but sent something after payload came

FARTHEST = cython.declare(int32_t, 1 << 30)  # the largest window (RFC 7323 2.3)


def track(sides, sender, other, seq, ack, flags, length):
    """Follow one segment; return what its acknowledgement says for the first time.

    1: payload of `other` was acknowledged. 2: `other`, which is never seen, sent something
    after `sender` had sent payload.
    """
    ahead: int32_t
    end: cython.uint
    if flags & SYN:
        seq += 1
        if not sides[sender].flags & BASE or sides[sender].flags & UNSEEN:
            sides[sender].base = seq
            sides[sender].next = seq
            sides[sender].flags = (sides[sender].flags | BASE) & ~UNSEEN
    elif not sides[sender].flags & BASE:
        sides[sender].base = seq
        sides[sender].next = seq
        sides[sender].flags |= BASE
    elif sides[sender].flags & UNSEEN:
        sides[sender].base = seq  # its stream begins here for us, whatever was acknowledged
        sides[sender].next = seq
        sides[sender].flags &= ~UNSEEN
    end = seq + cython.cast(cython.uint, length)
    if flags & FIN:
        end += 1
        sides[sender].flags |= FIN_SENT
    ahead = cython.cast(int32_t, seq - sides[sender].next)
    if ahead > FARTHEST or ahead < -FARTHEST:  # in no window: its stream begins again for us
        sides[sender].base = seq
        sides[sender].next = end
        sides[sender].flags &= ~(HOLE | ACKED)
    elif ahead > 0:
        if sides[sender].flags & HOLE:  # one hole is remembered; an older one counts as loss
            sides[sender].lost += sides[sender].hole_end - sides[sender].hole_start
        sides[sender].flags |= HOLE
        sides[sender].hole_start = sides[sender].next
        sides[sender].hole_end = seq
        sides[sender].next = end
    elif cython.cast(int32_t, end - sides[sender].next) > 0:
        if ahead < 0 and length > 0:
            fill(sides, sender, seq, sides[sender].next)
        sides[sender].next = end
    elif length > 0:
        fill(sides, sender, seq, seq + cython.cast(cython.uint, length))
    if flags & ACK:
        return acknowledge(sides, sender, other, ack)
    return 0


def fill(sides, sender, seq, end):
    """Bytes below `next`: those in the hole are new, the rest was sent before."""
    length: cython.uint = end - seq
    if sides[sender].flags & HOLE:
        first: cython.uint = seq
        last: cython.uint = end
        if cython.cast(int32_t, first - sides[sender].hole_start) < 0:
            first = sides[sender].hole_start
        if cython.cast(int32_t, last - sides[sender].hole_end) > 0:
            last = sides[sender].hole_end
        if cython.cast(int32_t, last - first) > 0:
            length -= last - first
            if last == sides[sender].hole_end:
                sides[sender].hole_end = first
            else:
                sides[sender].hole_start = last
            if sides[sender].hole_start == sides[sender].hole_end:
                sides[sender].flags &= ~HOLE
    sides[sender].retransmitted += length
    return 0


def acknowledge(sides, sender, other, ack):
    """Take the sender's acknowledgement of the other side's bytes."""
    if not sides[other].flags & BASE:
        sides[other].base = ack
        sides[other].next = ack
        sides[other].acked = ack
        sides[other].flags |= BASE | ACKED | UNSEEN
        return 0
    if not sides[other].flags & ACKED:
        sides[other].acked = sides[other].base
        sides[other].flags |= ACKED
    advance: int32_t = cython.cast(int32_t, ack - sides[other].acked)
    if advance <= 0 or advance > FARTHEST:
        return 0
    beyond: int32_t = cython.cast(int32_t, ack - sides[other].next)
    if beyond > 0:
        sides[other].lost += beyond
        sides[other].next = ack
    if sides[other].flags & HOLE and cython.cast(int32_t, ack - sides[other].hole_end) >= 0:
        sides[other].lost += sides[other].hole_end - sides[other].hole_start
        sides[other].flags &= ~HOLE
    sides[other].acked = ack
    if sides[other].flags & UNSEEN and advance == 1 and not sides[other].delivered:
        return 0  # a FIN that was not seen looks like one byte
    if sides[other].flags & FIN_SENT and not sides[other].flags & FIN_ACKED:
        if ack == sides[other].next:
            sides[other].flags |= FIN_ACKED
            advance -= 1
    sides[other].delivered += advance
    news: cython.int = 0
    if sides[other].delivered and not sides[other].flags & DELIVERED:
        sides[other].flags |= DELIVERED
        news = 1
    if sides[other].flags & UNSEEN and not sides[other].flags & REPLIED and sides[sender].payload:
        sides[other].flags |= REPLIED
        news |= 2
    return news
