"""What happens on the site, and what has to be found: a list of scenarios, each with its truth.

The truth is written down here by hand, from what the steps do. Bytes are not: the kernel counts
them where frames enter the switch, and the test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labsite import HOST, NAMES, TIME_SERVER, VIEWER
from monitor import Told
from steps import AskTime, Call, ComeUp, Connect, Hello, Lookup, Play, Refuse

if TYPE_CHECKING:
    from steps import Step

SITE = """\
site:
  name: Lab
  networks: [10.20.0.0/16]
  resolvers: [10.20.200.53]
  ntp: [10.20.200.123]
cameras:
  - {name: gate-1, mac: "44:19:b6:a0:00:01", vendor: hikvision}
  - {name: yard-2, mac: "3c:ef:8c:b0:00:02", vendor: dahua}
recorders:
  - {name: nvr, mac: "44:19:b6:a0:00:10"}
"""
HIK, DAHUA, FILMS = "dev.hik-connect.com", "www.easy4ipcloud.com", "upload.films.example"
ANY_PORT = -1  # the far end chose it
LATE = HOST["late"].mac


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps, and the findings that they make."""

    name: str  # a fact
    steps: tuple[Step, ...]
    findings: tuple[Told, ...] = ()
    tries: int = 1  # the frames that a camera sends to each far end, at the least


def lookup(camera: str, name: str, transport: str = "udp") -> Told:
    """Return the finding that a camera asked for a cloud's name."""
    return Told(camera, "cloud-lookup", None, None, transport, "lookup", (name,))


SCENARIOS = (
    Scenario(
        "a-site-that-keeps-to-itself-is-silent",
        (
            Play("nvr", over="udp"),
            Play("nvr", over="tcp"),
            Lookup("cam1", "upload.films.example"),
            AskTime("cam1", TIME_SERVER),
            AskTime("cam2", TIME_SERVER),
            Call("pc", "www.office.example", upload=100_000),  # an office PC may
        ),
    ),
    Scenario(
        "a-camera-calls-home",
        (Call("cam1", HIK), Call("cam1", HIK, port=8555)),
        (
            lookup("gate-1", HIK),
            Told("gate-1", "cloud-contact", NAMES[HIK], 443, "tcp", "payload", (HIK,)),
            Told("gate-1", "cloud-contact", NAMES[HIK], 8555, "tcp", "payload", (HIK,)),
        ),
    ),
    Scenario(
        "a-camera-uploads-to-somebody-unlisted",
        (Call("cam2", FILMS, upload=300_000), Call("pc", FILMS, upload=300_000)),
        (Told("yard-2", "unlisted-destination", NAMES[FILMS], 443, "tcp", "transfer", (FILMS,)),),
    ),
    Scenario(
        "what-the-gateway-drops-is-an-attempt-however-often-it-is-tried",
        (
            Refuse(f"ip daddr {NAMES[HIK]} drop"),
            Connect("cam1", HIK, 443, seconds=3.5),  # SYNs after 0, 1 and 3 seconds
        ),
        (
            lookup("gate-1", HIK),
            Told("gate-1", "cloud-contact", NAMES[HIK], 443, "tcp", "attempt", (HIK,)),
        ),
        tries=3,
    ),
    Scenario(
        "what-is-reset-or-rejected-is-an-attempt",
        (
            Connect("cam1", FILMS, 9),  # the cloud's own machine resets it
            Refuse(f"ip daddr {NAMES[DAHUA]} reject with icmp type admin-prohibited"),
            Connect("cam2", NAMES[DAHUA], 443),
        ),
        (
            Told("gate-1", "unlisted-destination", NAMES[FILMS], 9, "tcp", "attempt", (FILMS,)),
            Told("yard-2", "unlisted-destination", NAMES[DAHUA], 443, "tcp", "attempt"),
        ),
    ),
    Scenario(
        "a-question-for-a-clouds-name-is-a-finding-whatever-the-answer",
        (Lookup("cam1", HIK), Lookup("cam2", "no-such-host.easy4ipcloud.com", answered=False)),
        (lookup("gate-1", HIK), lookup("yard-2", "no-such-host.easy4ipcloud.com")),
    ),
    Scenario(
        "a-resolver-and-a-time-server-off-site-are-foreign",
        (
            Lookup("cam1", FILMS, resolver="198.51.100.8"),
            AskTime("cam2", "198.51.100.123"),
        ),
        (
            Told("gate-1", "foreign-resolver", "198.51.100.8", 53, "udp", "payload"),
            Told("yard-2", "foreign-time-server", "198.51.100.123", 123, "udp", "payload"),
        ),
    ),
    Scenario(
        "a-p2p-server-that-answers-has-payload-and-one-that-does-not-an-attempt",
        (
            Hello("cam1", "198.51.100.101"),
            Refuse("ip daddr 198.51.100.102 drop"),
            Hello("cam1", "198.51.100.102", answered=False, times=3),
        ),
        (
            Told("gate-1", "unlisted-destination", "198.51.100.101", 32100, "udp", "payload"),
            Told("gate-1", "unlisted-destination", "198.51.100.102", 32100, "udp", "attempt"),
        ),
    ),
    Scenario(
        "whoever-comes-in-through-a-forwarded-port-pulls-video-out",
        (Play("nvr", over="udp"), Play("net")),
        (Told("gate-1", "inbound-connection", VIEWER, ANY_PORT, "tcp", "media"),),
    ),
    Scenario(
        "a-camera-nobody-listed-is-known-by-its-own-dhcp",
        (
            Call("cam1", FILMS),
            ComeUp("late", "IPC-HFW2431S", "dahua"),
            Call("late", DAHUA),
        ),
        (
            Told("gate-1", "unlisted-destination", NAMES[FILMS], 443, "tcp", "payload", (FILMS,)),
            lookup(LATE, DAHUA),
            Told(LATE, "cloud-contact", NAMES[DAHUA], 443, "tcp", "payload", (DAHUA,)),
        ),
    ),
)
