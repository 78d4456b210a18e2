# ruff: noqa: INP001 - a program to run, not a package to import
"""Build egressd/data/networks.bin, the prefixes of the networks that egressd can name.

    npm pack @ip-location-db/asn && tar xf ip-location-db-asn-*.tgz
    python scripts/build_networks.py --built 2026-06-17 package

The folder holds asn-ipv4-num.csv and asn-ipv6-num.csv: first address, last
address, AS number, registered name. `networks.yaml` beside this script chooses
the autonomous systems and names their owners; nothing else of the data is kept.

The build stops where an AS is not registered under the name that `networks.yaml`
expects. Ranges that overlap, or hold no whole /64, are dropped and counted.
"""

from __future__ import annotations

import argparse
import csv
import sys
from array import array
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressd.data import pack_table
from egressd.data.networks import NAME, Network, NetworkClass
from egressd.yamlfile import read_yaml, told_of

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
OUT = HERE.parent / "egressd" / "data" / "networks.bin"
CHOICE = HERE / "networks.yaml"
SOURCE = "npm package @ip-location-db/asn: RouteViews, the five RIRs (NRO), DB-IP IP to ASN Lite"
LICENCE = (
    "CC BY 4.0, RouteViews (routeviews.org), NRO (nro.net), DB-IP (db-ip.com); "
    "modified: autonomous systems selected, owners renamed"
)
LOW_64 = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """An autonomous system of the choice, and the words its registered name must have one of."""

    network: Network
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """An inclusive range of addresses and the AS that originates it."""

    start: int
    end: int
    asn: int


def main() -> int:
    """Write the table and say what is in it."""
    parser = argparse.ArgumentParser(description="Build the table of networks.")
    parser.add_argument("folder", type=Path, help="where asn-ipv4-num.csv and asn-ipv6-num.csv are")
    parser.add_argument("--built", required=True, type=date.fromisoformat, help="date of the data")
    parser.add_argument("--source", default=SOURCE)
    parser.add_argument("--licence", default=LICENCE)
    parser.add_argument("--choice", type=Path, default=CHOICE)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    choice: Path = arguments.choice
    chosen = read_choice(choice.read_text(encoding="utf-8"))
    folder: Path = arguments.folder
    v4 = disjoint(read_ranges(folder / "asn-ipv4-num.csv", chosen))
    v6 = disjoint(upper_halves(read_ranges(folder / "asn-ipv6-num.csv", chosen)))
    built: date = arguments.built
    header = {
        "name": NAME,
        "built": built.isoformat(),
        "source": str(arguments.source),
        "licence": str(arguments.licence),
    }
    data = pack_networks(header, chosen, v4, v6)
    out: Path = arguments.out
    out.write_bytes(data)
    sys.stdout.write(f"{out.name}: {len(v4)} + {len(v6)} ranges, {len(data)} bytes\n")
    return 0


def read_choice(text: str) -> dict[int, Chosen]:
    """Return the chosen autonomous systems by number."""
    chosen: dict[int, Chosen] = {}
    document = read_yaml(text.encode())
    if document.problems:
        raise SystemExit(told_of(document.problems, CHOICE.name))
    entries: list[dict[str, Any]] = document.value
    for entry in entries:
        network_class = NetworkClass(entry["class"])
        for asn in entry["as"]:
            if asn in chosen:
                raise SystemExit(f"AS{asn} is chosen twice")
            network = Network(asn, entry["organisation"], network_class)
            chosen[asn] = Chosen(network, tuple(entry["registered_as"]))
    return chosen


def read_ranges(file: Path, chosen: Mapping[int, Chosen]) -> list[Range]:
    """Return the ranges that a chosen AS originates; stop where its name is not the expected."""
    ranges: list[Range] = []
    with file.open(encoding="utf-8", newline="") as lines:
        for start, end, asn, name in csv.reader(lines):
            entry = chosen.get(int(asn))
            if entry is None:
                continue
            if not any(word in name.casefold() for word in entry.words):
                raise SystemExit(f"AS{asn} is registered as {name!r}, not as {entry.words}")
            ranges.append(Range(int(start), int(end), int(asn)))
    return ranges


def upper_halves(ranges: list[Range]) -> list[Range]:
    """Return IPv6 ranges in units of a /64, trimmed to whole ones; some are cut by single hosts."""
    halves = [Range((r.start + LOW_64) >> 64, ((r.end + 1) >> 64) - 1, r.asn) for r in ranges]
    whole = [r for r in halves if r.start <= r.end]
    _say_dropped(len(halves) - len(whole), "hold no whole /64")
    return whole


def disjoint(ranges: list[Range]) -> list[Range]:
    """Return the ranges sorted, neighbours of one AS joined, overlapping ones dropped."""
    kept: list[Range] = []
    dropped = 0
    for r in sorted(ranges, key=lambda r: (r.start, r.end)):
        last = kept[-1] if kept else None
        if r.end < r.start or (last is not None and r.start <= last.end):
            dropped += 1
        elif last is not None and last.asn == r.asn and last.end + 1 == r.start:
            kept[-1] = Range(last.start, r.end, r.asn)
        else:
            kept.append(r)
    _say_dropped(dropped, "overlap or run backwards")
    return kept


def pack_networks(
    header: Mapping[str, str], chosen: Mapping[int, Chosen], v4: list[Range], v6: list[Range]
) -> bytes:
    """Return the table of these ranges; networks without a range are left out."""
    used = sorted({r.asn for r in (*v4, *v6)})
    number = {asn: n for n, asn in enumerate(used)}
    networks = [chosen[asn].network for asn in used]
    lines = "".join(f"{n.asn} {n.network_class.value} {n.org}\n" for n in networks)
    columns = {
        "start4": array("I", [r.start for r in v4]),
        "end4": array("I", [r.end for r in v4]),
        "network4": array("H", [number[r.asn] for r in v4]),
        "start6": array("Q", [r.start for r in v6]),
        "end6": array("Q", [r.end for r in v6]),
        "network6": array("H", [number[r.asn] for r in v6]),
        "networks": array("B", lines.encode()),
    }
    return pack_table({**header, "ranges": str(len(v4) + len(v6))}, columns)


def _say_dropped(count: int, why: str) -> None:
    if count:
        sys.stderr.write(f"{count} ranges dropped: they {why}\n")


if __name__ == "__main__":
    sys.exit(main())
