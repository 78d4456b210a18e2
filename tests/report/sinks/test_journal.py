"""The journal: the native protocol to the byte, long entries, the library, a real journald."""

from __future__ import annotations

import array
import fcntl
import importlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from sink_stage import can_mount, plain_record, record

from egressd.judge.findings import Rule
from egressd.model import Camera, Evidence, Stage
from egressd.report.sinks import journal as journal_module
from egressd.report.sinks.journal import (
    MESSAGE_IDS,
    OTHER_MESSAGE_ID,
    SOCKET,
    Journal,
    encoded,
    fields_of,
)
from egressd.report.sinks.told import told_of
from egressd.report.sinks.transport import Failure, RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
CATALOG = ROOT / "deploy/systemd/egressd.catalog"
JOURNALD = "/lib/systemd/systemd-journald"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(str(tmp_path / "socket"))
    yield made
    made.close()


def read(datagram: bytes) -> dict[str, list[str]]:
    """Read the native protocol as journald does; returns each field with its values."""
    fields: dict[str, list[str]] = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, datagram = rest[8 : 8 + length], rest[8 + length :]
            assert datagram[:1] == b"\n"
            datagram = datagram[1:]
        else:
            datagram = rest
        fields.setdefault(key.decode(), []).append(value.decode())
    return fields


def test_an_entry_has_fields_to_search_by(journal: Journal, listener: socket.socket) -> None:
    one = record(1)
    journal.deliver([one])
    assert read(listener.recv(65536)) == {
        "MESSAGE": ["gate-1 reached dev.example.com (f-1)"],
        "MESSAGE_ID": ["bc4d9cbd22294191be38044bfd1f2b34"],
        "PRIORITY": ["2"],
        "SYSLOG_IDENTIFIER": ["egressd"],
        "EGRESSD_ID": ["f-1-payload-1"],
        "EGRESSD_FINDING": ["f-1"],
        "EGRESSD_RULE": ["cloud-contact"],
        "EGRESSD_SEVERITY": ["1"],
        "EGRESSD_STAGE": ["payload"],
        "EGRESSD_SITE": ["Depot North"],
        "EGRESSD_CAMERA": ["gate-1"],
        "EGRESSD_CAMERA_ID": ["00:00:5e:00:53:01"],
        "EGRESSD_DESTINATION": ["192.0.2.7:443/tcp"],
        "EGRESSD_NAME": ["dev.example.com"],
        "EGRESSD_COUNTRY": ["CN"],
        "EGRESSD_PARTY": ["vendor"],
        "EGRESSD_EVE": [one.text],
        "EGRESSD_DIRECTION": ["outbound"],
        "EGRESSD_PROTOCOL": ["tls"],
        "EGRESSD_BYTES_OUT": ["1234"],
        "EGRESSD_BYTES_IN": ["567"],
        "EGRESSD_FIRST": ["2026-11-22T12:00:00.000000+0000"],
        "EGRESSD_LAST": ["2026-11-22T12:00:12.000000+0000"],
    }


def test_a_value_of_several_lines_has_its_length() -> None:
    assert encoded([("A", "x=y"), ("B", "1\n2")]) == b"A=x=y\nB\n\x03\0\0\0\0\0\0\x001\n2\n"


@pytest.mark.parametrize(("severity", "priority"), [(1, "2"), (2, "4"), (3, "5")])
def test_the_priority_is_of_the_severity(severity: int, priority: str) -> None:
    fields = dict(fields_of(told_of(record(1, severity=severity))))
    assert fields["PRIORITY"] == priority


def test_an_entry_too_long_for_a_datagram_travels_in_a_sealed_file(
    journal: Journal, listener: socket.socket
) -> None:
    evidence = [Evidence("oui", "x" * 1000, 0.5) for _ in range(1000)]
    one = record(1, camera=Camera(id="x", name="gate-1", evidence=evidence))
    journal.deliver([one])
    content, ancillary, _, _ = listener.recvmsg(10, socket.CMSG_SPACE(4))
    assert content == b""
    descriptor = array.array("i", ancillary[0][2])[0]
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        assert seals == (
            fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        )
        size = os.fstat(descriptor).st_size
        assert size > 1_000_000
        assert read(os.pread(descriptor, size, 0))["EGRESSD_EVE"] == [one.text]
    finally:
        os.close(descriptor)


def test_without_a_journal_alerts_wait(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(UnreachableError) as caught:
        journal.deliver([record(1)])
    assert caught.value.failure is Failure.CONNECT
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        journal.deliver([record(1)])
        assert read(sock.recv(65536))["EGRESSD_ID"] == ["f-1-payload-1"]


def test_a_journal_that_was_restarted_gets_the_next_entry(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "socket"
    for n in (1, 2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(path))
            journal.deliver([record(n)])
            assert read(sock.recv(65536))["EGRESSD_FINDING"] == [f"f-{n}"]
        path.unlink()


def test_a_journal_that_takes_nothing_is_a_time_out_and_says_what_arrived(
    journal: Journal, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TIMEOUT", 0.1)
    with pytest.raises(UnreachableError) as caught:
        journal.deliver([record(n) for n in range(1, 2000)])
    assert caught.value.failure is Failure.TIMEOUT
    arrived = caught.value.delivered
    assert arrived > 0
    listener.setblocking(False)
    got = 0
    try:
        while listener.recv(65536):
            got += 1
    except BlockingIOError:
        pass
    assert got == arrived


def test_what_is_no_alert_is_refused(journal: Journal) -> None:
    with pytest.raises(RefusedError):
        journal.deliver([plain_record(1, "{}")])


# ---- systemd-python ------------------------------------------------------------------------------


class Library:
    """Stands in for systemd.journal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, running: bool = True) -> None:
        self.entries: list[tuple[str, ...]] = []

        def sendv(*fields: str) -> None:
            self.entries.append(fields)

        monkeypatch.setattr(importlib, "import_module", lambda _: SimpleNamespace(sendv=sendv))
        monkeypatch.setattr(Path, "exists", lambda _: running)


def test_the_library_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(monkeypatch)
    Journal().deliver([record(1), record(2)])
    assert [entry[0] for entry in library.entries] == [
        "MESSAGE=gate-1 reached dev.example.com (f-1)",
        "MESSAGE=gate-1 reached dev.example.com (f-2)",
    ]
    assert "EGRESSD_CAMERA=gate-1" in library.entries[0]


def test_the_librarys_silence_where_no_journal_runs_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library(monkeypatch, running=False)
    with pytest.raises(UnreachableError, match="not running"):
        Journal().deliver([record(1)])
    assert library.entries == []


def test_without_the_library_the_socket_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    assert journal_module.find_library() is None


# ---- the catalogue -------------------------------------------------------------------------------


def test_every_rule_has_its_entry_in_the_catalogue() -> None:
    assert MESSAGE_IDS.keys() == {rule.value for rule in Rule}
    ids = [*MESSAGE_IDS.values(), OTHER_MESSAGE_ID]
    assert re.findall("^-- ([0-9a-f]{32})$", CATALOG.read_text(), re.MULTILINE) == ids
    assert len(set(ids)) == len(ids)


def test_a_rule_without_an_entry_has_a_message_id_all_the_same() -> None:
    fields = dict(fields_of(told_of(record(1, rule="not-yet"))))
    assert fields["MESSAGE_ID"] == OTHER_MESSAGE_ID


def test_the_catalogue_shows_only_fields_that_entries_have() -> None:
    shown = set(re.findall("@([A-Z_]+)@", CATALOG.read_text()))
    assert shown <= set(dict(fields_of(told_of(record(1, stage=Stage.MEDIA)))))


@pytest.mark.program("journalctl")
def test_journalctl_takes_the_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    for command in ("--update-catalog", "--list-catalog"):
        done = subprocess.run(
            ["journalctl", f"--root={tmp_path}", command],
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
    listed = [line.split()[0] for line in done.stdout.splitlines() if "egressd:" in line]
    assert set(listed) == {*MESSAGE_IDS.values(), OTHER_MESSAGE_ID}


# ---- a real journal ------------------------------------------------------------------------------

IN_ITS_OWN_RUN = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nReadKMsg=no\\nAudit=no\\n' >/run/systemd/journald.conf.d/quiet.conf
{journald} & journald=$!
for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.05; done
"$@" || exit 1
journalctl -D /run/log/journal --sync >/dev/null 2>&1
for _ in $(seq 100); do
    [ "$(journalctl -D /run/log/journal -q -t egressd -o cat | wc -l)" -ge 4 ] && break; sleep 0.05
done
kill $journald
wait $journald
journalctl -D /run/log/journal -q -t egressd -o json --all
"""
WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from sink_stage import record
from egressd.model import Camera, Evidence
from egressd.report.sinks.journal import Journal
long = Camera(id="x", name="long", evidence=[Evidence("oui", "x" * 1000, 0.5)] * 500)
journal = Journal()
journal.deliver([record(1), record(2, reason="two\\nlines"), record(3, camera=long)])
journal.close()
"""


@pytest.mark.program("journalctl")
def test_journald_reads_what_we_write(tmp_path: Path) -> None:
    if not can_mount(tmp_path) or not Path(JOURNALD).exists():
        pytest.skip("nobody may give a journald a /run of its own here, or there is none")
    if not Path("/etc/machine-id").is_file() or not Path("/etc/machine-id").read_text().strip():
        pytest.skip("journald needs a machine id, and this machine has none")
    assert SOCKET == "/run/systemd/journal/socket"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", IN_ITS_OWN_RUN.replace("{journald}", JOURNALD), "sh",
         sys.executable, "-c", WRITER, str(Path(__file__).parent)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["EGRESSD_FINDING"] for entry in entries] == ["f-1", "f-2", "f-3"], done.stderr
    assert entries[1]["MESSAGE"] == "two\nlines"
    assert entries[0]["MESSAGE_ID"] == MESSAGE_IDS["cloud-contact"]
    assert entries[0]["EGRESSD_CAMERA"] == "gate-1"
    assert len(entries[2]["EGRESSD_EVE"]) > 500_000
