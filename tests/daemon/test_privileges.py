"""What the daemon gives up is gone, as the kernel sees it; each test in a child of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from egressd.daemon.privileges import CAP_NET_RAW, PrivilegeError, privileges_now, user_for

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CHILD = """
import json, os, pwd, socket, sys
from egressd.daemon.privileges import acting_as, give_up, privileges_now, user_for

def tries(what):
    try:
        what()
        return "done"
    except OSError as error:
        return error.strerror

def status(key):
    with open("/proc/self/status") as stream:
        return next(line.split(":")[1].split() for line in stream if line.startswith(key + ":"))

packet = lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
before = packet() if os.geteuid() == 0 else None
"""

TELL = """
print(json.dumps({
    "uids": status("Uid"), "gids": status("Gid"), "groups": status("Groups"),
    "effective": status("CapEff"), "permitted": status("CapPrm"), "bounding": status("CapBnd"),
    "inheritable": status("CapInh"), "ambient": status("CapAmb"), "no_new": status("NoNewPrivs"),
    "root_again": tries(lambda: os.setuid(0)), "packet": tries(packet),
    "bind": tries(lambda: before.bind(("lo", 3))) if before else "no socket",
}))
"""
NOTHING = "0" * 16
NET_RAW = f"{1 << CAP_NET_RAW:016x}"


def told_by(code: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD + code + TELL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


@root
def test_root_becomes_nobody_and_can_do_nothing_any_more() -> None:
    told = told_by("left = give_up(user_for('nobody'))")
    assert set(told["uids"]) == {"65534"}  # type: ignore[call-overload]  # a list of text
    assert "0" not in told["groups"]  # type: ignore[operator]  # the same
    for kind in ("effective", "permitted", "bounding", "inheritable", "ambient"):
        assert told[kind] == [NOTHING], kind
    assert told["no_new"] == ["1"]
    assert told["root_again"] == "Operation not permitted"


@root
def test_a_socket_that_is_open_can_be_bound_again_and_no_other_opened() -> None:
    told = told_by("give_up(user_for('nobody'))")
    assert told["bind"] == "done"
    assert told["packet"] == "Operation not permitted"


@root
def test_the_power_to_open_packet_sockets_can_be_kept() -> None:
    told = told_by("left = give_up(user_for('nobody'), keep_net_raw=True)")
    assert told["effective"] == told["permitted"] == told["bounding"] == [NET_RAW]
    assert told["packet"] == "done"
    assert told["root_again"] == "Operation not permitted"


@root
def test_root_can_stay_root_in_name_alone() -> None:
    told = told_by("left = give_up(user_for('root'))")
    assert set(told["uids"]) == {"0"}  # type: ignore[call-overload]  # a list of text
    assert told["effective"] == told["permitted"] == told["bounding"] == [NOTHING]
    assert told["packet"] == "Operation not permitted"


@root
def test_files_are_made_as_the_user_to_be_and_root_is_back_behind_it() -> None:
    code = """
import tempfile
user = user_for("nobody")
folder = tempfile.mkdtemp(); os.chown(folder, user.pw_uid, user.pw_gid)
with acting_as(user):
    open(folder + "/state", "w").close()
assert os.stat(folder + "/state").st_uid == user.pw_uid
assert os.geteuid() == 0 and os.getegid() == 0
give_up(user)
"""
    assert told_by(code)["permitted"] == [NOTHING]


@root
def test_somebody_without_privileges_gives_up_what_is_not_there() -> None:
    told = told_by("os.setgid(65534); os.setuid(65534); before = None; give_up(user_for(None))")
    assert told["no_new"] == ["1"]
    assert told["permitted"] == [NOTHING]


@root
def test_a_user_that_is_not_there_is_said() -> None:
    with pytest.raises(PrivilegeError, match="there is no user mallory-9"):
        user_for("mallory-9")


@root
def test_without_a_name_it_is_egressd_or_nobody() -> None:
    user = user_for(None)
    assert user is not None
    assert user.pw_name in {"egressd", "nobody"}


def test_what_is_left_has_a_name() -> None:
    now = privileges_now()
    assert now.uid == os.geteuid()
    assert now.may_open_sockets == bool(now.effective & 1 << CAP_NET_RAW)
    assert now.told
