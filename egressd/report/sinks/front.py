"""All sinks of a site behind one door: what the daemon publishes goes to each that wants it.

The EVE files get every event. The others get alerts, from the severity on that the site file says,
and not those of findings that somebody has acknowledged. `publish` is called by the engine's thread
and waits for nothing: each sink has a thread of its own, and a keeper writes to disk what they
have not handed over yet.
"""

from __future__ import annotations

import io
import json
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from egressd.model import AlertEvent, FlowEvent
from egressd.report.eve import EveWriter
from egressd.report.evefacts import encode
from egressd.report.sinks.ackbook import AckBook
from egressd.report.sinks.ackfile import NAME as ACKS
from egressd.report.sinks.ackfile import ToldFinding
from egressd.report.sinks.activity import Activity
from egressd.report.sinks.alertmanager import Alertmanager
from egressd.report.sinks.delivery import Delivery, Pauses
from egressd.report.sinks.evefile import EveFile
from egressd.report.sinks.journal import Journal
from egressd.report.sinks.raised import RaisedBook
from egressd.report.sinks.spool import Record, Spool
from egressd.report.sinks.storefile import StoreError
from egressd.report.sinks.syslog import Syslog
from egressd.report.sinks.told import (
    contact_in,
    contact_of,
    eve_moment,
    nanoseconds_of,
    subject_in,
    told_of,
)
from egressd.report.sinks.webhook import Webhook
from egressd.settings.sinks import (
    AlertmanagerSettings,
    EveSettings,
    JournaldSettings,
    SyslogSettings,
    WebhookSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from egressd.capture.batch import Source
    from egressd.model import Event as EngineEvent
    from egressd.model import Finding, Nanoseconds, Seconds
    from egressd.report.sinks.ackfile import Ack
    from egressd.report.sinks.delivery import SinkStatistics
    from egressd.report.sinks.transport import Log, Transport, WallClock
    from egressd.settings.sinks import SinkSettings

SPOOLS = "spool"  # a folder in the state directory
FOLDER_MODE = 0o700
KEEP_EVERY: Seconds = 0.2
# A disk that was full a moment ago may have room again, and nobody is bothered by the question.
FILE_PAUSES = Pauses(first=0.2, longest=5.0)
KEEPER_SECONDS: Seconds = 2.0  # for a last writing
REMEMBERED = 100_000  # findings and stages whose tellings are counted


class Sinks:
    """Everything that tells people and machines while egressd watches."""

    def __init__(  # noqa: PLR0913 - what goes where, in whose name, by which clock
        self,
        settings: Sequence[SinkSettings],
        folder: Path,
        *,
        clock: WallClock,
        log: Log,
        site: str | None = None,
        sources: Sequence[Source] = (),
    ) -> None:
        """Open the spools under `folder`, and begin with what they hold; else StoreError."""
        self._clock = clock
        self._log = log
        self._writer = EveWriter(io.StringIO(), site=site, sources=sources)
        self._activity = Activity()
        self._tellings: dict[tuple[str, int], int] = {}
        self._turn = Lock()  # records get their numbers and places in one order
        self._wake = Event()
        self._closing = False
        self.held_back = 0  # alerts not sent, because somebody has acknowledged the finding
        self._folder = folder
        _make_folder(folder / SPOOLS)
        self._acks = AckBook(folder / ACKS)
        self._books: list[RaisedBook] = []
        self._eve: list[Delivery] = []
        self._alerting: list[tuple[int, Delivery]] = []  # with the least bad severity each wants
        try:
            self._open_all(settings)
        except BaseException:
            self._close_files()
            raise
        self._tell_what_is_left(settings)
        known = max((sink.spool.last_sequence for sink in self._all), default=0)
        # By the clock, so that numbers grow even over a spool that was lost.
        self._sequence = max(known, clock() // 1000)
        self._keeper = Thread(target=self._keep, name="sinks-keeper", daemon=True)
        self._keeper.start()
        for sink in self._all:
            sink.start()

    # ---- the engine's side ----------------------------------------------------------------------

    def publish(self, events: Sequence[EngineEvent]) -> None:
        """Take events in their order. Never waits for a disk or a network."""
        if not events:
            return
        now = self._clock()
        lines: list[Record] = []
        last: dict[str, Nanoseconds] = {}
        with self._turn:
            for event in events:
                if type(event) is AlertEvent:
                    last[event.finding.id] = event.finding.last
                    lines.append(self._alert(event, now))
                    continue
                if type(event) is FlowEvent and event.judgement is not None:
                    judgement = event.judgement
                    contact = contact_of(judgement.camera, judgement.destination)
                    last[contact] = event.flow.last
                if self._eve and (text := self._writer.line(event)) is not None:
                    lines.append(self._record(text, now))
            self._offer_lines(lines)
        self._activity.note(last, max(event.time for event in events))

    def refresh(self, last_seen: Mapping[str, Nanoseconds], now: Nanoseconds) -> None:
        """Take when findings that go on were last seen, by id, and how late it is for the frames.

        What is kept up at an Alertmanager is resolved an hour after that; so this has to be
        called more often than once an hour, and on a quiet link, too.
        """
        self._activity.note(last_seen, now)

    def resolve(self, findings: Iterable[str]) -> None:
        """Take that findings are over, whenever they were last seen."""
        self._activity.end(findings)
        for sink in self._all:
            sink.nudge()

    # ---- the daemon's side ----------------------------------------------------------------------

    def statistics(self) -> tuple[SinkStatistics, ...]:
        """Return what each sink has done, in the order of the site file's types."""
        return tuple(sink.statistics for sink in self._all)

    def reopen(self) -> None:
        """Open files, connections and secrets anew (SIGHUP, SIGUSR1)."""
        for sink in self._all:
            sink.renew()

    def close(self, timeout: Seconds = 2.0) -> bool:
        """Hand over what can be handed over in time, and leave the rest to the next start.

        Returns False if something could not be kept because the disk did not take it.
        """
        if self._closing:
            return True
        self._closing = True
        deadline = monotonic() + timeout
        for sink in self._all:
            sink.stop(deadline)
        for sink in self._all:
            sink.join()
        self._wake.set()
        self._keeper.join(KEEPER_SECONDS)
        if self._keeper.is_alive():  # a disk that hangs; what is in memory cannot be kept
            self._log.warning("state_files_hang", folder=self._folder)
            return False
        return self._close_files()

    # ---- alerts ---------------------------------------------------------------------------------

    def _alert(self, event: AlertEvent, now: Nanoseconds) -> Record:
        """Offer an alert to all who should hear of it; return its line for the EVE files."""
        finding = event.finding
        text = self._writer.line(event)
        assert text is not None  # every alert has a record
        record = self._record(text, now, self._id_of(finding))
        told = told_of(record)
        subject, stage = subject_in(told), int(finding.stage)
        ack = self._acks.find(finding.id, subject, stage, now)
        self._activity.begin(finding.id)
        if ack is None:
            self._offer_alert(record, finding.severity)
        else:
            self.held_back += 1
        self._acks.note(
            ToldFinding(
                finding.id,
                subject,
                contact_in(told),
                stage,
                finding.severity,
                finding.reason,
                now,
                record.id,
                record.text if ack is not None else None,
            )
        )
        if ack is not None:
            record.text = _marked(text, ack)
        return record

    def _offer_alert(self, record: Record, severity: int) -> None:
        for least, sink in self._alerting:
            if severity <= least:
                sink.offer([record])

    def _offer_lines(self, lines: list[Record]) -> None:
        crowded = False
        if lines:
            for sink in self._eve:
                sink.offer(lines)
                crowded |= sink.spool.is_crowded
        if crowded:
            self._wake.set()

    def _record(self, text: str, now: Nanoseconds, name: str = "") -> Record:
        self._sequence += 1
        return Record(self._sequence, name, text, bool(name), now)

    def _id_of(self, finding: Finding) -> str:
        """Return the stable id of one telling: the same frames give the same one."""
        key = (finding.id, int(finding.stage))
        count = self._tellings.pop(key, 0) + 1
        self._tellings[key] = count
        if len(self._tellings) > REMEMBERED:
            del self._tellings[next(iter(self._tellings))]
        return f"{finding.id}-{finding.stage.label}-{count}"

    # ---- the keeper -----------------------------------------------------------------------------

    def _keep(self) -> None:
        """Write to disk what waits, read what was acknowledged, and break off what hangs."""
        well: dict[str, bool] = {}
        while not self._closing:
            self._wake.wait(KEEP_EVERY)
            self._wake.clear()
            now = self._clock()
            for sink in self._all:
                self._say(
                    well, f"spool of {sink.name}", sink.spool.store(now), sink.spool.last_error
                )
                sink.interrupt_if_hung()
            self._say(well, "acknowledgements", self._acks.meet(), self._acks.last_error)
            self._release(now)

    def _say(self, well: dict[str, bool], what: str, is_well: bool, text: str) -> None:  # noqa: FBT001 - the one thing it tells
        """Tell that a file fails, or does no longer, once each."""
        if well.get(what, True) is not is_well:
            if is_well:
                self._log.notice("state_file_recovered", file=what)
            else:
                self._log.warning("state_file_failing", file=what, text=text)
        well[what] = is_well

    def _release(self, now: Nanoseconds) -> None:
        """Tell what was held back, if its acknowledgement has ended and it still goes on."""
        for held in self._acks.released(now):
            record = Record(0, held.id, held.held or "", is_alert=True, offered=now)
            last = self._activity.last_of(held.finding, held.contact, at_least=_last_in(record))
            if not self._activity.is_over(held.finding, last):
                with self._turn:
                    self._sequence += 1
                    record.sequence = self._sequence
                    self._offer_alert(record, held.severity)
            self._acks.note(
                ToldFinding(
                    held.finding,
                    held.subject,
                    held.contact,
                    held.stage,
                    held.severity,
                    held.reason,
                    held.at,
                    held.id,
                )
            )

    # ---- opening and closing --------------------------------------------------------------------

    @property
    def _all(self) -> list[Delivery]:
        return [*self._eve, *(sink for _, sink in self._alerting)]

    def _open_all(self, settings: Sequence[SinkSettings]) -> None:
        for one in settings:
            transport = self._transport(one)
            sink = Delivery(
                one.name,
                one.type,
                Spool(self._folder / SPOOLS / f"{one.name}.sqlite", one.spool),
                transport,
                clock=self._clock,
                log=self._log,
                pauses=FILE_PAUSES if isinstance(one, EveSettings) else None,
            )
            if isinstance(one, EveSettings):
                self._eve.append(sink)
            else:
                self._alerting.append((one.severity, sink))

    def _tell_what_is_left(self, settings: Sequence[SinkSettings]) -> None:
        """Tell of spools whose sinks are gone from the site file: they may hold alerts."""
        names = {one.name for one in settings}
        for path in sorted((self._folder / SPOOLS).glob("*.sqlite")):
            if path.name.partition(".")[0] not in names:
                self._log.notice("spool_without_sink", file=path)

    def _transport(self, settings: SinkSettings) -> Transport:
        match settings:
            case EveSettings():
                return EveFile(settings.path, settings.rotate, self._clock)
            case JournaldSettings():
                return Journal()
            case SyslogSettings():
                return Syslog(settings)
            case WebhookSettings():
                return Webhook(settings, self._clock)
            case AlertmanagerSettings():
                book = RaisedBook(self._folder / SPOOLS / f"{settings.name}.raised.sqlite")
                self._books.append(book)
                return Alertmanager(
                    settings, book, self._activity, self._is_acknowledged, self._clock
                )

    def _is_acknowledged(self, finding: str, subject: str, stage: int) -> bool:
        return self._acks.find(finding, subject, stage, self._clock()) is not None

    def _close_files(self) -> bool:
        now = self._clock()
        kept = [sink.spool.close(now) for sink in self._all]
        for book in self._books:  # of a thread that hangs, too: a reload opens them again
            book.close()
        self._acks.close()
        return all(kept)


def _marked(text: str, ack: Ack) -> str:
    """Return an EVE line that says who has acknowledged the finding."""
    eve = json.loads(text)
    eve["egressd"]["acknowledged"] = {
        "by": ack.author,
        "reason": ack.reason,
        "until": eve_moment(ack.until) if ack.until is not None else None,
    }
    return encode(eve)


def _last_in(record: Record) -> Nanoseconds:
    return nanoseconds_of(str(told_of(record).body.get("last")))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from error
