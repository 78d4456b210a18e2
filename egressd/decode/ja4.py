"""JA4: a name for the software that sent a ClientHello.

Two devices with one firmware share it whatever server they call. The algorithm
is FoxIO's (technical_details/JA4.md, BSD licence); its relatives for servers,
HTTP and others have another licence and are not here.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from egressd.decode.tls import ALPN, SERVER_NAME, is_grease

if TYPE_CHECKING:
    from egressd.decode.tls import ClientHello

VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
NOTHING = "000000000000"


def ja4_of(hello: ClientHello, transport: Literal["t", "q", "d"]) -> str:
    """Return the JA4 of a hello seen over TCP ("t"), QUIC ("q") or DTLS ("d").

    That of a cut hello is not the software's, and is worth nothing.
    """
    ciphers = [f"{cipher:04x}" for cipher in hello.ciphers if not is_grease(cipher)]
    extensions = [kind for kind in hello.extensions if not is_grease(kind)]
    named = "d" if SERVER_NAME in extensions else "i"
    counts = f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}"
    hashed = sorted(f"{kind:04x}" for kind in extensions if kind not in {SERVER_NAME, ALPN})
    algorithms = [f"{it:04x}" for it in hello.signature_algorithms if not is_grease(it)]
    last = ",".join(hashed) + ("_" + ",".join(algorithms) if algorithms else "")
    return (
        f"{transport}{_version(hello)}{named}{counts}{_alpn_ends(hello.alpn)}"
        f"_{_digest(','.join(sorted(ciphers)))}_{_digest(last) if hashed else NOTHING}"
    )


def _version(hello: ClientHello) -> str:
    # The highest number, as the specification has it, though DTLS counts downwards.
    offered = [version for version in hello.versions if not is_grease(version)]
    return VERSIONS.get(max(offered, default=hello.legacy_version), "00")


def _alpn_ends(alpn: tuple[str, ...]) -> str:
    """Return the first and last characters of the first protocol, or of its hex digits."""
    if not alpn or not alpn[0]:
        return "00"
    first = alpn[0]
    if first[0].isalnum() and first[-1].isalnum() and "\\" not in first:
        return first[0] + first[-1]
    raw = _unescaped(first)
    ends = raw[:1] + raw[-1:]
    if ends.isalnum():
        return ends.decode("ascii")
    digits = raw.hex()
    return digits[0] + digits[-1]


def _unescaped(text: str) -> bytes:
    r"""Return the bytes of a name that the decoder wrote with `\DDD`.

    A protocol name that itself holds a backslash and three digits comes out shorter.
    """
    raw = bytearray()
    position = 0
    while position < len(text):
        digits = text[position + 1 : position + 4]
        if text[position] == "\\" and len(digits) == 3 and digits.isdecimal():
            raw.append(int(digits) & 0xFF)
            position += 4
        else:
            raw.append(ord(text[position]))
            position += 1
    return bytes(raw)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else NOTHING
