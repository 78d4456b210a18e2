"""All sinks together: who gets what, who is spared, and that nobody who hangs holds up the rest."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from sink_stage import (
    NOON,
    SECOND,
    Clock,
    HttpReceiver,
    ListLog,
    StreamReceiver,
    alert,
    eve_lines,
    free_port,
    secret_file,
    wait_for,
)

from egressd.model import CameraEvent, Coverage, CoverageEvent, Stage
from egressd.report.sinks.acks import acknowledge, acks_of, remove
from egressd.report.sinks.front import Sinks
from egressd.report.sinks.storefile import StoreError
from egressd.settings.sinks import (
    AlertmanagerSettings,
    EveSettings,
    Secret,
    SinkSettings,
    SyslogSettings,
    SyslogTransport,
    Url,
    WebhookSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
HOUR = 3600 * SECOND
SCHEMA = Draft202012Validator(
    json.loads((ROOT / "egressd/schemas/eve-egressd.schema.json").read_text())
)

Opener = "Callable[..., Sinks]"


@pytest.fixture
def soc() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(state: Path, clock: Clock) -> Iterator[Callable[..., Sinks]]:
    """Return what opens sinks on the state directory; they are closed when the test is over."""
    made: list[Sinks] = []

    def opener(*settings: SinkSettings, log: ListLog | None = None) -> Sinks:
        made.append(Sinks(settings, state, clock=clock, log=log or ListLog(), site="Depot North"))
        return made[-1]

    yield opener
    for sinks in made:
        sinks.close(0.2)


def eve(folder: Path, **changes: Any) -> EveSettings:
    return EveSettings(name="eve", path=str(folder / "eve.json"), **changes)


def hook(folder: Path, port: int, name: str = "soc", **changes: Any) -> WebhookSettings:
    return WebhookSettings(
        name=name,
        url=Url("127.0.0.1", port, "/", encrypted=False),
        secret=Secret(file=secret_file(folder)),
        **changes,
    )


def manager(port: int) -> AlertmanagerSettings:
    return AlertmanagerSettings(
        name="am", url=Url("127.0.0.1", port, "/", encrypted=False), keep_up=0.2
    )


def coverage(n: int) -> CoverageEvent:
    return CoverageEvent(NOON + n, Coverage(frames=n))


def counts(sinks: Sinks) -> dict[str, int]:
    return {one.name: one.delivered for one in sinks.statistics()}


def noticed(sinks: Sinks, finding: str = "f-1", stage: Stage = Stage.PAYLOAD) -> Callable[[], bool]:
    """Return whether the daemon's side knows of an acknowledgement."""
    event = alert(finding, stage)
    return lambda: bool(sinks._acks.find(finding, "", int(event.finding.stage), NOON))  # noqa: SLF001 - it reads the file by itself


# ---- who gets what -------------------------------------------------------------------------------


def test_the_file_gets_everything_and_the_others_get_alerts(
    tmp_path: Path, soc: HttpReceiver, opened: Callable[..., Sinks]
) -> None:
    with StreamReceiver() as siem:
        syslog = SyslogSettings(
            name="siem", host="127.0.0.1", port=siem.port, transport=SyslogTransport.TCP
        )
        sinks = opened(eve(tmp_path), hook(tmp_path, soc.port), syslog)
        first = alert("f-1")
        sinks.publish([coverage(1), CameraEvent(NOON, first.finding.camera), first, coverage(2)])
        sinks.publish([alert("f-2")])
        wait_for(lambda: counts(sinks) == {"eve": 5, "soc": 2, "siem": 2})
        types = [line["event_type"] for line in eve_lines(tmp_path / "eve.json")]
        assert types == ["coverage", "camera", "alert", "coverage", "alert"]
        assert soc.ids == ["f-1-payload-1", "f-2-payload-1"]
        wait_for(lambda: len(siem.messages) == 2)
        assert soc.requests[0].json["event"] == eve_lines(tmp_path / "eve.json")[2]
        sinks.close()


def test_the_lines_are_those_of_a_replay(tmp_path: Path, opened: Callable[..., Sinks]) -> None:
    sinks = opened(eve(tmp_path))
    sinks.publish([alert("f-1"), coverage(1)])
    wait_for(lambda: counts(sinks) == {"eve": 2})
    for line in eve_lines(tmp_path / "eve.json"):
        SCHEMA.validate(line)
        assert line["host"] == "Depot North"


def test_a_sink_is_told_from_its_severity_on(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver
) -> None:
    with HttpReceiver() as other:
        sinks = opened(
            hook(tmp_path, soc.port, severity=1), hook(tmp_path, other.port, "all", severity=3)
        )
        sinks.publish(
            [alert("f-1", severity=3), alert("f-2", severity=1), alert("f-3", severity=2)]
        )
        wait_for(lambda: counts(sinks) == {"soc": 1, "all": 3})
        assert soc.ids == ["f-2-payload-1"]


def test_a_finding_that_becomes_bad_enough_is_told_then(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver
) -> None:
    sinks = opened(hook(tmp_path, soc.port, severity=1))
    sinks.publish([alert("f-1", Stage.ATTEMPT, severity=2)])
    sinks.publish([alert("f-1", Stage.CONNECTED, severity=1)])
    wait_for(lambda: soc.ids == ["f-1-connected-1"])


def test_ids_are_of_finding_stage_and_number(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver
) -> None:
    sinks = opened(hook(tmp_path, soc.port))
    sinks.publish(
        [alert("f-1", Stage.ATTEMPT), alert("f-1", Stage.MEDIA), alert("f-1", Stage.MEDIA)]
    )
    wait_for(lambda: len(soc.ids) == 3)
    assert soc.ids == ["f-1-attempt-1", "f-1-media-1", "f-1-media-2"]


def test_no_sink_is_fine_and_so_is_no_event(opened: Callable[..., Sinks], state: Path) -> None:
    sinks = opened()
    sinks.publish([])
    sinks.publish([alert("f-1"), coverage(1)])
    assert sinks.statistics() == ()
    sinks.close()
    assert acks_of(state) == []


# ---- acknowledgements ----------------------------------------------------------------------------


def test_an_acknowledged_finding_is_marked_in_the_file_and_told_nobody_else(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver, state: Path
) -> None:
    sinks = opened(eve(tmp_path), hook(tmp_path, soc.port))
    sinks.publish([alert("f-1")])
    wait_for(lambda: _is_told(state, "f-1"))
    acknowledge(state, "f-1", author="ann", reason="a test", now=NOON, until=NOON + HOUR)
    wait_for(noticed(sinks))
    sinks.publish([alert("f-1"), alert("f-2", destination=alert().finding.destination)])
    sinks.publish([alert("f-1", Stage.MEDIA)])
    wait_for(lambda: counts(sinks) == {"eve": 4, "soc": 2})
    assert soc.ids == ["f-1-payload-1", "f-1-media-1"]
    marks = [line["egressd"].get("acknowledged") for line in eve_lines(tmp_path / "eve.json")]
    mark = {"by": "ann", "reason": "a test", "until": "2026-11-22T13:00:00.000000+0000"}
    assert marks == [None, mark, mark, None]
    assert sinks.held_back == 2
    for line in eve_lines(tmp_path / "eve.json"):
        SCHEMA.validate(line)


def _is_told(state: Path, finding: str) -> bool:
    """Whether `egressd ack` would find it."""
    from egressd.report.sinks.ackfile import connected, find_told  # noqa: PLC0415 - only here

    connection = connected(state / "acks.sqlite")
    try:
        return find_told(connection, finding) is not None
    finally:
        connection.close()


def test_what_was_held_back_is_told_when_the_time_is_over_and_it_goes_on(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver, state: Path, clock: Clock
) -> None:
    sinks = opened(eve(tmp_path), hook(tmp_path, soc.port))
    sinks.publish([alert("f-1"), alert("f-3", rule="scan")])
    wait_for(lambda: _is_told(state, "f-3"))
    for finding in ("f-1", "f-3"):
        acknowledge(state, finding, author="ann", reason="x", now=NOON, until=NOON + 8 * HOUR)
    wait_for(noticed(sinks, "f-3"))
    sinks.publish([alert("f-2"), alert("f-4", rule="scan")])
    assert sinks.held_back == 2
    later = NOON + 8 * HOUR
    sinks.refresh({"f-2": later - SECOND}, later)  # f-4 has been silent for hours
    clock.now = later
    wait_for(lambda: len(soc.ids) == 3)
    assert soc.ids[2] == "f-2-payload-1"
    sinks.publish([coverage(1)])
    wait_for(lambda: counts(sinks) == {"eve": 5, "soc": 3})


def test_taking_an_acknowledgement_back_tells_what_was_held_back(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver, state: Path
) -> None:
    sinks = opened(hook(tmp_path, soc.port))
    sinks.publish([alert("f-1")])
    wait_for(lambda: _is_told(state, "f-1"))
    acknowledge(state, "f-1", author="ann", reason="x", now=NOON)
    wait_for(noticed(sinks))
    sinks.publish([alert("f-1")])
    sinks.close()
    again = opened(hook(tmp_path, soc.port))
    remove(state, "f-1")
    wait_for(lambda: soc.ids == ["f-1-payload-1", "f-1-payload-2"])
    again.close()


def test_an_alert_that_is_up_goes_down_when_it_is_acknowledged(
    opened: Callable[..., Sinks], soc: HttpReceiver, state: Path
) -> None:
    sinks = opened(manager(soc.port))
    sinks.publish([alert("f-1")])
    wait_for(lambda: len(soc.requests) >= 1 and _is_told(state, "f-1"))
    acknowledge(state, "f-1", author="ann", reason="x", now=NOON)
    now = "2026-11-22T12:00:00.000000000Z"
    wait_for(lambda: soc.requests[-1].json[0]["endsAt"] == now)


def test_the_daemon_can_end_what_is_up(opened: Callable[..., Sinks], soc: HttpReceiver) -> None:
    sinks = opened(manager(soc.port))
    sinks.publish([alert("f-1"), alert("f-2")])
    wait_for(lambda: len(soc.requests) >= 1)
    sinks.resolve(["f-1"])
    now = "2026-11-22T12:00:00.000000000Z"

    def ended() -> set[str]:
        shapes = [shape for request in soc.requests for shape in request.json]
        return {s["labels"]["finding"] for s in shapes if s["endsAt"] == now}

    wait_for(lambda: ended() == {"f-1"})


# ---- what goes wrong -----------------------------------------------------------------------------


def test_a_sink_that_hangs_holds_up_nobody(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # accepts, and never says a word
    sinks = opened(
        hook(tmp_path, silent.getsockname()[1], "dead"),
        eve(tmp_path),
        hook(tmp_path, soc.port, "alive"),
    )
    begin = monotonic()
    for n in range(100):
        sinks.publish([alert(f"f-{n}"), coverage(n)])
    assert monotonic() - begin < 2.0  # 40 ms on the machine it was measured on
    wait_for(lambda: counts(sinks) == {"eve": 200, "dead": 0, "alive": 100})
    begin = monotonic()
    assert sinks.close(0.3)
    assert monotonic() - begin < 3
    silent.close()


def test_a_full_disk_under_the_file_keeps_no_alert_from_the_others(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver
) -> None:
    log = ListLog()
    full = EveSettings(name="eve", path="/dev/full")
    sinks = opened(full, hook(tmp_path, soc.port), log=log)
    sinks.publish([coverage(1), alert("f-1"), coverage(2)])
    wait_for(lambda: soc.ids == ["f-1-payload-1"])
    wait_for(lambda: sinks.statistics()[0].failures.get("space", 0) >= 2)
    told = [fields for name, fields in log.events if name == "sink_failing"]
    assert [(fields["sink"], fields["reason"]) for fields in told] == [("eve", "space")]
    assert sinks.statistics()[0].backlog_records == 3
    sinks.close(0.2)
    # The lines are in the spool, and the next start has a file with room.
    again = opened(eve(tmp_path), hook(tmp_path, soc.port))
    wait_for(lambda: counts(again)["eve"] == 3)
    types = [line["event_type"] for line in eve_lines(tmp_path / "eve.json")]
    assert types == ["coverage", "alert", "coverage"]


def test_a_file_with_a_small_spool_loses_flows_before_alerts(
    opened: Callable[..., Sinks],
) -> None:
    sinks = opened(EveSettings(name="eve", path="/dev/full", spool=150_000))
    for n in range(400):
        sinks.publish([coverage(n), coverage(n), alert(f"f-{n}")] if n < 50 else [coverage(n)])
    wait_for(lambda: sinks.statistics()[0].backlog_bytes <= 300_000)
    statistics = sinks.statistics()[0]
    assert statistics.dropped_alerts == 0
    assert statistics.dropped_others > 0
    assert statistics.backlog_records + statistics.dropped_others == 500


def test_what_a_dead_sink_did_not_take_is_delivered_by_the_next_process(
    tmp_path: Path, opened: Callable[..., Sinks]
) -> None:
    port = free_port()
    sinks = opened(hook(tmp_path, port))
    sinks.publish([alert(f"f-{n}") for n in range(1, 21)])
    assert sinks.close(0.2)
    with HttpReceiver(port=port) as soc:
        again = opened(hook(tmp_path, port))
        again.publish([alert("f-21")])
        wait_for(lambda: len(soc.ids) == 21)
        assert soc.ids == [f"f-{n}-payload-1" for n in range(1, 22)]
        again.close()


VICTIM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from time import sleep
from egressd.daemon.clock import wall_now
from sink_stage import ListLog, alert, secret_file
from egressd.report.sinks.front import Sinks
from egressd.settings.sinks import EveSettings, Secret, Url, WebhookSettings
folder, port = Path(sys.argv[2]), int(sys.argv[3])
sinks = Sinks(
    [
        EveSettings(name="eve", path=str(folder / "eve.json")),
        WebhookSettings(
            name="soc", url=Url("127.0.0.1", port, "/", encrypted=False),
            secret=Secret(file=secret_file(folder)),
        ),
    ],
    folder / "state", clock=wall_now, log=ListLog(),
)
n = 0
while True:
    n += 1
    sinks.publish([alert(f"f-{n}")])
    print(n, wall_now(), flush=True)
    sleep(0.001)
"""


def test_a_process_killed_in_a_burst_loses_the_last_second_at_most(
    tmp_path: Path, opened: Callable[..., Sinks]
) -> None:
    port = free_port()
    (tmp_path / "state").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(Path(__file__).parent), str(tmp_path), str(port)],
        stdout=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    told: dict[int, int] = {}
    until = 0.0
    while not told or monotonic() < until:
        n, at = child.stdout.readline().split()
        told[int(n)] = int(at)
        until = until or monotonic() + 2.0
    child.send_signal(signal.SIGKILL)
    child.wait()
    for line in child.stdout.read().splitlines():
        if line.count(" ") == 1 and len(line) > 20:
            told[int(line.split()[0])] = int(line.split()[1])
    child.stdout.close()
    killed = max(told.values())
    with HttpReceiver(port=port) as soc:
        sinks = opened(hook(tmp_path, port))
        wait_for(lambda: soc.ids and not sinks.statistics()[0].backlog_records)
        came = [int(one.split("-")[1]) for one in soc.ids]
        sinks.close()
    # Nothing listened before, so that everything older than a second must come, in order.
    assert came == list(range(1, came[-1] + 1))
    assert killed - told[came[-1]] < SECOND
    assert len(came) > 200
    lines = eve_lines(tmp_path / "eve.json")
    written = [int(line["egressd"]["finding"].split("-")[1]) for line in lines]
    assert written == list(range(1, written[-1] + 1))
    assert killed - told[written[-1]] < SECOND


def test_opening_anew_follows_a_moved_file(tmp_path: Path, opened: Callable[..., Sinks]) -> None:
    sinks = opened(eve(tmp_path))
    sinks.publish([coverage(1)])
    wait_for(lambda: counts(sinks) == {"eve": 1})
    (tmp_path / "eve.json").rename(tmp_path / "eve.json.1")
    sinks.reopen()
    wait_for((tmp_path / "eve.json").exists)
    sinks.publish([coverage(2)])
    wait_for(lambda: counts(sinks) == {"eve": 2})
    assert len(eve_lines(tmp_path / "eve.json")) == 1


def test_a_line_is_in_the_file_within_a_quarter_of_a_second(
    tmp_path: Path, opened: Callable[..., Sinks]
) -> None:
    sinks = opened(eve(tmp_path))
    wait_for((tmp_path / "eve.json").exists)
    spans = []
    for n in range(5):
        begin = monotonic()
        sinks.publish([alert(f"f-{n}")])
        wait_for(lambda n=n: len(eve_lines(tmp_path / "eve.json")) == n + 1)  # type: ignore[misc]  # bound here
        spans.append(monotonic() - begin)
    assert min(spans) < 0.25  # 25 ms; the others are for machines that are busy with other tests


def test_two_daemons_on_one_state_directory_are_refused(
    tmp_path: Path, opened: Callable[..., Sinks]
) -> None:
    opened(eve(tmp_path))
    with pytest.raises(StoreError, match="in use by another egressd"):
        opened(eve(tmp_path))


def test_a_state_directory_that_cannot_be_made_is_told(clock: Clock) -> None:
    with pytest.raises(StoreError, match="/proc/nowhere"):
        Sinks([], Path("/proc/nowhere"), clock=clock, log=ListLog())


def test_closing_twice_is_closing_once(tmp_path: Path, opened: Callable[..., Sinks]) -> None:
    sinks = opened(eve(tmp_path))
    sinks.publish([coverage(1)])
    assert sinks.close()
    assert sinks.close()
    assert len(eve_lines(tmp_path / "eve.json")) == 1


def test_a_reload_takes_over_while_a_sink_hangs(
    tmp_path: Path, opened: Callable[..., Sinks]
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    settings = (manager(silent.getsockname()[1]), hook(tmp_path, silent.getsockname()[1]))
    first = opened(*settings)
    first.publish([alert("f-1")])
    wait_for(lambda: all(s._busy_since for s in first._all))  # noqa: SLF001 - both are waiting for an answer
    assert first.close(0.1)
    second = opened(*settings)
    assert [one.backlog_records for one in second.statistics()] == [1, 1]
    second.close(0.1)
    silent.close()


def test_a_state_file_that_fails_is_told_once(opened: Callable[..., Sinks], clock: Clock) -> None:
    log = ListLog()
    sinks = opened(EveSettings(name="eve", path="/dev/full"), log=log)
    connection = sinks._eve[0].spool._connection  # noqa: SLF001 - the disk is what fails here
    assert connection is not None
    connection.execute("PRAGMA query_only = 1")
    sinks.publish([coverage(1)])
    clock.go_on(10)
    wait_for(lambda: sinks.statistics()[0].spool_failures >= 3)
    connection.execute("PRAGMA query_only = 0")
    wait_for(lambda: "state_file_recovered" in log.names)
    assert [name for name in log.names if name.startswith("state")] == [
        "state_file_failing",
        "state_file_recovered",
    ]


def test_a_spool_whose_sink_is_gone_is_told(tmp_path: Path, opened: Callable[..., Sinks]) -> None:
    port = free_port()
    first = opened(hook(tmp_path, port), eve(tmp_path))
    first.publish([alert("f-1")])
    first.close(0.1)
    log = ListLog()
    opened(eve(tmp_path), log=log)
    left = [fields["file"] for name, fields in log.events if name == "spool_without_sink"]
    assert [str(path).rpartition("/")[2] for path in left] == ["soc.sqlite"]


def test_a_sink_that_becomes_another_type_gives_up_what_it_cannot_send(
    tmp_path: Path, opened: Callable[..., Sinks], soc: HttpReceiver
) -> None:
    first = opened(EveSettings(name="x", path="/dev/full"))
    first.publish([coverage(1), alert("f-1"), coverage(2)])
    first.close(0.1)
    second = opened(hook(tmp_path, soc.port, "x"))
    wait_for(lambda: second.statistics()[0].backlog_records == 0)
    assert soc.ids == ["f-1-payload-1"]
    assert second.statistics()[0].refused == 2
