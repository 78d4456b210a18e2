"""What a site file's keys must be to each other: no device twice, no permit for a name not listed.

The checks read the plain YAML values and pass over what is no text or misspelled, so that they run
beside the form's checks and one reading tells all errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from egressd.complaints import did_you_mean
from egressd.settings.metricsform import metrics_problems
from egressd.settings.sinkform import sink_problems
from egressd.spelling import address_of, is_address_or_network, is_mac, mac_of, network_of
from egressd.yamlfile import KeyPath, Problem, YamlDocument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECTIONS = ("cameras", "recorders")
_SELECTORS = ("mac", "ip", "network")


@dataclass(frozen=True, slots=True)
class _Entry:
    path: KeyPath
    value: dict[str, Any]


def cross_problems(document: YamlDocument) -> list[Problem]:
    """Return the problems between keys."""
    devices = [entry for section in SECTIONS for entry in _entries(document.value, section)]
    permits = list(_entries(document.value, "permit"))
    return [
        *_without_selector(document, devices),
        *_twice(document, devices),
        *_unlisted_sources(document, permits, devices),
        *_ports_of_icmp(document, permits),
        *sink_problems(document),
        *metrics_problems(document),
    ]


def _entries(value: Any, section: str) -> Iterator[_Entry]:
    listed = value.get(section) if isinstance(value, dict) else None
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(entry, dict):
            yield _Entry((section, index), entry)


def _without_selector(document: YamlDocument, devices: list[_Entry]) -> Iterator[Problem]:
    for device in devices:
        if all(device.value.get(key) is None for key in _SELECTORS):
            yield _problem(document, device.path, "names no device; write its mac, ip or network")


def _twice(document: YamlDocument, devices: list[_Entry]) -> Iterator[Problem]:
    spellings: dict[str, Callable[[str], object]] = {
        "mac": mac_of,
        "ip": address_of,
        "network": network_of,
        "name": str.strip,
    }
    for key, spelled in spellings.items():
        first: dict[object, KeyPath] = {}
        for device in devices:
            canonical = _read(spelled, device.value.get(key))
            if canonical is None:
                continue
            path = (*device.path, key)
            earlier = first.setdefault(canonical, path)
            if earlier is not path:
                line = document.position(earlier).line
                text = f"{canonical} is listed twice, first in line {line}; remove one"
                yield _problem(document, path, text)


def _unlisted_sources(
    document: YamlDocument, permits: list[_Entry], devices: list[_Entry]
) -> Iterator[Problem]:
    names = {name for device in devices if (name := _read(str.strip, device.value.get("name")))}
    for permit in permits:
        source = _read(str.strip, permit.value.get("from"))
        if not source or is_mac(source) or is_address_or_network(source) or source in names:
            continue
        hint = did_you_mean(source, sorted(names))
        text = f"no listed device is named {source[:60]!r}; {hint}write a name that is listed"
        yield _problem(document, (*permit.path, "from"), text)


def _ports_of_icmp(document: YamlDocument, permits: list[_Entry]) -> Iterator[Problem]:
    for permit in permits:
        if permit.value.get("transport") == "icmp" and permit.value.get("port") is not None:
            yield _problem(document, (*permit.path, "port"), "ICMP has no ports; remove the port")


def _read(spelled: Callable[[str], Any], value: Any) -> Any:
    try:
        return spelled(value) if isinstance(value, str) else None
    except ValueError:
        return None  # the form tells it


def _problem(document: YamlDocument, path: KeyPath, text: str) -> Problem:
    place = document.position(path)
    return Problem(place.line, place.column, path, text)
