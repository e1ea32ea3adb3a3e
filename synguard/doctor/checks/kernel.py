"""Whether this kernel, and this process's rights, let the probe be compiled, loaded and kept."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from synguard.doctor.finding import Finding, error, ok, unknown, warning
from synguard.doctor.machine import NEEDED_CAPABILITIES, Machine, missing_capabilities
from synguard.probe import userns

#: Atomic exchange and fetch in BPF came with Linux 5.12.
OLDEST_KERNEL = (5, 12)
#: The oldest that the probe was seen to load on.
OLDEST_KERNEL_SEEN = (6, 1)


def kernel(machine: Machine) -> Iterator[Finding]:
    """Judge the kernel's version."""
    why = "the probe needs BPF's atomic exchange, which came with Linux 5.12, and was tried from 6.1 on"
    found = re.match(r"(\d+)\.(\d+)", machine.kernel_release)
    btf = "with BTF" if machine.has_btf else "without BTF, which the probe does not need"
    what = f"Linux {machine.kernel_release}, {btf}"
    if found is None:
        remedy = "the version cannot be read from this name: compare it yourself"
        yield unknown("kernel", what, why, remedy)
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


def bpf_jit(machine: Machine) -> Iterator[Finding]:
    """Judge whether the kernel translates BPF to machine code."""
    name, why = "bpf_jit", "interpreted, the probe takes several times as long for each packet"
    if machine.bpf_jit is None:
        remedy = "`sysctl net.core.bpf_jit_enable` as root, outside of containers and network namespaces"
        yield unknown(name, "net.core.bpf_jit_enable cannot be read here", why, remedy)
    elif machine.bpf_jit == 0:
        remedy = "sysctl -w net.core.bpf_jit_enable=1, and the same in /etc/sysctl.d; then restart the daemon"
        yield warning(name, "net.core.bpf_jit_enable is 0: BPF programs are interpreted", why, remedy)
    else:
        yield ok(name, "BPF programs are translated to machine code", why)


def bpf_stats(machine: Machine) -> Iterator[Finding]:
    """Judge whether the kernel times each run of a BPF program."""
    name, why = "bpf_stats", "timing every run of a BPF program adds about 75 ns to each packet"
    if machine.bpf_stats:
        remedy = "sysctl -w kernel.bpf_stats_enabled=0, when nobody is measuring"
        yield warning(name, f"kernel.bpf_stats_enabled is {machine.bpf_stats}", why, remedy)
    elif machine.bpf_stats is None:
        remedy = "`sysctl kernel.bpf_stats_enabled` outside of the container"
        yield unknown(name, "kernel.bpf_stats_enabled cannot be read here", why, remedy)
    else:
        yield ok(name, "runs of BPF programs are not timed", why)


def bpffs(machine: Machine) -> Iterator[Finding]:
    """Judge whether the probe can outlive the daemon."""
    name, pins = "bpffs", machine.pins
    why = "with probe.keep_attached the probe is pinned there, to go on while the daemon restarts"
    if not pins.wanted:
        yield ok(name, "none is needed: probe.keep_attached is off", why)
    elif pins.possible is None:
        yield unknown(name, f"this user may not look at {pins.directory}", why, "run doctor as root")
    elif pins.possible:
        yield ok(name, f"{pins.directory} is in a BPF file system", why)
    else:
        remedy = "mount -t bpf bpf /sys/fs/bpf (systemd does it at boot), or name a folder in one in "
        what = f"{pins.directory} is in no BPF file system: the probe ends with the daemon"
        yield warning(name, what, why, f"{remedy}probe.pin_directory")


def capabilities(machine: Machine) -> Iterator[Finding]:
    """Judge what this process may do."""
    why = "the daemon cannot start without them, and a service is given them by its unit"
    as_root = "run doctor as root (`sudo synguard doctor`) to see what the service would see"
    if machine.capabilities is None:
        yield unknown("capabilities", "/proc/self/status cannot be read", why, as_root)
        return
    missing = missing_capabilities(machine.capabilities)
    named = "; ".join(f"{name}, {NEEDED_CAPABILITIES[name][1]}" for name in missing)
    if machine.in_user_namespace:
        what = "this process is in a user namespace (a rootless container), whose root may not load BPF"
        yield error("capabilities", what, why, userns.REMEDY)
    elif missing and machine.is_root:
        remedy = f"allow {', '.join(missing)} in the container or the unit (CapabilityBoundingSet, --cap-add)"
        yield error("capabilities", f"root lacks {named}", why, remedy)
    elif missing:
        yield warning("capabilities", f"this process lacks {named}", why, as_root)
    else:
        yield ok("capabilities", "this process may load and attach the probe", why)


def bcc(machine: Machine) -> Iterator[Finding]:
    """Judge the compiler."""
    why = "bcc compiles the probe when the daemon starts"
    install = "apt install python3-bpfcc, and make the venv with --system-site-packages"
    if machine.bcc is None:
        yield error("bcc", "Python finds no module bcc", why, install)
    elif not machine.bcc.is_compiler:
        what = f"{machine.bcc.path} is PyPI's unrelated package of the same name"
        yield error("bcc", what, why, f"pip uninstall bcc; {install}")
    else:
        yield ok("bcc", f"bcc {machine.bcc.version or 'of unknown version'} in {machine.bcc.path}", why)


def headers(machine: Machine) -> Iterator[Finding]:
    """Judge the UAPI headers."""
    why = "the probe's C includes them; kernel headers are not needed"
    if machine.missing_headers:
        what = f"missing in /usr/include: {', '.join(machine.missing_headers)}"
        yield error("headers", what, why, "apt install linux-libc-dev")
    else:
        yield ok("headers", "the UAPI headers are in /usr/include", why)
