"""DNS, mDNS and LLMNR (RFC 1035, 6762, 4795): the names a host asks for and what it is told.

Every message is read whole: questions, records, the addresses that HTTPS records hint at.
Signatures are not checked, and which answer belongs to which question is not decided here.

The file is plain Python that is also compiled; `cython` is only known to the type checker and
to the compiler, so that it runs without either. It is longer than others because calls are
cheap within a compiled module only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.model import NEED_MORE, DecodeError, NeedMore

if TYPE_CHECKING:
    import cython

HEADER_SIZE = 12
TOP_BIT = 0x8000  # of a class, mDNS: "unicast" or "cache flush" (RFC 6762 section 18.12)

# Why a message cannot be read; the closed set behind a metric label.
SHORT_HEADER = "short header"
CUT_NAME = "cut name"
CUT_QUESTION = "cut question"
CUT_RECORD = "cut record"
BAD_LABEL = "bad label"
LONG_NAME = "long name"
POINTER_LOOP = "pointer loop"
REASONS = (
    SHORT_HEADER,
    CUT_NAME,
    CUT_QUESTION,
    CUT_RECORD,
    BAD_LABEL,
    LONG_NAME,
    POINTER_LOOP,
)

# fmt: off
# IANA, Domain Name System (DNS) Parameters, resource record TYPEs.
TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 11: "WKS", 12: "PTR", 13: "HINFO",
    15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC",
    33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 42: "APL", 43: "DS",
    44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID",
    50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS",
    60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS",
    99: "SPF", 108: "EUI48", 109: "EUI64", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR",
    253: "MAILB", 255: "ANY", 256: "URI", 257: "CAA", 32768: "TA", 32769: "DLV",
}
# IANA, DNS RCODEs; 16 and up need the upper bits that an OPT record carries (RFC 6891).
RCODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
    6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
    16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
    22: "BADTRUNC", 23: "BADCOOKIE",
}
# RFC 9460 section 14.3.2; keys without a name are written keyNNN.
SERVICE_KEYS = {
    0: "mandatory", 1: "alpn", 2: "no-default-alpn", 3: "port", 4: "ipv4hint", 5: "ech",
    6: "ipv6hint", 7: "dohpath", 8: "ohttp",
}
# fmt: on
CLASSES = frozenset({1, 3, 4, 254, 255})  # IN, CHAOS, HESIOD, NONE, ANY

# str.translate tables: bytes that do not stand for themselves in a name, and in other text.
TEXT_ESCAPES = {i: f"\\{i:03d}" for i in range(256) if not 0x20 <= i <= 0x7E} | {0x5C: "\\\\"}
NAME_ESCAPES = TEXT_ESCAPES | {0x20: "\\032", 0x2E: "\\."}


@dataclass(slots=True)
class DnsQuestion:
    """A name that was asked for, in the case it had on the wire."""

    name: str
    type: str
    record_class: int = 1
    unicast: bool = False  # mDNS: the answer may come by unicast (RFC 6762 section 5.4)


@dataclass(slots=True)
class DnsRecord:
    r"""A resource record; `data` is its text, `\# length hex` where the type is not known.

    An OPT record keeps its flags in `ttl` and the payload size it offers in `record_class`.
    """

    name: str
    type: str
    ttl: int
    data: str = ""
    target: str | None = None  # the name that CNAME, NS, PTR, MX, SRV, HTTPS, ... point to
    hints: tuple[str, ...] = ()  # SVCB and HTTPS: addresses to use without asking for them
    ech: bool = False  # SVCB and HTTPS: the server takes an encrypted ClientHello
    strings: tuple[str, ...] = ()  # TXT: its strings one by one, as DNS-SD needs them
    record_class: int = 1
    cache_flush: bool = False  # mDNS: RFC 6762 section 10.2


@dataclass(slots=True)
class DnsMessage:
    """One message. `cut` says that more was announced than could be read."""

    id: int
    is_response: bool
    opcode: int
    rcode: str
    authoritative: bool
    truncated: bool
    recursion_desired: bool
    recursion_available: bool
    questions: tuple[DnsQuestion, ...]
    answers: tuple[DnsRecord, ...]
    authorities: tuple[DnsRecord, ...]
    additionals: tuple[DnsRecord, ...]
    flavour: str = "dns"
    cut: bool = False


@dataclass(slots=True)
class DnsStream:
    """The whole messages at the head of a TCP stream, and how many bytes they took."""

    messages: tuple[DnsMessage, ...]
    used: int


class UnreadableError(Exception):
    """What stands here cannot be read; `reason` is one of REASONS. Never leaves `decode`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_dns(payload: bytes, flavour: str = "dns", *, expected: bool = False) -> DnsMessage | None:
    """Return the message in a UDP payload, or None if it does not look like one.

    `expected` is for the protocol's own port: whatever can be read of a broken message is
    returned, and DecodeError raised if that is nothing. Elsewhere only flawless ones count.
    """
    if len(payload) < HEADER_SIZE:
        if expected:
            raise DecodeError("dns", SHORT_HEADER)
        return None
    if not expected and not looks_like_dns(payload, flavour):
        return None
    questions: list[DnsQuestion] = []
    sections: list[list[DnsRecord]] = [[], [], []]
    reason = ""
    at = HEADER_SIZE
    bit = TOP_BIT if flavour == "mdns" else 0
    try:
        at = _read_questions(payload, bit, questions)
        for i in range(3):
            count = payload[6 + 2 * i] << 8 | payload[7 + 2 * i]
            at = _read_records(payload, at, count, bit, sections[i])
    except UnreadableError as error:
        reason = error.reason
    if not expected and (reason or at != len(payload)):
        return None
    if reason and not questions and not any(sections):
        raise DecodeError("dns", reason)
    return _message_of(payload, flavour, questions, sections, bool(reason))


def looks_like_dns(payload: bytes, flavour: str = "dns") -> bool:
    """Tell whether header and first question are those of a message, on whatever port."""
    if len(payload) < HEADER_SIZE or not _is_plausible_header(payload, 0, len(payload), flavour):
        return False
    return flavour == "mdns" or _is_plausible_question(payload)


def read_dns_stream(
    head: bytes, *, expected: bool = False, ended: bool = False
) -> DnsStream | NeedMore | None:
    """Return the whole messages at the head of a TCP stream (RFC 1035 section 4.2.2).

    With `ended` no more bytes will come, and what can be read of a last, cut message counts.
    A broken message behind whole ones ends the stream there; a first one is answered as in
    `read_dns`.
    """
    messages: list[DnsMessage] = []
    at: cython.Py_ssize_t = 0
    have: cython.Py_ssize_t = len(head)
    size: cython.Py_ssize_t
    while have - at >= 2:
        size = head[at] << 8 | head[at + 1]
        if not expected and not _may_be_dns(head, at, size):
            break
        is_whole = size <= have - at - 2
        if not is_whole and not ended:
            return DnsStream(tuple(messages), at) if messages else NEED_MORE
        try:
            message = read_dns(head[at + 2 : at + 2 + size], expected=expected or not is_whole)
        except DecodeError:
            if messages or not expected:
                break
            raise
        if message is None:
            break
        messages.append(message)
        at = at + 2 + size if is_whole else have
    if messages:
        return DnsStream(tuple(messages), at)
    return NEED_MORE if have < 2 and not ended else None


def find_name(message: bytes, start: int) -> str | None:
    """Return the name at `start`, or None if none can be read there."""
    try:
        return read_name(message, start)[0]
    except UnreadableError:
        return None


def read_name(message: bytes, start: cython.Py_ssize_t) -> tuple[str, int]:
    """Return the name at `start` and where the bytes after it begin (RFC 1035 section 4.1.4).

    A pointer may lead anywhere in the message; their number is bounded, so is the name.
    """
    text = bytearray(256)  # a dot before each label: as long as its length byte
    size: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = len(message)
    at: cython.Py_ssize_t = start
    after: cython.Py_ssize_t = -1
    hops: cython.Py_ssize_t = 0
    length: cython.Py_ssize_t
    i: cython.Py_ssize_t
    byte: cython.int
    odd: cython.bint = False
    while at < end:
        length = message[at]
        if length == 0:
            name = _odd_name_of(message, start) if odd else text[1:size].decode("ascii")
            return name or ".", int(after if after >= 0 else at + 1)
        if length < 0x40:
            if size + length + 2 > 255:  # octets with the root, RFC 1035 section 2.3.4
                raise UnreadableError(LONG_NAME)
            if at + length >= end:
                break
            text[size] = 0x2E
            for i in range(1, length + 1):
                byte = message[at + i]
                text[size + i] = byte
                odd = odd or byte <= 0x20 or byte >= 0x7F or byte in (0x2E, 0x5C)
            at += 1 + length
            size += 1 + length
        elif length >= 0xC0 and at + 1 < end:
            after = at + 2 if after < 0 else after
            hops += 1
            if hops > 127:  # a name cannot have more labels
                raise UnreadableError(POINTER_LOOP)
            at = (length & 0x3F) << 8 | message[at + 1]
        else:  # 0x40 and 0x80: never assigned, or withdrawn (RFC 6891 section 5)
            raise UnreadableError(BAD_LABEL if length < 0xC0 else CUT_NAME)
    raise UnreadableError(CUT_NAME)


def ip4_text(raw: bytes) -> str:
    """Return the text of the first four bytes as an IPv4 address."""
    return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"


def ip6_text(raw: bytes) -> str:
    """Return the canonical text of a 16-byte IPv6 address (RFC 5952, section 5 included)."""
    if raw.startswith(b"\0\0\0\0\0\0\0\0\0\0\xff\xff"):
        return "::ffff:" + ip4_text(raw[12:16])
    groups: list[str] = []
    best: cython.Py_ssize_t = 0
    longest: cython.Py_ssize_t = 1  # a single zero group is not shortened
    run: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    value: cython.int
    for i in range(8):
        value = raw[2 * i] << 8 | raw[2 * i + 1]
        groups.append(f"{value:x}")
        run = 0 if value else run + 1
        if run > longest:
            longest = run
            best = i + 1 - run
    if longest == 1:
        return ":".join(groups)
    return ":".join(groups[:best]) + "::" + ":".join(groups[best + longest :])


def text_of(raw: bytes) -> str:
    r"""Return printable ASCII: other bytes are written \DDD, a backslash twice."""
    return raw.decode("latin-1").translate(TEXT_ESCAPES)


def _is_plausible_header(
    data: bytes, at: cython.Py_ssize_t, size: cython.Py_ssize_t, flavour: str
) -> bool:
    # id 2, QR 1 opcode 4 AA TC RD, RA Z AD CD rcode 4, four counts (RFC 1035 section 4.1.1)
    high: cython.int = data[at + 2]
    low: cython.int = data[at + 3]
    opcode: cython.int = high >> 3 & 0xF
    questions: cython.Py_ssize_t = data[at + 4] << 8 | data[at + 5]
    records: cython.Py_ssize_t = (data[at + 6] << 8 | data[at + 7]) + (
        (data[at + 8] << 8 | data[at + 9]) + (data[at + 10] << 8 | data[at + 11])
    )
    # A question takes five bytes at least, a record eleven.
    if low & 0x40 or HEADER_SIZE + 5 * questions + 11 * records > size:
        return False
    if flavour == "mdns":
        return bool(opcode == 0 and low & 0xF == 0 and questions + records > 0)
    if questions != 1 or opcode not in (0, 4, 5):
        return False
    # In LLMNR queries the AA bit means "conflict" (RFC 4795 section 2.1.1).
    is_response: cython.int = high & 0x80
    return bool(is_response or flavour != "dns" or (high & 0x04 == 0 and low & 0x8F == 0))


def _is_plausible_question(payload: bytes) -> bool:
    try:
        name, at = read_name(payload, HEADER_SIZE)
    except UnreadableError:
        return False
    if payload[HEADER_SIZE] >= 0xC0 or at + 4 > len(payload):
        return False
    # NetBIOS names (RFC 1002) have the same frame; their first label is 32 letters from A to P.
    if payload[HEADER_SIZE] == 32 and all("A" <= letter <= "P" for letter in name[:32]):
        return False
    number = payload[at] << 8 | payload[at + 1]
    return number in TYPES and (payload[at + 2] << 8 | payload[at + 3]) in CLASSES


def _may_be_dns(head: bytes, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> bool:
    if size < HEADER_SIZE:
        return False
    return len(head) - at < 2 + HEADER_SIZE or _is_plausible_header(head, at + 2, size, "dns")


def _read_questions(payload: bytes, bit: cython.int, questions: list[DnsQuestion]) -> int:
    end: cython.Py_ssize_t = len(payload)
    at: cython.Py_ssize_t = HEADER_SIZE
    number: cython.int
    record_class: cython.int
    for _ in range(payload[4] << 8 | payload[5]):
        name, at = read_name(payload, at)
        if at + 4 > end:
            raise UnreadableError(CUT_QUESTION)
        number = payload[at] << 8 | payload[at + 1]
        record_class = payload[at + 2] << 8 | payload[at + 3]
        at += 4
        question = DnsQuestion(name, _type_of(number), record_class & ~bit)
        question.unicast = record_class & bit != 0
        questions.append(question)
    return int(at)


def _read_records(
    payload: bytes,
    start: int,
    count: int,
    bit: cython.int,
    records: list[DnsRecord],
) -> int:
    # name, type 2, class 2, ttl 4, length 2, data (RFC 1035 section 4.1.3)
    end: cython.Py_ssize_t = len(payload)
    at: cython.Py_ssize_t = start
    stop: cython.Py_ssize_t
    number: cython.int
    record_class: cython.int
    ttl: cython.longlong
    owner: cython.int = 0  # the pointer that the previous record's name was, if it was one
    name = ""
    for _ in range(count):
        if owner and at + 1 < end and payload[at] << 8 | payload[at + 1] == owner:
            at += 2
        else:
            owner = payload[at] << 8 | payload[at + 1] if at + 1 < end else 0
            owner = owner if owner >= 0xC000 else 0
            name, at = read_name(payload, at)
        if at + 10 > end:
            raise UnreadableError(CUT_RECORD)
        number = payload[at] << 8 | payload[at + 1]
        record_class = payload[at + 2] << 8 | payload[at + 3]
        ttl = payload[at + 4]
        ttl = ttl << 24 | payload[at + 5] << 16 | payload[at + 6] << 8 | payload[at + 7]
        stop = at + 10 + (payload[at + 8] << 8 | payload[at + 9])
        at += 10
        if stop > end:
            raise UnreadableError(CUT_RECORD)
        record = DnsRecord(name, _type_of(number), ttl)
        if number == 41:  # here the class is a size
            record.record_class = record_class
        else:
            record.record_class = record_class & ~bit
            record.cache_flush = record_class & bit != 0
        try:
            _fill(record, number, payload, at, stop)
        except UnreadableError:
            # The record's frame is whole, so the message goes on; its bytes are shown.
            record.data = _hex_of(payload[at:stop])
        records.append(record)
        at = stop
    return int(at)


def _message_of(
    payload: bytes,
    flavour: str,
    questions: list[DnsQuestion],
    sections: list[list[DnsRecord]],
    cut: bool,  # noqa: FBT001 - private, one caller
) -> DnsMessage:
    high: cython.int = payload[2]
    low: cython.int = payload[3]
    rcode: cython.int = low & 0xF
    for record in sections[2]:
        if record.type == "OPT":
            rcode |= record.ttl >> 24 << 4
            break
    return DnsMessage(
        payload[0] << 8 | payload[1],
        high & 0x80 != 0,
        high >> 3 & 0xF,
        RCODES.get(rcode) or f"RCODE{rcode}",
        high & 0x04 != 0,
        high & 0x02 != 0,
        high & 0x01 != 0,
        low & 0x80 != 0,
        tuple(questions),
        tuple(sections[0]),
        tuple(sections[1]),
        tuple(sections[2]),
        flavour,
        cut,
    )


def _odd_name_of(message: bytes, at: cython.Py_ssize_t) -> str:
    """Return the escaped name at `at`, over the ground that `read_name` has checked."""
    labels: list[str] = []
    length: cython.Py_ssize_t = message[at]
    while length:
        if length >= 0xC0:
            at = (length & 0x3F) << 8 | message[at + 1]
        else:
            label = message[at + 1 : at + 1 + length]
            labels.append(label.decode("latin-1").translate(NAME_ESCAPES))
            at += 1 + length
        length = message[at]
    return ".".join(labels)


def _type_of(number: int) -> str:
    return TYPES.get(number) or f"TYPE{number}"


def _hex_of(raw: bytes) -> str:
    return f"\\# {len(raw)} {raw.hex()}" if raw else ""


def _fill(
    record: DnsRecord,
    number: cython.int,
    payload: bytes,
    at: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
) -> None:
    """Set what the data of a record says; data that do not fit their type raise."""
    size: cython.Py_ssize_t = stop - at
    if number == 1 and size == 4:
        record.data = ip4_text(payload[at:stop])
    elif number == 28 and size == 16:
        record.data = ip6_text(payload[at:stop])
    elif number in (2, 5, 12, 39):  # NS, CNAME, PTR, DNAME
        record.target = record.data = _name_before(payload, at, stop)
    elif number in (64, 65) and size > 2:
        _fill_service(record, payload, at, stop)
    else:
        _fill_rare(record, number, payload, at, stop)


def _fill_rare(record: DnsRecord, number: int, payload: bytes, at: int, stop: int) -> None:
    size = stop - at
    if number in (15, 18, 36) and size > 2:  # MX, AFSDB, KX: preference, name
        record.target = _name_before(payload, at + 2, stop)
        record.data = f"{payload[at] << 8 | payload[at + 1]} {record.target}"
    elif number == 33 and size > 6:  # SRV: priority, weight, port, name (RFC 2782)
        record.target = _name_before(payload, at + 6, stop)
        record.data = f"{_numbers_of(payload[at : at + 6], 2)} {record.target}"
    elif number in (16, 99):  # TXT, SPF
        record.strings = tuple(_strings_of(payload[at:stop]))
        record.data = "".join(record.strings)
    elif number == 13:  # HINFO: CPU, operating system
        record.data = " ".join(_strings_of(payload[at:stop]))
    elif number == 6:  # SOA: two names, serial, refresh, retry, expire, minimum
        _fill_authority(record, payload, at, stop)
    elif number == 35 and size > 7:
        _fill_pointer(record, payload, at, stop)
    elif number == 41:
        record.data = payload[at:stop].hex()
    else:
        record.data = _hex_of(payload[at:stop])


def _fill_authority(record: DnsRecord, payload: bytes, start: int, stop: int) -> None:
    primary, at = read_name(payload, start)
    mailbox, at = read_name(payload, at)
    if at + 20 != stop:
        raise UnreadableError(CUT_RECORD)
    record.target = primary
    record.data = f"{primary} {mailbox} {_numbers_of(payload[at:stop], 4)}"


def _fill_pointer(record: DnsRecord, payload: bytes, at: int, stop: int) -> None:
    """NAPTR (RFC 3403 section 4.1): order, preference, three strings, a name."""
    head = _numbers_of(payload[at : at + 4], 2)
    at += 4
    strings: list[str] = []
    for _ in range(3):
        if at >= stop:
            raise UnreadableError(CUT_RECORD)
        following = at + 1 + payload[at]
        strings.append(f'"{text_of(payload[at + 1 : following])}"')
        at = following
    record.target = _name_before(payload, at, stop)
    record.data = " ".join([head, *strings, record.target])


def _fill_service(
    record: DnsRecord, payload: bytes, start: cython.Py_ssize_t, stop: cython.Py_ssize_t
) -> None:
    """SVCB and HTTPS (RFC 9460 section 2.2): priority, target, then key 2, length 2, value."""
    at: cython.Py_ssize_t
    following: cython.Py_ssize_t
    key: cython.int
    target, at = read_name(payload, start + 2)
    parts = [f"{payload[start] << 8 | payload[start + 1]} {target}"]
    hints: list[str] = []
    ech = False
    while at + 4 <= stop:
        key = payload[at] << 8 | payload[at + 1]
        following = at + 4 + (payload[at + 2] << 8 | payload[at + 3])
        if following > stop:
            raise UnreadableError(CUT_RECORD)
        value = payload[at + 4 : following]
        ech = ech or key == 5
        addresses = _hints_of(key, value)
        hints += addresses
        parts.append(_parameter_of(key, value, addresses))
        at = following
    if at != stop:
        raise UnreadableError(CUT_RECORD)
    record.target = target
    record.data = " ".join(parts)
    record.hints = tuple(hints)
    record.ech = ech


def _hints_of(key: int, value: bytes) -> list[str]:
    size = len(value)
    if key == 4 and size % 4 == 0:
        return [ip4_text(value[i : i + 4]) for i in range(0, size, 4)]
    if key == 6 and size % 16 == 0:
        return [ip6_text(value[i : i + 16]) for i in range(0, size, 16)]
    return []


def _parameter_of(key: int, value: bytes, addresses: list[str]) -> str:
    name = SERVICE_KEYS.get(key) or f"key{key}"
    if addresses:
        return f"{name}={','.join(addresses)}"
    if key == 1:
        return f"{name}={','.join(_strings_of(value))}"
    if key == 3 and len(value) == 2:
        return f"{name}={value[0] << 8 | value[1]}"
    if key == 7:
        return f"{name}={text_of(value)}"
    if key == 5 or not value:
        return name
    return f"{name}={value.hex()}"


def _name_before(payload: bytes, at: int, stop: int) -> str:
    name, after = read_name(payload, at)
    if after > stop:
        raise UnreadableError(CUT_RECORD)
    return name


def _numbers_of(raw: bytes, width: int) -> str:
    return " ".join(
        [str(int.from_bytes(raw[i : i + width], "big")) for i in range(0, len(raw), width)]
    )


def _strings_of(raw: bytes) -> list[str]:
    strings: list[str] = []
    at: cython.Py_ssize_t = 0
    end: cython.Py_ssize_t = len(raw)
    following: cython.Py_ssize_t
    while at < end:
        following = at + 1 + raw[at]
        if following > end:
            raise UnreadableError(CUT_RECORD)
        strings.append(text_of(raw[at + 1 : following]))
        at = following
    return strings
