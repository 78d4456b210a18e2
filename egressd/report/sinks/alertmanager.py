"""Alertmanager, API v2: a finding is raised, kept up while it goes on, and resolved at its end.

Every alert carries its own end (`endsAt`), a few minutes ahead, and is sent again long before: the
Alertmanager's `resolve_timeout` plays no part, and if egressd dies, its alerts end by themselves.
Severity and stage are labels, so that one can route by them; when a finding rises, the alert with
the old labels is resolved in the same request that raises the new one.
"""

from __future__ import annotations

from base64 import b64encode
from time import monotonic
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND
from egressd.report.evefacts import encode
from egressd.report.sinks.post import TIMEOUT, Poster
from egressd.report.sinks.raised import Raised, State
from egressd.report.sinks.secrets import SecretError, as_unreachable, load_secret
from egressd.report.sinks.told import Told, contact_in, nanoseconds_of, subject_in, told_of
from egressd.report.sinks.transport import Stay
from egressd.report.words import SEVERITY_WORDS, exact_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from egressd.model import Nanoseconds, Seconds
    from egressd.report.shapes import Json
    from egressd.report.sinks.activity import Activity
    from egressd.report.sinks.raised import Labels, RaisedBook
    from egressd.report.sinks.spool import Record
    from egressd.report.sinks.transport import WallClock
    from egressd.settings.sinks import AlertmanagerSettings

    # Has somebody acknowledged this finding, about this subject, at this stage?
    IsAcknowledged = Callable[[str, str, int], bool]

ALERT_NAME = "EgressdFinding"
FORGOTTEN_AFTER: Nanoseconds = 7 * 86_400 * NANOSECONDS_PER_SECOND  # what is over, for good
ENDS_AFTER = 5  # times the interval at which alerts are kept up
LOOK_SECONDS: Seconds = 1.0  # how often it is looked what has ended or was acknowledged
AT_ONCE = 100  # alerts in one request


class Alertmanager(Stay):
    """One Alertmanager."""

    batch = 50

    def __init__(  # noqa: PLR0913 - what it sends, what it asks, and when
        self,
        settings: AlertmanagerSettings,
        book: RaisedBook,
        activity: Activity,
        is_acknowledged: IsAcknowledged,
        clock: WallClock,
        *,
        timeout: Seconds = TIMEOUT,
    ) -> None:
        self._settings = settings
        self._book = book
        self._activity = activity
        self._is_acknowledged = is_acknowledged
        self._clock = clock
        self._poster = Poster(settings.url, settings.tls, timeout)
        self._path = settings.url.path.partition("?")[0].rstrip("/") + "/api/v2/alerts"
        self._headers: dict[str, str] | None = None
        self._next_look: Seconds = 0.0

    @property
    def file_failures(self) -> int:
        """Times that what is raised could not be written down."""
        return self._book.failures

    def deliver(self, records: Sequence[Record]) -> None:
        """Raise alerts; of a finding that has risen, resolve what was raised before."""
        shapes: list[Json] = []
        fresh: dict[str, Raised] = {}
        for record in records:
            raised = raised_of(told_of(record))
            before = fresh.get(raised.finding) or self._book.find(raised.finding)
            if before is not None:
                raised.starts = min(raised.starts, before.starts)
                if before.labels != raised.labels and before.state is State.UP:
                    shapes.append(self._resolved(before))
            fresh[raised.finding] = raised
            shapes.append(self._firing(raised))
        self._post(shapes)
        for raised in fresh.values():
            raised.sent = monotonic()
        self._book.keep(fresh.values())

    def tend(self) -> Seconds | None:
        """Resolve what is over or acknowledged, and send again what goes on."""
        now = monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._change_what_has_changed()
            self._keep_up(now)
        return max(0.01, self._next_look - now) if len(self._book) else None

    def renew(self) -> None:
        """Read the password and the certificates anew, and connect anew."""
        self._headers = None
        self._poster.close()

    def interrupt(self) -> None:
        """Break the connection."""
        self._poster.interrupt()

    def close(self) -> None:
        """Let go of the connection; what is up stays up for some minutes, for a restart's sake."""
        self._poster.close()
        self._book.close()

    # ---- what is due ----------------------------------------------------------------------------

    def _change_what_has_changed(self) -> None:
        """Resolve what is over or acknowledged; raise again what is not any more."""
        resolved: list[Raised] = []
        others: list[Raised] = []
        old: list[Raised] = []
        for raised in self._book:
            state = self._state_of(raised)
            if state is State.OVER and self._activity.now - raised.last > FORGOTTEN_AFTER:
                old.append(raised)
            if state is raised.state:
                continue
            if raised.state is State.UP:
                resolved.append(raised)
            else:
                raised.state = state
                raised.sent = float("-inf")  # if it is up now, it is due
                others.append(raised)
        self._book.keep(others)
        for part in _parts(resolved):
            self._post([self._resolved(raised) for raised in part])
            for raised in part:
                raised.state = self._state_of(raised)
            self._book.keep(part)
        self._book.forget(old)

    def _state_of(self, raised: Raised) -> State:
        """Return what an alert should be; the first that fits."""
        if raised.state is State.OVER:
            # Only if it was seen again. The same contact in a later episode is another finding.
            seen = self._activity.last_of(raised.finding, at_least=0)
            if seen <= raised.last:
                return State.OVER
            raised.last = seen
        keys = (raised.finding, raised.contact)
        raised.last = self._activity.last_of(*keys, at_least=raised.last)
        if self._activity.is_over(raised.finding, raised.last):
            return State.OVER
        if self._is_acknowledged(raised.finding, raised.subject, raised.stage):
            return State.MUTED
        return State.UP

    def _keep_up(self, now: Seconds) -> None:
        due = [
            raised
            for raised in self._book
            if raised.state is State.UP and now - raised.sent >= self._settings.keep_up
        ]
        for part in _parts(due):
            self._post([self._firing(raised) for raised in part])
            for raised in part:
                raised.sent = now
            self._book.keep(part)

    # ---- requests -------------------------------------------------------------------------------

    def _post(self, shapes: Iterable[Json]) -> None:
        alerts = list(shapes)
        if alerts:
            self._poster.post(self._path, encode(alerts).encode("ascii"), self._authorization())

    def _authorization(self) -> dict[str, str]:
        """Return the header of basic authentication (RFC 7617), if the site file has a user."""
        if self._headers is None:
            self._headers = {}
            settings = self._settings
            if settings.user is not None and settings.password is not None:
                try:
                    password = load_secret(settings.password)
                except SecretError as error:
                    self._headers = None
                    raise as_unreachable(error) from error
                pair = b64encode(settings.user.encode() + b":" + password).decode("ascii")
                self._headers = {"Authorization": f"Basic {pair}"}
        return self._headers

    def _firing(self, raised: Raised) -> Json:
        span = int(self._settings.keep_up * ENDS_AFTER * NANOSECONDS_PER_SECOND)
        return self._shape(raised, self._clock() + span)

    def _resolved(self, raised: Raised) -> Json:
        return self._shape(raised, self._clock())

    def _shape(self, raised: Raised, ends: Nanoseconds) -> Json:
        # Frames may be from the future of this clock; an end before the start is refused.
        starts = min(raised.starts, self._clock())
        return {
            "labels": raised.labels,
            "annotations": raised.annotations,
            "startsAt": exact_moment(starts),
            "endsAt": exact_moment(ends),
        }


def raised_of(told: Told) -> Raised:
    """Return the alert of a finding: labels from closed sets and the finding's id."""
    body = told.body
    first, last = nanoseconds_of(str(body.get("first"))), nanoseconds_of(str(body.get("last")))
    labels = {
        "alertname": ALERT_NAME,
        "finding": told.finding,
        "rule": told.rule,
        "severity": SEVERITY_WORDS.get(told.severity, "low"),
        "stage": told.stage,
        "camera": told.camera,
        "direction": str(body.get("direction") or ""),
        "party": str(told.destination.get("party") or ""),
        "service": str(told.destination.get("service") or ""),
        "site": told.site or "",
    }
    return Raised(
        finding=told.finding,
        subject=subject_in(told),
        contact=contact_in(told),
        stage=told.stage_number,
        labels={key: value for key, value in labels.items() if value},  # an empty one is none
        annotations=annotations_of(told),
        starts=first,
        last=last,
    )


def annotations_of(told: Told) -> Labels:
    """Return what a person wants to know, none of it from a closed set."""
    body, far = told.body, told.destination
    shown = {
        "summary": told.reason,
        "id": told.id,
        "destination": told.destination_text,
        "names": ", ".join(told.names),
        "country": ", ".join(
            dict.fromkeys(str(country.get("code")) for country in far.get("country") or ())
        ),
        "network": " ".join(str(far[key]) for key in ("asn", "org") if far.get(key)),
        "protocol": str(body.get("protocol") or ""),
        "bytes_out": str(body.get("bytes_out", "")),
        "bytes_in": str(body.get("bytes_in", "")),
        "first": exact_moment(nanoseconds_of(str(body.get("first")))),
        "last": exact_moment(nanoseconds_of(str(body.get("last")))),
    }
    return {key: value for key, value in shown.items() if value}


def _parts(raised: list[Raised]) -> Iterable[list[Raised]]:
    return (raised[start : start + AT_ONCE] for start in range(0, len(raised), AT_ONCE))
