"""The checks of ``synguard doctor``: each turns facts into findings, and reads nothing itself."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from synguard.doctor.finding import Finding, error, ok, warning
from synguard.doctor.machine import InterfaceFacts, Machine, missing_capabilities
from synguard.probe import userns
from synguard.probe.interfaces import ETHERNET_TYPES, NETWORK_TYPES, type_words

#: Atomic exchange and fetch in BPF came with Linux 5.12.
OLDEST_KERNEL = (5, 12)
#: The oldest that the probe was seen to load on.
OLDEST_KERNEL_SEEN = (6, 1)
#: An accept queue shorter than this overflows at a burst that is no attack.
MIN_ACCEPT_QUEUE = 64
MIN_SYN_QUEUE = 1024
#: What the names of our own programs in the kernel begin with.
OUR_PREFIX = "synguard"

Check = Callable[[Machine], Iterator[Finding]]


def examine(machine: Machine) -> tuple[Finding, ...]:
    """Return every check's findings, in the order in which the daemon would meet them."""
    return tuple(finding for check in CHECKS for finding in check(machine))


def kernel(machine: Machine) -> Iterator[Finding]:
    """Judge the kernel's version."""
    why = "the probe needs BPF's atomic exchange, which came with Linux 5.12, and was tried from 6.1 on"
    found = re.match(r"(\d+)\.(\d+)", machine.kernel_release)
    btf = "with BTF" if machine.has_btf else "without BTF, which the probe does not need"
    what = f"Linux {machine.kernel_release}, {btf}"
    if found is None:
        yield warning("kernel", what, why, "the version cannot be read from this name: compare it yourself")
    elif (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        yield error("kernel", what, why, "boot Linux 6.1 or newer")
    elif (int(found[1]), int(found[2])) < OLDEST_KERNEL_SEEN:
        yield warning("kernel", what, why, "try it, or boot Linux 6.1 or newer")
    else:
        yield ok("kernel", what, why)


def bpf(machine: Machine) -> Iterator[Finding]:
    """Judge whether the system call is there and open."""
    why = "the probe runs in the kernel as BPF programs"
    if machine.bpf_errno == errno.ENOSYS:
        yield error("bpf", "this kernel has no bpf(2)", why, "boot a kernel with CONFIG_BPF_SYSCALL")
    elif machine.bpf_errno == errno.EPERM:
        remedy = "allow bpf(2) in the container's or service's seccomp profile"
        yield error("bpf", "bpf(2) is forbidden to this process", why, remedy)
    elif machine.lockdown == "confidentiality":
        remedy = "boot with lockdown=integrity or none"
        yield warning("bpf", "kernel lockdown forbids BPF programs to read kernel memory", why, remedy)
    elif machine.bpf_errno not in (errno.EBADF, errno.EBADFD):
        words = os.strerror(machine.bpf_errno)
        yield warning("bpf", f"bpf(2) answers strangely: {words}", why, "try `synguard run` and read its log")
    else:
        yield ok("bpf", "bpf(2) answers", why)


def capabilities(machine: Machine) -> Iterator[Finding]:
    """Judge what this process may do."""
    why = "loading the probe and attaching it needs them"
    remedy = "run doctor as root (`sudo synguard doctor`) to see what the service would see"
    if machine.capabilities is None:
        yield warning("capabilities", "unknown: /proc/self/status cannot be read", why, remedy)
        return
    missing = missing_capabilities(machine.capabilities)
    if machine.in_user_namespace:
        what = "this process is in a user namespace (a rootless container), whose root may not load BPF"
        yield error("capabilities", what, why, userns.REMEDY)
    elif missing:
        yield warning("capabilities", f"this process lacks {', '.join(missing)}", why, remedy)
    else:
        yield ok("capabilities", "this process may load and attach the probe", why)


def bcc(machine: Machine) -> Iterator[Finding]:
    """Judge the compiler."""
    why = "bcc compiles the probe when the daemon starts"
    install = "apt install python3-bpfcc, and make the venv with --system-site-packages"
    if machine.bcc_path is None:
        yield error("bcc", "Python finds no module bcc", why, install)
    elif not machine.bcc_is_compiler:
        what = f"{machine.bcc_path} is PyPI's unrelated package of the same name"
        yield error("bcc", what, why, f"pip uninstall bcc; {install}")
    else:
        yield ok("bcc", f"bcc {machine.bcc_version or 'of unknown version'} in {machine.bcc_path}", why)


def headers(machine: Machine) -> Iterator[Finding]:
    """Judge the UAPI headers."""
    why = "the probe's C includes them; kernel headers are not needed"
    if machine.missing_headers:
        what = f"missing in /usr/include: {', '.join(machine.missing_headers)}"
        yield error("headers", what, why, "apt install linux-libc-dev")
    else:
        yield ok("headers", "the UAPI headers are in /usr/include", why)


def interfaces(machine: Machine) -> Iterator[Finding]:
    """Judge the interfaces that would be guarded."""
    why = "what the probe does not see is not guarded"
    name_one = "name the interface with --interface or probe.interfaces"
    if machine.interfaces is None:
        yield warning("interface", "unknown: netlink cannot be asked", why, "run doctor as root")
    elif not machine.interfaces:
        yield error("interface", "there is no default route to take the interface from", why, name_one)
    for interface in machine.interfaces or ():
        yield _interface(interface, why)


def _interface(interface: InterfaceFacts, why: str) -> Finding:
    name = interface.name
    if not interface.exists:
        return error("interface", f"{name} does not exist", why, "compare `ip link` with probe.interfaces")
    what = f"{name} is {type_words(interface.hardware_type, interface.kind)} without Ethernet header"
    if interface.hardware_type not in ETHERNET_TYPES | NETWORK_TYPES:
        return error("interface", f"{what}: not supported", why, "guard another one, with Ethernet frames")
    if not interface.is_up:
        return warning("interface", f"{name} is down", why, f"ip link set {name} up")
    if interface.hardware_type in NETWORK_TYPES:
        return warning("interface", f"{what}: observed, but nothing is dropped there", why, "nothing to mend")
    return ok("interface", f"{name} has Ethernet frames and is up", why)


def xdp(machine: Machine) -> Iterator[Finding]:
    """Judge whose XDP program is on the interfaces."""
    why = "an interface has room for one XDP program, and somebody else's is never displaced"
    for interface in machine.interfaces or ():
        if not interface.exists:
            continue
        program = interface.xdp
        if program is None:
            yield ok("xdp", f"{interface.name} has room for our XDP program", why)
            continue
        what = f"{interface.name} has the XDP program {program.name or 'of unknown name'} (id {program.id})"
        if program.name is None and machine.daemon.pid is None:
            yield warning("xdp", what, why, "run doctor as root to learn whose it is")
        elif program.name is not None and not program.name.startswith(OUR_PREFIX):
            remedy = f"without it (`ip link set {interface.name} xdp off`) synguard could also drop packets"
            yield warning("xdp", what, why, remedy)
        elif machine.daemon.pid is None and machine.daemon.problem is None:
            yield warning("xdp", f"{what}, left behind by a daemon that is gone", why, "synguard detach")
        else:
            yield ok("xdp", what, why)


def syncookies(machine: Machine) -> Iterator[Finding]:
    """Judge the kernel's own defence."""
    name, why = "tcp_syncookies", "SYN cookies keep listeners reachable when their SYN queue is full"
    mend = "sysctl -w net.ipv4.tcp_syncookies=1, and the same in /etc/sysctl.d"
    if machine.tcp_syncookies is None:
        yield warning(name, "unknown: the setting cannot be read", why, "sysctl net.ipv4.tcp_syncookies")
    elif machine.tcp_syncookies == 0:
        yield warning(name, "SYN cookies are off: a small flood shuts a listener", why, mend)
    elif machine.tcp_syncookies == 2:
        what = "every connection gets a SYN cookie, so the kernel's counters cannot tell an attack"
        yield warning(name, what, why, mend)
    else:
        yield ok(name, "SYN cookies are sent when a SYN queue is full", why)


def queues(machine: Machine) -> Iterator[Finding]:
    """Judge the limits of the queues."""
    for name, sysctl, value in (
        ("somaxconn", "net.core.somaxconn", machine.somaxconn),
        ("tcp_max_syn_backlog", "net.ipv4.tcp_max_syn_backlog", machine.tcp_max_syn_backlog),
    ):
        why = "it caps how many handshakes a listener may have under way or waiting"
        remedy = f"sysctl -w {sysctl}=4096, and the same in /etc/sysctl.d"
        if value is None:
            yield warning(name, "unknown: the setting cannot be read", why, f"sysctl {sysctl}")
        elif value < MIN_SYN_QUEUE:
            yield warning(name, f"{sysctl} is {value}, below {MIN_SYN_QUEUE}", why, remedy)
        else:
            yield ok(name, f"{sysctl} is {value}", why)


def listeners(machine: Machine) -> Iterator[Finding]:
    """Judge the accept queues of the listeners that others can reach."""
    name, why = (
        "accept_queues",
        "a short accept queue overflows at an ordinary burst and looks like an attack",
    )
    if machine.listeners is None:
        yield warning(name, "unknown: sock_diag cannot be asked", why, "look at `ss -ltn`, column Send-Q")
        return
    reachable = [one for one in machine.listeners if not ip_address(one.address).is_loopback]
    short = [one for one in reachable if one.accept_queue_limit < MIN_ACCEPT_QUEUE]
    if short:
        named = ", ".join(f"port {one.port} ({one.accept_queue_limit})" for one in short[:8])
        more = f" and {len(short) - 8} more" if len(short) > 8 else ""
        what = f"accept queues below {MIN_ACCEPT_QUEUE}: {named}{more}"
        yield warning(name, what, why, "raise the application's listen() backlog")
    else:
        yield ok(name, f"{len(reachable)} listeners, none with a short accept queue", why)


def database(machine: Machine) -> Iterator[Finding]:
    """Judge whether history can be kept."""
    why = "alerts are kept there to be asked about later"
    if machine.database_problem is not None:
        remedy = "run doctor as the service's user, or name another file with history.database"
        yield warning("database", machine.database_problem, why, remedy)
    else:
        yield ok("database", f"{machine.database} can be written", why)


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
        yield warning("daemon", f"unknown: {machine.daemon.problem}", why, "run doctor as root")
    elif machine.daemon.pid is None:
        what = f"no daemon answers on {machine.socket}"
        yield warning("daemon", what, why, "systemctl start synguard, or synguard run")
    else:
        yield ok("daemon", f"the daemon answers on {machine.socket} (pid {machine.daemon.pid})", why)


CHECKS: tuple[Check, ...] = (
    kernel,
    bpf,
    capabilities,
    bcc,
    headers,
    interfaces,
    xdp,
    syncookies,
    queues,
    listeners,
    database,
    group,
    daemon,
)
