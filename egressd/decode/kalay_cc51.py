"""Kalay since its version 4.3 ("CC51"), in newer Wyze cameras: a plain header around DTLS.

Nothing in it names the device: messages are signed, and the session is encrypted. From published
code of the app's side; not met in a capture yet.
"""

from __future__ import annotations

from struct import Struct

from egressd.decode.p2p import Confidence, P2pMessage, Role

HEADER = Struct("<2s2xHHHH")  # magic, two bytes, command, size of the rest, answer, sequence
MAGIC = b"\x51\xcc"
ANSWER = 0xFFFF
DISCOVERY, KEEPALIVE, DATA = 0x1002, 0x1202, 0x1502
COMMANDS = {
    DISCOVERY: ("discovery", Role.LOOKUP),
    KEEPALIVE: ("keepalive", Role.KEEPALIVE),
    DATA: ("data", Role.MEDIA),
}
SIGNATURE_SIZE = 20  # HMAC-SHA1, the last bytes of each message
DTLS_AT = 28
DTLS_RECORDS = range(0x14, 0x1A)


def read_kalay_cc51(payload: bytes) -> P2pMessage | None:
    """Return the message in a UDP payload, or None if it is another protocol."""
    if not payload.startswith(MAGIC) or len(payload) < HEADER.size + SIGNATURE_SIZE:
        return None
    _, command, size, answer, _ = HEADER.unpack_from(payload)
    known = COMMANDS.get(command)
    if known is None or size != len(payload) - HEADER.size:
        return None
    name, role = known
    if command == DATA and not _has_dtls(payload):
        return None
    if answer == ANSWER:
        name = f"{name} answer"
    return P2pMessage("kalay-cc51", name, role, Confidence.HIGH)


def _has_dtls(payload: bytes) -> bool:
    return (
        len(payload) > DTLS_AT + SIGNATURE_SIZE
        and payload[DTLS_AT] in DTLS_RECORDS
        and payload[DTLS_AT + 1] == 0xFE
    )
