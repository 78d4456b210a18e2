"""Syslog: the message to the byte, three transports, and when it counts as delivered."""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from sink_stage import (
    NOON,
    Authority,
    ListLog,
    StreamReceiver,
    free_port,
    plain_record,
    record,
    wait_for,
)

from egressd.model import Camera, Evidence, Stage
from egressd.report.sinks.delivery import Delivery, Pauses
from egressd.report.sinks.spool import Spool
from egressd.report.sinks.syslog import LONGEST, Syslog, message_of
from egressd.report.sinks.told import told_of
from egressd.report.sinks.transport import Failure, RefusedError, UnreachableError
from egressd.settings.sinks import Secret, SyslogSettings, SyslogTransport, Tls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# RFC 5424, section 6, as far as we use it.
MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) "
    rb'\[egressd@(\d+)((?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*)\] (\{.*\})'
)


def to(
    port: int, transport: SyslogTransport = SyslogTransport.TCP, tls: Tls | None = None
) -> SyslogSettings:
    return SyslogSettings(
        name="siem", host="127.0.0.1", port=port, transport=transport, tls=tls or Tls()
    )


def finding_ids(messages: list[bytes]) -> list[str]:
    return [json.loads(m[m.index(b"] {") + 2 :])["egressd"]["finding"] for m in messages]


def names(first: int, last: int) -> list[str]:
    return [f"f-{n}" for n in range(first, last + 1)]


OPENED: list[Syslog] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def open_syslog(wanted: SyslogSettings, *, timeout: float = 10.0) -> Syslog:
    """Return a sink that is closed when the test is over."""
    OPENED.append(Syslog(wanted, timeout))
    return OPENED[-1]


# ---- the message ---------------------------------------------------------------------------------


def test_the_message_is_what_rfc_5424_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "sensor-1")
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    one = record(1)
    message = message_of(told_of(one), to(1))
    head, _, rest = message.partition(b" [")
    assert head == b"<26>1 2026-11-22T12:00:12.000000Z sensor-1 egressd 4711 cloud-contact"
    data, _, text = rest.partition(b"] ")
    assert data == (
        b'egressd@32473 id="f-1-payload-1" finding="f-1" rule="cloud-contact" stage="payload" '
        b'camera="gate-1" destination="192.0.2.7" port="443" transport="tcp" '
        b'name="dev.example.com" site="Depot North"'
    )
    assert text == one.text.encode()


@pytest.mark.parametrize(("severity", "priority"), [(1, b"<26>"), (2, b"<28>"), (3, b"<29>")])
def test_the_priority_is_of_the_facility_and_the_severity(severity: int, priority: bytes) -> None:
    assert message_of(told_of(record(1, severity=severity)), to(1)).startswith(priority)


def test_signs_that_mean_something_in_structured_data_are_escaped() -> None:
    camera = Camera(id="x", name='a"b]c\\d')
    message = message_of(told_of(record(1, camera=camera)), to(1))
    assert rb' camera="a\"b\]c\\d" ' in message
    assert MESSAGE.fullmatch(message)


def test_a_name_beyond_ascii_is_utf_8() -> None:
    message = message_of(told_of(record(1, camera=Camera(id="x", name="Tör"))), to(1))
    assert ' camera="Tör" '.encode() in message


def test_a_lookup_has_no_destination_and_says_nothing_of_one() -> None:
    one = record(1, stage=Stage.LOOKUP)
    text = one.text.replace('"ip":"192.0.2.7","port":443', '"ip":null,"port":null')
    message = message_of(told_of(plain_record(1, text, is_alert=True)), to(1))
    assert b" destination=" not in message
    assert b" port=" not in message
    assert MESSAGE.fullmatch(message)


def test_a_long_alert_loses_what_can_be_spared_and_says_so() -> None:
    evidence = [Evidence("oui", "x" * 200, 0.5) for _ in range(60)]
    camera = Camera(id="x", name="gate-1", evidence=evidence)
    message = message_of(told_of(record(1, camera=camera)), to(1))
    assert len(message) <= LONGEST
    eve = json.loads(message[message.index(b"] {") + 2 :])
    assert eve["egressd"]["camera"]["evidence"] == []
    assert eve["egressd"]["left_out"] == ["camera.evidence"]
    assert eve["egressd"]["evidence"] == {"file": "eth0", "frames": [7]}


def test_an_alert_that_stays_too_long_is_refused() -> None:
    with pytest.raises(RefusedError, match="longer than"):
        message_of(told_of(record(1, reason="x" * 9000)), to(1))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"egressd":{}}', '{"egressd":[]}'])
def test_what_is_no_alert_is_refused(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        open_syslog(to(1)).deliver([plain_record(1, text)])
    assert caught.value.failure is Failure.FORMAT


# ---- UDP -----------------------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def test_one_datagram_is_one_message(collector: socket.socket) -> None:
    syslog = open_syslog(to(collector.getsockname()[1], SyslogTransport.UDP))
    syslog.deliver([record(1), record(2)])
    got = [collector.recv(65536) for _ in range(2)]
    assert finding_ids(got) == ["f-1", "f-2"]
    assert all(MESSAGE.fullmatch(message) for message in got)


def test_a_collector_that_is_not_there_is_noticed_where_the_network_says_so() -> None:
    syslog = open_syslog(to(free_port(), SyslogTransport.UDP))
    with pytest.raises(UnreachableError) as caught:
        syslog.deliver([record(n) for n in range(1, 10)])
    assert caught.value.failure is Failure.CONNECT
    assert caught.value.delivered < 9


# ---- TCP -----------------------------------------------------------------------------------------


def test_messages_are_framed_by_their_length() -> None:
    with StreamReceiver() as siem:
        syslog = open_syslog(to(siem.port))
        syslog.deliver([record(1), record(2, camera=Camera(id="x", name="Tör"))])
        syslog.deliver([record(3)])
        wait_for(lambda: len(siem.messages) == 3)
        assert finding_ids(siem.messages) == names(1, 3)
        assert siem.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_anew() -> None:
    with StreamReceiver() as siem:
        siem.close_after = 1
        syslog = open_syslog(to(siem.port))
        got = []
        for n in range(1, 4):
            with suppress(UnreachableError):  # closed before the acknowledgement was looked at
                syslog.deliver([record(n)])
            wait_for(lambda n=n: len(siem.messages) == n)  # type: ignore[misc]  # bound here
            got = finding_ids(siem.messages)
        assert got == names(1, 3)


def fill(syslog: Syslog) -> None:
    """Send until the buffers of both sides are full."""
    for n in range(1, 5000):
        syslog.deliver([record(n)])


def test_what_the_far_end_has_not_acknowledged_is_not_delivered() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    syslog = open_syslog(to(listener.getsockname()[1]), timeout=0.3)
    begin = monotonic()
    with pytest.raises(UnreachableError) as caught:
        fill(syslog)
    assert caught.value.failure is Failure.TIMEOUT
    assert monotonic() - begin < 10
    listener.close()


def test_a_connection_that_is_reset_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    spool = Spool(tmp_path / "siem.sqlite", 10_000_000)
    sink = Delivery(
        "siem", "syslog", spool, open_syslog(to(port)), clock=lambda: NOON, log=ListLog(),
        pauses=Pauses(0.01, 0.05),
    )  # fmt: skip
    sink.start()
    got: list[bytes] = []
    for round_ in range(3):
        with StreamReceiver(port=port) as siem:
            sink.offer([record(n) for n in range(round_ * 20 + 1, round_ * 20 + 21)])
            wait_for(lambda siem=siem, r=round_: f"f-{r * 20 + 20}" in finding_ids(siem.messages))  # type: ignore[misc]  # bound here
            wait_for(lambda: sink.statistics.backlog_records == 0)
            got += siem.messages
        sink.offer([record(1000 + round_)])
    sink.stop(monotonic() + 0.1)
    sink.join()
    told = finding_ids(got)
    assert set(names(1, 60)) <= set(told)
    firsts = [n for n in dict.fromkeys(told) if len(n) < 6]
    assert firsts == names(1, 60)
    spool.close(NOON)


def test_a_port_where_nobody_listens_is_a_failure_to_connect() -> None:
    with pytest.raises(UnreachableError) as caught:
        open_syslog(to(free_port())).deliver([record(1)])
    assert caught.value.failure is Failure.CONNECT


def test_a_hanging_connection_can_be_broken_off() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    syslog = open_syslog(to(listener.getsockname()[1]))
    caught: list[UnreachableError] = []

    def deliver() -> None:
        try:
            fill(syslog)
        except UnreachableError as error:
            caught.append(error)

    thread = Thread(target=deliver)
    thread.start()

    def broken() -> bool:
        syslog.interrupt()
        return bool(caught)

    wait_for(broken)
    thread.join()
    listener.close()


# ---- TLS -----------------------------------------------------------------------------------------


def test_messages_travel_encrypted_to_a_collector_that_proves_itself(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with StreamReceiver(authority.server("127.0.0.1")) as siem:
        syslog = open_syslog(to(siem.port, SyslogTransport.TLS, Tls(ca=str(authority.ca))))
        syslog.deliver([record(1)])
        syslog.deliver([record(2)])
        wait_for(lambda: len(siem.messages) == 2)
        assert finding_ids(siem.messages) == names(1, 2)
        assert siem.connections == 1


def test_a_collector_with_a_wrong_name_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with StreamReceiver(authority.server("192.0.2.1")) as siem:
        with pytest.raises(UnreachableError) as caught:
            open_syslog(to(siem.port, SyslogTransport.TLS, Tls(ca=str(authority.ca)))).deliver(
                [record(1)]
            )
        assert caught.value.failure is Failure.TLS
        assert "certificate" in str(caught.value)
        assert siem.messages == []


def test_a_collector_of_another_authority_gets_nothing(tmp_path: Path) -> None:
    believed, other = Authority(tmp_path), Authority(tmp_path, "other")
    with StreamReceiver(other.server("127.0.0.1")) as siem:
        with pytest.raises(UnreachableError) as caught:
            open_syslog(to(siem.port, SyslogTransport.TLS, Tls(ca=str(believed.ca)))).deliver(
                [record(1)]
            )
        assert caught.value.failure is Failure.TLS
        assert siem.messages == []


def test_a_collector_without_tls_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with StreamReceiver() as siem:
        syslog = open_syslog(
            to(siem.port, SyslogTransport.TLS, Tls(ca=str(authority.ca))), timeout=0.5
        )
        with pytest.raises(UnreachableError):
            syslog.deliver([record(1)])
        assert finding_ids([m for m in siem.messages if b"] {" in m]) == []


def test_a_client_certificate_is_shown_and_its_lack_is_noticed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.give("sensor")
    with StreamReceiver(authority.server("127.0.0.1", asks=True)) as siem:
        with_one = Tls(ca=str(authority.ca), cert=str(cert), key=Secret(file=str(key)))
        open_syslog(to(siem.port, SyslogTransport.TLS, with_one)).deliver([record(1)])
        wait_for(lambda: finding_ids(siem.messages) == ["f-1"])
        # Under TLS 1.3 the handshake has ended for us when the far end begins to look.
        without = open_syslog(to(siem.port, SyslogTransport.TLS, Tls(ca=str(authority.ca))))
        with pytest.raises(UnreachableError) as caught:
            without.deliver([record(2)])
        assert caught.value.failure is Failure.TLS
        assert finding_ids(siem.messages) == ["f-1"]


def test_certificates_that_cannot_be_read_keep_alerts_waiting(tmp_path: Path) -> None:
    with StreamReceiver() as siem:
        nowhere = Tls(ca=str(tmp_path / "nowhere.pem"))
        with pytest.raises(UnreachableError, match="No such file") as caught:
            open_syslog(to(siem.port, SyslogTransport.TLS, nowhere)).deliver([record(1)])
        assert caught.value.failure is Failure.CREDENTIAL
