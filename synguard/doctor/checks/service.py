"""Whether the daemon runs, guards what it should, and can keep its history."""

from __future__ import annotations

from collections.abc import Iterator

from synguard.doctor.checks.interfaces import OUR_PREFIX
from synguard.doctor.finding import Finding, error, ok, unknown, warning
from synguard.doctor.machine import Guarded, Machine

_MIB = 1024 * 1024


def database(machine: Machine) -> Iterator[Finding]:
    """Judge whether history can be kept."""
    why = "alerts are kept there to be asked about later"
    if machine.database_problem is not None:
        remedy = "run doctor as the service's user, or name another file with history.database"
        yield warning("database", machine.database_problem, why, remedy)
    elif machine.history.problem is not None:
        remedy = "as it says; a running daemon moves a damaged one aside, and begins a new one"
        yield warning("database", machine.history.problem, why, remedy)
    else:
        yield ok("database", f"{machine.database} can be written", why)


def disk(machine: Machine) -> Iterator[Finding]:
    """Judge whether the history has room to grow."""
    why = "when the disk is full, new alerts are held in memory, and lost if the daemon ends"
    if machine.disk is None:
        yield unknown("disk", f"the file system of {machine.database} does not tell", why, "df")
        return
    wanted = max(machine.retention_mib - machine.disk.used_bytes // _MIB, 0)
    free = machine.disk.free_bytes // _MIB
    what = f"{free:,} MiB are free, and the history may grow by {wanted:,} MiB"
    if free < wanted:
        most = free + machine.retention_mib - wanted
        remedy = f"make room, or set history.retention_mib to {most} or less"
        yield warning("disk", what, why, remedy)
    else:
        yield ok("disk", what, why)


def group(machine: Machine) -> Iterator[Finding]:
    """Judge the control socket's group."""
    why = "its members may use the commands without root"
    if not machine.group:
        yield ok("group", "the control socket is for root alone", why)
    elif machine.group_exists:
        yield ok("group", f"the group {machine.group} exists", why)
    else:
        remedy = f"groupadd --system {machine.group}, then restart the daemon"
        yield warning("group", f"there is no group {machine.group}: only root may ask", why, remedy)


def daemon(machine: Machine) -> Iterator[Finding]:
    """Judge whether the guard is on."""
    why = "nothing is guarded while it does not run"
    if machine.daemon.problem is not None:
        yield unknown("daemon", machine.daemon.problem, why, "run doctor as root")
    elif machine.daemon.pid is None:
        what = f"no daemon answers on {machine.socket}"
        remedy = "systemctl start synguard, or synguard run"
        if machine.history.last_run is not None:
            because, ended_at = machine.history.last_run
            ended = "failed" if because == "failed" else f"was {because}"
            what = f"{what}; the last one {ended} at {ended_at}"
            if because != "stopped":
                remedy = f"read `journalctl -u synguard` for why it ended; then {remedy}"
        yield warning("daemon", what, why, remedy)
    else:
        yield ok("daemon", f"the daemon answers on {machine.socket} (pid {machine.daemon.pid})", why)


def attachment(machine: Machine) -> Iterator[Finding]:
    """Judge whether the running daemon's probe is where the daemon believes it to be."""
    name, why = "attachment", "what passes an interface without the probe is neither counted nor answered"
    if machine.daemon.guarded is None:
        return
    if machine.daemon.elsewhere:
        what = "the daemon is in another network namespace: the interfaces here are not those that it guards"
        remedy = f"nsenter --net --target {machine.daemon.pid} synguard doctor"
        yield warning(name, what, why, remedy)
        return
    for one in machine.daemon.guarded:
        yield _attachment(one, machine, why)
    guarded = {one.name for one in machine.daemon.guarded}
    for interface in machine.interfaces or ():
        if interface.exists and interface.name not in guarded:
            remedy = f"name {interface.name} in probe.interfaces, and restart the daemon"
            yield warning(name, f"the daemon does not guard {interface.name}", why, remedy)


def _attachment(one: Guarded, machine: Machine, why: str) -> Finding:
    seen = next((found for found in machine.interfaces or () if found.name == one.name), None)
    remedy = "the daemon tries again every second: `synguard status` and its log tell why it fails"
    if not one.attached:
        note = f": {one.note}" if one.note else ""
        return error("attachment", f"the probe is not attached to {one.name}{note}", why, remedy)
    if seen is not None and (one.ingress or "").startswith("xdp"):
        there = seen.xdp
        if there is None or (there.name is not None and not there.name.startswith(OUR_PREFIX)):
            found = "none" if there is None else there.name
            what = f"the probe's XDP program should be on {one.name}, and there is {found}"
            return error("attachment", what, why, remedy)
    return ok("attachment", f"the probe is attached to {one.name} ({one.ingress})", why)
