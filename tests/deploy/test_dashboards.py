"""The dashboards are what the program makes of its tables, and no panel of them is empty."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from growing_endpoint import endpoint
from monitoring_servers import DEPLOY, ROOT, Server, prometheus

from egressd.report.listener import listener_families
from egressd.report.metrics.exposition import FAMILIES
from egressd.report.metrics.process import PROCESS_FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

sys.path.insert(0, str(ROOT / "scripts"))

from make_dashboards import files

Json = dict[str, Any]

FOLDER = DEPLOY / "grafana"
TABLE = FOLDER / "PANELS.md"
NAMES = sorted(files())
METRIC = re.compile(r"\b(?:egressd|process)_[a-z0-9_]+\b")
GRAFANA = {
    "$__rate_interval": "5s",
    "$__range": "1m",
    "$site": ".*",
    "$instance": ".*",
    "$camera": ".*",
}
SCRAPED_SECONDS = 20.0  # by then there are several samples, at one a second
# Grafana's units that the panels use (@grafana/data, valueFormats/categories.ts).
UNITS = {
    "short",
    "none",
    "s",
    "bps",
    "bytes",
    "pps",
    "percentunit",
    "reqps",
    "rps",
    "dateTimeAsIso",
}
KINDS = {"stat", "timeseries", "table", "bargauge", "state-timeline", "row"}
# What the demo's cameras do, and what the counters that grow say of the sensor.
FIRING = {
    "EgressdCameraCallsHome",
    "EgressdCameraTriesToCallHome",
    "EgressdClockStepped",
    "EgressdSinkLosesRecords",
}
# Values that differ between machines.
MASKED = {"version", "python"}


def dashboard(name: str) -> Json:
    value: Json = json.loads((FOLDER / name).read_text())
    return value


def panels(name: str) -> list[Json]:
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_dashboard_is_what_the_program_makes(name: str) -> None:
    assert (FOLDER / name).read_text() == files()[name], "run scripts/make_dashboards.py"


def test_there_is_no_other_dashboard() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["type"] in KINDS
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_lies_on_another(name: str) -> None:
    cells: Counter[tuple[int, int]] = Counter()
    for panel in dashboard(name)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                cells[x, y] += 1
    assert max(cells.values()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_titles_are_unique(name: str) -> None:
    numbers = [panel["id"] for panel in dashboard(name)["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert dashboard(name)["uid"] == name.removesuffix(".json")


@pytest.mark.parametrize("name", NAMES)
def test_every_query_goes_by_the_choices_at_the_top(name: str) -> None:
    chosen = {variable["name"] for variable in dashboard(name)["templating"]["list"]}
    for panel in panels(name):
        for target in panel["targets"]:
            assert "$site" in target["expr"]
            used = set(re.findall(r"\$(?!__)(\w+)", target["expr"]))
            assert used <= chosen, panel["title"]
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_panels_ask_for_what_is_told_and_leave_little_out() -> None:
    told = {family.name for family in (*FAMILIES, *PROCESS_FAMILIES, *listener_families({}, {}))}
    asked = {
        metric
        for name in NAMES
        for panel in panels(name)
        for target in panel["targets"]
        for metric in METRIC.findall(target["expr"])
    }
    assert asked <= told
    # Left to the alerts, or to whoever asks.
    assert told - asked == {
        "egressd_backward_frames_total",
        "egressd_camera_label_overflows_total",
        "egressd_cameras_unlabelled",
        "egressd_canary_last_seen_timestamp_seconds",
        "egressd_config_last_reload_success_timestamp_seconds",
        "egressd_config_reload_failures_total",
        "egressd_evidence_missing_frames_total",
        "egressd_interface_last_frame_timestamp_seconds",
        "egressd_sink_backlog_bytes",
        "egressd_sink_last_delivery_timestamp_seconds",
        "egressd_state_failures_total",
    }


# ---- against a real Prometheus ------------------------------------------------------------------


def filled_in(expression: str) -> str:
    for name, value in GRAFANA.items():
        expression = expression.replace(name, value)
    return expression


def series_of(server: Server, expression: str) -> list[Json]:
    answer = server.get("/api/v1/query", query=filled_in(expression))
    result: list[Json] = answer["data"]["result"]
    return result


def wait_for_samples(server: Server) -> None:
    """Wait until there are enough samples for a rate, and the alerts of the demo fire."""
    end = time.monotonic() + SCRAPED_SECONDS
    while time.monotonic() < end:
        counted = series_of(server, "count_over_time(egressd_frames_total[1m])")
        alerts = series_of(server, 'ALERTS{alertstate="firing"}')
        firing = {alert["metric"]["alertname"] for alert in alerts}
        if counted and float(counted[0]["value"][1]) >= 5 and firing >= FIRING:
            return
        time.sleep(0.2)
    raise AssertionError("egressd was not scraped")


def legend_of(target: Json, labels: dict[str, str]) -> str:
    """Return what Grafana calls a series."""
    shown = {name: value for name, value in labels.items() if name != "__name__"}
    if target["legendFormat"] != "__auto":
        return re.sub(r"{{(\w+)}}", lambda found: shown.get(found[1], ""), target["legendFormat"])
    masked = {name: "..." if name in MASKED else value for name, value in shown.items()}
    return ", ".join(f"{name}={value}" for name, value in sorted(masked.items())) or "one number"


def table_row(name: str, panel: Json, target: Json, found: list[Json]) -> str:
    legends = sorted({legend_of(target, series["metric"]) for series in found})
    shown = "; ".join(legends[:4]) + ("; ..." if len(legends) > 4 else "")
    query = target["expr"].replace("|", "\\|")
    board = name.removesuffix(".json")
    return f"| {board} | {panel['title']} | `{query}` | {len(found)} | {shown} |"


HEAD = """\
# The panels, their queries, and what Prometheus returned

A test replays `pcaps/demo.pcapng`, serves what was found as metrics that grow, lets Prometheus
scrape them with the configuration and rules of `deploy/prometheus`, and runs every query of every
panel. No result may be empty. This is the list: number of series, and the names of the first.
`pytest --accept tests/deploy/test_dashboards.py` writes it anew.

| dashboard | panel | query | series | names |
| --- | --- | --- | --- | --- |
"""


@pytest.mark.program("prometheus")
def test_no_panel_is_empty(tmp_path: Path, *, accept: bool) -> None:
    empty, rows = [], []
    with endpoint() as port, prometheus(tmp_path, port) as server:
        wait_for_samples(server)
        for name in NAMES:
            for panel in panels(name):
                for target in panel["targets"]:
                    found = series_of(server, target["expr"])
                    rows.append(table_row(name, panel, target, found))
                    if not found:
                        empty.append((panel["title"], target["expr"]))
        marks = series_of(server, dashboard(NAMES[0])["annotations"]["list"][0]["expr"])
        choices = [
            label_values(server, variable["definition"])
            for name in NAMES
            for variable in dashboard(name)["templating"]["list"]
            if variable["type"] == "query"
        ]
    assert empty == []
    assert marks
    assert all(choices)
    if accept:
        TABLE.write_text(HEAD + "\n".join(rows) + "\n")
    assert TABLE.read_text() == HEAD + "\n".join(rows) + "\n"


def label_values(server: Server, definition: str) -> list[str]:
    """Answer what Grafana asks for a choice: the values of a label."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", definition)
    assert found is not None
    query = {"match[]": filled_in(found[1])}
    values: list[str] = server.get(f"/api/v1/label/{found[2]}/values", **query)["data"]
    return values
