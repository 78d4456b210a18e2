"""The reference pages name everything that comes out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from egressd.report.signatures import SIGNATURES

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[2]
DOCS = TOP / "docs/reference"
PAGES = {"case.schema.json": "case-file.md", "eve-egressd.schema.json": "eve.md"}


def keys_of(schema: Any) -> Iterator[str]:
    """Yield every property a schema describes, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys_of(part)


@pytest.mark.parametrize("schema", PAGES)
def test_every_key_is_on_its_page(schema: str) -> None:
    page = (DOCS / PAGES[schema]).read_text()
    if schema == "case.schema.json":
        page += (DOCS / "eve.md").read_text()  # it refers to that page for what is the same
    keys = set(keys_of(json.loads((TOP / "egressd/schemas" / schema).read_text())))
    assert keys
    assert {key for key in keys if f"`{key}`" not in page} - {"egressd"} == set()


def test_every_signature_is_on_the_page() -> None:
    page = (DOCS / "eve.md").read_text()
    for rule, signature in SIGNATURES.items():
        assert f"| {signature.id} | `{rule}` |" in page


@pytest.mark.parametrize("command", ["replay", "explain", "check"])
def test_every_option_is_on_the_page(command: str) -> None:
    page = (DOCS / "cli.md").read_text()
    section = page.split(f"## egressd {command}\n")[1].split("\n## ")[0]
    told = subprocess.run(
        [sys.executable, "-c", "from egressd.cli import main; main()", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200"},
    )
    options = set(re.findall(r"--[a-z-]+", told.stdout)) - {"--help"}
    assert options
    assert {option for option in options if f"`{option}" not in section} == set()
