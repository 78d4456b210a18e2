"""Commands: `make` the captures and their truth, `record` the tapes, `bench` a big file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pcaps.generator.bench import KINDS, Order, write_bench
from pcaps.generator.collect import FOLDER, SEED, make_all


def main() -> None:
    """Read the arguments and do what they ask."""
    parser = argparse.ArgumentParser(prog="python -m pcaps.generator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write every capture, truth, site file and SOURCES.md")
    make.add_argument("--out", type=Path, default=FOLDER)
    make.add_argument("--seed", default=SEED)
    commands.add_parser("record", help="record handshakes and film anew (needs ffmpeg)")
    bench = commands.add_parser("bench", help="write a big capture for benchmarks")
    bench.add_argument("--kind", choices=sorted(KINDS), required=True)
    bench.add_argument("--frames", type=int, default=1_000_000)
    bench.add_argument("--seed", default="bench")
    bench.add_argument("--flows", type=int, default=0, help="ten-thousand-cameras: flows in all")
    bench.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    if chosen.command == "make":
        sys.stdout.write(f"{make_all(chosen.out, chosen.seed)} captures\n")
    elif chosen.command == "record":
        from pcaps.generator.record import record  # noqa: PLC0415 - needs aioquic, others do not

        record()
    else:
        order = Order(chosen.kind, chosen.frames, chosen.seed, chosen.flows)
        sys.stdout.write(f"{write_bench(order, chosen.out)} bytes\n")


if __name__ == "__main__":
    main()
