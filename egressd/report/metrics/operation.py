"""The families about the program itself: its tables, data, sinks, state and configuration."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from egressd import __version__
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from egressd.report.metrics.snapshot import (
        EvidenceReading,
        SinkReading,
        StateReading,
        TableReading,
    )

MAXIMUM_TABLES = 64
MAXIMUM_DATABASES = 32
MAXIMUM_SINKS = 32
MAXIMUM_REASONS = 32  # why one sink fails


def _of_tables(read: Callable[[TableReading], float]) -> Callable[[View], Iterable[Row]]:
    return lambda view: [
        Row((table.name,), read(table)) for table in view.snapshot.tables[:MAXIMUM_TABLES]
    ]


def _of_sinks(read: Callable[[SinkReading], float]) -> Callable[[View], Iterable[Row]]:
    return lambda view: [
        Row((sink.name,), read(sink)) for sink in view.snapshot.sinks[:MAXIMUM_SINKS]
    ]


def _sink_failures(view: View) -> Iterable[Row]:
    for sink in view.snapshot.sinks[:MAXIMUM_SINKS]:
        counts = capped(dict(sink.failures), MAXIMUM_REASONS)
        yield from (Row((sink.name, reason), count) for reason, count in counts.items())


def _of_state(read: Callable[[StateReading], float]) -> Callable[[View], Iterable[Row]]:
    def rows(view: View) -> Iterable[Row]:
        state = view.snapshot.state
        return [] if state is None else [Row((), read(state))]

    return rows


def _of_evidence(read: Callable[[EvidenceReading], float]) -> Callable[[View], Iterable[Row]]:
    def rows(view: View) -> Iterable[Row]:
        evidence = view.snapshot.evidence
        return [] if evidence is None else [Row((), read(evidence))]

    return rows


PROGRAM_FAMILIES: tuple[Family, ...] = (
    gauge(
        "egressd_build_info",
        "The program's version; always 1.",
        ("version", "python"),
        lambda _: [Row((__version__, platform.python_version()), 1)],
    ),
    gauge(
        "egressd_start_timestamp_seconds",
        "When the process began.",
        (),
        moment(lambda snapshot: snapshot.started),
    ),
    gauge(
        "egressd_snapshot_timestamp_seconds",
        "When these values were read; an old one means that the engine is stuck.",
        (),
        moment(lambda snapshot: snapshot.taken),
    ),
    counter(
        "egressd_engine_busy_seconds_total",
        "Time spent in the engine.",
        (),
        one(lambda snapshot: snapshot.busy),
    ),
    counter(
        "egressd_clock_steps_total",
        "Times the wall clock jumped.",
        (),
        one(lambda snapshot: snapshot.clock_steps),
    ),
    gauge(
        "egressd_table_entries",
        "Entries in a table of the engine.",
        ("table",),
        _of_tables(lambda table: table.entries),
    ),
    gauge(
        "egressd_table_limit_entries",
        "Entries for which the table has room.",
        ("table",),
        _of_tables(lambda table: table.limit),
    ),
    counter(
        "egressd_table_evictions_total",
        "Entries given up for want of room.",
        ("table",),
        _of_tables(lambda table: table.evictions),
    ),
    gauge(
        "egressd_data_built_timestamp_seconds",
        "When the data in use was built.",
        ("database",),
        moments(
            lambda view: [
                ((database.name,), database.built or 0)
                for database in view.snapshot.databases[:MAXIMUM_DATABASES]
            ]
        ),
    ),
    gauge(
        "egressd_config_last_reload_successful",
        "1 if the last start or reload took the site file, rules and data.",
        (),
        one(lambda snapshot: float(snapshot.config.successful)),
    ),
    gauge(
        "egressd_config_last_reload_timestamp_seconds",
        "When the last start or reload was.",
        (),
        moment(lambda snapshot: snapshot.config.last),
    ),
    gauge(
        "egressd_config_last_reload_success_timestamp_seconds",
        "When the last start or reload that succeeded was.",
        (),
        moment(lambda snapshot: snapshot.config.last_success),
    ),
    counter(
        "egressd_config_reload_failures_total",
        "Reloads that kept the old configuration because the new one has errors.",
        (),
        one(lambda snapshot: snapshot.config.failures),
    ),
)

STORE_FAMILIES: tuple[Family, ...] = (
    gauge(
        "egressd_sink_backlog_records",
        "Records that wait to be delivered.",
        ("sink",),
        _of_sinks(lambda sink: sink.backlog_records),
    ),
    gauge(
        "egressd_sink_backlog_bytes",
        "Bytes of records that wait to be delivered.",
        ("sink",),
        _of_sinks(lambda sink: sink.backlog_bytes),
    ),
    gauge(
        "egressd_sink_oldest_timestamp_seconds",
        "When the oldest record that waits was taken; nothing while none waits.",
        ("sink",),
        moments(
            lambda view: [
                ((sink.name,), sink.oldest or 0) for sink in view.snapshot.sinks[:MAXIMUM_SINKS]
            ]
        ),
    ),
    gauge(
        "egressd_sink_last_delivery_timestamp_seconds",
        "When a record was last delivered.",
        ("sink",),
        moments(
            lambda view: [
                ((sink.name,), sink.last_delivery) for sink in view.snapshot.sinks[:MAXIMUM_SINKS]
            ]
        ),
    ),
    counter(
        "egressd_sink_delivered_records_total",
        "Records delivered.",
        ("sink",),
        _of_sinks(lambda sink: sink.delivered),
    ),
    counter(
        "egressd_sink_failures_total",
        "Attempts to deliver that failed, by reason.",
        ("sink", "reason"),
        _sink_failures,
    ),
    counter(
        "egressd_sink_dropped_records_total",
        "Records that will never be delivered: no room, or refused for good.",
        ("sink",),
        _of_sinks(lambda sink: sink.dropped),
    ),
    gauge(
        "egressd_state_saved_timestamp_seconds",
        "When the state was last saved.",
        (),
        moment(lambda snapshot: snapshot.state.saved if snapshot.state else 0),
    ),
    counter(
        "egressd_state_failures_total",
        "Attempts to save the state that failed.",
        (),
        _of_state(lambda state: state.failures),
    ),
    gauge(
        "egressd_evidence_findings",
        "Findings whose frames are kept.",
        (),
        _of_evidence(lambda evidence: evidence.findings),
    ),
    gauge(
        "egressd_evidence_bytes",
        "Bytes of kept frames.",
        (),
        _of_evidence(lambda evidence: evidence.size),
    ),
    counter(
        "egressd_evidence_evictions_total",
        "Findings whose frames were given up for want of room or of age.",
        (),
        _of_evidence(lambda evidence: evidence.evictions),
    ),
    counter(
        "egressd_evidence_failures_total",
        "Attempts to keep frames that failed.",
        (),
        _of_evidence(lambda evidence: evidence.failures),
    ),
    counter(
        "egressd_evidence_missing_frames_total",
        "Frames of findings that were gone before they could be kept.",
        (),
        _of_evidence(lambda evidence: evidence.missing_frames),
    ),
)
