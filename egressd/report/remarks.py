"""What makes a result less than whole, one sentence each: damage, losses, cuts, old data.

The table shows them before its verdict. A counter that is zero has no sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.report.words import counted, human_bytes

if TYPE_CHECKING:
    from egressd.model import Case, Coverage
    from egressd.report.casefile import Run

DAMAGE_SHOWN = 20


def remarks_of(case: Case, run: Run) -> list[str]:
    """Return the sentences, the gravest first."""
    lines = []
    if run.interrupted:
        lines.append("The run was interrupted: the rest of the input was not looked at.")
    damage = [
        f"{item.file}: {hurt.reason} (at byte {hurt.offset:,})"
        for item in run.inputs
        for hurt in item.damage
    ]
    lines += damage[:DAMAGE_SHOWN]
    if len(damage) > DAMAGE_SHOWN:
        lines.append(f"and {len(damage) - DAMAGE_SHOWN} more places where an input is damaged")
    if run.unread_frames:
        unread = counted(run.unread_frames, "frame is", "frames are")
        lines.append(f"{unread} of a link type that cannot be read: nothing is known of them.")
    lines += _coverage_remarks(case.coverage)
    return [*lines, *run.warnings]


def _coverage_remarks(coverage: Coverage) -> list[str]:
    drops = sum(coverage.interface_drops.values())
    broken = sum(coverage.malformed.values())
    unknown = sum(coverage.unknown.values())
    errors = sum(coverage.decode_errors.values())
    told = {
        f"{counted(drops, 'frame was', 'frames were')} dropped by the capture itself": drops,
        f"{human_bytes(coverage.lost_bytes)} were acknowledged but never seen: "
        "the mirror lost frames": coverage.lost_bytes,
        f"{counted(coverage.one_way_flows, 'flow was', 'flows were')} seen in one direction only: "
        "half of the mirror may be missing": coverage.one_way_flows,
        f"{counted(coverage.cut_frames, 'frame was', 'frames were')} cut by the capture's "
        "snaplen: names and protocols behind the cut are not seen": coverage.cut_frames,
        f"{counted(coverage.duplicates, 'frame', 'frames')} came more than once from the mirror "
        "and counted once": coverage.duplicates,
        f"{counted(broken, 'frame was', 'frames were')} malformed": broken,
        f"{counted(unknown, 'frame')} did not hold IP": unknown,
        f"{counted(errors, 'message')} could not be decoded": errors,
        f"{counted(coverage.shed_looks, 'look', 'looks')} into payloads were shed; "
        "byte and packet counters are exact": coverage.shed_looks,
        f"{counted(coverage.evicted_flows, 'flow was', 'flows were')} closed early "
        "for want of room": coverage.evicted_flows,
        f"{counted(coverage.overlapping_fragments, 'IP fragment')} overlapped "
        "others": coverage.overlapping_fragments,
        f"{counted(coverage.super_frames, 'frame was', 'frames were')} joined by the capture "
        "host (GRO or LRO): packet counts are too low": coverage.super_frames,
    }
    return [f"{line}." for line, count in told.items() if count]
