# ruff: noqa: INP001, E501 - beside a program, not a package; a query on one line can be pasted
"""What the dashboards show: tables of panels, each with its query, unit and a word of help.

`make_dashboards.py` makes Grafana's JSON of them. Every query is run in a test against
a Prometheus that scraped egressd, so that no panel is empty by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and what its series are called."""

    expression: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which value on a panel has which colour."""

    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `width` is in columns of the grid."""

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    thresholds: tuple[Threshold, ...] = ()
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)  # fieldConfig.defaults.custom


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top: the values of a label."""

    name: str
    label: str
    query: str
    several: bool = True


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; `uid` stays, since links go by it."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]


BAD_ABOVE_ZERO = (Threshold(1, "red"),)
WARN_ABOVE_ZERO = (Threshold(1, "orange"),)


def stat(  # noqa: PLR0913 - what a panel has
    title: str,
    description: str,
    expression: str,
    *,
    unit: str = "short",
    thresholds: tuple[Threshold, ...] = (),
    width: int = 4,
) -> Panel:
    """Return a panel of one number."""
    options = {
        "colorMode": "background" if thresholds else "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"]},
        "textMode": "auto",
    }
    query = Query(expression, instant=True)
    return Panel(title, description, (query,), "stat", unit, width, 4, thresholds, options)


def table(title: str, description: str, expression: str, *, unit: str = "short") -> Panel:
    """Return a table: one row a series, one column a label."""
    options = {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": True}]}
    query = Query(expression, instant=True)
    return Panel(title, description, (query,), "table", unit, options=options)


def bars(title: str, description: str, query: Query, *, unit: str = "short") -> Panel:
    """Return horizontal bars, the longest first."""
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"]},
    }
    return Panel(title, description, (query,), "bargauge", unit, options=options)


SITE = Variable("site", "Site", "label_values(egressd_build_info, site)")
INSTANCE = Variable(
    "instance", "Sensor", 'label_values(egressd_build_info{site=~"$site"}, instance)'
)
CAMERA = Variable(
    "camera",
    "Camera",
    'label_values(egressd_camera_bytes_total{site=~"$site"}, camera)',
    several=False,
)

S = 'site=~"$site"'
C = 'site=~"$site", camera=~"$camera"'
I = 'site=~"$site", instance=~"$instance"'  # noqa: E741 - beside S and C
REACHED = 'acknowledged="no", stage=~"connected|payload|transfer|media"'
OUT = f'egressd_camera_bytes_total{{{S}, direction="out"}}'


def rate(metric: str, selector: str, more: str = "") -> str:
    """Return the growth of a counter a second."""
    return f"rate({metric}{{{selector}{more}}}[$__rate_interval])"


def cameras_with(selector: str) -> str:
    """Return how many cameras have a finding that goes on; 0 rather than nothing."""
    return f"count(count by (site, camera) (egressd_findings_open{{{S}, {selector}}})) or vector(0)"


SITE_DASHBOARD = Dashboard(
    "egressd-site",
    "egressd: site",
    "What the cameras of a site do that nobody permitted, and whether the sensors see.",
    (SITE,),
    (
        Row(
            "Now",
            (
                stat("Blind sensors", "Sensors that do not see what they should: while there are any, no finding means nothing.",
                     f"count(max by (site, instance) (egressd_sensor_blind{{{S}}}) > 0) or vector(0)", thresholds=BAD_ABOVE_ZERO, width=3),
                stat("Cameras", "Cameras and recorders known.", f"sum(egressd_cameras{{{S}}})", width=3),
                stat("Never seen", "Devices of the site files that were never seen.",
                     f"sum(egressd_cameras_missing{{{S}}})", thresholds=WARN_ABOVE_ZERO, width=3),
                stat("Call home", "Cameras that are connected to what no permit covers.", cameras_with(REACHED), thresholds=BAD_ABOVE_ZERO, width=4),
                stat("Video leaves", "Cameras whose audio or video leaves the site.",
                     cameras_with('acknowledged="no", stage="media"'), thresholds=BAD_ABOVE_ZERO, width=4),
                stat("Reached from outside", "Cameras that answered a host off site which came in.",
                     cameras_with(f'rule="inbound-connection", {REACHED}'), thresholds=BAD_ABOVE_ZERO, width=4),
                stat("Try to call home", "Cameras that asked for a cloud's name or sent what nobody answered.",
                     cameras_with('acknowledged="no", stage=~"lookup|attempt"'), thresholds=WARN_ABOVE_ZERO, width=3),
            ),
        ),
        Row(
            "Findings",
            (
                table("Findings that go on", "By camera, rule and stage. Which destination: the alert records say.",
                      f"sum by (site, camera, rule, severity, stage, acknowledged) (egressd_findings_open{{{S}}})"),
                table("Alerts that fire", "As Prometheus sees them; what to do stands in the runbook.",
                      f'sum by (alertname, severity, camera, instance, reason) (ALERTS{{{S}, alertname=~"Egressd.*", alertstate="firing"}})'),
                Panel("Findings told", "Each rise of the stage counts once.",
                      (Query(f"sum by (severity) (increase(egressd_findings_total{{{S}}}[$__rate_interval]))", "{{severity}}"),)),
                Panel("Contacts off site that no permit covers", "By the stages they reached.",
                      (Query(f'sum by (stage) (increase(egressd_contacts_total{{{S}, permitted="no"}}[$__rate_interval]))', "{{stage}}"),)),
            ),
        ),
        Row(
            "Off site",
            (
                Panel("Out, by whose the far end is", "Bits a second that leave the site, permitted or not.",
                      (Query(f"8 * sum by (party) (rate({OUT}[$__rate_interval]))", "{{party}}"),), unit="bps", custom={"fillOpacity": 20, "stacking": {"mode": "normal"}}),
                Panel("Out, by camera", "The ten that send most.",
                      (Query(f"topk(10, 8 * sum by (camera) (rate({OUT}[$__rate_interval])))", "{{camera}}"),), unit="bps"),
                bars("Sent in the range shown", "The twenty cameras that sent most; those that sent nothing are last.",
                     Query(f"sort_desc(topk(20, sum by (camera) (increase({OUT}[$__range]))))", "{{camera}}", instant=True), unit="bytes"),
                Panel("New destinations", "Far ends a camera had never been seen with.",
                      (Query(f"sum by (camera) (increase(egressd_camera_destinations_total{{{S}}}[$__rate_interval]))", "{{camera}}"),)),
            ),
        ),
        Row(
            "Cameras",
            (
                table("Cameras", "What each is, and whether the site file lists it.",
                      f"sum by (site, camera, kind, vendor, listed) (egressd_camera_info{{{S}}})"),
                bars("Silent for", "Since the last frame of the camera, on site or off.",
                     Query(f"sort_desc(topk(20, time() - egressd_camera_last_frame_timestamp_seconds{{{S}}}))", "{{camera}}", instant=True), unit="s"),
            ),
        ),
    ),
)  # fmt: skip

CAMERA_DASHBOARD = Dashboard(
    "egressd-camera",
    "egressd: camera",
    "One camera: what it exchanges with far ends off site, and what was found.",
    (SITE, CAMERA),
    (
        Row(
            "Now",
            (
                stat("Silent for", "Since its last frame, on site or off.",
                     f"time() - max(egressd_camera_last_frame_timestamp_seconds{{{C}}})", unit="s",
                     thresholds=(Threshold(300, "orange"), Threshold(900, "red"))),
                stat("Recognised", "When it was recognised as a camera.",
                     f"1000 * min(egressd_camera_recognised_timestamp_seconds{{{C}}})", unit="dateTimeAsIso"),
                stat("Findings that go on", "Contacts that no permit covers, and that nobody took note of.",
                     f'sum(egressd_findings_open{{{C}, acknowledged="no"}}) or vector(0)', thresholds=BAD_ABOVE_ZERO),
                stat("Destinations", "Different far ends off site so far.", f"sum(egressd_camera_destinations_total{{{C}}})"),
                stat("Last new destination", "When it was last seen with a far end it had never been seen with.",
                     f"1000 * max(egressd_camera_last_new_destination_timestamp_seconds{{{C}}})", unit="dateTimeAsIso"),
                stat("Sent in the range shown", "Bytes that left the site, permitted or not.",
                     f'sum(increase(egressd_camera_bytes_total{{{C}, direction="out"}}[$__range]))', unit="bytes"),
            ),
        ),
        Row(
            "Off site",
            (
                Panel("Out, by whose the far end is", "Bits a second that leave the site.",
                      (Query("8 * sum by (party) (" + rate("egressd_camera_bytes_total", C, ', direction="out"') + ")", "{{party}}"),), unit="bps",
                      custom={"fillOpacity": 20, "stacking": {"mode": "normal"}}),
                Panel("In, by whose the far end is", "Bits a second that come from off site.",
                      (Query("8 * sum by (party) (" + rate("egressd_camera_bytes_total", C, ', direction="in"') + ")", "{{party}}"),), unit="bps"),
                Panel("Frames", "A second, each way.",
                      (Query("sum by (direction) (" + rate("egressd_camera_packets_total", C) + ")", "{{direction}}"),), unit="pps"),
                Panel("Out against in", "Video sends far more than it gets; a page that is fetched is the reverse.",
                      (Query("sum(" + rate("egressd_camera_bytes_total", C, ', direction="out"') + ") / (sum(" + rate("egressd_camera_bytes_total", C, ', direction="in"') + ") > 0)", "out / in"),), unit="none"),
            ),
        ),
        Row(
            "Findings",
            (
                table("Findings that go on", "By rule and stage. Which destination: the alert records say.",
                      f"sum by (rule, severity, stage, acknowledged) (egressd_findings_open{{{C}}})"),
                Panel("Findings that go on, over time", "By stage.",
                      (Query(f"sum by (stage) (egressd_findings_open{{{C}}})", "{{stage}}"),)),
                Panel("New destinations", "Far ends it had never been seen with.",
                      (Query(f"sum(increase(egressd_camera_destinations_total{{{C}}}[$__rate_interval]))", "new"),)),
                table("What it is", "As recognised; the evidence stands in the records of event_type camera.",
                      f"sum by (camera, kind, vendor, listed) (egressd_camera_info{{{C}}})"),
            ),
        ),
    ),
)  # fmt: skip

SENSOR_DASHBOARD = Dashboard(
    "egressd-sensor",
    "egressd: sensor",
    "Whether the sensor sees what it should: a sensor that says nothing may be blind.",
    (SITE, INSTANCE),
    (
        Row(
            "Now",
            (
                stat("Blind", "Reasons for which it does not see what it should.",
                     f"sum(egressd_sensor_blind{{{I}}})", thresholds=BAD_ABOVE_ZERO),
                stat("Last frame", "Since the last frame of any interface.",
                     f"time() - max(egressd_last_frame_timestamp_seconds{{{I}}})", unit="s", thresholds=(Threshold(60, "orange"), Threshold(300, "red"))),
                stat("Last reading", "Since the engine last told its counters; an old one means that it is stuck.",
                     f"time() - min(egressd_snapshot_timestamp_seconds{{{I}}})", unit="s", thresholds=(Threshold(30, "orange"), Threshold(60, "red"))),
                stat("Lost on the way", "Of all frames, those lost between the wire and the engine.",
                     "sum(" + rate("egressd_interface_dropped_frames_total", I) + ") / (sum(" + rate("egressd_interface_frames_total", I) + ") + sum(" + rate("egressd_interface_dropped_frames_total", I) + "))",
                     unit="percentunit", thresholds=(Threshold(0.0001, "orange"), Threshold(0.001, "red"))),
                stat("Lost by the mirror", "TCP payload that was acknowledged and never seen, against all bytes.",
                     "sum(" + rate("egressd_lost_bytes_total", I) + ") / sum(" + rate("egressd_wire_bytes_total", I) + ")",
                     unit="percentunit", thresholds=(Threshold(0.001, "orange"), Threshold(0.01, "red"))),
                stat("Canary seen", "Of what the canaries sent; nothing without a canary.",
                     f"sum(egressd_canary_seen_total{{{I}}}) / sum(egressd_canary_sent_total{{{I}}})", unit="percentunit"),
            ),
        ),
        Row(
            "What it sees",
            (
                Panel("Why it is blind", "1 while the reason holds.",
                      (Query(f"max by (instance, reason) (egressd_sensor_blind{{{I}}})", "{{instance}} {{reason}}"),), "state-timeline", "none",
                      thresholds=BAD_ABOVE_ZERO, options={"mergeValues": True, "showValue": "never"}),
                Panel("Blind for", "Seconds a second, by reason.",
                      (Query("sum by (instance, reason) (" + rate("egressd_sensor_blind_seconds_total", I) + ")", "{{instance}} {{reason}}"),), unit="percentunit"),
                Panel("Frames", "A second, by interface.",
                      (Query("sum by (instance, interface) (" + rate("egressd_interface_frames_total", I) + ")", "{{instance}} {{interface}}"),), unit="pps"),
                Panel("Bits", "On the wire, and what of it came here: the filter cuts on-site media to its headers.",
                      (Query("8 * sum by (instance) (" + rate("egressd_wire_bytes_total", I) + ")", "{{instance}} on the wire"),
                       Query("8 * sum by (instance) (" + rate("egressd_captured_bytes_total", I) + ")", "{{instance}} captured")), unit="bps"),
                Panel("Lost frames", "By where: no room in the card, in the ring, in the engine.",
                      (Query("sum by (instance, interface, layer) (" + rate("egressd_interface_dropped_frames_total", I) + ")", "{{interface}} {{layer}}"),
                       Query("sum by (instance, interface) (" + rate("egressd_interface_damaged_frames_total", I) + ")", "{{interface}} damaged")), unit="pps"),
                Panel("Interfaces", "1 while up and with carrier; times the ring stood still; frames of this machine itself.",
                      (Query(f"egressd_interface_up{{{I}}}", "{{interface}} up"),
                       Query(f"increase(egressd_interface_freezes_total{{{I}}}[$__rate_interval])", "{{interface}} freezes"),
                       Query(f"increase(egressd_interface_own_frames_total{{{I}}}[$__rate_interval])", "{{interface}} own frames"))),
                Panel("Quality of the mirror", "Copies, one-way flows, frames cut or joined, each against all of its kind.",
                      (Query("sum(" + rate("egressd_duplicate_frames_total", I) + ") / sum(" + rate("egressd_frames_total", I) + ")", "copies"),
                       Query("sum(" + rate("egressd_one_way_flows_total", I) + ") / sum(" + rate("egressd_flows_total", I) + ")", "one-way flows"),
                       Query("sum(" + rate("egressd_cut_frames_total", I) + ") / sum(" + rate("egressd_frames_total", I) + ")", "cut"),
                       Query("sum(" + rate("egressd_super_frames_total", I) + ") / sum(" + rate("egressd_frames_total", I) + ")", "joined")), unit="percentunit"),
                Panel("What could not be read", "Broken frames and messages, fragments that overlap, frames without IP.",
                      (Query("sum by (protocol, reason) (" + rate("egressd_decode_errors_total", I) + ")", "{{protocol}} {{reason}}"),
                       Query("sum by (reason) (" + rate("egressd_malformed_frames_total", I) + ")", "{{reason}}"),
                       Query("sum(" + rate("egressd_overlapping_fragments_total", I) + ")", "overlapping fragments"),
                       Query("sum(" + rate("egressd_fragments_total", I) + ")", "fragments"),
                       Query("sum(" + rate("egressd_non_ip_frames_total", I) + ")", "no IP")), unit="pps"),
            ),
        ),
        Row(
            "The program",
            (
                bars("Tables", "How full each is.",
                     Query(f"max by (table) (egressd_table_entries{{{I}}} / egressd_table_limit_entries{{{I}}})", "{{table}}", instant=True), unit="percentunit"),
                Panel("Given up", "Entries of tables, and looks into payload, for want of room.",
                      (Query(f"sum by (table) (increase(egressd_table_evictions_total{{{I}}}[$__rate_interval]))", "{{table}}"),
                       Query(f"sum(increase(egressd_shed_looks_total{{{I}}}[$__rate_interval]))", "looks"))),
                Panel("Work", "Of one core: the engine, and the whole process.",
                      (Query("sum by (instance) (" + rate("egressd_engine_busy_seconds_total", I) + ")", "{{instance}} engine"),
                       Query("sum by (instance) (" + rate("process_cpu_seconds_total", I, ', job="egressd"') + ")", "{{instance}} process")), unit="percentunit"),
                Panel("Memory", "Resident.", (Query(f'process_resident_memory_bytes{{{I}, job="egressd"}}', "{{instance}}"),), unit="bytes"),
                Panel("Descriptors", "Open files and sockets.", (Query(f'process_open_fds{{{I}, job="egressd"}}', "{{instance}}"),)),
                bars("Age of data", "Since it was built.",
                     Query(f"max by (database) (time() - egressd_data_built_timestamp_seconds{{{I}}})", "{{database}}", instant=True), unit="s"),
                stat("Configuration", "1 if the last reload was taken.", f"min(egressd_config_last_reload_successful{{{I}}})", width=4),
                stat("Last reload", "When, whether or not it was taken.", f"1000 * max(egressd_config_last_reload_timestamp_seconds{{{I}}})", unit="dateTimeAsIso"),
                stat("State saved", "Since it was last saved.", f"time() - min(egressd_state_saved_timestamp_seconds{{{I}}})", unit="s"),
                stat("Evidence", "Bytes of frames that are kept.", f"sum(egressd_evidence_bytes{{{I}}})", unit="bytes"),
                stat("Clock", "Times it jumped.", f"sum(egressd_clock_steps_total{{{I}}})"),
                stat("Started", "When the process began.", f"1000 * min(egressd_start_timestamp_seconds{{{I}}})", unit="dateTimeAsIso"),
                table("Versions", "Of egressd and of Python.", f"sum by (site, instance, version, python) (egressd_build_info{{{I}}})"),
                Panel("Scrapes", "Requests answered, by status; connections that got no answer.",
                      (Query("sum by (code) (" + rate("egressd_listener_requests_total", I) + ")", "{{code}}"),
                       Query("sum by (reason) (" + rate("egressd_listener_refused_connections_total", I) + ")", "refused: {{reason}}")), unit="reqps"),
            ),
        ),
        Row(
            "Sinks and evidence",
            (
                Panel("Waiting", "Records that a sink has not taken yet.",
                      (Query(f"sum by (instance, sink) (egressd_sink_backlog_records{{{I}}})", "{{instance}} {{sink}}"),)),
                Panel("Oldest waiting", "How long it has waited.",
                      (Query(f"max by (instance, sink) (time() - egressd_sink_oldest_timestamp_seconds{{{I}}})", "{{instance}} {{sink}}"),), unit="s"),
                Panel("Delivered", "Records a second.",
                      (Query("sum by (instance, sink) (" + rate("egressd_sink_delivered_records_total", I) + ")", "{{instance}} {{sink}}"),), unit="rps"),
                Panel("Failed and lost", "Attempts that failed, by reason; records that will never be delivered.",
                      (Query(f"sum by (sink, reason) (increase(egressd_sink_failures_total{{{I}}}[$__rate_interval]))", "{{sink}} {{reason}}"),
                       Query(f"sum by (sink) (increase(egressd_sink_dropped_records_total{{{I}}}[$__rate_interval]))", "{{sink}} lost"))),
                Panel("Evidence", "Findings with frames on disk; writes that failed; findings given up for want of room.",
                      (Query(f"sum(egressd_evidence_findings{{{I}}})", "kept"),
                       Query(f"sum(increase(egressd_evidence_failures_total{{{I}}}[$__rate_interval]))", "failed"),
                       Query(f"sum(increase(egressd_evidence_evictions_total{{{I}}}[$__rate_interval]))", "given up"))),
                Panel("Canaries", "Datagrams that were missed or rejected.",
                      (Query(f"sum by (canary) (increase(egressd_canary_sent_total{{{I}}}[$__rate_interval]) - increase(egressd_canary_seen_total{{{I}}}[$__rate_interval]))", "{{canary}} missed"),
                       Query(f"sum by (canary) (increase(egressd_canary_rejected_total{{{I}}}[$__rate_interval]))", "{{canary}} rejected"))),
            ),
        ),
    ),
)  # fmt: skip

DASHBOARDS = (SITE_DASHBOARD, CAMERA_DASHBOARD, SENSOR_DASHBOARD)
