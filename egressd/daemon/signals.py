"""Signals as questions that the loop asks: nothing happens in the middle of a batch.

SIGTERM and SIGINT end the program in good order, and at once when they come a second time.
SIGHUP reads the site file, rules and geo data again; SIGUSR1 opens the files written to anew.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int"

STOP = (signal.SIGTERM, signal.SIGINT)
AT_ONCE = 3  # cli.Exit.NOT_WHOLE: what was still to be said is lost


class Signals:
    """Set between `__enter__` and `__exit__`; `wake` is called to end a wait for frames."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] | None = None
        self.stop = False
        self._reload = False
        self._reopen = False
        self._before: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Self:
        for number in (*STOP, signal.SIGHUP, signal.SIGUSR1):
            # None where the handler was not set from Python.
            self._before[number] = signal.signal(number, self._note) or signal.SIG_DFL
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def take_reload(self) -> bool:
        """Say whether a reload was asked for since this was last asked."""
        asked, self._reload = self._reload, False
        return asked

    def take_reopen(self) -> bool:
        """Say whether files are to be opened anew."""
        asked, self._reopen = self._reopen, False
        return asked

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - how handlers are called
        if number in STOP:
            if self.stop:
                # What is saved so far is whole: the state is made for this.
                os._exit(AT_ONCE)
            self.stop = True
        elif number == signal.SIGHUP:
            self._reload = True
        else:
            self._reopen = True
        if self.wake is not None:
            self.wake()
