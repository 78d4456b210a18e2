"""Results as Markdown, and the one place in README.md where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.holds import OURS, Judged, judge_holds
from bench.plan import FULL
from bench.rates import Measurement, ratio_of
from bench.run import SMALL_REPLAY, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.results import Machine, Results

BEGIN = "<!-- results: `python -m bench` writes from here -->\n"
END = "<!-- to here -->\n"
DASH = "-"
BUSY = 0.05  # share of the cores' time others may have before we say so


def write_readme(results: Results, path: Path) -> None:
    """Replace what stands between the two marks."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{path}: the marks {BEGIN.strip()} and {END.strip()} are not there")
    path.write_text(f"{before}{BEGIN}{render(results)}{END}{after}", encoding="utf-8")


def render(results: Results) -> str:
    """Return the results as Markdown."""
    parts = [
        _machine(results.machine),
        "## What we hold ourselves to\n\n" + _holds(judge_holds(results)),
        "## Rates and memory\n\n" + _rates(results),
        "## Start-up\n\n" + _starts(results),
        "## Programs\n\n" + _programs(results),
    ]
    if results.quick:
        parts.insert(0, "A quick run: files a tenth in size, one run of each. Not for quoting.\n")
    return "\n" + "\n".join(parts) + "\n"


def _machine(machine: Machine) -> str:
    text = (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, "
        f"{machine.memory / 1e9:.0f} GB, {machine.system}, Python {machine.python}. "
        f"Load when it began: {machine.load_before}"
    )
    if machine.others is None:
        return f"{text}.\n"
    text += f"; other programs had {machine.others:.1%} of the cores' time while it ran."
    if machine.others > BUSY:
        text += " **The machine was not idle: ratios stand better than rates.**"
    return f"{text}\n"


def _holds(judged: Iterable[Judged]) -> str:
    rows = [(it.what, it.hold, it.measured or DASH, _stressed(it.kept.value)) for it in judged]
    return _table(("what", "hold", "measured", "verdict"), rows)


def _stressed(text: str) -> str:
    return text if text == "held" else f"**{text}**"


def _rates(results: Results) -> str:
    parts = []
    kinds = {kind.name: kind for kind in FULL.kinds}
    for name in dict.fromkeys(found.kind for found in results.measurements):
        ours = results.find(name, OURS)
        rows = [_row(ours, found) for found in results.measurements if found.kind == name]
        shows = f": {kinds[name].shows}" if name in kinds else ""
        heads = ("program", "frames", "runs", "packets/s", "bytes/s", "spread", "peak", "ratio")
        parts.append(f"**{name}**{shows}\n\n" + _table(heads, rows))
    failed = [f"- {it.kind}: {it.program}: {it.reason}\n" for it in results.failures]
    if failed:
        parts.append("Not measured, because the program failed:\n\n" + "".join(failed))
    return "\n".join(parts)


def _row(ours: Measurement | None, found: Measurement) -> tuple[str, ...]:
    ratio = ratio_of(ours, found)
    return (
        found.program,
        f"{found.small.frames:,} / {found.large.frames:,}",
        str(min(len(found.small.seconds), len(found.large.seconds))),
        _scaled(found.packets_per_second),
        _scaled(found.bytes_per_second),
        f"{found.spread:.0%}",
        _megabytes(found.peak),
        DASH if ratio is None else f"{ratio:.1f}x",
    )


def _starts(results: Results) -> str:
    if not results.starts:
        return "Not measured.\n"
    rows = []
    for start in sorted(results.starts, key=lambda it: (VERSION, SMALL_REPLAY).index(it.what)):
        ordered = sorted(start.seconds)
        middle = ordered[len(ordered) // 2]
        rows.append(
            (
                start.what,
                f"{middle:.3f} s",
                f"{ordered[0]:.3f} to {ordered[-1]:.3f} s",
                str(len(ordered)),
                _megabytes(start.peak),
            )
        )
    return _table(("what", "median", "from, to", "runs", "peak"), rows)


def _programs(results: Results) -> str:
    rows = [
        (it.name, it.version, f"`{it.command}`", it.does)
        if not it.absent
        else (it.name, DASH, DASH, f"not measured: {it.absent}")
        for it in results.contestants
    ]
    return _table(("program", "version", "command", "what it does"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "".join("| " + " | ".join(cell for cell in line) + " |\n" for line in lines)


def _scaled(value: float | None) -> str:
    """Return a number with three digits that count: 6.81 G, 45.0 k."""
    if value is None:
        return DASH
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.0f}"


def _megabytes(peak: int | None) -> str:
    return DASH if peak is None else f"{peak / 1e6:.0f} MB"
