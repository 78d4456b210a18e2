"""The last line of the table: what the findings come to, in one honest sentence or two.

A finding refutes the claim; no finding proves nothing, so that the sentence
then says how much was looked at. It never says that a camera is clean.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from egressd.model import Direction, Stage
from egressd.report.words import counted, human_bytes, human_span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.model import Camera, Case, Finding
    from egressd.report.casefile import Run

CAMERAS_NAMED = 4
# Not home, but off site all the same.
INFRASTRUCTURE_RULES = frozenset({"foreign-resolver", "foreign-time-server"})


@dataclass(slots=True, frozen=True)
class Summary:
    """The sentence, and whether it speaks against the claim."""

    text: str
    refutes: bool


def summary_of(case: Case, run: Run) -> Summary:
    """Return the sentence; the first case that fits."""
    who = "host" if run.judged_all else "camera"
    rest = _reservation(run)
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


def _reservation(run: Run) -> str:
    if not run.is_read:
        return " Not all of the input could be read: there may be more."
    return "" if run.is_whole else " The input is damaged, though every frame of it was read."


class Deed(Enum):
    """What a camera did, the gravest first; its value is said of one camera, and of several."""

    CALLS_HOME = ("calls home", "call home")
    REACHED = ("was reached from off site", "were reached from off site")
    TRIED = (
        "tried to call home, and no connection was seen",
        "tried to call home, and no connection was seen",
    )
    INFRASTRUCTURE = (
        "used name or time servers off site",
        "used name or time servers off site",
    )
    KNOCKED_AT = ("was tried from off site", "were tried from off site")


def deed_of(finding: Finding) -> Deed:
    """Return what a finding is a case of; the first that fits."""
    got_through = finding.stage >= Stage.CONNECTED
    if finding.direction is Direction.INBOUND:
        return Deed.REACHED if got_through else Deed.KNOCKED_AT
    if finding.rule in INFRASTRUCTURE_RULES:
        return Deed.INFRASTRUCTURE
    return Deed.CALLS_HOME if got_through else Deed.TRIED


def _accusation(findings: list[Finding], who: str) -> str:
    """Say what the cameras did, each camera only once, at its gravest."""
    told: set[str] = set()
    sentences = []
    for deed in Deed:
        cameras = _by_camera(f for f in findings if deed_of(f) is deed)
        cameras = {key: found for key, found in cameras.items() if key not in told}
        if not cameras:
            continue
        told |= cameras.keys()
        says = deed.value[0] if len(cameras) == 1 else deed.value[1]
        sent = sum(finding.bytes_out for found in cameras.values() for finding in found)
        out = f"; {human_bytes(sent)} went out" if deed in WITH_VOLUME else ""
        sentences.append(f"{counted(len(cameras), who)} {says}: {_named(cameras)}{out}.")
    return " ".join(sentences)


WITH_VOLUME = frozenset({Deed.CALLS_HOME, Deed.REACHED})


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


def _by_camera(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
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
