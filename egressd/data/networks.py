"""The networks egressd can name without a download: clouds, CDNs, vendors, carriers.

A prefix table of the autonomous systems chosen in `scripts/networks.yaml`. It
says who originates an address on the internet, and nothing about where the
machine stands or who rents it: "Alibaba" is a landlord, not the camera's vendor.
An address it does not know is None, which says nothing either.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from egressd.data import DIRECTORY, TableError, read_table

if TYPE_CHECKING:
    from array import array
    from pathlib import Path

NAME = "egressd-networks"
DEFAULT_FILE = DIRECTORY / "networks.bin"


class NetworkClass(Enum):
    """What sort of business an autonomous system is."""

    CLOUD = "cloud"  # rents out computers and services by the hour
    CDN = "cdn"  # delivers other people's content from many places
    HOSTING = "hosting"  # rents out servers and address space
    PLATFORM = "platform"  # runs its own services for the public
    VENDOR = "vendor"  # sells cameras, recorders or alarms and has address space of its own
    CARRIER = "carrier"  # sells access, transit and data-centre space


@dataclass(frozen=True, slots=True)
class Network:
    """Who originates a prefix: the AS, our short name for its owner, and its class."""

    asn: int
    org: str
    network_class: NetworkClass


class Networks:
    """The prefix table; `network_of` answers for IPv4 and IPv6."""

    def __init__(self, data: bytes) -> None:
        table = read_table(data)
        try:
            columns = table.columns
            self._v4 = _Ranges(columns["start4"], columns["end4"], columns["network4"])
            self._v6 = _Ranges(columns["start6"], columns["end6"], columns["network6"])
            # One line a network: "45102 cloud Alibaba".
            lines = columns["networks"].tobytes().decode().splitlines()
            self._networks = [_read_network(line) for line in lines]
        except (KeyError, ValueError) as error:
            raise TableError(f"it is not a table of networks ({error})") from error
        if self._v4.highest >= len(lines) or self._v6.highest >= len(lines):
            raise TableError("it names a network that it does not list")
        self.built = table.built
        self.count = len(columns["start4"]) + len(columns["start6"])

    def network_of(self, address: IPv4Address | IPv6Address) -> Network | None:
        """Return the network that originates an address, or None if the table does not know."""
        if isinstance(address, IPv4Address):
            index = self._v4.find(int(address))
        else:
            # No network routes less than a /64: the table keeps the upper half.
            index = self._v6.find(int(address) >> 64)
        return None if index is None else self._networks[index]


def load_networks(path: Path = DEFAULT_FILE) -> Networks:
    """Read a table of networks; OSError or TableError if it cannot be used."""
    return Networks(path.read_bytes())


class _Ranges:
    """Sorted, disjoint, inclusive ranges, each with a number."""

    def __init__(self, starts: array[int], ends: array[int], values: array[int]) -> None:
        if not len(starts) == len(ends) == len(values):
            raise TableError("its columns differ in length")
        self._starts = starts
        self._ends = ends
        self._values = values
        self.highest = max(values, default=-1)

    def find(self, key: int) -> int | None:
        index = bisect_right(self._starts, key) - 1
        if index < 0 or key > self._ends[index]:
            return None
        return self._values[index]


def _read_network(line: str) -> Network:
    asn, network_class, org = line.split(" ", 2)
    return Network(int(asn), org, NetworkClass(network_class))
