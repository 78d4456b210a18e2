"""Which decoder of camera P2P protocols reads which datagram, and when a weak sign is believed.

Most datagrams are none of them: the first byte decides who is asked at all. What a decoder is not
sure of by the bytes alone counts only in a flow that is known to be of the same protocol, or at
the protocol's own port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from egressd.decode.dahua_dhp2p import read_dahua_dhp2p
from egressd.decode.dahua_istun import read_dahua_istun
from egressd.decode.dahua_ptcp import read_dahua_ptcp
from egressd.decode.hik_p2p3 import read_hik_p2p3
from egressd.decode.hik_stun import read_hik_stun
from egressd.decode.ilnk import read_ilnk
from egressd.decode.kalay import read_kalay
from egressd.decode.kalay_cc51 import read_kalay_cc51
from egressd.decode.miio import read_miio
from egressd.decode.p2p import Confidence, P2pMessage
from egressd.decode.pppp import HELLO_SIZE, LOGIN_SIZES, SERVER_PORT, ObfuscatedTrail, read_pppp
from egressd.decode.reolink_bcudp import read_reolink_bcudp
from egressd.decode.tplink_smarthome import read_tplink_smarthome
from egressd.decode.tuya import read_tuya
from egressd.decode.tvt_nat import read_tvt_nat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Reader = Callable[[bytes], P2pMessage | None]

READERS: dict[int, tuple[Reader, ...]] = {
    0x00: (read_tuya,),
    0x01: (read_tvt_nat,),
    0x02: (read_tvt_nat, read_tplink_smarthome),
    0x10: (read_reolink_bcudp,),
    0x20: (read_reolink_bcudp,),
    0x21: (read_miio,),
    0x24: (read_hik_p2p3,),
    0x31: (read_reolink_bcudp,),
    0x3A: (read_reolink_bcudp,),
    0x44: (read_dahua_dhp2p,),  # DHGET, DHPOST
    0x47: (read_dahua_dhp2p,),  # GET
    0x48: (read_dahua_dhp2p,),  # HTTP
    0x50: (read_dahua_ptcp, read_dahua_dhp2p),  # PTCP, POST
    0x51: (read_kalay_cc51,),
    0x9E: (read_hik_stun,),
    0xA1: (read_ilnk,),
    0xAA: (read_reolink_bcudp,),
    0xD0: (read_tplink_smarthome,),
    0xE2: (read_hik_p2p3,),
    0xF1: (read_ilnk, read_pppp),
    0xF2: (read_ilnk,),
    0xFE: (read_dahua_istun,),
    0xFF: (read_dahua_istun,),
}

# Where a message of low confidence is believed.
OWN_PORTS = {
    "pppp": frozenset({32100, 32108}),
    "reolink-bcudp": frozenset({2000, 3000}),
    "tvt-nat": frozenset({8989}),
}
# Flows of the first are not told as the second by messages that both have.
SIBLINGS = {"pppp": "ilnk"}
MAX_TOLD = 64  # different messages of one flow


@dataclass(slots=True)
class P2pTrail:
    """What the datagrams of one flow have shown so far."""

    told: set[tuple[object, ...]] = field(default_factory=set)
    obfuscated: ObfuscatedTrail = field(default_factory=ObfuscatedTrail)

    def is_news(self, message: P2pMessage) -> bool:
        """Say whether a message tells what none before it in this flow did."""
        key = (message.message, message.device_id, message.peers, message.detail)
        if key in self.told:
            return False
        if len(self.told) >= MAX_TOLD:
            self.told.clear()  # rather told twice than not at all
        self.told.add(key)
        return True

    def follow_obfuscated(self, payload: bytes, port: int) -> P2pMessage | None:
        """Take a datagram to `port` that no decoder knows; return what those so far prove."""
        return self.obfuscated.follow(payload, port)


def is_obfuscated_size(payload: bytes, port: int) -> bool:
    """Say whether a datagram to `port` is worth `follow_obfuscated`; hardly any is."""
    return port == SERVER_PORT and (len(payload) == HELLO_SIZE or len(payload) in LOGIN_SIZES)


def read_p2p_datagram(
    payload: bytes, ports: Collection[int], protocols: Collection[str] = ()
) -> P2pMessage | None:
    """Return the message of a camera P2P protocol in a UDP payload, or None.

    `protocols` are those the flow is known to be of. Raises DecodeError for a broken message.
    """
    message = None
    for reader in READERS.get(payload[0], ()) if payload else ():
        message = reader(payload)
        if message is not None:
            break
    else:
        return read_kalay(payload)
    sibling = SIBLINGS.get(message.protocol)
    if sibling is not None and sibling in protocols:
        message.protocol = sibling
    if message.confidence is Confidence.LOW:
        if message.protocol not in protocols and not _at_own_port(message, ports):
            return None
        message.confidence = Confidence.MEDIUM
    return message


def _at_own_port(message: P2pMessage, ports: Collection[int]) -> bool:
    own = OWN_PORTS.get(message.protocol)
    return own is not None and not own.isdisjoint(ports)
