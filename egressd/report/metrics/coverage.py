"""The families about coverage: how much was looked at, and what was lost, by whom.

A sensor that says nothing has seen nothing only if these say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.report.metrics.family import (
    Family,
    Row,
    View,
    capped,
    counter,
    gauge,
    moment,
    moments,
    one,
)
from egressd.report.metrics.snapshot import BlindReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from egressd.report.metrics.snapshot import CanaryReading, InterfaceReading

MAXIMUM_INTERFACES = 64
MAXIMUM_CANARIES = 32
MAXIMUM_REASONS = 200  # the decoders have some forty


def _of_interfaces(read: Callable[[InterfaceReading], float]) -> Callable[[View], Iterable[Row]]:
    return lambda view: [
        Row((interface.name,), read(interface))
        for interface in view.snapshot.interfaces[:MAXIMUM_INTERFACES]
    ]


def _of_canaries(read: Callable[[CanaryReading], float]) -> Callable[[View], Iterable[Row]]:
    return lambda view: [
        Row((canary.name,), read(canary)) for canary in view.snapshot.canaries[:MAXIMUM_CANARIES]
    ]


def _drops(view: View) -> Iterable[Row]:
    for interface in view.snapshot.interfaces[:MAXIMUM_INTERFACES]:
        yield Row((interface.name, "nic"), interface.missed_by_nic)
        yield Row((interface.name, "kernel"), interface.dropped_by_kernel)


def _malformed(view: View) -> Iterable[Row]:
    counts = capped(view.snapshot.coverage.malformed, MAXIMUM_REASONS)
    return [Row((reason,), count) for reason, count in counts.items()]


def _decode_errors(view: View) -> Iterable[Row]:
    counts = capped(view.snapshot.coverage.decode_errors, MAXIMUM_REASONS)
    for what, count in counts.items():
        protocol, _, reason = what.partition(" ")
        yield Row((protocol, reason), count)


def _blind(view: View) -> Iterable[Row]:
    holds = {blindness.reason: blindness.now for blindness in view.snapshot.blind}
    return [Row((reason.value,), float(holds.get(reason, False))) for reason in BlindReason]


def _blind_seconds(view: View) -> Iterable[Row]:
    spent = {blindness.reason: blindness.seconds for blindness in view.snapshot.blind}
    return [Row((reason.value,), spent.get(reason, 0.0)) for reason in BlindReason]


FRAME_FAMILIES: tuple[Family, ...] = (
    counter(
        "egressd_frames_total",
        "Frames looked at.",
        (),
        one(lambda snapshot: snapshot.coverage.frames),
    ),
    counter(
        "egressd_wire_bytes_total",
        "Bytes that those frames had on the wire.",
        (),
        one(lambda snapshot: snapshot.coverage.wire_bytes),
    ),
    counter(
        "egressd_captured_bytes_total",
        "Bytes of those frames that came here.",
        (),
        one(lambda snapshot: snapshot.coverage.captured_bytes),
    ),
    gauge(
        "egressd_last_frame_timestamp_seconds",
        "When the last frame was seen.",
        (),
        moment(lambda snapshot: snapshot.coverage.last),
    ),
    counter(
        "egressd_duplicate_frames_total",
        "Frames that the mirror delivered more than once.",
        (),
        one(lambda snapshot: snapshot.coverage.duplicates),
    ),
    counter(
        "egressd_cut_frames_total",
        "Frames cut by the capture: by a snap length, or on-site media by the filter.",
        (),
        one(lambda snapshot: snapshot.coverage.cut_frames),
    ),
    counter(
        "egressd_super_frames_total",
        "Frames that the capture host joined (GRO, LRO), so that packets are undercounted.",
        (),
        one(lambda snapshot: snapshot.coverage.super_frames),
    ),
    counter(
        "egressd_malformed_frames_total",
        "Frames that are broken, by what is wrong with them.",
        ("reason",),
        _malformed,
    ),
    counter(
        "egressd_non_ip_frames_total",
        "Frames without IP inside that are not understood.",
        (),
        one(lambda snapshot: sum(snapshot.coverage.unknown.values())),
    ),
    counter(
        "egressd_fragments_total",
        "IP fragments.",
        (),
        one(lambda snapshot: snapshot.coverage.fragments),
    ),
    counter(
        "egressd_overlapping_fragments_total",
        "IP fragments that overlap others, as evasions do.",
        (),
        one(lambda snapshot: snapshot.coverage.overlapping_fragments),
    ),
    counter(
        "egressd_lost_bytes_total",
        "TCP payload that was acknowledged and never seen: the mirror lost it.",
        (),
        one(lambda snapshot: snapshot.coverage.lost_bytes),
    ),
    counter(
        "egressd_flows_total", "Flows begun.", (), one(lambda snapshot: snapshot.coverage.flows)
    ),
    counter(
        "egressd_one_way_flows_total",
        "Flows that ended with frames in one direction only.",
        (),
        one(lambda snapshot: snapshot.coverage.one_way_flows),
    ),
    counter(
        "egressd_shed_looks_total",
        "Looks into payload that were left out for want of room; byte counts stay exact.",
        (),
        one(lambda snapshot: snapshot.coverage.shed_looks),
    ),
    counter(
        "egressd_decode_errors_total",
        "Messages of a known protocol that are broken.",
        ("protocol", "reason"),
        _decode_errors,
    ),
    counter(
        "egressd_backward_frames_total",
        "Frames older than the one before them.",
        (),
        one(lambda snapshot: snapshot.backward_frames),
    ),
)

SENSOR_FAMILIES: tuple[Family, ...] = (
    gauge(
        "egressd_sensor_blind",
        "1 while the sensor does not see what it should, by reason.",
        ("reason",),
        _blind,
    ),
    counter(
        "egressd_sensor_blind_seconds_total",
        "For how long the sensor was blind, by reason.",
        ("reason",),
        _blind_seconds,
    ),
    gauge(
        "egressd_interface_up",
        "1 while the interface is up and has carrier.",
        ("interface",),
        _of_interfaces(lambda interface: float(interface.up)),
    ),
    counter(
        "egressd_interface_frames_total",
        "Frames taken from the interface.",
        ("interface",),
        _of_interfaces(lambda interface: interface.frames),
    ),
    gauge(
        "egressd_interface_last_frame_timestamp_seconds",
        "When the last frame came from the interface.",
        ("interface",),
        moments(
            lambda view: [
                ((interface.name,), interface.last_frame)
                for interface in view.snapshot.interfaces[:MAXIMUM_INTERFACES]
            ]
        ),
    ),
    counter(
        "egressd_interface_dropped_frames_total",
        "Frames lost between the wire and the engine, by where.",
        ("interface", "layer"),
        _drops,
    ),
    counter(
        "egressd_interface_damaged_frames_total",
        "Frames that the network card refused as damaged.",
        ("interface",),
        _of_interfaces(lambda interface: interface.damaged),
    ),
    counter(
        "egressd_interface_freezes_total",
        "Times the capture ring stood still because it was full.",
        ("interface",),
        _of_interfaces(lambda interface: interface.freezes),
    ),
    counter(
        "egressd_interface_own_frames_total",
        "Frames that this machine sent itself, left out.",
        ("interface",),
        _of_interfaces(lambda interface: interface.own_frames),
    ),
    counter(
        "egressd_canary_sent_total",
        "Datagrams that the canary sent, by its sequence numbers.",
        ("canary",),
        _of_canaries(lambda canary: canary.sent),
    ),
    counter(
        "egressd_canary_seen_total",
        "Datagrams of the canary that were seen.",
        ("canary",),
        _of_canaries(lambda canary: canary.seen),
    ),
    counter(
        "egressd_canary_rejected_total",
        "Datagrams of the canary's kind that were forged, replayed or not understood.",
        ("canary",),
        _of_canaries(lambda canary: canary.rejected),
    ),
    gauge(
        "egressd_canary_last_seen_timestamp_seconds",
        "When the canary was last seen.",
        ("canary",),
        moments(
            lambda view: [
                ((canary.name,), canary.last_seen)
                for canary in view.snapshot.canaries[:MAXIMUM_CANARIES]
            ]
        ),
    ),
)
