"""The canary: a signed datagram that must pass the mirror every minute, or the monitor is blind.

A mirror that died looks like a site where nothing happens. So a host on the camera network sends
one datagram an interval to the gateway's own address, where nobody listens, and whoever watches the
mirror must see it pass. What is missing between two numbers was lost on the way: seen and sent give
the capture efficiency. Who sends is `canarysender`; here nothing touches a network, and time is the
frames' time.

    magic "EGRCNRY" (7) | version 1 (1) | name length (1) | reserved, 0 (7) | run (8)
    | number (8) | sent, nanoseconds since 1970 (8) | name, UTF-8 | HMAC-SHA256 of all before (32)

Integers are big-endian. `run` is random, anew each time a sender starts, and `number` counts from 1
in it. A datagram is trusted if its signature is right, the time in it is near the frame's, and it
is newer than the last one trusted of that name; so one that was recorded and sent again is not.
"""

from __future__ import annotations

import hmac
import struct
from collections import OrderedDict
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from egressd.model import NANOSECONDS_PER_SECOND, ConfigError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from egressd.model import Nanoseconds
    from egressd.settings.canary import CanarySettings

COPY_SECONDS = 2  # a mirror that shows a frame twice does so at once
MAGIC = b"EGRCNRY"
VERSION = 1
HEADER = struct.Struct(">7sBB7xQQQ")
SIGNATURE_BYTES = 32
NAME_BYTES = 64
KEY_BYTES = 16  # at least, of a key's text
LONGEST_KEY = 4096
MAXIMUM_NAMES = 64
ANY = ""  # stands for the name where none is configured


@dataclass(frozen=True, slots=True)
class CanaryMessage:
    """One datagram, trusted or not."""

    name: str
    run: int
    number: int
    sent: Nanoseconds
    signed: bytes  # what the signature is over
    signature: bytes


def write_canary(key: bytes, name: str, run: int, number: int, sent: Nanoseconds) -> bytes:
    """Return a datagram's payload."""
    text = name.encode()
    if not 0 < len(text) <= NAME_BYTES:
        raise ValueError(f"{name!r}: a canary's name has 1 to {NAME_BYTES} bytes")
    signed = HEADER.pack(MAGIC, VERSION, len(text), run, number, sent) + text
    return signed + hmac.digest(key, signed, "sha256")


def read_canary(payload: bytes) -> CanaryMessage | None:
    """Return a canary's datagram, or None if it is anything else; the signature is not checked."""
    if not payload.startswith(MAGIC):
        return None
    if len(payload) < HEADER.size + SIGNATURE_BYTES:
        raise DecodeError("canary", "cut")
    _, version, length, run, number, sent = HEADER.unpack_from(payload)
    if version != VERSION:
        raise DecodeError("canary", "unknown version")
    end = HEADER.size + length
    if len(payload) != end + SIGNATURE_BYTES or not 0 < length <= NAME_BYTES:
        raise DecodeError("canary", "length")
    try:
        name = payload[HEADER.size : end].decode()
    except UnicodeDecodeError:
        raise DecodeError("canary", "name") from None
    return CanaryMessage(name, run, number, sent, payload[:end], payload[end:])


def is_signed(message: CanaryMessage, key: bytes) -> bool:
    """Tell whether whoever sent it has the key."""
    return hmac.compare_digest(hmac.digest(key, message.signed, "sha256"), message.signature)


def load_key(path: Path) -> bytes:
    """Read a key file: one line of text, which is the key; others must not be able to read it."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as stream:
            key = stream.read(LONGEST_KEY + 1).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: {reason}; make a key with: openssl rand -hex 32") from None
    if mode & 0o007:
        raise ConfigError(f"{path}: everybody can read this key; say: chmod o= {path}")
    if not KEY_BYTES <= len(key) <= LONGEST_KEY or b"\n" in key:
        raise ConfigError(
            f"{path}: is no key; write one line of {KEY_BYTES} characters or more, such as "
            "openssl rand -hex 32 prints"
        )
    return key


class CanaryState(Enum):
    """What the canary says of the mirror."""

    WAITING = "waiting"  # none has come yet, and none had to
    SEEING = "seeing"
    BLIND = "blind"  # one that had to come did not


@dataclass(slots=True)
class CanaryCounts:
    """What was heard of canaries since the start."""

    seen: int = 0  # trusted
    sent: int = 0  # as their numbers tell
    copies: int = 0  # frames that the mirror showed twice
    forged: int = 0  # the signature is wrong
    replayed: int = 0  # older than one that was trusted
    untimely: int = 0  # the time in it is far from the frame's
    broken: int = 0  # a canary by its first bytes, and cut or misshapen
    strangers: int = 0  # signed, and of no name that is expected


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """How things stand at a moment: a state, and one sentence why."""

    state: CanaryState
    reason: str


@dataclass(slots=True)
class _Bird:
    """The last datagram trusted of one name; `at` is its frame's time."""

    run: int
    number: int
    sent: Nanoseconds
    at: Nanoseconds


class CanaryWatch:
    """Expects canaries. `see` takes payloads, `report` says how it stands at a time."""

    def __init__(self, settings: CanarySettings, key: bytes, start: Nanoseconds) -> None:
        self.counts = CanaryCounts()
        self._settings = settings
        self._key = key
        self._birds: OrderedDict[str, _Bird] = (
            OrderedDict()
        )  # by name, the one heard last at the end
        self._start = start
        self._distrusted = 0  # since the last one that was trusted
        self._window = int(settings.interval_seconds * (settings.misses + 0.5) * 1e9)

    def see(self, payload: bytes, at: Nanoseconds) -> bool:
        """Take a datagram that came to the canary's port; True if it is one and trusted."""
        try:
            message = read_canary(payload)
        except DecodeError:
            self.counts.broken += 1
            return False
        if message is None:
            return False
        trusted = self._is_trusted(message, at)
        self._distrusted = 0 if trusted else self._distrusted + 1
        return trusted

    def report(self, now: Nanoseconds) -> CanaryReport:
        """Say whether all that had to come has come; `now` is the frames' time, or later."""
        overdue = [name for name in self._expected() if now - self._heard(name) >= self._window]
        if overdue:
            return CanaryReport(CanaryState.BLIND, self._why_blind(overdue, now))
        waiting = [name for name in self._expected() if name != ANY and name not in self._birds]
        if waiting or not self._birds:
            names = f" of {', '.join(waiting)}" if waiting else ""
            return CanaryReport(CanaryState.WAITING, f"no canary{names} has been seen yet")
        last = max(bird.at for bird in self._birds.values())
        ago = max(0, now - last) // NANOSECONDS_PER_SECOND
        return CanaryReport(CanaryState.SEEING, f"the last canary was seen {ago} s ago")

    def restore(self, counts: CanaryCounts) -> None:
        """Go on from the counters of an earlier run."""
        self.counts = replace(counts)

    # ---- inside ------------------------------------------------------------------------------

    def _expected(self) -> Iterable[str]:
        return self._settings.names or (ANY,)

    def _heard(self, name: str) -> Nanoseconds:
        """Return when a name was last heard; before that, when the watch began."""
        if name != ANY:
            bird = self._birds.get(name)
            return bird.at if bird is not None else self._start
        return max((bird.at for bird in self._birds.values()), default=self._start)

    def _why_blind(self, names: list[str], now: Nanoseconds) -> str:
        told = []
        for name in names:
            seconds = (now - self._heard(name)) // NANOSECONDS_PER_SECOND
            whose = f" of {name}" if name != ANY else ""
            told.append(f"no canary{whose} for {seconds} s")
        due = f"; one is due every {self._settings.interval_seconds:g} s"
        told_off = f"; {self._distrusted} came that cannot be trusted" if self._distrusted else ""
        return f"{', '.join(told)}{due}{told_off}"

    def _is_trusted(self, message: CanaryMessage, at: Nanoseconds) -> bool:
        """Decide on a datagram; the first that fits."""
        counts = self.counts
        if not is_signed(message, self._key):
            counts.forged += 1
            return False
        if self._settings.names and message.name not in self._settings.names:
            counts.strangers += 1
            return False
        tolerance = self._settings.clock_tolerance_seconds * NANOSECONDS_PER_SECOND
        if abs(at - message.sent) > tolerance:
            counts.untimely += 1
            return False
        last = self._birds.get(message.name)
        if last is not None and not _is_newer(message, last):
            same = (message.run, message.number) == (last.run, last.number)
            if same and at - last.at <= COPY_SECONDS * NANOSECONDS_PER_SECOND:
                counts.copies += 1
            else:
                counts.replayed += 1
            return False
        counts.seen += 1
        counts.sent += _gone_by(message, last)
        self._note(message, at)
        return True

    def _note(self, message: CanaryMessage, at: Nanoseconds) -> None:
        self._birds[message.name] = _Bird(message.run, message.number, message.sent, at)
        self._birds.move_to_end(message.name)
        if len(self._birds) > MAXIMUM_NAMES:
            self._birds.popitem(last=False)


def _gone_by(message: CanaryMessage, last: _Bird | None) -> int:
    """Return how many were sent since the last one, this one among them."""
    if last is None:
        return 1  # when the sender began is not known
    return message.number - last.number if message.run == last.run else max(1, message.number)


def _is_newer(message: CanaryMessage, last: _Bird) -> bool:
    """Whether a datagram comes after another: by number in one run, by time between two."""
    if message.run == last.run:
        return message.number > last.number
    return message.sent > last.sent
