"""Evidence: the frames that prove a finding and those that led to it, as a file of its own.

An alert names the frames that show it. Here they are fetched from the keeper, with the DNS messages
by which the camera came to know the far end and the first and last frames of the contact, and
written to a pcapng file whose header says which finding it is; each frame says why it is there and
which number it had where it was seen. Frames that are not kept any more are named.

Nothing here waits for the disk: a thread writes. What it cannot write, or has no room for while it
waits, is counted as lost, and the alert is told all the same.
"""

from __future__ import annotations

import os
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING

from egressd import __version__
from egressd.model import AlertEvent, ConfigError, FrameRef
from egressd.report.evidencefolder import EvidenceFolder, Quota
from egressd.report.pcapngwriter import Interface, Packet, Section, Writer
from egressd.report.words import SEVERITY_WORDS, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from egressd.capture.batch import Source
    from egressd.framekeeper import FrameKeeper, KeeperCounts, KeptFrame
    from egressd.model import Bytes, Event, Finding, Nanoseconds, Seconds
    from egressd.report.evidencefolder import FolderCounts
    from egressd.settings.evidence import EvidenceSettings

FOLDER = "evidence"  # in the state folder
WAITING_BYTES = 16 << 20  # of frames that wait for the disk
WAITING_FINDINGS = 2000
TELLING_FRAMES = 200  # beside those that prove the finding
KNOWN_FINDINGS = 20_000  # whose frames are remembered, so that none is written twice
MISSING_NAMED = 20

PROOF = "shows it"
LOOKUP = "DNS that led to it"
CONTACT = "of the same contact"


@dataclass(slots=True)
class Exhibit:
    """A finding as it was told, and the frames to be written for it."""

    finding: Finding
    frames: dict[FrameRef, tuple[KeptFrame, str]]  # with the reason why each is there
    missing: list[FrameRef]  # that prove it, and are not kept any more

    @property
    def size(self) -> Bytes:
        """What it takes of memory while it waits, roughly."""
        return sum(len(frame.data) + 200 for frame, _ in self.frames.values())


@dataclass(slots=True)
class EvidenceCounts:
    """What became of the evidence since the start."""

    folder: FolderCounts
    keeper: KeeperCounts
    waiting: int = 0  # findings
    frames: int = 0  # written
    missing_frames: int = 0  # that prove a finding and were not kept any more
    lost: Counter[str] = field(default_factory=Counter)  # tellings, by reason
    writing: bool = True  # False: the thread has ended


def this_program() -> Writer:
    """Return who writes, for the header of every section."""
    system = os.uname()
    return Writer(f"{system.sysname} {system.release} {system.machine}", f"egressd {__version__}")


def open_evidence(
    settings: EvidenceSettings, state_folder: Path, keeper: FrameKeeper
) -> EvidenceStore:
    """Return the store that a site file asks for; ConfigError if its folder cannot be used."""
    directory = Path(settings.directory) if settings.directory else state_folder / FOLDER
    quota = Quota(settings.days, settings.size, settings.files)
    try:
        folder = EvidenceFolder(directory, quota)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or directory}: {error.strerror}; evidence cannot be kept there: mend "
            "that, or name another folder (evidence: directory)"
        ) from None
    return EvidenceStore(folder, keeper, this_program(), snaplen=settings.snaplen)


class EvidenceStore:
    """Takes events, writes the evidence of their findings in the background."""

    def __init__(
        self,
        folder: EvidenceFolder,
        keeper: FrameKeeper,
        writer: Writer,
        *,
        snaplen: Bytes = 0,
        waiting_bytes: Bytes = WAITING_BYTES,
    ) -> None:
        self._folder = folder
        self._keeper = keeper
        self._writer = writer
        self._snaplen = snaplen
        self._waiting_bytes = waiting_bytes
        self._written: OrderedDict[str, dict[FrameRef, str]] = OrderedDict()  # and why
        self._turn = Condition()  # guards all that is shared with the thread
        self._waiting: OrderedDict[str, Exhibit] = OrderedDict()
        self._bytes = 0  # of what waits
        self._expire_at: Nanoseconds | None = None
        self._busy = False
        self._closing = False
        self._frames = 0
        self._missing = 0
        self._lost: Counter[str] = Counter()
        self._thread = Thread(target=self._run, name="evidence", daemon=True)
        self._thread.start()

    def take(self, events: Iterable[Event]) -> None:
        """Take the alerts among events. Call it before the next batch is read."""
        for event in events:
            if isinstance(event, AlertEvent):
                with self._turn:
                    self._offer(self._exhibit(event.finding))

    def tick(self, now: Nanoseconds) -> None:
        """Let what is too old be removed; a call a minute is enough."""
        with self._turn:
            self._expire_at = now
            self._turn.notify_all()

    def counts(self) -> EvidenceCounts:
        """Return the counters as they stand."""
        with self._turn:
            folder = self._folder.counts
            return EvidenceCounts(
                folder=replace(folder, evicted=Counter(folder.evicted), lost=Counter(folder.lost)),
                keeper=replace(self._keeper.counts),
                waiting=len(self._waiting) + self._busy,
                frames=self._frames,
                missing_frames=self._missing,
                lost=self._lost + folder.lost,
                writing=self._thread.is_alive(),
            )

    def path_of(self, finding: str) -> Path | None:
        """Return the file of a finding, or None while it has none."""
        return self._folder.path_of(finding)

    def flush(self, timeout_seconds: Seconds) -> bool:
        """Wait until all is written; False if it is not by then."""
        with self._turn:
            return self._turn.wait_for(self._is_idle, timeout_seconds)

    def close(self, timeout_seconds: Seconds = 2.0) -> bool:
        """Write what waits and end; False if something is left, which is then lost."""
        deadline = time.monotonic() + timeout_seconds
        self.flush(timeout_seconds)
        with self._turn:
            self._closing = True
            left = len(self._waiting)
            if left:
                self._lost["stopped"] += left
            self._turn.notify_all()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not left and not self._thread.is_alive()

    # ---- what belongs to a finding -------------------------------------------------------------

    def _exhibit(self, finding: Finding) -> Exhibit:
        written = self._written.setdefault(finding.id, {})
        self._written.move_to_end(finding.id)
        if len(self._written) > KNOWN_FINDINGS:
            self._written.popitem(last=False)
        exhibit = Exhibit(finding, {}, [])
        for ref in dict.fromkeys(finding.evidence):
            if written.get(ref) == PROOF:
                continue
            frame = self._keeper.find(ref)
            if frame is not None:
                exhibit.frames[ref] = (frame, PROOF)
            elif ref not in written:
                exhibit.missing.append(ref)
        room = TELLING_FRAMES
        for frame, why in (*self._lookups(finding), *self._contact(finding)):
            if room and frame.ref not in written and frame.ref not in exhibit.frames:
                exhibit.frames[frame.ref] = (frame, why)
                room -= 1
        written.update((ref, why) for ref, (_, why) in exhibit.frames.items())
        return exhibit

    def _lookups(self, finding: Finding) -> Iterator[tuple[KeptFrame, str]]:
        """Yield the DNS messages by which the camera came to know the far end."""
        keeper, destination = self._keeper, finding.destination
        for host in finding.camera.ips:
            found = []
            if destination.ip is not None:
                found += keeper.answers(host, destination.ip)
            for name in destination.names:
                found += keeper.lookups(host, name.name)
            yield from ((frame, LOOKUP) for frame in found if frame.time <= finding.last)

    def _contact(self, finding: Finding) -> Iterator[tuple[KeptFrame, str]]:
        destination = finding.destination
        if destination.ip is None:
            return
        for host in finding.camera.ips:
            for frame in self._keeper.contact(host, destination.ip, destination.port):
                if frame.time >= finding.first:
                    yield frame, CONTACT

    # ---- waiting for the disk ------------------------------------------------------------------

    def _offer(self, exhibit: Exhibit) -> None:
        finding = exhibit.finding
        self._missing += len(exhibit.missing)
        earlier = self._waiting.get(finding.id)
        if earlier is not None:  # told again before the first telling was written
            self._bytes -= earlier.size
            exhibit.frames = {**earlier.frames, **exhibit.frames}
            exhibit.missing = list(dict.fromkeys([*earlier.missing, *exhibit.missing]))
        elif len(self._waiting) >= WAITING_FINDINGS or (
            self._waiting and self._bytes + exhibit.size > self._waiting_bytes
        ):
            self._lost["disk too slow"] += 1
            self._forget(exhibit)
            return
        self._waiting[finding.id] = exhibit
        self._bytes += exhibit.size
        self._turn.notify_all()

    def _forget(self, exhibit: Exhibit) -> None:
        """Let frames that were not written be written at the next telling."""
        written = self._written.get(exhibit.finding.id, {})
        for ref in exhibit.frames:
            written.pop(ref, None)

    def _is_idle(self) -> bool:
        return not self._waiting and not self._busy and self._expire_at is None

    def _run(self) -> None:
        """Write, one finding after the other, until asked to end."""
        while True:
            with self._turn:
                self._busy = False
                self._turn.notify_all()
                self._turn.wait_for(lambda: self._closing or not self._is_idle())
                if self._closing:
                    return
                self._busy = True
                now, self._expire_at = self._expire_at, None
                exhibit = None
                if self._waiting:
                    _, exhibit = self._waiting.popitem(last=False)
                    self._bytes -= exhibit.size
            if now is not None:
                self._folder.expire(now)
            if exhibit is not None:
                self._write(exhibit)

    def _write(self, exhibit: Exhibit) -> None:
        finding = exhibit.finding
        section = self._section(exhibit)
        done = self._folder.put(finding.id, finding.first, finding.severity, section)
        with self._turn:
            if done:
                self._frames += len(exhibit.frames)
            else:
                self._forget(exhibit)

    def _section(self, exhibit: Exhibit) -> Section:
        sources: dict[Source, int] = {}
        packets = []
        kept = sorted(exhibit.frames.values(), key=lambda pair: (pair[0].time, pair[0].ref))
        for frame, why in kept:
            index = sources.setdefault(frame.source, len(sources))
            data = frame.data[: self._snaplen or None]
            comment = _frame_comment(exhibit.finding, frame, why)
            packets.append(Packet(index, frame.time, frame.wire, data, comment))
        interfaces = [
            Interface(source.interface or source.file, source.linktype, self._snaplen)
            for source in sources
        ]
        return Section(self._writer, [_section_comment(exhibit)], interfaces, packets)


def _section_comment(exhibit: Exhibit) -> str:
    """Say which finding it is, a fact a line: `severity` is read again when room is needed."""
    finding = exhibit.finding
    whys = Counter(why for _, why in exhibit.frames.values())
    lines = [
        f"finding {finding.id}",
        f"rule {finding.rule}",
        f"severity {SEVERITY_WORDS.get(finding.severity, 'high')}",
        f"camera {_camera(finding)}",
        f"stage {finding.stage.label}",
        f"reason {finding.reason}",
        *(f"frames {whys[why]} {why}" for why in (PROOF, LOOKUP, CONTACT) if whys[why]),
    ]
    if exhibit.missing:
        named = ", ".join(f"{ref.frame} of {ref.file}" for ref in exhibit.missing[:MISSING_NAMED])
        more = len(exhibit.missing) - MISSING_NAMED
        lines.append(
            f"missing {len(exhibit.missing)} that show it, not kept any more: {named}"
            + (f" and {more} more" if more > 0 else "")
        )
    return "\n".join(plain(line) for line in lines)


def _frame_comment(finding: Finding, frame: KeptFrame, why: str) -> str:
    return plain(
        f"finding {finding.id}, {finding.rule}, {_camera(finding)}: "
        f"frame {frame.number} of {frame.source.file}, {why}"
    )


def _camera(finding: Finding) -> str:
    camera = finding.camera
    return f"{camera.name} ({camera.id})" if camera.name else camera.id
