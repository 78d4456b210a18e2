"""The key `sinks` of a site file: how each is spelled, and what its keys must be to each other.

One form for all types, and a table of which keys belong to which type: so a key in the wrong
place is told as such, with what to write instead. Like `siteform`, it is imported late, for
pydantic's sake.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from egressd.measures import bytes_of, seconds_of
from egressd.settings.sinks import (
    DEFAULT_SPOOL,
    AlertmanagerSettings,
    Endpoint,
    EveSettings,
    JournaldSettings,
    Rotation,
    Secret,
    SyslogSettings,
    SyslogTransport,
    Tls,
    Url,
    WebhookSettings,
)
from egressd.spelling import address_of, domain_of
from egressd.yamlfile import KeyPath, Problem, YamlDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egressd.settings.sinks import SinkSettings

MOST_SINKS = 32  # each has a thread and a file
SMALLEST_SPOOL = 100_000
SMALLEST_FILE = 100_000
SHORTEST_AGE = 60
SEVERITIES = {"high": 1, "medium": 2, "low": 3}
# RFC 5424, table 1: those that a site may route by.
FACILITIES = {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10, "audit": 13} | {
    f"local{n}": 16 + n for n in range(8)
}
Facility = Literal[
    "user", "daemon", "auth", "authpriv", "audit",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
]  # fmt: skip
SYSLOG_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}  # RFC 5426, RFC 6587 (RFC 3195's), RFC 5425
HTTP_PORTS = {"http": 80, "https": 443}

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_USER = re.compile(r"[!-9;-~]{1,64}")  # RFC 7617, section 2: no colon
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_URL = re.compile(r"(https?)://([^/?#]+)(.*)", re.IGNORECASE)  # RFC 3986, appendix B
_HOST_AND_PORT = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")


def _sink_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:60]!r} is no name of a sink; write up to 32 of a-z, 0-9, - and _, such as soc"
        )
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or text.endswith("/"):
        raise ValueError(f"{text[:60]!r} is no full path of a file; write one that begins with /")
    return text


def _credential(text: str) -> str:
    if not _CREDENTIAL.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no credential; write the name LoadCredential= gives it")
    return text


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no user; write up to 64 printable signs but the colon")
    return text


def _spool(text: str) -> str:
    if bytes_of(text) < SMALLEST_SPOOL:
        raise ValueError(f"{text!r} is too small for a burst of alerts; write at least 100kB")
    return text


def _file_size(text: str) -> str:
    if bytes_of(text) < SMALLEST_FILE:
        raise ValueError(f"{text!r} would make a file of a few lines; write at least 100kB")
    return text


def _age(text: str) -> str:
    if seconds_of(text) < SHORTEST_AGE:
        raise ValueError(f"{text!r} is too short; write at least 1min")
    return text


def _host(text: str) -> str:
    """Accept an address or a name; one label will do, as in `localhost`."""
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        return str(address_of(text))
    lower = text.lower().removesuffix(".")
    return lower if _HOST_LABEL.fullmatch(lower) else domain_of(text)


def _address(text: str) -> str:
    _endpoint(text, 0)
    return text.strip()


def _endpoint(text: str, port: int) -> Endpoint:
    found = _HOST_AND_PORT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'{text[:60]!r} is no address and port; write "192.0.2.5:6514"')
    if found[3] is not None and not 1 <= int(found[3]) <= 65535:
        raise ValueError(f"{found[3]} is no port; write one from 1 to 65535")
    return Endpoint(_host(found[1] or found[2]), int(found[3]) if found[3] else port)


def _url(text: str) -> str:
    url_of(text)
    return text


def url_of(text: str) -> Url:
    """Take a URL apart; ValueError says what to write instead."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text[:60]!r} has signs that no URL has; write them as %XX")
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:60]!r} is no URL of a server; write https://soc.example/hook")
    scheme, where, path = found[1].lower(), found[2], found[3]
    if "@" in where:
        raise ValueError("holds a user or password; put secrets into a file (secret_file)")
    if "#" in path:
        raise ValueError(f"{text[:60]!r} has a fragment, which servers never see; remove it")
    endpoint = _endpoint(where, HTTP_PORTS[scheme])
    path = path if path.startswith("/") else f"/{path}"
    return Url(endpoint.host, endpoint.port, path, scheme == "https")


SinkName = Annotated[str, AfterValidator(_sink_name)]
PathText = Annotated[str, AfterValidator(_path)]
CredentialName = Annotated[str, AfterValidator(_credential)]
HostName = Annotated[str, AfterValidator(_host)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RotateForm(_Form):
    """When the file makes room for a new one: by size, by age, or both."""

    size: Annotated[str, AfterValidator(_file_size)] | None = Field(
        None, description="No file grows beyond it.", examples=["100MB"]
    )
    age: Annotated[str, AfterValidator(_age)] | None = Field(
        None, description="Cut at multiples of it; 24h is midnight UTC.", examples=["24h"]
    )
    keep: int = Field(14, description="How many old files are kept.", ge=1, le=10_000)


class SinkForm(_Form):
    """A place where alerts and records go; which keys it has depends on its type."""

    type: Literal["eve", "journald", "syslog", "webhook", "alertmanager"] = Field(
        description="What it is.", examples=["eve"]
    )
    name: SinkName | None = Field(
        None, description="Its name in metrics and logs; without it, its type."
    )
    severity: Literal["high", "medium", "low"] = Field(
        "low", description="The least bad finding it is told of."
    )
    spool: Annotated[str, AfterValidator(_spool)] | None = Field(
        None, description="How much may wait on disk while it is down.", examples=["64MB"]
    )
    path: PathText | None = Field(None, description="eve: the file.")
    rotate: RotateForm | None = Field(
        None, description="eve: when a new file is begun; without it, logrotate's affair."
    )
    address: Annotated[str, AfterValidator(_address)] | None = Field(
        None, description="syslog: the collector's address, and port if not the usual one."
    )
    transport: Literal["udp", "tcp", "tls"] = Field("udp", description="syslog: how it travels.")
    facility: Facility = Field("daemon", description="syslog: the facility of the messages.")
    enterprise: int = Field(
        32473, description="syslog: the number of the structured data's owner.", ge=1, le=2**31 - 1
    )
    url: Annotated[str, AfterValidator(_url)] | None = Field(
        None, description="webhook, alertmanager: the server."
    )
    secret_file: PathText | None = Field(None, description="webhook: the file of its secret.")
    secret_credential: CredentialName | None = Field(
        None, description="webhook: the systemd credential of its secret."
    )
    user: Annotated[str, AfterValidator(_user)] | None = Field(
        None, description="alertmanager: the user, where it asks for one."
    )
    password_file: PathText | None = Field(None, description="alertmanager: the password's file.")
    password_credential: CredentialName | None = Field(
        None, description="alertmanager: the systemd credential of the password."
    )
    ca: PathText | None = Field(
        None, description="TLS: certificates of authorities; without it, the system's."
    )
    cert: PathText | None = Field(None, description="TLS: our own certificate.")
    key_file: PathText | None = Field(None, description="TLS: the file of its key.")
    key_credential: CredentialName | None = Field(
        None, description="TLS: the systemd credential of its key."
    )
    server_name: HostName | None = Field(
        None, description="TLS: the name in the far end's certificate, if not the host's."
    )


COMMON = ("type", "name", "spool")
TLS_KEYS = ("ca", "cert", "key_file", "key_credential", "server_name")
KEYS = {
    "eve": ("path", "rotate"),
    "journald": ("severity",),
    "syslog": ("severity", "address", "transport", "facility", "enterprise", *TLS_KEYS),
    "webhook": ("severity", "url", "secret_file", "secret_credential", *TLS_KEYS),
    "alertmanager": (
        "severity", "url", "user", "password_file", "password_credential", *TLS_KEYS
    ),
}  # fmt: skip
NEEDED = {
    "eve": "path: /var/log/egressd/eve.json",
    "syslog": 'address: "192.0.2.5:6514"',
    "webhook": "url: https://soc.example/hook",
    "alertmanager": "url: http://127.0.0.1:9093",
}
SECRETS = ("secret", "password", "key")


def settings_of(form: SinkForm, line: int) -> SinkSettings:
    """Return what a filled and checked form says."""
    name = form.name or form.type
    severity = SEVERITIES[form.severity]
    spool = bytes_of(form.spool) if form.spool else DEFAULT_SPOOL
    match form.type:
        case "eve":
            rotate = _rotation(form.rotate) if form.rotate else None
            return EveSettings(
                name=name, spool=spool, line=line, path=form.path or "", rotate=rotate
            )
        case "journald":
            return JournaldSettings(name=name, severity=severity, spool=spool, line=line)
        case "syslog":
            endpoint = _endpoint(form.address or "", SYSLOG_PORTS[form.transport])
            return SyslogSettings(
                name=name, severity=severity, spool=spool, line=line,
                host=endpoint.host, port=endpoint.port,
                transport=SyslogTransport(form.transport), tls=_tls(form),
                facility=FACILITIES[form.facility], enterprise=form.enterprise,
            )  # fmt: skip
        case "webhook":
            return WebhookSettings(
                name=name, severity=severity, spool=spool, line=line,
                url=url_of(form.url or ""), tls=_tls(form),
                secret=Secret(form.secret_file, form.secret_credential),
            )  # fmt: skip
        case "alertmanager":
            return AlertmanagerSettings(
                name=name, severity=severity, spool=spool, line=line,
                url=url_of(form.url or ""), tls=_tls(form), user=form.user,
                password=_secret(form.password_file, form.password_credential),
            )  # fmt: skip


def sink_problems(document: YamlDocument) -> list[Problem]:
    """Return the problems between the keys of sinks; what is misspelled the form tells."""
    value = document.value
    listed = value.get("sinks") if isinstance(value, dict) else None
    entries = [
        (index, entry)
        for index, entry in enumerate(listed if isinstance(listed, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("type"), str) and entry["type"] in KEYS
    ]
    problems: list[Problem] = []
    for index, entry in entries:
        for key, text in (*_misplaced(entry), *_incomplete(entry)):
            path: KeyPath = ("sinks", index, key) if key in entry else ("sinks", index)
            place = document.key_position(path) if key in entry else document.position(path)
            problems.append(Problem(place.line, place.column, path, text))
    return [*problems, *_too_many(document, listed), *_twice(document, entries)]


def _misplaced(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own = (*COMMON, *KEYS[entry["type"]])
    for key in entry:
        if key in SinkForm.model_fields and key not in own:
            yield key, f"is no key of a sink of type {entry['type']}; its keys are {', '.join(own)}"
        elif key in TLS_KEYS and not _is_encrypted(entry):
            yield key, "is for TLS; write transport: tls, or a URL that begins with https"


def _incomplete(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = entry["type"]
    needed = NEEDED.get(kind)
    if needed is not None and entry.get(needed.partition(":")[0]) is None:
        yield needed.partition(":")[0], f"lacks a key; write {needed}"
    for secret in SECRETS:
        if entry.get(f"{secret}_file") and entry.get(f"{secret}_credential"):
            yield f"{secret}_credential", f"stands beside {secret}_file; remove one of the two"
    if kind == "webhook" and not _has_secret(entry, "secret"):
        yield "", "signs nothing without a secret; write secret_file: /etc/egressd/webhook.key"
    if kind == "alertmanager" and bool(entry.get("user")) != _has_secret(entry, "password"):
        yield "user", "user and password_file (or password_credential) go together"
    if bool(entry.get("cert")) != _has_secret(entry, "key"):
        yield "cert", "cert and key_file (or key_credential) go together"
    rotate = entry.get("rotate")
    if isinstance(rotate, dict) and not rotate.get("size") and not rotate.get("age"):
        yield "rotate", "does not say when; write size: 100MB, age: 24h, or both"


def _has_secret(entry: dict[str, Any], secret: str) -> bool:
    return bool(entry.get(f"{secret}_file") or entry.get(f"{secret}_credential"))


def _is_encrypted(entry: dict[str, Any]) -> bool:
    if entry["type"] == "syslog":
        return bool(entry.get("transport") == "tls")
    return str(entry.get("url", "")).startswith("https:")


def _too_many(document: YamlDocument, listed: object) -> Iterator[Problem]:
    if isinstance(listed, list) and len(listed) > MOST_SINKS:
        place = document.position(("sinks", MOST_SINKS))
        text = f"are {len(listed)} sinks; write at most {MOST_SINKS}: each has a thread and a file"
        yield Problem(place.line, place.column, ("sinks",), text)


def _twice(document: YamlDocument, entries: list[tuple[int, dict[str, Any]]]) -> Iterator[Problem]:
    """Refuse two sinks of one name: its spool would be theirs both."""
    first: dict[str, int] = {}
    for index, entry in entries:
        name = entry.get("name") or entry["type"]
        earlier = first.setdefault(str(name), index)
        if earlier != index:
            place = document.position(("sinks", index))
            line = document.position(("sinks", earlier)).line
            text = f"is named {name} like the sink in line {line}; write a name for each of them"
            yield Problem(place.line, place.column, ("sinks", index), text)


def _rotation(form: RotateForm) -> Rotation:
    return Rotation(
        size=bytes_of(form.size) if form.size else None,
        age=seconds_of(form.age) if form.age else None,
        keep=form.keep,
    )


def _tls(form: SinkForm) -> Tls:
    return Tls(form.ca, form.cert, _secret(form.key_file, form.key_credential), form.server_name)


def _secret(file: str | None, credential: str | None) -> Secret | None:
    return Secret(file, credential) if file or credential else None
