"""A camera's RTSP server: real H.264, encoded by ffmpeg, as RTP over UDP or inside RTSP.

RFC 2326 as far as players go (OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN), RTP by
RFC 3550, H.264 in it by RFC 6184: whole NAL units, and fragments (FU-A) of big ones. The film goes
round until the player has had enough.
"""

from __future__ import annotations

import base64
import re
import select
import socketserver
import struct
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

FRAMES_PER_SECOND = 15
SPEED = 4  # times as fast as life, to be done sooner
CLOCK = 90_000  # RTP's for video (RFC 6184, 8.2.1)
PAYLOAD_BYTES = 1200  # of a packet, so that everything fits an MTU
FILM = [
    "-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={FRAMES_PER_SECOND}:duration=2",
    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p",
    "-g", str(FRAMES_PER_SECOND), "-f", "h264",
]  # fmt: skip
START_CODE = re.compile(rb"\x00\x00\x00?\x01")
IDR, SEI, SPS, PPS, AUD, FU_A = 5, 6, 7, 8, 9, 28  # RFC 6184, table 1; H.264 table 7-1
PICTURES = (1, IDR)
TRANSPORT = re.compile(rb"^Transport: *(.*?)\r?$", re.MULTILINE | re.IGNORECASE)
SEQUENCE = re.compile(rb"^CSeq: *([0-9]+)", re.MULTILINE | re.IGNORECASE)
METHODS = b"OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"


def encode_film(path: Path) -> None:
    """Have ffmpeg draw its test picture and encode it."""
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-y", *FILM, str(path)]
    subprocess.run(command, check=True, timeout=60)


@dataclass(slots=True)
class Session:
    """What a player has set up."""

    stream: socket.socket
    channel: int | None = None  # of interleaved RTP; None: over UDP
    media: socket.socket | None = None
    sequence: int = 1
    time: int = 0
    playing: bool = False
    rest: bytearray = field(default_factory=bytearray)


class RtspServer(socketserver.ThreadingTCPServer):
    """A camera that shows its film; `open_udp` makes a socket in its namespace."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, film: Path, open_udp: Callable[[], socket.socket]) -> None:
        super().__init__(("", port), RtspRequest)
        self.film = film
        self.open_udp = open_udp


class RtspRequest(socketserver.BaseRequestHandler):
    """One player."""

    server: RtspServer

    def handle(self) -> None:
        pictures = pictures_of(self.server.film.read_bytes())
        session = Session(self.request)
        self.request.settimeout(5)
        shown = 0
        try:
            while self._listen(session, pictures[0]):
                if session.playing:
                    _send_picture(session, pictures[shown % len(pictures)])
                    shown += 1
        except OSError:  # the player went away
            pass
        finally:
            if session.media is not None:
                session.media.close()

    def _listen(self, session: Session, first: list[bytes]) -> bool:
        """Answer what the player asks until the next picture is due; False when it has gone."""
        wait = 1 / FRAMES_PER_SECOND / SPEED if session.playing else 5
        if not select.select([session.stream], [], [], wait)[0]:
            return session.playing
        data = session.stream.recv(65536)
        if not data:
            return False
        session.rest += data
        while (text := take_request(session.rest)) is not None:
            if not self._answer(session, text, first):
                return False
        return True

    def _answer(self, session: Session, text: bytes, first: list[bytes]) -> bool:
        method, url = text.split(b" ", 2)[:2]
        found = SEQUENCE.search(text)
        lines = [b"RTSP/1.0 200 OK", b"CSeq: " + (found[1] if found else b"0")]
        lines += [b"Server: Lab Camera", b"Session: 12345678"]
        body = b""
        if method == b"OPTIONS":
            lines.append(b"Public: " + METHODS)
        elif method == b"DESCRIBE":
            body = describe(first)
            lines += [b"Content-Type: application/sdp", b"Content-Base: " + url.rstrip(b"/") + b"/"]
        elif method == b"SETUP":
            lines.append(b"Transport: " + self._set_up(session, text))
        elif method == b"PLAY":
            session.playing = True
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        session.stream.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return method != b"TEARDOWN"

    def _set_up(self, session: Session, text: bytes) -> bytes:
        found = TRANSPORT.search(text)
        wish = found[1] if found else b""
        if b"interleaved" in wish:
            session.channel = 0
            return b"RTP/AVP/TCP;unicast;interleaved=0-1"
        ports = re.search(rb"client_port=([0-9]+)", wish)
        port = int(ports[1]) if ports else 5000
        media = session.media = self.server.open_udp()
        media.connect((session.stream.getpeername()[0], port))
        own = media.getsockname()[1]
        return b"RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d" % (
            port, port + 1, own, own + 1,
        )  # fmt: skip


def take_request(rest: bytearray) -> bytes | None:
    """Take the next whole request out of what came, without the player's RTCP."""
    while rest[:1] == b"$" and len(rest) >= 4:
        length = 4 + int.from_bytes(rest[2:4], "big")
        if len(rest) < length:
            return None
        del rest[:length]
    end = rest.find(b"\r\n\r\n")
    if end < 0:
        return None
    text = bytes(rest[: end + 4])
    del rest[: end + 4]
    return text


def pictures_of(film: bytes) -> list[list[bytes]]:
    """Return the NAL units of each picture, its parameter sets before it."""
    pictures: list[list[bytes]] = []
    units: list[bytes] = []
    for unit in START_CODE.split(film):
        if not unit or unit[0] & 31 == AUD:
            continue
        units.append(unit)
        if unit[0] & 31 in PICTURES:
            pictures.append(units)
            units = []
    return pictures


def describe(units: list[bytes]) -> bytes:
    """Return the SDP of a film (RFC 6184, 8.2.1)."""
    sets = [unit for unit in units if unit[0] & 31 in (SPS, PPS)]
    sprop = b",".join(base64.b64encode(unit) for unit in sets)
    lines = [
        b"v=0", b"o=- 1 1 IN IP4 0.0.0.0", b"s=Lab Camera", b"c=IN IP4 0.0.0.0", b"t=0 0",
        b"m=video 0 RTP/AVP 96", b"a=rtpmap:96 H264/90000",
        b"a=fmtp:96 packetization-mode=1;profile-level-id=" + sets[0][1:4].hex().encode()
        + b";sprop-parameter-sets=" + sprop,
        b"a=control:track1",
    ]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n"


def payloads_of(unit: bytes) -> list[bytes]:
    """Return the RTP payloads of a NAL unit: itself, or its fragments (RFC 6184, 5.8)."""
    if len(unit) <= PAYLOAD_BYTES:
        return [unit]
    pieces = [unit[at : at + PAYLOAD_BYTES] for at in range(1, len(unit), PAYLOAD_BYTES)]
    indicator, kind = unit[0] & 0xE0 | FU_A, unit[0] & 31
    last = len(pieces) - 1
    return [
        bytes([indicator, (at == 0) << 7 | (at == last) << 6 | kind]) + piece
        for at, piece in enumerate(pieces)
    ]


def _send_picture(session: Session, units: list[bytes]) -> None:
    payloads = [payload for unit in units for payload in payloads_of(unit)]
    for at, payload in enumerate(payloads):
        marker = at == len(payloads) - 1
        head = struct.pack("!BBHII", 0x80, marker << 7 | 96, session.sequence, session.time, 0x1AB)
        session.sequence = (session.sequence + 1) & 0xFFFF
        packet = head + payload
        if session.media is not None:
            session.media.send(packet)
        else:
            frame = struct.pack("!cBH", b"$", session.channel or 0, len(packet))
            session.stream.sendall(frame + packet)
    session.time = (session.time + CLOCK // FRAMES_PER_SECOND) & 0xFFFF_FFFF
