"""The facts about a machine that ``synguard doctor`` judges; None means that they could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from synguard.probe import capabilities
from synguard.probe.ethtool import Offload

#: What the daemon needs, and what for. CAP_SYS_ADMIN stands for the last two.
NEEDED_CAPABILITIES = {
    "CAP_NET_ADMIN": (capabilities.NET_ADMIN, "to attach the probe to interfaces"),
    "CAP_PERFMON": (capabilities.PERFMON, "to have the kernel accept the probe's pointers"),
    "CAP_BPF": (capabilities.BPF, "to load the probe and its maps"),
}

#: An accept queue shorter than this overflows at a burst that is no attack.
MIN_ACCEPT_QUEUE = 64
#: ``NETDEV_XDP_ACT_BASIC`` of include/uapi/linux/netdev.h: the driver runs XDP programs itself.
XDP_BASIC = 1


def missing_capabilities(effective: int) -> tuple[str, ...]:
    """Return the names of the needed capabilities that the mask ``effective`` lacks."""
    if effective >> capabilities.SYS_ADMIN & 1:
        effective |= 1 << capabilities.PERFMON | 1 << capabilities.BPF
    return tuple(name for name, (number, _) in NEEDED_CAPABILITIES.items() if not effective >> number & 1)


@dataclass(frozen=True, slots=True)
class Bcc:
    """The module ``bcc`` that Python would import."""

    path: str
    version: str | None
    #: Whether it is the BPF compiler, and not PyPI's package of the same name.
    is_compiler: bool


@dataclass(frozen=True, slots=True)
class Pins:
    """Where the probe is kept from one daemon to the next."""

    #: ``probe.keep_attached`` and ``probe.pin_directory``.
    wanted: bool
    directory: str
    #: Whether that is in a BPF file system; None when this user may not look.
    possible: bool | None


@dataclass(frozen=True, slots=True)
class XdpProgram:
    """An XDP program found on an interface."""

    id: int
    #: None when the caller may not ask.
    name: str | None
    #: ``native``, ``generic``, ``offload`` or ``multi``; None when the kernel says another one.
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """An interface that the daemon would guard."""

    name: str
    exists: bool = True
    #: ``ARPHRD_*`` of include/uapi/linux/if_arp.h; 1 is Ethernet.
    hardware_type: int = 1
    #: What made it (``bridge``, ``wireguard``); None for a network card.
    kind: str | None = None
    is_up: bool = True
    mtu: int | None = None
    #: What drives it (``virtio_net``); None where nothing says so.
    driver: str | None = None
    #: ``NETDEV_XDP_ACT_*`` of include/uapi/linux/netdev.h; kernels before 6.3 do not tell.
    xdp_features: int | None = None
    xdp: XdpProgram | None = None
    #: Large receive offload, and generic receive offload in hardware.
    lro: Offload | None = None
    gro_hw: Offload | None = None
    #: The larger of its own setting and that for all: 0 off, 1 strict, 2 loose.
    rp_filter: int | None = None
    #: Whether IPv4 packets that come in here may be passed on.
    forwards: bool = False


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A TCP socket in LISTEN, with the length its accept queue may reach."""

    address: str
    port: int
    accept_queue_limit: int
    #: Bound to ``::``, and IPv4 clients reach it, too.
    dual_stack: bool = False
    #: The command and process that hold it (``nginx, pid 23``).
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Guarded:
    """An interface as the running daemon tells of it."""

    name: str
    attached: bool
    #: ``xdp-native``, ``xdp-generic`` or ``tc-ingress``.
    ingress: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Daemon:
    """What the control socket told."""

    pid: int | None
    #: Why it could not be asked; None when it could.
    problem: str | None = None
    #: What it guards; None when it does not say.
    guarded: tuple[Guarded, ...] | None = None
    #: Whether it is in another network namespace than this process.
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """What the kernel says of its clocks."""

    #: Whether somebody keeps the wall clock right (adjtimex(2)).
    is_synchronised: bool | None
    #: What the kernel counts time by: ``tsc``, ``hpet``.
    source: str | None


@dataclass(frozen=True, slots=True)
class History:
    """What the history tells; None in all of it while there is none."""

    #: How far its newest entry lies in the future, in seconds; negative for the past.
    newest_ahead_s: float | None = None
    #: How the daemon's last run ended (``stopped``, ``failed``, ``interrupted``), and when, in ISO 8601.
    #: One that still goes on has ``interrupted`` here, at the moment when it wrote last.
    last_run: tuple[str, str] | None = None
    #: Why it could not be read.
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Conntrack:
    """The table of connections of this network namespace."""

    entries: int
    #: 0 for none.
    limit: int


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the history is kept."""

    free_bytes: int
    #: The database's present size.
    used_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything the checks look at, read at one moment."""

    kernel_release: str
    has_btf: bool
    #: ``/sys/kernel/security/lockdown``'s chosen mode: ``none``, ``integrity`` or ``confidentiality``.
    lockdown: str | None
    #: The errno of a harmless bpf(2) call; EBADF or EBADFD is the healthy answer.
    bpf_errno: int
    bpf_jit: int | None
    bpf_stats: int | None
    #: Effective capabilities of this process, as a bit mask.
    capabilities: int | None
    is_root: bool
    #: Whether its root is root of a container only, whom no capability lets load BPF.
    in_user_namespace: bool
    #: None when Python finds no module ``bcc``.
    bcc: Bcc | None
    #: Those header files that bcc needs and the machine lacks.
    missing_headers: tuple[str, ...]
    pins: Pins
    #: ``probe.xdp_mode``.
    xdp_mode: str
    #: Empty: there is no default route and none is configured.
    interfaces: tuple[InterfaceFacts, ...] | None
    #: Which of them carry the same packets, so that the daemon refuses them together; None where none do.
    overlap: str | None
    #: The interfaces with IPv4 routes, loopback left out.
    routed_interfaces: tuple[str, ...] | None
    tcp_syncookies: int | None
    somaxconn: int | None
    tcp_max_syn_backlog: int | None
    tcp_synack_retries: int | None
    listeners: tuple[ListeningSocket, ...] | None
    #: None where connections are not tracked.
    conntrack: Conntrack | None
    #: Why the table could not be read; None when it could, or when there is none.
    conntrack_problem: str | None
    clock: Clock
    database: str
    #: What keeps the database from being written; None when nothing does.
    database_problem: str | None
    history: History
    disk: Disk | None
    #: ``history.retention_mib``.
    retention_mib: int
    socket: str
    daemon: Daemon
    #: The group that may use the control socket; empty for root alone.
    group: str
    group_exists: bool
