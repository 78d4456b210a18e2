"""The monitor is silent: it sends not one packet, except to the sinks that the site file names.

It is tempted: its management network has a default route and a resolver, cameras call home in
front of it, it is reloaded, and it keeps state and evidence. What speaks for machines by itself is
off in its namespace (IPv6's neighbour discovery, `disable_ipv6` before an interface is up), as it
should be on a mirror port: whatever is heard is egressd's.
"""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest
from clouds import open_clouds
from collector import (
    SYSLOG_PORT,
    WEBHOOK_PORT,
    Taps,
    destination_of,
    open_collectors,
    sent_by,
)
from labscenarios import FILMS, HIK, SITE
from labsite import COLLECTOR, LabSite
from monitor import Events, Monitor
from namespaces import require_namespaces
from steps import AskTime, Call, Lookup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from steps import Step

pytestmark = [
    pytest.mark.program("ip"),
    pytest.mark.program("tc"),
    pytest.mark.program("nft"),
    pytest.mark.program("dnsmasq"),
    pytest.mark.program("setpriv"),
    pytest.mark.program("unshare"),
    pytest.mark.program("mount"),
]
STEPS: tuple[Step, ...] = (
    Call("cam1", HIK),
    Call("cam2", FILMS, upload=100_000),
    Lookup("cam1", FILMS, resolver="198.51.100.8"),
    AskTime("cam2", "198.51.100.123"),
)
FINDINGS = 5  # a lookup, and where each step went


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LabSite]:
    require_namespaces()
    with LabSite(tmp_path) as built:
        open_clouds(built)
        yield built


def play(site: LabSite, monitor: Monitor) -> None:
    """Let the daemon see cameras calling home, with a reload in the midst of it."""
    state = monitor.folder / "state"
    monitor.start_watch("--eve", str(monitor.eve), "--state", str(state))
    monitor.wait_until_all_listen()
    site.mirror()
    for step in STEPS[:2]:
        step.run(site)
    monitor.send(signal.SIGHUP)
    monitor.wait(lambda: "reload_done" in monitor.log.read_text(), "reloaded")
    for step in STEPS[2:]:
        step.run(site)
    site.end_mirror()
    monitor.wait_until_all_have_seen()


def test_without_sinks_not_one_packet_is_sent(site: LabSite, tmp_path: Path) -> None:
    taps = Taps(site)
    monitor = Monitor(site, tmp_path / "monitor", SITE)
    play(site, monitor)
    assert monitor.stop() == 0
    # It was awake all the while:
    assert len(Events.load(monitor.eve).findings()) == FINDINGS
    assert list((tmp_path / "monitor/state/evidence").glob("*/*.pcapng"))
    # And yet:
    assert sent_by(site, "monitor") == {"lo": 0, "mirror0": 0, "mgmt0": 0}
    assert taps.heard() == {"mirror0": [], "mgmt0": []}


@pytest.mark.parametrize("interface", ["mirror0", "mgmt0"])
def test_what_a_monitor_sends_would_be_heard(site: LabSite, interface: str) -> None:
    taps = Taps(site)
    frame = b"\xff" * 6 + bytes(6) + b"\x88\xb5" + bytes(46)  # IEEE's for experiments
    with (
        site.spaces.inside("monitor"),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender,
    ):
        sender.bind((interface, 0))
        sender.send(frame)
    assert taps.heard()[interface] == [frame]
    assert sent_by(site, "monitor")[interface] == 1


def test_a_name_that_a_monitor_asks_for_would_be_heard(site: LabSite, tmp_path: Path) -> None:
    taps = Taps(site)
    monitor = Monitor(site, tmp_path / "monitor", SITE)
    program = "import socket\ntry: socket.getaddrinfo('tempting.example', 1)\nexcept OSError: pass"
    monitor.run_python(program)
    assert f"arp {COLLECTOR}" in map(destination_of, taps.heard()["mgmt0"])


def test_with_sinks_nobody_else_is_spoken_to(site: LabSite, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    key.chmod(0o600)
    sinks = f"""\
sinks:
  - {{type: syslog, address: "{COLLECTOR}:{SYSLOG_PORT}"}}
  - {{type: webhook, url: "http://{COLLECTOR}:{WEBHOOK_PORT}/hook", secret_file: {key}}}
"""
    taps, collectors = Taps(site), open_collectors(site)
    monitor = Monitor(site, tmp_path / "monitor", SITE + sinks)
    play(site, monitor)
    told = {record["egressd"]["finding"] for record in Events.load(monitor.eve).of("alert")}
    assert len(told) == FINDINGS
    monitor.wait(
        lambda: told <= {alert["egressd"]["finding"] for alert in collectors.webhook.alerts},
        "told the webhook",
    )
    monitor.wait(
        lambda: all(any(one in text for text in collectors.syslog.messages) for one in told),
        "told the syslog collector",
    )
    assert monitor.stop() == 0
    sent = sent_by(site, "monitor")
    assert (sent["lo"], sent["mirror0"]) == (0, 0)
    heard = taps.heard()
    assert heard["mirror0"] == []
    assert set(map(destination_of, heard["mgmt0"])) <= {
        f"arp {COLLECTOR}",
        f"{COLLECTOR} udp {SYSLOG_PORT}",
        f"{COLLECTOR} rest of a datagram",  # of syslog, beyond the MTU
        f"{COLLECTOR} tcp {WEBHOOK_PORT}",
    }
    assert len(heard["mgmt0"]) == sent["mgmt0"]
