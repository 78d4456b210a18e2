"""What is known of how cameras show themselves, as tables that can be asked.

The knowledge itself is data (`rules/identity.yaml`); `rulefile` reads it. This module holds the
types, and finds the rules that fit what a host said. What a text comes from is a `Trait`; which
traits are independent of one another is a `Channel`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from egressd.model import Kind

MAX_TEXT = 200  # characters of what a host said that patterns see
CACHED_TEXTS = 4096  # hosts repeat themselves


class Channel(Enum):
    """Ways to know that do not depend on one another; the best of each counts."""

    SITE = "site"  # the site file names it
    OUI = "oui"  # the maker of its network card
    DHCP = "dhcp"  # how its DHCP client signs
    MDNS = "mdns"  # what it announces by multicast DNS
    SSDP = "ssdp"  # what it announces by UPnP
    HTTP = "http"  # its web server and its own requests
    RTSP = "rtsp"  # its RTSP server and client
    LOOKUP = "lookup"  # the names it asks for
    PROTOCOL = "protocol"  # protocols that only cameras speak
    DISCOVERY = "discovery"  # what it answers when its LAN is searched for cameras
    MEDIA = "media"  # it served or pulled streams
    CONDUCT = "conduct"  # what it does as a whole

    @property
    def source(self) -> str:
        """The word that `Evidence.source` uses."""
        return _SOURCES.get(self, "behaviour")


_SOURCES = {
    Channel.SITE: "site",
    Channel.OUI: "oui",
    Channel.DHCP: "dhcp",
    Channel.SSDP: "http",  # SSDP is HTTP over UDP
    Channel.HTTP: "http",
    Channel.RTSP: "rtsp",
}


class Trait(Enum):
    """Where a text was read; the value is the word in the rule file."""

    OUI = "oui"
    DHCP_HOSTNAME = "dhcp.hostname"
    DHCP_VENDOR_CLASS = "dhcp.vendor_class"
    MDNS_NAME = "mdns.name"
    MDNS_SERVICE = "mdns.service"
    MDNS_TEXT = "mdns.text"
    SSDP_SERVER = "ssdp.server"
    SSDP_TYPE = "ssdp.type"
    SSDP_LOCATION = "ssdp.location"
    HTTP_SERVER = "http.server"
    HTTP_REALM = "http.realm"
    HTTP_CONTENT_TYPE = "http.content_type"
    HTTP_USER_AGENT = "http.user_agent"
    RTSP_SERVER = "rtsp.server"
    RTSP_REALM = "rtsp.realm"
    RTSP_PUBLIC = "rtsp.public"
    RTSP_USER_AGENT = "rtsp.user_agent"
    RTSP_PUSH = "rtsp.push"
    RTSP_ASKED = "rtsp.asked"
    LOOKUP = "lookup"
    PROTOCOL_MESSAGE = "protocol.message"
    DISCOVERY_ANSWER = "discovery.answer"
    DISCOVERY_TYPE = "discovery.type"
    DISCOVERY_VENDOR = "discovery.vendor"
    DISCOVERY_MODEL = "discovery.model"
    DISCOVERY_NAME = "discovery.name"
    DISCOVERY_FIRMWARE = "discovery.firmware"
    DISCOVERY_SERIAL = "discovery.serial"

    __hash__ = object.__hash__  # members are compared by identity; Enum's own is slow

    @property
    def channel(self) -> Channel:
        """The way to know that it belongs to."""
        return Channel(self.value.partition(".")[0])

    @property
    def label(self) -> str:
        """How a sentence begins that quotes it."""
        return _LABELS[self]


_LABELS = {
    Trait.OUI: "network card by",
    Trait.DHCP_HOSTNAME: "DHCP host name",
    Trait.DHCP_VENDOR_CLASS: "DHCP vendor class",
    Trait.MDNS_NAME: "mDNS name",
    Trait.MDNS_SERVICE: "mDNS service",
    Trait.MDNS_TEXT: "mDNS text",
    Trait.SSDP_SERVER: "UPnP server",
    Trait.SSDP_TYPE: "UPnP type",
    Trait.SSDP_LOCATION: "UPnP description at",
    Trait.HTTP_SERVER: "HTTP server",
    Trait.HTTP_REALM: "HTTP realm",
    Trait.HTTP_CONTENT_TYPE: "HTTP content",
    Trait.HTTP_USER_AGENT: "HTTP user agent",
    Trait.RTSP_SERVER: "RTSP server",
    Trait.RTSP_REALM: "RTSP realm",
    Trait.RTSP_PUBLIC: "RTSP methods",
    Trait.RTSP_USER_AGENT: "RTSP user agent",
    Trait.RTSP_PUSH: "RTSP request",
    Trait.RTSP_ASKED: "received RTSP",
    Trait.LOOKUP: "asked for",
    Trait.PROTOCOL_MESSAGE: "sent",
    Trait.DISCOVERY_ANSWER: "answered a search with",
    Trait.DISCOVERY_TYPE: "introduces itself as type",
    Trait.DISCOVERY_VENDOR: "introduces itself as made by",
    Trait.DISCOVERY_MODEL: "introduces itself as model",
    Trait.DISCOVERY_NAME: "introduces itself as",
    Trait.DISCOVERY_FIRMWARE: "tells its firmware",
    Trait.DISCOVERY_SERIAL: "tells its serial number",
}

# Where a device names itself: the rule file's `name` and `host_name` stand for these.
GROUPS: Mapping[str, tuple[Trait, ...]] = {
    "name": (
        Trait.DHCP_HOSTNAME,
        Trait.MDNS_NAME,
        Trait.MDNS_TEXT,
        Trait.SSDP_SERVER,
        Trait.HTTP_SERVER,
        Trait.HTTP_REALM,
        Trait.RTSP_SERVER,
        Trait.RTSP_REALM,
        Trait.DISCOVERY_MODEL,
        Trait.DISCOVERY_NAME,
    ),
    "host_name": (Trait.DHCP_HOSTNAME, Trait.MDNS_NAME),
}


class Observation(NamedTuple):
    """A text that a host showed of itself."""

    trait: Trait
    text: str


@dataclass(frozen=True, slots=True)
class Clue:
    """What a piece of knowledge says: a probability for, or a likelihood ratio against."""

    says: str
    weight: float = 0.0
    against: float | None = None
    vendor: str | None = None
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern on one or more traits and the clue that it gives."""

    traits: tuple[Trait, ...]
    match: str
    clue: Clue
    domains: tuple[str, ...] = ()  # of a lookup: the pattern is tried on their names only
    line: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that fits, and the model it read."""

    rule: Rule
    model: str | None = None


@dataclass(frozen=True, slots=True)
class PayloadRule:
    """How a message begins in a protocol that only cameras speak, or the camera's side of one."""

    prefix: bytes
    clue: Clue
    transport: str | None = None  # "tcp" or "udp"; None: both
    sent: bool | None = None  # True: the host sent it; None: either
    local_port: int | None = None
    sizes: tuple[int, ...] = ()  # of the whole message; empty: any


@dataclass(frozen=True, slots=True)
class CloudRules:
    """What asking for a name of a camera cloud is worth where no rule knows the name."""

    weight: float = 0.3
    mixed_weight: float = 0.1
    mixed: frozenset[str] = frozenset()  # vendors of other things, too
    quiet_uses: tuple[str, ...] = ()  # words in a service's use: people ask for it, not devices
    quiet_labels: frozenset[str] = frozenset()  # first labels: the same


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number of different things from which on a likelihood ratio applies."""

    count: int
    against: float


@dataclass(frozen=True, slots=True)
class ConductRules:
    """What a host's conduct as a whole is worth."""

    many_domains: tuple[Threshold, ...] = (Threshold(25, 0.3), Threshold(60, 0.1))
    many_clouds: Threshold = Threshold(4, 0.3)
    random_mac: float = 0.7
    infrastructure: float = 0.1
    serves_media: float = 0.8
    pulls: tuple[float, ...] = (0.2, 0.35, 0.5, 0.62)


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """All that is known of how cameras and other hosts show themselves."""

    judged_at: float  # a host whose evidence comes to this much is a camera
    rules: tuple[Rule, ...] = ()
    payloads: tuple[PayloadRule, ...] = ()
    makers: Mapping[str, float] = field(default_factory=dict)  # by vendor id
    other_makers: float = 0.0
    clouds: CloudRules = field(default_factory=CloudRules)
    conduct: ConductRules = field(default_factory=ConductRules)


class Matcher:
    """Finds the rules that fit; a pattern is compiled when it is first tried."""

    def __init__(self, rules: IdentityRules) -> None:
        self._rules: dict[Trait, list[Rule]] = {trait: [] for trait in Trait}
        for rule in rules.rules:
            for trait in rule.traits:
                self._rules[trait].append(rule)
        self._by_domain: dict[str, list[Rule]] = {}
        for rule in self._rules[Trait.LOOKUP]:
            for domain in rule.domains:
                self._by_domain.setdefault(domain, []).append(rule)
        self._tails = {tail_of(domain) for domain in self._by_domain}
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._payloads: dict[int, list[PayloadRule]] = {}
        for payload in rules.payloads:
            self._payloads.setdefault(payload.prefix[0], []).append(payload)
        self._find_cached = lru_cache(CACHED_TEXTS)(self._find)

    def find(self, observation: Observation) -> tuple[Match, ...]:
        """Return the rules that fit what a host showed."""
        if observation.trait is Trait.LOOKUP:  # few rules are about one name, and names are many
            return self._find(observation)
        return self._find_cached(observation)

    def _find(self, observation: Observation) -> tuple[Match, ...]:
        trait, text = observation
        shown = text[:MAX_TEXT]
        rules = self._rules_about(shown) if trait is Trait.LOOKUP else self._rules[trait]
        matches = []
        for rule in rules:
            pattern = self._patterns.get(rule.match)
            if pattern is None:
                pattern = self._patterns[rule.match] = compile_pattern(rule.match)
            found = pattern.search(shown)
            if found:
                model = found["model"] if "model" in pattern.groupindex else None
                matches.append(Match(rule, model))
        return tuple(matches)

    def clues(self) -> dict[str, Clue]:
        """Return the clue of every rule by the key of the pieces that it makes."""
        clues = {
            key_of(trait, rule): rule.clue for trait, rules in self._rules.items() for rule in rules
        }
        for payloads in self._payloads.values():
            clues.update((payload_key(payload), payload.clue) for payload in payloads)
        return clues

    def knows(self, name: str) -> bool:
        """Say whether a lookup rule may be about a name: most names are of no interest."""
        return tail_of(name) in self._tails

    def _rules_about(self, name: str) -> list[Rule]:
        """Return the lookup rules about a name's domains."""
        rules: list[Rule] = []
        rest = name
        while rest:
            rules += self._by_domain.get(rest, ())
            rest = rest.partition(".")[2]
        return rules

    def find_payload(
        self, payload: bytes, transport: str, *, sent: bool, local_port: int
    ) -> PayloadRule | None:
        """Return the first payload rule that a message fits."""
        if not payload:
            return None
        for rule in self._payloads.get(payload[0], ()):
            if (
                payload.startswith(rule.prefix)
                and rule.transport in (None, transport)
                and rule.sent in (None, sent)
                and rule.local_port in (None, local_port)
                and (not rule.sizes or len(payload) in rule.sizes)
            ):
                return rule
        return None


def key_of(trait: Trait, rule: Rule) -> str:
    """Return what is known of a host once a rule fitted, so that it counts once."""
    return f"{trait.value} {rule.match}"


def payload_key(rule: PayloadRule) -> str:
    """Return the same of a payload rule."""
    return f"payload {rule.prefix.hex()}"


def tail_of(name: str) -> str:
    """Return the last two labels of a name."""
    return name[name.rfind(".", 0, max(name.rfind("."), 0)) + 1 :]


def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a rule's pattern; re.error where it is none."""
    return re.compile(text, re.IGNORECASE | re.ASCII)
