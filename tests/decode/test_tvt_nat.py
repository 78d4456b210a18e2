"""AutoNAT: rows of words as they were captured, and the recorder's number in XML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.p2p import Confidence, Role
from egressd.decode.tvt_nat import read_tvt_nat

# as published with the captures of a viewer (brod-video, packets/natCmd.js)
HANDSHAKE = bytes.fromhex("02000100 6dd38221 00000000 00000000 6dd38221 00000000 fefe0001")
ACK = bytes.fromhex("02030100 6dd38221 6dd38221 6cd38221 00000000 00000000")
HEAD = bytes.fromhex("02010100 b1b29405 b1b29405 b0b29405 b2b29405 b1b29405 00010000")
CONNECT_XML = (
    b'<Nat version="0.4.0.1"><Cmd id="10002"><RequestSeq>1</RequestSeq>'
    b"<DeviceNo>N124F03AR35B</DeviceNo><RequestPeerNat>0</RequestPeerNat>"
    b"<P2PVersion>1.0</P2PVersion><ConnectionId>93631153</ConnectionId></Cmd></Nat>\0"
)
DATA_HEAD = bytes.fromhex("01010100 b1b29405 c1b29405 c6b29405 c2b29405 c7b29405 31313131")


def command(xml: bytes, head: bytes = HEAD) -> bytes:
    return head + len(xml).to_bytes(4, "little") + xml


CONNECT = command(CONNECT_XML)


def test_the_published_command_has_the_published_length() -> None:
    assert CONNECT[28:32] == bytes.fromhex("d2000000")


@pytest.mark.parametrize(
    ("payload", "name", "role", "serial", "confidence"),
    [
        pytest.param(
            HANDSHAKE, "handshake with server", Role.PUNCH, None, Confidence.HIGH, id="handshake"
        ),
        pytest.param(
            b"\1" + HANDSHAKE[1:],
            "handshake with recorder",
            Role.PUNCH,
            None,
            Confidence.HIGH,
            id="handshake-with-recorder",
        ),
        pytest.param(ACK, "acknowledgement", Role.KEEPALIVE, None, Confidence.LOW, id="ack"),
        pytest.param(CONNECT, "connect", Role.PUNCH, "N124F03AR35B", Confidence.HIGH, id="connect"),
        pytest.param(
            command(CONNECT_XML.replace(b"10002", b"10006")),
            "lookup",
            Role.LOOKUP,
            "N124F03AR35B",
            Confidence.HIGH,
            id="lookup",
        ),
        pytest.param(
            command(b'<Nat version="1"><Cmd id="7"/></Nat>'),
            "command 7",
            Role.UNKNOWN,
            None,
            Confidence.HIGH,
            id="other-command",
        ),
        pytest.param(
            command(b'<Nat version="1"></Nat>'),
            "command unknown",
            Role.UNKNOWN,
            None,
            Confidence.HIGH,
            id="no-command",
        ),
        pytest.param(
            command(bytes(80), DATA_HEAD), "data", Role.MEDIA, None, Confidence.HIGH, id="data"
        ),
    ],
)
def test_messages_have_a_role(
    payload: bytes, name: str, role: Role, serial: str | None, confidence: Confidence
) -> None:
    found = read_tvt_nat(payload)
    assert found is not None
    assert (found.message, found.role, found.device_id) == (name, role, serial)
    assert found.confidence is confidence


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(HANDSHAKE + b"\0", id="trailing-byte"),
        pytest.param(HANDSHAKE[:24] + bytes(4), id="no-mark"),
        pytest.param(b"\3" + HANDSHAKE[1:], id="other-leg"),
        pytest.param(HEAD[:1] + b"\7" + CONNECT[2:], id="other-kind"),
        pytest.param(command(b"hello world"), id="no-xml"),
        pytest.param(command(bytes(80), DATA_HEAD) + b"\0", id="data-with-trailing-byte"),
        pytest.param(HANDSHAKE[:2] + b"\0\1" + HANDSHAKE[4:], id="other-head"),
    ],
)
def test_what_does_not_fit_is_not_autonat(payload: bytes) -> None:
    assert read_tvt_nat(payload) is None


@pytest.mark.parametrize("end", range(len(CONNECT)))
def test_a_cut_command_is_not_autonat(end: int) -> None:
    assert read_tvt_nat(CONNECT[:end]) is None


@given(st.binary(max_size=80))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    read_tvt_nat(payload)
    read_tvt_nat(b"\2\1\1\0" + payload)
    read_tvt_nat(command(b"<Nat version=" + payload))


def test_noise_is_not_autonat() -> None:
    assert [payload for payload in noise(11, 200_000) if read_tvt_nat(payload)] == []
