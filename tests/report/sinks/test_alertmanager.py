"""Alertmanager: raised, risen, kept up, muted, resolved; over restarts, and with the real one."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from datetime import datetime, timedelta
from http.client import HTTPConnection
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from sink_stage import (
    NOON,
    SECOND,
    Clock,
    HttpReceiver,
    ListLog,
    free_port,
    plain_record,
    record,
    secret_file,
    wait_for,
)

from egressd.daemon.clock import wall_now
from egressd.model import Destination, Direction, Name, NameSource, Stage
from egressd.report.sinks import alertmanager as alertmanager_module
from egressd.report.sinks import raised as raised_module
from egressd.report.sinks.activity import SILENCE, Activity
from egressd.report.sinks.alertmanager import Alertmanager
from egressd.report.sinks.delivery import Delivery, Pauses
from egressd.report.sinks.raised import RaisedBook
from egressd.report.sinks.spool import Spool
from egressd.report.sinks.storefile import StoreError
from egressd.report.sinks.transport import Failure, RefusedError, UnreachableError
from egressd.settings.sinks import AlertmanagerSettings, Secret, Url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600 * SECOND


class Stage_:  # noqa: N801 - Stage is the product's word for something else
    """One Alertmanager sink without its thread, and the server it speaks to."""

    def __init__(self, folder: Path, soc: HttpReceiver, **changes: Any) -> None:
        self.soc = soc
        self.clock = Clock()
        self.activity = Activity()
        self.activity.note({}, NOON)
        self.acknowledged: dict[str, int] = {}
        self.folder = folder
        self.settings = AlertmanagerSettings(
            name="am", url=Url("127.0.0.1", soc.port, "/", encrypted=False), **changes
        )
        self.sink = self._opened()

    def _opened(self) -> Alertmanager:
        return Alertmanager(
            self.settings,
            RaisedBook(self.folder / "am.raised.sqlite"),
            self.activity,
            lambda finding, _, stage: self.acknowledged.get(finding, -1) >= stage,
            self.clock,
        )

    def restart(self) -> None:
        """Close the sink and open it anew."""
        self.sink.close()
        self.activity = Activity()
        self.sink = self._opened()

    def look(self) -> float | None:
        """Do now what is due."""
        self.sink._next_look = 0.0  # noqa: SLF001 - it looks once a second
        return self.sink.tend()

    def let_time_pass(self) -> None:
        """Make all that is up due to be sent again."""
        for raised in self.sink._book:  # noqa: SLF001 - by the monotonic clock, which tests cannot set
            raised.sent -= self.settings.keep_up

    @property
    def posts(self) -> list[list[Any]]:
        """The bodies of all requests."""
        return [request.json for request in self.soc.requests]


@pytest.fixture
def soc() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def stage(tmp_path: Path, soc: HttpReceiver) -> Iterator[Stage_]:
    made = Stage_(tmp_path, soc)
    yield made
    made.sink.close()


def is_firing(shape: Any, clock: Clock) -> bool:
    ends = datetime.fromisoformat(shape["endsAt"].replace("Z", "+00:00")[:26] + "+00:00")
    return ends.timestamp() * SECOND > clock.now


def told(posts: list[list[Any]], clock: Clock) -> list[tuple[str, str, bool]]:
    """Return what was said: finding, stage, and whether it fires."""
    return [
        (shape["labels"]["finding"], shape["labels"]["stage"], is_firing(shape, clock))
        for post in posts
        for shape in post
    ]


# ---- what is sent --------------------------------------------------------------------------------


def test_an_alert_has_closed_labels_and_open_annotations(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    (request,) = stage.soc.requests
    assert request.path == "/api/v2/alerts"
    assert request.json == [
        {
            "labels": {
                "alertname": "EgressdFinding",
                "finding": "f-1",
                "rule": "cloud-contact",
                "severity": "high",
                "stage": "payload",
                "camera": "gate-1",
                "direction": "outbound",
                "party": "vendor",
                "site": "Depot North",
            },
            "annotations": {
                "summary": "gate-1 reached dev.example.com (f-1)",
                "id": "f-1-payload-1",
                "destination": "192.0.2.7:443/tcp",
                "names": "dev.example.com",
                "country": "CN",
                "network": "64496 Example",
                "protocol": "tls",
                "bytes_out": "1234",
                "bytes_in": "567",
                "first": "2026-11-22T12:00:00.000000000Z",
                "last": "2026-11-22T12:00:12.000000000Z",
            },
            "startsAt": "2026-11-22T12:00:00.000000000Z",
            "endsAt": "2026-11-22T12:05:00.000000000Z",
        }
    ]


def test_a_path_in_front_is_kept(tmp_path: Path, soc: HttpReceiver) -> None:
    stage = Stage_(tmp_path, soc)
    url = Url("127.0.0.1", soc.port, "/alertmanager/", encrypted=False)
    stage.settings = AlertmanagerSettings(name="am", url=url)
    stage.restart()
    stage.sink.deliver([record(1)])
    assert soc.requests[0].path == "/alertmanager/api/v2/alerts"
    stage.sink.close()


def test_a_user_is_told_with_the_password_of_the_file(tmp_path: Path, soc: HttpReceiver) -> None:
    password = Secret(file=secret_file(tmp_path, b"p:w\n"))
    stage = Stage_(tmp_path, soc, user="egressd", password=password)
    stage.sink.deliver([record(1)])
    expected = b64encode(b"egressd:p:w").decode()
    assert soc.requests[0].headers["authorization"] == f"Basic {expected}"
    (tmp_path / "secret").write_bytes(b"new\n")
    stage.sink.renew()
    stage.sink.deliver([record(2)])
    assert soc.requests[1].headers["authorization"] != f"Basic {expected}"
    (tmp_path / "secret").chmod(0o644)
    stage.sink.renew()
    with pytest.raises(UnreachableError) as caught:
        stage.sink.deliver([record(3)])
    assert caught.value.failure is Failure.CREDENTIAL
    stage.sink.close()


def test_frames_from_the_future_start_now(stage: Stage_) -> None:
    stage.clock.now = NOON - 60 * SECOND
    stage.sink.deliver([record(1)])
    (shape,) = stage.posts[0]
    assert shape["startsAt"] == "2026-11-22T11:59:00.000000000Z"
    assert shape["endsAt"] > shape["startsAt"]


def test_a_lookup_and_an_inbound_contact_are_alerts_like_others(stage: Stage_) -> None:
    lookup = Destination(None, None, "udp", [Name("dev.example.com", NameSource.DNS, NOON)])
    inbound = Destination("2001:db8::7", 51234, "tcp")
    stage.sink.deliver(
        [
            record(1, stage=Stage.LOOKUP, destination=lookup, rule="cloud-lookup"),
            record(2, destination=inbound, direction=Direction.INBOUND, local_port=554),
        ]
    )
    first, second = stage.posts[0]
    assert "destination" not in first["annotations"]
    assert first["annotations"]["names"] == "dev.example.com"
    assert second["annotations"]["destination"] == "[2001:db8::7]:51234/tcp"
    assert second["labels"]["direction"] == "inbound"


def test_alerts_of_a_burst_share_a_request(stage: Stage_) -> None:
    stage.sink.deliver([record(n) for n in range(1, 51)])
    assert [len(post) for post in stage.posts] == [50]


def test_what_is_no_alert_is_refused(stage: Stage_) -> None:
    with pytest.raises(RefusedError):
        stage.sink.deliver([plain_record(1, "{}", is_alert=True)])


def test_a_refusal_and_a_failure_are_told_apart(stage: Stage_) -> None:
    stage.soc.answers = [400, 500]
    with pytest.raises(RefusedError):
        stage.sink.deliver([record(1)])
    with pytest.raises(UnreachableError):
        stage.sink.deliver([record(1)])
    assert stage.look() is None


# ---- the life of an alert ------------------------------------------------------------------------


def test_a_rise_ends_the_old_alert_and_raises_the_new_one_at_once(stage: Stage_) -> None:
    stage.sink.deliver([record(1, stage=Stage.ATTEMPT, severity=2)])
    stage.clock.go_on(10)
    stage.sink.deliver([record(2, name="f-1", stage=Stage.MEDIA)])
    assert told(stage.posts, stage.clock) == [
        ("f-1", "attempt", True),
        ("f-1", "attempt", False),
        ("f-1", "media", True),
    ]
    stage.let_time_pass()
    stage.look()
    assert told(stage.posts[2:], stage.clock) == [("f-1", "media", True)]


def test_two_rises_in_one_batch_end_in_the_last(stage: Stage_) -> None:
    stage.sink.deliver([record(1, stage=Stage.ATTEMPT), record(2, name="f-1", stage=Stage.PAYLOAD)])
    assert told(stage.posts, stage.clock) == [
        ("f-1", "attempt", True),
        ("f-1", "attempt", False),
        ("f-1", "payload", True),
    ]


def test_what_goes_on_is_sent_again_before_it_ends_by_itself(stage: Stage_) -> None:
    stage.sink.deliver([record(1), record(2)])
    stage.look()
    assert len(stage.posts) == 1
    for _ in range(3):
        stage.clock.go_on(60)
        stage.let_time_pass()
        stage.look()
    assert len(stage.posts) == 4
    assert (
        told(stage.posts[1:], stage.clock)
        == [("f-1", "payload", True), ("f-2", "payload", True)] * 3
    )
    ends = [post[0]["endsAt"] for post in stage.posts]
    assert ends == sorted(set(ends))
    starts = {post[0]["startsAt"] for post in stage.posts}
    assert len(starts) == 1


def test_the_end_lies_far_enough_ahead_for_some_sendings_to_fail(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    stage.clock.go_on(4.9 * stage.settings.keep_up)
    assert told(stage.posts, stage.clock) == [("f-1", "payload", True)]
    stage.clock.go_on(0.2 * stage.settings.keep_up)
    assert told(stage.posts, stage.clock) == [("f-1", "payload", False)]


def test_an_hour_of_silence_resolves(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    last = NOON + 12 * SECOND
    stage.activity.note({}, last + SILENCE)
    stage.look()
    assert len(stage.posts) == 1
    stage.activity.note({}, last + SILENCE + 1)
    stage.look()
    assert told(stage.posts[1:], stage.clock) == [("f-1", "payload", False)]
    stage.let_time_pass()
    stage.look()
    assert len(stage.posts) == 2


def test_a_finding_that_is_seen_again_is_not_silent(stage: Stage_) -> None:
    stage.sink.deliver([record(1), record(2)])
    for hours in range(1, 5):
        stage.activity.note({"f-1": NOON + hours * HOUR}, NOON + hours * HOUR + 60 * SECOND)
        stage.look()
    assert told(stage.posts[1:], stage.clock) == [("f-2", "payload", False)]


def test_a_flow_of_the_contact_is_a_sign_of_life(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    later = NOON + 2 * HOUR
    stage.activity.note({"00:00:5e:00:53:01 tcp 192.0.2.7 443": later}, later)
    stage.look()
    assert len(stage.posts) == 1


def test_the_daemon_can_say_that_it_is_over(stage: Stage_) -> None:
    stage.sink.deliver([record(1), record(2)])
    stage.activity.end(["f-1"])
    stage.look()
    assert told(stage.posts[1:], stage.clock) == [("f-1", "payload", False)]


def test_a_retry_after_hours_brings_the_same_finding_back(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    stage.activity.note({}, NOON + 2 * HOUR)
    stage.look()
    stage.activity.note({"f-1": NOON + 3 * HOUR}, NOON + 3 * HOUR)
    stage.look()
    assert told(stage.posts[1:], stage.clock) == [
        ("f-1", "payload", False),
        ("f-1", "payload", True),
    ]


def test_a_later_episode_of_the_contact_does_not_bring_the_old_finding_back(
    stage: Stage_,
) -> None:
    stage.sink.deliver([record(1)])
    stage.activity.note({}, NOON + 2 * HOUR)
    stage.look()
    later = NOON + 3 * HOUR
    stage.activity.note({"00:00:5e:00:53:01 tcp 192.0.2.7 443": later, "f-2": later}, later)
    stage.look()
    assert len(stage.posts) == 2


def test_what_has_been_over_for_a_week_is_forgotten(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    stage.activity.note({}, NOON + 2 * HOUR)
    stage.look()
    assert stage.look() is not None
    stage.activity.note({}, NOON + 8 * 24 * HOUR)
    stage.look()
    assert stage.look() is None


def test_a_resolution_that_fails_stays_due(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    stage.activity.end(["f-1"])
    stage.soc.answers = [503]
    with pytest.raises(UnreachableError):
        stage.look()
    stage.look()
    assert told(stage.posts[2:], stage.clock) == [("f-1", "payload", False)]


def test_an_acknowledged_alert_is_resolved_and_comes_back_when_the_acknowledgement_ends(
    stage: Stage_,
) -> None:
    stage.sink.deliver([record(1)])
    stage.acknowledged["f-1"] = Stage.PAYLOAD
    stage.look()
    stage.let_time_pass()
    stage.look()
    assert told(stage.posts[1:], stage.clock) == [("f-1", "payload", False)]
    del stage.acknowledged["f-1"]
    stage.look()
    assert told(stage.posts[2:], stage.clock) == [("f-1", "payload", True)]


def test_a_rise_is_raised_although_the_stage_before_was_acknowledged(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    stage.acknowledged["f-1"] = Stage.PAYLOAD
    stage.look()
    stage.sink.deliver([record(2, name="f-1", stage=Stage.MEDIA)])
    stage.let_time_pass()
    stage.look()
    assert told(stage.posts[2:], stage.clock) == [("f-1", "media", True)] * 2


# ---- restarts and bounds -------------------------------------------------------------------------


def test_after_a_restart_what_is_up_is_kept_up_and_can_be_resolved(stage: Stage_) -> None:
    stage.sink.deliver([record(1), record(2)])
    stage.restart()
    stage.look()
    assert told(stage.posts[1:], stage.clock) == [
        ("f-1", "payload", True),
        ("f-2", "payload", True),
    ]
    assert stage.posts[1] == stage.posts[0]
    stage.activity.end(["f-1"])
    stage.look()
    stage.restart()
    stage.look()
    assert told(stage.posts[3:], stage.clock) == [("f-2", "payload", True)]


def test_the_time_that_nobody_watched_is_no_silence(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    stage.restart()
    stage.activity.note({}, NOON + 5 * HOUR)
    stage.look()
    assert told(stage.posts[1:], stage.clock) == [("f-1", "payload", True)]
    stage.activity.note({}, NOON + 6 * HOUR + SECOND)
    stage.look()
    assert told(stage.posts[2:], stage.clock) == [("f-1", "payload", False)]


def test_so_many_alerts_are_kept_up_and_no_more(
    stage: Stage_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raised_module, "MOST", 3)
    for n in range(1, 6):
        stage.sink.deliver([record(n, last=NOON + n * SECOND)])
    stage.restart()
    stage.look()
    assert [finding for finding, _, _ in told(stage.posts[5:], stage.clock)] == [
        "f-3",
        "f-4",
        "f-5",
    ]


def test_many_alerts_are_kept_up_in_requests_of_a_bounded_size(
    stage: Stage_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertmanager_module, "AT_ONCE", 4)
    stage.sink.deliver([record(n) for n in range(1, 11)])
    stage.let_time_pass()
    stage.look()
    assert [len(post) for post in stage.posts[1:]] == [4, 4, 2]


def test_a_book_of_another_process_is_refused(stage: Stage_, tmp_path: Path) -> None:
    stage.sink.deliver([record(1)])
    with pytest.raises(StoreError, match="in use"):
        RaisedBook(tmp_path / "am.raised.sqlite")


def test_a_disk_that_does_not_take_the_book_costs_the_memory_over_a_restart(
    stage: Stage_,
) -> None:
    assert stage.sink._book._connection is not None  # noqa: SLF001 - the disk is what fails here
    stage.sink._book._connection.execute("PRAGMA query_only = 1")  # noqa: SLF001
    stage.sink.deliver([record(1)])
    stage.let_time_pass()
    stage.look()
    assert told(stage.posts, stage.clock) == [("f-1", "payload", True)] * 2
    assert stage.sink.file_failures == 2


# ---- the real one --------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Iterator[int]:
    """Return the port of a running Alertmanager."""
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    child = subprocess.Popen(
        ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: answers(port), 20)
        yield port
    finally:
        child.terminate()
        child.wait(10)


def answers(port: int) -> bool:
    try:
        return ask(port, "/-/ready") is not None
    except OSError:
        return False


def ask(port: int, path: str) -> bytes | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read()
        return content if response.status == 200 else None
    finally:
        connection.close()


def firing(port: int) -> set[tuple[str, str]]:
    content = ask(port, "/api/v2/alerts?active=true")
    return {(a["labels"]["finding"], a["labels"]["stage"]) for a in json.loads(content or b"[]")}


@pytest.mark.program("prometheus-alertmanager")
def test_a_real_alertmanager_raises_keeps_up_and_resolves(tmp_path: Path, real: int) -> None:
    now = wall_now()
    offset = now - NOON
    activity = Activity()
    settings = AlertmanagerSettings(
        name="am", url=Url("127.0.0.1", real, "/", encrypted=False), keep_up=0.4
    )
    spool = Spool(tmp_path / "am.sqlite", 1_000_000)
    transport = Alertmanager(
        settings, RaisedBook(tmp_path / "am.raised.sqlite"), activity, lambda *_: False, wall_now
    )
    sink = Delivery(
        "am", "alertmanager", spool, transport, clock=wall_now, log=ListLog(), pauses=Pauses(0.05)
    )
    sink.start()
    changes: dict[str, Any] = {"first": NOON + offset, "last": NOON + offset}
    sink.offer([record(1, stage=Stage.ATTEMPT, severity=2, **changes), record(2, **changes)])
    activity.note({}, now)
    wait_for(lambda: firing(real) == {("f-1", "attempt"), ("f-2", "payload")})
    sink.offer([record(3, name="f-1", stage=Stage.MEDIA, **changes)])
    wait_for(lambda: firing(real) == {("f-1", "media"), ("f-2", "payload")})
    # The end of the first sending (5 x 0.4 s) passes, and the alerts are still there.
    until = monotonic() + 2.5
    wait_for(lambda: monotonic() > until)
    assert firing(real) == {("f-1", "media"), ("f-2", "payload")}
    activity.end(["f-1"])
    sink.nudge()
    wait_for(lambda: firing(real) == {("f-2", "payload")})
    sink.stop(monotonic() + 5)
    sink.join()
    wait_for(lambda: firing(real) == set())  # nobody keeps them up any more
    assert sink.statistics.failures == {}
    spool.close(wall_now())


def test_moments_are_to_the_second_of_rfc_3339(stage: Stage_) -> None:
    stage.sink.deliver([record(1)])
    (shape,) = stage.posts[0]
    for key in ("startsAt", "endsAt"):
        moment = datetime.fromisoformat(shape[key][:26] + "+00:00")
        assert moment.utcoffset() == timedelta(0)
