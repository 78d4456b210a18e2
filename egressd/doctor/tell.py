"""Tells what is wrong with a mirror: as text for a person, as JSON for a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.text import Text

from egressd.doctor.checks import is_usable
from egressd.doctor.facts import Weight
from egressd.report.words import counted, human_bytes, human_span, plain

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

    from egressd.doctor.facts import Complaint, Facts

STYLES = {Weight.UNUSABLE: "bold red", Weight.WARNING: "yellow", Weight.HINT: "cyan"}
WORDS = {Weight.UNUSABLE: "Must be mended", Weight.WARNING: "Warning", Weight.HINT: "Hint"}


def print_complaints(console: Console, facts: Facts, complaints: list[Complaint]) -> None:
    """Print what was looked at, what is wrong, and how to mend it."""
    console.print(Text(plain(facts.target), style="bold"), Text(_looked_at(facts)), sep="\n")
    for complaint in complaints:
        console.print()
        console.print(
            Text.assemble(
                (f"{WORDS[complaint.weight]}: ", STYLES[complaint.weight]), plain(complaint.says)
            )
        )
        console.print(Text(f"How to mend it: {plain(complaint.mend)}"))
    console.print()
    console.print(Text(_verdict(complaints), style="bold"))


def write_complaints(stream: TextIO, facts: Facts, complaints: list[Complaint]) -> None:
    """Write the same as one JSON object on one line."""
    record = {
        "target": facts.target,
        "usable": is_usable(complaints),
        "complaints": [{**asdict(each), "weight": each.weight.value} for each in complaints],
        "facts": asdict(facts),
    }
    stream.write(json.dumps(record) + "\n")


def _looked_at(facts: Facts) -> str:
    span = human_span(int(facts.seconds * 1e9))
    begin = f"watched for {span}: " if facts.live else ""
    end = "" if facts.live or not facts.frames else f" in {span}"
    return (
        f"{begin}{counted(facts.frames, 'frame')}, {human_bytes(facts.wire_bytes)}, "
        f"{counted(facts.coverage.flows, 'flow')}{end}; {counted(facts.hosts, 'host')} on site, "
        f"{counted(facts.cameras, 'camera')} among them"
    )


def _verdict(complaints: list[Complaint]) -> str:
    grave = sum(complaint.weight is Weight.UNUSABLE for complaint in complaints)
    if grave:
        return (
            f"This mirror is not usable: {counted(grave, 'thing')} must be mended first. Until "
            "then, nothing found through it proves anything."
        )
    warnings = sum(complaint.weight is Weight.WARNING for complaint in complaints)
    if warnings:
        return f"This mirror is usable, with {counted(warnings, 'warning')}."
    return "This mirror is usable."
