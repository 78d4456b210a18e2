"""What `egressd ack` says: one line for each acknowledgement, for a person at a terminal."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import Stage
from egressd.report.sinks.acks import AckError, acknowledge, acks_of, remove
from egressd.report.words import plain, short_moment

if TYPE_CHECKING:
    from pathlib import Path

    from egressd.model import Nanoseconds
    from egressd.report.sinks.acks import AckLine


@dataclass(frozen=True, slots=True)
class AckRequest:
    """What somebody asks of `egressd ack`."""

    folder: Path
    finding: str | None = None
    reason: str | None = None
    author: str | None = None
    until: Nanoseconds | None = None
    take_back: bool = False
    show: bool = False


def carry_out(request: AckRequest, now: Nanoseconds) -> list[str]:
    """Do what was asked, and return the lines to print; AckError says why it cannot be."""
    if request.show:
        lines = acks_of(request.folder)
        return [line_of(line, now) for line in lines] or ["nothing is acknowledged"]
    if request.finding is None:
        raise AckError("FINDING is missing; --list shows what is acknowledged")
    if request.take_back:
        return [f"taken back: {line_of(remove(request.folder, request.finding), now)}"]
    if request.reason is None:
        raise AckError("--reason is missing; who reads the list later wants to know why")
    made = acknowledge(
        request.folder,
        request.finding,
        author=request.author or name_of_user(),
        reason=request.reason,
        now=now,
        until=request.until,
    )
    return [line_of(made, now)]


def line_of(line: AckLine, now: Nanoseconds) -> str:
    """Return an acknowledgement in a line: what, by whom, why, until when, what became of it."""
    ack, told = line.ack, line.told
    if ack.until is None:
        span = "as long as it lasts"
    else:
        span = f"{'over since' if ack.is_over(now) else 'until'} {short_moment(ack.until)} UTC"
    parts = [
        f"{ack.finding} at stage {_label(ack.stage)}, {span}",
        f"by {ack.author} at {short_moment(ack.made)} UTC: {ack.reason}",
    ]
    if told is not None:
        risen = f"HAS RISEN to {_label(told.stage)}, " if line.has_risen else ""
        parts.append(f"{risen}told as: {told.reason}")
    return plain(" | ".join(parts))


def name_of_user() -> str:
    """Return who asks: the person behind sudo, or whose process it is."""
    behind = os.environ.get("SUDO_USER")
    if behind:
        return behind
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without an entry, as in a container
        return f"uid {os.getuid()}"


def _label(stage: int) -> str:
    try:
        return Stage(stage).label
    except ValueError:
        return str(stage)
