"""Which rule an episode breaks, how bad that is, and why in one sentence.

The rules of this step; ids are part of the contract (EVE `alert.egressd.rule`).
Decisions read as a list, the first that fits wins.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING

from egressd.judge.classes import WITH_PORTS
from egressd.model import Camera, Direction, Finding, Party, Stage

if TYPE_CHECKING:
    from egressd.config import Site
    from egressd.judge.stages import Episode

HIGH, MEDIUM, LOW = 1, 2, 3  # Suricata's order


class Rule(Enum):
    """What a finding says."""

    CLOUD_CONTACT = "cloud-contact"  # reaches a known camera cloud
    UNLISTED_DESTINATION = "unlisted-destination"  # leaves the site, and nothing permits it
    CLOUD_LOOKUP = "cloud-lookup"  # asks for a camera cloud's name, answered or not
    FOREIGN_RESOLVER = "foreign-resolver"  # asks a resolver that is not the site's
    FOREIGN_TIME_SERVER = "foreign-time-server"  # asks a time server that is not the site's
    INBOUND_CONNECTION = "inbound-connection"  # a host off site opens a connection to it
    SCAN = "scan"  # more destinations in an hour than are told apart


def rule_of(episode: Episode, site: Site) -> Rule | None:
    """Return the rule an episode breaks, or None where the site's own services are used."""
    destination = episode.destination
    if destination.ip is None:
        return Rule.CLOUD_LOOKUP if destination.names else Rule.SCAN
    if episode.direction is Direction.INBOUND:
        return Rule.INBOUND_CONNECTION
    if destination.port == 53 and destination.transport in {"udp", "tcp"}:
        return None if destination.ip in site.resolvers else Rule.FOREIGN_RESOLVER
    if destination.port == 123 and destination.transport == "udp":
        return None if destination.ip in site.ntp else Rule.FOREIGN_TIME_SERVER
    service = destination.service
    if service is not None and service.can_alert and service.party in CLOUD_PARTIES:
        return Rule.CLOUD_CONTACT
    return Rule.UNLISTED_DESTINATION


CLOUD_PARTIES = frozenset({Party.VENDOR, Party.VENDOR_INFRA})


def severity_of(rule: Rule, stage: Stage) -> int:
    """Return how bad a finding is: what got through weighs more than what was tried."""
    if rule in {Rule.FOREIGN_RESOLVER, Rule.FOREIGN_TIME_SERVER}:
        return MEDIUM if stage >= Stage.TRANSFER else LOW
    if stage >= Stage.TRANSFER:
        return HIGH
    if stage >= Stage.CONNECTED:
        return MEDIUM if rule is Rule.UNLISTED_DESTINATION else HIGH
    return MEDIUM if rule in {Rule.CLOUD_CONTACT, Rule.SCAN} else LOW


def finding_of(episode: Episode, camera: Camera, rule: Rule) -> Finding:
    """Return the finding of an episode as it stands; the camera and names are copied."""
    tally = episode.tally
    finding = Finding(
        id=episode.finding or id_of(episode, camera),
        rule=rule.value,
        severity=severity_of(rule, episode.stage),
        camera=camera,
        destination=episode.destination.as_known_now(),
        direction=episode.direction,
        stage=episode.stage,
        first=episode.first,
        last=episode.last,
        bytes_out=tally.bytes_out,
        bytes_in=tally.bytes_in,
        packets_out=tally.packets_out,
        packets_in=tally.packets_in,
        attempts=episode.flows,
        local_port=episode.local_port if episode.direction is Direction.INBOUND else None,
        protocol=episode.protocols[0] if episode.protocols else None,
        protocols=tuple(episode.protocols),
        on_site=episode.on_site,
        evidence=list(episode.evidence),
    )
    finding.reason = reason_of(finding, episode)
    return finding


def id_of(episode: Episode, camera: Camera) -> str:
    """Return an id that the same frames always give: camera, destination and first frame."""
    destination = episode.destination
    names = ",".join(name.name for name in destination.names) if destination.ip is None else ""
    parts = (
        camera.id, destination.ip, destination.port, destination.transport,
        episode.direction.value, episode.local_port, episode.first, names,
    )  # fmt: skip
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()


def reason_of(finding: Finding, episode: Episode) -> str:
    """Say in one sentence what was seen."""
    who = finding.camera.name or finding.camera.id
    where = _where(finding)
    if finding.rule == Rule.SCAN.value:
        return f"{who} opened {finding.attempts:,} more flows off site than are told apart"
    if finding.rule == Rule.CLOUD_LOOKUP.value:
        service = finding.destination.service
        cloud = f", a name of {service.vendor}" if service else ""
        return f"{who} asked for {where}{cloud}"
    if finding.direction is Direction.INBOUND:
        return f"{where} connected to {who} port {finding.local_port}: {_how_far(finding, episode)}"
    kinds = {
        Rule.FOREIGN_RESOLVER.value: ", a resolver that is not the site's",
        Rule.FOREIGN_TIME_SERVER.value: ", a time server that is not the site's",
    }
    what = kinds.get(finding.rule, "")
    if finding.rule == Rule.CLOUD_CONTACT.value and finding.destination.service is not None:
        service = finding.destination.service
        what = f", {service.id} of {service.vendor}"
    verb = "reached" if finding.stage >= Stage.CONNECTED else "tried to reach"
    return f"{who} {verb} {where}{what}: {_how_far(finding, episode)}"


def _where(finding: Finding) -> str:
    destination = finding.destination
    name = destination.names[0].name if destination.names else None
    if destination.ip is None:
        return name or "names"
    end = f"[{destination.ip}]" if ":" in destination.ip else destination.ip
    if destination.transport in WITH_PORTS:
        end = f"{end}:{destination.port}"
    return f"{name} ({end}/{destination.transport})" if name else f"{end}/{destination.transport}"


def _how_far(finding: Finding, episode: Episode) -> str:
    sent = f"{finding.bytes_out:,} bytes out, {finding.bytes_in:,} in"
    if finding.stage is Stage.ATTEMPT:
        count = f"{finding.attempts:,} attempt{'s' if finding.attempts != 1 else ''}"
        tries = f"{finding.packets_out:,} frames in {count}"
        if episode.reset:
            return f"refused by reset, {tries}"
        if episode.refused:
            return f"refused by ICMP, {tries}"
        return f"no answer seen, {tries}"
    words = {
        Stage.CONNECTED: "connected, no payload acknowledged",
        Stage.PAYLOAD: "payload acknowledged or answered",
        Stage.TRANSFER: "64,000 bytes or more went out",
        Stage.MEDIA: "audio or video went out",
    }
    return f"{words.get(finding.stage, finding.stage.label)}; {sent}"
