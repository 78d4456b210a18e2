"""Tuya: devices that tell who they are, under a key that everybody has."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.p2p import Role
from egressd.decode.tuya import BAD_SUFFIX, BROADCAST_KEY, HEADER_35, read_tuya
from egressd.model import DecodeError

# nDPI__tuya_lp.pcap frame 3
BROADCAST = bytes.fromhex(
    "000055aa00000000000000130000009c0000000097b93fee4b69c95feeb3d33bda3529521cc4eac0d354180edccd3eae"
    "080a6ffe3ffa50ee21d36294854bd6d8a73edd114570f45f0765d3125d642f9a5bfbc6c7c2d91fea632b8557eb918162"
    "c1fc96744dc7fe823e307927fb0a44b0dfae2c8de31599c316ff65d7e1449cd24d2d2819091450d58f913116aedf0f6b"
    "fdca4510eedd5c953bb9377560ae90dfbc45dbe2d855db4b0000aa55"
)
# toolsaf__test.pcap frame 268: an app that searches, version 3.5
SEARCH = bytes.fromhex(
    "00006699000000000000000000250000003dba3d1c4323034a1e6a991b338fa9b7a2d12348bd1ac08656dfd5b14b810b"
    "d19cd7b298ee346cdf3187fca97b4a66ba2f83d2f99abea42469e3499e15b500009966"
)
SAYS = json.dumps({"ip": "192.168.1.7", "gwId": "bf0123456789abcdef", "version": "3.5"}).encode()


def frame(command: int, content: bytes) -> bytes:
    behind = content + bytes(4) + bytes.fromhex("0000aa55")
    head = (0x55AA, 1, command, len(behind))
    return b"".join(word.to_bytes(4, "big") for word in head) + behind


def frame_35(command: int, clear: bytes, key: bytes = BROADCAST_KEY) -> bytes:
    nonce = bytes(12)
    size = len(nonce) + len(clear) + 16
    head = HEADER_35.pack(bytes.fromhex("00006699"), b"\0\0", 1, command, size)
    sealed = AESGCM(key).encrypt(nonce, clear, head[4:])
    return head + nonce + sealed + bytes.fromhex("00009966")


@pytest.mark.parametrize(
    ("payload", "name", "role", "device", "detail"),
    [
        pytest.param(
            BROADCAST, "broadcast", Role.LAN, "ebdc8a558456ba9f35sfo4", "version 3.3", id="captured"
        ),
        pytest.param(SEARCH, "search", Role.LAN, None, None, id="captured-search"),
        pytest.param(
            frame(0, SAYS), "broadcast", Role.LAN, "bf0123456789abcdef", "version 3.5", id="clear"
        ),
        pytest.param(
            frame(0x13, bytes(4) + SAYS),
            "broadcast",
            Role.LAN,
            "bf0123456789abcdef",
            "version 3.5",
            id="clear-behind-a-code",
        ),
        pytest.param(
            frame_35(0x13, bytes(4) + SAYS),
            "broadcast",
            Role.LAN,
            "bf0123456789abcdef",
            "version 3.5",
            id="sealed",
        ),
        pytest.param(
            frame_35(0x0A, SAYS, bytes(16)), "status request", Role.CONTROL, None, None, id="closed"
        ),
        pytest.param(frame(9, b""), "heartbeat", Role.CONTROL, None, None, id="heartbeat"),
        pytest.param(
            frame(7, bytes(range(32))), "command 0x07", Role.CONTROL, None, None, id="under-own-key"
        ),
    ],
)
def test_frames_tell_the_device(
    payload: bytes, name: str, role: Role, device: str | None, detail: str | None
) -> None:
    found = read_tuya(payload)
    assert found is not None
    assert (found.message, found.role) == (name, role)
    assert (found.device_id, found.detail) == (device, detail)


def test_a_short_sealed_frame_is_closed() -> None:
    payload = HEADER_35.pack(bytes.fromhex("00006699"), b"\0\0", 1, 9, 4) + bytes(4)
    found = read_tuya(payload + bytes.fromhex("00009966"))
    assert found is not None
    assert found.device_id is None


@pytest.mark.parametrize("payload", [BROADCAST, SEARCH], ids=["old", "new"])
def test_a_frame_that_does_not_end_as_one_is_broken(payload: bytes) -> None:
    with pytest.raises(DecodeError, match=BAD_SUFFIX):
        read_tuya(payload[:-1] + b"\0")


@pytest.mark.parametrize("payload", [BROADCAST, SEARCH], ids=["old", "new"])
def test_cut_or_longer_frames_are_not_tuya(payload: bytes) -> None:
    assert [read_tuya(payload[:end]) for end in range(len(payload))] == [None] * len(payload)
    assert read_tuya(payload + b"\0") is None


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_tuya(payload)
    assert read_tuya(frame(0x13, payload)) is not None
    assert read_tuya(frame_35(0x13, payload)) is not None


def test_noise_is_not_tuya() -> None:
    assert [payload for payload in noise(12, 200_000) if read_tuya(payload)] == []
