"""The keys `interfaces`, `filter` and `state` of a site file: how they are spelled.

Like `siteform`, it is imported late, for pydantic's sake.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from egressd.settings.watch import WatchSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_INTERFACES = 64  # as capture/ring.py has it
LONGEST_EXPRESSION = 4_000
MOST_MEDIA_PORTS = 16
# Linux, dev_valid_name in net/core/dev.c: no slash, no colon, no blank; at most 15 bytes.
_INTERFACE = re.compile(r"[!-.0-9;-~]{1,15}")


def _interface(text: str) -> str:
    if not _INTERFACE.fullmatch(text) or text in (".", ".."):
        raise ValueError(f"{text[:60]!r} is no interface's name; write one that `ip link` shows")
    if text == "any":
        raise ValueError("any is no interface; write those that get the mirror's frames")
    return text


def _folder(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise ValueError(f"{text[:60]!r} is no full path of a folder; write one that begins with /")
    return text.rstrip("/") or "/"


def _expression(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_EXPRESSION or not text.isprintable():
        raise ValueError("is no pcap filter; write one line, such as not host 10.20.200.9")
    return text.strip()


InterfaceName = Annotated[str, AfterValidator(_interface)]
FolderText = Annotated[str, AfterValidator(_folder)]


class FilterForm(BaseModel):
    """Which frames reach the program, decided in the kernel."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    on_site_media: Literal["headers", "whole"] = Field(
        "headers", description="How much of audio and video between devices of the site."
    )
    media_ports: list[Annotated[int, Field(ge=1, le=65_535)]] = Field(
        default_factory=list,
        max_length=MOST_MEDIA_PORTS,
        description="Ports that carry nothing but media between devices of the site, such as a "
        "recorder's own stream port; what they carry is cut whatever it looks like.",
    )
    expression: Annotated[str, AfterValidator(_expression)] | None = Field(
        None, description="A pcap filter; frames it refuses are not looked at."
    )
    outgoing: bool = Field(
        False,
        description="Whether frames that this machine itself sends are looked at, as on a gateway.",
    )


def watch_settings_of(
    interfaces: Sequence[str], form: FilterForm | None, state: str | None
) -> WatchSettings:
    """Return what the filled forms say."""
    settings = WatchSettings(interfaces=tuple(dict.fromkeys(interfaces)), state=state)
    if form is None:
        return settings
    return replace(
        settings,
        cut_media=form.on_site_media == "headers",
        media_ports=tuple(dict.fromkeys(form.media_ports)),
        expression=form.expression or "",
        outgoing=form.outgoing,
    )
