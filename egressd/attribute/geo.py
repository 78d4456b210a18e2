"""Where an address is said to be, and whose network it is in.

A country is an opinion. So every database that answers is quoted by name, build
date and kind: `location` (where it believes the machine stands) or `registration`
(where the address block or the AS is registered). Two that disagree are both
kept, and nothing is guessed where none answers.

Without any file the embedded data answers: the country of registration from the
five registries (package iptocc), and `egressd-networks`. MMDB files come before
it, in the order given. They are memory-mapped: replace one by rename, never by
writing into it.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import metadata
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import maxminddb
from iptocc import country_code

from egressd.data import TableError
from egressd.data.networks import NAME as NETWORKS
from egressd.data.networks import Network, load_networks
from egressd.model import (
    NANOSECONDS_PER_SECOND,
    ConfigError,
    Country,
    CountryKind,
    DatabaseInfo,
    Place,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from egressd.model import Nanoseconds

Address = IPv4Address | IPv6Address
Kinds = Mapping["Path", CountryKind]
KeyPath = tuple[str, ...]

MAX_AGE = timedelta(days=45)  # every source named in docs/reference/geo.md has a newer one by then
CACHED_PLACES = 16_384
NOWHERE = Place()

# Where the schemas keep things; of several, the first that a record has.
#   GeoLite2, GeoIP2, DB-IP: country.iso_code, registered_country.iso_code,
#       autonomous_system_number and _organization (Enterprise: under `traits`)
#   IPinfo: country_code (older files: country), asn "AS15169", as_name; in its ASN file name
#   ip-location-db: country_code, autonomous_system_number and _organization, or asn
LOCATION: KeyPath = ("country", "iso_code")
REGISTRATION: KeyPath = ("registered_country", "iso_code")
FLAT_COUNTRIES: tuple[KeyPath, ...] = (("country_code",), ("country",))
ASNS: tuple[KeyPath, ...] = (
    ("autonomous_system_number",),
    ("traits", "autonomous_system_number"),
    ("asn",),
)
ORGS: tuple[KeyPath, ...] = (
    ("autonomous_system_organization",),
    ("traits", "autonomous_system_organization"),
    ("as_name",),
    ("name",),
    ("as_domain",),
)
ACCEPTED = (
    "give a MaxMind DB (.mmdb) with a country or an AS: GeoLite2 or GeoIP2, DB-IP, IPinfo, "
    "ip-location-db"
)

# A flat country says nothing of its kind, and these files' metadata says nothing of their making
# ("country ipvAll" in each): the file's name does. First that fits; else `kinds` must tell.
FLAT_KINDS = (
    ("dbip", CountryKind.LOCATION),
    ("geolite2", CountryKind.LOCATION),
    ("user-country", CountryKind.LOCATION),
    ("server-country", CountryKind.LOCATION),
    ("asn-country", CountryKind.REGISTRATION),  # also geo-whois-asn-country, iptoasn-country
    ("whois", CountryKind.REGISTRATION),
)
IPINFO_KEYS = frozenset({"as_name", "as_domain"})
GENERIC_TYPE = re.compile(r"(?:country|asn|city)? ?(?:ipv4|ipv6|ipvAll)?")

COUNTRY_CODE = re.compile(r"[A-Z]{2}")
NO_COUNTRY = frozenset({"XX", "ZZ"})  # ISO 3166 user-assigned; registries write them for "unknown"
AS_NUMBER = re.compile(r"(?:AS)?([0-9]{1,10})")
MAX_AS_NUMBER = 2**32 - 1
MAX_TEXT = 200
SAMPLE_RECORDS = 16
SAMPLE_STEPS = 2048

# What the reader raises on a damaged file: its own error, and what foreign metadata and keys of
# any type lead to (found by fuzzing).
DAMAGE = (
    maxminddb.InvalidDatabaseError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    struct.error,
)


class Database(Protocol):
    """One source of answers."""

    info: DatabaseInfo
    remarks: list[str]
    damaged: int

    def place_of(self, address: Address) -> Place:
        """Return what it says of an address; an empty place if nothing."""


class Geo:
    """All databases in use, asked together, with the latest answers kept."""

    def __init__(
        self,
        databases: Sequence[Path] = (),
        *,
        kinds: Kinds | None = None,
        embedded: bool = True,
    ) -> None:
        """Open the MMDB files; ConfigError if one cannot be used.

        `kinds` tells the kind of country of a file that does not tell itself; `embedded=False`
        leaves out the data that ships.
        """
        self._files = tuple(databases)
        self._kinds: Kinds = dict(kinds or {})
        self._embedded: list[Database] = []
        self._networks = _EmbeddedNetworks() if embedded else None
        if self._networks is not None:
            self._embedded = [_Registration(), self._networks]
        self._open()

    def place_of(self, ip: str) -> Place:
        """Return what the databases say of an address, in their order; never fails."""
        return self._cached_place_of(ip)

    def network_of(self, ip: str) -> Network | None:
        """Return the network of the embedded table, with its class, or None."""
        address = _address_of(ip)
        if address is None or self._networks is None:
            return None
        return self._networks.table.network_of(address)

    @property
    def databases(self) -> list[DatabaseInfo]:
        """Name, kind and date of each database in use, in the order they are asked."""
        return [database.info for database in self._databases]

    @property
    def damaged(self) -> dict[str, int]:
        """Records that could not be read, by database; only those that have any."""
        return {d.info.name: d.damaged for d in self._databases if d.damaged}

    def warnings(self, now: Nanoseconds) -> list[str]:
        """Return what a reader of the answers should know, as of `now`."""
        return [text for d in self._databases for text in _warnings_of(d, now)]

    def reload(self) -> None:
        """Open the files anew; on ConfigError the databases in use stay as they were."""
        self._open()

    def _open(self) -> None:
        opened = [Mmdb(file, self._kinds.get(file)) for file in self._files]
        databases: list[Database] = [*opened, *self._embedded]

        @lru_cache(maxsize=CACHED_PLACES)
        def cached_place_of(ip: str) -> Place:
            address = _address_of(ip)
            return NOWHERE if address is None else _place_from(databases, address)

        self._databases = databases
        self._cached_place_of = cached_place_of


class Mmdb:
    """One MaxMind DB file, of any schema listed above."""

    def __init__(self, file: Path, kind: CountryKind | None = None) -> None:
        self._reader = _open_mmdb(file)
        about = self._reader.metadata()
        self._answers_ipv6 = about.ip_version == 6
        self.damaged = 0
        self.remarks: list[str] = []
        sample = self._sample(file)
        columns = _columns_of(sample)
        if not columns:
            keys = ", ".join(sorted({_text(key) or "?" for r in sample for key in r})[:8])
            raise ConfigError(f"{file}: an MMDB of an unknown schema (keys: {keys}); {ACCEPTED}")
        name = _text(about.database_type) or ""
        if GENERIC_TYPE.fullmatch(name):
            name = file.stem
        self._flat_kind = kind or self._kind_of(file, sample, columns)
        kind_text = ", ".join(_kinds_in(columns, self._flat_kind))
        self.info = DatabaseInfo(name, kind_text, _day_of(about.build_epoch), str(file))
        self._countries: dict[tuple[str, CountryKind], Country] = {}

    def place_of(self, address: Address) -> Place:
        """Return what the file says of an address; a record it cannot read is counted."""
        if address.version == 6 and not self._answers_ipv6:
            return NOWHERE
        try:
            record: object = self._reader.get(address)
        except DAMAGE:
            self.damaged += 1
            return NOWHERE
        if not isinstance(record, dict):
            return NOWHERE
        return Place(tuple(self._countries_of(record)), _asn_of(record), _org_of(record))

    def _countries_of(self, record: Mapping[str, object]) -> Iterator[Country]:
        location = _code(_value(record, LOCATION))
        registration = _code(_value(record, REGISTRATION))
        if location is not None:
            yield self._country(location, CountryKind.LOCATION)
        if registration is not None:
            yield self._country(registration, CountryKind.REGISTRATION)
        flat = _flat_country_of(record)
        if flat is not None and location is None and registration is None:
            yield self._country(flat, self._flat_kind)

    def _country(self, code: str, kind: CountryKind) -> Country:
        # One object a country, however many addresses are in it.
        known = self._countries.get((code, kind))
        if known is None:
            known = Country(code, kind, self.info.name, self.info.built)
            self._countries[code, kind] = known
        return known

    def _kind_of(
        self, file: Path, sample: list[dict[str, object]], columns: set[str]
    ) -> CountryKind:
        if any(IPINFO_KEYS & record.keys() for record in sample):
            return CountryKind.LOCATION
        for word, kind in FLAT_KINDS:
            if word in file.stem.casefold():
                return kind
        if "flat" in columns:
            self.remarks.append(
                f"{file}: nothing says whether its countries are locations or registrations; "
                "taken as registrations, the weaker claim"
            )
        return CountryKind.REGISTRATION

    def _sample(self, file: Path) -> list[dict[str, object]]:
        try:
            found = list(islice(self._walk(IPv4Address, 32), SAMPLE_RECORDS))
            if self._answers_ipv6:
                found += islice(self._walk(IPv6Address, 128), SAMPLE_RECORDS)
        except DAMAGE as error:
            raise ConfigError(f"{file}: a damaged MMDB ({error}); {ACCEPTED}") from error
        if not found:
            raise ConfigError(f"{file}: an MMDB without a record; {ACCEPTED}")
        return found

    def _walk(self, family: type[Address], bits: int) -> Iterator[dict[str, object]]:
        # Step by step and counted: the reader's own iteration never ends on a hostile tree.
        key = 0
        for _ in range(SAMPLE_STEPS):
            record, length = self._reader.get_with_prefix_len(family(key))
            if isinstance(record, dict):
                yield record
            size = 1 << (bits - length)
            key = (key // size + 1) * size
            if key >> bits:
                return


class _Registration:
    """The country of registration, from the statistics files of the five registries."""

    def __init__(self) -> None:
        self.info = DatabaseInfo("iptocc", "registration country", _iptocc_built())
        self.remarks: list[str] = []
        self.damaged = 0

    def place_of(self, address: Address) -> Place:
        code = _code(country_code(str(address)))
        if code is None:
            return NOWHERE
        kind = CountryKind.REGISTRATION
        return Place((Country(code, kind, self.info.name, self.info.built),))


class _EmbeddedNetworks:
    """The prefix table that ships."""

    def __init__(self) -> None:
        try:
            self.table = load_networks()
        except (OSError, TableError) as error:
            raise ConfigError(f"the shipped table of networks: {error}; reinstall") from error
        self.info = DatabaseInfo(NETWORKS, "networks", self.table.built)
        self.remarks: list[str] = []
        self.damaged = 0

    def place_of(self, address: Address) -> Place:
        network = self.table.network_of(address)
        return NOWHERE if network is None else Place((), network.asn, network.org)


def _place_from(databases: Sequence[Database], address: Address) -> Place:
    places = [database.place_of(address) for database in databases]
    countries = tuple(country for place in places for country in place.countries)
    for place in places:
        if place.asn is not None or place.org is not None:
            return Place(countries, place.asn, place.org)
    return Place(countries) if countries else NOWHERE


def _open_mmdb(file: Path) -> maxminddb.Reader:
    try:
        if not file.is_file():  # a folder, or a pipe that would never end
            raise ConfigError(f"{file}: no such file; {ACCEPTED}")
        # Not the C extension: 3.2.0 dies of a record whose map has a key that is no text, one
        # changed byte in the file. In Python a lookup takes 8 us, once an address.
        return maxminddb.open_database(file, maxminddb.MODE_MMAP)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); {ACCEPTED}") from error
    except DAMAGE as error:
        raise ConfigError(f"{file}: not an MMDB file ({error}); {ACCEPTED}") from error


def _columns_of(sample: Sequence[Mapping[str, object]]) -> set[str]:
    columns: set[str] = set()
    for record in sample:
        if _code(_value(record, LOCATION)):
            columns.add("location")
        if _code(_value(record, REGISTRATION)):
            columns.add("registration")
        if _flat_country_of(record):
            columns.add("flat")
        if _asn_of(record) is not None or _org_of(record) is not None:
            columns.add("asn")
    return columns


def _kinds_in(columns: set[str], flat_kind: CountryKind) -> Iterator[str]:
    nested = columns & {kind.value for kind in CountryKind}
    for kind in CountryKind:
        # A flat country counts only where no nested one stands beside it.
        if kind.value in columns or (not nested and "flat" in columns and kind is flat_kind):
            yield f"{kind.value} country"
    if "asn" in columns:
        yield "asn"


def _flat_country_of(record: Mapping[str, object]) -> str | None:
    for path in FLAT_COUNTRIES:
        # In IPinfo's ASN file (it has `name`) `country` is the company's, not the address's.
        if path == ("country",) and "name" in record:
            continue
        code = _code(_value(record, path))
        if code is not None:
            return code
    return None


def _asn_of(record: Mapping[str, object]) -> int | None:
    for path in ASNS:
        value = _value(record, path)
        if isinstance(value, str):
            found = AS_NUMBER.fullmatch(value)
            value = int(found[1]) if found else None
        if type(value) is int and 0 < value <= MAX_AS_NUMBER:
            return value
    return None


def _org_of(record: Mapping[str, object]) -> str | None:
    for path in ORGS:
        if path == ("name",) and "asn" not in record:
            continue
        text = _text(_value(record, path))
        if text is not None:
            return text
    return None


def _value(record: Mapping[str, object], path: KeyPath) -> object:
    value: object = record
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _code(value: object) -> str | None:
    if not isinstance(value, str) or value in NO_COUNTRY:
        return None
    return value if COUNTRY_CODE.fullmatch(value) else None


def _text(value: object) -> str | None:
    # Foreign text ends up in terminals and JSON: one line, printable, bounded.
    if not isinstance(value, str):
        return None
    printable = "".join(c if c.isprintable() else " " for c in value[:MAX_TEXT])
    return " ".join(printable.split()) or None


def _address_of(ip: str) -> Address | None:
    try:
        return ip_address(ip)
    except ValueError:
        return None


def _warnings_of(database: Database, now: Nanoseconds) -> Iterator[str]:
    info = database.info
    name = f"{info.name} ({info.file})" if info.file else info.name
    if not info.built:
        yield f"{name}: its build date is unknown"
    else:
        today = date(1970, 1, 1) + timedelta(seconds=now // NANOSECONDS_PER_SECOND)
        age = today - date.fromisoformat(info.built)
        if age > MAX_AGE:
            yield (
                f"{name}: built {info.built}, {age.days} days before {today.isoformat()}; "
                "addresses change hands, use a newer one"
            )
    yield from database.remarks
    if database.damaged:
        yield f"{name}: {database.damaged} records could not be read"


def _day_of(epoch: int) -> str:
    try:
        return datetime.fromtimestamp(epoch, tz=UTC).date().isoformat()
    except (ValueError, OverflowError, OSError, TypeError):  # a damaged file can claim any number
        return ""


def _iptocc_built() -> str:
    # The package names no date of its data; the bill of materials in its wheel names the build's.
    for file in metadata.files("iptocc") or ():
        if file.name.endswith(".cyclonedx.json"):
            try:
                about: Any = json.loads(file.read_text())
                return date.fromisoformat(about["metadata"]["timestamp"][:10]).isoformat()
            except (OSError, ValueError, LookupError, TypeError):
                return ""
    return ""
