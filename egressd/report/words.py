"""Numbers, moments and names as a person or a machine reads them.

Every report says bytes, times and stages with these words. Text from the wire
goes through `plain` before a person's terminal sees it; nothing here judges.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from egressd.model import NANOSECONDS_PER_SECOND, Bytes, Nanoseconds, Seconds, Stage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What `datetime` can say: the years 1 to 9999. A capture can hold any 64-bit number.
EARLIEST = -62_135_596_800
LATEST = 253_402_300_799

UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")

STAGE_WORDS = {
    Stage.LOOKUP: "asked for its name",
    Stage.ATTEMPT: "tried",
    Stage.CONNECTED: "connected",
    Stage.PAYLOAD: "sent data",
    Stage.TRANSFER: "sent 64 kB or more",
    Stage.MEDIA: "sent audio or video",
}

SEVERITY_WORDS = {1: "high", 2: "medium", 3: "low"}


def plain(text: str) -> str:
    r"""Return text that cannot steer a terminal: what is not printable becomes \u{...}.

    Not printable are controls, escape sequences' first bytes, direction overrides and other
    invisible marks (Unicode categories C and Z but for the space).
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text)


def seconds_text(seconds: int) -> str:
    """Return whole seconds since the epoch as an ISO 8601 date and time in UTC, without a zone."""
    inside = min(max(seconds, EARLIEST), LATEST)
    return (EPOCH + timedelta(seconds=inside)).replace(tzinfo=None).isoformat()


def exact_moment(time: Nanoseconds) -> str:
    """Return a moment to the nanosecond (RFC 3339)."""
    seconds, rest = divmod(time, NANOSECONDS_PER_SECOND)
    return f"{seconds_text(seconds)}.{rest:09d}Z"


def short_moment(time: Nanoseconds) -> str:
    """Return a moment to the second, for people."""
    return seconds_text(time // NANOSECONDS_PER_SECOND).replace("T", " ")


def human_bytes(count: Bytes) -> str:
    """Return bytes in decimal units: 950 B, 1.2 kB, 64 kB, 3.4 GB."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in UNITS:
        value /= 1000
        if value < 999.5 or unit == UNITS[-1]:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def human_span(nanoseconds: Nanoseconds) -> str:
    """Return a length of time in at most two units: 0.4 s, 12 min, 3 h 20 min, 2 d 4 h."""
    seconds: Seconds = max(nanoseconds, 0) / NANOSECONDS_PER_SECOND
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return _two_units(hours, "h", minutes % 60, "min")
    return _two_units(hours // 24, "d", hours % 24, "h")


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: 1 camera, 2,000 cameras."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
