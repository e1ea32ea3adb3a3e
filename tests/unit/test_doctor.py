"""Each fault that doctor knows, seeded into a machine's facts, and one look at the real machine."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synguard.config import HistorySettings, ProbeSettings, Settings
from synguard.doctor import CHECKS, Finding, Machine, Status, examine, gather
from synguard.doctor.machine import (
    Bcc,
    Clock,
    Conntrack,
    Daemon,
    Disk,
    Guarded,
    History,
    InterfaceFacts,
    ListeningSocket,
    Pins,
    XdpProgram,
    missing_capabilities,
)
from synguard.probe.ethtool import Offload

MIB = 1024 * 1024
#: A network card in order.
ETH1 = InterfaceFacts(
    "eth1",
    mtu=3506,
    driver="ice",
    xdp_features=0x23,
    lro=Offload(is_on=False),
    gro_hw=Offload(is_on=False, is_fixed=True),
    rp_filter=2,
)
PINS = Pins(wanted=True, directory="/sys/fs/bpf/synguard", possible=True)
OURS = XdpProgram(7, "synguard_xdp", "native")

HEALTHY = Machine(
    kernel_release="6.1.0-18-amd64",
    has_btf=True,
    lockdown="none",
    bpf_errno=errno.EBADF,
    bpf_jit=1,
    bpf_stats=0,
    capabilities=(1 << 41) - 1,
    is_root=True,
    in_user_namespace=False,
    bcc=Bcc("/usr/lib/python3/dist-packages/bcc", "0.26.0", is_compiler=True),
    missing_headers=(),
    pins=PINS,
    xdp_mode="auto",
    interfaces=(ETH1,),
    overlap=None,
    routed_interfaces=("eth1", "eth2"),
    tcp_syncookies=1,
    somaxconn=4096,
    tcp_max_syn_backlog=4096,
    tcp_synack_retries=5,
    listeners=(ListeningSocket("0.0.0.0", 443, 511),),  # noqa: S104 — a fact, not a bind
    conntrack=Conntrack(entries=799, limit=1000),
    conntrack_problem=None,
    clock=Clock(is_synchronised=True, source="tsc"),
    history=History(-3600.0, ("stopped", "2026-11-22T10:00:00.000Z")),
    database="/var/lib/synguard/synguard.db",
    database_problem=None,
    disk=Disk(free_bytes=1000 * MIB, used_bytes=24 * MIB),
    retention_mib=1024,
    socket="/run/synguard/control.sock",
    daemon=Daemon(pid=23, guarded=(Guarded("eth1", attached=True, ingress="tc-ingress"),)),
    group="synguard",
    group_exists=True,
)


def _interface(**facts: Any) -> dict[str, Any]:
    return {"interfaces": (replace(ETH1, **facts),)}


def _clock(**facts: Any) -> dict[str, Any]:
    return {"clock": replace(HEALTHY.clock, **facts)}


def _guarded(**facts: Any) -> dict[str, Any]:
    return {"daemon": Daemon(23, guarded=(Guarded("eth1", **facts),))}


def _troubles(machine: Machine) -> list[Finding]:
    return [finding for finding in examine(machine) if finding.status is not Status.OK]


def test_healthy_machine() -> None:
    """A machine in order has no finding to mend, and every check has spoken."""
    findings = examine(HEALTHY)
    assert not _troubles(HEALTHY)
    assert {finding.name for finding in findings} == {check.name for check in CHECKS}
    assert all(finding.remedy is None for finding in findings)


@pytest.mark.parametrize(
    ("fault", "name", "status", "said"),
    [
        ({"kernel_release": "5.4.0-generic"}, "kernel", "error", "5.4.0"),
        ({"kernel_release": "custom"}, "kernel", "unknown", "custom"),
        ({"bpf_errno": errno.ENOSYS}, "bpf", "error", "no bpf(2)"),
        ({"bpf_errno": errno.EPERM}, "bpf", "error", "forbidden"),
        ({"bpf_errno": errno.EIO}, "bpf", "warning", "strangely"),
        ({"lockdown": "confidentiality"}, "bpf", "warning", "lockdown"),
        ({"bpf_jit": 0}, "bpf_jit", "warning", "interpreted"),
        ({"bpf_jit": None}, "bpf_jit", "unknown", "cannot be read"),
        ({"bpf_stats": 1}, "bpf_stats", "warning", "kernel.bpf_stats_enabled is 1"),
        ({"bpf_stats": None}, "bpf_stats", "unknown", "cannot be read"),
        (
            {"pins": replace(PINS, possible=False)},
            "bpffs",
            "warning",
            "/sys/fs/bpf/synguard is in no BPF file system",
        ),
        ({"pins": replace(PINS, possible=None)}, "bpffs", "unknown", "may not look at /sys/fs/bpf"),
        ({"capabilities": 1 << 21}, "capabilities", "error", "CAP_NET_ADMIN, to attach"),
        ({"capabilities": 1 << 12}, "capabilities", "error", "CAP_PERFMON, to have the kernel accept"),
        ({"capabilities": 1 << 12 | 1 << 39}, "capabilities", "error", "CAP_PERFMON, to have the kernel"),
        ({"capabilities": 0, "is_root": False}, "capabilities", "warning", "CAP_BPF, to load"),
        ({"capabilities": None}, "capabilities", "unknown", "unknown"),
        ({"in_user_namespace": True}, "capabilities", "error", "rootless container"),
        ({"bcc": None}, "bcc", "error", "no module bcc"),
        ({"bcc": Bcc("/usr/lib/bcc", None, is_compiler=False)}, "bcc", "error", "unrelated"),
        ({"missing_headers": ("linux/bpf.h",)}, "headers", "error", "linux/bpf.h"),
        ({"interfaces": ()}, "interface", "error", "no default route"),
        ({"interfaces": None}, "interface", "unknown", "unknown"),
        ({"overlap": "br0 and eth1 carry the same packets"}, "interface", "error", "br0 and eth1"),
        (_interface(exists=False), "interface", "error", "eth1 does not exist"),
        (_interface(hardware_type=65534), "interface", "warning", "WireGuard"),
        (_interface(hardware_type=65534, kind="tun"), "interface", "warning", "a tun device"),
        (_interface(hardware_type=512), "interface", "error", "a PPP link"),
        (_interface(hardware_type=4711), "interface", "error", "hardware type 4711"),
        (_interface(is_up=False), "interface", "warning", "down"),
        (_interface(xdp=XdpProgram(7, "xdp_lb", "native")), "xdp", "warning", "xdp_lb"),
        (_interface(xdp_features=0), "native_xdp", "warning", "eth1 (ice) has no native XDP"),
        (_interface(xdp_features=None), "native_xdp", "unknown", "before 6.3"),
        (_interface(mtu=3507), "native_xdp", "warning", "MTU of 3507"),
        (_interface(xdp=replace(OURS, mode="generic")), "native_xdp", "warning", "in generic mode"),
        (_interface(lro=Offload(is_on=True)), "lro", "warning", "large receive offload (LRO) on"),
        (_interface(gro_hw=Offload(is_on=True)), "lro", "warning", "hardware GRO on"),
        (_interface(lro=None, gro_hw=None), "lro", "unknown", "does not tell"),
        (_interface(rp_filter=0), "rp_filter", "warning", "routes by 2 interfaces"),
        (_interface(rp_filter=0, forwards=True), "rp_filter", "warning", "it forwards"),
        (_interface(rp_filter=None), "rp_filter", "unknown", "cannot be read"),
        ({"routed_interfaces": None, **_interface(rp_filter=0)}, "rp_filter", "unknown", "cannot be read"),
        ({"tcp_syncookies": 0}, "tcp_syncookies", "warning", "off"),
        ({"tcp_syncookies": 2}, "tcp_syncookies", "warning", "every connection"),
        ({"tcp_syncookies": None}, "tcp_syncookies", "unknown", "unknown"),
        ({"somaxconn": 128}, "somaxconn", "warning", "128"),
        ({"somaxconn": None}, "somaxconn", "unknown", "unknown"),
        ({"tcp_max_syn_backlog": None}, "tcp_max_syn_backlog", "unknown", "unknown"),
        ({"tcp_synack_retries": 6}, "tcp_synack_retries", "warning", "held 127 s"),
        ({"tcp_synack_retries": None}, "tcp_synack_retries", "unknown", "unknown"),
        ({"listeners": None}, "accept_queues", "unknown", "unknown"),
        (
            {"conntrack": Conntrack(800, 1000)},
            "conntrack",
            "warning",
            "800 of 1,000 entries",
        ),
        ({"conntrack": None, "conntrack_problem": "hidden"}, "conntrack", "unknown", "hidden"),
        (_clock(is_synchronised=False), "clock", "warning", "not steady"),
        (_clock(is_synchronised=None), "clock", "unknown", "adjtimex(2) is refused"),
        ({"history": History(3600.0)}, "clock_steps", "warning", "3,600 s in the future"),
        (_clock(source="jiffies"), "clocksource", "warning", "jiffies, which is not steady"),
        (_clock(source="hpet"), "clocksource", "warning", "hpet"),
        (_clock(source=None), "clocksource", "unknown", "cannot be read"),
        ({"database_problem": "/var/lib is not writable"}, "database", "warning", "/var/lib"),
        ({"disk": Disk(999 * MIB, 24 * MIB)}, "disk", "warning", "999 MiB are free"),
        ({"disk": None}, "disk", "unknown", "does not tell"),
        ({"group_exists": False}, "group", "warning", "no group synguard"),
        ({"daemon": Daemon(None)}, "daemon", "warning", "no daemon answers"),
        ({"daemon": Daemon(None, "you may not")}, "daemon", "unknown", "you may not"),
        (_guarded(attached=False, note="no such device"), "attachment", "error", "no such device"),
        (_guarded(attached=True, ingress="xdp-native"), "attachment", "error", "and there is none"),
        ({"daemon": Daemon(23, guarded=())}, "attachment", "warning", "does not guard eth1"),
        ({"daemon": Daemon(23, guarded=(), elsewhere=True)}, "attachment", "warning", "namespace"),
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
    facts = _interface(xdp=OURS) | {"daemon": Daemon(None)}
    (finding,) = (one for one in _troubles(replace(HEALTHY, **facts)) if one.name == "xdp")
    assert finding.remedy == "synguard detach"


def test_nameless_program_without_root() -> None:
    """Without root nobody can tell whose program it is; with our daemon running it is taken for ours."""
    machine = replace(HEALTHY, **_interface(xdp=replace(OURS, name=None)))
    assert not _troubles(machine)
    alone = replace(machine, daemon=Daemon(None))
    (finding,) = (one for one in _troubles(alone) if one.name == "xdp")
    assert (finding.status, finding.remedy) == (Status.UNKNOWN, "run doctor as root")


def test_program_of_somebody_else_in_our_place() -> None:
    """A daemon that believes its XDP program in place, where another one is, is told to be wrong."""
    facts = _interface(xdp=XdpProgram(8, "xdp_lb", "native")) | _guarded(attached=True, ingress="xdp-native")
    found = {one.name: one for one in _troubles(replace(HEALTHY, **facts))}
    assert found["attachment"].status is Status.ERROR
    assert "should be on eth1, and there is xdp_lb" in found["attachment"].what


def test_probe_where_the_daemon_says() -> None:
    """A probe that sits natively is in order, though offloads are on: the kernel took it all the same."""
    facts = _interface(xdp=OURS, gro_hw=Offload(is_on=True)) | _guarded(attached=True, ingress="xdp-native")
    assert not _troubles(replace(HEALTHY, **facts))


@pytest.mark.parametrize("wanted", ["generic", "tc"])
def test_native_xdp_not_wanted(wanted: str) -> None:
    """Who sets another way of attaching is not told to mend it."""
    assert not _troubles(replace(HEALTHY, xdp_mode=wanted, **_interface(xdp_features=0, mtu=9000)))


def test_fixed_offload() -> None:
    """Of an offload that the driver lets nobody change, doctor says where it can be changed."""
    facts = _interface(gro_hw=Offload(is_on=True, is_fixed=True))
    (finding,) = _troubles(replace(HEALTHY, **facts))
    assert "at the virtual machine's host" in (finding.remedy or "")


def test_virtio_net_whose_host_merges() -> None:
    """virtio_net refuses native XDP while its host merges segments and lets nobody switch that off."""
    facts = _interface(driver="virtio_net", gro_hw=Offload(is_on=True, is_fixed=True))
    assert {one.name for one in _troubles(replace(HEALTHY, **facts))} == {"lro", "native_xdp"}
    facts = _interface(driver="virtio_net", gro_hw=Offload(is_on=True))
    assert {one.name for one in _troubles(replace(HEALTHY, **facts))} == {"lro"}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (_interface(xdp_features=0), "native_xdp"),
        (_interface(mtu=9000), "native_xdp"),
        (_interface(hardware_type=65534, kind="tun"), "interface"),
        (_interface(xdp=XdpProgram(7, "xdp_lb", "native")), "xdp"),
    ],
)
def test_demanded_mode_that_cannot_be_had(facts: dict[str, Any], name: str) -> None:
    """What is a warning by default is an error where the daemon was told to start in no other way."""
    (finding,) = _troubles(replace(HEALTHY, xdp_mode="native", **facts))
    assert (finding.name, finding.status) == (name, Status.ERROR)
    assert 'probe.xdp_mode = "auto"' in (finding.remedy or "")


def test_bpffs_not_needed() -> None:
    """A probe that ends with its daemon needs no BPF file system."""
    assert not _troubles(replace(HEALTHY, pins=replace(PINS, wanted=False, possible=False)))


def test_single_homed_host_without_rp_filter() -> None:
    """On a host with one network a reverse path filter has nothing to tell apart."""
    assert not _troubles(replace(HEALTHY, routed_interfaces=("eth1",), **_interface(rp_filter=0)))


def test_rp_filter_says_when_strict_is_wrong() -> None:
    """The remedy names the loose mode for asymmetric routes, where the strict one drops good clients."""
    (finding,) = _troubles(replace(HEALTHY, **_interface(rp_filter=0)))
    assert "2 (loose) where answers may leave by another interface" in (finding.remedy or "")


def test_syn_backlog_matters_without_cookies() -> None:
    """A small tcp_max_syn_backlog is a fault only where no SYN cookies are sent."""
    small = replace(HEALTHY, tcp_max_syn_backlog=256)
    assert not _troubles(small)
    names = {finding.name for finding in _troubles(replace(small, tcp_syncookies=0))}
    assert names == {"tcp_syncookies", "tcp_max_syn_backlog"}


@pytest.mark.parametrize("conntrack", [None, Conntrack(entries=5, limit=0)])
def test_no_limit_of_connections(conntrack: Conntrack | None) -> None:
    """A table without limit, or none at all, is never full."""
    assert not _troubles(replace(HEALTHY, conntrack=conntrack))


def test_history_that_cannot_be_read() -> None:
    """A history that cannot be read is a warning, and leaves open whether the clock was set back."""
    found = {one.name: one for one in _troubles(replace(HEALTHY, history=History(problem="it is damaged")))}
    assert {name: str(one.status) for name, one in found.items()} == {
        "database": "warning",
        "clock_steps": "unknown",
    }
    assert found["database"].what == "it is damaged"


@pytest.mark.parametrize(
    ("because", "said", "mended_by"),
    [
        ("stopped", "the last one was stopped at 2026", "systemctl start"),
        ("failed", "the last one failed at 2026", "read `journalctl"),
        ("interrupted", "the last one was interrupted at 2026", "read `journalctl"),
    ],
)
def test_how_the_last_daemon_ended(because: str, said: str, mended_by: str) -> None:
    """Without a daemon, doctor tells how the last one ended, and what to read if nobody stopped it."""
    history = History(-3600.0, (because, "2026-11-22T10:00:00.000Z"))
    (finding,) = _troubles(replace(HEALTHY, history=history, daemon=Daemon(None)))
    assert said in finding.what
    assert (finding.remedy or "").startswith(mended_by)


def test_no_history_yet() -> None:
    """Without a history nothing is told about the clock, and that is no fault."""
    assert not _troubles(replace(HEALTHY, history=History()))


def test_short_accept_queues() -> None:
    """Reachable listeners with short accept queues are listed; loopback's are nobody's target."""
    listeners = (
        ListeningSocket("::", 80, 5),
        ListeningSocket("127.0.0.1", 631, 5),
        ListeningSocket("::1", 631, 5),
        *(ListeningSocket("192.0.2.1", port, 1) for port in range(8000, 8010)),
    )
    (finding,) = _troubles(replace(HEALTHY, listeners=listeners))
    assert "[::]:80 (5)" in finding.what
    assert "192.0.2.1:8000 (1)" in finding.what
    assert "631" not in finding.what
    assert "3 more" in finding.what


def test_short_accept_queue_of_a_known_process() -> None:
    """A short queue is told as ``ss`` names it, and with the process that has to be changed."""
    short = ListeningSocket("::", 80, 5, dual_stack=True, owner="nginx, pid 23")
    (finding,) = _troubles(replace(HEALTHY, listeners=(short,)))
    assert finding.what == "accept queues below 64: *:80 (5: nginx, pid 23)"
    assert "listen()" in (finding.remedy or "")


def test_accept_queues_cut_by_somaxconn() -> None:
    """Where somaxconn is what makes a queue short, that is what to raise."""
    short = ListeningSocket("192.0.2.1", 80, 8)
    findings = _troubles(replace(HEALTHY, listeners=(short,), somaxconn=8))
    (remedy,) = (finding.remedy for finding in findings if finding.name == "accept_queues")
    assert remedy is not None
    assert remedy.startswith("raise net.core.somaxconn")


def test_no_group_wanted() -> None:
    """A control socket for root alone needs no group."""
    assert not _troubles(replace(HEALTHY, group="", group_exists=False))


@pytest.mark.parametrize(
    ("mask", "missing"),
    [
        (0, ("CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF")),
        (1 << 12 | 1 << 38 | 1 << 39, ()),
        (1 << 12 | 1 << 38, ("CAP_BPF",)),
        (1 << 12 | 1 << 21, ()),
        (1 << 21, ("CAP_NET_ADMIN",)),
    ],
)
def test_missing_capabilities(mask: int, missing: tuple[str, ...]) -> None:
    """CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel, and nothing else is needed."""
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
