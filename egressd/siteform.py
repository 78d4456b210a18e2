"""The shape of a site file, as pydantic models: which keys there are and how each is spelled.

The JSON schema in `schemas/site.schema.json` is made from here. Only `config.load_site` imports
this module, and late, because pydantic takes longer to import than a small replay to run. What
concerns more than one key stands in `sitechecks.py`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from egressd.settings.evidenceform import CanaryForm, EvidenceForm
from egressd.settings.metricsform import MetricsForm
from egressd.settings.sinkform import SinkForm  # noqa: TC001 - pydantic reads it
from egressd.settings.watchform import MOST_INTERFACES, FilterForm, FolderText, InterfaceName
from egressd.spelling import (
    address_of,
    domain_of,
    is_address_or_network,
    is_mac,
    mac_of,
    network_of,
)

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VENDOR = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
_LONGEST_TEXT = 500
_LONGEST_LIST = 50_000  # devices or permits; one error each must fit in memory


def _line_of(text: str) -> str:
    """Accept one line of text."""
    if not text.strip() or len(text) > _LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"is no line of text; write 1 to {_LONGEST_TEXT} printable characters")
    return text.strip()


def _name(text: str) -> str:
    name = _line_of(text)
    if len(name) > 64:
        raise ValueError("is longer than 64 characters; write a shorter name")
    if is_mac(name) or is_address_or_network(name):
        raise ValueError(f"{name!r} reads like an address; write a name such as gate-1")
    return name


def _address(text: str) -> str:
    return str(address_of(text))


def _network(text: str) -> str:
    return str(network_of(text))


def _site_network(text: str) -> str:
    network = network_of(text)
    if network.prefixlen == 0:
        raise ValueError(f"{network} is the whole internet; write the site's own networks")
    return str(network)


def _vendor(text: str) -> str:
    if not _VENDOR.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no vendor's id; write one such as hikvision")
    return text


def _date(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError(f"{text[:60]!r} is no date; write year-month-day, such as 2027-01-31")


def _source(text: str) -> str:
    """Accept who may send: a MAC, an address, a network, or a device's name."""
    if is_mac(text):
        return mac_of(text)
    return _host_or_network(text) if is_address_or_network(text) else _line_of(text)


def _destination(text: str) -> str:
    """Accept what may be reached: an address, a network or a domain."""
    if is_address_or_network(text):
        return _host_or_network(text)
    domain = domain_of(text)
    if domain.removeprefix("*.").count(".") == 1 and _is_public_suffix(domain.removeprefix("*.")):
        raise ValueError(f"{text!r} belongs to nobody; write the domain registered under it")
    return domain


def _host_or_network(text: str) -> str:
    network = network_of(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _is_public_suffix(domain: str) -> bool:
    """Tell whether anyone may register under a domain, as under co.uk.

    The list takes a tenth of a second to load, so only two labels are asked about.
    """
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415  # slow to load, rarely needed

    return bool(PublicSuffixList(only_icann=True).is_public(domain))


Line = Annotated[str, AfterValidator(_line_of)]
DeviceName = Annotated[str, AfterValidator(_name), Field(max_length=64)]
Mac = Annotated[str, AfterValidator(mac_of)]
AddressText = Annotated[str, AfterValidator(_address)]
NetworkText = Annotated[str, AfterValidator(_network)]
SiteNetwork = Annotated[str, AfterValidator(_site_network)]
VendorId = Annotated[
    str, AfterValidator(_vendor), Field(json_schema_extra={"pattern": "^[a-z0-9_]+$"})
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SiteSection(_Form):
    """The site and what belongs to it."""

    name: Line | None = Field(
        None, description="The site's name in reports.", examples=["Depot North"]
    )
    networks: list[SiteNetwork] = Field(
        description="The site's own networks; everything else is off site.",
        examples=["[10.20.0.0/16]"],
        min_length=1,
    )
    resolvers: list[AddressText] = Field(
        [], description="Addresses of the DNS servers the site means its devices to use."
    )
    ntp: list[AddressText] = Field(
        [], description="Addresses of the time servers the site means its devices to use."
    )


class RecorderForm(_Form):
    """A recorder: at least one of mac, ip and network."""

    name: DeviceName | None = Field(None, description="The device's name in events and permits.")
    mac: Mac | None = Field(None, description="Its MAC address: colons, dashes or Cisco's dots.")
    ip: AddressText | None = Field(None, description="Its IP address.")
    network: NetworkText | None = Field(
        None, description="A network in which every host is such a device."
    )
    vendor: VendorId | None = Field(
        None, description="The maker's id in the rules.", examples=["hikvision"]
    )


class CameraForm(RecorderForm):
    """A camera: at least one of mac, ip and network."""

    kind: Literal["camera", "doorbell"] = Field("camera", description="What sort of camera it is.")


class PermitForm(_Form):
    """A contact that leaves the site and is allowed to."""

    from_: Annotated[str, AfterValidator(_source)] | None = Field(
        None,
        alias="from",
        description="A listed device's name, a MAC, an address or a network; without it, any.",
    )
    to: Annotated[str, AfterValidator(_destination)] = Field(
        description="An address, a network, a domain with its subdomains, or *.domain.",
        examples=["vms.example.org"],
    )
    port: int | None = Field(None, description="The far end's port.", ge=1, le=65535)
    transport: Literal["tcp", "udp", "icmp"] | None = Field(None, description="Without it, any.")
    why: Line = Field("", description="The reason, for the report.", validate_default=False)
    until: (
        Annotated[str, AfterValidator(_date), Field(json_schema_extra={"format": "date"})] | None
    ) = Field(None, description="The last day, in UTC, on which it holds.")


class SiteForm(_Form):
    """A site file."""

    site: SiteSection = Field(
        description=SiteSection.__doc__, examples=["{networks: [10.20.0.0/16]}"]
    )
    cameras: list[CameraForm] = Field(
        [], description="The cameras, or networks of cameras.", max_length=_LONGEST_LIST
    )
    recorders: list[RecorderForm] = Field(
        [], description="The recorders.", max_length=_LONGEST_LIST
    )
    permit: list[PermitForm] = Field(
        [],
        description="What may leave the site; the first that fits counts.",
        max_length=_LONGEST_LIST,
    )
    sinks: list[SinkForm] = Field([], description="Where alerts and records go while it watches.")
    metrics: MetricsForm | None = Field(None, description=MetricsForm.__doc__)
    interfaces: list[InterfaceName] = Field(
        [],
        description="The interfaces that get the mirror's frames, for `egressd watch`.",
        max_length=MOST_INTERFACES,
    )
    filter: FilterForm | None = Field(None, description=FilterForm.__doc__)
    evidence: EvidenceForm | None = Field(None, description=EvidenceForm.__doc__)
    canary: CanaryForm | None = Field(None, description=CanaryForm.__doc__)
    state: FolderText | None = Field(
        None, description="The folder in which is kept what a restart must not forget."
    )


def site_schema() -> dict[str, Any]:
    """Return the JSON schema of a site file."""
    schema = SiteForm.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "egressd site file",
    }
