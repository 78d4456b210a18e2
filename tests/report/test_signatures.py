"""The numbers of the rules: given once and for all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.judge.findings import Rule
from egressd.report.signatures import SIGNATURES, UNLISTED_FROM, signature_of


def test_every_rule_has_a_number_of_its_own() -> None:
    numbers = [SIGNATURES[rule.value].id for rule in Rule]
    assert len(set(numbers)) == len(numbers)


def test_a_number_once_given_stays() -> None:
    # People silence and correlate by these: a change here breaks them.
    assert {rule: signature.id for rule, signature in SIGNATURES.items()} == {
        "cloud-contact": 9_100_001,
        "unlisted-destination": 9_100_002,
        "cloud-lookup": 9_100_003,
        "foreign-resolver": 9_100_004,
        "foreign-time-server": 9_100_005,
        "inbound-connection": 9_100_006,
        "scan": 9_100_007,
    }


@settings(max_examples=50)
@given(st.text())
def test_a_rule_that_is_not_listed_has_a_stable_number(rule: str) -> None:
    assert signature_of(rule) == signature_of(rule)
    assert rule in SIGNATURES or signature_of(rule).id >= UNLISTED_FROM
