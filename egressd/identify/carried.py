"""Devices as rows that outlive a run, and rows as devices again.

What speaks for or against a camera is kept with the key by which the rules know it: where the
rules say something else of it now, that counts, and where they say nothing any more, it is dropped.
What a network card tells is found out anew. Names that a device asked for are not kept, only how
many domains; what it shows again adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from egressd.identify.devices import Device
from egressd.identify.evidence import Piece
from egressd.identify.rules import Channel, Clue, Trait
from egressd.model import FrameRef, Kind
from egressd.state import DeviceRow, PieceRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from egressd.model import Host, Nanoseconds
    from egressd.state import HostRow, LeaseRow

FOUND_OUT_ANEW = ("maker", "random mac")  # keys of what a MAC address tells
OF_RULES = (*(trait.value for trait in Trait), "payload")  # first words of the keys that rules make


@dataclass(slots=True)
class InventoryRows:
    """What of the inventory is kept."""

    devices: list[DeviceRow] = field(default_factory=list)
    leases: list[LeaseRow] = field(default_factory=list)
    routers: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    gone: list[str] = field(default_factory=list)  # ids of devices that are no more


def row_of(device: Device, now: Nanoseconds, host_row_of: Callable[[Host], HostRow]) -> DeviceRow:
    """Return a device as a row."""
    addresses = {index: host.ip for index, host in device.hosts.items()}
    bindings = {(host.ip, host.mac): host_row_of(host) for host in device.hosts.values()}
    return DeviceRow(
        device.id,
        now,
        mac=device.mac,
        ips=tuple(device.ips),
        hosts=tuple(bindings.values()),
        pieces=tuple(
            _piece_row(piece, addresses.get(piece.host, "")) for piece in device.dossier.pieces
        ),
        domains=tuple(sorted(device.domains)),
        clouds=tuple(sorted(device.clouds)),
        pulled=tuple(sorted(device.pulled)),
        serves=device.serves,
        judged=device.judged,
        told=digest_of(device),
        recognised=device.recognised,
    )


def device_of(
    row: DeviceRow,
    hosts: Iterable[Host],
    clues: Mapping[str, Clue],
    anew: Mapping[str, Piece],
) -> Device:
    """Return the device that a row tells of, bound to these hosts.

    `clues` are those that the rules give now, `anew` what its network card tells.
    """
    device = Device(row.id, mac=row.mac, ips=list(row.ips), recognised=row.recognised)
    device.hosts = {host.index: host for host in hosts}
    indexes = {host.ip: host.index for host in device.hosts.values()}
    device.domains, device.clouds = set(row.domains), set(row.clouds)
    device.pulled, device.serves = set(row.pulled), row.serves
    for entry in row.pieces:
        piece = anew.get(entry.key) or _piece_of(entry, clues, indexes)
        if piece is not None:
            device.dossier.add(piece)
    return device


def digest_of(device: Device) -> str:
    """Return a mark of what was last told of a device, "" if nothing was."""
    if not device.told:
        return ""
    return blake2b(repr(device.told).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _piece_row(piece: Piece, ip: str) -> PieceRow:
    clue, frame = piece.clue, piece.frame
    return PieceRow(
        piece.key,
        piece.channel.value,
        piece.says,
        clue.says,
        clue.weight,
        clue.against,
        clue.vendor,
        clue.kind.value if clue.kind is not None else None,
        piece.model,
        frame.file if frame is not None else None,
        frame.frame if frame is not None else 0,
        ip,
    )


def _piece_of(row: PieceRow, clues: Mapping[str, Clue], indexes: Mapping[str, int]) -> Piece | None:
    """Return a piece with the clue that the rules give for it now, or None if they give none."""
    clue = clues.get(row.key)
    if clue is None and (row.key in FOUND_OUT_ANEW or row.key.split(" ")[0] in OF_RULES):
        return None
    try:
        if clue is None:
            kind = Kind(row.kind) if row.kind is not None else None
            clue = Clue(row.clue_says, row.weight, row.against, row.vendor, kind)
        channel = Channel(row.channel)
    except ValueError:  # a word of another version
        return None
    frame = FrameRef(row.file, row.frame) if row.file is not None else None
    return Piece(row.key, channel, row.says, clue, row.model, frame, indexes.get(row.ip, 0))
