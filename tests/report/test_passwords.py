"""Only hashed passwords are taken, and guessing them is slow."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.model import ConfigError
from egressd.report.passwords import Admission, Users, hash_password, load_users

if TYPE_CHECKING:
    from pathlib import Path

# RFC 7914 section 12, third vector: "pleaseletmein", "SodiumChloride", N=16384, r=8, p=1.
DIGEST = (
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
)
RFC_7914 = (
    "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU"
    f"${b64encode(bytes.fromhex(DIGEST)).decode().rstrip('=')}"
)


def basic(credential: str) -> str:
    return "Basic " + b64encode(credential.encode()).decode()


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "users"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o640)
    return file


def refusal(folder: Path, text: str | bytes) -> str:
    file = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_users(file)
    told = str(caught.value)
    assert told.startswith(str(file))
    return told.removeprefix(str(file))


def test_a_hash_made_elsewhere_is_understood(tmp_path: Path) -> None:
    users = load_users(written(tmp_path, f"scraper:{RFC_7914}\n"))
    assert users.admission_of(basic("scraper:pleaseletmein")) is Admission.ADMITTED


def test_a_hash_does_not_show_the_password() -> None:
    first, second = hash_password("right"), hash_password("right")
    assert first != second
    assert "right" not in first


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Bearer abc", "Basic !!!", basic("nobody"), basic("other:right"),
     basic("user:"), basic("user:wrong"), "Basic " + "a" * 5_000, "Basic \xff"],
)  # fmt: skip
def test_anything_but_the_right_password_is_refused(tmp_path: Path, header: str | None) -> None:
    users = load_users(written(tmp_path, f"user:{hash_password('right')}"))
    assert users.admission_of(header) is Admission.REFUSED


def test_a_password_may_hold_colons_and_letters_of_any_language(tmp_path: Path) -> None:
    users = load_users(written(tmp_path, f"user:{hash_password('a:ß:漢')}"))
    assert users.admission_of(basic("user:a:ß:漢")) is Admission.ADMITTED


def test_guessing_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = load_users(written(tmp_path, f"user:{hash_password('right')}"))
    clock = [100.0]
    monkeypatch.setattr("egressd.report.passwords.time.monotonic", lambda: clock[0])
    guesses = []
    for _ in range(3):
        guesses.append(users.admission_of(basic("user:guess")))
        clock[0] += 0.3
    assert guesses == [Admission.REFUSED, Admission.LATER, Admission.REFUSED]


def test_a_password_that_was_right_is_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = load_users(written(tmp_path, f"user:{hash_password('right')}"))
    assert users.admission_of(basic("user:right")) is Admission.ADMITTED
    monkeypatch.setattr("egressd.report.passwords.hashlib.scrypt", None)
    assert users.admission_of(basic("user:right")) is Admission.ADMITTED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ": names no user"),
        ("# nobody\n\n", ": names no user"),
        ("user", ":1:1: is no line user:hash"),
        ("us er:x", ":1:1: is no line user:hash"),
        ("user:secret\n", ":1:1: what stands behind user: is no scrypt hash"),
        ("user:$2y$05$abcdefghijklmnopqrstuv\n", ":1:1: what stands behind user: is no scrypt"),
        (f"a:{RFC_7914}\na:{RFC_7914}\n", ":2:1: a stands here twice"),
        ("a:$scrypt$ln=17,r=16,p=4$YWJjZGVmZ2hpamts$" + "A" * 43, ":1:1: this hash takes too much"),
        (b"\xff\xfe", ": is no UTF-8 text"),
        (b"#" * 70_000, ": is larger than 65536 bytes"),
        ("".join(f"u{n}:{RFC_7914}\n" for n in range(101)), ": names more than 100 users"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str | bytes, says: str) -> None:
    told = refusal(tmp_path, text)
    assert told.startswith(says)
    assert "secret" not in told


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, f"user:{RFC_7914}")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it; run chmod o="):
        load_users(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        load_users(tmp_path / "nothing")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        load_users(tmp_path)


@given(st.text(max_size=60))
def test_no_header_is_more_than_refused(header: str) -> None:
    users = Users({})
    assert users.admission_of(header) is not Admission.ADMITTED


def run(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "egressd.report.passwords", *arguments],
        input=told,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_line_is_made_for_the_file(tmp_path: Path) -> None:
    made = run("prometheus", told="right\n")
    assert made.returncode == 0
    users = load_users(written(tmp_path, made.stdout))
    assert users.admission_of(basic("prometheus:right")) is Admission.ADMITTED


@pytest.mark.parametrize(
    ("arguments", "told"), [((), "x\n"), (("a:b",), "x\n"), (("user",), "\n"), (("user",), "")]
)
def test_no_line_is_made_of_nothing(arguments: tuple[str, ...], told: str) -> None:
    made = run(*arguments, told=told)
    assert (made.returncode, made.stdout) == (2, "")
