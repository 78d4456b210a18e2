"""Classic BPF: programs that the kernel runs on every frame before it copies one.

A small assembler with labels, for `filter` to write its program with, and the means
to take somebody else's program into ours. It knows the machine (Documentation/
networking/filter.rst of Linux, bpf(4) of BSD) and nothing of networks. A program
only ever jumps forward, so that it always ends.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from egressd.model import CaptureError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS, linux/bpf_common.h
MAX_SHORT_JUMP = 255  # jt and jf are one byte; `ja` has four
WHOLE_FRAME = 262_144  # what a return says for "all of it", as libpcap does
INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter: code jt jf k, linux/filter.h
CLASS_MASK = 0x07
LOAD_CLASS = 0x00
JUMP_CLASS = 0x05
RETURN_CLASS = 0x06
MODE_MASK = 0xE0
ABSOLUTE, INDIRECT = 0x20, 0x40
# What an instruction takes of the socket's memory (net.core.optmem_max) once the kernel has
# translated it; measured on Linux 6.18, whose translation is that of 4.18 and later.
PROGRAM_BYTES = 400
ABSOLUTE_BYTES, INDIRECT_BYTES, IP_HEADER_BYTES, STEP_BYTES = 112, 72, 152, 8
SIGNED_MAXIMUM = (1 << 31) - 1
AUXILIARY = 0xFFFF_F000  # SKF_AD_OFF as the machine sees it: what the frame itself does not hold


class Op(IntEnum):
    """The instructions we write; A is the accumulator, X the index, M the scratch memory."""

    LD = 0x00  # A = k
    LD_WORD = 0x20  # A = 4 bytes at k
    LD_HALF = 0x28  # A = 2 bytes at k
    LD_BYTE = 0x30  # A = 1 byte at k
    LD_WORD_X = 0x40  # A = 4 bytes at X + k
    LD_HALF_X = 0x48  # A = 2 bytes at X + k
    LD_BYTE_X = 0x50  # A = 1 byte at X + k
    LD_LENGTH = 0x80  # A = length of the frame
    LD_MEMORY = 0x60  # A = M[k]
    LDX_MEMORY = 0x61  # X = M[k]
    LDX = 0x01  # X = k
    LDX_IP_HEADER = 0xB1  # X = 4 * (low nibble of the byte at k)
    STORE = 0x02  # M[k] = A
    ADD = 0x04  # A += k
    ADD_X = 0x0C  # A += X
    SUBTRACT_X = 0x1C  # A -= X
    AND = 0x54  # A &= k
    SHIFT_LEFT = 0x64  # A <<= k
    SHIFT_RIGHT = 0x74  # A >>= k
    TAX = 0x07  # X = A
    TXA = 0x87  # A = X
    JUMP = 0x05
    IF_EQUAL = 0x15  # A == k
    IF_ABOVE = 0x25  # A > k
    IF_AT_LEAST = 0x35  # A >= k
    IF_BITS = 0x45  # A & k
    IF_ABOVE_X = 0x2D  # A > X
    IF_AT_LEAST_X = 0x3D  # A >= X
    RETURN = 0x06  # keep k bytes; 0 drops the frame
    RETURN_A = 0x16  # keep A bytes


class Auxiliary(IntEnum):
    """What the kernel knows of a frame besides its bytes: addresses for LD_WORD."""

    VLAN_TAG_PRESENT = AUXILIARY + 48  # SKF_AD_VLAN_TAG_PRESENT: the tag was taken off


class Instruction(NamedTuple):
    """One instruction: `struct sock_filter`."""

    code: int
    jt: int
    jf: int
    k: int


Program: TypeAlias = tuple[Instruction, ...]

DROP_ALL: Program = (Instruction(Op.RETURN, 0, 0, 0),)
KEEP_ALL: Program = (Instruction(Op.RETURN, 0, 0, WHOLE_FRAME),)


class LongProgramError(CaptureError):
    """A program with more instructions than the kernel takes."""


class _Step(NamedTuple):
    """An instruction whose jumps still are labels; None goes on with the next step."""

    code: int
    k: int
    yes: str | None = None
    no: str | None = None


class Assembler:
    """Collects steps and labels; `assemble` turns labels into distances."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._labels: dict[str, int] = {}  # index of the step that follows

    def place(self, label: str) -> None:
        """Give the next step a name to jump to."""
        if label in self._labels:
            raise ValueError(f"label {label} stands twice")
        self._labels[label] = len(self._steps)

    def add(self, code: Op, k: int = 0) -> None:
        """Add an instruction that does not jump."""
        self._steps.append(_Step(code, k))

    def jump(self, label: str) -> None:
        """Add a jump."""
        self._steps.append(_Step(Op.JUMP, 0, label))

    def branch(
        self, code: Op, k: int = 0, *, yes: str | None = None, no: str | None = None
    ) -> None:
        """Add a jump that depends on A."""
        self._steps.append(_Step(code, k, yes, no))

    def splice(self, program: Sequence[Instruction], *, keep: str, drop: str) -> None:
        """Add a foreign program: where it would return, it goes to one of two labels instead."""
        mark = f"{len(self._steps)}+"  # no label of ours begins with a digit
        for index, step in enumerate(program):
            self.place(f"{mark}{index}")
            following = index + 1
            if step.code & CLASS_MASK == RETURN_CLASS:
                if step.code == Op.RETURN:
                    self.jump(keep if step.k else drop)
                else:
                    self.branch(Op.IF_EQUAL, 0, yes=drop, no=keep)
            elif step.code == Op.JUMP:
                self.jump(f"{mark}{following + step.k}")
            elif step.code & CLASS_MASK == JUMP_CLASS:
                yes, no = f"{mark}{following + step.jt}", f"{mark}{following + step.jf}"
                self._steps.append(_Step(step.code, step.k, yes, no))
            else:
                self._steps.append(_Step(step.code, step.k))

    def assemble(self) -> Program:
        """Return the program; LongProgramError if the kernel would refuse it for its length."""
        far: set[tuple[int, str]] = set()  # step and label: further away than a short jump goes
        starts = self._starts(far)
        while new := self._too_far(starts) - far:
            far |= new
            starts = self._starts(far)
        if starts[-1] > MAX_INSTRUCTIONS:
            raise LongProgramError(
                f"a filter of {starts[-1]} instructions: the kernel takes {MAX_INSTRUCTIONS}"
            )
        program: list[Instruction] = []
        for index, step in enumerate(self._steps):
            program += self._lower(index, step, starts, far)
        return tuple(program)

    def _starts(self, far: set[tuple[int, str]]) -> list[int]:
        """Return where each step begins, and where the program ends."""
        starts = [0]
        sizes = [1] * len(self._steps)
        for index, _ in far:
            sizes[index] += 1
        for size in sizes:
            starts.append(starts[-1] + size)
        return starts

    def _too_far(self, starts: list[int]) -> set[tuple[int, str]]:
        return {
            (index, label)
            for index, step in enumerate(self._steps)
            if step.code != Op.JUMP
            for label in (step.yes, step.no)
            if label is not None and self._distance(starts, index, label) > MAX_SHORT_JUMP
        }

    def _distance(self, starts: list[int], index: int, label: str) -> int:
        """Return how many instructions lie between a step's first one and a label."""
        if label not in self._labels:
            raise ValueError(f"label {label} stands nowhere")
        distance = starts[self._labels[label]] - starts[index] - 1
        if distance < 0:
            raise ValueError(f"label {label} stands before the jump to it")
        return distance

    def _lower(
        self, index: int, step: _Step, starts: list[int], far: set[tuple[int, str]]
    ) -> list[Instruction]:
        """Return the instructions of a step: more than one where a long jump must be added."""
        if step.code == Op.JUMP and step.yes is not None:
            return [Instruction(step.code, 0, 0, self._distance(starts, index, step.yes))]
        long = sorted({label for at, label in far if at == index})
        slots = {label: slot for slot, label in enumerate(long)}

        def short(label: str | None) -> int:
            if label is None:
                return len(long)
            return slots[label] if label in slots else self._distance(starts, index, label)

        is_jump = step.code & CLASS_MASK == JUMP_CLASS
        jt, jf = (short(step.yes), short(step.no)) if is_jump else (0, 0)
        return [
            Instruction(step.code, jt, jf, step.k),
            *(
                Instruction(Op.JUMP, 0, 0, self._distance(starts, index, label) - 1 - slot)
                for slot, label in enumerate(long)
            ),
        ]


def pack(program: Sequence[Instruction]) -> bytes:
    """Return a program as the kernel reads it."""
    return b"".join(INSTRUCTION.pack(*step) for step in program)


def kernel_bytes_of(program: Sequence[Instruction]) -> int:
    """Return how much of a socket's memory a program takes at most."""
    return PROGRAM_BYTES + sum(_bytes_of(step) for step in program)


def _bytes_of(step: Instruction) -> int:
    mode = step.code & MODE_MASK
    if step.code == Op.LDX_IP_HEADER:
        return IP_HEADER_BYTES
    if step.code & CLASS_MASK == LOAD_CLASS and mode in {ABSOLUTE, INDIRECT}:
        return ABSOLUTE_BYTES if mode == ABSOLUTE else INDIRECT_BYTES
    if step.code & CLASS_MASK != JUMP_CLASS:
        return STEP_BYTES
    two_ways = bool(step.jt and step.jf) or (step.code == Op.IF_BITS and step.jf != 0)
    wide = step.code != Op.JUMP and step.k > SIGNED_MAXIMUM  # it takes a register
    return STEP_BYTES * (1 + two_ways + wide)
