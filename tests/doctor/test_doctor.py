"""Doctor tells of captures and interfaces what is wrong with them; the faults are made here."""

from __future__ import annotations

import ctypes
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from egressd.attribute.geo import Geo
from egressd.attribute.services import load_services
from egressd.capture.batch import Batch, Source
from egressd.capture.interfaces import InterfaceCounters, LinkState, NicCounters
from egressd.config import default_site
from egressd.doctor import machine, measure
from egressd.doctor.examine import examine, is_interface
from egressd.doctor.facts import Weight
from egressd.doctor.measure import Measurement
from egressd.doctor.tell import print_complaints, write_complaints
from egressd.model import CaptureError
from egressd.report.table import console_for

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
from capture_files import Frame, Row, pcap, pcap_header, pcap_record, read, write
from frames import batch_of, camera, office_pc, recorder

from pcaps.generator.wire import Flag, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Egressd

    from egressd.doctor.examine import Examination
    from egressd.model import Seconds

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"
SITE = PCAPS / "sites/demo.yaml"
CAMERAS = (bytes.fromhex("4419b6a00001"), bytes.fromhex("3cef8cb00002"))
SECOND = 1_000_000_000
NOON = 1_795_348_800 * SECOND


@pytest.fixture(scope="module")
def demo() -> list[Row]:
    """Return the frames of a capture with nothing wrong."""
    return read(PCAPS / "demo.pcapng")


def frames_of(rows: list[Row]) -> list[Frame]:
    return [Frame(row.time, row.data, row.wire) for row in rows]


def examined(tmp_path: Path, frames: list[Frame], site: Path | None = SITE) -> Examination:
    name = write(tmp_path, "a.pcap", pcap(sorted(frames, key=lambda frame: frame.time)))
    return examine(name, seconds=1, site=site)


def ids(examination: Examination) -> set[str]:
    """Return the complaints, but for the one that it was little."""
    return {complaint.id for complaint in examination.complaints} - {"little"}


# ---- captures ----------------------------------------------------------------------------------


def test_a_good_capture_is_usable_without_a_word() -> None:
    examination = examine(str(PCAPS / "demo.pcapng"), seconds=1, site=SITE)
    assert (examination.usable, examination.complaints) == (True, [])


@pytest.mark.parametrize(
    "name", ["clean-site", "cloud-call", "ipv6", "in-vlan", "in-erspan2", "in-vxlan", "scan"]
)
def test_a_good_capture_stays_usable_in_tunnels_tags_and_whatever_cameras_do(name: str) -> None:
    (path,) = PCAPS.glob(f"{name}.pcap*")
    examination = examine(str(path), seconds=1, site=PCAPS / f"sites/{name}.yaml")
    assert ids(examination) == set()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("mirror-one-way-in", "one-direction"),
        ("mirror-one-way-out", "one-direction"),
        ("mirror-copies", "frames-twice"),
        ("mirror-copies-tagged", "frames-twice"),
        ("mirror-copies-routed", "frames-twice"),
        ("mirror-loss", "lost-before"),
        ("snaplen", "frames-cut"),
    ],
)
def test_a_fault_of_a_bundled_capture_is_told(name: str, complaint: str) -> None:
    (path,) = PCAPS.glob(f"{name}.pcap*")
    examination = examine(str(path), seconds=1, site=PCAPS / f"sites/{name}.yaml")
    assert ids(examination) == {complaint}
    assert examination.usable == (complaint == "frames-twice")


def test_frames_that_come_twice_are_told(tmp_path: Path, demo: list[Row]) -> None:
    frames = frames_of(demo)
    twice = [frame._replace(time=frame.time + 40_000) for frame in frames]
    assert ids(examined(tmp_path, frames + twice)) == {"frames-twice"}


@pytest.mark.parametrize(
    ("at", "which"),
    [pytest.param(6, "send.", id="sent"), pytest.param(0, "are sent.", id="received")],
)
def test_one_direction_of_the_cameras_is_told_and_which(
    tmp_path: Path, demo: list[Row], at: int, which: str
) -> None:
    half = [row for row in demo if row.data[at : at + 6] in CAMERAS]
    examination = examined(tmp_path, frames_of(half))
    (complaint,) = [c for c in examination.complaints if c.id == "one-direction"]
    assert complaint.says.endswith(which)
    assert not examination.usable


def test_a_snaplen_is_told(tmp_path: Path, demo: list[Row]) -> None:
    cut = [Frame(row.time, row.data[:96], row.wire) for row in demo]
    examination = examined(tmp_path, cut)
    assert ids(examination) == {"frames-cut"}
    assert not examination.usable


def super_frames(count: int, size: int) -> list[Frame]:
    push = Flag.PSH | Flag.ACK
    made = []
    for n in range(count):
        segment = Segment(1000 + n * size, 9001, push, bytes(size))
        data = camera.sends(segment, to="10.20.200.10", port=8000)
        made.append(Frame(NOON + 10 * SECOND + n * 1_000_000, data))
    return made


def test_super_frames_are_told_with_the_command_that_mends_them(
    tmp_path: Path, demo: list[Row]
) -> None:
    examination = examined(tmp_path, frames_of(demo) + super_frames(20, 20_000))
    (complaint,) = [c for c in examination.complaints if c.id == "frames-joined"]
    assert "20 frames are longer" in complaint.says
    assert "ethtool -K IFACE gro off lro off" in complaint.mend


def test_two_frames_joined_may_be_a_jumbo_frame(tmp_path: Path, demo: list[Row]) -> None:
    examination = examined(tmp_path, frames_of(demo) + super_frames(20, 2_900))
    (complaint,) = [c for c in examination.complaints if c.id == "long-frames"]
    assert complaint.weight is Weight.HINT


def test_an_empty_capture_is_told(tmp_path: Path) -> None:
    examination = examine(write(tmp_path, "a.pcap", pcap_header()), seconds=1)
    assert [c.id for c in examination.complaints] == ["nothing-arrives"]
    assert not examination.usable


@pytest.mark.parametrize("content", [b"", b"this is no capture"], ids=["empty", "text"])
def test_a_file_that_is_no_capture_is_not_usable(tmp_path: Path, content: bytes) -> None:
    examination = examine(write(tmp_path, "a.pcap", content), seconds=1)
    assert {c.id for c in examination.complaints} == {"nothing-arrives", "damaged-file"}
    assert not examination.usable


def test_a_damaged_capture_is_told(tmp_path: Path, demo: list[Row]) -> None:
    name = write(tmp_path, "a.pcap", pcap(frames_of(demo))[:-7])
    assert ids(examine(name, seconds=1, site=SITE)) == {"damaged-file"}


def test_a_link_type_that_nobody_reads_is_told(tmp_path: Path, demo: list[Row]) -> None:
    records = b"".join(pcap_record(frame) for frame in frames_of(demo))
    name = write(tmp_path, "a.pcap", pcap_header(linktype=147) + records)
    examination = examine(name, seconds=1)
    assert "unknown-link-type" in ids(examination)
    assert not examination.usable


def test_what_a_normal_port_gets_is_no_mirror(tmp_path: Path, demo: list[Row]) -> None:
    hello = b"M-SEARCH * HTTP/1.1\r\nX: %d\r\n\r\n"
    groups = [Frame(row.time, row.data, row.wire) for row in demo if row.data[0] & 1]
    groups += [
        Frame(NOON + n * 1_000_000, camera.says(hello % n, to="239.255.255.250", port=1900))
        for n in range(1000)
    ]
    assert ids(examined(tmp_path, groups)) == {"no-mirror"}


def test_media_without_anything_else_is_told(tmp_path: Path) -> None:
    media = [
        Frame(
            NOON + n * 10_000_000,
            camera.says(b"\x80\x60" + n.to_bytes(2, "big") + bytes(900), to=recorder.ip, port=5000),
        )
        for n in range(1200)
    ]
    examination = examined(tmp_path, media)
    assert "media-only" in ids(examination)
    assert not examination.usable


def test_devices_that_are_not_there_are_told_by_name(tmp_path: Path, demo: list[Row]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: {networks: [10.20.0.0/16]}\n"
        'cameras: [{name: gate-1, mac: "44:19:b6:a0:00:01"}, {name: shed-9, ip: 10.20.30.99}]\n'
    )
    examination = examined(tmp_path, frames_of(demo), site)
    (complaint,) = examination.complaints
    assert (complaint.id, complaint.weight) == ("cameras-missing", Weight.WARNING)
    assert "shed-9" in complaint.says
    assert "gate-1" not in complaint.says


def test_none_of_the_listed_devices_makes_it_unusable(tmp_path: Path, demo: list[Row]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("site: {networks: [10.20.0.0/16]}\ncameras: [{ip: 10.20.30.99}]\n")
    assert not examined(tmp_path, frames_of(demo), site).usable


def two_networks(tmp_path: Path) -> Path:
    site = tmp_path / "site.yaml"
    site.write_text("site: {networks: [10.20.30.0/24, 10.20.40.0/24, 10.20.200.0/24]}\n")
    return site


def test_several_networks_without_a_tag_are_a_hint(tmp_path: Path, demo: list[Row]) -> None:
    examination = examined(tmp_path, frames_of(demo), two_networks(tmp_path))
    assert ids(examination) == {"no-vlan-tags"}
    assert examination.usable


def test_tags_are_seen(tmp_path: Path, demo: list[Row]) -> None:
    tagged = [
        Frame(row.time, row.data[:12] + b"\x81\0\0\x1e" + row.data[12:], row.wire + 4)
        for row in demo
    ]
    examination = examined(tmp_path, tagged, two_networks(tmp_path))
    assert ids(examination) == set()
    assert set(examination.facts.vlans) == {30}


def test_one_vlan_alone_is_a_hint_where_a_network_is_missing(
    tmp_path: Path, demo: list[Row]
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text('site: {networks: [10.20.0.0/16, 10.99.0.0/16, "fd12:3456::/32"]}\n')
    tagged = [
        Frame(row.time, row.data[:12] + b"\x81\0\0\x1e" + row.data[12:], row.wire + 4)
        for row in demo
    ]
    examination = examined(tmp_path, tagged, site)
    assert ids(examination) == {"one-vlan"}
    assert "10.99.0.0/16" in examination.complaints[0].says
    assert "fd12" not in examination.complaints[0].says


def test_a_clock_that_was_not_set_is_told(tmp_path: Path, demo: list[Row]) -> None:
    early = [frame._replace(time=frame.time - NOON) for frame in frames_of(demo)]
    assert "times" in ids(examined(tmp_path, early))


def test_drops_that_the_capture_itself_tells_are_told(tmp_path: Path) -> None:
    content = (PCAPS / "demo.pcapng").read_bytes()
    # Interface statistics: interface 0, time, isb_ifdrop (5) 400, isb_osdrop (7) 300, end.
    body = bytes.fromhex(
        "00000000 00000000 00000000 0500 0800 9001000000000000 0700 0800 2c01000000000000 00000000"
    )
    length = (len(body) + 12).to_bytes(4, "little")
    block = (5).to_bytes(4, "little") + length + body + length
    examination = examine(write(tmp_path, "a.pcapng", content + block), seconds=1, site=SITE)
    assert ids(examination) == {"card-drops", "kernel-drops"}
    says = " ".join(complaint.says for complaint in examination.complaints)
    assert "400 frames were dropped" in says
    assert "300 frames were dropped" in says


# ---- interfaces, as the ring shows them ----------------------------------------------------------


class Ring:
    """A live source that has some batches and then is quiet."""

    def __init__(self, *batches: Batch, before: NicCounters, after: InterfaceCounters) -> None:
        self.sources = [Source("span0", "span0", 1, 0)]
        self._batches = list(batches)
        self._before = before
        self._after = after
        self._asked = 0
        self.woken = threading.Event()

    def read(self, timeout_seconds: Seconds) -> Batch | None:
        if self._batches:
            return self._batches.pop(0)
        self.woken.wait(timeout_seconds)
        return None

    def wake(self) -> None:
        self.woken.set()

    def counters(self) -> list[InterfaceCounters]:
        self._asked += 1
        return [counters(nic=self._before) if self._asked == 1 else self._after]


def counters(**changes: object) -> InterfaceCounters:
    facts: dict[str, object] = {
        "interface": "span0", "name": "span0", "state": LinkState.UP, "frames": 0, "wire_bytes": 0,
            "captured_bytes": 0,
        "last_frame": 0, "packets": 0, "drops": 0, "freezes": 0, "outgoing_frames": 0,
        "super_frames": 0, "cut_frames": 0, "tags": 0, "damaged": 0, "outages": 0,
        "carrier": True, "mtu": 1500, "merging": (),
    }  # fmt: skip
    return InterfaceCounters(**{**facts, **changes})  # type: ignore[arg-type]


def watched(*batches: Batch, seconds: float = 0.05, **changes: object) -> Examination:
    from egressd.doctor.checks import complaints_of  # noqa: PLC0415 - beside what it needs
    from egressd.doctor.examine import Examination  # noqa: PLC0415

    ring = Ring(*batches, before=NicCounters(missed=100, crc=7), after=counters(**changes))
    measurement = Measurement(default_site(), load_services(()), Geo(()))
    facts = measurement.interface("span0", ring, seconds, NOON)
    return Examination(facts, complaints_of(facts))


PASSING = batch_of(
    *(camera.asks("vms.example.org"), camera.hears("vms.example.org", "192.0.2.7")) * 10
)


def test_an_interface_on_which_nothing_arrives_is_told() -> None:
    examination = watched()
    assert "nothing-arrives" in ids(examination)
    assert not examination.usable
    assert examination.facts.live


def test_an_interface_that_is_down_is_told() -> None:
    examination = watched(state=LinkState.DOWN, carrier=None)
    (complaint,) = [c for c in examination.complaints if c.id == "nothing-arrives"]
    assert "ip link set span0 up" in complaint.mend


def test_what_was_lost_is_told_by_where_it_was_lost() -> None:
    nic = NicCounters(missed=140, crc=9)
    examination = watched(PASSING, drops=30, nic=nic)
    link = examination.facts.interface
    assert link is not None
    assert (link.kernel_drops, link.nic_drops, link.nic_errors) == (30, 40, 2)
    assert {"kernel-drops", "card-drops", "damaged-on-the-wire"} <= ids(examination)
    assert not examination.usable


def test_counters_of_a_card_from_before_are_not_held_against_it() -> None:
    examination = watched(PASSING, nic=NicCounters(missed=100, crc=7))
    assert not {"card-drops", "damaged-on-the-wire"} & ids(examination)


def test_a_card_that_tells_nothing_is_not_accused() -> None:
    assert not {"card-drops", "damaged-on-the-wire"} & ids(watched(PASSING, nic=NicCounters()))


def test_the_machines_own_traffic_is_told_from_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "own_addresses", lambda: frozenset({office_pc.ip}))
    own = batch_of(*(office_pc.hears("www.example", "192.0.2.80") for _ in range(50)))
    assert "own-traffic-only" in ids(watched(own))
    assert "own-traffic-only" not in ids(watched(PASSING))


@pytest.mark.parametrize("synchronised", [True, False])
def test_the_clock_is_asked_for_live_frames(
    monkeypatch: pytest.MonkeyPatch,
    synchronised: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    monkeypatch.setattr(measure, "is_clock_synchronised", lambda: synchronised)
    assert ("clock" in ids(watched(PASSING))) == (not synchronised)


def test_it_watches_as_long_as_it_is_told() -> None:
    started = time.monotonic()
    examination = watched(PASSING, seconds=0.4)
    assert 0.4 <= examination.facts.seconds < time.monotonic() - started + 0.01


def test_ctrl_c_ends_the_watch_and_tells_what_was_seen() -> None:
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    examination = watched(PASSING, seconds=60)
    timer.join()
    assert time.monotonic() - started < 5
    assert examination.facts.frames == 20
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def mirror() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Make a cable between two network namespaces; return what runs a program at its end."""
    near, far = f"egdoc{os.getpid()}n", f"egdoc{os.getpid()}f"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, timeout=30)

    def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", {"near": near, "far": far}[name], *words],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    ip("netns", "add", near)
    ip("netns", "add", far)
    try:
        ip("-n", near, "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", far)
        ip("-n", near, "link", "set", "va", "up")
        ip("-n", far, "link", "set", "vb", "up")
        yield run
    finally:
        ip("netns", "del", near)
        ip("netns", "del", far)


EXAMINE = """
import sys
from egressd.doctor.examine import examine
from egressd.doctor.tell import write_complaints
done = examine("vb", seconds=float(sys.argv[1]))
write_complaints(sys.stdout, done.facts, done.complaints)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")
@pytest.mark.program("ip")
@pytest.mark.program("tcpreplay")
def test_a_real_interface_is_watched(
    mirror: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    def send() -> None:
        for _ in range(3):
            mirror("near", "tcpreplay", "-q", "-i", "va", "--pps", "2000", "pcaps/demo.pcapng")

    sender = threading.Thread(target=send)
    sender.start()
    done = mirror("far", sys.executable, "-c", EXAMINE, "3")
    sender.join()
    told = json.loads(done.stdout)
    assert told["usable"], told
    assert told["facts"]["passing_frames"] > 1_000
    assert told["facts"]["cameras"] == 3
    assert told["facts"]["interface"]["carrier"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")
@pytest.mark.program("ip")
def test_a_real_interface_that_is_down_is_told(
    mirror: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    mirror("far", "ip", "link", "set", "vb", "down")
    done = mirror("far", sys.executable, "-c", EXAMINE, "0.3")
    told = json.loads(done.stdout)
    assert not told["usable"]
    assert "ip link set vb up" in told["complaints"][0]["mend"]


# ---- the target ----------------------------------------------------------------------------------


def test_a_name_that_is_nothing_is_told_with_the_interfaces_there_are() -> None:
    with pytest.raises(CaptureError, match=r"nothing0: neither .* the interfaces are .*lo"):
        examine("nothing0", seconds=1)


def test_a_file_of_an_interfaces_name_is_given_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "eth0").mkdir()
    assert is_interface("eth0", tmp_path)
    assert not is_interface("./eth0", tmp_path)
    assert not is_interface("..", tmp_path)
    assert not is_interface("", tmp_path)


# ---- how it is told ------------------------------------------------------------------------------


def told(examination: Examination, width: int = 80) -> str:
    stream = io.StringIO()
    console = console_for(stream, width=width)
    print_complaints(console, examination.facts, examination.complaints)
    return stream.getvalue()


def test_a_person_is_told_the_verdict_last() -> None:
    lines = told(examine(str(PCAPS / "demo.pcapng"), seconds=1, site=SITE), 100).splitlines()
    assert lines[1].startswith("1,808 frames, 1.5 MB, 30 flows in 23 s; 8 hosts on site, 3 cameras")
    assert lines[-1] == "This mirror is usable."


def test_a_person_is_told_every_fault_and_its_cure() -> None:
    path = PCAPS / "mirror-one-way-in.pcapng"
    text = told(examine(str(path), seconds=1, site=PCAPS / f"sites/{path.stem}.yaml"), 200)
    assert "Must be mended: Of 3 of 3 connections that carry data only one side is seen" in text
    assert "How to mend it: Mirror both directions of the source ports" in text
    assert text.rstrip().endswith("nothing found through it proves anything.")


def test_a_name_off_the_wire_cannot_steer_the_terminal(tmp_path: Path) -> None:
    examination = examine(write(tmp_path, "a.pcap", pcap_header()), seconds=1)
    examination.facts.target = "a\x1b[31m.pcap"
    assert "\x1b" not in told(examination)


def test_a_program_is_told_the_same_in_json() -> None:
    examination = examine(str(PCAPS / "snaplen.pcap"), seconds=1, site=PCAPS / "sites/snaplen.yaml")
    stream = io.StringIO()
    write_complaints(stream, examination.facts, examination.complaints)
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record["usable"] is False
    assert record["complaints"][0].keys() == {"id", "weight", "says", "mend"}
    assert (record["complaints"][0]["id"], record["complaints"][0]["weight"]) == (
        "frames-cut", "unusable",
    )  # fmt: skip
    assert record["facts"]["coverage"]["frames"] == 122


# ---- the machine ---------------------------------------------------------------------------------

# Of a machine with one interface (Linux 6.1).
FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 192.0.2.0
        /24 link UNICAST
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 04 40 00 82     eth0
"""


def test_the_machines_own_addresses_are_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(FIB_TRIE)
    (tmp_path / "net/if_inet6").write_text(IF_INET6)
    assert machine.own_addresses(tmp_path) == {"127.0.0.1", "192.0.2.2", "::1", "2001:db8::2"}


def test_a_machine_that_tells_no_addresses_has_none(tmp_path: Path) -> None:
    assert machine.own_addresses(tmp_path) == frozenset()
    (tmp_path / "net").mkdir()
    (tmp_path / "net/if_inet6").write_text("broken\n")
    assert machine.own_addresses(tmp_path) == frozenset()


def test_this_machine_has_the_loopback_address() -> None:
    assert "127.0.0.1" in machine.own_addresses()


def test_a_time_service_that_says_so_has_set_the_clock(tmp_path: Path) -> None:
    assert machine.is_clock_synchronised(tmp_path) is True
    assert machine.is_clock_synchronised(tmp_path / "nothing") in {True, False, None}


@pytest.mark.parametrize(("state", "says"), [(0, True), (5, False), (-1, None)])
def test_the_kernel_is_asked_about_the_clock(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    state: int,
    says: bool | None,  # noqa: FBT001 - a parameter of the test
) -> None:
    class Library:
        def __init__(self, _: None) -> None:
            self.adjtimex = lambda _: state

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert machine.is_clock_synchronised(tmp_path / "nothing") is says


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status"), [("clean-site.pcapng", 0), ("mirror-loss.pcapng", 1), ("nowhere", 2)]
)
def test_the_exit_status_says_whether_it_is_usable(
    egressd: Egressd, name: str, status: int
) -> None:
    done = egressd("doctor", f"pcaps/{name}")
    assert done.returncode == status
    assert bool(done.stdout) == (status < 2)
    assert "Traceback" not in done.stderr


def test_the_command_tells_json_alone_on_standard_output(egressd: Egressd) -> None:
    done = egressd("doctor", "pcaps/demo.pcapng", "--site", "pcaps/sites/demo.yaml", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["usable"] is True


def test_every_complaint_is_on_the_page() -> None:
    page = (ROOT / "docs/how-to/doctor.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "egressd/doctor").glob("*.py"))
    named = set(re.findall(r'(?:unusable|Complaint|_drops)\(\s*"([a-z-]+)"', source))
    assert {"one-direction", "clock", "little", "card-drops"} <= named
    assert {name for name in named if f"`{name}`" not in page} == set()
