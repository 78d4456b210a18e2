"""Both data planes count what the committed captures truly hold, to the byte.

The truth (pcaps/truth) was counted by the generator from what was sent and what the mirror
delivered; no decoder had a hand in it.
"""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from both_planes import CARRIER, ERROR, Said, fast, rows_of, slow
from conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

TRUTHS = sorted((ROOT / "pcaps" / "truth").glob("*.json"))
TRANSPORTS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}

Way = tuple[str, str, int, str, int]  # transport, sender, its port, receiver, its port

both = pytest.mark.parametrize("run", [fast, slow], ids=["fast", "reference"])
every_truth = pytest.mark.parametrize("path", TRUTHS, ids=lambda path: path.stem)


@every_truth
@both
def test_flows_are_counted_to_the_byte(run: Callable[..., Said], path: Any) -> None:
    truth = json.loads(path.read_text(encoding="utf-8"))
    rows, linktypes = rows_of(ROOT / "pcaps" / truth["capture"])
    assert counted(run(rows, linktypes, all_flows=True)) == expected(truth)


@every_truth
@both
def test_what_tcp_sent_again_is_counted(run: Callable[..., Said], path: Any) -> None:
    truth = json.loads(path.read_text(encoding="utf-8"))
    rows, linktypes = rows_of(ROOT / "pcaps" / truth["capture"])
    sent_again = sum(
        flow[way]["retransmitted_bytes"]
        for flow in truth["flows"]
        for way in ("to_other", "to_opener")
        if flow["transport"] == "tcp"
    )
    said = run(rows, linktypes, all_flows=True)
    assert sum(flow.a.retransmitted + flow.b.retransmitted for flow in said.ended) == sent_again


@every_truth
@both
def test_coverage_is_counted(run: Callable[..., Said], path: Any) -> None:
    truth = json.loads(path.read_text(encoding="utf-8"))
    rows, linktypes = rows_of(ROOT / "pcaps" / truth["capture"])
    counters = run(rows, linktypes).counters
    totals = truth["totals"]
    assert {name: counters[name] for name in ("frames", "wire_bytes", "captured_bytes")} == {
        name: totals[name] for name in ("frames", "wire_bytes", "captured_bytes")
    }
    assert counters["cut_frames"] == totals["cut"]
    assert counters["fragments"] == totals["fragments"]
    assert counters["malformed"] == {}


def counted(said: Said) -> dict[Way, Counter[str]]:
    """Return the counters of every direction of every flow that is no carrier."""
    ways: dict[Way, Counter[str]] = {}
    for flow in said.ended:
        if flow.has(CARRIER):
            continue
        transport = TRANSPORTS[flow.protocol]
        for sender, receiver in ((flow.a, flow.b), (flow.b, flow.a)):
            way = way_of(
                transport,
                str(ip_address(sender.ip.to_bytes(4 if flow.version == 4 else 16, "big"))),
                sender.port,
                str(ip_address(receiver.ip.to_bytes(4 if flow.version == 4 else 16, "big"))),
                receiver.port,
            )
            ways.setdefault(way, Counter()).update(
                frames=sender.frames,
                wire_bytes=sender.wire,
                packets=sender.own_frames,
                bytes=sender.own_bytes,
                payload_bytes=0 if flow.has(ERROR) else sender.payload,  # a quote is no payload
                copies=sender.duplicates,
            )
    return {way: counters for way, counters in ways.items() if counters["frames"]}


def expected(truth: dict[str, Any]) -> dict[Way, Counter[str]]:
    """Return the same from the truth."""
    ways: dict[Way, Counter[str]] = {}
    for flow in truth["flows"]:
        for sender, receiver, name in (
            ("opener", "other", "to_other"),
            ("other", "opener", "to_opener"),
        ):
            way = way_of(
                flow["transport"],
                flow[sender]["ip"],
                flow[sender]["port"],
                flow[receiver]["ip"],
                flow[receiver]["port"],
            )
            told = {
                key: count
                for key, count in flow[name].items()
                if key not in {"retransmitted_bytes", "lost_frames"}
            }
            ways.setdefault(way, Counter()).update(told)
    return {way: counters for way, counters in ways.items() if counters["frames"]}


def way_of(transport: str, *ends: Any) -> Way:
    """Return the key of a direction; a ping's identifier is no port."""
    src, sport, dst, dport = ends
    return transport, src, sport * (transport != "icmp"), dst, dport * (transport != "icmp")
