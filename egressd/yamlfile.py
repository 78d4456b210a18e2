"""YAML read strictly: what a person wrote is what the program gets.

The core rules of YAML 1.2 (section 10.3.2) decide what a plain word is: `NO`, `on` and
`12:34:56:12:34:56` are text, `0777` is seven hundred and seventy-seven. Duplicate keys, anchors,
aliases, merge keys and tags are refused, and every key and value keeps its line and column. Keys
are text, whatever they look like.

The input may be hostile: size, depth and the number of values are bounded, and libyaml's events
are read one by one, so that nothing recurses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 200_000  # values in one file; 20,000 devices with four keys each need half
MAX_PROBLEMS = 100  # told in one go; the rest is counted
_MAX_DIGITS = (
    18  # fits 64 bits with room to spare; longer numbers are text somebody forgot to quote
)

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it

_CONSTANTS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MUST_BE_QUOTED = "*&@`%!|>#"

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a place in a file; `text` says what, and what to write instead."""

    line: int  # from 1; 0 where the whole file is meant
    column: int
    path: KeyPath
    text: str

    def told(self, file: str) -> str:
        """Return the line a person reads: file:line:column: key.path: what is wrong."""
        place = f"{file}:{self.line}:{self.column}" if self.line else file
        path = path_text(self.path)
        return f"{place}: {path}: {self.text}" if path else f"{place}: {self.text}"


class YamlError(Exception):
    """A file that cannot be read any further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.told("YAML"))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Position:
    """A line and a column, from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Node:
    """Where a value stands, and its children's nodes."""

    line: int
    column: int
    children: dict[str | int, Node] | None = None
    keys: dict[str, Position] | None = None  # of a mapping: where each key stands


@dataclass(slots=True)
class YamlDocument:
    """The one document of a file: plain values, their places, and what was refused."""

    value: Any = None
    root: Node | None = None  # None where the file holds nothing
    problems: list[Problem] = field(default_factory=list)

    def position(self, path: KeyPath) -> Position:
        """Return where the value at `path` stands, or its nearest ancestor that exists."""
        node = self.root
        for step in path:
            child = node.children.get(step) if node is not None and node.children else None
            if child is None:
                break
            node = child
        return Position(node.line, node.column) if node is not None else Position(1, 1)

    def key_position(self, path: KeyPath) -> Position:
        """Return where the key at the end of `path` stands."""
        node = self.root
        for step in path[:-1]:
            node = node.children.get(step) if node is not None and node.children else None
        if node is not None and node.keys and path and isinstance(path[-1], str):
            place = node.keys.get(path[-1])
            if place is not None:
                return place
        return self.position(path)


def load_yaml(path: Path) -> YamlDocument:
    """Read a file; raise YamlError where there is no reading on."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the file's name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise YamlError(Problem(0, 0, (), f"cannot be read: {reason}")) from None
    return read_yaml(data)


def read_yaml(data: bytes) -> YamlDocument:
    """Read the bytes of a file; raise YamlError where there is no reading on."""
    text = _text_of(data)
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise YamlError(_syntax_problem(error, text)) from None
    except yaml.YAMLError as error:
        raise YamlError(Problem(1, 1, (), f"is not YAML: {error}")) from None
    return builder.document


def path_text(path: KeyPath) -> str:
    """Return a path as people write it: cameras[2].mac."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if len(step) <= 60 else step[:57] + "..."
            text += f".{shown}" if text else shown
    return text.translate(_UNPRINTABLE)


def told_of(problems: list[Problem], file: str) -> str:
    """Return all problems of a file in its order, one a line; beyond a hundred they are counted."""
    ordered = sorted(set(problems), key=lambda p: (p.line, p.column, path_text(p.path), p.text))
    lines = [problem.told(file) for problem in ordered[:MAX_PROBLEMS]]
    if len(ordered) > MAX_PROBLEMS:
        lines.append(f"{file}: and {len(ordered) - MAX_PROBLEMS} more")
    return "\n".join(lines)


_UNPRINTABLE = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), "?")


def _text_of(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise YamlError(Problem(0, 0, (), f"is longer than {MAX_BYTES >> 20} MiB; split it"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        place = _position_after(before)
        byte = data[error.start]
        complaint = f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"
        raise YamlError(Problem(place.line, place.column, (), complaint)) from None
    bad = _FORBIDDEN.search(text)
    if bad:
        place = _position_after(text[: bad.start()])
        complaint = f"the control character U+{ord(bad[0]):04X} is not allowed; remove it"
        raise YamlError(Problem(place.line, place.column, (), complaint))
    return text


def _position_after(text: str) -> Position:
    line = text.count("\n") + 1
    return Position(line, len(text) - (text.rfind("\n") + 1) + 1)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    """Say where the YAML breaks, in words that help for the mistakes people make."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    rows = text.splitlines()
    row = rows[line] if line < len(rows) else ""
    character = row[column : column + 1]
    what = error.problem or error.context or "it cannot be read"
    if character == "\t":
        complaint = "a tab is no indentation; write spaces"
    elif "mapping values are not allowed" in what:
        complaint = "a colon where none can stand; check the indentation, or write it in quotes"
    elif "alphabetic or numeric" in what or (character and character in _MUST_BE_QUOTED):
        complaint = f"{what}; write the value in quotes"
    else:
        complaint = f"{what} ({error.context})" if error.context else what
        complaint += "; check quotes, brackets and indentation from here upwards"
    return Problem(line + 1, column + 1, (), complaint)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is still being read."""

    value: Any  # list or dict
    node: Node
    key: str | int | None  # where the next value goes; None: a mapping waits for a key
    last: str | int = 0  # where the last value went, so that paths can be told
    dropped: bool = False  # the next value belongs to a duplicate key


class _Builder:
    """Builds the document from events, on a stack of its own."""

    def __init__(self) -> None:
        self.document = YamlDocument()
        self._stack: list[_Open] = []
        self._count = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take the parser's next event."""
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._stack.pop()
        elif isinstance(event, yaml.AliasEvent):
            if self._stack and self._stack[-1].key is None:
                raise self._error(event, f"a key is the alias *{event.anchor}; write a word as key")
            self._refuse(event, f"the alias *{event.anchor} is not read; write the value out")
            self._place(None, self._node(event))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._take_document(event)

    def _take_document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._error(event, "a second document begins; write one document in a file")
        if event.version is not None and event.version != (1, 2):
            raise self._error(event, "files are read by the rules of YAML 1.2; remove %YAML")

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None:
            self._take_key(top, event)
            return
        self._refuse_extras(event)
        plain = not event.style and event.tag is None
        value = self._value_of(event) if plain else event.value
        self._place(value, self._node(event))

    def _value_of(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if text[:1] not in "0123456789+-.~nNtTfF":
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if not (_DECIMAL.fullmatch(text) or _BASED.fullmatch(text)):
            return float(text) if _FLOAT.fullmatch(text) else text
        if len(text) > _MAX_DIGITS:
            self._refuse(event, f"a number of {len(text)} digits is too long; write it in quotes")
            return text
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)

    def _take_key(self, top: _Open, event: yaml.ScalarEvent) -> None:
        key: str = event.value
        assert top.node.keys is not None
        top.key = key
        self._refuse_extras(event)
        first = top.node.keys.get(key)
        if first is not None:
            top.dropped = True
            self._refuse(event, f"is written twice, first in line {first.line}; remove one")
            return
        if key == "<<" and not event.style:
            self._refuse(event, "the merge key << is not read; write the keys out")
        top.node.keys[key] = _start_of(event)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if self._stack and self._stack[-1].key is None:
            raise self._error(event, "a key is a list or a mapping; write a word as key")
        if len(self._stack) >= MAX_DEPTH:
            raise self._error(event, f"is nested more than {MAX_DEPTH} deep; flatten it")
        self._refuse_extras(event)
        node = self._node(event)
        node.children = {}
        if isinstance(event, yaml.MappingStartEvent):
            node.keys = {}
            opened = _Open({}, node, None)
        else:
            opened = _Open([], node, 0)
        self._place(opened.value, node)
        self._stack.append(opened)

    def _place(self, value: Any, node: Node) -> None:
        """Put a value where it belongs: into the list or mapping that is open, or at the top."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise YamlError(
                Problem(node.line, node.column, (), f"holds over {MAX_VALUES} values; split it")
            )
        if not self._stack:
            self.document.value, self.document.root = value, node
            return
        top = self._stack[-1]
        assert top.node.children is not None
        assert top.key is not None
        top.last = top.key
        if isinstance(top.key, int):
            top.value.append(value)
            top.node.children[top.key] = node
            top.key += 1
            return
        if not top.dropped:
            top.value[top.key] = value
            top.node.children[top.key] = node
        top.key, top.dropped = None, False

    def _node(self, event: yaml.Event) -> Node:
        start = _start_of(event)
        return Node(start.line, start.column)

    def _path(self) -> KeyPath:
        above: list[str | int] = [opened.last for opened in self._stack[:-1]]
        here = self._stack[-1].key if self._stack else None
        return (*above, here) if here is not None else tuple(above)

    def _refuse_extras(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse(event, f"the anchor &{event.anchor} is not read; remove it")
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag} is not read; remove it, or use quotes")

    def _refuse(self, event: yaml.Event, text: str) -> None:
        """Keep a problem that does not end the reading."""
        if len(self.document.problems) <= MAX_PROBLEMS:
            self.document.problems.append(self._error(event, text).problem)

    def _error(self, event: yaml.Event, text: str) -> YamlError:
        start = _start_of(event)
        return YamlError(Problem(start.line, start.column, self._path(), text))


def _start_of(event: yaml.Event) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1) if mark is not None else Position(1, 1)
