"""The unit shuts the service in, and the files beside it make what it needs."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from monitoring_servers import DEPLOY, ROOT

from egressd.settings.metrics import DEFAULT_PORT

if TYPE_CHECKING:
    from pathlib import Path

UNIT = DEPLOY / "systemd/egressd.service"
MOST_EXPOSURE = 2.0


def run(*command: str, told: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, input=told)


def settings(section: str = "Service") -> dict[str, list[str]]:
    """Return the unit's settings, each with all its values in order."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


# ---- the unit -----------------------------------------------------------------------------------


@pytest.mark.program("systemd-analyze")
def test_little_of_the_machine_is_exposed() -> None:
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for egressd.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSURE, done.stdout


@pytest.mark.program("systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "egressd"
    program.symlink_to("/bin/true")
    unit = tmp_path / "egressd.service"
    unit.write_text(UNIT.read_text().replace("/opt/egressd/bin/egressd", str(program)))
    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    own = [line for line in done.stderr.splitlines() if "egressd" in line]
    assert own == []


def test_it_may_read_frames_and_nothing_else() -> None:
    unit = settings()
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == ["CAP_NET_RAW"]
    assert unit["NoNewPrivileges"] == unit["MemoryDenyWriteExecute"] == ["yes"]
    assert unit["User"] == ["egressd"]


def test_it_speaks_to_its_own_machine_until_the_drop_in_names_others() -> None:
    unit = settings()
    assert unit["IPAddressDeny"] == ["any"]
    assert unit["IPAddressAllow"] == ["localhost"]


def test_it_may_bind_the_port_of_the_metrics() -> None:
    unit = settings()
    assert unit["SocketBindDeny"] == ["any"]
    assert unit["SocketBindAllow"] == [
        f"{family}:tcp:{DEFAULT_PORT}" for family in ("ipv4", "ipv6")
    ]


def test_it_checks_before_it_starts_and_reloads_by_a_signal() -> None:
    unit = settings()
    assert unit["Type"] == ["notify"]
    assert unit["ExecStartPre"][0].endswith("egressd check --site /etc/egressd/site.yaml")
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert int(unit["WatchdogSec"][0]) >= 10
    folders = ["StateDirectory", "LogsDirectory", "RuntimeDirectory", "ConfigurationDirectory"]
    assert {unit[folder][0] for folder in folders} == {"egressd"}


MDWE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
# PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (linux/prctl.h, since 6.3): what the unit's setting does.
if libc.prctl(65, 1, 0, 0, 0):
    sys.exit(77)
from egressd.cli import main
main()
"""


def test_it_runs_where_no_memory_is_both_written_and_executed() -> None:
    done = run(sys.executable, "-c", MDWE, "replay", str(ROOT / "pcaps/demo.pcapng"))
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 1, done.stderr
    assert "1 camera calls home" in done.stdout


# ---- what is beside it --------------------------------------------------------------------------


@pytest.mark.program("systemd-sysusers")
@pytest.mark.program("systemd-tmpfiles")
def test_user_and_folders_are_made(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("users and owners are for root")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    users = DEPLOY / "sysusers.d/egressd.conf"
    made = run("systemd-sysusers", f"--root={root}", "-", told=users.read_text())
    assert made.returncode == 0, made.stderr
    user = re.search(r"^egressd:!?x?\*?:(\d+):(\d+):[^:]*:/var/lib/egressd:(.*)$",
                     (root / "etc/passwd").read_text(), re.MULTILINE)  # fmt: skip
    assert user is not None
    assert user[3] == "/usr/sbin/nologin"
    folders = DEPLOY / "tmpfiles.d/egressd.conf"
    made = run("systemd-tmpfiles", f"--root={root}", "--create", "-", told=folders.read_text())
    assert made.returncode == 0, made.stderr
    owners = {
        path: (
            (root / path).stat().st_uid,
            (root / path).stat().st_gid,
            (root / path).stat().st_mode & 0o7777,
        )
        for path in ("etc/egressd", "var/lib/egressd", "var/log/egressd")
    }
    own, group = int(user[1]), int(user[2])
    assert owners == {
        "etc/egressd": (0, group, 0o750),
        "var/lib/egressd": (own, group, 0o750),
        "var/log/egressd": (own, 4, 0o750),
    }


@pytest.mark.program("logrotate")
def test_logrotate_gives_way_and_tells_the_service(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("logrotate changes owners")
    log = tmp_path / "log/eve.json"
    log.parent.mkdir(mode=0o750)
    log.write_text("{}\n")
    text = (DEPLOY / "logrotate/egressd").read_text()
    assert "systemctl kill --kill-whom=main --signal=USR1 egressd.service" in text
    text = text.replace("/var/log/egressd/", f"{log.parent}/").replace("egressd adm", "root root")
    text = re.sub(r"systemctl kill .*", f"touch {tmp_path}/told", text)
    config = tmp_path / "conf"
    config.write_text(text)
    config.chmod(0o644)
    done = run("logrotate", "--force", "--state", str(tmp_path / "state"), str(config))
    assert (done.returncode, done.stderr) == (0, "")
    assert (log.parent / "eve.json.1").read_text() == "{}\n"
    assert log.read_text() == ""
    assert log.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "told").exists()


def test_what_the_files_call_the_service_is_one_name() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
    parser.read(UNIT)
    assert parser["Service"]["User"] == parser["Service"]["Group"] == "egressd"
    assert "u egressd " in (DEPLOY / "sysusers.d/egressd.conf").read_text()
