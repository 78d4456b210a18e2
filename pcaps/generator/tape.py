"""Recorded handshakes and the film, as data; `record` made them."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
FRAMES_PER_SECOND = 12  # of the film


@dataclass(frozen=True, slots=True)
class Flight:
    """What one end says before the other answers."""

    by_client: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit of the film: its NAL units without start codes."""

    units: tuple[bytes, ...]


@cache
def _tapes() -> dict[str, dict[str, list[list[str]]]]:
    text = (FOLDER / "data" / "handshakes.json").read_text(encoding="utf-8")
    tapes: dict[str, dict[str, list[list[str]]]] = json.loads(text)
    return tapes


def flights_of(protocol: str, name: str) -> list[Flight]:
    """Return a recorded handshake; protocol is tls12, tls13 or quic."""
    return [Flight(who == "client", b64decode(data)) for who, data in _tapes()[protocol][name]]


@cache
def film() -> tuple[Picture, ...]:
    """Return the film as access units (ITU-T H.264, annex B; type 1 and 5 end a picture)."""
    stream = (FOLDER / "video.h264").read_bytes().replace(b"\0\0\0\1", b"\0\0\1")
    pictures: list[Picture] = []
    units: list[bytes] = []
    for unit in stream.split(b"\0\0\1")[1:]:
        units.append(unit)
        if unit[0] & 0x1F in {1, 5}:
            pictures.append(Picture(tuple(units)))
            units = []
    return tuple(pictures)


def parameter_sets() -> tuple[bytes, bytes]:
    """Return the sequence and the picture parameter set."""
    units = film()[0].units
    return (
        next(unit for unit in units if unit[0] & 0x1F == 7),
        next(unit for unit in units if unit[0] & 0x1F == 8),
    )
