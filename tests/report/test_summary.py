"""The closing line: never a bare green light."""

from __future__ import annotations

from sample_case import camera, contact, coverage, finding

from egressd.capture.damage import Damage
from egressd.model import Camera, Case, Direction, Finding, Stage
from egressd.report.casefile import Input, Run
from egressd.report.summary import summary_of

WHOLE = Run((Input("a.pcap", 9, 85_000),))


def case_of(*findings: Finding, cameras: int = 1) -> Case:
    return Case(
        site=None, cameras=[camera()] * cameras, findings=list(findings), coverage=coverage()
    )


def test_no_contact_is_no_proof() -> None:
    summary = summary_of(case_of(), WHOLE)
    assert summary.text == (
        "No camera was seen leaving the site in 12 min of capture (85,000 frames) of 1 camera. "
        "This is not proof that they never do."
    )
    assert not summary.refutes


def test_a_permitted_contact_is_not_hidden() -> None:
    case = case_of()
    case.contacts = [contact(permitted=True), contact()]
    text = summary_of(case, WHOLE).text
    assert "1 camera reached 2 destinations off site (1 permitted, 1 that no rule" in text
    assert "not proof" in text


def test_no_camera_recognised_says_so() -> None:
    case = Case(site=None, coverage=coverage(), other_hosts=3)
    assert "No camera was recognised among 3 hosts" in summary_of(case, WHOLE).text


def test_no_frame_says_nothing() -> None:
    assert "nothing at all" in summary_of(Case(site=None), WHOLE).text


def test_who_got_through_is_told_apart_from_who_tried() -> None:
    other = Camera("00:00:5e:00:53:02", name="gate-2")
    tried = finding(Stage.ATTEMPT, other)
    text = summary_of(case_of(finding(), tried), WHOLE).text
    assert "1 camera calls home: gate-1 (dev.example.com)" in text
    assert "1 camera tried to call home, and no connection was seen: gate-2" in text


def test_a_camera_that_did_both_counts_once() -> None:
    text = summary_of(case_of(finding(), finding(Stage.ATTEMPT)), WHOLE).text
    assert text.startswith("1 camera calls home: gate-1")
    assert "tried" not in text


def test_a_time_server_is_not_home() -> None:
    asked = finding(Stage.PAYLOAD)
    asked.rule = "foreign-time-server"
    text = summary_of(case_of(asked), WHOLE).text
    assert text == "1 camera used name or time servers off site: gate-1 (dev.example.com)."


def test_a_caller_from_outside_is_told_apart() -> None:
    called, knocked = finding(), finding(Stage.ATTEMPT, Camera("00:00:5e:00:53:02"))
    called.direction = knocked.direction = Direction.INBOUND
    text = summary_of(case_of(called, knocked), WHOLE).text
    assert "1 camera was reached from off site: gate-1" in text
    assert "1 camera was tried from off site: 00:00:5e:00:53:02" in text
    assert "home" not in text


def test_many_cameras_are_counted_and_some_named() -> None:
    many = [finding(Stage.MEDIA, Camera(f"00:00:5e:00:53:{n:02x}")) for n in range(9)]
    text = summary_of(case_of(*many), WHOLE).text
    assert text.startswith("9 cameras call home: ")
    assert "and 5 more" in text


def test_a_damaged_input_is_said_in_the_verdict() -> None:
    run = Run((Input("a.pcap", 9, 3, (Damage("a.pcap", 7, "cut record"),)),))
    assert "Not all of the input could be read" in summary_of(case_of(finding()), run).text
    assert "Not all of the input could be read" in summary_of(case_of(), run).text
