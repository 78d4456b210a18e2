"""What the site's owner permits to leave, and how often each permit was used.

The first permit in the file's order that fits and has not expired decides. An expired permit never
permits; where nothing else does, it is counted as one that would have. Domain permits go by the
names this camera used for the far end: the caller hands over those it trusts for the flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from egressd.config import is_within
from egressd.model import NANOSECONDS_PER_SECOND, Camera, Nanoseconds, PermitUse
from egressd.spelling import is_address_or_network, is_mac, network_of
from egressd.state import PermitRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from egressd.config import Permit, Site, SiteDevice
    from egressd.spelling import Network

_DAY = 86_400 * NANOSECONDS_PER_SECOND
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class _Source:
    """Which cameras a permit is for."""

    every: bool = False
    mac: str | None = None
    network: Network | None = None
    device: SiteDevice | None = None

    def has(self, camera: Camera) -> bool:
        if self.every:
            return True
        if self.mac is not None:
            return camera.mac == self.mac
        if self.network is not None:
            return any(is_within(ip, self.network) for ip in camera.ips)
        return self.device is not None and self.device.is_host(camera.mac, camera.ips)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a permit lets them go."""

    network: Network | None
    domain: str  # without "*."
    apex: bool  # the domain itself, too

    def has(self, ip: str | None, names: Sequence[str]) -> bool:
        if self.network is not None:
            return ip is not None and is_within(ip, self.network)
        return any(self._has_name(name.lower().removesuffix(".")) for name in names)

    def _has_name(self, name: str) -> bool:
        return name.endswith("." + self.domain) or (self.apex and name == self.domain)


@dataclass(frozen=True, slots=True)
class _Rule:
    permit: Permit
    use: PermitUse
    source: _Source
    target: _Target
    end: Nanoseconds | None  # the first moment at which it no longer holds


class Policy:
    """The permits of a site, ready to be asked about every contact."""

    def __init__(self, site: Site) -> None:
        self._rules = [_rule_of(permit, site) for permit in site.permits]

    @property
    def uses(self) -> list[PermitUse]:
        """Every permit in the file's order, with its counts so far."""
        return [rule.use for rule in self._rules]

    def rows(self) -> list[PermitRow]:
        """Return how often each permit applied, of those that did."""
        uses = self.uses
        return [PermitRow(u.text, u.used, u.expired) for u in uses if u.used or u.expired]

    def restore(self, rows: Iterable[PermitRow]) -> None:
        """Go on counting where the run before this one ended."""
        counts = {row.text: row for row in rows}
        for use in self.uses:
            row = counts.pop(use.text, None)
            if row is not None:
                use.used, use.expired = row.used, row.expired

    def find(  # noqa: PLR0913, PLR0917  # a contact has this many sides
        self,
        camera: Camera,
        destination_ip: str | None,
        names: Sequence[str],
        port: int | None,
        transport: str,
        at: Nanoseconds,
    ) -> Permit | None:
        """Return the permit that lets a camera's contact leave, and count its use.

        A lookup has no address: then the names asked for decide, whatever the permit's port and
        transport, because asking is a part of every permitted contact.
        """
        expired: list[_Rule] = []
        for rule in self._fitting(camera, destination_ip, names, port, transport):
            if rule.end is not None and at >= rule.end:
                expired.append(rule)
                continue
            rule.use.used += 1
            return rule.permit
        for rule in expired:
            rule.use.expired += 1
        return None

    def would_permit(  # noqa: PLR0913, PLR0917  # as `find`
        self,
        camera: Camera,
        destination_ip: str | None,
        names: Sequence[str],
        port: int | None,
        transport: str,
        at: Nanoseconds,
    ) -> bool:
        """Say what `find` would, of a contact that was counted before."""
        fitting = self._fitting(camera, destination_ip, names, port, transport)
        return any(rule.end is None or at < rule.end for rule in fitting)

    def _fitting(
        self,
        camera: Camera,
        destination_ip: str | None,
        names: Sequence[str],
        port: int | None,
        transport: str,
    ) -> Iterator[_Rule]:
        """Yield the permits for a contact, expired or not, in the file's order."""
        is_lookup = destination_ip is None
        for rule in self._rules:
            if not is_lookup and not _is_same_service(rule.permit, port, transport):
                continue
            if rule.target.has(destination_ip, names) and rule.source.has(camera):
                yield rule

    def may_permit_by_name(
        self, camera: Camera, port: int | None, transport: str, at: Nanoseconds
    ) -> bool:
        """Say whether a name could yet permit a contact whose names are not known."""
        return any(
            rule.target.network is None
            and _is_same_service(rule.permit, port, transport)
            and (rule.end is None or at < rule.end)
            and rule.source.has(camera)
            for rule in self._rules
        )


def _is_same_service(permit: Permit, port: int | None, transport: str) -> bool:
    return permit.port in (None, port) and permit.transport in (None, transport)


def _rule_of(permit: Permit, site: Site) -> _Rule:
    use = PermitUse(f"{site.file or 'permit'}:{permit.line}", _text_of(permit), permit.why)
    end = None
    if permit.until is not None:
        end = (permit.until.toordinal() - _EPOCH + 1) * _DAY
    return _Rule(permit, use, _source_of(permit, site), _target_of(permit), end)


def _source_of(permit: Permit, site: Site) -> _Source:
    if permit.from_ is None:
        return _Source(every=True)
    if is_mac(permit.from_):
        return _Source(mac=permit.from_)
    if is_address_or_network(permit.from_):
        return _Source(network=network_of(permit.from_))
    return _Source(device=next((d for d in site.devices if d.name == permit.from_), None))


def _target_of(permit: Permit) -> _Target:
    if is_address_or_network(permit.to):
        return _Target(network_of(permit.to), "", apex=False)
    domain = permit.to.removeprefix("*.")
    return _Target(None, domain, apex=domain == permit.to)


def _text_of(permit: Permit) -> str:
    text = f"{permit.from_ or 'every camera'} -> {permit.to}"
    if permit.transport is not None:
        text += f" {permit.transport}"
    if permit.port is not None:
        text += f" port {permit.port}"
    return text
