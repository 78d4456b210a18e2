"""Community ID v1 against the vectors that the specification publishes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.report.communityid import community_id

# https://github.com/corelight/community-id-spec, baseline/baseline_deflt.json (seed 0): protocol,
# source, port, destination, port, ID. It lists ICMP as type and paired type, and a one-way message
# as type and code; here each has its type and its code.
PUBLISHED = """
58 fe80::200:86ff:fe05:80da 135 fe80::260:97ff:fe07:69ea 0 dGHyGvjMfljg6Bppwm3bg0LO8TY=
58 fe80::260:97ff:fe07:69ea 136 fe80::200:86ff:fe05:80da 0 dGHyGvjMfljg6Bppwm3bg0LO8TY=
58 fe80::260:97ff:fe07:69ea 135 fe80::200:86ff:fe05:80da 0 zavyT/cezQr1fmImYCwYnMXbgck=
58 3ffe:501:1800:2345::2 3 3ffe:507:0:1:200:86ff:fe05:80da 0 2ObVBgIn28oZvibYZhZMBgh7WdQ=
58 3ffe:501:410:0:2c0:dfff:fe47:33e 1 3ffe:507:0:1:200:86ff:fe05:80da 4 hLZd0XGWojozrvxqE0dWB1iM6R0=
58 3ffe:507:0:1:200:86ff:fe05:80da 128 3ffe:501:0:1001::2 0 +TW+HtLHvV1xnGhV1lv7XoJrqQg=
58 fe80::200:86ff:fe05:80da 133 ff02::2 0 hO+sN4H+MG5MY/8hIrXPqc4ZQz0=
58 fe80::260:97ff:fe07:69ea 134 ff02::1 0 pkvHqCL88/tg1k4cPigmZXUtL00=
1 192.168.0.89 8 192.168.0.1 0 X0snYXpgwiv9TZtqg64sgzUn6Dk=
1 192.168.0.1 0 192.168.0.89 0 X0snYXpgwiv9TZtqg64sgzUn6Dk=
1 10.0.0.1 11 10.0.0.2 0 YHxtAirCG//0OzkcVAukqKQN9xM=
6 2001:470:e5bf:dead:4957:2174:e82c:4887 63943 2607:f8b0:400c:c03::1a 25 \
    /qFaeAR+gFe1KYjMzVDsMv+wgU4=
6 66.35.250.204 80 128.232.110.120 34855 LQU9qZlK+B5F3KDmev6m5PMibrg=
17 192.168.1.52 54585 8.8.8.8 53 d/FP5EW3wiY1vCndhwleRRKHowQ=
17 8.8.8.8 53 192.168.1.52 54585 d/FP5EW3wiY1vCndhwleRRKHowQ=
46 10.1.12.1 0 10.1.12.2 0 KHlLkgoJW7ifUTyTSgyVfkFHzKw=
132 192.168.170.8 7 192.168.170.56 7 MP2EtRCAUIZvTw6MxJHLV7N7JDs=
"""
# tshark 4.0.17: unreachables from the larger address to the smaller, which show that a one-way
# message is never turned:
# ../shared/pcaps, iotsentinel__D-LinkCam__Setup-A-1-STA.pcap and nDPI__stun.pcap.
ONE_WAY = """
1 130.83.253.186 3 10.10.10.37 1 xDiaCtWbY9RznwR0QCBAkHcD8mI=
1 192.168.12.169 3 74.125.247.128 3 gRvWpQkgPCJhp+cChoBua1SMvZg=
"""


VECTORS = [line for line in (PUBLISHED + ONE_WAY).splitlines() if line]


@pytest.mark.parametrize("vector", VECTORS)
def test_published_vectors_come_out(vector: str) -> None:
    protocol, source, source_port, destination, destination_port, expected = vector.split()
    found = community_id(
        int(protocol), source, int(source_port), destination, int(destination_port)
    )
    assert found == f"1:{expected}"


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
ports = st.integers(0, 65535)


@settings(max_examples=100)
@given(st.sampled_from([6, 17, 132]), addresses, ports, ports, st.data())
def test_both_directions_have_one_name(
    protocol: int, source: str, first: int, second: int, data: st.DataObject
) -> None:
    destination = str(data.draw(st.ip_addresses(v=ip_address(source).version)))
    there = community_id(protocol, source, first, destination, second)
    assert there == community_id(protocol, destination, second, source, first)


def test_ports_do_not_count_in_a_protocol_without_ports() -> None:
    assert community_id(47, "192.0.2.1", 0, "192.0.2.2", 0) == community_id(
        47, "192.0.2.2", 9, "192.0.2.1", 5
    )
