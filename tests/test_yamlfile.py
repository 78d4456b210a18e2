"""YAML is read by the core rules of 1.2, and what is refused is told with its place."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.yamlfile import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    Position,
    Problem,
    YamlError,
    load_yaml,
    path_text,
    read_yaml,
    told_of,
)

if TYPE_CHECKING:
    from pathlib import Path

# YAML 1.2.2, section 10.3.2, "Tag Resolution" of the core schema: every row of its table.
CORE_SCHEMA: list[tuple[str, Any]] = [
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("~", None),
    ("", None),
    ("true", True),
    ("True", True),
    ("FALSE", False),
    ("0", 0),
    ("-19", -19),
    ("+12", 12),
    ("0o7", 7),
    ("0x3A", 58),
    ("0.", 0.0),
    ("-0.0", 0.0),
    (".5", 0.5),
    ("+12e03", 12000.0),
    ("-2E+05", -200000.0),
    (".inf", float("inf")),
    ("-.Inf", float("-inf")),
]
# Plain words that YAML 1.1 turns into something else, and 1.2 leaves alone.
STILL_TEXT = [
    "NO",
    "no",
    "off",
    "on",
    "Yes",
    "y",
    "12:34:56:12:34:56",
    "12:34:56",
    "190:20:30",
    "2027-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "0b1010",
    "1_000",
    "10.20.0.0/16",
    "0x",
    "1e",
    "-x",
    "4419.b6a0.0001",
]


@pytest.mark.parametrize(("text", "value"), CORE_SCHEMA, ids=[t or "empty" for t, _ in CORE_SCHEMA])
def test_a_plain_word_is_what_the_core_schema_says(text: str, value: object) -> None:
    read = read_yaml(f"a: {text}\n".encode()).value["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", STILL_TEXT)
def test_other_plain_words_are_text(text: str) -> None:
    assert read_yaml(f"a: {text}\n".encode()).value == {"a": text}


def test_a_leading_zero_is_decimal() -> None:
    assert read_yaml(b"a: 0777").value == {"a": 777}


def test_quoted_words_are_text() -> None:
    assert read_yaml(b"a: '5'\nb: \"true\"\nc: ''").value == {"a": "5", "b": "true", "c": ""}


def test_keys_are_text() -> None:
    assert read_yaml(b"1: a\ntrue: b\n44:19:b6: c").value == {
        "1": "a",
        "true": "b",
        "44:19:b6": "c",
    }


def test_every_key_and_value_keeps_its_place() -> None:
    document = read_yaml(b"site:\n  networks: [10.0.0.0/8,\n    fd00::/8]\n")
    assert document.key_position(("site", "networks")) == Position(2, 3)
    assert document.position(("site", "networks")) == Position(2, 13)
    assert document.position(("site", "networks", 1)) == Position(3, 5)
    assert document.position(("site", "networks", 7)) == Position(2, 13)
    assert document.key_position(("site", "ntp")) == Position(2, 3)
    assert document.position(()) == Position(1, 1)
    assert document.key_position(()) == Position(1, 1)


REFUSED = {
    "duplicate key": (b"a: 1\nb: 2\na: 3", "f:3:1: a: is written twice, first in line 1"),
    "duplicate key deep": (b"x:\n - {k: 1, k: 2}", "f:2:11: x[0].k: is written twice"),
    "duplicate mapping": (b"a: 1\na: {b: [2]}", "f:2:1: a: is written twice"),
    "duplicate as quoted": (b"a: 1\n'a': 2", "f:2:1: a: is written twice"),
    "anchor": (b"a: &x 1", "f:1:4: a: the anchor &x is not read"),
    "anchor on a list": (b"a: &x [1]", "f:1:4: a: the anchor &x is not read"),
    "alias": (b"a: &x 1\nb: *x", "f:2:4: b: the alias *x is not read"),
    "merge key": (b"<<: {a: 1}", "f:1:1: <<: the merge key << is not read"),
    "tag": (b"a: !!str 1", "f:1:4: a: the tag tag:yaml.org,2002:str is not read"),
    "python tag": (b"a: !!python/name:os.system x", "f:1:4: a: the tag"),
    "long number": (b"a: 1234567890123456789", "f:1:4: a: a number of 19 digits is too long"),
}


@pytest.mark.parametrize(("data", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_hides_a_value_is_refused(data: bytes, told: str) -> None:
    assert told in told_of(read_yaml(data).problems, "f")


def test_the_first_of_two_keys_stands() -> None:
    assert read_yaml(b"a: 1\na: {b: 2}\nc: 3").value == {"a": 1, "c": 3}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read_yaml(b'"<<": 1').problems == []


BROKEN = {
    "tab": (b"a:\n\t- b", "f:2:1: a tab is no indentation; write spaces"),
    "colon": (b"a: b: c", "f:1:5: a colon where none can stand"),
    "star": (b"to: *.example.org", "write the value in quotes"),
    "at": (b"a: @x", "f:1:4: found character that cannot start any token; write the value in"),
    "open quote": (b'a: "x', "f:1:6: found unexpected end of stream"),
    "open bracket": (b"a: [1", "did not find expected ',' or ']'"),
    "two documents": (b"--- 1\n--- 2", "f:2:1: a second document begins"),
    "key of lists": (b"? [a]\n: b", "f:1:3: a key is a list or a mapping"),
    "key of an alias": (b"*a :", "f:1:1: a key is the alias *a; write a word as key"),
    "version": (b"%YAML 1.1\n--- 1", "f:1:1: files are read by the rules of YAML 1.2"),
    "latin-1": ("a: é".encode("latin-1"), "f:1:4: byte 0xe9 is not UTF-8"),
    "utf-16": ("a: b".encode("utf-16"), "f:1:1: byte 0xff is not UTF-8"),
    "control": (b"a: 1\nb: \x01", "f:2:4: the control character U+0001 is not allowed"),
    "nul": (b"\0", "f:1:1: the control character U+0000 is not allowed"),
    "huge": (b"#" * (MAX_BYTES + 1), "f: is longer than 4 MiB; split it"),
    "deep": (b"[" * (MAX_DEPTH + 1), f"f:1:33: {'[0]' * 32}: is nested more than 32 deep"),
    "bracket bomb": (b"[" * MAX_BYTES, "is nested more than 32 deep"),
    "dash bomb": (b"- " * (MAX_BYTES // 2), "is nested more than 32 deep"),
    "many values": (b"[" + b"a," * (MAX_VALUES + 1), f"holds over {MAX_VALUES} values"),
}


@pytest.mark.parametrize(("data", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_told_with_its_place(data: bytes, told: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(data)
    assert told in caught.value.problem.told("f")


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\xef\xbb\xbf", b"\n\n"])
def test_an_empty_file_has_no_root(data: bytes) -> None:
    document = read_yaml(data)
    assert document.value is None
    assert document.root is None
    assert document.position(("a",)) == Position(1, 1)


def test_a_byte_order_mark_is_skipped() -> None:
    assert read_yaml(b"\xef\xbb\xbfa: 1").value == {"a": 1}


def test_problems_beyond_a_hundred_are_counted() -> None:
    problems = [Problem(n, 1, ("a", n), "is wrong") for n in range(1, 151)]
    lines = told_of(problems, "f").splitlines()
    assert lines[0] == "f:1:1: a[1]: is wrong"
    assert len(lines) == 101
    assert lines[-1] == "f: and 50 more"


def test_a_file_of_duplicates_is_refused_in_bounded_memory() -> None:
    assert 0 < len(read_yaml(b"a: 1\n" * 50_000).problems) <= 101


def test_a_path_cannot_write_to_the_terminal() -> None:
    assert path_text(("a\x1b[31m\n", 3, "b" * 80)) == f"a?[31m?[3].{'b' * 57}..."


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: [1, two]")
    assert load_yaml(file).value == {"a": [1, "two"]}


@pytest.mark.parametrize("name", ["missing.yaml", "", "a\0b"], ids=["missing", "folder", "nul"])
def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(YamlError, match="cannot be read"):
        load_yaml(tmp_path / name)


def test_twenty_thousand_devices_are_read_quickly() -> None:
    rows = [f"  - {{name: c{n}, ip: 10.1.{n >> 8}.{n & 255}}}\n" for n in range(20_000)]
    data = ("cameras:\n" + "".join(rows)).encode()
    start = time.process_time()
    assert len(read_yaml(data).value["cameras"]) == 20_000
    assert time.process_time() - start < 3  # 0.6 s on the machine it was measured on


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_never_fails_otherwise_on_any_bytes(data: bytes) -> None:
    with suppress(YamlError):
        told_of(read_yaml(data).problems, "f")


@settings(max_examples=200)
@given(st.text(alphabet="ab:-[]{}&*!<>'\"|#%?,0x. \n\t", max_size=60))
def test_never_fails_otherwise_on_yaml_like_text(text: str) -> None:
    with suppress(YamlError):
        told_of(read_yaml(text.encode()).problems, "f")


words = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.sampled_from("é中😀\n"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**16), 10**16) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100)
@given(st.dictionaries(words, json_values, max_size=4))
def test_json_is_yaml(value: dict[str, object]) -> None:
    document = read_yaml(json.dumps(value, ensure_ascii=False).encode())
    assert document.value == value
    assert document.problems == []
