"""Who may read the metrics: user names with hashed passwords, from a file.

A line is `user:$scrypt$ln=14,r=8,p=1$SALT$HASH` (PHC string format, RFC 7914), and
`python -m egressd.report.passwords USER` makes one. Plain passwords are refused.
A password that was right once is not hashed again; wrong ones are hashed a few
times a second at most, so that guessing costs the sensor nothing.
"""

from __future__ import annotations

import binascii
import getpass
import hashlib
import hmac
import os
import re
import secrets
import stat
import sys
import threading
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from egressd.model import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from egressd.model import Seconds

MAXIMUM_USERS = 100
MAXIMUM_FILE_BYTES = 65_536
MAXIMUM_CREDENTIAL = 1_024  # characters of an Authorization header
MAXIMUM_MEMORY = 256 << 20  # of one hash; ln=17, r=8 takes half of it
HASHES_PER_SECOND = 2.0

COST, BLOCK, PARALLEL = 14, 8, 1  # 16 MiB and some 40 ms; RFC 7914 section 2 names r=8, p=1
SALT_BYTES, HASH_BYTES = 16, 32
_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_PHC = re.compile(
    r"\$scrypt\$ln=(1[0-7]),r=([1-9]|1[0-6]),p=([1-4])"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)


class Admission(Enum):
    """What is answered to a request with credentials, or without."""

    ADMITTED = auto()
    REFUSED = auto()  # none, or wrong ones
    LATER = auto()  # too many wrong ones lately: nobody looked


@dataclass(frozen=True, slots=True)
class _Hash:
    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    def fits(self, password: str) -> bool:
        made = hashlib.scrypt(
            password.encode(),
            salt=self.salt,
            n=1 << self.cost,
            r=self.block,
            p=self.parallel,
            maxmem=MAXIMUM_MEMORY,
            dklen=len(self.digest),
        )
        return hmac.compare_digest(made, self.digest)


class Users:
    """The users of a file."""

    def __init__(self, hashes: Mapping[str, _Hash]) -> None:
        self._hashes = dict(hashes)
        # Asked for a user that is not there, so that the answer takes as long.
        self._nobody = _Hash(COST, BLOCK, PARALLEL, bytes(SALT_BYTES), bytes(HASH_BYTES))
        self._key = secrets.token_bytes(32)
        self._admitted: dict[str, bytes] = {}  # by user: a keyed digest of what was right
        self._hashing = threading.Lock()
        self._next_hash: Seconds = 0.0

    def admission_of(self, authorization: str | None) -> Admission:
        """Say what an Authorization header is answered."""
        credential = _credential_of(authorization)
        if credential is None:
            return Admission.REFUSED
        user, _, password = credential.partition(":")
        token = hmac.digest(self._key, credential.encode(), "sha256")
        if hmac.compare_digest(self._admitted.get(user, bytes(32)), token):
            return Admission.ADMITTED
        with self._hashing:
            now = time.monotonic()
            if now < self._next_hash:
                return Admission.LATER
            known = self._hashes.get(user)
            fits = (known or self._nobody).fits(password) and known is not None
            if not fits:
                self._next_hash = time.monotonic() + 1 / HASHES_PER_SECOND
                return Admission.REFUSED
            self._admitted[user] = token
            return Admission.ADMITTED


def hash_password(password: str) -> str:
    """Return what stands for a password in the file."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = hashlib.scrypt(
        password.encode(), salt=salt, n=1 << COST, r=BLOCK, p=PARALLEL, dklen=HASH_BYTES
    )
    return f"$scrypt$ln={COST},r={BLOCK},p={PARALLEL}${_text_of(salt)}${_text_of(digest)}"


def load_users(path: Path) -> Users:
    """Read a file of users; ConfigError says which line is wrong and what to write instead."""
    check_private(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_FILE_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text") from error
    if len(data) > MAXIMUM_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAXIMUM_FILE_BYTES} bytes")
    hashes: dict[str, _Hash] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, made = _entry_of(line, f"{path}:{number}:1")
        if user in hashes:
            raise ConfigError(f"{path}:{number}:1: {user} stands here twice; remove one")
        hashes[user] = made
    if not hashes:
        raise ConfigError(f"{path}: names no user; add the output of {_COMMAND}")
    if len(hashes) > MAXIMUM_USERS:
        raise ConfigError(f"{path}: names more than {MAXIMUM_USERS} users; remove some")
    return Users(hashes)


def check_private(path: Path) -> None:
    """Refuse a secret that every user of the machine can read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path}: is no file")
    if mode & stat.S_IRWXO:
        raise ConfigError(f"{path}: others can read it; run chmod o= {path}")


_COMMAND = "python -m egressd.report.passwords USER"


def _entry_of(line: str, place: str) -> tuple[str, _Hash]:
    user, colon, text = line.strip().partition(":")
    if not colon or not _USER.fullmatch(user):
        raise ConfigError(f"{place}: is no line user:hash; write the output of {_COMMAND}")
    found = _PHC.fullmatch(text)
    if found is None:
        # The text may be a password: it is not repeated here.
        raise ConfigError(
            f"{place}: what stands behind {user}: is no scrypt hash, and passwords are not "
            f"taken; write the output of {_COMMAND}"
        )
    cost, block, parallel = (int(found[index]) for index in (1, 2, 3))
    if 128 * block * ((1 << cost) + parallel) > MAXIMUM_MEMORY:  # RFC 7914 section 2
        raise ConfigError(f"{place}: this hash takes too much memory; write ln={COST},r={BLOCK}")
    try:
        salt, digest = _bytes_of(found[4]), _bytes_of(found[5])
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{place}: is no base64; write the output of {_COMMAND}") from error
    return user, _Hash(cost, block, parallel, salt, digest)


def _credential_of(authorization: str | None) -> str | None:
    """Return user:password of a Basic header (RFC 7617), or None."""
    if authorization is None or len(authorization) > MAXIMUM_CREDENTIAL:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        credential = b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return credential if ":" in credential else None


def _text_of(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")  # PHC strings carry no padding


def _bytes_of(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def main(arguments: list[str]) -> int:
    """Ask for a password and print the line for the file."""
    if len(arguments) != 1 or not _USER.fullmatch(arguments[0]):
        sys.stderr.write(f"usage: {_COMMAND}\n")
        return 2
    if os.isatty(sys.stdin.fileno()):
        password = getpass.getpass()
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        sys.stderr.write("no password was given\n")
        return 2
    sys.stdout.write(f"{arguments[0]}:{hash_password(password)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
