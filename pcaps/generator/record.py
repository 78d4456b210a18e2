"""Record what cannot be seeded: real TLS and QUIC handshakes, and a film.

`python -m pcaps.generator record` writes the files in `data/` anew; ordinary
generation only reads them. The far ends are OpenSSL and aioquic in memory, with
certificates of our own; no network is used.
"""

from __future__ import annotations

import datetime as dt
import json
import ssl
import subprocess
import tempfile
from base64 import b64encode
from pathlib import Path

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DATA = Path(__file__).parent / "data"
TLS_NAMES = (
    "dev.hik-connect.com",
    "www.easy4ipcloud.com",
    "upload.camera-cloud.example",
    "vms.example.org",
    "www.example.com",
    "news.example.net",
    "shop.example.org",
)
QUIC_NAMES = ("video.example.com", "relay.camera-cloud.example")
DAY = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
FILM = (
    "-f lavfi -i testsrc2=size=480x270:rate=12 -t 4 -c:v libx264 -preset veryfast"
    " -profile:v baseline -b:v 220k -maxrate 260k -bufsize 130k -g 24 -bf 0"
    " -bsf:v filter_units=remove_types=6 -threads 1 -flags +bitexact -f h264"
)


def record() -> None:
    """Write handshakes.json and video.h264."""
    with tempfile.TemporaryDirectory() as folder:
        tapes: dict[str, dict[str, list[list[str]]]] = {"tls13": {}, "tls12": {}, "quic": {}}
        for name in TLS_NAMES:
            chain = _certificate(name, Path(folder))
            tapes["tls13"][name] = _tls(name, chain, ssl.TLSVersion.TLSv1_3)
            tapes["tls12"][name] = _tls(name, chain, ssl.TLSVersion.TLSv1_2)
        for name in QUIC_NAMES:
            tapes["quic"][name] = _quic(name, _certificate(name, Path(folder)))
    text = json.dumps(tapes, indent=0, sort_keys=True) + "\n"
    (DATA / "handshakes.json").write_text(text, encoding="utf-8")
    command = ["ffmpeg", "-v", "error", "-y", *FILM.split(), str(DATA.parent / "video.h264")]
    subprocess.run(command, check=True)  # noqa: S603 - our own fixed command


def _certificate(name: str, folder: Path) -> Path:
    """Write a self-signed certificate and its key as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(DAY)
        .not_valid_after(DAY + dt.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def _tls(name: str, chain: Path, version: ssl.TLSVersion) -> list[list[str]]:
    """Return the flights of a handshake: [who, base64] in order."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain)
    client_context = ssl.create_default_context(cafile=str(chain))
    client_context.maximum_version = version
    client_context.set_alpn_protocols(["http/1.1"])
    server_context.set_alpn_protocols(["http/1.1"])
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    tape: list[list[str]] = []
    waiting: list[tuple[str, ssl.SSLObject]] = [("client", client), ("server", server)]
    while waiting:
        who, end = waiting.pop(0)
        outgoing = to_server if who == "client" else to_client
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append((who, end))
        said = outgoing.read()
        if said:
            tape.append([who, b64encode(said).decode()])
            outgoing.write(said)
    return tape


def _quic(name: str, chain: Path) -> list[list[str]]:
    """Return the datagrams of a handshake with one request and its answer."""
    client = QuicConnection(
        configuration=QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name=name, verify_mode=ssl.CERT_NONE
        )
    )
    settings = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    settings.load_cert_chain(chain)
    server = QuicConnection(
        configuration=settings,
        original_destination_connection_id=client.original_destination_connection_id,
    )
    tape: list[list[str]] = []
    now = 0.0
    client.connect(("192.0.2.1", 443), now)

    def exchange(rounds: int) -> None:
        nonlocal now
        for _ in range(rounds):
            for who, sender, receiver in (
                ("client", client, server),
                ("server", server, client),
            ):
                now += 0.01
                for datagram, _ in sender.datagrams_to_send(now):
                    tape.append([who, b64encode(datagram).decode()])
                    receiver.receive_datagram(datagram, ("192.0.2.1", 443), now)

    exchange(4)
    client.send_stream_data(0, b"GET / " + bytes(300), end_stream=True)
    exchange(2)
    server.send_stream_data(0, bytes(900), end_stream=True)
    exchange(2)
    return tape
