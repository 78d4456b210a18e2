"""Who the service may speak to: the drop-in that opens its firewall to scrapers and sinks.

The unit denies every address but loopback. This names the others, from the site
file, so that a mistake elsewhere cannot send a byte to anyone. systemd takes
addresses and networks only: a sink that is named by a host name cannot be let
through, and the text says so, for nobody here asks a resolver.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from egressd.settings.metrics import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

PLACE = "/etc/systemd/system/egressd.service.d/site.conf"


@dataclass(frozen=True, slots=True)
class Peer:
    """A machine that the service speaks to, and in what matter."""

    host: str  # an address, or a name
    why: str  # "sink soc"


def dropin_of(
    scrapers: Iterable[IPv4Network | IPv6Network],
    peers: Iterable[Peer],
    *,
    port: int = DEFAULT_PORT,
    site: str = "",
) -> str:
    """Return the text of the drop-in; `port` is the one of the metrics."""
    lines = [
        f"# {PLACE}",
        f"# Written by egressd check --systemd-dropin{f' for {_plain(site)}' if site else ''};",
        "# write it again when metrics.scrapers or sinks change, then systemctl daemon-reload.",
        "[Service]",
    ]
    if port != DEFAULT_PORT:  # which the unit allows
        lines.append("# metrics.listen")
        lines += [f"SocketBindAllow={family}:tcp:{port}" for family in ("ipv4", "ipv6")]
    allowed: dict[str, list[str]] = {}
    unnamed: list[Peer] = []
    for network in scrapers:
        allowed.setdefault(_network_text(network), []).append("scraper")
    for peer in peers:
        address = _address_in(peer.host)
        if address is None:
            unnamed.append(peer)
        elif not ip_address(address).is_loopback:  # the unit allows it
            allowed.setdefault(address, []).append(peer.why)
    for address, reasons in allowed.items():
        lines.append(f"# {_plain(', '.join(dict.fromkeys(reasons)))}")
        lines.append(f"IPAddressAllow={address}")
    for peer in unnamed:
        lines.append(f"# {_plain(peer.why)}: {_plain(peer.host)} is a name, and systemd takes")
        lines.append("# addresses only: until its address stands in the site file, it is shut out.")
    return "\n".join([*lines, ""])


def unnamed_of(peers: Iterable[Peer]) -> list[Peer]:
    """Return the peers that cannot be let through, because they are names."""
    return [peer for peer in peers if _address_in(peer.host) is None]


def _network_text(network: IPv4Network | IPv6Network) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)


def _address_in(host: str) -> str | None:
    """Return the address in canonical form; localhost is loopback (RFC 6761 section 6.3)."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(host))
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Return text that stays within its comment line."""
    return "".join(c if c.isprintable() else "?" for c in text).rstrip("\\")
