"""The bench: its arithmetic, what it reads from other programs, and a run that takes a second."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import programs
from bench.files import make_capture, remove_stale
from bench.holds import Judged, Kept, judge_holds
from bench.loop_dpkt import count_frames
from bench.measure import GNU_TIME, RunError, measure
from bench.plan import FULL, SITE_MIX, Kind, Plan, Sizes, quick_of
from bench.programs import (
    DPKT,
    EGRESSD_EVE,
    NDPI,
    TSHARK_FIELDS,
    Absent,
    Program,
    find_programs,
    read_egressd_frames,
    read_loop_frames,
    read_ndpi_frames,
    read_ndpi_version,
)
from bench.rates import Measurement, Runs, measurement_of, ratio_of, slope_of
from bench.render import BEGIN, END, render, write_readme
from bench.results import Contestant, Machine, Results, Start, load_results, write_results
from bench.run import SMALL_REPLAY, VERSION, run_bench, sizes_for

BENCH = Path(programs.__file__).parent
MACHINE = Machine("2026-11-22", "a processor", 2, 8 << 30, "Linux 6", "3.11", 0.1, 0.01)
FEW = Kind("site-mix", "a few", Sizes(200, 1000), Sizes(100, 400), site=SITE_MIX.site)

# What ndpiReader 4.2.0 (Debian 12) prints, cut to the lines that matter.
NDPI_OUTPUT = """
-----------------------------------------------------------
* NOTE: This is demo app to show *some* nDPI features.
------------------------------------------------------------

Using nDPI (4.2.0) [1 thread(s)]
Using libgcrypt version 1.10.1
Reading packets from pcap file site-mix.pcap...

Traffic statistics:
	Ethernet bytes:        108594485     (includes ethernet CRC/IFC/trailer)
	Discarded bytes:       0            
	IP packets:            99999         of 100000 packets total
	IP bytes:              106194485     (avg pkt size 1061 bytes)
	Unique flows:          1133         
	nDPI throughput:       623.93 K pps / 5.05 Gb/sec
"""  # noqa: W291 - as printed


def runs(frames: int, *seconds: float, peak: int = 50_000_000) -> Runs:
    """Return runs on a file of a thousand bytes a frame, one processor busy all the time."""
    return Runs(frames, frames * 1000, seconds, seconds, (peak,) * len(seconds))


def measured(kind: str, program: str, rate: float, peak: int = 50_000_000) -> Measurement:
    """Return a measurement of a program that starts in half a second."""
    small, large = 100_000, 1_000_000
    series = [runs(n, 0.5 + n / rate, peak=peak) for n in (small, large)]
    return measurement_of(kind, program, *series)


def results_of(*measurements: Measurement, starts: tuple[Start, ...] = ()) -> Results:
    return Results(
        quick=False,
        machine=MACHINE,
        contestants=(Contestant("nfstream", "", "", "", "not asked for"),),
        measurements=measurements,
        starts=starts,
        failures=(),
    )


def verdict_on(results: Results, what: str) -> Judged:
    return next(judged for judged in judge_holds(results) if judged.what == what)


# The arithmetic


def test_start_up_is_no_part_of_the_rate() -> None:
    # 0.4 s to start and 1 M frames a second: 1.4 s and 4.4 s.
    assert slope_of(1_000_000, 1.4, 4_000_000, 4.4) == pytest.approx(1_000_000)


def test_there_is_no_rate_where_the_larger_file_took_no_longer() -> None:
    assert slope_of(100, 0.5, 200, 0.5) is None
    assert slope_of(100, 0.5, 200, 0.4) is None


def test_a_slope_needs_two_sizes() -> None:
    with pytest.raises(ValueError, match="larger"):
        slope_of(100, 0.5, 100, 0.6)


@given(
    rate=st.floats(1e3, 1e8),
    start=st.floats(0, 10),
    frames=st.integers(0, 10**6),
    more=st.integers(10**6, 10**8),
)
def test_the_slope_finds_the_rate_whatever_the_start_up(
    rate: float, start: float, frames: int, more: int
) -> None:
    found = slope_of(frames, start + frames / rate, frames + more, start + (frames + more) / rate)
    assert found == pytest.approx(rate, rel=1e-6)


def test_the_median_forgives_one_slow_run() -> None:
    found = measurement_of("k", "p", runs(100, 1.0, 1.0, 9.0), runs(200, 2.0, 2.0, 7.0))
    assert found.packets_per_second == pytest.approx(100)
    assert found.bytes_per_second == pytest.approx(100_000)
    assert found.spread == pytest.approx(2.5)
    assert found.start == pytest.approx(0.0)
    assert found.peak == 50_000_000


def test_a_ratio_needs_two_rates() -> None:
    ours, other = measured("k", "a", 4e6), measured("k", "b", 1e6)
    assert ratio_of(ours, other) == pytest.approx(4)
    assert ratio_of(ours, None) is None
    assert ratio_of(replace(ours, packets_per_second=None), other) is None


# What other programs say


def test_ndpi_says_how_many_frames_the_file_held() -> None:
    assert read_ndpi_frames(NDPI_OUTPUT) == 100_000  # of which 99,999 were IP


def test_ndpi_says_which_version_it_is() -> None:
    assert read_ndpi_version(NDPI_OUTPUT) == "4.2.0"
    assert read_ndpi_version("Welcome to nDPI 4.2.0\n") == "4.2.0"
    assert read_ndpi_version("Welcome") == "of unknown version"


@pytest.mark.parametrize(
    "text", ["", "IP packets:", NDPI_OUTPUT[:300]], ids=["none", "cut", "half"]
)
def test_ndpi_output_without_its_count_has_no_count(text: str) -> None:
    assert read_ndpi_frames(text) is None


@given(st.text(max_size=300))
def test_reading_what_programs_say_never_fails(text: str) -> None:
    read_egressd_frames(text)
    read_ndpi_frames(text)
    read_ndpi_version(text)
    read_loop_frames(text)


def test_egressd_says_how_many_frames_it_looked_at() -> None:
    heading = "Bench: site-mix.pcap\n4,000,000 frames, 4.3 GB, 22,334 flows\n"
    assert read_egressd_frames(heading) == 4_000_000
    assert read_egressd_frames("Traceback (most recent call last):\n") is None
    assert read_egressd_frames(",,, frames, \n") is None


def test_our_own_loops_say_what_they_read() -> None:
    assert read_loop_frames("250000 frames\n") == 250_000
    assert read_loop_frames("250000\n") is None


def test_the_dpkt_loop_reads_every_frame(tmp_path: Path) -> None:
    assert count_frames(make_capture(FEW, 300, tmp_path).path) == 300


# Files and plan


@pytest.mark.parametrize("kind", FULL.kinds, ids=lambda kind: kind.name)
def test_the_smaller_file_is_the_head_of_the_larger(kind: Kind, tmp_path: Path) -> None:
    small, large = (make_capture(kind, frames, tmp_path) for frames in (200, 1000))
    assert large.path.read_bytes().startswith(small.path.read_bytes())
    assert small.frame_bytes < large.frame_bytes


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = make_capture(FEW, 100, tmp_path).path
    before = path.stat().st_mtime_ns
    assert make_capture(FEW, 100, tmp_path).path == path
    assert path.stat().st_mtime_ns == before


def test_files_of_another_generator_are_removed(tmp_path: Path) -> None:
    ours = make_capture(FEW, 100, tmp_path).path
    (tmp_path / "site-mix-100-00000000.pcap").touch()
    (tmp_path / "site-mix-100.part").touch()
    remove_stale(tmp_path)
    assert list(tmp_path.iterdir()) == [ours]


@pytest.mark.parametrize("kind", FULL.kinds, ids=lambda kind: kind.name)
def test_every_kind_names_a_site_file_that_is_there(kind: Kind) -> None:
    assert kind.site.is_file()


def test_a_quick_run_measures_the_same_kinds() -> None:
    quick = quick_of(FULL)
    assert [kind.name for kind in quick.kinds] == [kind.name for kind in FULL.kinds]
    assert sum(kind.sizes.large for kind in quick.kinds) * 10 == sum(
        kind.sizes.large for kind in FULL.kinds
    )


def test_slow_programs_get_the_slice() -> None:
    slow = Program("p", "1", "", "", lambda _: [], None, slow=True)
    fast = replace(slow, slow=False)
    assert sizes_for(SITE_MIX, slow) == SITE_MIX.slice
    assert sizes_for(SITE_MIX, fast) == SITE_MIX.sizes
    ndpi = replace(fast, name=NDPI)
    assert sizes_for(SITE_MIX, ndpi) == SITE_MIX.sizes
    assert sizes_for(replace(SITE_MIX, many_flows=True), ndpi) == SITE_MIX.slice


# One run of one program


def test_a_failed_program_gives_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]
    with pytest.raises(RunError, match="exit status 1: no such thing"):
        measure(command, timeout=20, accepted=frozenset({0}))


def test_findings_are_no_failure() -> None:
    command = [sys.executable, "-c", "raise SystemExit(1)"]
    assert measure(command, timeout=20, accepted=frozenset({0, 1})).output == ""


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(RunError, match="not done after"):
        measure(["sleep", "20"], timeout=0.2, accepted=frozenset({0}))


@pytest.mark.skipif(GNU_TIME is None, reason="no time on this machine")
def test_the_peak_is_the_programs_own_and_not_that_of_the_bench() -> None:
    ballast = bytearray(200_000_000)  # makes this process big, and every byte is touched
    ballast[::4096] = b"x" * len(ballast[::4096])
    sample = measure(["sleep", "0"], timeout=20, accepted=frozenset({0}))
    assert sample.peak is not None
    assert sample.peak < 20_000_000 < len(ballast)


# What we hold ourselves to


@pytest.mark.parametrize(
    ("rate", "kept"), [(4.1e6, Kept.HELD), (3.9e6, Kept.NOT_HELD)], ids=["over", "under"]
)
def test_four_times_as_fast_as_ndpi_is_held_or_it_is_not(rate: float, kept: Kept) -> None:
    results = results_of(measured("site-mix", EGRESSD_EVE, rate), measured("site-mix", NDPI, 1e6))
    assert verdict_on(results, "replay, site-mix, vs ndpiReader").kept is kept


def test_what_was_not_measured_is_never_held() -> None:
    for judged in judge_holds(results_of()):
        assert judged.kept is Kept.NOT_MEASURED, judged.what


def test_every_number_of_the_design_is_listed() -> None:
    told = {judged.what: judged.hold for judged in judge_holds(results_of())}
    assert told["replay, site-mix, vs dpkt"] == ">= 60x"
    assert told[f"replay, site-mix, vs {TSHARK_FIELDS}"] == ">= 150x"
    assert told["replay, name-dense, vs ndpiReader"] == ">= 2x"
    assert told["memory, 10,000 cameras and 1 M flows"] == "<= 400 MB"
    assert told["memory over a soak"] == "flat"
    assert len(told) == 15


@pytest.mark.parametrize(
    ("peak", "kept"),
    [(110_000_000, Kept.HELD), (130_000_000, Kept.UNDECIDED)],
    ids=["less", "more"],
)
def test_memory_at_ten_times_the_cameras_can_prove_the_hold_and_not_refute_it(
    peak: int, kept: Kept
) -> None:
    results = results_of(measured("ten-thousand-cameras", EGRESSD_EVE, 1e6, peak))
    assert verdict_on(results, "memory, 1,000 cameras and 100 k flows").kept is kept


def test_a_quick_run_says_nothing_of_memory() -> None:
    results = results_of(measured("ten-thousand-cameras", EGRESSD_EVE, 1e6))
    judged = verdict_on(replace(results, quick=True), "memory, 10,000 cameras and 1 M flows")
    assert judged.kept is Kept.NOT_MEASURED


def test_start_up_is_judged_by_its_median() -> None:
    results = results_of(
        starts=(
            Start(VERSION, "", (0.1, 0.2, 3.0), None),
            Start(SMALL_REPLAY, "", (0.7, 0.9, 0.9), None),
        )
    )
    assert verdict_on(results, VERSION).kept is Kept.HELD
    assert verdict_on(results, SMALL_REPLAY).kept is Kept.NOT_HELD


# Results and README


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    results = results_of(measured("site-mix", NDPI, 1e6), starts=(Start(VERSION, "", (0.1,), 5),))
    write_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results


def test_the_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n", encoding="utf-8")
    results = results_of(measured("site-mix", NDPI, 1e6))
    write_readme(results, page)
    write_readme(results, page)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}{render(results)}{END}after\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("by hand\n", encoding="utf-8")
    with pytest.raises(ValueError, match="marks"):
        write_readme(results_of(), page)
    assert page.read_text(encoding="utf-8") == "by hand\n"


def test_a_busy_machine_is_told() -> None:
    busy = replace(results_of(), machine=replace(MACHINE, others=0.2))
    assert "not idle" in render(busy)
    assert "not idle" not in render(results_of())


def test_an_absent_program_is_told() -> None:
    assert "| nfstream | - | - | not measured: not asked for |" in render(results_of())


@pytest.mark.skipif(not (BENCH / "results.json").exists(), reason="no results yet")
def test_the_published_page_says_what_was_measured() -> None:
    page = (BENCH / "README.md").read_text(encoding="utf-8")
    assert render(load_results(BENCH / "results.json")) in page


# All of it, small


@pytest.mark.program("ndpiReader")
def test_a_small_run_measures_who_is_there_and_names_who_is_not(tmp_path: Path) -> None:
    plan = Plan((FEW,), rounds=2, least_rounds=1, patience=5.0, starts=1, timeout=60.0)
    wanted = [
        program for program in find_programs(None) if program.name in {NDPI, DPKT, "nfstream"}
    ]
    liar = Program("liar", "1", "", "", lambda _: ["echo", "7 frames"], read_loop_frames)
    mute = replace(liar, name="mute", command=lambda _: ["echo"])
    gone = Absent("zeek", "not installed")
    results = run_bench(plan, [*wanted, liar, mute, gone], tmp_path, lambda _: None)
    ndpi = results.find("site-mix", NDPI)
    dpkt = results.find("site-mix", DPKT)
    assert ndpi is not None
    assert dpkt is not None
    assert (ndpi.small.frames, ndpi.large.frames) == (200, 1000)
    assert (dpkt.small.frames, dpkt.large.frames) == (100, 400)
    assert len(ndpi.large.seconds) == 2
    assert [(it.program, it.reason) for it in results.failures if it.kind == "site-mix"] == [
        ("liar", "read 7 of 200 frames"),
        ("mute", "did not say how many frames it read"),
    ]
    page = render(results)
    assert "not measured: not installed" in page
    assert str(tmp_path) not in page
    assert not list(tmp_path.glob("run-*"))
    write_results(results, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_bytes())["machine"]["cores"] >= 1
