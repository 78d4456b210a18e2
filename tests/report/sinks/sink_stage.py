"""A stage for sinks: findings to tell, a clock and a log to look into, servers that listen.

Addresses are from RFC 5737, names from RFC 2606, the MAC from RFC 7042 section 2.1.2. All servers
listen on loopback only.
"""

from __future__ import annotations

import io
import json
import socket
import socketserver
import ssl
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import Event, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from egressd.model import (
    AlertEvent,
    Camera,
    Country,
    CountryKind,
    Destination,
    Direction,
    Finding,
    FrameRef,
    Name,
    NameSource,
    Party,
    Place,
    Stage,
)
from egressd.report.eve import EveWriter
from egressd.report.sinks.spool import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOON = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z
SECOND = 1_000_000_000
MAC = "00:00:5e:00:53:01"


def finding(name: str = "f-1", stage: Stage = Stage.PAYLOAD, **changes: Any) -> Finding:
    """Return a finding; `changes` are fields of it."""
    made = Finding(
        id=name,
        rule="cloud-contact",
        severity=1,
        camera=Camera(id=MAC, name="gate-1", mac=MAC, ips=["10.20.30.11"], vendor="hikvision"),
        destination=Destination(
            ip="192.0.2.7",
            port=443,
            transport="tcp",
            names=[Name("dev.example.com", NameSource.SNI, NOON)],
            place=Place(
                (Country("CN", CountryKind.REGISTRATION, "iptocc", "2026-11-01"),), 64496, "Example"
            ),
            party=Party.VENDOR,
        ),
        direction=Direction.OUTBOUND,
        stage=stage,
        first=NOON,
        last=NOON + 12 * SECOND,
        bytes_out=1234,
        bytes_in=567,
        protocol="tls",
        protocols=("tls",),
        evidence=[FrameRef("eth0", 7)],
        reason=f"gate-1 reached dev.example.com ({name})",
    )
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def alert(name: str = "f-1", stage: Stage = Stage.PAYLOAD, **changes: Any) -> AlertEvent:
    """Return a finding told."""
    made = finding(name, stage, **changes)
    return AlertEvent(made.last, made)


def line_of(event: AlertEvent) -> str:
    """Return the EVE line of an alert."""
    line = EveWriter(io.StringIO(), site="Depot North").line(event)
    assert line is not None
    return line


def record(
    sequence: int, *, name: str | None = None, stage: Stage = Stage.PAYLOAD, **changes: Any
) -> Record:
    """Return an alert as it waits in a spool."""
    event = alert(name or f"f-{sequence}", stage, **changes)
    return Record(
        sequence, f"{event.finding.id}-{stage.label}-1", line_of(event), is_alert=True, offered=NOON
    )


def plain_record(sequence: int, text: str = "{}", *, is_alert: bool = False) -> Record:
    """Return any line as it waits in a spool."""
    return Record(sequence, f"id-{sequence}" if is_alert else "", text, is_alert, NOON)


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds, and fail if it does not come to it."""
    until = monotonic() + seconds
    while not condition():
        assert monotonic() < until, "it did not happen"
        sleep(0.005)


class Clock:
    """A wall clock that goes when it is told to."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * SECOND)


@dataclass
class ListLog:
    """A log to look into."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def notice(self, event: str, **fields: object) -> None:
        """Keep what was told."""
        self.events.append((event, fields))

    def warning(self, event: str, **fields: object) -> None:
        """Keep what was told."""
        self.events.append((event, fields))

    @property
    def names(self) -> list[str]:
        """The events, in order."""
        return [name for name, _ in self.events]


# ---- servers ------------------------------------------------------------------------------------


@dataclass
class Request:
    """One request that a server got."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


class HttpReceiver:
    """An HTTP server that keeps what it gets, and answers as it is told."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.answers: list[int] = []  # of the next requests; after them, 200
        self.headers: dict[str, str] = {}  # of every answer
        self.may_answer = Event()
        self.may_answer.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20
            disable_nagle_algorithm = True  # else each answer waits for an acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.may_answer.wait(20)
                headers = {key.lower(): value for key, value in self.headers.items()}
                receiver.requests.append(Request(self.path, headers, body))
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                for key, value in receiver.headers.items():
                    self.send_header(key, value)
                if status == HTTPStatus.NO_CONTENT:
                    self.end_headers()
                    return
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing of clients that went away: some are meant to."""

        self._server = Server(("127.0.0.1", port), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def ids(self) -> list[str]:
        """The ids of the alerts, in the order of their coming."""
        return [request.json["id"] for request in self.requests]


class StreamReceiver:
    """A syslog collector over TCP or TLS, with octet counting."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self.close_after: int | None = None  # messages of one connection
        self._open: list[socket.socket] = []
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                receiver.connections += 1
                receiver.read(self.request, context)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Say nothing of clients that went away: some are meant to."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def read(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        """Take one connection's messages apart."""
        if context is not None:
            sock = context.wrap_socket(sock, server_side=True)
        self._open.append(sock)
        stream = sock.makefile("rb")
        for _ in range(self.close_after or 1_000_000):
            length = b""
            while (digit := stream.read(1)) not in (b" ", b""):
                length += digit
            if not length:
                return
            self.messages.append(stream.read(int(length)))
        sock.close()

    def hang_up(self) -> None:
        """Close all connections."""
        for sock in self._open:
            with suppress(OSError):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.hang_up()


@cache
def can_mount(folder: Path) -> bool:
    """Tell whether a disk of our own can be mounted, as root can but in most containers."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def free_port() -> int:
    """Return a port where nobody listens just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# ---- certificates -------------------------------------------------------------------------------


class Authority:
    """A certificate authority for one test, and the certificates it gives out."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.ca = folder / f"{name}.pem"
        certificate = _builder(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = certificate.add_extension(key_id, critical=False)
        certificate = certificate.add_extension(usage, critical=True)
        self.ca.write_bytes(_pem(certificate.sign(self._key, hashes.SHA256())))

    def give(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key for an address or a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = _builder(subject, self._name, key).add_extension(
            x509.SubjectAlternativeName([_general_name(name)]), critical=False
        )
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = certificate.add_extension(own, critical=False)
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        paths[0].write_bytes(_pem(certificate.sign(self._key, hashes.SHA256())))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        paths[1].chmod(0o600)
        return paths

    def server(self, name: str, *, asks: bool = False) -> ssl.SSLContext:
        """Return what a server of this name speaks TLS with; it may ask for certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.give(name))
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)  # noqa: TID251 - certificates are of now
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def secret_file(folder: Path, content: bytes = b"0123456789abcdef0123456789abcdef\n") -> str:
    """Return the path of a secret that only we can read."""
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def eve_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an EVE file, read."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(records: list[Record]) -> list[int]:
    """Return the sequence numbers of records."""
    return [one.sequence for one in records]


def many(first: int, last: int, *, is_alert: bool = False) -> Iterator[Record]:
    """Yield records with these numbers."""
    return (plain_record(n, f'{{"n":{n}}}', is_alert=is_alert) for n in range(first, last + 1))
