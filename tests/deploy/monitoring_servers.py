"""Real servers for a test: on loopback, on free ports, with folders of their own, and ended."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressd.yamlfile import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
START_SECONDS = 30.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at a URL."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON that stands at a path."""
        address = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def post(self, path: str, value: object) -> None:
        """Send JSON to a path."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path, json.dumps(value).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - loopback


def yaml_of(path: Path) -> Json:
    """Return what a YAML file says."""
    document = load_yaml(path)
    assert not document.problems
    assert isinstance(document.value, dict)
    return document.value


@contextmanager
def prometheus(folder: Path, target_port: int) -> Iterator[Server]:
    """Run Prometheus with the shipped configuration, made quick, on one egressd."""
    config = yaml_of(DEPLOY / "prometheus/prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    del config["alerting"]
    (scrape,) = config["scrape_configs"]
    (static,) = scrape["static_configs"]
    static["targets"] = [f"127.0.0.1:{target_port}"]
    static["labels"]["instance"] = "sensor-1"  # rather than a port that is another one each time
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    port = free_port()
    arguments = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with _running(arguments, folder, f"http://127.0.0.1:{port}") as server:
        yield server


@contextmanager
def alertmanager(folder: Path) -> Iterator[Server]:
    """Run Alertmanager with the shipped configuration, alone."""
    port = free_port()
    arguments = [
        "prometheus-alertmanager",
        f"--config.file={DEPLOY / 'alertmanager/alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]
    with _running(arguments, folder, f"http://127.0.0.1:{port}") as server:
        yield server


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(arguments: list[str], folder: Path, url: str) -> Iterator[Server]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_for(process, url, folder / "log")
            yield Server(url)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()  # noqa: S310 - loopback
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{process.args!r} did not start: {log.read_text()}")
