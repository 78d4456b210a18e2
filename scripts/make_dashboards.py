# ruff: noqa: INP001 - a program to run, not a package to import
"""Write deploy/grafana/: the dashboards, as Grafana imports them.

Run it after every change of dashboards.py: python scripts/make_dashboards.py
What Grafana fills in by itself is left away.
"""

from __future__ import annotations

import json
from pathlib import Path

from dashboards import DASHBOARDS, Dashboard, Json, Panel, Query, Row, Variable

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "grafana"
SCHEMA_VERSION = 39  # Grafana 10.4 and later read it; later ones migrate it
COLUMNS = 24  # of Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Firing alerts as marks on the graphs.
ALERTS = (
    'ALERTS{site=~"$site", alertname=~"Egressd.*", alertname!="EgressdAllQuiet", '
    'alertstate="firing"}'
)


def dashboard_json(dashboard: Dashboard) -> Json:
    """Return a dashboard as Grafana imports it."""
    return {
        "annotations": {"list": [_alerts_annotation()]},
        "description": dashboard.description,
        "editable": True,
        "graphTooltip": 1,  # one cross-hair for all panels
        "links": [_link()],
        "panels": _laid_out(dashboard.rows),
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["egressd"],
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",  # as the records are
        "title": dashboard.title,
        "uid": dashboard.uid,
    }


def files() -> dict[str, str]:
    """Return the text of every file in deploy/grafana."""
    return {
        f"{dashboard.uid}.json": json.dumps(dashboard_json(dashboard), indent=2) + "\n"
        for dashboard in DASHBOARDS
    }


def _laid_out(rows: tuple[Row, ...]) -> list[Json]:
    """Return headings and panels with places on the grid, left to right, top to bottom."""
    laid: list[Json] = []
    top = 0
    for row in rows:
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
        laid.append(
            {"collapsed": False, "gridPos": place, "id": len(laid) + 1, "panels": [],
             "title": row.title, "type": "row"}
        )  # fmt: skip
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, height = 0, top + height, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            laid.append(_panel(panel, place, len(laid) + 1))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return laid


def _panel(panel: Panel, place: Json, number: int) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    steps += [{"color": step.colour, "value": step.value} for step in panel.thresholds]
    defaults: Json = {
        "color": {"mode": "thresholds" if panel.thresholds else "palette-classic"},
        "custom": panel.custom,
        "thresholds": {"mode": "absolute", "steps": steps},
        "unit": panel.unit,
    }
    return {
        "datasource": DATASOURCE,
        "description": panel.description,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "gridPos": place,
        "id": number,
        "options": panel.options,
        "targets": [_target(query, panel, index) for index, query in enumerate(panel.queries)],
        "title": panel.title,
        "transformations": _transformations(panel),
        "type": panel.kind,
    }


def _target(query: Query, panel: Panel, index: int) -> Json:
    return {
        "datasource": DATASOURCE,
        "expr": query.expression,
        "format": "table" if panel.kind == "table" else "time_series",
        "instant": query.instant,
        "legendFormat": query.legend or "__auto",
        "range": not query.instant,
        "refId": chr(ord("A") + index),
    }


def _transformations(panel: Panel) -> list[Json]:
    """Return what a table leaves out: the moment of the query is in every row."""
    if panel.kind != "table":
        return []
    return [{"id": "organize", "options": {"excludeByName": {"Time": True}}}]


def _variable(variable: Variable) -> Json:
    return {
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"} if variable.several else {},
        "datasource": DATASOURCE,
        "definition": variable.query,
        "includeAll": variable.several,
        "label": variable.label,
        "multi": variable.several,
        "name": variable.name,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,  # when the range changes: cameras come and go
        "sort": 1,
        "type": "query",
    }


def _datasource() -> Json:
    return {
        "label": "Prometheus",
        "name": "datasource",
        "query": "prometheus",
        "type": "datasource",
    }


def _alerts_annotation() -> Json:
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": ALERTS,
        "iconColor": "red",
        "name": "Alerts",
        "step": "60s",
        "tagKeys": "severity",
        "textFormat": "{{camera}}{{instance}} {{rule}}{{reason}}",
        "titleFormat": "{{alertname}}",
    }


def _link() -> Json:
    return {
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "tags": ["egressd"],
        "title": "egressd",
        "type": "dashboards",
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
