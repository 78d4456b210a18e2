"""Decoded messages as the bodies of Suricata's protocol records: dns, tls, quic, http, ...

One function a message type, found by the type itself. A message that Suricata
has no record for has no entry here; those of camera P2P protocols have one that is all ours.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from json import JSONEncoder
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, NamedTuple

from egressd.decode.dhcp import DhcpMessage
from egressd.decode.dissector import QuicHello
from egressd.decode.dns import RCODES, DnsMessage, DnsRecord
from egressd.decode.http import HttpRequest, HttpResponse
from egressd.decode.introduction import Introduction
from egressd.decode.ja4 import ja4_of
from egressd.decode.mqtt import MqttConnect
from egressd.decode.ntp import MODES, NtpMessage
from egressd.decode.p2p import P2pMessage
from egressd.decode.quic import GquicHello
from egressd.decode.tls import Certificate, ClientHello, ServerFlight
from egressd.report.communityid import UDP

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.report.shapes import Json

DNS_RECORD_VERSION = 3  # the layout with `queries` and `answers` in one record
RCODE_NUMBERS = {name: number for number, name in RCODES.items()}
# Record types of which Suricata groups the data by type, beside the list of answers.
GROUPED = frozenset({"A", "AAAA", "CNAME", "MX", "NS", "NULL", "PTR", "TXT"})

HOST_AND_PORT = re.compile(r"(\[[^]]*\]|[^:]*):([0-9]{1,5})")
DHCP_REQUEST = 1  # op, RFC 2131 figure 1
NTP_MODES = {name: number for number, name in MODES.items()}
NAMES_KEPT = 4096

encode = JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
# A JSON string; names come again and again, so that most are ready made.
quoted = lru_cache(maxsize=NAMES_KEPT)(encode_basestring_ascii)


class MqttDialect(NamedTuple):
    """What a CONNECT packet calls the protocol."""

    name: str
    level: int


MQTT_DIALECTS = {
    "3.1": MqttDialect("MQIsdp", 3),
    "3.1.1": MqttDialect("MQTT", 4),
    "5.0": MqttDialect("MQTT", 5),
}


class FactRecord(NamedTuple):
    """One record: its type and body; `answer` says that the flow's server sent it.

    The body of one that is `ours` stands under the key `egressd`.
    """

    event_type: str
    body: str  # JSON
    answer: bool = False
    ours: bool = False


def record_of(fact: object, protocol: int) -> FactRecord | None:
    """Return the record of a message, or None where Suricata's schema has none.

    `protocol` is the IP protocol: a ClientHello in a datagram is of DTLS, and an HTTP message
    in one is of SSDP.
    """
    shape = SHAPES.get(type(fact))
    return shape(fact, protocol) if shape is not None else None


def _dns(message: DnsMessage, _: int) -> FactRecord:
    if message.flavour == "mdns":
        return FactRecord("mdns", encode(_multicast_body(message)))
    if message.flavour == "llmnr":
        return FactRecord("llmnr", encode(_llmnr_body(message)), message.is_response)
    return FactRecord("dns", _dns_text(message), message.is_response)


def _dns_text(message: DnsMessage) -> str:
    """Return the body as text: of all records these are the most, and a dict costs twice this."""
    head = (
        f'{{"version":{DNS_RECORD_VERSION},'
        f'"type":"{"response" if message.is_response else "request"}","tx_id":0,'
        f'"id":{message.id},"flags":"{_flag_bits(message):x}"'
    )
    parts = [head]
    if message.is_response:
        parts.append(',"qr":true')
    if message.authoritative:
        parts.append(',"aa":true')
    if message.truncated:
        parts.append(',"tc":true')
    if message.recursion_desired:
        parts.append(',"rd":true')
    if message.recursion_available:
        parts.append(',"ra":true')
    parts.append(f',"opcode":{message.opcode},"rcode":"{message.rcode}"')
    if message.questions:
        texts = [
            f'{{"rrname":{quoted(q.name)},"rrtype":{quoted(q.type)}}}' for q in message.questions
        ]
        parts.append(f',"queries":[{",".join(texts)}]')
    if message.answers:
        parts.append(f',"answers":{_records_text(message.answers)}')
        parts.append(_grouped_text(message.answers))
    if message.authorities:
        parts.append(f',"authorities":{_records_text(message.authorities)}')
    parts.append("}")
    return "".join(parts)


def _flag_bits(message: DnsMessage) -> int:
    """Return the header's second word (RFC 1035 section 4.1.1) without Z, AD and CD."""
    return (
        message.is_response << 15
        | message.opcode << 11
        | message.authoritative << 10
        | message.truncated << 9
        | message.recursion_desired << 8
        | message.recursion_available << 7
        | RCODE_NUMBERS.get(message.rcode, 0) & 0xF
    )


def _records_text(records: tuple[DnsRecord, ...]) -> str:
    texts = []
    for record in records:
        data = f',"rdata":{quoted(record.data)}' if record.data else ""
        texts.append(
            f'{{"rrname":{quoted(record.name)},"rrtype":{quoted(record.type)},'
            f'"ttl":{record.ttl}{data}}}'
        )
    return f"[{','.join(texts)}]"


def _grouped_text(records: tuple[DnsRecord, ...]) -> str:
    """Return the member that lists the data by type, or nothing where no type is grouped."""
    grouped: dict[str, list[str]] = {}
    for record in records:
        if record.data and record.type in GROUPED:
            grouped.setdefault(record.type, []).append(quoted(record.data))
    texts = [f'"{kind}":[{",".join(data)}]' for kind, data in grouped.items()]
    return f',"grouped":{{{",".join(texts)}}}' if texts else ""


def _multicast_body(message: DnsMessage) -> Json:
    flags = {
        "aa": message.authoritative,
        "tc": message.truncated,
        "rd": message.recursion_desired,
        "ra": message.recursion_available,
    }
    body: Json = {
        "type": "response" if message.is_response else "request",
        "id": message.id,
        "flags": [flag for flag, is_set in flags.items() if is_set],
        "opcode": message.opcode,
        "rcode": RCODE_NUMBERS.get(message.rcode, 0),
    }
    if message.questions:
        body["queries"] = [{"rrname": q.name, "rrtype": q.type} for q in message.questions]
    if message.answers:
        body["answers"] = [_multicast_record(record) for record in message.answers]
    if message.authorities:
        body["authorities"] = [{"rrname": record.name} for record in message.authorities]
    if message.additionals:
        body["additionals"] = [_multicast_record(record) for record in message.additionals]
    return body


def _multicast_record(record: DnsRecord) -> Json:
    shape: Json = {"rrname": record.name}
    if record.type == "PTR" and record.data:
        shape["ptr"] = record.data
    elif record.type == "TXT":
        shape["txt"] = [record.data]
    return shape


def _llmnr_body(message: DnsMessage) -> Json:
    # The header's bits have other names here: C for AA, T for RD (RFC 4795 section 2.1.1).
    flags = {
        "c": message.authoritative,
        "tc": message.truncated,
        "t": message.recursion_desired,
    }
    body: Json = {
        "type": "response" if message.is_response else "request",
        "id": message.id,
        "flags": [flag for flag, is_set in flags.items() if is_set],
        "opcode": message.opcode,
    }
    if message.questions:
        body["queries"] = [{"rrname": q.name, "rrtype": q.type} for q in message.questions]
    if message.answers:
        body["answers"] = [_llmnr_record(record) for record in message.answers]
    return body


def _llmnr_record(record: DnsRecord) -> Json:
    shape: Json = {"rrname": record.name, "rrtype": record.type, "ttl": record.ttl}
    if record.data and record.type in ("A", "AAAA", "CNAME", "MX", "NS", "PTR"):
        shape[record.type.lower()] = record.data
    elif record.data and record.type == "TXT":
        shape["txt"] = [record.data]
    return shape


def _client_hello(hello: ClientHello, protocol: int) -> FactRecord | None:
    if protocol == UDP:  # DTLS
        return None
    body: Json = {}
    if hello.sni is not None:
        body["sni"] = hello.sni
    if hello.alpn:
        body["client_alpns"] = list(hello.alpn)
    body["client_handshake"] = {"version": _tls_version(hello.version)}
    if not hello.cut:
        body["ja4"] = ja4_of(hello, "t")
    return FactRecord("tls", encode(body))


def _server_flight(flight: ServerFlight, _: int) -> FactRecord:
    body: Json = {
        "version": _tls_version(flight.version),
        "server_handshake": {
            "version": _tls_version(flight.version),
            "cipher": flight.cipher,
        },
    }
    if flight.alpn is not None:
        body["server_alpns"] = [flight.alpn]
    if flight.certificate is not None:
        body |= _certificate(flight.certificate)
    return FactRecord("tls", encode(body), answer=True)


def _certificate(certificate: Certificate) -> Json:
    body: Json = {
        "subject": certificate.subject,
        "issuerdn": certificate.issuer,
        "serial": certificate.serial,
        "fingerprint": certificate.sha1,
    }
    # Suricata's schema knows the years 1000 to 2999 only; RFC 5280 section 4.1.2.5 has 9999.
    if certificate.not_before[:1] in ("1", "2"):
        body["notbefore"] = certificate.not_before
    if certificate.not_after[:1] in ("1", "2"):
        body["notafter"] = certificate.not_after
    if certificate.sans:
        body["subjectaltname"] = list(certificate.sans)
    return body


def _tls_version(name: str) -> str:
    """Return a version as Suricata prints it: TLSv1, TLS 1.1, TLS 1.2, ..."""
    return "TLSv1" if name == "TLSv1.0" else name.replace("TLSv", "TLS ")


def _quic_hello(quic: QuicHello, _: int) -> FactRecord:
    hello = quic.hello
    body: Json = {"version": quic.version}
    if hello.sni is not None:
        body["sni"] = hello.sni
    if not hello.cut:
        body["ja4"] = ja4_of(hello, "q")
    return FactRecord("quic", encode(body))


def _gquic(hello: GquicHello, _: int) -> FactRecord:
    body = {"version": hello.version, "sni": hello.sni, "ua": hello.user_agent}
    return FactRecord("quic", encode(_known(body)))


def _http_request(request: HttpRequest, protocol: int) -> FactRecord | None:
    if protocol == UDP:
        return None
    body: Json = _host_body(request.host) if request.host is not None else {}
    body |= {
        "url": request.url,
        "http_user_agent": request.user_agent,
        "http_method": request.method,
        "protocol": request.version,
    }
    return FactRecord("http", encode(_known(body)))


def _http_response(response: HttpResponse, protocol: int) -> FactRecord | None:
    if protocol == UDP:
        return None
    body: Json = {
        "protocol": response.version,
        "status": response.status,
        "http_content_type": response.content_type,
        "length": response.content_length,
        "redirect": response.location,
    }
    if response.server is not None:
        body["response_headers"] = [{"name": "Server", "value": response.server}]
    return FactRecord("http", encode(_known(body)), answer=True)


def _host_body(host: str) -> Json:
    """Return a Host header in two, as Suricata does; the port is rarely there."""
    found = HOST_AND_PORT.fullmatch(host)
    if found is None:
        return {"hostname": host}
    return {"hostname": found[1], "http_port": int(found[2])}


def _dhcp(message: DhcpMessage, _: int) -> FactRecord:
    kind = message.message_type
    body: Json = {
        "type": "request" if message.op == DHCP_REQUEST else "reply",
        "client_mac": message.client_mac,
        "assigned_ip": message.your_ip,
        "client_ip": message.client_ip,
        "dhcp_type": kind.lower() if kind is not None else None,
        "client_id": message.client_id,
        "requested_ip": message.requested_ip,
        "next_server_ip": message.server_ip,
        "hostname": message.hostname,
        "vendor_class_identifier": message.vendor_class,
        "lease_time": message.lease_seconds,
        "routers": list(message.router) or None,
        "dns_servers": list(message.dns_servers) or None,
    }
    return FactRecord("dhcp", encode(_known(body)))


def _ntp(message: NtpMessage, _: int) -> FactRecord:
    body: Json = {
        "version": message.version,
        "mode": NTP_MODES.get(message.mode),
        "stratum": message.stratum,
        "reference_id": _reference_octets(message.reference_id),
    }
    return FactRecord("ntp", encode(_known(body)), answer=message.mode == "server")


def _reference_octets(reference: str) -> str | None:
    """Return a reference, an address or up to four letters, as Suricata prints it: 47:50:53:00."""
    try:
        octets = ip_address(reference).packed
    except ValueError:
        octets = reference.encode("ascii", "replace").ljust(4, b"\0")
    return octets.hex(":") if len(octets) == 4 else None


def _mqtt_connect(connect: MqttConnect, _: int) -> FactRecord:
    dialect = MQTT_DIALECTS[connect.version]
    flags = {
        "username": connect.username is not None,
        "password": connect.has_password,
        "will": connect.will_topic is not None,
        "clean_session": connect.clean,
    }
    body: Json = {
        # CONNECT has none of the three (MQTT 3.1.1 section 2.2.2); Suricata prints them for all.
        "qos": 0,
        "retain": False,
        "dup": False,
        "protocol_string": dialect.name,
        "protocol_version": dialect.level,
        "flags": flags,
        "client_id": connect.client_id,
        "username": connect.username,
    }
    return FactRecord("mqtt", encode({"connect": _known(body)}))


def _p2p(message: P2pMessage, _: int) -> FactRecord:
    body: Json = {
        "protocol": message.protocol,
        "message": message.message,
        "role": message.role.value,
        "confidence": message.confidence.value,
        "device_id": message.device_id,
        "detail": message.detail,
    }
    if message.peers:
        body["peers"] = [
            _known({"ip": peer.ip, "port": peer.port, "part": peer.part.value})
            for peer in message.peers
        ]
    return FactRecord("p2p", encode(_known(body)), ours=True)


def _introduction(message: Introduction, _: int) -> FactRecord:
    body: Json = {
        "protocol": message.protocol,
        "message": message.message,
        "confidence": message.confidence.value,
        "answer": message.speaks_for_itself,
        "vendor": message.vendor,
        "model": message.model,
        "firmware": message.firmware,
        "serial": message.serial,
        "mac": message.mac,
        "ip": message.ip,
        "name": message.name,
        "types": list(message.types) or None,
    }
    return FactRecord("discovery", encode(_known(body)), ours=True)


def _known(body: Json) -> Json:
    return {key: value for key, value in body.items() if value is not None}


SHAPES: dict[type, Callable[[Any, int], FactRecord | None]] = {
    DnsMessage: _dns,
    ClientHello: _client_hello,
    ServerFlight: _server_flight,
    QuicHello: _quic_hello,
    GquicHello: _gquic,
    HttpRequest: _http_request,
    HttpResponse: _http_response,
    DhcpMessage: _dhcp,
    NtpMessage: _ntp,
    MqttConnect: _mqtt_connect,
    P2pMessage: _p2p,
    Introduction: _introduction,
}
