"""Rule files are read strictly, and the shipped ones keep everything the research found."""

from __future__ import annotations

import json
import runpy
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.attribute.rulefile import check_rules, load_rules, rules_folder
from egressd.attribute.services import shipped_rules
from egressd.model import RuleError
from egressd.yamlfile import load_yaml, read_yaml

REPOSITORY = Path(__file__).resolve().parents[2]
RESEARCH = REPOSITORY.parent / "shared" / "reference" / "vendors.yaml"

VENDOR = """\
vendor: acme
names: [Acme]
researched: 2026-11-22
jurisdiction: {country: US, hq: Springfield, source: [lab], confidence: high}
domains:
  - {suffix: acme.example, use: relay, source: [lab], confidence: high, hosts: {a.acme.example: x}}
ports:
  - {transport: udp, port: [8800, 9000-9002, random], direction: out, use: p2p, source: [lab],
     confidence: high}
oui: {organisation: ^Acme, source: [lab], confidence: low}
sources: {lab: our own bench}
"""
SERVICE = """\
service: time
name: Time
role: time
operator: Acme
researched: 2026-11-22
domains: [{suffix: time.example, use: NTP, source: [lab], confidence: high}]
addresses: [{address: [192.0.2.123], use: NTP, ports: [123], source: [lab], confidence: high}]
sources: {lab: our own bench}
"""


def errors_of(folder: Path, **files: str) -> list[str]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return [error.removeprefix(f"{folder}/") for error in check_rules([folder])]


def test_the_shipped_rules_are_without_error() -> None:
    assert check_rules([rules_folder()]) == []


def test_a_good_rule_is_read(tmp_path: Path) -> None:
    assert errors_of(tmp_path, acme=VENDOR, time=SERVICE) == []
    acme, service = load_rules([tmp_path])
    assert acme.value["ports"][0]["port"] == ["8800", "9000-9002", "random"]
    assert (acme.kind, acme.shown, acme.lines) == ("vendor", "acme.yaml", (6,))
    assert service.value["addresses"][0]["address"] == ["192.0.2.123"]
    assert load_rules([tmp_path / "acme.yaml"])[0].value == acme.value


# What is replaced in VENDOR, with what, and what is told.
WRONG = {
    "unknown key": ("names:", "brands:", "acme.yaml:2:1: brands: unknown key"),
    "missing": ("names: [Acme]\n", "", "acme.yaml:1:1: names: is missing; write names: ..."),
    "level": ("confidence: low", "confidence: lo", "did you mean 'low'? write one of low, medium"),
    "no source": ("source: [lab], confidence: low", "confidence: low", "oui.source: is missing"),
    "empty source": ("^Acme, source: [lab]", "^Acme, source: []", "oui.source: is empty; write at"),
    "source not described": ("^Acme, source: [lab]", "^Acme, source: [la]", "did you mean 'lab'?"),
    "source not used": ("bench}", "bench, x: y}", "acme.yaml:11:34: sources.x: nothing here has"),
    "capitals": (
        "suffix: acme.example",
        "suffix: Acme.Example",
        "is no suffix; write acme.example",
    ),
    "star suffix": ("suffix: acme", 'suffix: "*.acme', "acme.yaml:"),
    "public suffix": ("suffix: acme.example", "suffix: co.uk", "co.uk is a public suffix"),
    "bucket": ("suffix: acme.example", "suffix: s3.amazonaws.com", "is a public suffix"),
    "platform": (
        "suffix: acme.example",
        "suffix: amazonaws.com",
        "acme.yaml:6:14: domains[0].suffix: amazonaws.com is a platform; write a full host",
    ),
    "on a platform": (
        "suffix: acme.example",
        "suffix: a.b.s3.amazonaws.com",
        "stands on a platform; write rented: true",
    ),
    "host elsewhere": ("a.acme.example: x", "a.other.example: x", "is not under acme.example"),
    "host star": ("a.acme.example: x", '"a.*.acme.example": x', "only in the first label"),
    "host name": ("a.acme.example: x", "A.acme.example: x", "is no host name"),
    "owner": (
        "confidence: high, hosts",
        "confidence: high, owned_by: hikvision, hosts",
        "hikvision does",
    ),
    "port zero": ("[8800,", "[0,", "acme.yaml:8:28: ports[0].port: is '0'; write a port"),
    "port range": ("9000-9002", "9002-9000", "is '9002-9000'; write a port, a range"),
    "port empty": ("[8800, 9000-9002, random]", "[]", "is empty; write a port"),
    "port true": ("[8800, 9000-9002, random]", "true", "is 'True'; write a port"),
    "regex": ("^Acme", '"(a"', "is no regular expression"),
    "long regex": ("^Acme", "a" * 201, "is longer than 200"),
    "country": ("country: US", "country: us", "is no country code"),
    "date": ("2026-11-22", "November", "'November' is no date; write year-month-day"),
    "prefix": (
        "oui: {",
        "oui: {prefixes_2022: [44:19:b6], ",
        "'44:19:b6' is no OUI; write 44:19:B6",
    ),
    "two stars": ("a.acme.example: x", '"*a*.acme.example": x', "write at most one *"),
    "day": ("2026-11-22", "2026-11-31", "is no date"),
    "id": ("vendor: acme", "vendor: Acme", "is no id"),
    "other id": ("vendor: acme", "vendor: acm", "acme.yaml:1:9: vendor: is 'acm', the file 'acme'"),
    "line break": ("names: [Acme]", 'names: ["a\\nb"]', "is more than one line"),
    "no rule": ("vendor: acme\n", "", "acme.yaml:1:1: is no rule; write one of the keys vendor"),
    "not YAML": ("[Acme]", "[Acme", "acme.yaml:3:11: did not find expected"),
    "other ports": (
        "oui:",
        "ports_same_as: hikvison\noui:",
        "no rule is named 'hikvison'; did you",
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_rule_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in VENDOR
    lines = errors_of(tmp_path, acme=VENDOR.replace(old, new))
    assert any(told in line for line in lines), lines
    with pytest.raises(RuleError):
        load_rules([tmp_path])


def test_a_domain_has_one_owner(tmp_path: Path) -> None:
    other = VENDOR.replace("acme", "bcme").replace("bcme.example", "acme.example")
    assert errors_of(tmp_path, acme=VENDOR, bcme=other) == [
        "bcme.yaml:6:14: domains[0].suffix: acme lists it, too; write owned_by: acme"
    ]
    owned = other.replace("high, hosts", "high, owned_by: acme, hosts")
    assert errors_of(tmp_path, acme=VENDOR, bcme=owned) == []


def test_a_domain_stands_once_in_a_file(tmp_path: Path) -> None:
    entry = "  - {suffix: acme.example, use: relay, source: [lab], confidence: high}\nports:"
    assert errors_of(tmp_path, acme=VENDOR.replace("ports:", entry)) == [
        "acme.yaml:7:14: domains[1].suffix: acme lists it, too; write owned_by: acme"
    ]


def test_an_id_and_an_address_stand_once(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "time.yaml").write_text(SERVICE.replace("time.example", "b.example"))
    lines = errors_of(tmp_path, time=SERVICE)
    assert [line.partition(": ")[2].partition("; ")[0] for line in lines] == [
        f"service: time stands in {tmp_path}/more/time.yaml, too",
        "addresses[0].address[0]: 192.0.2.123 is listed twice",
    ]


def test_a_missing_folder_and_another_ending_are_told(tmp_path: Path) -> None:
    (tmp_path / "acme.yml").write_text(VENDOR)
    assert errors_of(tmp_path) == ["acme.yml: is not read; rename it to .yaml"]
    assert "no such file or folder" in check_rules([tmp_path / "none"])[0]


def test_a_folder_of_everything_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egressd.attribute.rulefile.MAX_FILES", 1)
    lines = errors_of(tmp_path, acme=VENDOR, time="not read")
    assert lines == [f"{tmp_path}: holds over 1 files; name the folder of the rules"]


def test_every_file_is_named_after_its_id() -> None:
    for rule in shipped_rules():
        assert rule.kind == "platforms" or Path(rule.shown).stem == rule.value[rule.kind]


def test_the_schema_is_current_and_takes_the_shipped_rules() -> None:
    schemas = runpy.run_path(str(REPOSITORY / "scripts" / "build_schemas.py"))["schemas"]()
    file = REPOSITORY / "egressd" / "schemas" / "rules.schema.json"
    assert file.read_text("utf-8") == schemas["rules.schema.json"], "run scripts/build_schemas.py"
    schema = json.loads(schemas["rules.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for rule in shipped_rules():
        assert validator.is_valid(load_yaml(rules_folder() / rule.shown).value), rule.shown
    assert not validator.is_valid(read_yaml(VENDOR.replace("high", "sure").encode()).value)


def test_every_rule_key_is_documented() -> None:
    schema = json.loads((REPOSITORY / "egressd" / "schemas" / "rules.schema.json").read_text())
    keys = {key for form in schema["$defs"].values() for key in form["properties"]}
    page = (REPOSITORY / "docs" / "reference" / "rules.md").read_text("utf-8")
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_rule_with_any_line_changed_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = VENDOR.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at] = data.draw(st.text(alphabet="ab:-[]{} \"'#1.", max_size=20))
    file = tmp_path_factory.mktemp("rules") / "acme.yaml"
    file.write_text("\n".join(lines))
    with suppress(RuleError):
        load_rules([file])


# The research names some hosts and ports in shorthand; the rules spell each out.
HOSTS = {
    "apiius.hik-connect.com / apiieu.hik-connect.com": ["apiius", "apiieu"],
    "apiieu/apiius/apiisa.ezvizlife.com": ["apiieu", "apiius", "apiisa"],
    "vtmvirginia / vtmtxeu.ezvizlife.com": ["vtmvirginia", "vtmtxeu"],
    "p2p.reolink.com, p2p1..p2p16.reolink.com": ["p2p", *(f"p2p{n}" for n in range(1, 17))],
    "p2pm-abr.reolink.com / p2pm-ali.reolink.com": ["p2pm-abr", "p2pm-ali"],
    "wap / eu-wap / n-wap-gw.tplinkcloud.com": ["wap", "eu-wap", "n-wap-gw"],
    "{use1,euw1,aps1}-relay-dcipc.i.tplinknbu.com": [
        "use1-relay-dcipc.i",
        "euw1-relay-dcipc.i",
        "aps1-relay-dcipc.i",
    ],
    "status-{dss,tps,p2p}.secu100.net": ["status-dss", "status-tps", "status-p2p"],
}
PORTS = {
    "random (e.g. 27077)": (["random"], "e.g. 27077"),
    "3478 / random": (["3478", "random"], None),
    "random / 32761 LAN": (["random", "32761"], "32761 on the LAN"),
}


def researched() -> dict[str, Any]:
    if not RESEARCH.exists():
        pytest.skip("the research is not here")
    found: dict[str, Any] = load_yaml(RESEARCH).value
    return found


def shipped_vendors() -> dict[str, dict[str, Any]]:
    return {r.value["vendor"]: r.value for r in shipped_rules() if r.kind == "vendor"}


def test_every_vendor_of_the_research_is_here() -> None:
    assert {vendor["id"] for vendor in researched()["vendors"]} == set(shipped_vendors())


def test_nothing_of_a_vendor_was_lost() -> None:
    for vendor in researched()["vendors"]:
        rule = shipped_vendors()[vendor["id"]]
        assert rule["researched"] == "2026-11-22"
        for key in ("names", "jurisdiction"):
            assert rule[key] == vendor[key]
        for key in ("notes", "ntp", "pppp_did_prefixes", "ports_same_as"):
            assert rule.get(key) == vendor.get(key)
        assert rule.get("parent", "") == vendor["parent"]
        assert rule.get("relations", []) == vendor["relations"]
        oui = {"organisation" if k == "org_regex" else k: v for k, v in vendor["oui"].items()}
        assert rule["oui"] == {key: value for key, value in oui.items() if value is not None}


def test_no_domain_of_the_research_was_lost() -> None:
    ours = {"rented", "owned_by", "hosts"}  # `hosts` is compared below
    for vendor in researched()["vendors"]:
        entries = shipped_vendors()[vendor["id"]].get("domains", [])
        assert len(entries) == len(vendor["domains"])
        for entry, found in zip(entries, vendor["domains"], strict=True):
            assert {k: v for k, v in entry.items() if k not in ours} == {
                key: value for key, value in found.items() if key != "hosts"
            }
            hosts: dict[str, str] = {}
            for name, use in found.get("hosts", {}).items():
                names = [f"{head}.{found['suffix']}" for head in HOSTS.get(name, ())]
                hosts |= dict.fromkeys(names or [name.replace("{region}", "*")], use)
            assert entry.get("hosts", {}) == hosts


def test_no_port_of_the_research_was_lost() -> None:
    for vendor in researched()["vendors"]:
        entries = shipped_vendors()[vendor["id"]].get("ports", [])
        assert len(entries) == len(vendor["ports"])
        for entry, found in zip(entries, vendor["ports"], strict=True):
            text = str(found["port"])
            ports, note = PORTS.get(text, (text.split(","), None))
            assert (entry["port"], entry.get("note")) == (ports, note)
            assert (entry["transport"], entry["direction"]) == (found["proto"], found["dir"])
            assert all(entry[key] == found[key] for key in ("use", "source", "confidence"))


def test_no_source_and_no_general_hint_of_the_research_was_lost() -> None:
    research = researched()
    sources: dict[str, str] = {}
    for rule in shipped_rules():
        sources |= rule.value["sources"]
    assert {key: sources.get(key) for key in research["sources"]} == research["sources"]
    hints = research["generic_hints"]
    resolvers = shipped_vendors()["xiongmai"]["resolvers"]
    assert [r["address"] for r in resolvers] == [r["ip"] for r in hints["hard_coded_resolvers"]]
    suffixes = {e["suffix"] for rule in shipped_rules() for e in rule.value.get("domains", ())}
    for default in hints["ntp_defaults"]:
        tails = {default["host"].split(".", n)[-1] for n in range(3)} | {default["host"]}
        assert tails & suffixes
    page = (REPOSITORY / "docs" / "reference" / "rules.md").read_text("utf-8")
    assert hints["upnp_igd"] in page
    assert all(hint in page for hint in hints["raw_ip_after_bootstrap"])
