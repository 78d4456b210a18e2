"""Flows as the model has them, read from the data plane's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.addresses import mac_of, text_of
from egressd.model import Flow, FlowState, FrameRef, Side

if TYPE_CHECKING:
    from egressd.capture.batch import Source
    from egressd.dataplane.plane import Plane
    from egressd.dataplane.reference import ReferencePlane

# Row.flags of the data plane (dataplane/plane.py).
ANSWERED, CONNECTED, RESET, REFUSED = 1, 2, 4, 8
OPENER_B, OPENER_KNOWN = 16, 32
CARRIER, FINISHED = 512, 16384


@dataclass(slots=True)
class End:
    """One end of a flow."""

    ip: str
    port: int


@dataclass(slots=True)
class Ends:
    """Both ends in the order of the first frame, and the tags it had."""

    a: End
    b: End
    vlans: tuple[int, ...]


@dataclass(slots=True)
class Counts:
    """Innermost Ethernet frames and bytes of one side, without mirror duplicates."""

    frames: int
    bytes: int


class FlowReader:
    """Reads rows of a data plane."""

    def __init__(self, plane: Plane | ReferencePlane) -> None:
        self._plane = plane
        self.first_id = 0  # added to the data plane's numbers, which begin again with each run

    def last_of(self, flow: int, row: int) -> int:
        """Return the time of a flow's last frame, 0 where its row is another's by now."""
        return self._plane.row_of(row)[11] if self._plane.id_of(row) == flow else 0

    def counts_of(self, row: int, side: int) -> Counts:
        """Return what one side of a flow has sent so far."""
        columns = self._plane.side_of(row, side)
        return Counts(columns[4], columns[5])

    def mac_of(self, row: int, side: int) -> str | None:
        """Return the MAC address of one side of a flow."""
        return mac_of(self._plane.side_of(row, side)[0])

    def ends_of(self, row: int) -> Ends:
        """Return both ends of a flow."""
        columns = self._plane.row_of(row)
        version = columns[6]
        return Ends(
            End(text_of(version, columns[0], columns[1]), columns[4]),
            End(text_of(version, columns[2], columns[3]), columns[5]),
            _vlans_of(columns[14], columns[15], columns[16]),
        )

    def flow_of(self, row: int, sources: list[Source]) -> Flow:
        """Return a flow with its counters as they stand."""
        (
            _, _, _, _, _, _, _, protocol, flags, number, first, last, frame, source,
            vlans, vlan0, vlan1, icmp_type, icmp_code,
        ) = self._plane.row_of(row)  # fmt: skip
        ends = self.ends_of(row)
        side_a = self._side(row, 0, ends.a)
        side_b = self._side(row, 1, ends.b)
        a_is_client = not flags & OPENER_B
        client, server = (side_a, side_b) if a_is_client else (side_b, side_a)
        if flags & (FINISHED | RESET):
            state = FlowState.CLOSED
        else:
            state = FlowState.ESTABLISHED if flags & ANSWERED else FlowState.NEW
        return Flow(
            id=self.first_id + number,
            protocol=protocol,
            client=client,
            server=server,
            opener_known=bool(flags & OPENER_KNOWN),
            first=first,
            last=last,
            state=state,
            first_frame=FrameRef(sources[source].file, frame),
            interface=source,
            vlans=_vlans_of(vlans, vlan0, vlan1),
            carrier=bool(flags & CARRIER),
            reset=bool(flags & RESET),
            refused=bool(flags & REFUSED),
            icmp_type=icmp_type if icmp_type >= 0 else None,
            icmp_code=icmp_code if icmp_code >= 0 else None,
        )

    def _side(self, row: int, side: int, end: End) -> Side:
        mac, host, *counters = self._plane.side_of(row, side)
        return Side(end.ip, end.port, mac_of(mac), host, *counters)


def _vlans_of(count: int, outer: int, inner: int) -> tuple[int, ...]:
    return (outer, inner)[: min(count, 2)]
