"""The checks of ``synguard doctor``: each turns facts into findings, and reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from synguard.doctor.checks import clocks, interfaces, kernel, service, tcp
from synguard.doctor.finding import Finding
from synguard.doctor.machine import Machine

__all__ = ["CHECKS", "Check", "examine"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that doctor looks at."""

    #: Of all its findings.
    name: str
    #: What it finds, for the reference.
    finds: str
    judge: Callable[[Machine], Iterator[Finding]]


#: In the order in which the daemon would meet them.
CHECKS: tuple[Check, ...] = (
    Check("kernel", "a kernel older than 6.1", kernel.kernel),
    Check("bpf", "bpf(2) missing, forbidden or locked down", kernel.bpf),
    Check("bpf_jit", "BPF programs that are interpreted", kernel.bpf_jit),
    Check("bpf_stats", "BPF programs that are timed, 75 ns for each packet", kernel.bpf_stats),
    Check("bpffs", "no BPF file system for `probe.keep_attached`", kernel.bpffs),
    Check("capabilities", "each missing capability, and what it is for", kernel.capabilities),
    Check("bcc", "bcc missing, or PyPI's package of that name", kernel.bcc),
    Check("headers", "missing UAPI headers", kernel.headers),
    Check("interface", "an interface that is missing, down or not supported", interfaces.interface),
    Check("xdp", "somebody else's XDP program, or one left behind", interfaces.xdp),
    Check("native_xdp", "a driver without native XDP, an MTU too large for it", interfaces.native_xdp),
    Check("lro", "LRO or hardware GRO on", interfaces.lro),
    Check("rp_filter", "reverse path filtering off where sources can be spoofed", interfaces.rp_filter),
    Check("tcp_syncookies", "SYN cookies off, or always on", tcp.syncookies),
    Check("somaxconn", "a small cap on all listeners' queues", tcp.somaxconn),
    Check("tcp_max_syn_backlog", "a small SYN queue where there are no cookies", tcp.max_syn_backlog),
    Check("tcp_synack_retries", "half-open handshakes held for more than 63 s", tcp.synack_retries),
    Check("accept_queues", "listeners with a short accept queue, and whose they are", tcp.accept_queues),
    Check("conntrack", "a table of connections that is 80 % full", tcp.conntrack),
    Check("clock", "a wall clock that nobody keeps synchronised", clocks.clock),
    Check("clock_steps", "a wall clock that was set back since the history was written", clocks.clock_steps),
    Check("clocksource", "time counted in ticks, or by a slow device", clocks.clocksource),
    Check("database", "a history that cannot be written or read", service.database),
    Check("disk", "less room than `history.retention_mib` may need", service.disk),
    Check("group", "no group for the control socket", service.group),
    Check("daemon", "no daemon that answers", service.daemon),
    Check("attachment", "a probe that is not where the running daemon believes it", service.attachment),
)


def examine(machine: Machine) -> tuple[Finding, ...]:
    """Return every check's findings, in the order of ``CHECKS``."""
    return tuple(finding for check in CHECKS for finding in check.judge(machine))
