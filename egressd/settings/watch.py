"""What to watch and where to keep what is known: the keys `interfaces`, `filter` and `state`.

Plain values, so that configuration can make them and the daemon read them without either knowing
the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How `egressd watch` gets its frames, and what it keeps."""

    interfaces: tuple[str, ...] = ()
    cut_media: bool = True  # on-site audio and video is cut to its headers in the kernel
    media_ports: tuple[int, ...] = ()  # they carry nothing but media between devices on site
    expression: str = ""  # frames that this pcap filter refuses are not looked at
    outgoing: bool = False  # frames that this machine sends, too
    state: str | None = None  # the folder that is kept over a restart
