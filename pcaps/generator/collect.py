"""Make the collection: every scenario's capture, truth and site file, and SOURCES.md."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pcaps.generator import cast
from pcaps.generator.acts import Scene
from pcaps.generator.files import pcap, pcapng
from pcaps.generator.scenarios import contacts, identity, views
from pcaps.generator.scenarios.registry import SCENARIOS, Scenario, capture_of
from pcaps.generator.truth import Site, truth_of

FOLDER = Path(__file__).parent.parent
SEED = "2026-11-22"
MODULES = (contacts, identity, views)  # importing them declares the scenarios
PREFACE = """# The captures in this folder

All of them were made by `pcaps/generator` (`python -m pcaps.generator make`) with the seed
`{seed}`: the same bytes every time, which a test checks. Nobody's traffic is in them. Licence:
that of the project. The film is ffmpeg's test picture; TLS and QUIC handshakes are OpenSSL's and
aioquic's, recorded in memory once (`pcaps/generator/data`), with certificates of our own. Off-site
addresses are from the documentation ranges, except for the resolver 8.8.8.8.

- `truth/NAME.json`: what the capture holds, counted by the generator from what it sent, never by
  egressd. `flows`: `frames` and `wire_bytes` as captured; `packets` and `bytes` are innermost
  Ethernet frames without mirror copies. `contacts`: camera by camera and destination by
  destination. `findings`: the contacts with a `kind`, and cloud lookups that no contact followed.
- `kind`, the first that fits: `inbound` (opened from off site), `foreign-resolver` (port 53),
  `foreign-time-server` (port 123), `cloud` (a name of a listed camera cloud), `attempt` (nobody
  answered), `unlisted`; `lookup` stands alone.
- `opener` is who opened a flow in truth, also where the mirror did not show it.
- `sites/NAME.yaml`: the site file to judge the capture with.

| capture | shows | frames | SHA-256 |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class Made:
    """One finished scenario."""

    scenario: Scenario
    capture: bytes
    truth: dict[str, Any]
    site: str


def make(scenario: Scenario, seed: str = SEED) -> Made:
    """Play a scenario; the same seed gives the same bytes."""
    scene = Scene(f"{seed} {scenario.name}")
    rows = capture_of(scenario, scene)
    site = Site(tuple(scene.cameras), frozenset(scene.listed), scene.undecidable)
    write = pcapng if scenario.suffix == ".pcapng" else pcap
    truth = {
        "capture": scenario.file,
        "shows": scenario.shows,
        "site": f"sites/{scenario.name}.yaml",
        **truth_of(scene.lan, rows, site),
    }
    return Made(scenario, write(rows, scenario.snaplen), truth, _site_file(scene))


def make_all(folder: Path, seed: str = SEED) -> int:
    """Write every capture with its truth and site file; return how many."""
    for name in ("truth", "sites"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for name in sorted(SCENARIOS):
        made = make(SCENARIOS[name], seed)
        (folder / made.scenario.file).write_bytes(made.capture)
        truth = json.dumps(made.truth, indent=1, ensure_ascii=True) + "\n"
        (folder / "truth" / f"{name}.json").write_text(truth, encoding="utf-8")
        (folder / "sites" / f"{name}.yaml").write_text(made.site, encoding="utf-8")
        digest = hashlib.sha256(made.capture).hexdigest()
        frames = made.truth["totals"]["frames"]
        lines.append(f"| {made.scenario.file} | {made.scenario.shows} | {frames} | `{digest}` |\n")
    text = PREFACE.format(seed=seed) + "".join(lines)
    (folder / "SOURCES.md").write_text(text, encoding="utf-8")
    return len(lines)


def _site_file(scene: Scene) -> str:
    """Return the site file as YAML."""
    site: dict[str, Any] = {
        "site": {
            "name": "Depot North",
            "networks": list(cast.NETWORKS),
            "resolvers": [cast.RESOLVER.ip],
            "ntp": [cast.TIME_SERVER.ip],
        }
    }
    cameras = []
    seen = {cast.RECORDER.name}
    for host in scene.cameras:
        if host.name in seen or host.name not in scene.listed:
            continue
        seen.add(host.name)
        key = {"ip": host.ip} if host.behind_router else {"mac": host.mac}
        cameras.append({"name": host.name, **key})
    if cameras:
        site["cameras"] = cameras
    if cast.RECORDER.name in scene.listed:
        site["recorders"] = [{"name": cast.RECORDER.name, "ip": cast.RECORDER.ip}]
    if scene.permits:
        site["permit"] = [
            {"from": p.camera, "to": p.to, "port": p.port, "why": "contract 12"}
            for p in scene.permits
        ]
    return yaml.safe_dump(site, sort_keys=False, default_flow_style=False, width=90)
