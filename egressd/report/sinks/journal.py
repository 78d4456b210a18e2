"""The journal: one entry an alert, with fields to search by and a catalogue id for `journalctl -x`.

Through systemd-python where it is installed, else in the journal's own protocol
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): a datagram of fields, and where that is too long, a
sealed memory file whose descriptor travels instead.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egressd.report.sinks.post import failure_of
from egressd.report.sinks.told import told_of
from egressd.report.sinks.transport import Failure, Stay, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.model import Seconds
    from egressd.report.sinks.spool import Record
    from egressd.report.sinks.told import Told

SOCKET = "/run/systemd/journal/socket"
TIMEOUT: Seconds = 5.0  # a journal whose queue is full lets us wait
# syslog(3): critical, warning, notice.
PRIORITIES = {1: 2, 2: 4, 3: 5}
TOO_LONG = frozenset({errno.EMSGSIZE, errno.ENOBUFS})

# The entries of deploy/systemd/egressd.catalog; an id once given stays with its rule for good.
MESSAGE_IDS = {
    "cloud-contact": "bc4d9cbd22294191be38044bfd1f2b34",
    "unlisted-destination": "a9c3dbbde42d4c8fbe51530749050805",
    "cloud-lookup": "e76ee755022f4dc5a31e06fc42020b3a",
    "foreign-resolver": "a0e3f42cad1643c58817f49bc7af2d65",
    "foreign-time-server": "cb730fa628d047e29a1e8de85e725281",
    "inbound-connection": "d41abe392c0d424caac20346942928fa",
    "scan": "deb4781a44474e02b4146a34afecb47e",
}
OTHER_MESSAGE_ID = "0ed483ca8be64a00a786d5674bfef5d0"  # of a rule that has no entry yet

Fields = list[tuple[str, str]]


class Journal(Stay):
    """The journal of this machine."""

    batch = 16

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._library = find_library() if path == SOCKET else None
        self._socket: socket.socket | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        """Write one entry an alert."""
        for number, record in enumerate(records):
            fields = fields_of(told_of(record))
            try:
                self._write(fields)
            except OSError as error:
                self.close()
                failure = failure_of(error, "journal")
                failure.delivered = number
                raise failure from error

    def renew(self) -> None:
        """Begin with a new socket."""
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _write(self, fields: Fields) -> None:
        if self._library is None:
            self._send(encoded(fields))
            return
        # The library says nothing where no journal runs, and the alert would be lost.
        if not Path(self._path).exists():
            raise UnreachableError(Failure.CONNECT, "journal: is not running")
        self._library.sendv(*(f"{key}={value}" for key, value in fields))

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(TIMEOUT)
        try:
            self._socket.sendto(datagram, self._path)
        except OSError as error:
            if error.errno not in TOO_LONG:
                raise
            self._send_file(self._socket, datagram)

    def _send_file(self, sock: socket.socket, datagram: bytes) -> None:
        descriptor = os.memfd_create("egressd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            rest = memoryview(datagram)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
            sock.sendmsg([], rights, 0, self._path)
        finally:
            os.close(descriptor)


def find_library() -> Any | None:
    """Return systemd-python's journal module where it is installed."""
    try:
        return importlib.import_module("systemd.journal")
    except ImportError:
        return None


def fields_of(told: Told) -> Fields:
    """Return the fields of an entry; a field may come more than once, as names do."""
    body, far = told.body, told.destination
    fields: Fields = [
        ("MESSAGE", told.reason),
        ("MESSAGE_ID", MESSAGE_IDS.get(told.rule, OTHER_MESSAGE_ID)),
        ("PRIORITY", str(PRIORITIES.get(told.severity, max(PRIORITIES.values())))),
        ("SYSLOG_IDENTIFIER", "egressd"),
        ("EGRESSD_ID", told.id),
        ("EGRESSD_FINDING", told.finding),
        ("EGRESSD_RULE", told.rule),
        ("EGRESSD_SEVERITY", str(told.severity)),
        ("EGRESSD_STAGE", told.stage),
        ("EGRESSD_SITE", told.site or ""),
        ("EGRESSD_CAMERA", told.camera),
        ("EGRESSD_CAMERA_ID", told.camera_id),
        ("EGRESSD_DESTINATION", told.destination_text),
        *(("EGRESSD_NAME", name) for name in told.names),
        *(("EGRESSD_COUNTRY", str(place.get("code"))) for place in far.get("country") or ()),
        ("EGRESSD_SERVICE", str(far.get("service") or "")),
        ("EGRESSD_PARTY", str(far.get("party") or "")),
        ("EGRESSD_EVE", told.text),
    ]
    fields += [
        (f"EGRESSD_{key.upper()}", str(body[key]))
        for key in ("direction", "protocol", "bytes_out", "bytes_in", "first", "last")
        if body.get(key) is not None
    ]
    return list(dict.fromkeys(field for field in fields if field[1]))


def encoded(fields: Fields) -> bytes:
    """Return fields in the journal's native protocol; a value of several lines has its length."""
    parts = []
    for key, value in fields:
        name, content = key.encode("ascii"), value.encode("utf-8", "backslashreplace")
        if b"\n" in content:
            parts += [name, b"\n", struct.pack("<Q", len(content)), content, b"\n"]
        else:
            parts += [name, b"=", content, b"\n"]
    return b"".join(parts)
