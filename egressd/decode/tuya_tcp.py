"""Tuya over TCP: how programs and gateways on the LAN speak to a device (port 6668).

The same frames as in datagrams, one behind the other; the first one of each side is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.decode.tuya import HEADER, HEADER_35, MAGIC, MAGIC_35, SUFFIX_35, read_tuya
from egressd.model import NEED_MORE, NeedMore

if TYPE_CHECKING:
    from egressd.decode.p2p import P2pMessage

LONGEST = 4096  # orders and states are a few hundred bytes


def read_tuya_tcp(head: bytes, *, final: bool = True) -> P2pMessage | NeedMore | None:
    """Return the first frame of a TCP stream, or None if it is another protocol.

    Raises DecodeError for a frame that does not end as one.
    """
    if len(head) < HEADER_35.size:
        begun = any(magic.startswith(head[:4]) for magic in (MAGIC, MAGIC_35))
        return NEED_MORE if begun and not final else None
    if head.startswith(MAGIC):
        end = HEADER.size + HEADER.unpack_from(head)[3]
    elif head.startswith(MAGIC_35):
        end = HEADER_35.size + HEADER_35.unpack_from(head)[4] + len(SUFFIX_35)
    else:
        return None
    if end > LONGEST:
        return None
    if len(head) < end:
        return None if final else NEED_MORE
    return read_tuya(head[:end])
