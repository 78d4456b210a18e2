"""One pcapng section as bytes and back: who wrote it and why, the interfaces, commented frames.

A file of several sections is allowed, too, but Wireshark (4.0) then shows the interface names of
the first one beside the frames of all. So what is added to a file is joined into its one section.
Only what is written here is read here; captures are `capture/pcapfile`'s. No disk is touched.
Layout: draft-ietf-opsawg-pcapng, section 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egressd.model import Bytes, Nanoseconds

SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET = 0x0A0D0D0A, 1, 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
COMMENT, SHB_OS, SHB_APPLICATION, IF_NAME, IF_TSRESOL = 1, 3, 4, 2, 9
NANOSECONDS = b"\x09"  # if_tsresol: 10 to the power of -9
COMMENT_BYTES = 16_384  # of one comment; an option holds at most 65,535
COMMENTS = 20  # of one section
NAME_BYTES = 256
BLOCK = struct.Struct("<II")  # type, length
SECTION = struct.Struct("<IHHq")  # magic, version, section length
INTERFACE = struct.Struct("<HxxI")  # link type, snaplen
PACKET = struct.Struct("<IIIII")  # interface, time high and low, captured, on the wire
OPTION = struct.Struct("<HH")  # code, length
HEAD_BYTES = BLOCK.size + SECTION.size
LATEST = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, for the section's header."""

    system: str  # "Linux 6.1.0 x86_64"
    application: str  # "egressd 0.1.0"


@dataclass(frozen=True, slots=True)
class Interface:
    """Where frames were seen."""

    name: str
    linktype: int
    snaplen: Bytes = 0


@dataclass(slots=True)
class Packet:
    """A frame and what is to be said of it; `interface` is an index into the section's."""

    interface: int
    time: Nanoseconds
    wire: Bytes
    data: bytes
    comment: str = ""


@dataclass(slots=True)
class Section:
    """A whole file: its comments are the newest first, its frames in order of time."""

    writer: Writer
    comments: list[str] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)


def joined(older: Section, newer: Section) -> Section:
    """Return one section of two; of a frame that is in both, what the newer says."""
    interfaces = list(dict.fromkeys([*older.interfaces, *newer.interfaces]))
    packets = {}
    for section in (older, newer):
        places = [interfaces.index(interface) for interface in section.interfaces]
        for each in section.packets:
            packet = replace(each, interface=places[each.interface])
            packets[packet.interface, packet.time, packet.data] = packet
    comments = [*newer.comments, *older.comments][:COMMENTS]
    return Section(
        newer.writer, comments, interfaces, sorted(packets.values(), key=lambda each: each.time)
    )


def bytes_of(section: Section) -> bytes:
    """Return the section as a file."""
    body = b"".join(
        [
            *(_interface(each) for each in section.interfaces),
            *(_packet(each) for each in section.packets),
        ]
    )
    head = (
        SECTION.pack(BYTE_ORDER_MAGIC, 1, 0, len(body))
        + b"".join(_comment(comment) for comment in section.comments)
        + _option(SHB_OS, _text(section.writer.system, NAME_BYTES))
        + _option(SHB_APPLICATION, _text(section.writer.application, NAME_BYTES))
        + _option(0, b"")
    )
    return _block(SECTION_HEADER, head) + body


def read_section(content: bytes) -> Section | None:
    """Return what `bytes_of` wrote, or None if it is anything else."""
    at = header_bytes_of(content)
    if at is None:
        return None
    *_, rest = SECTION.unpack_from(content, BLOCK.size)
    if at + rest != len(content):
        return None
    options = dict(_options(content[:at], HEAD_BYTES))
    writer = Writer(_told(options, SHB_OS), _told(options, SHB_APPLICATION))
    section = Section(writer, list(comments_of(content[:at])))
    while at + BLOCK.size <= len(content):
        kind, length = BLOCK.unpack_from(content, at)
        block = content[at : at + length]
        if length % 4 or length < 12 or len(block) < length or block[-4:] != block[4:8]:
            return None
        if not _is_taken(kind, block, section):
            return None
        at += length
    return section if at == len(content) else None


def header_bytes_of(head: bytes) -> Bytes | None:
    """Return the length of a file's header, from its first 24 bytes; None if it is not ours."""
    if len(head) < HEAD_BYTES:
        return None
    kind, length = BLOCK.unpack_from(head)
    magic, major, minor, rest = SECTION.unpack_from(head, BLOCK.size)
    if (kind, magic, major, minor) != (SECTION_HEADER, BYTE_ORDER_MAGIC, 1, 0):
        return None
    return length if length >= HEAD_BYTES + 4 and length % 4 == 0 and rest >= 0 else None


def comments_of(header: bytes) -> Iterator[str]:
    """Yield the comments in a header."""
    for code, value in _options(header, HEAD_BYTES):
        if code == COMMENT:
            yield value.decode("utf-8", "replace")


def _is_taken(kind: int, block: bytes, section: Section) -> bool:
    """Add what a block holds to the section; False if it is none that we write."""
    if kind == INTERFACE_DESCRIPTION and len(block) >= 20:
        linktype, snaplen = INTERFACE.unpack_from(block, 8)
        name = _told(dict(_options(block, 16)), IF_NAME)
        section.interfaces.append(Interface(name, linktype, snaplen))
        return True
    packet = _packet_in(block) if kind == ENHANCED_PACKET else None
    if packet is None or packet.interface >= len(section.interfaces):
        return False
    section.packets.append(packet)
    return True


def _packet_in(block: bytes) -> Packet | None:
    if len(block) < BLOCK.size + PACKET.size + 4:
        return None
    interface, high, low, captured, wire = PACKET.unpack_from(block, BLOCK.size)
    at = BLOCK.size + PACKET.size
    if at + captured > len(block) - 4:
        return None
    options = dict(_options(block, at + captured + -captured % 4))
    data = block[at : at + captured]
    return Packet(interface, high << 32 | low, wire, data, _told(options, COMMENT))


def _options(block: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    end = len(block) - 4
    while at + OPTION.size <= end:
        code, length = OPTION.unpack_from(block, at)
        at += OPTION.size
        if code == 0 or at + length > end:
            return
        yield code, block[at : at + length]
        at += length + -length % 4


def _told(options: dict[int, bytes], code: int) -> str:
    return options.get(code, b"").decode("utf-8", "replace")


def _interface(interface: Interface) -> bytes:
    return _block(
        INTERFACE_DESCRIPTION,
        INTERFACE.pack(interface.linktype, interface.snaplen)
        + _option(IF_NAME, _text(interface.name, NAME_BYTES))
        + _option(IF_TSRESOL, NANOSECONDS)
        + _option(0, b""),
    )


def _packet(packet: Packet) -> bytes:
    time = min(max(packet.time, 0), LATEST)  # pcapng knows no time before 1970
    captured = len(packet.data)
    wire = max(packet.wire, captured)
    head = PACKET.pack(packet.interface, time >> 32, time & 0xFFFFFFFF, captured, wire)
    options = _comment(packet.comment) + _option(0, b"") if packet.comment else b""
    return _block(ENHANCED_PACKET, head + _padded(packet.data) + options)


def _comment(text: str) -> bytes:
    return _option(COMMENT, _text(text, COMMENT_BYTES)) if text else b""


def _text(text: str, maximum: Bytes) -> bytes:
    """Return UTF-8, cut between two characters where it is too long."""
    return text.encode("utf-8", "replace")[:maximum].decode("utf-8", "ignore").encode()


def _option(code: int, value: bytes) -> bytes:
    return OPTION.pack(code, len(value)) + _padded(value)


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
