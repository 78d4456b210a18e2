"""The keys `evidence` and `canary` of a site file: how they are spelled.

Like `siteform`, it is imported late, for pydantic's sake.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from egressd.measures import bytes_of, seconds_of
from egressd.settings.canary import DEFAULT_PORT, CanarySettings
from egressd.settings.evidence import DEFAULT_DAYS, DEFAULT_FILES, EvidenceSettings

SMALLEST_SIZE = 1_000_000
LARGEST_BUFFER = 4_000_000_000
SHORTEST_INTERVAL, LONGEST_INTERVAL = 1, 3600
LONGEST_TOLERANCE = 86_400
MOST_NAMES = 64
NAME_BYTES = 64


def _full_path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise ValueError(f"{text[:60]!r} is no full path; write one that begins with /")
    return text.rstrip("/") or "/"


def _size(text: str) -> str:
    if bytes_of(text) < SMALLEST_SIZE:
        raise ValueError(f"{text!r} is too small for a finding or two; write at least 1MB")
    return text


def _buffer(text: str) -> str:
    if not SMALLEST_SIZE <= bytes_of(text) <= LARGEST_BUFFER:
        raise ValueError(f"{text!r} of memory is too little or too much; write 1MB to 4GB")
    return text


def _interval(text: str) -> str:
    if not SHORTEST_INTERVAL <= seconds_of(text) <= LONGEST_INTERVAL:
        raise ValueError(f"{text!r} is too short or too long; write 1s to 1h, as the sender has it")
    return text


def _tolerance(text: str) -> str:
    if not 0 < seconds_of(text) <= LONGEST_TOLERANCE:
        raise ValueError(f"{text!r} is too short or too long; write 1s to 1d")
    return text


def _name(text: str) -> str:
    if not text.isprintable() or not 0 < len(text.encode()) <= NAME_BYTES:
        raise ValueError(f"{text[:60]!r} is no canary's name; write what its --name says")
    return text


FullPath = Annotated[str, AfterValidator(_full_path)]
CanaryName = Annotated[str, AfterValidator(_name)]


class EvidenceForm(BaseModel):
    """What becomes of the frames that prove findings while it watches."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    enabled: bool = Field(True, description="Whether frames are kept at all.")
    directory: FullPath | None = Field(
        None, description="The folder; without it, `evidence` in the state folder."
    )
    days: int = Field(DEFAULT_DAYS, description="After so many days it is removed.", ge=1, le=3650)
    size: Annotated[str, AfterValidator(_size)] | None = Field(
        None, description="No more than that in all.", examples=["1GB"]
    )
    files: int = Field(DEFAULT_FILES, description="No more findings than that.", ge=1, le=1_000_000)
    snaplen: int | None = Field(
        None, description="Bytes kept of each frame; without it, all.", ge=64, le=65_535
    )
    buffer: Annotated[str, AfterValidator(_buffer)] | None = Field(
        None, description="Memory for frames that may yet have to prove something."
    )


class CanaryForm(BaseModel):
    """A signed datagram that has to pass the mirror, so that a dead mirror is noticed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key_file: FullPath = Field(
        description="The file with the key that the sender has, too.",
        examples=["/etc/egressd/canary.key"],
    )
    interval: Annotated[str, AfterValidator(_interval)] | None = Field(
        None, description="How often one is sent.", examples=["60s"]
    )
    misses: int = Field(
        1, description="How many may be missed before the sensor is blind.", ge=1, le=100
    )
    port: int = Field(DEFAULT_PORT, description="The UDP port it is sent to.", ge=1, le=65_535)
    names: list[CanaryName] = Field(
        [], description="Senders that must all be heard; without it, any.", max_length=MOST_NAMES
    )
    clock_tolerance: Annotated[str, AfterValidator(_tolerance)] | None = Field(
        None, description="How far the sender's clock may be from this machine's."
    )


def evidence_settings_of(form: EvidenceForm | None) -> EvidenceSettings:
    """Return what a filled form says."""
    if form is None:
        return EvidenceSettings()
    plain = EvidenceSettings()
    return EvidenceSettings(
        enabled=form.enabled,
        directory=form.directory,
        days=form.days,
        size=bytes_of(form.size) if form.size else plain.size,
        files=form.files,
        snaplen=form.snaplen or 0,
        buffer=bytes_of(form.buffer) if form.buffer else plain.buffer,
    )


def canary_settings_of(form: CanaryForm | None) -> CanarySettings | None:
    """Return what a filled form says; None: no canary is expected."""
    if form is None:
        return None
    plain = CanarySettings(form.key_file)
    return CanarySettings(
        form.key_file,
        seconds_of(form.interval) if form.interval else plain.interval_seconds,
        form.misses,
        form.port,
        tuple(dict.fromkeys(form.names)),
        seconds_of(form.clock_tolerance) if form.clock_tolerance else plain.clock_tolerance_seconds,
    )
