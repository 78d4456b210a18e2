"""Which hosts are one device: a MAC with all its addresses, or an address behind a router.

Addresses move between devices and devices between addresses; a device keeps its identity. A MAC
that takes many addresses at once is a router's and says nothing of those behind it. The table is
bounded: when it is full, the oldest device that nothing points to gives way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from egressd.identify.evidence import Dossier
from egressd.identify.sitelist import CARD
from egressd.model import NANOSECONDS_PER_SECOND, Camera, Host, Nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from egressd.identify.rules import Observation
    from egressd.identify.sitelist import Listing

MAX_DEVICES = 65_536
MAX_BINDINGS = 4 * MAX_DEVICES
MAX_IPS = 64  # told of one device; more are followed, not told
MAX_HOSTS = 1024  # bindings followed of one device; the oldest gives way
MAX_LEASES = 65_536
MAX_MOVES = 256  # told; more are only counted
# A camera has one IPv4 address, at its start perhaps the factory's before that (D-Link DCS-935L:
# 192.168.0.20, then DHCP), and a few of IPv6. A MAC that takes more of them so soon is a router's.
ROUTER_IP4 = 2
ROUTER_IP6 = 8
ROUTER_SPAN = 600 * NANOSECONDS_PER_SECOND


@dataclass(slots=True, eq=False)
class Device:
    """One device: its bindings, what is known of it, and the camera it may be."""

    id: str  # its MAC, or its address where it stands behind a router
    mac: str | None = None  # its own
    ips: list[str] = field(default_factory=list)
    hosts: dict[int, Host] = field(default_factory=dict)
    bound: list[Nanoseconds] = field(default_factory=list)  # when IPv4 addresses came, lately
    bound6: list[Nanoseconds] = field(default_factory=list)
    listing: Listing | None = None
    dossier: Dossier = field(default_factory=Dossier)
    seen: set[Observation] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)  # names, as it asked for them
    domains: set[str] = field(default_factory=set)
    clouds: set[str] = field(default_factory=set)  # vendors whose clouds it asked for
    pulled: set[str] = field(default_factory=set)  # ids of devices it pulled streams from
    serves: bool = False  # routes, resolves names, or gives addresses
    camera: Camera | None = None
    judged: bool = False
    told: tuple[object, ...] = ()  # what was last published
    recognised: Nanoseconds = 0  # when it was first published


@dataclass(slots=True)
class DeviceChanges:
    """What of the table is to be kept over a restart."""

    devices: list[Device]
    leases: dict[str, str]  # address -> MAC
    routers: list[str]
    gone: list[str]  # ids


class DeviceTable:
    """Devices by MAC, address and host index."""

    def __init__(self, max_devices: int = MAX_DEVICES) -> None:
        self._max_devices = max_devices
        self._by_key: dict[str, Device] = {}  # by id, and by MAC where that is not the id
        self._by_ip: dict[str, Device] = {}  # who has the address now
        self._by_host: dict[int, Device] = {}
        self._plain: dict[str, Device] = {}  # may be forgotten, oldest first
        self._leases: dict[str, str] = {}  # address -> MAC, as DHCP servers told
        self._routers: set[str] = set()
        self.seen = 0
        self.forgotten = 0
        self.shed = 0  # hosts not followed because the table is full of cameras
        self.moves: list[str] = []  # what a person should know of, the first of them
        self.moved = 0
        self._rebound: list[Host] = []
        self._changed: dict[str, Device] | None = None  # None: nobody asked for rows yet
        self._changed_leases: dict[str, str] = {}
        self._gone: list[str] = []

    def __len__(self) -> int:
        return self.seen - self.forgotten

    @property
    def maximum(self) -> int:
        """How many devices there is room for."""
        return self._max_devices

    def of_host(self, index: int) -> Device | None:
        """Return the device of a binding."""
        return self._by_host.get(index)

    def of_mac(self, mac: str) -> Device | None:
        """Return the device with a MAC, unless that is a router's."""
        return self._by_key.get(mac)

    def of_ip(self, ip: str) -> Device | None:
        """Return the device that has an address now."""
        return self._by_ip.get(ip)

    def lease(self, ip: str, mac: str) -> Device | None:
        """Learn from DHCP whose an address is; return the device that has just got its MAC."""
        if len(self._leases) >= MAX_LEASES and ip not in self._leases:
            del self._leases[next(iter(self._leases))]
        self._leases[ip] = mac
        if self._changed is not None:
            self._changed_leases[ip] = mac
        device = self._by_ip.get(ip)
        if device is None or device.mac is not None or mac in self._by_key:
            return None
        self._own(device, mac)
        return device

    def bind(self, host: Host, time: Nanoseconds) -> Device | None:
        """Return the device of a new binding, or None where the table has no room."""
        mac = host.mac
        if mac is not None and host.behind_router:
            self.take_for_router(mac)
        own = None if mac in self._routers else mac
        device = self._device_for(host, own)
        if device is None or not self._attach(device, host):
            self.shed += 1
            return None
        if own is not None and device.id == own and self._is_router(device, host.ip, time):
            self.take_for_router(own)
            return self._by_host.get(host.index)
        return device

    def take_for_router(self, mac: str) -> None:
        """Take a MAC for a router's: each address behind it is a device of its own."""
        if mac not in self._routers:
            self._routers.add(mac)
            self._split(mac)

    def take_rebound(self) -> list[Host]:
        """Return the bindings that have got another device since this was last asked."""
        rebound, self._rebound = self._rebound, []
        return rebound

    def touch(self, device: Device) -> None:
        """Take that something about a device changed."""
        if self._changed is not None:
            self._changed[device.id] = device

    def take_changes(self, *, changed_only: bool) -> DeviceChanges:
        """Return all there is, or what changed since this was last asked."""
        if self._changed is None or not changed_only:
            devices = {device.id: device for device in self._by_key.values()}
            leases = self._leases
        else:
            devices, leases = self._changed, self._changed_leases
        there = [device for device in devices.values() if self._by_key.get(device.id) is device]
        changes = DeviceChanges(there, dict(leases), sorted(self._routers), self._gone)
        self._changed, self._changed_leases, self._gone = {}, {}, []
        return changes

    def restore_facts(self, leases: Mapping[str, str], routers: Iterable[str]) -> None:
        """Take what the run before this one knew of addresses and routers."""
        self._leases.update(leases)
        self._routers.update(routers)

    def restore(self, device: Device) -> bool:
        """Take a device that the run before this one knew, with its bindings; False: no room."""
        if len(self) >= self._max_devices or device.id in self._by_key:
            return False
        self._by_key[device.id] = device
        self._plain[device.id] = device
        self.seen += 1
        if device.mac is not None:
            self._by_key.setdefault(device.mac, device)
        for host in device.hosts.values():
            self._by_host[host.index] = device
        for ip in device.ips:
            self._by_ip[ip] = device
        return True

    def settle(self, device: Device) -> None:
        """Keep a device for good: it is a camera, or listed."""
        self._plain.pop(device.id, None)

    def unsettle(self, device: Device) -> None:
        """Let a device give way again when the table is full."""
        if self._by_key.get(device.id) is device:
            self._plain[device.id] = device

    def _device_for(self, host: Host, own: str | None) -> Device | None:
        holder = self._by_ip.get(host.ip)
        if own is None:
            leased = self._leases.get(host.ip)
            return holder or self._create(host.ip, leased if leased not in self._by_key else None)
        known = self._by_key.get(own)
        if known is not None:
            if holder is not None and holder is not known:
                self._note_move(host.ip, holder, known)
            return known
        if holder is not None and holder.mac in (None, own):
            self._own(holder, own)
            return holder
        device = self._create(own, own)
        if holder is not None and device is not None:
            self._note_move(host.ip, holder, device)
        return device

    def _create(self, key: str, mac: str | None) -> Device | None:
        known = self._by_key.get(key)
        if known is not None:
            return known
        if len(self) >= self._max_devices and not self._forget():
            return None
        device = Device(key)
        self._by_key[key] = device
        self._plain[key] = device
        self.seen += 1
        if mac is not None:
            self._own(device, mac)
        return device

    def _own(self, device: Device, mac: str) -> None:
        device.mac = mac
        self._by_key[mac] = device

    def _attach(self, device: Device, host: Host) -> bool:
        """Give a device a binding; False where there is no room for one."""
        if self._plain.pop(device.id, None) is not None:
            self._plain[device.id] = device  # now the newest
        if host.index not in self._by_host:
            if len(device.hosts) >= MAX_HOSTS:
                self._by_host.pop(device.hosts.pop(next(iter(device.hosts))).index, None)
            while len(self._by_host) >= MAX_BINDINGS:
                if next(iter(self._plain.values()), device) is device:
                    return False
                self._forget()
        device.hosts[host.index] = host
        self._by_host[host.index] = device
        self._by_ip[host.ip] = device
        if host.ip not in device.ips and len(device.ips) < MAX_IPS:
            device.ips.append(host.ip)
        return True

    def _is_router(self, device: Device, ip: str, time: Nanoseconds) -> bool:
        listed = device.listing is not None and device.listing.rank == CARD
        if listed or ip.startswith(("fe80:", "169.254.")):
            return False
        recent, most = (device.bound6, ROUTER_IP6) if ":" in ip else (device.bound, ROUTER_IP4)
        recent[:] = [bound for bound in recent if time - bound <= ROUTER_SPAN]
        recent.append(time)
        return len(recent) > most

    def _split(self, mac: str) -> None:
        device = self._by_key.pop(mac, None)
        if device is None:
            return
        hosts = list(device.hosts.values())
        if device.id == mac:
            self._plain.pop(mac, None)
            self.seen -= 1
            device.judged = False
        else:  # known by its address, which it keeps
            device.mac = None
        if device.id == mac and self._changed is not None:
            self._gone.append(mac)
        self._note(f"{mac} is a router's: it sends for {len(hosts)} addresses")
        moving = [host for host in hosts if host.ip != device.id]
        for host in moving:
            if self._by_ip.get(host.ip) is device:
                del self._by_ip[host.ip]
            del self._by_host[host.index]
            del device.hosts[host.index]
        self._rebound += moving
        for host in moving:
            part = self._by_ip.get(host.ip) or self._create(host.ip, None)
            if part is None or not self._attach(part, host):
                self.shed += 1
                continue
            for piece in device.dossier.pieces:
                if piece.host == host.index:
                    part.dossier.add(piece)

    def _forget(self) -> bool:
        """Make room: drop the oldest device that may go, with all its bindings."""
        if not self._plain:
            return False
        key = next(iter(self._plain))
        device = self._plain.pop(key)
        for name in (device.id, device.mac):
            if name is not None and self._by_key.get(name) is device:
                del self._by_key[name]
        for host in device.hosts.values():
            self._by_host.pop(host.index, None)
            if self._by_ip.get(host.ip) is device:
                del self._by_ip[host.ip]
        if self._changed is not None:
            self._gone.append(device.id)
        self.forgotten += 1
        return True

    def _note_move(self, ip: str, before: Device, after: Device) -> None:
        self._note(f"{ip} moved from {before.id} to {after.id}")

    def _note(self, text: str) -> None:
        self.moved += 1
        if len(self.moves) < MAX_MOVES:
            self.moves.append(text)
