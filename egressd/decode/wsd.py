"""WS-Discovery (OASIS 1.1, and the draft of 2005 that ONVIF uses): who is there, in SOAP over UDP.

Printers, Windows computers and cameras all speak it; only the types and scopes tell them apart
(ONVIF Core Specification 7.3: `dn:NetworkVideoTransmitter`, `onvif://www.onvif.org/name/...`). A
message that carries several matches is a proxy's and speaks for nobody.
"""

from __future__ import annotations

import re

from egressd.decode.fieldtext import MAX_DOCUMENT, MAX_FIELD, address_of, mac_of, xml_bytes
from egressd.decode.http import text_of
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OPENING = 512  # bytes within which the envelope opens
NAMESPACES = (
    b"/ws/2005/04/discovery",
    b"/ws-dd/ns/discovery/2009/01",
)
MESSAGE = re.compile(
    rb"<(?:[A-Za-z][\w.-]{0,31}:)?"
    rb"(ProbeMatches|ProbeMatch|Probe|Hello|Bye|ResolveMatches|ResolveMatch|Resolve)[\s/>]"
)
MATCH = re.compile(rb"<(?:[A-Za-z][\w.-]{0,31}:)?(?:ProbeMatch|ResolveMatch)[\s/>]")
OWN_WORDS = frozenset(b"ProbeMatches ProbeMatch ResolveMatches ResolveMatch Hello".split())
SCOPE = re.compile(rb"onvif://www\.onvif\.org/([A-Za-z_]{1,32})/(\S{1,200})")
MAX_TYPES = 16
MAX_SCOPES = 64
ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
HOST = re.compile(rb"https?://(\[[0-9a-fA-F:]{2,45}\]|[0-9.]{7,15})")


def read_wsd(payload: bytes) -> Introduction | None:
    """Return the WS-Discovery message in a UDP payload, or None if it is another protocol."""
    start = len(BYTE_ORDER_MARK) if payload.startswith(BYTE_ORDER_MARK) else 0
    if payload[start : start + 1] != b"<" or b"Envelope" not in payload[:OPENING]:
        return None
    if not any(namespace in payload for namespace in NAMESPACES):
        return None
    body = payload.find(b"Body", 0, MAX_DOCUMENT)
    found = MESSAGE.search(payload, max(body, 0), MAX_DOCUMENT)
    if found is None:
        return None
    message = found[1].decode("ascii")
    types = xml_bytes(payload, b"Types") or b""
    told = tuple(text_of(word[:MAX_FIELD]) for word in types.split()[:MAX_TYPES])
    matches = len(MATCH.findall(payload, found.start(), MAX_DOCUMENT))
    if found[1] not in OWN_WORDS or matches > 1:
        return Introduction("wsd", message, Confidence.HIGH, types=told)
    scopes = _scopes_of(payload)
    host = HOST.search(xml_bytes(payload, b"XAddrs") or b"")
    return Introduction(
        protocol="wsd",
        message=message,
        confidence=Confidence.HIGH,
        speaks_for_itself=True,
        vendor=scopes.get("manufacturer"),
        model=scopes.get("hardware"),
        serial=scopes.get("serial"),
        mac=mac_of(scopes.get("mac", scopes.get("macaddress"))),
        ip=address_of(host[1].decode("ascii").strip("[]")) if host else None,
        name=scopes.get("name"),
        types=told,
    )


def _scopes_of(payload: bytes) -> dict[str, str]:
    """Return ONVIF's scopes by their first word; the first of a word counts."""
    scopes: dict[str, str] = {}
    listed = xml_bytes(payload, b"Scopes") or b""
    for scope in listed.split()[:MAX_SCOPES]:
        found = SCOPE.match(scope)
        if found:
            plain = ESCAPED.sub(lambda escape: bytes([int(escape[1], 16)]), found[2])
            value = text_of(plain.strip()[:MAX_FIELD])
            if value:
                scopes.setdefault(found[1].decode("ascii").lower(), value)
    return scopes
