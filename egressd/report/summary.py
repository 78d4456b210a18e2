"""The last line of the table: what the findings come to, in one honest sentence or two.

A finding refutes the claim; no finding proves nothing, so that the sentence
then says how much was looked at. It never says that a camera is clean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import Stage
from egressd.report.words import counted, human_bytes, human_span

if TYPE_CHECKING:
    from egressd.model import Camera, Case, Finding
    from egressd.report.casefile import Run

CAMERAS_NAMED = 4


@dataclass(slots=True, frozen=True)
class Summary:
    """The sentence, and whether it speaks against the claim."""

    text: str
    refutes: bool


def summary_of(case: Case, run: Run) -> Summary:
    """Return the sentence; the first case that fits."""
    who = "host" if run.judged_all else "camera"
    rest = "" if run.is_whole else " Not all of the input could be read: there may be more."
    if case.findings:
        return Summary(_accusation(case.findings, who) + rest, refutes=True)
    if not case.coverage.frames:
        return Summary("No frame was read: this says nothing at all." + rest, refutes=False)
    if not case.cameras:
        hosts = counted(case.other_hosts, "host")
        text = f"No {who} was recognised among {hosts} on site in {_looked_at(case)}."
        text += " If there are any, list them in the site file or use --judge all."
        return Summary(text + rest, refutes=False)
    return Summary(_absence(case, who) + rest, refutes=False)


def _accusation(findings: list[Finding], who: str) -> str:
    """Say who got through, then who tried."""
    reached = _by_camera([f for f in findings if f.stage >= Stage.CONNECTED])
    tried = _by_camera([f for f in findings if f.stage < Stage.CONNECTED])
    only_tried = {key: of_camera for key, of_camera in tried.items() if key not in reached}
    sentences = []
    if reached:
        sent = sum(f.bytes_out for of_camera in reached.values() for f in of_camera)
        verb = "calls home" if len(reached) == 1 else "call home"
        sentences.append(
            f"{counted(len(reached), who)} {verb}: {_named(reached)}; {human_bytes(sent)} went out."
        )
    if only_tried:
        sentences.append(
            f"{counted(len(only_tried), who)} tried to call home, and no connection was seen: "
            f"{_named(only_tried)}."
        )
    return " ".join(sentences)


def _absence(case: Case, who: str) -> str:
    contacts = case.contacts
    if not contacts:
        cameras = counted(len(case.cameras), who)
        return (
            f"No {who} was seen leaving the site in {_looked_at(case)} of {cameras}. "
            "This is not proof that they never do."
        )
    permitted = sum(contact.permitted for contact in contacts)
    away = counted(len(contacts), "destination")
    return (
        f"No finding in {_looked_at(case)}. "
        f"{counted(len({c.camera.id for c in contacts}), who)} reached {away} off site "
        f"({permitted:,} permitted, {len(contacts) - permitted:,} that no rule is against). "
        "This is not proof that there are no others."
    )


def _looked_at(case: Case) -> str:
    coverage = case.coverage
    span = human_span(coverage.last - coverage.first)
    return f"{span} of capture ({counted(coverage.frames, 'frame')})"


def _by_camera(findings: list[Finding]) -> dict[str, list[Finding]]:
    cameras: dict[str, list[Finding]] = {}
    for finding in findings:
        cameras.setdefault(finding.camera.id, []).append(finding)
    return cameras


def _named(cameras: dict[str, list[Finding]]) -> str:
    worst = sorted(cameras.values(), key=lambda found: min(f.severity for f in found))
    words = [f"{_name(found[0].camera)} ({_where(found)})" for found in worst[:CAMERAS_NAMED]]
    if len(worst) > CAMERAS_NAMED:
        words.append(f"and {len(worst) - CAMERAS_NAMED:,} more")
    return ", ".join(words)


def _where(findings: list[Finding]) -> str:
    """Return the far end of a camera's worst finding, and how many more there are."""
    worst = min(findings, key=lambda finding: (finding.severity, -finding.stage))
    destination = worst.destination
    name = destination.names[0].name if destination.names else destination.ip
    more = f" and {len(findings) - 1:,} more" if len(findings) > 1 else ""
    return f"{name or 'an unknown place'}{more}"


def _name(camera: Camera) -> str:
    return camera.name or camera.id
