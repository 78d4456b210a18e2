"""The watchdog is fed only while frames that come are looked at."""

from __future__ import annotations

from egressd.daemon.heartbeat import Heartbeat

SECOND = 1_000_000_000


def test_a_beat_is_due_at_the_start_and_every_so_often() -> None:
    heart = Heartbeat(5 * SECOND)
    assert heart.is_due(0)
    assert heart.may_beat(0, looked_at=0, arrived=0)
    assert not heart.is_due(4 * SECOND)
    assert heart.is_due(5 * SECOND)


def test_nobody_listens_and_none_is_due() -> None:
    assert not Heartbeat(None).is_due(10**18)


def test_frames_that_are_looked_at_are_life() -> None:
    heart = Heartbeat(SECOND)
    assert heart.may_beat(0, looked_at=5, arrived=7)
    assert heart.may_beat(SECOND, looked_at=6, arrived=99)


def test_a_quiet_link_is_life() -> None:
    heart = Heartbeat(SECOND)
    assert heart.may_beat(0, looked_at=5, arrived=7)
    assert heart.may_beat(SECOND, looked_at=5, arrived=7)
    assert not heart.is_stalled


def test_frames_that_come_and_are_not_looked_at_are_none() -> None:
    heart = Heartbeat(SECOND)
    assert heart.may_beat(0, looked_at=5, arrived=7)
    assert not heart.may_beat(SECOND, looked_at=5, arrived=8)
    assert heart.is_stalled
    assert heart.is_due(SECOND)
    assert heart.may_beat(2 * SECOND, looked_at=6, arrived=9)
    assert not heart.is_stalled
