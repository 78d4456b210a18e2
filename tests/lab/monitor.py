"""The monitor of a lab site: `egressd watch` on the mirror port, and a recorder beside it.

What was found comes back in one shape, `Told`, whether it was told live or by a replay.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labsite import COLLECTOR, LAST_NAME, LAST_PORT, Count, OneWay
from namespaces import PATIENCE_SECONDS, end, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labsite import LabSite

PROGRAM = (sys.executable, "-c", "from egressd.cli import main; main()")
# Root would become nobody, who may not be allowed to read this Python.
AS_USER = ("--user", "root")
LAST_LABEL = LAST_NAME.encode().partition(b".")[0]  # as it stands in a frame
SENSOR = ("coverage", "stats")  # what is told of the sensor, not of the site
MIRROR = "mirror0"

Record = dict[str, Any]


class Told(NamedTuple):
    """One finding as far as a SIEM sees it."""

    camera: str  # the name in the site file, else its MAC
    rule: str
    ip: str | None
    port: int | None
    transport: str
    stage: str
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Events:
    """The EVE records of one run."""

    lines: list[str]

    @classmethod
    def load(cls, path: Path) -> Events:
        """Read the whole lines of a file that may still grow."""
        return cls(path.read_text().split("\n")[:-1] if path.exists() else [])

    @property
    def records(self) -> list[Record]:
        """The lines as objects."""
        return [json.loads(line) for line in self.lines]

    def findings(self) -> list[Told]:
        """Return the findings at their last telling."""
        last = {record["egressd"]["finding"]: record["egressd"] for record in self.of("alert")}
        return sorted((told_of(alert) for alert in last.values()), key=str)

    def counts(self) -> dict[OneWay, Count]:
        """Return what the flows add up to, each direction by itself; the last frame is left out."""
        counts: dict[OneWay, Count] = {}
        for flow in self.of("flow"):
            if flow["proto"] not in ("TCP", "UDP") or flow["src_port"] == LAST_PORT:
                continue
            ends = (flow["src_ip"], flow["src_port"], flow["dest_ip"], flow["dest_port"])
            way = OneWay(*ends, flow["proto"].lower())
            for one, to in ((way, "toserver"), (way.reverse, "toclient")):
                more = Count(flow["flow"][f"pkts_{to}"], flow["flow"][f"bytes_{to}"])
                if more.packets:
                    counts[one] = counts.get(one, Count(0, 0)) + more
        return counts

    def exchanged_by(self, finding: Told) -> tuple[Count, Count]:
        """Return what the camera's flows with a finding's far end sent out and got in."""
        out, back = Count(0, 0), Count(0, 0)
        for flow in self.of("flow"):
            ours = flow.get("egressd", {})
            camera = ours.get("camera")
            ends = [(flow[f"{end}_ip"], flow.get(f"{end}_port")) for end in ("src", "dest")]
            if (
                camera is not None
                and finding.camera in (camera["name"], camera["mac"])
                and (finding.ip, finding.port) in ends
                and flow["proto"].lower() == finding.transport
            ):
                out += Count(ours["packets_out"], ours["bytes_out"])
                back += Count(ours["packets_in"], ours["bytes_in"])
        return out, back

    def coverage(self) -> Record:
        """Return how much was looked at, as last told."""
        last: Record = self.of("coverage")[-1]["egressd"]["coverage"]
        return last

    def of(self, kind: str) -> list[Record]:
        """Return the records of a kind."""
        return [record for record in self.records if record["event_type"] == kind]

    def lines_of_the_site(self) -> list[str]:
        """Return all lines, as they stand there, but those on the sensor."""
        pairs = zip(self.lines, self.records, strict=True)
        return [line for line, record in pairs if record["event_type"] not in SENSOR]


@dataclass
class Monitor:
    """What runs in the monitor's namespace."""

    site: LabSite
    folder: Path
    site_file: str
    environment: dict[str, str] = field(default_factory=dict)
    _watch: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("watch", "ring", "mirror"):
            (self.folder / name).mkdir(parents=True)
        resolver = self.folder / "resolv.conf"
        resolver.write_text(f"nameserver {COLLECTOR}\noptions timeout:1 attempts:1\n")
        # Names are asked for on the management network, if any are: `ip netns exec` has given us
        # file systems of our own.
        script = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
        self._inside = ("sh", "-c", script, "sh")
        self.site_path = self.folder / "site.yaml"
        self.site_path.write_text(self.site_file)
        self.eve = self.folder / "watch" / "eve.json"
        self.log = self.folder / "watch" / "log"
        self.ring = self.folder / "ring" / MIRROR  # so called that a replay names its source so
        self.mirror = self.folder / "mirror" / MIRROR
        self._recorder: subprocess.Popen[bytes] | None = None
        self._program = PROGRAM

    def record(self) -> None:
        """Record what the daemon's ring sees, and what the whole mirror carries."""
        command = ("dumpcap", "-q", "-i", MIRROR, "-w", str(self.mirror))
        self._recorder = self.site.start("monitor", *command)
        script = str(Path(__file__).with_name("ringrecorder.py"))
        self._program = (sys.executable, script, str(self.ring))

    def start_watch(self, *options: str) -> None:
        """Start the daemon; it takes a moment until it is ready."""
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(self.folder / "notify"))
        self._manager.settimeout(0.05)
        self.site.at_end(self._manager.close)
        given = ("watch", MIRROR, "--site", str(self.site_path), "--log", "all", *AS_USER, *options)
        with self.log.open("ab") as log:
            watch = subprocess.Popen(
                self.site.spaces.command("monitor", *self._inside, *self._program, *given),
                env={
                    "PATH": os.environ["PATH"],
                    "NOTIFY_SOCKET": str(self.folder / "notify"),
                    **self.environment,
                },
                cwd=self.folder / "watch",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.site.at_end(lambda: end(watch))
        self._watch = watch

    def wait_until_all_listen(self) -> None:
        """Wait until the daemon says that it is ready, and the recorders have begun."""
        self.wait(self._is_ready, "ready")
        if self._recorder is not None:
            self.wait(self.mirror.exists, "recording")

    def wait_until_all_have_seen(self) -> None:
        """Wait until the last frame of the scenario has come everywhere."""
        self.wait(lambda: LAST_LABEL in self.eve.read_bytes(), "told of the last frame")
        if self._recorder is not None:
            self.wait(lambda: LAST_LABEL in self.mirror.read_bytes(), "recorded whole")

    def send(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        assert self._watch is not None
        self._watch.send_signal(number)

    def run_python(self, program: str) -> None:
        """Run other Python in the daemon's place, to its end."""
        run(*self.site.spaces.command("monitor", *self._inside, sys.executable, "-c", program))

    def stop(self) -> int:
        """End everything in good order; return the daemon's status."""
        if self._recorder is not None:
            end(self._recorder, kindly=[signal.SIGTERM])
        assert self._watch is not None
        return end(self._watch, kindly=[signal.SIGTERM])

    def replay(self, capture: Path) -> Events:
        """Replay a recording; it names its sources as the daemon does."""
        command = ("replay", capture.name, "--site", str(self.site_path), "--log", "all")
        done = subprocess.run(
            [*PROGRAM, *command, "--eve", "eve.json", "--fail-on", "never"],
            cwd=capture.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Events.load(capture.parent / "eve.json")

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Wait until something holds."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            gone = self._watch is not None and self._watch.poll() is not None
            assert not gone, f"it ended: {self._logs()}"
            assert time.monotonic() < until, f"not {what}: {self._logs()}"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return "READY=1" in self._manager.recv(4096).decode()
        except TimeoutError:
            return False

    def _logs(self) -> str:
        logs: Iterable[Path] = (self.log, *self.site.folder.glob("*.log"))
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in logs if log.exists())


def told_of(alert: Record) -> Told:
    """Return the finding of an alert."""
    camera, far = alert["camera"], alert["destination"]
    return Told(
        camera["name"] or camera["mac"],
        alert["rule"],
        far["ip"],
        far["port"],
        far["transport"],
        alert["stage"],
        tuple(sorted({name["name"] for name in far["names"]})),
    )
