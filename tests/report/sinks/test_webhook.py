"""The webhook: what is signed and how, which answers mean what, and who is believed."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from sink_stage import (
    NOON,
    Authority,
    Clock,
    HttpReceiver,
    ListLog,
    free_port,
    many,
    record,
    secret_file,
    wait_for,
)

from egressd import __version__
from egressd.report.sinks.delivery import Delivery, Pauses
from egressd.report.sinks.spool import Spool
from egressd.report.sinks.transport import Failure, RefusedError, UnreachableError
from egressd.report.sinks.webhook import Webhook
from egressd.settings.sinks import Secret, Tls, Url, WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def soc() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


def settings(
    folder: Path,
    port: int,
    *,
    host: str = "127.0.0.1",
    tls: Tls | None = None,
    path: str = "/hook?a=1",
) -> WebhookSettings:
    return WebhookSettings(
        name="soc",
        url=Url(host, port, path, encrypted=tls is not None),
        secret=Secret(file=secret_file(folder)),
        tls=tls or Tls(),
    )


OPENED: list[Webhook] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def open_hook(wanted: WebhookSettings, clock: Clock, *, timeout: float = 10.0) -> Webhook:
    """Return a webhook that is closed when the test is over."""
    OPENED.append(Webhook(wanted, clock, timeout))
    return OPENED[-1]


def test_an_alert_arrives_as_it_stands_in_the_eve_file(tmp_path: Path, soc: HttpReceiver) -> None:
    one = record(1)
    open_hook(settings(tmp_path, soc.port), Clock()).deliver([one])
    (request,) = soc.requests
    assert request.path == "/hook?a=1"
    assert request.json == {"version": 1, "id": "f-1-payload-1", "event": json.loads(one.text)}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"egressd/{__version__}"
    assert request.headers["egressd-id"] == "f-1-payload-1"


def test_the_signature_is_over_time_and_body_as_documented(
    tmp_path: Path, soc: HttpReceiver
) -> None:
    open_hook(settings(tmp_path, soc.port), Clock()).deliver([record(1)])
    (request,) = soc.requests
    assert request.headers["egressd-timestamp"] == "1795348800"
    expected = hmac.new(SECRET, b"1795348800." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["egressd-signature"] == f"v1={expected}"


def test_each_attempt_has_its_own_time_and_the_same_id(tmp_path: Path, soc: HttpReceiver) -> None:
    clock = Clock()
    webhook = open_hook(settings(tmp_path, soc.port), clock)
    soc.answers = [503]
    with pytest.raises(UnreachableError):
        webhook.deliver([record(1)])
    clock.go_on(90)
    webhook.deliver([record(1)])
    first, second = soc.requests
    assert first.body == second.body
    assert first.headers["egressd-id"] == second.headers["egressd-id"]
    assert second.headers["egressd-timestamp"] == "1795348890"
    assert first.headers["egressd-signature"] != second.headers["egressd-signature"]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_one(tmp_path: Path, soc: HttpReceiver, status: int) -> None:
    soc.answers = [status]
    webhook = open_hook(settings(tmp_path, soc.port), Clock())
    webhook.deliver([record(1)])
    webhook.deliver([record(2)])
    assert soc.ids == ["f-1-payload-1", "f-2-payload-1"]


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (408, Failure.BUSY),
        (429, Failure.BUSY),
        (500, Failure.SERVER),
        (502, Failure.SERVER),
        (503, Failure.SERVER),
    ],
)
def test_what_may_work_later_is_tried_again(
    tmp_path: Path, soc: HttpReceiver, status: int, failure: Failure
) -> None:
    soc.answers, soc.headers = [status], {"Retry-After": "7"}
    with pytest.raises(UnreachableError) as caught:
        open_hook(settings(tmp_path, soc.port), Clock()).deliver([record(1)])
    assert caught.value.failure is failure
    assert caught.value.retry_after == 7.0
    assert str(status) in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_what_is_refused_is_not_tried_again(tmp_path: Path, soc: HttpReceiver, status: int) -> None:
    soc.answers = [status]
    with pytest.raises(RefusedError) as caught:
        open_hook(settings(tmp_path, soc.port), Clock()).deliver([record(1)])
    assert caught.value.failure is Failure.REFUSED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(tmp_path: Path, soc: HttpReceiver, status: int) -> None:
    with HttpReceiver() as elsewhere:
        soc.answers = [status]
        soc.headers = {"Location": f"http://127.0.0.1:{elsewhere.port}/"}
        with pytest.raises(RefusedError):
            open_hook(settings(tmp_path, soc.port), Clock()).deliver([record(1)])
        assert elsewhere.requests == []


def test_no_proxy_is_used(
    tmp_path: Path, soc: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    open_hook(settings(tmp_path, soc.port), Clock()).deliver([record(1)])
    assert len(soc.requests) == 1


@pytest.mark.parametrize("wish", ["", "soon", "-1", "1e9", "9999999", "Wed, 21 Oct 2026 07:28:00"])
def test_a_wish_that_is_no_number_of_seconds_is_none(
    tmp_path: Path, soc: HttpReceiver, wish: str
) -> None:
    soc.answers, soc.headers = [429], {"Retry-After": wish}
    with pytest.raises(UnreachableError) as caught:
        open_hook(settings(tmp_path, soc.port), Clock()).deliver([record(1)])
    assert caught.value.retry_after is None


def test_one_connection_is_kept_and_one_that_was_closed_is_opened_anew(
    tmp_path: Path, soc: HttpReceiver
) -> None:
    webhook = open_hook(settings(tmp_path, soc.port), Clock())
    webhook.deliver([record(1), record(2)])
    soc.headers = {"Connection": "close"}
    webhook.deliver([record(3)])
    soc.headers = {}
    webhook.deliver([record(4)])
    assert soc.ids == [f"f-{n}-payload-1" for n in range(1, 5)]


def test_a_server_that_was_restarted_gets_the_next_alert(tmp_path: Path) -> None:
    with HttpReceiver() as soc:
        port = soc.port
        webhook = open_hook(settings(tmp_path, port), Clock())
        webhook.deliver([record(1)])
        connection = webhook._poster._connection  # noqa: SLF001 - closed as an idle server does
        assert connection is not None
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        webhook.deliver([record(2)])
        assert soc.ids == ["f-1-payload-1", "f-2-payload-1"]


# ---- the network ---------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        open_hook(settings(tmp_path, free_port()), Clock()).deliver([record(1)])
    assert caught.value.failure is Failure.CONNECT


def test_a_name_that_leads_nowhere_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(UnreachableError) as caught:
        open_hook(settings(tmp_path, 1, host="soc.example"), Clock()).deliver([record(1)])
    assert caught.value.failure is Failure.NAME
    assert "http://soc.example:1/hook" in str(caught.value)


def test_a_server_that_does_not_answer_is_left_after_the_time_out(
    tmp_path: Path, soc: HttpReceiver
) -> None:
    soc.may_answer.clear()
    begin = monotonic()
    with pytest.raises(UnreachableError) as caught:
        open_hook(settings(tmp_path, soc.port), Clock(), timeout=0.1).deliver([record(1)])
    assert caught.value.failure is Failure.TIMEOUT
    assert monotonic() - begin < 2


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        pytest.param(b"", Failure.CLOSED, id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", Failure.CLOSED, id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500, Failure.CLOSED, id="headers"),
        pytest.param(b"HTTP/1.1 200 " + b"x" * 100_000, Failure.CLOSED, id="endless line"),
    ],
)
def test_what_is_no_answer_is_a_failure(tmp_path: Path, answer: bytes, failure: Failure) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = listener.accept()
        with sock, suppress(ConnectionError):  # the client has heard enough
            sock.recv(65536)
            sock.sendall(answer)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    thread = Thread(target=serve)
    thread.start()
    with pytest.raises(UnreachableError) as caught:
        open_hook(settings(tmp_path, listener.getsockname()[1]), Clock()).deliver([record(1)])
    assert caught.value.failure is failure
    thread.join(10)
    listener.close()


def test_a_request_that_hangs_can_be_broken_off(tmp_path: Path, soc: HttpReceiver) -> None:
    soc.may_answer.clear()
    webhook = open_hook(settings(tmp_path, soc.port), Clock())
    caught: list[UnreachableError] = []

    def deliver() -> None:
        try:
            webhook.deliver([record(1)])
        except UnreachableError as error:
            caught.append(error)

    thread = Thread(target=deliver)
    thread.start()

    def broken() -> bool:
        webhook.interrupt()
        return bool(caught)

    wait_for(broken)
    thread.join()


# ---- TLS -----------------------------------------------------------------------------------------


def test_a_server_with_a_good_certificate_is_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with HttpReceiver(authority.server("127.0.0.1")) as soc:
        tls = Tls(ca=str(authority.ca))
        open_hook(settings(tmp_path, soc.port, tls=tls), Clock()).deliver([record(1)])
        assert soc.ids == ["f-1-payload-1"]


def test_a_server_reached_by_address_may_prove_itself_by_its_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with HttpReceiver(authority.server("soc.example")) as soc:
        tls = Tls(ca=str(authority.ca), server_name="soc.example")
        open_hook(settings(tmp_path, soc.port, tls=tls), Clock()).deliver([record(1)])
        assert soc.ids == ["f-1-payload-1"]


@pytest.mark.parametrize(
    ("name", "authority"), [("192.0.2.1", "authority"), ("127.0.0.1", "somebody else")]
)
def test_a_server_with_a_wrong_certificate_gets_nothing(
    tmp_path: Path, name: str, authority: str
) -> None:
    believed = Authority(tmp_path)
    giver = believed if authority == "authority" else Authority(tmp_path, authority)
    with HttpReceiver(giver.server(name)) as soc:
        tls = Tls(ca=str(believed.ca))
        with pytest.raises(UnreachableError) as caught:
            open_hook(settings(tmp_path, soc.port, tls=tls), Clock()).deliver([record(1)])
        assert caught.value.failure is Failure.TLS
        assert "certificate" in str(caught.value)
        assert soc.requests == []


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.give("sensor")
    with HttpReceiver(authority.server("127.0.0.1", asks=True)) as soc:
        tls = Tls(ca=str(authority.ca), cert=str(cert), key=Secret(file=str(key)))
        open_hook(settings(tmp_path, soc.port, tls=tls), Clock()).deliver([record(1)])
        assert soc.ids == ["f-1-payload-1"]
        plain = Tls(ca=str(authority.ca))
        with pytest.raises(UnreachableError):
            open_hook(settings(tmp_path, soc.port, tls=plain), Clock()).deliver([record(2)])
        assert soc.ids == ["f-1-payload-1"]


# ---- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        pytest.param(b"short\n", 0o600, "at least 16", id="short"),
        pytest.param(b"", 0o600, "holds 0 bytes", id="empty"),
        pytest.param(b"x" * 5000, 0o600, "right file", id="too long"),
        pytest.param(SECRET, 0o644, "others can read", id="open"),
    ],
)
def test_a_secret_that_cannot_be_used_keeps_alerts_waiting(
    tmp_path: Path, soc: HttpReceiver, content: bytes, mode: int, told: str
) -> None:
    wanted = settings(tmp_path, soc.port)
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    webhook = open_hook(wanted, Clock())
    with pytest.raises(UnreachableError, match=told) as caught:
        webhook.deliver([record(1)])
    assert caught.value.failure is Failure.CREDENTIAL
    path.write_bytes(SECRET)
    path.chmod(0o600)
    webhook.deliver([record(1)])
    assert soc.ids == ["f-1-payload-1"]


def test_a_new_secret_is_read_when_the_sinks_are_opened_anew(
    tmp_path: Path, soc: HttpReceiver
) -> None:
    webhook = open_hook(settings(tmp_path, soc.port), Clock())
    webhook.deliver([record(1)])
    (tmp_path / "secret").write_bytes(b"another secret of 32 characters.")
    webhook.renew()
    webhook.deliver([record(1)])
    first, second = (request.headers["egressd-signature"] for request in soc.requests)
    assert first != second


def test_a_credential_of_systemd_is_read_where_it_is(
    tmp_path: Path, soc: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hook").write_bytes(SECRET)
    (tmp_path / "hook").chmod(0o400)
    wanted = WebhookSettings(
        name="soc",
        url=Url("127.0.0.1", soc.port, "/", encrypted=False),
        secret=Secret(None, "hook"),
    )
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(UnreachableError, match="LoadCredential=hook"):
        open_hook(wanted, Clock()).deliver([record(1)])
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", os.fspath(tmp_path))
    open_hook(wanted, Clock()).deliver([record(1)])
    assert len(soc.requests) == 1


# ---- the whole sink ------------------------------------------------------------------------------


def test_alerts_of_an_outage_arrive_in_order_when_it_is_over(tmp_path: Path) -> None:
    port = free_port()
    log = ListLog()
    spool = Spool(tmp_path / "soc.sqlite", 1_000_000)
    sink = Delivery(
        "soc", "webhook", spool, open_hook(settings(tmp_path, port), Clock()),
        clock=Clock(), log=log, pauses=Pauses(0.01, 0.05),
    )  # fmt: skip
    sink.start()
    sink.offer([record(n) for n in range(1, 31)])
    wait_for(lambda: sink.statistics.failures.get("connect", 0) > 2)
    with HttpReceiver(port=port) as soc:
        wait_for(lambda: len(soc.requests) == 30)
        assert soc.ids == [f"f-{n}-payload-1" for n in range(1, 31)]
        soc.answers = [500, 429, 503]
        sink.offer([record(31)])
        wait_for(lambda: len(soc.requests) == 34)
        assert soc.ids[30:] == ["f-31-payload-1"] * 4
    sink.stop(monotonic() + 5)
    sink.join()
    assert sink.statistics.delivered == 31
    assert sink.statistics.backlog_records == 0
    spool.close(NOON)


def test_what_is_no_alert_is_refused(tmp_path: Path, soc: HttpReceiver) -> None:
    with pytest.raises(RefusedError, match="no alert"):
        open_hook(settings(tmp_path, soc.port), Clock()).deliver(list(many(1, 1)))
    assert soc.requests == []
