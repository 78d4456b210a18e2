"""The books of a reader: damage up to a number, sources up to what a batch can name."""

from __future__ import annotations

from egressd.capture.batch import Source
from egressd.capture.damage import MAX_ENTRIES, MAX_SOURCES, Damage, DamageLog, SourceList


def test_a_log_tells_a_hundred_entries_and_how_many_more() -> None:
    damage: list[Damage] = []
    log = DamageLog("a.pcap", damage)
    for i in range(MAX_ENTRIES + 7):
        log.add(i, f"no {i}")
    log.close()
    log.close()
    assert len(damage) == MAX_ENTRIES + 1
    assert damage[-1] == Damage("a.pcap", MAX_ENTRIES + 6, "and 7 more like these")


def test_a_log_with_room_says_nothing_at_its_end() -> None:
    damage: list[Damage] = []
    log = DamageLog("a.pcap", damage)
    log.add(9, "odd", lost=False, odd=True)
    log.close()
    assert damage == [Damage("a.pcap", 9, "odd", lost=False, odd=True)]


def test_there_are_as_many_sources_as_sixteen_bits_name() -> None:
    sources = SourceList()
    source = Source("a.pcap", "", 1, 0)
    assert [sources.add(source) for _ in range(3)] == [0, 1, 2]
    sources.sources.extend([source] * (MAX_SOURCES - 3))
    assert sources.add(source) == -1
