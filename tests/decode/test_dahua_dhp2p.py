"""DHP2P: whose serial number goes to which server, and which ends are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise import noise

from egressd.decode.dahua_dhp2p import BAD_REQUEST_LINE, read_dahua_dhp2p
from egressd.decode.p2p import Confidence, Part, Peer, Role
from egressd.model import DecodeError

SERIAL = "1A2B3C4PAZ00001"
# as published client code sends it
PROBE = b"DHGET /probe/p2psrv HTTP/1.1\r\nCSeq: 1\r\n\r\n"
TOKEN = (
    b'Authorization: WSSE profile="UsernameToken"\r\n'
    b'X-WSSE: UsernameToken Username="P2PClient", PasswordDigest="x", Nonce="1", Created="y"\r\n'
)


def request(method: str, path: str, body: str = "", *, headers: bytes = b"CSeq: 7\r\n") -> bytes:
    return f"{method} {path} HTTP/1.1\r\n".encode() + headers + b"\r\n" + body.encode()


def answer(status: str, body: str = "", *, headers: bytes = b"CSeq: 7\r\n") -> bytes:
    return f"HTTP/1.1 {status}\r\n".encode() + headers + b"\r\n" + body.encode()


@pytest.mark.parametrize(
    ("payload", "name", "role", "serial"),
    [
        pytest.param(PROBE, "DHGET /probe/p2psrv", Role.LOOKUP, None, id="probe"),
        pytest.param(
            request("DHGET", f"/online/p2psrv/{SERIAL}", headers=b"CSeq: 2\r\n" + TOKEN),
            "DHGET /online/p2psrv/{serial}",
            Role.LOOKUP,
            SERIAL,
            id="server",
        ),
        pytest.param(
            request("DHGET", f"/probe/device/{SERIAL}"),
            "DHGET /probe/device/{serial}",
            Role.LOOKUP,
            SERIAL,
            id="device",
        ),
        pytest.param(
            request("DHGET", "/online/relay"), "DHGET /online/relay", Role.RELAY, None, id="relay"
        ),
        pytest.param(
            request("DHPOST", "/relay/start/abc1", "<body><Client>:0</Client></body>"),
            "DHPOST /relay/start/{token}",
            Role.RELAY,
            None,
            id="relay-start",
        ),
        pytest.param(
            request("DHPOST", f"/device/{SERIAL}/p2p-channel"),
            "DHPOST /device/{serial}/p2p-channel",
            Role.PUNCH,
            SERIAL,
            id="channel",
        ),
        pytest.param(
            request("POST", f"/device/{SERIAL}/p2p-channel"),
            "POST /device/{serial}/p2p-channel",
            Role.PUNCH,
            SERIAL,
            id="channel-without-dh",
        ),
        pytest.param(
            request("DHPOST", f"/device/{SERIAL}/beat"),
            "DHPOST /device/{serial}/beat",
            Role.UNKNOWN,
            SERIAL,
            id="of-the-device",
        ),
        pytest.param(
            request("DHPOST", "/other"), "DHPOST /other", Role.UNKNOWN, None, id="unknown-path"
        ),
    ],
)
def test_requests_tell_role_and_serial(
    payload: bytes, name: str, role: Role, serial: str | None
) -> None:
    found = read_dahua_dhp2p(payload)
    assert found is not None
    assert (found.message, found.role, found.device_id) == (name, role, serial)
    assert found.confidence is Confidence.HIGH


def test_a_channel_request_tells_the_address_on_site() -> None:
    body = (
        "<body><LocalAddr>192.168.1.5:40000</LocalAddr><PubAddr>198.51.100.4:4000</PubAddr></body>"
    )
    found = read_dahua_dhp2p(request("DHPOST", f"/device/{SERIAL}/p2p-channel", body))
    assert found is not None
    assert found.peers == (
        Peer("192.168.1.5", 40000, Part.SELF),
        Peer("198.51.100.4", 4000, Part.PEER),
    )


@pytest.mark.parametrize(
    ("payload", "name", "confidence", "peers"),
    [
        pytest.param(answer("100 Trying"), "100 Trying", Confidence.MEDIUM, (), id="trying"),
        pytest.param(answer("404"), "404", Confidence.MEDIUM, (), id="no-words"),
        pytest.param(
            answer("200 OK", "<body><US>198.51.100.7:8800</US></body>"),
            "200 OK",
            Confidence.HIGH,
            (Peer("198.51.100.7", 8800, Part.SERVER),),
            id="server",
        ),
        pytest.param(
            answer("200 OK", "<body><Token>1</Token><Agent>198.51.100.8:27077</Agent></body>"),
            "200 OK",
            Confidence.HIGH,
            (Peer("198.51.100.8", 27077, Part.RELAY),),
            id="relay",
        ),
        pytest.param(
            answer("200 OK", "<body><LocalAddr>bm90aGluZw==</LocalAddr></body>"),
            "200 OK",
            Confidence.HIGH,
            (),
            id="encrypted-address",
        ),
        pytest.param(
            answer("200 OK", "<body><PubAddr>999.1.1.1:1</PubAddr></body>"),
            "200 OK",
            Confidence.HIGH,
            (),
            id="no-address",
        ),
        pytest.param(
            answer("200 OK", "<body>" + "<US>198.51.100.7:8800</US>" * 20 + "</body>"),
            "200 OK",
            Confidence.HIGH,
            (Peer("198.51.100.7", 8800, Part.SERVER),) * 8,
            id="many",
        ),
    ],
)
def test_answers_name_servers_and_relays(
    payload: bytes, name: str, confidence: Confidence, peers: tuple[Peer, ...]
) -> None:
    found = read_dahua_dhp2p(payload)
    assert found is not None
    assert (found.message, found.confidence, found.peers) == (name, confidence, peers)


SSDP = b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nST: upnp:rootdevice\r\n\r\n"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(SSDP, id="ssdp-answer"),
        pytest.param(b"HTTP/1.1 2000 OK\r\nCSeq: 1\r\n\r\n", id="odd-status"),
        pytest.param(request("GET", "/index.html"), id="web-page"),
        pytest.param(request("GET", "/probe/p2psrv", headers=b""), id="no-counter"),
        pytest.param(b"GET / HTTP/3\r\nCSeq: 1\r\n\r\n", id="odd-version"),
        pytest.param(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", id="rtsp"),
        pytest.param(b"DHCP /probe/p2psrv HTTP/1.1\r\n", id="other-word"),
        pytest.param(b"", id="empty"),
    ],
)
def test_other_texts_are_not_dhp2p(payload: bytes) -> None:
    assert read_dahua_dhp2p(payload) is None


def test_the_token_alone_marks_a_plain_request() -> None:
    found = read_dahua_dhp2p(request("GET", "/online/relay", headers=TOKEN))
    assert found is not None
    assert found.role is Role.RELAY


@pytest.mark.parametrize("end", range(len(PROBE)))
def test_a_cut_request_is_broken_or_unmarked(end: int) -> None:
    cut = PROBE[:end]
    if end < len("DHGET "):
        assert read_dahua_dhp2p(cut) is None
    elif end < len("DHGET /probe/p2psrv HTTP/1.1"):
        with pytest.raises(DecodeError, match=BAD_REQUEST_LINE):
            read_dahua_dhp2p(cut)
    else:
        assert read_dahua_dhp2p(cut) is not None


def test_bytes_behind_the_headers_change_nothing() -> None:
    assert read_dahua_dhp2p(PROBE + b"x") == read_dahua_dhp2p(PROBE)


@given(st.binary(max_size=200), st.sampled_from([b"", b"DHGET ", b"DHPOST /", b"HTTP/1.1 200"]))
def test_never_fails_on_any_bytes(payload: bytes, start: bytes) -> None:
    try:
        read_dahua_dhp2p(start + payload)
    except DecodeError as error:
        assert error.reason == BAD_REQUEST_LINE  # noqa: PT017 - a look at both answers


def test_noise_is_not_dhp2p() -> None:
    assert [payload for payload in noise(5, 200_000) if read_dahua_dhp2p(payload)] == []
