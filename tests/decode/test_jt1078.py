"""JT/T 1078, by notes on the published standard; no capture was at hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.jt1078 import read_jt1078
from egressd.decode.p2p import Confidence, P2pMessage, Role
from egressd.model import NEED_MORE

CARD = bytes.fromhex("013812345678")
HEAD = bytes.fromhex("30316364 81 e2 0001") + CARD + b"\1"
VIDEO = HEAD + b"\1" + bytes(8) + bytes(4) + b"\3\xb6" + bytes(950)
AUDIO = HEAD + b"\x30" + bytes(8) + b"\1\x40" + bytes(320)
DATA = HEAD + b"\x40" + b"\0\x20" + bytes(32)


@pytest.mark.parametrize(
    ("head", "kind", "role"),
    [
        (VIDEO, "video", Role.MEDIA),
        (AUDIO, "audio", Role.MEDIA),
        (DATA, "data", Role.CONTROL),
    ],
    ids=["video", "audio", "data"],
)
def test_a_packet_names_the_vehicle_and_what_it_holds(head: bytes, kind: str, role: Role) -> None:
    assert read_jt1078(head) == P2pMessage(
        "jt1078", "stream", role, Confidence.HIGH, "13812345678", detail=kind
    )


def test_the_edition_of_2019_has_a_longer_number() -> None:
    # Read as one of 6 bytes it would fit, too; the zeros in front tell.
    card = bytes.fromhex("00000000013881234567")
    head = VIDEO[:8] + card + b"\1\1" + bytes(12) + b"\0\x20" + bytes(32)
    message = read_jt1078(head)
    assert isinstance(message, P2pMessage)
    assert message.device_id == "13881234567"


@pytest.mark.parametrize("end", range(1, 30))
def test_a_cut_header_needs_more(end: int) -> None:
    assert read_jt1078(VIDEO[:end]) is NEED_MORE


@pytest.mark.parametrize(
    "head",
    [
        b"01ce" + bytes(40),
        b"01cd\x01" + VIDEO[5:],
        VIDEO[:8] + b"\xff" * 10 + VIDEO[18:],
        VIDEO[:28] + b"\xff\xff" + VIDEO[30:],
        VIDEO[:15] + b"\x51" + VIDEO[16:],
        VIDEO[:15] + b"\x1f" + VIDEO[16:],
    ],
    ids=["magic", "version", "card", "length", "kind", "part"],
)
def test_other_bytes_are_not_jt1078(head: bytes) -> None:
    assert read_jt1078(head) is None


@given(st.binary(max_size=60), st.sampled_from([b"", b"01cd", HEAD]))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    read_jt1078(opening + tail)
