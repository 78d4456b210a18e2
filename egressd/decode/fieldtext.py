"""Single fields out of XML, JSON and fixed-width records, found by searching and not by parsing.

What devices say of themselves comes in documents that are cut, badly nested or of an unknown
character set. A few bounded searches read all of them, in linear time, and no document can make
them do more than that. Text comes out as in HTTP: bytes that do not print as a backslash and
three digits.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, ip_address

from egressd.decode.http import text_of

MAX_DOCUMENT = 16 * 1024
MAX_FIELD = 300  # longer values are of no use for telling devices apart
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - what a device without an address writes

_MAC = re.compile(r"[0-9a-f]{12}")
_ENTITIES = (
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&quot;", b'"'),
    (b"&apos;", b"'"),
    (b"&amp;", b"&"),
)


@lru_cache(maxsize=128)
def _element(tag: bytes) -> re.Pattern[bytes]:
    prefix = rb"<(?:[A-Za-z][A-Za-z0-9_.-]{0,31}:)?"
    return re.compile(prefix + re.escape(tag) + rb"(?:\s[^<>]{0,400})?>([^<]{1,4000})<")


@lru_cache(maxsize=128)
def _member(key: bytes) -> re.Pattern[bytes]:
    value = rb'"((?:[^"\\\r\n]|\\.){1,300})"'
    return re.compile(rb'"' + re.escape(key) + rb'"\s{0,8}:\s{0,8}(?:' + value + rb"|(\d{1,20}))")


def xml_bytes(xml: bytes, tag: bytes) -> bytes | None:
    """Return the text of the first element of that name, whatever its prefix, or None."""
    found = _element(tag).search(xml, 0, MAX_DOCUMENT)
    if found is None:
        return None
    text = found[1].strip()
    for entity, plain in _ENTITIES:
        text = text.replace(entity, plain)
    return text or None


def xml_text(xml: bytes, tag: bytes) -> str | None:
    """Return the same as text, cut to a sensible length."""
    found = xml_bytes(xml, tag)
    return text_of(found[:MAX_FIELD]) if found else None


def json_text(json: bytes, *keys: bytes) -> str | None:
    """Return the first member of these names that holds a string or a whole number, or None."""
    for key in keys:
        found = _member(key).search(json, 0, MAX_DOCUMENT)
        if found is not None:
            text = text_of((found[1] or found[2] or b"").strip())
            if text:
                return text
    return None


def padded_text(field: bytes) -> str | None:
    """Return the text of a fixed-width field that ends in zero bytes, or None if it has none."""
    text = field.split(b"\0", 1)[0].strip()
    return text_of(text[:MAX_FIELD]) or None


def printable(field: bytes) -> bool:
    """Say whether a fixed-width field holds printable ASCII, then zero bytes and nothing else."""
    text = field.rstrip(b"\0")
    return text.isascii() and (text.decode("ascii").isprintable())


def mac_of(text: str | None) -> str | None:
    """Return a MAC address in our form (lower case, colons), or None if the text is none."""
    if text is None:
        return None
    digits = text.lower().replace(":", "").replace("-", "").replace(".", "")
    if not _MAC.fullmatch(digits) or digits in ("0" * 12, "f" * 12):
        return None
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def address_of(text: str | None) -> str | None:
    """Return an IP address in canonical form, or None if the text is none, or is no address."""
    if text is None or len(text) > 45:
        return None
    try:
        address = str(ip_address(text.strip()))
    except ValueError:
        return None
    return None if address in (NO_ADDRESS, "::") else address


def ipv4_of(packed: bytes) -> str | None:
    """Return an IPv4 address of four bytes in network order, or None if it is none."""
    if len(packed) != 4:
        return None
    address = str(IPv4Address(packed))
    return None if address == NO_ADDRESS else address


def port_of(text: str | None) -> int | None:
    """Return a port number, or None if the text is none."""
    if text is None or not text.isdecimal() or len(text) > 5:
        return None
    port = int(text)
    return port if 0 < port < 65536 else None
