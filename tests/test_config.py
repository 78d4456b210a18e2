"""A site file becomes one frozen site, or one error that tells everything wrong with it."""

from __future__ import annotations

import json
import pickle
import runpy
import subprocess
import sys
import time
from contextlib import suppress
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.config import Permit, Prefix, Site, SiteDevice, default_site, load_site
from egressd.model import ConfigError, Kind
from egressd.yamlfile import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[1]

EXAMPLE = """\
site: {name: Depot North, networks: [10.20.0.0/16, "fd12:3456::/32"],
       resolvers: [10.20.200.53], ntp: [10.20.200.123]}
cameras:   [{name: gate-1, mac: "44:19:b6:a0:00:01", vendor: hikvision}, {network: 10.20.30.0/24}]
recorders: [{name: nvr, ip: 10.20.200.10}]
permit:
  - {from: gate-1, to: vms.example.org, port: 443, why: "contract 12", until: 2027-01-01}
"""
NETWORKS = "site: {networks: [10.0.0.0/8]}\n"


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Site]:
    def load_text(text: str) -> Site:
        file = tmp_path / "site.yaml"
        file.write_text(text, "utf-8")
        return load_site(file)

    return load_text


@pytest.fixture
def errors(tmp_path: Path) -> Callable[[str], list[str]]:
    def errors_of(text: str) -> list[str]:
        file = tmp_path / "site.yaml"
        file.write_text(text, "utf-8")
        with pytest.raises(ConfigError) as caught:
            load_site(file)
        return str(caught.value).replace(str(file), "f").splitlines()

    return errors_of


def test_the_example_of_the_contract_is_read(load: Callable[[str], Site]) -> None:
    site = load(EXAMPLE)
    assert site.name == "Depot North"
    assert site.networks == (ip_network("10.20.0.0/16"), ip_network("fd12:3456::/32"))
    assert site.resolvers == ("10.20.200.53",)
    assert site.ntp == ("10.20.200.123",)
    assert site.cameras == (
        SiteDevice("gate-1", Kind.CAMERA, "44:19:b6:a0:00:01", None, None, "hikvision", 3),
        SiteDevice(None, Kind.CAMERA, None, None, ip_network("10.20.30.0/24"), None, 3),
    )
    assert site.recorders == (
        SiteDevice("nvr", Kind.RECORDER, None, "10.20.200.10", None, None, 4),
    )
    assert site.permits == (
        Permit("gate-1", "vms.example.org", 443, "contract 12", date(2027, 1, 1), 6),
    )
    assert site.warnings == ()
    assert site.file is not None
    assert site.file.endswith("site.yaml")


def test_only_networks_must_be_there(load: Callable[[str], Site]) -> None:
    site = load(NETWORKS)
    assert (site.name, site.cameras, site.recorders, site.permits) == (None, (), (), ())


def test_a_doorbell_is_a_kind_of_camera(load: Callable[[str], Site]) -> None:
    site = load(NETWORKS + "cameras: [{ip: 10.0.0.9, kind: doorbell}]")
    assert site.cameras[0].kind is Kind.DOORBELL
    assert site.devices == site.cameras


def test_texts_become_canonical(load: Callable[[str], Site]) -> None:
    site = load(
        'site: {networks: ["FD00:0::/8"]}\n'
        'cameras: [{mac: 4419.B6A0.0001, ip: "FD00:0:0::1"}]\n'
        "permit: [{from: 44-19-B6-A0-00-01, to: VMS.Example.org.}, "
        '         {from: 192.0.2.1/32, to: "2001:DB8::/32"}]\n'
    )
    assert site.cameras[0].mac == "44:19:b6:a0:00:01"
    assert site.cameras[0].ip == "fd00::1"
    assert [(p.from_, p.to) for p in site.permits] == [
        ("44:19:b6:a0:00:01", "vms.example.org"),
        ("192.0.2.1", "2001:db8::/32"),
    ]


WRONG = {
    "host bits": (
        "site: {networks: [10.20.0.1/16]}",
        "f:1:19: site.networks[0]: '10.20.0.1/16' has host bits set; write 10.20.0.0/16",
    ),
    "everything": (
        "site: {networks: [0.0.0.0/0]}",
        "f:1:19: site.networks[0]: 0.0.0.0/0 is the whole",
    ),
    "a number": (
        "site: {networks: [10.20]}",
        "f:1:19: site.networks[0]: is the number 10.2; write it in quotes",
    ),
    "no networks": ("site: {name: x}", "f:1:7: site.networks: is missing; write networks: [10.20"),
    "empty list": ("site: {networks: []}", "f:1:18: site.networks: is empty; write at least one"),
    "no site": ("cameras: []", "f:1:1: site: is missing; write site: {networks: [10.20.0.0/16]}"),
    "unknown key": (
        NETWORKS + "camera: []",
        "f:2:1: camera: unknown key; did you mean 'cameras'? write one of site, cameras, recorders",
    ),
    "unknown key in a list": (
        NETWORKS + "cameras:\n  - {ip: 10.0.0.1, vendr: x}",
        "f:3:20: cameras[0].vendr: unknown key; did you mean 'vendor'? write one of name, mac",
    ),
    "unknown word": (
        NETWORKS + "cameras: [{ip: 10.0.0.1, kind: dorbell}]",
        "f:2:32: cameras[0].kind: is 'dorbell'; did you mean 'doorbell'? write one",
    ),
    "a list is text": (
        "site: {networks: 10.0.0.0/8}",
        "f:1:18: site.networks: is the text '10.0.0.0/8'; write a list",
    ),
    "a list is a mapping": (
        NETWORKS + "cameras: {ip: 10.0.0.1}",
        "f:2:10: cameras: is a mapping; write a list",
    ),
    "a mapping is a list": ("site: [a]", "f:1:7: site: is a list; write a mapping"),
    "the file is a list": ("[a]", "f:1:1: is a list; write a mapping, {key: value}"),
    "left empty": (NETWORKS + "cameras:", "cameras: is empty; write a list, [one, two], or remove"),
    "bad mac": (NETWORKS + "cameras: [{mac: 44:19}]", "f:2:17: cameras[0].mac: '44:19' is no MAC"),
    "bad ip": (NETWORKS + "cameras: [{ip: 10.0.0.300}]", "cameras[0].ip: '10.0.0.300' is no IP"),
    "no selector": (
        NETWORKS + "cameras: [{name: x}]",
        "f:2:11: cameras[0]: names no device; write its mac, ip or network",
    ),
    "mac twice": (
        NETWORKS + "cameras:\n- mac: 44:19:b6:a0:00:01\n- mac: 4419.b6a0.0001",
        "f:4:8: cameras[1].mac: 44:19:b6:a0:00:01 is listed twice, first in line 3; remove one",
    ),
    "ip twice": (
        NETWORKS + "cameras: [{ip: 10.0.0.1}]\nrecorders: [{ip: 10.0.0.1}]",
        "f:3:18: recorders[0].ip: 10.0.0.1 is listed twice, first in line 2",
    ),
    "name twice": (
        NETWORKS + "cameras: [{name: a, ip: 10.0.0.1}, {name: a, ip: 10.0.0.2}]",
        "f:2:43: cameras[1].name: a is listed twice",
    ),
    "name like an address": (
        NETWORKS + "cameras: [{name: 10.0.0.1, ip: 10.0.0.1}]",
        "cameras[0].name: '10.0.0.1' reads like an address",
    ),
    "long name": (NETWORKS + f"cameras: [{{name: {'a' * 65}, ip: 10.0.0.1}}]", "longer than 64"),
    "two lines": (NETWORKS + 'permit: [{to: 192.0.2.1, why: "a\\nb"}]', "is no line of text"),
    "vendor": (NETWORKS + "cameras: [{ip: 10.0.0.1, vendor: Hik Vision}]", "is no vendor's id"),
    "from nobody": (
        NETWORKS
        + "cameras: [{name: gate-1, ip: 10.0.0.1}]\npermit: [{from: gate1, to: 192.0.2.1}]",
        "f:3:17: permit[0].from: no listed device is named 'gate1'; did you mean 'gate-1'? write",
    ),
    "from a bad network": (
        NETWORKS + "permit: [{from: 10.0.0.1/8, to: a.example}]",
        "host bits set",
    ),
    "no to": (NETWORKS + "permit: [{}]", "f:2:10: permit[0].to: is missing; write to: vms.example"),
    "one label": (NETWORKS + "permit: [{to: org}]", "permit[0].to: 'org' has one label"),
    "public suffix": (
        NETWORKS + "permit: [{to: co.uk}]",
        "permit[0].to: 'co.uk' belongs to nobody",
    ),
    "quoted port": (
        NETWORKS + 'permit: [{to: a.example, port: "443"}]',
        "permit[0].port: is the text '443'; write a whole number, without quotes",
    ),
    "high port": (
        NETWORKS + "permit: [{to: a.example, port: 70000}]",
        "is 70000; write at most 65535",
    ),
    "port zero": (NETWORKS + "permit: [{to: a.example, port: 0}]", "is 0; write at least 1"),
    "port yes": (
        NETWORKS + "permit: [{to: a.example, port: true}]",
        "port: is true; write a whole",
    ),
    "icmp port": (
        NETWORKS + "permit: [{to: a.example, port: 1, transport: icmp}]",
        "f:2:32: permit[0].port: ICMP has no ports; remove the port",
    ),
    "no such day": (
        NETWORKS + "permit: [{to: a.example, until: 2027-02-30}]",
        "is no date; write year",
    ),
    "no date": (
        NETWORKS + "permit: [{to: a.example, until: soon}]",
        "'soon' is no date; write year",
    ),
    "two small": (NETWORKS + "permit: [{to: a.example, from: a.b.c}]", "no listed device is named"),
    "a section of words": (
        NETWORKS + "recorders: [nvr]",
        "recorders[0]: is the text 'nvr'; write a map",
    ),
    "many": (
        NETWORKS + f"cameras: [{'a,' * 50_001}]",
        "f:2:10: cameras: is longer than 50000; write networks instead of single entries",
    ),
    "a short date": (NETWORKS + "permit: [{to: a.example, until: 20270101}]", "write it in quotes"),
    "duplicate key": (NETWORKS + NETWORKS, "f:2:1: site: is written twice, first in line 1"),
    "empty file": ("", "f:1:1: is empty; write site: {networks: [10.20.0.0/16]}"),
    "a tab": ("site:\n\tnetworks: []", "f:2:1: a tab is no indentation; write spaces"),
}


@pytest.mark.parametrize(("text", "told"), WRONG.values(), ids=WRONG.keys())
def test_an_error_says_where_what_and_what_to_write(
    errors: Callable[[str], list[str]], text: str, told: str
) -> None:
    lines = errors(text)
    assert len(lines) == 1
    assert told in lines[0]
    assert lines[0].startswith("f:")


def test_all_errors_are_told_at_once_in_the_order_of_the_file(
    errors: Callable[[str], list[str]],
) -> None:
    lines = errors(
        "site:\n"
        "  networks: [10.20.0.1/16]\n"
        "  resolver: [10.20.200.53]\n"
        "cameras:\n"
        "  - {name: gate-1, mac: 44:19:b6:a0:00:01, mac: 44:19:b6:a0:00:02}\n"
        "  - {mac: 4419.b6a0.0001}\n"
        "permit:\n"
        "  - {from: gate-2, to: &x a.example, port: 99999}\n"
    )
    assert [line.split(": ")[1] for line in lines] == [
        "site.networks[0]",
        "site.resolver",
        "cameras[0].mac",
        "cameras[1].mac",
        "permit[0].from",
        "permit[0].to",
        "permit[0].port",
    ]


def test_an_alias_is_told_once(errors: Callable[[str], list[str]]) -> None:
    lines = errors("site: &s {networks: [10.0.0.0/8]}\ncameras: *s\n")
    assert [line.split(": ")[1] for line in lines] == ["site", "cameras"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory"):
        load_site(tmp_path / "none.yaml")


def test_slips_are_warnings(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        NETWORKS
        + "cameras:\n- {ip: 192.168.1.9}\n- {network: 8.0.0.0/6}\n"
        + "- {ip: 10.0.0.1, vendor: hikvison}\n"
    )
    site = load_site(str(file), ["hikvision"])
    assert [warning.removeprefix(str(file)) for warning in site.warnings] == [
        ":3: 192.168.1.9 lies outside site.networks; the device counts as off site",
        ":4: 8.0.0.0/6 reaches outside site.networks",
        ":5: the rules know no vendor 'hikvison'; did you mean 'hikvision'?",
    ]


def test_a_resolver_off_site_is_allowed(load: Callable[[str], Site]) -> None:
    site = load("site: {networks: [10.0.0.0/8], resolvers: [192.0.2.53]}")
    assert site.resolvers == ("192.0.2.53",)
    assert site.warnings == ()


ON_SITE = {
    "RFC 1918 class A": "10.255.255.255",
    "RFC 1918 class B": "172.31.255.255",
    "RFC 1918 class C": "192.168.0.1",
    "RFC 4193": "fd00::1",
    "link-local": "169.254.1.1",
    "link-local v6": "fe80::1",
    "link-local with zone": "fe80::1%eth0",
    "SSDP": "239.255.255.250",
    "mDNS v6": "ff02::fb",
    "broadcast": "255.255.255.255",
    "loopback": "127.0.0.53",
    "loopback v6": "::1",
    "unspecified": "0.0.0.0",  # noqa: S104  # an address to ask about, nothing is bound
    "unspecified v6": "::",
}
OFF_SITE = {
    "shared address space": "100.64.0.1",  # RFC 6598: the provider's, not the site's
    "after class B": "172.32.0.0",
    "before class B": "172.15.255.255",
    "documentation": "192.0.2.1",  # RFC 5737; ipaddress calls it private
    "documentation v6": "2001:db8::1",
    "this network": "0.0.0.1",
    "reserved": "240.0.0.1",
    "public": "8.8.8.8",
    "site-local v6": "fec0::1",  # deprecated by RFC 3879
    "mapped": "::ffff:10.0.0.1",
    "no address": "gate-1",
    "nothing": "",
}


@pytest.mark.parametrize("ip", ON_SITE.values(), ids=ON_SITE.keys())
def test_the_default_site_has(ip: str) -> None:
    assert default_site().is_on_site(ip)


@pytest.mark.parametrize("ip", OFF_SITE.values(), ids=OFF_SITE.keys())
def test_the_default_site_has_not(ip: str) -> None:
    assert not default_site().is_on_site(ip)


def test_a_private_network_the_site_does_not_list_is_off_site(load: Callable[[str], Site]) -> None:
    site = load("site: {networks: [10.20.0.0/16]}")
    assert not site.is_on_site("10.21.0.1")
    assert not site.is_on_site("192.168.1.1")
    assert site.is_on_site("224.0.0.251")


def test_shared_address_space_is_on_site_where_listed(load: Callable[[str], Site]) -> None:
    assert load("site: {networks: [100.64.0.0/10]}").is_on_site("100.64.0.1")


def test_prefixes_are_merged_and_say_everything() -> None:
    site = Site(
        networks=(ip_network("10.0.0.0/9"), ip_network("10.128.0.0/9"), ip_network("10.1.0.0/16"))
    )
    prefixes = site.prefixes()
    assert Prefix(10 << 24, 8, 4) in prefixes
    assert sum(p.version == 4 for p in prefixes) == 6
    assert prefixes == sorted(prefixes, key=lambda p: (p.version, p.network))
    assert site.covers(ip_network("10.0.0.0/8"))
    assert not site.covers(ip_network("10.0.0.0/7"))


networks = st.builds(
    lambda ip, length: ip_network(f"{ip}/{min(length, ip.max_prefixlen)}", strict=False),
    st.ip_addresses(),
    st.integers(1, 128),
)


@settings(max_examples=150)
@given(st.lists(networks, max_size=6), st.ip_addresses())
def test_the_site_and_its_prefixes_agree(own: list, ip: object) -> None:  # type: ignore[type-arg]  # a mix of versions
    site = Site(networks=tuple(own))
    address = ip_address(str(ip))
    inside = any(
        p.version == address.version
        and int(address) >> (address.max_prefixlen - p.length)
        == p.network >> (address.max_prefixlen - p.length)
        for p in site.prefixes()
    )
    assert site.is_on_site(str(address)) == inside
    assert all(site.is_on_site(str(network.broadcast_address)) for network in own)


def test_a_device_is_found_by_mac_before_address() -> None:
    device = SiteDevice("a", Kind.CAMERA, "44:19:b6:a0:00:01", "10.0.0.1", None, None, 1)
    assert device.is_host("44:19:b6:a0:00:01", [])
    assert not device.is_host("44:19:b6:a0:00:02", ["10.0.0.1"])
    assert device.is_host(None, ["10.0.0.1"])
    inside = SiteDevice(None, Kind.CAMERA, None, None, ip_network("10.1.0.0/16"), None, 1)
    assert inside.is_host("44:19:b6:a0:00:02", ["192.0.2.1", "10.1.2.3"])
    assert not inside.is_host(None, ["10.2.0.1", "x"])


def test_a_site_travels_to_another_process(load: Callable[[str], Site]) -> None:
    site = load(EXAMPLE)
    copy = pickle.loads(pickle.dumps(site))  # noqa: S301  # our own bytes
    assert copy == site
    assert copy.is_on_site("10.20.1.1")


def test_twenty_thousand_devices_load_quickly(load: Callable[[str], Site]) -> None:
    rows = [
        f"- {{name: c{n}, mac: 4419.b600.{n:04x}, ip: 10.1.{n >> 8}.{n & 255}}}\n"
        for n in range(20_000)
    ]
    start = time.process_time()
    assert len(load(NETWORKS + "cameras:\n" + "".join(rows)).cameras) == 20_000
    assert time.process_time() - start < 6  # 1.1 s on the machine it was measured on


def test_asking_for_the_default_site_imports_no_parser() -> None:
    program = (
        "import sys; from egressd.config import default_site; default_site();"
        "sys.exit(bool({'pydantic', 'yaml', 'publicsuffixlist'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_schema_is_current_and_takes_the_example() -> None:
    schemas = runpy.run_path(str(REPOSITORY / "scripts" / "build_schemas.py"))["schemas"]()
    file = REPOSITORY / "egressd" / "schemas" / "site.schema.json"
    assert file.read_text("utf-8") == schemas["site.schema.json"], "run scripts/build_schemas.py"
    schema = json.loads(schemas["site.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_yaml(EXAMPLE.encode()).value, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"site": {"networks": ["10.0.0.0/8"], "nets": []}}, schema)


def test_every_key_is_documented() -> None:
    schema = json.loads((REPOSITORY / "egressd" / "schemas" / "site.schema.json").read_text())
    forms = [schema, *schema["$defs"].values()]
    keys = {key for form in forms for key in form["properties"]}
    page = (REPOSITORY / "docs" / "reference" / "site-file.md").read_text("utf-8")
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_the_example_of_the_page_is_read(load: Callable[[str], Site]) -> None:
    page = (REPOSITORY / "docs" / "reference" / "site-file.md").read_text("utf-8")
    assert load(page.split("```yaml\n")[1].split("```")[0]).permits[0].from_ == "gate-1"


pieces = st.sampled_from(
    [
        "site: {networks: [10.0.0.0/8]}",
        "cameras:",
        "- ip: 10.0.0.1",
        "  mac: x",
        "permit:",
        "- to: a.b",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(pieces | st.text(alphabet="a:-[]{} \n\"'#", max_size=8), max_size=8))
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    file = tmp_path_factory.mktemp("site") / "site.yaml"
    file.write_text("\n".join(lines))
    with suppress(ConfigError):
        load_site(file)
