"""The nouns of the model as JSON objects: one shape for EVE lines and for the case file.

Keys stand in a fixed order, so that the same facts make the same bytes. A key
whose value nobody knows is null where a reader counts on it, and absent where
it is an extra. Nothing here opens a file.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egressd.model import (
        Camera,
        Country,
        Coverage,
        Destination,
        Evidence,
        Finding,
        FrameRef,
        Name,
    )

Json: TypeAlias = "dict[str, Any]"  # a JSON object; its values are whatever JSON can say


def camera_shape(camera: Camera) -> Json:
    """Return a camera: always with id, name, mac and ips."""
    shape: Json = {
        "id": camera.id,
        "name": camera.name,
        "mac": camera.mac,
        "ips": list(camera.ips),
        "kind": camera.kind.value,
        "vendor": camera.vendor,
    }
    if camera.model is not None:
        shape["model"] = camera.model
    shape["confidence"] = round(camera.confidence, 4)
    shape["listed"] = camera.listed
    shape["evidence"] = [_reason_shape(reason) for reason in camera.evidence]
    return shape


def destination_shape(destination: Destination) -> Json:
    """Return an off-site end; `service` is null where no rule names it."""
    shape: Json = {
        "ip": destination.ip,
        "port": destination.port,
        "transport": destination.transport,
        "names": names_shape(destination.names),
    }
    return shape | whose_shape(destination)


def whose_shape(destination: Destination) -> Json:
    """Return what is known of the owner of an off-site end."""
    place, service = destination.place, destination.service
    return {
        "country": [_country_shape(country) for country in place.countries],
        "asn": place.asn,
        "org": place.org,
        "party": destination.party.value,
        "service": service.id if service else None,
    }


def contact_shape(finding: Finding) -> Json:
    """Return what a finding says of its contact, who opened it and how far it got."""
    shape: Json = {
        "protocol": finding.protocol,
        "protocols": list(finding.protocols),
        "stage": finding.stage.label,
        "direction": finding.direction.value,
        "bytes_out": finding.bytes_out,
        "bytes_in": finding.bytes_in,
        "packets_out": finding.packets_out,
        "packets_in": finding.packets_in,
        "attempts": finding.attempts,
    }
    if finding.local_port is not None:
        shape["local_port"] = finding.local_port
    if finding.on_site:
        shape["on_site"] = True
    if finding.stage_undecidable:
        shape["stage_undecidable"] = True
    return shape


def names_shape(names: Iterable[Name]) -> list[Json]:
    """Return each name with its source once, in the order they were seen."""
    pairs = dict.fromkeys((name.name, name.source.value) for name in names)
    return [{"name": name, "source": source} for name, source in pairs]


def frames_shape(frames: Iterable[FrameRef]) -> Json | None:
    """Return frames of one file as `{file, frames}`; those of other files follow under `more`."""
    files: dict[str, list[int]] = {}
    for reference in frames:
        files.setdefault(reference.file, []).append(reference.frame)
    shapes: list[Json] = [{"file": file, "frames": numbers} for file, numbers in files.items()]
    if not shapes:
        return None
    return shapes[0] | {"more": shapes[1:]} if len(shapes) > 1 else shapes[0]


def coverage_shape(coverage: Coverage) -> Json:
    """Return the counters of what was looked at, without the two moments."""
    shape = asdict(coverage)
    del shape["first"], shape["last"]
    return {key: dict(sorted(v.items())) if isinstance(v, dict) else v for key, v in shape.items()}


def _reason_shape(reason: Evidence) -> Json:
    shape: Json = {"source": reason.source, "says": reason.says, "weight": round(reason.weight, 4)}
    if reason.vendor is not None:
        shape["vendor"] = reason.vendor
    if reason.frame is not None:
        shape["file"] = reason.frame.file
        shape["frame"] = reason.frame.frame
    return shape


def _country_shape(country: Country) -> Json:
    return {
        "code": country.code,
        "kind": country.kind.value,
        "database": country.database,
        "built": country.built,
    }
