"""Application messages as bytes: DNS, NTP, DHCP, discovery, HTTP, MQTT, STUN, camera clouds.

Each function builds one message; layouts name their RFC or the project's protocol notes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pcaps.generator import wire

A, PTR, TXT, AAAA = 1, 12, 16, 28
NXDOMAIN = 3
NTP_EPOCH = 2_208_988_800  # 1970 in seconds since 1900 (RFC 5905)


def dns_name(name: str) -> bytes:
    """Return a name as labels (RFC 1035, 3.1)."""
    labels = [label.encode("latin-1") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def dns_question(ident: int, name: str, kind: int = A) -> bytes:
    """Return a recursive question (RFC 1035, 4.1)."""
    return (
        struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0) + dns_name(name) + struct.pack("!HH", kind, 1)
    )


def dns_answer(question: bytes, addresses: tuple[str, ...], *, rcode: int = 0) -> bytes:
    """Return the answer to a question: one record per address, names compressed."""
    ident = question[:2]
    counts = struct.pack("!5H", 0x8180 | rcode, 1, len(addresses), 0, 0)
    records = b"".join(
        struct.pack("!HHHIH", 0xC00C, AAAA if ":" in a else A, 1, 300, len(wire.packed(a)))
        + wire.packed(a)
        for a in addresses
    )
    return ident + counts + question[12:] + records


def mdns_service(host: str, service: str) -> bytes:
    """Return an announcement of a service by a host, as mDNS answers (RFC 6762, 6)."""
    owner, target = dns_name(service), dns_name(f"{host}.{service}")
    record = owner + struct.pack("!HHIH", PTR, 1, 4500, len(target)) + target
    return struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + record


def ntp(time: int, *, server: bool) -> bytes:
    """Return an NTPv4 packet of a client, or of a stratum 2 server (RFC 5905, 7.3)."""
    seconds, rest = divmod(time, 1_000_000_000)
    stamp = struct.pack("!II", seconds + NTP_EPOCH, (rest << 32) // 1_000_000_000)
    if not server:
        return b"\x23\0\x06\xec" + bytes(36) + stamp
    return b"\x24\x02\x06\xec" + bytes(8) + b"\xc0\0\x02\x01" + stamp * 4


@dataclass(frozen=True, slots=True)
class Lease:
    """What a DHCP client says of itself and gets."""

    mac: str
    hostname: str
    vendor_class: str
    ip: str


def dhcp(lease: Lease, kind: int, transaction: int, server: str) -> bytes:
    """Return a DHCP message: 1 discover, 2 offer, 3 request, 5 ack (RFC 2131; options RFC 2132)."""
    reply = kind in {2, 5}
    yours = wire.packed(lease.ip if reply else "0.0.0.0")  # noqa: S104 - "no address yet", nothing is bound
    head = struct.pack("!BBBBIHH", 2 if reply else 1, 1, 6, 0, transaction, 0, 0)
    addresses = bytes(4) + yours + bytes(8)
    fixed = head + addresses + wire.mac_bytes(lease.mac).ljust(16, b"\0") + bytes(192)
    options = [(53, bytes((kind,)))]
    if reply:
        options += [(54, wire.packed(server)), (51, struct.pack("!I", 86400)), (1, b"\xff\xff\0\0")]
    else:
        options += [
            (12, lease.hostname.encode()),
            (60, lease.vendor_class.encode()),
            (55, bytes((1, 3, 6, 12, 15, 28, 42))),
        ]
    if kind == 3:
        options += [(50, wire.packed(lease.ip)), (54, wire.packed(server))]
    coded = b"".join(bytes((code, len(value))) + value for code, value in options)
    return (fixed + b"\x63\x82\x53\x63" + coded + b"\xff").ljust(300, b"\0")


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str]) -> bytes:
    """Return an ARP packet; sender and target are (MAC, IP) (RFC 826)."""
    pairs = b"".join(wire.mac_bytes(mac) + wire.packed(ip) for mac, ip in (sender, target))
    return struct.pack("!HHBBH", 1, wire.ETHERTYPE_IPV4, 6, 4, operation) + pairs


def ssdp_notify(location: str, server: str) -> bytes:
    """Return an SSDP announcement (UPnP Device Architecture 1.1, 1.2.2)."""
    return (
        "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n"
        f"LOCATION: {location}\r\nNT: upnp:rootdevice\r\nNTS: ssdp:alive\r\nSERVER: {server}\r\n"
        "USN: uuid:2fac1234-31f8-11b4-a222-08002b34c003::upnp:rootdevice\r\n\r\n"
    ).encode()


def http_request(method: str, host: str, path: str, agent: str) -> bytes:
    """Return an HTTP/1.1 request without a body (RFC 9112)."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n".encode()


def http_response(status: str, server: str, body: bytes, extra: str = "") -> bytes:
    """Return an HTTP/1.1 response; `extra` holds whole header lines."""
    head = f"HTTP/1.1 {status}\r\nServer: {server}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def mqtt_connect(client: str, user: str) -> bytes:
    """Return an MQTT 3.1.1 CONNECT with user and password (OASIS, 3.1)."""
    texts = b"".join(struct.pack("!H", len(t)) + t.encode() for t in (client, user, "test"))
    variable = b"\0\4MQTT\4\xc2\0\x3c" + texts
    assert len(variable) < 128
    return b"\x10" + bytes((len(variable),)) + variable


def stun_request(transaction: bytes) -> bytes:
    """Return a STUN binding request (RFC 8489, 5)."""
    return b"\0\1\0\0\x21\x12\xa4\x42" + transaction


def stun_response(transaction: bytes, ip: str, port: int) -> bytes:
    """Return a STUN success with XOR-MAPPED-ADDRESS (RFC 8489, 14.2)."""
    cookie = b"\x21\x12\xa4\x42"
    address = bytes(a ^ b for a, b in zip(wire.packed(ip), cookie, strict=True))
    value = struct.pack("!BBH", 0, 1, port ^ 0x2112) + address
    return b"\x01\x01" + struct.pack("!H", 12) + cookie + transaction + b"\0\x20\0\x08" + value


def pppp_hello() -> bytes:
    """Return a PPPP HELLO to a rendezvous server (p2p-protocols.md, 1)."""
    return b"\xf1\0\0\0"


def pppp_login(serial: int, ip: str, port: int) -> bytes:
    """Return a PPPP DEV_LGN, 44 bytes: DID, NAT type, version, local address (the same)."""
    device = b"ABCD\0\0\0\0" + struct.pack("!I", serial) + b"EFGHJ\0\0\0"
    local = b"\0\2" + struct.pack("<H", port) + wire.packed(ip)[::-1] + bytes(8)
    return b"\xf1\x10\0\x28" + device + b"\1\3\5\0" + local


def pppp_hello_ack(ip: str, port: int) -> bytes:
    """Return a PPPP HELLO_ACK: the address that the server saw."""
    return b"\xf1\1\0\x10\0\2" + struct.pack("<H", port) + wire.packed(ip)[::-1] + bytes(8)


def dhp2p_probe(serial: str) -> bytes:
    """Return the question of a Dahua device for its rendezvous server, UDP 8800 (the same, 3.1)."""
    return (
        f"DHGET /online/p2psrv/{serial} HTTP/1.1\r\nCSeq: 1\r\n"
        'Authorization: WSSE profile="UsernameToken"\r\nContent-Type: \r\n\r\n'
    ).encode()


def hik_lbs(serial: str) -> bytes:
    """Return invented opaque bytes in the place of the Hikvision LBS exchange.

    Its encoding is not published; only its ports and sizes are (the same, section 4).
    """
    return b"\x01\0\0\0" + serial.encode().ljust(60, b"\0") + bytes(range(64))
