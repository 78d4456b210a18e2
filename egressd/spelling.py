"""How addresses, networks, MACs and names are spelled, and their one canonical form.

People write one MAC four ways and set host bits in a prefix. Each function returns the canonical
text or value, or raises ValueError whose text says what is wrong and what to write instead.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_MAC = re.compile(
    r"(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
_LONGEST_ADDRESS = 64  # an IPv6 address with its prefix length is at most 43
_LONGEST_NAME = 253  # RFC 1035, section 2.3.4, without the root's dot


def mac_of(text: str) -> str:
    """Return a MAC address in lower case with colons; colons, dashes and Cisco's dots are read."""
    lower = text.strip().lower()
    if not _MAC.fullmatch(lower):
        raise ValueError(f'{_quoted(text)} is no MAC address; write it as "44:19:b6:a0:00:01"')
    digits = re.sub(r"[^0-9a-f]", "", lower)
    if int(digits[:2], 16) & 1 or not int(digits, 16):
        raise ValueError(f"{_quoted(text)} is no device's MAC address; write the device's own")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def is_mac(text: str) -> bool:
    """Tell whether a text is spelled like a MAC address."""
    return _MAC.fullmatch(text.strip().lower()) is not None


def address_of(text: str) -> Address:
    """Return an IP address; a prefix or a zone (%eth0) is refused."""
    if "/" in text:
        raise ValueError(f"{_quoted(text)} is a network; write one address, without the slash")
    if "%" in text:
        raise ValueError(f"{_quoted(text)} has a zone; write the address without it")
    try:
        return ip_address(text[:_LONGEST_ADDRESS])
    except ValueError:
        raise ValueError(
            f'{_quoted(text)} is no IP address; write one such as 192.0.2.10 or "2001:db8::10"'
        ) from None


def network_of(text: str) -> Network:
    """Return a network in CIDR form; one address is a network of one."""
    if "%" in text:
        raise ValueError(f"{_quoted(text)} has a zone; write the network without it")
    try:
        network = ip_network(text[:_LONGEST_ADDRESS], strict=False)
    except ValueError:
        raise ValueError(
            f'{_quoted(text)} is no network; write one such as 192.0.2.0/24 or "2001:db8::/32"'
        ) from None
    if "/" in text and network.network_address != ip_address(text.partition("/")[0]):
        raise ValueError(f"{_quoted(text)} has host bits set; write {network}")
    return network


def is_address_or_network(text: str) -> bool:
    """Tell whether a text means an IP address or network, perhaps misspelled.

    Decides which complaint fits: "10.20.0.0/33" is a bad network, never a bad name.
    """
    head = text.partition("/")[0]
    return "/" in text or ":" in text or bool(head and _DIGITS_AND_DOTS.fullmatch(head))


def domain_of(text: str) -> str:
    """Return a domain name in lower case without the final dot; "*.example.org" is read, too."""
    lower = text.strip().lower().removesuffix(".")
    name = lower.removeprefix("*.")
    if not name.isascii():
        raise ValueError(f"{_quoted(text)} is not ASCII; write {_ascii_form(name)}")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{_quoted(text)} is no domain name; write one such as vms.example.org")
    if len(labels) == 1:
        raise ValueError(f"{_quoted(text)} has one label; write the full name, vms.example.org")
    return lower


def _ascii_form(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return "its ASCII form (xn--...)"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
