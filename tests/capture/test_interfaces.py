"""Interfaces: this machine's loopback, a cable of our own, and a folder like sysfs."""

from __future__ import annotations

import socket
import struct
from array import array
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest
from veth import cable_of_ones_own

from egressd.capture import interfaces
from egressd.capture.interfaces import (
    LINKTYPES,
    SIOCETHTOOL,
    NicCounters,
    index_of,
    is_loopback,
    is_up,
    linktype_of,
    load_carrier,
    load_names,
    load_nic_counters,
    load_operstate,
    merging_features,
    mtu_of,
    name_of,
)
from egressd.model import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ETHTOOL_SGRO = 0x2C  # linux/ethtool.h


@pytest.fixture
def descriptor() -> Iterator[int]:
    """Return any socket's descriptor: the kernel answers through all of them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        yield asker.fileno()


def test_loopback_is_an_ethernet_without_privileges(descriptor: int) -> None:
    index = index_of(descriptor, "lo")
    assert index is not None
    assert name_of(descriptor, index) == "lo"
    assert is_loopback(descriptor, "lo")
    assert linktype_of(descriptor, "lo") == 1
    assert (mtu_of(descriptor, "lo") or 0) >= 1280
    assert "lo" in load_names()


@pytest.mark.parametrize(
    "name", ["", "no-such-if", "longer-than-an-interface", "../lo", "lo\0x", "é" * 8]
)
def test_an_interface_that_is_not_there_is_none(descriptor: int, name: str) -> None:
    assert index_of(descriptor, name) is None
    assert linktype_of(descriptor, name) is None
    assert mtu_of(descriptor, name) is None
    assert merging_features(descriptor, name) is None
    assert not is_up(descriptor, name)
    assert not is_loopback(descriptor, name)


def test_an_index_that_is_nobodys_has_no_name(descriptor: int) -> None:
    assert name_of(descriptor, 0x7FFF_FFFF) is None


def test_frames_of_an_unknown_kind_are_refused_with_what_to_do(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interfaces, "LINKTYPES", {})
    with pytest.raises(CaptureError, match=r"^lo: frames of hardware type 772 .* watch an Eth"):
        linktype_of(descriptor, "lo")


def test_every_link_type_is_one_that_the_data_plane_walks() -> None:
    # The branches of dataplane/frames.py, open_link.
    assert set(LINKTYPES.values()) <= {1, 12, 101, 104, 105, 107, 113, 127, 228, 229, 276}


def test_counters_are_read_from_the_folder_of_the_interface(tmp_path: Path) -> None:
    statistics = tmp_path / "span0" / "statistics"
    statistics.mkdir(parents=True)
    for name, text in {
        "rx_packets": "18446744073709551615\n",
        "rx_missed_errors": "7\n",
        "rx_crc_errors": "3\n",
        "rx_fifo_errors": "no number\n",
    }.items():
        (statistics / name).write_text(text)
    (tmp_path / "span0" / "operstate").write_text("lowerlayerdown\n")
    (tmp_path / "span0" / "carrier").write_text("0\n")
    (tmp_path / "bonding_masters").write_text("")
    assert load_nic_counters("span0", tmp_path) == NicCounters(
        frames=18446744073709551615, missed=7, crc=3
    )
    assert load_operstate("span0", tmp_path) == "lowerlayerdown"
    assert load_carrier("span0", tmp_path) is False
    assert load_names(tmp_path) == ["span0"]


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    assert load_nic_counters("span0", tmp_path) == NicCounters()
    assert load_operstate("span0", tmp_path) is None
    assert load_carrier("span0", tmp_path) is None
    assert load_names(tmp_path / "absent") == []


@pytest.mark.program("ip")
def test_an_interface_is_what_it_was_made(tmp_path: Path, descriptor: int) -> None:
    del descriptor  # an asker of the namespace before
    with (
        cable_of_ones_own(tmp_path, mtu=1600) as cable,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        here = asker.fileno()
        assert load_names(cable.sysfs) == ["lo", "mirror0", "switch0"]
        assert mtu_of(here, "mirror0") == 1600
        assert is_up(here, "mirror0")
        assert load_carrier("mirror0", cable.sysfs) is True
        cable.ip("link", "set", "switch0", "down")
        assert load_carrier("mirror0", cable.sysfs) is False
        assert load_operstate("mirror0", cable.sysfs) == "lowerlayerdown"
        cable.ip("link", "set", "mirror0", "down")
        assert not is_up(here, "mirror0")
        assert load_carrier("mirror0", cable.sysfs) is None
        index = index_of(here, "mirror0")
        assert index is not None
        cable.ip("link", "set", "mirror0", "name", "span0")
        assert name_of(here, index) == "span0"


@pytest.mark.program("ip")
def test_offloads_that_merge_frames_are_named_as_ethtool_names_them(tmp_path: Path) -> None:
    with (
        cable_of_ones_own(tmp_path),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
    ):
        for switch, expected in ((1, ("gro",)), (0, ())):
            # struct ethtool_value: what `ethtool -K mirror0 gro on` sends
            value = array("I", [ETHTOOL_SGRO, switch])
            request = struct.pack("16sP16x", b"mirror0", value.buffer_info()[0])
            ioctl(asker.fileno(), SIOCETHTOOL, request)
            assert merging_features(asker.fileno(), "mirror0") == expected
