"""An alert as the sinks read it: the EVE record that was written when it was told.

What waits in a spool is that one line. So it survives an update of egressd, and every sink says
the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from egressd.model import Direction, Stage
from egressd.report.evefacts import encode
from egressd.report.sinks.transport import Failure, RefusedError
from egressd.report.words import EPOCH, seconds_text

if TYPE_CHECKING:
    from egressd.model import Bytes, Camera, Destination, Nanoseconds
    from egressd.report.shapes import Json
    from egressd.report.sinks.spool import Record

STAGES = {stage.label: int(stage) for stage in Stage}
# What a long alert can lose first: long lists that the EVE file has, too. Each is a path.
SPARE = (
    ("camera", "evidence"),
    ("evidence",),
    ("destination", "names"),
    ("destination", "country"),
    ("camera", "ips"),
    ("protocols",),
)


@dataclass(frozen=True, slots=True)
class Told:
    """One alert, taken apart as far as several sinks need it."""

    id: str
    text: str  # the whole EVE record
    eve: Json
    moment: str  # RFC 3339
    site: str | None
    finding: str
    rule: str
    severity: int
    stage: str
    reason: str
    camera: str  # its name, or else its id
    camera_id: str
    body: Json  # eve["egressd"]

    @property
    def destination(self) -> Json:
        """The far end."""
        found: Json = self.body["destination"]
        return found

    @property
    def stage_number(self) -> int:
        """How far it got, as a number that grows; a stage of another version is the highest."""
        return STAGES.get(self.stage, max(STAGES.values()))

    @property
    def destination_text(self) -> str:
        """The far end in one word: 192.0.2.7:443/tcp, or "" for a lookup."""
        ip, port = self.destination.get("ip"), self.destination.get("port")
        if ip is None:
            return ""
        end = f"[{ip}]" if ":" in ip and port is not None else str(ip)
        port_text = f":{port}" if port is not None else ""
        return f"{end}{port_text}/{self.destination.get('transport')}"

    @property
    def names(self) -> list[str]:
        """The far end's names, each once."""
        return list(dict.fromkeys(str(name["name"]) for name in self.destination["names"]))


def told_of(record: Record) -> Told:
    """Read a record; RefusedError if it is no alert, as in a spool that was tampered with."""
    try:
        eve = json.loads(record.text)
        body = eve["egressd"]
        camera = body["camera"]
        return Told(
            id=record.id,
            text=record.text,
            eve=eve,
            moment=rfc3339(eve["timestamp"]),
            site=eve.get("host"),
            finding=str(body["finding"]),
            rule=str(body["rule"]),
            severity=int(eve["alert"]["severity"]),
            stage=str(body["stage"]),
            reason=str(body["reason"]),
            camera=str(camera.get("name") or camera["id"]),
            camera_id=str(camera["id"]),
            body=body | {"destination": {"names": []} | body["destination"]},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        text = f"record {record.sequence} of the spool is no alert"
        raise RefusedError(Failure.FORMAT, text) from error


def rfc3339(moment: str) -> str:
    """Return a moment of an EVE line (+0000) as RFC 3339 wants it (Z)."""
    return moment.removesuffix("+0000") + "Z" if moment.endswith("+0000") else moment


def shortened(told: Told, limit: Bytes) -> str:
    """Return the EVE record in at most `limit` bytes, without what can be spared if need be.

    Names what it left out under `egressd.left_out`. RefusedError if even that is too long.
    """
    if len(told.text) <= limit:
        return told.text
    eve = json.loads(told.text)
    body = eve["egressd"]
    left_out: list[str] = []
    for path in SPARE:
        place = body
        for step in path[:-1]:
            place = place.get(step, {})
        if not place.get(path[-1]):
            continue
        place[path[-1]] = None if path == ("evidence",) else []
        left_out.append(".".join(path))
        body["left_out"] = left_out
        text = encode(eve)
        if len(text) <= limit:
            return text
    raise RefusedError(Failure.FORMAT, f"alert {told.id} is longer than {limit} bytes")


def contact_of(camera: Camera, destination: Destination) -> str:
    """Return what all flows between one camera and one far end have in common."""
    name = destination.names[0].name if destination.names else ""
    return _contact_text(camera.id, destination.transport, destination.ip, destination.port, name)


def contact_in(told: Told) -> str:
    """Return the same of an alert that was told."""
    far = told.destination
    name = told.names[0] if told.names else ""
    return _contact_text(
        told.camera_id, str(far.get("transport")), far.get("ip"), far.get("port"), name
    )


def _contact_text(camera: str, transport: str, ip: str | None, port: int | None, name: str) -> str:
    return f"{camera} {transport} {ip} {port}" if ip is not None else f"{camera} lookup {name}"


def subject_in(told: Told) -> str:
    """Return what later findings about the same thing have in common with this one.

    The far end's port of an inbound connection is another one each time; the camera's is not.
    """
    body, far = told.body, told.destination
    direction = str(body.get("direction"))
    if direction == Direction.INBOUND.value:
        where = f"{far.get('ip')} to {body.get('local_port')}"
    elif far.get("ip") is None:
        where = ",".join(sorted(told.names))
    else:
        where = f"{far['ip']} {far.get('port')}"
    return f"{told.camera_id} {told.rule} {direction} {far.get('transport')} {where}"


def eve_moment(time: Nanoseconds) -> str:
    """Return a moment as EVE lines have it: microseconds, and +0000 for UTC."""
    seconds, rest = divmod(time // 1000, 1_000_000)
    return f"{seconds_text(seconds)}.{rest:06d}+0000"


def nanoseconds_of(moment: str) -> Nanoseconds:
    """Return a moment of an EVE line; what is none is the epoch."""
    try:
        since = datetime.fromisoformat(moment) - EPOCH
    except (ValueError, TypeError):  # TypeError: without a zone
        return 0
    return since // timedelta(microseconds=1) * 1000
