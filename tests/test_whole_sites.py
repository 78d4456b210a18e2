"""Whole-site captures against the truth that their generator kept, which never ran egressd.

Bytes and packets of every flow, to the byte; every finding with its stage, names and direction;
every camera, and no other host.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.judge.classes import transport_of
from egressd.model import AlertEvent, CameraEvent, Finding, Flow, FlowEvent, Side

PCAPS = Path(__file__).parent.parent / "pcaps"
TRUTHS = sorted(path.stem for path in (PCAPS / "truth").glob("*.json"))
# The generator knows whose frames a carrier without Ethernet brought; the capture does not.
WITHOUT_MAC = {"in-gre", "in-gtpu", "in-ipip"}
# One direction only: what the other did cannot be seen, and the flow says so.
ONE_WAY = {"mirror-one-way-in", "mirror-one-way-out"}
RULES = {
    "cloud": {"cloud-contact"},
    "unlisted": {"unlisted-destination"},
    "attempt": {"unlisted-destination", "cloud-contact"},
    "lookup": {"cloud-lookup"},
    "foreign-resolver": {"foreign-resolver"},
    "foreign-time-server": {"foreign-time-server"},
    "inbound": {"inbound-connection"},
}


@dataclass
class Run:
    """What egressd says of a scenario."""

    truth: dict[str, Any]
    flows: list[FlowEvent]
    findings: dict[tuple[object, ...], Finding]
    cameras: set[str]


@lru_cache(maxsize=4)
def run(name: str) -> Run:
    truth = json.loads((PCAPS / "truth" / f"{name}.json").read_text())
    site = load_site(PCAPS / truth["site"])
    engine = assemble(site, services=load_services(), geo=Geo(), log="all")
    events = []
    with open_captures([str(PCAPS / truth["capture"])]) as reader:
        for batch in reader:
            events += engine.feed(batch, reader.sources)
        events += engine.finish()
    alerts = [event.finding for event in events if isinstance(event, AlertEvent)]
    return Run(
        truth,
        [event for event in events if isinstance(event, FlowEvent)],
        {key_of(finding): finding for finding in alerts},
        {event.camera.id for event in events if isinstance(event, CameraEvent)},
    )


def key_of(finding: Finding) -> tuple[object, ...]:
    end = finding.destination
    if end.ip is None:
        return (finding.camera.name or finding.camera.id, "lookup", end.names[0].name)
    return (
        finding.camera.name or finding.camera.id,
        end.ip,
        end.port,
        end.transport,
        finding.direction.value,
    )


def flow_key(flow: Flow) -> tuple[object, ...]:
    transport = transport_of(flow.protocol)
    if transport == "icmp":
        return (transport, flow.client.ip, None, flow.server.ip, None)
    return (transport, flow.client.ip, flow.client.port, flow.server.ip, flow.server.port)


def counted(side: Side) -> list[int]:
    return [side.frames, side.wire_bytes, side.own_frames, side.own_bytes, side.duplicates]


def truly(side: dict[str, int]) -> list[int]:
    return [side[k] for k in ("frames", "wire_bytes", "packets", "bytes", "copies")]


def camera_in(truth: dict[str, Any], name: str, found: set[str]) -> str:
    """Return how egressd calls the truth's camera: its listed name, its MAC or its address."""
    by_mac = truth["capture"].partition(".")[0] not in WITHOUT_MAC
    if by_mac and name in (PCAPS / truth["site"]).read_text():
        return name
    camera = next(camera for camera in truth["cameras"] if camera["name"] == name)
    return next(str(c) for c in (camera["mac"], *camera["ips"]) if c in found)


@pytest.mark.parametrize("name", TRUTHS)
def test_every_flow_has_its_bytes(name: str) -> None:
    found: dict[tuple[object, ...], list[list[int]]] = defaultdict(lambda: [[0] * 5, [0] * 5])
    for event in run(name).flows:
        sums = found[flow_key(event.flow)]
        for total, side in zip(sums, (event.flow.client, event.flow.server), strict=True):
            total[:] = map(sum, zip(total, counted(side), strict=True))
    for flow in run(name).truth["flows"]:
        opener, other = flow["opener"], flow["other"]
        port = None if flow["transport"] == "icmp" else opener.get("port")
        other_port = None if flow["transport"] == "icmp" else other.get("port")
        key = (flow["transport"], opener["ip"], port, other["ip"], other_port)
        assert found[key] == [truly(flow["to_other"]), truly(flow["to_opener"])], key


@pytest.mark.parametrize("name", TRUTHS)
def test_every_finding_is_made_and_no_other(name: str) -> None:
    found = dict(run(name).findings)
    for wanted in run(name).truth["findings"]:
        end = wanted.get("destination") or {}
        key: tuple[object, ...]
        who = camera_in(run(name).truth, wanted["camera"], run(name).cameras)
        if end.get("ip"):
            key = (who, end["ip"], end.get("port"), end["transport"], wanted["direction"])
        else:
            key = (who, "lookup", wanted["names"][0]["name"])
        finding = found.pop(key)
        assert finding.rule in RULES[wanted["kind"]]
        if finding.stage.label != wanted["stage"]:
            assert name in ONE_WAY
            assert finding.destination.transport in {"udp", "icmp"}
        names = {n.name for n in finding.destination.names}
        assert names == {n["name"] for n in wanted["names"]}
    asked = {entry["name"] for entry in run(name).truth["lookups"] if entry["camera"]}
    for other, finding in found.items():
        # The generator counts a lookup for itself only where no contact followed; we always do.
        assert finding.rule == "cloud-lookup", other
        assert other[2] in asked


@pytest.mark.parametrize("name", [name for name in TRUTHS if name not in WITHOUT_MAC | ONE_WAY])
def test_every_camera_is_found_and_no_other_host(name: str) -> None:
    wanted = {
        camera["ips"][0] if camera["behind_router"] else camera["mac"]
        for camera in run(name).truth["cameras"]
    }
    assert run(name).cameras == wanted
