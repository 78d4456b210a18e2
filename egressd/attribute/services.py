"""Whose a far end is, by its name or address: what the rules know.

The rules are data (`rules/`, one vendor or public service a file). A run reads their compiled form;
a site's own rule folders are read strictly and come first. A domain stands for all names under it,
and the longest that fits decides. Nothing here looks at countries or autonomous systems: a
platform's address says nothing of whose machine rents it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from egressd.model import Confidence, Party, RuleError, Service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

MEMORY = "mem"  # the source that is nobody's word but the researcher's memory
_LONGEST_NAME = 1024  # a DNS name with every byte escaped is shorter


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file as read: its checked values, and the line of each domain."""

    file: str
    shown: str  # relative to the folder it was found in
    kind: str  # vendor, service or platforms
    value: dict[str, Any]
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PortUse:
    """Ports a vendor's devices use; `ports` are ranges, none where they are random."""

    transport: str  # tcp, udp or tcp/udp
    ports: tuple[range, ...]
    random: bool
    direction: str  # out: to the internet, in: the device listens, lan: local discovery
    use: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Vendor:
    """A maker of cameras or of their cloud."""

    id: str
    names: tuple[str, ...]
    country: str  # of its headquarters, not of its servers
    parent: str | None
    notes: str | None
    relations: tuple[str, ...]
    domains: tuple[str, ...]
    ports: tuple[PortUse, ...]
    ntp: tuple[str, ...]  # time servers its devices ask by default
    resolvers: tuple[str, ...]  # DNS servers hard-coded in its devices
    oui_regex: str | None
    oui_prefixes: tuple[str, ...]
    oui_shared: bool  # other devices than cameras carry these MACs, too
    pppp_did_prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublicService:
    """Public infrastructure."""

    id: str
    name: str
    role: str  # resolver, time or certificates
    operator: str
    country: str | None


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule entry that fits a name; the first of a list decided."""

    service: Service
    file: str
    line: int
    sources: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A domain of a rule file."""

    service: Service
    hosts: Mapping[str, Service]
    patterns: tuple[tuple[str, Service], ...]  # hosts with a *
    owned_by: str | None
    sources: tuple[str, ...]
    file: str
    line: int

    def service_of(self, name: str) -> Service:
        """Return the service of a name under this domain; a host listed singly says its use."""
        host = self.hosts.get(name)
        if host is not None:
            return host
        for pattern, service in self.patterns:
            head, _, tail = pattern.partition("*")
            if name.startswith(head) and name.endswith(tail):
                middle = name[len(head) : len(name) - len(tail)]
                if middle and "." not in middle:
                    return service
        return self.service


@dataclass(frozen=True, slots=True)
class _Address:
    service: Service
    ports: frozenset[int]


class Services:
    """What the rules say of names, addresses and makers."""

    def __init__(self, files: Iterable[RuleFile]) -> None:
        self.vendors: dict[str, Vendor] = {}
        self.publics: dict[str, PublicService] = {}
        self._entries: dict[str, list[_Entry]] = {}
        self._addresses: dict[str, _Address] = {}
        self._organisations: list[tuple[re.Pattern[str], str]] | None = None
        files = list(files)
        for rule in files:
            self._take(rule)
        for vendor, other in _borrowed_ports(files):
            if other in self.vendors:
                ports = self.vendors[vendor].ports + self.vendors[other].ports
                self.vendors[vendor] = replace(self.vendors[vendor], ports=ports)
        for entries in self._entries.values():
            entries.sort(key=lambda entry: entry.owned_by is not None)  # stable: owners first
        self._tails = {_tail_of(suffix) for suffix in self._entries}
        self._most_labels = max((s.count(".") + 1 for s in self._entries), default=1)

    def of_name(self, name: str) -> Service | None:
        """Return the service behind a name, by the longest domain that the rules list."""
        folded = name[-_LONGEST_NAME:].lower().removesuffix(".")
        if _tail_of(folded) not in self._tails:  # most names are nobody's that the rules know
            return None
        for suffix in self._suffixes_of(folded):
            entries = self._entries.get(suffix)
            if entries:
                return entries[0].service_of(folded)
        return None

    def of_address(self, ip: str, port: int | None, transport: str) -> Service | None:
        """Return the service listed with an address; no port (ICMP, say) fits every entry."""
        known = self._addresses.get(ip)
        if known is None:
            return None
        fits = not known.ports or port is None or port in known.ports or transport == "icmp"
        return known.service if fits else None

    def vendor_of_org(self, org: str) -> str | None:
        """Return the vendor whose MAC addresses the IEEE registered to an organisation."""
        if self._organisations is None:
            self._organisations = [
                (re.compile(vendor.oui_regex, re.IGNORECASE), vendor.id)
                for vendor in self.vendors.values()
                if vendor.oui_regex is not None
            ]
        return next((vendor for regex, vendor in self._organisations if regex.search(org)), None)

    def explain(self, name: str) -> list[Considered]:
        """Return every entry that fits a name, the deciding one first, and why."""
        folded = name[-_LONGEST_NAME:].lower().removesuffix(".")
        found: list[Considered] = []
        for suffix in self._suffixes_of(folded):
            for entry in self._entries.get(suffix, ()):
                service = entry.service_of(folded)
                why = _why(entry, service, found[0].service if found else None)
                found.append(Considered(service, entry.file, entry.line, entry.sources, why))
        return found

    def _suffixes_of(self, name: str) -> list[str]:
        """Return the tails of a name that a rule may list, the longest first."""
        labels = name.rsplit(".", self._most_labels)
        tails = [".".join(labels[n:]) for n in range(len(labels))]
        return tails[1:] if len(labels) > self._most_labels else tails

    def _take(self, rule: RuleFile) -> None:
        if rule.kind == "vendor":
            self.vendors[rule.value["vendor"]] = _vendor_of(rule.value)
        elif rule.kind == "service":
            self.publics[rule.value["service"]] = _public_of(rule.value)
            for entry in rule.value.get("addresses", ()):
                ports = frozenset(entry.get("ports", ()))
                for address in entry["address"]:
                    service = _service_of(rule, entry, id_of(rule), address)
                    self._addresses.setdefault(address, _Address(service, ports))
        for line, entry in zip(rule.lines, rule.value.get("domains", ()), strict=True):
            self._entries.setdefault(entry["suffix"], []).append(_entry_of(rule, entry, line))


def load_services(extra: Sequence[Path] = ()) -> Services:
    """Return the shipped rules, and before them those of extra folders.

    An extra file replaces the shipped one of the same vendor or service. Raise RuleError where an
    extra file is broken; it tells every error with file:line:column.
    """
    shipped = shipped_rules()
    if not extra:
        return Services(shipped)
    # Reading rules needs pydantic, which takes longer to import than a small replay to run.
    from egressd.attribute.rulefile import load_rules  # noqa: PLC0415

    own = load_rules(extra)
    replaced = {id_of(rule) for rule in own}
    return Services([*own, *(rule for rule in shipped if id_of(rule) not in replaced)])


def check_rules(paths: Sequence[Path] = ()) -> list[str]:
    """Return everything wrong with rule files and folders; without any, with the shipped ones."""
    from egressd.attribute import rulefile  # noqa: PLC0415  # needs pydantic, see load_services

    return rulefile.check_rules(paths or [rulefile.rules_folder()])


@cache
def shipped_rules() -> tuple[RuleFile, ...]:
    """Return the shipped rules from their compiled form."""
    try:
        text = (resources.files("egressd") / "data" / "services.json").read_text("utf-8")
    except OSError as error:
        raise RuleError(f"services.json: cannot be read: {error.strerror}; reinstall") from None
    return tuple(
        RuleFile(
            f"rules/{one['file']}", one["file"], one["kind"], one["value"], tuple(one["lines"])
        )
        for one in json.loads(text)
    )


def id_of(rule: RuleFile) -> str:
    """Return the id of a rule file's vendor or service; the platforms have none."""
    return str(rule.value[rule.kind]) if rule.kind != "platforms" else ""


def _tail_of(name: str) -> str:
    """Return the last two labels of a name."""
    return name[name.rfind(".", 0, max(name.rfind("."), 0)) + 1 :]


def _borrowed_ports(files: Iterable[RuleFile]) -> list[tuple[str, str]]:
    return [
        (id_of(rule), rule.value["ports_same_as"])
        for rule in files
        if rule.value.get("ports_same_as")
    ]


def _why(entry: _Entry, service: Service, decided: Service | None) -> str:
    if decided is None:
        if service is not entry.service:
            return "the host is listed singly"
        return "the longest domain that fits"
    if decided.id == entry.service.id:
        return f"the same domain; {decided.vendor} owns it"
    return f"shorter than {decided.id}"


def _entry_of(rule: RuleFile, entry: Mapping[str, Any], line: int) -> _Entry:
    suffix = entry["suffix"]
    service = _service_of(rule, entry, suffix, suffix)
    hosts = {
        host: replace(service, use=use, matched=host)
        for host, use in entry.get("hosts", {}).items()
    }
    return _Entry(
        service,
        {host: s for host, s in hosts.items() if "*" not in host},
        tuple((host, s) for host, s in hosts.items() if "*" in host),
        entry.get("owned_by"),
        tuple(entry["source"]),
        rule.file,
        line,
    )


def _service_of(rule: RuleFile, entry: Mapping[str, Any], name: str, matched: str) -> Service:
    confidence = Confidence[entry["confidence"].upper()]
    is_hint = confidence is Confidence.LOW or set(entry["source"]) == {MEMORY}
    party = _party_of(rule, entry)
    alerts = party in (Party.VENDOR, Party.VENDOR_INFRA) and not is_hint
    can_alert = alerts and not entry.get("shared", False)
    return Service(name, id_of(rule), entry["use"], party, confidence, can_alert, matched)


def _party_of(rule: RuleFile, entry: Mapping[str, Any]) -> Party:
    """Say whose machine it is; what anybody can rent, and others do, decides nothing."""
    if rule.kind == "service":
        return Party.PUBLIC_INFRA
    if entry.get("rented"):
        return Party.UNKNOWN if entry.get("shared") else Party.VENDOR_INFRA
    return Party.VENDOR


def _vendor_of(value: Mapping[str, Any]) -> Vendor:
    oui = value.get("oui", {})
    return Vendor(
        id=value["vendor"],
        names=tuple(value["names"]),
        country=value["jurisdiction"]["country"],
        parent=value.get("parent"),
        notes=value.get("notes"),
        relations=tuple(relation["text"] for relation in value.get("relations", ())),
        domains=tuple(entry["suffix"] for entry in value.get("domains", ())),
        ports=tuple(_port_use_of(entry) for entry in value.get("ports", ())),
        ntp=tuple(entry["host"] for entry in value.get("ntp", ())),
        resolvers=tuple(entry["address"] for entry in value.get("resolvers", ())),
        oui_regex=oui.get("organisation"),
        oui_prefixes=tuple(prefix.lower() for prefix in oui.get("prefixes_2022", ())),
        oui_shared=oui.get("shared_with_non_cameras", False),
        pppp_did_prefixes=tuple(value.get("pppp_did_prefixes", ())),
    )


def _port_use_of(entry: Mapping[str, Any]) -> PortUse:
    numbers = [text.split("-") for text in entry["port"] if text != "random"]
    return PortUse(
        entry["transport"],
        tuple(range(int(ends[0]), int(ends[-1]) + 1) for ends in numbers),
        "random" in entry["port"],
        entry["direction"],
        entry["use"],
        Confidence[entry["confidence"].upper()],
    )


def _public_of(value: Mapping[str, Any]) -> PublicService:
    return PublicService(
        value["service"], value["name"], value["role"], value["operator"], value.get("country")
    )
