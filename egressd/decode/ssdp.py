"""SSDP (UPnP Device Architecture 2.0, section 1): who announces what, and who looks for it.

HTTP's form over UDP. NOTIFY and the answer to a search are a device's own words; M-SEARCH is a
question. The description that `location` points to is not fetched, by principle.
"""

from __future__ import annotations

from dataclasses import dataclass

from egressd.decode.http import text_of, url_of

MAX_MESSAGE = 2048
MAX_FIELDS = 32
MAX_FIELD = 300
NOTIFY = b"NOTIFY * HTTP/1."
SEARCH = b"M-SEARCH * HTTP/1."
ANSWER = b"HTTP/1.1 200"


@dataclass(slots=True)
class SsdpMessage:
    """An announcement, a search or its answer; text as sent."""

    kind: str  # "notify", "search" or "answer"
    type: str | None = None  # NT or ST: what is announced or looked for
    subtype: str | None = None  # NTS: "ssdp:alive", "ssdp:byebye"
    usn: str | None = None
    server: str | None = None
    location: str | None = None
    user_agent: str | None = None

    @property
    def protocol(self) -> str:
        """The label of the flow."""
        return "ssdp"

    @property
    def speaks_for_itself(self) -> bool:
        """A device's own words, and not a search."""
        return self.kind != "search"


def read_ssdp(payload: bytes) -> SsdpMessage | None:
    """Return the SSDP message in a UDP payload, or None if it is another protocol."""
    if payload.startswith(NOTIFY):
        kind = "notify"
    elif payload.startswith(SEARCH):
        kind = "search"
    elif payload.startswith(ANSWER):
        kind = "answer"
    else:
        return None
    fields: dict[bytes, bytes] = {}
    for line in payload[:MAX_MESSAGE].split(b"\n")[1:MAX_FIELDS]:
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip()[:MAX_FIELD])
    kept = fields.get(b"nt") or fields.get(b"st")
    if kind == "answer" and not (kept and fields.get(b"usn")):
        return None  # HTTP over UDP of another sort
    location = fields.get(b"location")
    return SsdpMessage(
        kind=kind,
        type=_text(kept),
        subtype=_text(fields.get(b"nts")),
        usn=_text(fields.get(b"usn")),
        server=_text(fields.get(b"server")),
        location=url_of(location) if location else None,
        user_agent=_text(fields.get(b"user-agent")),
    )


def _text(value: bytes | None) -> str | None:
    return text_of(value) if value else None
