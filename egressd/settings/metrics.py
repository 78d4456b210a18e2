"""How the metrics are served: what the site file says under `metrics`.

Plain values, so that configuration can make them and the listener read them without either
knowing the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

DEFAULT_ADDRESS, DEFAULT_PORT = "127.0.0.1", 9469
DEFAULT_CAMERAS = 500


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where to listen, who may read, and for how many cameras there is room."""

    address: str | None = DEFAULT_ADDRESS  # None: nowhere
    port: int = DEFAULT_PORT  # 0: any
    certificate: str | None = None  # the PEM file of the certificate chain, for TLS
    key: str | None = None  # the PEM file of its key
    users: str | None = None  # the file with users and hashed passwords
    scrapers: tuple[IPv4Network | IPv6Network, ...] = ()  # who may connect; none: everybody
    cameras: int = DEFAULT_CAMERAS  # values of the label camera
