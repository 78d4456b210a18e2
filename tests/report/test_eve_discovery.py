"""EVE lines of discovery messages: all of it under `egressd`."""

from __future__ import annotations

from test_eve import OURS, fact, lines_of

from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence

ANSWER = Introduction(
    protocol="wsd",
    message="ProbeMatches",
    confidence=Confidence.HIGH,
    speaks_for_itself=True,
    vendor="Example",
    model="M1",
    firmware="1.2",
    serial="S1",
    mac="00:07:5f:00:00:01",
    ip="192.0.2.33",
    name="porch",
    types=("dn:NetworkVideoTransmitter",),
)


def test_a_device_is_told_in_its_own_words() -> None:
    (line,) = lines_of(fact(ANSWER))
    OURS.validate(line)
    assert line["event_type"] == "discovery"
    assert line["egressd"]["camera"]["id"]
    assert line["egressd"]["discovery"] == {
        "protocol": "wsd",
        "message": "ProbeMatches",
        "confidence": "high",
        "answer": True,
        "vendor": "Example",
        "model": "M1",
        "firmware": "1.2",
        "serial": "S1",
        "mac": "00:07:5f:00:00:01",
        "ip": "192.0.2.33",
        "name": "porch",
        "types": ["dn:NetworkVideoTransmitter"],
    }


def test_what_is_not_told_is_left_out() -> None:
    (line,) = lines_of(fact(Introduction("sadp", "Probe inquiry", Confidence.HIGH)))
    OURS.validate(line)
    assert line["egressd"]["discovery"] == {
        "protocol": "sadp",
        "message": "Probe inquiry",
        "confidence": "high",
        "answer": False,
    }


def test_the_schema_refuses_what_we_never_write() -> None:
    (line,) = lines_of(fact(ANSWER))
    line["egressd"]["discovery"]["mac"] = "nonsense"
    assert not OURS.is_valid(line)
    del line["egressd"]
    assert not OURS.is_valid(line)
