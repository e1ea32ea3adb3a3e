"""Each fault that doctor knows, seeded into a machine's facts, and one look at the real machine."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synguard.config import HistorySettings, ProbeSettings, Settings
from synguard.doctor import Finding, Machine, Status, examine, gather
from synguard.doctor.machine import Daemon, InterfaceFacts, ListeningSocket, XdpProgram, missing_capabilities

HEALTHY = Machine(
    kernel_release="6.1.0-18-amd64",
    has_btf=True,
    lockdown="none",
    bpf_errno=errno.EBADF,
    capabilities=(1 << 41) - 1,
    in_user_namespace=False,
    bcc_path="/usr/lib/python3/dist-packages/bcc",
    bcc_version="0.26.0",
    bcc_is_compiler=True,
    missing_headers=(),
    interfaces=(InterfaceFacts("eth1"),),
    tcp_syncookies=1,
    somaxconn=4096,
    tcp_max_syn_backlog=4096,
    listeners=(ListeningSocket("0.0.0.0", 443, 511),),  # noqa: S104 — a fact, not a bind
    database="/var/lib/synguard/synguard.db",
    database_problem=None,
    socket="/run/synguard/control.sock",
    daemon=Daemon(pid=23),
    group="synguard",
    group_exists=True,
)


def _interface(**facts: Any) -> dict[str, Any]:
    return {"interfaces": (InterfaceFacts("eth1", **facts),)}


def _troubles(machine: Machine) -> list[Finding]:
    return [finding for finding in examine(machine) if finding.status is not Status.OK]


def test_healthy_machine() -> None:
    """A machine in order has no finding to mend, and every check has spoken."""
    findings = examine(HEALTHY)
    assert not _troubles(HEALTHY)
    assert {"kernel", "bpf", "capabilities", "bcc", "headers", "interface", "xdp", "daemon"} <= {
        finding.name for finding in findings
    }
    assert all(finding.remedy is None for finding in findings)


@pytest.mark.parametrize(
    ("fault", "name", "status", "said"),
    [
        ({"kernel_release": "5.4.0-generic"}, "kernel", "error", "5.4.0"),
        ({"kernel_release": "custom"}, "kernel", "warning", "custom"),
        ({"bpf_errno": errno.ENOSYS}, "bpf", "error", "no bpf(2)"),
        ({"bpf_errno": errno.EPERM}, "bpf", "error", "forbidden"),
        ({"bpf_errno": errno.EIO}, "bpf", "warning", "strangely"),
        ({"lockdown": "confidentiality"}, "bpf", "warning", "lockdown"),
        ({"capabilities": 0}, "capabilities", "warning", "CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF"),
        ({"capabilities": None}, "capabilities", "warning", "unknown"),
        ({"in_user_namespace": True}, "capabilities", "error", "rootless container"),
        ({"bcc_path": None}, "bcc", "error", "no module bcc"),
        ({"bcc_is_compiler": False}, "bcc", "error", "unrelated"),
        ({"missing_headers": ("linux/bpf.h",)}, "headers", "error", "linux/bpf.h"),
        ({"interfaces": ()}, "interface", "error", "no default route"),
        ({"interfaces": None}, "interface", "warning", "unknown"),
        (_interface(exists=False), "interface", "error", "eth1 does not exist"),
        (_interface(hardware_type=65534), "interface", "warning", "WireGuard"),
        (_interface(hardware_type=65534, kind="tun"), "interface", "warning", "a tun device"),
        (_interface(hardware_type=512), "interface", "error", "a PPP link"),
        (_interface(hardware_type=4711), "interface", "error", "hardware type 4711"),
        (_interface(is_up=False), "interface", "warning", "down"),
        (_interface(xdp=XdpProgram(7, "xdp_lb")), "xdp", "warning", "xdp_lb"),
        ({"tcp_syncookies": 0}, "tcp_syncookies", "warning", "off"),
        ({"tcp_syncookies": 2}, "tcp_syncookies", "warning", "every connection"),
        ({"tcp_syncookies": None}, "tcp_syncookies", "warning", "unknown"),
        ({"somaxconn": 128}, "somaxconn", "warning", "128"),
        ({"tcp_max_syn_backlog": 256}, "tcp_max_syn_backlog", "warning", "256"),
        ({"somaxconn": None}, "somaxconn", "warning", "unknown"),
        ({"listeners": None}, "accept_queues", "warning", "unknown"),
        ({"database_problem": "/var/lib is not writable"}, "database", "warning", "/var/lib"),
        ({"group_exists": False}, "group", "warning", "no group synguard"),
        ({"daemon": Daemon(None)}, "daemon", "warning", "no daemon answers"),
        ({"daemon": Daemon(None, "you may not")}, "daemon", "warning", "you may not"),
    ],
)
def test_seeded_fault(fault: dict[str, Any], name: str, status: str, said: str) -> None:
    """One fault gives one finding, which says what it is and how to mend it."""
    (finding,) = _troubles(replace(HEALTHY, **fault))
    assert (finding.name, finding.status) == (name, status)
    assert said in finding.what
    assert finding.why
    assert finding.remedy


def test_program_of_a_dead_daemon() -> None:
    """Our own program without a daemon is a leftover, and detach is the remedy."""
    facts = _interface(xdp=XdpProgram(7, "synguard_xdp")) | {"daemon": Daemon(None)}
    (finding,) = (one for one in _troubles(replace(HEALTHY, **facts)) if one.name == "xdp")
    assert finding.remedy == "synguard detach"


def test_nameless_program_without_root() -> None:
    """Without root nobody can tell whose program it is; with our daemon running it is taken for ours."""
    machine = replace(HEALTHY, **_interface(xdp=XdpProgram(7, None)))
    assert not _troubles(machine)
    alone = replace(machine, daemon=Daemon(None))
    assert "as root" in next(f.remedy or "" for f in _troubles(alone) if f.name == "xdp")


def test_short_accept_queues() -> None:
    """Reachable listeners with short accept queues are listed; loopback's are nobody's target."""
    listeners = (
        ListeningSocket("::", 80, 5),
        ListeningSocket("127.0.0.1", 631, 5),
        ListeningSocket("::1", 631, 5),
        *(ListeningSocket("192.0.2.1", port, 1) for port in range(8000, 8010)),
    )
    (finding,) = _troubles(replace(HEALTHY, listeners=listeners))
    assert "port 80 (5)" in finding.what
    assert "631" not in finding.what
    assert "3 more" in finding.what


def test_no_group_wanted() -> None:
    """A control socket for root alone needs no group."""
    assert not _troubles(replace(HEALTHY, group="", group_exists=False))


@pytest.mark.parametrize(
    ("mask", "missing"),
    [
        (0, ("CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF")),
        (1 << 12 | 1 << 38 | 1 << 39, ()),
        (1 << 12 | 1 << 21, ()),
        (1 << 21, ("CAP_NET_ADMIN",)),
    ],
)
def test_missing_capabilities(mask: int, missing: tuple[str, ...]) -> None:
    """CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel."""
    assert missing_capabilities(mask) == missing


def test_real_machine(tmp_path: Path) -> None:
    """The facts of the machine that runs the tests can be read and judged."""
    settings = Settings(
        probe=ProbeSettings(interfaces=("lo", "no-such-if")),
        history=HistorySettings(database=str(tmp_path / "new" / "synguard.db")),
    )
    machine = gather(settings)
    assert machine.kernel_release
    assert machine.database_problem is None
    lo, missing = machine.interfaces or ()
    assert (lo.hardware_type, missing.exists) == (772, False)
    said = [finding.what for finding in examine(machine) if finding.name == "interface"]
    assert "lo has Ethernet frames" in said[0]
    assert "no-such-if does not exist" in said[1]


def test_database_directory_that_is_a_file(tmp_path: Path) -> None:
    """A database below a file is said to be impossible before the daemon tries."""
    (tmp_path / "file").write_text("")
    settings = Settings(history=HistorySettings(database=str(tmp_path / "file" / "synguard.db")))
    assert "no directory" in str(gather(settings).database_problem)
