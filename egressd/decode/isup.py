"""ISUP, formerly EHome, up to version 4: a Hikvision device registers at a platform (7660).

XML with the root element PPVSPMessage, over UDP and TCP; the device sends the requests REGISTER
and KEEPALIVE. Sources: the vendor's own demonstration programs and a public server, which agree.
The binary form of version 5 is not read: no two sources describe its first bytes alike.
"""

from __future__ import annotations

from egressd.decode.fieldtext import address_of, port_of, xml_text
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.model import NEED_MORE, NeedMore

ROOT = b"<PPVSPMessage>"
STARTS = (b"<?xml", ROOT)
END = b"</PPVSPMessage>"
OPENING = 256
LONGEST = 8 * 1024
ROLES = {
    "REGISTER": Role.REGISTRATION,
    "UNREGISTER": Role.REGISTRATION,
    "KEEPALIVE": Role.KEEPALIVE,
    "INVITESTREAM": Role.MEDIA,
}


def read_isup(head: bytes, *, final: bool = True) -> P2pMessage | NeedMore | None:
    """Return the message in a payload, or None; `final` says that no more bytes will come."""
    if not head.startswith(STARTS):
        begun = not final and any(start.startswith(head) for start in STARTS)
        return NEED_MORE if begun else None
    if ROOT not in head[:OPENING]:
        return NEED_MORE if not final and len(head) < OPENING else None
    if END not in head and not final and len(head) < LONGEST:
        return NEED_MORE
    command = xml_text(head, b"Command")
    kind = xml_text(head, b"CommandType")
    if command is None:
        return None
    asks = kind == "REQUEST"
    return P2pMessage(
        protocol="isup",
        message=command if asks else f"{command}_{kind or 'MESSAGE'}",
        role=ROLES.get(command, Role.CONTROL),
        confidence=Confidence.HIGH,
        device_id=xml_text(head, b"DeviceID"),
        peers=_peers_of(head),
        detail=xml_text(head, b"SerialNumber") if asks else None,
    )


def _peers_of(head: bytes) -> tuple[Peer, ...]:
    peers = []
    for tag, port, part in (
        (b"LocalIP", b"LocalPort", Part.SELF),
        (b"RegisterServer", b"RegisterPort", Part.SERVER),
    ):
        ip = address_of(xml_text(head, tag))
        if ip is not None:
            peers.append(Peer(ip, port_of(xml_text(head, port)), part))
    return tuple(peers)
