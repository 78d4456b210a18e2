"""Reads `rules/identity.yaml` strictly: what it does not understand is an error with its place.

Patterns are held to a form whose cost is bounded: `?` and `{m,n}` up to 32 are the only
repetitions, and none stands after a group that repeats inside, so no text can make one run away.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressd.identify.rules import (
    GROUPS,
    CloudRules,
    Clue,
    ConductRules,
    IdentityRules,
    PayloadRule,
    Rule,
    Threshold,
    Trait,
    compile_pattern,
)
from egressd.model import Kind, RuleError
from egressd.yamlfile import Problem, YamlDocument, YamlError, load_yaml, told_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from egressd.yamlfile import KeyPath

MAX_MEMORY_WEIGHT = 0.7  # of a rule that rests on memory alone
MAX_REPEAT = 32
MAX_RANGES = 3  # repetitions {m,n} with m != n in one branch-free reading of a pattern
MAX_PATTERN = 600

_TOP = ("judged_at", "sources", "makers", "other_makers", "clouds", "behaviour", "rules")
_RULE_KEYS = ("on", "domains", "match", "weight", "against", "vendor", "kind", "says", "source")
_PAYLOAD_KEYS = (
    *("hex", "sizes", "transport", "sent", "local_port"),
    *("weight", "vendor", "kind", "says", "source"),
)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def load_identity_rules(path: Path | None = None) -> IdentityRules:
    """Read an identity rule file, the shipped one by default.

    RuleError names every mistake with file:line:column. The patterns of the shipped file are
    compiled when they are first needed; those of another file at once.
    """
    shipped = path is None
    file = find_shipped_file() if path is None else path
    try:
        document = load_yaml(file)
    except YamlError as error:
        raise RuleError(error.problem.told(str(file))) from None
    reader = _Reader(document, compile_now=not shipped)
    rules = reader.rules()
    if reader.problems:
        raise RuleError(told_of(reader.problems, str(file)))
    return rules


def find_shipped_file() -> Path:
    """Return where the shipped rules are: inside the package, or beside it in a checkout."""
    package = Path(str(files("egressd")))
    inside = package / "rules" / "identity.yaml"
    return inside if inside.exists() else package.parent / "rules" / "identity.yaml"


class _Reader:
    """Turns a document into rules; complains and reads on."""

    def __init__(self, document: YamlDocument, *, compile_now: bool) -> None:
        self._document = document
        self._compile_now = compile_now
        self._sources: frozenset[str] = frozenset()
        self.problems: list[Problem] = list(document.problems)

    def rules(self) -> IdentityRules:
        """Return the rules; they are of use only where `problems` stays empty."""
        top = self._mapping((), self._document.value, (*_TOP, "payloads"), _TOP)
        self._sources = frozenset(self._mapping(("sources",), top.get("sources", {}), None))
        makers: dict[str, float] = {}
        for path, item in self._items(("makers",), top.get("makers")):
            entry = self._mapping(path, item, ("weight", "vendors"), ("weight", "vendors"))
            weight = self._number((*path, "weight"), entry.get("weight"))
            makers |= dict.fromkeys(self._words((*path, "vendors"), entry.get("vendors")), weight)
        return IdentityRules(
            judged_at=self._number(("judged_at",), top.get("judged_at", 0.6)),
            rules=tuple(
                self._rule(path, item) for path, item in self._items(("rules",), top.get("rules"))
            ),
            payloads=tuple(
                self._payload(path, item)
                for path, item in self._items(("payloads",), top.get("payloads", []))
            ),
            makers=makers,
            other_makers=self._number(("other_makers",), top.get("other_makers", 0.0)),
            clouds=self._clouds(top.get("clouds", {})),
            conduct=self._conduct(top.get("behaviour", {})),
        )

    def _rule(self, path: KeyPath, item: Any) -> Rule:
        entry = self._mapping(path, item, _RULE_KEYS, ("on", "match", "says", "source"))
        domains = self._words((*path, "domains"), entry.get("domains", []))
        traits: list[Trait] = []
        on = entry.get("on", [])
        for word in [on] if isinstance(on, str) else self._words((*path, "on"), on):
            traits += self._traits((*path, "on"), word)
        clue = self._clue(path, entry)
        match = self._text((*path, "match"), entry.get("match", ""))
        self._check((*path, "match"), match)
        if (Trait.LOOKUP in traits) != bool(domains):
            self._complain(path, "domains are needed for on: lookup, and for nothing else")
        line = self._document.position(path).line
        return Rule(tuple(dict.fromkeys(traits)), match, clue, tuple(domains), line)

    def _traits(self, path: KeyPath, word: str) -> tuple[Trait, ...]:
        if word in GROUPS:
            return GROUPS[word]
        try:
            return (Trait(word),)
        except ValueError:
            known = ", ".join([*GROUPS, *(trait.value for trait in Trait)])
            self._complain(path, f"{word!r} is nothing a pattern is held against; write {known}")
            return ()

    def _payload(self, path: KeyPath, item: Any) -> PayloadRule:
        entry = self._mapping(path, item, _PAYLOAD_KEYS, ("hex", "weight", "says", "source"))
        prefix = b""
        try:
            prefix = bytes.fromhex(self._text((*path, "hex"), entry.get("hex", "")))
        except ValueError:
            self._complain((*path, "hex"), 'is not hexadecimal; write bytes such as "f1100028"')
        if not 4 <= len(prefix) <= 64:
            self._complain((*path, "hex"), "has under 4 or over 64 bytes, too few to prove much")
        transport = entry.get("transport")
        if transport not in (None, "tcp", "udp"):
            self._complain((*path, "transport"), f"{transport!r} is unknown; write tcp or udp")
        sizes = self._list((*path, "sizes"), entry.get("sizes", []))
        if not all(type(size) is int for size in sizes):
            self._complain((*path, "sizes"), "holds something else than whole numbers")
        sent, port = entry.get("sent"), entry.get("local_port")
        if sent is not None and type(sent) is not bool:
            self._complain((*path, "sent"), "is neither true nor false")
        if port is not None and not (type(port) is int and 0 < port < 65536):
            self._complain((*path, "local_port"), "is no port; write 1 to 65535")
        clue = self._clue(path, entry)
        return PayloadRule(prefix or b"\0", clue, transport, sent, port, tuple(sizes))

    def _clue(self, path: KeyPath, entry: dict[str, Any]) -> Clue:
        weight, against = entry.get("weight"), entry.get("against")
        if (weight is None) == (against is None):
            self._complain(path, "needs either weight or against, and not both")
        sources = self._words((*path, "source"), entry.get("source", []))
        for source in sources:
            if source not in self._sources:
                self._complain((*path, "source"), f"{source!r} is not listed under sources")
        if weight is not None:
            weight = self._number((*path, "weight"), weight)
            if sources == ["mem"] and weight > MAX_MEMORY_WEIGHT:
                self._complain(
                    (*path, "weight"),
                    f"rests on memory alone; write {MAX_MEMORY_WEIGHT} at most, or a source",
                )
        if against is not None:
            against = self._number((*path, "against"), against)
            if not 0 < against < 1:
                self._complain((*path, "against"), "is no likelihood ratio between 0 and 1")
        vendor = entry.get("vendor")
        return Clue(
            says=self._text((*path, "says"), entry.get("says", "")),
            weight=weight or 0.0,
            against=against,
            vendor=None if vendor is None else self._text((*path, "vendor"), vendor),
            kind=self._kind((*path, "kind"), entry.get("kind")),
        )

    def _kind(self, path: KeyPath, word: Any) -> Kind | None:
        if word is None:
            return None
        try:
            return Kind(word)
        except ValueError:
            known = ", ".join(kind.value for kind in Kind)
            self._complain(path, f"{word!r} is no kind of device; write {known}")
            return None

    def _clouds(self, value: Any) -> CloudRules:
        keys = ("weight", "mixed_weight", "mixed", "quiet_uses", "quiet_labels")
        entry = self._mapping(("clouds",), value, keys, keys)
        return CloudRules(
            weight=self._number(("clouds", "weight"), entry.get("weight", 0.0)),
            mixed_weight=self._number(("clouds", "mixed_weight"), entry.get("mixed_weight", 0.0)),
            mixed=frozenset(self._words(("clouds", "mixed"), entry.get("mixed"))),
            quiet_uses=tuple(self._words(("clouds", "quiet_uses"), entry.get("quiet_uses"))),
            quiet_labels=frozenset(
                self._words(("clouds", "quiet_labels"), entry.get("quiet_labels"))
            ),
        )

    def _conduct(self, value: Any) -> ConductRules:
        keys = (
            *("many_domains", "very_many_domains", "many_clouds"),
            *("random_mac", "infrastructure", "serves_media", "pulls"),
        )
        entry = self._mapping(("behaviour",), value, keys, keys)
        pulls = self._list(("behaviour", "pulls"), entry.get("pulls", []))
        return ConductRules(
            many_domains=(
                self._threshold(entry, "many_domains"),
                self._threshold(entry, "very_many_domains"),
            ),
            many_clouds=self._threshold(entry, "many_clouds"),
            random_mac=self._conduct_number(entry, "random_mac", "against"),
            infrastructure=self._conduct_number(entry, "infrastructure", "against"),
            serves_media=self._conduct_number(entry, "serves_media", "weight"),
            pulls=tuple(
                self._number(("behaviour", "pulls", index), weight)
                for index, weight in enumerate(pulls)
            ),
        )

    def _threshold(self, entry: dict[str, Any], key: str) -> Threshold:
        path = ("behaviour", key)
        names = ("count", "against")
        fields = self._mapping(path, entry.get(key, {}), names, names)
        count = fields.get("count")
        if type(count) is not int or not 0 < count <= 64:
            self._complain((*path, "count"), "is no whole number from 1 to 64")
            count = 1
        return Threshold(count, self._number((*path, "against"), fields.get("against", 0.0)))

    def _conduct_number(self, entry: dict[str, Any], key: str, name: str) -> float:
        path = ("behaviour", key)
        fields = self._mapping(path, entry.get(key, {}), (name,), (name,))
        return self._number((*path, name), fields.get(name, 0.0))

    def _check(self, path: KeyPath, pattern: str) -> None:
        complaint = complaint_of(pattern)
        if complaint is None and self._compile_now:
            complaint = _compile_complaint(pattern)
        if complaint is not None:
            self._complain(path, complaint)

    def _items(self, path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
        for index, item in enumerate(self._list(path, value)):
            yield (*path, index), item

    def _list(self, path: KeyPath, value: Any) -> list[Any]:
        return self._typed(path, value, list, "a list in [brackets]") or []

    def _words(self, path: KeyPath, value: Any) -> list[str]:
        words = self._list(path, value)
        if not all(isinstance(word, str) for word in words):
            self._complain(path, "holds something else than words; use quotes")
            return []
        return words

    def _text(self, path: KeyPath, value: Any) -> str:
        return self._typed(path, value, str, "text, in quotes") or ""

    def _number(self, path: KeyPath, value: Any) -> float:
        if type(value) not in (int, float) or not 0 <= value <= 1:
            self._complain(path, f"{value!r} is no probability; write a number from 0 to 1")
            return 0.0
        return float(value)

    def _mapping(
        self,
        path: KeyPath,
        value: Any,
        known: tuple[str, ...] | None,
        needed: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        entry = self._typed(path, value, dict, "a mapping of keys and values") or {}
        for key in entry if known is not None else ():
            if key not in (known or ()):
                place = self._document.key_position((*path, key))
                text = f"is unknown here; write one of {', '.join(known or ())}"
                self.problems.append(Problem(place.line, place.column, (*path, key), text))
        for key in needed:
            if key not in entry:
                self._complain(path, f"{key} is missing")
        return entry

    def _typed(self, path: KeyPath, value: Any, kind: Callable[..., Any], what: str) -> Any:
        if type(value) is not kind:
            self._complain(path, f"is not {what}")
            return None
        return value

    def _complain(self, path: KeyPath, text: str) -> None:
        place = self._document.position(path)
        self.problems.append(Problem(place.line, place.column, path, text))


def complaint_of(pattern: str) -> str | None:
    """Say what makes a pattern's cost unbounded, or return None."""
    if not pattern or len(pattern) > MAX_PATTERN:
        return f"has no character or over {MAX_PATTERN}; write a shorter pattern"
    plain = re.sub(r"\\.", "x", _CLASS.sub("x", pattern))
    if re.search(r"[*+]", plain):
        return f"* and + repeat without end; write {{0,{MAX_REPEAT}}} or less"
    for least, most in _REPEAT.findall(plain):
        if most == "" and f"{{{least},}}" in plain:
            return f"{{{least},}} repeats without end; write {{{least},{MAX_REPEAT}}} or less"
        if int(most or least) > MAX_REPEAT:
            return f"repeats more than {MAX_REPEAT} times; write {MAX_REPEAT} or less"
    if re.search(r"\)\{", plain):
        return "a group is repeated; write its repetitions out"
    for branch in plain.split("|"):
        ranges = [most for least, most in _REPEAT.findall(branch) if most not in ("", least)]
        if len(ranges) > MAX_RANGES:
            return f"has over {MAX_RANGES} open repetitions in a row; write a simpler pattern"
    return None


def _compile_complaint(pattern: str) -> str | None:
    try:
        compile_pattern(pattern)
    except re.error as error:
        return f"is no regular expression: {error}"
    return None
