"""The devices a site file names, asked by MAC and address.

An entry by MAC beats one by address, and that one beats a network. A network means every host in
it, except what is named elsewhere or serves the network itself: routers, resolvers, time servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egressd.config import Site, SiteDevice


@dataclass(frozen=True, slots=True)
class Listing:
    """An entry that fits a host; the higher rank fits better."""

    entry: SiteDevice
    rank: int


NETWORK, ADDRESS, CARD = 1, 2, 3


class SiteList:
    """The site file's devices, and which of them have been seen."""

    def __init__(self, site: Site) -> None:
        self._entries = (*site.cameras, *site.recorders)
        self._by_mac: dict[str, SiteDevice] = {}
        self._by_ip: dict[str, SiteDevice] = {}
        self._by_network: dict[tuple[int, int], dict[int, SiteDevice]] = {}
        self._seen: set[int] = set()
        self._servers = {*site.resolvers, *site.ntp}
        for entry in self._entries:
            if entry.mac is not None:
                self._by_mac.setdefault(entry.mac, entry)
            if entry.ip is not None:
                self._by_ip.setdefault(entry.ip, entry)
            if entry.network is not None:
                shape = (entry.network.version, entry.network.prefixlen)
                networks = self._by_network.setdefault(shape, {})
                networks.setdefault(int(entry.network.network_address), entry)
        self._shapes = sorted(self._by_network, reverse=True)  # the longest prefix first

    def find(self, mac: str | None, ip: str, *, serves: bool = False) -> Listing | None:
        """Return the entry that fits a host best; `serves`: it routes, resolves or tells the time.

        `mac` is the host's own, None where only a router's is seen.
        """
        listing = self._find(mac, ip, serves=serves or ip in self._servers)
        if listing is not None:
            self._seen.add(id(listing.entry))
        return listing

    def _find(self, mac: str | None, ip: str, *, serves: bool) -> Listing | None:
        entry = self._by_mac.get(mac) if mac is not None else None
        if entry is not None:
            return Listing(entry, CARD)
        entry = self._by_ip.get(ip)
        if entry is not None and (entry.mac is None or mac is None):
            return Listing(entry, ADDRESS)
        if serves or not self._shapes:
            return None
        address = ip_address(ip.partition("%")[0])
        for version, length in self._shapes:
            if version == address.version:
                width = 32 if version == 4 else 128
                network = int(address) >> (width - length) << (width - length)
                entry = self._by_network[version, length].get(network)
                if entry is not None:
                    return Listing(entry, NETWORK)
        return None

    @property
    def missing(self) -> list[SiteDevice]:
        """The entries that no host has fitted so far, in the file's order."""
        return [entry for entry in self._entries if id(entry) not in self._seen]
