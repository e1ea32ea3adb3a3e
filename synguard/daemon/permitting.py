"""Judges who may change something: by the kernel's word on who connected, and the accounts' as of now."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from synguard.errors import UnsupportedError

#: Commands that change nothing: whoever may open the socket may ask.
READS = frozenset(
    {
        *("status", "alerts", "alert", "block_list", "silence_list", "news", "top"),
        *("totals_series", "listener_series", "responses", "runs"),
    }
)
#: Commands that change what is done. One that is in neither list is refused as these are.
CHANGES = frozenset({"block_add", "block_remove", "block_clear", "silence_add", "silence_remove", "respond"})
#: What the accounts said of a user is good for so long, and for so many users.
GOOD_FOR_S = 2.0
MOST_KNOWN = 256


class Peer(NamedTuple):
    """Who asks, by the kernel's word at connect time (SO_PEERCRED of unix(7))."""

    pid: int
    uid: int
    gid: int

    @property
    def is_trusted(self) -> bool:
        """Whether this is root or the daemon's own user, who could do everything without asking."""
        return self.uid in (0, os.geteuid())


class Permission:
    """Lets members of a group change something, or root alone.

    Args:
        group: whose members may; empty for nobody but root.
        log: is told of each refusal.

    """

    def __init__(self, group: str, log: FilteringBoundLogger) -> None:
        self._group = group
        self._log = log
        #: By user and group: when the accounts were asked, and whether they know this user as a member.
        self._known: dict[tuple[int, int], tuple[float, bool]] = {}

    async def check(self, command: str, peer: Peer) -> None:
        """Raise UnsupportedError where this peer may not have that command carried out.

        The accounts may be slow (a directory service): they are asked in a thread.
        """
        if command in READS or peer.is_trusted:
            return
        if self._group and await self._is_member(peer):
            return
        self._log.warning("control.refused", command=command, uid=peer.uid, pid=peer.pid)
        raise UnsupportedError(f"user {peer.uid} may look, and change nothing: {self._way_in()}")

    def _way_in(self) -> str:
        if not self._group:
            return 'only root may, so use sudo (control.changes_by = "root")'
        return f"be root or a member of the group {self._group!r} (`sudo usermod -aG {self._group} USER`)"

    async def _is_member(self, peer: Peer) -> bool:
        who, now_s = (peer.uid, peer.gid), time.monotonic()
        known = self._known.get(who)
        if known is not None and now_s - known[0] <= GOOD_FOR_S:
            return known[1]
        member = await asyncio.to_thread(is_member, peer, self._group)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[who] = (now_s, member)
        return member


def is_member(peer: Peer, group: str) -> bool:
    """Tell whether a user is in a group by the accounts' present word.

    Of a user without account the kernel's word on its group at connect time is all there is.
    """
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        return False
    try:
        account = pwd.getpwuid(peer.uid)
    except KeyError:
        return peer.gid == wanted
    return wanted in os.getgrouplist(account.pw_name, account.pw_gid)
