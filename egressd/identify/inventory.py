"""Which hosts of the site are cameras, and why.

The engine shows every new binding of address and MAC, every decoded message with the host that
sent it, and every stream that was served; the inventory answers with the camera whenever what it
would publish has changed. A host is a camera if the site file says so, or if the evidence on it
comes to the threshold of the rules. Attribution of the far ends is not its business; that a name
belongs to a camera vendor's cloud it asks of `Clouds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from egressd.decode.dhcp import DhcpMessage
from egressd.decode.dns import DnsMessage
from egressd.identify.carried import InventoryRows, device_of, digest_of, row_of
from egressd.identify.devices import MAX_DEVICES, Device, DeviceTable
from egressd.identify.evidence import (
    Piece,
    evidence_of,
    fuse,
    kind_of,
    model_of,
    shown_text,
    vendor_of,
)
from egressd.identify.lookups import domain_of, is_vendor_cloud, weight_of
from egressd.identify.observations import (
    observations_of,
    observations_of_dhcp,
    observations_of_received,
    observations_of_ssdp,
)
from egressd.identify.rules import (
    Channel,
    Clue,
    IdentityRules,
    Matcher,
    Observation,
    Trait,
    key_of,
    payload_key,
    tail_of,
)
from egressd.identify.sitelist import ADDRESS, SiteList
from egressd.model import Camera, Evidence, FrameRef, Host, Kind
from egressd.state import LeaseRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from egressd.config import Site, SiteDevice
    from egressd.model import Nanoseconds, Service
    from egressd.state import HostRow

MAX_SEEN = 512  # different names one host asked for; later ones count only if a cloud's
MAX_SHOWN = 128  # other things it showed that are remembered, so as to be weighed once
MAX_QUESTIONS = 32  # of one message
MAX_COUNTED = 64  # different domains, clouds and servers told apart of one host
MAX_PENDING = 4096  # MACs known from DHCP alone
MAX_PENDING_EACH = 8
MAX_VENDOR_CONFLICTS = 256


class Registry(Protocol):
    """Who a MAC address was assigned to (`egressd.identify.oui.Oui`)."""

    def organisation(self, mac: str) -> str | None:
        """Return the organisation, or None if nobody is known."""


class Clouds(Protocol):
    """Whose a name and an organisation are (`egressd.attribute.services.Services`)."""

    def of_name(self, name: str) -> Service | None:
        """Return the service that a name belongs to."""

    def vendor_of_org(self, org: str) -> str | None:
        """Return the vendor that an organisation of the IEEE registry is."""


class Inventory:
    """The site's hosts and what is known of each."""

    def __init__(
        self,
        site: Site,
        oui: Registry,
        services: Clouds,
        identity_rules: IdentityRules,
        *,
        max_devices: int = MAX_DEVICES,
    ) -> None:
        self._oui = oui
        self._clouds = services
        self._rules = identity_rules
        self._matcher = Matcher(identity_rules)
        limits = identity_rules.conduct.many_domains
        self._most_domains = max((limit.count for limit in limits), default=0)
        self._list = SiteList(site)
        self._file = site.file or "the site file"
        self._table = DeviceTable(max_devices)
        self._recognised: list[Device] = []
        self._pending: dict[str, list[tuple[Observation, FrameRef | None]]] = {}
        self._servers: set[str] = set()  # addresses that route, resolve or give addresses
        self._vendor_conflicts: dict[str, str] = {}
        self._now: Nanoseconds = 0

    # --- what the engine shows

    def see_host(self, host: Host, time: Nanoseconds) -> Camera | None:
        """Take a new binding of address and MAC; return the camera that this made or changed."""
        self._now = max(self._now, time)
        vacant = self._table.of_ip(host.ip) is None
        device = self._table.bind(host, time)
        if device is not None and vacant and self._is_two_of_the_list(device, host.ip):
            self._table.take_for_router(device.id)
        for part in self._table.take_rebound():
            self._settle(part)
        return self._settle(host)

    def _settle(self, host: Host) -> Camera | None:
        """Take all that is known of a binding's device by its MAC and addresses."""
        device = self._table.of_host(host.index)
        if device is None:
            return None
        self._observe_card(device)
        self._list_device(device, host.ip)
        for observation, ref in self._pending.pop(device.mac or "", ()):
            self._observe(device, observation, ref, 0)
        if host.ip in self._servers:
            self._observe_server(device)
        return self._publish(device)

    def see_fact(
        self,
        host: Host,
        fact: object,
        sent: bool,  # noqa: FBT001 - the engine's contract
        local_port: int,
        ref: FrameRef | None,
    ) -> Camera | None:
        """Take a decoded message that a host sent or received."""
        if isinstance(fact, DhcpMessage):
            return self.see_dhcp(fact, ref)
        device = self._device_of(host)
        if device is None:
            return None
        changed = False
        if not sent:
            for observation in observations_of_received(fact):
                changed |= self._observe(device, observation, ref, host.index)
            return self._publish(device) if changed else None
        if local_port == 53 and isinstance(fact, DnsMessage) and fact.is_response:
            changed = self._observe_server(device)
        for observation in observations_of(fact, device.ips):
            changed |= self._observe(device, observation, ref, host.index)
        return self._publish(device) if changed else None

    def see_dns(self, host: Host, message: DnsMessage, ref: FrameRef | None) -> Camera | None:
        """Take a DNS message that a host sent to or from a resolver."""
        device = self._device_of(host)
        if device is None:
            return None
        if message.is_response:
            return self.see_answer(host)
        changed = False
        for question in message.questions[:MAX_QUESTIONS]:
            if question.type != "PTR" and question.name not in device.asked:
                changed |= self._take_name(device, question.name, host, ref)
        return self._publish(device) if changed else None

    def is_news(self, host_index: int, name: str) -> bool:
        """Say whether a name may tell more of a host than is known: most do not.

        The empty name asks whether it is not yet known as a resolver.
        """
        device = self._table.of_host(host_index)
        if device is None:
            return True
        if not name:
            return not device.serves
        if name in device.asked:
            return False
        folded = name.lower()
        if self._matcher.knows(folded) or self._clouds.of_name(folded) is not None:
            return True
        return len(device.domains) < self._most_domains and tail_of(folded) not in device.domains

    def see_name(self, host: Host, name: str, ref: FrameRef) -> Camera | None:
        """Take a name that a host asked for, or told the far end."""
        device = self._device_of(host)
        if device is None or not self._take_name(device, name, host, ref):
            return None
        return self._publish(device)

    def see_answer(self, host: Host) -> Camera | None:
        """Take that a host answered as a resolver."""
        device = self._device_of(host)
        if device is None or device.serves or not self._observe_server(device):
            return None
        return self._publish(device)

    def _take_name(self, device: Device, asked: str, host: Host, ref: FrameRef | None) -> bool:
        if len(device.asked) < MAX_SEEN:
            device.asked.add(asked)
        name = asked.lower().rstrip(".")
        if self._matcher.knows(name) or self._clouds.of_name(name) is not None:
            return self._observe(device, Observation(Trait.LOOKUP, name), ref, host.index)
        return self._count_domain(device, name)

    def see_dhcp(self, fact: DhcpMessage, ref: FrameRef | None) -> Camera | None:
        """Take a DHCP message: it tells of its client by MAC, whoever carried the frame."""
        mac = fact.client_mac
        if mac is None:
            return None
        device = self._table.of_mac(mac)
        if fact.op == 2:
            self._learn_servers(fact)
        given = fact.your_ip if fact.message_type == "ACK" else fact.client_ip
        if given and given != "0.0.0.0":  # noqa: S104 - the address that is none
            settled = self._table.lease(given, mac)
            if settled is not None:
                return self._meet(settled, given)
        observations = observations_of_dhcp(fact)
        if device is None:
            self._keep_pending(mac, observations, ref)
            return None
        changed = [self._observe(device, observation, ref, 0) for observation in observations]
        return self._publish(device) if any(changed) else None

    def see_payload(  # noqa: PLR0913 - a message and where it was seen
        self,
        host: Host,
        payload: bytes,
        transport: str,
        *,
        sent: bool,
        local_port: int,
        ref: FrameRef | None,
    ) -> Camera | None:
        """Take the first bytes of a message that no decoder knows ("tcp" or "udp")."""
        device = self._device_of(host)
        if device is None:
            return None
        changed = False
        if sent and transport == "udp":
            for observation in observations_of_ssdp(payload):
                changed |= self._observe(device, observation, ref, host.index)
        rule = self._matcher.find_payload(payload, transport, sent=sent, local_port=local_port)
        if rule is not None:
            key = payload_key(rule)
            says = rule.clue.says
            changed |= device.dossier.add(
                Piece(key, Channel.PROTOCOL, says, rule.clue, frame=ref, host=host.index)
            )
        return self._publish(device) if changed else None

    def see_media(self, server: Host, client: Host, ref: FrameRef | None) -> Camera | None:
        """Take a stream that one on-site host served to another; return the server if it changed.

        A client that pulls several streams is a recorder; ask `camera_of` for it.
        """
        source, sink = self._device_of(server), self._device_of(client)
        if source is None or sink is None or source is sink:
            return None
        conduct = self._rules.conduct
        clue = Clue("serves streams", conduct.serves_media)
        says = f"served an RTSP stream to {client.ip}"
        piece = Piece("serves", Channel.MEDIA, says, clue, frame=ref, host=server.index)
        changed = source.dossier.add(piece)
        if source.id not in sink.pulled and len(sink.pulled) < MAX_COUNTED:
            sink.pulled.add(source.id)
            count = len(sink.pulled)
            weight = conduct.pulls[min(count, len(conduct.pulls)) - 1] if conduct.pulls else 0.0
            clue = Clue("pulls streams", weight, kind=Kind.RECORDER)
            says = f"pulled RTSP streams from {count} host{'s' if count > 1 else ''}"
            sink.dossier.replace(
                Piece("pulls", Channel.MEDIA, says, clue, frame=ref, host=client.index)
            )
            told = self._publish(sink)
            if not changed:
                return told
        return self._publish(source) if changed else None

    # --- what the engine asks

    def camera_of(self, host_index: int) -> Camera | None:
        """Return the camera that a binding belongs to, if it is judged."""
        device = self._table.of_host(host_index)
        return device.camera if device is not None and device.judged else None

    def bindings_of(self, camera: Camera) -> tuple[int, ...]:
        """Return all bindings of a camera."""
        device = self._table.of_mac(camera.id)
        return tuple(device.hosts) if device is not None and device.camera is camera else ()

    def hosts_of(self, host_index: int) -> tuple[int, ...]:
        """Return all bindings of the device that a binding belongs to, itself first."""
        device = self._table.of_host(host_index)
        hosts = device.hosts if device is not None else ()
        return (host_index, *(index for index in hosts if index != host_index))

    @property
    def cameras(self) -> list[Camera]:
        """All that are judged, in order of recognition."""
        return [
            device.camera
            for device in self._recognised
            if device.judged and device.camera is not None
        ]

    @property
    def hosts_seen(self) -> int:
        """How many devices have been seen, cameras and others."""
        return self._table.seen

    @property
    def other_hosts(self) -> int:
        """How many devices are not cameras."""
        return self.hosts_seen - len(self.cameras)

    @property
    def shed_hosts(self) -> int:
        """How many devices were forgotten or never followed because the table was full."""
        return self._table.forgotten + self._table.shed

    @property
    def missing(self) -> list[SiteDevice]:
        """The site file's entries that no host has fitted so far."""
        return self._list.missing

    @property
    def conflicts(self) -> list[str]:
        """What does not fit together: addresses that moved, vendors that disagree."""
        return [*self._table.moves, *self._vendor_conflicts.values()]

    def recognised_at(self, camera: Camera) -> Nanoseconds:
        """Return when a camera was recognised, 0 if nobody knows."""
        device = self._table.of_mac(camera.id)
        return device.recognised if device is not None else 0

    def note_recognition(self, camera: Camera, at: Nanoseconds) -> None:
        """Take when a camera was told for the first time."""
        device = self._table.of_mac(camera.id)
        if device is not None and not device.recognised:
            device.recognised = at

    @property
    def maximum(self) -> int:
        """How many devices there is room for."""
        return self._table.maximum

    def __len__(self) -> int:
        return len(self._table)

    # --- over a restart

    def touch(self, host: Host) -> None:
        """Take that what is to be kept of a host changed."""
        device = self._table.of_host(host.index)
        if device is not None:
            self._table.touch(device)

    def rows(self, host_row_of: Callable[[Host], HostRow], *, changed_only: bool) -> InventoryRows:
        """Return all that is to be kept, or what changed since this was last asked."""
        changes = self._table.take_changes(changed_only=changed_only)
        return InventoryRows(
            devices=[row_of(device, self._now, host_row_of) for device in changes.devices],
            leases=[LeaseRow(ip, mac) for ip, mac in changes.leases.items()],
            routers=tuple(changes.routers),
            servers=tuple(sorted(self._servers)),
            gone=changes.gone,
        )

    def restore(self, rows: InventoryRows, bound: Mapping[str, list[Host]]) -> list[Camera]:
        """Take what the run before this one knew; `bound` are its bindings by device.

        Return the cameras of which something else is to be told now: the site file or the rules
        have changed.
        """
        self._table.restore_facts({row.ip: row.mac for row in rows.leases}, rows.routers)
        self._servers.update(rows.servers)
        clues = self._matcher.clues()
        changed = []
        for row in rows.devices:
            bare = Device(row.id, mac=row.mac)
            self._observe_card(bare)
            anew = {piece.key: piece for piece in bare.dossier.pieces}
            device = device_of(row, bound.get(row.id, ()), clues, anew)
            if not self._table.restore(device):
                continue
            self._now = max(self._now, row.seen)
            self._observe_card(device)
            for ip in device.ips:
                self._list_device(device, ip)
            camera = self._publish(device)
            if camera is not None and digest_of(device) != row.told:
                changed.append(camera)
        return changed

    # --- one device

    def _device_of(self, host: Host) -> Device | None:
        device = self._table.of_host(host.index)
        if device is None or (host.behind_router and device.id == host.mac):
            self.see_host(host, self._now)
            device = self._table.of_host(host.index)
        return device

    def _meet(self, device: Device, ip: str) -> Camera | None:
        """Take what is known by MAC of a device that has just got its own."""
        self._observe_card(device)
        self._list_device(device, ip)
        for observation, ref in self._pending.pop(device.mac or "", ()):
            self._observe(device, observation, ref, 0)
        return self._publish(device)

    def _list_device(self, device: Device, ip: str) -> None:
        """Hold a device against the site file; it keeps the better entry."""
        listing = self._list.find(device.mac, ip, serves=ip in self._servers or device.serves)
        if listing is not None and (device.listing is None or listing.rank > device.listing.rank):
            device.listing = listing

    def _is_two_of_the_list(self, device: Device, ip: str) -> bool:
        """Tell whether a MAC has the addresses of two listed devices: then it is a router's.

        Where an address changed hands two cameras may have swapped theirs; ask only if nobody
        had it.
        """
        known = device.listing
        if known is None or known.rank != ADDRESS or device.id != device.mac:
            return False
        other = self._list.find(None, ip)
        return (
            other is not None
            and other.rank == ADDRESS
            and other.entry is not known.entry
            and known.entry.ip is not None
            and (":" in ip) == (":" in known.entry.ip)
        )

    def _observe_card(self, device: Device) -> None:
        """Take what the MAC says: its maker, or that it was drawn at random."""
        mac = device.mac
        if mac is None:
            return
        if int(mac[:2], 16) & 2:
            clue = Clue("random", against=self._rules.conduct.random_mac)
            says = "its MAC address is locally administered"
            device.dossier.add(Piece("random mac", Channel.CONDUCT, says, clue))
            return
        organisation = self._oui.organisation(mac)
        if organisation is None:
            return
        self._observe(device, Observation(Trait.OUI, organisation), None, 0)
        vendor = self._clouds.vendor_of_org(organisation)
        if vendor is None:
            return
        weight = self._rules.makers.get(vendor, self._rules.other_makers)
        if weight:
            says = f"network card by {shown_text(organisation)}"
            clue = Clue("maker", weight, vendor=vendor)
            device.dossier.add(Piece("maker", Channel.OUI, says, clue))

    def _observe(
        self, device: Device, observation: Observation, ref: FrameRef | None, host: int
    ) -> bool:
        """Hold what a host showed against the rules; return whether that said anything new."""
        if observation in device.seen:
            return False
        trait, text = observation
        if trait is not Trait.LOOKUP:
            if len(device.seen) < MAX_SEEN + MAX_SHOWN:
                device.seen.add(observation)
        elif len(device.seen) < MAX_SEEN:
            device.seen.add(observation)
        elif self._clouds.of_name(text) is None:
            return False
        changed = False
        matches = self._matcher.find(observation)
        for match in matches:
            rule = match.rule
            says = f"{trait.label} {shown_text(text)}: {rule.clue.says}"
            key = key_of(trait, rule)
            changed |= device.dossier.add(
                Piece(key, trait.channel, says, rule.clue, match.model, ref, host)
            )
        if trait is Trait.LOOKUP:
            changed |= self._observe_lookup(device, text, ref, host, known=bool(matches))
        return changed

    def _observe_lookup(
        self, device: Device, name: str, ref: FrameRef | None, host: int, *, known: bool
    ) -> bool:
        """Count domains and clouds; weigh a cloud's name that no rule knows."""
        changed = self._count_domain(device, name)
        service = self._clouds.of_name(name)
        if service is None or not is_vendor_cloud(service):
            return changed
        conduct, clouds = self._rules.conduct, self._rules.clouds
        if service.vendor not in clouds.mixed and len(device.clouds) < MAX_COUNTED:
            device.clouds.add(service.vendor)
            if len(device.clouds) == conduct.many_clouds.count:
                clue = Clue("many clouds", against=conduct.many_clouds.against)
                says = f"asked for the clouds of {len(device.clouds)} vendors"
                changed |= device.dossier.add(Piece("many clouds", Channel.CONDUCT, says, clue))
        weight = 0.0 if known else weight_of(service, name, clouds)
        if not weight:
            return changed
        clue = Clue("cloud", weight, vendor=service.vendor)
        says = f"asked for {shown_text(name)}: {shown_text(service.use)}"
        key = f"cloud {service.id}"
        return changed | device.dossier.add(
            Piece(key, Channel.LOOKUP, says, clue, frame=ref, host=host)
        )

    def _count_domain(self, device: Device, name: str) -> bool:
        """Count the domains a host asks for: a PC asks for many, a camera for few."""
        if len(device.domains) >= self._most_domains:
            return False
        domain = domain_of(name)
        if domain is None or domain in device.domains:
            return False
        device.domains.add(domain)
        self._table.touch(device)
        changed = False
        for limit in self._rules.conduct.many_domains:
            if len(device.domains) == limit.count:
                clue = Clue("many domains", against=limit.against)
                says = f"asked for names of {limit.count} and more domains"
                key = f"domains {limit.count}"
                changed |= device.dossier.add(Piece(key, Channel.CONDUCT, says, clue))
        return changed

    def _observe_server(self, device: Device) -> bool:
        """Take that a device serves the network; a listed network does not mean it."""
        device.serves = True
        clue = Clue("infrastructure", against=self._rules.conduct.infrastructure)
        says = "routes, resolves names or gives addresses"
        return device.dossier.add(Piece("infrastructure", Channel.CONDUCT, says, clue))

    def _learn_servers(self, fact: DhcpMessage) -> None:
        """Learn from a DHCP server's message which addresses serve the network."""
        addresses = [*fact.router[:4], *fact.dns_servers[:4], fact.server_ip or ""]
        for ip in addresses:
            if ip and ip not in self._servers and len(self._servers) < MAX_PENDING:
                self._servers.add(ip)
                device = self._table.of_ip(ip)
                if device is not None and self._observe_server(device):
                    self._publish(device)

    def _keep_pending(
        self, mac: str, observations: Iterable[Observation], ref: FrameRef | None
    ) -> None:
        if mac not in self._pending and len(self._pending) >= MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        pending = self._pending.setdefault(mac, [])
        for observation in observations:
            if len(pending) < MAX_PENDING_EACH and all(
                observation != known for known, _ in pending
            ):
                pending.append((observation, ref))

    # --- what is published

    def _publish(self, device: Device) -> Camera | None:
        """Put together what is known of a device; return its camera if that has changed."""
        self._table.touch(device)
        pieces = device.dossier.pieces
        listing = device.listing
        confidence = 1.0 if listing is not None else fuse(pieces)
        judged = confidence >= self._rules.judged_at
        if device.camera is None and not judged:
            return None
        if device.camera is None:
            if len(self._recognised) >= 2 * MAX_DEVICES:
                self._recognised = [known for known in self._recognised if known.judged]
            self._recognised.append(device)
        if judged and not device.judged:
            self._table.settle(device)
        elif not judged and device.judged:
            self._table.unsettle(device)
        device.judged = judged
        camera = self._camera_of(device, confidence)
        self._note_vendors(camera)
        told = (
            *(camera.name, camera.kind, camera.mac, tuple(camera.ips), camera.vendor, camera.model),
            *(camera.listed, judged, tuple(piece.says for piece in camera.evidence)),
        )
        if told == device.told:
            if device.camera is not None and device.camera.confidence != confidence:
                device.camera = camera
            return None
        device.told = told
        device.camera = camera
        return camera

    def _camera_of(self, device: Device, confidence: float) -> Camera:
        """Return what is known of a device now; what was told of it before stays as it was."""
        pieces = device.dossier.pieces
        entry = device.listing.entry if device.listing is not None else None
        vendor = (entry.vendor if entry is not None else None) or vendor_of(pieces)
        evidence = evidence_of(pieces, vendor)
        if entry is not None:
            says = f"named in {self._file}:{entry.line}"
            evidence.insert(0, Evidence("site", says, 1.0, entry.vendor))
        return Camera(
            device.id,
            name=entry.name if entry is not None else None,
            kind=entry.kind if entry is not None else kind_of(pieces),
            mac=device.mac,
            ips=list(device.ips),
            vendor=vendor,
            model=model_of(pieces, vendor),
            evidence=evidence,
            confidence=confidence,
            listed=entry is not None,
        )

    def _note_vendors(self, camera: Camera) -> None:
        others = {piece.vendor for piece in camera.evidence} - {None, camera.vendor}
        if others and len(self._vendor_conflicts) < MAX_VENDOR_CONFLICTS:
            named = ", ".join(sorted(str(vendor) for vendor in others))
            text = f"{camera.id}: evidence for {camera.vendor}, but also for {named}"
            self._vendor_conflicts[camera.id] = text
