"""Community ID v1: the name of a flow that Suricata, Zeek and Wireshark give it, too.

A SHA-1 over both ends and the protocol, smaller end first, so that both
directions get one name (https://github.com/corelight/community-id-spec).
The seed is 0, as in those programs' defaults.
"""

from __future__ import annotations

from binascii import b2a_base64
from functools import lru_cache
from hashlib import sha1
from ipaddress import ip_address
from struct import Struct

SEED = b"\x00\x00"
PORTS = Struct("!HH")
# Messages of one flow come close together, and both ways; an ID costs 5 microseconds.
FLOWS_KEPT = 8192
ADDRESSES_KEPT = 4096
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
WITH_PORTS = frozenset({TCP, UDP, SCTP})

# Message types that ask and answer, as Zeek pairs them: type -> type of the other direction.
ICMP_PAIRS = {0: 8, 8: 0, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
ICMPV6_PAIRS = {
    128: 129,  # echo
    129: 128,
    130: 131,  # multicast listener
    131: 130,
    133: 134,  # router solicitation and advertisement
    134: 133,
    135: 136,  # neighbour solicitation and advertisement
    136: 135,
    139: 140,  # node information
    140: 139,
    144: 145,  # home agent address discovery
    145: 144,
}


@lru_cache(maxsize=FLOWS_KEPT)
def community_id(
    protocol: int, source: str, source_port: int, destination: str, destination_port: int
) -> str:
    """Return the Community ID of a flow; for ICMP the ports are the type and the code."""
    one_way = False
    if protocol in (ICMP, ICMPV6):
        pairs = ICMP_PAIRS if protocol == ICMP else ICMPV6_PAIRS
        one_way = source_port not in pairs
        destination_port = pairs.get(source_port, destination_port)
    first, second = _packed(source), _packed(destination)
    # A one-way message has no answer that would have to get the same name: nothing is turned.
    if not one_way and (first, source_port) > (second, destination_port):
        first, second = second, first
        source_port, destination_port = destination_port, source_port
    hashed = SEED + first + second + bytes((protocol, 0))
    if protocol in WITH_PORTS or protocol in (ICMP, ICMPV6):
        hashed += PORTS.pack(source_port, destination_port)
    # Fixed by the specification; it names a flow and protects nothing.
    digest = sha1(hashed, usedforsecurity=False).digest()
    return "1:" + b2a_base64(digest, newline=False).decode("ascii")


@lru_cache(maxsize=ADDRESSES_KEPT)
def _packed(address: str) -> bytes:
    return ip_address(address).packed
