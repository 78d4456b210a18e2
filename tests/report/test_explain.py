"""A finding in words and in Wireshark's dissection."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from sample_case import finding, full_case

from egressd.model import Case, FrameRef
from egressd.report.explain import ExplainError, dissect, explain_finding, find_finding, lines_of

if TYPE_CHECKING:
    from pathlib import Path

needs_tshark = pytest.mark.program("tshark")

# A little-endian pcap of LINKTYPE_RAW (101) with one frame: IPv4, UDP 40000 -> 53, a question
# for dev.example.com A (RFC 1035 section 4.1).
MESSAGE = bytes.fromhex(
    "beef 0100 0001 0000 0000 0000 03646576 076578616d706c65 03636f6d 00 0001 0001"
)
UDP = bytes.fromhex("9c40 0035") + (8 + len(MESSAGE)).to_bytes(2, "big") + b"\0\0" + MESSAGE
IP4 = (
    bytes.fromhex("4500") + (20 + len(UDP)).to_bytes(2, "big")
    + bytes.fromhex("0000 0000 4011 0000 c0000201 c0000235") + UDP
)  # fmt: skip
PCAP = (
    bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 65000000 00000000 00000000")
    + len(IP4).to_bytes(4, "little") * 2
    + IP4
)


@pytest.fixture
def capture(tmp_path: Path) -> str:
    path = tmp_path / "a.pcap"
    path.write_bytes(PCAP)
    return str(path)


def test_a_finding_is_told_in_words() -> None:
    text = "\n".join(lines_of(finding()))
    for word in ("f-1", "severity high", "gate-1", "192.0.2.7 port 443/tcp", "1.2 MB in 1,000"):
        assert word in text


def test_a_wrong_id_names_the_ones_like_it() -> None:
    with pytest.raises(ExplainError, match="did you mean f-1"):
        find_finding(full_case(), "f-2")


def test_a_strange_id_names_some_that_exist() -> None:
    with pytest.raises(ExplainError, match="there are f-1"):
        find_finding(full_case(), "\x1bzzzzzz")


def test_without_findings_there_is_nothing_to_explain() -> None:
    with pytest.raises(ExplainError, match="no finding in this capture"):
        find_finding(Case(site=None), "f-1")


@needs_tshark
@pytest.mark.parametrize("through", ["pyshark", "tshark"])
def test_the_evidence_is_dissected(
    capture: str, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    if through == "pyshark":
        pytest.importorskip("pyshark")
    else:
        monkeypatch.setitem(sys.modules, "pyshark", None)
    case = full_case()
    case.findings[0].evidence = [FrameRef(capture, 1)]
    stream = io.StringIO()
    explain_finding(case, "f-1", stream)
    assert "dev.example.com: type A" in stream.getvalue()
    assert stream.getvalue().replace("\n", "").isprintable()


def test_a_missing_tshark_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExplainError, match="tshark is not installed"):
        dissect("a.pcap", [1])


@needs_tshark
def test_a_file_that_tshark_cannot_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyshark", None)
    (tmp_path / "x").write_bytes(b"not a capture")
    with pytest.raises(ExplainError, match="tshark cannot read"):
        dissect(str(tmp_path / "x"), [1])
