"""RTSP (RFC 2326, RFC 7826): a viewer asking a camera for its video, and the answer.

Heads of requests and responses only, with the same limits and text as HTTP. A
session description is not read, and interleaved media ("$" frames) is not ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from egressd.decode.http import is_method_prefix, read_fields, read_first_line, text_of, url_of
from egressd.model import DecodeError, NeedMore

METHODS = frozenset(
    b"OPTIONS DESCRIBE SETUP PLAY PAUSE TEARDOWN ANNOUNCE RECORD GET_PARAMETER SET_PARAMETER"
    b" REDIRECT PLAY_NOTIFY".split()
)
RTSP_VERSION = re.compile(rb"RTSP/[12]\.\d")
STATUS_LINE = re.compile(rb"(RTSP/[12]\.\d) +([1-9]\d\d)(?: +(.*))?")

REQUEST_FIELDS = frozenset(
    {b"cseq", b"user-agent", b"transport", b"session", b"content-type", b"authorization"}
)
RESPONSE_FIELDS = frozenset(
    {
        b"cseq",
        b"server",
        b"public",
        b"transport",
        b"session",
        b"content-type",
        b"content-base",
        b"www-authenticate",
    }
)


@dataclass(slots=True)
class RtspRequest:
    """A request's head."""

    method: str
    url: str  # without credentials
    version: str  # "RTSP/1.0"
    cseq: int | None = None
    user_agent: str | None = None
    transport: str | None = None  # how the media is to travel: "RTP/AVP;unicast;client_port=..."
    content_type: str | None = None
    authorization: str | None = None  # scheme only
    realm: str | None = None
    session: bool = False  # names a session: it belongs to one that was set up
    cut: bool = False


@dataclass(slots=True)
class RtspResponse:
    """A response's head."""

    version: str
    status: int
    reason: str | None = None
    cseq: int | None = None
    server: str | None = None
    public: str | None = None  # the methods it knows
    transport: str | None = None
    content_type: str | None = None
    content_base: str | None = None
    www_authenticate: str | None = None  # scheme of the first challenge
    realm: str | None = None
    session: bool = False
    cut: bool = False


def read_rtsp_request(head: bytes, *, final: bool = False) -> RtspRequest | NeedMore | None:
    """Return the request a segment begins with, or None if it is another protocol."""
    if not is_method_prefix(head, METHODS):
        return None
    line = read_first_line(head, "rtsp", final=final)
    if line is None or isinstance(line, NeedMore):
        return line
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not RTSP_VERSION.fullmatch(version) or not target.strip():
        return None
    fields = read_fields(head, REQUEST_FIELDS, "rtsp", final=final)
    if isinstance(fields, NeedMore):
        return fields
    return RtspRequest(
        method=method.decode("ascii"),
        url=url_of(target),
        version=version.decode("ascii"),
        cseq=fields.number(b"cseq"),
        user_agent=fields.text(b"user-agent"),
        transport=fields.text(b"transport"),
        content_type=fields.text(b"content-type"),
        authorization=fields.scheme(b"authorization"),
        realm=fields.realm(b"authorization"),
        session=b"session" in fields.values,
        cut=fields.cut,
    )


def read_rtsp_response(head: bytes, *, final: bool = False) -> RtspResponse | NeedMore | None:
    """Return the response a segment begins with, or None if it is another protocol."""
    if head[:5] != b"RTSP/"[: len(head)]:
        return None
    line = read_first_line(head, "rtsp", final=final)
    if line is None or isinstance(line, NeedMore):
        return line
    status = STATUS_LINE.fullmatch(line)
    if status is None:
        raise DecodeError("rtsp", "status line")
    fields = read_fields(head, RESPONSE_FIELDS, "rtsp", final=final)
    if isinstance(fields, NeedMore):
        return fields
    return RtspResponse(
        version=status[1].decode("ascii"),
        status=int(status[2]),
        reason=text_of(status[3]) if status[3] else None,
        cseq=fields.number(b"cseq"),
        server=fields.text(b"server"),
        public=fields.text(b"public"),
        transport=fields.text(b"transport"),
        content_type=fields.text(b"content-type"),
        content_base=url_of(base) if (base := fields.values.get(b"content-base")) else None,
        www_authenticate=fields.scheme(b"www-authenticate"),
        realm=fields.realm(b"www-authenticate"),
        session=b"session" in fields.values,
        cut=fields.cut,
    )
