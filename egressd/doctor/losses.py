"""Is all of it there: checks of what a mirror loses, cuts or leaves out.

Like `checks`, where the list of all is: facts in, complaints out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.doctor.facts import Complaint, Weight
from egressd.report.words import counted, human_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egressd.doctor.facts import Directions, Facts

# Shares of all frames, flows or bytes from which on something matters.
SOME = 0.001
MUCH = 0.01
FEW = 0.02
MOST = 0.8
FEWEST_FLOWS = 2  # of which a direction is told
FEWEST_FRAMES = 500  # of which anything is told that might only not have happened
STREAMING = 0.95  # share of datagrams where nothing but media is mirrored


def one_direction_is_missing(facts: Facts) -> Iterator[Complaint]:
    """Tell of connections of which one side never passed the mirror."""
    told = facts.tcp if facts.tcp.all >= FEWEST_FLOWS else facts.questions
    if told.all < FEWEST_FLOWS or not told.one:
        return
    what = "connections that carry data" if told is facts.tcp else "questions to servers"
    share = told.one / told.all
    says = f"Of {told.one:,} of {told.all:,} {what} only one side is seen{_which(told)}."
    mend = (
        "Mirror both directions of the source ports (SPAN: `both`; a tap: both of its outputs, "
        "or an aggregating one)."
    )
    if share >= MOST:
        yield unusable("one-direction", says, mend)
    elif share >= FEW:
        mend += " If some ports are right and some are not, compare the session's source ports."
        yield Complaint("one-direction", Weight.WARNING, says, mend)


def _which(told: Directions) -> str:
    received = told.received >= MOST * told.one
    if told.sent >= MOST * told.one:
        return ": what the cameras or hosts on site send"
    return ": what the cameras or hosts on site are sent" if received else ""


def only_media_is_mirrored(facts: Facts) -> Iterator[Complaint]:
    """Tell of datagrams and nothing else: somebody filtered the control traffic away."""
    others = facts.tcp_frames + facts.group_frames + facts.questions.all
    if facts.passing_frames < FEWEST_FRAMES or others:
        return
    if facts.datagram_frames >= STREAMING * facts.passing_frames:
        yield unusable(
            "media-only",
            f"All {facts.passing_frames:,} frames between hosts are datagrams, most likely video: "
            "no connection, no DNS, no broadcast is among them.",
            "Remove the filter (an ACL on the mirror session, a capture filter) that lets only "
            "media through: who a camera calls is told by the rest.",
        )


def frames_are_cut(facts: Facts) -> Iterator[Complaint]:
    """Tell of a snaplen."""
    cut = facts.coverage.cut_frames
    if not cut:
        return
    share = cut / facts.frames
    yield Complaint(
        "frames-cut",
        Weight.UNUSABLE if share > MUCH else Weight.WARNING,
        f"{counted(cut, 'frame is', 'frames are')} cut ({share:.0%}): names and protocols behind "
        "the cut are not seen.",
        "Capture whole frames (tcpdump and dumpcap: -s 0); on the switch, switch off truncation "
        "of the mirror session.",
    )


def frames_were_lost_before(facts: Facts) -> Iterator[Complaint]:
    """Tell of what TCP acknowledged and never came: lost in the switch, the tap, or on the way."""
    lost = facts.coverage.lost_bytes
    if not lost or facts.tcp.one > facts.tcp.both:  # of a side that is missing, all is lost
        return
    share = lost / (lost + facts.wire_bytes)
    if share < SOME:
        return
    yield Complaint(
        "lost-before",
        Weight.UNUSABLE if share > MUCH else Weight.WARNING,
        f"{human_bytes(lost)} were acknowledged and never seen ({share:.1%}): frames are lost "
        "before they reach this machine, or while it takes them.",
        "Mirror fewer ports, or into a faster one: a gigabit port carries the sum of both "
        "directions of few others. Or use a tap. If this machine drops frames, mend that first.",
    )


def the_card_drops(facts: Facts) -> Iterator[Complaint]:
    """Tell what the card, or its driver, had no room for."""
    drops = facts.interface.nic_drops if facts.interface else facts.dropped_by_interface
    if drops:
        yield _drops(
            "card-drops",
            drops,
            facts,
            "by the network card, which had no room",
            "Give it more room (ethtool -G IFACE rx 4096) and its interrupts a processor of "
            "their own; or mirror fewer ports.",
        )


def the_kernel_drops(facts: Facts) -> Iterator[Complaint]:
    """Tell what came faster than it was taken."""
    drops = facts.interface.kernel_drops if facts.interface else facts.dropped_by_kernel
    if drops:
        yield _drops(
            "kernel-drops",
            drops,
            facts,
            "by the kernel, because nobody took them in time",
            "Use a faster machine, or stop what else runs on it. A capture: a larger buffer "
            "(dumpcap -B 256) and a faster disk.",
        )


def _drops(name: str, drops: int, facts: Facts, where: str, mend: str) -> Complaint:
    share = drops / (drops + facts.frames)
    weight = Weight.UNUSABLE if share > MUCH else Weight.WARNING
    told = counted(drops, "frame was", "frames were")
    return Complaint(name, weight, f"{told} dropped ({share:.1%}) {where}.", mend)


def the_engine_sheds(facts: Facts) -> Iterator[Complaint]:
    """Tell of more hosts or flows than there is room for."""
    coverage = facts.coverage
    if coverage.shed_looks or coverage.evicted_flows:
        yield Complaint(
            "engine-sheds",
            Weight.WARNING,
            f"{counted(coverage.shed_looks, 'look', 'looks')} into payloads were left out and "
            f"{counted(coverage.evicted_flows, 'flow was', 'flows were')} ended early for want "
            "of room; bytes and packets are counted all the same.",
            "Mirror the cameras' network only. If it is that already, some host scans or floods.",
        )


def it_is_damaged_on_the_wire(facts: Facts) -> Iterator[Complaint]:
    """Tell of bad checksums of Ethernet: a cable or a transceiver."""
    if facts.interface and facts.interface.nic_errors:
        yield Complaint(
            "damaged-on-the-wire",
            Weight.WARNING,
            f"{counted(facts.interface.nic_errors, 'frame')} came damaged and were thrown away.",
            "Change the cable or the transceiver; set both ends to the same speed and duplex.",
        )


def the_interface_goes_away(facts: Facts) -> Iterator[Complaint]:
    """Tell of an interface that went down, or away, while it was watched."""
    if facts.interface and facts.interface.outages:
        yield Complaint(
            "outages",
            Weight.WARNING,
            f"{facts.target} went down {counted(facts.interface.outages, 'time')} while it was "
            "watched.",
            "See whether something else configures it (NetworkManager, networkd): it needs no "
            "address, and must stay up.",
        )


def the_file_is_damaged(facts: Facts) -> Iterator[Complaint]:
    """Tell what the reader noted."""
    if facts.damage:
        more = f", and {len(facts.damage) - 1} more" if len(facts.damage) > 1 else ""
        yield Complaint(
            "damaged-file",
            Weight.WARNING,
            f"The capture is damaged: {facts.damage[0]}{more}.",
            "Let the capture end before it is copied, and copy it again.",
        )


def unusable(name: str, says: str, mend: str) -> Complaint:
    """Return a complaint that makes a mirror unusable."""
    return Complaint(name, Weight.UNUSABLE, says, mend)
