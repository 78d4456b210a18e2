"""Secrets of sinks, read from files that nobody else can read; and TLS with them.

A secret never stands in the site file, so that this can be shown around. What stands in a file
that others on the machine can read is refused.
"""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from egressd.report.sinks.transport import Failure, UnreachableError
from egressd.settings.sinks import (
    AlertmanagerSettings,
    SyslogSettings,
    SyslogTransport,
    WebhookSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.settings.sinks import Secret, SinkSettings, Tls

LONGEST = 4096
SHORTEST_KEY = 16  # bytes; a key of HMAC should not be guessable
OTHERS = stat.S_IROTH | stat.S_IWOTH
CREDENTIALS = "CREDENTIALS_DIRECTORY"


class SecretError(Exception):
    """A secret that cannot be used; the text names the file and says what to do."""


def path_of(secret: Secret) -> Path:
    """Return where a secret stands; SecretError for a credential outside of systemd."""
    if secret.file is not None:
        return Path(secret.file)
    folder = os.environ.get(CREDENTIALS)
    if not folder:
        raise SecretError(
            f"credential {secret.credential}: ${CREDENTIALS} is not set; systemd sets it for a "
            f"unit with LoadCredential={secret.credential}:FILE"
        )
    return Path(folder) / str(secret.credential)


def load_secret(secret: Secret, *, shortest: int = 1) -> bytes:
    """Return a secret without the newline at its end."""
    path = path_of(secret)
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(LONGEST + 1)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from error
    _refuse_open(path, mode)
    value = content.rstrip(b"\r\n")
    if len(content) > LONGEST:
        raise SecretError(f"{path}: is longer than {LONGEST} bytes; is it the right file?")
    if len(value) < shortest:
        raise SecretError(
            f"{path}: holds {len(value)} bytes; write at least {shortest} "
            "(openssl rand -hex 32 makes a good one)"
        )
    return value


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return a context that checks the far end's certificate and name, TLS 1.2 or newer."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise SecretError(f"{tls.ca}: {_told(error)}; write PEM certificates into it") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is None or tls.key is None:
        return context
    key = path_of(tls.key)
    try:
        _refuse_open(key, key.stat().st_mode)
        context.load_cert_chain(tls.cert, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SecretError(f"{tls.cert} with {key}: {_told(error)}") from error
    return context


def as_unreachable(error: SecretError) -> UnreachableError:
    """Return the failure of a delivery that a secret stands in the way of."""
    return UnreachableError(Failure.CREDENTIAL, str(error))


def check_sinks(settings: Iterable[SinkSettings], file: str) -> list[str]:
    """Return what would keep a site file's sinks from working, each with file and line.

    Reads secrets and certificates, connects to nobody. A credential is looked at where systemd
    has set its folder, as in ExecStartPre.
    """
    problems = []
    for sink in settings:
        try:
            _check(sink)
        except SecretError as error:
            problems.append(f"{file}:{sink.line}: sink {sink.name}: {error}")
    return problems


def _check(sink: SinkSettings) -> None:
    if isinstance(sink, WebhookSettings) and _can_look(sink.secret):
        load_secret(sink.secret, shortest=SHORTEST_KEY)
    if isinstance(sink, AlertmanagerSettings) and sink.password and _can_look(sink.password):
        load_secret(sink.password)
    if isinstance(sink, SyslogSettings):
        encrypted = sink.transport is SyslogTransport.TLS
    elif isinstance(sink, WebhookSettings | AlertmanagerSettings):
        encrypted = sink.url.encrypted
    else:
        return
    if encrypted and (sink.tls.key is None or _can_look(sink.tls.key)):
        tls_context(sink.tls)


def _can_look(secret: Secret) -> bool:
    return secret.file is not None or CREDENTIALS in os.environ


def _refuse_open(path: Path, mode: int) -> None:
    if mode & OTHERS:
        raise SecretError(f"{path}: others can read or write it; chmod o= {path}")


def _no_password() -> str:
    """Keep OpenSSL from asking on the terminal for the password of an encrypted key."""
    raise ValueError("the key is encrypted; write it without a password, readable by egressd only")


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
