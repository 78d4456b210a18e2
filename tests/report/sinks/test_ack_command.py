"""`egressd ack` and `egressd check` as a person uses them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sink_stage import NOON, SECOND, secret_file

from egressd.model import Stage
from egressd.report.sinks.ackbook import AckBook
from egressd.report.sinks.ackcommand import AckRequest, carry_out, name_of_user
from egressd.report.sinks.ackfile import NAME, ToldFinding
from egressd.report.sinks.acks import AckError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
HOUR = 3600 * SECOND


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    book = AckBook(tmp_path / NAME)
    book.note(told())
    book.meet()
    yield tmp_path
    book.close()


def told(stage: Stage = Stage.PAYLOAD) -> ToldFinding:
    reason = "gate-1 reached dev.example.com\x1b[2J"
    return ToldFinding("f-1", "subject", "contact", int(stage), 1, reason, NOON, "f-1-x-1")


def egressd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from egressd.cli import main; main()", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={"SUDO_USER": "ann", "PATH": "/usr/bin"},
    )  # fmt: skip


def test_an_acknowledgement_is_told_back_in_a_line(state: Path) -> None:
    lines = carry_out(AckRequest(state, "f-1", "a test", "ann", NOON + 8 * HOUR), NOON)
    assert len(lines) == 1
    assert lines[0].split(" | ") == [
        "f-1 at stage payload, until 2026-11-22 20:00:00 UTC",
        "by ann at 2026-11-22 12:00:00 UTC: a test",
        "told as: gate-1 reached dev.example.com\\u{1b}[2J",
    ]
    assert carry_out(AckRequest(state, show=True), NOON) == lines


def test_the_list_says_what_is_over_and_what_has_risen(state: Path) -> None:
    carry_out(AckRequest(state, "f-1", "a test", "ann", NOON + HOUR), NOON)
    book = AckBook(state / NAME)
    book.note(told(Stage.MEDIA))
    book.close()
    (line,) = carry_out(AckRequest(state, show=True), NOON + HOUR)
    assert "over since 2026-11-22 13:00:00 UTC" in line
    assert "HAS RISEN to media" in line


def test_an_empty_list_says_so(state: Path) -> None:
    assert carry_out(AckRequest(state, show=True), NOON) == ["nothing is acknowledged"]


def test_taking_back_says_what_it_was(state: Path) -> None:
    carry_out(AckRequest(state, "f-1", "a test", "ann"), NOON)
    (line,) = carry_out(AckRequest(state, "f-1", take_back=True), NOON)
    assert line.startswith("taken back: f-1 at stage payload, as long as it lasts | by ann")


def test_without_a_reason_nothing_is_acknowledged(state: Path) -> None:
    with pytest.raises(AckError, match="--reason is missing"):
        carry_out(AckRequest(state, "f-1"), NOON)
    with pytest.raises(AckError, match="FINDING is missing"):
        carry_out(AckRequest(state, reason="x"), NOON)
    with pytest.raises(AckError, match="too far away"):
        carry_out(AckRequest(state, "f-1", "x", "ann", 2**63), NOON)


def test_who_acknowledges_is_the_person_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    assert name_of_user() == "ann"
    monkeypatch.delenv("SUDO_USER")
    assert name_of_user()


def test_the_command_does_it_all(state: Path) -> None:
    folder = ("--state", str(state))
    done = egressd("ack", "f-1", "--reason", "a test", "--for", "8h", *folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"f-1 at stage payload, until .* \| by ann at .* UTC: a test \|", done.stdout)
    assert egressd("ack", "--list", *folder).stdout == done.stdout
    done = egressd("ack", "f-1", "--remove", *folder)
    assert done.stdout.startswith("taken back: f-1")
    assert egressd("ack", "--list", *folder).stdout == "nothing is acknowledged\n"
    done = egressd("ack", "f-1", "--reason", "x", "--until", "2200-01-01", "--by", "bob", *folder)
    assert "until 2200-01-01 00:00:00 UTC | by bob" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told_as"),
    [
        (["f-1"], "--reason is missing"),
        (["f-2", "--reason", "x"], "did you mean f-1?"),
        (["f-1", "--reason", "x", "--for", "8"], "--for: '8' is no length of time"),
        (["f-1", "--reason", "x", "--for", "999999999999w"], "too far away"),
        (["f-1", "--reason", "x", "--until", "soon"], "--until 'soon': no time"),
        (["f-1", "--reason", "x", "--until", "2020-01-01"], "in the past"),
        (["f-1", "--reason", "x", "--for", "1h", "--until", "2200-01-01"], "give one of them"),
        (["f-1", "--list"], "--list stands alone"),
        (["f-1", "--remove"], "is not acknowledged"),
        (["f-1", "--remove", "--reason", "x"], "nothing else"),
        (["--reason", "x"], "FINDING is missing"),
    ],
)
def test_what_cannot_be_is_a_line_and_status_2(
    state: Path, arguments: list[str], told_as: str
) -> None:
    done = egressd("ack", *arguments, "--state", str(state))
    assert done.returncode == 2
    assert told_as in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_folder_that_is_no_state_folder_is_told(tmp_path: Path) -> None:
    done = egressd("ack", "--list", "--state", str(tmp_path))
    assert done.returncode == 2
    assert "is not there" in done.stderr


def test_check_looks_at_the_secrets_of_sinks(tmp_path: Path) -> None:
    path = Path(secret_file(tmp_path))
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: {networks: [10.20.0.0/16]}\nsinks:\n"
        f'  - {{type: webhook, url: "http://127.0.0.1/", secret_file: {path}}}\n'
    )
    assert egressd("check", "--site", str(site)).stdout == "ok\n"
    path.chmod(0o644)
    done = egressd("check", "--site", str(site))
    assert done.returncode == 2
    assert done.stderr.startswith(f"{site}:3: sink webhook: {path}: others can read")
