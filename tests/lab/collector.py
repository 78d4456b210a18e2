"""What stands on the monitor's management network: a syslog and a webhook collector, and taps.

A tap hears every frame that comes out of the monitor, whatever it is, at the other end of the
cable: what the monitor sends cannot get past it.
"""

from __future__ import annotations

import json
import socket
import socketserver
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import dpkt
from clouds import serve
from labsite import COLLECTOR
from namespaces import run

if TYPE_CHECKING:
    from labsite import LabSite

ETH_P_ALL = 3  # linux/if_ether.h
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23  # linux/if_packet.h
SYSLOG_PORT, WEBHOOK_PORT = 514, 8080


class SyslogServer(socketserver.UDPServer):
    """Keeps the messages that it gets."""

    def __init__(self) -> None:
        super().__init__((COLLECTOR, SYSLOG_PORT), _SyslogMessage)
        self.messages: list[str] = []


class _SyslogMessage(socketserver.BaseRequestHandler):
    server: SyslogServer

    def handle(self) -> None:
        self.server.messages.append(self.request[0].decode())


class WebhookServer(HTTPServer):
    """Keeps the alerts that it gets."""

    def __init__(self) -> None:
        super().__init__((COLLECTOR, WEBHOOK_PORT), _WebhookCall)
        self.alerts: list[dict[str, Any]] = []


class _WebhookCall(BaseHTTPRequestHandler):
    server: WebhookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.alerts.append(json.loads(body)["event"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(slots=True)
class Collectors:
    """Both of them."""

    syslog: SyslogServer
    webhook: WebhookServer


def open_collectors(site: LabSite) -> Collectors:
    """Start both, until the site is taken down."""
    with site.spaces.inside("soc"):
        collectors = Collectors(SyslogServer(), WebhookServer())
    serve(site, collectors.syslog)
    serve(site, collectors.webhook)
    return collectors


@dataclass(slots=True)
class Taps:
    """The far ends of the monitor's cables; open before there is anything to hear."""

    site: LabSite
    _taps: dict[str, socket.socket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for space, interface, name in (("switch", "span", "mirror0"), ("soc", "mgmt0", "mgmt0")):
            with self.site.spaces.inside(space):
                tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            tap.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            tap.bind((interface, ETH_P_ALL))
            tap.setblocking(False)
            self._taps[name] = tap
            self.site.at_end(tap.close)

    def heard(self) -> dict[str, list[bytes]]:
        """Return the frames that came out of each of the monitor's interfaces since last asked."""
        heard: dict[str, list[bytes]] = {}
        for name, tap in self._taps.items():
            heard[name] = []
            while True:
                try:
                    heard[name].append(tap.recv(65536))
                except BlockingIOError:
                    break
        return heard


def sent_by(site: LabSite, space: str) -> dict[str, int]:
    """Return how many packets the kernel has sent by each interface of a namespace."""
    listed = run(*site.spaces.command(space, "ip", "-json", "-stats", "link", "show"))
    return {link["ifname"]: link["stats64"]["tx"]["packets"] for link in json.loads(listed)}


def destination_of(frame: bytes) -> str:
    """Return to whom a frame goes: address, transport and port, or what else it is."""
    ethernet = dpkt.ethernet.Ethernet(frame)
    packet = ethernet.data
    if isinstance(packet, dpkt.arp.ARP):
        return f"arp {socket.inet_ntoa(packet.tpa)}"
    if not isinstance(packet, dpkt.ip.IP):
        return f"ethertype {ethernet.type:#06x}"
    far = socket.inet_ntoa(packet.dst)
    if int.from_bytes(frame[20:22], "big") & 0x1FFF:
        return f"{far} rest of a datagram"  # a fragment but the first (RFC 791, 3.1)
    segment = packet.data
    return f"{far} {type(segment).__name__.lower()} {getattr(segment, 'dport', 0)}"
