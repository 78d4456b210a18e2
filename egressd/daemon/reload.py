"""What the daemon is made of, read from files: at the start, and again in a thread of its own.

A file that cannot be used leaves everything as it was; why is told.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.config import default_site, load_site
from egressd.model import ConfigError, RuleError

if TYPE_CHECKING:
    from pathlib import Path

    from egressd.attribute.services import Services
    from egressd.config import Site
    from egressd.engine import Engine, Witnessing


@dataclass(frozen=True, slots=True)
class Files:
    """The files that say how to judge, as the command line names them."""

    site: Path | None = None
    rules: tuple[Path, ...] = ()
    geo: tuple[Path, ...] = ()
    judge_all: bool = False  # every host on site, not cameras only
    log_all: bool = False  # EVE records of every flow, not of judged ones only


@dataclass(frozen=True, slots=True)
class Parts:
    """What was read from them."""

    files: Files
    site: Site
    services: Services
    geo: Geo

    def make_engine(self, witness: Witnessing) -> Engine:
        """Return an engine that knows nothing yet; `witness` is shown its looks."""
        return assemble(
            self.site,
            services=self.services,
            geo=self.geo,
            judge="all" if self.files.judge_all else "cameras",
            log="all" if self.files.log_all else "judged",
            witness=witness,
        )


def load_parts(files: Files) -> Parts:
    """Read all files; ConfigError, RuleError or OSError where one cannot be used."""
    services = load_services(files.rules)
    site = default_site() if files.site is None else load_site(files.site, services.vendors)
    return Parts(files, site, services, Geo(files.geo))


class Reload:
    """One reload: a thread that reads while the loop goes on, then what came of it."""

    def __init__(self, files: Files, witness: Witnessing) -> None:
        self.parts: Parts | None = None
        self.engine: Engine | None = None
        self.problem = "an error of egressd itself, told above"
        self._files = files
        self._witness = witness
        self._thread = threading.Thread(target=self._read, name="reload", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has been read, or failed."""
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            parts = load_parts(self._files)
            self.engine = parts.make_engine(self._witness)
            self.parts = parts
            self.problem = ""
        except (ConfigError, RuleError, OSError) as error:
            self.problem = _first_line(str(error))


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or ["no reason given"]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + more
