"""Names read from other people's captures, against tshark's and nDPI's own answers.

The captures stand beside the project, not in it; where they are absent these
tests are skipped. dpkt takes the frames apart here, so only plain link layers count.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dpkt
import pytest

from egressd.decode.http import HttpRequest, read_http_request
from egressd.decode.ja4 import ja4_of
from egressd.decode.quic import QuicReader, is_quic_initial, read_gquic_chlo
from egressd.decode.rtsp import RtspRequest, read_rtsp_request
from egressd.decode.stream import StreamHead
from egressd.decode.tls import (
    Certificate,
    ClientHello,
    ServerFlight,
    read_dtls_client,
    read_tls_client,
    read_tls_server,
)
from egressd.model import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURES = Path(__file__).parents[3] / "shared" / "pcaps"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not here"),
]


@dataclass
class Flows:
    """One capture's payloads: TCP directions as heads and segments, UDP as datagrams."""

    heads: list[StreamHead] = field(default_factory=list)
    segments: list[bytes] = field(default_factory=list)
    datagrams: dict[tuple[object, ...], list[bytes]] = field(default_factory=dict)


def packets_of(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        link = {
            0: dpkt.loopback.Loopback,
            1: dpkt.ethernet.Ethernet,
            113: dpkt.sll.SLL,
            276: dpkt.sll2.SLL2,
        }.get(reader.datalink())
        for _, frame in reader:
            try:
                if link is not None:
                    packet = link(frame).data
                else:
                    packet = (dpkt.ip6.IP6 if frame[0] >> 4 == 6 else dpkt.ip.IP)(frame)
            except (dpkt.Error, IndexError, ValueError):
                continue
            while isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
                yield packet
                packet = packet.data


def flows_of(name: str) -> Flows:
    flows = Flows()
    begins: dict[tuple[object, ...], int] = {}
    streams: dict[tuple[object, ...], StreamHead] = {}
    for packet in packets_of(CAPTURES / name):
        transport = packet.data
        if not isinstance(transport, dpkt.tcp.TCP | dpkt.udp.UDP) or (
            isinstance(packet, dpkt.ip.IP) and (packet.mf or packet.offset)
        ):
            continue
        key = (packet.src, transport.sport, packet.dst, transport.dport)
        if isinstance(transport, dpkt.udp.UDP):
            flows.datagrams.setdefault(key, []).append(bytes(transport.data))
            continue
        syn = bool(transport.flags & dpkt.tcp.TH_SYN)
        if syn or key not in begins:
            begins[key] = (transport.seq + syn) & 0xFFFFFFFF
            streams[key] = StreamHead()
            flows.heads.append(streams[key])
        data = bytes(transport.data)
        if data and not syn:
            flows.segments.append(data)
            streams[key].add((transport.seq - begins[key]) & 0xFFFFFFFF, data)
    return flows


def truth_of(name: str) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((CAPTURES / "truth" / f"{name}.json").read_text())
    return truth


def client_hellos(flows: Flows) -> list[ClientHello]:
    found = []
    for stream in flows.heads:
        try:
            hello = read_tls_client(stream.head, final=True)
        except DecodeError:
            continue
        if isinstance(hello, ClientHello):
            found.append(hello)
    return found


def quic_hellos(flows: Flows) -> list[ClientHello]:
    found = []
    for datagrams in flows.datagrams.values():
        reader = QuicReader()
        for datagram in datagrams:
            if is_quic_initial(datagram):
                try:
                    hello = reader.add(datagram)
                except DecodeError:
                    break
                if hello is not None:
                    found.append(hello)
    return found


def named_in(capture: str, protocol: str) -> set[str]:
    """Return the names of one protocol that the decoders read in a capture."""
    flows = flows_of(capture)
    if protocol == "tls_sni":
        return {hello.sni for hello in client_hellos(flows) if hello.sni}
    if protocol == "quic_sni":
        google = [
            read_gquic_chlo(datagram)
            for datagrams in flows.datagrams.values()
            for datagram in datagrams
        ]
        names = {hello.sni for hello in quic_hellos(flows) if hello.sni}
        return names | {hello.sni for hello in google if hello is not None and hello.sni}
    messages = [
        *(stream.head for stream in flows.heads),
        *flows.segments,
        *(datagram for datagrams in flows.datagrams.values() for datagram in datagrams),
    ]
    if protocol == "http_host":
        requests = [read_http_request(message, final=True) for message in messages]
        return {it.host for it in requests if isinstance(it, HttpRequest) and it.host}
    asked = [read_rtsp_request(message, final=True) for message in messages]
    return {f"{it.method} {it.url} {it.version}" for it in asked if isinstance(it, RtspRequest)}


# Captures whose tunnels or link layers are not taken apart here; the data plane has tests for them.
TUNNELLED = {
    "arkime__nflog.pcap",
    "mercury__ip_encapsulation.pcap",
    "mercury__pppoe_double_vlan_tagging.pcap",
    "nDPI__dlt_ppp.pcap",
    "nDPI__vxlan.pcap",
    "zeek__tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap",
    "zeek__tunnels__vxlan-encapsulated-http.pcap",
}


def captures_with(protocol: str) -> list[str]:
    return [
        name
        for name in sorted(path.name[:-5] for path in (CAPTURES / "truth").glob("*.json"))
        if name not in TUNNELLED and truth_of(name)[protocol]
    ]


@pytest.mark.parametrize("protocol", ["tls_sni", "quic_sni", "http_host", "rtsp_requests"])
def test_the_names_are_those_that_tshark_reads(protocol: str) -> None:
    names = captures_with(protocol)
    expected = {
        name: {text.removesuffix("\\r\\n") for text in truth_of(name)[protocol]} for name in names
    }
    assert {name: named_in(name, protocol) for name in names} == expected
    assert len(names) > 1


def without_sni_and_alpn(ja4: str) -> str:
    """Return what a JA4 says of the software: the nDPI here wrote "d" always, and another ALPN."""
    return ja4[:3] + ja4[4:8] + ja4[10:]


@pytest.mark.parametrize(
    "name",
    [
        "nDPI__4in6tunnel.pcap",
        "nDPI__6in4tunnel.pcap",
        "nDPI__dns_doh.pcap",
        "nDPI__dns_dot.pcap",
        "nDPI__dnscrypt-v2-doh.pcap",
        "nDPI__doq.pcapng",
        "nDPI__http_ipv6.pcap",
        "nDPI__no_sni.pcap",
        "nDPI__quic-29.pcap",
        "nDPI__quic-v2.pcapng",
        "nDPI__quic_frags_ch_in_multiple_packets.pcapng",
        "nDPI__sites.pcapng",
        "nDPI__stun.pcap",
        "nDPI__tls_2_reasms.pcapng",
        "nDPI__tls_ech.pcapng",
        "nDPI__tls_esni_sni_both.pcap",
    ],
)
def test_the_ja4_are_those_of_ndpi(name: str) -> None:
    flows = flows_of(name)
    found = {ja4_of(hello, "t") for hello in client_hellos(flows)}
    found |= {ja4_of(hello, "q") for hello in quic_hellos(flows)}
    for datagrams in flows.datagrams.values():
        datagram_hellos = map(read_dtls_client, datagrams)
        found |= {ja4_of(hello, "d") for hello in datagram_hellos if hello is not None}
    text = (CAPTURES / "expect" / "ndpi" / f"{name}.out").read_text()
    expected = set(re.findall(r"JA4: (\w+)\]", text))
    assert set(map(without_sni_and_alpn, found)) == set(map(without_sni_and_alpn, expected))


def test_the_ja4_is_that_of_arkime() -> None:
    # expect/arkime/arkime__tls-split-client-hello.pcap.test.json: a hello in two segments.
    (hello,) = client_hellos(flows_of("arkime__tls-split-client-hello.pcap"))
    assert ja4_of(hello, "t") == "t13d1516h2_8daaf6152771_02713d6af862"
    assert hello.ech


def certificates_in(name: str) -> list[Certificate]:
    flights = [read_tls_server(stream.head, final=True) for stream in flows_of(name).heads]
    return [
        flight.certificate
        for flight in flights
        if isinstance(flight, ServerFlight) and flight.certificate is not None
    ]


def test_the_certificate_of_a_camera_cloud_is_read() -> None:
    # The camera's vendor cloud over TLS 1.0, frame 198.
    certificate = certificates_in("iotsentinel__D-LinkCam__Setup-A-1-STA.pcap")[0]
    assert certificate.subject.startswith("CN=*.auto.mydlink.com, O=D-Link Corporation, ")
    assert certificate.sans == ("*.auto.mydlink.com", "auto.mydlink.com")
    assert certificate.serial == "11:21:B4:F6:0E:C7:7B:9E:90:60:4C:E8:AF:17:BE:E6:1F:AD"


@pytest.mark.parametrize(
    "name", ["nDPI__sites.pcapng", "nDPI__dns_dot.pcap", "nDPI__dnscrypt-v2-doh.pcap"]
)
def test_the_fingerprints_are_those_of_ndpi(name: str) -> None:
    text = (CAPTURES / "expect" / "ndpi" / f"{name}.out").read_text()
    expected = {it.lower() for it in re.findall(r"Certificate SHA-1: ([0-9A-F:]+)", text)}
    assert {certificate.sha1 for certificate in certificates_in(name)} == expected
