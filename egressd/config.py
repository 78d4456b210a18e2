"""The site file: which networks are the site's, which hosts are cameras, what may leave.

The only reader of configuration. A file becomes one frozen `Site`; a file with errors becomes one
`ConfigError` that tells them all, each with file:line:column and what to write instead. Without a
file, the site is the private networks (`default_site`).

On site is what the file says, and link-local, multicast, broadcast, loopback and unspecified
addresses always. Never `ipaddress.is_global`: it changes between Python versions. Shared address
space (100.64.0.0/10, RFC 6598) is the provider's, so it is off site unless listed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import date
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from egressd.model import ConfigError, Kind
from egressd.settings.evidence import EvidenceSettings
from egressd.settings.metrics import MetricsSettings
from egressd.settings.watch import WatchSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from egressd.settings.canary import CanarySettings
    from egressd.settings.sinks import SinkSettings
    from egressd.siteform import PermitForm, RecorderForm, SiteForm
    from egressd.spelling import Network
    from egressd.yamlfile import YamlDocument

ALWAYS_ON_SITE: tuple[Network, ...] = (
    IPv4Network("0.0.0.0/32"),  # unspecified, a DHCP client's source (RFC 1122, 3.2.1.3)
    IPv4Network("127.0.0.0/8"),  # loopback (RFC 1122)
    IPv4Network("169.254.0.0/16"),  # link-local (RFC 3927)
    IPv4Network("224.0.0.0/4"),  # multicast (RFC 5771)
    IPv4Network("255.255.255.255/32"),  # limited broadcast (RFC 919)
    IPv6Network("::/128"),  # unspecified (RFC 4291, 2.5.2)
    IPv6Network("::1/128"),  # loopback (RFC 4291, 2.5.3)
    IPv6Network("fe80::/10"),  # link-local (RFC 4291, 2.5.6)
    IPv6Network("ff00::/8"),  # multicast (RFC 4291, 2.7)
)
PRIVATE: tuple[Network, ...] = (
    IPv4Network("10.0.0.0/8"),  # RFC 1918
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("fc00::/7"),  # unique local (RFC 4193)
)


class Prefix(NamedTuple):
    """A network as the compiled data plane takes it."""

    network: int
    length: int
    version: int  # 4 or 6


@dataclass(frozen=True, slots=True)
class SiteDevice:
    """A device of the site file, or a network full of them."""

    name: str | None
    kind: Kind
    mac: str | None
    ip: str | None
    network: Network | None
    vendor: str | None
    line: int

    def is_host(self, mac: str | None, ips: Iterable[str]) -> bool:
        """Tell whether a host is this device; where both MACs are known they decide."""
        if self.mac is not None and mac is not None:
            return self.mac == mac
        if self.ip is not None:
            return self.ip in ips
        return self.network is not None and any(is_within(ip, self.network) for ip in ips)


@dataclass(frozen=True, slots=True)
class Permit:
    """A contact that may leave the site."""

    from_: str | None  # a device's name, a MAC, an address or a network; None: every camera
    to: str  # an address, a network, a domain, or *.domain
    port: int | None
    why: str
    until: date | None  # the last day in UTC on which it holds
    line: int
    transport: str | None = None


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Address ranges that do not overlap, in order."""

    starts: list[int]
    ends: list[int]

    def cover(self, first: int, last: int) -> bool:
        index = bisect_right(self.starts, first) - 1
        return index >= 0 and last <= self.ends[index]


@dataclass(frozen=True, slots=True)
class Site:
    """A site as its owner describes it."""

    name: str | None = None
    networks: tuple[Network, ...] = ()
    resolvers: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    cameras: tuple[SiteDevice, ...] = ()
    recorders: tuple[SiteDevice, ...] = ()
    permits: tuple[Permit, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    canary: CanarySettings | None = None  # None: none is expected
    file: str | None = None
    warnings: tuple[str, ...] = ()  # what is allowed, but is likely a mistake
    _ranges: dict[int, _Ranges] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranges = {}
        for version in (4, 6):
            own = [prefix for prefix in self.prefixes() if prefix.version == version]
            ranges[version] = _Ranges([p.network for p in own], [_last_of(p) for p in own])
        object.__setattr__(self, "_ranges", ranges)

    @property
    def devices(self) -> tuple[SiteDevice, ...]:
        """Cameras and recorders, in the file's order."""
        return self.cameras + self.recorders

    def is_on_site(self, ip: str) -> bool:
        """Tell whether an address belongs to the site; a text that is no address does not."""
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        return self._ranges[address.version].cover(int(address), int(address))

    def covers(self, network: Network) -> bool:
        """Tell whether all of a network belongs to the site."""
        first, last = int(network.network_address), int(network.broadcast_address)
        return self._ranges[network.version].cover(first, last)

    def prefixes(self) -> list[Prefix]:
        """Return everything that counts as on site, without overlaps, in order."""
        networks = (*ALWAYS_ON_SITE, *self.networks)
        merged: list[Network] = [
            *collapse_addresses(n for n in networks if isinstance(n, IPv4Network)),
            *collapse_addresses(n for n in networks if isinstance(n, IPv6Network)),
        ]
        return [Prefix(int(n.network_address), n.prefixlen, n.version) for n in merged]


def default_site() -> Site:
    """Return the site of a run without a site file: the private networks."""
    return Site(networks=PRIVATE)


def load_site(path: Path | str, vendors: Collection[str] = ()) -> Site:
    """Read a site file; the ids of known vendors, if given, are for warnings only."""
    # pydantic and PyYAML take longer to import than a run without a site file may take.
    from egressd.complaints import fill, without_echoes  # noqa: PLC0415
    from egressd.sitechecks import cross_problems  # noqa: PLC0415
    from egressd.siteform import SiteForm  # noqa: PLC0415
    from egressd.yamlfile import YamlError, load_yaml, told_of  # noqa: PLC0415

    file = str(path)
    try:
        document = load_yaml(Path(path))
    except YamlError as error:
        raise ConfigError(error.problem.told(file)) from None
    if document.value is None:
        raise ConfigError(f"{file}:1:1: is empty; write site: {{networks: [10.20.0.0/16]}}")
    form, problems = fill(SiteForm, document)
    problems += cross_problems(document)
    problems = [*document.problems, *without_echoes(problems, document.problems)]
    if problems or form is None:
        raise ConfigError(told_of(problems, file))
    return _site_of(form, document, file, vendors)


def is_within(ip: str, network: Network) -> bool:
    """Tell whether an address in text lies within a network."""
    try:
        return ip_address(ip) in network
    except ValueError:
        return False


def _site_of(form: SiteForm, document: YamlDocument, file: str, vendors: Collection[str]) -> Site:
    from egressd.settings.evidenceform import (  # noqa: PLC0415  # imports pydantic
        canary_settings_of,
        evidence_settings_of,
    )
    from egressd.settings.metricsform import metrics_of, metrics_warnings  # noqa: PLC0415  # imports pydantic
    from egressd.settings.watchform import watch_settings_of  # noqa: PLC0415  # imports pydantic

    networks = tuple(ip_network(text) for text in form.site.networks)
    metrics, line = metrics_of(form.metrics), document.position(("metrics",)).line
    cameras = tuple(
        _device(entry, Kind(entry.kind), document.position(("cameras", index)).line)
        for index, entry in enumerate(form.cameras)
    )
    recorders = tuple(
        _device(entry, Kind.RECORDER, document.position(("recorders", index)).line)
        for index, entry in enumerate(form.recorders)
    )
    site = Site(networks=networks)  # only to ask it what is on site
    return Site(
        name=form.site.name,
        networks=networks,
        resolvers=tuple(form.site.resolvers),
        ntp=tuple(form.site.ntp),
        cameras=cameras,
        recorders=recorders,
        permits=tuple(
            _permit(entry, document.position(("permit", index)).line)
            for index, entry in enumerate(form.permit)
        ),
        sinks=_sinks(form, document),
        metrics=metrics,
        watch=watch_settings_of(form.interfaces, form.filter, form.state),
        evidence=evidence_settings_of(form.evidence),
        canary=canary_settings_of(form.canary),
        file=file,
        warnings=(
            *_warnings(site, cameras + recorders, file, vendors),
            *(f"{file}:{line}: {warning}" for warning in metrics_warnings(metrics)),
        ),
    )


def _device(entry: RecorderForm, kind: Kind, line: int) -> SiteDevice:
    network = ip_network(entry.network) if entry.network else None
    return SiteDevice(entry.name, kind, entry.mac, entry.ip, network, entry.vendor, line)


def _sinks(form: SiteForm, document: YamlDocument) -> tuple[SinkSettings, ...]:
    from egressd.settings.sinkform import settings_of  # noqa: PLC0415  # imports pydantic

    return tuple(
        settings_of(entry, document.position(("sinks", index)).line)
        for index, entry in enumerate(form.sinks)
    )


def _permit(entry: PermitForm, line: int) -> Permit:
    until = date.fromisoformat(entry.until) if entry.until else None
    return Permit(
        entry.from_, entry.to, entry.port, entry.why, until, line, transport=entry.transport
    )


def _warnings(
    site: Site, devices: tuple[SiteDevice, ...], file: str, vendors: Collection[str]
) -> Iterator[str]:
    """Tell what may be meant, but mostly is a slip of the pen."""
    from egressd.complaints import did_you_mean  # noqa: PLC0415  # imports pydantic

    for device in devices:
        place = f"{file}:{device.line}"
        if device.ip is not None and not site.is_on_site(device.ip):
            yield f"{place}: {device.ip} lies outside site.networks; the device counts as off site"
        if device.network is not None and not site.covers(device.network):
            yield f"{place}: {device.network} reaches outside site.networks"
        if device.vendor is not None and vendors and device.vendor not in vendors:
            hint = did_you_mean(device.vendor, vendors)
            yield f"{place}: the rules know no vendor {device.vendor!r}; {hint}".rstrip("; ")


def _last_of(prefix: Prefix) -> int:
    width = 32 if prefix.version == 4 else 128
    return prefix.network + (1 << (width - prefix.length)) - 1
