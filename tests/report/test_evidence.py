"""Every finding has a file with the frames that prove it and those that led to it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import dpkt
import pytest

from egressd.assembly import assemble
from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.batch import Source
from egressd.capture.pcapfile import open_captures
from egressd.config import load_site
from egressd.decode.dns import read_dns
from egressd.framekeeper import Content, FrameKeeper, KeptFrame
from egressd.model import AlertEvent, ConfigError, FrameRef, Stage
from egressd.report import evidence as evidence_module
from egressd.report.evidence import EvidenceStore, open_evidence, this_program
from egressd.report.evidencefolder import EvidenceFolder, Quota
from egressd.report.pcapngwriter import Section, read_section
from egressd.settings.evidence import EvidenceSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
from capture_files import damage_of, read
from sample_case import NOON, SECOND, finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from egressd.capture.batch import Batch
    from egressd.config import Site
    from egressd.model import Finding

ROOT = Path(__file__).parents[2]
SPAN = Source("span0", "span0", 1, 0)
CAMERA, FAR = "10.20.30.11", "192.0.2.7"  # of sample_case


def is_on_site(ip: str) -> bool:
    return ip.startswith("10.")


class Desk:
    """A keeper, a store and a folder, as the daemon has them."""

    def __init__(self, folder: Path, **options: int) -> None:
        self.keeper = FrameKeeper(is_on_site)
        self.folder = EvidenceFolder(folder, Quota())
        self.store = EvidenceStore(self.folder, self.keeper, this_program(), **options)

    def sees(self, number: int, at: int = 0, **facts: object) -> None:
        """Keep a frame of the sample's contact, `at` seconds after noon."""
        kept = KeptFrame(
            SPAN, number, NOON + at * SECOND, 60, b"frame %d" % number, CAMERA, FAR, 443
        )
        self.keeper.keep(replace(kept, **facts))  # type: ignore[arg-type]

    def tells(self, *frames: int, stage: Stage = Stage.ATTEMPT, name: str = "f-1") -> None:
        refs = [FrameRef("span0", number) for number in frames]
        told = replace(finding(stage), id=name, evidence=refs)
        self.store.take([AlertEvent(told.last, told)])

    def file(self, name: str = "f-1") -> Section:
        assert self.store.flush(10)
        path = self.store.path_of(name)
        assert path is not None
        assert damage_of(path) == []
        section = read_section(path.read_bytes())
        assert section is not None
        return section


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "evidence")
    yield made
    made.store.close()


def frames_in(section: Section) -> dict[int, str]:
    """Return why each frame is in a file, by the number it had on the interface."""
    return {
        int(packet.data.split()[1]): packet.comment.rsplit(", ", 1)[1] for packet in section.packets
    }


def test_the_file_holds_the_proof_the_lookup_and_the_contact_in_order(desk: Desk) -> None:
    asked = {"remote": "10.20.200.53", "port": 53, "content": Content.LOOKUP}
    desk.sees(1, -3, names=("dev.example.com",), **asked)
    desk.sees(2, -2, names=("dev.example.com",), addresses=(FAR,), **asked)
    desk.sees(3, -1, names=("other.example",), addresses=("192.0.2.8",), **asked)
    desk.sees(4, 0)
    desk.sees(5, 1)
    desk.sees(6, 1, remote="192.0.2.8")
    desk.tells(4)
    assert frames_in(desk.file()) == {
        1: "DNS that led to it", 2: "DNS that led to it", 4: "shows it", 5: "of the same contact",
    }  # fmt: skip


def test_the_header_says_which_finding_it_is(desk: Desk) -> None:
    desk.sees(4)
    desk.tells(4, 9)
    (comment,) = desk.file().comments
    assert comment.split("\n") == [
        "finding f-1",
        "rule vendor-cloud",
        "severity high",
        "camera gate-1 (00:00:5e:00:53:01)",
        "stage attempt",
        "reason gate-1 sent 1.2 MB to dev.example.com (192.0.2.7) in 12 s.",
        "frames 1 shows it",
        "missing 1 that show it, not kept any more: 9 of span0",
    ]


def test_every_frame_says_what_it_is_there_for(desk: Desk) -> None:
    desk.sees(4)
    desk.tells(4)
    assert [packet.comment for packet in desk.file().packets] == [
        "finding f-1, vendor-cloud, gate-1 (00:00:5e:00:53:01): frame 4 of span0, shows it"
    ]


def test_a_finding_that_rises_keeps_its_file_and_no_frame_comes_twice(desk: Desk) -> None:
    desk.sees(4)
    desk.tells(4)
    assert list(frames_in(desk.file())) == [4]
    desk.sees(5, 1)
    desk.tells(4, 5, stage=Stage.CONNECTED)
    section = desk.file()
    assert [int(packet.data.split()[1]) for packet in section.packets] == [4, 5]
    assert [comment.split("\n")[4] for comment in section.comments] == [
        "stage connected", "stage attempt",
    ]  # fmt: skip
    assert desk.store.counts().frames == 2


def test_a_frame_that_turns_out_to_be_proof_is_said_to_be(desk: Desk) -> None:
    desk.sees(4)
    desk.sees(5, 1)
    desk.tells(4)
    assert frames_in(desk.file()) == {4: "shows it", 5: "of the same contact"}
    desk.tells(4, 5, stage=Stage.CONNECTED)
    assert frames_in(desk.file()) == {4: "shows it", 5: "shows it"}
    assert len(desk.file().packets) == 2


def test_the_first_frame_of_a_burst_is_in_the_file(desk: Desk) -> None:
    desk.sees(1)
    for number in range(2, 5000):
        desk.sees(number, 1)
    desk.tells(1)
    assert frames_in(desk.file())[1] == "shows it"


def test_frames_before_the_episode_are_not_of_it(desk: Desk) -> None:
    desk.sees(1, -7200)
    desk.sees(2, 0)
    desk.tells(2)
    assert list(frames_in(desk.file())) == [2]


def test_a_lookup_has_its_question_and_answer(desk: Desk) -> None:
    asked = {"remote": "10.20.200.53", "port": 53, "content": Content.LOOKUP}
    desk.sees(1, 0, names=("dev.example.com",), **asked)
    desk.sees(2, 0, names=("DEV.example.com",), addresses=(FAR,), **asked)
    told = replace(finding(Stage.LOOKUP), id="f-1", evidence=[FrameRef("span0", 1)])
    told.destination = replace(told.destination, ip=None, port=None)
    desk.store.take([AlertEvent(NOON, told)])
    assert frames_in(desk.file()) == {1: "shows it", 2: "DNS that led to it"}


def test_a_finding_whose_frames_are_gone_still_has_a_file_that_says_so(desk: Desk) -> None:
    desk.tells(*range(1, 31))
    section = desk.file()
    assert section.packets == []
    assert (
        "missing 30 that show it, not kept any more: 1 of span0, 2 of span0"
        in (section.comments[0])
    )
    assert section.comments[0].endswith("20 of span0 and 10 more")
    assert desk.store.counts().missing_frames == 30


def test_frames_are_cut_where_the_site_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path, snaplen=64)
    desk.sees(1, 0, data=bytes(1400), wire=1400)
    desk.tells(1)
    (packet,) = desk.file().packets
    desk.store.close()
    assert (len(packet.data), packet.wire) == (64, 1400)


def test_two_interfaces_are_told_apart(desk: Desk) -> None:
    desk.sees(1)
    desk.sees(1, 1, source=Source("tun0", "tun0", 101, 0))
    told = replace(finding(), id="f-1", evidence=[FrameRef("span0", 1), FrameRef("tun0", 1)])
    desk.store.take([AlertEvent(NOON, told)])
    section = desk.file()
    assert [(one.name, one.linktype) for one in section.interfaces] == [("span0", 1), ("tun0", 101)]
    assert [packet.interface for packet in section.packets] == [0, 1]


def test_a_full_disk_never_stops_the_alerts_and_is_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        desk.sees(1)
        desk.tells(1)
        assert desk.store.flush(10)
    assert desk.store.counts().lost == {"disk full": 1}
    assert desk.store.path_of("f-1") is None
    desk.tells(1, stage=Stage.CONNECTED)
    assert frames_in(desk.file()) == {1: "shows it"}


def test_a_slow_disk_never_holds_up_the_alerts_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    desk = Desk(tmp_path, waiting_bytes=5000)
    put = desk.folder.put

    def slow(*arguments: object) -> bool:
        gate.wait(10)
        return put(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.folder, "put", slow)
    started = time.monotonic()
    for number in range(100):
        desk.sees(number, 0, remote=f"198.51.100.{number}", data=b"frame %d " % number + bytes(900))
        desk.tells(number, name=f"f-{number}")
    assert time.monotonic() - started < 5
    lost = desk.store.counts().lost["disk too slow"]
    assert 90 <= lost < 100
    gate.set()
    assert desk.store.flush(10)
    assert desk.folder.counts.files == 100 - lost
    desk.store.close()


def test_what_is_told_twice_while_the_disk_is_busy_is_written_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    put = desk.folder.put

    def slow(*arguments: object) -> bool:
        gate.wait(10)
        return put(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.folder, "put", slow)
    desk.tells(name="first")
    while desk.store.counts().waiting > 1:
        time.sleep(0.001)
    desk.sees(1)
    desk.tells(1)
    desk.sees(2, 1)
    desk.tells(1, 2, stage=Stage.CONNECTED)
    gate.set()
    section = desk.file()
    assert frames_in(section) == {1: "shows it", 2: "shows it"}
    assert desk.folder.counts.written == 2


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number in range(50):
        desk.sees(number, 0, remote=f"198.51.100.{number}")
        desk.tells(number, name=f"f-{number}")
    assert desk.store.close(20)
    assert desk.folder.counts.files == 50
    assert not desk.store.counts().writing


def test_closing_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    desk = Desk(tmp_path)
    monkeypatch.setattr(desk.folder, "put", lambda *_: gate.wait(10))
    desk.tells(name="f-1")
    desk.tells(name="f-2")
    started = time.monotonic()
    assert not desk.store.close(0.1)
    assert time.monotonic() - started < 5
    assert desk.store.counts().lost["stopped"] >= 1
    gate.set()


def test_old_evidence_goes_when_time_passes(desk: Desk) -> None:
    desk.tells()
    assert desk.store.flush(10)
    for hour in range(3):
        desk.store.tick(NOON + (31 * 24 + hour) * 3600 * SECOND)
        assert desk.store.flush(10)
    assert desk.store.path_of("f-1") is None
    assert desk.store.counts().folder.expired == 1


def test_what_is_remembered_of_findings_is_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_module, "KNOWN_FINDINGS", 10)
    for number in range(40):
        desk.tells(name=f"f-{number}")
    assert len(desk.store._written) == 10  # noqa: SLF001 - the bound is what is tested


def test_the_store_is_made_as_the_site_says(tmp_path: Path) -> None:
    keeper = FrameKeeper(is_on_site)
    store = open_evidence(EvidenceSettings(snaplen=64), tmp_path, keeper)
    assert (tmp_path / "evidence").is_dir()
    assert store.close()
    elsewhere = EvidenceSettings(directory=str(tmp_path / "a/b"))
    assert open_evidence(elsewhere, tmp_path, keeper).close()
    assert (tmp_path / "a/b").is_dir()


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file")
    with pytest.raises(ConfigError, match=r"evidence: File exists; .*another folder"):
        open_evidence(EvidenceSettings(), tmp_path, FrameKeeper(is_on_site))


# ---- with the engine ---------------------------------------------------------------------------


def ends_of(site: Site, source: str, target: str) -> tuple[str, str] | None:
    if site.is_on_site(source):
        return source, target
    return (target, source) if site.is_on_site(target) else None


def kept_of(site: Site, kept: KeptFrame) -> KeptFrame:
    """Return a frame as the engine gives it to the keeper, decoded by dpkt."""
    packet = dpkt.ethernet.Ethernet(kept.data).data
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
        return kept
    ends = ends_of(site, str(ip_address(packet.src)), str(ip_address(packet.dst)))
    if ends is None:
        return kept
    kept.host, kept.remote = ends
    segment = packet.data
    outbound = ends[0] == str(ip_address(packet.src))
    if isinstance(segment, dpkt.tcp.TCP | dpkt.udp.UDP):
        kept.port = segment.dport if outbound else segment.sport
    if isinstance(segment, dpkt.udp.UDP) and 53 in (segment.sport, segment.dport):
        message = read_dns(bytes(segment.data), expected=True)
        assert message is not None
        if message.is_response and site.is_on_site(ends[1]):
            kept.host, kept.remote, kept.port = str(ip_address(packet.dst)), ends[0], 53
        kept.content = Content.LOOKUP
        kept.names = tuple(question.name for question in message.questions)
        kept.addresses = tuple(
            record.data for record in message.answers if record.type in {"A", "AAAA"}
        )
    return kept


def keep_frames(site: Site, batch: Batch, sources: list[Source], keeper: FrameKeeper) -> None:
    view = memoryview(batch.buffer)
    for row in range(batch.count):
        at = batch.offset[row]
        data = bytes(view[at : at + batch.captured[row]])
        source = sources[batch.source[row]]
        frame = KeptFrame(source, batch.number[row], batch.time[row], batch.wire[row], data)
        keeper.keep(kept_of(site, frame))


def run(capture: Path, folder: Path) -> tuple[list[Finding], EvidenceFolder, FrameKeeper]:
    """Replay a capture with evidence, as `watch` works; small batches, so that frames come late."""
    site = load_site(ROOT / f"pcaps/sites/{capture.stem}.yaml")
    engine = assemble(site, services=load_services(()), geo=Geo(()))
    keeper = FrameKeeper(site.is_on_site)
    store = EvidenceStore(EvidenceFolder(folder, Quota()), keeper, this_program())
    told: dict[str, Finding] = {}
    with open_captures([str(capture)], batch_frames=7) as reader:
        for batch in reader:
            keep_frames(site, batch, reader.sources, keeper)
            events = engine.feed(batch, reader.sources)
            store.take(events)
            told |= {e.finding.id: e.finding for e in events if isinstance(e, AlertEvent)}
        events = engine.finish()
        store.take(events)
        told |= {e.finding.id: e.finding for e in events if isinstance(e, AlertEvent)}
    assert store.close(30)
    assert store.counts().lost == {}
    return list(told.values()), store._folder, keeper  # noqa: SLF001 - to look into it


CAPTURES = [
    "cloud-call", "tls-upload", "lookup-nxdomain", "refused-icmp", "media-push", "ipv6", "scan",
    "port-forward-web", "foreign-resolver", "unlisted-cameras",
]  # fmt: skip


@pytest.mark.parametrize("name", CAPTURES)
def test_every_finding_of_a_capture_has_its_frames_byte_for_byte(tmp_path: Path, name: str) -> None:
    capture = ROOT / f"pcaps/{name}.pcapng"
    whole = {row.number: row for row in read(capture)}
    told, folder, _ = run(capture, tmp_path)
    assert told
    for one in told:
        path = folder.path_of(one.id)
        assert path is not None
        assert damage_of(path) == []
        section = read_section(path.read_bytes())
        assert section is not None
        numbers = [int(p.comment.split("frame ")[1].split()[0]) for p in section.packets]
        assert len(set(numbers)) == len(numbers)
        assert {ref.frame for ref in one.evidence} <= set(numbers)
        for number, packet in zip(numbers, section.packets, strict=True):
            original = whole[number]
            assert (packet.data, packet.time) == (original.data, original.time)
            assert packet.wire == original.wire


def test_nothing_of_a_clean_site_is_stored_and_no_frame_of_its_media_kept(tmp_path: Path) -> None:
    told, folder, keeper = run(ROOT / "pcaps/clean-site.pcapng", tmp_path)
    assert (told, folder.counts.files) == ([], 0)
    assert keeper.counts.refused > 100  # RTSP and RTP to the recorder, among others


@pytest.mark.program("tshark")
@pytest.mark.program("capinfos")
def test_wireshark_takes_the_evidence_of_a_cloud_call(tmp_path: Path) -> None:
    told, folder, _ = run(ROOT / "pcaps/cloud-call.pcapng", tmp_path)
    (contact,) = [one for one in told if one.rule == "cloud-contact"]
    path = str(folder.path_of(contact.id))
    fields = ("frame.comment", "frame.interface_name", "dns.a", "tcp.dstport", "tcp.flags.syn")
    asked = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-r", path, "-T", "fields", *asked],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    whys = Counter(row[0].rsplit(", ", 1)[1] for row in rows)
    assert whys["shows it"] == len(contact.evidence)
    assert whys["DNS that led to it"] == 2
    assert all(f"finding {contact.id}, cloud-contact, " in row[0] for row in rows)
    assert {row[1] for row in rows} == {"span0"}
    assert "203.0.113.55" in {row[2] for row in rows}
    assert any(row[3] == "8555" and row[4] in {"1", "True"} for row in rows)
    about = subprocess.run(
        ["capinfos", path], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"finding {contact.id}" in about.stdout
    assert "Strict time order:   True" in about.stdout
