"""DHP2P, Dahua's rendezvous: HTTP's words in datagrams, with the serial number in the address.

A device or app asks a server for another server, for a device or for a relay. Answers are plain
HTTP in form, so that only the counter (CSeq), which SSDP has not, tells them apart. Two dozen other
brands use it with servers and keys of their own. From published code and captures of the app's
side; a camera's own requests to register are not published: what is posted to an unknown path is
told as one of unknown role. Not met in a capture yet.
"""

from __future__ import annotations

import re

from egressd.decode.dns import text_of
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role, peer_of
from egressd.model import DecodeError

PROTOCOL = "dahua-dhp2p"
BAD_REQUEST_LINE = "request line"
REASONS = (BAD_REQUEST_LINE,)

OWN_METHODS = (b"DHGET ", b"DHPOST ")
PLAIN_METHODS = (b"GET /", b"POST /")
ANSWER = b"HTTP/1.1 "
REQUEST_LINE = re.compile(rb"(DHGET|DHPOST|GET|POST) (/[\x21-\x7e]{0,255}) HTTP/1\.[01]\r?$")
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3})((?: [\x20-\x7e]{0,64})?)\r?$")
COUNTER = re.compile(rb"\nCSeq: *\d{1,10}\r?\n", re.IGNORECASE)
TOKEN = b"\nX-WSSE:"
BODY = b"<body>"
HEAD_BYTES = 2048  # of the headers

# Paths of which the second or third part is a serial number.
SERIAL = r"(?P<serial>[0-9A-Za-z]{6,32})"
PATHS: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(r"/probe/p2psrv"), Role.LOOKUP),
    (re.compile(rf"/online/p2psrv/{SERIAL}"), Role.LOOKUP),
    (re.compile(rf"/(?:probe|info)/device/{SERIAL}"), Role.LOOKUP),
    (re.compile(r"/online/relay|/relay/agent|/relay/start/.+"), Role.RELAY),
    (re.compile(rf"/device/{SERIAL}/p2p-channel"), Role.PUNCH),
    (re.compile(rf"/device/{SERIAL}/relay-channel"), Role.RELAY),
    (re.compile(rf"/device/{SERIAL}(?:/.*)?"), Role.UNKNOWN),
)
ELEMENT = re.compile(rb"<(PubAddr|LocalAddr|Address|Agent|agentAddr|US)>([^<]{7,64})</\1>")
PARTS = {
    b"PubAddr": Part.PEER,  # in answers and forwarded requests: the other end, seen from outside
    b"LocalAddr": Part.PEER,
    b"Address": Part.RELAY,
    b"Agent": Part.RELAY,
    b"agentAddr": Part.RELAY,
    b"US": Part.SERVER,
}
MAX_PEERS = 8


def read_dahua_dhp2p(payload: bytes) -> P2pMessage | None:
    """Return the DHP2P message in a UDP payload, or None if it is another protocol.

    Raises DecodeError for a DHGET or DHPOST without a request line.
    """
    if payload.startswith(ANSWER):
        return _read_answer(payload)
    own = payload.startswith(OWN_METHODS)
    if not own and not payload.startswith(PLAIN_METHODS):
        return None
    found = REQUEST_LINE.match(payload[:HEAD_BYTES].partition(b"\n")[0])
    if found is None:
        if own:
            raise DecodeError(PROTOCOL, BAD_REQUEST_LINE)
        return None
    if not own and not _is_marked(payload):
        return None
    path = found[2].decode("ascii")
    role, serial = _path_of(path)
    if not own and role is None:
        return None
    name = f"{found[1].decode('ascii')} {_shape_of(path, serial)}"
    return P2pMessage(
        PROTOCOL,
        name,
        role or Role.UNKNOWN,
        Confidence.HIGH,
        serial,
        _peers_in(payload, own_request=True),
    )


def _read_answer(payload: bytes) -> P2pMessage | None:
    found = STATUS_LINE.match(payload[:HEAD_BYTES].partition(b"\n")[0])
    if found is None or not _is_marked(payload):
        return None
    peers = _peers_in(payload, own_request=False)
    confidence = Confidence.HIGH if BODY in payload else Confidence.MEDIUM
    status = text_of(found[1] + found[2]).rstrip()
    return P2pMessage(PROTOCOL, status, Role.LOOKUP, confidence, peers=peers)


def _is_marked(payload: bytes) -> bool:
    """Say whether the headers are of DHP2P: a counter, or the token of its login."""
    head = payload[:HEAD_BYTES].partition(b"\r\n\r\n")[0] + b"\r\n"
    return COUNTER.search(head) is not None or TOKEN in head


def _path_of(path: str) -> tuple[Role | None, str | None]:
    for pattern, role in PATHS:
        found = pattern.fullmatch(path)
        if found is not None:
            return role, found.groupdict().get("serial")
    return None, None


def _shape_of(path: str, serial: str | None) -> str:
    """Return a path without what differs from device to device."""
    if serial is not None:
        path = path.replace(serial, "{serial}", 1)
    return "/relay/start/{token}" if path.startswith("/relay/start/") else path


def _peers_in(payload: bytes, *, own_request: bool) -> tuple[Peer, ...]:
    """Return the ends that the body names; a channel request names the asker's own.

    Addresses that a newer device encrypts are no addresses here.
    """
    found: list[Peer] = []
    for element in ELEMENT.finditer(payload):
        part = PARTS[element[1]]
        if own_request and element[1] == b"LocalAddr":
            part = Part.SELF
        peer = peer_of(element[2], part)
        if peer is not None and len(found) < MAX_PEERS:
            found.append(peer)
    return tuple(found)
