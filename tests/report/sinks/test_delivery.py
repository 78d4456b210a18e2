"""A sink's thread: order, patience, what is given up, and who never waits for it."""

from __future__ import annotations

from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from sink_stage import NOON, SECOND, Clock, ListLog, many, numbers, wait_for

from egressd.report.sinks import delivery as delivery_module
from egressd.report.sinks.delivery import Delivery, Pauses
from egressd.report.sinks.spool import Record, Spool
from egressd.report.sinks.transport import Failure, RefusedError, Stay, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

QUICK = Pauses(first=0.005, longest=0.02)


class Post(Stay):
    """A transport that does what the test says."""

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.sent: list[int] = []
        self.attempts = 0
        self.fail: Callable[[Sequence[Record]], None] = lambda _: None
        self.open = Event()  # a delivery hangs until this
        self.open.set()
        self.renewed = 0
        self.closed = 0
        self.next: float | None = None
        self.tended = 0

    def deliver(self, records: Sequence[Record]) -> None:
        self.attempts += 1
        if not self.open.wait(30):
            raise AssertionError
        self.fail(records)
        self.sent += numbers(list(records))

    def tend(self) -> float | None:
        self.tended += 1
        return self.next

    def renew(self) -> None:
        self.renewed += 1

    def interrupt(self) -> None:
        self.open.set()

    def close(self) -> None:
        self.closed += 1


class Stage:
    """A sink with its parts."""

    def __init__(self, folder: Path, post: Post, pauses: Pauses = QUICK) -> None:
        self.post = post
        self.log = ListLog()
        self.clock = Clock()
        self.spool = Spool(folder / "soc.sqlite", 1_000_000)
        self.sink = Delivery(
            "soc", "webhook", self.spool, post, clock=self.clock, log=self.log, pauses=pauses
        )

    def end(self, timeout: float = 5.0) -> None:
        """Stop the sink."""
        self.sink.stop(monotonic() + timeout)
        self.sink.join()
        self.spool.close(NOON)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, Post())
    made.sink.start()
    yield made
    made.post.open.set()
    made.end()


def failing(times: int, error: Exception) -> Callable[[Sequence[Record]], None]:
    left = [times]

    def fail(_: Sequence[Record]) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    return fail


def test_each_record_arrives_once_and_in_order(stage: Stage) -> None:
    for n in range(1, 40, 3):
        stage.sink.offer(list(many(n, n + 2)))
    wait_for(lambda: len(stage.post.sent) == 39)
    assert stage.post.sent == list(range(1, 40))
    wait_for(lambda: stage.sink.statistics.delivered == 39)
    statistics = stage.sink.statistics
    assert (statistics.backlog_records, statistics.backlog_bytes, statistics.oldest) == (0, 0, None)
    assert statistics.last_delivery == NOON
    assert statistics.failures == {}
    assert statistics.is_alive
    assert not statistics.is_failing


def test_what_fails_is_tried_again_and_the_order_is_kept(stage: Stage) -> None:
    stage.post.fail = failing(4, UnreachableError(Failure.CONNECT, "nobody there"))
    stage.sink.offer(list(many(1, 5)))
    wait_for(lambda: len(stage.post.sent) == 5)
    assert stage.post.sent == [1, 2, 3, 4, 5]
    assert stage.post.attempts == 9
    wait_for(lambda: "sink_recovered" in stage.log.names)
    assert stage.sink.statistics.failures == {"connect": 4}


def test_a_failure_is_told_once_and_so_is_its_end(stage: Stage) -> None:
    stage.post.fail = failing(5, UnreachableError(Failure.TIMEOUT, "no answer"))
    stage.sink.offer(list(many(1, 3)))
    wait_for(lambda: len(stage.log.events) == 2)
    wait_for(lambda: len(stage.post.sent) == 3)
    assert stage.log.names == ["sink_failing", "sink_recovered"]
    told = stage.log.events[0][1]
    assert (told["sink"], told["reason"], str(told["text"])) == ("soc", "timeout", "no answer")


def test_what_arrived_of_a_batch_is_not_sent_again(tmp_path: Path) -> None:
    post = Post(batch=5)
    stage = Stage(tmp_path, post)
    arrived: list[int] = []

    def fail(records: Sequence[Record]) -> None:
        if not arrived:
            arrived.extend(numbers(list(records[:2])))
            raise UnreachableError(Failure.SPACE, "full", delivered=2)

    post.fail = fail
    stage.sink.offer(list(many(1, 5)))
    stage.sink.start()
    wait_for(lambda: len(post.sent) == 3)
    assert arrived + post.sent == [1, 2, 3, 4, 5]
    stage.end()


def test_a_record_that_is_refused_is_given_up_and_counted(stage: Stage) -> None:
    def fail(records: Sequence[Record]) -> None:
        if records[0].sequence == 2:
            raise RefusedError(Failure.REFUSED, "answered 400")

    stage.post.fail = fail
    stage.sink.offer(list(many(1, 4, is_alert=True)))
    wait_for(lambda: len(stage.post.sent) == 3)
    assert stage.post.sent == [1, 3, 4]
    wait_for(lambda: stage.sink.statistics.delivered == 3)
    statistics = stage.sink.statistics
    assert (statistics.refused, statistics.failures) == (1, {"refused": 1})
    assert [(name, fields["id"]) for name, fields in stage.log.events] == [("sink_refused", "id-2")]


def test_of_a_batch_that_is_refused_only_the_culprit_is_given_up(tmp_path: Path) -> None:
    post = Post(batch=10)
    stage = Stage(tmp_path, post)

    def fail(records: Sequence[Record]) -> None:
        if 3 in numbers(list(records)):
            raise RefusedError(Failure.FORMAT, "no alert")

    post.fail = fail
    stage.sink.offer(list(many(1, 6)))
    stage.sink.start()
    wait_for(lambda: len(post.sent) == 5)
    assert post.sent == [1, 2, 4, 5, 6]
    stage.end()
    assert stage.sink.statistics.refused == 1


def test_offering_to_a_sink_that_hangs_takes_no_time(stage: Stage) -> None:
    stage.post.open.clear()
    stage.sink.offer(list(many(1, 1)))
    wait_for(lambda: stage.post.attempts == 1)
    batches = [list(many(n, n + 9)) for n in range(2, 2002, 10)]
    begin = monotonic()
    for batch in batches:
        stage.sink.offer(batch)
    spent = monotonic() - begin
    assert spent < 0.5  # 3 ms on the machine it was measured on; the sink hangs for 30 s
    stage.post.open.set()
    wait_for(lambda: len(stage.post.sent) == 2001)


def test_what_hangs_for_a_minute_is_broken_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "HUNG_SECONDS", 0.05)
    stage.post.open.clear()
    stage.sink.offer(list(many(1, 1)))
    wait_for(lambda: stage.post.attempts == 1)

    def look() -> bool:
        stage.sink.interrupt_if_hung()
        return bool(stage.post.sent)

    wait_for(look)
    assert stage.log.names == ["sink_hung"]


def test_a_pause_is_not_cut_short_by_new_records(tmp_path: Path) -> None:
    post = Post()
    stage = Stage(tmp_path, post, Pauses(first=60.0))
    post.fail = failing(1, UnreachableError(Failure.CONNECT, "nobody there"))
    stage.sink.start()
    stage.sink.offer(list(many(1, 1)))
    wait_for(lambda: stage.sink.statistics.is_failing)
    for n in range(2, 12):
        stage.sink.offer(list(many(n, n)))
    assert not Event().wait(0.1)
    assert post.attempts == 1
    stage.sink.renew()  # an operator who reloads wants to see it work
    wait_for(lambda: len(post.sent) == 11)
    assert post.renewed == 1
    stage.end()


def test_pauses_double_up_to_a_bound_and_are_partly_chance() -> None:
    pauses = Pauses(first=1.0, longest=60.0)
    for failures, most in ((1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (1000, 60.0)):
        found = [pauses.after(failures) for _ in range(200)]
        assert most / 2 <= min(found) <= max(found) <= most
        assert len(set(found)) > 100


def test_the_far_ends_wish_when_to_come_again_is_kept_within_reason(tmp_path: Path) -> None:
    post = Post()
    stage = Stage(tmp_path, post)
    error = UnreachableError(Failure.BUSY, "429", retry_after=0.3)
    post.fail = failing(1, error)
    begin = monotonic()
    stage.sink.start()
    stage.sink.offer(list(many(1, 1)))
    wait_for(lambda: post.sent)
    assert monotonic() - begin >= 0.3
    stage.end()


def test_stopping_hands_over_what_it_can(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Post())
    stage.sink.offer(list(many(1, 500)))
    stage.sink.start()
    stage.end()
    assert stage.post.sent == list(range(1, 501))
    assert stage.post.closed == 1
    assert not stage.sink.statistics.is_alive


def test_stopping_does_not_wait_for_what_fails_or_hangs(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Post())
    stage.post.fail = failing(10**6, UnreachableError(Failure.CONNECT, "nobody there"))
    stage.sink.offer(list(many(1, 5)))
    stage.sink.start()
    wait_for(lambda: stage.sink.statistics.is_failing)
    begin = monotonic()
    stage.end()
    assert monotonic() - begin < 2
    assert stage.spool.backlog.records == 5

    (tmp_path / "other").mkdir()
    hung = Stage(tmp_path / "other", Post())
    hung.post.open.clear()
    hung.sink.offer(list(many(1, 5)))
    hung.sink.start()
    wait_for(lambda: hung.post.attempts == 1)
    begin = monotonic()
    hung.end(timeout=0.2)
    assert monotonic() - begin < 2


def test_what_was_left_goes_out_first_after_a_restart(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Post())
    stage.post.fail = failing(10**6, UnreachableError(Failure.CONNECT, "nobody there"))
    stage.sink.offer(list(many(1, 5)))
    stage.sink.start()
    wait_for(lambda: stage.sink.statistics.is_failing)
    stage.end()
    again = Stage(tmp_path, Post())
    again.sink.offer(list(many(6, 7)))
    again.sink.start()
    wait_for(lambda: len(again.post.sent) == 7)
    assert again.post.sent == [1, 2, 3, 4, 5, 6, 7]
    again.end()


def test_a_transport_with_duties_is_asked_when_it_says(tmp_path: Path) -> None:
    post = Post()
    post.next = 0.01
    stage = Stage(tmp_path, post)
    stage.sink.start()
    wait_for(lambda: post.tended > 5)
    stage.end()


def test_a_duty_that_fails_is_a_failure(tmp_path: Path) -> None:
    post = Post()

    def tend() -> float | None:
        post.tended += 1
        if post.tended < 3:
            raise RefusedError(Failure.REFUSED, "answered 400")
        return None

    post.tend = tend  # type: ignore[method-assign]  # what this test is about
    stage = Stage(tmp_path, post)
    stage.sink.start()
    wait_for(lambda: post.tended == 3)
    wait_for(lambda: not stage.sink.statistics.is_failing)
    assert stage.sink.statistics.failures == {"refused": 2}
    stage.end()


def test_the_oldest_tells_for_how_long_the_sink_has_been_down(stage: Stage) -> None:
    stage.post.fail = failing(10**6, UnreachableError(Failure.CONNECT, "nobody there"))
    stage.sink.offer(list(many(1, 2)))
    wait_for(lambda: stage.sink.statistics.is_failing)
    assert stage.sink.statistics.oldest == NOON
    stage.spool.store(NOON + SECOND)
    assert stage.sink.statistics.oldest == NOON
    assert stage.sink.statistics.backlog_records == 2
