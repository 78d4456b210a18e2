"""A pcap filter expression (`tcp port 80 or net 10.1`) as a classic BPF program.

libpcap translates it, if it is installed; the package does not need it otherwise.
libpcap looks names up, and a look-up would be a packet: so what it is given holds
addresses, numbers and words of the language, and nothing else.
"""

from __future__ import annotations

import ctypes
import re
from ipaddress import IPv6Address

from egressd.capture.bpf import WHOLE_FRAME, Instruction
from egressd.model import CaptureError

LIBRARIES = ("libpcap.so.1", "libpcap.so.0.8", "libpcap.so")  # upstream's name, Debian's, any
NETMASK_UNKNOWN = 0xFFFF_FFFF  # PCAP_NETMASK_UNKNOWN
LONGEST_EXPRESSION = 2000  # characters; libpcap takes half a minute for 7,000
TOLD_CHARACTERS = 60  # of it in a complaint
LINKTYPE_RAW, DLT_RAW = 101, 12  # Linux' DLT number differs from the file format's

# The words of pcap-filter(7) that go without names. Left out: `gateway`, which needs a name;
# those of 802.11, ATM and pf; those that an older libpcap does not know and would look up as
# the name of a host; `vlan`, of which VLAN_REASON tells more. A backslash is refused, too: it
# makes a name of any word, so that `host \tcp` asks a resolver.
WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        host net mask port portrange src dst and or not proto protochain broadcast multicast
        less greater len ether ip ip6 arp rarp tcp udp icmp icmp6 igmp sctp ah esp pim vrrp carp
        mpls pppoes pppoed inbound outbound icmptype icmpcode tcpflags
        tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg
        icmp-echoreply icmp-unreach icmp-sourcequench icmp-redirect icmp-echo icmp-timxceed
        icmp-paramprob
        """,
    )
)
VLAN_REASON = (
    "the kernel takes VLAN tags off before a filter runs, so that vlan would never match; "
    "frames with a tag are filtered like those without"
)
# What is read as one by libpcap must be one token here, or it would be a name to libpcap: the
# longest reading stands first, and two tokens of name characters never touch.
TOKEN = re.compile(
    r"""(?P<mac>(?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}(?![\w:]))
      | (?P<ipv6>(?=[0-9a-fA-F]*:[0-9a-fA-F]*:)[0-9a-fA-F:]+(?:\.\d+){0,3}(?![\w:]))
      | (?P<ipv4>\d+(?:\.\d+){1,3})
      | (?P<range>\d+-\d+)
      | (?P<number>0[xX][0-9a-fA-F]+|\d+)
      | (?P<word>[A-Za-z][\w-]*(?:\.[\w.-]*)?)
      | (?P<operator>[()\[\]:!=<>&|+*/%^-])
    """,
    re.VERBOSE | re.ASCII,
)
NAME_CHARACTERS = frozenset("-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class _BpfProgram(ctypes.Structure):
    """struct bpf_program, pcap/bpf.h."""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class _BpfInstruction(ctypes.Structure):
    """struct bpf_insn, pcap/bpf.h."""

    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


def compile_expression(expression: str, linktype: int) -> tuple[Instruction, ...]:
    """Return the program of an expression; CaptureError says what is wrong with it."""
    check_expression(expression)
    library = _library(expression)
    handle = library.pcap_open_dead(DLT_RAW if linktype == LINKTYPE_RAW else linktype, WHOLE_FRAME)
    if not handle:
        raise CaptureError(f"{_told(expression)}: libpcap does not know link type {linktype}")
    program = _BpfProgram()
    try:
        failed = library.pcap_compile(
            handle, ctypes.byref(program), expression.encode(), 1, NETMASK_UNKNOWN
        )
        if failed:
            reason = library.pcap_geterr(handle).decode(errors="replace")
            raise CaptureError(f"{_told(expression)}: {reason}")
        steps = ctypes.cast(program.instructions, ctypes.POINTER(_BpfInstruction))
        taken = tuple(
            Instruction(step.code, step.jt, step.jf, step.k)
            for step in (steps[index] for index in range(program.length))
        )
        library.pcap_freecode(ctypes.byref(program))
        return taken
    finally:
        library.pcap_close(handle)


def check_expression(expression: str) -> None:
    """Refuse an expression in which libpcap might look up a name."""
    if len(expression) > LONGEST_EXPRESSION:
        raise CaptureError(
            f"{_told(expression)}: is longer than {LONGEST_EXPRESSION} characters; "
            "write networks instead of hosts, ranges instead of ports"
        )
    before = ""
    for chunk in expression.split():
        at = 0
        while at < len(chunk):
            token = TOKEN.match(chunk, at)
            touches = at > 0 and {chunk[at - 1], chunk[at]} <= NAME_CHARACTERS
            if token is None or touches or not _is_sound(token, before):
                raise CaptureError(f"{_told(expression)}: {chunk!r} is not understood")
            if token["word"] is not None:
                _check_word(token[0], expression)
            before = token[0]
            at = token.end()


def _is_sound(token: re.Match[str], before: str) -> bool:
    """Tell whether libpcap reads a token as we do."""
    if token["range"] is not None:
        return before == "portrange"
    if token["ipv6"] is not None:
        try:
            IPv6Address(token["ipv6"])
        except ValueError:
            return False
    return True


def _check_word(word: str, expression: str) -> None:
    if word == "vlan":
        raise CaptureError(f"{_told(expression)}: {VLAN_REASON}")
    if word not in WORDS:
        raise CaptureError(
            f"{_told(expression)}: {word!r} would be looked up as a name; "
            "write addresses and port numbers"
        )


def _library(expression: str) -> ctypes.CDLL:
    """Load libpcap. ctypes.util.find_library is no way to: it runs programs."""
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.pcap_open_dead.restype = ctypes.c_void_p
        library.pcap_open_dead.argtypes = (ctypes.c_int, ctypes.c_int)
        library.pcap_compile.argtypes = (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_uint,
        )
        library.pcap_geterr.restype = ctypes.c_char_p
        library.pcap_geterr.argtypes = (ctypes.c_void_p,)
        library.pcap_freecode.restype = None
        library.pcap_freecode.argtypes = (ctypes.c_void_p,)
        library.pcap_close.restype = None
        library.pcap_close.argtypes = (ctypes.c_void_p,)
        return library
    raise CaptureError(
        f"{_told(expression)}: needs libpcap, which is not installed (Debian: libpcap0.8)"
    )


def _told(expression: str) -> str:
    """Return the beginning of a complaint about an expression."""
    if len(expression) > TOLD_CHARACTERS:
        expression = f"{expression[:TOLD_CHARACTERS]}..."
    return f"filter {expression!r}"
