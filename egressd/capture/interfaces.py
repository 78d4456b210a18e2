"""Network interfaces: what they are, how they are, and what they have lost before us.

Asked of the kernel through a socket that the caller has (netdevice(7), ethtool) and of
/sys/class/net. Nothing here needs a privilege, changes an interface or sends a frame.
What an interface does not tell is None, which says nothing either.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from enum import Enum
from fcntl import ioctl
from pathlib import Path
from typing import TYPE_CHECKING

from egressd.model import CaptureError

if TYPE_CHECKING:
    from egressd.model import Bytes, Nanoseconds

SYSFS = Path("/sys/class/net")
LONGEST_NAME = 15  # bytes: IFNAMSIZ less its zero
HARDWARE_ETHERNET = 1

# linux/sockios.h
SIOCGIFNAME = 0x8910
SIOCGIFFLAGS = 0x8913
SIOCGIFMTU = 0x8921
SIOCGIFHWADDR = 0x8927
SIOCGIFINDEX = 0x8933
SIOCETHTOOL = 0x8946
IFF_UP = 0x1
IFF_LOOPBACK = 0x8
REQUEST = struct.Struct("16s24s")  # struct ifreq: a name, and a union of 24 bytes

# linux/ethtool.h
ETHTOOL_GSTRINGS = 0x1B
ETHTOOL_GSSET_INFO = 0x37
ETHTOOL_GFEATURES = 0x3A
FEATURE_STRINGS = 4  # ETH_SS_FEATURES
STRING_BYTES = 32  # ETH_GSTRING_LEN
MOST_FEATURES = 1024
# Features that put frames together before we see them, and how `ethtool -K` calls them.
MERGING_FEATURES = {
    "rx-gro": "gro",
    "rx-lro": "lro",
    "rx-gro-hw": "rx-gro-hw",
    "rx-gro-list": "rx-gro-list",
}

# From the hardware types of linux/if_arp.h to the LINKTYPE numbers of the capture file formats,
# where frames of a raw socket look like that. All are link types that the data plane walks.
LINKTYPES = {
    HARDWARE_ETHERNET: 1,
    772: 1,  # ARPHRD_LOOPBACK: Ethernet with addresses of zeros
    512: 101,  # ARPHRD_PPP: raw IP, the kernel keeps PPP's own header
    513: 104,  # ARPHRD_CISCO: HDLC
    519: 101,  # ARPHRD_RAWIP: modems
    768: 101,  # ARPHRD_TUNNEL: IP in IP
    769: 101,  # ARPHRD_TUNNEL6
    770: 107,  # ARPHRD_FRAD: frame relay
    776: 101,  # ARPHRD_SIT: IPv6 in IPv4
    801: 105,  # ARPHRD_IEEE80211
    803: 127,  # ARPHRD_IEEE80211_RADIOTAP
    65_534: 101,  # ARPHRD_NONE: tun without a link header, WireGuard
}


class LinkState(Enum):
    """How an interface stands."""

    UP = "up"  # switched on; `carrier` says whether a cable is in
    DOWN = "down"  # switched off
    GONE = "gone"  # there is no such interface


@dataclass(frozen=True, slots=True)
class InterfaceChange:
    """An interface went down, came back, was renamed, or is not what it was."""

    interface: str  # as it was asked for
    name: str  # as it is called now, or was last
    state: LinkState
    reason: str  # more about it, or ""


@dataclass(frozen=True, slots=True)
class NicCounters:
    """What the interface and its driver count, since they were made; None where they do not."""

    frames: int | None = None  # received
    wire_bytes: Bytes | None = None
    errors: int | None = None  # the sum of those that follow, as the driver sees it
    dropped: int | None = None  # no memory, or nobody wanted them
    missed: int | None = None  # the card's own buffer was full
    fifo: int | None = None
    over: int | None = None  # the host took them too slowly
    crc: int | None = None  # damaged on the wire
    length: int | None = None
    framing: int | None = None

    @property
    def lost(self) -> int:
        """Frames that the card lost; drivers report one loss under several of these."""
        return max(self.missed or 0, self.fifo or 0, self.over or 0)


@dataclass(frozen=True, slots=True)
class InterfaceCounters:
    """One interface's share of the coverage: what it saw, and what was lost at which layer.

    Counts are since the ring was opened, but for `nic`. They never go back.
    """

    interface: str  # as it was asked for
    name: str  # as it is called now, or was last
    state: LinkState
    frames: int  # given out
    wire_bytes: Bytes  # of these
    captured_bytes: Bytes  # of these, after the filter's cut
    last_frame: Nanoseconds  # time of the last one; 0 before the first
    packets: int  # that passed the kernel's filter, those it dropped included
    drops: int  # dropped by the kernel because the ring was full
    freezes: int  # times the ring was full
    outgoing_frames: int  # of this machine itself and left out, where the kernel does not do that
    super_frames: int  # longer than the interface takes: put together by GRO or LRO
    cut_frames: int  # that the filter cut to their headers
    tags: int  # VLAN tags that were put back
    damaged: int  # records of the ring that could not be
    outages: int  # times the interface went down or away
    operstate: str | None = None  # RFC 2863: up, down, lowerlayerdown, dormant, unknown, ...
    carrier: bool | None = None
    mtu: int | None = None
    merging: tuple[str, ...] | None = None  # features to switch off with `ethtool -K NAME ... off`
    nic: NicCounters = field(default_factory=NicCounters)


def index_of(descriptor: int, name: str) -> int | None:
    """Return the index of the interface of that name, or None."""
    answer = _ask(descriptor, SIOCGIFINDEX, name)
    return None if answer is None else int(struct.unpack_from("i", answer, 16)[0])


def name_of(descriptor: int, index: int) -> str | None:
    """Return the name of the interface with that index, or None."""
    request = REQUEST.pack(b"", struct.pack("i", index))
    try:
        answer = ioctl(descriptor, SIOCGIFNAME, request)
    except OSError:
        return None
    return answer[:16].rstrip(b"\0").decode(errors="surrogateescape")


def is_up(descriptor: int, name: str) -> bool:
    """Tell whether an interface is there and switched on."""
    return bool(_flags_of(descriptor, name) & IFF_UP)


def is_loopback(descriptor: int, name: str) -> bool:
    """Tell whether an interface brings a machine's own frames back to it."""
    return bool(_flags_of(descriptor, name) & IFF_LOOPBACK)


def mtu_of(descriptor: int, name: str) -> int | None:
    """Return the longest packet an interface is meant to carry, its link header not counted."""
    answer = _ask(descriptor, SIOCGIFMTU, name)
    return None if answer is None else int(struct.unpack_from("i", answer, 16)[0])


def linktype_of(descriptor: int, name: str) -> int | None:
    """Return the LINKTYPE number of an interface's frames, or None if there is no interface.

    CaptureError if they are of a kind that nobody here reads.
    """
    answer = _ask(descriptor, SIOCGIFHWADDR, name)
    if answer is None:
        return None
    hardware = struct.unpack_from("H", answer, 16)[0]
    if hardware not in LINKTYPES:
        raise CaptureError(
            f"{name}: frames of hardware type {hardware} are not understood; "
            "watch an Ethernet interface, a tunnel of IP, or a wireless one in monitor mode"
        )
    return LINKTYPES[hardware]


def load_names(folder: Path = SYSFS) -> list[str]:
    """Return the names of the interfaces there are, in order."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []


def load_nic_counters(name: str, folder: Path = SYSFS) -> NicCounters:
    """Read what an interface and its driver count."""

    def count(counter: str) -> int | None:
        return _number(_load(folder / name / "statistics" / counter))

    return NicCounters(
        frames=count("rx_packets"),
        wire_bytes=count("rx_bytes"),
        errors=count("rx_errors"),
        dropped=count("rx_dropped"),
        missed=count("rx_missed_errors"),
        fifo=count("rx_fifo_errors"),
        over=count("rx_over_errors"),
        crc=count("rx_crc_errors"),
        length=count("rx_length_errors"),
        framing=count("rx_frame_errors"),
    )


def load_operstate(name: str, folder: Path = SYSFS) -> str | None:
    """Read the operational state of an interface (RFC 2863), in the kernel's words."""
    return _load(folder / name / "operstate")


def load_carrier(name: str, folder: Path = SYSFS) -> bool | None:
    """Read whether an interface has a cable in; None while it is switched off."""
    number = _number(_load(folder / name / "carrier"))
    return None if number is None else number != 0


def merging_features(descriptor: int, name: str) -> tuple[str, ...] | None:
    """Return what is switched on that puts frames together, or None if nobody tells."""
    count = _feature_count(descriptor, name)
    if count is None:
        return None
    names = _feature_names(descriptor, name, count)
    active = _active_features(descriptor, name, count)
    if names is None or active is None:
        return None
    return tuple(
        short
        for long, short in MERGING_FEATURES.items()
        if long in names and active >> names.index(long) & 1
    )


def _flags_of(descriptor: int, name: str) -> int:
    answer = _ask(descriptor, SIOCGIFFLAGS, name)
    return 0 if answer is None else int(struct.unpack_from("H", answer, 16)[0])


def _feature_count(descriptor: int, name: str) -> int | None:
    # struct ethtool_sset_info: cmd(4) reserved(4) mask(8), then a count for each bit of the mask
    answer = _ask_ethtool(
        descriptor, name, struct.pack("IIQI", ETHTOOL_GSSET_INFO, 0, 1 << FEATURE_STRINGS, 0)
    )
    if answer is None or not struct.unpack_from("Q", answer, 8)[0]:
        return None
    count = int(struct.unpack_from("I", answer, 16)[0])
    return count if 0 < count <= MOST_FEATURES else None


def _feature_names(descriptor: int, name: str, count: int) -> list[str] | None:
    # struct ethtool_gstrings: cmd(4) set(4) count(4), then the strings
    head = struct.pack("III", ETHTOOL_GSTRINGS, FEATURE_STRINGS, count)
    answer = _ask_ethtool(descriptor, name, head + bytes(count * STRING_BYTES))
    if answer is None:
        return None
    texts = (answer[at : at + STRING_BYTES] for at in range(len(head), len(answer), STRING_BYTES))
    return [text.split(b"\0")[0].decode(errors="replace") for text in texts]


def _active_features(descriptor: int, name: str, count: int) -> int | None:
    # struct ethtool_gfeatures: cmd(4) blocks(4), then for each 32 features
    # available(4) requested(4) active(4) never changed(4)
    blocks = -(-count // 32)
    answer = _ask_ethtool(
        descriptor, name, struct.pack("II", ETHTOOL_GFEATURES, blocks) + bytes(16 * blocks)
    )
    if answer is None:
        return None
    return sum(
        int(struct.unpack_from("I", answer, 16 + 16 * block)[0]) << 32 * block
        for block in range(blocks)
    )


def _ask_ethtool(descriptor: int, name: str, command: bytes) -> bytes | None:
    """Return what the kernel made of an ethtool command; it is told where the command lies."""
    memory = array("B", command)
    address = struct.pack("P", memory.buffer_info()[0])
    if _ask(descriptor, SIOCETHTOOL, name, address) is None:
        return None
    return memory.tobytes()


def _ask(descriptor: int, request: int, name: str, value: bytes = b"") -> bytes | None:
    """Return the kernel's answer about an interface, or None if it gives none."""
    encoded = name.encode(errors="surrogateescape")
    if not 0 < len(encoded) <= LONGEST_NAME or b"\0" in encoded:
        return None
    try:
        return ioctl(descriptor, request, REQUEST.pack(encoded, value))
    except OSError:
        return None


def _load(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # there is none, or a carrier is asked of an interface that is down
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
