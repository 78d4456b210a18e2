"""PTCP, Dahua's "phony TCP": the tunnel through which RTSP or DVRIP leaves, straight or by relay.

A header of 24 bytes (PTCP, bytes sent, bytes received, three numbers), then nothing, or one
message. Whether the far end is a relay or the viewer, the message does not say: a relay is an
address that DHP2P named as one. From published code of the app's side; not met in a capture yet.
"""

from __future__ import annotations

from egressd.decode.p2p import Confidence, P2pMessage, Role

PROTOCOL = "dahua-ptcp"
MAGIC = b"PTCP"
HEADER_SIZE = 24
SYN = b"\x00\x03\x01\x00"
# kind, length 3 (16 bits are used), realm 4, zero 4; then what the kind has
DATA, BIND, STATUS = 0x10, 0x11, 0x12
CONTENT_AT = 36
KINDS = {
    BIND: ("bind", Role.CONTROL),
    STATUS: ("status", Role.CONTROL),
    0x13: ("heartbeat", Role.KEEPALIVE),
    0x17: ("sign request", Role.RELAY),
    0x18: ("sign", Role.RELAY),
    0x19: ("login", Role.CONTROL),
    0x1A: ("login answer", Role.CONTROL),
    0x1B: ("login done", Role.CONTROL),
}
LOOPBACK = b"\x7f\x00\x00\x01"  # where the camera is to connect the tunnel to

CONTENTS = ((b"RTSP/1.0", "rtsp"), (b"$", "interleaved rtp"), (b"\xa0\x01", "dvrip"))


def read_dahua_ptcp(payload: bytes) -> P2pMessage | None:
    """Return the PTCP message in a UDP payload, or None if it is another protocol."""
    if not payload.startswith(MAGIC) or len(payload) < HEADER_SIZE:
        return None
    if len(payload) == HEADER_SIZE:
        return P2pMessage(PROTOCOL, "acknowledgement", Role.KEEPALIVE, Confidence.HIGH)
    if payload[HEADER_SIZE:] == SYN:
        return P2pMessage(PROTOCOL, "SYN", Role.PUNCH, Confidence.HIGH)
    if len(payload) < CONTENT_AT or any(payload[32:CONTENT_AT]):
        return None
    kind = payload[HEADER_SIZE]
    content = payload[CONTENT_AT:]
    if kind == DATA:
        if int.from_bytes(payload[26:28], "big") != len(content):
            return None
        return P2pMessage(
            PROTOCOL, "data", Role.MEDIA, Confidence.HIGH, detail=_content_of(content)
        )
    known = KINDS.get(kind)
    if known is None:
        return None
    detail = None
    if kind == BIND and content[4:8] == LOOPBACK:
        detail = f"port {int.from_bytes(content[:4], 'big')}"
    elif kind == STATUS and content[:4] in {b"CONN", b"DISC"}:
        detail = content[:4].decode("ascii")
    return P2pMessage(PROTOCOL, known[0], known[1], Confidence.HIGH, detail=detail)


def _content_of(content: bytes) -> str | None:
    for start, name in CONTENTS:
        if content.startswith(start):
            return name
    return None
