"""The programs that are measured, and how each is told to read a capture.

Each is run as its own documentation would have it, one at a time, with what it
prints thrown away or counted. Where a program says how many frames it read, that
number is checked: a program that stops early is not fast.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
EGRESSD = "egressd"
EGRESSD_EVE = "egressd --eve"
NDPI = "ndpiReader"
NFSTREAM = "nfstream"
DPKT = "dpkt"
TSHARK_FIELDS = "tshark fields"
TSHARK_CONVERSATIONS = "tshark conv"

EGRESSD_FRAMES = re.compile(r"^([0-9,]{1,20}) frames?, ", re.MULTILINE)  # above its table
NDPI_VERSION = re.compile(r"nDPI \(([^)]{1,40})\)|nDPI ([0-9][0-9.]{0,20})")
NDPI_PACKETS = re.compile(r"^\s*IP packets:\s+([0-9]+)\s+of ([0-9]+) packets total", re.MULTILINE)
FIELDS = (
    *("frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "udp.srcport"),
    *("udp.dstport", "dns.qry.name", "tls.handshake.extensions_server_name", "http.host"),
)


@dataclass(frozen=True, slots=True)
class Task:
    """One capture to be read by one program."""

    capture: Path
    site: Path
    eve: Path  # where EVE lines may go; not there before the run


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is on this machine."""

    name: str
    version: str
    shown: str  # the command, as a person would type it
    does: str
    command: Callable[[Task], list[str]]
    frames: Callable[[str], int | None] | None  # reads what it says it read; None: it never says
    slow: bool = False  # gets the slice of every kind
    accepted: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class Absent:
    """A program that is not measured."""

    name: str
    reason: str


def find_programs(nfstream_python: Path | None) -> list[Program | Absent]:
    """Return every program, present or not, egressd first."""
    return [
        *_egressd(),
        _ndpi(),
        _nfstream(nfstream_python),
        _dpkt(),
        *_tshark(),
    ]


def egressd_path() -> str | None:
    """Return the egressd of this interpreter, or the one on the path."""
    beside = Path(sys.executable).with_name("egressd")
    return str(beside) if beside.exists() else shutil.which("egressd")


def read_egressd_frames(output: str) -> int | None:
    """Return how many frames egressd says it looked at, None if it does not say."""
    found = EGRESSD_FRAMES.search(output)
    digits = found[1].replace(",", "") if found else ""
    return int(digits) if digits else None


def read_ndpi_frames(output: str) -> int | None:
    """Return how many packets ndpiReader says the file held, None if it does not say."""
    found = NDPI_PACKETS.search(output)
    return int(found[2]) if found else None


def read_ndpi_version(output: str) -> str:
    """Return nDPI's version out of what ndpiReader prints first."""
    found = NDPI_VERSION.search(output)
    return (found[1] or found[2]) if found else "of unknown version"


def read_loop_frames(output: str) -> int | None:
    """Return the count which our own loops print."""
    words = output.split()
    return int(words[0]) if words[1:] == ["frames"] and words[0].isdecimal() else None


def _egressd() -> list[Program | Absent]:
    found = egressd_path()
    if found is None:
        return [Absent(EGRESSD, "not installed"), Absent(EGRESSD_EVE, "not installed")]
    egressd: str = found
    release = version("egressd")

    def command(task: Task) -> list[str]:
        return [egressd, "replay", str(task.capture), "--site", str(task.site)]

    return [
        Program(
            EGRESSD,
            release,
            "egressd replay FILE --site SITE",
            "all features; the table is thrown away",
            command,
            read_egressd_frames,
            accepted=frozenset({0, 1}),
        ),
        Program(
            EGRESSD_EVE,
            release,
            "egressd replay FILE --site SITE --eve EVE --log judged",
            "all features; EVE lines of every judged flow written to a file",
            lambda task: [*command(task), "--eve", str(task.eve), "--log", "judged"],
            read_egressd_frames,
            accepted=frozenset({0, 1}),
        ),
    ]


def _ndpi() -> Program | Absent:
    if shutil.which("ndpiReader") is None:
        return Absent(NDPI, "not installed (Debian: libndpi-bin)")
    return Program(
        NDPI,
        read_ndpi_version(_said(["ndpiReader", "-h"])),
        "ndpiReader -i FILE",
        "flows and their protocols; the summary is thrown away",
        lambda task: ["ndpiReader", "-i", str(task.capture)],
        read_ndpi_frames,
    )


def _nfstream(python: Path | None) -> Program | Absent:
    if python is None:
        return Absent(NFSTREAM, "not asked for (--nfstream)")
    script = str(HERE / "loop_nfstream.py")
    ask = "import importlib.metadata as m; print(m.version('nfstream'))"
    release = _said([str(python), "-c", ask]).strip()
    if not release or "\n" in release:
        return Absent(NFSTREAM, "could not be installed")
    return Program(
        NFSTREAM,
        release,
        "bench/loop_nfstream.py FILE",
        "flows and their protocols",
        lambda task: [str(python), script, str(task.capture)],
        read_loop_frames,
        slow=True,
    )


def _dpkt() -> Program:
    return Program(
        DPKT,
        version("dpkt"),
        "python -m bench.loop_dpkt FILE",
        "Ethernet() of every frame, packets and bytes by five-tuple",
        lambda task: [sys.executable, str(HERE / "loop_dpkt.py"), str(task.capture)],
        read_loop_frames,
        slow=True,
    )


def _tshark() -> list[Program | Absent]:
    if shutil.which("tshark") is None:
        return [Absent(name, "not installed") for name in (TSHARK_FIELDS, TSHARK_CONVERSATIONS)]
    words = _said(["tshark", "--version"]).split()
    release = next((word.rstrip(".") for word in words if word[0].isdigit()), "of unknown version")
    fields = [part for name in FIELDS for part in ("-e", name)]
    return [
        Program(
            TSHARK_FIELDS,
            release,
            "tshark -n -r FILE -T fields -e (five-tuple, DNS, SNI, HTTP Host)",
            "full dissection; a line for every frame",
            lambda task: ["tshark", "-n", "-r", str(task.capture), "-T", "fields", *fields],
            _count_lines,
            slow=True,
        ),
        Program(
            TSHARK_CONVERSATIONS,
            release,
            "tshark -n -r FILE -q -z conv,tcp -z conv,udp",
            "conversations only",
            lambda task: [
                *("tshark", "-n", "-r", str(task.capture)),
                *("-q", "-z", "conv,tcp", "-z", "conv,udp"),
            ],
            None,
            slow=True,
        ),
    ]


def _count_lines(output: str) -> int:
    return output.count("\n")


def _said(command: list[str]) -> str:
    """Return what a program prints, on both streams, or nothing if it does not run."""
    try:
        done = subprocess.run(  # noqa: S603 - programs named above
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.stdout.strip() else done.stderr
