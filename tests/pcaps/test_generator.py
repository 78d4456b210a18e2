"""The captures are reproducible and valid, and their truth agrees with dpkt and tshark."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import dpkt
import pytest
from frames import batch_of, camera, pcap_of
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.config import load_site
from pcaps.generator import wire
from pcaps.generator.bench import KINDS, Order, write_bench
from pcaps.generator.carriers import CARRIERS
from pcaps.generator.collect import FOLDER, make
from pcaps.generator.scenarios.registry import SCENARIOS, Scenario, faultless
from pcaps.generator.scenarios.views import mixture

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(SCENARIOS)
STAGES = ["attempt", "connected", "payload", "transfer", "media"]
KINDS_OF_FINDING = {
    "attempt",
    "cloud",
    "foreign-resolver",
    "foreign-time-server",
    "inbound",
    "lookup",
    "unlisted",
}


def truth_of(name: str) -> dict[str, Any]:
    """Return the committed truth of a scenario."""
    text = (FOLDER / "truth" / f"{name}.json").read_text(encoding="utf-8")
    truth: dict[str, Any] = json.loads(text)
    return truth


def frames_of(name: str) -> list[bytes]:
    """Return a committed capture's frames, read by dpkt."""
    data = (FOLDER / SCENARIOS[name].file).read_bytes()
    reader = dpkt.pcapng.Reader if data[:4] == b"\x0a\x0d\x0d\x0a" else dpkt.pcap.Reader
    return [frame for _, frame in reader(io.BytesIO(data))]


def finding_of(name: str, kind: str) -> dict[str, Any]:
    """Return the one finding of that kind in a scenario."""
    (found,) = [f for f in truth_of(name)["findings"] if f["kind"] == kind]
    return dict(found)


# --- reproducible


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_committed_bytes(name: str) -> None:
    made = make(SCENARIOS[name])
    assert (FOLDER / SCENARIOS[name].file).read_bytes() == made.capture
    assert truth_of(name) == json.loads(json.dumps(made.truth))
    assert (FOLDER / "sites" / f"{name}.yaml").read_text(encoding="utf-8") == made.site


def test_another_seed_gives_other_bytes() -> None:
    scenario = SCENARIOS["cloud-call"]
    assert make(scenario, "one").capture != make(scenario, "two").capture


def test_every_capture_is_listed_with_its_digest() -> None:
    sources = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.pcap*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in sources, path.name


def test_no_capture_is_there_without_its_scenario() -> None:
    assert {path.name for path in FOLDER.glob("*.pcap*")} == {s.file for s in SCENARIOS.values()}


def test_captures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.pcap*")}
    assert sizes.pop("demo.pcapng") <= 2_000_000
    assert max(sizes.values()) < 500_000
    assert sum(sizes.values()) < 4_000_000


# --- valid


def _checksums_right(packet: bytes) -> bool:
    """Verify an IPv4 or IPv6 packet with dpkt's own sum; fragments have no sum of their own."""
    if packet[0] >> 4 == 6:
        body, protocol = packet[40:], packet[6]
        pseudo = packet[8:40] + len(body).to_bytes(4, "big") + bytes((0, 0, 0, protocol))
    else:
        if dpkt.in_cksum(packet[:20]):
            return False
        if int.from_bytes(packet[6:8], "big") & 0x3FFF:
            return True
        body, protocol = packet[20:], packet[9]
        pseudo = packet[12:20] + bytes((0, protocol)) + len(body).to_bytes(2, "big")
    if protocol not in {1, 6, 17, 58}:
        return True  # a tunnel
    return bool(dpkt.in_cksum((b"" if protocol == wire.Protocol.ICMP else pseudo) + body) == 0)


def _innermost(frame: bytes) -> bytes | None:
    """Return the IP packet of an untagged frame without padding, or None."""
    if frame[12:14] == b"\x08\x00":
        return frame[14 : 14 + int.from_bytes(frame[16:18], "big")]
    if frame[12:14] == b"\x86\xdd":
        return frame[14 : 54 + int.from_bytes(frame[18:20], "big")]
    return None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "snaplen"])
def test_checksums_are_right_and_frames_are_padded(name: str) -> None:
    for number, frame in enumerate(frames_of(name), 1):
        assert len(frame) >= wire.SMALLEST_FRAME, number
        packet = _innermost(frame)
        assert packet is None or _checksums_right(packet), number


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bench_files_are_valid_and_reproducible(kind: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one.pcap", tmp_path / "two.pcap"
    write_bench(Order(kind, 5000, "7"), one)
    write_bench(Order(kind, 5000, "7"), two)
    assert one.read_bytes() == two.read_bytes()
    with one.open("rb") as file:
        frames = [frame for _, frame in dpkt.pcap.Reader(file)]
    assert len(frames) == 5000
    for number, frame in enumerate(frames, 1):
        packet = _innermost(frame)
        assert packet is not None, number
        assert _checksums_right(packet), number


def test_the_site_mix_is_about_1100_bytes_a_frame(tmp_path: Path) -> None:
    size = write_bench(Order("site-mix", 20_000, "7"), tmp_path / "mix.pcap")
    assert 1000 <= size / 20_000 - 16 <= 1200


def test_the_scan_visits_another_address_each_time(tmp_path: Path) -> None:
    path = tmp_path / "scan.pcap"
    write_bench(Order("scan", 20_000, "7"), path)
    with path.open("rb") as file:
        assert len({frame[30:34] for _, frame in dpkt.pcap.Reader(file)}) == 20_000


def test_ten_thousand_cameras_open_as_many_flows_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "cameras.pcap"
    write_bench(Order("ten-thousand-cameras", 20_000, "7", flows=4000), path)
    with path.open("rb") as file:
        knocks = [frame[26:38] for _, frame in dpkt.pcap.Reader(file) if frame[23] == 6]
    assert len(set(knocks)) == 4000


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_the_checksum_agrees_with_dpkt(data: bytes) -> None:
    if any(data):
        assert wire.checksum(data) == dpkt.in_cksum(data)


# --- truth is consistent in itself


@pytest.mark.parametrize("name", NAMES)
def test_totals_are_those_of_the_capture(name: str) -> None:
    totals, frames = truth_of(name)["totals"], frames_of(name)
    assert totals["frames"] == len(frames)
    assert totals["captured_bytes"] == sum(map(len, frames))


@pytest.mark.parametrize("name", NAMES)
def test_flows_add_up_to_the_totals(name: str) -> None:
    truth = truth_of(name)
    ways = [flow[way] for flow in truth["flows"] for way in ("to_other", "to_opener")]
    totals = truth["totals"]
    assert sum(way["frames"] for way in ways) == totals["frames"] - totals["not_ip"]
    for way in ways:
        assert way["packets"] + way["copies"] == way["frames"]
        assert way["bytes"] <= way["wire_bytes"]
        assert way["lost_frames"] >= 0


@pytest.mark.parametrize("name", NAMES)
def test_contacts_and_findings_use_the_contract_s_words(name: str) -> None:
    truth = truth_of(name)
    for contact in truth["contacts"]:
        assert contact["stage"] in STAGES
        assert contact["bytes_out"] >= 60 * contact["packets_out"] or name.startswith("in-")
    assert {finding["kind"] for finding in truth["findings"]} <= KINDS_OF_FINDING


@pytest.mark.parametrize("name", NAMES)
def test_site_files_list_the_cameras_that_truth_calls_listed(name: str) -> None:
    site = load_site(FOLDER / "sites" / f"{name}.yaml")
    listed = {device.name for device in (*site.cameras, *site.recorders)}
    assert {c["name"] for c in truth_of(name)["cameras"] if c["listed"]} <= listed


# --- what single scenarios promise


def test_a_clean_site_has_no_contact_and_no_finding() -> None:
    truth = truth_of("clean-site")
    assert truth["contacts"] == truth["findings"] == []


def test_a_thousand_unanswered_syns_are_one_attempt() -> None:
    (contact,) = truth_of("blocked-retries")["contacts"]
    assert (contact["stage"], contact["packets_out"]) == ("attempt", 1000)
    assert contact["bytes_out"] == 1000 * 74  # Ethernet 14, IP 20, TCP 20 and 20 of options


def test_an_upload_of_200_kb_is_a_transfer_under_its_sni() -> None:
    finding = finding_of("tls-upload", "unlisted")
    assert finding["stage"] == "transfer"
    assert {"name": "upload.camera-cloud.example", "source": "sni"} in finding["names"]


def test_video_pulled_through_a_forwarded_port_is_inbound_media() -> None:
    finding = finding_of("port-forward", "inbound")
    assert (finding["stage"], finding["local_port"]) == ("media", 554)
    (contact,) = truth_of("port-forward")["contacts"]
    assert contact["bytes_out"] > contact["bytes_in"]


def test_a_reset_and_an_icmp_error_leave_an_attempt() -> None:
    assert finding_of("refused-rst", "attempt")["stage"] == "attempt"
    stages = {finding["stage"] for finding in truth_of("refused-icmp")["findings"]}
    assert stages == {"attempt"}


def test_a_permitted_contact_is_no_finding() -> None:
    truth = truth_of("permitted")
    assert [contact["permitted"] for contact in truth["contacts"]] == [True, False]
    assert [finding["kind"] for finding in truth["findings"]] == ["cloud"]


def test_swapped_addresses_keep_bytes_with_the_mac() -> None:
    contacts = truth_of("swapped")["contacts"]
    by_port = {c["destination"]["port"]: (c["camera_mac"], c["flows"]) for c in contacts}
    assert by_port == {9000: ("44:19:b6:a0:00:01", 2), 9001: ("3c:ef:8c:b0:00:02", 2)}


@pytest.mark.parametrize("variant", ["copies", "copies-tagged", "copies-routed"])
def test_copies_do_not_count_twice(variant: str) -> None:
    scenario = SCENARIOS[f"mirror-{variant}"]
    plain = make(replace(scenario, view=faultless)).truth
    copied = make(scenario).truth
    for one, two in zip(plain["flows"], copied["flows"], strict=True):
        for way in ("to_other", "to_opener"):
            assert one[way]["bytes"] == two[way]["bytes"]
            assert one[way]["packets"] == two[way]["packets"]
    assert copied["totals"]["copies"] > 0
    assert [c["stage"] for c in plain["contacts"]] == [c["stage"] for c in copied["contacts"]]


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
def test_a_carrier_leaves_the_innermost_frames_as_they_were(carrier: Any) -> None:
    scenario = SCENARIOS[f"in-{carrier.name}"]
    plain = make(Scenario(scenario.name, "", mixture, faultless)).truth
    carried = make(scenario).truth
    for one, two in zip(plain["flows"], carried["flows"], strict=True):
        for way in ("to_other", "to_opener"):
            assert one[way]["payload_bytes"] == two[way]["payload_bytes"]
            assert one[way]["packets"] == two[way]["packets"]
            # A tunnel that carries the IP packet carries no Ethernet padding.
            lost = one[way]["bytes"] - two[way]["bytes"]
            assert lost == 0 or (carrier.only_ip and 0 < lost <= 14 * one[way]["packets"])
            grown = two[way]["wire_bytes"] - two[way]["bytes"]
            assert grown == carrier.added * two[way]["packets"]


def test_retransmissions_are_counted_and_are_no_copies() -> None:
    truth = truth_of("retransmissions")
    assert truth["totals"]["copies"] == 0
    (upload,) = [flow for flow in truth["flows"] if flow["other"]["port"] == 8090]
    assert upload["to_other"]["retransmitted_bytes"] == 5 * 1448
    assert upload["to_other"]["payload_bytes"] == 60_000 + 5 * 1448
    assert upload["to_opener"]["retransmitted_bytes"] == 1448


def test_a_name_that_the_snaplen_cut_is_not_in_the_truth() -> None:
    sources = {name["source"] for name in truth_of("snaplen")["names"]}
    assert "sni" not in sources


def test_a_mirror_without_answers_leaves_the_lookup_alone() -> None:
    truth = truth_of("mirror-one-way-out")
    assert {lookup["outcome"] for lookup in truth["lookups"]} == {"unanswered"}
    assert finding_of("mirror-one-way-out", "lookup")["names"][0]["name"] == "dev.hik-connect.com"


def test_lost_frames_are_counted() -> None:
    flows = truth_of("mirror-loss")["flows"]
    assert sum(flow[way]["lost_frames"] for flow in flows for way in ("to_other", "to_opener")) > 5


# --- frames in one line


def test_a_frame_is_one_line() -> None:
    # RFC 1035, 4.1: id, flags, four counts; 11 "hik-connect" 3 "com" 0, type A, class IN
    assert camera.asks("hik-connect.com")[42:].hex() == (
        "1234010000010000000000000b68696b2d636f6e6e65637403636f6d0000010001"
    )


def test_a_batch_and_a_file_hold_the_frames() -> None:
    asks, knocks = camera.asks("hik-connect.com"), camera.knocks("203.0.113.5", 443)
    batch = batch_of(asks, knocks)
    assert list(batch.offset) == [0, len(asks)]
    assert [f for _, f in dpkt.pcap.Reader(io.BytesIO(pcap_of(asks, knocks)))] == [asks, knocks]


# --- tshark agrees

COLUMNS = (
    "frame.number", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst",
    "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport",
    "icmp.type", "icmpv6.type", "arp.opcode", "tls.handshake.extensions_server_name",
    "_ws.malformed", "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status",
    "icmp.checksum.status", "icmpv6.checksum.status",
)  # fmt: skip
PREFERENCES = (
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "tcp.reassemble_out_of_order:TRUE",
)
BAD = "0"  # of a checksum's status


@cache
def dissected(name: str) -> list[dict[str, str]]:
    """Return tshark's columns for every frame of a capture; of a tunnel, the inside."""
    preferences = list(PREFERENCES)
    if name.startswith("mirror-copies"):
        # Reassembling a stream of which every segment comes twice, it calls overlaps malformed.
        preferences.append("tcp.desegment_tcp_streams:FALSE")
    command = ["tshark", "-n", "-2", "-r", str(FOLDER / SCENARIOS[name].file), "-T", "fields"]
    command += ["-E", "occurrence=l", *(w for column in COLUMNS for w in ("-e", column))]
    command += [word for preference in preferences for word in ("-o", preference)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


@pytest.mark.program("tshark")
@pytest.mark.parametrize("name", NAMES)
def test_tshark_finds_no_malformed_frame_and_no_wrong_checksum(name: str) -> None:
    for frame in dissected(name):
        assert not frame["_ws.malformed"], frame
        assert BAD not in [frame[c] for c in COLUMNS if c.endswith("status")], frame


@pytest.mark.program("tshark")
@pytest.mark.parametrize(
    "name",
    # tshark gives ports to the last fragment of a datagram only.
    [name for name in NAMES if name != "fragments"],
)
def test_tshark_counts_the_same_conversations(name: str) -> None:
    counted: Counter[tuple[str, ...]] = Counter()
    weighed: Counter[tuple[str, ...]] = Counter()
    for frame in dissected(name):
        transport = "tcp" if frame["tcp.srcport"] else "udp"
        if frame["icmp.type"] or frame["icmpv6.type"] or frame["arp.opcode"]:
            continue
        one = (frame["ipv6.src"] or frame["ip.src"], frame[f"{transport}.srcport"])
        two = (frame["ipv6.dst"] or frame["ip.dst"], frame[f"{transport}.dstport"])
        counted[transport, *one, *two] += 1
        weighed[transport, *one, *two] += int(frame["frame.len"])
    wanted: Counter[tuple[str, ...]] = Counter()
    bytes_wanted: Counter[tuple[str, ...]] = Counter()
    for flow in truth_of(name)["flows"]:
        one, two = ((end["ip"], str(end["port"])) for end in (flow["opener"], flow["other"]))
        for way, ends in (("to_other", (*one, *two)), ("to_opener", (*two, *one))):
            if flow["transport"] != "icmp" and flow[way]["frames"]:
                wanted[flow["transport"], *ends] += flow[way]["frames"]
                bytes_wanted[flow["transport"], *ends] += flow[way]["wire_bytes"]
    assert counted == wanted
    assert weighed == bytes_wanted


@pytest.mark.program("tshark")
@pytest.mark.parametrize("name", [name for name in NAMES if "copies" not in name])
def test_tshark_reads_the_same_server_names(name: str) -> None:
    seen = {frame["tls.handshake.extensions_server_name"] for frame in dissected(name)} - {""}
    truth = {n["name"] for n in truth_of(name)["names"] if n["source"] in {"sni", "quic"}}
    assert seen == truth
