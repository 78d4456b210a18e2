"""Cameras that reach out, or are reached, each in one way; and a site where none does."""

from __future__ import annotations

from pcaps.generator import cast, messages, tape
from pcaps.generator.acts import Permit, Scene, Session
from pcaps.generator.lan import MICROSECOND, MILLISECOND, SECOND, Reached, Sign
from pcaps.generator.scenarios.registry import scenario
from pcaps.generator.talk import Tcp, To, Udp, echo
from pcaps.generator.video import PICTURE, Model, RtpSender, Viewing

CLOUD = "dev.hik-connect.com"
UPLOAD = "upload.camera-cloud.example"


@scenario("clean-site", "no camera leaves the site; the office PC browses freely")
def clean_site(scene: Scene) -> None:
    """Play a quiet day."""
    scene.daily_life(pictures=30)
    scene.browses(scene.at(1.2))
    scene.dhcp(cast.YARD, "yard-2", "dahua", scene.at(0.02))
    scene.announces(cast.PRINTER, scene.at(2.0), "_ipp._tcp.local")
    scene.announces(cast.PHONE, scene.at(2.2), "_companion-link._tcp.local")
    scene.notifies(cast.YARD, scene.at(2.5), "Linux UPnP/1.0 Dahua/1.0")


@scenario("cloud-call", "lookup of dev.hik-connect.com, then TCP 8555 to its answer")
def cloud_call(scene: Scene) -> None:
    """Play a registration at a vendor cloud."""
    scene.daily_life()
    hik_registration(scene, 1.0)


def hik_registration(scene: Scene, second: float) -> Tcp:
    """Look the cloud up and talk to it; return the connection."""
    now = scene.asks(cast.GATE, CLOUD, scene.at(second), cast.CLOUD_IP)
    server = cast.far(cast.CLOUD_IP)
    tcp = Tcp(scene.lan, cast.GATE, To(server, 8555, now)).connect()
    tcp.send(cast.GATE, messages.hik_lbs("DS2CD2143G2I20260101"))
    tcp.send(server, scene.rng.randbytes(208), pause=3 * MILLISECOND)
    for _ in range(3):
        tcp.send(cast.GATE, b"\x02\0\0\4ping", pause=SECOND // 2)
        tcp.send(server, b"\x02\0\0\4pong")
    tcp.close()
    return tcp


@scenario("tls-upload", "TLS with an unlisted SNI; 200 kB go out (stage transfer)")
def tls_upload(scene: Scene) -> None:
    """Play an upload."""
    scene.daily_life()
    now = scene.asks(cast.GATE, UPLOAD, scene.at(0.8), cast.UNLISTED_IP)
    session = Session(cast.far(cast.UNLISTED_IP), UPLOAD, up=200_000, down=400)
    scene.tls(cast.GATE, session, now).close()


@scenario("tls12-cloud", "TLS 1.2 with a readable certificate, to a listed cloud on port 443")
def tls12_cloud(scene: Scene) -> None:
    """Play an older firmware."""
    scene.daily_life()
    name = "www.easy4ipcloud.com"
    now = scene.asks(cast.YARD, name, scene.at(0.8), "203.0.113.56")
    session = Session(cast.far("203.0.113.56"), name, up=700, down=900, version="tls12")
    scene.tls(cast.YARD, session, now).close()


@scenario("blocked-retries", "SYN without answer, 1,000 frames with back-off: one attempt")
def blocked_retries(scene: Scene) -> None:
    """Play a camera behind a firewall that drops: 250 connections of four SYNs each."""
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 6)
    server = cast.far(cast.UNLISTED_IP)
    now = scene.at(1)
    wait = 5 * SECOND
    for _ in range(250):
        tcp = Tcp(scene.lan, cast.GATE, To(server, 8666, now))
        tcp.knock(4)
        now = tcp.now + scene.lan.jitter(wait)
        wait = min(wait * 2, 300 * SECOND)


@scenario("lookup-nxdomain", "cloud names asked for, answered NXDOMAIN: lookup only")
def lookup_nxdomain(scene: Scene) -> None:
    """Play a site whose resolver blocks the cloud."""
    scene.daily_life()
    for second in (0.5, 1.5, 3.5):
        scene.asks(cast.GATE, "litedev.hik-connect.com", scene.at(second))


@scenario("lookup-unanswered", "a cloud name asked for; the resolver is silent: lookup only")
def lookup_unanswered(scene: Scene) -> None:
    """Play a site whose resolver drops the question."""
    scene.daily_life()
    times = tuple(scene.at(second) for second in (0.5, 5.5, 10.5))
    scene.asks_in_vain(cast.RESOLVER, cast.YARD, "www.easy4ipcloud.com", times)


@scenario("lookup-only", "a cloud name asked for and answered; the camera goes no further")
def lookup_only(scene: Scene) -> None:
    """Play a look-up without a contact."""
    scene.daily_life()
    scene.asks(cast.GATE, CLOUD, scene.at(1.0), cast.CLOUD_IP)


@scenario("hard-coded-ip", "TCP to an address that was never looked up")
def hard_coded_ip(scene: Scene) -> None:
    """Play a camera that distrusts DNS."""
    scene.daily_life()
    server = cast.far("198.51.100.13")
    tcp = Tcp(scene.lan, cast.YARD, To(server, 10001, scene.at(0.9))).connect()
    tcp.send(cast.YARD, scene.rng.randbytes(300))
    tcp.send(server, scene.rng.randbytes(120))
    tcp.close(server)


@scenario("foreign-resolver", "DNS at 8.8.8.8 instead of the site's resolver, answered and not")
def foreign_resolver(scene: Scene) -> None:
    """Play hard-coded resolvers."""
    scene.daily_life()
    google = cast.far(cast.GOOGLE_DNS, 4 * MILLISECOND)
    scene.asks_of(google, cast.GATE, "time.example.org", (scene.at(0.7), ("192.0.2.90",)))
    silent = cast.far("198.51.100.53")
    times = tuple(scene.at(second) for second in (1.0, 6.0))
    scene.asks_in_vain(silent, cast.YARD, "time.example.org", times)


@scenario("foreign-time", "NTP at a server off site, answered")
def foreign_time(scene: Scene) -> None:
    """Play a factory default."""
    scene.daily_life()
    for second in (0.4, 2.4):
        scene.time(cast.YARD, cast.far("192.0.2.123"), scene.at(second))


@scenario("port-forward", "a viewer off site connects in and pulls video out (inbound, media)")
def port_forward(scene: Scene) -> None:
    """Play a forwarded port 554."""
    scene.daily_life()
    viewer = cast.far(cast.VIEWER_IP)
    scene.streams(cast.GATE, viewer, scene.at(1.0), 40)


@scenario("port-forward-web", "a stranger opens a camera's web page through a forwarded port")
def port_forward_web(scene: Scene) -> None:
    """Play a scan that finds a door."""
    scene.daily_life()
    stranger = cast.far("198.51.100.202")
    tcp = Tcp(scene.lan, stranger, To(cast.YARD, 80, scene.at(0.9)), "http").connect()
    tcp.send(stranger, messages.http_request("GET", "192.0.2.1", "/", "curl/8.0"))
    page = messages.http_response("200 OK", "Webs", b"<html>login</html>" * 40)
    tcp.send(cast.YARD, page, pause=MILLISECOND)
    tcp.close()
    scene.lan.signs.append(Sign("yard-2", "http", "HTTP server 'Webs'"))


@scenario("p2p-unanswered", "PPPP hellos to three rendezvous servers from one port, no answer")
def p2p_unanswered(scene: Scene) -> None:
    """Play a blocked P2P camera."""
    scene.daily_life()
    p2p(scene, answered=False)


@scenario("p2p-answered", "the same, answered: registration, and STUN")
def p2p_answered(scene: Scene) -> None:
    """Play a P2P camera that gets through."""
    scene.daily_life()
    p2p(scene, answered=True)
    stun = Udp(scene.lan, cast.YARD, To(cast.far("192.0.2.78"), 3478, scene.at(2.5)), "stun")
    transaction = scene.rng.randbytes(12)
    stun.say(messages.stun_request(transaction))
    stun.reply(messages.stun_response(transaction, "203.0.113.1", stun.ends.sport))


def p2p(scene: Scene, *, answered: bool, second: float = 0.7) -> None:
    """Call three rendezvous servers, four rounds, from one local port."""
    port = scene.lan.free_port(cast.YARD)
    for index in range(3):
        server = cast.far(f"198.51.100.{101 + index}")
        talk = scene.rendezvous(cast.YARD, server, scene.at(second + index * 0.001), port=port)
        if answered:
            talk.reply(messages.pppp_hello_ack("203.0.113.1", port))
        for _ in range(3):
            talk.say(messages.pppp_login(123456, cast.YARD.ip, port), pause=SECOND)
            if answered:
                talk.reply(b"\xf1\x11\0\4\0\0\0\0")


@scenario("refused-rst", "SYN answered by RST: an attempt")
def refused_rst(scene: Scene) -> None:
    """Play a closed port."""
    scene.daily_life()
    for second in (0.5, 1.5, 3.5):
        Tcp(scene.lan, cast.GATE, To(cast.far("203.0.113.99"), 443, scene.at(second))).refuse()


@scenario("refused-icmp", "SYN and UDP answered by ICMP unreachable from the gateway: attempts")
def refused_icmp(scene: Scene) -> None:
    """Play a firewall that rejects."""
    scene.daily_life()
    tcp = Tcp(scene.lan, cast.GATE, To(cast.far("203.0.113.98"), 8443, scene.at(0.5)))
    for packet in tcp.knock(2):
        scene.lan.icmp_error(cast.GATEWAY, packet, 3, 13)
    udp = Udp(
        scene.lan, cast.YARD, To(cast.far("203.0.113.97"), 8800, scene.at(0.7)), "dahua-dhp2p"
    )
    scene.lan.icmp_error(cast.GATEWAY, udp.say(messages.dhp2p_probe("4K0123PAZ9")), 3, 3)


@scenario("ping", "ICMP echo to a host off site, answered (payload), and to another, not")
def ping(scene: Scene) -> None:
    """Play a connectivity check."""
    scene.daily_life()
    echo(scene.lan, cast.GATE, cast.far("192.0.2.9"), scene.at(0.4), answered=3)
    echo(scene.lan, cast.YARD, cast.far("192.0.2.10"), scene.at(0.6), answered=0)


@scenario("ipv6", "ULA on site; AAAA lookup, TLS and ping to 2001:db8::/32 off site")
def ipv6(scene: Scene) -> None:
    """Play a dual-stack camera."""
    scene.daily_life()
    gate = cast.with_ipv6(cast.GATE, "fd12:3456::30:11")
    nvr = cast.with_ipv6(cast.RECORDER, "fd12:3456::200:10")
    scene.cameras += [gate, nvr]
    scene.streams(gate, nvr, scene.at(0.4), 5)
    far = cast.far("2001:db8:cafe::55")
    now = scene.asks(cast.GATE, CLOUD, scene.at(1.2), far.ip)
    scene.tls(gate, Session(far, CLOUD, up=1500), now).close()
    echo(scene.lan, gate, cast.far("2001:db8:cafe::9"), scene.at(1.8), answered=1)
    Tcp(scene.lan, gate, To(cast.far("2001:db8:dead::1"), 8666, scene.at(2.0))).knock(3)


@scenario("permitted", "contacts that the site file permits, beside one that it does not")
def permitted(scene: Scene) -> None:
    """Play a contract with a monitoring centre."""
    scene.daily_life()
    scene.permits.append(Permit("gate-1", "vms.example.org", 443))
    now = scene.asks(cast.GATE, "vms.example.org", scene.at(0.6), "192.0.2.44")
    tcp = scene.tls(cast.GATE, Session(cast.far("192.0.2.44"), "vms.example.org", up=8000), now)
    tcp.close()
    tcp.contact.permitted = True
    hik_registration(scene, 1.4)


@scenario("quic-relay", "QUIC with an unlisted SNI from a camera")
def quic_relay(scene: Scene) -> None:
    """Play a modern camera."""
    scene.daily_life()
    name = "relay.camera-cloud.example"
    now = scene.asks(cast.YARD, name, scene.at(0.8), "198.51.100.78")
    scene.quic(cast.YARD, cast.far("198.51.100.78"), name, now)


@scenario("mqtt-http", "clear MQTT to TCP 31006 by address, and HTTP to an unlisted host")
def mqtt_http(scene: Scene) -> None:
    """Play clear-text clouds."""
    scene.daily_life()
    broker = cast.far("203.0.113.60")
    tcp = Tcp(scene.lan, cast.GATE, To(broker, 31006, scene.at(0.6)), "mqtt").connect()
    tcp.send(cast.GATE, messages.mqtt_connect("C12345678", "C12345678"))
    tcp.send(broker, b"\x20\2\0\0")
    tcp.send(cast.GATE, b"\xc0\0", pause=SECOND)
    tcp.send(broker, b"\xd0\0")
    tcp.close()
    now = scene.asks(cast.YARD, "update.camera-cloud.example", scene.at(1.0), "198.51.100.79")
    server = cast.far("198.51.100.79")
    scene.http(cast.YARD, server, "update.camera-cloud.example", now, "IPC-Upgrade/1.0")


@scenario("media-out", "a viewer off site plays a camera: RTSP comes in, RTP over UDP goes out")
def media_out(scene: Scene) -> None:
    """Play a forwarded port whose answers leave in flows of their own."""
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 6)
    viewer = cast.far("192.0.2.33")
    model = Model("Rtsp Server/3.0", "Login to 4K0123PAZ9", "/live")
    Viewing(scene.lan, viewer, To(cast.YARD, 8554, scene.at(0.5)), model).over_udp(40)


@scenario("media-push", "H.264 as RTP to an address off site, which never answers: media")
def media_push(scene: Scene) -> None:
    """Play a camera that was told to send its picture somewhere."""
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 6)
    talk = Udp(scene.lan, cast.YARD, To(cast.far("192.0.2.34"), 5004, scene.at(0.5)), "rtp")
    sender = RtpSender(scene.rng.getrandbits(32), 100, 9000)
    for picture in tape.film():
        talk.now += PICTURE
        for part in sender.packets_of(picture):
            talk.say(part, pause=scene.lan.jitter(20 * MICROSECOND))
    talk.contact.reach(Reached.MEDIA)


@scenario("scan", "a camera sends SYNs to 700 addresses on port 23")
def scan(scene: Scene) -> None:
    """Play a camera in a botnet."""
    scene.daily_life()
    addresses = [
        f"{net}.{n}" for net in ("192.0.2", "198.51.100", "203.0.113") for n in range(1, 255)
    ]
    for index, ip in enumerate(scene.rng.sample(addresses, 700)):
        Tcp(scene.lan, cast.GATE, To(cast.far(ip), 23, scene.at(0.5 + index * 0.004))).knock(1)


@scenario("reset-midway", "a contact that delivers payload and is then reset: payload stands")
def reset_midway(scene: Scene) -> None:
    """Play a firewall that loses patience."""
    scene.daily_life()
    server = cast.far("203.0.113.70")
    tcp = Tcp(scene.lan, cast.GATE, To(server, 9000, scene.at(0.5))).connect()
    tcp.send(cast.GATE, scene.rng.randbytes(500))
    tcp.reset(server)


@scenario("connected-only", "a connection that is accepted and closed without a byte: connected")
def connected_only(scene: Scene) -> None:
    """Play a reachability test."""
    scene.daily_life()
    Tcp(scene.lan, cast.GATE, To(cast.far("203.0.113.71"), 443, scene.at(0.5))).connect().close()
