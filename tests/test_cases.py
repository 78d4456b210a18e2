"""The whole program on captures with one fact each: what it writes, line by line.

A case is a folder of `tests/cases`: `case.yaml` says what to run, `README.md` what the capture
shows, `expected.jsonl` what comes out. `make accept` writes the latter anew; what the generator of
the captures knows (`pcaps/truth`) decides whether it is right, and nothing is accepted against it.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from egressd.yamlfile import load_yaml

if TYPE_CHECKING:
    from conftest import Egressd

CASES = sorted(path.parent for path in (Path(__file__).parent / "cases").glob("*/case.yaml"))
IDENTITY = ("id", "name", "mac", "ips")  # of a camera, outside of its own events

Json = dict[str, Any]


class Told(NamedTuple):
    """A finding, as far as the generator of the captures can know it."""

    camera: str
    direction: str
    ip: str | None
    port: int | None
    stage: str
    names: tuple[str, ...]


def load_case(case: Path) -> Json:
    """Return what case.yaml says."""
    value = load_yaml(case / "case.yaml").value
    assert isinstance(value, dict)
    assert value.keys() == {"capture", "site", "exit"}
    return value


def normalised(line: str) -> Json:
    """Return an event without what changes although the fact stays.

    Why a host is a camera is said by its own event alone; databases of countries have new dates.
    """
    event: Json = json.loads(line)
    ours: Json = event.get("egressd", {})
    if event["event_type"] != "camera" and "camera" in ours:
        ours["camera"] = {key: ours["camera"][key] for key in IDENTITY}
    for place in (ours, ours.get("destination") or {}):
        for country in place.get("country") or place.get("countries") or ():
            country["built"] = "any day"
    return event


def events_of(case: Path, egressd: Egressd) -> list[Json]:
    """Run a case; return its events."""
    asked = load_case(case)
    done = egressd(
        *("replay", f"pcaps/{asked['capture']}", "--site", f"pcaps/sites/{asked['site']}"),
        *("--eve", "-", "--log", "judged"),
    )
    assert done.returncode == asked["exit"], done.stderr
    return [normalised(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_comes_out_as_accepted(case: Path, egressd: Egressd, *, accept: bool) -> None:
    found = "".join(json.dumps(event) + "\n" for event in events_of(case, egressd))
    file = case / "expected.jsonl"
    expected = file.read_text() if file.exists() else ""
    if accept and found != expected:
        names = (f"{case.name}, accepted before", f"{case.name}, accepted now")
        before, now = (text.splitlines(keepends=True) for text in (expected, found))
        sys.stdout.writelines(difflib.unified_diff(before, now, *names, n=0))
        file.write_text(found)
        expected = found
    assert found.splitlines() == expected.splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_agrees_with_the_generator_of_its_capture(case: Path, root: Path) -> None:
    lines = (case / "expected.jsonl").read_text().splitlines()
    truth = json.loads(
        (root / "pcaps/truth" / load_case(case)["capture"]).with_suffix(".json").read_text()
    )
    assert findings_of(lines) == {true_finding(finding) for finding in truth["findings"]}
    flows = [event for line in lines if (event := json.loads(line))["event_type"] == "flow"]
    assert bytes_of(flows) == true_bytes(truth["contacts"])


def findings_of(lines: list[str]) -> set[Told]:
    """Return the findings as last told, without lookups that a contact followed."""
    alerts = [event["egressd"] for line in lines if "alert" in (event := json.loads(line))]
    last = {alert["finding"]: alert for alert in alerts}
    told = {
        Told(
            alert["camera"]["name"] or alert["camera"]["id"],
            alert["direction"],
            alert["destination"]["ip"],
            alert["destination"]["port"],
            alert["stage"],
            tuple(sorted({name["name"] for name in alert["destination"]["names"]})),
        )
        for alert in last.values()
    }
    reached = {name for finding in told if finding.ip for name in finding.names}
    return {finding for finding in told if finding.ip or not reached.intersection(finding.names)}


def true_finding(finding: Json) -> Told:
    """Return a finding of the generator's in the same words."""
    destination = finding["destination"]
    return Told(
        finding["camera"],
        finding["direction"],
        destination["ip"],
        destination["port"],
        finding["stage"],
        tuple(sorted({name["name"] for name in finding["names"]})),
    )


def bytes_of(flows: list[Json]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the bytes out and in of each camera with each far end."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for event in flows:
        ours = event["egressd"]
        inbound = ours["direction"] == "inbound"
        key = (ours["camera"]["id"], event["src_ip" if inbound else "dest_ip"])
        out, back = sums.get(key, (0, 0))
        sums[key] = (out + ours["bytes_out"], back + ours["bytes_in"])
    return sums


def true_bytes(contacts: list[Json]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the same of the generator's contacts."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for contact in contacts:
        if contact["destination"]["ip"] is None:
            continue
        key = (contact["camera_mac"], contact["destination"]["ip"])
        out, back = sums.get(key, (0, 0))
        sums[key] = (out + contact["bytes_out"], back + contact["bytes_in"])
    return sums


def test_every_case_says_what_it_shows() -> None:
    assert len(CASES) >= 8
    for case in CASES:
        assert sorted(path.name for path in case.iterdir()) == [
            "README.md",
            "case.yaml",
            "expected.jsonl",
        ]
