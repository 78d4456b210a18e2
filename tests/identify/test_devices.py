"""Which bindings are one device, and that the table stays within its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.identify.devices import ROUTER_IP4, DeviceTable
from egressd.identify.evidence import (
    MAX_PIECES,
    Dossier,
    Piece,
    evidence_of,
    fuse,
    kind_of,
    model_of,
    shown_text,
    vendor_of,
)
from egressd.identify.rules import Channel, Clue
from egressd.model import Host, Kind

if TYPE_CHECKING:
    import pytest

CAMERA = "44:19:b6:a0:00:01"
ROUTER = "00:1b:21:00:31:01"


def bind(table: DeviceTable, *hosts: tuple[str, str | None]) -> list[str]:
    bound = [table.bind(Host(index, ip, mac), 0) for index, (ip, mac) in enumerate(hosts, start=1)]
    return [device.id if device is not None else "" for device in bound]


def test_an_address_keeps_its_identity_when_its_mac_is_seen_later() -> None:
    table = DeviceTable()
    assert (
        bind(table, ("10.0.0.5", None), ("10.0.0.5", CAMERA), ("fe80::5", CAMERA))
        == ["10.0.0.5"] * 3
    )
    assert len(table) == 1


def test_a_router_known_by_an_address_keeps_that_one_only() -> None:
    table = DeviceTable()
    bind(table, ("10.0.0.1", None), ("10.0.0.1", ROUTER), ("10.0.0.5", ROUTER))
    table.take_for_router(ROUTER)
    devices = [table.of_host(index) for index in (1, 2, 3)]
    assert [device.id if device else None for device in devices] == [
        "10.0.0.1",
        "10.0.0.1",
        "10.0.0.5",
    ]
    assert [host.ip for host in table.take_rebound()] == ["10.0.0.5"]
    assert table.take_rebound() == []


def test_evidence_goes_with_the_address_it_was_seen_on() -> None:
    table = DeviceTable()
    bind(table, ("10.0.0.5", ROUTER), ("10.0.0.6", ROUTER))
    shared = table.of_mac(ROUTER)
    assert shared is not None
    shared.dossier.add(Piece("k", Channel.HTTP, "says", Clue("says", 0.9), host=2))
    table.take_for_router(ROUTER)
    found = [table.of_ip(ip) for ip in ("10.0.0.5", "10.0.0.6")]
    assert [len(device.dossier.pieces) for device in found if device] == [0, 1]


def test_too_many_bindings_make_the_oldest_hosts_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egressd.identify.devices.MAX_BINDINGS", 3)
    table = DeviceTable()
    bind(table, *((f"10.0.0.{n}", None) for n in range(1, 6)))
    assert [table.of_host(index) is not None for index in range(1, 6)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_one_device_cannot_fill_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egressd.identify.devices.MAX_HOSTS", 2)
    monkeypatch.setattr("egressd.identify.devices.ROUTER_IP4", 10)
    table = DeviceTable()
    bind(table, *((f"10.0.0.{n}", CAMERA) for n in range(1, 5)))
    assert [table.of_host(index) is not None for index in range(1, 5)] == [
        False,
        False,
        True,
        True,
    ]
    monkeypatch.setattr("egressd.identify.devices.MAX_HOSTS", 10)
    monkeypatch.setattr("egressd.identify.devices.MAX_BINDINGS", 2)
    assert table.bind(Host(9, "10.0.0.9", CAMERA), 0) is None
    assert table.shed == 1


def test_leases_and_notes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egressd.identify.devices.MAX_LEASES", 1)
    monkeypatch.setattr("egressd.identify.devices.MAX_MOVES", 1)
    table = DeviceTable()
    for ip in ("10.0.0.5", "10.0.0.6"):
        assert table.lease(ip, CAMERA) is None
    assert bind(table, ("10.0.0.5", None), ("10.0.0.6", None)) == ["10.0.0.5", "10.0.0.6"]
    known = table.of_mac(CAMERA)
    assert known is not None
    assert known.id == "10.0.0.6"  # the older lease was forgotten
    for index, mac in enumerate((ROUTER, CAMERA, ROUTER), start=3):
        table.bind(Host(index, "10.0.0.6", mac), 0)
    assert (len(table.moves), table.moved) == (1, 3)


def test_a_router_behind_which_there_is_no_room_is_counted() -> None:
    table = DeviceTable(max_devices=1)
    bind(table, ("10.0.0.5", ROUTER))
    device = table.of_host(1)
    assert device is not None
    table.bind(Host(2, "10.0.0.6", ROUTER), 0)
    table.take_for_router(ROUTER)
    assert (len(table), table.forgotten) == (1, 1)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "fe80::1"]),
        st.sampled_from([CAMERA, ROUTER, None]),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(1, 6))
def test_every_binding_has_at_most_one_device(
    steps: list[tuple[str, str | None, bool]], room: int
) -> None:
    table = DeviceTable(room)
    for index, (ip, mac, behind_router) in enumerate(steps):
        host = Host(index, ip, mac, behind_router)
        device = table.bind(host, index)
        assert device is table.of_host(index)
        assert device is None or device.hosts[index] is host
        assert len(table) <= room
    for index in range(len(steps)):
        device = table.of_host(index)
        assert device is None or index in device.hosts


def test_the_factorys_address_and_the_first_lease_make_no_router() -> None:
    """The iotsentinel D-LinkCam speaks as 192.168.0.20 before it is 10.10.10.37 (frame 19)."""
    assert ROUTER_IP4 == 2


# --- evidence


def piece(key: str, channel: Channel, weight: float = 0.0, **more: object) -> Piece:
    clue = Clue(key, weight, **more)  # type: ignore[arg-type]  # the test's own keywords
    return Piece(key, channel, key, clue)


def test_the_best_of_a_channel_counts_once() -> None:
    alone = fuse([piece("a", Channel.HTTP, 0.5)])
    assert fuse([piece("a", Channel.HTTP, 0.5), piece("b", Channel.HTTP, 0.4)]) == alone == 0.5
    assert fuse([piece("a", Channel.HTTP, 0.5), piece("b", Channel.DHCP, 0.5)]) == 0.75


def test_what_speaks_against_divides_the_odds() -> None:
    pieces = [piece("a", Channel.HTTP, 0.5), piece("b", Channel.DHCP, against=0.25)]
    assert fuse(pieces) == 0.2  # odds 1:1 become 1:4
    assert fuse([piece("b", Channel.DHCP, against=0.25)]) == 0
    assert evidence_of(pieces, None)[1].says == "b (speaks against a camera)"


def test_no_evidence_is_certain() -> None:
    assert fuse([]) == 0
    assert fuse(piece(channel.value, channel, 1.0) for channel in Channel) == 0.999


def test_a_full_dossier_keeps_what_tells_most() -> None:
    dossier = Dossier()
    for n in range(MAX_PIECES):
        assert dossier.add(piece(f"weak {n}", Channel.HTTP, 0.1))
    assert not dossier.add(piece("as weak", Channel.HTTP, 0.1))
    assert dossier.add(piece("strong", Channel.HTTP, 0.9))
    assert not dossier.add(piece("strong", Channel.HTTP, 0.95))  # known
    assert len(dossier.pieces) == MAX_PIECES
    dossier.replace(piece("new", Channel.MEDIA, 0.5))
    dossier.replace(piece("new", Channel.MEDIA, 0.6))
    assert fuse(dossier.pieces) == 0.96


def test_the_vendor_is_whom_most_evidence_names() -> None:
    pieces = [
        piece("a", Channel.OUI, 0.5, vendor="hikvision"),
        piece("b", Channel.LOOKUP, 0.3, vendor="annke"),
        piece("c", Channel.HTTP, 0.3, vendor="annke"),
    ]
    assert vendor_of(pieces) == "annke"
    assert vendor_of(pieces[:2]) == "hikvision"
    assert vendor_of([]) is None
    assert "other evidence to annke" in evidence_of(pieces, "annke")[0].says


def test_the_strongest_word_on_kind_and_model_counts() -> None:
    weak = piece("a", Channel.MEDIA, 0.2, kind=Kind.RECORDER)
    strong = piece("b", Channel.DHCP, 0.7, kind=Kind.DOORBELL)
    weak.model, strong.model = "old", "new"
    assert kind_of([weak, strong]) is Kind.DOORBELL
    assert kind_of([]) is Kind.CAMERA
    assert model_of([weak, strong], None) == "new"
    assert model_of([], None) is None


def test_a_hosts_words_cannot_break_a_sentence() -> None:
    assert shown_text("a\x1b[31m\u202eb") == "a?[31m?b"
    assert shown_text("x" * 100) == "x" * 60 + "..."
