"""The IEEE registry: which company a MAC address block was assigned to.

Blocks come in three sizes (MA-L 24 bits, MA-M 28, MA-S 36); the longest that
fits wins, because small blocks are cut out of large ones. A match is a hint and
no proof: many cameras carry the address of their radio module's maker, and a
MAC address can be set to anything. What the hint is worth is not decided here.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from egressd.data import DIRECTORY, Table, TableError, read_table
from egressd.model import ConfigError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT_FILE = DIRECTORY / "oui.bin"

MAC = re.compile(r"[0-9a-fA-F]{2}(?:[:-]?[0-9a-fA-F]{2}){5}")
# IEEE 802-2014, 8.2.2: the two low bits of the first octet are multicast and locally administered.
NOT_A_STATION = 0b11 << 40
ACCEPTED = "give one made by scripts/build_oui.py, or none to have the shipped one"
SIZES = (36, 28, 24)  # the longest first


class Oui:
    """The registry as sorted arrays; names stay bytes until somebody asks."""

    def __init__(self, table: Table) -> None:
        try:
            columns = table.columns
            self._blocks = [
                _Blocks(bits, columns[f"prefix{bits}"], columns[f"owner{bits}"]) for bits in SIZES
            ]
            self._name_ends = columns["name_ends"]
            self._names = columns["names"].tobytes()
        except KeyError as error:
            raise TableError(f"it is not a table of address blocks (no column {error})") from error
        if max(blocks.highest for blocks in self._blocks) >= len(self._name_ends):
            raise TableError("it names an owner that it does not list")
        self.built = table.built
        self.source = table.header.get("source", "")
        self.count = sum(len(blocks.prefixes) for blocks in self._blocks)

    def organisation(self, mac: str) -> str | None:
        """Return who a MAC address's block was assigned to; None if nobody, or if made up.

        Multicast and locally administered addresses belong to no block: phones and some
        cameras draw such addresses at random. All zeros is no address, though its block is sold.
        """
        if MAC.fullmatch(mac) is None:
            return None
        value = int(mac.replace(":", "").replace("-", ""), 16)
        if value & NOT_A_STATION or not value:
            return None
        for blocks in self._blocks:
            owner = blocks.find(value)
            if owner is not None:
                return self._name(owner)
        return None

    def blocks(self, organisation: str) -> Iterator[str]:
        """Yield the blocks, as `44:19:b6:00:00:00/24`, of owners whose name has this in it."""
        wanted = organisation.casefold()
        owners = {n for n in range(len(self._name_ends)) if wanted in self._name(n).casefold()}
        for blocks in reversed(self._blocks):
            for prefix, owner in zip(blocks.prefixes, blocks.owners, strict=True):
                if owner in owners:
                    text = (prefix << (48 - blocks.bits)).to_bytes(6, "big").hex(":")
                    yield f"{text}/{blocks.bits}"

    def _name(self, owner: int) -> str:
        start = self._name_ends[owner - 1] if owner else 0
        return self._names[start : self._name_ends[owner]].decode(errors="replace")


def load_oui(path: Path | None = None) -> Oui:
    """Read the shipped registry, or a newer one made by `scripts/build_oui.py`.

    A file that cannot be used is a ConfigError.
    """
    file = path or DEFAULT_FILE
    if not file.is_file():
        raise ConfigError(f"{file}: no such file; {ACCEPTED}")
    try:
        return Oui(read_table(file.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); {ACCEPTED}") from error
    except TableError as error:
        raise ConfigError(
            f"{file}: not a registry of MAC addresses: {error}; {ACCEPTED}"
        ) from error


class _Blocks:
    """The blocks of one size, sorted by prefix."""

    def __init__(self, bits: int, prefixes: array[int], owners: array[int]) -> None:
        if len(prefixes) != len(owners):
            raise TableError("its columns differ in length")
        self.bits = bits
        self.prefixes = prefixes
        self.owners = owners
        self.highest = max(owners, default=-1)

    def find(self, mac: int) -> int | None:
        prefix = mac >> (48 - self.bits)
        index = bisect_left(self.prefixes, prefix)
        if index == len(self.prefixes) or self.prefixes[index] != prefix:
            return None
        return self.owners[index]
