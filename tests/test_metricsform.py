"""The key `metrics` of a site file: what it means, and what is told of what cannot be meant."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from egressd.config import default_site, load_site
from egressd.model import ConfigError
from egressd.settings.metrics import MetricsSettings

if TYPE_CHECKING:
    from pathlib import Path

    from egressd.config import Site

LOOPBACK = MetricsSettings(address="127.0.0.1", port=9469)


def site_with(folder: Path, metrics: str) -> Site:
    file = folder / "site.yaml"
    file.write_text(f"site: {{networks: [10.20.0.0/16]}}\n{metrics}\n")
    return load_site(file)


def complaint(folder: Path, metrics: str) -> str:
    with pytest.raises(ConfigError) as caught:
        site_with(folder, metrics)
    return str(caught.value).removeprefix(f"{folder}/site.yaml:2:")


@pytest.mark.parametrize(
    "metrics", ["", "metrics: {}", "metrics:"], ids=["no key", "empty", "null"]
)
def test_metrics_are_served_on_loopback(tmp_path: Path, metrics: str) -> None:
    assert site_with(tmp_path, metrics).metrics == LOOPBACK == default_site().metrics


def test_all_keys_are_taken(tmp_path: Path) -> None:
    site = site_with(
        tmp_path,
        'metrics: {listen: "[2001:db8::1]:443", users: /etc/egressd/users, cameras: 60, '
        "scrapers: [192.0.2.10, 192.0.2.64/26], tls: {certificate: /etc/c, key: /etc/k}}",
    )
    assert site.metrics == MetricsSettings(
        address="2001:db8::1",
        port=443,
        certificate="/etc/c",
        key="/etc/k",
        users="/etc/egressd/users",
        scrapers=(ip_network("192.0.2.10/32"), ip_network("192.0.2.64/26")),
        cameras=60,
    )
    assert site.warnings == ()


def test_metrics_can_be_off(tmp_path: Path) -> None:
    assert site_with(tmp_path, "metrics: {listen: off}").metrics.address is None


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("listen: 9469", "metrics.listen: is the number 9469; write it in quotes"),
        ("listen: localhost:9469", "metrics.listen: 'localhost:9469' is no address and port"),
        ("listen: 127.0.0.1", "metrics.listen: '127.0.0.1' is no address and port"),
        ("listen: 127.0.0.256:1", "metrics.listen: '127.0.0.256' is no IP address"),
        ("listen: 127.0.0.1:70000", "metrics.listen: 70000 is no port"),
        ("listen: 127.0.0.1:0", "metrics.listen: 0 is no port"),
        ("users: users", "metrics.users: 'users' is no full path"),
        ("tls: {certificate: /c}", "metrics.tls.key: is missing"),
        ("scrapers: [0.0.0.0/0]", "metrics.scrapers[0]: 0.0.0.0/0 is everybody"),
        ("scrapers: [prometheus.example]", "metrics.scrapers[0]: 'prometheus.example' is no net"),
        ("cameras: 0", "metrics.cameras: is 0; write at least 1"),
        ("listen: off, users: /u", "metrics.users: stands beside listen: off"),
        ("port: 9469", "metrics.port: unknown key"),
    ],
)
def test_what_cannot_be_says_so(tmp_path: Path, keys: str, says: str) -> None:
    told = complaint(tmp_path, f"metrics: {{{keys}}}")
    assert says in told
    assert told.split(":")[0].isdigit()  # the column


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("listen: 0.0.0.0:9469", "whoever can reach 0.0.0.0 can read the metrics"),
        ("listen: 192.0.2.1:9469, users: /u", "passwords travel in the clear; write tls"),
        ("scrapers: [192.0.2.10]", "metrics.scrapers cannot reach 127.0.0.1"),
    ],
    ids=["open to all", "in the clear", "nobody can come"],
)
def test_what_is_likely_a_mistake_is_a_warning(tmp_path: Path, keys: str, says: str) -> None:
    (warning,) = site_with(tmp_path, f"metrics: {{{keys}}}").warnings
    assert warning.startswith(f"{tmp_path}/site.yaml:2: metrics.")
    assert says in warning
