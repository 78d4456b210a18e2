"""Big captures for benchmarks, written as fast as struct can pack: `bench --kind KIND`.

Frames are templates in which only what must vary is set anew, and the checksums
with it. The file is never held in memory. Like the small captures, a seed gives
the same bytes every time.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

from pcaps.generator import cast, messages, tape
from pcaps.generator.acts import Scene, Session
from pcaps.generator.files import pcap_header
from pcaps.generator.lan import START, Host
from pcaps.generator.talk import Tcp, To
from pcaps.generator.templates import Rtp, Spoken, Stream, Syn, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK = 4096  # frames written at once
RECORD = struct.Struct("<IIII")
CAMERAS = 60  # of the site mix; every third streams over TCP


@dataclass(frozen=True, slots=True)
class Order:
    """What to write."""

    kind: str
    frames: int
    seed: str
    flows: int = 0  # of ten-thousand-cameras; 0: a quarter of the frames


def write_bench(order: Order, path: Path) -> int:
    """Write a nanosecond pcap of exactly that many frames; return its size."""
    rng = random.Random(f"{order.seed} {order.kind}")  # noqa: S311 - reproducible, not secret
    frames = islice(KINDS[order.kind](order, rng), order.frames)
    seconds, nanos = divmod(START, 1_000_000_000)
    pack = RECORD.pack
    with path.open("wb") as file:
        file.write(pcap_header())
        while chunk := list(islice(frames, CHUNK)):
            parts = []
            for frame in chunk:
                nanos += 9_973  # about 100,000 frames a second
                if nanos >= 1_000_000_000:
                    nanos -= 1_000_000_000
                    seconds += 1
                size = len(frame)
                parts.append(pack(seconds, nanos, size, size))
                parts.append(frame)
            file.write(b"".join(parts))
        return file.tell()


def _camera(index: int) -> Host:
    ip = f"10.20.{30 + index // 250}.{index % 250 + 1}"
    mac = f"44:19:b6:{index >> 16:02x}:{index >> 8 & 255:02x}:{index & 255:02x}"
    return Host(f"camera-{index}", mac, ip, camera=True)


def _film_payload() -> bytes:
    """Return a full RTP payload of the film."""
    unit = max((unit for picture in tape.film() for unit in picture.units), key=len)
    return b"\x7c\x85" + unit[1:1189]


def site_mix(_: Order, rng: random.Random) -> Iterator[bytes]:
    """Cameras streaming to the recorder, PCs browsing, some cameras calling home: ~1,100 B."""
    sources: list[Rtp | Stream] = []
    for index in range(CAMERAS):
        camera = _camera(index)
        kind = Stream if index % 3 == 0 else Rtp
        sources.append(kind.between(camera, cast.RECORDER, 20000 + 2 * index, _film_payload()))
    sessions = [_browsing(number, rng) for number in range(40)]
    sessions += [_calling_home(number) for number in range(12)]
    port, ident = 33000, 0
    running = cycle(sources)
    while True:
        for turn in rng.choice(sessions):
            ident = (ident + 1) & 0xFFFF
            yield turn.make(ident, port)
            for source in islice(running, 5):
                yield source.next()
                if isinstance(source, Stream) and source.count % 2 == 0:
                    yield source.acknowledgement()
        port = port + 1 if port < 60000 else 33000


def _turns(scene: Scene, client: Host) -> list[Turn]:
    return [Turn.of(frame.data, client.ip) for frame in scene.lan.frames() if frame.packet]


def _browsing(number: int, rng: random.Random) -> list[Turn]:
    """Return one visit of a PC: DNS, TLS or HTTP."""
    pc = Host(f"pc-{number}", f"f4:8e:38:00:41:{number:02x}", f"10.20.41.{number + 1}", ttl=128)
    scene = Scene(f"browsing {number}")
    server = cast.far(f"192.0.2.{100 + number}")
    if number % 4 == 3:
        now = scene.asks(pc, f"www{number}.example.net", scene.at(0), server.ip)
        scene.http(pc, server, f"www{number}.example.net", now)
    else:
        name = rng.choice(("www.example.com", "news.example.net", "shop.example.org"))
        now = scene.asks(pc, name, scene.at(0), server.ip)
        down = rng.choice((4000, 12_000, 30_000))
        scene.tls(pc, Session(server, name, down=down), now).close()
    return _turns(scene, pc)


def _calling_home(number: int) -> list[Turn]:
    """Return one call of a camera to a cloud: lookup and TLS, or a SYN that is not answered."""
    camera = _camera(number * 5)
    scene = Scene(f"calling {number}")
    server = cast.far(f"203.0.113.{10 + number}")
    name = "dev.hik-connect.com"
    now = scene.asks(camera, name, scene.at(0), server.ip)
    if number % 3:
        scene.tls(camera, Session(server, name, up=2500, down=800), now).close()
    else:
        Tcp(scene.lan, camera, To(server, 8555, now)).knock(3)
    return _turns(scene, camera)


WORDS = ("cam", "api", "dev", "mail", "img", "cdn", "auth", "push", "log", "p2p", "time", "www")
ZONES = ("example.com", "example.net", "example.org", "camera-cloud.example", "hik-connect.com")


def name_dense(_: Order, rng: random.Random) -> Iterator[bytes]:
    """Every frame is a DNS question, its answer, or a ClientHello; names vary."""
    zones = [messages.dns_name(zone) for zone in ZONES]
    labels = [bytes((len(word),)) + word.encode() for word in WORDS]
    hosts = [Host(f"h{n}", f"f4:8e:38:01:00:{n:02x}", f"10.20.50.{n + 1}") for n in range(200)]
    asked = [Spoken.udp(host, cast.RESOLVER, 53) for host in hosts]
    answered = [Spoken.udp(cast.RESOLVER, host, 53) for host in hosts]
    flight = tape.flights_of("tls13", "www.example.com")[0].data
    before, after = flight.split(b"www.example.com")
    far = cast.far(cast.WEB_IP)
    greeted = [Spoken.tcp(host, far, 443) for host in hosts]
    number = 0
    head = struct.Struct("!6H")
    pick, count = rng.random, len(hosts)
    while True:
        number += 1
        which = int(pick() * count)
        digits = b"%x" % number
        name = (
            bytes((len(digits),))
            + digits
            + labels[int(pick() * len(labels))]
            + zones[int(pick() * len(zones))]
        )
        ident, port = number & 0xFFFF, 1024 + number % 60000
        yield asked[which].make(port, head.pack(ident, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1")
        address = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xcb\0\x71" + bytes((number & 0xFF,))
        message = head.pack(ident, 0x8180, 1, 1, 0, 0) + name + b"\0\1\0\1" + address
        yield answered[which].make(port, message)
        sni = b"w%06x.test.com" % (number & 0xFFFFFF)
        yield greeted[which].make(port, before + sni.ljust(15, b"m")[:15] + after)


def small_frames(_: Order, rng: random.Random) -> Iterator[bytes]:
    """Minimum-size datagrams, 60 bytes without FCS, in about a million flows."""
    pairs = [
        Spoken.udp(_camera(n % 250), cast.far(f"198.51.100.{n % 254 + 1}"), 9000 + n)
        for n in range(512)
    ]
    bits = rng.getrandbits
    while True:
        value = bits(40)
        yield pairs[value & 511].make(1024 + (value >> 9 & 0x7FF), value.to_bytes(5, "big"))


def ten_thousand_cameras(order: Order, rng: random.Random) -> Iterator[bytes]:
    """10,000 streaming cameras, which open `flows` contacts off site between them."""
    payload = _film_payload()[:600]
    nvrs = [Host(f"nvr-{n}", f"bc:32:5f:20:00:{n:02x}", f"10.20.200.{n + 10}") for n in range(40)]
    cameras = [_camera(n) for n in range(10_000)]
    media = cycle([Rtp.between(c, nvrs[n % 40], 20000, payload) for n, c in enumerate(cameras)])
    knocks = [Syn.of(camera) for camera in cameras]
    every = max(1, order.frames // (order.flows or order.frames // 4 or 1))
    bits = rng.getrandbits
    number = 0
    while True:
        yield from (source.next() for source in islice(media, every - 1))
        value = bits(48)
        far = 0xC6336400 | value & 0xFF  # 198.51.100.0/24
        yield knocks[number % 10_000].make(far, 1024 + number // 10_000 % 64000, value >> 16)
        number += 1


def scan(_: Order, rng: random.Random) -> Iterator[bytes]:
    """One camera knocks at a million addresses, each once."""
    knock = Syn.of(cast.GATE)
    bits = rng.getrandbits
    step = 0
    while True:
        # 100.64.0.0/10 is off site; an odd stride visits each of its addresses once.
        step = (step + 1_000_003) & 0x3FFFFF
        yield knock.make(0x64400000 | step, 33000 + (step & 0xFFF), bits(32))


KINDS: dict[str, Callable[[Order, random.Random], Iterator[bytes]]] = {
    "site-mix": site_mix,
    "name-dense": name_dense,
    "small-frames": small_frames,
    "ten-thousand-cameras": ten_thousand_cameras,
    "scan": scan,
}
