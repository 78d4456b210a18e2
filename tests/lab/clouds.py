"""The far ends: TLS servers that take uploads, time servers, a P2P server; and a camera's film.

Each is made inside a namespace (`LabSite.spaces.inside`) and answers from there until the site is
taken down.
"""

from __future__ import annotations

import datetime as dt
import socket
import socketserver
import ssl
import struct
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from labsite import NAMES, TIME_SERVER
from rtspserver import RtspServer

if TYPE_CHECKING:
    from pathlib import Path

    from labsite import LabSite

P2P_PORT = 32100  # PPPP: CS2 Network's servers
P2P_HELLO = bytes.fromhex("f1000000")  # magic, HELLO, no payload
P2P_HELLO_ACK = bytes.fromhex("f1010010") + bytes(16)  # and whom it has seen: here, nobody
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970 (RFC 5905, figure 4)
POLL_SECONDS = 0.02  # how soon a server ends that is told to
SILENCE_SECONDS = 10.0
MOST_HEADER = 8192

Server = socketserver.BaseServer


class Threads(socketserver.ThreadingTCPServer):
    """A TCP server that may be taken down at any time."""

    allow_reuse_address = True
    daemon_threads = True
    tls: ssl.SSLContext


class UploadRequest(socketserver.BaseRequestHandler):
    """One TLS connection: an HTTP request with a body, and an answer."""

    server: Threads

    def handle(self) -> None:
        self.request.settimeout(SILENCE_SECONDS)
        try:
            with self.server.tls.wrap_socket(self.request, server_side=True) as stream:
                head, _, body = read_head(stream)
                left = content_length(head) - len(body)
                while left > 0 and (more := stream.recv(65536)):
                    left -= len(more)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                stream.recv(1)  # the camera hangs up first
        except OSError:  # it went away: that is how cameras are
            pass


class TimeRequest(socketserver.BaseRequestHandler):
    """One NTP request (RFC 5905, figure 8)."""

    def handle(self) -> None:
        data, sender = self.request
        if len(data) < 48 or data[0] & 7 != 3:
            return
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        seconds, rest = divmod(now, 1_000_000_000)
        stamp = struct.pack("!II", (seconds + NTP_EPOCH) % (1 << 32), (rest << 32) // 1_000_000_000)
        head = struct.pack("!BBbbII4s", 0x24, 2, 6, -20, 0, 0, b"GPS\0")
        sender.sendto(head + stamp + data[40:48] + stamp + stamp, self.client_address)


class P2pRequest(socketserver.BaseRequestHandler):
    """One datagram of a camera that wants to be found."""

    def handle(self) -> None:
        data, sender = self.request
        if data[:2] == P2P_HELLO[:2]:
            sender.sendto(P2P_HELLO_ACK, self.client_address)


def open_clouds(site: LabSite) -> None:
    """Start all that answers on the internet, and the site's time server."""
    tls = server_context(site.folder)
    with site.spaces.inside("net"):
        for address in NAMES.values():
            serve(site, _tls_server(address, 443, tls))
        serve(site, _tls_server(NAMES["dev.hik-connect.com"], 8555, tls))
        serve(site, socketserver.UDPServer(("198.51.100.123", 123), TimeRequest))
        serve(site, socketserver.UDPServer(("198.51.100.101", P2P_PORT), P2pRequest))
    with site.spaces.inside("srv"):
        serve(site, socketserver.UDPServer((TIME_SERVER, 123), TimeRequest))


def open_camera(site: LabSite, name: str, film: Path) -> None:
    """Have a camera serve its film by RTSP."""

    def open_udp() -> socket.socket:
        with site.spaces.inside(name):  # a thread is not where its server's socket is
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with site.spaces.inside(name):
        serve(site, RtspServer(554, film, open_udp))


def read_head(stream: Any) -> tuple[bytes, bytes, bytes]:
    """Read up to the empty line; return what is before it, itself, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more or len(data) > MOST_HEADER:
            raise ConnectionError("no header")
        data += more
    head, line, rest = data.partition(b"\r\n\r\n")
    return head, line, rest


def content_length(head: bytes) -> int:
    """Return how long the body is."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@cache
def _certificate() -> tuple[bytes, bytes]:
    """Make a certificate for all clouds of this run, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clouds of the lab")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36_500))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    unlocked = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return certificate.public_bytes(pem), key.private_bytes(pem, pkcs8, unlocked)


def server_context(folder: Path) -> ssl.SSLContext:
    """Return TLS for servers; the certificate is put into the folder as cloud.pem."""
    certificate, key = _certificate()
    path = folder / "cloud.pem"
    path.write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def client_context(folder: Path) -> ssl.SSLContext:
    """Return TLS for cameras: they trust the clouds' certificate and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "cloud.pem")
    return context


def _tls_server(address: str, port: int, tls: ssl.SSLContext) -> Threads:
    server = Threads((address, port), UploadRequest)
    server.tls = tls
    return server


def serve(site: LabSite, server: Server) -> None:
    """Have a server answer until the site is taken down."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    site.at_end(end)
