"""The alerts fire when they must, not when they must not, and each has its place in the runbook."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from monitoring_servers import DEPLOY, ROOT, yaml_of

from egressd.report.metrics.exposition import FAMILIES
from egressd.report.metrics.process import PROCESS_FAMILIES
from egressd.report.signatures import SIGNATURES

Json = dict[str, Any]

FOLDER = DEPLOY / "prometheus"
RUNBOOK = ROOT / "docs/runbook.md"
RULE_FILES = ("recording.rules.yml", "alerts.rules.yml")
TESTS = sorted(FOLDER.glob("tests/*.test.yml"))
METRIC = re.compile(r"\b(?:site:|instance:)?(?:egressd|process)_[a-z0-9_]+(?::[a-z0-9_]+)?\b")


def rules(file: str) -> list[Json]:
    return [rule for group in yaml_of(FOLDER / file)["groups"] for rule in group["rules"]]


def alerts() -> list[Json]:
    return rules("alerts.rules.yml")


def names() -> list[str]:
    return [alert["alert"] for alert in alerts()]


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False, cwd=FOLDER
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.program("promtool")
@pytest.mark.parametrize("file", RULE_FILES)
def test_the_rules_can_be_read(file: str) -> None:
    assert f"SUCCESS: {len(rules(file))} rules found" in promtool("check", "rules", file)


@pytest.mark.program("promtool")
def test_the_scrape_configuration_can_be_read() -> None:
    assert "2 rule files found" in promtool("check", "config", "prometheus.yml")


@pytest.mark.program("promtool")
@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_each_alert_fires_when_it_must_and_only_then(file: Any) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(file))


@pytest.mark.parametrize("name", names())
def test_every_alert_is_tested_both_ways(name: str) -> None:
    asked = [
        expected["exp_samples"]
        for file in TESTS
        for test in yaml_of(file)["tests"]
        for expected in test["promql_expr_test"]
        if re.search(rf'alertname=~?"[\w|]*\b{name}\b', expected["expr"])
    ]
    fires = [samples for samples in asked if any(name in sample["labels"] for sample in samples)]
    assert fires, "no test sees it fire"
    assert [] in asked, "no test sees it stay away"


@pytest.mark.parametrize("alert", alerts(), ids=names())
def test_every_alert_says_what_to_do(alert: Json) -> None:
    name = alert["alert"]
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert re.search(rf"^### {name}$", RUNBOOK.read_text(), re.MULTILINE)
    assert alert["labels"]["severity"] in {"critical", "warning", "info", "none"}


def test_the_runbook_has_no_section_without_an_alert() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == names()


def test_every_section_of_the_runbook_says_what_it_means_and_what_to_do() -> None:
    sections = re.split(r"^### ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    for section in sections:
        body = re.split(r"^## ", section, flags=re.MULTILINE)[0]
        assert re.findall(r"^\*\*(\w+)\.\*\*", body, re.MULTILINE) == ["Means", "Look", "Do"], body


def test_rules_ask_for_nothing_that_is_not_told() -> None:
    told = {family.name for family in (*FAMILIES, *PROCESS_FAMILIES)}
    told |= {rule["record"] for rule in rules("recording.rules.yml")}
    asked = {
        metric
        for file in RULE_FILES
        for rule in rules(file)
        for metric in METRIC.findall(rule["expr"])
    }
    assert len(asked) > 20
    assert asked <= told


def test_every_rule_of_findings_is_in_an_alert() -> None:
    expressions = " ".join(alert["expr"] for alert in alerts())
    named = {
        rule for text in re.findall(r'rule=~?"([^"]+)"', expressions) for rule in text.split("|")
    }
    assert named == set(SIGNATURES)
