"""A glance at a message: the one name in it, where reading it whole would tell no more.

Most DNS messages and ClientHellos on a site are of hosts that are no cameras. Of those, the name
that is asked for is all that anybody wants to know, and only until it has been heard once.
Whatever is not plain (several questions, odd bytes, a hello in pieces) gets no answer here: it is
for the decoders. What gets one, they read the same way.
"""

from __future__ import annotations

import cython

DNS_HEADER = cython.declare(cython.Py_ssize_t, 12)
TYPE_PTR = cython.declare(cython.int, 12)

RESPONSE = ""  # of `glance_dns`: an answer; of `glance_hello`: no name


def glance_dns(payload: bytes) -> str | None:
    """Return the name a plain DNS question asks for, "" for an answer or a reverse lookup.

    None for all that needs the decoder. RFC 1035 4.1: id, flags, four counts, then the question.
    """
    size: cython.Py_ssize_t = len(payload)
    if size < DNS_HEADER + 5:
        return None
    data: cython.const[cython.uchar][::1] = payload
    if data[2] & 0x78 or data[4] or data[5] != 1:
        return None  # another opcode, or not one question
    stop = _end_of_name(data, DNS_HEADER, size)
    if stop < 0 or stop + 4 > size:
        return None
    at: cython.Py_ssize_t = stop + 4
    i: cython.int
    for i in range(
        (data[6] << 8 | data[7]) + (data[8] << 8 | data[9]) + (data[10] << 8 | data[11])
    ):
        at = _end_of_record(data, at, size)
        if at < 0:
            return None
    if at != size:
        return None
    if data[2] & 0x80 or (data[stop] << 8 | data[stop + 1]) == TYPE_PTR:
        return RESPONSE
    return _dotted(payload, DNS_HEADER, stop)


def glance_hello(payload: bytes) -> str | None:
    """Return the name in a ClientHello that one TLS record holds whole, "" if it has none.

    RFC 8446 5.1, 4.1.2 and 4.2: record header, handshake header, version, random, session id,
    cipher suites, compression methods, extensions; RFC 6066 3: the server name.
    """
    size: cython.Py_ssize_t = len(payload)
    if size < 43:
        return None
    data: cython.const[cython.uchar][::1] = payload
    if data[0] != 0x16 or data[1] != 3 or data[2] > 4 or data[5] != 1 or data[6]:
        return None
    stop: cython.Py_ssize_t = 9 + (data[7] << 8 | data[8])
    if stop > size or stop > 5 + (data[3] << 8 | data[4]):
        return None
    at: cython.Py_ssize_t = 43
    at += 1 + data[at] if at < stop else stop
    if at + 2 > stop:
        return None
    at += 2 + (data[at] << 8 | data[at + 1])
    if at + 1 > stop:
        return None
    at += 1 + data[at]
    if at + 2 > stop or at + 2 + (data[at] << 8 | data[at + 1]) != stop:
        return None
    at += 2
    return _name_among(payload, data, at, stop)


@cython.cfunc
def _name_among(
    payload: bytes,
    data: cython.const[cython.uchar][::1],
    at: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
) -> object:
    """Return the server name among extensions, "" if there is none, None if it is odd."""
    length: cython.Py_ssize_t
    name: object = RESPONSE
    while at + 4 <= stop:
        length = data[at + 2] << 8 | data[at + 3]
        if at + 4 + length > stop:
            return None
        if data[at] == 0 and data[at + 1] == 0:
            # list length(2) type(1) length(2) name, and nothing else
            if name != RESPONSE or length < 6 or data[at + 6]:
                return None
            if (data[at + 4] << 8 | data[at + 5]) != length - 2:
                return None
            if (data[at + 7] << 8 | data[at + 8]) != length - 5:
                return None
            name = _plain(payload, at + 9, at + 4 + length)
            if name is None:
                return None
        at += 4 + length
    return name if at == stop else None


@cython.cfunc
def _plain(payload: bytes, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> object:
    i: cython.Py_ssize_t
    data: cython.const[cython.uchar][::1] = payload
    for i in range(start, stop):
        if not _is_plain(data[i]) and data[i] != 0x2E:
            return None
    return payload[start:stop].decode("ascii")


@cython.cfunc
@cython.exceptval(check=False)
def _is_plain(byte: cython.uchar) -> cython.bint:
    # a letter, a digit, "-" or "_"
    return (
        0x61 <= byte <= 0x7A or 0x30 <= byte <= 0x39 or byte == 0x2D or 0x41 <= byte <= 0x5A
        or byte == 0x5F
    )  # fmt: skip


@cython.cfunc
@cython.exceptval(-2, check=False)
def _end_of_name(
    data: cython.const[cython.uchar][::1], at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return where a name of plain labels without pointers ends, -1 where it is not one."""
    start: cython.Py_ssize_t = at
    label: cython.Py_ssize_t
    i: cython.Py_ssize_t
    while at < size:
        label = data[at]
        at += 1
        if label == 0:
            return at if at - start <= 255 and at - start > 1 else -1
        if label > 63 or at + label > size:
            return -1
        for i in range(at, at + label):
            if not _is_plain(data[i]):
                return -1
        at += label
    return -1


@cython.cfunc
@cython.exceptval(-2, check=False)
def _end_of_record(
    data: cython.const[cython.uchar][::1], at: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return where a resource record ends: name, type(2) class(2) ttl(4) length(2) data."""
    while at < size and data[at] and data[at] < 64:
        at += 1 + data[at]
    if at >= size:
        return -1
    at += 2 if data[at] >= 0xC0 else 1
    if at + 10 > size:
        return -1
    at += 10 + (data[at + 8] << 8 | data[at + 9])
    return at if at <= size else -1


@cython.cfunc
def _dotted(payload: bytes, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> object:
    """Return the text of a name that is known to be plain."""
    data: cython.const[cython.uchar][::1] = payload
    text = bytearray(payload[start + 1 : stop - 1])
    out: cython.uchar[::1] = text
    at: cython.Py_ssize_t = start
    at += 1 + data[at]
    while at < stop - 1:
        out[at - start - 1] = 0x2E
        at += 1 + data[at]
    return text.decode("ascii")
