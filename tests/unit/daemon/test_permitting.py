"""Who may change something over the control socket."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd

import pytest
import structlog
from structlog.testing import capture_logs

from synguard.daemon import permitting
from synguard.daemon.asking import Asking
from synguard.daemon.handlers import Handlers
from synguard.daemon.permitting import CHANGES, READS, Peer, Permission, is_member
from synguard.errors import UnsupportedError

STRANGER = 4_000_001


def may(permission: Permission, command: str, peer: Peer) -> bool:
    """Tell whether a peer may have a command carried out."""
    try:
        asyncio.run(permission.check(command, peer))
    except UnsupportedError:
        return False
    return True


def test_every_command_is_declared_once() -> None:
    """A new one is refused to everybody but root until somebody has decided what it is."""
    methods = {name for kind in (Handlers, Asking) for name in vars(kind) if not name.startswith("_")}
    # Two of them are called otherwise on the socket, and two commands have modules of their own.
    commands = methods - {"by_command", "totals", "listeners"}
    commands |= {"totals_series", "listener_series", "news", "top"}
    assert set() == READS & CHANGES
    assert commands == READS | CHANGES


@pytest.mark.parametrize("command", sorted(CHANGES))
def test_a_stranger_changes_nothing(command: str) -> None:
    """The refusal names the group and how to join it, and is in the log with the user's number."""
    permission = Permission("daemon", structlog.get_logger())
    peer = Peer(1, STRANGER, STRANGER)
    with capture_logs() as said, pytest.raises(UnsupportedError, match=r"'daemon'.*usermod"):
        asyncio.run(permission.check(command, peer))
    assert [(entry["event"], entry["command"], entry["uid"]) for entry in said] == [
        ("control.refused", command, STRANGER)
    ]


@pytest.mark.parametrize("command", sorted(READS))
def test_whoever_is_let_in_may_look(command: str) -> None:
    """The socket's own permissions have judged that."""
    assert may(Permission("", structlog.get_logger()), command, Peer(1, STRANGER, STRANGER))


def test_root_and_the_daemons_own_user_may_everything() -> None:
    """Also where the group is empty; nobody else may then."""
    nobody_else = Permission("", structlog.get_logger())
    assert may(nobody_else, "respond", Peer(1, 0, 0))
    assert may(nobody_else, "respond", Peer(1, os.geteuid(), 0))
    account = pwd.getpwnam("daemon")
    assert not may(nobody_else, "respond", Peer(1, account.pw_uid, account.pw_gid))


def test_what_is_not_declared_is_refused() -> None:
    """To forget it is not to allow it."""
    assert not may(Permission("", structlog.get_logger()), "format_disk", Peer(1, STRANGER, STRANGER))


def test_members_are_known_by_their_accounts() -> None:
    """Whatever group the process came with; of a user without account the kernel's word is all there is."""
    account = pwd.getpwnam("daemon")
    other = grp.getgrnam("sys").gr_gid
    assert is_member(Peer(1, account.pw_uid, 65534), "daemon")
    assert not is_member(Peer(1, account.pw_uid, other), "sys")
    assert is_member(Peer(1, STRANGER, other), "sys")
    assert not is_member(Peer(1, STRANGER, 0), "no-such-group")


def test_one_groups_answer_is_not_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a user without account the group decides, so what is remembered is remembered with it."""
    monkeypatch.setattr(permitting, "GOOD_FOR_S", 60.0)
    permission = Permission("sys", structlog.get_logger())
    assert may(permission, "respond", Peer(1, STRANGER, grp.getgrnam("sys").gr_gid))
    assert not may(permission, "respond", Peer(1, STRANGER, STRANGER))


def test_who_leaves_the_group_is_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts are asked again after a moment, also for a connection that stays."""
    members = {STRANGER}
    monkeypatch.setattr(permitting, "is_member", lambda peer, _group: peer.uid in members)
    monkeypatch.setattr(permitting, "GOOD_FOR_S", 0.0)
    permission = Permission("synguard", structlog.get_logger())
    assert may(permission, "respond", Peer(1, STRANGER, 0))
    members.clear()
    assert not may(permission, "respond", Peer(1, STRANGER, 0))
