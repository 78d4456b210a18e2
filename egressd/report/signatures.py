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


POLICY = "Potential Corporate Privacy Violation"  # Suricata's classtype policy-violation

# The ids of `egressd.judge.findings.Rule`, numbered from FIRST_ID in the order of their coming.
SIGNATURES = {
    "cloud-contact": Signature(FIRST_ID, "EGRESSD camera reaches a camera cloud", POLICY),
    "unlisted-destination": Signature(
        FIRST_ID + 1, "EGRESSD camera leaves the site without a permit", POLICY
    ),
    "cloud-lookup": Signature(
        FIRST_ID + 2, "EGRESSD camera asks for the name of a camera cloud", POLICY
    ),
    "foreign-resolver": Signature(
        FIRST_ID + 3, "EGRESSD camera asks a resolver that is not the site's", POLICY
    ),
    "foreign-time-server": Signature(
        FIRST_ID + 4, "EGRESSD camera asks a time server that is not the site's", POLICY
    ),
    "inbound-connection": Signature(
        FIRST_ID + 5, "EGRESSD host off site connects to a camera", POLICY
    ),
    "scan": Signature(FIRST_ID + 6, "EGRESSD camera tries many destinations off site", POLICY),
}


def signature_of(rule: str) -> Signature:
    """Return the signature of a rule; a rule without an entry gets a stable number all the same."""
    found = SIGNATURES.get(rule)
    if found is not None:
        return found
    number = UNLISTED_FROM + crc32(rule.encode("utf-8", "backslashreplace")) % UNLISTED_COUNT
    return Signature(number, f"EGRESSD {rule}", POLICY)
