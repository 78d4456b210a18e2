"""Classic BPF as the kernel runs it, one instruction at a time: what the filter's tests stand on.

Semantics: bpf(4) of BSD and net/core/filter.c of Linux. All numbers are 32 bits; a load beyond
the frame ends the program with 0, and so does a division by zero. `check` refuses what the
kernel refuses (bpf_check_classic): jumps out of the program, memory read before it was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egressd.capture.bpf import Instruction

WORD = 0xFFFF_FFFF
AUXILIARY = 0xFFFF_F000  # SKF_AD_OFF
PACKET_TYPE, VLAN_TAG, VLAN_TAG_PRESENT = 4, 44, 48  # SKF_AD_*
SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
LD, LDX, ST, STX, ALU, JMP, RET, MISC = range(8)
IMMEDIATE, ABSOLUTE, INDIRECT, MEMORY, LENGTH, IP_HEADER = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
SCRATCH_WORDS = 16
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame as the kernel holds it: a tag it took off stands beside the bytes."""

    data: bytes
    tag: int | None = None
    packet_type: int = 0


class OutOfFrameError(Exception):
    """A load that the frame does not cover: the program ends with 0."""


@dataclass(slots=True)
class Machine:
    """The registers while one frame is looked at."""

    frame: Arrival
    a: int = 0
    x: int = 0
    memory: list[int] = field(default_factory=lambda: [0] * SCRATCH_WORDS)

    def run(self, program: Sequence[Instruction]) -> int:
        """Return how many bytes of the frame the program keeps."""
        at = 0
        try:
            while True:
                step = program[at]
                at += 1
                kind = step.code & 7
                if kind == RET:
                    return self.a if step.code & 0x18 == 0x10 else step.k
                if kind == JMP:
                    at += self._jump(step)
                else:
                    self._do(kind, step)
        except OutOfFrameError:
            return 0

    def _do(self, kind: int, step: Instruction) -> None:
        if kind == LD:
            self.a = self._load(step)
        elif kind == LDX:
            self.x = self._load(step)
        elif kind == ST:
            self.memory[step.k] = self.a
        elif kind == STX:
            self.memory[step.k] = self.x
        elif kind == ALU:
            self.a = self._calculate(step)
        elif step.code & 0xF8:
            self.a = self.x
        else:
            self.x = self.a

    def _load(self, step: Instruction) -> int:
        mode = step.code & 0xE0
        size = SIZES[step.code & 0x18]
        if mode == IMMEDIATE:
            return step.k
        if mode == MEMORY:
            return self.memory[step.k]
        if mode == LENGTH:
            return len(self.frame.data)
        if mode == IP_HEADER:
            return 4 * (self._bytes(step.k, 1) & 0x0F)
        if mode == ABSOLUTE and step.k >= AUXILIARY:
            return self._auxiliary(step.k - AUXILIARY)
        return self._bytes((step.k + (self.x if mode == INDIRECT else 0)) & WORD, size)

    def _bytes(self, at: int, size: int) -> int:
        if at + size > len(self.frame.data):
            raise OutOfFrameError
        return int.from_bytes(self.frame.data[at : at + size], "big")

    def _auxiliary(self, which: int) -> int:
        known = {
            PACKET_TYPE: self.frame.packet_type,
            VLAN_TAG: self.frame.tag or 0,
            VLAN_TAG_PRESENT: int(self.frame.tag is not None),
        }
        return known[which]

    def _calculate(self, step: Instruction) -> int:
        other = self.x if step.code & 0x08 else step.k
        operation = step.code & 0xF0
        if operation in {0x30, 0x90} and other == 0:
            raise OutOfFrameError
        results = {
            0x00: lambda: self.a + other,
            0x10: lambda: self.a - other,
            0x20: lambda: self.a * other,
            0x30: lambda: self.a // other,
            0x40: lambda: self.a | other,
            0x50: lambda: self.a & other,
            0x60: lambda: self.a << (other & 31),
            0x70: lambda: self.a >> (other & 31),
            0x80: lambda: -self.a,
            0x90: lambda: self.a % other,
            0xA0: lambda: self.a ^ other,
        }
        return results[operation]() & WORD

    def _jump(self, step: Instruction) -> int:
        other = self.x if step.code & 0x08 else step.k
        operation = step.code & 0xF0
        if operation == 0x00:
            return step.k
        holds = {
            0x10: self.a == other,
            0x20: self.a > other,
            0x30: self.a >= other,
            0x40: bool(self.a & other),
        }[operation]
        return step.jt if holds else step.jf


def run(program: Sequence[Instruction], frame: Arrival) -> int:
    """Return how many bytes of a frame a program keeps."""
    return Machine(frame).run(program)


def check(program: Sequence[Instruction]) -> None:
    """Assert what bpf_check_classic of Linux wants of a program."""
    assert 0 < len(program) <= LONGEST
    assert program[-1].code & 7 == RET
    written = (1 << SCRATCH_WORDS) - 1
    before = [written] * len(program)
    valid = 0
    for at, step in enumerate(program):
        valid &= before[at]
        kind = step.code & 7
        assert 0 <= step.k <= WORD
        if kind in {ST, STX}:
            assert step.k < SCRATCH_WORDS
            valid |= 1 << step.k
        elif kind in {LD, LDX} and step.code & 0xE0 == MEMORY:
            assert valid & 1 << step.k, f"M[{step.k}] is read before it is written"
        elif kind == JMP:
            targets = [step.k] if step.code & 0xF0 == 0 else [step.jt, step.jf]
            for target in targets:
                assert at + 1 + target < len(program)
                before[at + 1 + target] &= valid
            valid = written
