"""Where alerts and records are to go: what the site file says under `sinks`.

Plain values, so that configuration can make them and the sinks read them without either knowing
the other. Secrets are named here and never held.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from egressd.model import Bytes, Seconds

DEFAULT_SPOOL: Bytes = 64_000_000
LOW = 3  # Suricata's order: every severity is told


class Endpoint(NamedTuple):
    """A machine and port that a sink speaks to; `host` is an address or a name."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands: a file, or a credential that systemd hands over; one of the two."""

    file: str | None = None
    credential: str | None = None  # a name in $CREDENTIALS_DIRECTORY (systemd.exec(5))


@dataclass(frozen=True, slots=True)
class Tls:
    """How the far end proves itself, and we to it."""

    ca: str | None = None  # a PEM file; without it, the system's authorities
    cert: str | None = None  # our certificate, a PEM file
    key: Secret | None = None  # its key
    server_name: str | None = None  # the name in the far end's certificate, if not the host's


@dataclass(frozen=True, slots=True)
class Url:
    """An HTTP address taken apart."""

    host: str
    port: int
    path: str  # with its query, "/" where there is none
    encrypted: bool

    @property
    def text(self) -> str:
        """The URL as one writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.encrypted else ''}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Rotation:
    """When an EVE file makes room for a new one, and how many are kept."""

    size: Bytes | None = None
    age: int | None = None  # seconds, cut at multiples since the epoch: 86,400 is midnight UTC
    keep: int = 14  # files beside the one being written


class SyslogTransport(Enum):
    """How syslog messages travel."""

    UDP = "udp"  # RFC 5426: nothing says whether they arrive
    TCP = "tcp"  # RFC 6587, octet counting
    TLS = "tls"  # RFC 5425


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What all sinks have."""

    type: ClassVar[str]
    name: str  # unique; names the spool and the metric's label
    severity: int = LOW  # the least bad that is told: 1 high, 2 medium, 3 low
    spool: Bytes = DEFAULT_SPOOL
    line: int = 0  # of the site file

    @property
    def endpoint(self) -> Endpoint | None:
        """The machine it speaks to, if any."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class EveSettings(_Settings):
    """A file of EVE lines: everything goes there."""

    type: ClassVar[str] = "eve"
    path: str
    rotate: Rotation | None = None  # None: logrotate does it, or nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaldSettings(_Settings):
    """The journal of this machine."""

    type: ClassVar[str] = "journald"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogSettings(_Settings):
    """A syslog collector."""

    type: ClassVar[str] = "syslog"
    host: str
    port: int
    transport: SyslogTransport = SyslogTransport.UDP
    tls: Tls = Tls()
    facility: int = 3  # daemon
    enterprise: int = 32473  # whose structured data it is; RFC 5612 keeps this one for examples

    @property
    def endpoint(self) -> Endpoint:
        """The collector."""
        return Endpoint(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings(_Settings):
    """An HTTP server that takes one alert a request."""

    type: ClassVar[str] = "webhook"
    url: Url
    secret: Secret
    tls: Tls = Tls()

    @property
    def endpoint(self) -> Endpoint:
        """The server."""
        return Endpoint(self.url.host, self.url.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSettings(_Settings):
    """One Alertmanager; of a cluster each is a sink of its own, so that each gets all."""

    type: ClassVar[str] = "alertmanager"
    url: Url  # without /api/v2/alerts
    user: str | None = None
    password: Secret | None = None
    tls: Tls = Tls()
    keep_up: Seconds = 60.0  # how often what goes on is sent again

    @property
    def endpoint(self) -> Endpoint:
        """The Alertmanager."""
        return Endpoint(self.url.host, self.url.port)


SinkSettings = (
    EveSettings | JournaldSettings | SyslogSettings | WebhookSettings | AlertmanagerSettings
)
