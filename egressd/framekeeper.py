"""Frames kept for evidence: copies of the ones that may yet have to prove something.

A batch's bytes are gone when the next batch is asked for, but a finding may come later than the
frames that led to it: the lookup, the handshake. So the frames that the engine looked at are copied
here, the oldest out first, and can be asked for by number, by contact, by name and by address.

What a finding needs is decided in `report/evidence`, and nothing here touches a disk. Frames
between two hosts of the site are refused, except for DNS and the like: a camera's picture on its
way to the recorder is nobody's evidence.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from egressd.model import FrameRef
from egressd.settings.evidence import DEFAULT_BUFFER

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.capture.batch import Source
    from egressd.model import Bytes, Nanoseconds

KEPT_FRAMES = 200_000
FRAME_BYTES = 65_600  # a super-frame and its tags; longer ones are kept to here
OVERHEAD_BYTES = 600  # of Python's objects around a frame, as measured with tracemalloc
MARK_BYTES = 250  # and of each thing that it can be found by
MAXIMUM_MARKS = 24  # names and addresses of one DNS message that it can be found by


class Content(Enum):
    """What a frame is, which decides whether it may be kept."""

    CONTACT = "contact"  # of a flow with one end off site
    LOOKUP = "lookup"  # a DNS message
    SERVICE = "service"  # a message to a time server and the like, on site


@dataclass(slots=True)
class KeptFrame:
    """A frame as it came from a source: `number` and `source.file` are its FrameRef."""

    source: Source
    number: int
    time: Nanoseconds
    wire: Bytes
    data: bytes
    host: str | None = None  # the end on site: who asked, if it is DNS
    remote: str | None = None  # the other end
    port: int | None = None  # of the other end; None where there are none (ICMP)
    content: Content = Content.CONTACT
    names: tuple[str, ...] = ()  # DNS: what was asked for
    addresses: tuple[str, ...] = ()  # DNS: what was answered
    marks: list[Mark] = field(default_factory=list, repr=False)  # where the keeper lists it

    @property
    def ref(self) -> FrameRef:
        """The frame as events name it."""
        return FrameRef(self.source.file, self.number)

    @property
    def cost(self) -> Bytes:
        """What it takes of the keeper's room."""
        return len(self.data) + OVERHEAD_BYTES + MARK_BYTES * len(self.marks)


class Mark(NamedTuple):
    """What frames are found by: a host's contact, or what it was told by DNS."""

    kind: str
    host: str
    key: str
    port: int | None = None


@dataclass(slots=True)
class _Trail:
    """The frames of one mark, oldest first: `pinned` at its beginning stay while there is room."""

    pinned: int = 0
    frames: list[KeptFrame] = field(default_factory=list)


class _Length(NamedTuple):
    """How many frames of one mark are kept: the first ones, which shake hands, and the last."""

    first: int
    last: int


CONTACT, NAME, ADDRESS = "contact", "name", "address"
LENGTHS = {CONTACT: _Length(16, 16), NAME: _Length(0, 4), ADDRESS: _Length(0, 4)}


@dataclass(slots=True)
class KeeperCounts:
    """What became of the frames that were offered."""

    frames: int = 0  # held now
    bytes: Bytes = 0  # held now, overhead included
    kept: int = 0
    crowded_out: int = 0  # older than all others when room was needed
    superseded: int = 0  # many of one contact: neither among its first nor its last
    refused: int = 0  # between two hosts of the site


class FrameKeeper:
    """Frames by number, contact, name and address; bounded in bytes and in number."""

    def __init__(
        self,
        is_on_site: Callable[[str], bool],
        *,
        maximum_bytes: Bytes = DEFAULT_BUFFER,
        maximum_frames: int = KEPT_FRAMES,
    ) -> None:
        self.counts = KeeperCounts()
        self._is_on_site = is_on_site
        self._maximum_bytes = maximum_bytes
        self._maximum_frames = maximum_frames
        self._frames: OrderedDict[FrameRef, KeptFrame] = OrderedDict()
        self._trails: dict[Mark, _Trail] = {}

    def keep(self, frame: KeptFrame) -> None:
        """Keep a frame; a second look at one only adds what it can be found by."""
        ref = frame.ref
        known = self._frames.get(ref)
        if known is not None:
            for mark in _marks_of(frame):
                if mark not in known.marks:
                    self._list(known, mark)
            return
        if self._is_private(frame):
            self.counts.refused += 1
            return
        if len(frame.data) > FRAME_BYTES:
            frame.data = frame.data[:FRAME_BYTES]
        counts = self.counts
        self._frames[ref] = frame
        counts.kept += 1
        counts.frames += 1
        counts.bytes += len(frame.data) + OVERHEAD_BYTES
        for mark in _marks_of(frame):
            self._list(frame, mark)
        # One frame stays, whatever its size: it may be the one that is asked for next.
        while counts.frames > 1 and (
            counts.bytes > self._maximum_bytes or counts.frames > self._maximum_frames
        ):
            self._drop_oldest()

    def find(self, ref: FrameRef) -> KeptFrame | None:
        """Return a frame by its number."""
        return self._frames.get(ref)

    def contact(self, host: str, remote: str, port: int | None) -> list[KeptFrame]:
        """Return the frames kept of a contact, oldest first."""
        return self._listed(Mark(CONTACT, host, remote, port))

    def lookups(self, host: str, name: str) -> list[KeptFrame]:
        """Return the last DNS messages in which a host asked for a name or was told of it."""
        return self._listed(Mark(NAME, host, name.lower()))

    def answers(self, host: str, address: str) -> list[KeptFrame]:
        """Return the last DNS messages that gave a host an address."""
        return self._listed(Mark(ADDRESS, host, address))

    def _listed(self, mark: Mark) -> list[KeptFrame]:
        trail = self._trails.get(mark)
        return list(trail.frames) if trail is not None else []

    def _is_private(self, frame: KeptFrame) -> bool:
        """Whether a frame stays on site and is no message of a service: it may hold a picture."""
        if frame.content is not Content.CONTACT:
            return False
        return frame.remote is None or self._is_on_site(frame.remote)

    def _list(self, frame: KeptFrame, mark: Mark) -> None:
        if len(frame.marks) == MAXIMUM_MARKS:
            return
        frame.marks.append(mark)
        self.counts.bytes += MARK_BYTES
        trail = self._trails.get(mark)
        if trail is None:
            trail = self._trails[mark] = _Trail()
        first, last = LENGTHS[mark.kind]
        frames = trail.frames
        if trail.pinned == len(frames) < first:
            trail.pinned += 1
        frames.append(frame)
        if len(frames) > first + last:
            self._supersede(frames.pop(trail.pinned), mark)

    def _supersede(self, frame: KeptFrame, mark: Mark) -> None:
        """Take note that a full trail gave up a frame; it goes if nothing else lists it."""
        frame.marks.remove(mark)
        self.counts.bytes -= MARK_BYTES
        if not frame.marks:
            del self._frames[frame.ref]
            self._subtract(frame)
            self.counts.superseded += 1

    def _drop_oldest(self) -> None:
        _, frame = self._frames.popitem(last=False)
        self._subtract(frame)
        self.counts.crowded_out += 1
        for mark in frame.marks:
            trail = self._trails[mark]
            # A second look lists a frame late, so that it may stand behind younger ones.
            index = next(i for i, other in enumerate(trail.frames) if other is frame)
            del trail.frames[index]
            if index < trail.pinned:
                trail.pinned -= 1
            if not trail.frames:
                del self._trails[mark]

    def _subtract(self, frame: KeptFrame) -> None:
        self.counts.frames -= 1
        self.counts.bytes -= frame.cost


def _marks_of(frame: KeptFrame) -> list[Mark]:
    host = frame.host
    if host is None:
        return []
    marks = []
    if frame.remote is not None:
        marks.append(Mark(CONTACT, host, frame.remote, frame.port))
    if frame.names or frame.addresses:
        marks += [Mark(NAME, host, name.lower()) for name in dict.fromkeys(frame.names)]
        marks += [Mark(ADDRESS, host, address) for address in dict.fromkeys(frame.addresses)]
    return marks
