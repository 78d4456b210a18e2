"""The same traffic as different mirrors show it: copies, tags, tunnels, loss, cuts, fragments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generator import cast, messages, mirror, tape
from pcaps.generator.acts import Session
from pcaps.generator.carriers import CARRIERS, Carrier, carry
from pcaps.generator.lan import SECOND
from pcaps.generator.mirror import Way
from pcaps.generator.scenarios.contacts import UPLOAD, hik_registration, p2p
from pcaps.generator.scenarios.registry import Scenario, add, scenario
from pcaps.generator.talk import Tcp, To, Udp, echo

if TYPE_CHECKING:
    from pcaps.generator.acts import Scene
    from pcaps.generator.mirror import Captured
    from pcaps.generator.scenarios.registry import View

SNAPLEN = 96


def mixture(scene: Scene) -> None:
    """Play a little of everything: a stream on site, a cloud call, TLS, P2P, ping."""
    scene.streams_over_udp(cast.YARD, cast.RECORDER, scene.at(0.2), 4)
    scene.arp(cast.RECORDER, cast.YARD, scene.at(0.1))
    hik_registration(scene, 0.5)
    now = scene.asks(cast.GATE, UPLOAD, scene.at(0.9), cast.UNLISTED_IP)
    scene.tls(cast.GATE, Session(cast.far(cast.UNLISTED_IP), UPLOAD, up=4000), now).close()
    p2p(scene, answered=True, second=1.5)
    echo(scene.lan, cast.GATE, cast.far("192.0.2.9"), scene.at(2.0))


def _carried(carrier: Carrier) -> View:
    return lambda rows, _: carry(rows, carrier)


for _carrier in CARRIERS:
    add(
        Scenario(
            f"in-{_carrier.name}",
            f"a mixture of contacts, all in {_carrier.says}",
            mixture,
            _carried(_carrier),
            ".pcap",
        )
    )


def _camera_macs(scene: Scene) -> set[str]:
    return {host.mac for host in scene.cameras if host.name != "nvr"}


def _cut(rows: list[Captured], _: Scene) -> list[Captured]:
    return mirror.cut(rows, SNAPLEN)


def _from_cameras(rows: list[Captured], scene: Scene) -> list[Captured]:
    scene.undecidable = True
    return mirror.one_way(rows, _camera_macs(scene), Way.FROM_CAMERAS)


def _to_cameras(rows: list[Captured], scene: Scene) -> list[Captured]:
    scene.undecidable = True
    return mirror.one_way(rows, _camera_macs(scene), Way.TO_CAMERAS)


_VIEWS: tuple[tuple[str, str, View], ...] = (
    ("copies", "every frame twice, 1 to 200 us apart", lambda r, s: mirror.copies(r, s.rng)),
    (
        "copies-tagged",
        "every frame twice, the copy with an 802.1Q tag",
        lambda r, s: mirror.tagged_copies(r, s.rng),
    ),
    (
        "copies-routed",
        "off-site frames twice: the copy with other MACs and TTL less one",
        lambda r, s: mirror.routed_copies(r, s.rng),
    ),
    ("one-way-out", "a mirror of what cameras send, and nothing else", _from_cameras),
    ("one-way-in", "a mirror of what cameras receive, and nothing else", _to_cameras),
    ("loss", "one frame in eight never captured", lambda r, s: mirror.lossy(r, s.rng, 0.125)),
)
for _name, _shows, _view in _VIEWS:
    add(Scenario(f"mirror-{_name}", _shows, mixture, _view))
add(Scenario("snaplen", f"frames cut at {SNAPLEN} bytes", mixture, _cut, ".pcap", SNAPLEN))


@scenario("retransmissions", "an upload of 60 kB with lost segments sent again; no mirror copies")
def retransmissions(scene: Scene) -> None:
    """Play a bad uplink."""
    server = cast.far(cast.UNLISTED_IP)
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 6)
    tcp = Tcp(scene.lan, cast.GATE, To(server, 8090, scene.at(0.4))).connect()
    tcp.send(cast.GATE, scene.rng.randbytes(60_000), repeat={3, 4, 17, 30, 40})
    tcp.send(server, scene.rng.randbytes(9000), repeat={2})
    tcp.close()
    Tcp(scene.lan, cast.YARD, To(cast.far("198.51.100.14"), 443, scene.at(0.5))).knock(5)


@scenario("fragments", "a DNS question and a 6,000-byte datagram in IP fragments")
def fragments(scene: Scene) -> None:
    """Play a small MTU."""
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 6)
    google = cast.far(cast.GOOGLE_DNS)
    name = ".".join(("fragmented" * 4, "question" * 5, "dev.hik-connect.com"))
    question = messages.dns_question(0x4242, name)
    talk = Udp(scene.lan, cast.GATE, To(google, 53, scene.at(0.6)), "dns")
    asked = talk.say(question, mtu=76)
    answered = talk.reply(messages.dns_answer(question, (cast.CLOUD_IP,)))
    scene.note_lookup((cast.GATE, google), name, (cast.CLOUD_IP,), (asked, answered))
    big = Udp(scene.lan, cast.YARD, To(cast.far(cast.UNLISTED_IP), 6000, scene.at(0.9)))
    big.say(scene.rng.randbytes(6000))
    big.reply(scene.rng.randbytes(3000))


@scenario("split-hello", "a ClientHello over three segments, out of order; QUIC beside it")
def split_hello(scene: Scene) -> None:
    """Play a hello that hides its name from readers of one packet."""
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 6)
    server = cast.far(cast.UNLISTED_IP)
    tcp = Tcp(scene.lan, cast.GATE, To(server, 443, scene.at(0.7)), "tls").connect()
    hello, *rest = tape.flights_of("tls13", UPLOAD)
    cuts = [hello.data[:90], hello.data[90:301], hello.data[301:]]
    mark = len(scene.lan.sent)
    tcp.pieces(cast.GATE, cuts, (0, 2, 1))
    scene.note_name(tcp, UPLOAD, "sni", scene.lan.sent[mark:])
    for flight in rest:
        tcp.send(cast.GATE if flight.by_client else server, flight.data)
    tcp.send(cast.GATE, scene.records(700))
    tcp.close()
    late = Tcp(scene.lan, cast.YARD, To(server, 443, scene.at(0.9)), "tls").connect()
    mark = len(scene.lan.sent)
    late.pieces(cast.YARD, cuts, (2, 1, 0))
    scene.note_name(late, UPLOAD, "sni", scene.lan.sent[mark:])
    for flight in rest:
        late.send(cast.YARD if flight.by_client else server, flight.data)
    late.now += SECOND
    late.close()
