"""What happens on a site of network namespaces is found: live, and again from recordings of it.

Findings and stages are compared with what the scenario says, bytes with what the kernel counted
where frames entered the switch. The same frames, recorded from the ring, give the same records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from clouds import open_camera, open_clouds
from labscenarios import ANY_PORT, SCENARIOS, SITE, Scenario
from labsite import HOST, LEASES, Count, LabSite, OneWay
from monitor import Events, Monitor, Told
from namespaces import require_namespaces
from rtspserver import encode_film
from steps import FILM_PICTURES, Play

if TYPE_CHECKING:
    from pathlib import Path

SMALLEST_FILM = 50_000  # bytes of the pictures that are played, at the very least
pytestmark = [
    pytest.mark.program("ip"),
    pytest.mark.program("tc"),
    pytest.mark.program("nft"),
    pytest.mark.program("dnsmasq"),
    pytest.mark.program("setpriv"),
    pytest.mark.program("unshare"),
    pytest.mark.program("ffmpeg"),
    pytest.mark.program("dumpcap"),
]


@dataclass(frozen=True, slots=True)
class Captured:
    """How much of the frames the recordings hold."""

    ring: int  # bytes
    mirror: int

    @classmethod
    def of(cls, monitor: Monitor) -> Captured:
        """Weigh a monitor's recordings."""
        return cls(monitor.ring.stat().st_size, monitor.mirror.stat().st_size)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario came to."""

    scenario: Scenario
    before_the_end: Events  # while the daemon was still running
    live: Events
    ring: Events  # the replay of what the ring saw
    mirror: Events  # the replay of what the mirror carried
    captured: Captured
    counted: dict[OneWay, Count]  # by the kernel


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what cameras show."""
    require_namespaces()
    path = tmp_path_factory.mktemp("film") / "film.h264"
    encode_film(path)
    return path


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_what_happens_is_found_live_and_in_replays(
    scenario: Scenario, film: Path, tmp_path: Path
) -> None:
    outcome = play(scenario, film, tmp_path)
    came_through_the_mirror_whole(outcome)
    was_found_while_it_went_on(outcome)
    has_the_octets_that_the_kernel_counted(outcome)
    has_findings_with_the_octets_that_the_kernel_counted(outcome)
    is_line_by_line_the_replay_of_what_the_ring_saw(outcome)
    is_what_the_full_mirror_shows(outcome)
    has_video_on_site_cut_to_its_headers(outcome)


def play(scenario: Scenario, film: Path, folder: Path) -> Outcome:
    """Play a scenario on a site of its own."""
    with LabSite(folder) as site:
        open_clouds(site)
        for camera in ("cam1", "cam2"):
            open_camera(site, camera, film)
        monitor = Monitor(site, folder / "monitor", SITE)
        monitor.record()
        monitor.start_watch("--eve", str(monitor.eve))
        monitor.wait_until_all_listen()
        site.mirror()
        for step in scenario.steps:
            step.run(site)
        site.wait_until_quiet()
        site.end_mirror()
        monitor.wait_until_all_have_seen()
        before_the_end = Events.load(monitor.eve)
        counted = site.counts()
        assert monitor.stop() == 0, monitor.log.read_text()
    return Outcome(
        scenario,
        before_the_end,
        Events.load(monitor.eve),
        monitor.replay(monitor.ring),
        monitor.replay(monitor.mirror),
        Captured.of(monitor),
        counted,
    )


def expected_of(outcome: Outcome) -> list[Told]:
    """Return the scenario's findings, with the port that a viewer happened to have."""
    ports = {way.source: way.source_port for way in outcome.counted}
    return sorted(
        (
            found._replace(port=ports[found.ip]) if found.port == ANY_PORT and found.ip else found
            for found in outcome.scenario.findings
        ),
        key=str,
    )


def came_through_the_mirror_whole(outcome: Outcome) -> None:
    """Tell that the lab is what it is meant to be, before anything is made of it."""
    live, mirror = outcome.live.coverage(), outcome.mirror.coverage()
    for key in ("super_frames", "duplicates", "lost_bytes", "shed_looks", "evicted_flows"):
        assert live[key] == 0, key
    for key in ("malformed", "unknown", "decode_errors"):
        assert live[key] == {}, key
    assert live["frames"] == mirror["frames"]
    assert live["wire_bytes"] == mirror["wire_bytes"]


def was_found_while_it_went_on(outcome: Outcome) -> None:
    assert outcome.before_the_end.findings() == expected_of(outcome)


def has_the_octets_that_the_kernel_counted(outcome: Outcome) -> None:
    assert outcome.counted
    assert outcome.live.counts() == outcome.counted


def has_findings_with_the_octets_that_the_kernel_counted(outcome: Outcome) -> None:
    for finding in expected_of(outcome):
        if finding.ip is None:  # a lookup has no far end
            continue
        out, back = Count(0, 0), Count(0, 0)
        for way, count in outcome.counted.items():
            if way[2:] == (finding.ip, finding.port, finding.transport) and is_of(finding, way):
                out += count
                back += outcome.counted.get(way.reverse, Count(0, 0))
        assert out.packets >= outcome.scenario.tries, finding
        assert outcome.live.exchanged_by(finding) == (out, back)


def is_line_by_line_the_replay_of_what_the_ring_saw(outcome: Outcome) -> None:
    assert outcome.live.lines_of_the_site()
    assert outcome.ring.lines_of_the_site() == outcome.live.lines_of_the_site()


def is_what_the_full_mirror_shows(outcome: Outcome) -> None:
    assert outcome.mirror.findings() == outcome.live.findings()
    assert outcome.mirror.counts() == outcome.live.counts()


def has_video_on_site_cut_to_its_headers(outcome: Outcome) -> None:
    """Tell that ring and mirror differ, where a recorder has played a camera's film."""
    if any(isinstance(step, Play) and step.by == "nvr" for step in outcome.scenario.steps):
        cut = [
            one.of("coverage")[-1]["egressd"]["coverage"] for one in (outcome.ring, outcome.mirror)
        ]
        assert cut[0]["cut_frames"] > FILM_PICTURES
        assert cut[1]["cut_frames"] == 0
        assert outcome.captured.mirror - outcome.captured.ring > SMALLEST_FILM


def is_of(finding: Told, way: OneWay) -> bool:
    """Tell whether frames come from the camera of a finding."""
    names = {"gate-1": "cam1", "yard-2": "cam2"}
    if finding.camera not in names:
        return way.source.startswith(LEASES)
    return way.source in HOST[names[finding.camera]].ips
