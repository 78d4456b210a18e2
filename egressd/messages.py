"""What flows carry: payloads are decoded, and each message goes to those it concerns.

The inventory hears what a message tells of its sender, the names what an answer led to, the judge
what was asked for and what a flow turned out to be. Order and time are the engine's business.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from egressd.addresses import text_of
from egressd.decode.dhcp import DhcpMessage
from egressd.decode.dissector import Conversation, Fact, QuicHello, read_datagram, read_segment
from egressd.decode.dns import DnsMessage, read_dns
from egressd.decode.glance import glance_dns, glance_hello
from egressd.decode.http import HttpRequest
from egressd.decode.ntp import NtpMessage
from egressd.decode.rtsp import RtspRequest, RtspResponse
from egressd.decode.tls import ClientHello, ServerFlight
from egressd.judge.classes import transport_of
from egressd.judge.judge import Opening
from egressd.model import (
    Camera,
    DecodeError,
    Direction,
    Event,
    FactEvent,
    FrameRef,
    Host,
    Name,
    NameSource,
)
from egressd.past import tally_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from egressd.attribute.names import NameTable
    from egressd.attribute.services import Services
    from egressd.config import Site
    from egressd.dataplane.looks import Look as FastLook
    from egressd.dataplane.reference.looks import Look as ReferenceLook
    from egressd.flows import FlowReader
    from egressd.identify.inventory import Inventory
    from egressd.identify.judged import JudgedCameras
    from egressd.judge.judge import Judge

    Look = FastLook | ReferenceLook

UDP = 17
DNS_PORT = 53
TLS_HANDSHAKE = 0x16
MAXIMUM_CONVERSATIONS = 200_000


class Reading(Enum):
    """For what a look is read."""

    NOW = auto()  # for all there is to do
    IDENTITY = auto()  # of a host that nobody judges: for what it is
    PAST = auto()  # of a host that is judged now: for what it did, and nothing of it is told


@dataclass(slots=True)
class Concerned:
    """Those whom messages concern, and what the engine does for them."""

    site: Site
    hosts: dict[int, Host]
    inventory: Inventory
    judged: JudgedCameras
    judge: Judge
    names: NameTable
    services: Services
    flows: FlowReader
    events: list[Event]  # what is to be told; the engine hands it out
    frame_of: Callable[[Look], FrameRef]
    published: Callable[[Camera | None, Host | None, int], None]  # a camera was found or changed
    announced: set[str] = field(default_factory=set)  # ids of cameras that were told of


class Messages:
    """Reads the payloads of looks; `reading` says for what."""

    def __init__(self, concerned: Concerned, *, log_all: bool, silent: bool) -> None:
        self.reading = Reading.NOW
        self.conversations: dict[int, Conversation] = {}  # by the flow's id
        self.glimpses: dict[int, Conversation] = {}  # the same, of what is read for identity only
        self.errors: Counter[str] = Counter()  # by protocol and reason
        self._log_all = log_all
        self._silent = silent
        self._site = concerned.site
        self._hosts = concerned.hosts
        self._inventory = concerned.inventory
        self._judged = concerned.judged
        self._judge = concerned.judge
        self._names = concerned.names
        self._services = concerned.services
        self._flows = concerned.flows
        self._events = concerned.events
        self._frame_of = concerned.frame_of
        self._published = concerned.published
        self._announced = concerned.announced

    def read(self, look: Look) -> None:
        """Decode what the data plane thought worth it."""
        if look.protocol == UDP and DNS_PORT in (look.port_a, look.port_b):
            self._dns_datagram(look)
            return
        known = self.glimpses if self.reading is Reading.IDENTITY else self.conversations
        conversation = known.get(look.flow)
        if conversation is None:
            if len(known) >= MAXIMUM_CONVERSATIONS:
                self.errors["engine conversations full"] += 1
                return
            conversation = known[look.flow] = Conversation()
        if self.reading is Reading.PAST and self._knows_hello(conversation, look):
            return
        ports = (look.port_b, look.port_a) if look.side else (look.port_a, look.port_b)
        facts = self._read(conversation, look, ports)
        for fact in facts:
            self._fact(look, fact, ports)
        if not facts and (look.protocol == UDP or look.stream == 0):
            self._undecoded(look)
        if self.reading is not Reading.IDENTITY:
            self._tell_protocols(conversation, look)

    def _knows_hello(self, conversation: Conversation, look: Look) -> bool:
        """Take the name in a hello of the past, of which no more will be told."""
        if look.protocol == UDP or look.stream or look.payload[0] != TLS_HANDSHAKE:
            return False
        name = glance_hello(look.payload)
        if name is None:
            return False
        stream = conversation.streams[look.side]
        stream.begun, stream.done = True, len(look.payload)
        conversation.note("tls")
        self._tell_protocols(conversation, look)
        if name and self._judge.has(look.flow):
            self._judge.learn(look.flow, "", Name(name, NameSource.SNI, look.time))
            self._events += self._judge.tell(look.flow, look.time)
        return True

    def _knows_question(self, look: Look) -> bool:
        """Take a plain question of the past for a name that is nobody's the rules know."""
        name = glance_dns(look.payload)
        if not name or self._services.of_name(name) is not None:
            return False
        sender = look.host_b if look.side else look.host_a
        if sender in self._hosts:
            self._site_service(look, sender, self._site.resolvers, self._frame_of(look))
        if self._judge.has(look.flow):
            self._judge.learn(look.flow, "dns", None)
            self._events += self._judge.tell(look.flow, look.time)
        return True

    def _read(self, conversation: Conversation, look: Look, ports: tuple[int, int]) -> list[Fact]:
        try:
            if look.protocol == UDP:
                return read_datagram(conversation, look.side, look.payload, ports)
            is_dns = DNS_PORT in ports
            return read_segment(
                conversation, look.side, look.stream, look.payload, cut=look.cut, dns=is_dns
            )
        except DecodeError as error:
            self._count(error)
            return []

    def _count(self, error: DecodeError) -> None:
        if self.reading is not Reading.PAST:  # then it has been counted
            self.errors[f"{error.protocol} {error.reason}"] += 1

    def _tell_protocols(self, conversation: Conversation, look: Look) -> None:
        """Tell the judge what a flow turned out to be."""
        if not self._judge.has(look.flow):
            return
        is_media = conversation.media[look.side] and (look.host_b if look.side else look.host_a)
        if is_media:
            self._judge.media(look.flow, look.time, self._frame_of(look))
        elif len(conversation.protocols) == conversation.told:
            return
        for protocol in conversation.protocols[conversation.told :]:
            self._judge.learn(look.flow, protocol, None)
        conversation.told = len(conversation.protocols)
        self._events += self._judge.tell(look.flow, look.time)

    def _dns_datagram(self, look: Look) -> None:
        """Decode DNS over UDP: most of what there is to decode, so that it goes the short way."""
        if self.reading is Reading.PAST and self._knows_question(look):
            return
        try:
            message = read_dns(look.payload, expected=True)
        except DecodeError as error:
            self._count(error)
            return
        if message is None:
            return
        sender, receiver = look.host_a, look.host_b
        if look.side:
            sender, receiver = receiver, sender
        frame = self._frame_of(look)
        host = self._hosts.get(sender)
        if host is not None:
            camera = self._inventory.see_dns(host, message, frame)
            if camera is not None:
                self._published(camera, host, look.time)
        if self.reading is Reading.IDENTITY:
            return
        self._dns(message, look, sender, receiver, frame)
        if self._judge.has(look.flow):
            self._judge.learn(look.flow, "dns", None)
            self._events += self._judge.tell(look.flow, look.time)
        if self._is_logged(look):
            self._log(look, message, frame)

    def _undecoded(self, look: Look) -> None:
        """Show bytes that no decoder knows: they may still tell what the host is."""
        frame = self._frame_of(look)
        ends = (
            (look.host_a, look.side == 0, look.port_a),
            (look.host_b, look.side == 1, look.port_b),
        )
        for index, sent, port in ends:
            host = self._hosts.get(index)
            if host is not None:
                camera = self._inventory.see_payload(
                    host,
                    look.payload,
                    "udp" if look.protocol == UDP else "tcp",
                    sent=sent,
                    local_port=port,
                    ref=frame,
                )
                self._published(camera, host, look.time)

    # ---- facts -----------------------------------------------------------------------------

    def _fact(self, look: Look, fact: Fact, ports: tuple[int, int]) -> None:
        sender, receiver = look.host_a, look.host_b
        if look.side:
            sender, receiver = receiver, sender
        frame = self._frame_of(look)
        message = fact.message
        host = self._hosts.get(sender)
        if host is not None:
            camera = self._inventory.see_fact(host, message, True, ports[0], frame)
            if camera is not None:
                self._published(camera, host, look.time)
        if isinstance(message, RtspRequest) and receiver in self._hosts:  # what it is asked tells
            host = self._hosts[receiver]
            camera = self._inventory.see_fact(host, message, False, ports[1], frame)
            self._published(camera, host, look.time)
        self._weigh(look, fact, sender, receiver, frame)
        if not fact.again and self._is_logged(look):
            self._log(look, message, frame)

    def _weigh(self, look: Look, fact: Fact, sender: int, receiver: int, frame: FrameRef) -> None:
        """Give a message to those it concerns."""
        if self.reading is Reading.IDENTITY:
            return
        message = fact.message
        if isinstance(message, DhcpMessage):
            self._dhcp(message, look, frame)
        elif isinstance(message, DnsMessage):
            if fact.protocol == "dns":
                self._dns(message, look, sender, receiver, frame)
        elif isinstance(message, RtspRequest | RtspResponse):
            self._rtsp(message, look, sender, receiver, frame)
        elif isinstance(message, NtpMessage):
            if message.is_request:
                self._site_service(look, sender, self._site.ntp, frame)
        else:
            self._far_name(message, look)

    def _far_name(self, message: object, look: Look) -> None:
        """Take a name of the far end that the flow itself tells."""
        hello = message.hello if isinstance(message, QuicHello) else message
        name = None
        source = NameSource.SNI
        if isinstance(hello, ClientHello):
            name = hello.sni
            source = NameSource.QUIC if hello is not message else NameSource.SNI
        elif isinstance(message, HttpRequest):
            name = _host_name(message.host)
            source = NameSource.HTTP
        elif isinstance(message, ServerFlight) and message.certificate is not None:
            sans = [san for san in message.certificate.sans if not _is_address(san)]
            name = sans[0] if sans else None
            source = NameSource.CERT
        if name and self._judge.has(look.flow):
            self._judge.learn(look.flow, "", Name(name, source, look.time))
            self._events += self._judge.tell(look.flow, look.time)

    def _dns(
        self, message: DnsMessage, look: Look, sender: int, receiver: int, frame: FrameRef
    ) -> None:
        client = self._hosts.get(receiver if message.is_response else sender)
        if client is None or self.reading is Reading.IDENTITY:
            return
        if message.is_response:
            self._names.learn(client.ip, message, look.time)
            if self._judge.has(look.flow):  # a resolver that is not the site's has answered
                self._judge.answered(look.flow, by_host=False, at=look.time, frame=frame)
                self._events += self._judge.tell(look.flow, look.time)
        else:
            self._site_service(look, sender, self._site.resolvers, frame)
        transport = transport_of(look.protocol)
        for question in message.questions:
            service = self._services.of_name(question.name)
            if service is not None:
                self._events += self._judge.looked_up(
                    client.index,
                    question.name,
                    service,
                    transport,
                    look.time,
                    frame,
                    asked=not message.is_response,
                )

    def _site_service(
        self, look: Look, sender: int, allowed: tuple[str, ...], frame: FrameRef
    ) -> None:
        """Judge a resolver or time server on site that is not among those the site names."""
        if not allowed or self._judge.has(look.flow) or not (look.host_a and look.host_b):
            return
        if self.reading is Reading.IDENTITY:
            return
        server_ip = address_of(look, 1 - look.side)
        if server_ip in allowed or sender not in self._hosts:
            return
        local, remote = look.port_a, look.port_b
        if look.side:
            local, remote = remote, local
        opening = Opening(
            flow=look.flow,
            row=look.row,
            host=sender,
            remote_ip=server_ip,
            remote_port=remote,
            local_port=local,
            protocol=look.protocol,
            direction=Direction.OUTBOUND,
            names=[],
            at=look.time,
            frame=frame,
            on_site=True,
            home=look.side,
            home_ip=self._hosts[sender].ip,
        )
        self._events += self._judge.begin(opening, tally_of(look, look.side))

    def _rtsp(
        self,
        message: RtspRequest | RtspResponse,
        look: Look,
        sender: int,
        receiver: int,
        frame: FrameRef,
    ) -> None:
        """Learn who streams: an RTSP server that was told to play and says it does."""
        conversation = self.conversations[look.flow]
        if isinstance(message, RtspRequest):
            conversation.playing = message.method == "PLAY"
            if message.transport and "interleaved" in message.transport:
                conversation.interleaved = True
        elif conversation.playing and message.status == 200:
            conversation.playing = False
            conversation.media[look.side] = conversation.interleaved
            server, client = self._hosts.get(sender), self._hosts.get(receiver)
            if server is not None and client is not None:
                camera = self._inventory.see_media(server, client, frame)
                self._published(camera, server, look.time)
                recorder = self._inventory.camera_of(client.index)
                if recorder is not None and recorder.id not in self._announced:
                    self._published(recorder, client, look.time)

    def _dhcp(self, message: DhcpMessage, look: Look, frame: FrameRef) -> None:
        camera = self._inventory.see_dhcp(message, frame)
        if camera is not None:
            self._published(camera, None, look.time)

    # ---- events ----------------------------------------------------------------------------

    def _is_logged(self, look: Look) -> bool:
        """Say whether a message is to be told: it belongs to a flow that is judged, or all are."""
        if self._log_all and not self._silent:
            return True
        if self._silent or self.reading is not Reading.NOW or not self._judge.has(look.flow):
            return False
        return self._judged.camera_of(look.host_a or look.host_b) is not None

    def _log(self, look: Look, message: object, frame: FrameRef) -> None:
        row = self._flows.ends_of(look.row)
        source, target = (row.b, row.a) if look.side else (row.a, row.b)
        camera = self._judged.camera_of(look.host_a or look.host_b)
        self._events.append(
            FactEvent(
                look.time,
                frame,
                self._flows.first_id + look.flow,
                look.protocol,
                source.ip,
                source.port,
                target.ip,
                target.port,
                look.source,
                row.vlans,
                message,
                camera,
            )
        )


def address_of(look: Look, side: int) -> str:
    """Return the address of one side of a look's flow."""
    if side:
        return text_of(look.version, look.b_hi, look.b_lo)
    return text_of(look.version, look.a_hi, look.a_lo)


def _host_name(host: str | None) -> str | None:
    """Return the name in a Host header, or None where it holds an address."""
    if not host or host.startswith("["):
        return None
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    return None if _is_address(name) else name


def _is_address(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()
