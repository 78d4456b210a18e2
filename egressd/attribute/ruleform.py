"""The shape of a rule file, as pydantic models: a vendor, a public service, or the platforms.

The JSON schema in `schemas/rules.schema.json` is made from here. Only `rulefile` imports this
module: a run on the shipped rules reads their compiled form and needs no pydantic.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from egressd.spelling import address_of, domain_of

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_COUNTRY = re.compile(r"[A-Z]{2}(/[A-Z]{2})*")
_OUI = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){2}")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LONGEST_REGEX = 200
RANDOM = "random"


def _text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("is more than one line of text; write printable characters only")
    return text


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no id; write lower-case letters, digits, _ and -")
    return text


def _date(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ValueError(f"{text[:60]!r} is no date; write year-month-day, such as 2026-11-22")


def _country(text: str) -> str:
    if not _COUNTRY.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no country code; write two capitals (ISO 3166-1)")
    return text


def _suffix(text: str) -> str:
    domain = domain_of(text)
    if domain.startswith("*.") or domain != text:
        raise ValueError(f"{text[:60]!r} is no suffix; write {domain.removeprefix('*.')}")
    return domain


def _host(text: str) -> str:
    """Accept a host name; one `*` may stand for a part of its first label."""
    head, star, rest = text.partition("*")
    if star and ("*" in rest or "." in head or not rest.partition(".")[2]):
        raise ValueError(f"{text[:60]!r}: write at most one *, and only in the first label")
    if domain_of(text.replace("*", "x")) != text.replace("*", "x"):
        raise ValueError(f"{text[:60]!r} is no host name; write it in lower case")
    return text


def _oui(text: str) -> str:
    if not _OUI.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no OUI; write 44:19:B6")
    return text


def _regex(text: str) -> str:
    if len(text) > _LONGEST_REGEX:
        raise ValueError(f"is longer than {_LONGEST_REGEX} characters; write a shorter expression")
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}; write one for Python's re") from None
    return text


def _address(text: str) -> str:
    return str(address_of(text))


def _ports(value: Any) -> list[str]:
    """Accept a port, a range "6002-6003", the word random, or a list of them."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("is empty; write a port")
    return [_port_of(one) for one in listed]


def _port_of(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text == RANDOM:
        return RANDOM
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if 1 <= first <= last <= 65535:
            return str(first) if match[2] is None else f"{first}-{last}"
    raise ValueError(f'is {str(value)[:60]!r}; write a port, a range "6002-6003", or random')


Text = Annotated[str, AfterValidator(_text)]
Id = Annotated[str, AfterValidator(_id)]
Day = Annotated[str, AfterValidator(_date), Field(json_schema_extra={"format": "date"})]
CountryCode = Annotated[str, AfterValidator(_country)]
Suffix = Annotated[str, AfterValidator(_suffix)]
HostName = Annotated[str, AfterValidator(_host)]
Oui = Annotated[str, AfterValidator(_oui)]
Regex = Annotated[str, AfterValidator(_regex)]
AddressText = Annotated[str, AfterValidator(_address)]
Level = Literal["low", "medium", "high"]
Ports = Annotated[
    list[str],
    BeforeValidator(_ports),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["integer", "string"]},
                {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1},
            ]
        }
    ),
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Sourced(_Form):
    """A fact: where it is from, and how sure that is."""

    source: list[Id] = Field(
        description="Ids of this file's `sources`; `mem` is memory, a hint only.",
        examples=["[mem]"],
        min_length=1,
    )
    confidence: Level = Field(description="How sure the sources make it.", examples=["medium"])


class DomainForm(Sourced):
    """A domain and all names under it."""

    suffix: Suffix = Field(description="The domain.", examples=["vendor.example"])
    use: Text = Field(description="What it is for.", examples=["device registration"])
    hosts: dict[HostName, Text] = Field(
        {}, description="Single hosts and what each is for; * stands for a part of the first label."
    )
    shared: bool = Field(
        False, description="Other things than cameras use it, too: it never alerts alone."
    )
    rented: bool = Field(False, description="It stands on a platform that anybody can rent.")
    owned_by: Id | None = Field(
        None, description="The vendor or service whose file decides; here it is only used."
    )


class PortForm(Sourced):
    """Ports a vendor's devices use."""

    transport: Literal["tcp", "udp", "tcp/udp"] = Field(description="The transport.")
    port: Ports = Field(description='A port, a range "6002-6003", random, or a list of them.')
    direction: Literal["out", "in", "lan"] = Field(
        description="out: device to internet, in: the device listens, lan: local discovery."
    )
    use: Text = Field(description="What it is for.")
    note: Text | None = Field(None, description="What else is known.")


class TimeForm(Sourced):
    """A time server a vendor's devices ask by default."""

    host: HostName = Field(description="Its name.")


class ResolverForm(Sourced):
    """A DNS server hard-coded in a vendor's devices."""

    address: AddressText = Field(description="Its address.")


class RelationForm(Sourced):
    """What ties a vendor to others."""

    text: Text = Field(description="One sentence.")


class JurisdictionForm(Sourced):
    """Where the company sits, which says nothing of its servers."""

    country: CountryCode = Field(description="ISO 3166-1 code, or several: US/CN.", examples=["CN"])
    hq: Text = Field(description="The city.")


class OuiForm(Sourced):
    """How the vendor's MAC addresses are known; never proof of a camera alone."""

    organisation: Regex | None = Field(
        None, description="Regular expression on the IEEE organisation's name, case ignored."
    )
    count_2022: int | None = Field(None, description="Blocks in the registry of 2022-08.", ge=0)
    prefixes_2022: list[Oui] = Field([], description="Those blocks.")
    shared_with_non_cameras: bool = Field(False, description="Other devices carry them, too.")
    note: Text | None = Field(None, description="What else is known.")


class _FileForm(_Form):
    researched: Day = Field(description="The day of the research.", examples=["2026-11-22"])
    sources: dict[Id, Text] = Field(
        description="Every source named in this file.", examples=["{mem: from memory}"]
    )


class VendorForm(_FileForm):
    """A maker of cameras or of their cloud."""

    vendor: Id = Field(description="Its id, also the file's name.")
    names: list[Text] = Field(description="Company, brands and apps.", min_length=1)
    jurisdiction: JurisdictionForm
    parent: Text | None = Field(None, description="Who owns it.")
    notes: Text | None = Field(None, description="What surprised the researcher.")
    relations: list[RelationForm] = Field([], description="Ties to other vendors.")
    domains: list[DomainForm] = Field([], description="Its domains.")
    ports: list[PortForm] = Field([], description="Ports its devices use.")
    ports_same_as: Id | None = Field(None, description="The vendor whose ports hold here, too.")
    ntp: list[TimeForm] = Field([], description="Time servers its devices ask by default.")
    resolvers: list[ResolverForm] = Field([], description="DNS servers hard-coded in its devices.")
    oui: OuiForm | None = None
    pppp_did_prefixes: list[Text] = Field(
        [], description="Prefixes of its device ids in the PPPP family of protocols."
    )


class PublicAddressForm(Sourced):
    """Addresses of a public service."""

    address: list[AddressText] = Field(description="The addresses.", min_length=1)
    use: Text = Field(description="What they are for.")
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        [], description="The service's ports; without them, every port."
    )


class ServiceForm(_FileForm):
    """Public infrastructure: it is nobody's camera cloud."""

    service: Id = Field(description="Its id, also the file's name.")
    name: Text = Field(description="Its name.")
    role: Literal["resolver", "time", "certificates"] = Field(description="What it does.")
    operator: Text = Field(description="Who runs it.")
    country: CountryCode | None = Field(None, description="Where the operator sits.")
    domains: list[DomainForm] = Field([], description="Its names.")
    addresses: list[PublicAddressForm] = Field([], description="Its addresses.")


class PlatformForm(Sourced):
    """Names under which anybody can rent a machine or a bucket."""

    suffix: Suffix = Field(description="The platform's domain.")
    operator: Text = Field(description="Who runs it.")


class PlatformsForm(_FileForm):
    """Domains that are never a camera cloud as a whole."""

    platforms: list[PlatformForm]


FORMS: dict[str, type[VendorForm | ServiceForm | PlatformsForm]] = {
    "vendor": VendorForm,
    "service": ServiceForm,
    "platforms": PlatformsForm,
}


def rules_schema() -> dict[str, Any]:
    """Return the JSON schema of a rule file: one of the three forms."""
    definitions: dict[str, Any] = {}
    for form in FORMS.values():
        schema = form.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        definitions[form.__name__] = schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "egressd rule file",
        "oneOf": [{"$ref": f"#/$defs/{form.__name__}"} for form in FORMS.values()],
        "$defs": dict(sorted(definitions.items())),
    }
