"""What Prometheus is told: every count of the snapshot, under bounded labels, in valid text."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from sample_snapshot import NOON, camera_reading, full_snapshot, replayed, snapshot_of

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.model import Camera, Coverage, Kind, Party, Stage
from egressd.report.listener import listener_families
from egressd.report.metrics import (
    Blindness,
    BlindReason,
    CameraReading,
    DatabaseReading,
    Exposition,
    FindingCount,
    InterfaceReading,
    OpenFindings,
    PartyTraffic,
    SinkReading,
    Snapshot,
    Traffic,
    readings,
)
from egressd.report.metrics.exposition import FAMILIES
from egressd.report.metrics.family import OTHER, FamilyKind, capped
from egressd.report.metrics.labels import CameraLabels
from egressd.report.metrics.process import PROCESS_FAMILIES
from egressd.report.signatures import SIGNATURES

if TYPE_CHECKING:
    from egressd.report.metrics.family import Family
    from egressd.state import EngineState

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/metrics.md"
# DESIGN.md 7 lists the labels that may be; those of the program's own parts are sets it closes.
LABELS = {
    "camera", "party", "direction", "rule", "severity", "stage", "acknowledged", "permitted",
    "kind", "vendor", "listed", "reason", "protocol", "interface", "layer", "canary", "table",
    "database", "sink", "version", "python", "code",
}  # fmt: skip


def families() -> tuple[Family, ...]:
    return (*FAMILIES, *PROCESS_FAMILIES, *listener_families({}, {}))


def told(
    snapshot: Snapshot, maximum_cameras: int = 500
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every value by its name and labels."""
    exposition = Exposition(maximum_cameras=maximum_cameras)
    exposition.publish(snapshot)
    text = (exposition.render() or b"").decode()
    samples = [sample for family in read_text(text) for sample in family.samples]
    values = {(s.name, frozenset(s.labels.items())): s.value for s in samples}
    assert len(values) == len(samples), "a series stands there twice"
    return values


def value(snapshot: Snapshot, name: str, **labels: str) -> float:
    return told(snapshot)[name, frozenset(labels.items())]


# ---- the text -----------------------------------------------------------------------------------


@pytest.mark.program("promtool")
def test_promtool_finds_nothing_to_mend() -> None:
    exposition = Exposition(extra=listener_families({}, {}))
    exposition.publish(full_snapshot())
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition.render(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_both_formats_say_the_same() -> None:
    exposition = Exposition()
    exposition.publish(full_snapshot())
    plain = (exposition.render() or b"").decode()
    openmetrics = (exposition.render(as_openmetrics=True) or b"").decode()

    def values(parsed: object) -> Counter[str]:
        return Counter(
            f"{sample.name} {sorted(sample.labels.items())} {sample.value}"
            for family in parsed  # type: ignore[attr-defined] # the two readers' families are alike
            for sample in family.samples
            if not sample.name.startswith("process_")  # goes on between the two
        )

    parsed = read_openmetrics(openmetrics)  # type: ignore[no-untyped-call] # theirs
    assert values(read_text(plain)) == values(parsed)


def test_every_family_tells_something_of_a_full_snapshot() -> None:
    names = {name for name, _ in told(full_snapshot())}
    assert {family.name for family in (*FAMILIES, *PROCESS_FAMILIES)} == names


def test_an_empty_snapshot_can_be_told() -> None:
    assert value(Snapshot(taken=NOON), "egressd_frames_total") == 0


def test_before_the_first_snapshot_there_is_nothing() -> None:
    assert Exposition().render() is None
    assert not Exposition().is_ready


def test_a_snapshot_is_rendered_once() -> None:
    exposition = Exposition()
    exposition.publish(full_snapshot())
    assert exposition.render() is exposition.render()
    exposition.publish(full_snapshot())
    assert exposition.is_ready


def test_label_values_may_hold_anything_a_name_can() -> None:
    name = 'a "quoted" back\\slash, {brace} and ümlaut'
    snapshot = Snapshot(taken=NOON, cameras=(camera_reading(name=name),))
    assert value(snapshot, "egressd_camera_destinations_total", camera=name) == 3


# ---- the families -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_names_say_what_is_counted(family: Family) -> None:
    assert re.fullmatch(r"(egressd|process)_[a-z0-9_]+", family.name)
    assert family.name.endswith("_total") == (family.kind is FamilyKind.COUNTER)
    assert set(family.labels) <= LABELS
    assert family.help.endswith(".")
    assert len(family.help) < 100


def test_no_name_stands_for_two_families() -> None:
    assert [n for n, count in Counter(f.name for f in families()).items() if count > 1] == []


def test_the_documentation_lists_every_family() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE
    )
    listed = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(listed) == len(rows)
    assert listed == {family.name: (family.kind.value, family.labels) for family in families()}


def test_the_documentation_explains_every_label() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE))
    assert rows == {label for family in families() for label in family.labels}


# ---- cameras ------------------------------------------------------------------------------------


def test_bytes_are_told_by_camera_direction_and_party() -> None:
    snapshot = full_snapshot()
    name = "egressd_camera_bytes_total"
    assert value(snapshot, name, camera="gate-1", direction="out", party="vendor") == 1_000
    assert value(snapshot, name, camera="gate-1", direction="in", party="unknown") == 2_000
    unnamed = {"camera": "00:00:5e:00:53:02", "direction": "out", "party": "unknown"}
    assert value(snapshot, "egressd_camera_packets_total", **unnamed) == 60


def test_a_party_without_bytes_is_told_as_zero() -> None:
    quiet = Snapshot(taken=NOON, cameras=(CameraReading("00:00:5e:00:53:01"),))
    series = [labels for name, labels in told(quiet) if name == "egressd_camera_bytes_total"]
    assert len(series) == 2 * len(Party)


def test_findings_that_go_on_are_told_by_what_they_say() -> None:
    findings = (
        OpenFindings("cloud-contact", 1, Stage.MEDIA, 2),
        OpenFindings("cloud-contact", 1, Stage.MEDIA, acknowledged=True),
        OpenFindings("scan", 2, Stage.ATTEMPT),
    )
    snapshot = Snapshot(taken=NOON, cameras=(camera_reading(name="a", findings=findings),))
    media = {"camera": "a", "rule": "cloud-contact", "severity": "high", "stage": "media"}
    assert value(snapshot, "egressd_findings_open", **media, acknowledged="no") == 2
    assert value(snapshot, "egressd_findings_open", **media, acknowledged="yes") == 1


def test_every_rule_is_told_before_its_first_finding() -> None:
    rules = {
        dict(labels)["rule"]
        for name, labels in told(Snapshot(taken=NOON))
        if name == "egressd_findings_total"
    }
    assert rules == set(SIGNATURES)


def test_a_rule_this_table_does_not_know_is_told_all_the_same() -> None:
    snapshot = Snapshot(taken=NOON, findings=(FindingCount("new-rule", 2, 3),))
    assert value(snapshot, "egressd_findings_total", rule="new-rule", severity="medium") == 3


def test_a_moment_that_never_came_is_not_told() -> None:
    snapshot = Snapshot(
        taken=NOON,
        cameras=(CameraReading("00:00:5e:00:53:01"),),
        interfaces=(InterfaceReading("span0"),),
        databases=(DatabaseReading("geo", None),),
        sinks=(SinkReading("soc"),),
    )
    moments = {name for name, _ in told(snapshot) if name.endswith("_timestamp_seconds")}
    assert moments == {"egressd_snapshot_timestamp_seconds"}


def test_kinds_are_counted() -> None:
    assert value(full_snapshot(), "egressd_cameras", kind=Kind.RECORDER.value) == 1
    assert value(full_snapshot(), "egressd_cameras", kind=Kind.DOORBELL.value) == 0


# ---- bounds -------------------------------------------------------------------------------------


def test_cameras_beyond_the_limit_are_counted_together() -> None:
    cameras = tuple(camera_reading(number) for number in range(1, 6))
    values = told(Snapshot(taken=NOON, cameras=cameras), maximum_cameras=2)
    name = "egressd_camera_bytes_total"
    out = {
        dict(labels)["camera"]: number
        for (family, labels), number in values.items()
        if family == name and {("direction", "out"), ("party", "vendor")} <= labels
    }
    assert out == {"00:00:5e:00:53:01": 1_000, "00:00:5e:00:53:02": 1_000, OTHER: 3_000}
    assert values["egressd_cameras_unlabelled", frozenset()] == 3
    assert values["egressd_camera_label_overflows_total", frozenset()] == 3


def test_no_number_of_cameras_makes_more_series() -> None:
    def series(count: int) -> int:
        cameras = tuple(camera_reading(n, id=f"c{n}") for n in range(count))
        return len(told(Snapshot(taken=NOON, cameras=cameras), maximum_cameras=10))

    assert series(1_000) == series(100)


def test_a_camera_keeps_its_label_and_an_overflow_counts_once() -> None:
    labels = CameraLabels(maximum=1)
    first, second = camera_reading(1), camera_reading(2)
    for _ in range(3):
        assert labels.assign([first, second]) == {first.id: first.id, second.id: OTHER}
    assert labels.assign([second])[second.id] == OTHER  # the place of the first stays its own
    assert labels.overflows == 1


def test_strangers_leave_room_for_cameras_of_the_site_file() -> None:
    labels = CameraLabels(maximum=3, reserved=2)
    strangers = [camera_reading(number) for number in range(1, 4)]
    ours = camera_reading(9, name="gate-1", listed=True)
    assert list(labels.assign(strangers).values()) == [strangers[0].id, OTHER, OTHER]
    assert labels.assign([*strangers, ours])[ours.id] == "gate-1"


def test_after_a_restart_the_same_cameras_have_the_labels() -> None:
    cameras = [camera_reading(number) for number in (3, 1, 2)]
    first = CameraLabels(maximum=2)
    for camera in sorted(cameras, key=lambda camera: camera.recognised):
        first.assign([camera])
    assert first.assign(cameras) == CameraLabels(maximum=2).assign(cameras)


def test_cameras_that_share_a_name_are_told_apart() -> None:
    labels = CameraLabels().assign([camera_reading(1, name="hall"), camera_reading(2, name="hall")])
    assert sorted(labels.values()) == ["00:00:5e:00:53:02", "hall"]


def test_a_camera_named_like_the_overflow_is_told_by_its_id() -> None:
    camera = camera_reading(name=OTHER)
    assert CameraLabels().assign([camera]) == {camera.id: camera.id}


def test_a_renamed_camera_gets_its_new_name() -> None:
    labels = CameraLabels(maximum=1)
    camera = camera_reading()
    labels.assign([camera])
    assert labels.assign([replace(camera, name="gate-1", listed=True)]) == {camera.id: "gate-1"}


def test_reasons_beyond_the_limit_are_counted_together() -> None:
    assert capped({"a": 1, "b": 2, "c": 3, "d": 4}, 2) == {"a": 1, "b": 2, OTHER: 7}
    assert capped({"a": 1, "b": 2}, 2) == {"a": 1, "b": 2}


# ---- coverage -----------------------------------------------------------------------------------


def test_drops_are_told_by_layer() -> None:
    name = "egressd_interface_dropped_frames_total"
    layers = ("nic", "kernel")
    drops = [value(full_snapshot(), name, interface="span0", layer=layer) for layer in layers]
    assert drops == [1, 2]


def test_decode_errors_are_told_by_protocol_and_reason() -> None:
    name = "egressd_decode_errors_total"
    assert value(full_snapshot(), name, protocol="dns", reason="short header") == 2


def test_ethertypes_are_no_label() -> None:
    unknown = {f"0x{number:04x}": 1 for number in range(60_000)}
    snapshot = Snapshot(taken=NOON, coverage=Coverage(unknown=unknown))
    assert value(snapshot, "egressd_non_ip_frames_total") == 60_000


def test_every_reason_to_be_blind_is_told_whether_it_holds_or_not() -> None:
    blind = (Blindness(BlindReason.CANARY_MISSED, now=True, seconds=61.0),)
    snapshot = Snapshot(taken=NOON, blind=blind)
    holds = {
        reason: value(snapshot, "egressd_sensor_blind", reason=reason.value)
        for reason in BlindReason
    }
    assert holds == {reason: reason is BlindReason.CANARY_MISSED for reason in BlindReason}
    seconds = "egressd_sensor_blind_seconds_total"
    assert value(snapshot, seconds, reason="canary_missed") == 61.0


def test_a_replay_is_told_as_the_case_says() -> None:
    case = replayed("demo")
    snapshot = snapshot_of(case, case.coverage.last)
    values = told(snapshot)
    assert values["egressd_frames_total", frozenset()] == case.coverage.frames == 1_808
    sent = sum(
        number
        for (name, labels), number in values.items()
        if name == "egressd_camera_bytes_total" and ("direction", "out") in labels
    )
    assert sent == sum(contact.bytes_out for contact in case.contacts) > 150_000
    open_ones = sum(n for (name, _), n in values.items() if name == "egressd_findings_open")
    assert open_ones == len(case.findings) == 6


# ---- over reloads and restarts ------------------------------------------------------------------


def counters(snapshot: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        key: number
        for key, number in told(snapshot).items()
        if key[0].startswith("egressd_") and key[0].endswith("_total")
    }


def test_no_counter_falls_over_a_restart() -> None:
    services = load_services()
    site = load_site(ROOT / "pcaps/sites/demo.yaml", services.vendors)
    capture = str(ROOT / "pcaps/demo.pcapng")
    first = assemble(site, services=services, geo=Geo())
    first.state()  # from then on it counts what is told
    with open_captures([capture]) as reader:
        for batch in reader:
            first.feed(batch, reader.sources)
    kept = first.state()
    before = counters(snapshot_of_state(kept))
    second = assemble(site, services=services, geo=Geo())
    second.restore(kept)
    after = counters(snapshot_of_state(second.state()))
    begun = counters(Snapshot(taken=NOON))
    grew = [key for key, number in before.items() if number > begun.get(key, 0)]
    assert {name for name, _ in grew} >= {
        "egressd_camera_bytes_total",
        "egressd_contacts_total",
        "egressd_findings_total",
        "egressd_frames_total",
    }
    assert [key for key in before if after.get(key, 0) < before[key]] == []


def snapshot_of_state(state: EngineState) -> Snapshot:
    cameras = [Camera(id=device.id) for device in state.devices]
    return Snapshot(
        taken=NOON,
        coverage=state.coverage,
        cameras=readings.camera_readings(cameras, {}, state.totals, {}),
        contacts=readings.contact_counts(state.counts),
        findings=readings.finding_counts(state.counts),
    )


counts = st.integers(0, 2**53)


@given(st.lists(st.tuples(st.sampled_from(Party), counts, counts), max_size=12))
def test_traffic_is_told_whole_whatever_its_parts(parts: list[tuple[Party, int, int]]) -> None:
    traffic = tuple(PartyTraffic(party, Traffic(out, into)) for party, out, into in parts)
    snapshot = Snapshot(taken=NOON, cameras=(camera_reading(traffic=traffic),))
    sums = Counter[str]()
    for (name, labels), number in told(snapshot).items():
        if name == "egressd_camera_bytes_total":
            sums[dict(labels)["direction"]] += int(number)
    assert sums["out"] == pytest.approx(sum(out for _, out, _ in parts))
    assert sums["in"] == pytest.approx(sum(into for _, _, into in parts))
