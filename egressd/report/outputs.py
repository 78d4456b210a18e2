"""Files and standard output as places to write a report to.

A file that is written at the end takes its name only when it is whole; an EVE
file grows while the run goes on. Who closed the pipe behind us is not told off.
"""

from __future__ import annotations

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
    descriptor, temporary = mkstemp(dir=target.parent, prefix=f".{target.name}.")
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


def discard_standard_output() -> None:
    """Let whatever is still buffered for a closed pipe vanish without a complaint at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
