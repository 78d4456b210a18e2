"""Filter expressions: libpcap translates them, and nothing in them can make it ask a resolver."""

from __future__ import annotations

import ctypes
import os

import pytest
from bpf_machine import Arrival, check, run
from frames import camera, office_pc
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.capture import pcapfilter
from egressd.capture.pcapfilter import WORDS, check_expression, compile_expression
from egressd.model import CaptureError


@pytest.fixture(scope="module")
def libpcap() -> None:
    """Skip, or fail in CI, where there is no libpcap."""
    try:
        compile_expression("ip", 1)
    except CaptureError as error:
        (pytest.fail if os.environ.get("EGRESSD_TEST_ALL") == "1" else pytest.skip)(str(error))


@pytest.mark.usefixtures("libpcap")
@pytest.mark.parametrize(
    "expression",
    [
        "host 10.20.30.11",
        "net 10.20.30.0/24",
        "net 10.20",
        "net 10.20.30.0 mask 255.255.255.0",
        "ether host 44:19:b6:a0:00:01",
        "src host 10.20.30.11 && !(tcp port 443)",
        "udp portrange 50-60",
        "ip[12:4] = 0x0a141e0b and ip[9] == 17",
        "ether[6:4]=0x4419b6a0",
        "len < 100 and not ip6 host fd12:3456::11 and not net 2001:db8::/32",
        "not host ::1 and (not host ::ffff:192.0.2.1)",
        "udp[2:2] + 1 - 2 = 52",
        "",
        "  ip  ",
    ],
)
def test_an_expression_picks_what_it_says(expression: str) -> None:
    program = compile_expression(expression, 1)
    check(program)
    wanted = run(program, Arrival(camera.asks("a.example")))
    other = run(program, Arrival(office_pc.knocks("192.0.2.1", 443)))
    assert wanted > 0
    assert (other == 0) is (
        expression.strip() not in {"", "ip", "net 10.20"}
    ) or "not" in expression


@pytest.mark.parametrize(
    "expression",
    [
        "host camera.example",
        "camera",
        "net office",
        "port http",
        "host tcp-1",
        "host 1-tcp",
        "host 10-11-12",
        "host 5-6",
        "net 5-6",
        "host \\tcp",
        "host 80foo",
        "ether host camera",
        "ether host aa-bb-cc-dd-ee-ff",
        "ether proto \\ip",
        "gateway router",
        "host fe80",
        "host a:b:c",
        "host 1:2:3:4:5:6:7",
        "host 1.2.3.4.5",
        "host 1.2.3.4x",
        "host x.1.2.3.4",
        "host 10.",
        "host 0x0a141e0b.example",
        "host fe80::1%eth0",
        "host é",
        "host ١٢",  # digits, but not to libpcap
        "host a\0b",
        "host 'a'",
        "udp[2:2]-1 = 5",
        "port 80;",
    ],
)
def test_what_could_be_a_name_never_reaches_libpcap(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pcapfilter, "_library", lambda _: pytest.fail("it reached libpcap"))
    with pytest.raises(CaptureError, match=r"^filter .*(looked up as a name|not understood)"):
        compile_expression(expression, 1)


@settings(max_examples=500, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from(sorted(WORDS)),
            st.sampled_from(["10", "10.1", "5-6", "::1", "a:b::c", "0x1f", "-", "(", "[", ":"]),
            st.text(alphabet="abx019.-_:", min_size=1, max_size=6),
        ),
        max_size=6,
    ),
    glue=st.lists(st.sampled_from(["", " "]), min_size=6, max_size=6),
)
def test_every_run_of_name_characters_that_passes_is_a_word_or_a_number(
    parts: list[str], glue: list[str]
) -> None:
    text = "".join(part + space for part, space in zip(parts, glue, strict=False))
    try:
        check_expression(text)
    except CaptureError:
        return
    before = ""
    for run_of_characters in text.translate(str.maketrans("()[]", "    ")).split():
        for piece in run_of_characters.split(":"):
            if not piece.strip("-") or piece in WORDS or ":" in run_of_characters:
                continue
            numbers = piece.replace("0x", "").replace(".", "")
            if "-" in piece:
                assert before == "portrange"
                numbers = numbers.replace("-", "")
            assert all(character in "0123456789abcdefABCDEF" for character in numbers), text
            assert piece[0].isdigit(), text
        before = run_of_characters


def test_vlan_is_refused_with_the_reason() -> None:
    with pytest.raises(CaptureError, match=r"^filter 'vlan 30': the kernel takes VLAN tags off"):
        check_expression("vlan 30")


@pytest.mark.usefixtures("libpcap")
def test_what_libpcap_does_not_understand_is_told_in_its_words() -> None:
    with pytest.raises(CaptureError, match=r"^filter 'tcp port 80 and': .*syntax error"):
        compile_expression("tcp port 80 and", 1)
    with pytest.raises(CaptureError, match=r"^filter 'ether host 44:19:b6:a0:00:01': "):
        compile_expression("ether host 44:19:b6:a0:00:01", 101)


def test_a_long_expression_is_refused_and_not_repeated_whole() -> None:
    expression = " or ".join(f"port {n}" for n in range(1000, 1500))
    with pytest.raises(
        CaptureError, match="is longer than 2000 characters; write networks"
    ) as told:
        compile_expression(expression, 1)
    assert len(str(told.value)) < 250


def test_without_libpcap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(name: str) -> None:
        asked.append(name)
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(CaptureError, match=r"needs libpcap, .* \(Debian: libpcap0\.8\)"):
        compile_expression("ip", 1)
    assert asked == list(pcapfilter.LIBRARIES)
    assert all(name.startswith("libpcap.so") for name in asked)
