"""TCP sequence numbers (RFC 9293): what one side sent, and what the other acknowledged.

A stream knows its first payload byte, the highest byte sent and acknowledged, and one hole
(a part that was skipped). An acknowledgement of bytes that never passed the mirror is loss in
the capture. A side that is never seen is followed by the other side's acknowledgements alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.dataplane.reference.packets import ACK, FIN, SYN

if TYPE_CHECKING:
    from egressd.model import Bytes

CIRCLE = 1 << 32  # sequence numbers wrap around
LARGEST_WINDOW = 1 << 30  # RFC 7323 2.3

# What a segment's acknowledgement says for the first time.
PAYLOAD_ACKNOWLEDGED = 1
UNSEEN_REPLIED = 2  # the never-seen side sent something after payload had gone to it


@dataclass(slots=True)
class Hole:
    """A part of a stream that was skipped."""

    start: int
    end: int


@dataclass(slots=True)
class Stream:
    """What one side sent; `seen` is False while only acknowledgements tell of it."""

    base: int | None = None  # the first payload byte
    next: int = 0  # the byte behind the highest one sent
    acked: int | None = None
    hole: Hole | None = None
    seen: bool = True
    fin_sent: bool = False
    fin_acked: bool = False
    told_delivered: bool = False
    told_replied: bool = False
    delivered: Bytes = 0
    retransmitted: Bytes = 0
    lost: Bytes = 0


@dataclass(slots=True, frozen=True)
class Segment:
    """The fields of a TCP segment that matter here."""

    seq: int
    ack: int
    flags: int
    length: Bytes


def ahead(a: int, b: int) -> int:
    """Return how far sequence number `a` is ahead of `b`; negative where it is behind."""
    distance = (a - b) % CIRCLE
    return distance - CIRCLE if distance >= CIRCLE // 2 else distance


def follow(sender: Stream, other: Stream, segment: Segment, *, sender_sent: bool) -> int:
    """Follow one segment; return what its acknowledgement says for the first time.

    `sender_sent`: payload of the sender has been seen, in this segment or before.
    """
    _send(sender, segment)
    if not segment.flags & ACK:
        return 0
    return _acknowledge(other, segment.ack, other_sent=sender_sent)


def _send(stream: Stream, segment: Segment) -> None:
    starts = bool(segment.flags & SYN)
    seq = (segment.seq + starts) % CIRCLE
    if stream.base is None or not stream.seen:
        stream.base = stream.next = seq  # it begins here for us, whatever was acknowledged
        stream.seen = True
    payload_end = (seq + segment.length) % CIRCLE
    end = payload_end
    if segment.flags & FIN:
        end = (end + 1) % CIRCLE
        stream.fin_sent = True
    if abs(ahead(seq, stream.next)) > LARGEST_WINDOW:  # it begins again for us
        stream.base, stream.next = seq, end
        stream.hole = stream.acked = None
    elif ahead(seq, stream.next) > 0:
        if stream.hole:  # one is remembered; an older one counts as loss
            stream.lost += (stream.hole.end - stream.hole.start) % CIRCLE
        stream.hole = Hole(stream.next, seq)
        stream.next = end
    elif ahead(end, stream.next) > 0:
        if segment.length:
            _send_again(stream, seq, stream.next)
        stream.next = end
    elif segment.length:
        _send_again(stream, seq, payload_end)


def _send_again(stream: Stream, start: int, end: int) -> None:
    """Take bytes below the highest one: those in the hole are new, the rest was sent before."""
    length = (end - start) % CIRCLE
    hole = stream.hole
    if hole is not None:
        first = start if ahead(start, hole.start) > 0 else hole.start
        last = end if ahead(end, hole.end) < 0 else hole.end
        filled = ahead(last, first)
        if filled > 0:
            length -= filled
            if last == hole.end:
                hole.end = first
            else:
                hole.start = last
            if hole.start == hole.end:
                stream.hole = None
    stream.retransmitted += length


def _acknowledge(stream: Stream, ack: int, *, other_sent: bool) -> int:
    if stream.base is None:
        stream.base = stream.next = stream.acked = ack
        stream.seen = False
        return 0
    if stream.acked is None:
        stream.acked = stream.base
    advance = ahead(ack, stream.acked)
    if not 0 < advance <= LARGEST_WINDOW:
        return 0
    beyond = ahead(ack, stream.next)
    if beyond > 0:
        stream.lost += beyond
        stream.next = ack
    if stream.hole and ahead(ack, stream.hole.end) >= 0:
        stream.lost += (stream.hole.end - stream.hole.start) % CIRCLE
        stream.hole = None
    stream.acked = ack
    if not stream.seen and advance == 1 and not stream.delivered:
        return 0  # a FIN that was not seen looks like one byte
    if stream.fin_sent and not stream.fin_acked and ack == stream.next:
        stream.fin_acked = True
        advance -= 1  # the FIN has a sequence number, but is no payload
    stream.delivered += advance
    news = 0
    if stream.delivered and not stream.told_delivered:
        stream.told_delivered = True
        news |= PAYLOAD_ACKNOWLEDGED
    if not stream.seen and not stream.told_replied and other_sent:
        stream.told_replied = True
        news |= UNSEEN_REPLIED
    return news
