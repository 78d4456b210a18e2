"""The case file: everything a replay found, as one JSON document with a published schema.

`egressd/schemas/case.schema.json` describes it. Keys stand in a fixed order and
no clock is read, so that the same captures give the same bytes. `egressd_case`
grows when a reader of the old layout would be misled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd import __version__
from egressd.report.shapes import (
    Json,
    camera_shape,
    contact_shape,
    coverage_shape,
    destination_shape,
    frames_shape,
)
from egressd.report.words import exact_moment

if TYPE_CHECKING:
    from typing import TextIO

    from egressd.capture.damage import Damage
    from egressd.model import (
        Bytes,
        Case,
        Contact,
        Coverage,
        DatabaseInfo,
        Finding,
        Nanoseconds,
        PermitUse,
    )

CASE_VERSION = 1


@dataclass(slots=True, frozen=True)
class Input:
    """One capture as it was read."""

    file: str
    size: Bytes | None  # None where it has no size, as a pipe
    frames: int
    damage: tuple[Damage, ...] = ()


@dataclass(slots=True, frozen=True)
class Run:
    """What a replay says of itself, beside what it found."""

    inputs: tuple[Input, ...]
    interrupted: bool = False
    warnings: tuple[str, ...] = ()  # e.g. of old databases
    judged_all: bool = False  # every on-site host was judged, not cameras only
    unread_frames: int = 0  # of a link type that nobody here can read

    @property
    def is_whole(self) -> bool:
        """True if every input was sound, and read to its end."""
        damaged = any(not damage.odd for item in self.inputs for damage in item.damage)
        return self.is_read and not damaged

    @property
    def is_read(self) -> bool:
        """True if no frame was lost or could not be read, even if an input was damaged."""
        lost = any(damage.lost for item in self.inputs for damage in item.damage)
        return not (self.interrupted or lost or self.unread_frames)


def write_case(stream: TextIO, case: Case, run: Run) -> None:
    """Write the case file, indented, with a newline at its end."""
    json.dump(case_shape(case, run), stream, ensure_ascii=True, indent=1)
    stream.write("\n")


def case_shape(case: Case, run: Run) -> Json:
    """Return the case file as a JSON object."""
    return {
        "egressd_case": CASE_VERSION,
        "egressd_version": __version__,
        "site": case.site,
        "interrupted": run.interrupted,
        "whole": run.is_whole,
        "judge": "all" if run.judged_all else "cameras",
        "inputs": [_input_shape(item) for item in run.inputs],
        "coverage": _coverage(case.coverage),
        "cameras": [camera_shape(camera) for camera in case.cameras],
        "other_hosts": case.other_hosts,
        "findings": [_finding(finding) for finding in case.findings],
        "contacts": [_contact(contact) for contact in case.contacts],
        "permits": [_permit(permit) for permit in case.permits],
        "databases": [_database(database) for database in case.databases],
        "warnings": list(run.warnings),
    }


def _input_shape(item: Input) -> Json:
    return {
        "file": item.file,
        "bytes": item.size,
        "frames": item.frames,
        "damage": [
            {"offset": damage.offset, "reason": damage.reason, "lost": damage.lost}
            for damage in item.damage
        ],
    }


def _coverage(coverage: Coverage) -> Json:
    return _moments(coverage.first, coverage.last) | coverage_shape(coverage)


def _finding(finding: Finding) -> Json:
    shape: Json = {
        "finding": finding.id,
        "rule": finding.rule,
        "severity": finding.severity,
        "camera": finding.camera.id,
        "destination": destination_shape(finding.destination),
    }
    shape |= contact_shape(finding)
    shape |= _moments(finding.first, finding.last)
    shape["evidence"] = frames_shape(finding.evidence)
    shape["reason"] = finding.reason
    return shape


def _contact(contact: Contact) -> Json:
    shape: Json = {
        "camera": contact.camera.id,
        "destination": destination_shape(contact.destination),
        "direction": contact.direction.value,
        "stage": contact.stage.label,
        "bytes_out": contact.bytes_out,
        "bytes_in": contact.bytes_in,
        "packets_out": contact.packets_out,
        "packets_in": contact.packets_in,
        "flows": contact.flows,
        "permitted": contact.permitted,
        "finding": contact.finding,
    }
    return shape | _moments(contact.first, contact.last)


def _permit(permit: PermitUse) -> Json:
    return {
        "line": permit.line,
        "permit": permit.text,
        "why": permit.why,
        "used": permit.used,
        "expired": permit.expired,
    }


def _database(database: DatabaseInfo) -> Json:
    return {
        "name": database.name,
        "kind": database.kind,
        "built": database.built,
        "file": database.file or None,
    }


def _moments(first: Nanoseconds, last: Nanoseconds) -> Json:
    """Return two moments to the nanosecond; null where nothing was seen."""
    if not first and not last:
        return {"first": None, "last": None}
    return {"first": exact_moment(first), "last": exact_moment(last)}
