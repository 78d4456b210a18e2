"""`python -m bench`: measure, write `results.json`, and put the numbers into `README.md`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.machine import use_two_cores
from bench.plan import FULL, quick_of
from bench.programs import find_programs
from bench.render import render, write_readme
from bench.results import load_results, write_results
from bench.run import run_bench

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DATA = HERE / "data"
RESULTS = HERE / "results.json"
README = HERE / "README.md"


def main() -> None:
    """Read the arguments and do what they ask."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a minute, printed only: a look, not a number"
    )
    parser.add_argument(
        "--nfstream", action="store_true", help="install nfstream into a temporary venv, too"
    )
    parser.add_argument(
        "--render", action="store_true", help="measure nothing; write README.md from results.json"
    )
    chosen = parser.parse_args()
    if chosen.render:
        write_readme(load_results(RESULTS), README)
        return
    plan = quick_of(FULL) if chosen.quick else FULL
    use_two_cores()
    with _nfstream(wanted=chosen.nfstream) as python:
        results = run_bench(plan, find_programs(python), DATA, _say, quick=chosen.quick)
    if chosen.quick:
        write_results(results, DATA / "quick.json")
    else:
        write_results(results, RESULTS)
        write_readme(results, README)
    sys.stdout.write(render(results))


@contextmanager
def _nfstream(*, wanted: bool) -> Iterator[Path | None]:
    """Give an interpreter that has nfstream, outside the project and gone afterwards."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-nfstream-") as folder:
        _say("installing nfstream")
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "--quiet", "nfstream"]
        subprocess.run(pip, check=False, stdout=sys.stderr)  # noqa: S603 - our own venv
        yield python


def _say(text: str) -> None:
    """Tell how far it has come."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
