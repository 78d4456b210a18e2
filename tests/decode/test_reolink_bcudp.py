"""BcUDP: the XML under the mask, and what carries the session."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.p2p import Confidence, Part, Peer, Role
from egressd.decode.reolink_bcudp import BAD_CHECKSUM, read_reolink_bcudp, unmask
from egressd.model import DecodeError

# The header of a published sample (Neolink's); its XML is the one that fits size and checksum.
PUBLISHED_HEADER = bytes.fromhex("3acf872a66000000010000004d040000de1e5731")
PUBLISHED_XML = (
    b"<P2P>\n<C2D_T>\n<sid>62098713</sid>\n<conn>local</conn>\n<cid>82001</cid>\n"
    b"<mtu>1350</mtu>\n</C2D_T>\n</P2P>\n"
)
PUBLISHED = PUBLISHED_HEADER + unmask(PUBLISHED_XML, 1101)
UID = "952700012ABCDEFG"


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def discovery(xml: str, *, transaction: int = 0xFFFFFF00) -> bytes:
    masked = unmask(xml.encode(), transaction)
    checksum = crc32(masked, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return b"\x3a\xcf\x87\x2a" + words(len(masked), 1, transaction, checksum) + masked


DATA = b"\x10\xcf\x87\x2a" + words(7, 0, 3, 5) + b"hello"
ACK = b"\x20\xcf\x87\x2a" + words(7, 0, 0, 3, 0, 2) + b"\1\1"


def test_a_published_sample_is_read() -> None:
    found = read_reolink_bcudp(PUBLISHED)
    assert found is not None
    assert (found.message, found.role, found.detail) == ("C2D_T", Role.PUNCH, "local")
    assert found.confidence is Confidence.HIGH


@pytest.mark.parametrize(
    ("tag", "role"),
    [
        ("C2M_Q", Role.LOOKUP),
        ("M2C_Q_R", Role.LOOKUP),
        ("C2R_C", Role.PUNCH),
        ("D2M_Q", Role.REGISTRATION),
        ("R2D_T", Role.REGISTRATION),
        ("D2R_HB", Role.KEEPALIVE),
        ("C2D_DISC", Role.CONTROL),
        ("C2D_S", Role.LAN),
        ("D2C_C_R", Role.PUNCH),
        ("X2Y_Z", Role.UNKNOWN),
    ],
)
def test_the_tag_tells_who_speaks_to_whom(tag: str, role: Role) -> None:
    found = read_reolink_bcudp(discovery(f"<P2P><{tag}><uid>{UID}</uid></{tag}></P2P>"))
    assert found is not None
    assert (found.message, found.role, found.device_id) == (tag, role, UID)


def test_the_master_s_answer_names_the_servers() -> None:
    inner = "".join(
        f"<{tag}><ip>198.51.100.{host}</ip><port>58200</port></{tag}>"
        for host, tag in enumerate(("reg", "relay", "dmap", "cli"), 1)
    )
    nobody = "<log><ip>0.0.0.0</ip><port>0</port></log>"
    found = read_reolink_bcudp(discovery(f"<P2P><M2C_Q_R>{inner}{nobody}</M2C_Q_R></P2P>"))
    assert found is not None
    assert found.peers == tuple(
        Peer(f"198.51.100.{host}", 58200, part)
        for host, part in enumerate((Part.SERVER, Part.RELAY, Part.PEER, Part.SELF), 1)
    )


def test_what_is_no_xml_is_still_a_discovery() -> None:
    found = read_reolink_bcudp(discovery("hello"))
    assert found is not None
    assert (found.message, found.role) == ("discovery", Role.UNKNOWN)


@pytest.mark.parametrize(
    ("payload", "name", "role", "confidence"),
    [
        pytest.param(DATA, "data", Role.MEDIA, Confidence.HIGH, id="data"),
        pytest.param(ACK, "acknowledgement", Role.KEEPALIVE, Confidence.HIGH, id="ack"),
        pytest.param(
            b"\x31\xcf\x87\x2a" + words(4, 1, 2, 3) + bytes(4),
            "relayed",
            Role.RELAY,
            Confidence.MEDIUM,
            id="relayed",
        ),
        pytest.param(
            bytes.fromhex("aaaa0000"), "LAN search", Role.LAN, Confidence.LOW, id="search"
        ),
    ],
)
def test_sessions_are_known_by_their_headers(
    payload: bytes, name: str, role: Role, confidence: Confidence
) -> None:
    found = read_reolink_bcudp(payload)
    assert found is not None
    assert (found.message, found.role, found.confidence) == (name, role, confidence)


def test_a_wrong_checksum_is_an_error() -> None:
    with pytest.raises(DecodeError, match=BAD_CHECKSUM):
        read_reolink_bcudp(PUBLISHED[:-1] + b"\0")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(PUBLISHED + b"\0", id="trailing-byte"),
        pytest.param(DATA + b"\0", id="data-with-trailing-byte"),
        pytest.param(ACK + b"\0", id="ack-with-trailing-byte"),
        pytest.param(ACK[:24], id="cut-ack"),
        pytest.param(DATA[:8] + b"\1" + DATA[9:], id="data-without-zero"),
        pytest.param(b"\x44" + DATA[1:], id="unknown-kind"),
        pytest.param(b"\x3a\xcf\x87\x2b" + PUBLISHED[4:], id="other-magic"),
    ],
)
def test_what_does_not_fit_is_not_bcudp(payload: bytes) -> None:
    assert read_reolink_bcudp(payload) is None


@pytest.mark.parametrize("end", range(len(PUBLISHED)))
def test_a_cut_message_is_not_bcudp(end: int) -> None:
    assert read_reolink_bcudp(PUBLISHED[:end]) is None


@given(st.text(max_size=80), st.binary(max_size=60))
def test_never_fails_on_any_bytes(xml: str, payload: bytes) -> None:
    assert read_reolink_bcudp(discovery(f"<P2P><{xml}")) is not None
    for kind in (b"\x10", b"\x20", b"\x31"):
        read_reolink_bcudp(kind + b"\xcf\x87\x2a" + payload)


def test_noise_is_not_bcudp() -> None:
    assert [payload for payload in noise(10, 200_000) if read_reolink_bcudp(payload)] == []
