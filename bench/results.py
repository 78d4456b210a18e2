"""What a run of the bench found, as it stands in `results.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from bench.rates import Measurement  # noqa: TC001 - pydantic resolves it
from egressd.model import Bytes, Seconds  # noqa: TC001 - pydantic resolves them

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it ran."""

    date: str
    processor: str
    cores: int  # that the programs could use
    memory: Bytes
    system: str
    python: str
    load_before: float
    others: float | None  # share of the cores' time that others had while we measured


@dataclass(frozen=True, slots=True)
class Contestant:
    """One program, and why it was not measured if it was not."""

    name: str
    version: str
    command: str
    does: str
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A program that did not do its work on one kind."""

    kind: str
    program: str
    reason: str


@dataclass(frozen=True, slots=True)
class Start:
    """A start-up measure."""

    what: str
    command: str
    seconds: tuple[Seconds, ...]
    peak: Bytes | None


@dataclass(frozen=True, slots=True)
class Results:
    """All of it."""

    quick: bool
    machine: Machine
    contestants: tuple[Contestant, ...]
    measurements: tuple[Measurement, ...]
    starts: tuple[Start, ...]
    failures: tuple[Failure, ...]

    def find(self, kind: str, program: str) -> Measurement | None:
        """Return the measurement of a program on a kind, None if there is none."""
        for measurement in self.measurements:
            if (measurement.kind, measurement.program) == (kind, program):
                return measurement
        return None


def write_results(results: Results, path: Path) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def load_results(path: Path) -> Results:
    """Read results back."""
    return TypeAdapter(Results).validate_json(path.read_bytes())
