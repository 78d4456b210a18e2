"""Discovery protocols of single makers, as UniversalScanner has them; no captures were at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.introduction import Introduction
from egressd.decode.p2p import Confidence
from egressd.decode.vendor_lan import (
    read_bosch,
    read_foscam,
    read_hanwha,
    read_ipro,
    read_sony,
    read_vivotek,
    read_vstarcam,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAC = bytes.fromhex("00075f000001")
MAC_TEXT = "00:07:5f:00:00:01"
IP = bytes([192, 0, 2, 33])

BOSCH = bytes.fromhex("9939a427 00000001") + MAC + b"\0\0" + IP + bytes(12)
BOSCH_XML = (
    b"<?xml version='1.0'?><device><friendlyName>NDE-3502</friendlyName>"
    b"<unitIPAddress>192.0.2.33</unitIPAddress><physAddress>00-07-5f-00-00-01</physAddress>"
    b"<serialNumber>044123</serialNumber></device>"
)
FOSCAM_BODY = b"00075F000001\0" + b"porch".ljust(21, b"\0") + IP + bytes(27)
FOSCAM = b"MO_I\1\0" + bytes(9) + len(FOSCAM_BODY).to_bytes(4, "little") + bytes(4) + FOSCAM_BODY
# The answer that UniversalScanner's author saw (Hanwha.cs), its tail cut
HANWHA = (
    bytes.fromhex("0bad2cda75c66ee0faa85d6cb798fa9b814f11")
    + b"00:16:6C:7D:75:6E\0" + b"172.16.125.55".ljust(16, b"\0")
    + b"255.255.0.0".ljust(16, b"\0") + b"172.16.0.1".ljust(16, b"\0")
    + bytes(20) + bytes.fromhex("e2500000") + b"SND-6083\0\0"
    + bytes.fromhex("005000a8112e2724271a27422700")
    + b"http://172.16.125.55/index.htm".ljust(39, b"\0") + bytes(90)
)  # fmt: skip


def field(key: int, value: bytes) -> bytes:
    return key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


IPRO = (
    b"\0\1\0\0\0\x0d" + MAC + bytes(41)
    + field(0x20, IP) + field(0xA7, b"WV-S1131\0") + field(0xA8, b"cam")
    + b"\xff\xff"
)  # fmt: skip
SONY = b"\2MAC:00-07-5f-00-00-01\xffMODEL:SNC-CH140\xffSERIAL:12345\xffIPADR:192.0.2.33\xff\3"
VIVOTEK = b"\5\x4a\x5d\x8f\x1c\1\x06FD8134\4\x20\2\6" + MAC + b"\3\4" + IP + b"\x09\6IB8369"
VSTARCAM = (
    b"DH\1\x08" + b"192.0.2.33".ljust(16, b"\0") + bytes(64) + MAC + b"\x51\0"
    + b"VSTB000001ABCDE".ljust(32, b"\0") + b"porch".ljust(32, b"\0") + bytes(48)
    + b"48.53.64.67".ljust(32, b"\0") + bytes(292)
)  # fmt: skip


def test_bosch_tells_mac_and_address_or_more_in_xml() -> None:
    assert read_bosch(BOSCH) == Introduction(
        "bosch-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        mac=MAC_TEXT,
        ip="192.0.2.33",
    )
    assert read_bosch(BOSCH_XML) == Introduction(
        "bosch-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        model="NDE-3502",
        serial="044123",
        mac=MAC_TEXT,
        ip="192.0.2.33",
    )


def test_foscam_tells_mac_name_and_address() -> None:
    assert read_foscam(FOSCAM) == Introduction(
        "foscam-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        serial="00075F000001",
        mac=MAC_TEXT,
        ip="192.0.2.33",
        name="porch",
    )


def test_hanwha_tells_model_mac_and_address() -> None:
    assert read_hanwha(HANWHA) == Introduction(
        "hanwha-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        model="SND-6083",
        mac="00:16:6c:7d:75:6e",
        ip="172.16.125.55",
    )


def test_ipro_tells_model_mac_and_address() -> None:
    assert read_ipro(IPRO) == Introduction(
        "ipro-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        model="WV-S1131",
        mac=MAC_TEXT,
        ip="192.0.2.33",
    )


def test_sony_tells_model_serial_mac_and_address() -> None:
    assert read_sony(SONY) == Introduction(
        "sony-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        model="SNC-CH140",
        serial="12345",
        mac=MAC_TEXT,
        ip="192.0.2.33",
    )


def test_vivotek_tells_model_mac_and_address() -> None:
    assert read_vivotek(VIVOTEK) == Introduction(
        "vivotek-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        model="IB8369",
        mac=MAC_TEXT,
        ip="192.0.2.33",
    )


def test_vstarcam_tells_all() -> None:
    assert read_vstarcam(VSTARCAM) == Introduction(
        "vstarcam-lan",
        "answer",
        Confidence.HIGH,
        speaks_for_itself=True,
        firmware="48.53.64.67",
        serial="VSTB000001ABCDE",
        mac=MAC_TEXT,
        ip="192.0.2.33",
        name="porch",
    )


@pytest.mark.parametrize(
    ("reader", "payload"),
    [
        (read_bosch, bytes.fromhex("9939a427 00000001 ff0006de")),
        (read_foscam, b"MO_I" + bytes(11) + b"\4" + bytes(3) + b"\4" + bytes(7)),
        (read_ipro, bytes.fromhex("00010000000d000000000000") + bytes(40)),
        (read_sony, b"\2ENQ:allinfo\xff\3"),
        (read_vivotek, b"\1\x4a\x5d\x8f\x1c"),
        (read_vstarcam, b"DH\1\1"),
    ],
    ids=["bosch", "foscam", "ipro", "sony", "vivotek", "vstarcam"],
)
def test_a_search_says_nothing_of_its_sender(
    reader: Callable[[bytes], Introduction | None], payload: bytes
) -> None:
    message = reader(payload)
    assert message is not None
    assert not message.speaks_for_itself
    assert (message.mac, message.model, message.serial) == (None, None, None)


@pytest.mark.parametrize(
    ("reader", "payload"),
    [
        (read_bosch, BOSCH + b"\0"),
        (read_bosch, b"<device/>"),
        (read_bosch, b""),
        (read_foscam, FOSCAM + b"\0"),
        (read_foscam, FOSCAM[:4] + b"\2" + FOSCAM[5:]),
        (read_foscam, FOSCAM.replace(b"00075F000001", b"not a number")),
        (read_foscam, b"MO_I"),
        (read_hanwha, HANWHA[:171]),
        (read_hanwha, HANWHA.replace(b"00:16:6C", b"no mac: ")),
        (read_hanwha, HANWHA.replace(b"172.16.125.55\0", b"no address..\0\0")),
        (read_hanwha, HANWHA.replace(b"SND-6083", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8")),
        (read_ipro, IPRO[:60]),
        (read_ipro, IPRO.replace(MAC, bytes(6))),
        (read_ipro, b"\0\2" + IPRO[2:]),
        (read_sony, SONY[:-1]),
        (read_sony, b"\2no colon\xff\3"),
        (read_sony, b"\2A:b\xff\3"),
        (read_vivotek, b"\5\x4a\x5d\x8f\x1d" + VIVOTEK[5:]),
        (read_vstarcam, VSTARCAM[:200]),
        (read_vstarcam, VSTARCAM.replace(b"192.0.2.33", b"somewhere.")),
    ],
)
def test_other_bytes_are_none_of_them(
    reader: Callable[[bytes], Introduction | None], payload: bytes
) -> None:
    assert reader(payload) is None


OPENINGS = [
    *(b"", BOSCH[:4], b"<unitIPAddress>", FOSCAM[:23], HANWHA[:160], IPRO[:53], b"\2"),
    *(VIVOTEK[:5], VSTARCAM[:250]),
]


@given(st.binary(max_size=100), st.sampled_from(OPENINGS))
def test_never_fails_on_any_bytes(tail: bytes, opening: bytes) -> None:
    for reader in (
        read_bosch, read_foscam, read_hanwha, read_ipro, read_sony, read_vivotek, read_vstarcam,
    ):  # fmt: skip
        reader(opening + tail)
    read_sony(b"\2" + tail + b"\xff\3")
