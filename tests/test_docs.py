"""The documentation says what the program does: options, keys, fields, rules, links, examples.

A thing that the program has and the documentation lacks is an error, and so is the reverse where
the documentation lists.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from egressd.cli import Exit, app
from egressd.config import load_site
from egressd.judge.findings import Rule, severity_of
from egressd.model import Stage
from egressd.report.signatures import FIRST_ID, signature_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Egressd

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/cases/*/*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
TRANSCRIPT = re.compile(r"(<!-- transcript: [^\n]*-->\n).*(<!-- end of transcript -->)", re.DOTALL)
WIDTH = 100  # columns that a web page shows without scrolling

Json = dict[str, Any]


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def in_backticks(page: str) -> set[str]:
    """Return the words a page sets in backticks, taken apart at what joins several."""
    quoted = re.findall(r"`([^`\n]+)`", (REFERENCE / page).read_text())
    return {word for text in quoted for word in re.split(r"[^\w-]+", text) if word}


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of a page's tables, without backticks."""
    lines = (REFERENCE / page).read_text().splitlines()
    return [
        [cell.strip().strip("`") for cell in line.strip("| ").split("|")]
        for line in lines
        if line.startswith("|")
    ]


# ---- commands ---------------------------------------------------------------------------------


def options() -> Iterator[tuple[str, str]]:
    """Yield each command with each of its options."""
    for name, command in typer.main.get_group(app).commands.items():
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("--"):
                    yield name, option


def test_every_command_has_its_section() -> None:
    page = (REFERENCE / "cli.md").read_text()
    commands = typer.main.get_group(app).commands
    assert len(commands) >= 3
    for name in commands:
        assert re.search(rf"^##+ `?(egressd )?{name}\b", page, re.MULTILINE), name


def test_every_option_is_documented() -> None:
    page = (REFERENCE / "cli.md").read_text()
    missing = [pair for pair in options() if not re.search(rf"`[^`\n]*{pair[1]}\b[^`\n]*`", page)]
    assert not missing


def test_no_option_is_documented_that_there_is_not() -> None:
    known = {option for _, option in options()} | {"--help", "--version"}
    page = (REFERENCE / "cli.md").read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= known


def test_the_readme_lists_the_exit_statuses() -> None:
    table = re.findall(r"^\| (\d) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [int(status) for status in table] == sorted(Exit)


# ---- site file --------------------------------------------------------------------------------


def properties_of(schema: object) -> Iterator[str]:
    """Yield every property name in a JSON schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from properties_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from properties_of(value)


def schema_of(name: str) -> Json:
    schema: Json = json.loads((ROOT / "egressd/schemas" / name).read_text())
    return schema


def test_every_site_file_key_is_documented() -> None:
    keys = set(properties_of(schema_of("site.schema.json")))
    assert {"networks", "permit", "until"} <= keys
    assert keys <= in_backticks("site-file.md")


def test_no_site_file_key_is_documented_that_there_is_not() -> None:
    keys = set(properties_of(schema_of("site.schema.json")))
    listed = {cell[0] for cell in rows_of("site-file.md") if len(cell) == 3}
    assert listed - {"key", "---"} <= keys


def site_files() -> list[tuple[str, str]]:
    """Return the YAML examples of all pages that are site files."""
    return [
        (f"{ids(page)}#{number}", re.sub(r"^ {3}", "", block, flags=re.MULTILINE))
        for page in PAGES
        for number, (language, block) in enumerate(FENCE.findall(page.read_text()))
        if language == "yaml" and re.search(r"^ *site:", block, re.MULTILINE)
    ]


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in site_files()])
def test_every_site_file_shown_can_be_used(tmp_path: Path, text: str) -> None:
    indented = text if text.startswith("site:") else re.sub(r"^ {3}", "", text, flags=re.MULTILINE)
    (tmp_path / "site.yaml").write_text(indented)
    assert load_site(tmp_path / "site.yaml").networks


def test_the_readme_shows_a_site_file() -> None:
    assert any(where.startswith("README.md") for where, _ in site_files())


# ---- EVE and findings -------------------------------------------------------------------------


def test_every_eve_field_of_ours_is_documented() -> None:
    fields = set(properties_of(schema_of("eve-egressd.schema.json")))
    assert {"bytes_out", "stage", "local_port"} <= fields
    assert fields <= in_backticks("eve.md")


def test_every_rule_is_listed_in_the_order_of_its_number() -> None:
    listed = [row[0] for row in rows_of("findings.md") if len(row) == 2 and row[0] != "rule"]
    assert listed[1:] == [rule.value for rule in Rule]
    numbers = [signature_of(rule.value).id for rule in Rule]
    assert numbers == list(range(FIRST_ID, FIRST_ID + len(numbers)))
    assert str(FIRST_ID) in (REFERENCE / "findings.md").read_text()


def test_every_rule_has_its_section() -> None:
    page = (REFERENCE / "findings.md").read_text()
    lines = re.findall("^## (.*)", page, re.MULTILINE)
    headings = {name for line in lines for name in line.split(", ")}
    assert {f"`{rule.value}`" for rule in Rule} <= headings


def test_the_severities_are_those_of_the_judge() -> None:
    table = [row for row in rows_of("findings.md") if len(row) == 7]
    assert table[0][1:] == [stage.label for stage in Stage]
    shown = {row[0]: row[1:] for row in table[2:]}
    assert shown.keys() == {rule.value for rule in Rule}
    for rule in Rule:
        for stage, cell in zip(Stage, shown[rule.value], strict=True):
            if cell != "-":
                assert int(cell) == severity_of(rule, stage), (rule, stage)


def test_every_stage_is_explained() -> None:
    page = (ROOT / "docs/explanation/stages-and-bytes.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [stage.label for stage in Stage]


# ---- pages ------------------------------------------------------------------------------------


def links_of(page: Path) -> list[tuple[str, str]]:
    """Return the links of a page to other files of the project: path and anchor."""
    text = FENCE.sub("", page.read_text())
    return [
        (path, anchor)
        for target in LINK.findall(text)
        if not re.match(r"[a-z]+:", target)
        for path, _, anchor in [target.partition("#")]
    ]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in links_of(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors_of(target), f"{path}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [page.parent / path for path, _ in links_of(page) if path]
    documents = {*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")}
    assert {ids(page) for page in documents} <= {ids(page) for page in reached}


def test_the_commands_that_pages_show_exist() -> None:
    commands = set(typer.main.get_group(app).commands)
    shown = {
        word
        for page in PAGES
        for language, block in FENCE.findall(page.read_text())
        if language == "console"
        for word in re.findall(r"^ *\$ (?:\S*/)?egressd ([a-z]\S*)", block, re.MULTILINE)
    }
    assert {"replay", "check", "explain"} <= shown <= commands


def test_the_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert len(targets) <= 10
    for page in PAGES:
        named = re.findall(r"(?:^ *\$ |^    |`)make ([a-z]+)", page.read_text(), re.MULTILINE)
        assert set(named) <= targets, page


def begin(text: str) -> str:
    """Return a sentence up to its first comma or colon."""
    return re.split("[:,.]", text)[0]


def test_the_architecture_names_every_import_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    page = (ROOT / "ARCHITECTURE.md").read_text()
    listed = re.findall(r"^\d\. \*\*([^*]+)\*\*", page, re.MULTILINE)
    names = [contract["name"] for contract in contracts]
    assert [begin(text) for text in listed] == [begin(name) for name in names]


def test_the_readme_shows_what_the_demo_prints(egressd: Egressd, *, accept: bool) -> None:
    done = egressd("replay", "pcaps/demo.pcapng", columns=WIDTH)
    assert done.returncode == Exit.FINDINGS
    printed = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    block = f"```console\n$ egressd replay pcaps/demo.pcapng\n{printed}\n```\n"
    page = ROOT / "README.md"
    text = page.read_text()
    now = TRANSCRIPT.sub(lambda found: found[1] + block + found[2], text)
    assert block in now
    if accept:
        page.write_text(now)
        text = now
    assert text == now
