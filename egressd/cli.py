"""The command line: arguments and exit codes, nothing else.

0 no finding, 1 findings, 2 could not run, 3 ran but an input was not whole (3
beats 1). Everything a command needs is loaded when it runs: `--version` and
usage errors answer at once.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from egressd import __version__
from egressd.model import CaptureError, ConfigError, Nanoseconds, RuleError

if TYPE_CHECKING:
    from typing import TextIO

    from egressd.config import Site
    from egressd.replay import Options, Outcome


class Exit(IntEnum):
    """What the exit status says."""

    CLEAN = 0  # no finding; of `check`: the files can be used
    FINDINGS = 1  # of `doctor`: the mirror is not usable
    NOT_RUN = 2  # usage, missing path, site file, rules, an output that cannot be written
    NOT_WHOLE = 3  # an input was damaged, truncated, empty or no capture, or the run was stopped


class Judge(Enum):
    """Whose contacts are judged."""

    CAMERAS = "cameras"  # recognised and listed cameras and recorders
    ALL = "all"  # every host on site


class Log(Enum):
    """Which flows get EVE records."""

    JUDGED = "judged"  # those of judged hosts that leave the site or belong to a finding
    ALL = "all"


class FailOn(Enum):
    """What turns the exit status from 0 to 1."""

    FINDING = "finding"
    NEVER = "never"


class Decoder(Enum):
    """Which of the two implementations reads the frames."""

    FAST = "fast"  # the compiled data plane
    REFERENCE = "reference"  # dpkt: slow, and shares no code with the other


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_SECONDS = re.compile(r"-?[0-9]{1,11}(\.[0-9]{1,9})?")
FRACTION = re.compile(r"(?<=[0-9]{2}:[0-9]{2})[.,]([0-9]{1,9})")

app = typer.Typer(
    name="egressd",
    help='Tests the claim "no data leaves the site" of camera vendors on network captures.',
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

SiteFile = Annotated[
    Path | None,
    typer.Option("--site", metavar="FILE", help="Site file; without one, RFC 1918 is on site."),
]


def main() -> None:
    """Run the program; what could go wrong becomes one line and an exit status."""
    _have_outputs()
    # The framework's answer to Ctrl-C is status 1, which here means findings.
    signal.signal(signal.SIGINT, _leave)
    try:
        if sys.argv[1:] == ["--version"]:
            # Scripts ask this often; setting up the commands would take twice as long as all else.
            typer.echo(f"egressd {__version__}")
            return
        app()
    except (ConfigError, RuleError, CaptureError) as error:
        _stop(str(error))
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:  # what cannot be written would be tried again at exit, which ends with 120
            _forget_standard_output()
        _stop(_told(error))
    except Exception:  # noqa: BLE001 - left to Python it would end with 1, which means findings
        traceback.print_exc()
        _stop("this is a bug in egressd; please report it with the lines above")


@app.callback(invoke_without_command=True)
def _egressd(
    version: Annotated[  # noqa: FBT002 - typer's way to declare a flag
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        typer.echo(f"egressd {__version__}")
        raise typer.Exit


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - one parameter an option
    captures: Annotated[
        list[str],
        typer.Argument(
            metavar="CAPTURE...", help="pcap or pcapng, compressed or not, or a folder; - is stdin."
        ),
    ],
    site: SiteFile = None,
    eve: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Write events as JSON lines in Suricata's schema."),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write the case file."),
    ] = None,
    judge: Annotated[Judge, typer.Option(help="Cameras, or every host on site.")] = Judge.CAMERAS,
    log: Annotated[Log, typer.Option(help="Flows that get EVE records.")] = Log.JUDGED,
    fail_on: Annotated[FailOn, typer.Option(help="What makes the exit status 1.")] = FailOn.FINDING,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Leave out frames before (ISO 8601, UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Leave out frames from this moment on.")
    ] = None,
    decoder: Annotated[Decoder, typer.Option(help="Who reads the frames.")] = Decoder.FAST,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes to use.")] = 1,
    geo: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="MMDB file asked before the embedded data; repeatable."),
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Rules read before the shipped ones; repeatable."),
    ] = None,
    progress: Annotated[  # noqa: FBT002 - typer's way to declare a flag
        bool, typer.Option("--progress/--no-progress", help="Say how far it has come.")
    ] = True,
) -> None:
    """Say which cameras in captures call home, to whom, and how far they got."""
    from egressd.replay import Options  # noqa: PLC0415 - start-up time

    options = Options(
        captures=tuple(captures),
        site=site,
        eve=eve,
        case=case,
        judge_all=judge is Judge.ALL,
        log_all=log is Log.ALL,
        since=_moment("--since", since),
        until=_moment("--until", until),
        reference=decoder is Decoder.REFERENCE,
        jobs=jobs,
        geo=tuple(geo or ()),
        rules=tuple(rules or ()),
        progress=progress,
    )
    _refuse_what_cannot_be(options)
    raise typer.Exit(_replay(options, fail_on))


@app.command()
def watch(  # noqa: PLR0913, PLR0917 - one parameter an option
    interfaces: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IFACE...]", help="Without any, those of the site file."),
    ] = None,
    site: SiteFile = None,
    follow: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Read what tcpdump or dumpcap writes there instead."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep there what a restart must not forget."),
    ] = None,
    eve: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append events as JSON lines.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whom root becomes; else egressd or nobody."),
    ] = None,
    judge: Annotated[Judge, typer.Option(help="Cameras, or every host on site.")] = Judge.CAMERAS,
    log: Annotated[Log, typer.Option(help="Flows that get EVE records.")] = Log.JUDGED,
    geo: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="As for replay; repeatable.")
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="As for replay; repeatable.")
    ] = None,
) -> None:
    """Watch a mirror port for months and say when a camera calls home."""
    from egressd.daemon.reload import Files  # noqa: PLC0415 - start-up time
    from egressd.daemon.start import Options, WatchError  # noqa: PLC0415 - start-up time
    from egressd.daemon.start import watch as run_watch  # noqa: PLC0415 - start-up time

    files = Files(
        site=site,
        rules=tuple(rules or ()),
        geo=tuple(geo or ()),
        judge_all=judge is Judge.ALL,
        log_all=log is Log.ALL,
    )
    try:
        run_watch(Options(tuple(interfaces or ()), follow, state, eve, user, files))
    except WatchError as error:
        _stop(str(error))


@app.command()
def explain(
    capture: Annotated[str, typer.Argument(metavar="CAPTURE")],
    finding: Annotated[str, typer.Argument(metavar="FINDING", help="Its id, as in the table.")],
    site: SiteFile = None,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="As for replay; repeatable.")
    ] = None,
    judge: Annotated[Judge, typer.Option(help="As for replay.")] = Judge.CAMERAS,
) -> None:
    """Show a finding in words, and its packets as Wireshark dissects them."""
    from egressd.replay import Options  # noqa: PLC0415 - start-up time
    from egressd.report.explain import ExplainError, explain_finding  # noqa: PLC0415 - start-up time

    options = Options(
        captures=(capture,), site=site, judge_all=judge is Judge.ALL, rules=tuple(rules or ())
    )
    _refuse_what_cannot_be(options)
    if capture == "-":
        _stop("CAPTURE is read twice, so that it has to be a file")
    try:
        explain_finding(_outcome(options).case, finding, sys.stdout)
        sys.stdout.flush()
    except ExplainError as error:
        _stop(str(error))
    except BrokenPipeError:
        _forget_standard_output()


@app.command()
def check(
    site: SiteFile = None,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Rules to check; repeatable.")
    ] = None,
) -> None:
    """Check a site file and rules; the exit status is 0 if they can be used and 2 if not."""
    from egressd.attribute.services import check_rules, load_services  # noqa: PLC0415 - start-up time
    from egressd.config import load_site  # noqa: PLC0415 - start-up time
    from egressd.report.sinks.secrets import check_sinks  # noqa: PLC0415 - start-up time

    problems = check_rules(rules or ())
    vendors = load_services().vendors
    if site is not None:
        try:
            loaded = load_site(site, vendors)
            for warning in loaded.warnings:
                typer.echo(f"warning: {warning}", err=True)
            problems[:0] = check_sinks(loaded.sinks, str(site))
            problems += _filter_problems(loaded)
        except ConfigError as error:
            problems.insert(0, str(error))
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(Exit.NOT_RUN)
    typer.echo("ok")


@app.command()
def ack(  # noqa: PLR0913, PLR0917 - one parameter an option
    finding: Annotated[
        str | None, typer.Argument(metavar="FINDING", help="Its id, as in the alert.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why nobody needs to be told.")
    ] = None,
    span: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long: 90min, 8h, 14d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when (ISO 8601, UTC).")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who says so; else you.")] = None,
    state: Annotated[
        Path, typer.Option(metavar="DIR", help="The state folder of egressd watch.")
    ] = Path("/var/lib/egressd"),
    remove: Annotated[  # noqa: FBT002 - typer's way to declare a flag
        bool, typer.Option("--remove", help="Take the acknowledgement back.")
    ] = False,
    show: Annotated[  # noqa: FBT002 - typer's way to declare a flag
        bool, typer.Option("--list", help="Show who has acknowledged what, and why.")
    ] = False,
) -> None:
    """Acknowledge a finding, or silence what it is about for a time; a rise is always told."""
    from egressd.daemon.clock import wall_now  # noqa: PLC0415 - start-up time
    from egressd.report.sinks.ackcommand import AckRequest, carry_out  # noqa: PLC0415
    from egressd.report.sinks.acks import AckError  # noqa: PLC0415 - start-up time

    if span is not None and until is not None:
        _stop("--for and --until say the same: give one of them")
    if show and (finding or remove or reason or span or until):
        _stop("--list stands alone")
    if remove and (reason or span or until):
        _stop("--remove needs FINDING and nothing else")
    now = wall_now()
    end = now + _span("--for", span) if span is not None else _moment("--until", until)
    request = AckRequest(state, finding, reason, by, end, take_back=remove, show=show)
    try:
        for line in carry_out(request, now):
            typer.echo(line)
    except AckError as error:
        _stop(str(error))


@app.command()
def doctor(
    target: Annotated[
        str, typer.Argument(metavar="IFACE|CAPTURE", help="The mirror's interface, or a capture.")
    ],
    site: SiteFile = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=86_400, metavar="N", help="How long to watch an interface.")
    ] = 10.0,
    json: Annotated[  # noqa: FBT002 - typer's way to declare a flag
        bool, typer.Option("--json", help="Tell it as JSON, for programs.")
    ] = False,
    rules: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="As for replay; repeatable.")
    ] = None,
) -> None:
    """Say whether a mirror is usable, what is wrong with it, and how to mend it."""
    from egressd.doctor.examine import examine  # noqa: PLC0415 - start-up time
    from egressd.doctor.tell import print_complaints, write_complaints  # noqa: PLC0415
    from egressd.report.table import console_for  # noqa: PLC0415 - start-up time

    examination = examine(target, seconds=seconds, site=site, rules=tuple(rules or ()))
    facts, complaints = examination.facts, examination.complaints
    try:
        if json:
            write_complaints(sys.stdout, facts, complaints)
        else:
            print_complaints(console_for(sys.stdout), facts, complaints)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_standard_output()
    raise typer.Exit(Exit.CLEAN if examination.usable else Exit.FINDINGS)


@app.command()
def canary(
    key_file: Annotated[
        Path, typer.Option(metavar="FILE", help="The key, a line of text: openssl rand -hex 32.")
    ],
    to: Annotated[
        str, typer.Option(metavar="GATEWAY[:PORT]", help="The gateway's own address; port 9.")
    ],
    interval: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="One datagram in so many.")
    ] = 60.0,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its name; else that of this host.")
    ] = None,
) -> None:
    """Send a signed datagram a minute that has to pass the mirror, from beside the cameras."""
    from egressd.canary import load_key  # noqa: PLC0415 - start-up time
    from egressd.canarysender import (  # noqa: PLC0415 - start-up time
        CanarySender,
        name_of_host,
        send_canaries,
        target_of,
    )

    own = name_of_host() if name is None else name
    sender = CanarySender(load_key(key_file), own, target_of(to))
    send_canaries(sender, lambda line: typer.echo(line, err=True), interval_seconds=interval)


def _filter_problems(site: Site) -> list[str]:
    from egressd.capture.filter import ETHERNET, FrameFilter  # noqa: PLC0415 - start-up time

    try:
        FrameFilter(site, expression=site.watch.expression).program_of(ETHERNET)
    except CaptureError as error:
        return [f"{site.file}: filter.expression: {error}"]
    return []


def _replay(options: Options, fail_on: FailOn) -> Exit:
    from egressd.replay import writes_to_standard_output  # noqa: PLC0415 - start-up time
    from egressd.report.table import console_for, print_table  # noqa: PLC0415 - start-up time

    outcome = _outcome(options)
    stream = sys.stderr if writes_to_standard_output(options) else sys.stdout
    try:
        print_table(console_for(stream), outcome.case, outcome.run)
        stream.flush()
    except BrokenPipeError:
        _forget_standard_output()
    return _status(outcome, fail_on)


def _outcome(options: Options) -> Outcome:
    from egressd.replay import ReplayError  # noqa: PLC0415 - start-up time
    from egressd.replay import replay as run_replay  # noqa: PLC0415 - start-up time

    try:
        return run_replay(options)
    except ReplayError as error:
        _stop(str(error))
    except KeyboardInterrupt:  # the second Ctrl-C: the first one ends the run in good order
        _leave()
    except BrokenPipeError:
        # Whoever read our lines has gone: what was left to say is lost, and that is their wish.
        _forget_standard_output()
        sys.exit(Exit.NOT_WHOLE)


def _status(outcome: Outcome, fail_on: FailOn) -> Exit:
    """Return the exit status; the first that fits."""
    if not outcome.run.is_whole:
        return Exit.NOT_WHOLE
    if outcome.case.findings and fail_on is FailOn.FINDING:
        return Exit.FINDINGS
    return Exit.CLEAN


def _refuse_what_cannot_be(options: Options) -> None:
    """Stop with a usage error before anything is opened."""
    if options.since is not None and options.until is not None and options.since >= options.until:
        _stop("--since is not before --until: no frame would be left")
    if options.captures.count("-") > 1:
        _stop("standard input (-) can be read only once")
    if "" in options.captures:
        _stop("CAPTURE is empty: give the name of a file or a folder, or - for standard input")
    for option, name in (("--eve", options.eve), ("--json", options.case)):
        if name == "":
            _stop(f"{option} is empty: give the name of a file, or - for standard output")
    names = [name for name in (options.eve, options.case) if name is not None]
    if names.count("-") > 1:
        _stop("--eve - and --json - cannot share standard output: give one of them a file")
    paths = [Path(name) for name in names if name != "-"]
    if len({path.absolute() for path in paths}) < len(paths):
        _stop(f"{paths[0]}: --eve and --json need a file each")
    for path in paths:
        if path.is_dir():
            _stop(f"{path}: is a folder; give the name of a file in it")


def _moment(option: str, text: str | None) -> Nanoseconds | None:
    if text is None:
        return None
    try:
        return moment_of(text)
    except (ValueError, OverflowError):
        _stop(
            f"{option} {text!r}: no time; write 2026-11-22T12:00:00Z, '2026-11-22 12:00:00' "
            "(UTC), or seconds since 1970"
        )


def _span(option: str, text: str) -> Nanoseconds:
    from egressd.measures import seconds_of  # noqa: PLC0415 - start-up time

    try:
        return seconds_of(text) * 1_000_000_000
    except ValueError as error:
        _stop(f"{option}: {error}")


def moment_of(text: str) -> Nanoseconds:
    """Return the moment a person wrote; ValueError if it is none.

    Digits alone are seconds since the epoch; anything else is ISO 8601, with a blank for the T
    if they like, up to nine decimals, and in UTC where no zone is given.
    """
    text = text.strip()
    if EPOCH_SECONDS.fullmatch(text):
        return int(Decimal(text) * 1_000_000_000)
    fraction = FRACTION.search(text)
    nanoseconds = int(fraction[1].ljust(9, "0")) if fraction else 0
    moment = datetime.fromisoformat(FRACTION.sub("", text, count=1))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(seconds=1) * 1_000_000_000 + nanoseconds


def _stop(text: str, status: Exit = Exit.NOT_RUN) -> NoReturn:
    """Say in one line why it ends here, and end."""
    try:
        sys.stderr.write(f"egressd: {text}\n")
        sys.stderr.flush()
    except OSError:  # nobody can be told; the status still says it
        _forget(sys.stderr)
    sys.exit(status)


def _leave(*_: object) -> NoReturn:
    _stop("interrupted", Exit.NOT_WHOLE)


def _told(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        reason += ": the report is not whole"
    return f"{error.filename}: {reason}" if error.filename else f"cannot write: {reason}"


def _have_outputs() -> None:
    """Let the table and the messages go nowhere where their stream is closed (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
            setattr(sys, name, nowhere)
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _forget_standard_output() -> None:
    _forget(sys.stdout)


def _forget(stream: TextIO) -> None:
    from egressd.report.outputs import discard  # noqa: PLC0415 - start-up time

    discard(stream)
