"""The image runs one program, as nobody in particular, and is made of what the tree has."""

from __future__ import annotations

import json
import re

import typer.main
from monitoring_servers import DEPLOY, ROOT

from egressd.cli import app
from egressd.settings.metrics import DEFAULT_PORT

FILE = DEPLOY / "container/Containerfile"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions, each on one line, without comments."""
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parts = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in parts]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def one(name: str) -> str:
    (value,) = [rest for found, rest in last_stage() if found == name]
    return value


def test_what_compiles_does_not_ship() -> None:
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert len(stages) == 2
    assert not any("gcc" in rest for _, rest in last_stage())
    assert ("COPY", "--from=build /opt/egressd /opt/egressd") in last_stage()


def test_it_runs_as_a_user_that_an_orchestrator_can_see_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", one("USER"))


def test_it_may_read_frames_and_nothing_else() -> None:
    granted = re.findall(r"setcap (\S+)", FILE.read_text())
    assert granted == ["cap_net_raw+ep"]


def test_what_it_copies_is_in_the_tree() -> None:
    copied = [
        path
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for path in rest.split()[:-1]
    ]
    assert len(copied) > 5
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_nothing_is_fetched_but_packages() -> None:
    assert not any(name == "ADD" for name, _ in instructions())
    assert not re.search(r"\b(curl|wget|git clone)\b", FILE.read_text())


def test_what_it_starts_is_a_command_with_these_options() -> None:
    command, *arguments = json.loads(one("CMD"))
    watch = typer.main.get_group(app).commands[command]
    options = {option for parameter in watch.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= options
    assert json.loads(one("ENTRYPOINT")) == ["/opt/egressd/bin/egressd"]


def test_the_port_of_the_metrics_is_named() -> None:
    assert one("EXPOSE") == str(DEFAULT_PORT)
    assert f"127.0.0.1:{DEFAULT_PORT}/-/ready" in one("HEALTHCHECK")
