"""Evidence on one host, and what it comes to.

Every piece is a probability that a host of which only this is known is a camera, or a likelihood
ratio against. The best piece of each channel counts, once: probabilities are put together as a
noisy-or, then the odds are multiplied by the ratios. The order of what is seen does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.identify.rules import Channel, Clue
    from egressd.model import FrameRef

MAX_PIECES = 32
SHOWN_TEXT = 60  # characters of a host's own words in a sentence
CERTAIN = 0.999  # what evidence can come to; only the site file says 1.0


@dataclass(slots=True)
class Piece:
    """One thing known of a host; `host` is the index of the binding that it was seen on."""

    key: str  # what is known, so that it counts once
    channel: Channel
    says: str
    clue: Clue
    model: str | None = None
    frame: FrameRef | None = None
    host: int = 0

    @property
    def strength(self) -> float:
        """How much it moves the result, either way; keeps the telling ones when there are many."""
        against = self.clue.against
        return 1 - against if against is not None else self.clue.weight


class Dossier:
    """What is known of one host: at most `MAX_PIECES`, the weakest gives way."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: dict[str, Piece] = {}

    @property
    def pieces(self) -> list[Piece]:
        """All pieces, in order of appearance."""
        return list(self._pieces.values())

    def add(self, piece: Piece) -> bool:
        """Take a piece; return whether it was new and is kept."""
        if piece.key in self._pieces:
            return False
        if len(self._pieces) >= MAX_PIECES:
            weakest = min(self._pieces.values(), key=lambda known: known.strength)
            if weakest.strength >= piece.strength:
                return False
            del self._pieces[weakest.key]
        self._pieces[piece.key] = piece
        return True

    def replace(self, piece: Piece) -> None:
        """Take a piece in place of the one with its key."""
        if piece.key in self._pieces:
            self._pieces[piece.key] = piece
        else:
            self.add(piece)


def fuse(pieces: Iterable[Piece]) -> float:
    """Return how likely a host is a camera, given all that is known of it."""
    weights: dict[Channel, float] = {}
    ratios: dict[Channel, float] = {}
    for piece in pieces:
        against = piece.clue.against
        if against is None:
            weights[piece.channel] = max(piece.clue.weight, weights.get(piece.channel, 0.0))
        else:
            ratios[piece.channel] = min(against, ratios.get(piece.channel, 1.0))
    doubt = math.prod(sorted(1 - weight for weight in weights.values()))
    likely = min(1 - doubt, CERTAIN)
    odds = likely / (1 - likely) * math.prod(sorted(ratios.values()))
    return round(odds / (1 + odds), 4)


def vendor_of(pieces: Iterable[Piece]) -> str | None:
    """Return the vendor that the evidence agrees on most, or None if it names none."""
    support: dict[str, float] = {}
    for piece in pieces:
        vendor = piece.clue.vendor
        if vendor is not None and piece.clue.against is None:
            support[vendor] = support.get(vendor, 0.0) - math.log(1 - min(piece.strength, CERTAIN))
    return max(support, key=lambda vendor: support[vendor]) if support else None


def kind_of(pieces: Iterable[Piece]) -> Kind:
    """Return the kind that the strongest telling piece names; a camera where none does."""
    telling = [piece for piece in pieces if piece.clue.kind is not None]
    if not telling:
        return Kind.CAMERA
    best = max(telling, key=lambda piece: piece.clue.weight)
    return best.clue.kind or Kind.CAMERA


def model_of(pieces: Iterable[Piece], vendor: str | None) -> str | None:
    """Return the model that the strongest piece of the vendor's read."""
    telling = [piece for piece in pieces if piece.model and piece.clue.vendor in (vendor, None)]
    return max(telling, key=lambda piece: piece.clue.weight).model if telling else None


def evidence_of(pieces: Iterable[Piece], vendor: str | None) -> list[Evidence]:
    """Return the pieces as a reader sees them; what speaks against weighs nothing."""
    shown = []
    for piece in pieces:
        says = piece.says
        if piece.clue.against is not None:
            says += " (speaks against a camera)"
        elif vendor and piece.clue.vendor and piece.clue.vendor != vendor:
            says += f" (points to {piece.clue.vendor}, other evidence to {vendor})"
        weight = piece.clue.weight if piece.clue.against is None else 0.0
        shown.append(Evidence(piece.channel.source, says, weight, piece.clue.vendor, piece.frame))
    return shown


def shown_text(text: str) -> str:
    """Return a host's own words fit for a sentence: short, and of printable ASCII only."""
    cut = text[:SHOWN_TEXT] + ("..." if len(text) > SHOWN_TEXT else "")
    return "".join(char if " " <= char <= "~" else "?" for char in cut)
