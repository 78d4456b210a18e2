"""EVE lines: Suricata's schema where it speaks, ours under `egressd`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sample_case import NOON, camera, coverage, destination, finding, flow

from egressd.capture.batch import Source
from egressd.decode.dhcp import DhcpMessage
from egressd.decode.dissector import QuicHello
from egressd.decode.dns import DnsMessage, DnsQuestion, DnsRecord
from egressd.decode.http import HttpRequest, HttpResponse
from egressd.decode.mqtt import MqttConnect
from egressd.decode.ntp import NtpMessage
from egressd.decode.quic import GquicHello
from egressd.decode.tls import Certificate, ClientHello, ServerFlight
from egressd.model import (
    AlertEvent,
    CameraEvent,
    CoverageEvent,
    Direction,
    Event,
    FactEvent,
    FlowEvent,
    FlowJudgement,
    FrameRef,
    Stage,
)
from egressd.report.eve import EveWriter

TOP = Path(__file__).resolve().parents[2]
SURICATA = TOP.parent / "shared" / "reference" / "suricata-eve-schema.json"
OURS = Draft202012Validator(
    json.loads((TOP / "egressd/schemas/eve-egressd.schema.json").read_text())
)

SOURCES = [Source("a.pcap", "eth0", 1, 0)]
NAME = "dev.example.com"


def lines_of(*events: Event, site: str | None = None) -> list[dict[str, Any]]:
    stream = io.StringIO()
    EveWriter(stream, site=site, sources=SOURCES).write(events)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fact(
    message: object, *, answer: bool = False, protocol: int = 17, server_port: int = 53
) -> FactEvent:
    client, server = ("10.20.30.11", 40000), ("10.20.200.53", server_port)
    source, target = (server, client) if answer else (client, server)
    return FactEvent(
        time=NOON + 123_456_789,
        frame=FrameRef("a.pcap", 7),
        flow_id=42,
        protocol=protocol,
        src_ip=source[0],
        src_port=source[1],
        dest_ip=target[0],
        dest_port=target[1],
        interface=0,
        vlans=(30,),
        fact=message,
        camera=camera(),
    )


def dns(*, response: bool = False, flavour: str = "dns") -> DnsMessage:
    answers = (
        DnsRecord(NAME, "CNAME", 60, "edge.example.net", "edge.example.net"),
        DnsRecord("edge.example.net", "A", 60, "192.0.2.7"),
        DnsRecord("edge.example.net", "PTR", 60, "x.example"),
        DnsRecord("edge.example.net", "TXT", 60, 'v=1 "q"'),
        DnsRecord("edge.example.net", "NULL", 60, ""),
    )
    return DnsMessage(
        id=0xBEEF,
        is_response=response,
        opcode=0,
        rcode="NOERROR",
        authoritative=response,
        truncated=response,
        recursion_desired=True,
        recursion_available=response,
        questions=(DnsQuestion(NAME, "A"),),
        answers=answers if response else (),
        authorities=answers[:1] if response else (),
        additionals=answers[:1] if response else (),
        flavour=flavour,
    )


HELLO = ClientHello(
    "TLSv1.3", 0x0303, sni=NAME, alpn=("h2", "http/1.1"), ciphers=(0x1301,), versions=(0x0304,)
)
CERTIFICATE = Certificate(
    subject="CN=dev.example.com",
    issuer="CN=Example CA",
    sans=(NAME, "192.0.2.7"),
    serial="0A:BC",
    not_before="2026-01-01T00:00:00",
    not_after="9999-12-31T23:59:59",
    sha1="0a:bc",
)
REQUEST = HttpRequest("GET", "/a", "HTTP/1.1", f"{NAME}:8080", "agent")
RESPONSE = HttpResponse("HTTP/1.1", 302, server="s", content_length=5, location="/b")
DHCP = DhcpMessage(
    op=1,
    message_type="REQUEST",
    client_mac="00:00:5e:00:53:01",
    client_ip=None,
    your_ip=None,
    server_ip="10.20.0.1",
    requested_ip="10.20.30.11",
    hostname="HIKVISION",
    fqdn=None,
    vendor_class="udhcp 1.2",
    user_class=None,
    client_id="0100005e005301",
    parameter_list=(1, 3),
    lease_seconds=600,
    router=("10.20.0.1",),
    dns_servers=("10.20.200.53",),
    ntp_servers=(),
    domain=None,
    cut=False,
)
NTP = NtpMessage(4, "client", 0, True, 48, "GPS", None, None, None, None, False)
MQTT = MqttConnect("3.1.1", "cam-1", "user", True, 60, None, True)


def judgement() -> FlowJudgement:
    return FlowJudgement(
        camera=camera(),
        destination=destination(),
        direction=Direction.OUTBOUND,
        stage=Stage.TRANSFER,
        bytes_out=1000,
        bytes_in=800,
        packets_out=10,
        packets_in=8,
        flow_class="unknown",
        protocol="tls",
        protocols=("tls",),
        stage_undecidable=True,
    )


def lookup() -> AlertEvent:
    found = finding(Stage.LOOKUP)
    found.destination = destination(ip=None)
    return AlertEvent(NOON, found)


def inbound() -> AlertEvent:
    found = finding()
    found.direction = Direction.INBOUND
    found.destination.port = 51515
    found.local_port = 554
    found.on_site = True
    return AlertEvent(NOON, found)


def ping(protocol: int) -> FlowEvent:
    pinged = flow(protocol)
    pinged.icmp_type, pinged.icmp_code = (8, 0) if protocol == 1 else (128, 0)
    pinged.reset = True
    pinged.carrier = True
    pinged.client.duplicates = 3
    return FlowEvent(NOON, pinged, None, "timeout")


EVENTS: dict[str, Event] = {
    "dns request": fact(dns()),
    "dns response": fact(dns(response=True), answer=True),
    "mdns": fact(dns(flavour="mdns"), server_port=5353),
    "mdns response": fact(dns(response=True, flavour="mdns"), server_port=5353),
    "llmnr": fact(dns(flavour="llmnr"), server_port=5355),
    "llmnr response": fact(dns(response=True, flavour="llmnr"), answer=True, server_port=5355),
    "tls hello": fact(HELLO, protocol=6, server_port=443),
    "tls flight": fact(
        ServerFlight("TLSv1.2", 0xC02F, "h2", CERTIFICATE), answer=True, protocol=6, server_port=443
    ),
    "quic": fact(QuicHello(HELLO, "v1"), server_port=443),
    "gquic": fact(GquicHello("Q046", NAME, "Chrome"), server_port=443),
    "http request": fact(REQUEST, protocol=6, server_port=8080),
    "http response": fact(RESPONSE, answer=True, protocol=6, server_port=8080),
    "dhcp": fact(DHCP, server_port=67),
    "ntp": fact(NTP, server_port=123),
    "mqtt": fact(MQTT, protocol=6, server_port=1883),
    "flow": FlowEvent(NOON, flow(), "tls", "timeout", judgement()),
    "flow nobody judged": FlowEvent(NOON, flow(17), None, "shutdown"),
    "flow of icmp": ping(1),
    "flow of icmp6": ping(58),
    "flow of gre": FlowEvent(NOON, flow(47), None, "timeout"),
    "alert": AlertEvent(NOON, finding()),
    "alert of a lookup": lookup(),
    "alert inbound": inbound(),
    "camera": CameraEvent(NOON, camera()),
    "coverage": CoverageEvent(NOON, coverage()),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_our_part_validates_against_our_schema(event: Event) -> None:
    for line in lines_of(event, site="Depot North"):
        OURS.validate(line)


@pytest.mark.skipif(not SURICATA.exists(), reason="Suricata's schema is not here")
def test_the_rest_validates_against_suricatas_schema() -> None:
    suricata = Draft202012Validator(json.loads(SURICATA.read_text()))
    for line in lines_of(*EVENTS.values(), site="Depot North"):
        line.pop("egressd", None)
        suricata.validate(line)


def test_every_sample_has_a_record() -> None:
    assert len(lines_of(*EVENTS.values())) == len(EVENTS)


def test_a_question_is_suricatas_dns_of_version_3() -> None:
    [line] = lines_of(EVENTS["dns request"])
    # "EVE DNS v3 style query logging" in Suricata's schema, 9.0-dev.
    assert line["dns"] == {
        "version": 3,
        "type": "request",
        "tx_id": 0,
        "id": 0xBEEF,
        "flags": "100",
        "rd": True,
        "opcode": 0,
        "rcode": "NOERROR",
        "queries": [{"rrname": NAME, "rrtype": "A"}],
    }
    assert line["timestamp"] == "2026-11-22T12:00:00.123456+0000"
    assert (line["in_iface"], line["vlan"]) == ("eth0", [30])
    assert (line["capture_file"], line["pcap_cnt"]) == ("a.pcap", 7)


def test_an_answer_keeps_the_client_in_front() -> None:
    question, answer = lines_of(EVENTS["dns request"], EVENTS["dns response"])
    for key in ("src_ip", "src_port", "dest_ip", "dest_port", "community_id"):
        assert question[key] == answer[key]
    assert answer["dns"]["flags"] == "8780"  # QR, AA, TC, RD, RA (RFC 1035 section 4.1.1)
    assert answer["dns"]["grouped"]["A"] == ["192.0.2.7"]


def test_a_hello_and_a_flight_are_two_tls_records() -> None:
    hello, flight = lines_of(EVENTS["tls hello"], EVENTS["tls flight"])
    assert hello["tls"]["sni"] == NAME
    assert hello["tls"]["client_alpns"] == ["h2", "http/1.1"]
    assert hello["tls"]["ja4"].startswith("t13")
    assert flight["tls"]["subject"] == "CN=dev.example.com"
    assert flight["tls"]["version"] == "TLS 1.2"
    assert flight["src_ip"] == hello["src_ip"] == "10.20.30.11"


def test_a_year_that_suricatas_schema_refuses_is_left_out() -> None:
    [line] = lines_of(EVENTS["tls flight"])
    assert "notbefore" in line["tls"]
    assert "notafter" not in line["tls"]


def test_a_host_header_is_split_as_suricata_does() -> None:
    [line] = lines_of(EVENTS["http request"])
    assert (line["http"]["hostname"], line["http"]["http_port"]) == (NAME, 8080)


def test_an_http_message_in_a_datagram_is_no_http() -> None:
    assert lines_of(fact(REQUEST, server_port=1900)) == []


def test_a_dtls_hello_is_neither_tls_nor_quic() -> None:
    assert lines_of(fact(ClientHello("DTLSv1.2", 0xFEFD, sni=NAME))) == []


def test_a_fact_without_a_record_is_left_out() -> None:
    assert lines_of(fact(object())) == []


def test_a_flow_tells_its_contact() -> None:
    [line] = lines_of(EVENTS["flow"])
    assert line["flow"]["bytes_toserver"] == 1000
    assert line["flow"]["age"] == 12
    assert line["ether"] == {"dest_macs": ["00:00:5e:00:53:fe"], "src_macs": ["00:00:5e:00:53:01"]}
    ours = line["egressd"]
    assert ours["names"] == [{"name": NAME, "source": "dns"}, {"name": NAME, "source": "sni"}]
    assert ours["country"][0]["code"] == "CN"
    assert ours["stage"] == "transfer"
    assert ours["camera"]["id"] == "00:00:5e:00:53:01"
    assert (ours["service"], ours["party"], ours["class"]) == ("example.com", "vendor", "unknown")


def test_a_flow_of_an_alert_says_so() -> None:
    before, _, after = lines_of(EVENTS["flow"], EVENTS["alert"], EVENTS["flow"])
    assert before["flow"]["alerted"] is False
    assert after["flow"]["alerted"] is True


def test_camera_is_the_same_object_in_alerts_and_flows() -> None:
    lines = lines_of(EVENTS["flow"], EVENTS["alert"], EVENTS["camera"])
    objects = [line["egressd"]["camera"] for line in lines]
    assert objects[0] == objects[1] == objects[2]


def test_an_alert_puts_the_camera_first() -> None:
    [line] = lines_of(EVENTS["alert"])
    assert (line["src_ip"], line["dest_ip"], line["dest_port"]) == ("10.20.30.11", "192.0.2.7", 443)
    assert line["alert"]["severity"] == 1
    assert line["alert"]["signature_id"] >= 9_100_001
    assert line["egressd"]["evidence"] == {
        "file": "a.pcap",
        "frames": [7, 9],
        "more": [{"file": "b.pcap", "frames": [1]}],
    }


def test_an_inbound_alert_puts_the_caller_first() -> None:
    [line] = lines_of(EVENTS["alert inbound"])
    assert (line["src_ip"], line["src_port"]) == ("192.0.2.7", 51515)
    assert (line["dest_ip"], line["dest_port"]) == ("10.20.30.11", 554)
    assert line["egressd"]["local_port"] == 554
    assert line["egressd"]["direction"] == "inbound"


def test_a_lookup_has_names_and_no_address() -> None:
    [line] = lines_of(EVENTS["alert of a lookup"])
    assert "dest_ip" not in line
    assert line["egressd"]["destination"]["ip"] is None
    assert line["egressd"]["stage"] == "lookup"


@settings(max_examples=100)
@given(st.text(max_size=40), st.integers(-(2**63), 2**63), st.integers(0, 2**64))
def test_any_text_and_number_makes_one_line_of_json(text: str, time: int, flow_id: int) -> None:
    event = fact(
        DnsMessage(
            *(1, False, 0, "NOERROR", False, False, True, False),
            *((DnsQuestion(text, text),), (), (), ()),
        )
    )
    event.frame = FrameRef(text, 1)
    event.time, event.flow_id = time, flow_id
    stream = io.StringIO()
    EveWriter(stream, site=text).write([event])
    assert stream.getvalue().count("\n") == 1
    line = json.loads(stream.getvalue())
    assert line["dns"]["queries"] == [{"rrname": text, "rrtype": text}]
    assert line["capture_file"] == text
    assert line["flow_id"] < 2**53
