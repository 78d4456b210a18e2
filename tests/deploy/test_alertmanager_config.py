"""Alerts go to those who can do something, and a blind sensor keeps back what it cannot know."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from monitoring_servers import DEPLOY, Server, alertmanager
from test_prometheus_rules import alerts

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = DEPLOY / "alertmanager/alertmanager.yml"


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.program("amtool")
def test_the_configuration_can_be_read() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


def receiver_of(alert: dict[str, Any]) -> str:
    labels = {"alertname": alert["alert"], **alert["labels"], "site": "a", "camera": "gate-1"}
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return amtool("config", "routes", "test", f"--config.file={CONFIG}", *pairs).strip()


@pytest.mark.program("amtool")
def test_every_alert_goes_to_somebody_fit() -> None:
    receivers = {alert["alert"]: receiver_of(alert) for alert in alerts()}
    for alert in alerts():
        name, labels = alert["alert"], alert["labels"]
        if labels.get("sensor") == "blind":
            assert receivers[name] == "soc-and-network-team", name
        elif name == "EgressdAllQuiet":
            assert receivers[name] == "dead-mans-switch"
        elif "camera" in alert["expr"] and labels["severity"] in {"critical", "warning"}:
            assert receivers[name] == "soc", name
        else:
            assert receivers[name] in {"network-team", "weekly"}, name


def alert_of(name: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, "site": "a", **labels}}


def kept_back(server: Server, *sent: dict[str, Any]) -> set[str]:
    """Send alerts and return the names of those that others keep back."""
    server.post("/api/v2/alerts", sent)
    names = {alert["labels"]["alertname"] for alert in sent}
    end = time.monotonic() + 10
    while time.monotonic() < end:
        known = server.get("/api/v2/alerts")
        if {alert["labels"]["alertname"] for alert in known} >= names and all(
            alert["status"]["state"] != "unprocessed" for alert in known
        ):
            return {a["labels"]["alertname"] for a in known if a["status"]["inhibitedBy"]}
        time.sleep(0.1)
    raise AssertionError("the alerts were not processed")


@pytest.mark.program("prometheus-alertmanager")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([alert_of("EgressdSensorBlind", sensor="blind", instance="i", reason="no_frames"),
          alert_of("EgressdCameraSilent", camera="gate-1"), alert_of("EgressdAllQuiet"),
          alert_of("EgressdCameraCallsHome", camera="gate-1")],
         {"EgressdCameraSilent", "EgressdAllQuiet"}),
        ([alert_of("EgressdSensorBlind", sensor="blind", instance="i", reason="no_frames"),
          {"labels": {"alertname": "EgressdAllQuiet", "site": "b"}}],
         set()),
        ([alert_of("EgressdSensorDown", sensor="blind", instance="i"),
          alert_of("EgressdSensorStuck", sensor="blind", instance="i"),
          alert_of("EgressdOneWayMirror", sensor="blind", instance="i")],
         {"EgressdSensorStuck"}),
        ([alert_of("EgressdVideoLeavesSite", camera="gate-1"),
          alert_of("EgressdCameraCallsHome", camera="gate-1"),
          alert_of("EgressdNewDestination", camera="gate-1")],
         {"EgressdCameraCallsHome"}),
        ([alert_of("EgressdCameraCallsHome", camera="gate-1"),
          alert_of("EgressdCameraTriesToCallHome", camera="gate-2")],
         set()),
    ],
    ids=["a blind sensor", "another site's sensor", "a sensor that is down", "video",
         "another camera"],
)  # fmt: skip
def test_what_cannot_be_known_or_is_said_already_is_kept_back(
    tmp_path: Path, sent: list[dict[str, Any]], kept: set[str]
) -> None:
    with alertmanager(tmp_path) as server:
        assert kept_back(server, *sent) == kept
