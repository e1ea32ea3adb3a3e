"""The facts about a machine that ``synguard doctor`` judges; None means that they could not be read."""

from __future__ import annotations

from dataclasses import dataclass

#: Numbers of include/uapi/linux/capability.h.
CAP_NET_ADMIN = 12
CAP_SYS_ADMIN = 21
CAP_PERFMON = 38
CAP_BPF = 39

#: What the daemon needs; CAP_SYS_ADMIN stands for the last two.
NEEDED_CAPABILITIES = {"CAP_NET_ADMIN": CAP_NET_ADMIN, "CAP_PERFMON": CAP_PERFMON, "CAP_BPF": CAP_BPF}


def missing_capabilities(effective: int) -> tuple[str, ...]:
    """Return the names of the needed capabilities that the mask ``effective`` lacks."""
    if effective >> CAP_SYS_ADMIN & 1:
        effective |= 1 << CAP_PERFMON | 1 << CAP_BPF
    return tuple(name for name, number in NEEDED_CAPABILITIES.items() if not effective >> number & 1)


@dataclass(frozen=True, slots=True)
class XdpProgram:
    """An XDP program found on an interface."""

    id: int
    #: None when the caller may not ask.
    name: str | None


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
    xdp: XdpProgram | None = None


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A TCP socket in LISTEN, with the length its accept queue may reach."""

    address: str
    port: int
    accept_queue_limit: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """What the control socket told."""

    pid: int | None
    #: Why it could not be asked; None when it could.
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything the checks look at, read at one moment."""

    kernel_release: str
    has_btf: bool
    #: ``/sys/kernel/security/lockdown``'s chosen mode: ``none``, ``integrity`` or ``confidentiality``.
    lockdown: str | None
    #: The errno of a harmless bpf(2) call; EBADF or EBADFD is the healthy answer.
    bpf_errno: int
    #: Effective capabilities of this process, as a bit mask.
    capabilities: int | None
    #: Whether its root is root of a container only, whom no capability lets load BPF.
    in_user_namespace: bool
    #: Where Python would import ``bcc`` from; None when it would not.
    bcc_path: str | None
    bcc_version: str | None
    #: Whether that is the BPF compiler, and not PyPI's package of the same name.
    bcc_is_compiler: bool
    #: Those header files that bcc needs and the machine lacks.
    missing_headers: tuple[str, ...]
    #: Empty: there is no default route and none is configured.
    interfaces: tuple[InterfaceFacts, ...] | None
    tcp_syncookies: int | None
    somaxconn: int | None
    tcp_max_syn_backlog: int | None
    listeners: tuple[ListeningSocket, ...] | None
    database: str
    #: What keeps the database's directory from being written; None when nothing does.
    database_problem: str | None
    socket: str
    daemon: Daemon
    #: The group that may use the control socket; empty for root alone.
    group: str
    group_exists: bool
