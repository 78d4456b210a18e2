"""Rows of the state as SQLite takes them: a column a field, what is nested as JSON.

A table is described by its row's dataclass, so that code and columns cannot drift apart (a test
compares them with the schema). Fields that a row was written without get the dataclass's default.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from egressd.state import (
    CountRow,
    DeviceRow,
    EpisodeRow,
    FilePlace,
    FlowRow,
    FrameCount,
    LeaseRow,
    NameRow,
    PermitRow,
    TotalRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Table:
    """Where rows of one kind are kept; beyond `bound`, the lowest of `oldest` go first."""

    name: str
    row: type
    key: tuple[str, ...]
    bound: int
    oldest: str


DEVICES = Table("devices", DeviceRow, ("id",), 65_536, "seen")
NAMES = Table("names", NameRow, ("client", "address", "name"), 200_000, "seen")
EPISODES = Table("episodes", EpisodeRow, ("id",), 100_000, "last")
FLOWS = Table("flows", FlowRow, ("id",), 100_000, "last")
TOTALS = Table("totals", TotalRow, ("camera", "party"), 400_000, "bytes_out")
COUNTS = Table("counts", CountRow, ("name", "labels"), 100_000, "count")
PERMITS = Table("permits", PermitRow, ("text",), 50_000, "used")
LEASES = Table("leases", LeaseRow, ("ip",), 65_536, "rowid")
INTERFACES = Table("interfaces", FrameCount, ("interface",), 1_024, "frames")
FILES = Table("files", FilePlace, ("folder", "device", "inode", "first"), 65_536, "first")
TABLES = (DEVICES, NAMES, EPISODES, FLOWS, TOTALS, COUNTS, PERMITS, LEASES, INTERFACES, FILES)


def columns_of(row: type) -> list[str]:
    """Return the columns of a kind of row."""
    return [field.name for field in fields(row)]


def values_of(row: Any) -> list[Any]:
    """Return a row's values in the order of its columns."""
    return [_stored(getattr(row, field.name)) for field in fields(row)]


def reader_of(row: type[Row]) -> Callable[[Sequence[Any]], Row]:
    """Return what makes a row of its columns' values; ValueError where they are none."""
    hints = get_type_hints(row)
    names = columns_of(row)
    readers = [_reader(hints[name]) for name in names]

    def read(values: Sequence[Any]) -> Row:
        return row(*(take(value) for take, value in zip(readers, values, strict=True)))

    return read


def plain_of(value: Any) -> Any:
    """Return a dataclass, or a sequence of them, as what JSON can say."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_of(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [plain_of(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain_of(entry) for key, entry in value.items()}
    return value


def filled(kind: type[Row], plain: Any) -> Row:
    """Return a dataclass from what JSON said; ValueError where that does not fit."""
    if not isinstance(plain, dict):
        raise ValueError(f"no {kind.__name__}")  # noqa: TRY004 - the contents are wrong, not the call
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, as the name of the parameter says
        if field.name in plain:
            given[field.name] = _typed(hints[field.name], plain[field.name])
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"no {field.name} in a {kind.__name__}")
    return kind(**given)


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return json.dumps(plain_of(value), separators=(",", ":"))
    return value


def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return what turns a column's value into a field's."""
    if get_origin(hint) is tuple:

        def from_json(value: Any) -> Any:
            return _typed(hint, json.loads(value))

        return from_json

    def checked(value: Any) -> Any:
        return _typed(hint, value)

    return checked


def _typed(hint: Any, value: Any) -> Any:
    """Return a value as a field's type has it; ValueError where it cannot be."""
    origin = get_origin(hint)
    if origin is tuple:
        kind = get_args(hint)[0]
        if not isinstance(value, list):
            raise ValueError("no list")
        return tuple(_typed(kind, entry) for entry in value)
    if origin is dict:
        kind = get_args(hint)[1]
        if not isinstance(value, dict):
            raise ValueError("no mapping")
        return {str(key): _typed(kind, entry) for key, entry in value.items()}
    if origin is UnionType:
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return None if value is None else _typed(kinds[0], value)
    if is_dataclass(hint):
        return filled(hint, value)  # type: ignore[arg-type]  # a class, or is_dataclass was False
    if hint is bool and value in (0, 1):
        return bool(value)
    if hint is float and isinstance(value, int | float):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is int):
        raise ValueError(f"{value!r} is no {hint.__name__}")
    return value
