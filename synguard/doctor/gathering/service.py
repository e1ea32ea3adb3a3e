"""Reads what the daemon tells of itself, and how its history and its socket's group fare."""

from __future__ import annotations

import grp
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from synguard.client import daemon_pid, request
from synguard.doctor.machine import Daemon, Disk, Guarded, History
from synguard.errors import SynguardError
from synguard.history.query import AlertFilter, find_alerts
from synguard.history.questions import find_runs

#: Runs are looked for from a month ago on, and until a moment that no clock of today shows: the year 2286.
_RUNS_S = 30 * 86400.0
_END_OF_TIME_S = 9_999_999_999.0


def daemon(socket_path: Path) -> Daemon:
    """Return what answers on the control socket."""
    try:
        pid = daemon_pid(socket_path)
        status = request(socket_path, "status") if pid else {}
    except SynguardError as error:
        return Daemon(None, str(error))
    return Daemon(pid, guarded=_guarded(status), elsewhere=pid is not None and _is_elsewhere(pid))


def _guarded(status: Any) -> tuple[Guarded, ...] | None:
    interfaces = status.get("interfaces") if isinstance(status, Mapping) else None
    if not isinstance(interfaces, list):
        return None
    return tuple(
        Guarded(str(one["name"]), bool(one["attached"]), one.get("ingress"), one.get("note"))
        for one in interfaces
        if isinstance(one, Mapping) and {"name", "attached"} <= one.keys()
    )


def _is_elsewhere(pid: int) -> bool:
    """Tell whether a process is known to be in another network namespace; without root that is unknown."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        return False


def group_exists(group: str) -> bool:
    """Tell whether there is a group of that name."""
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True


def database_problem(database: Path) -> str | None:
    """Say why the database could not be written, asking about its nearest directory that exists."""
    directory = _nearest_directory(database)
    try:
        if not directory.is_dir():
            return f"{directory} is no directory"
        if not os.access(directory, os.W_OK | os.X_OK):
            return f"{directory} is not writable for this user"
        if os.path.lexists(database) and not os.access(database, os.R_OK | os.W_OK):
            return f"{database} is not writable for this user"
    except OSError as error:
        return f"{directory} cannot be used: {error.strerror}"
    return None


def _nearest_directory(database: Path) -> Path:
    directory = database.absolute().parent
    while not os.path.lexists(directory):
        directory = directory.parent
    return directory


def disk(database: Path) -> Disk | None:
    """Return the room for the history; None when the file system does not tell."""
    try:
        found = os.statvfs(_nearest_directory(database))
    except OSError:
        return None
    try:
        used_bytes = database.stat().st_size
    except OSError:  # there is none yet, or this user may not look: then it may have all its growth before it
        used_bytes = 0
    return Disk(found.f_bavail * found.f_frsize, used_bytes)


def history(database: Path) -> History:
    """Return what the history tells of the clock and of the daemon's last run."""
    now_s = time.time()
    try:
        # A file of no bytes is what a daemon leaves that could not write its first tables.
        if database.stat().st_size == 0:
            return History()
        alerts = find_alerts(database, AlertFilter(sort="-started_at", limit=1))
        runs = find_runs(database, now_s - _RUNS_S, _END_OF_TIME_S)
    except (FileNotFoundError, NotADirectoryError):
        return History()
    except (OSError, SynguardError) as error:
        return History(problem=str(error))
    except (LookupError, TypeError, ValueError) as error:
        return History(problem=f"{database} holds what this version does not understand: {error}")
    newest_s = [alert.started_at_s for alert in alerts]
    newest_s += [datetime.fromisoformat(run["last_seen_at"]).timestamp() for run in runs]
    return History(max(newest_s) - now_s if newest_s else None, _end_of(runs))


def _end_of(runs: list[dict[str, Any]]) -> tuple[str, str] | None:
    """Return how the last of these runs ended, and when; without an end, it is taken for interrupted."""
    if not runs:
        return None
    last = runs[-1]
    return str(last["ended_because"] or "interrupted"), str(last["ended_at"] or last["last_seen_at"])
