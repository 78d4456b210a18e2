"""Runs `egressd watch` as a child, with a service manager's socket and a folder to follow."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "from egressd.cli import main; main()"
# Root would become nobody, who may not be allowed to read this Python.
AS_USER = ["--user", "root"] if os.geteuid() == 0 else []
PATIENCE = 20.0  # seconds; a busy machine is slow


@dataclass
class Daemon:
    """One run after another over the same folder, state and EVE file."""

    home: Path
    code: str = PROGRAM
    environment: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)  # what the manager heard so far

    def __post_init__(self) -> None:
        for name in ("in", "state"):
            (self.home / name).mkdir(exist_ok=True)
        self.folder = self.home / "in"
        self.eve = self.home / "eve.json"
        self.site = self.home / "site.yaml"
        self.log = self.home / "log"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(self.home / "notify"))
        self.manager.setblocking(False)
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.manager.close()

    def start(self, *options: str, ready: bool = True) -> Self:
        """Start it; wait until it says that it is ready."""
        given = list(options) or ["--follow", str(self.folder), "--state", str(self.home / "state")]
        given += ["--eve", str(self.eve), *AS_USER]
        site = ["--site", str(self.site)] if self.site.exists() else []
        self.told.clear()
        with self.log.open("ab") as stream:
            self.child = subprocess.Popen(
                [sys.executable, "-c", self.code, "watch", *given, *site],
                env={
                    "PATH": os.environ["PATH"],
                    "NOTIFY_SOCKET": str(self.home / "notify"),
                    **self.environment,
                },
                cwd=ROOT,
                stderr=stream,
            )
        if ready:
            self.wait(lambda: "READY=1" in self.heard(), "ready")
        return self

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.child is not None
        self.child.send_signal(number)

    def stop(self) -> int:
        """End it in good order; return the exit status."""
        self.send(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """Wait for its end."""
        assert self.child is not None
        status = self.child.wait(PATIENCE)
        self.child = None
        return status

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is."""
        if self.child is not None:
            self.child.kill()
            self.child.wait(PATIENCE)
            self.child = None

    def heard(self) -> str:
        """Return all that the manager was told since the start."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told.append(self.manager.recv(4096).decode())
        return "\n".join(self.told)

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Wait until something holds."""
        until = time.monotonic() + PATIENCE
        while not holds():
            gone = self.child is not None and self.child.poll() is not None
            assert not gone, f"it ended: {self.log.read_text()}"
            assert time.monotonic() < until, f"not {what}: {self.log.read_text()}"
            time.sleep(0.01)

    def wait_logged(self, text: str) -> None:
        """Wait for a line of the log."""
        self.wait(lambda: text in self.log.read_text(), f"logged: {text}")

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return the whole EVE records of a kind so far."""
        if not self.eve.exists():
            return []
        whole = self.eve.read_text().rpartition("\n")[0]
        records = [json.loads(line) for line in whole.splitlines()]
        return [record for record in records if record["event_type"] == kind]

    def findings(self) -> list[str]:
        """Return the ids of the findings told so far, each as often as it was."""
        return [record["egressd"]["finding"] for record in self.records("alert")]
