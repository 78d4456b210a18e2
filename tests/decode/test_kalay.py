"""Kalay: messages under one mask for all, and the UID in them."""

from __future__ import annotations

from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.kalay import MASK, ORDER, descramble, read_kalay
from egressd.decode.p2p import Confidence, Part, Peer, Role

WORDS = Struct("<4I")
UID = "ABCDEFGHJK1234567890"

# First blocks of messages, in clear and scrambled, as they were worked out from published code.
BLOCKS = {
    "6e4c9d8c40d140ca3d2da82d00e7cada": "04021902340000000106210000000000",
    "6e4c9d8c40d140ca2d2d882dc0e6cadc": "04021a02480000000106210000000000",
    "2e0d8dac40d140ca3d2da82d40e6cade": "04021902600000000302340000000000",
    "4e6d9d8c40d140ca3d2da82d00e6cada": "04021902240000000104330000000000",
    "4c6f8d0c40d040ca2d2d082dc0eecad8": "0402120a080000002804120000000000",
}


def rotated(word: int, turns: int) -> int:
    return (word >> turns | word << 32 - turns) & 0xFFFFFFFF


def scramble(clear: bytes) -> bytes:
    """Do what `descramble` undoes; bytes behind the last whole block stay."""
    out = b""
    for at in range(0, len(clear) // 16 * 16, 16):
        words = map(rotated, WORDS.unpack(clear[at : at + 16]), (1, 5, 9, 13))
        mixed = bytes(a ^ b for a, b in zip(WORDS.pack(*words), MASK, strict=True))
        turned = bytearray(16)
        for place, byte in zip(ORDER, mixed, strict=True):
            turned[place] = byte
        out += WORDS.pack(*map(rotated, WORDS.unpack(turned), (3, 7, 11, 15)))
    return out + clear[len(out) :]


def message(kind: str, rest: bytes, *, stage: int = 2, version: int = 0x19) -> bytes:
    head = bytes((4, 2, version, stage)) + len(rest).to_bytes(2, "little") + b"\0\0"
    return scramble(head + bytes.fromhex(kind) + bytes(5) + rest)


SEARCH = message("010621", UID.encode() + bytes(32))


@pytest.mark.parametrize("scrambled", BLOCKS)
def test_published_blocks_come_out_clear(scrambled: str) -> None:
    assert descramble(bytes.fromhex(scrambled)).hex() == BLOCKS[scrambled]
    assert scramble(bytes.fromhex(BLOCKS[scrambled])).hex() == scrambled


def test_a_search_names_the_uid() -> None:
    found = read_kalay(SEARCH)
    assert found is not None
    assert (found.message, found.role, found.device_id) == ("search", Role.LOOKUP, UID)
    assert found.confidence is Confidence.HIGH


def test_the_master_s_answer_names_the_peer() -> None:
    rest = bytearray(96)
    rest[22:24] = (32761).to_bytes(2, "big")
    rest[24:28] = bytes((192, 0, 2, 9))
    found = read_kalay(message("010343", bytes(rest)))
    assert found is not None
    assert found.peers == (Peer("192.0.2.9", 32761, Part.PEER),)


@pytest.mark.parametrize("size", [4, 96])
def test_an_answer_without_an_address_names_nobody(size: int) -> None:
    found = read_kalay(message("010343", bytes(size)))
    assert found is not None
    assert found.peers == ()


@pytest.mark.parametrize(
    ("payload", "name", "role", "confidence"),
    [
        pytest.param(
            message("280412", bytes(8), stage=0x0A), "ping", Role.KEEPALIVE, "high", id="ping"
        ),
        pytest.param(
            message("080412", bytes(900), stage=0x0B),
            "data from camera",
            Role.MEDIA,
            "high",
            id="data",
        ),
        pytest.param(
            message("990134", UID.encode() + bytes(12)),
            "type 990134",
            Role.REGISTRATION,
            "medium",
            id="as-a-registration",
        ),
        pytest.param(
            message("990121", UID.encode() + bytes(12)),
            "type 990121",
            Role.UNKNOWN,
            "medium",
            id="unknown-of-an-app",
        ),
        pytest.param(
            message("990134", bytes(32)), "type 990134", Role.UNKNOWN, "medium", id="no-uid"
        ),
        pytest.param(
            message("990134", b"", stage=0x0A), "type 990134", Role.UNKNOWN, "medium", id="unknown"
        ),
    ],
)
def test_messages_have_a_role(payload: bytes, name: str, role: Role, confidence: str) -> None:
    found = read_kalay(payload)
    assert found is not None
    assert (found.message, found.role, found.confidence.value) == (name, role, confidence)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(SEARCH + b"\0", id="trailing-byte"),
        pytest.param(message("010621", bytes(52), version=0x77), id="unknown-version"),
        pytest.param(scramble(bytes(16)), id="no-magic"),
    ],
)
def test_what_does_not_fit_is_not_kalay(payload: bytes) -> None:
    assert read_kalay(payload) is None


@pytest.mark.parametrize("end", range(len(SEARCH)))
def test_a_cut_message_is_not_kalay(end: int) -> None:
    assert read_kalay(SEARCH[:end]) is None


@given(st.binary(min_size=16, max_size=16))
def test_the_quick_look_misses_nothing(clear: bytes) -> None:
    """Whatever else stands in a header, its two first bytes show in the scrambled ones."""
    head = b"\x04\x02\x19" + clear[3:4] + b"\0\0" + clear[6:]
    assert read_kalay(scramble(head)) is not None


@given(st.binary(max_size=120), st.booleans())
def test_never_fails_on_any_bytes(payload: bytes, masked: bool) -> None:  # noqa: FBT001 - given
    read_kalay(scramble(b"\x04\x02\x19\x02" + payload) if masked else payload)


def test_noise_is_not_kalay() -> None:
    assert [payload for payload in noise(3, 200_000) if read_kalay(payload)] == []
