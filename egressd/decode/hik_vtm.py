"""VTM and VTDU: the relays through which EZVIZ and Hik-Connect cameras are watched (TCP).

Header, 8 bytes: 0 "$", 1 channel (0 messages, 1 stream, 0x0A and 0x0B the same encrypted), 2
length, 4 sequence, 6 code, big-endian. The first request names the stream as
`ysproto://host:port/SERIAL?...`. Sources: pyEzvizApi (`stream.py`) and hikconnect-web, which
agree; both are of the viewer's side, and that a camera sends the same frames is not published.
RTSP frames its media with "$", too, so that a message without the address must be whole, and its
sequence must not look like RTP's version bits.
"""

from __future__ import annotations

import re
from struct import Struct

from egressd.decode.fieldtext import address_of, port_of
from egressd.decode.http import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.model import NEED_MORE, NeedMore

HEADER = Struct(">BBHHH")
DOLLAR = 0x24
MESSAGE_CHANNELS = (0x00, 0x0A)
STREAM_CHANNEL = 0x01
CODES = {
    0x013B: "StreamInfoReq",
    0x013C: "StreamInfoRsp",
    0x0132: "KeepAliveReq",
    0x0133: "KeepAliveRsp",
    0x0145: "StartStream",
    0x014A: "EcdhNotify",
}
KEEPALIVES = (0x0132, 0x0133)
MAX_SEQUENCE = 0x3FFF  # RTP's version 2 makes the word 0x8000 at least
# A P-256 public key in DER: the encrypted form begins with one.
PUBLIC_KEY = bytes.fromhex("3059301306072a8648ce3d0201")
SHORTEST_ENCRYPTED = 166
KEY_WITHIN = 96

ADDRESS = re.compile(
    rb"ysproto://([A-Za-z0-9.:-]{1,80}?)(?::(\d{1,5}))?/([A-Za-z0-9_-]{6,40})(?:[?:/&\s]|$)"
)
MAX_ADDRESS = 1024


def read_hik_vtm(head: bytes) -> P2pMessage | NeedMore | None:
    """Return the message at the head of a TCP stream, or None if it is another protocol."""
    if head[:1] != b"$":
        return None
    if len(head) < HEADER.size:
        return NEED_MORE if len(head) < 2 or head[1] in (0, 1, 0x0A, 0x0B) else None
    _, channel, length, sequence, code = HEADER.unpack_from(head)
    if channel == STREAM_CHANNEL:
        return _encrypted(head)
    if channel not in MESSAGE_CHANNELS or code not in CODES or sequence > MAX_SEQUENCE:
        return None
    found = ADDRESS.search(head, HEADER.size, MAX_ADDRESS)
    if found is None:
        if len(head) != HEADER.size + length:
            return None
        role = Role.KEEPALIVE if code in KEEPALIVES else Role.RELAY
        return P2pMessage("hik-vtm", CODES[code], role, Confidence.MEDIUM)
    host = address_of(found[1].decode("ascii"))
    port = port_of(found[2].decode("ascii")) if found[2] else None
    return P2pMessage(
        protocol="hik-vtm",
        message=CODES[code],
        role=Role.RELAY,
        confidence=Confidence.HIGH,
        device_id=text_of(found[3]),
        peers=(Peer(host, port, Part.RELAY),) if host else (),
    )


def _encrypted(head: bytes) -> P2pMessage | None:
    if len(head) < SHORTEST_ENCRYPTED or PUBLIC_KEY not in head[HEADER.size : KEY_WITHIN]:
        return None
    return P2pMessage("hik-vtm", "EcdhHello", Role.RELAY, Confidence.HIGH)
