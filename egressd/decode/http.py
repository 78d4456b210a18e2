"""HTTP/1 requests and responses: whom a client names, and how a server presents itself.

SSDP and UPnP datagrams have the same form and are read by the same functions.
Header blocks only: no body is read. No credential is kept, neither from an
Authorization header nor from a URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from egressd.model import NEED_MORE, DecodeError, NeedMore

MAX_HEAD = 16 * 1024

METHODS = frozenset(
    b"GET POST HEAD PUT DELETE OPTIONS PATCH CONNECT TRACE PROPFIND PROPPATCH MKCOL COPY MOVE"
    b" LOCK UNLOCK REPORT SEARCH SUBSCRIBE UNSUBSCRIBE NOTIFY M-SEARCH".split()
)
# Authorization schemes that may be named: any other first word could be the secret itself.
# https://www.iana.org/assignments/http-authschemes, and those of object storage and WS-Security.
SCHEMES = {
    scheme.lower(): scheme
    for scheme in [
        *("Basic", "Bearer", "Digest", "DPoP", "HOBA", "Mutual", "Negotiate", "NTLM", "OAuth"),
        *("SCRAM-SHA-1", "SCRAM-SHA-256", "vapid", "WSSE", "SharedKey"),
        *("AWS", "AWS4-HMAC-SHA256", "OSS", "OSS4-HMAC-SHA256"),
    ]
}

HTTP_VERSION = re.compile(rb"HTTP/1\.\d")
STATUS_LINE = re.compile(rb"(HTTP/1\.\d) +([1-9]\d\d)(?: +(.*))?")
BLANK_LINE = re.compile(rb"\n\r?\n")
# "user:password@"; a password may hold a slash, and a port is no password.
USERINFO = re.compile(
    rb"^([a-z][a-z0-9+.-]{0,31}://)(?:[^/?#]*|[^/?#:]*:(?!\d{1,5}[/?#])[^@]*)@", re.IGNORECASE
)
# Camera URLs carry passwords as parameters: "?usr=admin&pwd=...", "/user=admin&password=...".
PASSWORD = re.compile(rb"((?:pass|passwd|password|pas|pwd|psw|psd|token)=)[^&;\s]+", re.IGNORECASE)
REALM = re.compile(rb'(?i)\brealm="([^"]*)"')
UNPRINTABLE = re.compile(rb"[^\x20-\x7e]")

REQUEST_FIELDS = frozenset(
    {b"host", b"user-agent", b"content-type", b"content-length", b"authorization"}
)
RESPONSE_FIELDS = frozenset(
    {b"server", b"content-type", b"content-length", b"location", b"www-authenticate"}
)


@dataclass(slots=True)
class HttpRequest:
    r"""A request's head; text as sent, with bytes that do not print as `\DDD`."""

    method: str
    url: str  # the request target, without credentials
    version: str  # "HTTP/1.1"
    host: str | None = None
    user_agent: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    authorization: str | None = None  # scheme only: "Digest"; "unknown" if it is not a known one
    realm: str | None = None
    cut: bool = False  # the capture does not hold all headers


@dataclass(slots=True)
class HttpResponse:
    """A response's head; text as in requests."""

    version: str
    status: int
    reason: str | None = None
    server: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    location: str | None = None
    www_authenticate: str | None = None  # scheme of the first challenge
    realm: str | None = None
    cut: bool = False


@dataclass(slots=True)
class Fields:
    """The header fields that were asked for, by lower-case name; the first of a name counts."""

    values: dict[bytes, bytes]
    cut: bool

    def text(self, name: bytes) -> str | None:
        """Return a field's value as text, or None if it is missing or empty."""
        value = self.values.get(name)
        return text_of(value) if value else None

    def number(self, name: bytes) -> int | None:
        """Return a field's value if it is a plausible decimal number."""
        value = self.values.get(name, b"")
        return int(value) if value.isdigit() and len(value) <= 18 else None

    def scheme(self, name: bytes) -> str | None:
        """Return the authorization scheme of a field, never what follows it."""
        value = self.text(name)
        return SCHEMES.get(value.split(" ", 1)[0].lower(), "unknown") if value else None

    def realm(self, name: bytes) -> str | None:
        """Return the realm of an authorization or challenge."""
        found = REALM.search(self.values.get(name, b""))
        return text_of(found[1]) or None if found else None


def read_http_request(head: bytes, *, final: bool = False) -> HttpRequest | NeedMore | None:
    """Return the request a segment begins with, or None if it is another protocol.

    `final` says that no more bytes will come: whole header lines are then read even
    if the block does not end.
    """
    if not is_method_prefix(head, METHODS):
        return None
    line = read_first_line(head, "http", final=final)
    if line is None or isinstance(line, NeedMore):
        return line
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not HTTP_VERSION.fullmatch(version) or not target.strip():
        return None
    fields = read_fields(head, REQUEST_FIELDS, "http", final=final)
    if isinstance(fields, NeedMore):
        return fields
    host = fields.text(b"host")
    return HttpRequest(
        method=method.decode("ascii"),
        url=url_of(target),
        version=version.decode("ascii"),
        host=host.replace(" ", r"\032") if host else None,
        user_agent=fields.text(b"user-agent"),
        content_type=fields.text(b"content-type"),
        content_length=fields.number(b"content-length"),
        authorization=fields.scheme(b"authorization"),
        realm=fields.realm(b"authorization"),
        cut=fields.cut,
    )


def read_http_response(head: bytes, *, final: bool = False) -> HttpResponse | NeedMore | None:
    """Return the response a segment begins with, or None if it is another protocol."""
    if head[:7] != b"HTTP/1."[: len(head)]:
        return None
    line = read_first_line(head, "http", final=final)
    if line is None or isinstance(line, NeedMore):
        return line
    status = STATUS_LINE.fullmatch(line)
    if status is None:
        raise DecodeError("http", "status line")
    fields = read_fields(head, RESPONSE_FIELDS, "http", final=final)
    if isinstance(fields, NeedMore):
        return fields
    return HttpResponse(
        version=status[1].decode("ascii"),
        status=int(status[2]),
        reason=text_of(status[3]) if status[3] else None,
        server=fields.text(b"server"),
        content_type=fields.text(b"content-type"),
        content_length=fields.number(b"content-length"),
        location=url_of(location) if (location := fields.values.get(b"location")) else None,
        www_authenticate=fields.scheme(b"www-authenticate"),
        realm=fields.realm(b"www-authenticate"),
        cut=fields.cut,
    )


def is_method_prefix(head: bytes, methods: frozenset[bytes]) -> bool:
    """Return whether a stream begins with one of these methods, or still may."""
    space = head.find(b" ", 0, 16)
    if space >= 0:
        return head[:space] in methods
    return len(head) < 16 and any(method.startswith(head) for method in methods)


def read_first_line(head: bytes, protocol: str, *, final: bool) -> bytes | NeedMore | None:
    """Return the first line without its end (CRLF or LF), or None if it never comes."""
    end = head.find(b"\n", 0, MAX_HEAD)
    if end >= 0:
        return head[:end].rstrip(b"\r \t")
    if len(head) >= MAX_HEAD:
        raise DecodeError(protocol, "header too long")
    return None if final else NEED_MORE


def read_fields(
    head: bytes, wanted: frozenset[bytes], protocol: str, *, final: bool
) -> Fields | NeedMore:
    """Return the wanted header fields of a block whose first line is whole."""
    start = head.find(b"\n")
    blank = BLANK_LINE.search(head, start, MAX_HEAD)
    if blank is None and not final:
        if len(head) >= MAX_HEAD:
            raise DecodeError(protocol, "header too long")
        return NEED_MORE
    end = blank.start() if blank else head.rfind(b"\n", start, MAX_HEAD)
    values: dict[bytes, bytes] = {}
    for line in head[start + 1 : max(end, start + 1)].split(b"\n"):
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t").lower()
        if colon and name in wanted:
            values.setdefault(name, value.strip(b" \t\r"))
    return Fields(values, cut=blank is None)


def url_of(raw: bytes) -> str:
    """Return a URL as text, without the passwords it may carry."""
    return text_of(PASSWORD.sub(rb"\1***", USERINFO.sub(rb"\1", raw.strip())))


def text_of(raw: bytes) -> str:
    r"""Return bytes as text, those that do not print as `\DDD`."""
    return UNPRINTABLE.sub(lambda match: b"\\%03d" % match[0][0], raw).decode("ascii")
