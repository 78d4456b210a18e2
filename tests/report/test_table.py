"""The table: right in 80 columns, right in wide ones, and nobody's name can forge it."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_case import camera, contact, coverage, destination, finding, full_case

from egressd.capture.damage import Damage
from egressd.model import Camera, Case, Contact, Coverage, Direction, Name, NameSource
from egressd.report.casefile import Input, Run
from egressd.report.remarks import remarks_of
from egressd.report.table import CONTACTS_SHOWN, console_for, print_table

RUN = Run((Input("a.pcap", 9, 85_000),))
HOSTILE = "\x1b]0;owned\x07\x1b[2J[bold red]x[/]\u202e\r\nno finding"


def text_of(case: Case, run: Run = RUN, width: int = 80) -> str:
    stream = io.StringIO()
    print_table(console_for(stream, width=width), case, run)
    return stream.getvalue()


def words_of(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line) for line in text_of(full_case(), width=width).splitlines()) <= width


def test_below_sixty_columns_each_fact_has_a_line() -> None:
    lines = [line.rstrip() for line in text_of(full_case(), width=59).splitlines()]
    for line in (
        *("- gate-1, 00:00:5e:00:53:01, 10.20.30.11", "  What: hikvision camera, 98% sure"),
        *("  Reached: sent 64 kB or more", "  Out: 1.2 MB", "  In: 8.9 kB", "  Finding: high"),
        *("- gate-1 -> vms.example.org port 443", "  Used: 2 flows"),
    ):
        assert line in lines


@pytest.mark.parametrize("width", [80, 160])
def test_what_a_person_needs_is_there(width: int) -> None:
    text = words_of(text_of(full_case(), width=width))
    for word in (
        *("Depot North", "85,000 frames", "12 min", "gate-1", "00:00:5e:00:53:01"),
        *("hikvision", "98% sure", "DHCP hostname HIKVISION", "192.0.2.7:443 tcp", "tls"),
        *("1.2 MB", "8.9 kB", "CN registered", "AS64496", "f-1 (high)", "permitted"),
        *("contract 12", "2 flows", "site.yaml:9", "2 frames were malformed"),
        *(
            "(frames 7, 9)",
            "(hikvision)",
            "1 camera calls home: gate-1 (dev.example.com); 1.2 MB went out.",
        ),
    ):
        assert word in text


def hostile_case(text: str) -> Case:
    found = finding()
    found.camera = Camera("00:00:5e:00:53:01", name=text, ips=[text], vendor=text, model=text)
    found.destination = destination(text)
    found.destination.names = [Name(text, NameSource.HTTP, 0)]
    found.reason = text
    return Case(
        site=text,
        cameras=[found.camera],
        contacts=[contact(of=found)],
        findings=[found],
        coverage=coverage(),
    )


@pytest.mark.parametrize("width", [40, 80, 160])
def test_a_hostile_name_is_shown_and_not_obeyed(width: int) -> None:
    run = Run((Input(HOSTILE, 9, 3, (Damage(HOSTILE, 7, HOSTILE),)),))
    text = text_of(hostile_case(HOSTILE), run, width)
    assert text.replace("\n", "").isprintable()
    assert "[bold red]x[/]" in words_of(text)
    assert not any(line.strip() == "no finding" for line in text.splitlines())


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_any_name_makes_a_printable_table(name: str) -> None:
    assert text_of(hostile_case(name)).replace("\n", "").isprintable()


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    print_table(console_for(stream, width=80), full_case(), RUN)
    assert re.search(r"\x1b\[[0-9;]*31m", stream.getvalue())


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    # https://no-color.org: any value but the empty one.
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_table(console_for(stream, width=80), full_case(), RUN)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", stream.getvalue())


def test_a_file_gets_no_escape_sequence() -> None:
    assert "\x1b" not in text_of(full_case())


def test_an_inbound_contact_says_who_called() -> None:
    case = full_case()
    case.contacts[0].direction = Direction.INBOUND
    assert "called in" in words_of(text_of(case))


def test_a_camera_that_scans_the_internet_does_not_bury_the_others() -> None:
    case = full_case()
    scans: list[Contact] = [contact() for _ in range(CONTACTS_SHOWN + 10)]
    case.contacts += scans
    text = words_of(text_of(case))
    assert "and 12 more contacts: see --json" in text
    assert text.index(" high ") < text.index("more contacts")


def test_every_loss_is_remarked() -> None:
    counters = Coverage(
        duplicates=1,
        cut_frames=1,
        overlapping_fragments=1,
        lost_bytes=1,
        one_way_flows=1,
        evicted_flows=1,
        shed_looks=1,
        super_frames=1,
        malformed={"a": 1},
        unknown={"b": 1},
        decode_errors={"c": 1},
        interface_drops={"d": 1},
    )
    run = Run((), interrupted=True, warnings=("old data",))
    remarks = remarks_of(Case(site=None, coverage=counters), run)
    assert len(remarks) == 14
    assert remarks[-1] == "old data"


def test_a_good_capture_has_no_remark() -> None:
    case = Case(site=None, cameras=[camera()], coverage=Coverage(frames=5, wire_bytes=500))
    assert remarks_of(case, RUN) == []
