"""How far a replay has come: a bar on a terminal, a plain line every ten seconds elsewhere.

It writes to standard error only, and nothing at all for a run that is over at
once. The wall clock it reads is shown and never used for anything else.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Self

from egressd.model import NANOSECONDS_PER_SECOND
from egressd.report.words import human_bytes, human_span

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from rich.progress import Progress as Bar

    from egressd.model import Bytes, Seconds

BAR_AFTER: Seconds = 1.0
BAR_EVERY: Seconds = 0.1
LINE_EVERY: Seconds = 10.0


class Progress:
    """Told after each batch what was read; shows it when there is something to show."""

    def __init__(self, stream: TextIO, total: Bytes | None, *, shown: bool = True) -> None:
        """Show progress on `stream`; `total` is None where nobody knows it, as of a pipe."""
        self._stream = stream
        self._total = total or None
        self._on_terminal = shown and stream.isatty()
        self._every = BAR_EVERY if self._on_terminal else LINE_EVERY
        self._began = monotonic()
        wait = BAR_AFTER if self._on_terminal else LINE_EVERY
        self._next = self._began + wait if shown else float("inf")
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, bytes_read: Bytes, frames: int) -> None:
        """Show where the run stands, unless it was shown a moment ago."""
        now = monotonic()
        if now < self._next:
            return
        self._next = now + self._every
        line = progress_line(bytes_read, self._total, frames, now - self._began)
        if self._on_terminal:
            self._move_bar(bytes_read, line)
        else:
            self._stream.write(f"egressd: {line}\n")
            self._stream.flush()

    def _move_bar(self, bytes_read: Bytes, line: str) -> None:
        if self._bar is None:
            self._bar = _bar_on(self._stream)
            self._bar.add_task("", total=self._total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=bytes_read, description=line)
        self._bar.refresh()


def progress_line(bytes_read: Bytes, total: Bytes | None, frames: int, elapsed: Seconds) -> str:
    """Return how much was read, how fast, and how long the rest will take."""
    rate = bytes_read / elapsed if elapsed > 0 else 0.0
    parts = [human_bytes(bytes_read)]
    if total is not None:
        parts[0] += f" of {human_bytes(total)} ({min(bytes_read / total, 1):.0%})"
    parts.append(f"{frames:,} frames")
    if elapsed > 0:
        parts.append(f"{frames / elapsed:,.0f} frames/s")
        parts.append(f"{human_bytes(int(rate))}/s")
    if total is not None and rate > 0:
        left = max(total - bytes_read, 0) / rate
        parts.append(f"{human_span(int(left * NANOSECONDS_PER_SECOND))} left")
    return ", ".join(parts)


def _bar_on(stream: TextIO) -> Bar:
    # Only runs longer than a second pay for loading it.
    from rich.console import Console  # noqa: PLC0415 - start-up time
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - start-up time

    columns = (BarColumn(bar_width=20), TextColumn("{task.description}", markup=False))
    # It is moved between batches, so that no thread runs beside the engine.
    return Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=True)
