"""What every sink can do, and the ways in which it can fail.

A transport knows one way of handing records over and nothing of queues, threads or patience:
those are `spool` and `delivery`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egressd.model import Nanoseconds, Seconds
    from egressd.report.sinks.spool import Record

    WallClock = Callable[[], Nanoseconds]


class Failure(Enum):
    """Why a delivery failed: the label of a metric, so that the list is closed."""

    NAME = "name"  # the host's name leads nowhere
    CONNECT = "connect"  # nobody listens, no way there, no journal
    TLS = "tls"  # the far end could not prove itself, or did not believe us
    TIMEOUT = "timeout"  # no answer in time
    CLOSED = "closed"  # the connection broke on the way
    BUSY = "busy"  # the far end asks us to come later (408, 429)
    SERVER = "server"  # the far end has a fault of its own (5xx)
    REFUSED = "refused"  # the far end does not want this record, now or ever (other 4xx, 3xx)
    FORMAT = "format"  # the record cannot be written in the sink's form
    CREDENTIAL = "credential"  # the sink's secret or certificate cannot be read
    SPACE = "space"  # no room on the disk
    DISK = "disk"  # any other fault of the file


class UnreachableError(Exception):
    """It did not work now and may work later; the first `delivered` records have arrived."""

    def __init__(
        self, failure: Failure, text: str, *, delivered: int = 0, retry_after: Seconds | None = None
    ) -> None:
        super().__init__(text)
        self.failure = failure
        self.delivered = delivered
        self.retry_after = retry_after  # the far end said so


class RefusedError(Exception):
    """It will never work: the record is given up and counted."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


class Transport(Protocol):
    """One way to hand records over. All but `interrupt` is called by the sink's own thread."""

    batch: int  # records it takes at once
    linger: Seconds  # how long it is worth waiting for more before one batch goes

    @property
    def file_failures(self) -> int:
        """Times that a file of its own could not be written."""

    def deliver(self, records: Sequence[Record]) -> None:
        """Hand the records over, in order, or raise UnreachableError or RefusedError."""

    def tend(self) -> Seconds | None:
        """Do what is due without a record; return when to be asked again, None if never."""

    def renew(self) -> None:
        """Let go of files and connections, so that the next record finds what is new."""

    def interrupt(self) -> None:
        """Break off what hangs; called by another thread."""

    def close(self) -> None:
        """Let go of everything."""


class Log(Protocol):
    """Where sinks tell what became of them: an event name and fields."""

    def notice(self, event: str, **fields: object) -> None:
        """Tell what an operator may want to know later."""

    def warning(self, event: str, **fields: object) -> None:
        """Tell what an operator should look at."""


class Stay:
    """What a transport without connections and duties of its own does: nothing."""

    batch = 1
    linger: Seconds = 0.0

    @property
    def file_failures(self) -> int:
        """It has no file of its own."""
        return 0

    def tend(self) -> Seconds | None:
        """There is nothing to do."""
        return None

    def renew(self) -> None:
        """There is nothing to let go of."""

    def interrupt(self) -> None:
        """Nothing hangs."""

    def close(self) -> None:
        """There is nothing open."""
