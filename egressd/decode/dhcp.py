"""DHCP (RFC 2131, 2132) and DHCPv6 (RFC 8415): what a device calls itself, and what it is given.

Host name, vendor class and the list of options it asks for tell a camera from a printer; the
servers it is told to use are part of the site. Leases are not followed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from egressd.decode.dns import find_name, ip4_text, ip6_text, text_of
from egressd.model import DecodeError

# op, hardware type, hardware length, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr,
# chaddr 16, sname 64, file 128, magic cookie (RFC 2131 section 2, RFC 2132 section 2)
HEADER = Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
MAGIC_COOKIE = b"\x63\x82\x53\x63"
ETHERNET = 1
OVERLOAD = 52
PAD = 0
END = 255

BAD_OPERATION = "bad operation"
BAD_HARDWARE = "bad hardware address"
REASONS = (BAD_OPERATION, BAD_HARDWARE)

# fmt: off
# Option 53; RFC 2132 section 9.6, RFC 3203, 4388, 6926, 7724.
MESSAGE_TYPES = {
    1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE",
    8: "INFORM", 9: "FORCERENEW", 10: "LEASEQUERY", 11: "LEASEUNASSIGNED", 12: "LEASEUNKNOWN",
    13: "LEASEACTIVE", 14: "BULKLEASEQUERY", 15: "LEASEQUERYDONE", 16: "ACTIVELEASEQUERY",
    17: "LEASEQUERYSTATUS", 18: "TLS",
}
# RFC 8415 section 7.3.
MESSAGE_TYPES_6 = {
    1: "SOLICIT", 2: "ADVERTISE", 3: "REQUEST", 4: "CONFIRM", 5: "RENEW", 6: "REBIND", 7: "REPLY",
    8: "RELEASE", 9: "DECLINE", 10: "RECONFIGURE", 11: "INFORMATION-REQUEST", 12: "RELAY-FORW",
    13: "RELAY-REPL",
}
# fmt: on
RELAYED = frozenset({12, 13})
MAXIMUM_RELAYS = 8  # HOP_COUNT_LIMIT, RFC 8415 section 7.6

Options = dict[int, bytes]


@dataclass(slots=True)
class DhcpMessage:
    """One message. What an option did not say, or said in a wrong length, is None or empty."""

    op: int  # 1 from a client, 2 from a server
    message_type: str | None  # None: plain BOOTP
    client_mac: str | None
    client_ip: str | None  # ciaddr: the address the client has
    your_ip: str | None  # yiaddr: the address it is given
    server_ip: str | None  # option 54, else siaddr
    requested_ip: str | None
    hostname: str | None
    fqdn: str | None
    vendor_class: str | None
    user_class: str | None
    client_id: str | None  # hex, its type first
    parameter_list: tuple[int, ...]
    lease_seconds: int | None
    router: tuple[str, ...]
    dns_servers: tuple[str, ...]
    ntp_servers: tuple[str, ...]
    domain: str | None
    cut: bool  # the options end in the middle of one


@dataclass(slots=True)
class Dhcp6Message:
    """One DHCPv6 message, taken out of its relays."""

    message_type: str
    client_duid: str | None  # hex
    client_mac: str | None  # from the DUID, where it is made of one
    server_duid: str | None
    fqdn: str | None
    vendor_enterprise: int | None
    vendor_class: str | None
    addresses: tuple[str, ...]  # asked for or given
    dns_servers: tuple[str, ...]
    option_list: tuple[int, ...]  # the options the client asks for
    relays: int


def read_dhcp(payload: bytes) -> DhcpMessage | None:
    """Return the DHCP message in a UDP payload, or None if it is another protocol."""
    if len(payload) < HEADER.size:
        return None
    fields = HEADER.unpack_from(payload)
    op, hardware, hardware_length = fields[:3]
    if fields[14] != MAGIC_COOKIE:
        return None
    if op not in (1, 2):
        raise DecodeError("dhcp", BAD_OPERATION)
    if hardware_length > 16:
        raise DecodeError("dhcp", BAD_HARDWARE)
    options: Options = {}
    is_whole = _read_options(payload[HEADER.size :], options)
    # Option overload: `file` (1) and `sname` (2) hold options, too, in this order (RFC 3396 5).
    overload = options.get(OVERLOAD, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        is_whole &= _read_options(fields[13], options)
    if overload in (b"\2", b"\3"):
        is_whole &= _read_options(fields[12], options)
    is_ethernet = hardware == ETHERNET and hardware_length == 6
    return DhcpMessage(
        op=op,
        message_type=_message_type_of(options.get(53, b"")),
        client_mac=fields[11][:6].hex(":") if is_ethernet else None,
        client_ip=_address_of(fields[7]),
        your_ip=_address_of(fields[8]),
        server_ip=_address_of(options.get(54, b"")) or _address_of(fields[9]),
        requested_ip=_address_of(options.get(50, b"")),
        hostname=_text_of(options.get(12)),
        fqdn=_fqdn_of(options.get(81, b"")),
        vendor_class=_text_of(options.get(60)),
        user_class=_user_class_of(options.get(77)),
        client_id=options[61].hex() if options.get(61) else None,
        parameter_list=tuple(options.get(55, b"")),
        lease_seconds=_seconds_of(options.get(51, b"")),
        router=_addresses_of(options.get(3, b"")),
        dns_servers=_addresses_of(options.get(6, b"")),
        ntp_servers=_addresses_of(options.get(42, b"")),
        domain=_text_of(options.get(15)),
        cut=not is_whole,
    )


def read_dhcp6(payload: bytes) -> Dhcp6Message | None:
    """Return the DHCPv6 message in a UDP payload, or None if it is another protocol.

    Nothing in it is a magic number, so every option must fit.
    """
    relays = 0
    while payload and payload[0] in RELAYED:
        # type 1, hops 1, link address 16, peer address 16 (RFC 8415 section 9)
        options = _options6_of(payload[34:])
        if len(payload) < 34 or relays == MAXIMUM_RELAYS or options is None or 9 not in options:
            return None
        relays += 1
        payload = options[9]
    # type 1, transaction id 3 (RFC 8415 section 8)
    options = _options6_of(payload[4:])
    if len(payload) < 4 or payload[0] not in MESSAGE_TYPES_6 or not options:
        return None
    duid = options.get(1, b"")
    vendor = options.get(16, b"")
    return Dhcp6Message(
        message_type=MESSAGE_TYPES_6[payload[0]],
        client_duid=duid.hex() or None,
        client_mac=_mac_of(duid),
        server_duid=options.get(2, b"").hex() or None,
        # flags 1, then a name in DNS form, perhaps without its root (RFC 4704 section 4.2)
        fqdn=find_name(options[39] + b"\0", 1) if len(options.get(39, b"")) > 1 else None,
        vendor_enterprise=int.from_bytes(vendor[:4], "big") if len(vendor) >= 4 else None,
        vendor_class=_vendor_class_of(vendor[4:]),
        addresses=_leased_of(options),
        dns_servers=_addresses6_of(options.get(23, b"")),
        option_list=_numbers_of(options.get(6, b"")),
        relays=relays,
    )


def _read_options(raw: bytes, options: Options) -> bool:
    """Add the options in `raw`: code 1, length 1, value; parts of one are joined (RFC 3396)."""
    parts: dict[int, list[bytes]] = {}
    at = 0
    is_whole = True
    while at < len(raw) and raw[at] != END:
        if raw[at] == PAD:
            at += 1
            continue
        end = at + 2 + raw[at + 1] if at + 1 < len(raw) else len(raw) + 1
        if end > len(raw):
            is_whole = False
            break
        parts.setdefault(raw[at], []).append(raw[at + 2 : end])
        at = end
    for code, values in parts.items():
        options[code] = options.get(code, b"") + b"".join(values)
    return is_whole


def _message_type_of(value: bytes) -> str | None:
    if len(value) != 1:
        return None
    return MESSAGE_TYPES.get(value[0]) or f"TYPE{value[0]}"


def _address_of(value: bytes) -> str | None:
    return ip4_text(value) if len(value) == 4 and any(value) else None


def _addresses_of(value: bytes) -> tuple[str, ...]:
    return tuple(ip4_text(value[i : i + 4]) for i in range(0, len(value) - 3, 4))


def _seconds_of(value: bytes) -> int | None:
    return int.from_bytes(value, "big") if len(value) == 4 else None


def _text_of(value: bytes | None) -> str | None:
    # Some clients count a C string's end into the option.
    return text_of(value.rstrip(b"\0")) or None if value else None


def _fqdn_of(value: bytes) -> str | None:
    # flags 1, two result codes that no one uses, name (RFC 4702 section 2)
    if len(value) < 4:
        return None
    if value[0] & 0x04:  # E: in DNS form, perhaps without its root
        return find_name(value + b"\0", 3)
    return _text_of(value[3:])


def _user_class_of(value: bytes | None) -> str | None:
    """Return the classes; RFC 3004 wants a length before each, and many clients leave it out."""
    if not value:
        return None
    classes = _strings_of(value, 1)
    if not classes:
        return _text_of(value)
    return " ".join(text_of(each) for each in classes)


def _strings_of(value: bytes, width: int) -> list[bytes]:
    """Return the strings that fill `value`, each behind its length, or none if they do not."""
    strings: list[bytes] = []
    at = 0
    while at < len(value):
        end = at + width + int.from_bytes(value[at : at + width], "big")
        if end > len(value) or end == at + width:
            return []
        strings.append(value[at + width : end])
        at = end
    return strings


def _options6_of(raw: bytes) -> Options | None:
    """Return the options: code 2, length 2, value; of several with one code, the first."""
    options: Options = {}
    at = 0
    while at < len(raw):
        code = int.from_bytes(raw[at : at + 2], "big")
        end = at + 4 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if end > len(raw) or code == 0:
            return None
        options.setdefault(code, raw[at + 4 : end])
        at = end
    return options


def _mac_of(duid: bytes) -> str | None:
    # type 2, hardware type 2, then a time of 4 in type 1 only (RFC 8415 section 11)
    if duid[:4] == b"\0\1\0\1" and len(duid) == 14:
        return duid[8:].hex(":")
    if duid[:4] == b"\0\3\0\1" and len(duid) == 10:
        return duid[4:].hex(":")
    return None


def _vendor_class_of(value: bytes) -> str | None:
    return " ".join(text_of(each) for each in _strings_of(value, 2)) or None


def _leased_of(options: Options) -> tuple[str, ...]:
    """Return the addresses in IA_NA (3) and IA_TA (4): id 4, times 8 in IA_NA, then options."""
    leased: list[str] = []
    for code, skip in ((3, 12), (4, 4)):
        inner = _options6_of(options.get(code, b"")[skip:]) or {}
        if len(inner.get(5, b"")) >= 24:  # address 16, two lifetimes
            leased.append(ip6_text(inner[5][:16]))
    return tuple(leased)


def _addresses6_of(value: bytes) -> tuple[str, ...]:
    return tuple(ip6_text(value[i : i + 16]) for i in range(0, len(value) - 15, 16))


def _numbers_of(value: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(value[i : i + 2], "big") for i in range(0, len(value) - 1, 2))
