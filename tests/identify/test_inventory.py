"""Which hosts are cameras: on messages spelled out here, and on other people's captures."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.attribute.services import load_services
from egressd.config import Site, SiteDevice, default_site
from egressd.decode.dhcp import DhcpMessage, read_dhcp
from egressd.decode.dns import DnsMessage, DnsQuestion, DnsRecord, read_dns
from egressd.decode.http import HttpRequest, HttpResponse, read_http_request, read_http_response
from egressd.decode.rtsp import (
    RtspRequest,
    RtspResponse,
    read_rtsp_request,
    read_rtsp_response,
)
from egressd.decode.tls import ClientHello, read_client_hello
from egressd.identify.devices import ROUTER_SPAN
from egressd.identify.inventory import Inventory
from egressd.identify.lookups import domain_of
from egressd.identify.observations import observations_of
from egressd.identify.oui import load_oui
from egressd.identify.rulefile import load_identity_rules
from egressd.identify.rules import Observation, Trait
from egressd.model import Camera, DecodeError, FrameRef, Host, Kind, NeedMore

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(__file__).parents[3] / "shared" / "pcaps"

# Blocks of the IEEE registry.
HIKVISION = "44:19:b6:a0:00:01"
DAHUA = "3c:ef:8c:b0:00:02"
D_LINK = "b0:c5:54:25:5b:0e"  # iotsentinel D-LinkCam, frame 17
TP_LINK = "50:c7:bf:00:fc:a3"  # iotsentinel TP-LinkPlugHS100, frame 12
PHILIPS = "00:17:88:24:76:ff"  # iotsentinel HueBridge, frame 12
APPLE = "a4:83:e7:00:40:41"
INTEL = "00:1b:21:00:31:01"
RANDOM = "c2:77:15:ab:b5:b0"  # toolsaf dns-large-set: a phone's private address
UNKNOWN = "00:00:5e:00:53:01"  # documentation block (RFC 7042 section 2.1.2)

REF = FrameRef("test.pcap", 1)
SECOND = 1_000_000_000


@cache
def parts() -> tuple[Any, Any, Any]:
    return load_oui(), load_services(), load_identity_rules()


class Lan:
    """A site in a test: hosts speak, the inventory listens."""

    def __init__(self, site: Site | None = None, max_devices: int = 65_536) -> None:
        oui, services, rules = parts()
        self.inventory = Inventory(
            site or default_site(), oui, services, rules, max_devices=max_devices
        )
        self.hosts: dict[tuple[str, str | None], Host] = {}
        self.now = 0

    def host(self, ip: str, mac: str | None = None, *, behind_router: bool = False) -> Host:
        """Return a binding; a new one is shown to the inventory."""
        known = self.hosts.get((ip, mac))
        if known is not None:
            return known
        host = Host(len(self.hosts) + 1, ip, mac, behind_router)
        self.hosts[ip, mac] = host
        self.inventory.see_host(host, self.now)
        return host

    def says(self, host: Host, fact: object, port: int = 40000) -> Camera | None:
        """Let a host send a message."""
        return self.inventory.see_fact(host, fact, True, port, REF)

    def asks(self, host: Host, *names: str) -> Camera | None:
        """Let a host ask for names."""
        told = None
        for name in names:
            told = self.says(host, question(name)) or told
        return told

    def camera(self, host: Host) -> Camera | None:
        """Return the camera that a host is."""
        return self.inventory.camera_of(host.index)


def question(name: str) -> DnsMessage:
    return DnsMessage(
        1, False, 0, "NOERROR", False, False, True, False, (DnsQuestion(name, "A"),), (), (), ()
    )


def announcement(*records: DnsRecord) -> DnsMessage:
    return DnsMessage(0, True, 0, "NOERROR", True, False, False, False, (), records, (), (), "mdns")


def dhcp(mac: str, hostname: str | None = None, vendor_class: str | None = None) -> DhcpMessage:
    return DhcpMessage(
        op=1,
        message_type="REQUEST",
        client_mac=mac,
        client_ip=None,
        your_ip=None,
        server_ip=None,
        requested_ip=None,
        hostname=hostname,
        fqdn=None,
        vendor_class=vendor_class,
        user_class=None,
        client_id=None,
        parameter_list=(1, 3, 6, 12, 15, 28, 42),
        lease_seconds=None,
        router=(),
        dns_servers=(),
        ntp_servers=(),
        domain=None,
        cut=False,
    )


def device(
    name: str | None = None, kind: Kind = Kind.CAMERA, **where: str | IPv4Network
) -> SiteDevice:
    fields: dict[str, Any] = {"mac": None, "ip": None, "network": None, "vendor": None, **where}
    return SiteDevice(name=name, kind=kind, line=7, **fields)


# --- what makes a camera, and what does not


def test_the_makers_name_alone_is_a_hint_and_no_proof() -> None:
    lan = Lan()
    assert lan.camera(lan.host("10.0.0.5", HIKVISION)) is None


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param(dhcp(HIKVISION, None, "udhcp 1.22.1"), id="an embedded DHCP client"),
        pytest.param(question("dev.hik-connect.com"), id="asks where devices register"),
        pytest.param(question("eu1.hik-cloud.com"), id="asks for its maker's cloud"),
        pytest.param(HttpResponse("HTTP/1.1", 401, server="App-webs/"), id="its web server"),
        pytest.param(
            RtspResponse("RTSP/1.0", 200, public="OPTIONS, DESCRIBE, PLAY"), id="serves RTSP"
        ),
    ],
)
def test_the_makers_name_and_one_more_thing_make_a_camera(fact: object) -> None:
    lan = Lan()
    host = lan.host("10.0.0.5", HIKVISION)
    camera = lan.says(host, fact)
    assert camera is not None
    assert camera is lan.camera(host)
    assert (camera.id, camera.vendor, camera.kind) == (HIKVISION, "hikvision", Kind.CAMERA)
    assert camera.confidence >= 0.6
    assert camera.evidence[0].source == "oui"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("DCS-935L", id="D-LinkCam frame 17"),
        pytest.param("DCS-8000LH", id="shfw dlink-cam frame 2"),
        pytest.param("DS-2CD2143G2-I", id="Hikvision"),
        pytest.param("IPC-HFW2431S", id="Dahua"),
        pytest.param("RLC-810A", id="Reolink"),
        pytest.param("EdimaxCam", id="Edimax"),
        pytest.param("yi-hack-v4", id="Yi"),
        pytest.param("Tapo_C200", id="Tapo"),
        pytest.param("axis-accc8e012345", id="Axis"),
        pytest.param("front-door-ipcam", id="in words"),
        pytest.param("Network Camera", id="in other words"),
    ],
)
def test_a_dhcp_name_that_only_cameras_have_is_enough(name: str) -> None:
    lan = Lan()
    host = lan.host("10.0.0.5", UNKNOWN)
    lan.inventory.see_dhcp(dhcp(UNKNOWN, name), REF)
    assert lan.camera(host) is not None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DS-7608NI-K2", Kind.RECORDER),
        ("NVR-1", Kind.RECORDER),
        ("DHI-NVR4108", Kind.RECORDER),
        ("front-doorbell", Kind.DOORBELL),
        ("VTO2202F", Kind.DOORBELL),
        ("IPC-HDW1431", Kind.CAMERA),
    ],
)
def test_a_name_may_tell_the_kind(name: str, kind: Kind) -> None:
    lan = Lan()
    host = lan.host("10.0.0.5", UNKNOWN)
    lan.inventory.see_dhcp(dhcp(UNKNOWN, name), REF)
    camera = lan.camera(host)
    assert camera is not None
    assert camera.kind is kind


def test_dhcp_before_the_first_address_is_kept_for_the_host() -> None:
    lan = Lan()
    assert lan.inventory.see_dhcp(dhcp(D_LINK, "DCS-935L", "udhcp 1.22.1"), REF) is None
    camera = lan.inventory.see_host(Host(1, "10.10.10.37", D_LINK), 0)
    assert camera is not None
    assert (camera.vendor, camera.model, camera.ips) == ("dlink", "DCS-935L", ["10.10.10.37"])
    named = [evidence for evidence in camera.evidence if "DCS-935L" in evidence.says]
    assert [(evidence.source, evidence.frame) for evidence in named] == [("dhcp", REF)]


def test_a_camera_that_only_a_lease_gives_a_mac_keeps_its_address_as_id() -> None:
    """Raw-IP captures carry no MAC: shfw all-devices, frame 4 (ACK) gives 192.168.1.115 away."""
    lan = Lan()
    lan.inventory.see_dhcp(dhcp("b0:c5:54:43:54:83", "DCS-8000LH"), REF)
    ack = replace(
        dhcp("b0:c5:54:43:54:83", "DCS-8000LH"), op=2, message_type="ACK", your_ip="192.168.1.115"
    )
    lan.inventory.see_dhcp(ack, REF)
    camera = lan.camera(lan.host("192.168.1.115"))
    assert camera is not None
    assert (camera.id, camera.mac) == ("192.168.1.115", "b0:c5:54:43:54:83")


NOT_CAMERAS = {
    "a TP-Link plug": (TP_LINK, "HS100(EU)", "udhcp 0.9.9-pre", ("devs.tplinkcloud.com",)),
    "a Hue bridge": (PHILIPS, "Philips-hue", "udhcp 1.19.4", ("bridge.meethue.com",)),
    "a D-Link home hub": (
        "1c:5f:2b:aa:fd:4e",
        "DCH-G020",
        "udhcp 1.21.1--LSDK-10.2-00082-4",
        ("ntp1.dlink.com", "api.dch.dlink.com", "wrpd.dlink.com"),
    ),
    "a Tuya plug": (
        "10:5a:17:7b:03:1c",
        "ESP_7B031C",
        "udhcp 1.24.1",
        ("a1.tuyaeu.com", "m1.tuyaeu.com", "h3-eu.iot-dns.com"),
    ),
    "a phone with the maker's app": (
        RANDOM,
        "iPhone",
        None,
        ("api.hik-connect.com", "dev.hik-connect.com", "1-courier.push.apple.com"),
    ),
    "an Android phone with a P2P app": (
        "64:bc:0c:6a:81:f3",
        "android-4be1a6fd2c3e1c3d",
        "android-dhcp-11",
        ("m1.iotcplatform.com", "www.easy4ipcloud.com", "connectivitycheck.gstatic.com"),
    ),
    "a PC that browses makers' sites": (
        INTEL,
        "DESKTOP-4F2K9QX",
        "MSFT 5.0",
        ("www.hikvision.com", "www.dahuasecurity.com", "www.axis.com", "www.reolink.com"),
    ),
    "a printer": ("00:80:77:31:01:07", "BRN008077310107", None, ()),
    "a robot vacuum of Xiaomi": (
        "50:ec:50:12:34:56",
        "rockrobo",
        "udhcp 1.24.1",
        ("de.ots.io.mi.com", "ot.io.mi.com"),
    ),
    "a Nest thermostat": ("18:b4:30:12:34:56", None, None, ("weave-logsink.nest.com",)),
    "a plain embedded host": (UNKNOWN, "openwrt", "udhcp 1.33.2", ("pool.ntp.org",)),
}


@pytest.mark.parametrize("what", NOT_CAMERAS)
def test_other_hosts_are_no_cameras(what: str) -> None:
    mac, hostname, vendor_class, names = NOT_CAMERAS[what]
    lan = Lan()
    lan.inventory.see_dhcp(dhcp(mac, hostname, vendor_class), REF)
    host = lan.host("10.0.0.9", mac)
    lan.asks(host, *names)
    assert lan.camera(host) is None
    assert (lan.inventory.cameras, lan.inventory.other_hosts) == ([], 1)


def test_a_browser_outweighs_a_cameras_name() -> None:
    lan = Lan()
    host = lan.host("10.0.0.9", UNKNOWN)
    lan.inventory.see_dhcp(dhcp(UNKNOWN, "security-cam"), REF)
    assert lan.camera(host) is not None
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"
    told = lan.says(host, HttpRequest("GET", "/", "HTTP/1.1", "example.org", agent))
    assert told is not None
    assert told.confidence < 0.6
    assert lan.camera(host) is None
    assert any("speaks against" in evidence.says for evidence in told.evidence)


def test_many_domains_are_a_pcs_way() -> None:
    lan = Lan()
    host = lan.host("10.0.0.9")
    lan.asks(host, "dev.hik-connect.com")
    assert lan.camera(host) is not None
    lan.asks(host, *(f"www.site{number}.example" for number in range(60)))
    assert lan.camera(host) is None


def test_a_resolver_that_passes_questions_on_is_no_camera() -> None:
    lan = Lan()
    host = lan.host("10.0.0.53")
    lan.says(host, replace(question("dev.hik-connect.com"), is_response=True), 53)
    lan.asks(host, "dev.hik-connect.com", "iotaccess.easy4ipcloud.com", "pushx.reolink.com")
    assert lan.camera(host) is None


def test_a_host_that_only_receives_is_not_taken_for_the_sender() -> None:
    lan = Lan()
    host = lan.host("10.0.0.9")
    banner = HttpResponse("HTTP/1.1", 200, server="Hikvision-Webs")
    assert lan.inventory.see_fact(host, banner, False, 40000, REF) is None
    assert lan.camera(host) is None


# --- what a device announces


def test_an_edimax_camera_is_known_by_its_mdns_text() -> None:
    """Frame 6 of iotsentinel EdimaxCam1 Setup-A-1."""
    lan = Lan()
    host = lan.host("10.10.10.51", "74:da:38:80:7a:08")
    name = "\\032[74:da:38:80:7a:08]._http._tcp.local"
    text = "IC-3115W Network Camera"
    camera = lan.says(
        host,
        announcement(
            DnsRecord("localcam.local", "A", 120, "10.10.10.51"),
            DnsRecord("_http._tcp.local", "PTR", 120, name, name),
            DnsRecord(name, "TXT", 120, text, strings=(text,)),
        ),
        5353,
    )
    assert camera is not None
    assert (camera.vendor, camera.model) == ("edimax", "IC-3115W")


def test_a_reflector_does_not_become_what_it_repeats() -> None:
    lan = Lan()
    router = lan.host("10.0.0.1", UNKNOWN)
    message = announcement(
        DnsRecord("cam1._axis-video._tcp.local", "SRV", 120, "0 0 80 cam1.local", "cam1.local"),
        DnsRecord("cam1.local", "A", 120, "10.0.0.5"),
    )
    lan.says(router, message, 5353)
    assert lan.camera(router) is None
    assert lan.says(lan.host("10.0.0.5", "00:00:5e:00:53:05"), message, 5353) is not None


@pytest.mark.parametrize(("category", "kind"), [(17, Kind.CAMERA), (18, Kind.DOORBELL), (5, None)])
def test_homekit_tells_cameras_from_lights(category: int, kind: Kind | None) -> None:
    lan = Lan()
    host = lan.host("10.0.0.5", UNKNOWN)
    record = DnsRecord("Eve._hap._tcp.local", "TXT", 120, "", strings=("c#=1", f"ci={category}"))
    lan.says(host, announcement(record), 5353)
    camera = lan.camera(host)
    assert (camera.kind if camera else None) is kind


def test_ssdp_tells_a_model_and_a_description() -> None:
    lan = Lan()
    d_link, edimax = lan.host("10.10.10.37"), lan.host("10.10.10.51")
    # iotsentinel D-LinkCam Setup-A-1 frame 80, EdimaxCam1 Setup-A-1 frame 9
    for host, payload in (
        (d_link, b"NOTIFY * HTTP/1.1\r\nSERVER: Linux,    UPnP/1.0 DCS-935L/1.0\r\n\r\n"),
        (
            edimax,
            b"NOTIFY * HTTP/1.1\r\nLOCATION: http://10.10.10.51:80/IPCamDesc.xml\r\n\r\n",
        ),
    ):
        assert lan.inventory.see_payload(host, payload, "udp", sent=True, local_port=1900, ref=REF)
    assert [camera.model for camera in lan.inventory.cameras] == ["DCS-935L", None]


# --- protocols that only cameras speak


def test_a_yi_camera_is_known_by_its_registration() -> None:
    """Frames 192, 196 and 204 of intl-iot yi_camera_sample.pcap: the camera's, and its phone's."""
    lan = Lan()
    camera, phone = lan.host("192.168.10.204"), lan.host("192.168.10.248")
    hello = bytes.fromhex("f1000000")
    login = bytes.fromhex("f1140068544e5055534145000003784a4453454c44000000") + bytes(84)
    alive = bytes.fromhex("f1e00000")
    see = lan.inventory.see_payload
    assert see(camera, hello, "udp", sent=True, local_port=25508, ref=REF) is None
    assert see(phone, alive, "udp", sent=True, local_port=17916, ref=REF) is None
    told = see(camera, login, "udp", sent=True, local_port=25508, ref=REF)
    assert told is not None
    assert (told.vendor, told.evidence[-1].source) == ("yi_kami", "behaviour")
    assert see(phone, login, "udp", sent=False, local_port=17916, ref=REF) is None
    assert see(phone, login, "tcp", sent=True, local_port=17916, ref=REF) is None
    assert lan.camera(phone) is None


# --- streams


def test_who_serves_a_stream_is_a_camera_and_who_pulls_several_a_recorder() -> None:
    lan = Lan()
    recorder = lan.host("10.0.0.200", UNKNOWN)
    cameras = [lan.host(f"10.0.0.{n}", f"00:00:5e:00:53:{n:02x}") for n in range(11, 15)]
    for camera in cameras:
        assert lan.inventory.see_media(camera, recorder, REF) is lan.camera(camera)
    known = lan.camera(recorder)
    assert known is not None
    assert known.kind is Kind.RECORDER
    served = [lan.camera(camera) for camera in cameras]
    assert [camera.kind for camera in served if camera] == [Kind.CAMERA] * 4


def test_one_stream_makes_a_viewer_and_no_recorder() -> None:
    lan = Lan()
    viewer = lan.host("10.0.0.9", APPLE)
    lan.inventory.see_media(lan.host("10.0.0.5", HIKVISION), viewer, REF)
    assert lan.camera(viewer) is None


def test_a_camera_makers_device_that_pulls_a_stream_is_a_recorder() -> None:
    lan = Lan()
    recorder = lan.host("10.0.0.200", DAHUA)
    lan.inventory.see_media(lan.host("10.0.0.5", HIKVISION), recorder, REF)
    known = lan.camera(recorder)
    assert known is not None
    assert (known.kind, known.vendor) == (Kind.RECORDER, "dahua")


def test_airplay_speaks_rtsp_and_is_no_camera() -> None:
    lan = Lan()
    host = lan.host("10.0.0.9", UNKNOWN)
    public = "ANNOUNCE, SETUP, RECORD, PAUSE, FLUSH, TEARDOWN, OPTIONS, GET_PARAMETER"
    lan.says(host, RtspResponse("RTSP/1.0", 200, server="AirTunes/220.68", public=public), 7000)
    lan.says(host, RtspRequest("ANNOUNCE", "rtsp://10.0.0.9/1", "RTSP/1.0"))
    assert lan.camera(host) is None


def test_a_mirror_of_one_direction_sees_who_is_asked_to_play() -> None:
    lan = Lan()
    host = lan.host("10.0.0.5", DAHUA)
    play = RtspRequest("PLAY", "rtsp://10.0.0.5/cam", "RTSP/1.0", session=True)
    assert lan.inventory.see_fact(host, play, False, 554, REF) is not None


# --- names and places of one device


def test_one_mac_is_one_camera_whatever_its_addresses() -> None:
    lan = Lan()
    lan.inventory.see_dhcp(dhcp(HIKVISION, "DS-2CD2143G2-I"), REF)
    addresses = ["10.0.0.5", "fe80::4619:b6ff:fea0:1", "2001:db8::5", "10.0.0.99"]
    hosts = [lan.host(address, HIKVISION) for address in addresses]
    (camera,) = lan.inventory.cameras
    assert camera.ips == addresses
    assert all(lan.camera(host) is camera for host in hosts)


def test_an_address_that_moves_belongs_to_its_new_holder() -> None:
    lan = Lan()
    lan.inventory.see_dhcp(dhcp(HIKVISION, "DS-2CD2143G2-I"), REF)
    before, after = lan.host("10.0.0.5", HIKVISION), lan.host("10.0.0.5", APPLE)
    assert lan.camera(before) is not None
    assert lan.camera(after) is None
    assert lan.inventory.conflicts == [f"10.0.0.5 moved from {HIKVISION} to {APPLE}"]


def test_behind_a_router_the_address_is_the_identity() -> None:
    lan = Lan()
    camera = lan.host("10.1.0.5", INTEL, behind_router=True)
    other = lan.host("10.1.0.6", INTEL, behind_router=True)
    told = lan.asks(camera, "dev.hik-connect.com")
    assert told is not None
    assert (told.id, told.mac) == ("10.1.0.5", None)
    assert lan.camera(other) is None


def test_a_mac_that_takes_many_addresses_at_once_is_a_routers() -> None:
    lan = Lan()
    hosts = [lan.host(f"10.1.0.{n}", HIKVISION) for n in (5, 6)]
    lan.asks(hosts[0], "dev.hik-connect.com")
    third = lan.host("10.1.0.7", HIKVISION)
    assert [camera.id for camera in lan.inventory.cameras] == ["10.1.0.5"]
    assert lan.camera(hosts[1]) is None
    assert lan.camera(third) is None
    assert lan.inventory.hosts_seen == 3


def test_renumbering_over_hours_makes_no_router() -> None:
    lan = Lan()
    for n in range(10):
        lan.host(f"10.0.0.{n}", HIKVISION)
        lan.now += ROUTER_SPAN + SECOND
    assert lan.inventory.hosts_seen == 1


def test_a_routed_copy_of_a_frame_makes_no_second_camera() -> None:
    lan = Lan()
    lan.inventory.see_dhcp(dhcp(HIKVISION, "DS-2CD2143G2-I"), REF)
    lan.host("10.0.0.5", HIKVISION)
    copy = lan.host("10.0.0.5", INTEL, behind_router=True)
    camera = lan.camera(copy)
    assert camera is not None
    assert camera.id == HIKVISION


# --- the site file


def site(*cameras: SiteDevice, recorders: tuple[SiteDevice, ...] = ()) -> Site:
    return Site(
        networks=(IPv4Network("10.0.0.0/8"),),
        resolvers=("10.0.3.53",),
        cameras=cameras,
        recorders=recorders,
        file="site.yaml",
    )


def test_a_listed_camera_is_certain() -> None:
    lan = Lan(site(device("gate-1", mac=HIKVISION, vendor="annke"), device("yard", ip="10.0.0.6")))
    camera = lan.camera(lan.host("10.0.0.5", HIKVISION))
    assert camera is not None
    assert (camera.name, camera.confidence, camera.listed) == ("gate-1", 1.0, True)
    assert camera.vendor == "annke"
    listed, maker = camera.evidence
    assert (listed.source, listed.says) == ("site", "named in site.yaml:7")
    assert maker.says.endswith("(points to hikvision, other evidence to annke)")
    assert [entry.name for entry in lan.inventory.missing] == ["yard"]


def test_nothing_speaks_louder_than_the_site_file() -> None:
    lan = Lan(site(device("gate-1", ip="10.0.0.5")))
    host = lan.host("10.0.0.5", APPLE)
    lan.inventory.see_dhcp(dhcp(APPLE, "iPhone"), REF)
    camera = lan.camera(host)
    assert camera is not None
    assert (camera.id, camera.confidence) == (APPLE, 1.0)


def test_a_device_listed_by_address_is_followed_by_its_mac() -> None:
    lan = Lan(site(device("a", ip="10.0.0.5"), device("b", ip="10.0.0.6")))
    lan.host("10.0.0.5", HIKVISION)
    lan.host("10.0.0.6", DAHUA)
    swapped = lan.camera(lan.host("10.0.0.6", HIKVISION)), lan.camera(lan.host("10.0.0.5", DAHUA))
    assert [camera.name for camera in swapped if camera] == ["a", "b"]


def test_two_listed_addresses_of_one_mac_stand_behind_a_router() -> None:
    lan = Lan(site(device("a", ip="10.1.0.5"), device("b", ip="10.1.0.6")))
    hosts = lan.host("10.1.0.5", INTEL), lan.host("10.1.0.6", INTEL)
    found = [lan.camera(host) for host in hosts]
    assert [(camera.id, camera.name) for camera in found if camera] == [
        ("10.1.0.5", "a"),
        ("10.1.0.6", "b"),
    ]


def test_a_listed_network_means_its_cameras_and_not_its_servers() -> None:
    network = device("yard", network=IPv4Network("10.0.3.0/24"))
    recorder = device("nvr", Kind.RECORDER, ip="10.0.3.200")
    lan = Lan(site(network, recorders=(recorder,)))
    camera, nvr = lan.host("10.0.3.5", UNKNOWN), lan.host("10.0.3.200", DAHUA)
    resolver, outside = lan.host("10.0.3.53", INTEL), lan.host("10.0.4.5", APPLE)
    lan.inventory.see_dhcp(
        replace(dhcp(UNKNOWN), op=2, message_type="OFFER", router=("10.0.3.1",)), REF
    )
    router = lan.host("10.0.3.1", "00:00:5e:00:53:02")
    known = [lan.camera(host) for host in (camera, nvr, resolver, outside, router)]
    assert [one.kind if one else None for one in known] == [
        Kind.CAMERA,
        Kind.RECORDER,
        None,
        None,
        None,
    ]


# --- bounds, and any input


def test_a_full_table_forgets_plain_hosts_and_keeps_cameras() -> None:
    lan = Lan(max_devices=8)
    lan.inventory.see_dhcp(dhcp(HIKVISION, "DS-2CD2143G2-I"), REF)
    camera = lan.host("10.0.0.5", HIKVISION)
    for n in range(100):
        lan.host(f"10.0.1.{n}")
    assert lan.camera(camera) is not None
    assert (lan.inventory.hosts_seen, lan.inventory.shed_hosts) == (101, 93)
    first = lan.hosts["10.0.1.0", None]
    assert lan.asks(first, "dev.hik-connect.com") is not None  # forgotten, and met again


def test_a_camera_that_asks_for_thousands_of_names_is_still_seen() -> None:
    lan = Lan()
    host = lan.host("10.0.0.9", HIKVISION)
    lan.asks(host, *(f"x{n}.example{n}.org" for n in range(3000)), "dev.hik-connect.com")
    assert lan.camera(host) is None  # like a PC's, until more is known
    lan.inventory.see_dhcp(dhcp(HIKVISION, "DS-2CD2143G2-I"), REF)
    lan.says(host, HttpResponse("HTTP/1.1", 401, server="App-webs/"))
    assert lan.camera(host) is not None


def test_what_only_dhcp_knows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egressd.identify.inventory.MAX_PENDING", 2)
    lan = Lan()
    for n in range(1, 4):
        lan.inventory.see_dhcp(dhcp(f"00:00:5e:00:53:{n:02x}", "security-cam"), REF)
    hosts = [lan.host(f"10.0.0.{n}", f"00:00:5e:00:53:{n:02x}") for n in range(1, 4)]
    assert [lan.camera(host) is not None for host in hosts] == [False, True, True]


def test_a_table_full_of_cameras_takes_no_more_hosts() -> None:
    lan = Lan(site(device("yard", network=IPv4Network("10.0.3.0/24"))), max_devices=2)
    hosts = [lan.host(f"10.0.3.{n}") for n in range(1, 4)]
    assert [lan.camera(host) is not None for host in hosts] == [True, True, False]
    assert lan.says(hosts[2], question("dev.hik-connect.com")) is None
    assert lan.inventory.see_media(hosts[2], hosts[0], REF) is None
    hello = bytes.fromhex("f1000000")
    see = lan.inventory.see_payload
    assert see(hosts[2], hello, "udp", sent=True, local_port=1, ref=REF) is None
    assert lan.inventory.hosts_of(hosts[2].index) == (hosts[2].index,)
    assert lan.inventory.shed_hosts == 4


def test_a_lease_gives_a_known_address_its_mac() -> None:
    lan = Lan(site(device("gate-1", mac=HIKVISION)))
    host = lan.host("10.0.0.5")
    assert lan.camera(host) is None
    told = lan.inventory.see_dhcp(
        replace(dhcp(HIKVISION), op=2, message_type="ACK", your_ip="10.0.0.5"), REF
    )
    assert told is lan.camera(host)
    assert lan.inventory.see_dhcp(replace(dhcp(HIKVISION), client_mac=None), REF) is None


def test_the_clouds_of_many_vendors_are_a_phones_or_an_analysts_way() -> None:
    lan = Lan()
    host = lan.host("10.0.0.9")
    lan.asks(host, "dev.hik-connect.com")
    assert lan.camera(host) is not None
    lan.asks(host, "p2p.reolink.com", "www.easy4ipcloud.com", "m1.iotcplatform.com")
    assert lan.camera(host) is None


def test_the_same_stream_says_nothing_new() -> None:
    lan = Lan()
    camera, viewer = lan.host("10.0.0.5", HIKVISION), lan.host("10.0.0.9", APPLE)
    assert lan.inventory.see_media(camera, viewer, REF) is not None
    assert lan.inventory.see_media(camera, viewer, REF) is None
    assert lan.inventory.see_media(camera, camera, REF) is None


def test_hosts_that_turn_out_to_be_none_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egressd.identify.inventory.MAX_DEVICES", 1)
    lan = Lan()
    agent = HttpRequest("GET", "/", "HTTP/1.1", user_agent="Dalvik/2.1.0 (Linux)")
    for n in range(1, 5):
        mac = f"00:00:5e:00:53:{n:02x}"
        lan.inventory.see_dhcp(dhcp(mac, "security-cam"), REF)
        lan.says(lan.host(f"10.0.0.{n}", mac), agent)
    assert lan.inventory.cameras == []


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("dev.hik-connect.com", "hik-connect.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("nas.local", None),
        ("localhost", None),
    ],
)
def test_domains_are_counted_by_their_registered_part(name: str, domain: str | None) -> None:
    assert domain_of(name) == domain


def test_names_come_from_every_place_a_host_names_itself() -> None:
    assert observations_of(replace(dhcp(HIKVISION), fqdn="cam.example")) == [
        Observation(Trait.DHCP_HOSTNAME, "cam.example")
    ]
    llmnr = replace(question("other-host"), flavour="llmnr")
    assert observations_of(llmnr) == []
    agent = RtspRequest("OPTIONS", "*", "RTSP/1.0", user_agent="LibVLC/3.0")
    assert observations_of(agent) == [Observation(Trait.RTSP_USER_AGENT, "LibVLC/3.0")]
    search = HttpRequest("M-SEARCH", "*", "HTTP/1.1", "239.255.255.250:1900")
    assert observations_of(search) == []
    probe = replace(
        question("x"), flavour="mdns", questions=(DnsQuestion("localcam.local", "ANY"),)
    )
    assert observations_of(probe) == [Observation(Trait.MDNS_NAME, "localcam")]
    assert observations_of(object()) == []


MACS = st.sampled_from([HIKVISION, DAHUA, APPLE, INTEL, UNKNOWN, RANDOM, None])
ADDRESSES = st.sampled_from(["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "fe80::1", "fd00::1"])
TEXTS = st.text(max_size=40)
FACTS = st.one_of(
    st.builds(question, st.sampled_from(["dev.hik-connect.com", "a.b.example", "", "."]) | TEXTS),
    st.builds(HttpResponse, st.just("HTTP/1.1"), st.just(200), server=TEXTS, realm=TEXTS),
    st.builds(dhcp, st.sampled_from([HIKVISION, APPLE]), TEXTS, TEXTS),
    st.builds(ClientHello, st.just("TLSv1.2"), st.just(0x0303), sni=TEXTS),
    st.builds(lambda text: announcement(DnsRecord(text, "PTR", 1, text, text)), TEXTS),
    st.builds(RtspResponse, st.just("RTSP/1.0"), st.just(200), server=TEXTS, public=TEXTS),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ADDRESSES, MACS, st.booleans(), FACTS), max_size=30))
def test_any_story_leaves_the_books_in_order(
    story: list[tuple[str, str | None, bool, object]],
) -> None:
    lan = Lan(site(device("a", ip="10.0.0.5")), max_devices=3)
    for ip, mac, behind_router, fact in story:
        told = lan.says(lan.host(ip, mac, behind_router=behind_router), fact)
        assert told is None or 0 <= told.confidence <= 1
    cameras = lan.inventory.cameras
    assert len({camera.id for camera in cameras}) == len(cameras)
    assert all(camera.confidence >= 0.6 for camera in cameras)
    assert all(len(camera.evidence) <= 33 for camera in cameras)


@given(st.permutations(["dhcp", "lookup", "banner", "agent"]))
def test_what_evidence_comes_to_does_not_depend_on_its_order(order: list[str]) -> None:
    facts = {
        "dhcp": dhcp(HIKVISION, "DS-2CD2143G2-I", "udhcp 1.24"),
        "lookup": question("dev.hik-connect.com"),
        "banner": HttpResponse("HTTP/1.1", 401, server="App-webs/", realm="IP Camera(C1234)"),
        "agent": HttpRequest("GET", "/", "HTTP/1.1", user_agent="Dalvik/2.1.0 (Linux)"),
    }
    lan = Lan()
    host = lan.host("10.0.0.5", HIKVISION)
    for name in order:
        lan.says(host, facts[name])
    camera = lan.camera(host)
    assert camera is not None
    assert (camera.confidence, camera.model) == (0.9036, "DS-2CD2143G2-I")


# --- other people's captures


CAPTURES = {
    "intl-iot__yi_camera_sample.pcap": {"b0:d5:9d:b9:f0:b4": "yi_kami"},
    "iotsentinel__D-LinkCam__Setup-A-1-STA.pcap": {D_LINK: "dlink"},
    "iotsentinel__D-LinkCam__Setup-C-4-STA.pcap": {D_LINK: "dlink"},
    "iotsentinel__EdimaxCam1__Setup-A-1-STA.pcap": {"74:da:38:80:7a:08": "edimax"},
    "iotsentinel__EdimaxCam1__Setup-C-2-STA.pcap": {"74:da:38:80:7a:08": "edimax"},
    "shfw__all-devices__my-firewall__dlink-cam.pcap": {"192.168.1.115": "dlink"},
    "shfw__dlink-cam__no-firewall__lan.pcap": {"b0:c5:54:43:54:83": "dlink"},
    "shfw__dlink-cam__no-firewall__wan.pcap": {"b0:c5:54:43:54:83": "dlink"},
    "shfw__dlink-cam__no-firewall__wlan5.0.pcap": {"b0:c5:54:43:54:83": "dlink"},
    "iotsentinel__D-LinkHomeHub__Setup-A-1-STA.pcap": {},
    "iotsentinel__HueBridge__Setup-C-1-STA.pcap": {},
    "iotsentinel__TP-LinkPlugHS100__Setup-C-1-STA.pcap": {},
    "shfw__tuya-motion__no-firewall__wan.pcap": {},
    "nDPI__nest_log_sink.pcap": {},
    "nDPI__xiaomi.pcap": {},
    "nDPI__tuya_lp.pcap": {},
    "nDPI__fuzz-2006-06-26-2594.pcap": {},
    "toolsaf__dns-large-set.pcap": {},
    "mercury__quic_reordered_frames.pcap": {},
    "suricata__decode-teredo-01__input.pcap": {},
    "zeek__raw_packets.pcap": {},
}


@pytest.mark.shared
@pytest.mark.parametrize("name", CAPTURES)
def test_the_cameras_of_a_capture_are_found_and_nothing_else(name: str) -> None:
    lan = Lan()
    for frame in frames_of(SHARED / name):
        show(lan, frame)
    found = {camera.id: camera.vendor for camera in lan.inventory.cameras}
    assert found == CAPTURES[name]


def frames_of(path: Path) -> Iterator[tuple[FrameRef, int, bytes]]:
    with path.open("rb") as stream:
        reader = dpkt.pcap.UniversalReader(stream)
        link = reader.datalink()
        for number, (_, frame) in enumerate(reader, 1):
            yield FrameRef(path.name, number), link, frame


def show(lan: Lan, frame: tuple[FrameRef, int, bytes]) -> None:
    """Show a frame of a capture to the inventory, as the engine would, only slower."""
    ref, link, data = frame
    source = None
    packet: Any
    try:
        if link == dpkt.pcap.DLT_EN10MB:
            packet = dpkt.ethernet.Ethernet(data)
            source = packet.src.hex(":")
            packet = packet.data
        else:
            packet = dpkt.ip.IP(data)
    except dpkt.UnpackError:
        return
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
        return
    family = socket.AF_INET if isinstance(packet, dpkt.ip.IP) else socket.AF_INET6
    ip = socket.inet_ntop(family, packet.src)
    segment = packet.data
    if not isinstance(segment, dpkt.udp.UDP | dpkt.tcp.TCP) or not segment.data:
        return
    transport = "udp" if isinstance(segment, dpkt.udp.UDP) else "tcp"
    payload, port = bytes(segment.data), segment.sport
    for fact in facts_of(payload, transport, {port, segment.dport}):
        if isinstance(fact, DhcpMessage):
            lan.inventory.see_dhcp(fact, ref)
        elif default_site().is_on_site(ip) and not ip_address(ip).is_unspecified:
            lan.says(lan.host(ip, source), fact, port)
    if default_site().is_on_site(ip) and not ip_address(ip).is_unspecified:
        host = lan.host(ip, source)
        lan.inventory.see_payload(host, payload, transport, sent=True, local_port=port, ref=ref)


def facts_of(payload: bytes, transport: str, ports: set[int]) -> Iterator[object]:
    try:
        if transport == "tcp":
            for read in (
                read_http_request,
                read_http_response,
                read_rtsp_request,
                read_rtsp_response,
            ):
                fact = read(payload, final=True)
                if fact is not None and not isinstance(fact, NeedMore):
                    yield fact
            hello = read_client_hello(payload)
            if isinstance(hello, ClientHello):
                yield hello
        elif ports & {53, 5353}:
            yield read_dns(payload, "dns" if 53 in ports else "mdns", expected=True)
        elif ports & {67, 68}:
            yield read_dhcp(payload)
    except DecodeError:
        return
