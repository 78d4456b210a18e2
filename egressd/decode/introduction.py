"""What a device says of itself when it is searched for on its own network.

Every maker has a protocol for it, and they all tell the same few things. Their decoders answer
with one shape. What a searching program asks has the same shape, with `speaks_for_itself` False:
an office computer that looks for cameras is not one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from egressd.decode.p2p import Role

if TYPE_CHECKING:
    from egressd.decode.p2p import Confidence


@dataclass(slots=True)
class Introduction:
    """One message of a discovery protocol; the fields are the sender's own words."""

    protocol: str  # the label of the flow: "sadp", "dhdiscover", "wsd", "hanwha-lan", ...
    message: str  # the protocol's own name of it: "ProbeMatch", "client.notifyDevInfo"
    confidence: Confidence
    speaks_for_itself: bool = False  # a device's announcement or answer, and not a search
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None
    mac: str | None = None
    ip: str | None = None  # the address the device says it has
    name: str | None = None
    types: tuple[str, ...] = ()  # what it says it is: "dn:NetworkVideoTransmitter"

    @property
    def role(self) -> Role:
        """What the message is for."""
        return Role.LAN

    @property
    def device_id(self) -> str | None:
        """The serial number, where it is told."""
        return self.serial
