"""What the rules say of names, addresses and makers."""

from __future__ import annotations

import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.attribute.services import (
    MEMORY,
    PublicService,
    Services,
    check_rules,
    load_services,
    shipped_rules,
)
from egressd.model import Confidence, Party, RuleError, Service

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = load_services()

# Names seen on the wire or in firmware; each rule file says where.
NAMES = {
    # name: (service, vendor, party, can alert, matched)
    "hik-connect.com": ("hik-connect.com", "hikvision", Party.VENDOR, True, "hik-connect.com"),
    "dev.hik-connect.com": (
        "hik-connect.com",
        "hikvision",
        Party.VENDOR,
        True,
        "dev.hik-connect.com",
    ),
    "x.dev.hik-connect.com": (
        "hik-connect.com",
        "hikvision",
        Party.VENDOR,
        True,
        "hik-connect.com",
    ),
    "WWW.Easy4ipCloud.com.": (
        "easy4ipcloud.com",
        "dahua",
        Party.VENDOR,
        True,
        "www.easy4ipcloud.com",
    ),
    "p2p16.reolink.com": ("reolink.com", "reolink", Party.VENDOR, True, "p2p16.reolink.com"),
    "eu-device-cloudgateway.iot.i.tplinknbu.com": (
        "tplinknbu.com",
        "tplink",
        Party.VENDOR,
        True,
        "*-device-cloudgateway.iot.i.tplinknbu.com",
    ),
    # Two files list it; its owner decides.
    "dev.ezvizlife.com": ("ezvizlife.com", "ezviz", Party.VENDOR, True, "dev.ezvizlife.com"),
    "m1.iotcplatform.com": (
        "iotcplatform.com",
        "throughtek",
        Party.VENDOR,
        True,
        "iotcplatform.com",
    ),
    # A full host on a platform that anybody can rent.
    "alarm.eu.s3.amazonaws.com": (
        "alarm.eu.s3.amazonaws.com",
        "ezviz",
        Party.VENDOR_INFRA,
        True,
        "alarm.eu.s3.amazonaws.com",
    ),
    # The same, but others use the same host.
    "s3.us-west-004.backblazeb2.com": (
        "s3.us-west-004.backblazeb2.com",
        "verkada",
        Party.UNKNOWN,
        False,
        "s3.us-west-004.backblazeb2.com",
    ),
    # The longest domain decides: mi.com is shared with phones, io.mi.com is not.
    "de.ots.io.mi.com": ("io.mi.com", "xiaomi", Party.VENDOR, True, "io.mi.com"),
    "account.mi.com": ("mi.com", "xiaomi", Party.VENDOR, False, "mi.com"),
    # Memory and low confidence are hints.
    "amcrestcloud.com": ("amcrestcloud.com", "amcrest", Party.VENDOR, False, "amcrestcloud.com"),
    "hikvision.network": (
        "hikvision.network",
        "hikvision",
        Party.VENDOR,
        False,
        "hikvision.network",
    ),
    # Public infrastructure.
    "0.pool.ntp.org": ("pool.ntp.org", "ntp-pool", Party.PUBLIC_INFRA, False, "pool.ntp.org"),
    "dns.google": ("dns.google", "google-public-dns", Party.PUBLIC_INFRA, False, "dns.google"),
    "r3.o.lencr.org": ("lencr.org", "lets-encrypt", Party.PUBLIC_INFRA, False, "lencr.org"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_belongs_to(name: str) -> None:
    service = SERVICES.of_name(name)
    assert service is not None
    told = (service.id, service.vendor, service.party, service.can_alert, service.matched)
    assert told == NAMES[name]


def test_a_host_listed_singly_says_its_own_use() -> None:
    host = SERVICES.of_name("time.ys7.com")
    domain = SERVICES.of_name("x.ys7.com")
    assert host == Service(
        "ys7.com",
        "ezviz",
        "ntp",
        Party.VENDOR,
        Confidence.HIGH,
        can_alert=True,
        matched="time.ys7.com",
    )
    assert domain is not None
    assert domain.use == "CN cloud, NTP, device log"


NOBODY = {
    "a longer word": "nothik-connect.com",
    "a longer name": "hik-connect.com.example",
    "the platform": "amazonaws.com",
    "another bucket": "foo.s3.amazonaws.com",
    "a balancer": "us-east-1.elb.amazonaws.com",
    "a top-level domain": "com",
    "a star for two labels": "a.b-device.tplinknbu.example",
    "the root": ".",
    "nothing": "",
}


@pytest.mark.parametrize("name", NOBODY.values(), ids=NOBODY.keys())
def test_a_name_belongs_to_nobody_known(name: str) -> None:
    assert SERVICES.of_name(name) is None


def test_a_star_stands_for_a_part_of_one_label() -> None:
    for name in (
        "use1-cloudgateway.iot.i.tplinknbu.com",
        "a.b-device-cloudgateway.iot.i.tplinknbu.com",
        "-device-cloudgateway.iot.i.tplinknbu.com",
    ):
        service = SERVICES.of_name(name)
        assert service is not None
        assert service.matched == "tplinknbu.com"


# Resolvers every firmware author knows; source: AdGuard's list of DNS providers, see the files.
RESOLVERS = {
    "8.8.8.8": "google-public-dns",
    "8.8.4.4": "google-public-dns",
    "2001:4860:4860::8888": "google-public-dns",
    "1.1.1.1": "cloudflare-dns",
    "2606:4700:4700::1111": "cloudflare-dns",
    "9.9.9.9": "quad9",
    "2620:fe::fe": "quad9",
    "114.114.114.114": "114dns",
    "223.5.5.5": "alidns",
    "2400:3200::1": "alidns",
    "119.29.29.29": "dnspod-public-dns",
    "2402:4e00::": "dnspod-public-dns",
    "208.67.222.222": "opendns",
    "2620:119:35::35": "opendns",
    "94.140.14.14": "adguard-dns",
    "2a10:50c0::ad1:ff": "adguard-dns",
    "77.88.8.8": "yandex-dns",
    "2a02:6b8::feed:ff": "yandex-dns",
}


@pytest.mark.parametrize("ip", RESOLVERS)
def test_a_public_resolver_is_public_infrastructure(ip: str) -> None:
    service = SERVICES.of_address(ip, 53, "udp")
    assert service is not None
    assert (service.id, service.party, service.can_alert) == (
        RESOLVERS[ip],
        Party.PUBLIC_INFRA,
        False,
    )
    assert SERVICES.publics[service.vendor].role == "resolver"


@pytest.mark.parametrize(
    "name",
    [
        "dns.google",
        "cloudflare-dns.com",
        "one.one.one.one",
        "dns.quad9.net",
        "dns.alidns.com",
        "doh.pub",
        "doh.opendns.com",
        "dns.adguard-dns.com",
        "common.dot.dns.yandex.net",
    ],
)
def test_an_encrypted_resolver_is_known_by_name(name: str) -> None:
    service = SERVICES.of_name(name)
    assert service is not None
    assert SERVICES.publics[service.vendor].role == "resolver"


def test_a_resolver_is_one_only_on_its_ports() -> None:
    assert SERVICES.of_address("8.8.8.8", 443, "tcp") is not None
    assert SERVICES.of_address("8.8.8.8", 32100, "udp") is None
    assert SERVICES.of_address("8.8.8.8", None, "icmp") is not None
    assert SERVICES.of_address("192.0.2.1", 53, "udp") is None


def test_a_public_service_says_what_it_does() -> None:
    assert SERVICES.publics["114dns"] == PublicService(
        "114dns", "114DNS", "resolver", "Nanjing Xinfeng", "CN"
    )
    assert {one.role for one in SERVICES.publics.values()} == {"resolver", "time", "certificates"}


# Names in the IEEE registry of MAC blocks.
@pytest.mark.parametrize(
    ("org", "vendor"),
    [
        ("Hangzhou Hikvision Digital Technology Co.,Ltd.", "hikvision"),
        ("Zhejiang Dahua Technology Co., Ltd.", "dahua"),
        ("REOLINK INNOVATION LIMITED", "reolink"),
        ("Axis Communications AB", "axis"),
        ("TP-LINK TECHNOLOGIES CO.,LTD.", "tplink"),
        ("Raspberry Pi Trading Ltd", None),
        ("", None),
    ],
)
def test_an_organisation_is_a_vendor(org: str, vendor: str | None) -> None:
    assert SERVICES.vendor_of_org(org) == vendor


def test_a_vendor_is_described() -> None:
    hikvision = SERVICES.vendors["hikvision"]
    assert hikvision.names[0] == "Hikvision"
    assert hikvision.country == "CN"
    assert "44:19:b6" in hikvision.oui_prefixes
    assert not hikvision.oui_shared
    assert "time.ys7.com" in hikvision.ntp
    stun = next(use for use in hikvision.ports if use.use == "Hik XML STUN")
    assert (stun.transport, stun.ports, stun.direction) == ("udp", (range(6002, 6004),), "out")
    assert SERVICES.vendors["xiongmai"].resolvers == ("114.114.114.114", "8.8.8.8")
    assert SERVICES.vendors["tplink"].oui_shared
    assert "EEEE" in SERVICES.vendors["vstarcam"].pppp_did_prefixes
    assert any(use.random and not use.ports for use in SERVICES.vendors["tuya"].ports)


def test_ports_can_be_those_of_another_vendor() -> None:
    assert SERVICES.vendors["ezviz"].ports == SERVICES.vendors["hikvision"].ports


def test_ports_of_a_vendor_that_is_not_there_are_none() -> None:
    alone = Services(rule for rule in shipped_rules() if rule.shown == "vendors/ezviz.yaml")
    assert alone.vendors["ezviz"].ports == ()


def test_an_explanation_lists_every_entry_that_fits() -> None:
    told = SERVICES.explain("m1.iotcplatform.com")
    assert [(one.service.vendor, one.why) for one in told] == [
        ("throughtek", "the longest domain that fits"),
        ("foscam", "the same domain; throughtek owns it"),
        ("wyze", "the same domain; throughtek owns it"),
    ]
    told = SERVICES.explain("dns.io.mi.com")
    assert [one.why for one in told] == ["the longest domain that fits", "shorter than io.mi.com"]
    assert told[0].file == "rules/vendors/xiaomi.yaml"
    line = (REPOSITORY / told[0].file).read_text("utf-8").splitlines()[told[0].line - 1]
    assert line.strip() == "- suffix: io.mi.com"
    assert told[0].sources == ("miots", "iotfw", "tshark")
    assert SERVICES.explain("dev.hik-connect.com")[0].why == "the host is listed singly"
    assert SERVICES.explain("example.org") == []


def test_the_first_explanation_is_the_answer() -> None:
    for name in NAMES:
        assert SERVICES.explain(name)[0].service == SERVICES.of_name(name)


def test_nothing_from_memory_alone_can_alert() -> None:
    for rule in shipped_rules():
        for entry in rule.value.get("domains", ()):
            service = SERVICES.of_name(entry["suffix"])
            assert service is not None
            if set(entry["source"]) == {MEMORY} and "owned_by" not in entry:
                assert not service.can_alert, entry["suffix"]


def test_loading_is_quick() -> None:
    shipped_rules.cache_clear()
    start = time.process_time()
    load_services()
    assert time.process_time() - start < 0.15  # 14 ms on the machine it was measured on


def test_a_run_on_the_shipped_rules_imports_no_parser() -> None:
    program = (
        "import sys; from egressd.attribute.services import load_services;"
        "load_services().of_name('hik-connect.com');"
        "sys.exit(bool({'pydantic', 'yaml', 'publicsuffixlist'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_compiled_rules_are_current() -> None:
    build = runpy.run_path(str(REPOSITORY / "scripts" / "build_services.py"))
    text = (REPOSITORY / "egressd" / "data" / "services.json").read_text("utf-8")
    assert text == build["compiled"](), "run scripts/build_services.py"


def test_a_missing_compiled_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egressd.attribute.services.resources.files", lambda _: tmp_path)
    shipped_rules.cache_clear()
    with pytest.raises(RuleError, match=r"services\.json: cannot be read: No such file"):
        load_services()


OWN = """\
vendor: hikvision
names: [Ours]
researched: 2026-11-22
jurisdiction: {country: CN, hq: Hangzhou, source: [lab], confidence: high}
domains:
  - {suffix: cloud.example, use: relay, source: [lab], confidence: high}
  - {suffix: reolink.com, use: resold, source: [lab], confidence: high}
oui: {organisation: "^Reolink", source: [lab], confidence: high}
sources: {lab: our own bench}
"""


def test_own_rules_come_first_and_replace_the_shipped_file(tmp_path: Path) -> None:
    (tmp_path / "hikvision.yaml").write_text(OWN)
    services = load_services([tmp_path])
    relay = services.of_name("a.cloud.example")
    assert relay is not None
    assert (relay.vendor, relay.can_alert) == ("hikvision", True)
    resold = services.of_name("x.reolink.com")
    assert resold is not None
    assert resold.vendor == "hikvision"
    assert services.of_name("hik-connect.com") is None
    assert services.of_name("dahuasecurity.com") is not None
    assert services.vendor_of_org("Reolink Innovation Limited") == "hikvision"
    assert services.vendors["hikvision"].domains == ("cloud.example", "reolink.com")


def test_a_broken_own_rule_is_an_error_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "hikvision.yaml"
    file.write_text(OWN.replace("use: relay, ", ""))
    with pytest.raises(RuleError) as caught:
        load_services([tmp_path])
    assert str(caught.value) == (
        f"{file}:6:5: domains[0].use: is missing; write use: device registration"
    )
    assert check_rules([tmp_path]) == [str(caught.value)]


@settings(max_examples=200)
@given(st.text(max_size=300) | st.text(alphabet=".ab", max_size=300))
def test_any_name_has_an_answer(name: str) -> None:
    service = SERVICES.of_name(name)
    explained = SERVICES.explain(name)
    assert (explained[0].service if explained else None) == service


@settings(max_examples=100)
@given(st.sampled_from(sorted(NAMES)), st.text(alphabet="abc-", min_size=1, max_size=10))
def test_a_name_under_a_domain_belongs_where_the_domain_does(name: str, label: str) -> None:
    above, below = SERVICES.of_name(name), SERVICES.of_name(f"{label}.{name}")
    assert above is not None
    assert below is not None
    assert (below.id, below.party, below.can_alert) == (above.id, above.party, above.can_alert)


def test_a_long_name_costs_no_more_than_its_tail() -> None:
    name = "a." * 500_000 + "hik-connect.com"
    start = time.process_time()
    service = SERVICES.of_name(name)
    assert time.process_time() - start < 0.1
    assert service is not None
    assert service.matched == "hik-connect.com"
