"""The registry of MAC address blocks, and the layout of the tables that ship."""

from __future__ import annotations

import importlib.util
import re
import sys
import zlib
from array import array
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egressd.data import MAGIC, TableError, pack_table, read_table
from egressd.identify.oui import DEFAULT_FILE, Oui, load_oui
from egressd.model import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]

# Lines as the two kinds of source have them: blocks of all three sizes cut out of one another,
# an owner with a comma, one that is not told, one that is locally administered.
MANUF = """\
# a comment
0C:86:29         \tExampleLarge\tExample Large Blocks
0C:86:29:10/28   \tExampleMediu\tExample Medium Blocks, Inc.
0C:86:29:12:30/36\tExampleSmall\tExämple  Small Blocks
02:07:01         \tRacalDatacom\tRacal-Datacom
AA:BB:CC         \tPrivate     \tPrivate
AC:DE:48         \tPrivate     \tPrivate
"""
OUI_CSV = """\
Registry,Assignment,Organization Name,Organization Address
MA-L,0C8629,Example Large Blocks,"1 Main Street
Springfield"
MA-M,0C86291,"Example Medium Blocks, Inc.",x
MA-S,0C8629123,Exämple  Small Blocks,x
MA-L,ACDE48,Private,
MA-L,8C1F64,IEEE Registration Authority,x
"""


@pytest.fixture(scope="module")
def oui() -> Oui:
    return load_oui()


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_oui", ROOT / "scripts" / "build_oui.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("mac", "organisation"),
    [
        # Cameras in ../shared/pcaps.
        pytest.param(
            "b0:c5:54:25:5b:0e",
            "D-Link International",
            id="iotsentinel__D-LinkCam__Setup-A-1-STA frame 2",
        ),
        pytest.param(
            "74:da:38:80:7a:08",
            "Edimax Technology Co. Ltd.",
            id="iotsentinel__EdimaxCam1__Setup-A-1-STA frame 1",
        ),
        pytest.param(
            "50:c7:bf:00:fc:a3",
            "Tp-Link Technologies Co.,Ltd.",
            id="iotsentinel__TP-LinkPlugHS100__Setup-C-1-STA frame 10",
        ),
        # The MAC of DESIGN.md's site file.
        pytest.param(
            "44:19:b6:a0:00:01", "Hangzhou Hikvision Digital Technology Co.,Ltd.", id="hikvision"
        ),
    ],
)
def test_a_camera_is_of_the_company_that_bought_its_block(
    oui: Oui, mac: str, organisation: str
) -> None:
    assert oui.organisation(mac) == organisation


def test_a_small_block_is_found_inside_a_shared_one(oui: Oui) -> None:
    # MA-S 00:1B:C5:00:0 and 00:1B:C5:00:1 (IEEE oui36), cut out of the IEEE's own 00:1B:C5.
    assert oui.organisation("00:1b:c5:00:0f:ff") == "Converging Systems Inc."
    assert oui.organisation("00:1b:c5:00:10:00") == "OpenRB.com, Direct SIA"
    # MA-M 0C:86:29:0 and 0C:86:29:1 (IEEE mam).
    assert oui.organisation("0c:86:29:0f:ff:ff") == "Shanghai Prophet Electronic Technology Co.,Ltd"
    assert oui.organisation("0c:86:29:10:00:00") == "Beijing Qinmu Data Technology Co., Ltd."


@pytest.mark.parametrize(
    ("vendor", "blocks"),
    [("hikvision", 86), ("dahua", 34), ("ezviz", 15), ("uniview", 5), ("tiandy", 3)],
)
def test_the_registry_is_not_older_than_2026(oui: Oui, vendor: str, blocks: int) -> None:
    # Debian's list of 2022 has 51 blocks of Hikvision and 25 of Dahua.
    assert len(list(oui.blocks(vendor))) >= blocks


def test_every_block_of_a_vendor_leads_back_to_it(oui: Oui) -> None:
    for block in oui.blocks("Hikvision"):
        assert "Hikvision" in str(oui.organisation(block.partition("/")[0]))


def test_the_table_says_what_it_is(oui: Oui) -> None:
    assert re.fullmatch(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", oui.built)
    assert oui.built >= "2026-10-24"
    assert oui.count > 57_000
    assert "IEEE" in oui.source
    assert DEFAULT_FILE.stat().st_size < 1_500_000


@pytest.mark.parametrize(
    "mac",
    [
        # ../shared/pcaps/intl-iot__yi_camera_sample.pcap frame 40: a phone's random address.
        pytest.param("22:ef:03:1a:97:b9", id="locally administered"),
        pytest.param("02:07:01:00:00:01", id="locally administered though sold in the 1980s"),
        pytest.param("01:00:5e:7f:ff:fa", id="multicast (RFC 1112, 6.4)"),
        pytest.param("45:19:b6:a0:00:01", id="multicast bit on a block of Hikvision"),
        pytest.param("ff:ff:ff:ff:ff:ff", id="broadcast"),
        pytest.param("00:00:00:00:00:00", id="null address"),
        pytest.param("f8:ff:ff:00:00:00", id="block nobody bought"),
        pytest.param("", id="empty"),
        pytest.param("44:19:b6", id="too short"),
        pytest.param("44:19:b6:a0:00:01:02", id="too long"),
        pytest.param("44:19:b6:a0:00:0g", id="not hexadecimal"),
        pytest.param("44:19:b6:a0:00:01\n", id="line end"),
        pytest.param("٤4:19:b6:a0:00:01", id="digit that is not ASCII"),
    ],
)
def test_an_address_of_no_company_has_no_organisation(oui: Oui, mac: str) -> None:
    assert oui.organisation(mac) is None


@pytest.mark.parametrize("mac", ["44:19:B6:A0:00:01", "44-19-b6-a0-00-01", "4419b6a00001"])
def test_spelling_does_not_matter(oui: Oui, mac: str) -> None:
    assert "Hikvision" in str(oui.organisation(mac))


@given(st.text(max_size=20))
def test_any_text_is_answered(text: str) -> None:
    load_once().organisation(text)


@given(st.binary(min_size=6, max_size=6))
def test_an_answer_is_a_name(octets: bytes) -> None:
    organisation = load_once().organisation(octets.hex(":"))
    assert organisation is None or organisation.strip()
    if octets[0] & 0b11:
        assert organisation is None


@pytest.mark.parametrize("source", [MANUF, OUI_CSV], ids=["manuf", "IEEE csv"])
def test_the_longest_block_wins_whatever_the_source(build: ModuleType, source: str) -> None:
    blocks = build.read_blocks(source)
    oui = Oui(read_table(build.pack_blocks(blocks, {"name": "oui", "built": "2026-11-01"})))
    assert oui.organisation("0c:86:29:12:3f:ff") == "Exämple Small Blocks"
    assert oui.organisation("0c:86:29:12:40:00") == "Example Medium Blocks, Inc."
    assert oui.organisation("0c:86:29:20:00:00") == "Example Large Blocks"
    assert oui.organisation("ac:de:48:00:00:01") is None
    assert oui.organisation("8c:1f:64:00:00:01") is None
    assert (oui.count, oui.built) == (3, "2026-11-01")


def test_a_newer_file_replaces_the_shipped_one(build: ModuleType, tmp_path: Path) -> None:
    newer = tmp_path / "oui.bin"
    newer.write_bytes(build.pack_blocks(build.read_blocks(MANUF), {"built": "2027-01-01"}))
    oui = load_oui(newer)
    assert oui.built == "2027-01-01"
    assert oui.organisation("44:19:b6:a0:00:01") is None


def test_the_script_writes_the_file_that_is_read(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "oui.csv").write_text(OUI_CSV, encoding="utf-8")
    out = tmp_path / "oui.bin"
    monkeypatch.setattr(
        sys,
        "argv",
        ["build_oui.py", "--built", "2026-11-01", "--out", str(out), str(tmp_path / "oui.csv")],
    )
    assert build.main() == 0
    assert load_oui(out).source == "IEEE lists oui.csv"
    assert out.read_bytes().startswith(b"egressd table 1\nname: oui\nbuilt: 2026-11-01\n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "does not begin", id="empty"),
        pytest.param(b"Registry,Assignment\n\n", "first line", id="another format"),
        pytest.param(b"\xff\n\n", "not text", id="binary"),
        pytest.param(b"egressd table 1\n?\n\n", "the line '?'", id="foreign header line"),
        pytest.param(b"egressd table 1\ncolumns: a=Z1\n\n", "the column 'a=Z1'", id="column type"),
        pytest.param(b"egressd table 1\ncolumns: a=Q99999999\n\n", "claims", id="too large"),
        pytest.param(b"egressd table 1\ncolumns: a=B1\n\n", "cut", id="no columns"),
        pytest.param(b"egressd table 1\ncolumns: a=B1\n\nxx", "damaged", id="not zlib"),
        pytest.param(pack_table({}, {}), "no column", id="a table of something else"),
    ],
)
def test_a_file_that_is_no_registry_is_a_config_error(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "oui.bin"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        load_oui(file)
    assert str(caught.value).startswith(str(file))
    assert "scripts/build_oui.py" in str(caught.value)


@pytest.mark.parametrize("name", ["absent", "", "nul\0"], ids=["absent", "folder", "NUL"])
def test_a_missing_file_is_a_config_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_oui(tmp_path / name)


def test_a_file_that_may_not_be_read_is_a_config_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "oui.bin"
    file.touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_oui(file)


def _columns(owners: list[int], names: int) -> dict[str, array[int]]:
    empty = {f"{name}{bits}": array("I") for bits in (28, 36) for name in ("prefix", "owner")}
    return empty | {
        "prefix24": array("I", [1]),
        "owner24": array("H", owners),
        "name_ends": array("I", [1] * names),
        "names": array("B", b"x"),
    }


@pytest.mark.parametrize(
    ("owners", "names", "says"),
    [
        pytest.param([], 1, "differ in length", id="a block without an owner"),
        pytest.param([1], 1, "does not list", id="an owner without a name"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    owners: list[int], names: int, says: str
) -> None:
    with pytest.raises(TableError, match=says):
        Oui(read_table(pack_table({}, _columns(owners, names))))


def test_a_stream_longer_than_its_header_says_is_refused_unread() -> None:
    # 16 MB of zeros in 16 kB, under a header that announces one byte.
    bomb = f"{MAGIC}\ncolumns: a=B1\n\n".encode() + zlib.compress(bytes(16 * 2**20))
    with pytest.raises(TableError, match="longer"):
        read_table(bomb)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(lambda key: key != "columns"),
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
        max_size=3,
    ),
    st.lists(st.integers(0, 2**64 - 1), max_size=5),
    st.binary(max_size=5),
)
def test_a_table_reads_back_as_it_was_packed(
    header: dict[str, str], numbers: list[int], text: bytes
) -> None:
    table = read_table(pack_table(header, {"n": array("Q", numbers), "t": array("B", text)}))
    assert dict(table.header) == header
    assert table.built == header.get("built", "")
    assert list(table.columns["n"]) == numbers
    assert table.columns["t"].tobytes() == text


@settings(max_examples=200)
@given(st.data())
def test_no_damage_to_a_table_is_anything_but_a_table_error(data: st.DataObject) -> None:
    packed = bytearray(pack_table({"built": "2026-11-01"}, _columns([0], 1)))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    del packed[data.draw(st.integers(0, len(packed))) :]
    with suppress(TableError):
        Oui(read_table(bytes(packed))).organisation("00:00:01:00:00:00")


_ONCE: list[Oui] = []


def load_once() -> Oui:
    if not _ONCE:
        _ONCE.append(load_oui())
    return _ONCE[0]
