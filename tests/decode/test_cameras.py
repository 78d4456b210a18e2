"""The tables of the camera world: what is found in streams and datagrams, and what never is."""

from __future__ import annotations

import random
from pathlib import Path

import dpkt
import pytest
from test_baichuan import ANSWER as BAICHUAN
from test_dvrip import REALM_ANSWER
from test_gb28181 import CAMERA, sip
from test_hik_mqtt import connect
from test_isup import REGISTER as ISUP
from test_jt808 import HEARTBEAT
from test_jt1078 import VIDEO
from test_names_in_captures import CAPTURES, flows_of
from test_sadp import ANSWER as SADP
from test_ssdp import NOTIFY
from test_vendor_lan import VIVOTEK
from test_wsd import ANSWER as WSD
from test_xiongmai import LOGIN, REGISTER

from egressd.decode.cameras import (
    DATAGRAM_READERS,
    STREAM_READERS,
    messages_inside,
    read_camera_datagram,
    read_sip_or_platform,
)
from egressd.decode.dissector import Conversation, read_datagram, read_segment
from egressd.model import NEED_MORE, DecodeError

RANDOM_PAYLOADS = 200_000
POOL_BYTES = 1 << 21

HTTP = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok"
RTSP = b"OPTIONS rtsp://192.0.2.1/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
TLS = bytes.fromhex("16030100c8010000c403")
RTP = bytes.fromhex("806000010000000112345678")
DNS = bytes.fromhex("123401000001000000000000") + b"\7example\0\0\1\0\1"
QUIC = bytes.fromhex("c00000000108")
DTLS = bytes.fromhex("16fefd0000000000000000")
STUN = bytes.fromhex("000100002112a442") + bytes(12)


def datagram(payload: bytes) -> list[str]:
    return [fact.protocol for fact in read_datagram(Conversation(), 0, payload, (40_000, 40_001))]


def stream(payload: bytes) -> list[str]:
    facts = read_segment(Conversation(), 0, 0, payload, cut=False, dns=False)
    return [fact.protocol for fact in facts]


@pytest.mark.parametrize(
    ("payload", "label"),
    [
        (SADP, "sadp"),
        (WSD, "wsd"),
        (NOTIFY, "ssdp"),
        (VIVOTEK, "vivotek-lan"),
        (ISUP, "isup"),
        (VIDEO, "jt1078"),
        (HEARTBEAT, "jt808"),
        (sip(b"REGISTER sip:x SIP/2.0", CAMERA, CAMERA), "gb28181"),
        (sip(b"REGISTER sip:x SIP/2.0", b"door", b"door"), "sip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_datagram_is_known_at_any_port(payload: bytes, label: str) -> None:
    assert datagram(payload) == [label]


@pytest.mark.parametrize(
    ("payload", "labels"),
    [
        (BAICHUAN, ["reolink-baichuan"]),
        (REALM_ANSWER, ["dvrip"]),
        (LOGIN, ["dvrip"]),
        (ISUP, ["isup"]),
        (VIDEO, ["jt1078"]),
        (HEARTBEAT, ["jt808"]),
        (REGISTER, ["xiongmai-cloud", "http"]),
        (connect(b"C12345678", b"test")[1], ["hik-mqtt", "mqtt"]),
        (sip(b"REGISTER sip:x SIP/2.0", CAMERA, CAMERA), ["gb28181"]),
        (sip(b"SIP/2.0 200 OK", b"door", b"door"), ["sip"]),
        (HTTP, ["http"]),
        (RTSP, ["rtsp"]),
    ],
    ids=["baichuan", "dahua", "xiongmai", "isup", "jt1078", "jt808", "xiongmai-cloud", "hik-mqtt",
         "gb28181", "sip", "http", "rtsp"],
)  # fmt: skip
def test_a_stream_is_known_at_any_port(payload: bytes, labels: list[str]) -> None:
    assert stream(payload) == labels


def test_a_stream_that_is_video_is_media() -> None:
    conversation = Conversation()
    read_segment(conversation, 1, 0, VIDEO, cut=False, dns=False)
    assert conversation.media == [False, True]
    assert conversation.protocols == ["jt1078"]


def test_a_device_that_sends_its_header_first_is_still_known() -> None:
    conversation = Conversation()
    assert not read_segment(conversation, 0, 0, LOGIN[:7], cut=False, dns=False)
    facts = read_segment(conversation, 0, 7, LOGIN[7:], cut=False, dns=False)
    assert [fact.protocol for fact in facts] == ["dvrip"]


def test_other_mqtt_and_http_hold_nothing() -> None:
    assert messages_inside(*connect(b"somebody", b"secret")) == []
    assert messages_inside(None, REGISTER) == []


PLAIN = [
    *(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", HTTP, RTSP, TLS + bytes(200), RTP + bytes(100)),
    *(DNS, QUIC + bytes(1200), DTLS + bytes(50), STUN, b"", b"hello", b"<html></html>"),
    *(b'{"a":1}', b"SSH-2.0-OpenSSH\r\n", b"\0" * 64, b"\xff" * 64, b"220 ftp ready\r\n"),
    *(b"\0\0\0\x2f\xfeSMB@\0" + bytes(60), b"\x1b" + bytes(47), b"<?xml version='1.0'?><a/>"),
    *(b"\xff\xfd\x18\xff\xfd\x20", b"\x4a\0\0\0\x0a8.0.30\0" + bytes(60), b"\2\0\0\0" * 8),
]


@pytest.mark.parametrize("payload", PLAIN)
def test_ordinary_payloads_are_of_no_camera(payload: bytes) -> None:
    assert read_camera_datagram(payload) is None
    for rows in STREAM_READERS.values():
        for _, reader in rows:
            assert reader(payload, True) in (None, NEED_MORE)


def pool_of(kind: str) -> bytes:
    chance = random.Random(20_260_401)  # noqa: S311 - the same payloads in every run
    if kind == "any":
        return chance.randbytes(POOL_BYTES)
    # ASCII with what separates words and fields in the text protocols
    return bytes(chance.choices(range(32, 127), k=POOL_BYTES // 8)) * 8


def payloads_of(pool: bytes, first: bytes, count: int) -> list[bytes]:
    chance = random.Random(first)  # noqa: S311 - the same payloads in every run
    starts = chance.choices(range(POOL_BYTES - 1400), k=count)
    sizes = chance.choices((0, 3, 7, 19, 31, 40, 43, 63, 120, 171, 300, 1399), k=count)
    return [first + pool[at : at + size] for at, size in zip(starts, sizes, strict=True)]


@pytest.mark.parametrize("kind", ["any", "ascii"])
def test_random_datagrams_are_of_no_camera(kind: str) -> None:
    # Each row of the table gets 200,000 payloads that begin as its messages do. Vivotek's magic
    # at a place of its own stands in one payload of 2**32.
    pool = pool_of(kind)
    for first in DATAGRAM_READERS:
        for payload in payloads_of(pool, bytes([first]), RANDOM_PAYLOADS // 2):
            try:
                message = read_camera_datagram(payload)
            except DecodeError:
                continue
            assert message is None, payload


@pytest.mark.parametrize("kind", ["any", "ascii"])
def test_random_streams_are_of_no_camera(kind: str) -> None:
    # What an obfuscated PPPP message has is a mark and a length: one payload of 2**23 would do, of
    # those that have one of its nine sizes, and it would be of low confidence.
    pool = pool_of(kind)
    for first, rows in STREAM_READERS.items():
        for payload in payloads_of(pool, bytes([first]), RANDOM_PAYLOADS // 2):
            for _, reader in rows:
                try:
                    message = reader(payload, True)
                except DecodeError:
                    continue
                assert message is None or message is NEED_MORE, payload


def test_random_text_is_not_sip() -> None:
    for payload in payloads_of(pool_of("ascii"), b"REGISTER sip:", 20_000):
        assert read_sip_or_platform(payload) is None


# Where other people's captures hold what these decoders read; of everything else in there they
# must know nothing. LAN discovery is spoken by hosts of all sorts: "ssdp" and "sip" are not listed.
KNOWN = {
    "neolink__EncryptionProtocol02_login.pcapng": {"reolink-baichuan"},
    "nDPI__upnp.pcap": {"wsd"},  # a computer's
}
COMMON = {"ssdp", "sip", "tuya"}


def labels_in(name: str) -> set[str]:
    found = set()
    flows = flows_of(name)
    for payloads in flows.datagrams.values():
        for payload in payloads:
            try:
                message = read_camera_datagram(payload)
            except DecodeError as error:
                found.add(error.protocol)
                continue
            if message is not None:
                found.add(message.protocol)
    heads = [stream.head for stream in flows.heads]
    for head in heads + flows.segments:
        for _, reader in STREAM_READERS.get(head[0], ()) if head else ():
            try:
                read = reader(head, True)
            except DecodeError as error:
                found.add(error.protocol)
                continue
            if read is not None and read is not NEED_MORE:
                found.add(getattr(read, "protocol", ""))
    return found


@pytest.mark.shared
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not here")
def test_other_people_s_captures_hold_only_what_they_are_known_for() -> None:
    wrong = {}
    read = 0
    for path in sorted(CAPTURES.glob("*.pcap*")):
        try:
            labels = labels_in(path.name)
        except (ValueError, dpkt.Error, OSError):
            continue  # a capture that dpkt cannot read
        read += 1
        surprise = labels - COMMON - KNOWN.get(path.name, set())
        if surprise:
            wrong[path.name] = surprise
    assert wrong == {}
    assert read > 150


@pytest.mark.shared
@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the shared captures are not here")
@pytest.mark.parametrize(("name", "labels"), KNOWN.items())
def test_the_captures_of_cameras_are_recognised(name: str, labels: set[str]) -> None:
    assert labels <= labels_in(name)


def test_our_own_captures_hold_no_camera_protocol() -> None:
    own = Path(__file__).parents[2] / "pcaps"
    wrong = {}
    for path in sorted(own.glob("*.pcap*")):
        labels = labels_in(str(path)) - COMMON
        if labels:
            wrong[path.name] = labels
    assert wrong == {}
