"""Files and standard output as places to write a report to.

A file that is written at the end takes its name only when it is whole; an EVE
file grows while the run goes on. Who closed the pipe behind us is not told off.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

STANDARD_OUTPUT = "-"
NAME_KEPT = 40  # characters of a name in its temporary's: names have at most 255 bytes
NEW_FILE_MODE = 0o666  # less the umask, as any program's files


@contextmanager
def growing(name: str) -> Iterator[TextIO]:
    """Open a file, or standard output for "-", that is filled line by line."""
    if name == STANDARD_OUTPUT:
        yield sys.stdout
        sys.stdout.flush()
        return
    with Path(name).open("w", encoding="ascii", newline="\n") as stream:
        yield stream


@contextmanager
def whole(name: str) -> Iterator[TextIO]:
    """Open a file that appears under its name when all of it is written, or standard output.

    If the body fails, a file that was there before stays as it was.
    """
    target = Path(name)
    if name == STANDARD_OUTPUT or (target.exists() and not target.is_file()):
        # A device or a pipe (/dev/stdout, a FIFO) cannot be replaced by a rename.
        with growing(name) as stream:
            yield stream
        return
    descriptor, temporary = _temporary(name)
    try:
        with open(descriptor, "w", encoding="ascii", newline="\n") as stream:  # noqa: PTH123 - a descriptor has no path
            yield stream
            stream.flush()
            os.fchmod(descriptor, NEW_FILE_MODE & ~_umask())
            os.fsync(descriptor)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_whole(name: str) -> None:
    """Raise the OSError that `whole` would raise on opening, before there is anything to write."""
    target = Path(name)
    if name == STANDARD_OUTPUT:
        return
    if target.exists() and not target.is_file():
        if not os.access(target, os.W_OK):  # not opened: a FIFO would wait for its reader
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return
    descriptor, temporary = _temporary(name)
    os.close(descriptor)
    Path(temporary).unlink()


def discard(stream: TextIO) -> None:
    """Let whatever is still buffered for a closed or full stream vanish quietly at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _temporary(name: str) -> tuple[int, str]:
    """Open a file that will take this name; an error tells of the name that was given."""
    target = Path(name)
    try:
        return mkstemp(dir=target.parent, prefix=f".{target.name[:NAME_KEPT]}.")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, name) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
