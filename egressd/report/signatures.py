"""The numbers and titles under which each rule's alerts are known to a SIEM.

A number once given stays with its rule for good: people silence, count and
correlate by it. New rules take the next free one.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

FIRST_ID = 9_100_001
# Rules this table does not know (yet) get a number from their name in a range of their own.
UNLISTED_FROM = 9_190_000
UNLISTED_COUNT = 9_999


@dataclass(frozen=True, slots=True)
class Signature:
    """What `alert` says of a rule in Suricata's words."""

    id: int
    text: str
    category: str


def signature_of(rule: str) -> Signature:
    """Return the signature of a rule; a rule without an entry gets a stable number all the same."""
    found = SIGNATURES.get(rule)
    if found is not None:
        return found
    number = UNLISTED_FROM + crc32(rule.encode("utf-8", "backslashreplace")) % UNLISTED_COUNT
    return Signature(number, f"EGRESSD {rule}", "Policy Violation")


SIGNATURES: dict[str, Signature] = {}
