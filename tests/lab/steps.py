"""What devices do in a scenario: each step is one thing, done to its end before the next.

A step says who does it and what; nothing of what the monitor should make of it.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query
from clouds import P2P_HELLO, P2P_PORT, client_context
from dhcpclient import obtain_lease
from labsite import FORWARDED_PORT, GATEWAY, HOST, OUTSIDE, RESOLVER
from namespaces import run

if TYPE_CHECKING:
    from labsite import LabSite

ANSWER_SECONDS = 5.0
FILM_PICTURES = 30


@dataclass(frozen=True, slots=True)
class Call:
    """A device asks for a name and brings the host behind it something by TLS."""

    by: str
    name: str
    upload: int = 1500  # bytes of an HTTP request's body
    port: int = 443

    def run(self, site: LabSite) -> None:
        address = resolve(site, self.by, self.name)
        assert address is not None, self.name
        context = client_context(site.folder)
        with site.spaces.inside(self.by):
            plain = socket.create_connection((address, self.port), ANSWER_SECONDS)
        # What a camera uploads is compressed: nothing in it repeats.
        body = os.urandom(self.upload)
        head = f"POST /upload HTTP/1.1\r\nHost: {self.name}\r\nContent-Length: {len(body)}\r\n\r\n"
        with plain, context.wrap_socket(plain, server_hostname=self.name) as stream:
            stream.sendall(head.encode() + body)
            assert stream.recv(1000).startswith(b"HTTP/1.1 200")


@dataclass(frozen=True, slots=True)
class Connect:
    """A device tries a TCP connection that somebody prevents."""

    by: str
    to: str  # an address, or a name that is asked for first
    port: int
    seconds: float = 1.0  # how long it tries: the kernel repeats its SYN after 1, 3, 7 ...

    def run(self, site: LabSite) -> None:
        is_name = not self.to[0].isdigit()
        address = resolve(site, self.by, self.to) if is_name else self.to
        assert address is not None, self.to
        with site.spaces.inside(self.by):
            device = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with device:
            device.settimeout(self.seconds)
            with suppress(OSError):
                device.connect((address, self.port))
                raise AssertionError(f"{self.to}:{self.port} let us in")


@dataclass(frozen=True, slots=True)
class Lookup:
    """A device asks a resolver for a name."""

    by: str
    name: str
    answered: bool = True  # with an address; else the name does not exist
    resolver: str = RESOLVER

    def run(self, site: LabSite) -> None:
        assert (resolve(site, self.by, self.name, self.resolver) is not None) is self.answered


@dataclass(frozen=True, slots=True)
class AskTime:
    """A device asks a time server."""

    by: str
    server: str

    def run(self, site: LabSite) -> None:
        # RFC 5905, figure 8: version 4, mode 3; the transmit timestamp is for us to recognise.
        request = b"\x23" + bytes(39) + os.urandom(8)
        answer = exchange(site, self.by, (self.server, 123), request, ANSWER_SECONDS)
        assert answer is not None
        assert answer[24:32] == request[40:48]


@dataclass(frozen=True, slots=True)
class Hello:
    """A device says hello to a P2P server, once or again and again."""

    by: str
    server: str
    answered: bool = True
    times: int = 1

    def run(self, site: LabSite) -> None:
        seconds = ANSWER_SECONDS if self.answered else 0.5
        for _ in range(self.times):
            answer = exchange(site, self.by, (self.server, P2P_PORT), P2P_HELLO, seconds)
            assert (answer is not None) is self.answered


@dataclass(frozen=True, slots=True)
class Play:
    """Somebody plays a camera's film with ffmpeg; `by` net comes in through the forwarded port."""

    by: str
    camera: str = "cam1"
    over: str = "tcp"

    def run(self, site: LabSite) -> None:
        comes_in = self.by == "net"
        end = f"{OUTSIDE}:{FORWARDED_PORT}" if comes_in else f"{HOST[self.camera].ips[0]}:554"
        run(
            *site.spaces.command(self.by, "ffmpeg", "-nostdin", "-loglevel", "error", "-xerror"),
            *("-fflags", "nobuffer", "-analyzeduration", "500000", "-rtsp_transport", self.over),
            *("-i", f"rtsp://{end}/film", "-frames:v", str(FILM_PICTURES), "-f", "null", "-"),
        )


@dataclass(frozen=True, slots=True)
class ComeUp:
    """A device is plugged in and gets its address by DHCP."""

    who: str
    host_name: str
    vendor_class: str

    def run(self, site: LabSite) -> None:
        site.spaces.links(self.who, "link set eth0 up")
        with site.spaces.inside(self.who):
            lease = obtain_lease("eth0", HOST[self.who].mac, self.host_name, self.vendor_class)
        lines = [f"address add {lease}/16 dev eth0", f"route add default via {GATEWAY}"]
        site.spaces.links(self.who, *lines)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The gateway is told to refuse something from now on, in nft's words."""

    rule: str

    def run(self, site: LabSite) -> None:
        site.refuse(self.rule)


def resolve(site: LabSite, by: str, name: str, resolver: str = RESOLVER) -> str | None:
    """Ask for a name's address as a device does; None if there is none."""
    with site.spaces.inside(by):
        answer = dns.query.udp(dns.message.make_query(name, "A"), resolver, timeout=ANSWER_SECONDS)
    return next((str(rdata) for rrset in answer.answer for rdata in rrset), None)


def exchange(
    site: LabSite, by: str, far_end: tuple[str, int], request: bytes, seconds: float
) -> bytes | None:
    """Send a datagram and return what comes back, None if nothing does."""
    with site.spaces.inside(by):
        device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with device:
        device.settimeout(seconds)
        device.connect(far_end)
        device.send(request)
        with suppress(TimeoutError, ConnectionRefusedError):
            return device.recv(2000)
    return None


Step = Call | Connect | Lookup | AskTime | Hello | Play | ComeUp | Refuse
