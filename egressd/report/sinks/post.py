"""HTTP POST to the one server that was configured: no redirects, no proxies, no cookies.

Nothing of an answer is used but its status, and when to come again. The connection is kept for
the next request; a server that has closed it meanwhile is asked once more on a new one.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from egressd import __version__
from egressd.report.sinks.secrets import SecretError, as_unreachable, tls_context
from egressd.report.sinks.transport import Failure, RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egressd.model import Bytes, Seconds
    from egressd.settings.sinks import Tls, Url

TIMEOUT: Seconds = 10.0  # of each step: connecting, sending, waiting for the answer
LONGEST_ANSWER: Bytes = 64 << 10  # read, so that the connection can be used again
COME_AGAIN = frozenset({408, 429})  # RFC 9110, section 15.5.9; RFC 6585, section 4


class Poster:
    """One server."""

    def __init__(self, url: Url, tls: Tls, timeout: Seconds = TIMEOUT) -> None:
        self._url = url
        self._tls = tls
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body; UnreachableError or RefusedError where the answer is no success."""
        fields = {
            "Content-Type": "application/json",
            "User-Agent": f"egressd/{__version__}",
            **headers,
        }
        try:
            response = self._exchange(path, body, fields)
            response.read(LONGEST_ANSWER)
            if not response.isclosed():
                self.close()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise failure_of(error, self._url.text) from error
        self._judge(response)

    def interrupt(self) -> None:
        """Break the connection under a request that hangs."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        is_used = self._connection is not None
        try:
            return self._ask(path, body, headers)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if not is_used:
                raise
        return self._ask(path, body, headers)

    def _ask(self, path: str, body: bytes, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", path, body, dict(headers))
        return self._connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        url = self._url
        if not url.encrypted:
            connection = http.client.HTTPConnection(url.host, url.port, timeout=self._timeout)
        else:
            try:
                context = tls_context(self._tls)
            except SecretError as error:
                raise as_unreachable(error) from error
            connection = _Encrypted(url, self._tls.server_name, self._timeout, context)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def _judge(self, response: http.client.HTTPResponse) -> None:
        status = response.status
        text = f"{self._url.text}: answered {status}"
        if 200 <= status < 300:
            return
        if status in COME_AGAIN:
            raise UnreachableError(Failure.BUSY, text, retry_after=_retry_after(response))
        if status >= 500:
            raise UnreachableError(Failure.SERVER, text, retry_after=_retry_after(response))
        raise RefusedError(Failure.REFUSED, text)


class _Encrypted(http.client.HTTPConnection):
    """HTTPS whose certificate may bear another name than the host is reached by."""

    def __init__(
        self, url: Url, server_name: str | None, timeout: Seconds, context: ssl.SSLContext
    ) -> None:
        super().__init__(url.host, url.port, timeout=timeout)
        self._context = context
        self._server_name = server_name or url.host

    def connect(self) -> None:
        """Connect, and have the server prove itself."""
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server_name)


def failure_of(error: Exception, place: str) -> UnreachableError:
    """Return what went wrong on the way to a far end, in the words of `Failure`."""
    text = f"{place}: {_told(error)}"
    match error:
        case socket.gaierror():
            return UnreachableError(Failure.NAME, text)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return UnreachableError(Failure.CLOSED, text)
        case ssl.SSLError() | ssl.CertificateError():
            return UnreachableError(Failure.TLS, text)
        case TimeoutError():
            return UnreachableError(Failure.TIMEOUT, text)
        case BrokenPipeError() | ConnectionResetError() | ConnectionAbortedError():
            return UnreachableError(Failure.CLOSED, text)
        case OSError():
            return UnreachableError(Failure.CONNECT, text)
    return UnreachableError(Failure.CLOSED, text)  # what came was no HTTP


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"no HTTP answer ({type(error).__name__})"


def _retry_after(response: http.client.HTTPResponse) -> Seconds | None:
    """Return the seconds of Retry-After (RFC 9110, section 10.2.3); its date form is not read."""
    text = (response.getheader("Retry-After") or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
