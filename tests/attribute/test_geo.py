"""Countries and networks: of the data that ships, and of MMDB files of every schema."""

from __future__ import annotations

import importlib.util
import sys
from array import array
from contextlib import suppress
from datetime import UTC, date, datetime
from importlib import metadata
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mmdb_writer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import IPSet  # type: ignore[import-untyped]  # it ships no types

from egressd.attribute import geo
from egressd.attribute.geo import Geo, Mmdb
from egressd.data import TableError, pack_table
from egressd.data.networks import DEFAULT_FILE, Network, NetworkClass, Networks
from egressd.model import ConfigError, Country, CountryKind, DatabaseInfo, Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parents[2]

BUILT = 1_793_491_200  # 2026-11-01T00:00:00Z, the build date of every file made here
DAY = 86_400 * 10**9
NOW = BUILT * 10**9 + DAY

LOCATION = CountryKind.LOCATION
REGISTRATION = CountryKind.REGISTRATION

# 192.0.2.0/24 (RFC 5737) and 2001:db8::/32 (RFC 3849) stand for addresses of any network.
V4 = "192.0.2.0/24"
V6 = "2001:db8::/32"

Record = dict[str, Any]
MakeMmdb = Any


@pytest.fixture
def make_mmdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a maker of small MMDB files, all built at the same moment."""
    monkeypatch.setattr("mmdb_writer.time.time", lambda: BUILT)

    def make(
        record: Record | None = None,
        *,
        name: str = "geo.mmdb",
        database_type: str = "GeoLite2-Country",
        ip_version: int = 6,
        records: dict[str, Record] | None = None,
    ) -> Path:
        writer = mmdb_writer.MMDBWriter(
            ip_version, database_type=database_type, ipv4_compatible=ip_version == 6
        )
        networks = [V4, V6] if ip_version == 6 else [V4]
        content: dict[str, Any] = records or dict.fromkeys(networks, record)
        for network, value in content.items():
            writer.insert_network(IPSet([network]), value)
        file = tmp_path / name
        writer.to_db_file(str(file))
        return file

    return make


@pytest.fixture(scope="module")
def embedded() -> Geo:
    return Geo()


# The data that ships.


@pytest.mark.parametrize("ip", ["47.88.59.209", "47.90.240.160", "47.74.255.9"])
def test_the_servers_of_the_yi_camera_are_alibaba_s(embedded: Geo, ip: str) -> None:
    # ../shared/pcaps/intl-iot__yi_camera_sample.pcap frames 192, 193, 194: the camera's
    # rendezvous datagrams (UDP 32100).
    place = embedded.place_of(ip)
    assert (place.asn, place.org) == (45102, "Alibaba")
    assert [(c.kind, c.database) for c in place.countries] == [(REGISTRATION, "iptocc")]
    assert embedded.network_of(ip) == Network(45102, "Alibaba", NetworkClass.CLOUD)


@pytest.mark.parametrize(
    ("ip", "asn", "org"),
    [
        # Addresses their operators publish: DNS resolvers, and Apple's 17.0.0.0/8.
        ("8.8.8.8", 15169, "Google"),
        ("1.1.1.1", 13335, "Cloudflare"),
        ("2606:4700:4700::1111", 13335, "Cloudflare"),
        ("119.29.29.29", 132203, "Tencent"),
        ("2400:3200::1", 37963, "Alibaba"),
        ("17.57.144.10", 714, "Apple"),
    ],
)
def test_a_known_address_has_its_network(embedded: Geo, ip: str, asn: int, org: str) -> None:
    place = embedded.place_of(ip)
    assert (place.asn, place.org) == (asn, org)


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        ("193.0.6.139", "NL"),  # RIPE NCC's own network, Amsterdam
        ("2001:67c:2e8::1", "NL"),
        ("8.8.8.8", "US"),  # ARIN
    ],
)
def test_a_registry_says_where_a_block_is_registered(embedded: Geo, ip: str, code: str) -> None:
    (country,) = embedded.place_of(ip).countries
    assert (country.code, country.kind, country.database) == (code, REGISTRATION, "iptocc")
    assert country.built == date.fromisoformat(country.built).isoformat()


@pytest.mark.parametrize(
    "ip",
    [
        "192.0.2.1",
        "2001:db8::1",
        "10.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:8.8.8.8",
        "",
        "gate-1",
        "1.2.3",
        "1.2.3.4/24",
        "\ud800",
    ],
)
def test_nothing_is_said_of_an_address_of_nobody(embedded: Geo, ip: str) -> None:
    assert embedded.place_of(ip) == Place()
    assert embedded.network_of(ip) is None


def test_the_embedded_data_names_itself_and_its_date(embedded: Geo) -> None:
    registration, networks = embedded.databases
    assert (registration.name, registration.kind) == ("iptocc", "registration country")
    assert registration.built >= "2026-10-27"
    assert networks == DatabaseInfo("egressd-networks", "networks", "2026-06-17")


def test_the_embedded_data_can_be_left_out() -> None:
    alone = Geo(embedded=False)
    assert alone.databases == []
    assert alone.place_of("8.8.8.8") == Place()
    assert alone.network_of("8.8.8.8") is None


def test_the_table_of_networks_names_its_sources_in_its_first_lines() -> None:
    head = DEFAULT_FILE.read_bytes().partition(b"\n\n")[0].decode()
    assert all(word in head for word in ("CC BY 4.0", "RouteViews", "NRO", "DB-IP", "modified"))
    assert DEFAULT_FILE.stat().st_size < 600_000


@settings(max_examples=200)
@given(st.ip_addresses().map(str) | st.text(max_size=20))
def test_any_text_is_answered(ip: str) -> None:
    assert isinstance(SHARED.place_of(ip), Place)


SHARED = Geo()


# MMDB files.

GEOLITE2 = {
    "continent": {"code": "EU", "names": {"en": "Europe"}},
    "country": {"geoname_id": 2921044, "iso_code": "DE", "names": {"en": "Germany"}},
    "registered_country": {"geoname_id": 6252001, "iso_code": "US", "names": {"en": "USA"}},
}


@pytest.mark.parametrize(
    ("name", "database_type", "record", "countries", "asn", "org"),
    [
        pytest.param(
            "GeoLite2-Country.mmdb",
            "GeoLite2-Country",
            GEOLITE2,
            [("DE", LOCATION), ("US", REGISTRATION)],
            None,
            None,
            id="GeoLite2 country, both kinds",
        ),
        pytest.param(
            "GeoLite2-ASN.mmdb",
            "GeoLite2-ASN",
            {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
            [],
            64496,
            "Example",
            id="GeoLite2 and DB-IP asn",
        ),
        pytest.param(
            "GeoIP2-Enterprise.mmdb",
            "GeoIP2-Enterprise",
            {
                "country": {"iso_code": "DE"},
                "traits": {
                    "autonomous_system_number": 64496,
                    "autonomous_system_organization": "Example",
                },
            },
            [("DE", LOCATION)],
            64496,
            "Example",
            id="GeoIP2 Enterprise",
        ),
        pytest.param(
            "dbip-country-lite-2026-11.mmdb",
            "DBIP-Country-Lite",
            {"continent": {"code": "EU"}, "country": {"iso_code": "DE", "is_in_european_union": 1}},
            [("DE", LOCATION)],
            None,
            None,
            id="DB-IP country",
        ),
        pytest.param(
            "ipinfo_lite.mmdb",
            "ipinfo generic_mmdb_lite.mmdb",
            {
                "asn": "AS64496",
                "as_name": "Example, Inc.",
                "as_domain": "example.com",
                "continent_code": "EU",
                "country": "Germany",
                "country_code": "DE",
            },
            [("DE", LOCATION)],
            64496,
            "Example, Inc.",
            id="IPinfo Lite",
        ),
        pytest.param(
            "country_asn.mmdb",
            "ipinfo country_asn.mmdb",
            {
                "asn": "AS64496",
                "as_name": "Example, Inc.",
                "as_domain": "example.com",
                "country": "DE",
                "country_name": "Germany",
            },
            [("DE", LOCATION)],
            64496,
            "Example, Inc.",
            id="IPinfo country and asn",
        ),
        pytest.param(
            "asn.mmdb",
            "ipinfo standard_asn.mmdb",
            {"asn": "AS64496", "domain": "example.com", "name": "Example, Inc.", "country": "US"},
            [],
            64496,
            "Example, Inc.",
            id="IPinfo asn: its country is the company's",
        ),
        # The metadata of every ip-location-db file is as these.
        pytest.param(
            "dbip-country.mmdb",
            "country ipvAll",
            {"country_code": "DE"},
            [("DE", LOCATION)],
            None,
            None,
            id="ip-location-db location",
        ),
        pytest.param(
            "iptoasn-country.mmdb",
            "country ipvAll",
            {"country_code": "DE"},
            [("DE", REGISTRATION)],
            None,
            None,
            id="ip-location-db AS registrant",
        ),
        pytest.param(
            "geo-whois-asn-country.mmdb",
            "country ipvAll",
            {"country_code": "DE"},
            [("DE", REGISTRATION)],
            None,
            None,
            id="ip-location-db whois",
        ),
        pytest.param(
            "asn.mmdb",
            "asn ipvAll",
            {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
            [],
            64496,
            "Example",
            id="ip-location-db asn",
        ),
        pytest.param(
            "origin-asn.mmdb",
            "asn ipvAll",
            {"asn": 64496},
            [],
            64496,
            None,
            id="asn alone",
        ),
    ],
)
def test_every_schema_is_recognised_by_itself(  # noqa: PLR0913, PLR0917 - one table of facts
    make_mmdb: MakeMmdb,
    name: str,
    database_type: str,
    record: Record,
    countries: list[tuple[str, CountryKind]],
    asn: int | None,
    org: str | None,
) -> None:
    one = Geo([make_mmdb(record, name=name, database_type=database_type)], embedded=False)
    expected_name = database_type if "ipvAll" not in database_type else name.removesuffix(".mmdb")
    for ip in ("192.0.2.1", "2001:db8::1"):
        assert one.place_of(ip) == Place(
            tuple(Country(code, kind, expected_name, "2026-11-01") for code, kind in countries),
            asn,
            org,
        )
    assert one.place_of("198.51.100.1") == Place()
    assert one.warnings(NOW) == []
    (info,) = one.databases
    assert info.name == expected_name
    assert info.built == "2026-11-01"
    assert ("asn" in info.kind) == (asn is not None)
    assert [k for k in CountryKind if k.value in info.kind] == [kind for _, kind in countries]


def test_databases_that_disagree_are_all_quoted(make_mmdb: MakeMmdb) -> None:
    # 47.254.128.1, Alibaba in Frankfurt: three files of June 2026 said DE, US and CN.
    network = "47.254.128.0/17"
    files = [
        make_mmdb(name=name, database_type="country ipvAll", records={network: {"country_code": c}})
        for name, c in [
            ("dbip-country.mmdb", "DE"),
            ("geo-whois-asn-country.mmdb", "US"),
            ("iptoasn-country.mmdb", "CN"),
        ]
    ]
    place = Geo(files).place_of("47.254.128.1")
    assert [(c.code, c.kind, c.database) for c in place.countries[:3]] == [
        ("DE", LOCATION, "dbip-country"),
        ("US", REGISTRATION, "geo-whois-asn-country"),
        ("CN", REGISTRATION, "iptoasn-country"),
    ]
    assert [c.database for c in place.countries[3:]] == ["iptocc"]
    assert (place.asn, place.org) == (45102, "Alibaba")


def test_the_first_database_with_an_as_names_it(make_mmdb: MakeMmdb) -> None:
    records = {"8.8.8.0/24": {"asn": "AS64496", "as_name": "Example"}}
    file = make_mmdb(database_type="ipinfo asn", records=records)
    country = make_mmdb(GEOLITE2, name="country.mmdb")
    both = Geo([country, file])
    assert (both.place_of("8.8.8.8").asn, both.place_of("8.8.8.8").org) == (64496, "Example")
    assert both.place_of("1.1.1.1").asn == 13335


def test_a_flat_country_of_unknown_kind_is_a_registration_and_said_so(make_mmdb: MakeMmdb) -> None:
    file = make_mmdb({"country_code": "DE"}, name="countries.mmdb", database_type="")
    unsure = Geo([file], embedded=False)
    assert unsure.place_of("192.0.2.1").countries[0].kind is REGISTRATION
    (warning,) = unsure.warnings(NOW)
    assert "locations or registrations" in warning
    told = Geo([file], kinds={file: LOCATION}, embedded=False)
    assert told.place_of("192.0.2.1").countries[0].kind is LOCATION
    assert told.warnings(NOW) == []


def test_an_ipv4_file_says_nothing_of_ipv6(make_mmdb: MakeMmdb) -> None:
    one = Geo([make_mmdb(GEOLITE2, ip_version=4)], embedded=False)
    assert one.place_of("192.0.2.1").countries
    assert one.place_of("2001:db8::1") == Place()
    assert one.damaged == {}


def test_an_ipv6_only_file_is_recognised(make_mmdb: MakeMmdb) -> None:
    one = Geo([make_mmdb(records={V6: GEOLITE2})], embedded=False)
    assert one.place_of("2001:db8::1").countries
    assert one.place_of("192.0.2.1") == Place()


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"country": {"iso_code": "XX"}}, id="user-assigned code for unknown"),
        pytest.param({"country": {"iso_code": "ZZ"}}, id="registries' code for unknown"),
        pytest.param({"country": {"iso_code": "deu"}}, id="three letters"),
        pytest.param({"country": {"iso_code": 49}}, id="a number"),
        pytest.param({"country": ["DE"]}, id="a list"),
        pytest.param({"asn": "64496 or so"}, id="AS with words"),
        pytest.param({"asn": 0}, id="AS 0"),
        pytest.param({"asn": 2**32}, id="AS beyond 32 bits"),
        pytest.param({"asn": True}, id="AS true"),
        pytest.param({"autonomous_system_organization": "\x1b\x00"}, id="no printable name"),
        pytest.param({"as_name": ["Example"]}, id="name in a list"),
    ],
)
def test_a_value_that_makes_no_sense_is_no_answer(make_mmdb: MakeMmdb, record: Record) -> None:
    records = {"198.51.100.0/24": GEOLITE2, V4: record}
    assert Geo([make_mmdb(records=records)], embedded=False).place_of("192.0.2.1") == Place()


def test_a_record_that_is_no_map_is_no_answer(make_mmdb: MakeMmdb) -> None:
    records: dict[str, Any] = {"198.51.100.0/24": GEOLITE2, V4: "DE"}
    assert Geo([make_mmdb(records=records)], embedded=False).place_of("192.0.2.1") == Place()


def test_a_name_is_one_printable_line_of_bounded_length(make_mmdb: MakeMmdb) -> None:
    record = {"asn": 64496, "as_name": "Exa\x1b[31m\nmple " + "x" * 5000}
    place = Geo([make_mmdb(record)], embedded=False).place_of("192.0.2.1")
    assert place.org is not None
    assert place.org.startswith("Exa [31m mple xxx")
    assert place.org.isprintable()
    assert len(place.org) <= 200


# Files that cannot be used.


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "not an MMDB file", id="empty"),
        pytest.param(b"<html>404</html>", "not an MMDB file", id="a web page"),
        pytest.param(b"\xab\xcd\xefMaxMind.com", "not an MMDB file", id="a marker alone"),
        pytest.param(b"\xab\xcd\xefMaxMind.com\xe0", "not an MMDB file", id="empty metadata"),
    ],
)
def test_what_is_no_mmdb_is_a_config_error(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "geo.mmdb"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        Geo([file])
    assert str(caught.value).startswith(str(file))
    assert "GeoLite2" in str(caught.value)


@pytest.mark.parametrize("name", ["absent.mmdb", "", "nul\0"], ids=["absent", "folder", "NUL"])
def test_a_missing_file_is_a_config_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Geo([tmp_path / name])


def test_a_file_that_may_not_be_read_is_a_config_error(
    make_mmdb: MakeMmdb, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    file = make_mmdb(GEOLITE2)
    monkeypatch.setattr("egressd.attribute.geo.maxminddb.open_database", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        Geo([file])


def test_an_unknown_schema_is_a_config_error_that_names_its_keys(make_mmdb: MakeMmdb) -> None:
    file = make_mmdb({"is_proxy": True, "score": 3}, database_type="Proxies")
    with pytest.raises(ConfigError, match=r"unknown schema \(keys: is_proxy, score\)"):
        Geo([file])


def test_a_file_without_a_record_is_a_config_error(make_mmdb: MakeMmdb) -> None:
    with pytest.raises(ConfigError, match="without a record"):
        Geo([make_mmdb(records={V4: "DE"})])


def test_a_tree_that_leads_nowhere_is_given_up(make_mmdb: MakeMmdb) -> None:
    # A /24 needs 24 nodes of two 24-bit records. Here both lead to the next node and the last to
    # nothing: 2**24 empty paths, of which a plain walk would try each.
    file = make_mmdb(GEOLITE2, ip_version=4)
    data = file.read_bytes()
    tree = b"".join(n.to_bytes(3, "big") * 2 for n in range(1, 25))
    file.unlink()
    file.write_bytes(tree + data[len(tree) :])
    with pytest.raises(ConfigError, match="without a record"):
        Geo([file])


def test_a_cut_file_is_a_config_error(make_mmdb: MakeMmdb) -> None:
    file = make_mmdb(GEOLITE2)
    whole = file.read_bytes()
    # A cut inside the metadata can lose the end of the build date alone, which nothing shows.
    for end in range(0, whole.index(b"\xab\xcd\xefMaxMind.com"), 7):
        file.unlink()
        file.write_bytes(whole[:end])
        with pytest.raises(ConfigError):
            Geo([file])


def test_a_record_that_cannot_be_read_is_counted(make_mmdb: MakeMmdb) -> None:
    # 20 good records before it, so that the sample taken at the start does not see it.
    records: dict[str, Any] = {f"10.{n}.0.0/16": {"country_code": "DE"} for n in range(20)}
    file = make_mmdb(records={**records, V4: {"country_code": "FR"}}, name="user-country.mmdb")
    data = file.read_bytes()
    # MaxMind DB 2.0, "Output Data Section": 0x42 is a text of two bytes, in UTF-8.
    assert data.count(b"\x42FR") == 1
    file.unlink()
    file.write_bytes(data.replace(b"\x42FR", b"\x42\xff\xff"))
    damaged = Geo([file], embedded=False)
    assert damaged.place_of("10.1.0.1").countries[0].code == "DE"
    assert damaged.place_of("192.0.2.1") == Place()
    assert damaged.damaged == {"GeoLite2-Country": 1}
    assert any("1 records could not be read" in text for text in damaged.warnings(NOW))


def test_no_damage_to_a_file_is_anything_but_a_config_error(
    make_mmdb: MakeMmdb, tmp_path: Path
) -> None:
    whole = make_mmdb(GEOLITE2).read_bytes()
    file = tmp_path / "damaged.mmdb"

    @settings(max_examples=200)
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=6))
    def damage(changes: list[tuple[int, int]]) -> None:
        data = bytearray(whole)
        for at, value in changes:
            data[at] = value
        file.unlink(missing_ok=True)  # never rewritten in place: an older map may be open
        file.write_bytes(data)
        with suppress(ConfigError):
            opened = Mmdb(file)
            for ip in ("192.0.2.1", "2001:db8::1", "8.8.8.8"):
                opened.place_of(ip_address(ip))

    damage()


def test_a_build_date_beyond_the_calendar_is_unknown(
    make_mmdb: MakeMmdb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdb_writer.time.time", lambda: 2**63)
    one = Geo([make_mmdb(GEOLITE2)], embedded=False)
    assert one.place_of("192.0.2.1").countries[0].built == ""
    assert ["its build date is unknown" in text for text in one.warnings(NOW)] == [True]


# Age, reload, cache.


@pytest.mark.parametrize(("days", "old"), [(0, False), (45, False), (46, True), (400, True)])
def test_data_older_than_45_days_is_warned_of(make_mmdb: MakeMmdb, days: int, old: bool) -> None:  # noqa: FBT001 - a parameter of the test
    file = make_mmdb(GEOLITE2)
    warnings = Geo([file], embedded=False).warnings(BUILT * 10**9 + days * DAY)
    assert bool(warnings) is old
    if old:
        assert f"built 2026-11-01, {days} days before" in warnings[0]
        assert str(file) in warnings[0]


def test_data_younger_than_a_capture_is_no_reason_to_warn(make_mmdb: MakeMmdb) -> None:
    assert Geo([make_mmdb(GEOLITE2)]).warnings(0) == []


def test_the_shipped_networks_grow_old_too(embedded: Geo) -> None:
    late = datetime(2026, 8, 2, tzinfo=UTC).timestamp()  # 46 days after 2026-06-17
    (warning,) = embedded.warnings(int(late) * 10**9)
    assert warning.startswith("egressd-networks: built 2026-06-17, 46 days before 2026-08-02")


def test_a_reload_answers_from_the_new_file(make_mmdb: MakeMmdb, tmp_path: Path) -> None:
    file = make_mmdb({"country": {"iso_code": "DE"}})
    one = Geo([file], embedded=False)
    assert one.place_of("192.0.2.1").countries[0].code == "DE"
    make_mmdb({"country": {"iso_code": "FR"}}, name="newer.mmdb").replace(file)
    assert one.place_of("192.0.2.1").countries[0].code == "DE"
    one.reload()
    assert one.place_of("192.0.2.1").countries[0].code == "FR"
    assert (tmp_path / "geo.mmdb").exists()


def test_a_failed_reload_keeps_the_old_file(make_mmdb: MakeMmdb, tmp_path: Path) -> None:
    file = make_mmdb({"country": {"iso_code": "DE"}})
    one = Geo([file])
    before = one.databases
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"<html>")
    broken.replace(file)
    with pytest.raises(ConfigError):
        one.reload()
    assert one.place_of("192.0.2.1").countries[0].code == "DE"
    assert one.databases == before


def test_an_address_is_looked_up_once(make_mmdb: MakeMmdb) -> None:
    one = Geo([make_mmdb(GEOLITE2)])
    assert one.place_of("192.0.2.1") is one.place_of("192.0.2.1")


# The date of iptocc.


class _Bill:
    """A bill of materials as a wheel has it."""

    name = "iptocc-py.cyclonedx.json"

    def __init__(self, text: str) -> None:
        self.text = text

    def read_text(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("bills", "built"),
    [
        pytest.param(
            [_Bill('{"metadata": {"timestamp": "2026-10-27T05:11:26Z"}}')], "2026-10-27", id="date"
        ),
        pytest.param([_Bill('{"metadata": {"timestamp": "soon"}}')], "", id="no date"),
        pytest.param([_Bill('{"metadata": {"timestamp": 3}}')], "", id="a number"),
        pytest.param([_Bill("[]")], "", id="another shape"),
        pytest.param([_Bill("{")], "", id="not JSON"),
        pytest.param([Path("iptocc/__init__.py")], "", id="no bill"),
        pytest.param(None, "", id="no list of files"),
    ],
)
def test_the_date_of_iptocc_is_that_of_its_bill_of_materials(
    monkeypatch: pytest.MonkeyPatch, bills: list[object] | None, built: str
) -> None:
    monkeypatch.setattr(metadata, "files", lambda _: bills)
    assert Geo().databases[0].built == built


# The table of networks.

NETWORKS_YAML = """
- organisation: Example
  class: cloud
  registered_as: [example]
  as: [64496, 64497]
- organisation: Example CDN
  class: cdn
  registered_as: [delivery]
  as: [64498]
"""
# First address, last address, AS, registered name; 3221225984 is 192.0.2.0.
V4_CSV = """\
3221225984,3221226111,64496,"Example, Inc."
3221226112,3221226239,64496,"Example, Inc."
3221226200,3221226210,64498,Delivery Ltd
3325256704,3325256959,64498,Delivery Ltd
3405803776,3405804031,64499,Somebody else
"""
# 2001:db8::/64 whole; 2001:db8:1::5 alone, in no whole /64.
V6_CSV = """\
42540766411282592856903984951653826560,42540766411282592875350729025363378175,64498,Delivery Ltd
42540766412491518676518199193852805125,42540766412491518676518199193852805125,64496,"Example, Inc."
"""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    path = ROOT / "scripts" / "build_networks.py"
    spec = importlib.util.spec_from_file_location("build_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _run(
    build: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, choice: str = NETWORKS_YAML
) -> Path:
    (folder / "asn-ipv4-num.csv").write_text(V4_CSV)
    (folder / "asn-ipv6-num.csv").write_text(V6_CSV)
    (folder / "networks.yaml").write_text(choice)
    out = folder / "networks.bin"
    arguments = ["--built", "2026-11-01", "--out", str(out), "--choice"]
    monkeypatch.setattr(
        sys, "argv", ["build_networks.py", *arguments, str(folder / "networks.yaml"), str(folder)]
    )
    assert build.main() == 0
    return out


def test_the_script_keeps_the_chosen_networks(
    build: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    networks = Networks(_run(build, tmp_path, monkeypatch).read_bytes())
    example = Network(64496, "Example", NetworkClass.CLOUD)
    delivery = Network(64498, "Example CDN", NetworkClass.CDN)
    for ip, network in {
        "192.0.1.255": None,
        "192.0.2.0": example,
        "192.0.2.220": example,
        "192.0.2.255": example,
        "192.0.3.0": None,
        "198.51.100.0": delivery,
        "198.51.100.255": delivery,
        "198.51.101.0": None,
        "203.0.113.1": None,
        "2001:db8::": delivery,
        "2001:db8::ffff:ffff:ffff:ffff": delivery,
        "2001:db8:0:1::": None,
        "2001:db8:1::5": None,
        "::": None,
    }.items():
        assert networks.network_of(ip_address(ip)) == network, ip
    assert (networks.count, networks.built) == (3, "2026-11-01")
    assert capsys.readouterr().err.splitlines() == [
        "1 ranges dropped: they overlap or run backwards",
        "1 ranges dropped: they hold no whole /64",
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("[example]", "[exemplar]", "registered as 'Example, Inc.'", id="another name"),
        pytest.param("[64498]", "[64496]", "AS64496 is chosen twice", id="twice"),
        pytest.param("class: cdn", "class: cdn\n  class: cdn", "networks.yaml", id="twice a key"),
    ],
)
def test_the_script_stops_at_a_mistake_in_the_choice(  # noqa: PLR0913, PLR0917 - fixtures and one table
    build: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    says: str,
) -> None:
    with pytest.raises(SystemExit, match=says):
        _run(build, tmp_path, monkeypatch, NETWORKS_YAML.replace(old, new))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({}, "not a table of networks", id="no columns"),
        pytest.param({"networks": b"64496 cloud\n"}, "not a table of networks", id="no name"),
        pytest.param({"networks": b"64496 zoo Example\n"}, "not a table", id="unknown class"),
        pytest.param({"networks": b""}, "does not list", id="a number without a network"),
        pytest.param({"end4": b""}, "differ in length", id="a start without an end"),
    ],
)
def test_a_table_of_networks_that_contradicts_itself_is_refused(
    changes: dict[str, bytes], says: str
) -> None:
    names = ("start4", "end4", "network4", "start6", "end6", "network6", "networks")
    content = dict.fromkeys(names, b"\0") | {"networks": b"64496 cloud Example\n"} | changes
    columns = {name: array("B", value) for name, value in content.items()} if changes else {}
    with pytest.raises(TableError, match=says):
        Networks(pack_table({}, columns))


def test_a_damaged_installation_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise TableError("cut")

    monkeypatch.setattr(geo, "load_networks", refuse)
    with pytest.raises(ConfigError, match="reinstall"):
        Geo()
