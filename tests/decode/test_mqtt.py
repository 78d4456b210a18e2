"""MQTT: who connects, and what only begins like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.mqtt import (
    BAD_FLAGS,
    BAD_LENGTH,
    CUT_FIELD,
    REASONS,
    TRAILING_BYTES,
    MqttConnect,
    read_mqtt_connect,
)
from egressd.model import NEED_MORE, DecodeError

# nDPI__mqtt.pcap frame 2: version 3.1, user name and password
MQTT_3_1 = bytes.fromhex(
    "1040 0006 4d5149736470 03 c2 0014"
    "0016 63626161626362616261636262626262616161616162"
    "000c 303244353035303232334433 000c 303244353035303232334433"
)
# ipfixprobe__mqtt.pcap frame 1: version 3.1.1, an empty client id
MQTT_3_1_1 = bytes.fromhex("100c 0004 4d515454 04 02 003c 0000")
# arkime__mqtt_big.pcap frame 4: a will and a user name
WILL = bytes.fromhex(
    "103a 0004 4d515454 04 86 003c 000f 746573742d636c69656e742d313233"
    "000a 77696c6c2f746f706963 0007 676f6f64627965 0008 7465737475736572"
)
# suricata__mqtt5-pub-userpass__input.pcap frame 4: version 5, one property
MQTT_5 = bytes.fromhex(
    "102f 0004 4d515454 05 c2 003c 03 210014"
    "0013 6d79766f69636569736d7970617373706f7274 0004 75736572 0004 70617373"
)
SAMPLES = pytest.mark.parametrize(
    "packet", [MQTT_3_1, MQTT_3_1_1, WILL, MQTT_5], ids=["3.1", "3.1.1", "will", "5.0"]
)


def reason_of(head: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        read_mqtt_connect(head)
    assert caught.value.protocol == "mqtt"
    return caught.value.reason


@pytest.mark.parametrize(
    ("packet", "connect"),
    [
        (
            MQTT_3_1,
            MqttConnect("3.1", "cbaabcbabacbbbbbaaaaab", "02D5050223D3", True, 20, None, True),
        ),
        (MQTT_3_1_1, MqttConnect("3.1.1", "", None, False, 60, None, True)),
        (
            WILL,
            MqttConnect("3.1.1", "test-client-123", "testuser", False, 60, "will/topic", True),
        ),
        (MQTT_5, MqttConnect("5.0", "myvoiceismypassport", "user", True, 60, None, True)),
    ],
    ids=["3.1", "3.1.1", "will", "5.0"],
)
def test_a_client_says_who_it_is(packet: bytes, connect: MqttConnect) -> None:
    assert read_mqtt_connect(packet) == connect


def test_the_password_is_not_kept() -> None:
    assert "02D5050223D3" in repr(read_mqtt_connect(MQTT_3_1))  # as the user name
    assert "pass'" not in repr(read_mqtt_connect(MQTT_5))


def test_a_will_of_version_5_has_its_own_properties() -> None:
    # MQTT 5.0 section 3.1.3.2: will properties stand between client id and topic.
    packet = bytes.fromhex(
        "101b 0004 4d515454 05 04 003c 00 0001 61 02 0101 0003 742f31 0003 627965"
    )
    connect = read_mqtt_connect(packet)
    assert isinstance(connect, MqttConnect)
    assert (connect.will_topic, connect.clean) == ("t/1", False)


def test_a_bridge_sets_the_top_bit_of_the_level() -> None:
    connect = read_mqtt_connect(MQTT_3_1_1[:8] + b"\x84" + MQTT_3_1_1[9:])
    assert isinstance(connect, MqttConnect)
    assert connect.version == "3.1.1"


def test_a_long_length_takes_several_bytes() -> None:
    # nDPI__mqtt.pcap frame 9 opens with 10 9a 02: 0x1a + 2 * 128 = 282 bytes follow.
    body = MQTT_3_1_1[2:10] + b"\x02\x58" + b"\x01\x0e" + b"P" * 270
    connect = read_mqtt_connect(b"\x10\x9a\x02" + body)
    assert isinstance(connect, MqttConnect)
    assert connect.client_id == "P" * 270
    assert connect.keep_alive == 600


@SAMPLES
def test_every_cut_needs_more(packet: bytes) -> None:
    for end in range(len(packet)):
        assert read_mqtt_connect(packet[:end]) is NEED_MORE


@SAMPLES
def test_what_follows_is_not_read(packet: bytes) -> None:
    assert read_mqtt_connect(packet + b"\x30") == read_mqtt_connect(packet)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x11",
        b"\x20\x02\0\0",  # CONNACK
        b"\x10\x0c\0\4MQTU",
        b"\x10\x0c\0\4MQTT\6",
        b"\x10\xff\xff\xff\xff",
        bytes.fromhex("16030100c8010000c403"),
        bytes.fromhex("1000000000000000"),
    ],
    ids=["http", "flags", "connack", "name", "level", "length", "tls", "zeros"],
)
def test_other_protocols_are_not_mqtt(head: bytes) -> None:
    assert read_mqtt_connect(head) is None


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        ("100b 0004 4d515454 04 02 003c 00", BAD_LENGTH),
        ("100c 0004 4d515454 04 03 003c 0000", BAD_FLAGS),
        ("100c 0004 4d515454 04 0a 003c 0000", BAD_FLAGS),
        ("100c 0004 4d515454 04 20 003c 0000", BAD_FLAGS),
        ("100c 0004 4d515454 04 02 003c 0001", CUT_FIELD),
        ("100c 0004 4d515454 04 82 003c 0000", CUT_FIELD),
        ("100d 0004 4d515454 04 02 003c 0000 00", TRAILING_BYTES),
        ("1010 0004 4d515454 05 02 003c ffffffff 0000", CUT_FIELD),
    ],
    ids=["too short", "reserved flag", "quality without will", "retain without will",
         "cut client id", "no user name", "trailing byte", "properties"],
)  # fmt: skip
def test_a_broken_packet_has_a_reason(packet: str, reason: str) -> None:
    assert reason_of(bytes.fromhex(packet)) == reason


def test_text_is_escaped() -> None:
    connect = read_mqtt_connect(bytes.fromhex("100e 0004 4d515454 04 02 003c 0002 1b5b"))
    assert isinstance(connect, MqttConnect)
    assert connect.client_id == "\\027["


@given(st.binary(max_size=100), st.sampled_from([b"", b"\x10", MQTT_3_1_1[:9], MQTT_5[:9]]))
def test_never_fails_on_any_bytes(tail: bytes, head: bytes) -> None:
    reason = BAD_LENGTH
    try:
        read_mqtt_connect(head + tail)
    except DecodeError as error:
        reason = error.reason
    assert reason in REASONS


@given(st.binary(max_size=60), st.sampled_from([MQTT_3_1_1[2:9], MQTT_5[2:9]]))
def test_any_body_of_the_right_length_is_read_or_refused(tail: bytes, opening: bytes) -> None:
    body = opening + tail
    try:
        answer = read_mqtt_connect(bytes([0x10, len(body)]) + body)
    except DecodeError:
        answer = None
    assert answer is not NEED_MORE
