"""A DHCP client as cameras have one (RFC 2131): discover, take the first offer, use it."""

from __future__ import annotations

import socket
import struct
import time

SO_BINDTODEVICE = 25  # asm-generic/socket.h
SERVER_PORT, CLIENT_PORT = 67, 68
FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")  # RFC 2131, figure 1, and the cookie
COOKIE = bytes.fromhex("63825363")
BROADCAST = 0x8000  # we have no address to be answered at yet
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
TRANSACTION = 0x0C_A3_E2_A5
ANSWER_SECONDS = 10.0


def obtain_lease(interface: str, mac: str, host_name: str, vendor_class: str) -> str:
    """Get an address from the first server that answers; called inside the namespace."""
    own = {12: host_name.encode(), 60: vendor_class.encode(), 55: bytes((1, 3, 6, 42))}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.bind(("", CLIENT_PORT))
        client.settimeout(ANSWER_SECONDS)
        address, options = _ask(client, mac, DISCOVER, own, OFFER)
        chosen = {50: socket.inet_aton(address), 54: options[54]}
        return _ask(client, mac, REQUEST, own | chosen, ACK)[0]


def _ask(
    client: socket.socket, mac: str, kind: int, options: dict[int, bytes], wanted: int
) -> tuple[str, dict[int, bytes]]:
    """Send one message and return the address and options of the answer of the wanted kind."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    none = bytes(4)
    fixed = FIXED.pack(
        1, 1, 6, 0, TRANSACTION, 0, BROADCAST, none, none, none, none, hardware, b"", b"", COOKIE
    )
    fields = {53: bytes((kind,)), **options}
    coded = b"".join(bytes((code, len(text))) + text for code, text in fields.items())
    client.sendto(fixed + coded + b"\xff", ("255.255.255.255", SERVER_PORT))
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        answer = client.recv(2000)
        head = FIXED.unpack_from(answer)
        found = _options_of(answer[FIXED.size :])
        if head[4] == TRANSACTION and found.get(53) == bytes((wanted,)):
            return socket.inet_ntoa(head[8]), found
    raise TimeoutError("no DHCP server answers")


def _options_of(data: bytes) -> dict[int, bytes]:
    options = {}
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        options[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return options
