"""The listener answers three paths to those who may ask, and nobody can hold it up."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
import warnings
from base64 import b64encode
from contextlib import closing, contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple

import pytest
from certificates import make_key_pair
from sample_snapshot import NOON, full_snapshot

from egressd.model import ConfigError
from egressd.report import listener as listener_module
from egressd.report.listener import MAXIMUM_CONNECTIONS, MetricsListener
from egressd.report.metrics import Exposition, Snapshot
from egressd.report.passwords import hash_password
from egressd.settings.metrics import MetricsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANYWHERE = MetricsSettings(address="127.0.0.1", port=0)


@pytest.fixture(autouse=True)
def _quick_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "SWEEP_SECONDS", 0.02)


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def serving(
    settings: MetricsSettings = ANYWHERE, snapshot: Snapshot | None = None
) -> Iterator[MetricsListener]:
    exposition = Exposition()
    exposition.publish(snapshot or full_snapshot())
    with MetricsListener(settings, exposition) as listener:
        yield listener


def ask(
    listener: MetricsListener, path: str = "/metrics", method: str = "GET", **headers: str
) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", listener.port, timeout=5)) as connection:
        return answer_of(connection, path, method, headers)


def answer_of(
    connection: http.client.HTTPConnection, path: str, method: str, headers: dict[str, str]
) -> Answer:
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    return Answer(response.status, dict(response.getheaders()), response.read())


def counted(listener: MetricsListener, name: str, label: str) -> float:
    """Return one of the listener's own counters, as it stands and not as it was rendered."""
    server = listener._server  # noqa: SLF001 - no scrape may disturb what is counted
    if name == "refused":
        return server.refused[label]
    return {str(code.value): count for code, count in server.answered.items()}.get(label, 0)


def eventually(condition: object, seconds: float = 3.0) -> bool:
    """Wait for a condition that another thread makes true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator] # a function without arguments
            return True
        time.sleep(0.01)
    return False


def is_cut_off(connection: socket.socket) -> bool:
    """Say whether the other end hung up; which way depends on what it had read."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def drip(connection: socket.socket) -> None:
    """Send a request byte by byte, far too slowly."""
    for _ in range(200):
        connection.sendall(b"G")
        time.sleep(0.02)


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


# ---- what is answered ---------------------------------------------------------------------------


def test_metrics_are_served_as_text() -> None:
    with serving() as listener:
        answer = ask(listener)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"egressd_frames_total 1000.0" in answer.body
    assert answer.headers["Server"] == "egressd "


def test_openmetrics_is_served_where_it_is_asked_for() -> None:
    with serving() as listener:
        answer = ask(listener, Accept="application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_a_living_program_says_so(path: str) -> None:
    with serving() as listener:
        assert ask(listener, path).status == 200


def test_without_a_snapshot_it_is_healthy_and_not_ready() -> None:
    with MetricsListener(ANYWHERE, Exposition()) as listener:
        statuses = [ask(listener, path).status for path in ("/-/healthy", "/-/ready", "/metrics")]
    assert statuses == [200, 503, 503]


def test_an_old_snapshot_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as listener:
        monkeypatch.setattr("egressd.report.metrics.exposition.STALE_SECONDS", 0.0)
        assert ask(listener, "/-/ready").status == 503
        assert ask(listener).status == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/..%2fetc", "/-/reload", "*"])
def test_nothing_else_is_there(path: str) -> None:
    with serving() as listener:
        assert ask(listener, path).status == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_only_get_is_answered(method: str) -> None:
    with serving() as listener:
        answer = ask(listener, method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_answers_are_counted_by_status() -> None:
    with serving() as listener:
        for path in ("/metrics", "/metrics", "/nothing"):
            ask(listener, path)
        assert counted(listener, "answered", "200") == 2
        assert counted(listener, "answered", "404") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
     b"GET\r\n\r\n",
     b"GET /metrics HTTP/9\r\n\r\n",
     b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
     b"GET /metrics HTTP/1.1\r\n" + b"".join(b"h%d: 1\r\n" % n for n in range(200)) + b"\r\n"],
    ids=["TLS", "no path", "HTTP/9", "a long path", "many headers"],
)  # fmt: skip
def test_nonsense_gets_a_short_complaint(
    request_bytes: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving() as listener:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection:
            connection.sendall(request_bytes)
            answer = connection.recv(4096)
        assert len(answer) < 400
        assert ask(listener).status == 200
    assert capfd.readouterr().err == ""


# ---- who may ask --------------------------------------------------------------------------------


@pytest.fixture
def users(tmp_path: Path) -> str:
    file = tmp_path / "users"
    file.write_text(f"# scrapers\nprometheus:{hash_password('right')}\n")
    file.chmod(0o600)
    return str(file)


def test_who_has_no_password_is_asked_for_one(users: str) -> None:
    with serving(replace(ANYWHERE, users=users)) as listener:
        answer = ask(listener)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert b"egressd_" not in answer.body


def test_the_right_password_opens(users: str) -> None:
    with serving(replace(ANYWHERE, users=users)) as listener:
        for _ in range(3):
            assert ask(listener, Authorization=basic("prometheus", "right")).status == 200


def test_a_wrong_password_does_not_lock_the_right_one_out(users: str) -> None:
    with serving(replace(ANYWHERE, users=users)) as listener:
        assert ask(listener, Authorization=basic("prometheus", "right")).status == 200
        wrong = {ask(listener, Authorization=basic("prometheus", "wrong")).status for _ in range(3)}
        assert wrong == {401, 503}  # one is tried, the next ones are put off
        assert ask(listener, Authorization=basic("prometheus", "right")).status == 200


def test_health_needs_no_password(users: str) -> None:
    with serving(replace(ANYWHERE, users=users)) as listener:
        assert ask(listener, "/-/healthy").status == 200


def test_tls_is_spoken_where_there_is_a_certificate(tmp_path: Path) -> None:
    pair = make_key_pair(tmp_path)
    settings = replace(ANYWHERE, certificate=str(pair.certificate), key=str(pair.key))
    context = ssl.create_default_context(cafile=str(pair.certificate))
    with serving(settings) as listener:
        connection = http.client.HTTPSConnection("127.0.0.1", listener.port, context=context)
        with closing(connection):
            assert answer_of(connection, "/metrics", "GET", {}).status == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(listener)  # in the clear
        assert eventually(lambda: counted(listener, "refused", "broken") == 1)


def test_old_tls_is_refused(tmp_path: Path) -> None:
    pair = make_key_pair(tmp_path)
    settings = replace(ANYWHERE, certificate=str(pair.certificate), key=str(pair.key))
    context = ssl.create_default_context(cafile=str(pair.certificate))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(settings) as listener:
        connection = http.client.HTTPSConnection("127.0.0.1", listener.port, context=context)
        with closing(connection), pytest.raises(OSError):  # noqa: PT011 - reset or alert, as it comes
            answer_of(connection, "/metrics", "GET", {})


@pytest.mark.parametrize(
    ("scrapers", "status"),
    [((), 200), (("192.0.2.10/32",), 200)],
    ids=["nobody is named", "another machine is named"],
)
def test_this_machine_may_always_ask(scrapers: tuple[str, ...], status: int) -> None:
    networks = tuple(ip_network(text) for text in scrapers)
    with serving(replace(ANYWHERE, scrapers=networks)) as listener:
        assert ask(listener).status == status


@pytest.mark.parametrize(
    ("address", "is_let_in"),
    [("192.0.2.10", True), ("192.0.2.11", False), ("::ffff:192.0.2.10", True),
     ("::ffff:192.0.2.11", False), ("2001:db8::5", True), ("2001:db9::5", False),
     ("127.0.0.1", True), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_strangers_are_turned_away(address: str, *, is_let_in: bool) -> None:
    scrapers = (ip_network("192.0.2.10/32"), ip_network("2001:db8::/32"))
    with serving(replace(ANYWHERE, scrapers=scrapers)) as listener:
        server = listener._server  # noqa: SLF001 - loopback has one address to come from
        assert server.verify_request(None, (address, 1)) is is_let_in
        assert server.refused["stranger"] == (not is_let_in)


# ---- what cannot be served ----------------------------------------------------------------------


def refusal(settings: MetricsSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        MetricsListener(settings, Exposition())
    return str(caught.value)


def test_a_port_in_use_is_told() -> None:
    with serving() as listener:
        told = refusal(replace(ANYWHERE, port=listener.port))
    assert "Address already in use" in told
    assert "write an address of this machine and a port that is free" in told


def test_an_address_of_another_machine_is_told() -> None:
    assert "192.0.2.1" in refusal(replace(ANYWHERE, address="192.0.2.1"))


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    pair = make_key_pair(tmp_path)
    pair.key.chmod(0o644)
    told = refusal(replace(ANYWHERE, certificate=str(pair.certificate), key=str(pair.key)))
    assert told == f"{pair.key}: others can read it; run chmod o= {pair.key}"


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    pair = make_key_pair(tmp_path, passphrase=b"secret")
    told = refusal(replace(ANYWHERE, certificate=str(pair.certificate), key=str(pair.key)))
    assert "without a passphrase" in told


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    pair = make_key_pair(tmp_path)
    (tmp_path / "b").mkdir()
    other = make_key_pair(tmp_path / "b")
    told = refusal(replace(ANYWHERE, certificate=str(pair.certificate), key=str(other.key)))
    assert "cannot be used" in told


def test_a_certificate_without_a_key_is_refused(tmp_path: Path) -> None:
    pair = make_key_pair(tmp_path)
    told = refusal(replace(ANYWHERE, certificate=str(pair.certificate)))
    assert "write both" in told


def test_a_listener_that_is_off_cannot_be_made() -> None:
    assert "off" in refusal(replace(ANYWHERE, address=None))


# ---- a reload -----------------------------------------------------------------------------------


def test_a_reload_takes_new_users(users: str, tmp_path: Path) -> None:
    with serving() as listener:
        settings = replace(ANYWHERE, users=users)
        assert listener.reload(settings)
        assert ask(listener).status == 401
        (tmp_path / "users").write_text("prometheus:plain\n")
        with pytest.raises(ConfigError, match="passwords are not taken"):
            listener.reload(settings)
        assert ask(listener, Authorization=basic("prometheus", "right")).status == 200


def test_a_reload_cannot_move_the_listener() -> None:
    with serving() as listener:
        assert not listener.reload(replace(ANYWHERE, port=1))
        assert ask(listener).status == 200


# ---- who wants to hold it up --------------------------------------------------------------------


def test_connections_are_few_and_the_next_one_is_told_off() -> None:
    with serving() as listener:
        where = ("127.0.0.1", listener.port)
        idle = [socket.create_connection(where, timeout=5) for _ in range(MAXIMUM_CONNECTIONS)]
        server = listener._server  # noqa: SLF001 - only it knows who has been let in
        assert eventually(lambda: len(server._open) == MAXIMUM_CONNECTIONS)  # noqa: SLF001
        with socket.create_connection(where, timeout=5) as late:
            assert is_cut_off(late)
        assert counted(listener, "refused", "connections") == 1
        for connection in idle:
            connection.close()
        assert eventually(lambda: not server._open)  # noqa: SLF001
        assert ask(listener).status == 200


def test_who_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "CONNECTION_SECONDS", 0.2)
    with serving() as listener:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection:
            assert is_cut_off(connection)
        assert counted(listener, "refused", "time") == 1


def test_who_sends_a_byte_now_and_then_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "CONNECTION_SECONDS", 0.3)
    with serving() as listener:
        began = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection,
            pytest.raises(OSError),  # noqa: PT011 - reset or closed, as it comes
        ):
            drip(connection)
        assert time.monotonic() - began < 3
        assert counted(listener, "refused", "time") == 1


def test_who_never_shakes_hands_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listener_module, "CONNECTION_SECONDS", 0.2)
    pair = make_key_pair(tmp_path)
    settings = replace(ANYWHERE, certificate=str(pair.certificate), key=str(pair.key))
    with serving(settings) as listener:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection:
            assert is_cut_off(connection)
        assert eventually(lambda: counted(listener, "refused", "time") == 1)
        server = listener._server  # noqa: SLF001 - only it knows who is there
        assert eventually(lambda: not server._open)  # noqa: SLF001
    assert capfd.readouterr().err == ""


def test_closing_does_not_wait_for_visitors() -> None:
    with serving() as listener:
        visitor = socket.create_connection(("127.0.0.1", listener.port), timeout=5)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    with visitor:
        assert is_cut_off(visitor)


def test_publishing_never_waits_for_a_scrape() -> None:
    exposition = Exposition()
    exposition.publish(full_snapshot())
    rendering = threading.Event()
    go_on = threading.Event()

    class Slow(tuple):  # type: ignore[type-arg] # stands in for the cameras
        __slots__ = ()

        def __iter__(self) -> Iterator[object]:
            rendering.set()
            go_on.wait(5)
            return iter(())

    exposition.publish(Snapshot(taken=NOON, cameras=Slow()))
    scrape = threading.Thread(target=exposition.render)
    scrape.start()
    assert rendering.wait(5)
    began = time.monotonic()
    exposition.publish(full_snapshot())
    assert time.monotonic() - began < 0.1
    assert scrape.is_alive()
    go_on.set()
    scrape.join(5)


def test_it_asks_no_resolver_for_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_resolver(*_: object) -> object:
        raise AssertionError

    for name in ("getfqdn", "gethostbyaddr", "gethostbyname", "getnameinfo"):
        monkeypatch.setattr(socket, name, ask_resolver)
    with serving() as listener, socket.socket() as connection:
        connection.connect(("127.0.0.1", listener.port))
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert connection.recv(16).startswith(b"HTTP/1.1 200")
