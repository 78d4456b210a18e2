"""What devices say of themselves when they are searched for, and what that makes of them."""

from __future__ import annotations

import pytest
from test_inventory import Lan

from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.decode.pppp import read_pppp
from egressd.decode.ssdp import SsdpMessage
from egressd.identify.observations import observations_of, observations_of_ssdp
from egressd.identify.rules import Observation, Trait
from egressd.model import Kind

SADP = Introduction(
    "sadp",
    "ProbeMatch",
    Confidence.HIGH,
    speaks_for_itself=True,
    model="DS-2CD2143G0-I",
    firmware="V5.7.3",
    serial="DS-2CD2143G0-I20190101AAWRC12345678",
    mac="44:19:b6:a0:00:01",
)


def answer(protocol: str, message: str = "answer", model: str | None = None) -> Introduction:
    return Introduction(protocol, message, Confidence.HIGH, speaks_for_itself=True, model=model)


def wsd(*types: str, model: str | None = None) -> Introduction:
    return Introduction(
        "wsd", "ProbeMatches", Confidence.HIGH, speaks_for_itself=True, model=model, types=types
    )


def p2p(protocol: str, message: str, detail: str | None = None) -> P2pMessage:
    return P2pMessage(protocol, message, Role.CONTROL, Confidence.HIGH, detail=detail)


def test_a_device_that_is_searched_for_shows_all_it_tells() -> None:
    assert observations_of(SADP) == [
        Observation(Trait.DISCOVERY_ANSWER, "sadp ProbeMatch"),
        Observation(Trait.DISCOVERY_MODEL, "DS-2CD2143G0-I"),
        Observation(Trait.DISCOVERY_FIRMWARE, "V5.7.3"),
        Observation(Trait.DISCOVERY_SERIAL, "DS-2CD2143G0-I20190101AAWRC12345678"),
    ]


def test_a_camera_that_answers_is_known_with_model_firmware_and_serial_number() -> None:
    lan = Lan()
    told = lan.says(lan.host("192.0.2.64"), SADP)
    assert told is not None
    assert (told.vendor, told.model, told.kind) == ("hikvision", "DS-2CD2143G0-I", Kind.CAMERA)
    says = " ".join(evidence.says for evidence in told.evidence)
    assert "V5.7.3" in says
    assert "DS-2CD2143G0-I20190101AAWRC12345678" in says


@pytest.mark.parametrize(
    ("fact", "vendor"),
    [
        (answer("dhdiscover", "client.notifyDevInfo", "IPC-HDW2431T"), "dahua"),
        (answer("dvrip", "IPSEARCH_RSP"), "xiongmai"),
        (answer("bosch-lan", model="NDE-3502"), "bosch"),
        (answer("foscam-lan"), "foscam"),
        (answer("hanwha-lan", model="SND-6083"), "hanwha"),
        (answer("ipro-lan", model="WV-S1131"), "panasonic_ipro"),
        (answer("sony-lan", model="SNC-CH140"), "sony"),
        (answer("vivotek-lan", model="IB8369"), "vivotek"),
        (answer("vstarcam-lan"), "vstarcam"),
        (wsd("dn:NetworkVideoTransmitter", "tds:Device", model="M1065"), None),
        (p2p("reolink-baichuan", "login answer"), "reolink"),
        (p2p("dvrip", "LOGIN_RSP", "xiongmai"), "xiongmai"),
        (p2p("dvrip", "REALM answer", "dahua"), "dahua"),
        (p2p("xiongmai-cloud", "MSG_AGENT_REGISTER_REQ"), "xiongmai"),
        (p2p("hik-mqtt", "CONNECT"), "ezviz"),
        (p2p("isup", "REGISTER", "DS-2CD2143"), "hikvision"),
        (p2p("gb28181", "REGISTER", "camera"), None),
        (p2p("jt1078", "stream", "video"), None),
    ],
    ids=lambda value: getattr(value, "protocol", ""),
)
def test_the_camera_s_side_of_a_protocol_makes_a_camera(fact: object, vendor: str | None) -> None:
    lan = Lan()
    host = lan.host("192.0.2.64")
    lan.says(host, fact)
    camera = lan.camera(host)
    assert camera is not None
    assert camera.vendor == vendor
    assert camera.model == getattr(fact, "model", None)


@pytest.mark.parametrize(
    "fact",
    [
        Introduction("sadp", "Probe inquiry", Confidence.HIGH),
        Introduction("dhdiscover", "DHDiscover.search", Confidence.HIGH),
        Introduction("wsd", "Probe", Confidence.HIGH, types=("dn:NetworkVideoTransmitter",)),
        wsd("wsdp:Device", "wprt:PrintDeviceType", model="LaserJet"),
        wsd("wsdp:Device", "pub:Computer"),
        SsdpMessage("search", type="urn:schemas-upnp-org:device:DigitalSecurityCamera:1"),
        p2p("reolink-baichuan", "login"),
        p2p("dvrip", "LOGIN_REQ", "xiongmai"),
        p2p("dvrip", "REALM", "dahua"),
        p2p("dvrip", "global.login", "dhip"),
        p2p("isup", "REGISTER_RESPONSE"),
        p2p("gb28181", "200 REGISTER", "camera"),
        p2p("gb28181", "INVITE", "camera"),
        p2p("hik-sdk", "login"),
        p2p("hik-vtm", "StreamInfoReq"),
        p2p("jt808", "register"),
        p2p("pppp", "P2P_REQ"),
        p2p("tuya", "broadcast"),
    ],
    ids=lambda value: f"{getattr(value, 'protocol', '')} {getattr(value, 'message', '')}",
)
def test_who_looks_for_cameras_or_speaks_to_them_is_none(fact: object) -> None:
    lan = Lan()
    host = lan.host("192.0.2.7")
    lan.says(host, fact)
    assert lan.camera(host) is None


def test_a_printer_that_says_so_outweighs_a_name_like_a_camera_s() -> None:
    lan = Lan()
    host = lan.host("192.0.2.9")
    lan.says(host, wsd("wprt:PrintDeviceType", model="OfficeJet Camera"))
    assert lan.camera(host) is None


def test_a_registration_that_a_decoder_reads_counts_as_its_bytes_did() -> None:
    """Frame 196 of intl-iot yi_camera_sample.pcap."""
    login = bytes.fromhex("f1140068544e5055534145000003784a4453454c44000000") + bytes(84)
    lan = Lan()
    host = lan.host("192.168.10.204")
    lan.says(host, read_pppp(login))
    camera = lan.camera(host)
    assert camera is not None
    assert camera.vendor == "yi_kami"


def test_ssdp_shows_the_same_decoded_or_not() -> None:
    payload = b"NOTIFY * HTTP/1.1\r\nSERVER: Linux DCS-935L/1.0\r\nNT: upnp:rootdevice\r\n\r\n"
    found = [
        Observation(Trait.SSDP_SERVER, "Linux DCS-935L/1.0"),
        Observation(Trait.SSDP_TYPE, "upnp:rootdevice"),
    ]
    assert observations_of_ssdp(payload) == found
    fact = SsdpMessage("notify", type="upnp:rootdevice", server="Linux DCS-935L/1.0")
    assert observations_of(fact) == found
    assert observations_of_ssdp(b"hello") == []


def test_a_search_shows_only_the_program_that_searches() -> None:
    fact = SsdpMessage("search", type="ssdp:all", user_agent="Google Chrome/120 Windows")
    assert observations_of(fact) == [Observation(Trait.HTTP_USER_AGENT, fact.user_agent or "")]
