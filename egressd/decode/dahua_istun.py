"""Dahua's inverted STUN: RFC 3489 with every bit turned over, to open a way between two ends.

It goes between the camera and the viewer (or the other way), at random ports, once the rendezvous
has told each where the other is. What it names is how each sees its peer. One message of it is
longer than its length field says; the attributes then have to fit to the last byte. From published
code of the app's side; not met in a capture yet.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role, peer_at

PROTOCOL = "dahua-istun"
HEADER = Struct(">HH")  # type, length of what follows the header's twenty bytes
HEADER_SIZE = 20
ATTRIBUTE = Struct(">HH")
KINDS = {0x0001: "Binding request", 0x0101: "Binding success", 0x0111: "Binding error"}
TURNED = bytes(255 - byte for byte in range(256))
# Where ICE has its tie-breaker (ICE-CONTROLLED and -CONTROLLING): the token of the session.
OWN_ATTRIBUTES = frozenset({0x8029, 0x802A})
# MAPPED-, SOURCE- and CHANGED-ADDRESS (RFC 3489 11.2); DHP2P puts the other end into the second
ADDRESSES = frozenset({0x0001, 0x0004, 0x0005})
KNOWN_ATTRIBUTES = frozenset(range(1, 0x0C)) | OWN_ATTRIBUTES
IP4_SIZE = 8
LONGEST = 256


def read_dahua_istun(payload: bytes) -> P2pMessage | None:
    """Return the message in a UDP payload, or None if it is another protocol."""
    if not HEADER_SIZE < len(payload) <= LONGEST:
        return None
    clear = payload.translate(TURNED)
    kind, length = HEADER.unpack_from(clear)
    name = KINDS.get(kind)
    if name is None:
        return None
    attributes = _attributes_of(clear)
    if attributes is None:
        return None
    own = not OWN_ATTRIBUTES.isdisjoint(attributes)
    if not own and length != len(payload) - HEADER_SIZE:
        return None
    peers = tuple(peer for number in attributes if (peer := _peer_of(number, attributes[number])))
    confidence = Confidence.HIGH if own else Confidence.MEDIUM
    return P2pMessage(PROTOCOL, name, Role.PUNCH, confidence, peers=peers)


def _attributes_of(clear: bytes) -> dict[int, bytes] | None:
    """Return the attributes, or None if they do not fit."""
    found: dict[int, bytes] = {}
    at = HEADER_SIZE
    while at + ATTRIBUTE.size <= len(clear):
        number, length = ATTRIBUTE.unpack_from(clear, at)
        if number not in KNOWN_ATTRIBUTES:
            return None
        at += ATTRIBUTE.size
        found[number] = clear[at : at + length]
        at += length
    return found if at == len(clear) else None


def _peer_of(number: int, value: bytes) -> Peer | None:
    if number not in ADDRESSES or len(value) != IP4_SIZE or value[1] != 1:
        return None
    part = Part.MAPPED if number == 1 else Part.PEER
    return peer_at(value[4:8], int.from_bytes(value[2:4], "big"), part)
