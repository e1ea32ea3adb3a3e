"""Says what machine this is, and which versions of everything that a figure may depend on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import synguard
from bench.results.model import Machine
from synguard.commit import commit_of

ROOT = Path(__file__).parents[2]
#: Also where a user's PATH does not lead.
_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
_TIMEOUT_S = 10
#: How each program is asked for its version.
_ASK = {
    "nginx": ("nginx", "-v"),
    "nft": ("nft", "--version"),
    "iptables": ("iptables", "--version"),
    "hping3": ("hping3", "--version"),
    "nmap": ("nmap", "--version"),
    "trafgen": ("trafgen", "--version"),
}


def this_machine() -> Machine:
    """Return what machine this is; what cannot be known is None."""
    return Machine(
        cpu_model=_cpu_field("model name") or platform.machine(),
        cpus=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        distribution=_distribution(),
        virtual=_virtual(),
        versions=_versions(),
    )


def _versions() -> dict[str, str | None]:
    return {
        "synguard": synguard.__version__,
        "commit": commit_of(ROOT),
        "python": platform.python_version(),
        # By its metadata: to import bcc loads 73 MB of LLVM.
        "bcc": _distributed("bcc"),
        "pyroute2": _distributed("pyroute2"),
    } | {name: version_in(_said(command)) for name, command in _ASK.items()}


def version_in(said: str) -> str | None:
    """Return the first version number in what a program said."""
    found = re.search(r"\d+\.\d[\w.+~-]*", said)
    return found[0] if found else None


def _said(command: Sequence[str]) -> str:
    """Return what a command says, nothing where it is missing or hangs."""
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
            env=os.environ | {"PATH": _PATH, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.decode("utf-8", "replace")


def _distributed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _cpu_field(name: str) -> str | None:
    found = re.search(rf"^{name}\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else None


def _virtual() -> str | None:
    hypervisor = _detected("--vm")
    if hypervisor is None and "hypervisor" in (_cpu_field("flags") or "").split():
        hypervisor = "a hypervisor"
    layers = [layer for layer in (_detected("--container"), hypervisor) if layer]
    return " on ".join(layers) or None


def _detected(kind: str) -> str | None:
    said = _said(("systemd-detect-virt", kind)).strip()
    return said if re.fullmatch(r"(?!none$)[a-z][a-z0-9-]*", said) else None
