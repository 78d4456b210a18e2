"""On-site endpoints: what counts as on site, and what each host may cost.

A host is one address behind one MAC. Row 0 stands for all that is off site, row 1 for all
hosts beyond the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from egressd.dataplane.reference.layers import NO_MAC

if TYPE_CHECKING:
    from egressd.dataplane.reference.flows import Side
    from egressd.model import Bytes, Nanoseconds

HOSTS = 65_536
GATEWAYS = 2048  # MACs of off-site ends that are told apart
OFF_SITE_ROW, OTHERS_ROW = 0, 1

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
LOOKS_A_SECOND = 20_000  # payloads of one host worth a look
CONTACTS_AN_HOUR = 16_384  # new flows of one host that leave the site


class Place(IntEnum):
    """Where an address is."""

    OFF_SITE = 0
    ON_SITE = 1
    GROUP = 2  # multicast, broadcast, unspecified: on site, but no host


@dataclass(slots=True)
class Host:
    """One on-site address behind one MAC, its budgets, and what was shed beyond them."""

    row: int
    version: int = 0
    ip: int = 0
    mac: int = NO_MAC
    announced: bool = False  # said so itself by ARP
    spoke: int = 0  # counts up: the host of an address that spoke last has the most
    hops: int = 0  # hop limit of the first packet it sent to one host
    last: Nanoseconds = 0  # when it sent its last frame
    second: int = 0
    looks: int = 0
    hour: int = 0
    contacts: int = 0
    shed_flows: int = 0
    shed_frames_out: int = 0
    shed_bytes_out: Bytes = 0
    shed_frames_in: int = 0
    shed_bytes_in: Bytes = 0

    @property
    def is_real(self) -> bool:
        """Whether it is one host, and not all that are off site or beyond the bound."""
        return self.row > OTHERS_ROW

    def keep_totals(self, home: Side, away: Side) -> None:
        """Take the counters of a flow beyond the budget."""
        self.shed_frames_out += home.own_frames
        self.shed_bytes_out += home.own_bytes
        self.shed_frames_in += away.own_frames
        self.shed_bytes_in += away.own_bytes

    def may_look(self, now: Nanoseconds) -> bool:
        """Take one look from this second's budget."""
        if self.second != now // SECOND:
            self.second, self.looks = now // SECOND, 0
        self.looks += 1
        return self.looks <= LOOKS_A_SECOND

    def may_contact(self, now: Nanoseconds) -> bool:
        """Take one new off-site flow from this hour's budget."""
        if self.hour != now // HOUR:
            self.hour, self.contacts = now // HOUR, 0
        self.contacts += 1
        return self.contacts <= CONTACTS_AN_HOUR


class HostBook:
    """All hosts met so far; `prefixes` are (network as int, length, version)."""

    def __init__(self, prefixes: list[tuple[int, int, int]]) -> None:
        self._networks = [
            (version, network, (32 if version == 4 else 128) - length)
            for network, length, version in prefixes
        ]
        self._known: dict[tuple[int, int, int], Host] = {}
        self.rows = [Host(OFF_SITE_ROW), Host(OTHERS_ROW)]
        self._of_ip: dict[tuple[int, int], list[Host]] = {}
        self._spoken = 0
        self._speakers: dict[int, Host] = {}  # MAC -> the IPv4 host that spoke last behind it
        self._gateways: set[int] = set()

    @property
    def others(self) -> Host:
        """What stands for all hosts beyond the bound."""
        return self.rows[OTHERS_ROW]

    def place_of(self, version: int, ip: int) -> Place:
        """Say where an address is."""
        if version == 4:
            # 224.0.0.0/4, limited broadcast, 0.0.0.0/8
            if ip >> 28 == 0xE or ip == 0xFFFFFFFF or ip >> 24 == 0:
                return Place.GROUP
        elif ip >> 120 == 0xFF or ip == 0:
            return Place.GROUP  # ff00::/8, ::
        for of_version, network, rest in self._networks:
            if of_version == version and ip >> rest << rest == network:
                return Place.ON_SITE
        return Place.OFF_SITE

    def find(self, version: int, ip: int, mac: int) -> Host | None:
        """Return a host that is known."""
        return self._known.get((version, ip, mac))

    def add(self, version: int, ip: int, mac: int) -> Host | None:
        """Return a new host, or None beyond the bound."""
        if len(self.rows) >= HOSTS:
            return None
        host = Host(len(self.rows), version, ip, mac)
        self.rows.append(host)
        self._known[version, ip, mac] = host
        self._of_ip.setdefault((version, ip), []).append(host)
        return host

    def speaks(self, host: Host) -> None:
        """Take that a host sent a packet: its address is its own until another speaks."""
        self._spoken += 1
        host.spoke = self._spoken

    def takes_turn(self, host: Host) -> bool:
        """Say whether an IPv4 host spoke where another behind its MAC did so last."""
        if not host.is_real or host.version != 4 or host.mac == NO_MAC:
            return False
        before = self._speakers.get(host.mac)
        self._speakers[host.mac] = host
        return before is not None and before is not host

    def is_new_gateway(self, mac: int) -> bool:
        """Say whether off-site ends have this MAC for the first time."""
        if mac in self._gateways:
            return False
        if len(self._gateways) < GATEWAYS:
            self._gateways.add(mac)
        return True

    def speaker_of(self, version: int, ip: int) -> Host | None:
        """Return the host that spoke last with an address."""
        hosts = [host for host in self._of_ip.get((version, ip), ()) if host.spoke]
        return max(hosts, key=lambda host: host.spoke, default=None)
