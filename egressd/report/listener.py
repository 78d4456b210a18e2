"""Answers Prometheus: GET /metrics, /-/healthy and /-/ready, and nothing else.

On loopback unless the site file says otherwise, with TLS and passwords if it does.
It runs in threads of its own and reads what the engine's thread published last.
Whoever connects gets little: so many connections at a time, so many seconds each,
no names looked up (that would be a packet), no line in the log.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Self

from egressd.model import ConfigError
from egressd.report.metrics.family import Row, counter
from egressd.report.passwords import Admission, check_private, load_users

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network
    from types import TracebackType

    from egressd.model import Seconds
    from egressd.report.metrics.exposition import Exposition
    from egressd.report.metrics.family import Family
    from egressd.report.passwords import Users
    from egressd.settings.metrics import MetricsSettings

MAXIMUM_CONNECTIONS = 8
IDLE_SECONDS: Seconds = 5.0  # between two bytes
CONNECTION_SECONDS: Seconds = 20.0  # in all; Prometheus gives up after 10 by default
SWEEP_SECONDS: Seconds = 0.25

PLAIN = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus exposition formats
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
WORDS = "text/plain; charset=utf-8"

STATUSES = (
    HTTPStatus.OK,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
REFUSALS = (
    "connections",  # too many at a time
    "stranger",  # not one of the scrapers
    "time",  # took too long
    "broken",  # the connection or its TLS handshake failed
)


class MetricsListener:
    """Serves an exposition. The port is bound at once, and answered from `start` on."""

    def __init__(self, settings: MetricsSettings, exposition: Exposition) -> None:
        if settings.address is None:
            raise ConfigError("metrics.listen is off: there is nothing to serve")
        self._where = (settings.address, settings.port)
        door = _door_of(settings)
        try:
            self._server = _Server(settings.address, settings.port, exposition, door)
        except OSError as error:
            where = f"{settings.address} port {settings.port}"
            raise ConfigError(
                f"metrics.listen: cannot listen on {where}: {error.strerror or error}; "
                "write an address of this machine and a port that is free"
            ) from error
        exposition.add(listener_families(self._server.answered, self._server.refused))
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": SWEEP_SECONDS},
            name="metrics",
            daemon=True,
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def reload(self, settings: MetricsSettings) -> bool:
        """Take certificate, key, users and scrapers anew; with a ConfigError the old ones stay.

        Return False if address or port have changed, too: they need a restart.
        """
        self._server.door = _door_of(settings)
        return (settings.address, settings.port) == self._where

    def close(self) -> None:
        """Stop listening; what is being answered is cut off."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def listener_families(
    answered: Mapping[HTTPStatus, int], refused: Mapping[str, int]
) -> tuple[Family, ...]:
    """Return the families about the listener itself."""
    return (
        counter(
            "egressd_listener_requests_total",
            "Requests answered, by status.",
            ("code",),
            lambda _: [Row((str(code.value),), answered.get(code, 0)) for code in STATUSES],
        ),
        counter(
            "egressd_listener_refused_connections_total",
            "Connections that got no answer, by reason.",
            ("reason",),
            lambda _: [Row((reason,), refused.get(reason, 0)) for reason in REFUSALS],
        ),
    )


class _Door:
    """What a visitor must bring: TLS, a password, an address."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        users: Users | None,
        scrapers: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        self.context = context
        self.users = users
        self._scrapers = tuple(scrapers)

    def lets_in(self, address: str) -> bool:
        """Say whether an address may connect: this machine always may."""
        if not self._scrapers:
            return True
        peer = ip_address(address.partition("%")[0])
        if peer.version == 6 and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return peer.is_loopback or any(
            peer.version == network.version and peer in network for network in self._scrapers
        )


def _door_of(settings: MetricsSettings) -> _Door:
    users = None if settings.users is None else load_users(Path(settings.users))
    if (settings.certificate is None) != (settings.key is None):
        raise ConfigError("metrics.tls: certificate and key belong together; write both")
    if settings.certificate is None or settings.key is None:
        return _Door(None, users, settings.scrapers)
    check_private(Path(settings.key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"metrics.tls: {settings.certificate} and {settings.key} cannot be used: {reason}; "
            "write a PEM certificate and its key, without a passphrase"
        ) from error
    return _Door(context, users, settings.scrapers)


def _no_password() -> str:
    raise ValueError("the key has a passphrase")


class _Server(ThreadingMixIn, TCPServer):
    """Connections, each in a thread, counted and timed.

    Not http.server's: that one asks the resolver for its own name when it is bound.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * MAXIMUM_CONNECTIONS

    def __init__(self, address: str, port: int, exposition: Exposition, door: _Door) -> None:
        self.exposition = exposition
        self.door = door
        self.answered: Counter[HTTPStatus] = Counter()
        self.refused: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, Seconds] = {}  # with the moment by which each must end
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), _Handler)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self.socket.getsockname()[1])

    def count(self, code: HTTPStatus) -> None:
        """Count an answer."""
        with self._lock:
            self.answered[code] += 1

    def refuse(self, reason: str) -> None:
        """Count a connection that gets no answer."""
        with self._lock:
            self.refused[reason] += 1

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Turn strangers away before a thread is made for them."""
        del request
        if self.door.lets_in(client_address[0]):
            return True
        self.refuse("stranger")
        return False

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override] # TCP has no datagrams
        """Answer in a thread, if there are not too many already."""
        with self._lock:
            full = len(self._open) >= MAXIMUM_CONNECTIONS
            if not full:
                self._open[request] = time.monotonic() + CONNECTION_SECONDS
        if full:
            self.refuse("connections")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override] # TCP has no datagrams
        """Answer; what goes wrong with the connection is counted."""
        deadline = self._open.get(request, 0.0)
        request.settimeout(IDLE_SECONDS)
        try:
            context = self.door.context
            if context is None:
                super().finish_request(request, client_address)
            else:
                self._finish_secured(context, request, client_address, deadline)
        except TimeoutError:
            self.refuse("time")
        except OSError:
            if time.monotonic() < deadline:  # else it was cut off, and is counted
                self.refuse("broken")

    def _finish_secured(
        self,
        context: ssl.SSLContext,
        request: socket.socket,
        client_address: object,
        deadline: Seconds,
    ) -> None:
        with context.wrap_socket(
            request, server_side=True, do_handshake_on_connect=False
        ) as secured:
            with self._lock:  # the plain socket has handed its descriptor over
                self._open.pop(request, None)
                self._open[secured] = deadline
            try:
                secured.do_handshake()
                super().finish_request(secured, client_address)
            finally:
                with self._lock:
                    self._open.pop(secured, None)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override] # TCP has no datagrams
        """Forget a connection and close it."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off, several times a second, whoever has been here too long."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, end in self._open.items() if end < now]
        for connection in late:
            self.refuse("time")
            _cut(connection)
            with self._lock:
                self._open.pop(connection, None)

    def hang_up(self) -> None:
        """Cut everybody off."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        # Wakes the thread that reads or writes it. SSLSocket's own takes the TLS state away.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One request, one answer, and the connection ends."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "egressd"
    sys_version = ""
    timeout = IDLE_SECONDS
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = WORDS

    def parse_request(self) -> bool:
        """Read the head; any method but GET is answered at once."""
        if not super().parse_request():
            return False
        if self.command == "GET":
            return True
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET is answered\n", {"Allow": "GET"})
        return False

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        path = self.path.partition("?")[0]
        if path == "/-/healthy":
            self._say(HTTPStatus.OK, b"healthy\n")
        elif path == "/-/ready":
            self._ready()
        elif path == "/metrics":
            self._metrics()
        else:
            self._say(HTTPStatus.NOT_FOUND, b"only /metrics, /-/healthy and /-/ready are here\n")

    def _ready(self) -> None:
        if self.server.exposition.is_ready:
            self._say(HTTPStatus.OK, b"ready\n")
        else:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, b"the engine has told nothing lately\n")

    def _metrics(self) -> None:
        users = self.server.door.users
        if users is not None:
            admission = users.admission_of(self.headers.get("Authorization"))
            if admission is Admission.REFUSED:
                challenge = {"WWW-Authenticate": 'Basic realm="egressd", charset="UTF-8"'}
                self._say(HTTPStatus.UNAUTHORIZED, b"user and password, please\n", challenge)
                return
            if admission is Admission.LATER:
                wrong = b"too many wrong passwords lately\n"
                self._say(HTTPStatus.SERVICE_UNAVAILABLE, wrong, {"Retry-After": "1"})
                return
        wants_openmetrics = "application/openmetrics-text" in self.headers.get("Accept", "")
        text = self.server.exposition.render(as_openmetrics=wants_openmetrics)
        if text is None:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, b"the engine has told nothing yet\n")
            return
        kind = OPENMETRICS if wants_openmetrics else PLAIN
        self._say(HTTPStatus.OK, text, {"Content-Type": kind})

    def _say(self, code: HTTPStatus, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Type": WORDS} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def send_response(self, code: int, message: str | None = None) -> None:
        """Count every answer, those of the base class's complaints among them."""
        known = HTTPStatus(code)
        self.server.count(known if known in STATUSES else HTTPStatus.BAD_REQUEST)
        super().send_response(code, message)

    def log_error(self, _: str, *about: object) -> None:
        """Count who keeps us waiting; complaints are counted where they are sent."""
        if about and isinstance(about[0], TimeoutError):
            self.server.refuse("time")

    def log_message(self, *_: object) -> None:
        """Write nothing: what strangers send has no place in the log."""
