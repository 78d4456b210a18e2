"""The recipe for a mirror on Linux copies both directions, as the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from monitoring_servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs/how-to/mirror-port.md"
ASK = """
import socket
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.settimeout(5)
end.connect(("192.0.2.1", 9))
for _ in range(3):
    end.send(b"out")
    try:
        end.recv(1)
    except ConnectionRefusedError:
        pass  # the answer: nobody listens there
"""


def run(command: str, *more: str) -> str:
    done = subprocess.run(
        [*shlex.split(command), *more], capture_output=True, text=True, check=False
    )
    if "classifier not found" in done.stderr and "matchall" in command:
        # A kernel without it: u32 that asks for nothing is the same.
        return run(command.replace("matchall", "u32 match u32 0 0"), *more)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@contextmanager
def namespaces(*names: str) -> Iterator[list[str]]:
    """Make network namespaces, and take them away again."""
    made: list[str] = []
    try:
        for name in names:
            own = f"{name}-{os.getpid()}"
            run(f"ip netns add {own}")
            made.append(own)
        yield made
    finally:
        for own in made:
            run(f"ip netns del {own}")


@pytest.mark.program("tc")
def test_the_linux_mirror_copies_both_directions() -> None:
    if os.geteuid():
        pytest.skip("namespaces are for root")
    lines = re.findall(r"^    (tc \S+ add dev eth1 .*)$", PAGE.read_text(), re.MULTILINE)
    recipe = [line for line in lines if line.endswith(("clsact", "span0"))]
    assert len(recipe) == 3
    with namespaces("gateway", "camera") as (gateway, camera):
        run(f"ip -n {gateway} link add eth1 type veth peer cam0 netns {camera}")
        run(f"ip -n {gateway} link add span0 type veth peer sensor0")
        for line in recipe:
            run(f"ip netns exec {gateway} {line}")
        run(f"ip -n {gateway} address add 192.0.2.1/24 dev eth1")
        run(f"ip -n {camera} address add 192.0.2.2/24 dev cam0")
        for interface in ("span0", "sensor0", "eth1"):
            run(f"ip -n {gateway} link set {interface} up")
        run(f"ip -n {camera} link set cam0 up")
        run(f"ip netns exec {camera} {sys.executable} -c", ASK)
        passed = packets(gateway, "eth1", "rx") + packets(gateway, "eth1", "tx")
        assert packets(gateway, "eth1", "tx") >= 3
        assert packets(gateway, "sensor0", "rx") >= passed  # and what the mirror's end said itself


def packets(namespace: str, interface: str, way: str) -> int:
    text = run(f"ip -n {namespace} -statistics link show {interface}")
    found = re.search(rf"{way.upper()}: +bytes +packets.*\n +\d+ +(\d+)", text)
    assert found is not None, text
    return int(found[1])
