"""Each check of doctor alone: which facts make it complain, how gravely, and which do not."""

from __future__ import annotations

from collections import Counter

import pytest

from egressd.doctor.checks import CHECKS, complaints_of, is_usable
from egressd.doctor.facts import Complaint, Directions, Facts, InterfaceFacts, Weight
from egressd.model import Coverage

NOON = 1_795_348_800_000_000_000  # 2026-11-22T12:00:00Z
DAY = 86_400_000_000_000
UNUSABLE, WARNING, HINT = Weight.UNUSABLE, Weight.WARNING, Weight.HINT


def good(**changes: object) -> Facts:
    """Return the facts of a mirror with nothing wrong, but for the changes."""
    facts = Facts(
        "span0",
        live=True,
        seconds=10.0,
        now=NOON + 10_000_000_000,
        clock_synchronised=True,
        interface=InterfaceFacts(carrier=True, mtu=1500, merging=()),
        coverage=Coverage(NOON, NOON + 10_000_000_000, 10_000, 8_000_000, 8_000_000, flows=100),
        group_frames=200,
        passing_frames=9_800,
        tcp=Directions(both=40),
        questions=Directions(both=20),
        tcp_frames=6_000,
        datagram_frames=3_000,
        untagged_flows=100,
        networks_seen=["10.20.0.0/16"],
        networks_apart=1,
        cameras=3,
        hosts=9,
        listed=3,
    )
    for name, value in changes.items():
        owner = facts.coverage if name in Coverage.__dataclass_fields__ else facts
        setattr(owner, name, value)
    return facts


def link(**changes: object) -> Facts:
    """Return a good mirror whose interface counted something."""
    facts = good()
    for name, value in changes.items():
        setattr(facts.interface, name, value)
    return facts


def capture(**changes: object) -> Facts:
    """Return a good capture."""
    return good(live=False, interface=None, clock_synchronised=None, **changes)


def the_only(facts: Facts) -> Complaint:
    (complaint,) = complaints_of(facts)
    return complaint


def test_nothing_is_said_of_a_good_mirror() -> None:
    assert complaints_of(good()) == []
    assert complaints_of(capture()) == []
    assert is_usable([])


NOTHING = Coverage()

CASES: dict[str, tuple[Facts, str, Weight]] = {
    "no frame came": (good(coverage=NOTHING), "nothing-arrives", UNUSABLE),
    "no frame is in the capture": (capture(coverage=NOTHING), "nothing-arrives", UNUSABLE),
    "an unknown link type": (
        capture(malformed={"unknown link type": 10_000}), "unknown-link-type", UNUSABLE,
    ),
    "a normal switch port": (
        good(passing_frames=40, group_frames=9_000, own_frames=960), "no-mirror", UNUSABLE,
    ),
    "the wrong interface": (
        good(passing_frames=0, group_frames=100, own_frames=9_900), "own-traffic-only", UNUSABLE,
    ),
    "one direction": (good(tcp=Directions(both=1, sent=39)), "one-direction", UNUSABLE),
    "some ports in one direction": (
        good(tcp=Directions(both=30, received=10)), "one-direction", WARNING,
    ),
    "questions without answers, and no connection": (
        good(tcp=Directions(), questions=Directions(sent=5)), "one-direction", UNUSABLE,
    ),
    "media alone": (
        good(
            tcp=Directions(), questions=Directions(), tcp_frames=0, group_frames=0,
            passing_frames=10_000, datagram_frames=10_000,
        ),
        "media-only", UNUSABLE,
    ),
    "a snaplen": (capture(cut_frames=5_000), "frames-cut", UNUSABLE),
    "a few cut frames": (capture(cut_frames=20), "frames-cut", WARNING),
    "a switch that is too full": (good(lost_bytes=800_000), "lost-before", UNUSABLE),
    "a switch that is full at times": (good(lost_bytes=40_000), "lost-before", WARNING),
    "a card that drops": (link(nic_drops=1_000), "card-drops", UNUSABLE),
    "a card that drops a little": (link(nic_drops=10), "card-drops", WARNING),
    "a kernel that drops": (link(kernel_drops=1_000), "kernel-drops", UNUSABLE),
    "a kernel that drops a little": (link(kernel_drops=1), "kernel-drops", WARNING),
    "a capture that dropped": (capture(dropped_by_kernel=1_000), "kernel-drops", UNUSABLE),
    "a capture's card that dropped": (capture(dropped_by_interface=5), "card-drops", WARNING),
    "shed looks": (good(shed_looks=5), "engine-sheds", WARNING),
    "evicted flows": (good(evicted_flows=5), "engine-sheds", WARNING),
    "a bad cable": (link(nic_errors=3), "damaged-on-the-wire", WARNING),
    "an interface that goes away": (link(outages=2), "outages", WARNING),
    "a damaged file": (capture(damage=["a.pcap: it is cut"]), "damaged-file", WARNING),
    "frames twice": (good(duplicates=5_000), "frames-twice", WARNING),
    "super-frames by their length": (good(super_frames=7), "frames-joined", WARNING),
    "super-frames by the interface's own": (link(super_frames=7), "frames-joined", WARNING),
    "long frames": (capture(long_frames=7), "long-frames", HINT),
    "joining switched on": (link(merging=("gro", "rx-gro-hw")), "joining-is-on", HINT),
    "malformed frames": (good(malformed={"ip version": 900, "tag cut": 1}), "malformed", WARNING),
    "frames of no IP": (good(unknown={"0x8899": 9_000}), "not-ip", UNUSABLE),
    "several networks and no tag": (good(networks_apart=2), "no-vlan-tags", HINT),
    "one VLAN of several": (
        good(vlans=Counter({30: 100}), untagged_flows=0, networks_unseen=["10.21.0.0/16"]),
        "one-vlan", HINT,
    ),
    "no listed device seen": (good(missing=["a", "b", "c"]), "cameras-missing", UNUSABLE),
    "a listed device not seen": (good(missing=["gate-1"]), "cameras-missing", WARNING),
    "nobody listed and nobody recognised": (good(cameras=0, listed=0), "no-camera", HINT),
    "a clock nobody keeps": (good(clock_synchronised=False), "clock", WARNING),
    "a clock that was never set": (capture(first=86_400_000_000_000), "times", WARNING),
    "frames of the future": (capture(last=NOON + 3 * DAY), "times", WARNING),
    "few frames": (good(frames=300), "little", HINT),
    "a short look": (good(seconds=2.0), "little", HINT),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "name", "weight"), CASES.values(), ids=CASES)
def test_a_fault_is_told_as_what_it_is_and_nothing_else(
    facts: Facts, name: str, weight: Weight
) -> None:
    complaint = the_only(facts)
    assert (complaint.id, complaint.weight) == (name, weight)
    assert is_usable([complaint]) == (weight is not UNUSABLE)


@pytest.mark.parametrize("facts", [case[0] for case in CASES.values()], ids=CASES)
def test_every_complaint_says_how_to_mend_it(facts: Facts) -> None:
    complaint = the_only(facts)
    assert complaint.says.endswith(".")
    assert len(complaint.mend) > 20
    assert complaint.mend != complaint.says


def test_every_check_has_a_case_in_which_it_complains() -> None:
    faults = [facts for facts, _, _ in CASES.values()]
    silent = [check.__name__ for check in CHECKS if not any(list(check(f)) for f in faults)]
    assert silent == []


FINE: dict[str, Facts] = {
    "a connection of which one side is missing among many": good(tcp=Directions(99, 1)),
    "one connection": good(tcp=Directions(sent=1)),
    "a single question without an answer": good(
        tcp=Directions(both=1), questions=Directions(both=9, sent=0)
    ),
    "single copies": good(duplicates=100),
    "a few lost bytes": good(lost_bytes=1_000),
    "a few malformed frames": good(malformed={"ip version": 9}),
    "some frames of no IP": good(unknown={"0x88cc": 100}),
    "tags of several networks": good(vlans=Counter({30: 50, 40: 50}), networks_apart=2),
    "one VLAN, of which all networks are": good(vlans=Counter({30: 100}), untagged_flows=0),
    "a clock that nobody tells of": good(clock_synchronised=None),
    "a capture made in a zone ahead": capture(last=NOON + DAY // 2),
    "no camera recognised, but listed ones": good(cameras=0),
}


@pytest.mark.parametrize("facts", FINE.values(), ids=FINE)
def test_what_happens_on_a_good_mirror_is_no_complaint(facts: Facts) -> None:
    assert complaints_of(facts) == []


def test_the_gravest_complaint_comes_first() -> None:
    facts = good(clock_synchronised=False, frames=300, cut_frames=300, missing=["gate-1"])
    weights = [complaint.weight for complaint in complaints_of(facts)]
    assert weights == [UNUSABLE, WARNING, WARNING, HINT]


@pytest.mark.parametrize(
    ("interface", "says", "mends"),
    [
        pytest.param(InterfaceFacts(up=False), "switched off", "ip link set span0 up", id="down"),
        pytest.param(InterfaceFacts(carrier=False), "no link", "cable", id="no-cable"),
        pytest.param(InterfaceFacts(carrier=True), "in 10 s", "mirror session", id="silent"),
    ],
)
def test_why_nothing_arrives_is_told(interface: InterfaceFacts, says: str, mends: str) -> None:
    complaint = the_only(good(coverage=Coverage(), interface=interface))
    assert says in complaint.says
    assert mends in complaint.mend


@pytest.mark.parametrize(
    ("tcp", "which"),
    [
        (Directions(sent=10), "what the cameras or hosts on site send"),
        (Directions(received=10), "what the cameras or hosts on site are sent"),
        (Directions(sent=5, received=5), "only one side is seen."),
    ],
    ids=["sent", "received", "mixed"],
)
def test_which_direction_is_there_is_told(tcp: Directions, which: str) -> None:
    assert which in the_only(good(tcp=tcp)).says


def test_the_command_that_mends_super_frames_names_the_interface() -> None:
    assert "ethtool -K span0 gro off lro off" in the_only(good(super_frames=1)).mend
    assert "ethtool -K IFACE gro off" in the_only(capture(super_frames=1)).mend
    assert the_only(link(merging=("gro", "rx-gro-hw"))).mend.endswith(
        "ethtool -K span0 gro off rx-gro-hw off"
    )


def test_a_missing_direction_is_not_told_as_loss_as_well() -> None:
    complaint = the_only(good(tcp=Directions(sent=40), lost_bytes=4_000_000))
    assert complaint.id == "one-direction"


def test_many_missing_devices_are_told_in_short() -> None:
    missing = [f"cam-{n}" for n in range(50)]
    assert "cam-9 and 40 more" in the_only(good(missing=missing, listed=60)).says


def test_facts_as_they_begin_make_no_check_fail() -> None:
    for facts in (Facts("x"), Facts("x", live=True, interface=InterfaceFacts())):
        assert [c.id for c in complaints_of(facts)] == ["nothing-arrives"]
