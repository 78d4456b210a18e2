"""What the site file says of the mirror reaches the kernel's filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from egressd.capture.cutting import MediaPorts, Span
from egressd.capture.filter import FrameFilter
from egressd.config import load_site
from egressd.daemon.intake import _filter_of
from egressd.model import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from egressd.config import Site

ETHERNET = 1


def site_of(folder: Path, lines: str) -> Site:
    """Return a site whose file has these keys beside its networks."""
    file = folder / "site.yaml"
    file.write_text(f"site: {{networks: [10.20.0.0/16]}}\nfilter: {{{lines}}}\n")
    return load_site(file)


def test_media_ports_of_the_site_file_are_cut(tmp_path: Path) -> None:
    site = site_of(tmp_path, "media_ports: [37777, 8000, 37777]")
    wanted = FrameFilter(site, media=MediaPorts(known=(Span(37777, 37777), Span(8000, 8000))))
    assert _filter_of(site).program_of(ETHERNET) == wanted.program_of(ETHERNET)
    assert wanted.program_of(ETHERNET) != FrameFilter(site).program_of(ETHERNET)


def test_media_may_come_whole(tmp_path: Path) -> None:
    site = site_of(tmp_path, "on_site_media: whole, media_ports: [8000]")
    assert _filter_of(site).program_of(ETHERNET) == FrameFilter(None).program_of(ETHERNET)


@pytest.mark.parametrize("ports", ["[0]", "[65536]", "[rtsp]", "8000", str(list(range(1, 19)))])
def test_what_is_no_port_is_refused(tmp_path: Path, ports: str) -> None:
    with pytest.raises(ConfigError, match=r"site.yaml:2"):
        site_of(tmp_path, f"media_ports: {ports}")
