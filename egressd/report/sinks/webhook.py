"""Webhook: one alert a request, signed, so that the far end knows who says it and when.

The signature is HMAC-SHA256 (RFC 2104) with the shared secret over the time of the request in
decimal, a full stop, and the body as sent. The time is that of this attempt: a receiver may refuse
what is older than some minutes without losing what was tried for hours. The id is the same in all
attempts and inside the body, so that it is signed, too.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND
from egressd.report.evefacts import encode
from egressd.report.sinks.post import TIMEOUT, Poster
from egressd.report.sinks.secrets import SHORTEST_KEY, SecretError, as_unreachable, load_secret
from egressd.report.sinks.transport import Failure, RefusedError, Stay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.model import Seconds
    from egressd.report.sinks.spool import Record
    from egressd.report.sinks.transport import WallClock
    from egressd.settings.sinks import WebhookSettings

BODY_VERSION = 1
SCHEME = "v1"


class Webhook(Stay):
    """One server that takes alerts."""

    def __init__(
        self, settings: WebhookSettings, clock: WallClock, timeout: Seconds = TIMEOUT
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._poster = Poster(settings.url, settings.tls, timeout)
        self._secret: bytes | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        """Send each alert in a request of its own."""
        for record in records:
            if not record.is_alert:  # of a file that had this sink's name before
                raise RefusedError(
                    Failure.FORMAT, f"record {record.sequence} of the spool is no alert"
                )
            body = body_of(record)
            now = self._clock() // NANOSECONDS_PER_SECOND
            headers = {
                "Egressd-Id": record.id,
                "Egressd-Timestamp": str(now),
                "Egressd-Signature": f"{SCHEME}={signature_of(self._key(), now, body)}",
            }
            self._poster.post(self._settings.url.path, body, headers)

    def renew(self) -> None:
        """Read the secret and the certificates anew, and connect anew."""
        self._secret = None
        self._poster.close()

    def interrupt(self) -> None:
        """Break the connection."""
        self._poster.interrupt()

    def close(self) -> None:
        """Let go of the connection."""
        self._poster.close()

    def _key(self) -> bytes:
        if self._secret is None:
            try:
                self._secret = load_secret(self._settings.secret, shortest=SHORTEST_KEY)
            except SecretError as error:
                raise as_unreachable(error) from error
        return self._secret


def body_of(record: Record) -> bytes:
    """Return the body of a request: the EVE record as it stands in the EVE file, in an envelope."""
    envelope = f'{{"version":{BODY_VERSION},"id":{encode(record.id)},"event":{record.text}}}'
    return envelope.encode("ascii")


def signature_of(secret: bytes, seconds: int, body: bytes) -> str:
    """Return the signature of a body sent at a moment, in hexadecimal."""
    return hmac.digest(secret, b"%d." % seconds + body, "sha256").hex()
