"""What the kernel hands over of each frame: media between hosts on site is cut to its headers.

Everything else comes whole: what leaves the site, control traffic, and all that the
program does not understand or is in doubt about. Nothing is ever dropped, except for
frames that an expression of the user's refuses. Video that stays on site as RTP over UDP
thus never reaches our memory, and the ring holds the more.

The program is stateless, so that a datagram must look like RTP by itself, and a TCP
segment must consist of nothing but interleaved RTP and RTCP (`$`, RFC 7826 section 14)
from its first byte to its last: a connection carries RTSP's requests, too. A segment
that begins in the middle of a packet cannot be told, and comes whole.
What is kept goes to the end of the RTP header, counted from where the payload begins,
so that copies of a packet that a mirror shows with and without a tag stay equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from egressd.capture.bpf import WHOLE_FRAME, Assembler, LongProgramError, Op, kernel_bytes_of
from egressd.capture.cutting import ANY_MEDIA, IPV4_GROUPS, IPV6_GROUPS, Cutting
from egressd.capture.pcapfilter import compile_expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.capture.bpf import Instruction, Program
    from egressd.capture.cutting import MediaPorts
    from egressd.config import Prefix, Site
    from egressd.model import Bytes

OPTMEM = Path("/proc/sys/net/core/optmem_max")
OPTMEM_BEFORE = 20_480  # bytes: what Linux before 6.7 has, and hides inside a container
ETHERNET = 1  # LINKTYPE_ETHERNET; frames of other links come whole


class FrameFilter:
    """The filter of a site: one program for each link type.

    Without a site nothing is cut; with an expression, frames it refuses are dropped.
    """

    def __init__(
        self,
        site: Site | None,
        *,
        expression: str = "",
        media: MediaPorts = ANY_MEDIA,
        limit: Bytes | None = None,
    ) -> None:
        """`limit` is what the kernel has for a program; it is asked where it is not told."""
        self.expression = expression.strip()
        self.networks_left_out = 0  # on site, and too many for one program: their media is whole
        self._prefixes = [] if site is None else _unicast(site.prefixes())
        self._media = media
        self._limit = load_limit() if limit is None else limit
        self._programs: dict[int, Program | None] = {}

    def program_of(self, linktype: int) -> Program | None:
        """Return the program for frames of a link type, or None where none is needed.

        CaptureError if the expression cannot be used.
        """
        if linktype not in self._programs:
            self._programs[linktype] = self._program_of(linktype)
        return self._programs[linktype]

    def _program_of(self, linktype: int) -> Program | None:
        cuts = linktype == ETHERNET and bool(self._prefixes)
        if not cuts and not self.expression:
            return None
        foreign = compile_expression(self.expression, linktype) if self.expression else ()
        keep = len(self._prefixes) if cuts else 0
        while True:
            try:
                program = _assemble(foreign, self._prefixes[:keep], self._media)
                _check_size(program, self._limit)
            except LongProgramError:
                if not keep:
                    raise
                keep = keep * 3 // 4
                continue
            if cuts:
                self.networks_left_out = len(self._prefixes) - keep
            return program


def load_limit(path: Path = OPTMEM) -> Bytes:
    """Return how big a program may be in the kernel: two have room, while one replaces another."""
    try:
        return int(path.read_text()) // 2
    except (OSError, ValueError):
        return OPTMEM_BEFORE // 2


def _check_size(program: Program, limit: Bytes) -> None:
    taken = kernel_bytes_of(program)
    if taken > limit:
        raise LongProgramError(
            f"a filter of {len(program)} instructions takes up to {taken} bytes of the kernel's "
            f"memory, and there are {limit}; set net.core.optmem_max to {2 * taken} or more"
        )


def _unicast(prefixes: Sequence[Prefix]) -> list[Prefix]:
    """Return the networks of hosts, the widest first: the last ones are left out first."""

    def breadth(prefix: Prefix) -> float:
        return prefix.length if prefix.version == 4 else prefix.length / 2  # a /48 is like a /24

    groups = {4: IPV4_GROUPS, 6: IPV6_GROUPS << 96}
    hosts = [prefix for prefix in prefixes if prefix.network < groups[prefix.version]]
    return sorted(hosts, key=breadth)


def _assemble(
    foreign: Sequence[Instruction], prefixes: Sequence[Prefix], media: MediaPorts
) -> Program:
    assembler = Assembler()
    if foreign:
        assembler.splice(foreign, keep="ours", drop="refused")
        assembler.place("ours")
    if prefixes:
        Cutting(assembler, prefixes, media).write()
    assembler.place("whole")
    assembler.add(Op.RETURN, WHOLE_FRAME)
    if foreign:
        assembler.place("refused")
        assembler.add(Op.RETURN, 0)
    return assembler.assemble()
