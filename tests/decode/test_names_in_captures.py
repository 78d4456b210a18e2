"""Names read from other people's captures, against tshark's and nDPI's own answers.

The captures stand beside the project, not in it; where they are absent these
tests are skipped. dpkt takes the frames apart here, so only plain link layers count.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dpkt
import pytest

from egressd.decode.http import read_http_request
from egressd.decode.ja4 import ja4_of
from egressd.decode.quic import QuicReader, is_quic_initial, read_gquic_chlo
from egressd.decode.rtsp import read_rtsp_request
from egressd.decode.stream import StreamHead
from egressd.decode.tls import ClientHello, ServerFlight, read_dtls_client, read_tls_client
from egressd.decode.tls import read_tls_server
from egressd.model import DecodeError, NeedMore

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
            isinstance(packet, dpkt.ip.IP) and packet.off & 0x3FFF
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
