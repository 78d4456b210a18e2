"""Addresses, networks, MACs and names have one canonical form each."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.spelling import (
    address_of,
    domain_of,
    is_address_or_network,
    is_mac,
    mac_of,
    network_of,
)


@pytest.mark.parametrize(
    "text",
    [
        "44:19:b6:a0:00:01",
        "44:19:B6:A0:00:01",
        "44-19-b6-a0-00-01",
        "4419.b6a0.0001",
        " 4419.B6A0.0001 ",
    ],
)
def test_a_mac_is_spelled_four_ways(text: str) -> None:
    assert is_mac(text)
    assert mac_of(text) == "44:19:b6:a0:00:01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "44:19:b6:a0:00",
        "44:19-b6:a0:00:01",
        "4419b6a00001",
        "44:19:b6:a0:00:0g",
        "4419.b6a0.00011",
    ],
)
def test_other_spellings_are_no_mac(text: str) -> None:
    assert not is_mac(text)
    with pytest.raises(ValueError, match='write it as "44:19:b6:a0:00:01"'):
        mac_of(text)


@pytest.mark.parametrize("text", ["01:00:5e:00:00:fb", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
def test_a_group_or_empty_mac_is_no_device(text: str) -> None:
    with pytest.raises(ValueError, match="is no device's MAC address"):
        mac_of(text)


def test_host_bits_are_told_with_the_right_network() -> None:
    with pytest.raises(
        ValueError, match=r"'10\.20\.0\.1/16' has host bits set; write 10\.20\.0\.0/16"
    ):
        network_of("10.20.0.1/16")
    with pytest.raises(ValueError, match="write 2001:db8::/32"):
        network_of("2001:db8::1/32")


def test_one_address_is_a_network_of_one() -> None:
    assert network_of("192.0.2.1") == ip_network("192.0.2.1/32")
    assert network_of("10.0.0.0/255.0.0.0") == ip_network("10.0.0.0/8")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.256", "x", "", "10.0.0.0/", "1/" * 10_000])
def test_a_bad_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no network; write one such as"):
        network_of(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("192.0.2.1/24", "is a network"),
        ("fe80::1%eth0", "has a zone"),
        ("192.0.2.01", "is no IP address"),
        ("camera", "is no IP address"),
    ],
)
def test_a_bad_address_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        address_of(text)
    with pytest.raises(ValueError, match="zone"):
        network_of("fe80::%eth0/64")


def test_an_ipv6_address_has_one_text() -> None:
    assert str(address_of("2001:0DB8:0:0::0001")) == "2001:db8::1"


@pytest.mark.parametrize("text", ["10.20", "10.0.0.0/33", "fd00::", "gate/1", "300.1.1.1"])
def test_what_means_an_address_is_told_from_a_name(text: str) -> None:
    assert is_address_or_network(text)
    assert not is_address_or_network("gate-1")
    assert not is_address_or_network("vms.example.org")


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("VMS.Example.org.", "vms.example.org"),
        ("*.example.org", "*.example.org"),
        ("_dns.resolver.arpa", "_dns.resolver.arpa"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ],
)
def test_a_domain_is_lower_case_without_the_root(text: str, domain: str) -> None:
    assert domain_of(text) == domain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("org", "has one label"),
        ("", "is no domain name"),
        ("a..b", "is no domain name"),
        ("https://example.org", "is no domain name"),
        ("a.*.org", "is no domain name"),
        ("-a.org", "is no domain name"),
        ("a" * 64 + ".org", "is no domain name"),
        ("a." * 127 + "org", "is no domain name"),
        ("münchen.example", "is not ASCII; write xn--mnchen-3ya.example"),
        ("münchen..example", "is not ASCII; write its ASCII form"),
    ],
)
def test_a_bad_domain_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        domain_of(text)


@settings(max_examples=150)
@given(st.text(max_size=80))
def test_every_text_is_read_or_refused_with_a_reason(text: str) -> None:
    is_mac(text)
    is_address_or_network(text)
    for spelled in (mac_of, address_of, network_of, domain_of):
        with suppress(ValueError):
            spelled(text)


@settings(max_examples=100)
@given(st.ip_addresses(), st.integers(0, 32))
def test_a_network_keeps_its_form(address: object, length: int) -> None:
    network = ip_network(f"{address}/{length}", strict=False)
    assert network_of(str(network)) == network
    assert str(network_of(str(address_of(str(address))))).startswith(str(address))
