"""PPPP, the P2P protocol of CS2 Network: registration, punching, relays and the session itself.

VStarcam, Yi, CamHi, eufy and hundreds of white-label cameras speak it. Servers are called by
addresses that stand in the firmware, so that no DNS question goes before; messages are known by
their header alone (F1, type, size of the rest) and by the size that each type has. The device id
(DID) stands in clear unless a network encrypts whole datagrams: for those there is only
`ObfuscatedTrail`. Met in a capture of a Yi camera (intl-iot__yi_camera_sample.pcap); what that
does not hold is from published dissectors of the app's side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role, peer_at

HEADER = Struct(">BBH")  # magic, type, size of what follows
MAGIC = 0xF1
SERVER_PORT = 32100
LAN_PORT = 32108

# prefix 8, serial BE32, check code 8; both texts padded with zeros
PREFIX = re.compile(rb"[A-Z][A-Z0-9]{1,7}\0*")
CHECK = re.compile(rb"[A-Z0-9]{4,8}\0*")
DID_SIZE = 20
LAST_SERIAL = 99_999_999
AF_INET = 2


@dataclass(frozen=True, slots=True)
class _Kind:
    """A message type: how many bytes follow the header, and where in the datagram things are."""

    name: str
    role: Role
    sizes: tuple[int, ...] = ()  # none: not known
    did: int = 0
    address: int = 0  # a socket address
    part: Part = Part.PEER  # whose address that is


KINDS = {
    0x00: _Kind("HELLO", Role.LOOKUP, (0,)),
    0x01: _Kind("HELLO_ACK", Role.LOOKUP, (16,), address=4, part=Part.MAPPED),
    0x02: _Kind("HELLO_TO", Role.LOOKUP, (32,)),
    0x03: _Kind("HELLO_TO_ACK", Role.LOOKUP, (0,)),
    0x08: _Kind("QUERY_DID", Role.LOOKUP, (64,)),
    0x09: _Kind("QUERY_DID_ACK", Role.LOOKUP, (64,)),
    0x10: _Kind("DEV_LGN", Role.REGISTRATION, (40,), did=4, address=28, part=Part.SELF),
    0x11: _Kind("DEV_LGN_ACK", Role.REGISTRATION, (4,)),
    0x12: _Kind("DEV_LGN_CRC", Role.REGISTRATION, (44,)),  # the DID in it is scrambled
    0x13: _Kind("DEV_LGN_CRC_ACK", Role.REGISTRATION, (8,)),
    # Yi: frames 196 and 201 of the capture
    0x14: _Kind("DEV_LGN_KEY", Role.REGISTRATION, (104,), did=4, address=28, part=Part.SELF),
    0x15: _Kind("DEV_LGN_KEY_ACK", Role.REGISTRATION, (4,)),
    0x16: _Kind("DEV_LGN_DSK", Role.REGISTRATION, (68,)),  # scrambled, too
    0x18: _Kind("DEV_ONLINE_REQ", Role.LOOKUP, (20,), did=4),
    0x19: _Kind("DEV_ONLINE_REQ_ACK", Role.LOOKUP),
    0x20: _Kind("P2P_REQ", Role.LOOKUP, (36,), did=4, address=24, part=Part.SELF),
    0x21: _Kind("P2P_REQ_ACK", Role.LOOKUP, (4,)),
    0x26: _Kind("P2P_REQ_DSK", Role.LOOKUP),
    0x30: _Kind("LAN_SEARCH", Role.LAN, (0,)),
    0x31: _Kind("LAN_NOTIFY", Role.LAN, (20,), did=4),
    0x32: _Kind("LAN_NOTIFY_ACK", Role.LAN),
    0x40: _Kind("PUNCH_TO", Role.PUNCH, (16,), address=4),  # where the viewer is
    # four bytes more in Yi's: frames 100 and 102 of the capture
    0x41: _Kind("PUNCH_PKT", Role.PUNCH, (20, 24), did=4),
    0x42: _Kind("P2P_RDY", Role.PUNCH, (20, 24), did=4),
    0x43: _Kind("P2P_RDY_ACK", Role.PUNCH, (0,)),
    0x60: _Kind("RS_LGN", Role.RELAY, did=4),
    0x61: _Kind("RS_LGN_ACK", Role.RELAY),
    0x62: _Kind("RS_LGN1", Role.RELAY, did=4),
    0x63: _Kind("RS_LGN1_ACK", Role.RELAY),
    0x67: _Kind("LIST_REQ1", Role.RELAY, (20,), did=4),
    0x68: _Kind("LIST_REQ", Role.RELAY, (0,)),
    0x69: _Kind("LIST_REQ_ACK", Role.RELAY),  # 4 bytes and n addresses
    0x6A: _Kind("LIST_REQ_DSK", Role.RELAY, did=4),
    0x70: _Kind("RLY_HELLO", Role.RELAY),
    0x71: _Kind("RLY_HELLO_ACK", Role.RELAY),
    0x72: _Kind("RLY_PORT", Role.RELAY),
    0x73: _Kind("RLY_PORT_ACK", Role.RELAY, (8,)),
    0x74: _Kind("RLY_PORT_KEY", Role.RELAY, did=4),
    0x75: _Kind("RLY_PORT_KEY_ACK", Role.RELAY),
    0x78: _Kind("RLY_BYTE_COUNT", Role.RELAY),
    0x80: _Kind("RLY_REQ", Role.RELAY, (40,), did=4, address=24, part=Part.RELAY),
    0x81: _Kind("RLY_REQ_ACK", Role.RELAY),
    0x82: _Kind("RLY_TO", Role.RELAY, (20,), address=4, part=Part.RELAY),
    0x83: _Kind("RLY_PKT", Role.RELAY, (28,), did=8),
    0x84: _Kind("RLY_RDY", Role.RELAY, (20,), did=4),
    0x85: _Kind("RLY_TO_ACK", Role.RELAY),
    # the camera offers itself as a relay for strangers
    0x90: _Kind("SDEV_RUN", Role.RELAY, (0,)),
    0x91: _Kind("SDEV_LGN", Role.RELAY, (20,), did=4),
    0x92: _Kind("SDEV_LGN_CRC", Role.RELAY, (24,)),
    0xD0: _Kind("DRW", Role.MEDIA),
    0xD1: _Kind("DRW_ACK", Role.MEDIA),
    0xE0: _Kind("ALIVE", Role.KEEPALIVE, (0,)),
    0xE1: _Kind("ALIVE_ACK", Role.KEEPALIVE, (0,)),
    0xE5: _Kind("0xE5", Role.UNKNOWN, (8,)),  # frames 271 and 275 of the capture
    0xF0: _Kind("CLOSE", Role.CONTROL, (0,)),
    0xF9: _Kind("REPORT_SESSION_READY", Role.CONTROL),
}
DRW_TYPES = (0xD0, 0xD1)
LIST_REQ_ACK = 0x69
DRW_MARK = 0xD1  # before channel (0 to 7) and index
LAST_CHANNEL = 7

# What the first data of a session begin with: the vendor's own language inside.
DIALECTS = {
    bytes.fromhex("010a0000"): "VStarcam CGI",
    bytes.fromhex("060aa080"): "SHIX JSON",
    bytes.fromhex("99999999"): "CamHi",
    bytes.fromhex("88887676"): "eWeLink",
    bytes.fromhex("56565099"): "Meari",
    bytes.fromhex("78563412"): "Tuya",
    bytes.fromhex("a0afafaf"): "LookCam",
}
PASSWORD = b"loginpas="
IN_CLEAR = "password in clear"


def read_pppp(payload: bytes) -> P2pMessage | None:
    """Return the PPPP message in a UDP payload, or None if it is another protocol.

    Of low confidence is a header without anything behind it, or before what nobody can check:
    type and length are what many protocols begin with.
    """
    if len(payload) < HEADER.size:
        return None
    magic, number, size = HEADER.unpack_from(payload)
    if magic != MAGIC or size != len(payload) - HEADER.size:
        return None
    kind = KINDS.get(number)
    if kind is None or (kind.sizes and size not in kind.sizes):
        return None
    if number in DRW_TYPES:
        return _read_data(payload, kind)
    did = None
    if kind.did:
        did = read_did(payload[kind.did : kind.did + DID_SIZE])
        if did is None:
            return None
    peers: tuple[Peer, ...] = ()
    if number == LIST_REQ_ACK:
        peers = _read_relays(payload)
    elif kind.address:
        peers = _one(read_address(payload[kind.address : kind.address + 16], kind.part))
    known = did is not None or peers or (kind.sizes and size)
    confidence = Confidence.HIGH if known else Confidence.LOW
    return P2pMessage("pppp", kind.name, kind.role, confidence, did, peers)


def read_did(field: bytes) -> str | None:
    """Return a device id as it is printed on the device, or None if the bytes are not one."""
    if len(field) < DID_SIZE:
        return None
    prefix, serial, check = field[:8], int.from_bytes(field[8:12], "big"), field[12:20]
    if not PREFIX.fullmatch(prefix) or not CHECK.fullmatch(check) or serial > LAST_SERIAL:
        return None
    first = prefix.rstrip(b"\0").decode("ascii")
    last = check.rstrip(b"\0").decode("ascii")
    return f"{first}-{serial:06d}-{last}"


def read_address(field: bytes, part: Part) -> Peer | None:
    """Return a socket address: family BE16, port LE16, IPv4 byte-reversed, 8 reserved."""
    if len(field) < 8 or int.from_bytes(field[:2], "big") != AF_INET:
        return None
    return peer_at(field[7:3:-1], int.from_bytes(field[2:4], "little"), part)


def _one(peer: Peer | None) -> tuple[Peer, ...]:
    return () if peer is None else (peer,)


def _read_relays(payload: bytes) -> tuple[Peer, ...]:
    """Read four bytes and n addresses, all of which have to be such."""
    fields = [payload[at : at + 16] for at in range(8, len(payload), 16)]
    peers = tuple(peer for field in fields if (peer := read_address(field, Part.RELAY)))
    return peers if len(peers) == len(fields) else ()


def _read_data(payload: bytes, kind: _Kind) -> P2pMessage | None:
    """Read what carries the session: mark, channel, index or count, then data or indices."""
    if len(payload) < 8 or payload[4] != DRW_MARK or payload[5] > LAST_CHANNEL:
        return None
    if kind.name == "DRW_ACK":
        if len(payload) != 8 + 2 * int.from_bytes(payload[6:8], "big"):
            return None
        return P2pMessage("pppp", kind.name, Role.KEEPALIVE, Confidence.HIGH)
    detail = DIALECTS.get(payload[8:12])
    if PASSWORD in payload:
        detail = f"{detail}, {IN_CLEAR}" if detail else IN_CLEAR
    return P2pMessage("pppp", kind.name, kind.role, Confidence.HIGH, detail=detail)


OBFUSCATED = "pppp-obfuscated"
HELLO_SIZE = 4
LOGIN_SIZES = frozenset({44, 48, 72})  # DEV_LGN, DEV_LGN_CRC, DEV_LGN_DSK with their headers
REPEATS = 3


@dataclass(slots=True)
class ObfuscatedTrail:
    """Looks for PPPP whose datagrams are encrypted whole: by port and sizes; nothing else is left.

    The four bytes of HELLO become four others, the same each time. They go to the server's port
    until it answers, and a registration follows. Not met in a capture yet.
    """

    hello: bytes | None = None
    repeats: int = 0
    known: bool = False

    def follow(self, payload: bytes, port: int) -> P2pMessage | None:
        """Take a datagram that no decoder knows, sent to `port`; return what it proves."""
        if self.known or port != SERVER_PORT:
            return None
        if len(payload) == HELLO_SIZE and payload[0] != MAGIC:
            if payload != self.hello:
                self.hello, self.repeats = payload, 0
            self.repeats += 1
            if self.repeats < REPEATS:
                return None
            self.known = True
            return P2pMessage(OBFUSCATED, "HELLO", Role.LOOKUP, Confidence.LOW)
        if self.hello is None or len(payload) not in LOGIN_SIZES or payload[0] == MAGIC:
            return None
        self.known = True
        return P2pMessage(OBFUSCATED, "DEV_LGN", Role.REGISTRATION, Confidence.MEDIUM)
