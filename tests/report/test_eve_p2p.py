"""EVE lines of camera P2P messages: all of it under `egressd`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from test_eve import OURS, fact, lines_of

from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role

LOGIN = P2pMessage(
    "pppp",
    "DEV_LGN",
    Role.REGISTRATION,
    Confidence.HIGH,
    "ABCD-123456-EFGHJ",
    (Peer("192.168.1.5", 40000, Part.SELF), Peer("198.51.100.4", None, Part.PEER)),
)
SHAPE: dict[str, Any] = {
    "protocol": "pppp",
    "message": "DEV_LGN",
    "role": "registration",
    "confidence": "high",
    "device_id": "ABCD-123456-EFGHJ",
    "peers": [
        {"ip": "192.168.1.5", "port": 40000, "part": "self"},
        {"ip": "198.51.100.4", "part": "peer"},
    ],
}


def test_a_registration_is_told_with_its_id_and_peers() -> None:
    (line,) = lines_of(fact(LOGIN))
    OURS.validate(line)
    assert line["event_type"] == "p2p"
    assert "p2p" not in line
    assert line["egressd"]["p2p"] == SHAPE
    assert line["egressd"]["camera"]["id"]


def test_a_host_that_is_no_camera_has_a_line_too() -> None:
    (line,) = lines_of(replace(fact(LOGIN), camera=None))
    OURS.validate(line)
    assert line["egressd"] == {"p2p": SHAPE}


def test_every_role_confidence_and_part_is_in_the_schema() -> None:
    for role in Role:
        for confidence in Confidence:
            for part in Part:
                peers = (Peer("198.51.100.4", 1, part),)
                message = P2pMessage("tuya", "m", role, confidence, None, peers, "detail")
                (line,) = lines_of(fact(message))
                OURS.validate(line)


def test_the_schema_refuses_what_we_never_write() -> None:
    (line,) = lines_of(fact(LOGIN))
    line["egressd"]["p2p"]["role"] = "spy"
    assert not OURS.is_valid(line)
    del line["egressd"]
    assert not OURS.is_valid(line)
