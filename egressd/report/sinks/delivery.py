"""One sink at work: a thread that hands over what the spool holds, in order, until it arrives.

What fails is tried again after a pause that doubles, with some chance in it, so that a hundred
sensors do not come back to a recovered server in one moment. A record that the far end will
never take is given up and counted, and the next one's turn comes.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from egressd.report.sinks.transport import RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.model import Bytes, Nanoseconds, Seconds
    from egressd.report.sinks.spool import Record, Spool
    from egressd.report.sinks.transport import Failure, Log, Transport, WallClock

HUNG_SECONDS = 60.0  # longer than any time-out of a transport
LONGEST_WISH = 300.0  # of a far end that says when to come again


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait after failures in a row."""

    first: Seconds = 1.0
    longest: Seconds = 60.0

    def after(self, failures: int) -> Seconds:
        """Return the pause after so many failures: half of it is certain, half is chance."""
        pause = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - nobody gains by guessing it


@dataclass(frozen=True, slots=True)
class SinkStatistics:
    """What a sink has done since the start, and what waits."""

    name: str
    type: str
    backlog_records: int
    backlog_bytes: Bytes
    oldest: Nanoseconds | None  # when the oldest record that waits was offered
    delivered: int
    failures: dict[str, int]  # attempts, by `Failure`
    refused: int  # records given up because the far end will never take them
    dropped_alerts: int  # no room
    dropped_others: int  # no room
    unreadable: int  # records in a spool file that was damaged
    spool_failures: int  # times that the disk did not take what waits or is raised
    last_delivery: Nanoseconds  # 0 if there was none
    is_failing: bool  # the last attempt failed
    is_alive: bool  # its thread runs

    @property
    def dropped(self) -> int:
        """Records that nobody will get: no room, refused for good, or unreadable."""
        return self.dropped_alerts + self.dropped_others + self.refused + self.unreadable


@dataclass(slots=True)
class _Counts:
    delivered: int = 0
    refused: int = 0
    last: Nanoseconds = 0
    failures: Counter[str] = field(default_factory=Counter)


class Delivery:
    """A sink: its spool, its transport and its thread."""

    def __init__(  # noqa: PLR0913 - the parts of a sink
        self,
        name: str,
        kind: str,
        spool: Spool,
        transport: Transport,
        *,
        clock: WallClock,
        log: Log,
        pauses: Pauses | None = None,
    ) -> None:
        self.name = name
        self.type = kind
        self.spool = spool
        self.transport = transport
        self._clock = clock
        self._log = log
        self._pauses = pauses or Pauses()
        self._counts = _Counts()
        self._in_a_row = 0  # failures
        self._busy_since: Seconds | None = None
        self._stop_at: Seconds | None = None
        self._offered = Event()  # there may be work
        self._hurry = Event()  # do not wait for the end of a pause
        self._renew = Event()
        self._thread = Thread(target=self._run, name=f"sink-{name}", daemon=True)

    # ---- called by others -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin with what the spool holds from before."""
        self._thread.start()

    def offer(self, records: Sequence[Record]) -> None:
        """Take records; returns at once, whatever state the sink is in."""
        self.spool.offer(records)
        self._offered.set()

    def nudge(self) -> None:
        """Have the transport look whether there is something due."""
        self._offered.set()

    def renew(self) -> None:
        """Have files and connections opened anew, and a pause cut short."""
        self._renew.set()
        self._hurry.set()
        self._offered.set()

    def interrupt_if_hung(self) -> None:
        """Break off what has not come back in a minute."""
        since = self._busy_since
        if since is not None and monotonic() - since > HUNG_SECONDS:
            self._busy_since = None
            self._log.warning("sink_hung", sink=self.name, seconds=int(HUNG_SECONDS))
            self.transport.interrupt()

    def stop(self, deadline: Seconds) -> None:
        """Deliver what can be delivered until the deadline (of the monotonic clock), then end."""
        self._stop_at = deadline
        self._hurry.set()
        self._offered.set()

    def join(self) -> None:
        """Wait until the deadline for the thread to end, then break off what it is at."""
        if not self._thread.is_alive() or self._stop_at is None:
            return
        self._thread.join(max(0.0, self._stop_at - monotonic()))
        if self._thread.is_alive():
            self.transport.interrupt()
            self._thread.join(0.5)

    @property
    def statistics(self) -> SinkStatistics:
        """Return what it has done, and what waits."""
        backlog, losses, counts = self.spool.backlog, self.spool.losses, self._counts
        return SinkStatistics(
            name=self.name,
            type=self.type,
            backlog_records=backlog.records,
            backlog_bytes=backlog.bytes,
            oldest=backlog.oldest,
            delivered=counts.delivered,
            failures=dict(counts.failures.copy()),
            refused=counts.refused,
            dropped_alerts=losses.alerts,
            dropped_others=losses.others,
            unreadable=losses.unreadable,
            spool_failures=losses.failures + self.transport.file_failures,
            last_delivery=counts.last,
            is_failing=self._in_a_row > 0,
            is_alive=self._thread.is_alive(),
        )

    # ---- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_over():
                self._offered.clear()
                self._wait(self._step())
        finally:
            self.transport.close()

    def _is_over(self) -> bool:
        """Tell whether to end: told to, and nothing more to gain by going on."""
        if self._stop_at is None:
            return False
        idle = not self.spool.backlog.records
        return idle or self._in_a_row > 0 or monotonic() >= self._stop_at

    def _wait(self, pause: Seconds | None) -> None:
        """Wait out a pause after a failure, or else until there is something to do."""
        if self._in_a_row:
            self._hurry.wait(pause)
            if self._stop_at is None:
                self._hurry.clear()
        elif pause != 0.0 and self._stop_at is None:
            self._hurry.clear()
            came = self._offered.wait(pause)
            if came and self.transport.linger:
                self._hurry.wait(self.transport.linger)

    def _step(self) -> Seconds | None:
        """Hand over one batch; return how long there is nothing to do, None if nobody knows."""
        try:
            self._busy_since = monotonic()
            if self._renew.is_set():
                self._renew.clear()
                self.transport.renew()
            batch = self.spool.take(self.transport.batch)
            if batch:
                self._deliver(batch)
            pause = self.transport.tend()
        except UnreachableError as error:
            self._succeed(error.delivered, is_well=False)
            return self._fail(error)
        except RefusedError as error:
            # Of tending: no record is lost by it, and what is due stays due.
            return self._fail(UnreachableError(error.failure, str(error)))
        finally:
            self._busy_since = None
        if self._in_a_row:
            self._log.notice("sink_recovered", sink=self.name, failures=self._in_a_row)
            self._in_a_row = 0
        return 0.0 if batch else pause

    def _deliver(self, batch: list[Record]) -> None:
        try:
            self.transport.deliver(batch)
        except RefusedError as error:
            if len(batch) == 1:
                self._give_up(batch[0], error)
                return
            for record in batch:  # one of them is the culprit; the others arrive
                self._deliver_alone(record)
        else:
            self._succeed(len(batch))

    def _deliver_alone(self, record: Record) -> None:
        try:
            self.transport.deliver([record])
        except RefusedError as error:
            self._give_up(record, error)
        else:
            self._succeed(1)

    def _succeed(self, count: int, *, is_well: bool = True) -> None:
        if count:
            self.spool.finish(count)
            self._counts.delivered += count
            self._counts.last = self._clock()
        if is_well and self._in_a_row:
            self._log.notice("sink_recovered", sink=self.name, failures=self._in_a_row)
            self._in_a_row = 0

    def _give_up(self, record: Record, error: RefusedError) -> None:
        self.spool.finish(1)
        self._counts.refused += 1
        self._counts.failures[error.failure.value] += 1
        self._log.warning(
            "sink_refused", sink=self.name, id=record.id, reason=error.failure.value, text=error
        )

    def _fail(self, error: UnreachableError) -> Seconds:
        self._count(error.failure)
        self._in_a_row += 1
        if self._in_a_row == 1:
            self._log.warning(
                "sink_failing", sink=self.name, reason=error.failure.value, text=error
            )
        pause = self._pauses.after(self._in_a_row)
        return max(pause, min(error.retry_after or 0.0, LONGEST_WISH))

    def _count(self, failure: Failure) -> None:
        self._counts.failures[failure.value] += 1
