"""SIP (RFC 3261): who calls or registers where; door stations and GB/T 28181 cameras speak it.

Heads only, over UDP and TCP. Users and hosts are kept, display names, tags and credentials are
not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from egressd.decode.http import is_method_prefix, read_fields, read_first_line, text_of
from egressd.model import NEED_MORE, DecodeError, NeedMore

METHODS = frozenset(
    b"REGISTER INVITE ACK BYE CANCEL MESSAGE OPTIONS SUBSCRIBE NOTIFY INFO PRACK UPDATE REFER"
    b" PUBLISH".split()
)
VERSION = b"SIP/2.0"
STATUS_LINE = re.compile(rb"SIP/2\.0 +([1-6]\d\d)(?: +.*)?")
FIELDS = frozenset(
    {b"from", b"f", b"to", b"t", b"contact", b"m", b"user-agent", b"content-type", b"c", b"cseq"}
)
# <sip:user@host:port;parameters>; a password after the user is not kept (section 19.1.1).
ADDRESS = re.compile(
    rb"sips?:(?:([^\s@:;<>?]{1,64})(?::[^\s@<>]{0,64})?@)?"
    rb"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?",
    re.IGNORECASE,
)
STATUS = "status line"


@dataclass(slots=True)
class SipAddress:
    """One end as a header names it."""

    user: str | None
    host: str
    port: int | None


@dataclass(slots=True)
class SipMessage:
    """A request's or response's head."""

    method: str  # of a response, the one that it answers, if it says so
    status: int | None = None  # of a response
    sender: SipAddress | None = None  # From: who began, also in responses
    receiver: SipAddress | None = None  # To
    contact: SipAddress | None = None
    user_agent: str | None = None
    content_type: str | None = None

    @property
    def protocol(self) -> str:
        """The label of the flow, unless it turns out to be a video platform's."""
        return "sip"


def read_sip(head: bytes, *, final: bool = True) -> SipMessage | NeedMore | None:
    """Return the message a payload begins with, or None if it is another protocol."""
    if not head.startswith(VERSION[: len(head)]) and not is_method_prefix(head, METHODS):
        return None
    line = read_first_line(head, "sip", final=final)
    if line is None or isinstance(line, NeedMore):
        return line
    answers = line.startswith(VERSION)
    status = STATUS_LINE.fullmatch(line) if answers else None
    if answers and status is None:
        raise DecodeError("sip", STATUS)
    if not answers and not line.endswith(b" " + VERSION):
        return None
    fields = read_fields(head, FIELDS, "sip", final=final)
    if isinstance(fields, NeedMore):
        return NEED_MORE
    values = fields.values
    cseq = values.get(b"cseq", b"").split()
    method = line.split(b" ", 1)[0] if not answers else (cseq[1] if len(cseq) > 1 else b"")
    return SipMessage(
        method=text_of(method[:16]),
        status=int(status[1]) if status else None,
        sender=_address_of(values.get(b"from", values.get(b"f"))),
        receiver=_address_of(values.get(b"to", values.get(b"t"))),
        contact=_address_of(values.get(b"contact", values.get(b"m"))),
        user_agent=fields.text(b"user-agent"),
        content_type=fields.text(b"content-type") or fields.text(b"c"),
    )


def _address_of(value: bytes | None) -> SipAddress | None:
    found = ADDRESS.search(value[:1024]) if value else None
    if found is None:
        return None
    port = int(found[3]) if found[3] else None
    user = text_of(found[1]) if found[1] else None
    return SipAddress(user, text_of(found[2]), port if port and port < 65536 else None)
