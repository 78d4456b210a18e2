"""Whom the judge judges: recognised and listed cameras, or every on-site host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.model import Camera, Host, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.identify.inventory import Inventory


class JudgedCameras:
    """Recognised and listed cameras and recorders."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def camera_of(self, host_index: int) -> Camera | None:
        """Return the judged camera a host is, or None."""
        return self._inventory.camera_of(host_index)

    def bindings_of(self, camera: Camera) -> Iterable[int]:
        """Return all hosts that are a recognised camera."""
        return self._inventory.bindings_of(camera)

    def hosts_of(self, host_index: int) -> Iterable[int]:
        """Return all hosts that are the same device, the given one first."""
        return self._inventory.hosts_of(host_index)

    @property
    def cameras(self) -> list[Camera]:
        """All that are judged, in order of recognition."""
        return self._inventory.cameras


class JudgedHosts(JudgedCameras):
    """Every on-site host: what is not a recognised camera is judged as one all the same."""

    def __init__(self, inventory: Inventory, hosts: dict[int, Host]) -> None:
        super().__init__(inventory)
        self._hosts = hosts
        self._others: dict[str, Camera] = {}

    def camera_of(self, host_index: int) -> Camera | None:
        """Return the camera a host is, or a stand-in for a host that is none."""
        camera = self._inventory.camera_of(host_index)
        if camera is not None or host_index not in self._hosts:
            return camera
        host = self._hosts[host_index]
        key = host.ip if host.mac is None or host.behind_router else host.mac
        other = self._others.get(key)
        if other is None or host.ip not in other.ips:
            ips = [*(other.ips if other is not None else ()), host.ip]
            other = self._others[key] = Camera(key, kind=Kind.HOST, mac=host.mac, ips=ips)
        return other

    @property
    def cameras(self) -> list[Camera]:
        """Cameras first, then the other hosts that were asked about."""
        return [*self._inventory.cameras, *self._others.values()]
