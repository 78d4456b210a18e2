"""The key `sinks` of the site file: what it may say, and what every mistake is told as."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sink_stage import Authority, secret_file

from egressd.config import load_site
from egressd.model import ConfigError
from egressd.report.sinks.secrets import check_sinks
from egressd.settings.sinkform import COMMON, FACILITIES, KEYS, SinkForm, url_of
from egressd.settings.sinks import (
    AlertmanagerSettings,
    Endpoint,
    EveSettings,
    JournaldSettings,
    Rotation,
    Secret,
    SinkSettings,
    SyslogSettings,
    SyslogTransport,
    Tls,
    Url,
    WebhookSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
HEAD = "site: {networks: [10.20.0.0/16]}\nsinks:\n"

Loader = "Callable[..., tuple[SinkSettings, ...]]"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., tuple[SinkSettings, ...]]:
    """Return what loads a site file with these sinks, one a line from line 3 on."""

    def loader(*sinks: str) -> tuple[SinkSettings, ...]:
        file = tmp_path / "site.yaml"
        file.write_text(HEAD + "".join(f"  - {{{sink}}}\n" for sink in sinks))
        return load_site(file).sinks

    return loader


def problems_of(load: Callable[..., tuple[SinkSettings, ...]], *sinks: str) -> list[str]:
    """Return what is wrong, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        load(*sinks)
    return [line.split("site.yaml:", 1)[1] for line in str(caught.value).splitlines()]


def test_every_type_can_be_written(load: Callable[..., tuple[SinkSettings, ...]]) -> None:
    assert load(
        "type: eve, path: /var/log/egressd/eve.json, rotate: {size: 100MB, age: 24h, keep: 7}",
        "type: journald, severity: high",
        'type: syslog, address: "192.0.2.5:6514", transport: tls, ca: /etc/ca.pem, cert: /c.pem, '
        "key_file: /c.key, server_name: siem.example, facility: local3, enterprise: 4711",
        'type: webhook, url: "https://soc.example/hook?a=b", secret_file: /etc/hook.key',
        'type: alertmanager, url: "http://127.0.0.1:9093", user: egressd, '
        "password_credential: am, spool: 1MB, name: am-1, severity: medium",
    ) == (
        EveSettings(
            name="eve",
            path="/var/log/egressd/eve.json",
            rotate=Rotation(100_000_000, 86_400, 7),
            line=3,
        ),
        JournaldSettings(name="journald", severity=1, line=4),
        SyslogSettings(
            name="syslog",
            host="192.0.2.5",
            port=6514,
            transport=SyslogTransport.TLS,
            tls=Tls("/etc/ca.pem", "/c.pem", Secret(file="/c.key"), "siem.example"),
            facility=19,
            enterprise=4711,
            line=5,
        ),
        WebhookSettings(
            name="webhook",
            url=Url("soc.example", 443, "/hook?a=b", encrypted=True),
            secret=Secret(file="/etc/hook.key"),
            line=6,
        ),
        AlertmanagerSettings(
            name="am-1",
            severity=2,
            spool=1_000_000,
            url=Url("127.0.0.1", 9093, "/", encrypted=False),
            user="egressd",
            password=Secret(credential="am"),
            line=7,
        ),
    )


def test_without_the_key_there_is_no_sink(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: {networks: [10.20.0.0/16]}\n")
    assert load_site(tmp_path / "site.yaml").sinks == ()


@pytest.mark.parametrize(
    ("address", "transport", "endpoint"),
    [
        ("192.0.2.5", "udp", Endpoint("192.0.2.5", 514)),
        ("192.0.2.5", "tcp", Endpoint("192.0.2.5", 601)),
        ("siem.example", "tls", Endpoint("siem.example", 6514)),
        ("localhost:1514", "udp", Endpoint("localhost", 1514)),
        ("[2001:DB8::1]:6514", "tls", Endpoint("2001:db8::1", 6514)),
        ("[2001:db8::1]", "udp", Endpoint("2001:db8::1", 514)),
        ("Siem-1:65535", "udp", Endpoint("siem-1", 65535)),
    ],
)
def test_a_collector_is_an_address_and_perhaps_a_port(
    load: Callable[..., tuple[SinkSettings, ...]],
    address: str,
    transport: str,
    endpoint: Endpoint,
) -> None:
    (sink,) = load(f'type: syslog, address: "{address}", transport: {transport}')
    assert sink.endpoint == endpoint


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://soc.example", Url("soc.example", 80, "/", encrypted=False)),
        ("https://soc.example:8443/a/b?c=d", Url("soc.example", 8443, "/a/b?c=d", encrypted=True)),
        ("HTTPS://[2001:db8::1]/", Url("2001:db8::1", 443, "/", encrypted=True)),
        ("http://soc?x=1", Url("soc", 80, "/?x=1", encrypted=False)),
    ],
)
def test_a_url_is_taken_apart(text: str, url: Url) -> None:
    assert url_of(text) == url


def test_a_url_is_told_as_it_is_written() -> None:
    assert url_of("https://[2001:db8::1]/hook").text == "https://[2001:db8::1]:443/hook"


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        pytest.param("type: eve", "3:5: sinks[0]: lacks a key; write path: /var/log", id="no path"),
        pytest.param("type: eve, path: eve.json", "begins with /", id="relative path"),
        pytest.param("type: eve, path: /a/", "begins with /", id="folder"),
        pytest.param(
            "type: eve, path: /a, rotate: {keep: 3}", "does not say when", id="no rotation"
        ),
        pytest.param("type: eve, path: /a, rotate: {size: 1kB}", "at least 100kB", id="tiny file"),
        pytest.param("type: eve, path: /a, rotate: {age: 5s}", "at least 1min", id="young file"),
        pytest.param(
            "type: eve, path: /a, rotate: {age: 1h, keep: 0}", "write at least 1", id="keeps none"
        ),
        pytest.param(
            "type: eve, path: /a, severity: high",
            "no key of a sink of type eve; its keys are type, name, spool, path, rotate",
            id="severity of a file",
        ),
        pytest.param("type: eve, path: /a, spool: 1kB", "write at least 100kB", id="tiny spool"),
        pytest.param("type: eve, path: /a, spool: 5000000", "it in quotes", id="bare number"),
        pytest.param("type: eve, path: /a, spool: many", "such as 100MB", id="no size"),
        pytest.param("type: eve, path: /a, nme: x", "did you mean 'name'", id="unknown key"),
        pytest.param("type: eve, path: /a, name: A b", "no name of a sink", id="name"),
        pytest.param("type: pager", "write one of eve, journald, syslog", id="unknown type"),
        pytest.param("path: /a", "sinks[0].type: is missing; write type: eve", id="no type"),
        pytest.param(
            "type: journald, severity: 1", "write one of high, medium, low", id="severity as number"
        ),
        pytest.param("type: journald, severity: hihg", "did you mean 'high'", id="severity"),
        pytest.param("type: journald, path: /a", "no key of a sink of type journald", id="path"),
        pytest.param("type: syslog", 'write address: "192.0.2.5:6514"', id="no address"),
        pytest.param('type: syslog, address: "a:b:c"', "no address and port", id="bad address"),
        pytest.param('type: syslog, address: "a:99999"', "99999 is no port", id="bad port"),
        pytest.param('type: syslog, address: "300.1.1.1"', "no IP address", id="bad ip"),
        pytest.param('type: syslog, address: "a b"', "no domain name", id="bad name"),
        pytest.param(
            "type: syslog, address: a, facility: kern", "write one of user, daemon", id="facility"
        ),
        pytest.param(
            "type: syslog, address: a, transport: tcp, ca: /ca", "is for TLS", id="ca without tls"
        ),
        pytest.param(
            "type: syslog, address: a, transport: tls, cert: /c", "go together", id="no key"
        ),
        pytest.param(
            "type: syslog, address: a, transport: tls, key_file: /c", "go together", id="no cert"
        ),
        pytest.param('type: alertmanager, url: "ftp://a/"', "write https://soc.example", id="ftp"),
        pytest.param(
            'type: alertmanager, url: "https://"', "write https://soc.example", id="no host"
        ),
        pytest.param(
            'type: alertmanager, url: "https://u:p@a/"', "put secrets into a file", id="user"
        ),
        pytest.param('type: alertmanager, url: "https://a/#b"', "has a fragment", id="fragment"),
        pytest.param('type: alertmanager, url: "https://a/ä"', "write them as %XX", id="not ascii"),
        pytest.param('type: webhook, url: "https://a/"', "without a secret", id="no secret"),
        pytest.param(
            'type: webhook, url: "https://a/", secret_file: /a, secret_credential: b',
            "stands beside secret_file",
            id="two secrets",
        ),
        pytest.param(
            'type: webhook, url: "https://a/", secret_credential: ../b',
            "no credential",
            id="credential with a path",
        ),
        pytest.param(
            'type: webhook, url: "https://a/", secret_file: /a, secret: abc',
            "unknown key",
            id="secret in the file",
        ),
        pytest.param(
            'type: webhook, url: "http://a/", secret_file: /a, ca: /ca', "is for TLS", id="http, ca"
        ),
        pytest.param(
            'type: alertmanager, url: "http://a", user: x', "go together", id="no password"
        ),
        pytest.param(
            'type: alertmanager, url: "http://a", password_file: /x', "go together", id="no user"
        ),
        pytest.param(
            'type: alertmanager, url: "http://a", user: "a:b", password_file: /x',
            "no user",
            id="colon",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(
    load: Callable[..., tuple[SinkSettings, ...]], sink: str, told: str
) -> None:
    (problem,) = problems_of(load, sink)
    assert problem.startswith("3:")
    assert told in problem


def test_two_sinks_of_one_name_are_refused(
    load: Callable[..., tuple[SinkSettings, ...]],
) -> None:
    one = 'type: alertmanager, url: "http://a"'
    (problem,) = problems_of(load, one, 'type: alertmanager, url: "http://b"')
    assert problem.startswith("4:5: sinks[1]: is named alertmanager like the sink in line 3")
    assert len(load(f"{one}, name: am-1", f"{one}, name: am-2")) == 2


def test_there_are_so_many_sinks_and_no_more(
    load: Callable[..., tuple[SinkSettings, ...]],
) -> None:
    sinks = [f"type: journald, name: j{n}" for n in range(33)]
    assert len(load(*sinks[:32])) == 32
    (problem,) = problems_of(load, *sinks)
    assert "at most 32" in problem


@pytest.mark.parametrize(
    "text", ["sinks: 5", "sinks: [5]", "sinks: [[]]", "sinks: {a: b}", "sinks:"]
)
def test_what_is_no_list_of_sinks_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(f"site: {{networks: [10.20.0.0/16]}}\n{text}\n")
    with pytest.raises(ConfigError, match="sinks"):
        load_site(file)


def test_every_key_belongs_to_a_type() -> None:
    assert set(SinkForm.model_fields) == {*COMMON, *(key for keys in KEYS.values() for key in keys)}


def test_the_facilities_are_those_of_the_form() -> None:
    schema = json.loads(
        runpy.run_path(str(ROOT / "scripts/build_schemas.py"))["schemas"]()["site.schema.json"]
    )
    assert schema["$defs"]["SinkForm"]["properties"]["facility"]["enum"] == list(FACILITIES)


# ---- what `egressd check` looks at ---------------------------------------------------------------


def hook(secret: Secret, tls: Tls | None = None) -> WebhookSettings:
    url = Url("soc.example", 443, "/", encrypted=tls is not None)
    return WebhookSettings(name="soc", url=url, secret=secret, tls=tls or Tls(), line=6)


def test_secrets_that_only_we_can_read_are_well(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.give("sensor")
    tls = Tls(ca=str(authority.ca), cert=str(cert), key=Secret(file=str(key)))
    secret = Secret(file=secret_file(tmp_path))
    sinks: list[SinkSettings] = [
        hook(secret, tls),
        AlertmanagerSettings(name="am", url=url_of("http://a"), user="x", password=secret),
        SyslogSettings(name="s", host="a", port=1, transport=SyslogTransport.TLS, tls=tls),
        JournaldSettings(name="journald"),
        EveSettings(name="eve", path="/nowhere/eve.json"),
    ]
    assert check_sinks(sinks, "site.yaml") == []


def test_a_secret_that_others_can_read_is_an_error(tmp_path: Path) -> None:
    path = Path(secret_file(tmp_path))
    path.chmod(0o604)
    (problem,) = check_sinks([hook(Secret(file=str(path)))], "site.yaml")
    assert problem == f"site.yaml:6: sink soc: {path}: others can read or write it; chmod o= {path}"
    path.chmod(0o640)
    assert check_sinks([hook(Secret(file=str(path)))], "site.yaml") == []


def test_a_key_that_others_can_read_is_an_error(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).give("sensor")
    key.chmod(0o644)
    tls = Tls(cert=str(cert), key=Secret(file=str(key)))
    (problem,) = check_sinks([hook(Secret(file=secret_file(tmp_path)), tls)], "site.yaml")
    assert f"{key}: others can read" in problem


def test_an_encrypted_key_is_an_error_and_asks_nobody(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).give("sensor")
    key.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        + ENCRYPTED
        + "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    tls = Tls(cert=str(cert), key=Secret(file=str(key)))
    (problem,) = check_sinks([hook(Secret(file=secret_file(tmp_path)), tls)], "site.yaml")
    assert str(key) in problem


# openssl genpkey -algorithm ED25519 -aes-256-cbc -pass pass:x
ENCRYPTED = """\
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgTUT2mQnFkTAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGmwEqcWcZUxyu5vdVQmKVwEQMQ3
"""


def test_authorities_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    secret = Secret(file=secret_file(tmp_path))
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for ca in (str(tmp_path / "nowhere.pem"), str(empty)):
        (problem,) = check_sinks([hook(secret, Tls(ca=ca))], "site.yaml")
        assert ca in problem


def test_a_credential_is_looked_at_where_systemd_has_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = hook(Secret(credential="hook"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert check_sinks([sink], "site.yaml") == []
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (problem,) = check_sinks([sink], "site.yaml")
    assert "No such file" in problem
    (tmp_path / "hook").write_bytes(b"x" * 32)
    (tmp_path / "hook").chmod(0o400)
    assert check_sinks([sink], "site.yaml") == []
