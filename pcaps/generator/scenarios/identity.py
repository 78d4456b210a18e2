"""Who is who: leases that change, addresses that swap, cameras behind a router, the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pcaps.generator import cast, messages
from pcaps.generator.acts import Session
from pcaps.generator.lan import SECOND, Host
from pcaps.generator.scenarios.contacts import UPLOAD, hik_registration
from pcaps.generator.scenarios.registry import scenario
from pcaps.generator.talk import Tcp, To, Udp

if TYPE_CHECKING:
    from pcaps.generator.acts import Scene

SITE_ROUTER_MAC = "00:1b:21:00:31:01"


def _call(scene: Scene, camera: Host, port: int, second: float) -> None:
    """Send 400 bytes to one destination, so that each camera's bytes can be told apart."""
    server = cast.far("203.0.113.80")
    tcp = Tcp(scene.lan, camera, To(server, port, scene.at(second))).connect()
    tcp.send(camera, scene.rng.randbytes(400))
    tcp.send(server, scene.rng.randbytes(100))
    tcp.close()


@scenario("behind-router", "two cameras behind an on-site router: they share its MAC")
def behind_router(scene: Scene) -> None:
    """Play a routed camera network; frames show the router's MAC and TTL less one."""
    far_gate = Host("gate-7", SITE_ROUTER_MAC, "10.20.31.5", 63, camera=True, behind_router=True)
    far_yard = Host("yard-8", SITE_ROUTER_MAC, "10.20.31.6", 63, camera=True, behind_router=True)
    neighbour = Host("desk-9", SITE_ROUTER_MAC, "10.20.31.9", 127, behind_router=True)
    scene.cameras = [cast.GATE, cast.RECORDER, far_gate, far_yard]
    scene.listed += ["gate-7", "yard-8"]
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 4)
    _call(scene, far_gate, 9000, 0.5)
    _call(scene, far_yard, 9001, 0.7)
    now = scene.asks(neighbour, "shop.example.org", scene.at(0.9), "192.0.2.83")
    scene.tls(neighbour, Session(cast.far("192.0.2.83"), "shop.example.org"), now).close()


@scenario("renumbered", "a camera gets another address by DHCP; its bytes stay its own")
def renumbered(scene: Scene) -> None:
    """Play a new lease; the old address goes to the phone."""
    new = Host("gate-1", cast.GATE.mac, "10.20.30.99", camera=True)
    phone = Host("phone", cast.PHONE.mac, cast.GATE.ip)
    scene.cameras.append(new)
    now = scene.dhcp(cast.GATE, "DS-2CD2143G2-I", "hikvision", scene.at(0.0))
    scene.streams(cast.GATE, cast.RECORDER, now + SECOND // 10, 6)
    _call(scene, cast.GATE, 9000, 1.5)
    scene.dhcp(new, "DS-2CD2143G2-I", "hikvision", scene.at(60))
    _call(scene, new, 9000, 61)
    scene.dhcp(phone, "iPhone", "", scene.at(70))
    now = scene.asks(phone, "www.example.com", scene.at(71), cast.WEB_IP)
    scene.tls(phone, Session(cast.far(cast.WEB_IP), "www.example.com"), now).close()


@scenario("swapped", "two cameras exchange their addresses; bytes follow the MACs")
def swapped(scene: Scene) -> None:
    """Play a technician who mixes up two configurations."""
    gate_later = Host("gate-1", cast.GATE.mac, cast.YARD.ip, camera=True)
    yard_later = Host("yard-2", cast.YARD.mac, cast.GATE.ip, camera=True)
    scene.cameras += [gate_later, yard_later]
    scene.streams(cast.GATE, cast.RECORDER, scene.at(0.05), 4)
    _call(scene, cast.GATE, 9000, 0.5)
    _call(scene, cast.YARD, 9001, 0.7)
    scene.arp(gate_later, cast.RECORDER, scene.at(59))
    scene.arp(yard_later, cast.RECORDER, scene.at(59.1))
    _call(scene, gate_later, 9000, 60)
    _call(scene, yard_later, 9001, 60.2)


@scenario("unlisted-cameras", "no camera in the site file: they show themselves by their traffic")
def unlisted_cameras(scene: Scene) -> None:
    """Play every sign: OUI, DHCP, RTSP and HTTP banners, SSDP, behaviour."""
    scene.listed = []
    scene.dhcp(cast.GATE, "DS-2CD2143G2-I", "hikvision", scene.at(0.0))
    scene.dhcp(cast.YARD, "IPC-HFW2431S", "dahua", scene.at(0.02))
    scene.daily_life(pictures=8)
    scene.serves_web_page(cast.GATE, scene.at(1.5), "App-webs/", "IP Camera(C1234)")
    scene.notifies(cast.YARD, scene.at(1.8), "Linux UPnP/1.0 Dahua/1.0")
    scene.announces(cast.PRINTER, scene.at(2.0), "_ipp._tcp.local")
    hik_registration(scene, 2.2)
    scene.browses(scene.at(2.5))


@scenario("demo", "a site at work: two cameras, one of which calls home in three ways")
def demo(scene: Scene) -> None:
    """Play two minutes of a depot."""
    scene.listed = ["nvr"]
    scene.dhcp(cast.GATE, "DS-2CD2143G2-I", "hikvision", scene.at(0.0))
    scene.dhcp(cast.YARD, "IPC-HFW2431S", "dahua", scene.at(0.3))
    scene.arp(cast.RECORDER, cast.GATE, scene.at(0.5))
    scene.arp(cast.RECORDER, cast.YARD, scene.at(0.6))
    scene.streams(cast.GATE, cast.RECORDER, scene.at(1.0), 260)
    scene.streams_over_udp(cast.YARD, cast.RECORDER, scene.at(1.5), 260)
    scene.time(cast.GATE, cast.TIME_SERVER, scene.at(2.0))
    scene.time(cast.YARD, cast.TIME_SERVER, scene.at(2.4))
    scene.browses(scene.at(3.0))
    hik_registration(scene, 4.0)
    now = scene.asks(cast.GATE, UPLOAD, scene.at(8.0), cast.UNLISTED_IP)
    session = Session(cast.far(cast.UNLISTED_IP), UPLOAD, up=150_000, down=1200)
    scene.tls(cast.GATE, session, now).close()
    port = scene.lan.free_port(cast.GATE)
    for index in range(3):
        target = To(cast.far(f"198.51.100.{101 + index}"), 32100, scene.at(12 + index / 1000), port)
        talk = Udp(scene.lan, cast.GATE, target, "pppp")
        for _ in range(4):
            talk.say(messages.pppp_hello())
            talk.say(messages.pppp_login(123456, cast.GATE.ip, port), pause=SECOND // 20)
            talk.now += 2 * SECOND
    scene.announces(cast.PRINTER, scene.at(14), "_ipp._tcp.local")
    scene.notifies(cast.YARD, scene.at(15), "Linux UPnP/1.0 Dahua/1.0")
    scene.serves_web_page(cast.GATE, scene.at(16), "App-webs/", "IP Camera(C1234)")
    scene.browses(scene.at(20))
