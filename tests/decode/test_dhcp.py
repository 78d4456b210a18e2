"""DHCP and DHCPv6: what a device calls itself, and what it is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.decode.dhcp import (
    BAD_HARDWARE,
    BAD_OPERATION,
    REASONS,
    Dhcp6Message,
    DhcpMessage,
    read_dhcp,
    read_dhcp6,
)
from egressd.model import DecodeError

# iotsentinel__D-LinkCam__Setup-A-1-STA.pcap frame 19, the zeros of sname and file counted
CAMERA_REQUEST = (
    bytes.fromhex("01010600 391675c3 0003 8000" + "00" * 16 + "b0c554255b0e" + "00" * 202)
    + bytes.fromhex("63825363 350103 3d0701b0c554255b0e 32040a0a0a25 36040a0a0a01 39020240")
    + bytes.fromhex("37070103060c0f1c2a 3c0c756468637020312e32322e31 0c084443532d3933354c ff")
)
# zeek__pppoe.pcap frames 36 and 37
SOLICIT = bytes.fromhex(
    "01fc24ab 0008 0002 05e9 0001 000a 00030001cc050e880000"
    "0006 0006 0019 0017 0018 0019 000c 000900010000000000000000"
)
ADVERTISE = bytes.fromhex(
    "02fc24ab 0002 000a 00030001ca010e880008 0001 000a 00030001cc050e880000"
    "0018 000f 0469707636047465737403636f6d00"
    "0019 0029 000900010000003e0000007a"
    "001a 0019 0000007d0000007d38fc000000000201000000000000000000"
)


def bootp(
    options: str, *, op: int = 1, mac: str = "0106", sname: bytes = b"", file: bytes = b""
) -> bytes:
    """Return a message of zeros with those options, in hex, behind the cookie."""
    return (
        bytes([op])
        + bytes.fromhex(mac)
        + bytes(9)
        + bytes.fromhex("00000000 c0000207 c0000201 00000000")
        + bytes.fromhex("b0c554255b0e")
        + bytes(10)
        + sname.ljust(64, b"\0")
        + file.ljust(128, b"\0")
        + bytes.fromhex("63825363" + options)
    )


def read(payload: bytes) -> DhcpMessage:
    message = read_dhcp(payload)
    assert message is not None
    return message


def read6(payload: bytes) -> Dhcp6Message:
    message = read_dhcp6(payload)
    assert message is not None
    return message


def test_a_camera_says_what_it_is() -> None:
    assert read(CAMERA_REQUEST) == DhcpMessage(
        op=1,
        message_type="REQUEST",
        client_mac="b0:c5:54:25:5b:0e",
        client_ip=None,
        your_ip=None,
        server_ip="10.10.10.1",
        requested_ip="10.10.10.37",
        hostname="DCS-935L",
        fqdn=None,
        vendor_class="udhcp 1.22.1",
        user_class=None,
        client_id="01b0c554255b0e",
        parameter_list=(1, 3, 6, 12, 15, 28, 42),
        lease_seconds=None,
        router=(),
        dns_servers=(),
        ntp_servers=(),
        domain=None,
        cut=False,
    )


def test_a_server_says_what_the_site_uses() -> None:
    message = read(
        bootp(
            "350102 330400015180 0304c00002fe 0608c0000235c0000236 2a04c000027b"
            "0f07" + b"example".hex() + "ff",
            op=2,
        )
    )
    assert (message.op, message.message_type) == (2, "OFFER")
    assert message.your_ip == "192.0.2.7"
    assert message.server_ip == "192.0.2.1"
    assert message.lease_seconds == 86400
    assert message.router == ("192.0.2.254",)
    assert message.dns_servers == ("192.0.2.53", "192.0.2.54")
    assert message.ntp_servers == ("192.0.2.123",)
    assert message.domain == "example"


def test_options_may_overload_the_name_fields() -> None:
    # RFC 2131 section 4.1: option 52 says that `file` and `sname` hold options, too.
    message = read(
        bootp("340103 0c0163 ff", file=b"\x0c\x01a\x0c\x01m\xff", sname=b"\x0f\x01d\xff")
    )
    assert (message.hostname, message.domain) == ("cam", "d")
    only_file = read(bootp("340101 ff", file=b"\x0c\x01f\xff", sname=b"\x0f\x01d\xff"))
    assert (only_file.hostname, only_file.domain) == ("f", None)
    only_sname = read(bootp("340102 ff", file=b"\x0c\x01f\xff", sname=b"\x0f\x01d\xff"))
    assert (only_sname.hostname, only_sname.domain) == (None, "d")


def test_a_split_option_is_joined() -> None:
    # RFC 3396 section 5: parts of one code are one value; pads may stand between.
    message = read(bootp("3c0348696b 00 3c03766973 00 ff"))
    assert message.vendor_class == "Hikvis"


@pytest.mark.parametrize(
    ("option", "fqdn"),
    [
        ("00 00 00" + b"cam.example".hex(), "cam.example"),
        ("04 00 00 03 63616d 07 6578616d706c65 00", "cam.example"),
        ("04 00 00 03 63616d", "cam"),
        ("04 00 00 3f 63", None),
        ("04 00", None),
    ],
    ids=["text", "dns form", "partial", "broken", "short"],
)
def test_a_full_name_has_two_forms(option: str, fqdn: str | None) -> None:
    raw = bytes.fromhex(option)
    assert read(bootp(f"51{len(raw):02x}{raw.hex()}ff")).fqdn == fqdn


@pytest.mark.parametrize(
    ("option", "text"),
    [("0469505845 0561726d3634", "iPXE arm64"), ("69505845", "iPXE")],
    ids=["as RFC 3004 has it", "bare"],
)
def test_a_user_class_may_lack_its_lengths(option: str, text: str) -> None:
    raw = bytes.fromhex(option)
    assert read(bootp(f"4d{len(raw):02x}{raw.hex()}ff")).user_class == text


def test_what_does_not_fit_says_nothing() -> None:
    message = read(bootp("3502 0101 3303 000001 3203 010203 0c02 0000 3d00 0605 c000023501 ff"))
    assert message.message_type is None
    assert message.lease_seconds is None
    assert message.requested_ip is None
    assert message.hostname is None
    assert message.client_id is None
    assert message.dns_servers == ("192.0.2.53",)


def test_an_unknown_type_is_a_number() -> None:
    assert read(bootp("3501c8 ff")).message_type == "TYPE200"


def test_only_ethernet_has_a_mac() -> None:
    assert read(bootp("350101 ff", mac="2000")).client_mac is None


@pytest.mark.parametrize("end", range(0, 240, 7))
def test_a_cut_header_is_not_dhcp(end: int) -> None:
    assert read_dhcp(CAMERA_REQUEST[:end]) is None


@pytest.mark.parametrize("end", range(240, len(CAMERA_REQUEST)))
def test_what_stands_before_a_cut_is_read(end: int) -> None:
    message = read(CAMERA_REQUEST[:end])
    assert message.client_mac == "b0:c5:54:25:5b:0e"
    assert message.hostname in (None, "DCS-935L")
    whole_options = {240, 243, 252, 258, 264, 268, 277, 291, 301}
    assert message.cut == (end not in whole_options)


def test_a_trailing_byte_is_padding() -> None:
    assert read(CAMERA_REQUEST + b"\0") == read(CAMERA_REQUEST)


def test_a_broken_header_has_a_reason() -> None:
    for payload, reason in (
        (bootp("ff", op=3), BAD_OPERATION),
        (bootp("ff", mac="0111"), BAD_HARDWARE),
    ):
        with pytest.raises(DecodeError) as caught:
            read_dhcp(payload)
        assert (caught.value.protocol, caught.value.reason) == ("dhcp", reason)


def test_without_the_cookie_it_is_not_dhcp() -> None:
    assert read_dhcp(bytes(300)) is None


def test_a_dhcpv6_client_shows_its_mac() -> None:
    message = read6(SOLICIT)
    assert message.message_type == "SOLICIT"
    assert message.client_duid == "00030001cc050e880000"
    assert message.client_mac == "cc:05:0e:88:00:00"
    assert message.option_list == (25, 23, 24)
    assert message.relays == 0


def test_a_dhcpv6_server_shows_its_identity() -> None:
    message = read6(ADVERTISE)
    assert (message.message_type, message.server_duid) == ("ADVERTISE", "00030001ca010e880008")
    assert message.addresses == ()


def test_a_dhcpv6_reply_gives_addresses_and_names() -> None:
    # RFC 8415 section 21.4 and 21.6 (IA_NA, IA address), 21.16 (vendor class), RFC 4704, RFC 3646
    message = read6(
        bytes.fromhex(
            "07000001 0001 000e 0001 0001 2a000000 b0c554255b0e"
            "0003 0028 00000001 00000e10 00001518"
            "0005 0018 20010db8000000000000000000000007 00000e10 00001c20"
            "0010 0009 00007a69 0003 63616d 0017 0010 20010db8000000000000000000000053"
            "0027 0005 01 03 63616d"
        )
    )
    assert message.client_mac == "b0:c5:54:25:5b:0e"
    assert message.addresses == ("2001:db8::7",)
    assert (message.vendor_enterprise, message.vendor_class) == (31337, "cam")
    assert message.dns_servers == ("2001:db8::53",)
    assert message.fqdn == "cam"


def test_a_relayed_message_is_taken_out() -> None:
    # RFC 8415 section 9: type, hops, two addresses, then the message as option 9
    relayed = b"\x0c\0" + bytes(32) + b"\0\x09" + len(SOLICIT).to_bytes(2, "big") + SOLICIT
    message = read6(relayed)
    assert (message.message_type, message.relays) == ("SOLICIT", 1)
    deep = SOLICIT
    for _ in range(9):
        deep = b"\x0c\0" + bytes(32) + b"\0\x09" + len(deep).to_bytes(2, "big") + deep
    assert read_dhcp6(deep) is None


@pytest.mark.parametrize("end", range(len(SOLICIT)))
def test_a_cut_dhcpv6_message_is_only_read_between_options(end: int) -> None:
    message = read_dhcp6(SOLICIT[:end])
    assert (message is not None) == (end in {10, 24, 34})


def test_a_trailing_byte_is_not_dhcpv6() -> None:
    assert read_dhcp6(SOLICIT + b"\0") is None


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "00000000 0001 0001 00",
        "0e000000 0001 0001 00",
        "01000000 0000 0000",
        "0c00",
        "01000000",
    ],
    ids=["empty", "type 0", "type 14", "option 0", "cut relay", "no options"],
)
def test_other_protocols_are_not_dhcpv6(payload: str) -> None:
    assert read_dhcp6(bytes.fromhex(payload)) is None


def test_a_duid_without_a_mac_has_none() -> None:
    payload = bytes.fromhex("01000000 0001 0006 0002 00000009")
    assert read6(payload).client_mac is None


@given(st.binary(max_size=300))
def test_never_fails_on_any_options(options: bytes) -> None:
    assert read(bootp(options.hex())).op == 1


@given(st.binary(max_size=300))
def test_never_fails_on_any_bytes(payload: bytes) -> None:
    reason = BAD_OPERATION
    try:
        read_dhcp(payload)
    except DecodeError as error:
        reason = error.reason
    assert reason in REASONS
    read_dhcp6(payload)


@given(st.binary(max_size=100), st.integers(1, 13))
def test_never_fails_on_any_dhcpv6_options(options: bytes, number: int) -> None:
    read_dhcp6(bytes([number, 0, 0, 0]) + options)
    read_dhcp6(bytes([number, 0, 0, 0]) + b"\0\3" + len(options).to_bytes(2, "big") + options)
