"""`egressd watch`: puts the daemon together, gives up privileges, and lets it run.

The order matters. Sockets are opened while we may; then privileges go; then the state is read
and everything else is opened as the user that we will be. A site file, rules or a state that cannot
be used at the start are errors; a sink that fails is told and lived with, then and later.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from egressd import __version__
from egressd.daemon.bystanders import Bystanders
from egressd.daemon.clock import Clocks
from egressd.daemon.gauges import Gauges
from egressd.daemon.intake import FolderIntake, RingIntake
from egressd.daemon.keeper import Keeper
from egressd.daemon.logs import Log
from egressd.daemon.notify import Notifier
from egressd.daemon.outlet import Outlet
from egressd.daemon.privileges import PrivilegeError, acting_as, give_up, hand_over, user_for
from egressd.daemon.reload import Files, Parts, Reload, load_parts
from egressd.daemon.signals import Signals
from egressd.daemon.statefile import StateError, StateFile, make_folder
from egressd.daemon.watch import Surroundings, Watch
from egressd.model import CaptureError, ConfigError
from egressd.report.listener import MetricsListener
from egressd.report.metrics.exposition import Exposition
from egressd.report.sinks.storefile import StoreError
from egressd.state import Kept

if TYPE_CHECKING:
    import pwd
    from collections.abc import Collection, Mapping

    from egressd.capture.batch import Batch, Source
    from egressd.config import Site
    from egressd.daemon.intake import Intake
    from egressd.engine import Engine
    from egressd.model import Nanoseconds
    from egressd.witness import Look

# What is made for a flow or a name lives long and holds no cycles (as in `replay`).
COLLECT = (100_000, 50, 1_000)


class WatchError(Exception):
    """Why a watch cannot begin; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a watch."""

    interfaces: tuple[str, ...] = ()
    follow: Path | None = None
    state: Path | None = None
    eve: Path | None = None
    user: str | None = None
    files: Files = field(default_factory=Files)


def watch(options: Options, environment: Mapping[str, str] | None = None) -> None:
    """Watch until a signal ends it; WatchError, or a file's error, where it cannot begin."""
    environment = os.environ if environment is None else environment
    gc.set_threshold(*COLLECT)
    with Signals() as signals:
        log = Log.to(sys.stderr, environment)
        parts = load_parts(options.files)
        start = _Start(options, parts, environment, log, signals)
        try:
            loop = start.loop()
        except (PrivilegeError, StateError) as error:
            raise WatchError(str(error)) from error
        try:
            loop.run()
        finally:
            if start.listener is not None:
                start.listener.close()


class _Start:
    """Everything from the command line to a loop that is ready to run."""

    def __init__(
        self,
        options: Options,
        parts: Parts,
        environment: Mapping[str, str],
        log: Log,
        signals: Signals,
    ) -> None:
        self.options = options
        self.parts = parts
        self.environment = environment
        self.log = log
        self.signals = signals
        self.clocks = Clocks()
        self.notifier = Notifier.of(environment)
        self.intake: Intake
        self.outlet: Outlet
        self.bystanders: Bystanders
        self.listener: MetricsListener | None = None

    def loop(self) -> Watch:
        """Open everything in the order that privileges ask for."""
        engine = self.parts.make_engine(self._see)  # reads files, too: before we may not
        user = user_for(self.options.user)
        folder = self._state_folder()
        if folder is not None and make_folder(folder) and user is not None:
            hand_over(folder, user)
        self._check_readable(user)
        with acting_as(user):  # before the sockets: their frames' numbers go on from it
            file = self._state_file(folder)
            kept = file.load() if file is not None else Kept()
        ring = self._ring(kept)
        self._give_up(user)
        self._tell_state(file, kept)
        engine.restore(kept.engine)
        self.intake = ring if ring is not None else self._folder(kept)
        self.bystanders = Bystanders(self.parts.site, folder, self.log, self._frames_now())
        self.outlet = self._outlet(folder)
        self._tell_warnings()
        around = Surroundings(
            outlet=self.outlet,
            keeper=Keeper(file, self.log) if file is not None else None,
            notifier=self.notifier,
            signals=self.signals,
            gauges=Gauges(self._exposition(), self.clocks.wall()),
            bystanders=self.bystanders,
            log=self.log,
            clocks=self.clocks,
            begin_reload=lambda: Reload(self.options.files, self._see),
            make_engine=self._make_engine,
            after_reload=self._after_reload,
            after_renewal=self._after_renewal,
        )
        self.log.info("watch_started", version=__version__, site=self.parts.site.name or "none")
        return Watch(engine, self.intake, around)

    # ---- where frames come from --------------------------------------------------------------

    def _ring(self, kept: Kept) -> Intake | None:
        """Open the sockets, or None where a folder is followed."""
        named = self.options.interfaces
        if self.options.follow is not None:
            if named:
                raise WatchError("interfaces and --follow exclude each other: give one of them")
            return None
        if not named and not self.parts.site.watch.interfaces:
            raise WatchError(
                "nothing to watch: name an interface, write interfaces: [NAME] in the site file, "
                "or give a folder with --follow"
            )
        return RingIntake(self.parts.site, named, kept.interfaces, self.clocks)

    def _folder(self, kept: Kept) -> Intake:
        folder = (self.options.follow or Path()).absolute()
        self.log.info("folder_followed", folder=folder, files_known=len(kept.files))
        return FolderIntake(folder, kept.files, self.clocks)

    # ---- what is kept ------------------------------------------------------------------------

    def _state_folder(self) -> Path | None:
        """Return where the state goes; systemd's StateDirectory if nobody says otherwise."""
        if self.options.state is not None:
            return self.options.state
        if self.parts.site.watch.state is not None:
            return Path(self.parts.site.watch.state)
        given = self.environment.get("STATE_DIRECTORY", "").partition(":")[0]
        return Path(given) if given else None

    def _state_file(self, folder: Path | None) -> StateFile | None:
        return StateFile(folder) if folder is not None else None

    def _tell_state(self, file: StateFile | None, kept: Kept) -> None:
        log = self.log
        if file is None:
            log.notice("state_not_kept", reason="no --state, and no state: in the site file")
            return
        if file.set_aside is not None:
            log.error("state_damaged", set_aside=file.set_aside, begun="anew")
        if file.migrated_from is not None:
            log.notice("state_migrated", from_version=file.migrated_from)
        if file.skipped:
            log.warning("state_rows_skipped", rows=file.skipped)
        engine = kept.engine
        log.info(
            "state_read",
            file=file.path,
            devices=len(engine.devices),
            episodes=len(engine.episodes),
            names=len(engine.names),
        )

    # ---- the rest ------------------------------------------------------------------------------

    def _give_up(self, user: pwd.struct_passwd | None) -> None:
        """Give up privileges; what is left is told, and what it means for later."""
        under_systemd = bool(self.environment.get("INVOCATION_ID"))
        is_live = self.options.follow is None
        left = give_up(user, keep_net_raw=under_systemd and is_live)
        self.log.info("privileges_given_up", uid=left.uid, capabilities=left.told)
        if is_live and not left.may_open_sockets:
            self.log.notice("new_interfaces_need_a_restart", reason="CAP_NET_RAW was given up")

    def _check_readable(self, user: pwd.struct_passwd | None) -> None:
        """Refuse a user who could not load the rest of the program; tell of files to reload."""
        if user is None:
            return
        files = self.options.files
        named = [file for file in (files.site, *files.rules, *files.geo) if file is not None]
        with acting_as(user):
            for own in (os.__file__, __file__):
                if not os.access(own, os.R_OK, effective_ids=True):
                    raise WatchError(
                        f"{user.pw_name} cannot read {own}, which the program needs; install it "
                        "elsewhere, or give --user root, which keeps the name and no power"
                    )
            for file in named:
                if not os.access(file, os.R_OK, effective_ids=True):
                    self.log.warning("reload_will_fail", file=file, unreadable_for=user.pw_name)

    def _outlet(self, folder: Path | None) -> Outlet:
        try:
            return Outlet(
                self.parts.site,
                folder,
                eve=self.options.eve,
                sources=self.intake.sources,
                log=self.log,
            )
        except StoreError as error:
            raise WatchError(str(error)) from error

    def _make_engine(self) -> Engine:
        return self.parts.make_engine(self._see)

    def _after_reload(self, reload: Reload) -> None:
        """Go by what was read from now on."""
        if reload.parts is None:
            return
        before, self.parts = self.parts.site, reload.parts
        self._tell_warnings()
        site = self.parts.site
        self.outlet.change(site, self.intake.sources)
        self.bystanders.change(site, self._frames_now())
        self._change_listener(site)
        try:
            self.intake.change(site)
        except CaptureError as error:
            self.log.warning("interfaces_not_changed", reason=error, needs="a restart")
            # The filter must not go by networks that are the site's no more.
            with suppress(CaptureError):
                self.intake.change(replace(site, watch=before.watch))

    def _after_renewal(self, intake: Intake) -> None:
        self.intake = intake
        self.outlet.change(self.parts.site, intake.sources)

    def _frames_now(self) -> Nanoseconds | None:
        """Return the time that frames have now, None where only they know."""
        return self.clocks.wall() if self.options.follow is None else None

    def _see(
        self,
        looks: list[Look],
        batch: Batch,
        sources: list[Source],
        followed: Collection[int],
    ) -> None:
        self.bystanders.see(looks, batch, sources, followed)

    def _exposition(self) -> Exposition | None:
        """Begin to listen, if the site file does not say off; return what is told there."""
        settings = self.parts.site.metrics
        if settings.address is None:
            return None
        exposition = Exposition(
            maximum_cameras=settings.cameras, reserved_cameras=len(self.parts.site.devices)
        )
        self.listener = MetricsListener(settings, exposition)
        self.listener.start()
        self.log.info("metrics_served", address=settings.address, port=self.listener.port)
        return exposition

    def _change_listener(self, site: Site) -> None:
        was_listening = self.listener is not None
        if self.listener is None or site.metrics.address is None:
            if was_listening is not (site.metrics.address is not None):
                self.log.warning("metrics_not_changed", needs="a restart")
            return
        try:
            if not self.listener.reload(site.metrics):
                self.log.warning("metrics_not_changed", needs="a restart")
        except ConfigError as error:
            self.log.warning("metrics_not_changed", reason=error)

    def _tell_warnings(self) -> None:
        for warning in self.parts.site.warnings:
            self.log.warning("site_file_warning", text=warning)
