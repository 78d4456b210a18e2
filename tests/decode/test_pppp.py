"""PPPP: who registers, who is asked for, where the viewer is, and what is not PPPP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.p2p import Confidence, P2pMessage, Part, Peer, Role
from egressd.decode.pppp import ObfuscatedTrail, read_did, read_pppp

DID = b"ABCD\0\0\0\0" + (123456).to_bytes(4, "big") + b"EFGHJ\0\0\0"
# family BE16, port LE16, address backwards, 8 reserved: 192.0.2.7:25508
ADDRESS = bytes.fromhex("0002a463070200c0") + bytes(8)

# intl-iot__yi_camera_sample.pcap, frames 196 (without its last 52 bytes), 200, 195, 40 and 271
YI_LOGIN = bytes.fromhex(
    "f1140068544e5055534145000003784a4453454c4400000002d2020f0002a463cc0aa8c0000000000000000031353536"
    "3332393338313936313a476949325564475355614d62765866706d31394543373844"
).ljust(108, b"\0")
YI_HELLO_ACK = bytes.fromhex("f10100100002a463f8e30a810000000000000000")
YI_NOTIFY = bytes.fromhex("f1310014544e5055534145000003784a4453454c44000000")
YI_PUNCH = bytes.fromhex("f1410018544e5055534145000003784a4453454c44000000d2020f00")
YI_E5 = bytes.fromhex("f1e50008000000b400000000")
YI_ID = "TNPUSAE-227402-DSELD"


def message(number: int, rest: bytes) -> bytes:
    return bytes((0xF1, number)) + len(rest).to_bytes(2, "big") + rest


LOGIN = message(0x10, DID + bytes.fromhex("01030500") + ADDRESS)


def test_a_yi_camera_registers() -> None:
    assert read_pppp(YI_LOGIN) == P2pMessage(
        "pppp",
        "DEV_LGN_KEY",
        Role.REGISTRATION,
        Confidence.HIGH,
        YI_ID,
        (Peer("192.168.10.204", 25508, Part.SELF),),
    )


def test_the_server_tells_where_it_sees_the_camera() -> None:
    found = read_pppp(YI_HELLO_ACK)
    assert found is not None
    assert found.peers == (Peer("129.10.227.248", 25508, Part.MAPPED),)


@pytest.mark.parametrize(
    ("payload", "name", "role", "did"),
    [
        pytest.param(YI_NOTIFY, "LAN_NOTIFY", Role.LAN, YI_ID, id="notify"),
        pytest.param(YI_PUNCH, "PUNCH_PKT", Role.PUNCH, YI_ID, id="punch"),
        pytest.param(YI_E5, "0xE5", Role.UNKNOWN, None, id="e5"),
        pytest.param(LOGIN, "DEV_LGN", Role.REGISTRATION, "ABCD-123456-EFGHJ", id="login"),
        pytest.param(message(0x12, bytes(44)), "DEV_LGN_CRC", Role.REGISTRATION, None, id="crc"),
        pytest.param(message(0x16, bytes(68)), "DEV_LGN_DSK", Role.REGISTRATION, None, id="dsk"),
        pytest.param(
            message(0x20, DID + ADDRESS), "P2P_REQ", Role.LOOKUP, "ABCD-123456-EFGHJ", id="request"
        ),
        pytest.param(
            message(0x83, bytes(4) + DID + bytes(4)),
            "RLY_PKT",
            Role.RELAY,
            "ABCD-123456-EFGHJ",
            id="relay-packet",
        ),
        pytest.param(
            message(0x91, DID), "SDEV_LGN", Role.RELAY, "ABCD-123456-EFGHJ", id="super-node"
        ),
    ],
)
def test_messages_have_a_role_and_an_id(
    payload: bytes, name: str, role: Role, did: str | None
) -> None:
    found = read_pppp(payload)
    assert found is not None
    assert (found.message, found.role, found.device_id) == (name, role, did)
    assert found.confidence is Confidence.HIGH


@pytest.mark.parametrize(
    ("payload", "peers"),
    [
        pytest.param(message(0x40, ADDRESS), [Part.PEER], id="viewer"),
        pytest.param(message(0x80, DID + ADDRESS + bytes(4)), [Part.RELAY], id="relay-request"),
        pytest.param(message(0x82, ADDRESS + bytes(4)), [Part.RELAY], id="relay-to"),
        pytest.param(message(0x69, b"\x02\0\0\0" + ADDRESS * 2), [Part.RELAY] * 2, id="relay-list"),
        pytest.param(message(0x40, bytes(16)), [], id="no-family"),
        pytest.param(message(0x40, b"\0\2" + bytes(14)), [], id="nobody"),
    ],
)
def test_messages_reveal_the_other_ends(payload: bytes, peers: list[Part]) -> None:
    found = read_pppp(payload)
    assert found is not None
    assert found.peers == tuple(Peer("192.0.2.7", 25508, part) for part in peers)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(message(0x00, b""), id="hello"),
        pytest.param(message(0x30, b""), id="lan-search"),
        pytest.param(message(0xE0, b""), id="alive"),
        pytest.param(message(0x69, bytes(4) + ADDRESS + bytes(16)), id="list-of-something"),
        pytest.param(message(0x69, bytes(4) + ADDRESS + bytes(3)), id="odd-list"),
        pytest.param(message(0x61, bytes(7)), id="size-unknown"),
    ],
)
def test_type_and_length_alone_are_a_weak_sign(payload: bytes) -> None:
    found = read_pppp(payload)
    assert found is not None
    assert found.confidence is Confidence.LOW


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(b"\0\1\2\3", None, id="unknown"),
        pytest.param(b"\x99\x99\x99\x99", "CamHi", id="camhi"),
        pytest.param(
            b"\x01\x0a\0\0GET /a.cgi?loginuse=admin&loginpas=x",
            "VStarcam CGI, password in clear",
            id="password",
        ),
        pytest.param(b"GET /a.cgi?loginpas=x", "password in clear", id="password-only"),
    ],
)
def test_a_session_tells_its_vendor_s_language(data: bytes, detail: str | None) -> None:
    found = read_pppp(message(0xD0, bytes.fromhex("d1000000") + data))
    assert found is not None
    assert (found.role, found.detail) == (Role.MEDIA, detail)


def test_an_acknowledgement_counts_what_it_acknowledges() -> None:
    good = message(0xD1, bytes.fromhex("d1000002 0001 0002"))
    found = read_pppp(good)
    assert found is not None
    assert found.role is Role.KEEPALIVE
    assert read_pppp(message(0xD1, bytes.fromhex("d1000003 0001 0002"))) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(message(0xD0, bytes.fromhex("d2000000")), id="no-mark"),
        pytest.param(message(0xD0, bytes.fromhex("d1080000")), id="channel-eight"),
        pytest.param(message(0xD0, b"\xd1"), id="short-data"),
        pytest.param(message(0xDD, b""), id="unknown-type"),
        pytest.param(message(0x10, bytes(40)), id="no-did"),
        pytest.param(message(0x10, DID), id="wrong-size"),
        pytest.param(b"\xf2" + LOGIN[1:], id="other-magic"),
        pytest.param(LOGIN + b"\0", id="trailing-byte"),
    ],
)
def test_what_does_not_fit_is_not_pppp(payload: bytes) -> None:
    assert read_pppp(payload) is None


@pytest.mark.parametrize("end", range(len(LOGIN)))
def test_a_cut_message_is_not_pppp(end: int) -> None:
    assert read_pppp(LOGIN[:end]) is None


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(DID[:19], id="cut"),
        pytest.param(b"abcd" + DID[4:], id="small-letters"),
        pytest.param(b"AB\0D" + DID[4:], id="text-behind-zero"),
        pytest.param(DID[:8] + b"\xff" + DID[9:], id="serial-too-great"),
        pytest.param(DID[:12] + bytes(8), id="no-check-code"),
    ],
)
def test_an_odd_field_is_no_did(field: bytes) -> None:
    assert read_did(field) is None


HELLO = bytes.fromhex("5a3c7711")  # what HELLO may become in a network with a key of its own


def test_an_encrypted_network_shows_by_its_sizes() -> None:
    trail = ObfuscatedTrail()
    assert trail.follow(HELLO, 32100) is None
    found = trail.follow(bytes(48), 32100)
    assert found is not None
    assert (found.protocol, found.confidence) == ("pppp-obfuscated", Confidence.MEDIUM)
    assert trail.follow(bytes(48), 32100) is None


def test_an_encrypted_hello_without_answer_shows_the_third_time() -> None:
    trail = ObfuscatedTrail()
    assert [trail.follow(HELLO, 32100) for _ in range(2)] == [None, None]
    found = trail.follow(HELLO, 32100)
    assert found is not None
    assert found.confidence is Confidence.LOW


@pytest.mark.parametrize(
    ("payloads", "port"),
    [
        pytest.param([HELLO] * 4, 32101, id="other-port"),
        pytest.param([b"\xf1\0\0\0"] * 4, 32100, id="clear"),
        pytest.param([b"abcd", b"abce", b"abcf", b"abcd"], 32100, id="different"),
        pytest.param([bytes(44)], 32100, id="no-hello-before"),
        pytest.param([HELLO, bytes(45), b"\xf1" + bytes(43)], 32100, id="other-size"),
    ],
)
def test_other_talk_is_no_encrypted_network(payloads: list[bytes], port: int) -> None:
    trail = ObfuscatedTrail()
    assert [trail.follow(payload, port) for payload in payloads] == [None] * len(payloads)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xf1\x10", b"\xf1\xd0", b"\xf1\x69"]))
def test_never_fails_on_any_bytes(payload: bytes, start: bytes) -> None:
    read_pppp(start + payload)
    rest = len(payload).to_bytes(2, "big")
    read_pppp(start + rest + payload)


def test_noise_is_not_pppp() -> None:
    found = [read_pppp(payload) for payload in noise(1, 200_000)]
    sure = [message for message in found if message and message.confidence is not Confidence.LOW]
    assert sure == []
    # "Type, zero, length of the rest" in six thousand of them fits the types of any size.
    assert sum(message is not None for message in found) <= 5
