"""The case file: valid, and the same bytes for the same case."""

from __future__ import annotations

import io
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sample_case import full_case

from egressd.capture.damage import Damage
from egressd.model import Case
from egressd.report.casefile import Input, Run, case_shape, write_case
from egressd.report.remarks import remarks_of

SCHEMA = Path(__file__).resolve().parents[2] / "egressd/schemas/case.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))
RUN = Run((Input("a.pcap", 9, 3, (Damage("a.pcap", 7, "cut record"),)), Input("-", None, 0)))


def text_of(case: Case, run: Run) -> str:
    stream = io.StringIO()
    write_case(stream, case, run)
    return stream.getvalue()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)


def test_a_full_case_validates() -> None:
    VALIDATOR.validate(json.loads(text_of(full_case(), RUN)))


def test_an_empty_case_validates() -> None:
    shape = case_shape(Case(site=None), Run(()))
    VALIDATOR.validate(shape)
    assert shape["coverage"]["first"] is None


def test_the_same_case_makes_the_same_bytes() -> None:
    assert text_of(full_case(), RUN) == text_of(full_case(), RUN)


def test_numbers_and_moments_are_exact() -> None:
    shape = case_shape(full_case(), RUN)
    assert shape["egressd_case"] == 1
    assert shape["findings"][0]["bytes_out"] == 1_234_567
    assert shape["findings"][0]["first"] == "2026-11-22T12:00:00.000000000Z"
    assert shape["findings"][0]["camera"] == shape["cameras"][0]["id"]


def test_damage_makes_it_not_whole() -> None:
    assert case_shape(full_case(), RUN)["whole"] is False
    assert case_shape(full_case(), Run((Input("a.pcap", 9, 3),)))["whole"] is True


def test_damage_that_cost_no_frame_makes_it_not_whole_either() -> None:
    run = Run((Input("a.pcap", 9, 3, (Damage("a.pcap", 7, "odd length", lost=False),)),))
    assert (run.is_whole, run.is_read) == (False, True)


def test_an_oddity_with_which_nothing_is_wrong_leaves_it_whole() -> None:
    odd = Damage("a.pcap", 7, "unknown version 2.5", lost=False, odd=True)
    assert Run((Input("a.pcap", 9, 3, (odd,)),)).is_whole


def test_a_link_type_nobody_reads_makes_it_not_whole() -> None:
    run = Run((), unread_frames=3)
    assert not run.is_whole
    assert "3 frames are of a link type" in remarks_of(full_case(), run)[0]


def test_an_interrupted_run_says_so() -> None:
    shape = case_shape(full_case(), Run((), interrupted=True))
    assert (shape["interrupted"], shape["whole"]) == (True, False)
    VALIDATOR.validate(shape)


@settings(max_examples=50)
@given(st.text())
def test_any_text_survives(text: str) -> None:
    case = full_case()
    case.findings[0].reason = text
    read = json.loads(text_of(case, RUN))
    assert read["findings"][0]["reason"] == text
