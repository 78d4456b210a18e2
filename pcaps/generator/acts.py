"""What hosts do, each in one call: look up a name, talk TLS, browse, stream, ask for an address.

A `Scene` is one scenario being played. Every act notes names, lookups and signs
as it goes, for the truth.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from pcaps.generator import cast, messages, tape, wire
from pcaps.generator.lan import (
    MICROSECOND,
    MILLISECOND,
    SECOND,
    START,
    Host,
    Lan,
    Named,
    Packet,
    Question,
    Sign,
)
from pcaps.generator.talk import Tcp, To, Udp
from pcaps.generator.video import Viewing

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
RECORD = 16_384  # of TLS plaintext


@dataclass(slots=True)
class Permit:
    """One line of the site file's `permit`."""

    camera: str
    to: str
    port: int


@dataclass(frozen=True, slots=True)
class Session:
    """A TLS session to play: whose, where to, under which name, and how much goes which way."""

    server: Host
    name: str
    port: int = 443
    up: int = 900
    down: int = 3000
    version: str = "tls13"


@dataclass(slots=True)
class Scene:
    """A scenario while it is played."""

    seed: str
    cameras: list[Host] = field(default_factory=lambda: [cast.GATE, cast.YARD, cast.RECORDER])
    listed: list[str] = field(default_factory=lambda: ["gate-1", "yard-2", "nvr"])
    permits: list[Permit] = field(default_factory=list)
    undecidable: bool = False
    rng: random.Random = field(init=False)
    lan: Lan = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - must be reproducible, not secret
        self.lan = Lan(self.rng, cast.GATEWAY_MAC)

    def at(self, seconds: float) -> int:
        """Return a moment of the scene, not quite on the dot."""
        return START + int(seconds * SECOND) + self.rng.randrange(900 * MICROSECOND)

    def asks(self, client: Host, name: str, at: int, *answers: str) -> int:
        """Look a name up at the site's resolver; return when the answer came."""
        return self.asks_of(cast.RESOLVER, client, name, (at, answers))

    def asks_of(
        self, resolver: Host, client: Host, name: str, reply: tuple[int, tuple[str, ...]]
    ) -> int:
        """Look a name up at a resolver; `reply` is when, and the addresses answered."""
        at, answers = reply
        kind = messages.AAAA if answers and ":" in answers[0] else messages.A
        question = messages.dns_question(self.rng.getrandbits(16), name, kind)
        talk = Udp(self.lan, client, To(resolver, 53, at), "dns")
        rcode = 0 if answers else messages.NXDOMAIN
        packets = (
            talk.say(question),
            talk.reply(messages.dns_answer(question, answers, rcode=rcode)),
        )
        self.note_lookup((client, resolver), name, answers, packets)
        return talk.now + 200 * MICROSECOND

    def asks_in_vain(self, resolver: Host, client: Host, name: str, times: tuple[int, ...]) -> None:
        """Ask for a name again and again; nobody answers."""
        question = messages.dns_question(self.rng.getrandbits(16), name)
        port = self.lan.free_port(client)
        for at in times:
            packet = Udp(self.lan, client, To(resolver, 53, at, port), "dns").say(question)
            self.note_lookup((client, resolver), name, (), (packet,))

    def note_lookup(
        self,
        pair: tuple[Host, Host],
        name: str,
        answers: tuple[str, ...],
        packets: tuple[Packet, ...],
    ) -> None:
        """Note a lookup: its question, and its answer where there was one."""
        client, resolver = pair
        outcome = "NOERROR" if answers else "NXDOMAIN" if len(packets) > 1 else "unanswered"
        kind = "AAAA" if answers and ":" in answers[0] else "A"
        self.lan.questions.append(
            Question(packets[0].time, client, resolver, name, kind, outcome, answers, packets)
        )
        for answer in answers:
            self.lan.names.append(Named(client, answer, name, "dns", packets[1:]))

    def note_name(self, talk: Tcp | Udp, name: str, source: str, packets: list[Packet]) -> None:
        """Note a name that the opener of a conversation gave in those packets."""
        contact = talk.contact
        told_by = tuple(p for p in packets if p.ends == contact.ends and p.payload)
        named = Named(contact.opener, contact.other.ip, name, source, told_by)
        self.lan.names.append(named)

    def tls(self, client: Host, session: Session, at: int) -> Tcp:
        """Play a recorded handshake and then records of the wanted sizes; return it unclosed."""
        tcp = Tcp(self.lan, client, To(session.server, session.port, at), "tls").connect()
        hello, *rest = tape.flights_of(session.version, session.name)
        mark = len(self.lan.sent)
        tcp.send(client, hello.data)
        self.note_name(tcp, session.name, "sni", self.lan.sent[mark:])
        for flight in rest:
            tcp.send(client if flight.by_client else session.server, flight.data)
        for sender, size in ((client, session.up), (session.server, session.down)):
            if size:
                tcp.send(sender, self.records(size), pause=self.lan.jitter(3 * MILLISECOND))
        return tcp

    def records(self, size: int) -> bytes:
        """Return TLS application data of about that size; ciphertext looks random."""
        parts = []
        while size > 0:
            part = min(size, RECORD)
            parts.append(b"\x17\3\3" + part.to_bytes(2, "big") + self.rng.randbytes(part))
            size -= part
        return b"".join(parts)

    def quic(self, client: Host, server: Host, name: str, at: int) -> Udp:
        """Play a recorded QUIC connection with one request."""
        talk = Udp(self.lan, client, To(server, 443, at), "quic")
        mark = len(self.lan.sent)
        before = True
        for flight in tape.flights_of("quic", name):
            talk.now += self.lan.jitter(40 * MICROSECOND)
            if flight.by_client and not before:
                talk.now += self.lan.jitter(500 * MICROSECOND)
            if flight.by_client:
                talk.say(flight.data)
            elif before:
                talk.reply(flight.data)
            else:
                talk.more(flight.data)
            before = flight.by_client
        self.note_name(talk, name, "quic", self.lan.sent[mark : mark + 1])
        return talk

    def http(self, client: Host, server: Host, name: str, at: int, agent: str = BROWSER) -> Tcp:
        """Play one HTTP request with its answer."""
        tcp = Tcp(self.lan, client, To(server, 80, at), "http").connect()
        mark = len(self.lan.sent)
        tcp.send(client, messages.http_request("GET", name, "/index.html", agent))
        self.note_name(tcp, name, "http", self.lan.sent[mark:])
        body = b"<html>" + b"news " * 900 + b"</html>"
        tcp.send(server, messages.http_response("200 OK", "nginx", body), pause=4 * MILLISECOND)
        tcp.close()
        return tcp

    def time(self, client: Host, server: Host, at: int) -> None:
        """Ask for the time."""
        talk = Udp(self.lan, client, To(server, 123, at, 123), "ntp")
        talk.say(messages.ntp(at, server=False))
        talk.reply(messages.ntp(at + MILLISECOND, server=True))

    def streams(self, camera: Host, viewer: Host, at: int, pictures: int) -> Viewing:
        """Have the recorder play a camera's stream, interleaved in TCP."""
        view = Viewing(self.lan, viewer, To(camera, 554, at), cast.MODELS[camera.name])
        return view.over_tcp(pictures)

    def streams_over_udp(self, camera: Host, viewer: Host, at: int, pictures: int) -> Viewing:
        """Have the recorder play a camera's stream as RTP over UDP."""
        view = Viewing(self.lan, viewer, To(camera, 554, at), cast.MODELS[camera.name])
        return view.over_udp(pictures)

    def arp(self, asker: Host, asked: Host, at: int) -> None:
        """Ask who has an address, and be answered."""
        request = messages.arp(1, (asker.mac, asker.ip), ("00:00:00:00:00:00", asked.ip))
        answer = messages.arp(2, (asked.mac, asked.ip), (asker.mac, asker.ip))
        kind = wire.ETHERTYPE_ARP
        self.lan.ethernet(at, wire.ethernet(cast.BROADCAST_MAC, asker.mac, kind, request))
        at += self.lan.jitter(200 * MICROSECOND)
        self.lan.ethernet(at, wire.ethernet(asker.mac, asked.mac, kind, answer))

    def dhcp(self, host: Host, hostname: str, vendor_class: str, at: int) -> int:
        """Lease an address: discover, offer, request, ack (RFC 2131, 3.1)."""
        lease = messages.Lease(host.mac, hostname, vendor_class, host.ip)
        transaction = self.rng.getrandbits(32)
        nobody = Host(host.name, host.mac, "0.0.0.0")  # noqa: S104 - the unspecified source
        everyone = Host("all", cast.BROADCAST_MAC, "255.255.255.255")
        server = cast.GATEWAY
        now = at
        for kind in (1, 2, 3, 5):
            body = messages.dhcp(lease, kind, transaction, server.ip)
            sender = nobody if kind in {1, 3} else server
            ports = (68, 67) if kind in {1, 3} else (67, 68)
            talk = Udp(self.lan, sender, To(everyone, ports[1], now, ports[0]), "dhcp")
            talk.say(body)
            now += self.lan.jitter(4 * MILLISECOND)
        says = f"hostname {hostname!r}, vendor class {vendor_class!r}"
        self.lan.signs.append(Sign(host.name, "dhcp", says))
        return now

    def announces(self, host: Host, at: int, service: str) -> None:
        """Announce a service by mDNS (RFC 6762)."""
        target = To(cast.EVERYONE_MDNS, 5353, at, 5353)
        talk = Udp(self.lan, host, target, "mdns")
        talk.say(messages.mdns_service(host.name, service)).ttl = 255
        self.lan.signs.append(Sign(host.name, "mdns", service))

    def notifies(self, host: Host, at: int, server: str) -> None:
        """Announce a UPnP device by SSDP."""
        talk = Udp(self.lan, host, To(cast.EVERYONE_SSDP, 1900, at, 1900), "ssdp")
        talk.say(messages.ssdp_notify(f"http://{host.ip}:80/desc.xml", server)).ttl = 2
        self.lan.signs.append(Sign(host.name, "ssdp", server))

    def rendezvous(self, camera: Host, server: Host, at: int, *, port: int) -> Udp:
        """Call a PPPP rendezvous server from one local port; the caller plays the answers."""
        talk = Udp(self.lan, camera, To(server, 32100, at, port), "pppp")
        talk.say(messages.pppp_hello())
        return talk

    def browses(self, at: int) -> None:
        """Have the office PC browse: DNS, TLS, QUIC, HTTP; none of it is a camera's."""
        pc = cast.OFFICE
        now = self.asks(pc, "www.example.com", at, cast.WEB_IP)
        self.tls(pc, Session(cast.far(cast.WEB_IP), "www.example.com", down=9000), now).close()
        now = self.asks(pc, "video.example.com", now + 2 * SECOND, "192.0.2.81")
        self.quic(pc, cast.far("192.0.2.81"), "video.example.com", now)
        now = self.asks(pc, "news.example.net", now + SECOND, "192.0.2.82")
        self.http(pc, cast.far("192.0.2.82"), "news.example.net", now)

    def daily_life(self, seconds: float = 4.0, *, pictures: int = 6) -> None:
        """Play what goes on anyway: streams to the recorder, time, ARP, an office PC."""
        self.arp(cast.RECORDER, cast.GATE, self.at(0.01))
        self.streams(cast.GATE, cast.RECORDER, self.at(0.05), pictures)
        self.streams_over_udp(cast.YARD, cast.RECORDER, self.at(0.21), pictures)
        self.time(cast.GATE, cast.TIME_SERVER, self.at(seconds * 0.6))
        self.asks(cast.OFFICE, "intranet.depot.example", self.at(seconds * 0.7), "10.20.200.80")

    def serves_web_page(self, camera: Host, at: int, server: str, realm: str) -> None:
        """Have the office PC open a camera's web page and be asked for a password."""
        tcp = Tcp(self.lan, cast.OFFICE, To(camera, 80, at), "http").connect()
        tcp.send(cast.OFFICE, messages.http_request("GET", camera.ip, "/", BROWSER))
        challenge = f'WWW-Authenticate: Digest realm="{realm}", nonce="5a5a"\r\n'
        answer = messages.http_response("401 Unauthorized", server, b"", challenge)
        tcp.send(camera, answer, pause=MILLISECOND)
        tcp.close()
        says = f"HTTP server {server!r}, realm {realm!r}"
        self.lan.signs.append(Sign(camera.name, "http", says))
