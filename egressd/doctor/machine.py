"""What this machine says of itself: its addresses, its interfaces, and whether its clock is right.

All of it is read from the kernel's files and one system call; nothing is asked of a network.
"""

from __future__ import annotations

import ctypes
import re
from ipaddress import IPv6Address
from pathlib import Path

PROC = Path("/proc")
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd(8), FILES
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
TIMEX_BYTES = 1024  # struct timex has 208 on 64-bit machines; all zeros mean: only read
HOST_ADDRESS = re.compile(r"^ *\|-- ([0-9.]+)\n *\/32 host LOCAL$", re.MULTILINE)


def own_addresses(proc: Path = PROC) -> frozenset[str]:
    """Return all addresses of this machine, as text."""
    found = set()
    try:
        trie = (proc / "net/fib_trie").read_text()
        found.update(HOST_ADDRESS.findall(trie))
    except OSError:
        pass
    try:
        # address(32 hex digits) index prefix scope flags name
        for line in (proc / "net/if_inet6").read_text().splitlines():
            found.add(str(IPv6Address(bytes.fromhex(line.split()[0]))))
    except (OSError, ValueError, IndexError):
        pass
    return frozenset(found)


def is_clock_synchronised(flag: Path = SYNCHRONISED) -> bool | None:
    """Tell whether somebody keeps this machine's clock right; None if that cannot be known."""
    if flag.exists():
        return True
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):  # musl has it, others may not
        return None
    state = adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else state != TIME_ERROR
