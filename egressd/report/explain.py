"""A finding in words, and its packets as Wireshark dissects them.

Another program than ours takes the frames apart: what the finding says can be
checked against it. pyshark is used where it works, else tshark itself, which
both need.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from difflib import get_close_matches
from itertools import groupby
from typing import TYPE_CHECKING

from egressd.report.words import (
    SEVERITY_WORDS,
    STAGE_WORDS,
    counted,
    human_bytes,
    plain,
    short_moment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from egressd.model import Case, Destination, Finding

FRAMES_SHOWN = 20
IDS_SHOWN = 10
SECONDS_FOR_TSHARK = 300
COLOUR = re.compile("\x1b\\[[0-9;]*m")
LARGEST_FRAME = (1 << 32) - 1  # frame.number has 32 bits in Wireshark


class ExplainError(Exception):
    """Why nothing can be shown; the text says what to do."""


def explain_finding(case: Case, finding_id: str, stream: TextIO) -> None:
    """Write a finding and the dissection of its evidence; ExplainError if there is none."""
    finding = find_finding(case, finding_id)
    stream.writelines(f"{plain(line)}\n" for line in lines_of(finding))
    references = finding.evidence[:FRAMES_SHOWN]
    by_file = groupby(references, key=lambda reference: reference.file)
    for file, of_file in by_file:
        frames = sorted({reference.frame for reference in of_file})
        stream.write(f"\n{plain(file)}, {_numbers(frames)}\n\n")
        stream.flush()
        stream.writelines(f"{plain(line)}\n" for line in dissect(file, frames))
    if len(finding.evidence) > FRAMES_SHOWN:
        hidden = len(finding.evidence) - FRAMES_SHOWN
        stream.write(f"\nand {counted(hidden, 'more frame')} of evidence\n")


def find_finding(case: Case, finding_id: str) -> Finding:
    """Return the finding with an id; ExplainError names those that are like it."""
    findings = {finding.id: finding for finding in case.findings}
    if finding_id in findings:
        return findings[finding_id]
    if not findings:
        raise ExplainError("there is no finding in this capture")
    near = get_close_matches(finding_id, findings, n=3, cutoff=0.5)
    if near:
        raise ExplainError(f"no finding {plain(finding_id)}; did you mean {' or '.join(near)}?")
    known = ", ".join(list(findings)[:IDS_SHOWN])
    more = ", ..." if len(findings) > IDS_SHOWN else ""
    raise ExplainError(f"no finding {plain(finding_id)}; there are {known}{more}")


def lines_of(finding: Finding) -> list[str]:
    """Return a finding in words, one fact a line."""
    camera, severity = finding.camera, SEVERITY_WORDS.get(finding.severity, "?")
    who = ", ".join(word for word in (camera.name, camera.id, *camera.ips) if word)
    lines = [
        f"{finding.id}: {finding.reason}",
        f"  rule         {finding.rule}, severity {severity}",
        f"  camera       {who}",
        *(f"  because      {reason.says} ({reason.weight:.0%})" for reason in camera.evidence),
        f"  destination  {_place(finding.destination)}",
        f"  reached      {STAGE_WORDS[finding.stage]} ({finding.direction.value})",
        f"  protocol     {', '.join(finding.protocols) or finding.protocol or 'unknown'}",
        f"  when         {short_moment(finding.first)} to {short_moment(finding.last)} UTC",
        f"  out          {_volume(finding.bytes_out, finding.packets_out)}",
        f"  in           {_volume(finding.bytes_in, finding.packets_in)}",
    ]
    if finding.stage_undecidable:
        lines.append("  note         only one direction was seen: how far it got is open")
    return lines


def dissect(file: str, frames: Sequence[int]) -> Iterator[str]:
    """Yield the dissection of frames, line by line; ExplainError without tshark."""
    tshark = shutil.which("tshark")
    if tshark is None:
        raise ExplainError("tshark is not installed: it takes the packets apart (apt: tshark)")
    chosen = f"frame.number in {{{', '.join(str(frame) for frame in frames)}}}"
    text = _through_pyshark(file, chosen, max(frames), tshark)
    if text is None:
        text = _through_tshark(file, chosen, max(frames), tshark)
    # pyshark colours what it prints where it sees a terminal; it cannot be told not to.
    return (COLOUR.sub("", line).expandtabs(4) for line in text.splitlines())


def _through_pyshark(file: str, chosen: str, last: int, tshark: str) -> str | None:
    """Return pyshark's dissection, or None where it is missing or does not work here."""
    try:
        import pyshark  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    try:
        capture = pyshark.FileCapture(
            file,
            display_filter=chosen,
            tshark_path=tshark,
            keep_packets=False,
            custom_parameters=["-n", "-c", str(min(last, LARGEST_FRAME))],
        )
        with capture:
            return "\n".join(str(packet) for packet in capture)
    # pyshark has an exception for each version of tshark and of asyncio it does not get on with;
    # whatever it is, tshark is asked directly.
    except Exception:  # noqa: BLE001 - as said above
        return None


def _through_tshark(file: str, chosen: str, last: int, tshark: str) -> str:
    # -n: no name is asked of anybody; -c: what lies behind the last frame is not read.
    command = [tshark, "-n", "-r", file, "-c", str(min(last, LARGEST_FRAME)), "-Y", chosen, "-V"]
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell; the filter is made of numbers
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_FOR_TSHARK,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExplainError(f"tshark took more than {SECONDS_FOR_TSHARK} s") from None
    if not done.stdout and done.returncode:
        says = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ExplainError(f"tshark cannot read {plain(file)}: {plain(says)}")
    return done.stdout


def _numbers(frames: Sequence[int]) -> str:
    noun = "frame" if len(frames) == 1 else "frames"
    return f"{noun} {', '.join(str(frame) for frame in frames)}"


def _place(destination: Destination) -> str:
    names = ", ".join(dict.fromkeys(name.name for name in destination.names))
    if destination.ip is None:
        return names or "unknown"
    port = "" if destination.port is None else f" port {destination.port}"
    countries = ", ".join(f"{c.code} by {c.kind.value}" for c in destination.place.countries)
    facts = (names, countries, destination.place.org)
    known = "; ".join(fact for fact in facts if fact)
    return f"{destination.ip}{port}/{destination.transport}" + (f" ({known})" if known else "")


def _volume(size: int, packets: int) -> str:
    return f"{human_bytes(size)} in {counted(packets, 'packet')}"
