"""A sensor that does not see says so, says why, and says when it sees again."""

from __future__ import annotations

import io
from dataclasses import MISSING, fields, replace

import pytest

from egressd.capture.interfaces import InterfaceCounters, LinkState, NicCounters
from egressd.daemon.logs import Log
from egressd.daemon.sensor import LOSS_SPAN, NO_FRAMES_AFTER, Sensor, Signs
from egressd.report.metrics.snapshot import BlindReason

SECOND = 1_000_000_000
# Whatever else is counted is zero.
ZEROS = {field.name: 0 for field in fields(InterfaceCounters) if field.default is MISSING}
NAMED = {"interface": "span0", "name": "span0", "state": LinkState.UP, "frames": 5, "packets": 5}
UP = InterfaceCounters(**{**ZEROS, **NAMED, "carrier": True, "nic": NicCounters()})  # type: ignore[arg-type]


def sensor() -> tuple[Sensor, io.StringIO]:
    told = io.StringIO()
    return Sensor(Log(told, journal=True)), told


def test_a_sensor_that_sees_says_nothing() -> None:
    made, told = sensor()
    for second in range(0, 600, 2):
        counters = replace(UP, frames=second, packets=second)
        made.look(Signs(second * SECOND, [counters]))
    assert made.reasons == []
    assert told.getvalue() == ""
    assert not any(reading.now or reading.seconds for reading in made.readings())


@pytest.mark.parametrize(
    ("signs", "reason"),
    [
        pytest.param(Signs(1, is_stalled=True), BlindReason.STALLED, id="stalled"),
        pytest.param(Signs(1, one_way_mirror=True), BlindReason.ONE_WAY_MIRROR, id="one way"),
        pytest.param(Signs(1, canary_missed=True), BlindReason.CANARY_MISSED, id="canary"),
        pytest.param(
            Signs(1, [replace(UP, state=LinkState.DOWN)]), BlindReason.INTERFACE_DOWN, id="down"
        ),
        pytest.param(
            Signs(1, [replace(UP, state=LinkState.GONE)]), BlindReason.INTERFACE_DOWN, id="gone"
        ),
        pytest.param(
            Signs(1, [replace(UP, carrier=False)]), BlindReason.INTERFACE_DOWN, id="cable"
        ),
    ],
)
def test_each_reason_is_told_when_it_begins_and_ends(signs: Signs, reason: BlindReason) -> None:
    made, told = sensor()
    made.look(signs)
    made.look(replace(signs, now=signs.now + 2 * SECOND))
    assert made.reasons == [reason]
    assert told.getvalue() == f"<4>sensor_blind reason={reason.value}\n"
    made.look(Signs(signs.now + 5 * SECOND, [UP]))
    assert made.reasons == []
    assert told.getvalue().endswith(f"<5>sensor_sees_again reason={reason.value} seconds=5\n")
    (reading,) = [reading for reading in made.readings() if reading.seconds]
    assert (reading.reason, reading.now, reading.seconds) == (reason, False, 5.0)


def test_an_interface_that_is_up_and_silent_is_blind_after_a_minute() -> None:
    made, _ = sensor()
    made.look(Signs(0, [UP]))
    made.look(Signs(NO_FRAMES_AFTER - 1, [UP]))
    assert made.reasons == []
    made.look(Signs(NO_FRAMES_AFTER, [UP]))
    assert made.reasons == [BlindReason.NO_FRAMES]
    made.look(Signs(NO_FRAMES_AFTER + 1, [replace(UP, frames=6)]))
    assert made.reasons == []


def test_one_silent_interface_of_two_is_enough() -> None:
    made, _ = sensor()
    for second in (0, 30, 60):
        other = replace(UP, interface="span1", frames=second)
        made.look(Signs(second * SECOND, [UP, other]))
    assert made.reasons == [BlindReason.NO_FRAMES]


def test_too_much_loss_in_a_minute_is_blind_until_a_minute_without() -> None:
    made, _ = sensor()
    made.look(Signs(0, [UP]))
    lossy = replace(UP, frames=985, packets=1005, drops=20)
    made.look(Signs(LOSS_SPAN, [lossy]))
    assert made.reasons == [BlindReason.LOSS]
    better = replace(lossy, frames=10_000, packets=10_020, drops=21)
    made.look(Signs(2 * LOSS_SPAN, [better]))
    assert made.reasons == []
