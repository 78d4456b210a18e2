"""What hosts did before they turned out to be cameras.

A host that nobody judges costs no more than this: its looks are kept, unread where a glance tells
that they say nothing of what the host is. When it is recognised the engine reads them as if they
came now. Bounded: when there are too many, the older half of the long pasts is read after all, as
of a host that may yet be recognised. Compiled, because most looks of most sites end here.
"""

import cython

from egressd.dataplane.looks import LookKind
from egressd.decode.glance import glance_dns, glance_hello
from egressd.judge.stages import Tally

MAXIMUM_LOOKS = 131_072

NEW = cython.declare(cython.int, LookKind.NEW)
PAYLOAD = cython.declare(cython.int, LookKind.PAYLOAD)
ENDED = cython.declare(cython.int, LookKind.ENDED)
UDP = cython.declare(cython.int, 17)
DNS_PORT = cython.declare(cython.int, 53)
NTP_PORT = cython.declare(cython.int, 123)
DNS_ANSWER = cython.declare(cython.int, 0x80)  # RFC 1035 4.1.1, QR
NTP_SERVER = cython.declare(cython.int, 4)  # RFC 5905 7.3, mode
OTHER_HOSTS = cython.declare(cython.int, 1)  # stands for all beyond the data plane's bound
TLS_HANDSHAKE = cython.declare(cython.int, 0x16)


@cython.cclass
class Past:
    """Looks by host, in the order they came.

    `followed` are the hosts whose looks are read at once; the engine adds to it. `is_news` says
    of a host and a name whether the name may tell what the host is, of a host and "" whether it
    does not yet count as a resolver.
    """

    _followed: set
    _is_news: object
    _maximum: cython.Py_ssize_t
    _count: cython.Py_ssize_t
    _looks: dict
    _tls: set  # flows whose hello needed a glance only
    _read: set  # flows of which more was read

    def __init__(self, followed: set, is_news: object, maximum: int = MAXIMUM_LOOKS) -> None:
        self._followed = followed
        self._is_news = is_news
        self._maximum = maximum
        self._looks = {}
        self._tls = set()
        self._read = set()
        self._count = 0

    def sort_out(self, looks: list) -> list:
        """Keep the looks of hosts that nobody follows; return those that are to be read now.

        What is to be read only for what its host is, is among both.
        """
        out: list = []
        kind: cython.int
        for look in looks:
            kind = look.kind
            if kind < NEW or kind > ENDED:
                out.append(look)
                continue
            a = look.host_a
            b = look.host_b
            if a in self._followed or b in self._followed:
                if kind == ENDED:
                    self._tls.discard(look.flow)
                    self._read.discard(look.flow)
                out.append(look)
                continue
            host = concerned(look)
            if host > OTHER_HOSTS:
                self._keep(host, look)
                if kind == ENDED and look.port_a == look.port_b and not look.watched:
                    other = b if host == a else a
                    if other > OTHER_HOSTS:  # it may have asked
                        self._keep(other, look)
            if kind == PAYLOAD:
                if not host or not self._glance(look, b if look.side else a):
                    self._read.add(look.flow)
                    out.append(look)
            elif kind == ENDED:
                self._tls.discard(look.flow)
                if look.flow in self._read:
                    self._read.discard(look.flow)
                    out.append(look)
        return out

    def take(self, hosts: object) -> list:
        """Hand out and drop what hosts did, in the order it came."""
        taken: list = []
        for host in hosts:
            looks = self._looks.pop(host, None)
            if looks is not None:
                taken += looks
                self._count -= len(looks)
        taken.sort(key=order_of)
        for look in taken:
            self._tls.discard(look.flow)
        return taken

    @property
    def is_full(self) -> bool:
        """Whether more is kept than should be."""
        return self._count > self._maximum

    def take_older(self) -> list:
        """Hand out and drop the older half of each past that is as long as most or longer."""
        taken: list = []
        average: cython.Py_ssize_t = self._count // max(1, len(self._looks))
        half: cython.Py_ssize_t
        for known in self._looks.values():
            looks: list = known
            if len(looks) >= average:
                half = (len(looks) + 1) // 2
                taken += looks[:half]
                del looks[:half]
        self._count -= len(taken)
        taken.sort(key=order_of)
        return taken

    @cython.cfunc
    def _keep(self, host: object, look: object):
        known: list = self._looks.get(host)
        if known is None:
            known = []
            self._looks[host] = known
        known.append(look)
        self._count += 1

    @cython.cfunc
    def _glance(self, look: object, sender: object) -> cython.bint:
        """Say whether a message tells nothing of what its sender is."""
        payload: bytes = look.payload
        name: object = None
        if look.protocol == UDP:
            if look.port_a != DNS_PORT and look.port_b != DNS_PORT:
                return False
            name = glance_dns(payload)
            if name == "" and not payload[2] & DNS_ANSWER:
                return True
        elif look.flow in self._tls:
            return True
        elif look.stream == 0 and payload[0] == TLS_HANDSHAKE:
            name = glance_hello(payload)
            if name is not None:
                self._tls.add(look.flow)
            if name == "":
                return True
        if name is None:
            return False
        return not sender or not self._is_news(sender, name)


def concerned(look: object) -> object:
    """Return whose contacts a look may be of, 0 where it is of no contact.

    On site, only who asked which resolver and time server.
    """
    if look.watched:
        return look.host_a or look.host_b
    if look.port_a == look.port_b and (look.port_a == DNS_PORT or look.port_a == NTP_PORT):
        return asker_of(look)
    if look.port_b == DNS_PORT or look.port_b == NTP_PORT:
        return look.host_a if look.host_b else 0
    if look.port_a == DNS_PORT or look.port_a == NTP_PORT:
        return look.host_b if look.host_a else 0
    return 0


def asker_of(look: object) -> object:
    """Return who asked, where both ends use the service's port: a message says which it is."""
    payload: bytes = look.payload
    by_b: cython.bint = look.side
    if look.kind == PAYLOAD and len(payload) > 2:
        if look.port_a == DNS_PORT:
            by_b ^= payload[2] & DNS_ANSWER != 0
        else:
            by_b ^= payload[0] & 7 == NTP_SERVER
    return look.host_b if by_b else look.host_a


def tally_of(look: object, home: int) -> Tally:
    """Return a flow's counters at a look, seen from one side."""
    if home:
        return Tally(look.own_bytes_b, look.own_bytes_a, look.own_frames_b, look.own_frames_a)
    return Tally(look.own_bytes_a, look.own_bytes_b, look.own_frames_a, look.own_frames_b)


def order_of(look: object) -> int:
    """Return the place of a look among all of a run."""
    return look.order
