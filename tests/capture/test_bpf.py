"""The assembler: labels become distances, however far, and foreign programs find a place."""

from __future__ import annotations

import pytest
from bpf_machine import Arrival, check, run
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.bpf import (
    DROP_ALL,
    KEEP_ALL,
    MAX_INSTRUCTIONS,
    WHOLE_FRAME,
    Assembler,
    Instruction,
    LongProgramError,
    Op,
    pack,
)


def padded(assembler: Assembler, count: int) -> None:
    """Add instructions that do nothing of note."""
    for _ in range(count):
        assembler.add(Op.TXA)


@pytest.mark.parametrize("gap", [0, 1, 253, 254, 255, 256, 257, 1000])
@pytest.mark.parametrize("far", ["yes", "no", "both"])
def test_a_jump_goes_as_far_as_it_must(gap: int, far: str) -> None:
    for value in (5, 6):
        assembler = Assembler()
        assembler.add(Op.LD_LENGTH)
        assembler.branch(
            Op.IF_EQUAL,
            5,
            yes=None if far == "no" else "equal",
            no=None if far == "yes" else "other",
        )
        padded(assembler, gap)
        assembler.add(Op.RETURN, 1)
        assembler.place("equal")
        assembler.add(Op.RETURN, 2)
        assembler.place("other")
        assembler.add(Op.RETURN, 3)
        program = assembler.assemble()
        check(program)
        equal, other = {"yes": (2, 1), "no": (1, 3), "both": (2, 3)}[far]
        assert run(program, Arrival(bytes(value))) == (equal if value == 5 else other)


def test_a_jump_that_another_long_jump_pushes_too_far_becomes_long_itself() -> None:
    assembler = Assembler()
    assembler.add(Op.LD_LENGTH)
    assembler.branch(Op.IF_EQUAL, 1, yes="near")  # 255 away, until the next one grows
    assembler.branch(Op.IF_EQUAL, 2, yes="far")
    padded(assembler, 253)
    assembler.add(Op.RETURN, 9)
    assembler.place("near")
    padded(assembler, 300)
    assembler.add(Op.RETURN, 1)
    assembler.place("far")
    assembler.add(Op.RETURN, 2)
    program = assembler.assemble()
    check(program)
    assert [run(program, Arrival(bytes(n))) for n in range(4)] == [9, 1, 2, 9]


def test_a_program_may_be_as_long_as_the_kernel_takes_and_no_longer() -> None:
    for extra in (0, 1):
        assembler = Assembler()
        padded(assembler, MAX_INSTRUCTIONS - 1 + extra)
        assembler.add(Op.RETURN, 1)
        if extra:
            with pytest.raises(LongProgramError, match="4097 instructions: the kernel takes 4096"):
                assembler.assemble()
        else:
            assert len(assembler.assemble()) == MAX_INSTRUCTIONS


def test_labels_stand_once_and_ahead() -> None:
    assembler = Assembler()
    assembler.place("here")
    with pytest.raises(ValueError, match="here stands twice"):
        assembler.place("here")
    assembler.add(Op.TXA)
    assembler.jump("here")
    with pytest.raises(ValueError, match="here stands before"):
        assembler.assemble()
    assembler = Assembler()
    assembler.branch(Op.IF_EQUAL, 0, yes="nowhere")
    with pytest.raises(ValueError, match="nowhere stands nowhere"):
        assembler.assemble()


def test_programs_are_packed_as_the_kernel_reads_them() -> None:
    assert pack(DROP_ALL) == pack((Instruction(6, 0, 0, 0),))
    assert len(pack(KEEP_ALL)) == 8  # struct sock_filter
    assert run(KEEP_ALL, Arrival(b"")) == WHOLE_FRAME


# Programs that only jump forward and end with a return.
def foreign(steps: list[tuple[int, int, int]]) -> tuple[Instruction, ...]:
    count = len(steps)
    program = []
    for index, (kind, first, second) in enumerate(steps):
        left = count - index - 1
        if kind == 0 and left > 1:
            program.append(Instruction(Op.IF_ABOVE, first % left, second % left, first))
        elif kind == 1 and left:
            program.append(Instruction(Op.JUMP, 0, 0, first % left))
        elif kind == 2:
            program.append(Instruction(Op.RETURN, 0, 0, second % 2 * 100))
        elif kind == 3:
            program.append(Instruction(Op.RETURN_A, 0, 0, 0))
        elif kind == 4:
            program.append(Instruction(Op.LD_BYTE, 0, 0, first % 8))
        else:
            program.append(Instruction(Op.ADD, 0, 0, first % 3))
    return (*program, Instruction(Op.RETURN, 0, 0, 100))


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 255), st.integers(0, 255)), max_size=40
    ),
    gap=st.sampled_from([0, 300]),
    frame=st.binary(max_size=8),
)
def test_a_foreign_program_decides_and_ours_goes_on(
    steps: list[tuple[int, int, int]], gap: int, frame: bytes
) -> None:
    theirs = foreign(steps)
    assembler = Assembler()
    assembler.splice(theirs, keep="kept", drop="dropped")
    padded(assembler, gap)
    assembler.place("kept")
    assembler.add(Op.RETURN, 7)
    padded(assembler, gap)
    assembler.place("dropped")
    assembler.add(Op.RETURN, 0)
    program = assembler.assemble()
    check(program)
    assert run(program, Arrival(frame)) == (7 if run(theirs, Arrival(frame)) else 0)
