"""A permit lets out what it names, until its last day, and counts what it let out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.config import Permit, Site, SiteDevice
from egressd.judge.policy import Policy
from egressd.model import Camera, Kind, PermitUse

NOON = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
GATE = Camera("44:19:b6:a0:00:01", mac="44:19:b6:a0:00:01", ips=["10.0.0.1", "fd00::1"])
YARD = Camera("10.0.1.2", ips=["10.0.1.2"])
DEVICE = SiteDevice("gate-1", Kind.CAMERA, "44:19:b6:a0:00:01", None, None, None, 3)


def permit(to: str, **more: object) -> Permit:
    values: dict[str, object] = {"from_": None, "port": None, "why": "", "until": None, "line": 7}
    return Permit(to=to, **(values | more))  # type: ignore[arg-type]  # a shorthand for these tests


def policy(*permits: Permit) -> Policy:
    return Policy(Site(cameras=(DEVICE,), permits=permits, file="site.yaml"))


def allows(one: Permit, camera: Camera = GATE, ip: str | None = "192.0.2.9", *names: str) -> bool:
    return policy(one).find(camera, ip, names, 443, "tcp", NOON) is one


def test_a_permit_without_from_is_for_every_camera() -> None:
    assert allows(permit("192.0.2.9"), GATE)
    assert allows(permit("192.0.2.9"), YARD)


@pytest.mark.parametrize(
    "source", ["gate-1", "44:19:b6:a0:00:01", "10.0.0.1", "10.0.0.0/24", "fd00::/64"]
)
def test_a_camera_is_named_four_ways(source: str) -> None:
    one = permit("192.0.2.9", from_=source)
    assert allows(one, GATE)
    assert not allows(one, YARD)


def test_a_hostname_does_not_make_a_camera_the_listed_one() -> None:
    liar = Camera("00:00:5e:00:53:01", name="gate-1", mac="00:00:5e:00:53:01", ips=["10.0.9.9"])
    assert not allows(permit("192.0.2.9", from_="gate-1"), liar)


def test_a_name_that_is_not_listed_permits_nothing() -> None:
    assert not allows(permit("192.0.2.9", from_="gate-9"))


@pytest.mark.parametrize(
    ("to", "ip", "allowed"),
    [
        ("192.0.2.9", "192.0.2.9", True),
        ("192.0.2.9", "192.0.2.10", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("2001:db8::/32", "192.0.2.9", False),
    ],
)
def test_an_address_or_network_is_permitted(to: str, ip: str, allowed: bool) -> None:  # noqa: FBT001  # a column of the table
    assert allows(permit(to), GATE, ip) is allowed


@pytest.mark.parametrize(
    ("to", "name", "allowed"),
    [
        ("example.org", "example.org", True),
        ("example.org", "VMS.Example.org.", True),
        ("example.org", "a.b.example.org", True),
        ("example.org", "notexample.org", False),
        ("example.org", "example.org.evil.test", False),
        ("*.example.org", "vms.example.org", True),
        ("*.example.org", "example.org", False),
    ],
)
def test_a_domain_is_permitted_with_what_is_under_it(to: str, name: str, allowed: bool) -> None:  # noqa: FBT001  # a column of the table
    assert allows(permit(to), GATE, "192.0.2.9", "other.test", name) is allowed


def test_a_domain_permits_no_nameless_contact() -> None:
    assert not allows(permit("example.org"))


@pytest.mark.parametrize(
    ("one", "port", "transport", "allowed"),
    [
        (permit("192.0.2.9", port=443), 443, "tcp", True),
        (permit("192.0.2.9", port=443), 443, "udp", True),
        (permit("192.0.2.9", port=443), 80, "tcp", False),
        (permit("192.0.2.9", port=443), None, "icmp", False),
        (permit("192.0.2.9", transport="udp"), 443, "tcp", False),
        (permit("192.0.2.9", transport="icmp"), None, "icmp", True),
        (permit("192.0.2.9"), None, "icmp", True),
    ],
    ids=["same", "any transport", "other port", "icmp", "transport", "icmp named", "any"],
)
def test_port_and_transport_narrow_a_permit(
    one: Permit,
    port: int | None,
    transport: str,
    allowed: bool,  # noqa: FBT001  # a column of the table
) -> None:
    assert (policy(one).find(GATE, "192.0.2.9", [], port, transport, NOON) is one) is allowed


def test_a_lookup_of_a_permitted_domain_is_permitted_whatever_the_port() -> None:
    one = permit("example.org", port=443, transport="tcp")
    assert policy(one).find(GATE, None, ["vms.example.org"], None, "udp", NOON) is one
    assert policy(permit("192.0.2.9")).find(GATE, None, ["a.test"], None, "udp", NOON) is None


def test_a_permit_holds_to_the_end_of_its_last_day_in_utc() -> None:
    one = permit("192.0.2.9", until=date(2027, 1, 1), why="contract 12")
    asked = policy(one)
    last = int(datetime(2027, 1, 2, tzinfo=UTC).timestamp()) * 1_000_000_000
    assert asked.find(GATE, "192.0.2.9", [], 1, "tcp", last - 1) is one
    assert asked.find(GATE, "192.0.2.9", [], 1, "tcp", last) is None
    assert asked.find(GATE, "192.0.2.10", [], 1, "tcp", last) is None
    assert asked.uses == [
        PermitUse("site.yaml:7", "every camera -> 192.0.2.9", "contract 12", used=1, expired=1)
    ]


def test_the_first_permit_that_fits_is_counted() -> None:
    old = permit("192.0.2.9", until=date(2020, 1, 1))
    narrow = permit("192.0.2.0/24", from_="gate-1", port=443, transport="tcp")
    wide = permit("192.0.2.0/24")
    asked = policy(old, narrow, wide)
    assert asked.find(GATE, "192.0.2.9", [], 443, "tcp", NOON) is narrow
    assert asked.find(YARD, "192.0.2.9", [], 443, "tcp", NOON) is wide
    assert [(use.used, use.expired) for use in asked.uses] == [(0, 0), (1, 0), (1, 0)]
    assert asked.uses[1].text == "gate-1 -> 192.0.2.0/24 tcp port 443"


def test_the_last_day_of_the_calendar_does_not_overflow() -> None:
    assert allows(permit("192.0.2.9", until=date.max))


def test_a_camera_of_a_listed_network_may_use_its_name() -> None:
    hall = SiteDevice("hall", Kind.CAMERA, None, None, ip_network("10.0.1.0/24"), None, 4)
    one = permit("192.0.2.9", from_="hall")
    asked = Policy(Site(cameras=(hall,), permits=(one,)))
    assert asked.find(YARD, "192.0.2.9", [], 1, "tcp", NOON) is one
    assert asked.find(GATE, "192.0.2.9", [], 1, "tcp", NOON) is None
    assert asked.uses[0].line == "permit:7"


@settings(max_examples=100)
@given(st.lists(st.text(max_size=40), max_size=4), st.text(max_size=20))
def test_no_name_or_address_off_the_wire_breaks_it(names: list[str], ip: str) -> None:
    policy(permit("example.org"), permit("192.0.2.0/24")).find(GATE, ip, names, 1, "tcp", NOON)
