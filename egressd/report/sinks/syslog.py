"""Syslog: RFC 5424 messages over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425).

The message is the alert's EVE record; what a collector filters by stands in the structured data.
Syslog has no acknowledgement. Over TCP and TLS an alert counts as delivered when the far end's
kernel has acknowledged all of it and has not closed the connection; over UDP when it was sent.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import ssl
import struct
import termios
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from egressd.report.sinks.post import TIMEOUT, failure_of
from egressd.report.sinks.secrets import SecretError, as_unreachable, tls_context
from egressd.report.sinks.told import Told, shortened, told_of
from egressd.report.sinks.transport import Failure, Stay, UnreachableError
from egressd.settings.sinks import SyslogTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.model import Bytes, Seconds
    from egressd.report.sinks.spool import Record
    from egressd.settings.sinks import SyslogSettings

# RFC 5424, table 2: critical, warning, notice.
SEVERITIES = {1: 2, 2: 4, 3: 5}
# What rsyslog takes in one message unless told otherwise; longer ones it cuts, JSON or not.
LONGEST: Bytes = 8192
NIL = "-"
# How long a server may take to refuse our certificate after the handshake, which under TLS 1.3
# has ended for us before it has looked (RFC 8446, section 4.4.2.4).
SECOND_THOUGHTS_MS = 300


class Syslog(Stay):
    """One collector."""

    batch = 16

    def __init__(self, settings: SyslogSettings, timeout: Seconds = TIMEOUT) -> None:
        self._settings = settings
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._place = f"syslog {settings.host} port {settings.port}"

    def deliver(self, records: Sequence[Record]) -> None:
        """Send messages, and wait until they are acknowledged where that can be known."""
        messages = [message_of(told_of(record), self._settings) for record in records]
        try:
            if self._settings.transport is SyslogTransport.UDP:
                self._send_datagrams(messages)
            else:
                self._send_stream(messages)
        except OSError as error:
            self.close()
            raise failure_of(error, self._place) from error

    def renew(self) -> None:
        """Connect anew with the next message."""
        self.close()

    def interrupt(self) -> None:
        """Break the connection."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # ---- datagrams ------------------------------------------------------------------------------

    def _send_datagrams(self, messages: list[bytes]) -> None:
        sock = self._socket or self._connect(socket.SOCK_DGRAM)
        self._socket = sock
        for number, message in enumerate(messages):
            try:
                sock.send(message)
                # A port where nobody listens answers by ICMP, which the kernel tells once.
                _raise(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            except OSError as error:
                self.close()
                failure = failure_of(error, self._place)
                failure.delivered = number
                raise failure from error

    # ---- streams --------------------------------------------------------------------------------

    def _send_stream(self, messages: list[bytes]) -> None:
        if self._socket is not None and self._is_closed(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect(socket.SOCK_STREAM)
        # Octet counting (RFC 6587, section 3.4.1): the only framing that any text survives.
        self._socket.sendall(b"".join(b"%d " % len(m) + m for m in messages))
        self._wait_until_acknowledged(self._socket)
        if self._is_closed(self._socket):
            self.close()
            raise UnreachableError(Failure.CLOSED, f"{self._place}: closed the connection")

    def _connect(self, kind: socket.SocketKind) -> socket.socket:
        settings = self._settings
        found = socket.getaddrinfo(settings.host, settings.port, type=kind)
        family, _, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(self._timeout)
            sock.connect(address)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                # What is not acknowledged by then is an error (tcp(7)).
                limit = int(self._timeout * 1000)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
            if settings.transport is SyslogTransport.TLS:
                sock = self._encrypted(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def _encrypted(self, sock: socket.socket) -> ssl.SSLSocket:
        try:
            context = tls_context(self._settings.tls)
        except SecretError as error:
            raise as_unreachable(error) from error
        name = self._settings.tls.server_name or self._settings.host
        encrypted = context.wrap_socket(sock, server_hostname=name)
        try:
            waiting = select.poll()
            waiting.register(encrypted, select.POLLIN)
            waiting.poll(SECOND_THOUGHTS_MS)
            is_closed = self._is_closed(encrypted)
        except OSError:
            encrypted.close()
            raise
        if is_closed:
            encrypted.close()
            raise UnreachableError(Failure.TLS, f"{self._place}: refused after the handshake")
        return encrypted

    def _is_closed(self, sock: socket.socket) -> bool:
        """Tell whether the far end has closed; whatever it sent is thrown away."""
        sock.settimeout(0.0)
        try:
            for _ in range(16):
                if not sock.recv(4096):
                    return True
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            sock.settimeout(self._timeout)
        return False

    def _wait_until_acknowledged(self, sock: socket.socket) -> None:
        """Wait until nothing sent is unacknowledged (SIOCOUTQ, tcp(7))."""
        until = monotonic() + self._timeout
        pause = 0.0005
        while _unacknowledged(sock):
            if monotonic() > until:
                raise TimeoutError("not acknowledged")
            sleep(pause)
            pause = min(pause * 2, 0.05)


def message_of(told: Told, settings: SyslogSettings) -> bytes:
    """Return one RFC 5424 message: header, structured data, and the EVE record."""
    priority = settings.facility * 8 + SEVERITIES.get(told.severity, max(SEVERITIES.values()))
    far = told.destination
    data = {
        "id": told.id,
        "finding": told.finding,
        "rule": told.rule,
        "stage": told.stage,
        "camera": told.camera,
        "destination": far.get("ip"),
        "port": far.get("port"),
        "transport": far.get("transport"),
        "name": told.names[0] if told.names else None,
        "service": far.get("service"),
        "site": told.site,
    }
    parameters = "".join(
        f' {key}="{_escaped(str(value))}"' for key, value in data.items() if value is not None
    )
    head = (
        f"<{priority}>1 {told.moment} {_header(socket.gethostname(), 255)} egressd {os.getpid()} "
        f"{_header(told.rule, 32)} [egressd@{settings.enterprise}{parameters}] "
    ).encode()
    return head + shortened(told, LONGEST - len(head)).encode("ascii")


def _escaped(value: str) -> str:
    """Return a parameter's value (RFC 5424, section 6.3.3)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _header(text: str, longest: int) -> str:
    """Return a header field: printable ASCII without blanks (RFC 5424, section 6)."""
    kept = "".join(sign for sign in text if "!" <= sign <= "~")
    return kept[:longest] or NIL


def _raise(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


def _unacknowledged(sock: socket.socket) -> int:
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])
