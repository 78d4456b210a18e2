"""What stands by while the engine looks at frames: evidence is kept, canaries are heard.

A batch's bytes are gone when the next batch is asked for. So the frames of looks that may have to
prove something are handed on here, before the engine hands out what they led to. Of a host that
nobody judges only the first frame of a contact is kept: it may turn out to be a camera.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.addresses import text_of
from egressd.dataplane.looks import LookKind
from egressd.decode.dns import read_dns
from egressd.framekeeper import Content, KeptFrame
from egressd.judge.classes import WITH_PORTS, transport_of
from egressd.model import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from egressd.canary import CanaryWatch
    from egressd.capture.batch import Batch, Source
    from egressd.dataplane.looks import Look as FastLook
    from egressd.dataplane.reference.looks import Look as ReferenceLook
    from egressd.framekeeper import FrameKeeper

    Look = FastLook | ReferenceLook

UDP = 17
DNS_PORT, NTP_PORT = 53, 123


class Witness:
    """Shows frames to those who keep them and datagrams to those who wait for them."""

    def __init__(
        self,
        keeper: FrameKeeper | None,
        canary: CanaryWatch | None = None,
        canary_port: int | None = None,
    ) -> None:
        self._keeper = keeper
        self._canary = canary
        self._canary_port = canary_port

    def see(
        self,
        looks: list[Look],
        batch: Batch,
        sources: list[Source],
        followed: Collection[int],
    ) -> None:
        """Take the looks at a batch's frames, in their order."""
        port = self._canary_port
        for look in looks:
            kind = look.kind
            if not LookKind.NEW <= kind < LookKind.ENDED:
                continue
            if port is not None and kind == LookKind.PAYLOAD and look.protocol == UDP:
                self._hear(look, port)
            if self._keeper is not None:
                frame = self._frame_of(look, batch, sources, followed)
                if frame is not None:
                    self._keeper.keep(frame)

    def _hear(self, look: Look, port: int) -> None:
        if self._canary is not None and (look.port_a if look.side else look.port_b) == port:
            self._canary.see(look.payload, look.time)

    def _frame_of(
        self, look: Look, batch: Batch, sources: list[Source], followed: Collection[int]
    ) -> KeptFrame | None:
        """Return the frame of a look if it may have to prove something."""
        is_judged = look.host_a in followed or look.host_b in followed
        if not is_judged and look.kind != LookKind.NEW:
            return None
        ports = (look.port_a, look.port_b)
        is_payload = look.kind == LookKind.PAYLOAD
        is_dns = is_payload and DNS_PORT in ports
        if not (is_dns or look.watched or (is_payload and NTP_PORT in ports)):
            return None
        home = _home_of(look)
        has_ports = transport_of(look.protocol) in WITH_PORTS
        frame = KeptFrame(
            sources[look.source],
            look.number,
            look.time,
            batch.wire[look.index],
            _bytes_of(batch, look.index),
            _address_of(look, home),
            _address_of(look, 1 - home),
            (look.port_a if home else look.port_b) if has_ports else None,
            Content.CONTACT if look.watched else Content.SERVICE,
        )
        if is_dns:
            frame.content = Content.LOOKUP
            # Over TCP two bytes of length stand in front (RFC 1035 4.2.2).
            _read_names(frame, look.payload if look.protocol == UDP else look.payload[2:])
        return frame


def _home_of(look: Look) -> int:
    """Return the side of the host it is about: the one on site, of two the client."""
    if look.watched:
        return 0 if look.host_a else 1
    return 1 if look.port_a in {DNS_PORT, NTP_PORT} else 0


def _address_of(look: Look, side: int) -> str:
    if side:
        return text_of(look.version, look.b_hi, look.b_lo)
    return text_of(look.version, look.a_hi, look.a_lo)


def _bytes_of(batch: Batch, row: int) -> bytes:
    at = batch.offset[row]
    return bytes(memoryview(batch.buffer)[at : at + batch.captured[row]])


def _read_names(frame: KeptFrame, payload: bytes) -> None:
    """Note what was asked for and answered, so that the frame can be found by it."""
    try:
        message = read_dns(payload, expected=True)
    except DecodeError:
        return
    if message is None:
        return
    frame.names = tuple(question.name for question in message.questions)
    frame.addresses = tuple(
        record.data for record in message.answers if record.type in {"A", "AAAA"}
    )


def witness_of(
    keeper: FrameKeeper | None, canary: CanaryWatch | None, canary_port: int | None
) -> Callable[[list[Look], Batch, list[Source], Collection[int]], None] | None:
    """Return what the engine is to call, or None where nobody wants to be shown anything."""
    if keeper is None and canary is None:
        return None
    return Witness(keeper, canary, canary_port).see
