"""What a decoded message shows of the host that sent it, as texts that rules can be held against.

Only what a host says of itself counts: its own names, banners, announcements and questions, never
what others say of it. The one exception is PLAY, which only follows the host's own consent, and
is all that a mirror of one direction sees. No other module of `identify` knows the messages of
`decode` so well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from egressd.decode.dhcp import DhcpMessage
from egressd.decode.dns import DnsMessage
from egressd.decode.http import HttpRequest, HttpResponse
from egressd.decode.introduction import Introduction
from egressd.decode.p2p import P2pMessage
from egressd.decode.rtsp import RtspRequest, RtspResponse
from egressd.decode.ssdp import SsdpMessage, read_ssdp
from egressd.decode.tls import ClientHello
from egressd.identify.rules import MAX_TEXT, Observation, Trait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

MAX_OBSERVATIONS = 32  # of one message

_ESCAPE = re.compile(r"\\(\d{3}|.)")
_SERVICE = re.compile(r"(?:(.{1,300})\.)?(_[^.]{1,63}\._(?:tcp|udp))\.local\.?", re.IGNORECASE)
_IP4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


def observations_of(fact: object, ips: Collection[str] = ()) -> list[Observation]:
    """Return what a message shows of its sender, whose addresses are `ips`."""
    if isinstance(fact, DnsMessage):
        return _observations_of_dns(fact, ips)
    reader = _READERS.get(type(fact))
    if reader is not None:
        return reader(fact)
    hello = getattr(fact, "hello", None)  # QUIC carries a TLS hello
    return _observations_of_hello(hello) if isinstance(hello, ClientHello) else []


def observations_of_received(fact: object) -> list[Observation]:
    """Return what a message shows of the host that received it."""
    if isinstance(fact, RtspRequest) and fact.method == "PLAY" and fact.session:
        return [Observation(Trait.RTSP_ASKED, fact.method)]
    return []


def observations_of_ssdp(payload: bytes) -> list[Observation]:
    """Return what an SSDP announcement or answer in an undecoded payload shows of its sender."""
    message = read_ssdp(payload)
    return _observations_of_ssdp(message) if message is not None else []


def observations_of_dhcp(fact: DhcpMessage) -> list[Observation]:
    """Return what a DHCP client's message shows of it; a server's shows nothing of the client."""
    if fact.message_type in ("OFFER", "ACK", "NAK"):
        return []
    found = []
    if fact.hostname:
        found.append(Observation(Trait.DHCP_HOSTNAME, fact.hostname))
    elif fact.fqdn:
        found.append(Observation(Trait.DHCP_HOSTNAME, fact.fqdn))
    if fact.vendor_class:
        found.append(Observation(Trait.DHCP_VENDOR_CLASS, fact.vendor_class))
    return found


def _observations_of_dns(fact: DnsMessage, ips: Collection[str]) -> list[Observation]:
    if fact.flavour == "dns":
        return [] if fact.is_response else _lookups_of(fact)
    if fact.flavour == "llmnr" and not fact.is_response:
        return []
    return _announcements_of(fact, ips)


def _lookups_of(fact: DnsMessage) -> list[Observation]:
    return [
        Observation(Trait.LOOKUP, question.name.lower().rstrip("."))
        for question in fact.questions[:MAX_OBSERVATIONS]
        if question.type != "PTR"
    ]


def _announcements_of(fact: DnsMessage, ips: Collection[str]) -> list[Observation]:
    """Return the names and services a host claims: its answers, and its probes before them.

    A probe asks for type ANY of the name it is about to claim (RFC 6762 section 8.1). Where the
    message tells addresses and none is the sender's, it speaks for another host (a reflector).
    """
    if not fact.is_response:
        names = [question.name for question in fact.questions if question.type == "ANY"]
        return _named(names[:MAX_OBSERVATIONS])
    records = (fact.answers + fact.additionals)[:MAX_OBSERVATIONS]
    told = [record.data for record in records if record.type in ("A", "AAAA")]
    if told and not any(address in ips for address in told):
        return []
    names = []
    texts = []
    for record in records:
        if record.type == "PTR":
            names += [record.name, record.target or ""]
        elif record.type in ("A", "AAAA", "SRV", "TXT"):
            names.append(record.name)
        if record.type == "TXT":
            text = " ".join(record.strings)[:MAX_TEXT]
            texts += [Observation(Trait.MDNS_TEXT, text)] if text else []
    return _named(names) + texts


def _named(names: list[str]) -> list[Observation]:
    found = []
    for name in dict.fromkeys(names):
        plain = _plain_of(name[:MAX_TEXT])
        if plain.endswith((".arpa", ".arpa.")) or plain.startswith("_services._dns-sd."):
            continue
        service = _SERVICE.fullmatch(plain)
        if service is None:
            host = plain.rstrip(".").removesuffix(".local")
            found += [Observation(Trait.MDNS_NAME, host)] if host else []
            continue
        found.append(Observation(Trait.MDNS_SERVICE, service[2].lower()))
        if service[1]:
            found.append(Observation(Trait.MDNS_NAME, service[1]))
    return found


def _plain_of(name: str) -> str:
    r"""Undo the escapes of a DNS name: `D-Link\032HNAP` is `D-Link HNAP`."""
    return _ESCAPE.sub(lambda found: chr(int(found[1])) if found[1].isdigit() else found[1], name)


def _observations_of_request(fact: HttpRequest) -> list[Observation]:
    found = []
    if fact.user_agent:
        found.append(Observation(Trait.HTTP_USER_AGENT, fact.user_agent))
    if fact.host and fact.url != "*":  # "*": SSDP, whose host is a group
        name = fact.host.lower().rsplit(":", 1)[0].rstrip(".")
        if "." in name and not _IP4.fullmatch(name) and "[" not in name:
            found.append(Observation(Trait.LOOKUP, name))
    return found


def _observations_of_response(fact: HttpResponse) -> list[Observation]:
    return [
        Observation(trait, text)
        for trait, text in (
            (Trait.HTTP_SERVER, fact.server),
            (Trait.HTTP_REALM, fact.realm),
            (Trait.HTTP_CONTENT_TYPE, fact.content_type),
        )
        if text
    ]


def _observations_of_rtsp_request(fact: RtspRequest) -> list[Observation]:
    found = []
    if fact.user_agent:
        found.append(Observation(Trait.RTSP_USER_AGENT, fact.user_agent))
    if fact.method in ("ANNOUNCE", "RECORD"):
        found.append(Observation(Trait.RTSP_PUSH, fact.method))
    return found


def _observations_of_rtsp_response(fact: RtspResponse) -> list[Observation]:
    return [
        Observation(trait, text)
        for trait, text in (
            (Trait.RTSP_SERVER, fact.server),
            (Trait.RTSP_REALM, fact.realm),
            (Trait.RTSP_PUBLIC, fact.public),
        )
        if text
    ]


def _observations_of_ssdp(fact: SsdpMessage) -> list[Observation]:
    if not fact.speaks_for_itself:  # a search: its program is the searcher's own, no more
        return _told((Trait.HTTP_USER_AGENT, fact.user_agent))
    return _told(
        (Trait.SSDP_SERVER, fact.server),
        (Trait.SSDP_TYPE, fact.type),
        (Trait.SSDP_LOCATION, fact.location),
    )


def _observations_of_introduction(fact: Introduction) -> list[Observation]:
    if not fact.speaks_for_itself:
        return []
    types = [Observation(Trait.DISCOVERY_TYPE, word) for word in fact.types[:MAX_OBSERVATIONS]]
    return types + _told(
        (Trait.DISCOVERY_ANSWER, f"{fact.protocol} {fact.message}"),
        (Trait.DISCOVERY_VENDOR, fact.vendor),
        (Trait.DISCOVERY_MODEL, fact.model),
        (Trait.DISCOVERY_NAME, fact.name),
        (Trait.DISCOVERY_FIRMWARE, fact.firmware),
        (Trait.DISCOVERY_SERIAL, fact.serial),
    )


def _observations_of_p2p(fact: P2pMessage) -> list[Observation]:
    words = (fact.protocol, fact.message, fact.detail or "")
    return [Observation(Trait.PROTOCOL_MESSAGE, " ".join(words).rstrip()[:MAX_TEXT])]


def _told(*texts: tuple[Trait, str | None]) -> list[Observation]:
    return [Observation(trait, text[:MAX_TEXT]) for trait, text in texts if text]


def _observations_of_hello(fact: ClientHello) -> list[Observation]:
    return [Observation(Trait.LOOKUP, fact.sni.lower().rstrip("."))] if fact.sni else []


_READERS: dict[type, Callable[..., list[Observation]]] = {
    ClientHello: _observations_of_hello,
    DhcpMessage: observations_of_dhcp,
    HttpRequest: _observations_of_request,
    HttpResponse: _observations_of_response,
    Introduction: _observations_of_introduction,
    P2pMessage: _observations_of_p2p,
    RtspRequest: _observations_of_rtsp_request,
    RtspResponse: _observations_of_rtsp_response,
    SsdpMessage: _observations_of_ssdp,
}
