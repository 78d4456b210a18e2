"""A camera's video: RTSP sessions with real H.264 over RTP (RFC 7826, 3550, 6184).

Two carriages, as cameras offer them: RTP and RTCP over UDP, or interleaved in
the RTSP connection. The film is looped for as long as asked.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from pcaps.generator import tape
from pcaps.generator.lan import MICROSECOND, MILLISECOND, SECOND, Host, Lan, Reached, Sign
from pcaps.generator.messages import NTP_EPOCH
from pcaps.generator.talk import Tcp, To, Udp

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOCK = 90_000  # of RTP video
PAYLOAD_TYPE = 96
ROOM = 1400  # of an RTP payload
PICTURE = SECOND // tape.FRAMES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Model:
    """What a camera's RTSP server says of itself."""

    server: str
    realm: str
    path: str


@dataclass(slots=True)
class RtpSender:
    """One RTP source; makes the packets of each picture."""

    ssrc: int
    sequence: int
    stamp: int
    packets: int = 0
    octets: int = 0

    def packets_of(self, picture: tape.Picture) -> Iterator[bytes]:
        """Yield the RTP packets of a picture; the last has the marker."""
        payloads = [part for unit in picture.units for part in _payloads(unit)]
        for index, payload in enumerate(payloads):
            marker = 0x80 if index == len(payloads) - 1 else 0
            head = struct.pack(
                "!BBHII", 0x80, marker | PAYLOAD_TYPE, self.sequence, self.stamp, self.ssrc
            )
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.packets += 1
            self.octets += len(payload)
            yield head + payload
        self.stamp = (self.stamp + CLOCK // tape.FRAMES_PER_SECOND) & 0xFFFFFFFF

    def report(self, now: int) -> bytes:
        """Return a sender report with a name (RFC 3550, 6.4.1 and 6.5)."""
        seconds, rest = divmod(now, SECOND)
        body = struct.pack(
            "!IIIIII",
            self.ssrc,
            seconds + NTP_EPOCH,
            (rest << 32) // SECOND,
            self.stamp,
            self.packets,
            self.octets,
        )
        return b"\x80\xc8\0\6" + body + _name_item(self.ssrc)

    def receiver_report(self, receiver: int) -> bytes:
        """Return what the receiver reports back (RFC 3550, 6.4.2)."""
        block = struct.pack("!IIIIII", self.ssrc, 0, self.sequence, 12, 0, 0)
        return b"\x81\xc9\0\7" + struct.pack("!I", receiver) + block + _name_item(receiver)


def _name_item(ssrc: int) -> bytes:
    """Return an SDES chunk with the CNAME "cam" and its padding (RFC 3550, 6.5)."""
    return b"\x81\xca\0\3" + struct.pack("!I", ssrc) + b"\1\3cam\0\0\0"


def _payloads(unit: bytes) -> Iterator[bytes]:
    """Yield a NAL unit as it is, or in FU-A fragments (RFC 6184, 5.8)."""
    if len(unit) <= ROOM:
        yield unit
        return
    indicator, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
    for start in range(1, len(unit), ROOM - 2):
        first = 0x80 if start == 1 else 0
        last = 0x40 if start + ROOM - 2 >= len(unit) else 0
        yield bytes((indicator, first | last | kind)) + unit[start : start + ROOM - 2]


def _md5(text: str) -> str:
    """Return the digest that RTSP authentication uses (RFC 7616 keeps MD5 for old servers)."""
    return md5(text.encode(), usedforsecurity=False).hexdigest()


class Viewing:
    """One RTSP session: a viewer (or recorder) plays a camera's stream."""

    def __init__(self, lan: Lan, viewer: Host, to: To, model: Model) -> None:
        self.lan = lan
        self.camera = to.host
        self.viewer = viewer
        self.model = model
        self.tcp = Tcp(lan, viewer, to, label="rtsp").connect()
        self.url = f"rtsp://{to.host.ip}:{to.port}{model.path}"
        self.number = 0
        self.authorised = False
        rng = lan.rng
        self.session = str(rng.getrandbits(30))
        self.nonce = f"{rng.getrandbits(128):032x}"
        self.rtp = RtpSender(rng.getrandbits(32), rng.getrandbits(16), rng.getrandbits(32))
        self.receiver = rng.getrandbits(32)

    def over_tcp(self, pictures: int) -> Viewing:
        """Play that many pictures, interleaved in the RTSP connection (RFC 7826, 14)."""
        self._describe()
        self._ask("SETUP", "/trackID=1", transport := "RTP/AVP/TCP;unicast;interleaved=0-1")
        self._ok(f"Session: {self.session};timeout=60\r\nTransport: {transport}\r\n")
        self._play()
        started = self.tcp.now
        for index in range(pictures):
            self.tcp.now = max(self.tcp.now, started + index * PICTURE)
            parts = list(self.rtp.packets_of(_picture(index)))
            data = b"".join(b"$\0" + struct.pack("!H", len(part)) + part for part in parts)
            if index % 24 == 5:
                report = self.rtp.report(self.tcp.now)
                data += b"$\1" + struct.pack("!H", len(report)) + report
            self.tcp.stream(self.camera, data)
        self.tcp.contact.reach(Reached.MEDIA)
        self.tcp.contact.media = True
        return self._end()

    def over_udp(self, pictures: int) -> Viewing:
        """Play that many pictures as RTP and RTCP datagrams."""
        self._describe()
        port = self.lan.free_port(self.viewer) & ~1
        source = self.lan.free_port(self.camera) & ~1
        transport = f"RTP/AVP;unicast;client_port={port}-{port + 1}"
        self._ask("SETUP", "/trackID=1", transport)
        transport += f";server_port={source}-{source + 1};ssrc={self.rtp.ssrc:08X}"
        self._ok(f"Session: {self.session};timeout=60\r\nTransport: {transport}\r\n")
        self._play()
        started = self.tcp.now + 3 * MILLISECOND
        media = Udp(self.lan, self.camera, To(self.viewer, port, started, source), "rtp")
        control = Udp(self.lan, self.camera, To(self.viewer, port + 1, started, source + 1), "rtcp")
        for index in range(pictures):
            media.now = max(media.now, started + index * PICTURE)
            for part in self.rtp.packets_of(_picture(index)):
                media.say(part)
                media.now += self.lan.jitter(20 * MICROSECOND)
            if index % 24 == 5:
                control.now = media.now
                control.say(self.rtp.report(media.now))
                control.reply(self.rtp.receiver_report(self.receiver))
        media.contact.reach(Reached.MEDIA)
        media.contact.media = True
        self.tcp.now = media.now
        return self._end()

    def _describe(self) -> None:
        self._ask("OPTIONS")
        self._ok("Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, GET_PARAMETER\r\n")
        self._ask("DESCRIBE")
        challenge = f'Digest realm="{self.model.realm}", nonce="{self.nonce}"'
        self._say("401 Unauthorized", f"WWW-Authenticate: {challenge}\r\n")
        self.authorised = True
        self._ask("DESCRIBE")
        self._ok(f"Content-Base: {self.url}/\r\nContent-Type: application/sdp\r\n", self._sdp())
        says = f"RTSP server {self.model.server!r}, realm {self.model.realm!r}"
        self.lan.signs.append(Sign(self.camera.name, "rtsp", says))

    def _play(self) -> None:
        self._ask("PLAY")
        self._ok(f"Session: {self.session}\r\nRange: npt=0.000-\r\n")
        self.lan.signs.append(Sign(self.camera.name, "behaviour", f"streams to {self.viewer.ip}"))

    def _end(self) -> Viewing:
        self.tcp.now += 40 * MILLISECOND
        self._ask("TEARDOWN")
        self._ok(f"Session: {self.session}\r\n")
        self.tcp.close(self.viewer)
        return self

    def _ask(self, method: str, track: str = "", transport: str = "") -> None:
        self.number += 1
        lines = [f"{method} {self.url}{track} RTSP/1.0", f"CSeq: {self.number}"]
        if self.authorised:
            secret = _md5(f"admin:{self.model.realm}:secret")
            proof = _md5(f"{secret}:{self.nonce}:{_md5(f'{method}:{self.url}')}")
            lines.append(
                f'Authorization: Digest username="admin", realm="{self.model.realm}", '
                f'nonce="{self.nonce}", uri="{self.url}", response="{proof}"'
            )
        lines.append("User-Agent: recorder/4.2")
        if transport:
            lines.append(f"Transport: {transport}")
        if method in {"PLAY", "TEARDOWN"}:
            lines.append(f"Session: {self.session}")
        self.tcp.send(self.viewer, ("\r\n".join(lines) + "\r\n\r\n").encode())

    def _ok(self, headers: str, body: str = "") -> None:
        self._say("200 OK", headers, body)

    def _say(self, status: str, headers: str, body: str = "") -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        text = (
            f"RTSP/1.0 {status}\r\nCSeq: {self.number}\r\nServer: {self.model.server}\r\n"
            f"{headers}{length}\r\n{body}"
        )
        self.tcp.send(self.camera, text.encode(), pause=MILLISECOND)

    def _sdp(self) -> str:
        sets = ",".join(b64encode(part).decode() for part in tape.parameter_sets())
        return (
            f"v=0\r\no=- 1 1 IN IP4 {self.camera.ip}\r\ns=Media Presentation\r\n"
            f"c=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP {PAYLOAD_TYPE}\r\n"
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK}\r\n"
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sets}\r\n"
            f"a=control:{self.url}/trackID=1\r\n"
        )


def _picture(index: int) -> tape.Picture:
    film = tape.film()
    return film[index % len(film)]
