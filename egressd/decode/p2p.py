"""What the messages of camera clouds and P2P networks tell, whatever their protocol.

The decoders of these protocols answer with one shape, so that whoever judges a flow need not know
fifteen of them: what the message is for, whose it is, and which other ends it names. What stands
in the message beyond that is not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from egressd.decode.dns import ip4_text


class Role(Enum):
    """What a message is for."""

    REGISTRATION = "registration"  # a device tells a server that it is there
    LOOKUP = "lookup"  # somebody asks a server where a device or another server is
    PUNCH = "punch"  # two ends open their gateways for each other, or are told to
    RELAY = "relay"  # a third machine is to carry the session, or carries it
    MEDIA = "media"  # the session itself: video, sound, commands
    CONTROL = "control"  # orders to a device, and its answers
    KEEPALIVE = "keepalive"  # nothing but that the session stays open
    LAN = "lan"  # a search on the own network, or its answer
    UNKNOWN = "unknown"  # of this protocol, and no more is known


class Part(Enum):
    """Who stands at an address that a message names."""

    SELF = "self"  # the sender, as it sees itself (its address on site)
    MAPPED = "mapped"  # the addressee or sender, as it is seen from outside
    PEER = "peer"  # the other end of the session: the viewer, or the device he asks for
    RELAY = "relay"  # a machine that carries the session for others
    SERVER = "server"  # a server of the cloud


class Confidence(Enum):
    """How sure it is that the bytes are of this protocol."""

    LOW = "low"  # fits, but so would other things; or the format is not well known
    MEDIUM = "medium"  # one accident in a million random payloads, or known at second hand
    HIGH = "high"  # magic bytes and lengths or checksums that cannot all fit by accident


@dataclass(slots=True, frozen=True)
class Peer:
    """An end that a message names; the port is None where only the address is told."""

    ip: str
    port: int | None
    part: Part


@dataclass(slots=True)
class P2pMessage:
    """One message of a camera cloud or P2P protocol."""

    protocol: str  # the label of the flow: "pppp", "kalay", "dahua-dhp2p", ...
    message: str  # the protocol's own name of it: "DEV_LGN", "PUNCH_TO", "MSG_AGENT_REGISTER_REQ"
    role: Role
    confidence: Confidence
    device_id: str | None = None  # serial, UID or DID, where it stands in clear
    peers: tuple[Peer, ...] = ()
    detail: str | None = None  # one thing more that is worth telling: the vendor's dialect, a model


ENDPOINT = re.compile(rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3}):(\d{1,5})")
NOBODY = ("0.", "127.")  # how addresses begin that are of no other host


def peer_of(text: bytes, part: Part) -> Peer | None:
    """Return the end in a text like "192.0.2.7:8800", or None if it names nobody."""
    found = ENDPOINT.fullmatch(text.strip())
    if found is None:
        return None
    octets = [int(octet) for octet in found.groups()[:4]]
    if max(octets) > 255:
        return None
    return peer_at(bytes(octets), int(found[5]), part)


def peer_at(address: bytes, port: int, part: Part) -> Peer | None:
    """Return the end at a binary IPv4 address, or None if it names nobody."""
    ip = ip4_text(address)
    if ip.startswith(NOBODY) or not 0 <= port <= 0xFFFF:
        return None
    return Peer(ip, port or None, part)
