"""Hik-Connect's MQTT: the serial number as the user name, and other brokers' clients."""

from __future__ import annotations

import pytest

from egressd.decode.hik_mqtt import hik_mqtt_of
from egressd.decode.mqtt import MqttConnect, read_mqtt_connect
from egressd.decode.p2p import Confidence, P2pMessage, Role


def connect(username: bytes, password: bytes | None) -> tuple[MqttConnect, bytes]:
    flags = 0x82 if password is None else 0xC2
    body = b"\0\4MQTT\4" + bytes([flags]) + b"\0\x3c\0\2id"
    body += len(username).to_bytes(2, "big") + username
    if password is not None:
        body += len(password).to_bytes(2, "big") + password
    packet = b"\x10" + bytes([len(body)]) + body
    message = read_mqtt_connect(packet)
    assert isinstance(message, MqttConnect)
    return message, packet


@pytest.mark.parametrize("serial", ["C12345678", "123456789", "BA1234567"])
def test_a_device_signs_on_with_its_serial_number(serial: str) -> None:
    message, packet = connect(serial.encode(), b"test")
    expected = P2pMessage("hik-mqtt", "CONNECT", Role.REGISTRATION, Confidence.MEDIUM, serial)
    assert hik_mqtt_of(message, packet) == expected
    assert hik_mqtt_of(message, packet + b"\x82\x0f") == expected  # SUBSCRIBE behind it


@pytest.mark.parametrize(
    ("username", "password"),
    [(b"C12345678", b"other"), (b"homeassistant", b"test"), (b"C12345678", None), (b"", b"test")],
    ids=["password", "user", "no password", "empty"],
)
def test_others_are_not_hik_connect(username: bytes, password: bytes | None) -> None:
    message, packet = connect(username, password)
    assert hik_mqtt_of(message, packet) is None
