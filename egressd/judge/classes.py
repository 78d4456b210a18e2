"""The class of a flow by its protocol and port: what sort of traffic it is.

A first step: the port says what was meant, the decoded protocol what was
spoken, and the second decides. Volumes and shapes come later.
"""

from __future__ import annotations

UNKNOWN = "unknown"

# Decoded protocols, in Wireshark's names, and the labels of the camera world.
BY_PROTOCOL = {
    "dns": "infra.dns",
    "ntp": "infra.ntp",
    "dhcp": "infra.dhcp",
    "dhcpv6": "infra.dhcp",
    "mdns": "discovery.leak",
    "llmnr": "discovery.leak",
    "ssdp": "discovery.leak",
    "mqtt": "cloud.signalling",
    "stun": "p2p.register",
    "pppp": "p2p.register",
    "pppp-obfuscated": "p2p.register",
    "ilnk": "p2p.register",
    "kalay": "p2p.register",
    "kalay-cc51": "p2p.register",
    "dahua-dhp2p": "p2p.register",
    "dahua-istun": "p2p.register",
    "dahua-ptcp": "p2p.register",
    "hik-stun": "p2p.register",
    "hik-p2p3": "p2p.register",
    "reolink-bcudp": "p2p.register",
    "tvt-nat": "p2p.register",
    "hik-lbs": "cloud.signalling",
    "hik-mqtt": "cloud.signalling",
    "tuya": "cloud.signalling",
    "xiongmai-cloud": "cloud.signalling",
    "rtsp": "media.stream",
}

# Services of the IANA registry (service-names-port-numbers).
BY_PORT = {
    ("udp", 53): "infra.dns",
    ("tcp", 53): "infra.dns",
    ("tcp", 853): "infra.dns",
    ("udp", 853): "infra.dns",
    ("udp", 123): "infra.ntp",
    ("udp", 67): "infra.dhcp",
    ("udp", 547): "infra.dhcp",
    ("udp", 1900): "discovery.leak",
    ("udp", 3702): "discovery.leak",
    ("udp", 5353): "discovery.leak",
    ("tcp", 1883): "cloud.signalling",
    ("tcp", 8883): "cloud.signalling",
    ("udp", 3478): "p2p.register",
    ("tcp", 554): "media.stream",
    ("tcp", 1935): "media.stream",
    ("udp", 1194): "tunnel",
    ("udp", 500): "tunnel",
    ("udp", 4500): "tunnel",
    ("udp", 51820): "tunnel",
    ("gre", None): "tunnel",
    ("esp", None): "tunnel",
    ("ipip", None): "tunnel",
    ("ipv6", None): "tunnel",
}

TRANSPORTS = {
    1: "icmp",
    4: "ipip",
    6: "tcp",
    17: "udp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "icmp",
    132: "sctp",
    136: "udplite",
}
WITH_PORTS = frozenset({"tcp", "udp", "sctp", "udplite"})


def transport_of(protocol: int) -> str:
    """Return the name of an IP protocol as destinations carry it."""
    return TRANSPORTS.get(protocol, f"ip-{protocol}")


def class_of(protocols: list[str], transport: str, port: int | None, *, inbound: bool) -> str:
    """Return the class of a flow; the first rule that fits decides."""
    if inbound:
        return "remote.inbound"
    for protocol in protocols:
        if protocol in BY_PROTOCOL:
            return BY_PROTOCOL[protocol]
    return BY_PORT.get((transport, port), UNKNOWN)
