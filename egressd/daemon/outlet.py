"""Where the daemon's events go: the log, and the sinks of the site file and of `--eve`.

Nothing here waits: sinks have spools and threads of their own. A reload that changes them closes
the old ones, whose spools the new ones take over.
"""

from __future__ import annotations

from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from egressd.daemon.clock import wall_now
from egressd.model import AlertEvent
from egressd.report.sinks.front import Sinks
from egressd.report.sinks.storefile import StoreError
from egressd.report.words import SEVERITY_WORDS
from egressd.settings.sinks import EveSettings, JournaldSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from egressd.capture.batch import Source
    from egressd.config import Site
    from egressd.daemon.logs import Log
    from egressd.model import Event, Finding, Nanoseconds, Seconds
    from egressd.report.sinks.delivery import SinkStatistics
    from egressd.settings.sinks import SinkSettings

EVE_OPTION = "eve-option"  # names the sink that --eve asks for
CHANGE_SECONDS: Seconds = 0.5  # what sinks that go away get to hand over what they have


class Outlet:
    """All that tells people and machines."""

    def __init__(
        self,
        site: Site,
        folder: Path | None,
        *,
        eve: Path | None,
        sources: Sequence[Source],
        log: Log,
    ) -> None:
        """Open everything; StoreError if a spool cannot be. Without a folder, no spool lasts."""
        self._log = log
        self._eve = eve
        self._temporary: TemporaryDirectory[str] | None = None
        if folder is None:
            self._temporary = TemporaryDirectory(prefix="egressd-")
        self._folder = folder
        self._sources = sources
        self._settings = self._settings_of(site)
        self._site_name = site.name
        self._sinks = self._opened()

    def publish(self, events: list[Event]) -> None:
        """Tell events."""
        if not any(isinstance(one, JournaldSettings) for one in self._settings):
            for event in events:
                if isinstance(event, AlertEvent):
                    self._say(event.finding)
        self._sinks.publish(events)

    def refresh(self, last_seen: Mapping[str, Nanoseconds], now: Nanoseconds) -> None:
        """Take when findings that go on were last seen."""
        self._sinks.refresh(last_seen, now)

    def change(self, site: Site, sources: Sequence[Source]) -> None:
        """Go by another site file, or by other sources; what is the same is only opened anew."""
        settings = self._settings_of(site)
        same = (settings, site.name) == (self._settings, self._site_name)
        if same and sources is self._sources:
            self._sinks.reopen()
            return
        self._sinks.close(CHANGE_SECONDS)
        before = self._settings
        self._settings, self._site_name, self._sources = settings, site.name, sources
        try:
            self._sinks = self._opened()
        except StoreError as error:  # of a new one; without any sink nothing would be told
            self._log.warning("sinks_not_changed", reason=error)
            self._settings = before
            self._sinks = self._opened()

    def reopen(self) -> None:
        """Open what is written to anew."""
        self._sinks.reopen()

    def statistics(self) -> tuple[SinkStatistics, ...]:
        """Return what each sink has done, and what waits."""
        return self._sinks.statistics()

    def close(self, timeout_seconds: Seconds) -> None:
        """Hand over what can be handed over in this time; the rest stays in the spools."""
        if not self._sinks.close(timeout_seconds):
            self._log.error("spools_not_kept", reason="the disk did not take them")
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.cleanup()

    def _opened(self) -> Sinks:
        from pathlib import Path  # noqa: PLC0415 - of the temporary folder alone

        folder = self._folder
        if folder is None and self._temporary is not None:
            folder = Path(self._temporary.name)
        assert folder is not None  # one of the two is there
        return Sinks(
            self._settings,
            folder,
            clock=wall_now,
            log=self._log,
            site=self._site_name,
            sources=self._sources,
        )

    def _settings_of(self, site: Site) -> tuple[SinkSettings, ...]:
        if self._eve is None:
            return site.sinks
        return (*site.sinks, EveSettings(name=EVE_OPTION, path=str(self._eve.absolute())))

    def _say(self, finding: Finding) -> None:
        destination = finding.destination
        self._log.notice(
            "camera_calls_home" if destination.ip is not None else "camera_asks",
            finding=finding.id,
            severity=SEVERITY_WORDS.get(finding.severity, finding.severity),
            rule=finding.rule,
            camera=finding.camera.name or finding.camera.id,
            destination=destination.ip or (destination.names[0].name if destination.names else ""),
            stage=finding.stage.label,
            bytes_out=finding.bytes_out,
        )
