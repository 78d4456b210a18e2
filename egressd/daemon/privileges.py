"""Giving up what is not needed: of all the powers of root, only opening packet sockets is.

Under systemd the unit sees to it that there is CAP_NET_RAW and nothing else, and it stays: a
reload may open an interface. Elsewhere everything goes once the sockets are open. They can still
be bound again (bind(2) on a packet socket needs no capability); a new one cannot be opened.
What was given up is asked of the kernel again afterwards, and this fails if it is still there.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAP_SETPCAP, CAP_NET_RAW = 8, 13  # linux/capability.h
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP = 8, 23, 24  # linux/prctl.h
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

DEFAULT_USERS = ("egressd", "nobody")


class PrivilegeError(Exception):
    """Powers that could not be given up; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the process may do: its user, and its effective and permitted capabilities as bits."""

    uid: int
    gid: int
    effective: int
    permitted: int
    no_new: bool

    @property
    def may_open_sockets(self) -> bool:
        """Whether another packet socket can be opened."""
        return bool(self.effective & 1 << CAP_NET_RAW)

    @property
    def told(self) -> str:
        """What is left, for the log."""
        left = [bit for bit in range(64) if self.permitted & 1 << bit]
        if not left:
            return "none"
        return ",".join("net_raw" if bit == CAP_NET_RAW else str(bit) for bit in left)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def privileges_now() -> Privileges:
    """Return what this process may do."""
    sets = (_Data * 2)()
    _call("capget", ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets)
    return Privileges(
        uid=os.geteuid(),
        gid=os.getegid(),
        effective=sets[0].effective | sets[1].effective << 32,
        permitted=sets[0].permitted | sets[1].permitted << 32,
        no_new=_prctl(PR_GET_NO_NEW_PRIVS) == 1,
    )


def user_for(name: str | None) -> pwd.struct_passwd | None:
    """Return whom to become: the user named, else `egressd` or `nobody`; None where not root."""
    if os.geteuid() != 0:
        if name is not None and name not in (own_name(), str(os.geteuid())):
            raise PrivilegeError(f"--user {name}: only root can become somebody else")
        return None
    for known in (name,) if name is not None else DEFAULT_USERS:
        try:
            return pwd.getpwnam(known)
        except KeyError:
            continue
    wanted = name or " or ".join(DEFAULT_USERS)
    raise PrivilegeError(f"there is no user {wanted}; make one, or name one with --user")


def own_name() -> str | None:
    """Return the name of the user we are, if there is one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None


def give_up(user: pwd.struct_passwd | None, *, keep_net_raw: bool = False) -> Privileges:
    """Become `user` where one is given, keep CAP_NET_RAW at most, and never gain anything again.

    Call it before any thread is started: capabilities are a thread's own.
    """
    had = privileges_now().permitted
    kept = had & 1 << CAP_NET_RAW if keep_net_raw else 0
    try:
        if had & 1 << CAP_SETPCAP:
            _bound(kept)
        if user is not None:
            _become(user, keep=bool(kept))
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        _set_capabilities(kept)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
    except OSError as error:
        raise PrivilegeError(f"privileges could not be given up: {error.strerror}") from error
    left = privileges_now()
    _check(left, user, kept)
    return left


@contextmanager
def acting_as(user: pwd.struct_passwd | None) -> Iterator[None]:
    """Make and open files as the user that we are going to be; root again behind it."""
    if user is None or user.pw_uid == os.geteuid():
        yield
        return
    groups = os.getgroups()
    try:
        os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        yield
    except PermissionError as error:
        raise PrivilegeError(f"{user.pw_name}: {error.filename}: {error.strerror}") from error
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def hand_over(path: Path, user: pwd.struct_passwd) -> None:
    """Give a folder that we made as root to the user that we are to become."""
    os.chown(path, user.pw_uid, user.pw_gid)


def _bound(kept: int) -> None:
    """Take from the bounding set what is not kept, so that no program we run could have it."""
    bit = 0
    while bit < 64:
        known = _libc.prctl(PR_CAPBSET_READ, bit, 0, 0, 0)
        if known < 0:  # the kernel knows no more capabilities
            return
        if known and not kept & 1 << bit:
            _prctl(PR_CAPBSET_DROP, bit)
        bit += 1


def _become(user: pwd.struct_passwd, *, keep: bool) -> None:
    _prctl(PR_SET_KEEPCAPS, int(keep))
    if user.pw_uid == os.geteuid():  # --user root: its files, without its powers
        return
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def _set_capabilities(kept: int) -> None:
    low, high = kept & 0xFFFF_FFFF, kept >> 32
    sets = (_Data * 2)(_Data(low, low, 0), _Data(high, high, 0))
    _call("capset", ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets)


def _check(left: Privileges, user: pwd.struct_passwd | None, kept: int) -> None:
    """Raise PrivilegeError unless the kernel says the same as we."""
    if left.permitted != kept or left.effective != kept or not left.no_new:
        raise PrivilegeError(f"privileges could not be given up: {left.told} left")
    if user is not None and (left.uid, left.gid) != (user.pw_uid, user.pw_gid):
        raise PrivilegeError(f"could not become {user.pw_name}")


def _prctl(option: int, argument: int = 0) -> int:
    return _call("prctl", option, ctypes.c_ulong(argument), 0, 0, 0)


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
