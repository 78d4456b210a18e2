"""The key `metrics` of a site file: how it is spelled, and what its keys must be to each other.

Like `siteform`, it is imported late, for pydantic's sake.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from egressd.settings.metrics import (
    DEFAULT_ADDRESS,
    DEFAULT_CAMERAS,
    DEFAULT_PORT,
    MetricsSettings,
)
from egressd.spelling import address_of, network_of
from egressd.yamlfile import KeyPath, Problem, YamlDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

OFF = "off"
MOST_SCRAPERS = 100
MOST_CAMERAS = 10_000  # a dozen series each, and Prometheus keeps them all
_ADDRESS_AND_PORT = re.compile(r"(?:\[([^\]]+)\]|([0-9.]+)):([0-9]{1,5})")


class _Place(NamedTuple):
    """Where to listen."""

    address: str | None
    port: int


def _listen(text: str) -> str:
    if text == OFF:
        return text
    found = _ADDRESS_AND_PORT.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text[:60]!r} is no address and port; write {DEFAULT_ADDRESS}:{DEFAULT_PORT}, "
            f'"[::1]:{DEFAULT_PORT}" or {OFF}'
        )
    address_of(found[1] or found[2])
    if not 1 <= int(found[3]) <= 65535:
        raise ValueError(f"{found[3]} is no port; write one from 1 to 65535")
    return text.strip()


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or text.endswith("/"):
        raise ValueError(f"{text[:60]!r} is no full path of a file; write one that begins with /")
    return text


def _scraper(text: str) -> str:
    network = network_of(text)
    if network.prefixlen == 0:
        raise ValueError(f"{network} is everybody; leave scrapers away, and write tls and users")
    return str(network)


PathText = Annotated[str, AfterValidator(_path)]
Scraper = Annotated[str, AfterValidator(_scraper)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MetricsTlsForm(_Form):
    """The certificate with which the listener proves itself."""

    certificate: PathText = Field(
        description="PEM file: the certificate and its chain.",
        examples=["/etc/egressd/metrics.crt"],
    )
    key: PathText = Field(
        description="PEM file: its key, without a passphrase, closed to others.",
        examples=["/etc/egressd/metrics.key"],
    )


class MetricsForm(_Form):
    """How Prometheus reads the metrics."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        f"{DEFAULT_ADDRESS}:{DEFAULT_PORT}",
        description="An address of this machine and a port, or off.",
    )
    tls: MetricsTlsForm | None = Field(None, description=MetricsTlsForm.__doc__)
    users: PathText | None = Field(
        None, description="The file of users and hashed passwords who may read them."
    )
    scrapers: list[Scraper] = Field(
        [],
        description="Addresses or networks that may connect beside this machine.",
        max_length=MOST_SCRAPERS,
    )
    cameras: int = Field(
        DEFAULT_CAMERAS,
        description="How many cameras get a label value of their own.",
        ge=1,
        le=MOST_CAMERAS,
    )


def metrics_of(form: MetricsForm | None) -> MetricsSettings:
    """Return what a filled form says."""
    if form is None:
        return MetricsSettings()
    place = _place_of(form.listen)
    return MetricsSettings(
        address=place.address,
        port=place.port,
        certificate=form.tls.certificate if form.tls else None,
        key=form.tls.key if form.tls else None,
        users=form.users,
        scrapers=tuple(ip_network(text) for text in form.scrapers),
        cameras=form.cameras,
    )


def metrics_problems(document: YamlDocument) -> Iterator[Problem]:
    """Tell what cannot be: keys of a listener that is off, scrapers that loopback keeps out."""
    value = document.value
    metrics: Any = value.get("metrics") if isinstance(value, dict) else None
    if not isinstance(metrics, dict) or not isinstance(metrics.get("listen", ""), str):
        return
    for key in ("tls", "users", "scrapers"):
        if metrics.get("listen") == OFF and metrics.get(key):
            path: KeyPath = ("metrics", key)
            place = document.key_position(path)
            text = "stands beside listen: off; remove one of the two"
            yield Problem(place.line, place.column, path, text)


def metrics_warnings(settings: MetricsSettings) -> Iterator[str]:
    """Tell what is allowed, but is likely a mistake."""
    if settings.address is None:
        return
    if ip_address(settings.address).is_loopback:
        if settings.scrapers:
            yield f"metrics.scrapers cannot reach {settings.address}; write another metrics.listen"
        return
    if settings.users is None and not settings.scrapers:
        yield (
            f"metrics.listen: whoever can reach {settings.address} can read the metrics; "
            "write users, scrapers or both"
        )
    if settings.users is not None and settings.certificate is None:
        yield "metrics.users: passwords travel in the clear; write tls, too"


def _place_of(text: str) -> _Place:
    found = _ADDRESS_AND_PORT.fullmatch(text)
    if found is None:
        return _Place(None, DEFAULT_PORT)
    return _Place(str(address_of(found[1] or found[2])), int(found[3]))
