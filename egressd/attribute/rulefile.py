"""Rule files, read strictly and checked against each other.

A run on the shipped rules never comes here: it reads their compiled form (`services.json`, made by
`scripts/build_services.py`). A site's own rule folders and `egressd check` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publicsuffixlist import PublicSuffixList

from egressd.attribute.ruleform import FORMS
from egressd.attribute.services import RuleFile, id_of, shipped_rules
from egressd.complaints import did_you_mean, fill, without_echoes
from egressd.model import RuleError
from egressd.yamlfile import (
    KeyPath,
    Problem,
    YamlDocument,
    YamlError,
    load_yaml,
    path_text,
    told_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_FILES = 10_000
_OTHERS = {"identity.yaml"}  # how cameras are recognised, which `identify` reads


@dataclass(frozen=True, slots=True)
class _Read:
    """A rule file with the places of its values."""

    rule: RuleFile
    document: YamlDocument

    @property
    def value(self) -> dict[str, Any]:
        return self.rule.value

    def problem(self, path: KeyPath, text: str) -> str:
        """Return a complaint about the value at a path."""
        place = self.document.position(path)
        return Problem(place.line, place.column, path, text).told(self.rule.file)


def rules_folder() -> Path:
    """Return the folder of the shipped rules: in the package, or in the repository around it."""
    packaged = Path(str(resources.files("egressd") / "rules"))
    return packaged if packaged.is_dir() else packaged.parents[1] / "rules"


def check_rules(paths: Sequence[Path]) -> list[str]:
    """Return everything wrong with rule files and folders, each with file:line:column."""
    return _read_all(paths)[1]


def load_rules(paths: Sequence[Path]) -> list[RuleFile]:
    """Return the rules of files and folders, or raise RuleError with everything wrong."""
    rules, errors = _read_all(paths)
    if errors:
        raise RuleError("\n".join(errors))
    return rules


def _read_all(paths: Sequence[Path]) -> tuple[list[RuleFile], list[str]]:
    errors: list[str] = []
    read: list[_Read] = []
    for path in paths:
        for file in _files_in(path, errors):
            one = _read_file(file, file.relative_to(path) if file != path else file, errors)
            if one is not None:
                read.append(one)
    for check in (_twice, _owners, _references, _sources, _suffixes, _hosts):
        errors.extend(check(read))
    return [one.rule for one in read], errors


def _files_in(path: Path, errors: list[str]) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        errors.append(f"{path}: no such file or folder; write the path of a folder of rules")
        return []
    files = sorted(file for file in path.rglob("*.yaml") if file.name not in _OTHERS)
    errors.extend(f"{f}: is not read; rename it to .yaml" for f in sorted(path.rglob("*.yml")))
    if len(files) > MAX_FILES:
        errors.append(f"{path}: holds over {MAX_FILES} files; name the folder of the rules")
    return files[:MAX_FILES]


def _read_file(file: Path, shown: Path, errors: list[str]) -> _Read | None:
    try:
        document = load_yaml(file)
    except YamlError as error:
        errors.append(error.problem.told(str(file)))
        return None
    value = document.value
    kind = next((key for key in FORMS if isinstance(value, dict) and key in value), None)
    if kind is None:
        errors.append(f"{file}:1:1: is no rule; write one of the keys {', '.join(FORMS)}")
        return None
    form, problems = fill(FORMS[kind], document)
    problems = [*document.problems, *without_echoes(problems, document.problems)]
    if problems or form is None:
        errors.append(told_of(problems, str(file)))
        return None
    filled = form.model_dump(mode="json", exclude_defaults=True)
    lines = [document.position(("domains", n)).line for n in range(len(filled.get("domains", ())))]
    rule = RuleFile(str(file), shown.as_posix(), kind, filled, tuple(lines))
    if id_of(rule) not in (file.stem, ""):
        place = document.position((kind,))
        text = f"is {id_of(rule)!r}, the file {file.stem!r}; write the same name"
        errors.append(Problem(place.line, place.column, (kind,), text).told(str(file)))
    return _Read(rule, document)


def _twice(read: list[_Read]) -> Iterator[str]:
    ids: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for one in read:
        name = id_of(one.rule)
        if name and ids.setdefault(name, one.rule.file) != one.rule.file:
            yield one.problem((one.rule.kind,), f"{name} stands in {ids[name]}, too; rename one")
        for n, entry in enumerate(one.value.get("addresses", ())):
            for m, address in enumerate(entry["address"]):
                place = f"{one.rule.file}:{n}:{m}"
                if addresses.setdefault(address, place) != place:
                    path = ("addresses", n, "address", m)
                    yield one.problem(path, f"{address} is listed twice; remove one")


def _owners(read: list[_Read]) -> Iterator[str]:
    """Make sure that one file decides whose a domain is; the others say `owned_by`."""
    deciding: dict[str, str] = {}
    for one, path, entry in _domains(read):
        if "owned_by" in entry:
            continue
        owner = deciding.setdefault(entry["suffix"], id_of(one.rule))
        if owner != id_of(one.rule) or path != _first_path(one, entry["suffix"]):
            yield one.problem(path, f"{owner} lists it, too; write owned_by: {owner}")
    for rule in shipped_rules():
        for entry in rule.value.get("domains", ()):
            if "owned_by" not in entry:
                deciding.setdefault(entry["suffix"], id_of(rule))
    for one, path, entry in _domains(read):
        named = entry.get("owned_by")
        if named is not None and deciding.get(entry["suffix"]) != named:
            text = f"{named} does not list it; add it there, or remove owned_by"
            yield one.problem((*path[:-1], "owned_by"), text)


def _first_path(one: _Read, suffix: str) -> KeyPath:
    domains = one.value["domains"]
    index = next(n for n, e in enumerate(domains) if e["suffix"] == suffix and "owned_by" not in e)
    return ("domains", index, "suffix")


def _references(read: list[_Read]) -> Iterator[str]:
    known = {id_of(one.rule) for one in read} | {id_of(rule) for rule in shipped_rules()}
    for one in read:
        other = one.value.get("ports_same_as")
        if other is not None and other not in known:
            hint = did_you_mean(other, sorted(known))
            yield one.problem(("ports_same_as",), f"no rule is named {other!r}; {hint}write its id")


def _sources(read: list[_Read]) -> Iterator[str]:
    for one in read:
        known = one.value["sources"]
        used = set()
        for path, source in _sources_in(one.value, ()):
            used.add(source)
            if source not in known:
                hint = did_you_mean(source, sorted(known))
                yield one.problem(path, f"{source!r} is not in sources; {hint}describe it there")
        for source in known:
            if source not in used:
                yield one.problem(("sources", source), "nothing here has this source; remove it")


def _sources_in(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, child in steps:
        if step == "source":
            yield from (((*path, step, n), source) for n, source in enumerate(child))
        elif isinstance(child, dict | list) and step != "sources":
            yield from _sources_in(child, (*path, step))


def _suffixes(read: list[_Read]) -> Iterator[str]:
    """Refuse names under which anybody can register or rent: they are nobody's camera cloud."""
    public = PublicSuffixList()
    rules = [*shipped_rules(), *(one.rule for one in read)]
    platforms = {p["suffix"] for rule in rules for p in rule.value.get("platforms", ())}
    for one, path, entry in _domains(read):
        suffix = entry["suffix"]
        above = {suffix.split(".", n)[-1] for n in range(1, suffix.count(".") + 1)}
        if public.is_public(suffix):
            yield one.problem(path, f"{suffix} is a public suffix; write the host's full name")
        elif suffix in platforms and not entry.get("shared"):
            yield one.problem(path, f"{suffix} is a platform; write a full host, or shared: true")
        elif (suffix in platforms or platforms & above) and not entry.get("rented"):
            yield one.problem(path, f"{suffix} stands on a platform; write rented: true")


def _hosts(read: list[_Read]) -> Iterator[str]:
    for one, path, entry in _domains(read):
        for host in entry.get("hosts", ()):
            if host != entry["suffix"] and not host.endswith("." + entry["suffix"]):
                where = (*path[:-1], "hosts", host)
                yield one.problem(where, f"{path_text((host,))} is not under {entry['suffix']}")


def _domains(read: list[_Read]) -> Iterator[tuple[_Read, KeyPath, dict[str, Any]]]:
    for one in read:
        for n, entry in enumerate(one.value.get("domains", ())):
            yield one, ("domains", n, "suffix"), entry
