"""How a scenario is declared: a name, what it shows, and a function that plays it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcaps.generator.files import NO_LIMIT
from pcaps.generator.mirror import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generator.acts import Scene
    from pcaps.generator.mirror import Captured

    Play = Callable[[Scene], None]
    View = Callable[[list[Captured], Scene], list[Captured]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One capture: how it is played, and what the mirror makes of it."""

    name: str
    shows: str
    play: Play
    view: View
    suffix: str = ".pcapng"
    snaplen: int = NO_LIMIT

    @property
    def file(self) -> str:
        """The capture's file name."""
        return self.name + self.suffix


SCENARIOS: dict[str, Scenario] = {}


def faultless(rows: list[Captured], _: Scene) -> list[Captured]:
    """Return what a faultless mirror shows."""
    return rows


def scenario(name: str, shows: str, *, view: View = faultless) -> Callable[[Play], Play]:
    """Declare a scenario; the decorated function plays it."""

    def declare(play: Play) -> Play:
        add(Scenario(name, shows, play, view))
        return play

    return declare


def add(made: Scenario) -> None:
    """Declare a scenario made of parts."""
    assert made.name not in SCENARIOS, made.name
    SCENARIOS[made.name] = made


def capture_of(made: Scenario, scene: Scene) -> list[Captured]:
    """Play a scenario and return the frames that the mirror delivers."""
    made.play(scene)
    return made.view(plain(scene.lan.frames()), scene)
