"""Payloads that are of no camera's protocol: random ones, text, and near misses of common ones."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import dpkt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

LONGEST = 1400
WORDS = (
    b'GET / HTTP/1.1 Host: example.com REGISTER sip: NOTIFY * {"id": 1} <xml> 200 OK\r\n a=rtpmap'
)


def noise(seed: int, count: int) -> Iterator[bytes]:
    """Return payloads of 1 to 1400 bytes, the same for the same seed; half are random bytes."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    makers = (text, rtp, quic, dns, stun, dtls, padded, counted)
    for number in range(count):
        size = random.randint(1, LONGEST if number % 4 else 80)
        if number % 2:
            yield random.randbytes(size)
        else:
            yield random.choice(makers)(random, size)[:LONGEST]


def text(random: Random, size: int) -> bytes:
    start = random.randrange(len(WORDS))
    return (WORDS[start:] + WORDS * (size // len(WORDS) + 1))[:size]


def rtp(random: Random, size: int) -> bytes:
    return bytes((0x80, random.choice((0, 8, 96, 98, 224)))) + random.randbytes(size)


def quic(random: Random, size: int) -> bytes:
    start = bytes((random.randint(0x40, 0x7F),)) if random.random() < 0.5 else b"\xc3\0\0\0\1\x08"
    return start + random.randbytes(size)


def dns(random: Random, size: int) -> bytes:
    head = random.randbytes(2) + random.choice((b"\x01\x00", b"\x81\x80"))
    return head + b"\0\1\0\0\0\0\0\0" + random.randbytes(size)


def stun(random: Random, size: int) -> bytes:
    size -= size % 4
    kind = random.choice((b"\x00\x01", b"\x01\x01", b"\x00\x16"))
    return kind + size.to_bytes(2, "big") + b"\x21\x12\xa4\x42" + random.randbytes(12 + size)


def dtls(random: Random, size: int) -> bytes:
    kind = bytes((random.choice((20, 21, 22, 23)), 0xFE, random.choice((0xFD, 0xFF))))
    return kind + random.randbytes(8) + size.to_bytes(2, "big") + random.randbytes(size)


def padded(random: Random, size: int) -> bytes:
    return random.randbytes(4) + random.choice((b"\0", b"\xff")) * size


def counted(random: Random, size: int) -> bytes:
    """Type, zero, length of the rest: what many protocols begin with."""
    length = size.to_bytes(2, "big")
    return random.randbytes(2) + random.choice((length, length[::-1])) + random.randbytes(size)


def datagrams_of(path: Path) -> Iterator[dpkt.udp.UDP]:
    """Return the UDP datagrams of a capture that have a payload, also inside IP in IP."""
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
                packet: Any = link(frame).data if link is not None else dpkt.ip.IP(frame)
            except (dpkt.Error, IndexError, ValueError):
                continue
            while isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
                packet = packet.data
            if isinstance(packet, dpkt.udp.UDP) and packet.data:
                yield packet
