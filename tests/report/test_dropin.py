"""The drop-in opens the service's firewall to scrapers and sinks, and to nobody else."""

from __future__ import annotations

import configparser
from ipaddress import ip_network

from egressd.report.dropin import Peer, dropin_of, unnamed_of

SCRAPERS = (ip_network("192.0.2.10/32"), ip_network("2001:db8:1::/64"))


def allowed(text: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith("IPAddress")]


def test_scrapers_and_sinks_are_let_through() -> None:
    peers = [Peer("192.0.2.5", "sink soc"), Peer("2001:db8::1", "sink alertmanager")]
    text = dropin_of(SCRAPERS, peers)
    assert allowed(text) == ["192.0.2.10", "2001:db8:1::/64", "192.0.2.5", "2001:db8::1"]
    assert "# sink soc\nIPAddressAllow=192.0.2.5\n" in text


def test_one_machine_stands_there_once() -> None:
    text = dropin_of(SCRAPERS[:1], [Peer("192.0.2.10", "sink a"), Peer("192.0.2.10", "sink b")])
    assert allowed(text) == ["192.0.2.10"]
    assert "# scraper, sink a, sink b\n" in text


def test_loopback_is_the_units_own_affair() -> None:
    peers = [Peer(host, "sink") for host in ("127.0.0.1", "::1", "localhost")]
    assert allowed(dropin_of((), peers)) == []


def test_a_name_cannot_be_let_through_and_is_told() -> None:
    peer = Peer("siem.example.org", "sink soc")
    text = dropin_of((), [peer])
    assert allowed(text) == []
    assert "# sink soc: siem.example.org is a name" in text
    assert unnamed_of([peer, Peer("192.0.2.5", "sink b"), Peer("localhost", "c")]) == [peer]


def test_it_is_a_unit_file_whatever_the_site_is_named() -> None:
    hostile = "Depot\n[Service]\nExecStart=/bin/false\n\\"
    text = dropin_of(SCRAPERS, [Peer("192.0.2.5", hostile)], site=hostile)
    parser = configparser.ConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
    parser.read_string(text)
    assert parser.sections() == ["Service"]
    assert dict(parser["Service"]) == {"IPAddressAllow": "192.0.2.5"}  # the last of several
    assert not any(line.endswith("\\") for line in text.splitlines())


def test_another_port_of_the_metrics_may_be_bound() -> None:
    text = dropin_of((), (), port=9999)
    assert "SocketBindAllow=ipv4:tcp:9999\nSocketBindAllow=ipv6:tcp:9999\n" in text
    assert "SocketBind" not in dropin_of((), (), port=9469)


def test_without_anyone_it_opens_nothing() -> None:
    assert allowed(dropin_of((), ())) == []
    assert "[Service]" in dropin_of((), ())
