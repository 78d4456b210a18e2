"""All P2P decoders together: who is asked, what is believed, and what nobody takes for his own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from timeit import repeat

import pytest
from noise import datagrams_of, noise
from test_dahua_dhp2p import PROBE
from test_dahua_dhp2p import answer as dhp2p_answer
from test_dahua_istun import REQUEST as ISTUN
from test_dahua_ptcp import BIND
from test_hik_p2p3 import PUBLISHED as P2P3
from test_hik_stun import REQUEST as HIK_STUN
from test_ilnk import AWAKE
from test_kalay import SEARCH as KALAY
from test_kalay_cc51 import DISCOVERY as CC51
from test_miio import ANSWER as MIIO
from test_pppp import ADDRESS, HELLO, LOGIN, YI_LOGIN, message
from test_reolink_bcudp import PUBLISHED as REOLINK
from test_tplink_smarthome import SEARCH as TDP_SEARCH
from test_tplink_smarthome import TELL, masked
from test_tuya import BROADCAST, SEARCH
from test_tvt_nat import ACK, CONNECT, HANDSHAKE

from egressd.decode.dissector import Conversation, Fact, read_datagram
from egressd.decode.kalay import read_kalay
from egressd.decode.p2p import Confidence, P2pMessage
from egressd.decode.p2pdatagram import MAX_TOLD, READERS, P2pTrail, read_p2p_datagram
from egressd.model import DecodeError

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "pcaps"
PORTS = (40000, 50000)

SAMPLES = {
    "pppp": LOGIN,
    "pppp-yi": YI_LOGIN,
    "ilnk": AWAKE,
    "kalay": KALAY,
    "kalay-cc51": CC51,
    "dahua-dhp2p": PROBE,
    "dahua-dhp2p-answer": dhp2p_answer("200 OK", "<body></body>"),
    "dahua-dhp2p-trying": dhp2p_answer("100 Trying"),
    "dahua-istun": ISTUN,
    "dahua-ptcp": BIND,
    "hik-stun": HIK_STUN,
    "hik-p2p3": P2P3,
    "reolink-bcudp": REOLINK,
    "tvt-nat": HANDSHAKE,
    "tvt-nat-command": CONNECT,
    "tuya": BROADCAST,
    "tuya-35": SEARCH,
    "miio": MIIO,
    "tplink-smarthome": masked(TELL),
    "tplink-smarthome-search": TDP_SEARCH,
}


def label_of(facts: list[Fact]) -> str | None:
    return facts[0].protocol if facts else None


@pytest.mark.parametrize("name", SAMPLES)
def test_a_flow_is_labelled_by_bytes_and_not_by_port(name: str) -> None:
    """Through the dissector, whose other readers could take the message for their own."""
    conversation = Conversation()
    for side, ports in ((0, PORTS), (1, PORTS[::-1])):
        facts = read_datagram(conversation, side, SAMPLES[name], ports)
        if side == 0:
            label = label_of(facts)
            assert label is not None
            assert name.startswith(label)
            assert isinstance(facts[0].message, P2pMessage)
            assert facts[0].message.confidence is not Confidence.LOW
    assert conversation.protocols == [label]


def test_a_message_is_told_once_a_flow() -> None:
    conversation = Conversation()
    facts = [read_datagram(conversation, 0, LOGIN, PORTS)[0] for _ in range(3)]
    assert [fact.again for fact in facts] == [False, True, True]


def test_what_a_flow_told_is_bounded_and_nothing_is_kept_back() -> None:
    trail = P2pTrail()
    for number in range(10 * MAX_TOLD):
        found = read_p2p_datagram(message(0x40, ADDRESS[:2] + number.to_bytes(2) + ADDRESS[4:]), ())
        assert found is not None
        assert trail.is_news(found)
        assert len(trail.told) <= MAX_TOLD


@pytest.mark.parametrize(
    ("payload", "ports", "known", "label"),
    [
        pytest.param(b"\xf1\0\0\0", PORTS, (), None, id="hello-anywhere"),
        pytest.param(b"\xf1\0\0\0", (40000, 32100), (), "pppp", id="hello-to-its-port"),
        pytest.param(b"\xf1\xe0\0\0", PORTS, ("pppp",), "pppp", id="alive-in-its-flow"),
        pytest.param(b"\xf1\xe0\0\0", PORTS, ("ilnk",), "ilnk", id="alive-of-the-sibling"),
        pytest.param(LOGIN, PORTS, ("ilnk",), "ilnk", id="the-flow-s-name-stays"),
        pytest.param(ACK, PORTS, (), None, id="autonat-ack-anywhere"),
        pytest.param(ACK, (8989, 40000), (), "tvt-nat", id="autonat-ack-from-its-port"),
        pytest.param(bytes.fromhex("aaaa0000"), (40000, 2000), (), "reolink-bcudp", id="search"),
        pytest.param(b"", PORTS, (), None, id="empty"),
    ],
)
def test_a_weak_sign_needs_its_port_or_its_flow(
    payload: bytes, ports: tuple[int, int], known: tuple[str, ...], label: str | None
) -> None:
    found = read_p2p_datagram(payload, ports, known)
    assert (found.protocol if found else None) == label
    assert found is None or found.confidence is not Confidence.LOW


def test_an_encrypted_network_is_labelled() -> None:
    conversation = Conversation()
    assert read_datagram(conversation, 0, HELLO, (40000, 32100)) == []
    facts = read_datagram(conversation, 0, bytes(range(48)), (40000, 32100))
    assert label_of(facts) == "pppp-obfuscated"
    assert read_datagram(conversation, 1, HELLO, (32100, 40000)) == []
    assert conversation.protocols == ["pppp-obfuscated"]


def test_broken_messages_are_errors_of_their_protocol() -> None:
    with pytest.raises(DecodeError) as caught:
        read_datagram(Conversation(), 0, REOLINK[:-1] + b"\0", PORTS)
    assert caught.value.protocol == "reolink-bcudp"


def test_no_noise_is_recognised() -> None:
    """Two hundred thousand: what is sure must be sure, and weak signs count nowhere here."""
    found: Counter[str] = Counter()
    for payload in noise(20, 200_000):
        message = read_p2p_datagram(payload, PORTS)
        if message is not None:
            found[message.protocol] += 1
    assert found == {}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_first_bytes_alone_convince_nobody(name: str) -> None:
    """As if every other protocol began with a sample's first two bytes."""
    start = SAMPLES[name][:2]
    random = Random(21)  # noqa: S311 - repeatable, not secret
    found = 0
    for _ in range(5_000):
        try:
            message = read_p2p_datagram(start + random.randbytes(random.randint(0, 200)), PORTS)
        except DecodeError:
            continue
        found += message is not None
    assert found == 0


@pytest.mark.parametrize("name", SAMPLES)
def test_one_wrong_byte_makes_no_other_protocol(name: str) -> None:
    sample = SAMPLES[name]
    for place in range(len(sample)):
        payload = sample[:place] + bytes((sample[place] ^ 0x5A,)) + sample[place + 1 :]
        try:
            message = read_p2p_datagram(payload, PORTS)
        except DecodeError as error:
            label = error.protocol
        else:
            label = message.protocol if message else name
        assert name.startswith(label)


def test_a_payload_of_none_costs_less_than_two_microseconds() -> None:
    """The best of five, so that a busy machine does not fail it."""
    payloads = [payload for payload in noise(22, 2_000) if payload[0] not in READERS]
    assert len(payloads) > 1_000

    def read_all() -> None:
        for payload in payloads:
            read_p2p_datagram(payload, PORTS, ())

    seconds = min(repeat(read_all, number=1, repeat=5)) / len(payloads)
    assert seconds < 2e-6 * 4  # the suite may run under coverage


# Captures that hold a P2P protocol, and the addresses' labels in them.
HOLDERS = {
    "intl-iot__yi_camera_sample.pcap": {"pppp"},
    "nDPI__tuya_lp.pcap": {"tuya"},
    "shfw__tuya-motion__no-firewall__wan.pcap": {"tuya"},
    "toolsaf__test.pcap": {"tuya"},
}


def labels_in(path: Path) -> set[str]:
    """Return what the datagrams of a capture are taken for, each flow by itself."""
    known: dict[tuple[object, ...], list[str]] = {}
    labels = set()
    for datagram in datagrams_of(path):
        ports = (datagram.sport, datagram.dport)
        flow = known.setdefault(tuple(sorted(ports)), [])
        try:
            message = read_p2p_datagram(bytes(datagram.data), ports, flow)
        except DecodeError as error:
            labels.add(f"broken {error.protocol}")
            continue
        if message is not None:
            flow.append(message.protocol)
            labels.add(message.protocol)
    return labels


@pytest.mark.shared
def test_in_other_people_s_captures_only_the_known_ones_are_recognised() -> None:
    found = {}
    for path in sorted(SHARED.glob("*.pcap*")):
        try:
            labels = labels_in(path)
        except ValueError:  # not a capture that dpkt reads
            continue
        if labels:
            found[path.name] = labels
    assert found == HOLDERS


# The generator's, which say so in pcaps/SOURCES.md; of others the name begins with the label.
OWN_HOLDERS = {"refused-icmp.pcapng": {"dahua-dhp2p"}} | {
    f"{name}.{kind}": {"pppp"}
    for kind, names in {
        "pcap": "in-ipip in-mpls in-qinq in-vlan snaplen",
        "pcapng": "demo mirror-copies mirror-copies-routed mirror-copies-tagged mirror-loss "
        "mirror-one-way-in mirror-one-way-out p2p-answered p2p-unanswered",
    }.items()
    for name in names.split()
}


def test_in_our_own_captures_only_the_known_ones_are_recognised() -> None:
    found = {path.name: labels_in(path) for path in sorted((ROOT / "pcaps").glob("*.pcap*"))}
    assert {name: found[name] for name in OWN_HOLDERS} == OWN_HOLDERS
    for name in found.keys() - OWN_HOLDERS.keys():
        assert all(name.startswith(label) for label in found[name])


@pytest.mark.shared
def test_the_yi_camera_s_session_is_one_protocol() -> None:
    """Every datagram that begins as PPPP does is one of a known type and size."""
    names: Counter[str] = Counter()
    for datagram in datagrams_of(SHARED / "intl-iot__yi_camera_sample.pcap"):
        payload = bytes(datagram.data)
        found = read_p2p_datagram(payload, (datagram.sport, datagram.dport), ("pppp",))
        assert (found is not None) == payload.startswith(b"\xf1")
        if found is not None:
            names[found.message] += 1
    assert names["DRW"] == 974
    assert names["DEV_LGN_KEY"] == names["DEV_LGN_KEY_ACK"] == 6


def test_every_reader_is_asked_by_first_bytes_only() -> None:
    assert read_kalay not in {reader for row in READERS.values() for reader in row}
    assert all(0 <= first <= 0xFF for first in READERS)
