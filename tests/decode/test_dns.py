"""DNS, mDNS and LLMNR: names, records, and what becomes of broken messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.decode.dns import (
    BAD_LABEL,
    CUT_NAME,
    CUT_QUESTION,
    CUT_RECORD,
    LONG_NAME,
    POINTER_LOOP,
    REASONS,
    SHORT_HEADER,
    DnsMessage,
    DnsQuestion,
    DnsStream,
    find_name,
    ip4_text,
    ip6_text,
    looks_like_dns,
    read_dns,
    read_dns_stream,
    text_of,
)
from egressd.model import NEED_MORE, DecodeError

PCAPS = Path(__file__).parents[3] / "shared" / "pcaps"

# zeek__dns-https.pcap frames 1 and 2: HTTPS cloudflare.com and its answer, cut after the answer
# (the OPT record with its padding is left out and the counts say so).
HTTPS_QUERY = bytes.fromhex("f29f01200001000000000000 0a636c6f7564666c61726503636f6d00 0041 0001")
HTTPS_ANSWER = bytes.fromhex(
    "f29f81800001000100000000 0a636c6f7564666c61726503636f6d00 0041 0001"
    "c00c 0041 0001 00000081 004f"
    "0001 00"  # priority 1, the owner itself
    "0001 0018 02683305 68332d3239 0568332d3238 0568332d3237 026832"
    "0004 0008 681084e5 681085e5"
    "0006 0020 26064700000000000000000068 1084e5 26064700000000000000000068 1085e5"
)
# zeek__dns__mdns.pcap frame 1: two questions, the second compressed.
MDNS_QUERY = bytes.fromhex(
    "000000000002000000000000 045f697070045f746370056c6f63616c00 000c 0001"
    "055f69707073c011 000c 0001"
)
# RFC 4795 section 2.1.1: an LLMNR query is a DNS query; the fifth flag bit is "conflict".
LLMNR_QUERY = bytes.fromhex("1234 0000 0001 0000 0000 0000 06 6e76722d3031 00 0001 0001")


def header(questions: int = 1, answers: int = 0, flags: int = 0x0100) -> bytes:
    counts = (questions, answers, 0, 0)
    return b"\x12\x34" + b"".join(number.to_bytes(2, "big") for number in (flags, *counts))


def answer(number: int, data: bytes) -> bytes:
    """Return a response to `a.` with one record of that type and data."""
    record = b"\xc0\x0c" + number.to_bytes(2, "big") + b"\0\1\0\0\0\x3c"
    return (
        header(answers=1, flags=0x8180)
        + b"\1a\0"
        + number.to_bytes(2, "big")
        + b"\0\1"
        + record
        + len(data).to_bytes(2, "big")
        + data
    )


def whole(payload: bytes, flavour: str = "dns", *, expected: bool = False) -> DnsMessage:
    message = read_dns(payload, flavour, expected=expected)
    assert message is not None
    return message


def reason_of(payload: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        read_dns(payload, expected=True)
    assert caught.value.protocol == "dns"
    assert caught.value.reason in REASONS
    return caught.value.reason


def test_a_query_says_who_is_asked_for() -> None:
    message = whole(HTTPS_QUERY)
    assert message.questions == (DnsQuestion("cloudflare.com", "HTTPS"),)
    assert (message.id, message.is_response, message.opcode) == (0xF29F, False, 0)
    assert message.recursion_desired
    assert not message.recursion_available
    assert not message.cut


def test_an_https_record_hints_at_addresses_that_are_never_asked_for() -> None:
    (record,) = whole(HTTPS_ANSWER).answers
    assert record.name == "cloudflare.com"
    assert record.target == "."
    assert record.hints == (
        "104.16.132.229",
        "104.16.133.229",
        "2606:4700::6810:84e5",
        "2606:4700::6810:85e5",
    )
    assert record.data == (
        "1 . alpn=h3,h3-29,h3-28,h3-27,h2 ipv4hint=104.16.132.229,104.16.133.229"
        " ipv6hint=2606:4700::6810:84e5,2606:4700::6810:85e5"
    )
    assert (record.ttl, record.ech) == (129, False)


def test_an_ech_key_is_told() -> None:
    # RFC 9460 appendix D.2 form: 1 . port=53, then ech (5), key667 and a key without value
    data = bytes.fromhex(
        "0001 00 0003 0002 0035 0005 0002 abcd 029b 0002 6869 0002 0000 0007 0001 2f"
    )
    (record,) = whole(answer(65, data)).answers
    assert record.ech
    assert record.data == "1 . port=53 ech key667=6869 no-default-alpn dohpath=/"


@pytest.mark.parametrize(
    ("number", "data", "text", "target"),
    [
        (1, "c0000201", "192.0.2.1", None),
        (28, "20010db8000000000000000000000001", "2001:db8::1", None),
        (2, "026e73c00c", "ns.a", "ns.a"),
        (5, "0162c00c", "b.a", "b.a"),
        (12, "00", ".", "."),
        (15, "000a 0162c00c", "10 b.a", "b.a"),
        (16, "02 6162 01 63", "abc", None),
        (16, "03 615c09", "a\\\\\\009", None),
        (13, "03 61726d 05 4c696e7578", "arm Linux", None),
        (33, "0000 0005 1f90 0162c00c", "0 5 8080 b.a", "b.a"),
        (6, "c00c 0162c00c 00000001 00000e10 00000258 00015180 0000003c",
         "a b.a 1 3600 600 86400 60", "a"),
        (35, "0064 000a 0175 0745322b74656c21 00 00", '100 10 "u" "E2+tel!" "" .', "."),
        (41, "", "", None),
        (257, "0005 6973737565", "\\# 7 00056973737565", None),
        (65400, "ff", "\\# 1 ff", None),
    ],
    ids=["A", "AAAA", "NS", "CNAME", "PTR", "MX", "TXT", "TXT escaped", "HINFO", "SRV", "SOA",
         "NAPTR", "OPT", "CAA", "TYPE65400"],
)  # fmt: skip
def test_data_are_written_as_dig_does(
    number: int, data: str, text: str, target: str | None
) -> None:
    (record,) = whole(answer(number, bytes.fromhex(data)), expected=True).answers
    assert (record.data, record.target) == (text, target)


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (1, "c00002"),
        (28, "2001"),
        (5, "0162"),
        (15, "000a"),
        (16, "05 6162"),
        (6, "c00c c00c 00000001"),
        (2, "0162"),
        (33, "0000 0005 1f90"),
        (35, "0064 000a 0175 07453200"),
        (65, "0001 00 0004 0008 c0000201"),
        (65, "0001 00 0004"),
    ],
)
def test_data_that_do_not_fit_are_shown_as_bytes(number: int, data: str) -> None:
    raw = bytes.fromhex(data)
    (record,) = whole(answer(number, raw)).answers
    assert record.data == f"\\# {len(raw)} {raw.hex()}"
    assert record.hints == ()


def test_a_name_may_not_run_into_the_next_record() -> None:
    first = bytes.fromhex("c00c 0002 0001 0000003c 0002 0162")
    second = bytes.fromhex("00 0001 0001 0000003c 0004 c0000201")
    message = whole(header(answers=2, flags=0x8180) + b"\1a\0\0\2\0\1" + first + second)
    assert [(r.name, r.data) for r in message.answers] == [("a", "\\# 2 0162"), (".", "192.0.2.1")]
    assert message.answers[0].target is None


def test_mdns_questions_and_their_unicast_bit() -> None:
    message = whole(MDNS_QUERY, "mdns")
    assert [q.name for q in message.questions] == ["_ipp._tcp.local", "_ipps._tcp.local"]
    assert not message.questions[0].unicast
    asked = whole(MDNS_QUERY[:-2] + b"\x80\x01", "mdns").questions[1]
    assert asked == DnsQuestion("_ipps._tcp.local", "PTR", 1, unicast=True)
    assert message.flavour == "mdns"


def test_mdns_cache_flush_is_no_class() -> None:
    # RFC 6762 section 10.2; the OPT record's class is a size and stays whole.
    record = bytes.fromhex("01 61 00 0010 8001 00000078 0007 06 6d643d434152")
    option = bytes.fromhex("00 0029 85a0 00000000 0000")
    payload = bytes.fromhex("0000 8400 0000 0001 0000 0001") + record + option
    message = whole(payload, "mdns")
    assert message.answers[0].cache_flush
    assert message.answers[0].record_class == 1
    assert message.answers[0].strings == ("md=CAR",)
    assert message.additionals[0].record_class == 0x85A0
    assert not message.additionals[0].cache_flush


def test_llmnr_conflict_is_not_authority() -> None:
    conflict = LLMNR_QUERY[:2] + b"\x04\0" + LLMNR_QUERY[4:]
    assert whole(conflict, "llmnr").questions == (DnsQuestion("nvr-01", "A"),)
    assert read_dns(conflict) is None


def test_names_keep_their_case_and_escape_what_is_odd() -> None:
    label = b"\x0aA b.\\c\xff\x00~!"
    payload = header() + label + b"\3EXa\0\0\1\0\1"
    assert whole(payload).questions[0].name == "A\\032b\\.\\\\c\\255\\000~!.EXa"


def test_the_root_is_a_dot() -> None:
    assert whole(header() + b"\0\0\2\0\1").questions[0] == DnsQuestion(".", "NS")


def test_an_odd_name_may_be_compressed() -> None:
    payload = header(2) + b"\3a b\1c\0" + b"\0\1\0\1\1x\xc0\x0c\0\1\0\1"
    names = [q.name for q in whole(payload, expected=True).questions]
    assert names == ["a\\032b.c", "x.a\\032b.c"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xc0\x0c\0\1\0\1", POINTER_LOOP),
        (b"\1a\xc0\x0c\0\1\0\1", LONG_NAME),
        (b"\x40\0\0\1\0\1", BAD_LABEL),
        (b"\x80\0\0\1\0\1", BAD_LABEL),
        (b"\x3fabc", CUT_NAME),
        (b"\xc0", CUT_NAME),
        (b"\xff\xff\0\1\0\1", CUT_NAME),
        (b"\1a", CUT_NAME),
        (b"\1a\0\0\1", CUT_QUESTION),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1", LONG_NAME),
    ],
    ids=["loop", "growing loop", "0x40", "0x80", "cut label", "cut pointer", "far pointer",
         "no end", "cut question", "256 octets"],
)  # fmt: skip
def test_a_question_that_cannot_be_read_has_a_reason(body: bytes, reason: str) -> None:
    assert reason_of(header() + body) == reason
    assert read_dns(header() + body) is None


def test_255_octets_are_a_name() -> None:
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(name) == 255
    assert len(whole(header() + name + b"\0\1\0\1").questions[0].name) == 253


def test_a_record_alone_that_cannot_be_read_has_a_reason() -> None:
    assert reason_of(header(0, 1, 0x8000) + b"\1a\0\0\1\0\1") == CUT_RECORD
    assert reason_of(b"\0" * 11) == SHORT_HEADER


@pytest.mark.parametrize("end", range(len(HTTPS_ANSWER)))
def test_a_cut_message_is_only_read_where_it_is_expected(end: int) -> None:
    cut = HTTPS_ANSWER[:end]
    assert read_dns(cut) is None
    if end < 32:  # the header takes 12 bytes, the question 20
        reason_of(cut)
    else:
        message = whole(cut, expected=True)
        assert message.cut
        assert message.questions[0].name == "cloudflare.com"


def test_a_trailing_byte_is_only_passed_over_where_dns_is_expected() -> None:
    assert read_dns(HTTPS_QUERY + b"\0") is None
    assert whole(HTTPS_QUERY + b"\0", expected=True) == whole(HTTPS_QUERY)


def test_several_questions_are_read_where_they_are_expected() -> None:
    payload = header(2) + b"\1a\0\0\1\0\1" + b"\1b\0\0\x1c\0\1"
    assert [q.type for q in whole(payload, expected=True).questions] == ["A", "AAAA"]
    assert read_dns(payload) is None


def test_an_opt_record_widens_the_response_code() -> None:
    # RFC 6891 section 6.1.3: the upper eight bits of a 12-bit code; 1 and 0 are BADVERS.
    base = b"\x12\x34\x81\x80\0\1\0\0\0\0\0\1\1a\0\0\1\0\1"
    assert whole(base + b"\0\0\x29\x04\xd0\1\0\0\0\0\0").rcode == "BADVERS"
    assert whole(base + b"\0\0\x29\x04\xd0\0\0\0\0\0\0").rcode == "NOERROR"
    assert whole(base + b"\0\0\x29\x04\xd0\xff\0\0\0\0\0").rcode == "RCODE4080"


@pytest.mark.parametrize(
    ("flags", "rcode", "bits"),
    [
        (0x8583, "NXDOMAIN", "aa rd ra"),
        (0x8605, "REFUSED", "aa tc"),
        (0x8002, "SERVFAIL", ""),
        (0x800D, "RCODE13", ""),
    ],
)
def test_flags_and_codes(flags: int, rcode: str, bits: str) -> None:
    message = whole(header(flags=flags) + b"\1a\0\0\1\0\1")
    said = {
        "aa": message.authoritative,
        "tc": message.truncated,
        "rd": message.recursion_desired,
        "ra": message.recursion_available,
    }
    assert " ".join(name for name, is_set in said.items() if is_set) == bits
    assert message.rcode == rcode


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        bytes(64),
        b"\x1b" + bytes(47),  # an NTP request
        header(flags=0x1000) + b"\1a\0\0\1\0\1",  # opcode 2
        header(flags=0x0140) + b"\1a\0\0\1\0\1",  # the bit that must be zero
        header(flags=0x0103) + b"\1a\0\0\1\0\1",  # a query with a response code
        header() + b"\1a\0\x7f\xff\0\1",  # no such type
        header() + b"\1a\0\0\1\0\7",  # no such class
        header() + b"\xc0\x12\0\1\0\1\0",  # opens with a pointer
        header() + b"\1abcdefg",
        header() + b"\3abcd",
        # RFC 1002 section 4.2.12: a NetBIOS name query, which has the same frame
        header() + b"\x20" + b"CK" + b"AA" * 15 + b"\0\0\x21\0\1",
    ],
    ids=["empty", "http", "zeros", "ntp", "opcode", "z bit", "rcode", "type", "class", "pointer",
         "cut label", "cut name", "netbios"],
)  # fmt: skip
def test_other_protocols_are_not_dns(payload: bytes) -> None:
    assert read_dns(payload) is None
    assert not looks_like_dns(payload)


def test_a_stream_gives_its_whole_messages_and_what_they_took() -> None:
    one = len(HTTPS_QUERY).to_bytes(2, "big") + HTTPS_QUERY
    two = one + len(HTTPS_ANSWER).to_bytes(2, "big") + HTTPS_ANSWER
    messages = (whole(HTTPS_QUERY), whole(HTTPS_ANSWER))
    for end in range(len(one)):
        assert read_dns_stream(two[:end]) is NEED_MORE
    for end in range(len(one), len(two)):
        assert read_dns_stream(two[:end]) == DnsStream(messages[:1], len(one))
    assert read_dns_stream(two) == DnsStream(messages, len(two))
    assert read_dns_stream(two + b"\0") == DnsStream(messages, len(two))
    assert read_dns_stream(two + b"\0\0\0\0") == DnsStream(messages, len(two))


def test_a_stream_that_ends_in_a_message_still_names_the_query() -> None:
    cut = len(HTTPS_ANSWER).to_bytes(2, "big") + HTTPS_ANSWER[:40]
    assert read_dns_stream(cut) is NEED_MORE
    stream = read_dns_stream(cut, ended=True)
    assert isinstance(stream, DnsStream)
    assert stream.messages[0].questions[0].name == "cloudflare.com"
    assert stream.messages[0].cut
    assert stream.used == len(cut)
    assert read_dns_stream(cut[:20], ended=True) is None
    assert read_dns_stream(b"", ended=True) is None


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        bytes.fromhex("16030100c8010000c40303aabbccdd"),
        b"\0\5abcde",
        b"\0\0",
        b"\0\x11" + header() + b"\x40\0\1\0\1",
    ],
    ids=["http", "tls", "short", "empty message", "bad label"],
)
def test_other_streams_are_not_dns(head: bytes) -> None:
    assert read_dns_stream(head) is None


def test_a_broken_first_message_of_an_expected_stream_raises() -> None:
    broken = b"\0\x10" + header() + b"\x40\0\0\0"
    with pytest.raises(DecodeError):
        read_dns_stream(broken, expected=True)
    assert read_dns_stream(broken) is None
    good = len(HTTPS_QUERY).to_bytes(2, "big") + HTTPS_QUERY
    assert read_dns_stream(good + broken, expected=True) == DnsStream(
        (whole(HTTPS_QUERY),), len(good)
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("00" * 16, "::"),
        ("00" * 15 + "01", "::1"),
        # RFC 5952 section 4.2.2: a single zero group stays; 4.2.3: the first longest run goes.
        ("20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"),
        ("20010db8000000000001000000000001", "2001:db8::1:0:0:1"),
        ("20010000000000010000000000000001", "2001:0:0:1::1"),
        ("fe800000000000000000000000000000", "fe80::"),
        # section 5: the mapped form keeps the IPv4 address readable
        ("00000000000000000000ffffc0000201", "::ffff:192.0.2.1"),
    ],
)
def test_ipv6_text_is_canonical(raw: str, text: str) -> None:
    assert ip6_text(bytes.fromhex(raw)) == text


@given(st.ip_addresses())
def test_address_text_is_the_library_s(address: object) -> None:
    packed: bytes = address.packed  # type: ignore[attr-defined]  # hypothesis says object here
    if len(packed) == 4:
        assert ip4_text(packed) == str(address)
    elif not packed.startswith(bytes(10) + b"\xff\xff"):  # written otherwise before Python 3.13
        assert ip6_text(packed) == str(address)


def test_text_escapes_what_a_terminal_would_act_on() -> None:
    assert text_of(b"a b\x1b[0m\\\xc3\xa4") == "a b\\027[0m\\\\\\195\\164"


LABEL = st.binary(min_size=1, max_size=20)
NAMES = st.lists(LABEL, min_size=1, max_size=6).map(lambda labels: dns.name.Name([*labels, b""]))
PLAIN_NAMES = st.from_regex(r"([a-z0-9-]{1,12}\.){1,5}", fullmatch=True).map(dns.name.from_text)


def unescape(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


@settings(max_examples=100)
@given(NAMES)
def test_names_are_those_of_dnspython(name: dns.name.Name) -> None:
    payload = dns.message.make_query(name, "A").to_wire()
    assert unescape(whole(payload).questions[0].name) == name


TEXT_OF_TYPES = st.sampled_from(
    [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::7"),
        ("CNAME", "edge.example."),
        ("NS", "ns.example."),
        ("MX", "10 mail.example."),
        ("SRV", "0 5 8554 cam.example."),
        ("SOA", "ns.example. admin.example. 1 2 3 4 5"),
        ("PTR", "cam.example."),
    ]
)


@settings(max_examples=100)
@given(PLAIN_NAMES, st.lists(TEXT_OF_TYPES, max_size=8), st.integers(0, 2**31 - 1))
def test_records_are_those_of_dnspython(
    name: dns.name.Name, records: list[tuple[str, str]], ttl: int
) -> None:
    response = dns.message.make_response(dns.message.make_query(name, "ANY"))
    for rdtype, text in records:
        response.answer.append(dns.rrset.from_text(name, ttl, "IN", rdtype, text))
    message = whole(response.to_wire())
    assert message.questions[0].name == name.to_text(omit_final_dot=True)
    read = [(r.type, r.data, r.ttl) for r in message.answers]
    assert read == [
        (rdtype, re.sub(r"([a-z])\.(?= |$)", r"\1", text), ttl) for rdtype, text in records
    ]


@given(st.binary(max_size=200), st.sampled_from(["dns", "mdns", "llmnr"]), st.booleans())
def test_never_fails_on_any_bytes(payload: bytes, flavour: str, expected: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    reason = SHORT_HEADER
    try:
        read_dns(payload, flavour, expected=expected)
        read_dns_stream(payload, expected=expected, ended=expected)
    except DecodeError as error:
        reason = error.reason if expected else "raised where nothing was expected"
    assert reason in REASONS
    find_name(payload, 0)


@settings(max_examples=150)
@given(st.integers(0, len(HTTPS_ANSWER) - 1), st.integers(0, 255), st.integers(0, 255))
def test_never_fails_on_a_changed_message(at: int, value: int, other: int) -> None:
    changed = bytearray(HTTPS_ANSWER)
    changed[at] = value
    changed[(at + 1) % len(changed)] = other
    reason = SHORT_HEADER
    try:
        whole(bytes(changed), expected=True)
    except DecodeError as error:
        reason = error.reason
    assert reason in REASONS


def test_a_message_of_pointers_to_pointers_is_read_to_its_end() -> None:
    # Three labels hold a root byte and 92 pointers, each to the one before: as slow as a name gets.
    slots = [12 + 1 + 63 * label + 2 * slot for label in range(3) for slot in range(31)]
    pointers = [b"\0\0", *((0xC000 | slot).to_bytes(2, "big") for slot in slots)]
    labels = [b"\x3e" + b"".join(pointers[31 * i : 31 * i + 31]) for i in range(3)]
    first = b"".join(labels) + b"\0\0\1\0\1"
    payload = header(0xFFFF) + first + (pointers[93] + b"\0\1\0\1") * 9000
    message = whole(payload, expected=True)
    assert len(message.questions) == 9001
    assert message.questions[9000] == DnsQuestion(".", "A")


# Where tshark's text is ours, too: it writes other bytes in its own way.
PLAIN = re.compile(r"[A-Za-z0-9_.-]+\Z")
LINKS = {1: dpkt.ethernet.Ethernet, 113: dpkt.sll.SLL}
CAPTURES = [
    "arkime__dns-https.pcap",
    "ipfixprobe__dns.pcap",
    "maltrail__dns_malformed.pcap",
    "maltrail__dns_queries.pcap",
    "nDPI__dns-tunnel-iodine.pcap",
    "nDPI__dns_exfiltration.pcap",
    "nDPI__fuzz-2006-06-26-2594.pcap",
    "nDPI__malformed_dns.pcap",
    "toolsaf__dns-large-set.pcap",
    "zeek__dns__dns-corrupt.pcap",
]


def payloads_to_port_53(path: Path) -> list[bytes]:
    payloads = []
    with path.open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        for _, frame in reader:
            try:
                datagram = LINKS[reader.datalink()](frame).data.data
            except (dpkt.UnpackError, AttributeError):
                continue
            if isinstance(datagram, dpkt.udp.UDP) and 53 in (datagram.sport, datagram.dport):
                payloads.append(bytes(datagram.data))
    return payloads


@pytest.mark.shared
@pytest.mark.parametrize("name", CAPTURES)
def test_the_names_are_those_that_tshark_finds(name: str) -> None:
    path = PCAPS / name
    if not path.exists():
        pytest.skip("needs the folder of other people's captures")
    truth = json.loads((PCAPS / "truth" / f"{name}.json").read_text())
    wanted = truth["dns_query_names"] + truth["dns_query_names_seen_only_in_responses"]
    found: set[str] = set()
    for payload in payloads_to_port_53(path):
        try:
            message = whole(payload, expected=True)
        except DecodeError:
            continue
        found.update(question.name for question in message.questions)
    assert {n for n in found if PLAIN.match(n)} - {"."} == {n for n in wanted if PLAIN.match(n)}
