"""TP-Link in the own network: JSON under a mask, and the search with a checksum."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.p2p import Role
from egressd.decode.tplink_smarthome import TDP, TDP_START, read_tplink_smarthome

SEARCH = bytes.fromhex("020000010000000000000000463cb5d3")  # as published libraries send it
ASK = b'{"system":{"get_sysinfo":{}}}'
TELL = (
    b'{"system":{"get_sysinfo":{"model":"KC105(EU)","deviceId":"8006A0B1C2D3E4F5",'
    b'"mac":"00:00:5E:00:53:01","err_code":0}}}'
)


def masked(clear: bytes) -> bytes:
    out, key = bytearray(), 0xAB
    for byte in clear:
        key ^= byte
        out.append(key)
    return bytes(out)


def tdp(json: bytes) -> bytes:
    head = (2, b"\0\0\1", len(json), b"\x11\0", b"abcd")
    return TDP.pack(*head, crc32(TDP.pack(*head, TDP_START) + json)) + json


@pytest.mark.parametrize(
    ("payload", "name", "role", "device", "detail"),
    [
        pytest.param(masked(ASK), "system", Role.LAN, None, None, id="ask"),
        pytest.param(
            masked(TELL), "system", Role.LAN, "8006A0B1C2D3E4F5", "model KC105(EU)", id="tell"
        ),
        pytest.param(
            masked(b'{"":{"set_relay_state":{}}}'), "message", Role.CONTROL, None, None, id="order"
        ),
        pytest.param(SEARCH, "search", Role.LAN, None, None, id="search"),
        pytest.param(
            tdp(b'{"result":{"device_id":"abcdef0123456789","device_model":"C200(EU)"}}'),
            "answer",
            Role.LAN,
            "abcdef0123456789",
            "model C200(EU)",
            id="answer",
        ),
    ],
)
def test_messages_tell_the_device(
    payload: bytes, name: str, role: Role, device: str | None, detail: str | None
) -> None:
    found = read_tplink_smarthome(payload)
    assert found is not None
    assert (found.message, found.role) == (name, role)
    assert (found.device_id, found.detail) == (device, detail)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(masked(b'{"a":1}'), id="too-short"),
        pytest.param(masked(b'{"system":\x80\x81\x82 and more'), id="no-json"),
        pytest.param(masked(ASK) + b"\0", id="trailing-byte"),
        pytest.param(SEARCH + b"\0", id="search-with-trailing-byte"),
        pytest.param(SEARCH[:-1] + b"\0", id="wrong-checksum"),
        pytest.param(b"\2\0\0\2" + SEARCH[4:], id="other-header"),
    ],
)
def test_what_does_not_fit_is_not_tplink(payload: bytes) -> None:
    assert read_tplink_smarthome(payload) is None


@pytest.mark.parametrize("payload", [masked(ASK)[:-2], SEARCH], ids=["masked", "search"])
def test_a_cut_message_is_not_tplink(payload: bytes) -> None:
    cuts = [read_tplink_smarthome(payload[:end]) for end in range(len(payload))]
    assert cuts == [None] * len(payload)


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_tplink_smarthome(payload)
    read_tplink_smarthome(masked(b'{"' + payload))
    assert read_tplink_smarthome(tdp(payload)) is not None


def test_noise_is_not_tplink() -> None:
    assert [payload for payload in noise(14, 200_000) if read_tplink_smarthome(payload)] == []
