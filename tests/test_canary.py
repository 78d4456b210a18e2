"""A canary that is seen proves that the mirror works; forged and recorded ones prove nothing."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egressd.canary import (
    HEADER,
    MAXIMUM_NAMES,
    CanaryCounts,
    CanaryMessage,
    CanaryState,
    CanaryWatch,
    is_signed,
    load_key,
    read_canary,
    write_canary,
)
from egressd.canarysender import CanarySender, Target, target_of
from egressd.config import default_site
from egressd.dataplane.looks import LookKind
from egressd.dataplane.plane import Plane
from egressd.model import ConfigError, DecodeError
from egressd.settings.canary import DEFAULT_PORT, CanarySettings

sys.path.insert(0, str(Path(__file__).parent))
from frames import batch_of, camera

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Egressd

IP_RECVTTL = 12  # linux/in.h; the socket module does not have it
ROOT = Path(__file__).parents[1]
KEY = b"0123456789abcdef0123456789abcdef"
SECOND = 1_000_000_000
NOON = 1_795_348_800 * SECOND  # 2026-11-22T12:00:00Z
RUN = 7
PAYLOAD = write_canary(KEY, "gate", RUN, 1, NOON)
# The same, byte by byte; the signature was made with `openssl dgst -sha256 -mac HMAC`.
SPELLED = bytes.fromhex(
    "4547 5243 4e52 59 01 04 00000000000000"  # magic, version, length of the name, reserved
    "0000000000000007 0000000000000001 18ea5c38afec8000"  # run, number, sent
    "67617465"  # name
)


# ---- the datagram ------------------------------------------------------------------------------


def test_a_datagram_is_laid_out_as_documented() -> None:
    assert PAYLOAD[:-32] == SPELLED
    assert HEADER.size == 40


@pytest.mark.program("openssl")
def test_the_signature_is_an_hmac_that_others_can_make(tmp_path: Path) -> None:
    (tmp_path / "signed").write_bytes(SPELLED)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"key:{KEY.decode()}", "-binary",
         str(tmp_path / "signed")],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == PAYLOAD[-32:]


def test_what_was_written_is_read() -> None:
    message = read_canary(PAYLOAD)
    assert message == CanaryMessage("gate", RUN, 1, NOON, SPELLED, PAYLOAD[-32:])
    assert is_signed(message, KEY)
    assert not is_signed(message, KEY + b"x")


@pytest.mark.parametrize("at", range(len(PAYLOAD)))
def test_a_changed_byte_is_no_canary_or_not_signed(at: int) -> None:
    changed = bytearray(PAYLOAD)
    changed[at] ^= 1
    try:
        message = read_canary(bytes(changed))
    except DecodeError:
        return
    assert message is None or not is_signed(message, KEY)


@pytest.mark.parametrize("end", range(len(PAYLOAD)))
def test_a_cut_datagram_is_none_or_broken(end: int) -> None:
    if end < 7:
        assert read_canary(PAYLOAD[:end]) is None
        return
    with pytest.raises(DecodeError, match="canary"):
        read_canary(PAYLOAD[:end])


def test_a_trailing_byte_is_broken() -> None:
    with pytest.raises(DecodeError, match="length"):
        read_canary(PAYLOAD + b"\0")


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        pytest.param(SPELLED[:7] + b"\x02" + SPELLED[8:], "unknown version", id="version"),
        pytest.param(SPELLED[:-1] + b"\xff", "name", id="name-is-no-utf-8"),
        pytest.param(SPELLED[:8] + b"\0" + SPELLED[9:-4], "length", id="no-name"),
    ],
)
def test_a_misshapen_datagram_is_broken(signed: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        read_canary(signed + bytes(32))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(payload: bytes) -> None:
    for given_bytes in (payload, PAYLOAD[:7] + payload, SPELLED + payload):
        try:
            message = read_canary(given_bytes)
        except DecodeError:
            continue
        assert message is None or is_signed(message, KEY) == (given_bytes == PAYLOAD)


@pytest.mark.parametrize("name", ["", "x" * 65, "ü" * 33])
def test_a_name_has_a_length(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 bytes"):
        write_canary(KEY, name, RUN, 1, NOON)


# ---- the key -----------------------------------------------------------------------------------


def test_a_key_is_a_line_of_text(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    path.chmod(0o640)
    assert load_key(path) == KEY


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        pytest.param(KEY, 0o644, "chmod o=", id="readable-by-all"),
        pytest.param(b"", 0o600, "is no key", id="empty"),
        pytest.param(b"short", 0o600, "16 characters or more", id="short"),
        pytest.param(KEY + b"\n" + KEY, 0o600, "one line", id="two-lines"),
        pytest.param(KEY * 200, 0o600, "is no key", id="huge"),
    ],
)
def test_a_bad_key_file_is_told_with_what_to_do(
    tmp_path: Path, content: bytes, mode: int, says: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=says):
        load_key(path)


@pytest.mark.parametrize("name", ["nowhere", ".", "a\0b"])
def test_a_missing_key_file_is_told_with_how_to_make_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="openssl rand -hex 32"):
        load_key(tmp_path / name)


# ---- the watch ---------------------------------------------------------------------------------


def watch(*names: str, misses: int = 1) -> CanaryWatch:
    return CanaryWatch(CanarySettings("key", 60, misses, names=names), KEY, NOON)


def sees(
    watching: CanaryWatch, number: int, seconds: float, *, name: str = "gate", run: int = RUN
) -> bool:
    """Let a datagram be sent and seen so many seconds after noon."""
    at = NOON + int(seconds * SECOND)
    return watching.see(write_canary(KEY, name, run, number, at), at + SECOND // 1000)


def state(watching: CanaryWatch, seconds: float) -> CanaryState:
    return watching.report(NOON + int(seconds * SECOND)).state


def test_it_waits_for_the_first_one_and_is_blind_if_none_comes() -> None:
    watching = watch()
    assert state(watching, 89) is CanaryState.WAITING
    assert state(watching, 90) is CanaryState.BLIND
    assert watching.report(NOON + 100 * SECOND).reason == (
        "no canary for 100 s; one is due every 60 s"
    )


def test_it_sees_as_long_as_they_come_and_is_blind_after_a_missed_one() -> None:
    watching = watch()
    for minute in range(5):
        assert sees(watching, minute + 1, 60 * minute)
        assert state(watching, 60 * minute + 60) is CanaryState.SEEING
    assert state(watching, 240 + 91) is CanaryState.BLIND
    assert sees(watching, 7, 360)
    assert state(watching, 361) is CanaryState.SEEING
    assert (watching.counts.seen, watching.counts.sent) == (6, 7)


def test_as_many_may_be_missed_as_the_site_allows() -> None:
    watching = watch(misses=3)
    sees(watching, 1, 0)
    assert state(watching, 209) is CanaryState.SEEING
    assert state(watching, 211) is CanaryState.BLIND


def test_every_expected_name_must_be_heard() -> None:
    watching = watch("gate", "yard")
    sees(watching, 1, 0, name="gate")
    assert state(watching, 10) is CanaryState.WAITING
    sees(watching, 1, 20, name="yard")
    assert state(watching, 30) is CanaryState.SEEING
    sees(watching, 2, 60, name="gate")
    assert state(watching, 111) is CanaryState.BLIND
    assert "no canary of yard for 110 s" in watching.report(NOON + 131 * SECOND).reason


def test_a_name_that_is_not_expected_counts_as_a_stranger() -> None:
    watching = watch("gate")
    assert not sees(watching, 1, 0, name="shed")
    assert watching.counts == CanaryCounts(strangers=1)


def test_what_is_missing_between_two_numbers_was_lost() -> None:
    watching = watch()
    for number in (1, 2, 5, 6, 10):
        sees(watching, number, number)
    assert (watching.counts.seen, watching.counts.sent) == (5, 10)


def test_numbers_before_the_first_one_seen_are_not_lost() -> None:
    watching = watch()
    sees(watching, 5000, 0)
    assert (watching.counts.seen, watching.counts.sent) == (1, 1)


def test_a_sender_may_start_again_and_what_it_lost_since_counts() -> None:
    watching = watch()
    sees(watching, 100, 0)
    assert sees(watching, 3, 60, run=8)
    assert (watching.counts.seen, watching.counts.sent) == (2, 4)


def test_a_forged_one_is_counted_and_not_trusted() -> None:
    watching = watch()
    assert not watching.see(write_canary(b"another key, as long as it", "gate", 1, 1, NOON), NOON)
    assert watching.counts == CanaryCounts(forged=1)
    report = watching.report(NOON + 100 * SECOND)
    assert report.state is CanaryState.BLIND
    assert report.reason.endswith("; 1 came that cannot be trusted")


@pytest.mark.parametrize("later", [3, 70, 250])
def test_a_recorded_one_is_counted_and_not_trusted(later: int) -> None:
    watching = watch()
    recorded = write_canary(KEY, "gate", RUN, 1, NOON)
    assert watching.see(recorded, NOON)
    assert not watching.see(recorded, NOON + later * SECOND)
    assert (watching.counts.seen, watching.counts.replayed) == (1, 1)


def test_one_recorded_in_an_earlier_run_is_not_trusted() -> None:
    watching = watch()
    recorded = write_canary(KEY, "gate", 6, 999, NOON)
    sees(watching, 1, 10, run=7)
    assert not watching.see(recorded, NOON + 20 * SECOND)
    assert watching.counts.replayed == 1


def test_one_recorded_long_ago_is_not_trusted_even_by_a_watch_that_knows_nothing() -> None:
    watching = watch()
    assert not watching.see(PAYLOAD, NOON + 301 * SECOND)
    assert watching.counts == CanaryCounts(untimely=1)


def test_one_of_the_future_is_not_trusted() -> None:
    watching = watch()
    assert not watching.see(PAYLOAD, NOON - 301 * SECOND)
    assert watching.counts == CanaryCounts(untimely=1)


def test_a_sender_whose_clock_is_set_back_a_little_is_still_trusted() -> None:
    watching = watch()
    assert watching.see(write_canary(KEY, "gate", RUN, 1, NOON + 200 * SECOND), NOON)
    assert watching.see(write_canary(KEY, "gate", RUN, 2, NOON + 60 * SECOND), NOON + 60 * SECOND)


def test_a_frame_that_the_mirror_shows_twice_is_a_copy_and_no_replay() -> None:
    watching = watch()
    assert watching.see(PAYLOAD, NOON)
    assert not watching.see(PAYLOAD, NOON + SECOND // 1000)
    assert watching.counts == CanaryCounts(seen=1, sent=1, copies=1)


def test_a_broken_one_is_counted() -> None:
    watching = watch()
    assert not watching.see(PAYLOAD[:-1], NOON)
    assert not watching.see(b"something else", NOON)
    assert watching.counts == CanaryCounts(broken=1)


def test_the_names_it_remembers_are_bounded() -> None:
    watching = watch()
    for number in range(3 * MAXIMUM_NAMES):
        assert sees(watching, 1, number, name=f"bird-{number}")
    assert len(watching._birds) == MAXIMUM_NAMES  # noqa: SLF001 - the bound is what is tested
    assert watching.counts.seen == 3 * MAXIMUM_NAMES


def test_counters_go_on_after_a_restart() -> None:
    watching = watch()
    watching.restore(CanaryCounts(seen=10, sent=12))
    sees(watching, 50, 0)
    assert (watching.counts.seen, watching.counts.sent) == (11, 13)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(-400, 400), st.integers(0, 5)),
        max_size=30,
    )
)
def test_whatever_order_they_come_in_no_more_are_seen_than_were_sent(
    datagrams: list[tuple[int, int, int, int]],
) -> None:
    watching = watch()
    at = NOON
    for run, number, age, gap in datagrams:
        at += gap * SECOND
        watching.see(write_canary(KEY, "gate", run, number, at - age * SECOND), at)
    counts = watching.counts
    assert counts.seen <= counts.sent
    assert counts.seen + counts.copies + counts.replayed + counts.untimely == len(datagrams)


# ---- through the data plane --------------------------------------------------------------------


def canary_frames(count: int) -> list[bytes]:
    """Return canaries as they pass the mirror: each of a source port of its own."""
    return [
        camera.says(
            write_canary(KEY, "gate", RUN, number, NOON), to="10.20.0.1", port=DEFAULT_PORT,
            source=40_000 + number,
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


def payloads_of(*frames: bytes) -> list[bytes]:
    """Return what the data plane gives out of frames to look at."""
    plane = Plane([(p.network, p.length, p.version) for p in default_site().prefixes()], 0)
    plane.add_source(0, 1)
    batch = batch_of(*frames)
    position, found = 0, []
    while position < batch.count:
        position = plane.feed(batch, position)
        looks = plane.drain(batch.buffer)
        found += [look.payload for look in looks if look.kind == LookKind.PAYLOAD]
    return found


def test_every_canary_is_looked_at_for_each_is_a_flow_of_its_own() -> None:
    frames = canary_frames(200)
    expected = [write_canary(KEY, "gate", RUN, number, NOON) for number in range(1, 201)]
    assert payloads_of(*frames) == expected


def test_the_copies_of_a_mirror_are_looked_at_once_or_counted_as_copies() -> None:
    watching = watch()
    for payload in payloads_of(*(frame for one in canary_frames(20) for frame in (one, one))):
        watching.see(payload, NOON)
    assert (watching.counts.seen, watching.counts.sent, watching.counts.replayed) == (20, 20, 0)


# ---- the sender --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        ("10.20.0.1", Target("10.20.0.1", 9), "10.20.0.1:9"),
        ("10.20.0.1:4000", Target("10.20.0.1", 4000), "10.20.0.1:4000"),
        ("FD12:0::1", Target("fd12::1", 9), "[fd12::1]:9"),
        ("[fd12::1]:4000", Target("fd12::1", 4000), "[fd12::1]:4000"),
        ("[fd12::1]", Target("fd12::1", 9), "[fd12::1]:9"),
    ],
)
def test_a_target_is_an_address_and_perhaps_a_port(text: str, target: Target, told: str) -> None:
    assert target_of(text) == target
    assert str(target) == told


@pytest.mark.parametrize(
    "text",
    [
        "", "gateway.example", "10.20.0.0/16", "10.20.0.1:", "10.20.0.1:0", "10.20.0.1:65536",
        "10.20.0.1:x", "10.20.0.1:²", "[fd12::1", "[fd12::1]x", "224.0.0.1", "ff02::1",
        "255.255.255.255", "0.0.0.0", "::", ":9",  # noqa: S104 - nothing is bound
    ],
)  # fmt: skip
def test_what_is_nobodys_own_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--to .*write"):
        target_of(text)


def test_a_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--name .*1 to 64 bytes"):
        CanarySender(KEY, "x" * 65, Target("127.0.0.1", 9))


@pytest.fixture(params=["127.0.0.1", "::1"])
def gateway(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Return a socket on the loopback that takes what a sender sends."""
    ip = request.param
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as listener:
        try:
            listener.bind((ip, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        listener.settimeout(10)
        yield listener


def test_datagrams_are_numbered_and_leave_no_network(gateway: socket.socket) -> None:
    ip, port = gateway.getsockname()[:2]
    sender = CanarySender(KEY, "gate", Target(ip, port))
    watching = CanaryWatch(CanarySettings("key"), KEY, time.time_ns())  # noqa: TID251 - a real sender
    sources = set()
    for number in range(1, 4):
        sender.send()
        payload, ancillary, _, peer = gateway.recvmsg(500, 200)
        sources.add(peer[1])
        hops = [struct.unpack("i", data)[0] for _, _, data in ancillary]
        assert hops == [1]
        assert watching.see(payload, time.time_ns())  # noqa: TID251 - a real sender
        message = read_canary(payload)
        assert message is not None
        assert (message.name, message.number) == ("gate", number)
    assert len(sources) == 3
    assert watching.counts == CanaryCounts(seen=3, sent=3)


def test_a_number_is_not_used_up_by_what_was_not_sent() -> None:
    sender = CanarySender(KEY, "gate", Target("127.255.255.255", 9))
    with pytest.raises(PermissionError):  # a broadcast
        sender.send()
    assert sender.sent == 0


PROGRAM = """
import sys
from egressd.canarysender import *
ip, port, interval = sys.argv[1:]
sender = CanarySender(b"0123456789abcdef0123456789abcdef", "gate", Target(ip, int(port)))
say = lambda line: print(line, file=sys.stderr, flush=True)
send_canaries(sender, say, interval_seconds=float(interval))
"""


@contextmanager
def sending(ip: str, port: int, interval: float) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ip, str(port), str(interval)],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"])
def test_it_ends_at_once_when_asked_to(gateway: socket.socket, number: int) -> None:
    ip, port = gateway.getsockname()[:2]
    with sending(ip, port, 3600) as child:
        gateway.recv(500)
        asked = time.monotonic()
        child.send_signal(number)
        _, said = child.communicate(timeout=10)
        assert time.monotonic() - asked < 2
        assert child.returncode == 0
        assert "canary_stopped sent=1" in said


def test_it_never_sends_more_than_one_an_interval(gateway: socket.socket) -> None:
    ip, port = gateway.getsockname()[:2]
    times = []
    with sending(ip, port, 0.3) as child:
        for number in range(6):
            gateway.recv(500)
            times.append(time.monotonic())
            if number == 3:
                child.send_signal(signal.SIGSTOP)  # as a machine that sleeps
                time.sleep(1)
                child.send_signal(signal.SIGCONT)
    assert min(after - before for before, after in pairwise(times)) > 0.2


def test_a_network_that_takes_nothing_is_told_once_and_tried_again() -> None:
    with sending("127.255.255.255", 9, 0.05) as child:
        assert child.stderr is not None
        while "canary_not_sent" not in child.stderr.readline():
            assert child.poll() is None
        time.sleep(0.3)
        child.terminate()
        _, said = child.communicate(timeout=10)
    assert child.returncode == 0
    assert "canary_not_sent" not in said
    assert "canary_stopped sent=0" in said


# ---- the command -------------------------------------------------------------------------------


def test_the_command_sends_what_the_watch_trusts_and_ends_cleanly(
    tmp_path: Path, gateway: socket.socket
) -> None:
    (tmp_path / "key").write_bytes(KEY + b"\n")
    (tmp_path / "key").chmod(0o600)
    ip, port = gateway.getsockname()[:2]
    to = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    with subprocess.Popen(
        [sys.executable, "-c", "from egressd.cli import main; main()", "canary", "--key-file",
         str(tmp_path / "key"), "--to", to, "--name", "gate"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            payload = gateway.recv(500)
            child.terminate()
            out, said = child.communicate(timeout=10)
        finally:
            child.kill()
    now = time.time_ns()  # noqa: TID251 - a real sender
    assert CanaryWatch(CanarySettings("key", names=("gate",)), KEY, now).see(payload, now)
    assert child.returncode == 0
    assert (out, "canary_stopped sent=1" in said) == ("", True)


@pytest.mark.parametrize(
    ("to", "name", "says"),
    [("gateway.example", "gate", "no address"), ("10.20.0.1", "", "1 to 64 bytes")],
)
def test_the_command_refuses_what_cannot_be(
    egressd: Egressd, tmp_path: Path, to: str, name: str, says: str
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    done = egressd("canary", "--key-file", str(tmp_path / "key"), "--to", to, "--name", name)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
