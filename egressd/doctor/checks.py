"""What is wrong with a mirror, one check a function: facts in, complaints out.

Every complaint says what was measured and how to mend it, in words that need no book. A check that
lacks the facts for a judgement says nothing; how much was looked at is judged by one of its own.
What is lost or left out is told in `losses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.doctor.facts import Complaint, Weight
from egressd.doctor.losses import (
    FEWEST_FRAMES,
    MUCH,
    frames_are_cut,
    frames_were_lost_before,
    it_is_damaged_on_the_wire,
    one_direction_is_missing,
    only_media_is_mirrored,
    the_card_drops,
    the_engine_sheds,
    the_file_is_damaged,
    the_interface_goes_away,
    the_kernel_drops,
    unusable,
)
from egressd.report.words import counted, human_span, short_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from egressd.doctor.facts import Facts

    Check = Callable[[Facts], Iterator[Complaint]]

COPIES = 0.02  # share of frames; single ones come twice when a session is changed
ENOUGH_FRAMES = 1000
ENOUGH_SECONDS = 5.0
NAMED = 10  # devices in one complaint
YEAR_2000 = 946_684_800_000_000_000
AHEAD = 86_400_000_000_000  # a capture may come from a machine in another zone; a day is no zone
UNKNOWN_LINK = "unknown link type"  # egressd.dataplane.frames.REASONS


def complaints_of(facts: Facts) -> list[Complaint]:
    """Return what is wrong, the gravest first."""
    found = [complaint for check in CHECKS for complaint in check(facts)]
    order = list(Weight)
    return sorted(found, key=lambda complaint: order.index(complaint.weight))


def is_usable(complaints: list[Complaint]) -> bool:
    """Tell whether what is found or not found through this mirror means anything."""
    return all(complaint.weight is not Weight.UNUSABLE for complaint in complaints)


# ---- does anything arrive ----------------------------------------------------------------------


def nothing_arrives(facts: Facts) -> Iterator[Complaint]:
    """Tell that no frame came at all."""
    if facts.frames:
        return
    link = facts.interface
    if not facts.live:
        yield unusable(
            "nothing-arrives",
            "There is no frame in this capture.",
            "Capture again, as root and without a filter, on the interface at the mirror port.",
        )
    elif link is not None and not link.up:
        yield unusable(
            "nothing-arrives",
            f"{facts.target} is switched off, so that nothing can arrive.",
            f"Switch it on: ip link set {facts.target} up",
        )
    elif link is not None and link.carrier is False:
        yield unusable(
            "nothing-arrives",
            f"{facts.target} has no link: the cable is out, or the other end is shut.",
            "Check the cable and that the switch's port is enabled.",
        )
    else:
        yield unusable(
            "nothing-arrives",
            f"Not one frame came in {facts.seconds:.0f} s.",
            "Check the mirror session on the switch: is it switched on, are the cameras' ports its "
            f"source, and is the port that {facts.target} hangs on its destination?",
        )


def link_type_is_unknown(facts: Facts) -> Iterator[Complaint]:
    """Tell of frames of which nothing can be read."""
    unread = facts.coverage.malformed.get(UNKNOWN_LINK, 0)
    if unread and unread >= facts.frames / 2:
        yield unusable(
            "unknown-link-type",
            f"{counted(unread, 'frame is', 'frames are')} of a link type that cannot be read.",
            "Capture on an Ethernet interface, not on a device of the operating system's own.",
        )


def it_is_no_mirror(facts: Facts) -> Iterator[Complaint]:
    """Tell a normal switch port, or the wrong interface: nothing passes between two others."""
    told = facts.passing_frames + facts.own_frames + facts.group_frames
    if not told or facts.passing_frames > MUCH * told:
        return
    if facts.own_frames > facts.group_frames:
        yield unusable(
            "own-traffic-only",
            f"Almost all frames are this machine's own ({facts.own_frames:,} of {told:,}): "
            f"{facts.target} is where it is connected to the network, not where the mirror is.",
            "Name the interface at the mirror port; `ip -br link` lists all. On a gateway, watch "
            "the interface on the side of the cameras.",
        )
    else:
        yield unusable(
            "no-mirror",
            f"Only broadcasts and multicasts arrive ({facts.group_frames:,} of {told:,} frames): "
            "this is what every normal switch port gets, and no mirror.",
            "Make the switch's port the destination of a mirror session (SPAN), or use a tap; "
            "docs/how-to/take-a-capture.md says where.",
        )


# ---- is it as it was on the wire ---------------------------------------------------------------


def frames_come_twice(facts: Facts) -> Iterator[Complaint]:
    """Tell of a mirror that shows frames on their way in and on their way out."""
    copies = facts.coverage.duplicates
    if facts.frames and copies / facts.frames > COPIES:
        yield Complaint(
            "frames-twice",
            Weight.WARNING,
            f"{counted(copies, 'frame')} of {facts.frames:,} came more than once. Copies are "
            "counted once, but they take half of the mirror's room.",
            "Mirror either the ports or their VLAN, not both; or, of all ports of a switch, only "
            "what they receive (SPAN: `rx`).",
        )


def frames_are_joined(facts: Facts) -> Iterator[Complaint]:
    """Tell of a host that makes few long frames of many (GRO, LRO)."""
    link = facts.interface
    joined = facts.coverage.super_frames + (link.super_frames if link else 0)
    off = f"ethtool -K {facts.target if facts.live else 'IFACE'} gro off lro off"
    if joined:
        yield Complaint(
            "frames-joined",
            Weight.WARNING,
            f"{counted(joined, 'frame is', 'frames are')} longer than any on the wire: this "
            "machine joins them (GRO, LRO). Bytes are right; packets are too few.",
            f"Switch that off where the frames are captured: {off}",
        )
    elif facts.long_frames:
        yield Complaint(
            "long-frames",
            Weight.HINT,
            f"{counted(facts.long_frames, 'frame is', 'frames are')} longer than 2,000 bytes: "
            "either the site uses jumbo frames, or the capturing machine joins frames.",
            f"If there are no jumbo frames on the site: {off}",
        )
    elif link is not None and link.merging:
        features = " ".join(f"{feature} off" for feature in link.merging)
        yield Complaint(
            "joining-is-on",
            Weight.HINT,
            f"{facts.target} may join frames ({', '.join(link.merging)}); none was joined so far.",
            f"Switch it off: ethtool -K {facts.target} {features}",
        )


def much_is_malformed(facts: Facts) -> Iterator[Complaint]:
    """Tell of frames that do not hold what their headers say."""
    reasons = {
        reason: count
        for reason, count in facts.coverage.malformed.items()
        if reason != UNKNOWN_LINK
    }
    broken = sum(reasons.values())
    # What is cut is malformed for that reason, and told as such.
    if facts.frames and broken > MUCH * facts.frames and not facts.coverage.cut_frames:
        worst = max(reasons, key=lambda reason: reasons[reason])
        yield Complaint(
            "malformed",
            Weight.WARNING,
            f"{counted(broken, 'frame is', 'frames are')} malformed, most of them: {worst}.",
            "If the mirror comes in a tunnel or with a maker's own header, choose one that is "
            "known: ERSPAN, GRE, VXLAN, GENEVE, TZSP, 802.1Q.",
        )


def most_is_not_ip(facts: Facts) -> Iterator[Complaint]:
    """Tell of a header in front that nobody here knows."""
    unknown = facts.coverage.unknown
    count = sum(unknown.values())
    if facts.frames >= FEWEST_FRAMES and count > facts.frames / 2:
        worst = max(unknown, key=lambda kind: unknown[kind])
        yield unusable(
            "not-ip",
            f"{count:,} of {facts.frames:,} frames do not hold IP, most of them of type {worst}.",
            "The switch may put a header of its own in front: choose a mirror without one, or "
            "in a tunnel that is known (ERSPAN, GRE, VXLAN, TZSP).",
        )


# ---- is it the right part of the network -------------------------------------------------------


def tags_are_gone(facts: Facts) -> Iterator[Complaint]:
    """Tell of hosts of several networks, with MACs of their own, and no tag: perhaps taken off."""
    if facts.vlans or facts.networks_apart < 2:
        return
    yield Complaint(
        "no-vlan-tags",
        Weight.HINT,
        f"Hosts of {facts.networks_apart} of the site's networks are seen, and no frame has a "
        "VLAN tag. If these networks are VLANs, the mirror takes the tags off.",
        "Harmless as long as no address is used twice. Else mirror with tags (Cisco: "
        "`encapsulation replicate`) and keep them on this machine: ethtool -K IFACE rxvlan off",
    )


def only_one_vlan_is_mirrored(facts: Facts) -> Iterator[Complaint]:
    """Tell of one VLAN alone, though the site has more networks than are seen."""
    if len(facts.vlans) != 1 or facts.untagged_flows or not facts.networks_unseen:
        return
    (vlan,) = facts.vlans
    yield Complaint(
        "one-vlan",
        Weight.HINT,
        f"All frames are of VLAN {vlan}, and of {_some_of(facts.networks_unseen)} nothing is seen.",
        "If cameras are in other VLANs, add these to the mirror session.",
    )


def listed_devices_are_missing(facts: Facts) -> Iterator[Complaint]:
    """Tell what the site file lists and was never seen."""
    missing = facts.missing
    if not missing or not facts.frames:
        return
    if len(missing) == facts.listed:
        yield unusable(
            "cameras-missing",
            f"None of the {counted(facts.listed, 'device')} that the site file lists was seen.",
            "Add the cameras' ports or VLAN to the mirror session; check the addresses in the "
            "site file. Behind a router, list addresses, not MACs.",
        )
        return
    yield Complaint(
        "cameras-missing",
        Weight.WARNING,
        f"{len(missing):,} of {counted(facts.listed, 'listed device')} were not seen: "
        f"{_some_of(missing)}.",
        "Watch longer (--seconds 300): a camera speaks every few minutes at least. If they are "
        "still missing, add their ports to the mirror session, or mend the site file.",
    )


def no_camera_is_seen(facts: Facts) -> Iterator[Complaint]:
    """Tell that nobody is listed and nobody recognised."""
    if facts.frames and not facts.cameras and not facts.listed:
        yield Complaint(
            "no-camera",
            Weight.HINT,
            f"No camera was recognised among {counted(facts.hosts, 'host')} on site.",
            "Watch longer, or list the cameras in a site file (--site): one that does nothing "
            "cannot be recognised.",
        )


# ---- is the time right -------------------------------------------------------------------------


def the_clock_is_not_synchronised(facts: Facts) -> Iterator[Complaint]:
    """Tell of a clock that is nobody's care: frames are stamped by this machine's."""
    if facts.live and facts.clock_synchronised is False:
        yield Complaint(
            "clock",
            Weight.WARNING,
            "Nobody keeps this machine's clock right: times in findings may be wrong, and cannot "
            "be compared with a firewall's log.",
            "Run a time service (chrony, systemd-timesyncd) against the site's time server; "
            "`timedatectl` shows whether it works.",
        )


def times_are_impossible(facts: Facts) -> Iterator[Complaint]:
    """Tell of frames from before the year 2000, or of tomorrow."""
    coverage = facts.coverage
    if not facts.frames:
        return
    mend = "Set the clock of the machine that captures, and capture again."
    if coverage.first < YEAR_2000:
        says = f"Frames are stamped {short_moment(coverage.first)}: the clock was not set."
        yield Complaint("times", Weight.WARNING, says, mend)
    elif facts.now and coverage.last > facts.now + AHEAD:
        ahead = human_span(coverage.last - facts.now)
        says = f"Frames are stamped {short_moment(coverage.last)}, {ahead} from now."
        yield Complaint("times", Weight.WARNING, says, mend)


def it_is_little(facts: Facts) -> Iterator[Complaint]:
    """Tell that it was too little to be sure of the rest."""
    if facts.frames and (facts.frames < ENOUGH_FRAMES or facts.seconds < ENOUGH_SECONDS):
        yield Complaint(
            "little",
            Weight.HINT,
            f"{counted(facts.frames, 'frame')} in {facts.seconds:.0f} s are little to judge by.",
            "Watch longer (--seconds), while the recorder records.",
        )


def _some_of(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


CHECKS: tuple[Check, ...] = (
    nothing_arrives,
    link_type_is_unknown,
    it_is_no_mirror,
    one_direction_is_missing,
    only_media_is_mirrored,
    listed_devices_are_missing,
    frames_are_cut,
    frames_were_lost_before,
    the_card_drops,
    the_kernel_drops,
    the_engine_sheds,
    the_file_is_damaged,
    it_is_damaged_on_the_wire,
    the_interface_goes_away,
    most_is_not_ip,
    much_is_malformed,
    frames_come_twice,
    frames_are_joined,
    tags_are_gone,
    only_one_vlan_is_mirrored,
    no_camera_is_seen,
    the_clock_is_not_synchronised,
    times_are_impossible,
    it_is_little,
)
