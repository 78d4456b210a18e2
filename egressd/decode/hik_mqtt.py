"""Hik-Connect's and EZVIZ' signalling by MQTT in clear (TCP 31006): the user is the serial number.

A study of four boots of a doorbell saw the device's serial as the user name and `test` as the
password, the same in all devices. Nobody else's broker has both, but a test of somebody's own
might: hence medium confidence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from egressd.decode.p2p import Confidence, P2pMessage, Role

if TYPE_CHECKING:
    from egressd.decode.mqtt import MqttConnect

# Serials of EZVIZ and Hik-Connect: nine characters, or a model, a date and the nine.
SERIAL = re.compile(r"[A-Z]?\d{8,9}|[A-Z]{2}\d{7}|[A-Z][A-Z0-9-]{8,40}\d{8}[A-Z]{4}[A-Z0-9]{9}")
PASSWORD = b"\0\4test"  # the field behind the user name


def hik_mqtt_of(connect: MqttConnect, packet: bytes) -> P2pMessage | None:
    """Return what a CONNECT packet is in Hik-Connect's cloud, or None if it is another's."""
    if not connect.has_password or connect.username is None:
        return None
    if not SERIAL.fullmatch(connect.username) or connect.username.encode() + PASSWORD not in packet:
        return None
    return P2pMessage(
        protocol="hik-mqtt",
        message="CONNECT",
        role=Role.REGISTRATION,
        confidence=Confidence.MEDIUM,
        device_id=connect.username,
    )
