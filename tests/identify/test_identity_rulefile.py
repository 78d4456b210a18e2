"""The identity rules: the shipped file holds, and mistakes are told with their place."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.attribute.services import load_services
from egressd.identify.rulefile import complaint_of, find_shipped_file, load_identity_rules
from egressd.identify.rules import Matcher, Observation, Trait
from egressd.model import Kind, RuleError

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """\
judged_at: 0.6
sources: {mem: from memory, seen: a capture}
makers: [{weight: 0.5, vendors: [hikvision]}]
other_makers: 0.05
clouds: {weight: 0.3, mixed_weight: 0.1, mixed: [], quiet_uses: [], quiet_labels: [www]}
behaviour:
  many_domains: {count: 25, against: 0.3}
  very_many_domains: {count: 60, against: 0.1}
  many_clouds: {count: 4, against: 0.3}
  random_mac: {against: 0.7}
  infrastructure: {against: 0.1}
  serves_media: {weight: 0.8}
  pulls: [0.2, 0.6]
rules:
  - {on: name, match: '^cam', weight: 0.7, kind: camera, says: a name, source: [mem]}
payloads:
  - {hex: 'f1100028', weight: 0.7, says: a message, source: [seen]}
"""
RULE = "{on: name, match: '^cam', weight: 0.7, kind: camera, says: a name, source: [mem]}"


def write(folder: Path, text: str) -> Path:
    path = folder / "identity.yaml"
    path.write_text(text)
    return path


def test_the_shipped_rules_hold_and_compile() -> None:
    rules = load_identity_rules(find_shipped_file())  # a named file is compiled at once
    assert rules == load_identity_rules()
    assert len(rules.rules) > 100


def test_the_shipped_rules_name_vendors_that_the_services_know() -> None:
    rules, known = load_identity_rules(), load_services().vendors
    named = {rule.clue.vendor for rule in rules.rules} | {*rules.makers, *rules.clouds.mixed}
    named |= {payload.clue.vendor for payload in rules.payloads}
    assert named - {None} - set(known) == {"edimax"}  # no cloud of Edimax's is known


def test_no_word_of_a_host_makes_the_shipped_patterns_run_away() -> None:
    matcher = Matcher(load_identity_rules())
    texts = ["a" * 200, "ds-2cd" * 40, "-" * 200, "cam-" * 60, "0" * 200, "Mozilla/5.0 (" * 20]
    start = time.process_time()
    for text in texts:
        for trait in Trait:
            matcher.find(Observation(trait, text))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dev.hik-connect.com", "where devices register"),
        ("litedev.ezvizlife.com", "where devices register"),
        ("mp-eu-sas-1.auto.mydlink.com", "registration and relay, of cameras above all"),
        ("euw1-relay-dcipc.i.tplinknbu.com", "the video relay of cameras"),
        ("p2p3.nwsvr1.com", "where devices register"),
        ("logeu.xiaoyi.com", "where devices report"),
        ("business.smartcamera.api.io.mi.com", "the camera service of devices and apps"),
        ("1-courier.push.apple.com", "Apple's systems ask for it"),
        ("www.msftconnecttest.com", "Windows asks for it"),
        ("connectivitycheck.gstatic.com", "Android asks for it"),
        ("bridge.meethue.com", "lights, players and televisions ask for it"),
        ("www.hikvision.com", None),
        ("dev.hik-connect.com.example.org", None),
        ("nothik-connect.com", None),
    ],
)
def test_a_name_is_known_by_its_domain_and_pattern(name: str, says: str | None) -> None:
    matches = Matcher(load_identity_rules()).find(Observation(Trait.LOOKUP, name))
    assert [match.rule.clue.says for match in matches] == ([says] if says else [])


def test_every_domain_of_a_lookup_rule_can_match_its_pattern() -> None:
    for rule in load_identity_rules().rules:
        plain = rule.match.replace("\\.", ".")
        for domain in rule.domains:
            second_level = domain.partition(".")[0].rstrip("12")
            assert second_level in plain, (domain, rule.match)


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    rules = load_identity_rules(write(tmp_path, MINIMAL))
    (match,) = Matcher(rules).find(Observation(Trait.DHCP_HOSTNAME, "Camera-1"))
    assert (match.rule.clue.weight, match.rule.clue.kind, match.rule.line) == (0.7, Kind.CAMERA, 15)
    assert Matcher(rules).find(Observation(Trait.LOOKUP, "cam.example")) == ()
    assert rules.makers == {"hikvision": 0.5}


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        pytest.param("on: name", "on: nane", "15:10: rules[0].on: 'nane' is nothing", id="on"),
        pytest.param("on: name", "on: lookup", "15:5: rules[0]: domains are needed", id="about"),
        pytest.param("'^cam'", "'c.*m'", "15:23: rules[0].match: * and + repeat", id="star"),
        pytest.param("'^cam'", "'(cam'", "15:23: rules[0].match: is no regular", id="syntax"),
        pytest.param("weight: 0.7, kind", "weight: 7, kind", "7 is no probability", id="weight"),
        pytest.param("weight: 0.7, kind", "weight: 0.9, kind", "rests on memory", id="memory"),
        pytest.param("weight: 0.7, kind", "kind", "15:5: rules[0]: needs either", id="neither"),
        pytest.param("0.7, kind", "0.7, against: 0.5, kind", "and not both", id="both"),
        pytest.param("weight: 0.7, kind", "against: 0, kind", "no likelihood ratio", id="ratio"),
        pytest.param("kind: camera", "kind: camel", "no kind of device; write camera", id="kind"),
        pytest.param("[mem]}", "[rumour]}", "'rumour' is not listed under sources", id="source"),
        pytest.param("[mem]}", "[1]}", "holds something else than words", id="source number"),
        pytest.param(", says: a name", "", "rules[0]: says is missing", id="says"),
        pytest.param("kind: camera", "sort: x", "rules[0].sort: is unknown here", id="key"),
        pytest.param("'f1100028'", "'f1'", "payloads[0].hex: has under 4", id="short hex"),
        pytest.param("'f1100028'", "'zz'", "payloads[0].hex: is not hexadecimal", id="hex"),
        pytest.param("{hex:", "{sent: 1, hex:", "neither true nor false", id="sent"),
        pytest.param("{hex:", "{local_port: 0, hex:", "is no port", id="port"),
        pytest.param("{hex:", "{transport: ip, hex:", "write tcp or udp", id="transport"),
        pytest.param("{hex:", "{sizes: [a], hex:", "than whole numbers", id="sizes"),
        pytest.param("count: 25", "count: 99", "from 1 to 64", id="count"),
        pytest.param("judged_at: 0.6\n", "", "judged_at is missing", id="judged_at"),
        pytest.param("makers: [", "makers: [5, ", "makers[0]: is not a mapping", id="mapping"),
        pytest.param("[{weight: 0.5, vendors: [hikvision]}]", "x", "not a list", id="list"),
        pytest.param("judged_at: 0.6", "judged_at: 0.6\njudged_at: 1", "written twice", id="twice"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    assert before in MINIMAL
    path = write(tmp_path, MINIMAL.replace(before, after, 1))
    with pytest.raises(RuleError, match=re.escape(complaint)) as caught:
        load_identity_rules(path)
    assert all(line.startswith(f"{path}:") for line in str(caught.value).splitlines())


def test_a_file_that_is_not_there_or_no_yaml_is_a_rule_error(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="No such file"):
        load_identity_rules(tmp_path / "none.yaml")
    with pytest.raises(RuleError, match=r"identity\.yaml"):
        load_identity_rules(write(tmp_path, "rules: [}"))


@pytest.mark.parametrize(
    "pattern",
    ["", "a*", "a+", "a{2,}", "a{33}", "a{0,33}", "(ab){2}", "a{1,9}b{1,9}c{1,9}d{1,9}", "a" * 601],
)
def test_a_pattern_of_unbounded_cost_is_refused(pattern: str) -> None:
    assert complaint_of(pattern) is not None


@pytest.mark.parametrize("pattern", [r"[*+]", r"\*\+", "a{0,32}b?", "(?:a|b)?c{3}"])
def test_a_pattern_of_bounded_cost_is_taken(pattern: str) -> None:
    assert complaint_of(pattern) is None


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_file_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with pytest.raises(RuleError):
        load_identity_rules(path)
