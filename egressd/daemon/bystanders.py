"""Who stands by while the engine looks at frames: the keeper of evidence, and who hears canaries.

They outlive an engine: a reload changes the site, not what was seen. `see` is what an engine calls
with the looks at a batch; which keeper and which canary that means is decided here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from egressd.canary import CanaryCounts, CanaryWatch, load_key
from egressd.framekeeper import FrameKeeper
from egressd.model import ConfigError
from egressd.report.evidence import EvidenceStore, open_evidence
from egressd.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Collection

    from egressd.canary import CanaryReport
    from egressd.capture.batch import Batch, Source
    from egressd.config import Site
    from egressd.daemon.logs import Log
    from egressd.model import Event, Nanoseconds, Seconds
    from egressd.report.evidence import EvidenceCounts
    from egressd.witness import Look


class Bystanders:
    """Evidence and canaries of a site."""

    def __init__(
        self, site: Site, state_folder: Path | None, log: Log, now: Nanoseconds | None
    ) -> None:
        """Open what the site file asks for; ConfigError where it cannot be used.

        `now` is when canaries begin to be due, None for the first frame's time.
        """
        self._log = log
        self._state_folder = state_folder
        self._site = site
        self._keeper: FrameKeeper | None = None
        self._evidence: EvidenceStore | None = None
        self.canary: CanaryWatch | None = None
        self._key = b""
        self._heard = CanaryCounts()  # by canaries before this one
        self._open_canary(site, now)
        self._open_evidence(site)
        self._witness = self._made()

    def see(
        self,
        looks: list[Look],
        batch: Batch,
        sources: list[Source],
        followed: Collection[int],
    ) -> None:
        """Take the looks at a batch's frames, in their order."""
        if self.canary is None and self._key and looks:
            self._start_canary(looks[0].time)
            self._witness = self._made()
        if self._witness is not None:
            self._witness.see(looks, batch, sources, followed)

    def take(self, events: list[Event]) -> None:
        """Take what the looks led to; before the next batch is read."""
        if self._evidence is not None:
            self._evidence.take(events)

    def tick(self, now: Nanoseconds) -> None:
        """Let what is too old be removed."""
        if self._evidence is not None:
            self._evidence.tick(now)

    def canary_report(self, now: Nanoseconds) -> CanaryReport | None:
        """Say how the canaries stand, None where none is expected."""
        return self.canary.report(now) if self.canary is not None else None

    def evidence_counts(self) -> EvidenceCounts | None:
        """Return what became of the evidence, None where none is kept."""
        return self._evidence.counts() if self._evidence is not None else None

    def change(self, site: Site, now: Nanoseconds | None) -> None:
        """Go by another site file; what cannot be used is told, and stays as it was."""
        before, self._site = self._site, site
        try:
            if site.canary != before.canary:
                self._open_canary(site, now)
            if (site.evidence, site.networks) != (before.evidence, before.networks):
                self._close_evidence()
                self._open_evidence(site)
        except ConfigError as error:
            self._log.warning("bystanders_not_changed", reason=error)
        self._witness = self._made()

    def close(self, timeout_seconds: Seconds) -> None:
        """Write what waits, as far as there is time."""
        if self._evidence is not None and not self._evidence.close(timeout_seconds):
            self._log.error("evidence_not_written", reason="the disk takes too long")

    def _open_canary(self, site: Site, now: Nanoseconds | None) -> None:
        if self.canary is not None:
            self._heard = self.canary.counts
        if site.canary is None:
            self.canary, self._key = None, b""
            return
        self._key = load_key(Path(site.canary.key_file))
        self.canary = None
        if now is not None:
            self._start_canary(now)

    def _start_canary(self, at: Nanoseconds) -> None:
        if self._site.canary is None:
            return
        self.canary = CanaryWatch(self._site.canary, self._key, at)
        self.canary.restore(self._heard)

    def _open_evidence(self, site: Site) -> None:
        settings = site.evidence
        if not settings.enabled:
            return
        if settings.directory is None and self._state_folder is None:
            self._log.notice("evidence_not_kept", reason="no --state, and no evidence: directory")
            return
        keeper = FrameKeeper(site.is_on_site, maximum_bytes=settings.buffer)
        self._evidence = open_evidence(settings, self._state_folder or Path(), keeper)
        self._keeper = keeper

    def _close_evidence(self) -> None:
        if self._evidence is not None:
            self._evidence.close(0.5)
        self._evidence = self._keeper = None

    def _made(self) -> Witness | None:
        if self._keeper is None and self.canary is None:
            return None
        port = self._site.canary.port if self._site.canary is not None else None
        return Witness(self._keeper, self.canary, port)
