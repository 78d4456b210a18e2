"""GB/T 28181: cameras and recorders at a Chinese video platform, by SIP and MANSCDP.

What makes SIP a platform's is the user names: 20 digits, of which the 11th to 13th say what the
device is (GB/T 28181-2016 annex D). Devices register, send a keepalive every minute, and are
invited to send video. Known from the published standard by memory; no capture was at hand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from egressd.decode.fieldtext import address_of, port_of, xml_text
from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role

if TYPE_CHECKING:
    from egressd.decode.sip import SipAddress, SipMessage

CODE = re.compile(r"\d{20}")
KIND = slice(10, 13)
KINDS = {
    "111": "recorder",  # DVR
    "118": "recorder",  # NVR
    "131": "camera",  # analogue, behind an encoder
    "132": "camera",
    "200": "platform",
}
CATALOGUE = "manscdp"  # in the content type
SESSION_ADDRESS = re.compile(rb"^c=IN IP[46] (\S{2,45})", re.MULTILINE)
SESSION_PORT = re.compile(rb"^m=(?:video|audio) (\d{1,5}) ", re.MULTILINE)
MAX_BODY = 8 * 1024
ROLES = {
    "REGISTER": Role.REGISTRATION,
    "INVITE": Role.MEDIA,
    "ACK": Role.MEDIA,
    "BYE": Role.MEDIA,
}


def gb28181_of(sip: SipMessage, payload: bytes) -> P2pMessage | None:
    """Return what a SIP message is on a GB/T 28181 platform, or None if it belongs to none."""
    codes = [code for end in (sip.sender, sip.receiver) if (code := _code_of(end))]
    content = (sip.content_type or "").lower()
    if not codes:
        return None
    devices = [code for code in codes if KINDS.get(code[KIND]) != "platform"]
    device = devices[0] if devices else None
    # Ordinary telephony has no user names of 20 digits; one alone might be an accident.
    sure = len(set(codes)) == 2 or CATALOGUE in content or sip.method == "REGISTER"
    command = xml_text(payload[:MAX_BODY], b"CmdType") if CATALOGUE in content else None
    message = f"{sip.method} {command}" if command else sip.method
    return P2pMessage(
        protocol="gb28181",
        message=message if sip.status is None else f"{sip.status} {message}".rstrip(),
        role=Role.KEEPALIVE if command == "Keepalive" else ROLES.get(sip.method, Role.CONTROL),
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
        device_id=device,
        peers=_peers_of(sip, payload),
        detail=KINDS.get(device[KIND]) if device else None,
    )


def _code_of(end: SipAddress | None) -> str | None:
    return end.user if end is not None and end.user and CODE.fullmatch(end.user) else None


def _peers_of(sip: SipMessage, payload: bytes) -> tuple[Peer, ...]:
    peers = []
    if sip.contact is not None:
        ip = address_of(sip.contact.host.strip("[]"))
        if ip is not None:
            peers.append(Peer(ip, sip.contact.port, Part.SELF))
    if (sip.content_type or "").lower() == "application/sdp":
        body = payload[:MAX_BODY]
        found = SESSION_ADDRESS.search(body)
        ip = address_of(found[1].decode("ascii", "replace")) if found else None
        port = SESSION_PORT.search(body)
        if ip is not None:
            number = port_of(port[1].decode("ascii")) if port else None
            peers.append(Peer(ip, number, Part.PEER))  # where the media is to go
    return tuple(peers)
