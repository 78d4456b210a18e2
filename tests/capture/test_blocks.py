"""The walk over a block of the kernel's ring, on rings made by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture.blocks import BLOCK_HEADER, RECORD_HEADER, SMALLEST_RECORD, BlockWalk
from egressd.capture.track import make_batch

if TYPE_CHECKING:
    from egressd.capture.batch import Batch

# linux/if_packet.h
USER, VLAN_VALID, VLAN_TPID_VALID, GSO_TCP = 1, 1 << 4, 1 << 6, 1 << 8
HOST, OUTGOING = 0, 4
MAC = 86  # where the kernel puts an Ethernet frame with PACKET_RESERVE 4
BLOCK = 4096
SECOND = 1_000_000_000
FRAME = bytes(range(60))
# Two MAC addresses, tag 0x8100 with TCI 0x201e, and what followed them.
TAGGED = FRAME[:12] + b"\x81\x00\x20\x1e" + FRAME[12:]


@dataclass(frozen=True, slots=True)
class Record:
    """One frame as the kernel writes it."""

    data: bytes = FRAME
    time: int = 1_700_000_000 * SECOND + 5
    wire: int | None = None
    status: int = USER
    kind: int = HOST
    tci: int = 0
    tpid: int = 0
    mac: int = MAC
    following: int | None = None  # where the next record begins, from this one

    def packed(self, *, last: bool) -> bytes:
        """Return struct tpacket3_hdr, struct sockaddr_ll and the frame, padded to 16."""
        size = -(-(self.mac + len(self.data)) // 16) * 16
        following = (0 if last else size) if self.following is None else self.following
        seconds, rest = divmod(self.time, SECOND)
        wire = len(self.data) if self.wire is None else self.wire
        head = struct.pack(
            "IIIIIIHHIIHH8x",
            *(following, seconds, rest, len(self.data), wire, self.status),
            *(self.mac, self.mac + 14, 0, self.tci, self.tpid, 0),
        )
        address = struct.pack("HHiHBB8x", 17, 0x0300, 7, 1, self.kind, 6)
        return (head + address).ljust(self.mac, b"\xee") + self.data.ljust(size - self.mac, b"\0")


def block(*records: Record, status: int = USER, count: int | None = None) -> bytes:
    """Return struct tpacket_block_desc and the records."""
    body = b"".join(
        record.packed(last=index == len(records) - 1) for index, record in enumerate(records)
    )
    frames = len(records) if count is None else count
    head = struct.pack(
        "IIIIIIQIIII", 1, 0, status, frames, BLOCK_HEADER, BLOCK_HEADER + len(body), 1, 0, 0, 0, 0
    )
    return (head + body).ljust(BLOCK, b"\0")


def walk_over(ring: bytes | bytearray, rows: int = 100) -> tuple[BlockWalk, Batch]:
    """Return a walk over a ring of blocks."""
    batch = make_batch(rows)
    batch.buffer = bytearray(ring)
    walk = BlockWalk(batch.buffer, BLOCK)
    walk.use_columns(batch)
    return walk, batch


def data_of(batch: Batch, row: int) -> bytes:
    return bytes(
        memoryview(batch.buffer)[batch.offset[row] : batch.offset[row] + batch.captured[row]]
    )


def test_frames_become_rows_where_they_lie() -> None:
    records = [Record(bytes([n]) * (60 + n), time=n * SECOND + n) for n in range(1, 9)]
    walk, batch = walk_over(block() + block(*records))
    walk.source, walk.number = 3, 41
    assert walk.fill(1) == 8
    assert [data_of(batch, row) for row in range(8)] == [record.data for record in records]
    assert list(batch.wire[:8]) == [len(record.data) for record in records]
    assert list(batch.time[:8]) == [record.time for record in records]
    assert list(batch.number[:8]) == list(range(42, 50))
    assert set(batch.source[:8]) == {3}
    assert walk.last_time == records[-1].time
    assert walk.wire_bytes == sum(len(record.data) for record in records)
    assert walk.captured_bytes == walk.wire_bytes
    assert (walk.damaged, walk.cut_frames, walk.super_frames, walk.tags) == (0, 0, 0, 0)


def test_a_block_is_ours_until_it_is_released() -> None:
    walk, batch = walk_over(block(Record(), status=0) + block(Record()))
    assert not walk.is_ready(0)
    assert walk.is_ready(1)
    walk.release(1)
    assert not walk.is_ready(1)
    assert bytes(batch.buffer)[BLOCK + 8 : BLOCK + 12] == bytes(4)


def test_the_first_frame_tells_how_old_a_block_is() -> None:
    walk, _ = walk_over(block(Record(time=7 * SECOND + 1), Record(time=9 * SECOND)))
    assert walk.first_time(0) == 7 * SECOND + 1


def test_a_block_whose_first_frame_lies_nowhere_has_no_time() -> None:
    ring = bytearray(block(Record()))
    for first in (BLOCK - RECORD_HEADER + 4, 0xFFFF_FFFC, 49):
        struct.pack_into("I", ring, 16, first)
        assert walk_over(ring)[0].first_time(0) == 0


@pytest.mark.parametrize(
    ("status", "tpid", "expected"),
    [
        (USER | VLAN_VALID | VLAN_TPID_VALID, 0x8100, TAGGED),
        (USER | VLAN_VALID, 0, TAGGED),
        (USER | VLAN_VALID | VLAN_TPID_VALID, 0x88A8, TAGGED.replace(b"\x81\0", b"\x88\xa8")),
    ],
    ids=["802.1Q", "a kernel that does not tell the kind", "802.1ad"],
)
def test_a_tag_that_was_taken_off_is_put_back(status: int, tpid: int, expected: bytes) -> None:
    walk, batch = walk_over(block(Record(status=status, tci=0x201E, tpid=tpid, wire=1000)))
    assert walk.fill(0) == 1
    assert data_of(batch, 0) == expected
    assert (batch.captured[0], batch.wire[0]) == (64, 1004)
    assert walk.tags == 1


def test_a_tag_has_no_place_where_there_are_no_addresses() -> None:
    tagged = Record(status=USER | VLAN_VALID, tci=5)
    walk, batch = walk_over(block(tagged, replace(tagged, data=b"short")))
    walk.ethernet = False
    assert walk.fill(0) == 2
    assert data_of(batch, 0) == FRAME
    walk, batch = walk_over(block(replace(tagged, data=b"short")))
    assert walk.fill(0) == 1
    assert data_of(batch, 0) == b"short"
    assert walk.tags == 0


def test_frames_of_this_machine_are_left_out_and_counted() -> None:
    records = [Record(kind=OUTGOING), Record(b"in" * 30), Record(kind=OUTGOING)]
    walk, batch = walk_over(block(*records))
    assert walk.fill(0) == 1
    assert data_of(batch, 0) == b"in" * 30
    assert (walk.outgoing_frames, walk.number) == (2, 1)
    walk, batch = walk_over(block(*records))
    walk.outgoing = True
    assert walk.fill(0) == 3
    assert walk.outgoing_frames == 0


def test_a_frame_longer_than_the_interface_takes_was_put_together() -> None:
    walk, _ = walk_over(
        block(Record(wire=1522), Record(wire=1523), Record(status=USER | GSO_TCP), Record())
    )
    walk.longest = 1522
    assert walk.fill(0) == 4
    assert walk.super_frames == 2


def test_cut_frames_are_counted_and_the_wire_is_never_shorter_than_the_capture() -> None:
    walk, batch = walk_over(block(Record(wire=61), Record(wire=60), Record(wire=3)))
    assert walk.fill(0) == 3
    assert list(batch.wire[:3]) == [61, 60, 60]
    assert (walk.wire_bytes, walk.captured_bytes) == (181, 180)
    assert walk.cut_frames == 1


@pytest.mark.parametrize(
    ("records", "rows", "damaged"),
    [
        ([Record(mac=RECORD_HEADER)], 0, 1),
        ([Record(), replace(Record(), mac=RECORD_HEADER + 3), Record()], 2, 1),
        ([Record(following=0), Record(), Record()], 1, 2),
        ([Record(following=2), Record()], 1, 1),
        ([Record(following=RECORD_HEADER + 2), Record()], 1, 1),
        ([Record(following=BLOCK), Record(), Record(), Record()], 1, 3),
        ([Record(following=0xFFFF_FFF0), Record()], 1, 1),
    ],
    ids=[
        "no room for a tag",
        "a record that begins in its own header",
        "a chain that ends early",
        "a chain that goes on inside the header",
        "a record at no multiple of four",
        "a chain that leaves the block",
        "a chain that leaves the ring",
    ],
)
def test_what_cannot_be_is_counted(records: list[Record], rows: int, damaged: int) -> None:
    walk, _ = walk_over(block(*records) + block())
    assert walk.fill(0) == rows
    assert walk.damaged == damaged


def test_a_frame_that_reaches_beyond_its_block_is_no_frame() -> None:
    ring = bytearray(block(Record()) + block(Record()))
    struct.pack_into("I", ring, BLOCK_HEADER + 12, BLOCK - BLOCK_HEADER - MAC + 1)
    walk, _ = walk_over(ring)
    assert walk.fill(0) == 0
    assert walk.damaged == 1
    struct.pack_into("I", ring, BLOCK_HEADER + 12, BLOCK - BLOCK_HEADER - MAC)
    walk, batch = walk_over(ring)
    assert walk.fill(0) == 1
    assert batch.offset[0] + batch.captured[0] == BLOCK


def test_more_frames_than_there_are_columns_for_are_counted() -> None:
    walk, _ = walk_over(block(*[Record()] * 5), rows=3)
    assert walk.fill(0) == 3
    assert walk.damaged == 2


def test_a_count_of_frames_that_are_not_there_ends_with_the_chain() -> None:
    walk, _ = walk_over(block(Record(), Record(), count=0xFFFF_FFFF))
    assert walk.fill(0) == 2
    assert walk.damaged == 0xFFFF_FFFD


def test_no_record_is_smaller_than_what_columns_are_reckoned_by() -> None:
    assert len(Record(b"").packed(last=True)) == SMALLEST_RECORD


def test_a_closed_walk_holds_nothing() -> None:
    ring = bytearray(block(Record()))
    walk = BlockWalk(ring, BLOCK)
    with pytest.raises(BufferError):
        ring.append(0)
    walk.close()
    ring.append(0)
    with pytest.raises(IndexError):
        walk.fill(0)


records = st.builds(
    Record,
    data=st.binary(max_size=120),
    time=st.integers(0, (1 << 32) * SECOND - 1),
    wire=st.integers(0, 0xFFFF_FFFF),
    status=st.integers(0, 0xFFFF_FFFF),
    kind=st.integers(0, 7),
    tci=st.integers(0, 0xFFFF_FFFF),
    tpid=st.integers(0, 0xFFFF),
    mac=st.sampled_from([0, RECORD_HEADER, MAC, MAC, MAC, 200]),
    following=st.one_of(st.none(), st.none(), st.integers(0, 0xFFFF_FFFF)),
)


@settings(max_examples=300, deadline=None)
@given(
    made=st.lists(records, max_size=8),
    first=st.one_of(st.just(BLOCK_HEADER), st.integers(0, 0xFFFF_FFFF)),
    count=st.one_of(st.none(), st.integers(0, 0xFFFF_FFFF)),
    outgoing=st.booleans(),
)
def test_a_walk_stays_inside_its_block_whatever_stands_in_it(
    made: list[Record], first: int, count: int | None, *, outgoing: bool
) -> None:
    ring = bytearray(b"\x55" * BLOCK + block(*made, count=count)[:BLOCK] + b"\x55" * BLOCK)
    struct.pack_into("I", ring, BLOCK + 16, first)
    walk, batch = walk_over(ring)
    walk.outgoing = outgoing
    walk.first_time(1)
    rows = walk.fill(1)
    told = len(made) if count is None else count
    assert rows + walk.outgoing_frames + walk.damaged == told
    for row in range(rows):
        assert batch.offset[row] >= BLOCK
        assert batch.offset[row] + batch.captured[row] <= 2 * BLOCK
        assert batch.captured[row] <= batch.wire[row]
    after = bytes(batch.buffer)
    assert after[:BLOCK] == after[2 * BLOCK :] == b"\x55" * BLOCK


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(min_size=200, max_size=400))
def test_a_walk_over_any_bytes_ends(noise: bytes) -> None:
    ring = (noise * (BLOCK // len(noise) + 1))[:BLOCK]
    walk, batch = walk_over(ring)
    for row in range(walk.fill(0)):
        assert 0 <= batch.offset[row] <= BLOCK - batch.captured[row]
