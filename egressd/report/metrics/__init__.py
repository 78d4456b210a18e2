"""The engine's counters as Prometheus reads them: a snapshot in, an exposition out.

`Snapshot` is what the daemon fills; `Exposition` is what the listener serves.
"""

from egressd.report.metrics.exposition import Exposition
from egressd.report.metrics.snapshot import (
    Blindness,
    BlindReason,
    CameraReading,
    CanaryReading,
    ConfigReading,
    ContactCount,
    DatabaseReading,
    EvidenceReading,
    FindingCount,
    InterfaceReading,
    OpenFindings,
    PartyTraffic,
    SinkReading,
    Snapshot,
    StateReading,
    TableReading,
    Traffic,
)

__all__ = [
    "BlindReason",
    "Blindness",
    "CameraReading",
    "CanaryReading",
    "ConfigReading",
    "ContactCount",
    "DatabaseReading",
    "EvidenceReading",
    "Exposition",
    "FindingCount",
    "InterfaceReading",
    "OpenFindings",
    "PartyTraffic",
    "SinkReading",
    "Snapshot",
    "StateReading",
    "TableReading",
    "Traffic",
]
