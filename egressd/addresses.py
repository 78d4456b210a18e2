"""Addresses as the data plane holds them, and as everybody else reads them."""

from __future__ import annotations

from functools import lru_cache

from egressd.decode.dns import ip6_text

NO_MAC = 0xFFFFFFFFFFFFFFFF


@lru_cache(maxsize=65_536)
def text_of(version: int, high: int, low: int) -> str:
    """Return an address as text; IPv6 compressed (RFC 5952)."""
    if version == 4:
        return f"{low >> 24}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return ip6_text((high << 64 | low).to_bytes(16, "big"))


@lru_cache(maxsize=65_536)
def mac_of(value: int) -> str | None:
    """Return a MAC as text, or None where the frame had none."""
    if value == NO_MAC:
        return None
    digits = f"{value:012x}"
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
