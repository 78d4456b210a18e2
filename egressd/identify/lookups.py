"""What the names a host asks for say of it: which cloud it uses, and how many domains.

A device asks for a few names of one vendor; a phone with the vendor's app and a PC that browses
the vendor's shop ask for others of the same vendor, and for many more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from egressd.model import Confidence, Party

if TYPE_CHECKING:
    from egressd.identify.rules import CloudRules
    from egressd.model import Service

NOT_REGISTERED = frozenset({"local", "lan", "home", "internal", "arpa", "localdomain"})


def is_vendor_cloud(service: Service) -> bool:
    """Tell whether a service is a camera vendor's, and not public infrastructure."""
    return service.party in (Party.VENDOR, Party.VENDOR_INFRA)


def weight_of(service: Service, name: str, clouds: CloudRules) -> float:
    """Return what asking for a vendor's name is worth where no rule knows the name."""
    if domain_of(name) in (name, None) or name.partition(".")[0] in clouds.quiet_labels:
        return 0.0
    if service.use.lower().startswith(clouds.quiet_uses):
        return 0.0
    unsure = not service.can_alert or service.confidence is Confidence.LOW
    return clouds.mixed_weight if unsure or service.vendor in clouds.mixed else clouds.weight


def domain_of(name: str) -> str | None:
    """Return the domain that a name was registered under, near enough to count by.

    Two labels, or three where the last two look like a registry's (co.uk, com.cn).
    """
    labels = name.rsplit(".", 3)
    if len(labels) < 2 or labels[-1] in NOT_REGISTERED:
        return None
    if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])
