"""Episodes, stages and permits: what the judge makes of flows."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from egressd.config import Permit, Site, default_site
from egressd.judge.judge import Judge, Opening
from egressd.judge.policy import Policy
from egressd.judge.stages import Tally
from egressd.model import (
    AlertEvent,
    Camera,
    Confidence,
    Direction,
    FrameRef,
    Name,
    NameSource,
    Party,
    Place,
    Service,
    Stage,
)

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
CAMERA = Camera("44:19:b6:a0:00:01", mac="44:19:b6:a0:00:01", ips=["10.20.30.11"])
FAR = "198.51.100.77"
CLOUD = Service(
    "cloud.example", "example", "cloud", Party.VENDOR, Confidence.HIGH, can_alert=True,
    matched="cloud.example",
)  # fmt: skip


class Someone:
    """An inventory in which host 2 is a camera and host 3 a PC."""

    def __init__(self) -> None:
        self.known = True

    def camera_of(self, host: int) -> Camera | None:
        return CAMERA if host == 2 and self.known else None

    def hosts_of(self, host: int) -> tuple[int, ...]:
        return (host,)


class Nowhere:
    """Geo databases that know nothing."""

    def place_of(self, ip: str) -> Place:  # noqa: ARG002 - the judge's question
        return Place()


class Clouds:
    """Services that know cloud.example."""

    def of_name(self, name: str) -> Service | None:
        return CLOUD if name.endswith("cloud.example") else None

    def of_address(self, ip: str, port: int | None, transport: str) -> Service | None:  # noqa: ARG002
        return None


class Bench:
    """A judge and the flows it is told of."""

    def __init__(self, *permits: Permit) -> None:
        plain = default_site()
        site = Site("test", (ip_network("10.20.0.0/16"),), ("10.20.200.53",), (), (), (), permits)
        self.site = site if permits else plain
        self.someone = Someone()
        self.policy = Policy(self.site)
        self.quiet: dict[int, int] = {}
        self.judge = Judge(
            self.site,
            self.someone,
            Clouds(),  # type: ignore[arg-type]  # answers what the judge asks
            Nowhere(),
            self.policy,
            lambda flow, _: self.quiet.get(flow, 0),
        )
        self.rows = 0

    def opens(
        self, at: int, *, port: int = 443, names: tuple[str, ...] = (), **more: object
    ) -> int:
        """Begin a TCP flow of the camera; return its row."""
        self.rows += 1
        values: dict[str, object] = {
            "flow": self.rows, "row": self.rows, "host": 2, "remote_ip": FAR, "remote_port": port,
            "local_port": 40_000 + self.rows, "protocol": 6, "direction": Direction.OUTBOUND,
            "names": [Name(name, NameSource.DNS, at) for name in names],
            "at": at, "frame": FrameRef("x", self.rows),
        }  # fmt: skip
        values |= more
        self.alerts = self.judge.begin(Opening(**values), Tally(60, 0, 1, 0))  # type: ignore[arg-type]
        return self.rows

    def connects(self, row: int, at: int) -> list[AlertEvent]:
        self.judge.connected(row, at=at, frame=FrameRef("x", row))
        return self.judge.tell(row, at)

    def delivers(self, row: int, at: int) -> list[AlertEvent]:
        self.judge.delivered(row, at=at, frame=FrameRef("x", row))
        return self.judge.tell(row, at)

    def tells(self, row: int, name: str, at: int) -> list[AlertEvent]:
        self.judge.learn(row, "tls", Name(name, NameSource.SNI, at))
        return self.judge.tell(row, at)

    def closes(self, row: int, at: int, out: int = 500) -> None:
        self.judge.end(row, Tally(out, 300, 5, 4), at)


def permit(to: str, **more: object) -> Permit:
    values: dict[str, object] = {
        "from_": None, "to": to, "port": None, "why": "test", "until": None, "line": 1,
        "transport": None,
    }  # fmt: skip
    return Permit(**(values | more))  # type: ignore[arg-type]


def test_an_alert_is_repeated_only_when_the_stage_rises() -> None:
    bench = Bench()
    row = bench.opens(0)
    assert [alert.finding.stage for alert in bench.alerts] == [Stage.ATTEMPT]
    assert bench.connects(row, SECOND)[0].finding.stage is Stage.CONNECTED
    assert bench.connects(row, SECOND) == []
    assert bench.delivers(row, SECOND)[0].finding.stage is Stage.PAYLOAD


@pytest.mark.parametrize(("out", "stage"), [(63_999, Stage.PAYLOAD), (64_000, Stage.TRANSFER)])
def test_a_transfer_begins_at_64000_bytes_of_the_episode(out: int, stage: Stage) -> None:
    bench = Bench()
    first = bench.opens(0)
    bench.delivers(first, SECOND)
    bench.closes(first, SECOND, out=32_000)
    second = bench.opens(2 * SECOND)
    bench.closes(second, 3 * SECOND, out=out - 32_000)
    assert [finding.stage for finding in bench.judge.findings()] == [stage]


def test_an_hour_of_silence_ends_an_episode() -> None:
    bench = Bench()
    bench.closes(bench.opens(0), SECOND)
    bench.closes(bench.opens(HOUR // 6), HOUR // 6)
    late = HOUR // 6 + HOUR + SECOND
    bench.closes(bench.opens(late), late)
    assert len(bench.judge.findings()) == 2


def test_a_quiet_flow_keeps_its_episode() -> None:
    bench = Bench()
    bench.quiet[bench.opens(0)] = 2 * HOUR
    bench.opens(2 * HOUR + SECOND)
    assert len(bench.judge.findings()) == 1


def test_a_retry_that_backs_off_is_one_chain() -> None:
    bench = Bench()
    at = 0
    for interval in (0, 15, 30, 60, 120, 240):  # minutes
        at += interval * 60 * SECOND
        bench.closes(bench.opens(at), at)
    assert len(bench.judge.findings()) == 1


def test_a_beacon_of_two_hours_is_one_chain_from_its_second_interval_on() -> None:
    bench = Bench()
    for beat in range(8):
        bench.closes(bench.opens(beat * 2 * HOUR), beat * 2 * HOUR)
    assert len(bench.judge.findings()) == 2


def test_a_permit_by_name_waits_for_the_name() -> None:
    bench = Bench(permit("vms.example.org"))
    row = bench.opens(0)
    assert bench.alerts == []
    assert bench.connects(row, SECOND) == []
    assert bench.tells(row, "vms.example.org", SECOND) == []
    bench.closes(row, SECOND)
    assert bench.judge.findings() == []
    assert [use.used for use in bench.policy.uses] == [1]


def test_one_permitted_name_covers_no_other_at_the_same_address() -> None:
    bench = Bench(permit("vms.example.org"))
    first, second = bench.opens(0), bench.opens(SECOND)
    bench.tells(first, "vms.example.org", SECOND)
    alerts = bench.tells(second, "www.cloud.example", SECOND)
    assert [alert.finding.rule for alert in alerts] == ["cloud-contact"]
    bench.closes(first, SECOND, out=1_000)
    bench.closes(second, SECOND, out=2_000)
    (finding,) = bench.judge.findings()
    assert finding.bytes_out == 2_000
    assert [contact.permitted for contact in bench.judge.contacts()] == [True, False]


def test_the_name_that_was_told_counts_and_not_the_one_asked_for() -> None:
    bench = Bench(permit("vms.example.org"))
    row = bench.opens(0, names=("vms.example.org",))
    assert bench.tells(row, "www.cloud.example", SECOND)


def test_a_permit_is_asked_at_the_flows_own_time() -> None:
    from datetime import date  # noqa: PLC0415 - only here

    bench = Bench(permit(FAR, until=date(1970, 1, 1)))
    bench.closes(bench.opens(0), SECOND)
    assert bench.judge.finish(10 * 24 * HOUR) == []
    assert bench.judge.findings() == []


def test_a_host_that_turns_out_to_be_a_camera_is_told_of() -> None:
    bench = Bench()
    bench.someone.known = False
    row = bench.opens(0)
    assert bench.alerts == []
    bench.someone.known = True
    (alert,) = bench.judge.recognised(2, SECOND)
    assert alert.finding.destination.ip == FAR
    assert bench.delivers(row, SECOND)


def test_datagrams_are_judged_by_their_answers() -> None:
    bench = Bench()
    row = bench.opens(0, protocol=17, port=32_100)
    bench.judge.answered(row, by_host=False, at=SECOND, frame=FrameRef("x", 2))
    assert bench.judge.tell(row, SECOND)[0].finding.stage is Stage.PAYLOAD


def test_an_inbound_datagram_that_the_camera_answers_is_connected_then_payload() -> None:
    bench = Bench()
    row = bench.opens(0, protocol=17, direction=Direction.INBOUND, local_port=8000, port=50_000)
    bench.judge.answered(row, by_host=True, at=SECOND, frame=FrameRef("x", 2))
    finding = bench.judge.tell(row, SECOND)[0].finding
    assert (finding.stage, finding.rule, finding.local_port) == (
        Stage.CONNECTED, "inbound-connection", 8000,
    )  # fmt: skip
    bench.judge.turned(row, at=SECOND, frame=FrameRef("x", 3))
    assert bench.judge.tell(row, SECOND)[0].finding.stage is Stage.PAYLOAD


def test_a_ping_has_no_port() -> None:
    bench = Bench()
    row = bench.opens(0, protocol=1, direction=Direction.INBOUND, local_port=7, port=7)
    bench.judge.answered(row, by_host=True, at=SECOND, frame=FrameRef("x", 2))
    finding = bench.judge.tell(row, SECOND)[0].finding
    assert (finding.stage, finding.destination.port, finding.local_port) == (
        Stage.PAYLOAD, None, None,
    )  # fmt: skip


def test_a_lookup_of_a_cloud_is_a_finding_and_answers_are_not_counted() -> None:
    bench = Bench()
    frame = FrameRef("x", 1)
    (alert,) = bench.judge.looked_up(2, "a.cloud.example", CLOUD, "udp", 0, frame, asked=True)
    assert (alert.finding.stage, alert.finding.destination.ip) == (Stage.LOOKUP, None)
    again = bench.judge.looked_up(2, "A.cloud.example", CLOUD, "udp", 5, frame, asked=False)
    assert again == []
    assert bench.judge.findings()[0].attempts == 1


def test_a_mirror_of_one_direction_leaves_udp_undecided() -> None:
    bench = Bench()
    bench.judge.one_way_mirror = True
    bench.opens(9 * SECOND, protocol=17, port=32_100)
    assert [alert.finding.stage_undecidable for alert in bench.alerts] == [True]


def test_the_book_is_bounded() -> None:
    bench = Bench()
    bench.judge._maximum = 100  # noqa: SLF001 - a smaller book than anybody needs
    for number in range(500):
        bench.closes(bench.opens(number * SECOND, port=number + 1), number * SECOND)
    assert len(bench.judge.contacts()) == 100
    assert bench.judge.evicted == 400
