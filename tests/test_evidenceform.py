"""The keys `evidence` and `canary` of a site file become settings, or errors that tell why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from egressd.config import Site, default_site, load_site
from egressd.model import ConfigError
from egressd.settings.canary import CanarySettings
from egressd.settings.evidence import EvidenceSettings

if TYPE_CHECKING:
    from pathlib import Path

SITE = "site: {networks: [10.0.0.0/8]}\n"


def load(folder: Path, text: str) -> Site:
    (folder / "site.yaml").write_text(SITE + text)
    return load_site(folder / "site.yaml")


def test_without_the_keys_evidence_is_kept_and_no_canary_expected(tmp_path: Path) -> None:
    for site in (load(tmp_path, ""), default_site()):
        assert site.evidence == EvidenceSettings(
            enabled=True, directory=None, days=30, size=1_000_000_000, files=20_000, snaplen=0,
            buffer=64_000_000,
        )  # fmt: skip
        assert site.canary is None


def test_every_key_of_evidence_is_taken(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        "evidence: {enabled: false, directory: /srv/evidence/, days: 7, size: 20GB, files: 500,"
        " snaplen: 96, buffer: 16MiB}",
    )
    assert site.evidence == EvidenceSettings(
        enabled=False, directory="/srv/evidence", days=7, size=20_000_000_000, files=500,
        snaplen=96, buffer=16 << 20,
    )  # fmt: skip


def test_a_canary_needs_its_key_alone(tmp_path: Path) -> None:
    site = load(tmp_path, "canary: {key_file: /etc/egressd/canary.key}")
    assert site.canary == CanarySettings(
        "/etc/egressd/canary.key", interval_seconds=60, misses=1, port=9, names=(),
        clock_tolerance_seconds=300,
    )  # fmt: skip


def test_every_key_of_a_canary_is_taken(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        "canary: {key_file: /k, interval: 5min, misses: 3, port: 4000, names: [gate, yard, gate],"
        " clock_tolerance: 1h}",
    )
    assert site.canary == CanarySettings("/k", 300, 3, 4000, ("gate", "yard"), 3600)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("evidence: {directory: evidence}", "evidence.directory: 'evidence' is no full path"),
        ("evidence: {days: 0}", "evidence.days: is 0; write at least 1"),
        ("evidence: {size: 10kB}", "evidence.size: '10kB' is too small"),
        ("evidence: {size: 1000}", "evidence.size: is the number 1000; write it in quotes"),
        ("evidence: {snaplen: 10}", "evidence.snaplen: is 10; write at least 64"),
        ("evidence: {buffer: 5GB}", "evidence.buffer: '5GB' of memory is too little or too much"),
        ("evidence: {day: 3}", "evidence.day: unknown key; did you mean 'days'?"),
        ("canary: {}", "canary.key_file: is missing; write key_file: /etc/egressd/canary.key"),
        ("canary: {key_file: key}", "canary.key_file: 'key' is no full path"),
        ("canary: {key_file: /k, interval: 2h}", "canary.interval: '2h' is too short or too long"),
        ("canary: {key_file: /k, interval: 60}", "canary.interval: is the number 60"),
        ("canary: {key_file: /k, misses: 0}", "canary.misses: is 0; write at least 1"),
        ("canary: {key_file: /k, port: 70000}", "canary.port: is 70000; write at most 65535"),
        ('canary: {key_file: /k, names: [""]}', "canary.names[0]: '' is no canary's name"),
        ("canary: {key_file: /k, clock_tolerance: 0s}", "canary.clock_tolerance: '0s' is too"),
    ],
)  # fmt: skip
def test_an_error_says_where_it_is_and_what_to_write(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "site.yaml:2:" in str(caught.value)
    assert says in str(caught.value)
