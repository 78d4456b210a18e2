"""The table: what a replay found, for a person, in one look.

It opens with what was read and closes with a verdict that never says more than
was seen: nothing found is not proof. Everything that came off the wire goes
through `plain` and into `Text`, so that no name can colour, move or forge a line.
Without a terminal there is no colour, and 80 columns are enough; in fewer than 60
each fact has a line of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from egressd.model import Direction, Kind, NameSource, Party
from egressd.report.remarks import remarks_of
from egressd.report.summary import summary_of
from egressd.report.words import (
    SEVERITY_WORDS,
    STAGE_WORDS,
    counted,
    human_bytes,
    human_span,
    plain,
    short_moment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from rich.console import RenderableType

    from egressd.model import Camera, Case, Contact, Destination, Finding, PermitUse
    from egressd.report.casefile import Run

# 80 columns with a blank between each: an IPv4 address and port fit in the first.
NARROW_WIDTHS = (28, 15, 9, 7, 7, 9)
REASONS_SHOWN = 2
NAMES_SHOWN = 3
CONTACTS_SHOWN = 50  # a camera; a scan of the internet must not bury the others
CAMERAS_SHOWN = 100
FINDINGS_SHOWN = 12
FRAMES_SHOWN = 5
LINE_LIMIT = 300  # characters of one fact
NUMBERS = ("Out", "In")  # columns of them stand right
NO_FINDING = 9  # behind every severity

SEVERITY_STYLES = {1: "bold red", 2: "red", 3: "yellow"}
PARTY_WORDS = {
    Party.OWNER: "the owner's",
    Party.PROCESSOR: "under contract",
    Party.VENDOR: "vendor's",
    Party.VENDOR_INFRA: "rented by the vendor",
    Party.PUBLIC_INFRA: "public service",
}
SOURCE_WORDS = {
    NameSource.DNS: "DNS",
    NameSource.SNI: "SNI",
    NameSource.QUIC: "QUIC SNI",
    NameSource.HTTP: "HTTP Host",
    NameSource.CERT: "certificate",
}


class Layout(IntEnum):
    """How facts are laid out, by the columns from which they are."""

    STACKED = 0  # each has a line of its own
    NARROW = 60  # facts share columns
    WIDE = 120  # each has a column of its own


def console_for(stream: TextIO, *, width: int | None = None) -> Console:
    """Return a console that takes no markup; colour only on a terminal, and not under NO_COLOR."""
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def print_table(console: Console, case: Case, run: Run) -> None:
    """Print the whole table."""
    layout = max(layout for layout in Layout if console.width >= layout)
    for part in _parts(case, run, layout):
        console.print(part)


def _parts(case: Case, run: Run, layout: Layout) -> Iterator[RenderableType]:
    yield _heading(case, run)
    contacts = _contacts_by_camera(case)
    cameras = sorted(case.cameras, key=lambda camera: _worst(contacts.get(camera.id, [])))
    shown = cameras[:CAMERAS_SHOWN]
    if shown:
        yield _cameras(shown, layout)
    if len(cameras) > len(shown):
        yield _point(f"and {len(cameras) - len(shown):,} more: see --json")
    for camera in shown:
        if camera.id in contacts:
            yield from _contacts_of(camera, contacts[camera.id], layout)
    if case.findings:
        yield from _findings(case.findings, one_file=len(run.inputs) == 1)
    if case.permits:
        yield _permits(case.permits, layout)
    remarks = remarks_of(case, run)
    if remarks:
        yield Text("\nTo keep in mind", style="bold")
        yield from (_point(line) for line in remarks)
    summary = summary_of(case, run)
    yield Text()
    yield Text(plain(summary.text), style="bold red" if summary.refutes else "bold")


@dataclass(slots=True, frozen=True)
class _Row:
    """A contact and the finding it belongs to."""

    contact: Contact
    finding: Finding | None

    @property
    def rank(self) -> list[int]:
        """What orders the rows: the worst finding, then the stage, then bytes out."""
        severity = self.finding.severity if self.finding else NO_FINDING
        return [severity, -self.contact.stage, -self.contact.bytes_out, self.contact.first]


def _contacts_by_camera(case: Case) -> dict[str, list[_Row]]:
    """Return the rows of each camera, the worst first."""
    findings = {finding.id: finding for finding in case.findings}
    cameras: dict[str, list[_Row]] = {}
    for contact in case.contacts:
        row = _Row(contact, findings.get(contact.finding or ""))
        cameras.setdefault(contact.camera.id, []).append(row)
    for rows in cameras.values():
        rows.sort(key=lambda row: row.rank)
    return cameras


def _worst(rows: list[_Row]) -> list[int]:
    return rows[0].rank if rows else [NO_FINDING + 1]


def _heading(case: Case, run: Run) -> Text:
    coverage = case.coverage
    names = ", ".join(plain(item.file) for item in run.inputs[:NAMES_SHOWN])
    if len(run.inputs) > NAMES_SHOWN:
        names += f" and {len(run.inputs) - NAMES_SHOWN} more"
    text = Text()
    if case.site is not None:
        text.append(f"{plain(case.site)}: ", style="bold")
    text.append(f"{names}\n", style="bold")
    text.append(
        f"{counted(coverage.frames, 'frame')}, {human_bytes(coverage.wire_bytes)}, "
        f"{counted(coverage.flows, 'flow')}"
    )
    if coverage.frames:
        text.append(
            f"\n{short_moment(coverage.first)} to {short_moment(coverage.last)} UTC "
            f"({human_span(coverage.last - coverage.first)})"
        )
    hosts = counted(len(case.cameras), "host" if run.judged_all else "camera")
    text.append(f"\n{hosts} judged, {counted(case.other_hosts, 'other host')} on site")
    return text


def _cameras(cameras: list[Camera], layout: Layout) -> RenderableType:
    rows = [[_who(camera), _what(camera, layout), _why(camera)] for camera in cameras]
    table = _table(["Camera", "What", "Why we think so"], rows, layout)
    return Group(Text("\nCameras", style="bold"), table)


def _who(camera: Camera) -> Text:
    lines = [camera.name or camera.id]
    if camera.name is not None:
        lines.append(camera.id)
    lines += [ip for ip in camera.ips[:NAMES_SHOWN] if ip != camera.id]
    if len(camera.ips) > NAMES_SHOWN:
        lines.append(f"and {counted(len(camera.ips) - NAMES_SHOWN, 'address', 'addresses')} more")
    return _lines(lines)


def _what(camera: Camera, layout: Layout) -> Text:
    made = [camera.vendor or "", camera.model or ""]
    words = " ".join(word for word in [*made, camera.kind.value] if word)
    if camera.kind is Kind.HOST:
        return _lines([words])
    sure = "in the site file" if camera.listed else f"{camera.confidence:.0%} sure"
    return _lines([words, sure] if layout is Layout.NARROW else [f"{words}, {sure}"])


def _why(camera: Camera) -> Text:
    by_weight = sorted(camera.evidence, key=lambda reason: -reason.weight)
    says = [reason.says for reason in by_weight[:REASONS_SHOWN]]
    if len(by_weight) > REASONS_SHOWN:
        says.append(f"and {counted(len(by_weight) - REASONS_SHOWN, 'more reason')}")
    return _lines(says or ["-"])


def _contacts_of(camera: Camera, rows: list[_Row], layout: Layout) -> Iterator[RenderableType]:
    title = Text("\n")
    title.append(plain(camera.name or camera.id), style="bold")
    title.append(f" and {counted(len(rows), 'contact')} off site")
    yield title
    shown = rows[:CONTACTS_SHOWN]
    yield _wide_table(shown) if layout is Layout.WIDE else _narrow_table(shown, layout)
    if len(rows) > len(shown):
        yield _point(f"and {counted(len(rows) - len(shown), 'more contact')}: see --json")


def _narrow_table(rows: list[_Row], layout: Layout) -> RenderableType:
    cells = []
    for row in rows:
        destination = row.contact.destination
        far_end = _lines([*_names(destination), _address(row.contact, row.finding)])
        whose = _lines([*_owners(destination), *_places(destination)])
        cells.append([far_end, whose, *_facts(row.contact, row.finding)])
    headers = ["Destination", "Whose, where", "Reached", "Out", "In", "Finding"]
    table = _table(headers, cells, layout)
    if isinstance(table, Table):
        for column, width in zip(table.columns, NARROW_WIDTHS, strict=True):
            column.width = width
    return table


def _wide_table(rows: list[_Row]) -> RenderableType:
    cells = []
    for row in rows:
        destination = row.contact.destination
        cells.append(
            [
                _lines(_names(destination) or ["-"]),
                _lines([_address(row.contact, None)]),
                _lines([(row.finding.protocol if row.finding else None) or "-"]),
                _lines(_owners(destination) or ["unknown"]),
                _lines(_places(destination) or ["unknown"]),
                *_facts(row.contact, row.finding),
            ]
        )
    headers = ["Destination", "Address", "Protocol", "Whose", "Where"]
    return _table([*headers, "Reached", "Out", "In", "Finding"], cells, Layout.WIDE)


def _facts(contact: Contact, finding: Finding | None) -> list[Text]:
    reached = STAGE_WORDS[contact.stage]
    if finding is not None and finding.stage_undecidable:
        reached += " (one way only: undecidable)"
    return [
        _lines([reached]),
        Text(human_bytes(contact.bytes_out), no_wrap=True),
        Text(human_bytes(contact.bytes_in), no_wrap=True),
        _judged(contact, finding),
    ]


def _judged(contact: Contact, finding: Finding | None) -> Text:
    if finding is not None:
        style = SEVERITY_STYLES.get(finding.severity, "")
        return Text(SEVERITY_WORDS.get(finding.severity, str(finding.severity)), style=style)
    return Text("permitted" if contact.permitted else "none")


def _names(destination: Destination) -> list[str]:
    pairs: dict[str, list[str]] = {}
    for name in destination.names:
        sources = pairs.setdefault(name.name, [])
        if SOURCE_WORDS[name.source] not in sources:
            sources.append(SOURCE_WORDS[name.source])
    lines = [f"{name} ({', '.join(sources)})" for name, sources in pairs.items()]
    if len(lines) > NAMES_SHOWN:
        return [*lines[:NAMES_SHOWN], f"and {counted(len(lines) - NAMES_SHOWN, 'more name')}"]
    return lines


def _address(contact: Contact, finding: Finding | None) -> str:
    destination = contact.destination
    if destination.ip is None:
        return "name only, no address"
    address = f"[{destination.ip}]" if ":" in destination.ip else destination.ip
    port = "" if destination.port is None else f":{destination.port}"
    text = f"{address}{port} {destination.transport}"
    if finding is not None and finding.protocol and finding.protocol != destination.transport:
        text += f" {finding.protocol}"
    return f"{text}, called in" if contact.direction is Direction.INBOUND else text


def _owners(destination: Destination) -> list[str]:
    service = destination.service
    owner = PARTY_WORDS.get(destination.party)
    if service is None:
        return [owner] if owner else []
    lines = [f"{service.id} ({service.vendor})"]
    return [*lines, owner] if owner else lines


def _places(destination: Destination) -> list[str]:
    kinds = {"location": "located", "registration": "registered"}
    places = dict.fromkeys(f"{c.code} {kinds[c.kind.value]}" for c in destination.place.countries)
    lines = [", ".join(places)] if places else []
    network = [f"AS{destination.place.asn}"] if destination.place.asn is not None else []
    network += [destination.place.org] if destination.place.org else []
    return [*lines, " ".join(network)] if network else lines


def _findings(findings: list[Finding], *, one_file: bool) -> Iterator[RenderableType]:
    yield Text("\nFindings", style="bold")
    worst = sorted(findings, key=lambda finding: finding.severity)
    for finding in worst[:FINDINGS_SHOWN]:
        severity = SEVERITY_WORDS.get(finding.severity, "?")
        packets = _packets(finding, one_file=one_file)
        yield _point(f"{finding.id} ({severity}): {finding.reason}{packets}")
    if len(worst) > FINDINGS_SHOWN:
        yield _point(f"and {len(worst) - FINDINGS_SHOWN:,} more: see --json")
    yield Text("  egressd explain CAPTURE ID shows the packets of one.", style="dim")


def _packets(finding: Finding, *, one_file: bool) -> str:
    """Return where a person finds the packets; the file goes without saying if it is the one."""
    if not finding.evidence:
        return ""
    file = finding.evidence[0].file
    numbers = [str(reference.frame) for reference in finding.evidence if reference.file == file]
    more = ", ..." if len(numbers) > FRAMES_SHOWN else ""
    noun = "frame" if len(numbers) == 1 else "frames"
    where = "" if one_file else f"{file}, "
    return f" ({where}{noun} {', '.join(numbers[:FRAMES_SHOWN])}{more})"


def _permits(permits: list[PermitUse], layout: Layout) -> RenderableType:
    rows = []
    for permit in permits:
        used = counted(permit.used, "flow") if permit.used else "never"
        if permit.expired:
            used += f"; {counted(permit.expired, 'flow')} after it expired"
        rows.append([_lines([text]) for text in (permit.text, permit.why, used, permit.line)])
    table = _table(["Permit", "Why", "Used", "Line"], rows, layout)
    return Group(Text("\nPermits", style="bold"), table)


def _table(headers: list[str], rows: list[list[Text]], layout: Layout) -> RenderableType:
    if layout is Layout.STACKED:
        return Group(*(_stacked(headers, row) for row in rows))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for header in headers:
        table.add_column(header, overflow="fold", justify="right" if header in NUMBERS else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _stacked(headers: list[str], row: list[Text]) -> Table:
    """Return a row as a point of a list: its first cell, then a line for each other."""
    point = Table.grid(padding=(0, 1, 0, 0))
    for header, cell in zip(headers, row, strict=True):
        facts = Text(", ").join(cell.split("\n"))
        if header == headers[0]:
            point.add_row("-", Text.assemble(facts, overflow="fold"))
        else:
            point.add_row("", Text.assemble((f"{header}: ", "dim"), facts, overflow="fold"))
    return point


def _lines(lines: list[str]) -> Text:
    return Text("\n".join(plain(line[:LINE_LIMIT]) for line in lines), overflow="fold")


def _point(line: str) -> Table:
    """Return a line of a list, its second line indented like its first."""
    point = Table.grid(padding=(0, 1, 0, 0))
    point.add_row("-", Text(plain(line), overflow="fold"))
    return point
