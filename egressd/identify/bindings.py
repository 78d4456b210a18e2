"""Which addresses stand behind which MAC, and which MACs are routers'.

A MAC tells a device apart only on its own segment: behind a router, many hosts
share one. Three signs give a router away: frames from off site carry its MAC,
packets arrive with a hop or two already spent, and addresses take turns behind
one MAC though none was claimed by ARP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import Host
from egressd.state import HostRow

if TYPE_CHECKING:
    from collections.abc import Iterable

# Systems send with 64, 128 or 255 hops to go; a few less have been spent on routers.
ROUTED_HOPS = frozenset({61, 62, 63, 125, 126, 127, 252, 253, 254})
LINK_LOCAL = "169.254."  # an address that a device has beside another
ROUTER_TURNS = 4


@dataclass(slots=True)
class _Speaker:
    """Who spoke last behind a MAC, and how often that changed."""

    host: int
    turns: int = 0


class Bindings:
    """The on-site hosts that the data plane announced."""

    def __init__(self) -> None:
        self.hosts: dict[int, Host] = {}
        self._routers: set[str] = set()
        self._routed: set[int] = set()  # hosts whose packets have passed a router
        self._claimed: set[tuple[str, str]] = set()  # (MAC, address) told by ARP
        self._first: dict[str, int] = {}  # MAC -> the first IPv4 host behind it
        self._speakers: dict[str, _Speaker] = {}  # MACs that several of them stand behind
        self._were_routed: set[tuple[str, str]] = set()  # (MAC, address) before a restart

    def introduce(self, index: int, ip: str, mac: str | None) -> Host:
        """Take a new address behind a MAC."""
        host = self.hosts[index] = Host(index, ip, mac)
        if mac is not None and (mac, ip) in self._were_routed:
            self._routed.add(index)
        is_plain = mac is not None and "." in ip and not ip.startswith(LINK_LOCAL)
        if is_plain and mac is not None and self._first.setdefault(mac, index) != index:
            self._speakers.setdefault(mac, _Speaker(index))
        return host

    def learn(self, host: Host, *, claimed: bool, hops: int) -> bool:
        """Take what a host's own packets say of it; return whether that moved it.

        `claimed`: it said by ARP that the address is its own. `hops`: what was left of its
        packet's hop limit, 0 where that is not known.
        """
        if host.mac is not None and claimed:
            self._claimed.add((host.mac, host.ip))
        if hops in ROUTED_HOPS:
            self._routed.add(host.index)
        return self._place(host)

    def is_router(self, mac: str) -> bool:
        """Say whether a MAC is known to be a router's."""
        return mac in self._routers

    def find_router(self, mac: str) -> list[Host]:
        """Learn that a MAC is a router's; return the hosts that this moved behind it."""
        self._routers.add(mac)
        return [host for host in self.hosts.values() if host.mac == mac and self._place(host)]

    def speaks(self, host: Host) -> list[Host]:
        """Take that a host spoke; return the hosts that this moved behind a router.

        A device that is given another address drops the old one. Where both go on, and neither
        was claimed by ARP, they are two hosts behind a router.
        """
        speaker = self._speakers.get(host.mac or "")
        if speaker is None or host.mac is None or host.mac in self._routers:
            return []
        if speaker.host == host.index or (host.mac, host.ip) in self._claimed:
            return []
        speaker.host = host.index
        speaker.turns += 1
        return self.find_router(host.mac) if speaker.turns >= ROUTER_TURNS else []

    def row_of(self, host: Host) -> HostRow:
        """Return a host as a row that outlives the run."""
        return HostRow(
            host.ip,
            host.mac,
            host.behind_router,
            claimed=(host.mac or "", host.ip) in self._claimed,
            routed=host.index in self._routed,
        )

    @property
    def routers(self) -> frozenset[str]:
        """The MACs known to be routers'."""
        return frozenset(self._routers)

    def restore(self, index: int, row: HostRow) -> Host:
        """Take a host that the run before this one knew, by an index that no other has."""
        host = self.hosts[index] = Host(index, row.ip, row.mac, row.behind_router)
        if row.mac is not None and row.claimed:
            self._claimed.add((row.mac, row.ip))
        if row.mac is not None and row.routed:
            self._were_routed.add((row.mac, row.ip))
        return host

    def restore_routers(self, macs: Iterable[str]) -> None:
        """Take which MACs were routers'."""
        self._routers.update(macs)

    def _place(self, host: Host) -> bool:
        before = host.behind_router
        host.behind_router = (
            host.mac is not None
            and (host.mac, host.ip) not in self._claimed
            and (host.mac in self._routers or host.index in self._routed)
        )
        return host.behind_router != before
