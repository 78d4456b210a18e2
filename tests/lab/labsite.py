"""A camera site, and an internet of its own, in network namespaces.

                                       mirror of all ports
    cam1 cam2 late nvr pc srv --- switch ----------------- monitor --- soc
                                    |                      (management)
                                 gateway --- net: clouds, name server, P2P, a viewer

Each frame enters the switch once, and there the mirror takes it, as a SPAN port does that shows
what its ports receive. The gateway hides the site behind its own address. Nothing here is
connected to any network of this machine.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

import dns.exception
import dns.message
import dns.query
import dpkt
from namespaces import (
    PATIENCE_SECONDS,
    Spaces,
    end,
    remove_leftovers,
    run,
    set_kernel,
    switch_offloads_off,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GATEWAY, OUTSIDE, PROVIDER = "10.20.0.1", "203.0.113.2", "203.0.113.1"
RESOLVER, TIME_SERVER = "10.20.200.53", "10.20.200.123"
NAME_SERVER = "192.0.2.53"  # knows the names of the internet
VIEWER = "198.51.100.99"
MONITOR, COLLECTOR = "172.31.255.2", "172.31.255.1"  # on the management network
FORWARDED_PORT = 8554  # of the gateway, to cam1's RTSP


class OneWay(NamedTuple):
    """The frames of one conversation in one direction."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    transport: str

    @property
    def reverse(self) -> OneWay:
        """The other direction."""
        here, there = self[:2], self[2:4]
        return OneWay(*there, *here, self.transport)


@dataclass(frozen=True, slots=True)
class Count:
    """How many frames, and their octets from the Ethernet header on."""

    packets: int
    octets: int

    def __add__(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.octets + other.octets)


@dataclass(frozen=True, slots=True)
class Host:
    """A device on the switch; without an address it asks for one."""

    name: str
    mac: str
    ips: tuple[str, ...] = ()


HOSTS = (
    Host("cam1", "44:19:b6:a0:00:01", ("10.20.30.11",)),
    Host("cam2", "3c:ef:8c:b0:00:02", ("10.20.30.12",)),
    Host("late", "3c:ef:8c:b0:00:03"),
    Host("nvr", "44:19:b6:a0:00:10", ("10.20.200.10",)),
    Host("pc", "00:1b:21:c0:00:01", ("10.20.100.5",)),
    Host("srv", "00:1b:21:c0:00:53", (RESOLVER, TIME_SERVER)),
    Host("gw", "64:d1:54:00:00:01", (GATEWAY,)),
)
HOST = {host.name: host for host in HOSTS}
# What the internet knows. The vendors' names are real, the addresses are for documentation.
NAMES = {
    "dev.hik-connect.com": "198.51.100.77",
    "www.easy4ipcloud.com": "198.51.100.78",
    "upload.films.example": "198.51.100.79",
    "www.office.example": "198.51.100.80",
}
INTERNET = (
    NAME_SERVER,
    VIEWER,
    *NAMES.values(),
    "198.51.100.8",  # a resolver that is not the site's
    "198.51.100.123",  # a time server that is not the site's
    "198.51.100.101",  # a P2P server
    "198.51.100.102",  # nobody
)
LEASES = "10.20.40."  # how the addresses begin that DHCP gives
DNS_PORT = 53
# A match of no bits; some kernels are built without the simpler `matchall`.
EVERYTHING = "protocol all u32 match u32 0 0"
LAST_PORT = 40_000  # where the last frame comes from
ETHERNET_BYTES = 14
QUIET_SECONDS = 0.2  # longer than any host delays an acknowledgement
# The last frame of a scenario: who has seen it has seen everything before it.
LAST_NAME = "end-of-the-scenario.example"

# Every flow between two addresses, counted by the kernel where its frames enter the switch.
COUNTS = """
table netdev count {{
  set seen {{
    typeof ip saddr . ip daddr . ip protocol . th sport . th dport
    flags dynamic
    counter
    size 65535
  }}
  chain ports {{
    type filter hook ingress devices = {{ {ports} }} priority 0
    ip protocol {{ tcp, udp }} update @seen \\
      {{ ip saddr . ip daddr . ip protocol . th sport . th dport }}
  }}
}}
"""
# The chain `forward` is for scenarios to refuse things in.
GATEWAY_RULES = f"""
table ip gateway {{
  chain forward {{ type filter hook forward priority 0; policy accept; }}
  chain inwards {{
    type nat hook prerouting priority -100
    iifname wan0 tcp dport {FORWARDED_PORT} dnat to {HOST["cam1"].ips[0]}:554
  }}
  chain outwards {{ type nat hook postrouting priority 100; oifname wan0 masquerade; }}
}}
"""


@dataclass
class LabSite:
    """The site; entering builds it, leaving takes all of it down."""

    folder: Path
    spaces: Spaces = field(default_factory=Spaces)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        remove_leftovers()
        self._stack.callback(self.spaces.close)
        try:
            self._build_switch()
            self._build_gateway()
            self._build_monitor()
            self._start_name_servers()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at_end(self, ending: Callable[[], object]) -> None:
        """Have something ended before the site goes; the last one first."""
        self._stack.callback(ending)

    # ---- what may be changed -----------------------------------------------------------------

    def mirror(self) -> None:
        """Begin to mirror what enters any port, and to count from nothing."""
        lines = []
        for port in _ports():
            lines += [
                f"qdisc add dev {port} clsact",
                f"filter add dev {port} ingress {EVERYTHING} action mirred egress mirror dev span",
            ]
        self.nft("switch", "flush set netdev count seen")
        run("tc", "-n", self.spaces.full_name("switch"), "-batch", "-", text="\n".join(lines))

    def end_mirror(self) -> None:
        """Mirror nothing more, and have one last frame come out of the mirror port."""
        lines = "\n".join(f"qdisc del dev {port} clsact" for port in _ports())
        run("tc", "-n", self.spaces.full_name("switch"), "-batch", "-", text=lines)
        with (
            self.spaces.inside("switch"),
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port,
        ):
            port.bind(("span", 0))
            port.send(_last_frame())

    def nft(self, name: str, rules: str) -> str:
        """Have nft do what these rules say in a namespace."""
        return run(*self.spaces.command(name, "nft", "-f", "-"), text=rules)

    def counts(self) -> dict[OneWay, Count]:
        """Return what the kernel counted of UDP and TCP where frames enter the switch."""
        command = ("nft", "-j", "list", "set", "netdev", "count", "seen")
        listed = json.loads(run(*self.spaces.command("switch", *command)))
        elements = next(item["set"] for item in listed["nftables"] if "set" in item).get("elem", [])
        counts = {}
        for element in (item["elem"] for item in elements):
            source, destination, transport, *ports = element["val"]["concat"]
            packets, octets = element["counter"]["packets"], element["counter"]["bytes"]
            way = OneWay(source, ports[0], destination, ports[1], transport)
            # At this hook the Ethernet header is off already.
            counts[way] = Count(packets, octets + packets * ETHERNET_BYTES)
        return counts

    def wait_until_quiet(self) -> None:
        """Wait for the last acknowledgements: nothing enters the switch for a while."""
        until = time.monotonic() + PATIENCE_SECONDS
        before, now = None, self.counts()
        while before != now:
            assert time.monotonic() < until, "the site does not come to rest"
            time.sleep(QUIET_SECONDS)
            before, now = now, self.counts()

    def refuse(self, rule: str) -> None:
        """Have the gateway refuse to forward something."""
        self.nft("gw", f"add rule ip gateway forward {rule}")

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; it ends with the site."""
        log = (self.folder / f"{name}-{os.path.basename(command[0])}.log").open("ab")  # noqa: PTH119 - it is a name
        with log:
            child = subprocess.Popen(
                self.spaces.command(name, *command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.at_end(lambda: end(child))
        return child

    # ---- how it is built -----------------------------------------------------------------------

    def _build_switch(self) -> None:
        spaces = self.spaces
        spaces.make("switch")
        # It does what a switch without management does: nothing of its own.
        lines = ["link add name br0 type bridge stp_state 0 mcast_snooping 0", "link set br0 up"]
        for host in HOSTS:
            spaces.make(host.name)
            at = f"address {host.mac} netns {spaces.full_name(host.name)}"
            lines += [
                f"link add name p-{host.name} type veth peer name eth0 {at}",
                f"link set p-{host.name} master br0 up",
            ]
        spaces.links("switch", *lines)
        for host in HOSTS:
            with spaces.inside(host.name):
                switch_offloads_off(["eth0"])
            if host.ips:
                spaces.links(
                    host.name,
                    *(f"address add {ip}/16 dev eth0" for ip in host.ips),
                    "link set eth0 up",
                    *([] if host.name == "gw" else [f"route add default via {GATEWAY}"]),
                )
        self.nft("switch", COUNTS.format(ports=", ".join(_ports())))

    def _build_gateway(self) -> None:
        spaces = self.spaces
        spaces.make("net")
        spaces.links(
            "gw",
            f"link add name wan0 type veth peer name wan0 netns {spaces.full_name('net')}",
            f"address add {OUTSIDE}/24 dev wan0",
            "link set wan0 up",
        )
        spaces.links(
            "net",
            f"address add {PROVIDER}/24 dev wan0",
            *(f"address add {ip}/32 dev lo" for ip in INTERNET),
            "link set wan0 up",
            f"route add {OUTSIDE} dev wan0 src {VIEWER}",
        )
        # Through the gateway's own default route everything is somewhere, as on the internet.
        spaces.links("gw", f"route add default via {PROVIDER}")
        for name in ("gw", "net"):
            with spaces.inside(name):
                switch_offloads_off(["wan0"])
        with spaces.inside("gw"):
            set_kernel("net/ipv4/ip_forward", "1")
        self.nft("gw", GATEWAY_RULES)

    def _build_monitor(self) -> None:
        """Connect the monitor to the mirror port, and to a management network with a way out."""
        spaces = self.spaces
        spaces.make("monitor")
        spaces.make("soc")
        spaces.links(
            "switch",
            f"link add name span type veth peer name mirror0 netns {spaces.full_name('monitor')}",
            "link set span up",
        )
        spaces.links(
            "soc",
            f"link add name mgmt0 type veth peer name mgmt0 netns {spaces.full_name('monitor')}",
            f"address add {COLLECTOR}/30 dev mgmt0",
            "link set mgmt0 up",
        )
        spaces.links(
            "monitor",
            "link set mirror0 up",
            f"address add {MONITOR}/30 dev mgmt0",
            "link set mgmt0 up",
            f"route add default via {COLLECTOR}",  # what it should not send could go
        )

    def _start_name_servers(self) -> None:
        plain = ["dnsmasq", "--conf-file=/dev/null", "--no-daemon", "--user=root", "--no-hosts"]
        plain += ["--no-resolv", "--bind-interfaces", "--cache-size=0", "--pid-file="]
        records = [f"--host-record={name},{ip}" for name, ip in NAMES.items()]
        self.start(
            "net",
            *plain,
            f"--listen-address={NAME_SERVER}",
            "--listen-address=198.51.100.8",
            "--except-interface=wan0",
            "--local=/com/example/",  # what it does not know there does not exist
            *records,
        )
        self.start(
            "srv",
            *plain,
            f"--listen-address={RESOLVER}",
            f"--server={NAME_SERVER}",
            f"--dhcp-range={LEASES}100,{LEASES}150,255.255.0.0,1h",
            f"--dhcp-option=option:router,{GATEWAY}",
            f"--dhcp-option=option:dns-server,{RESOLVER}",
            f"--dhcp-option=option:ntp-server,{TIME_SERVER}",
            "--dhcp-authoritative",
            "--no-ping",
            f"--dhcp-leasefile={self.folder / 'leases'}",
        )
        self._wait_for_names()

    def _wait_for_names(self) -> None:
        """Wait until the site's resolver answers with what the internet's name server knows."""
        name, ip = next(iter(NAMES.items()))
        until = time.monotonic() + PATIENCE_SECONDS
        with self.spaces.inside("srv"):
            while time.monotonic() < until:
                with suppress(dns.exception.Timeout, ConnectionError):
                    query = dns.message.make_query(name, "A")
                    if ip in str(dns.query.udp(query, RESOLVER, timeout=0.2)):
                        return
                time.sleep(0.02)
        raise AssertionError("no name server answers")


def _ports() -> list[str]:
    return [f"p-{host.name}" for host in HOSTS]


def _last_frame() -> bytes:
    """Return the office PC's question for a name that nobody else asks for."""
    question = dns.message.make_query(LAST_NAME, "A", id=1).to_wire()
    source, destination = HOST["pc"], HOST["srv"]
    datagram = dpkt.udp.UDP(sport=LAST_PORT, dport=DNS_PORT, data=question, ulen=8 + len(question))
    packet = dpkt.ip.IP(
        src=socket.inet_aton(source.ips[0]),
        dst=socket.inet_aton(destination.ips[0]),
        p=dpkt.ip.IP_PROTO_UDP,
        data=datagram,
        len=20 + len(datagram),
    )
    frame = dpkt.ethernet.Ethernet(
        src=_octets(source.mac), dst=_octets(destination.mac), data=packet
    )
    return bytes(frame)


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
