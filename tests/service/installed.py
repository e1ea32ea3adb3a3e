"""synguard as it is installed on the test machine: where it guards, and what can be seen of it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.service.machine import Machine

GUARDED = "guarded0"

LINKS = f"""
ip link add {GUARDED} type veth peer name far0
ip address add 192.0.2.1/24 dev {GUARDED}
ip link set {GUARDED} up
ip link set far0 up
ip route add default via 192.0.2.2
"""


PLACES = (
    *("/etc", "/opt", "/run", "/usr/local", "/var/lib", "/sys/fs/bpf", "/tmp", "/var/tmp"),
    *(
        "/usr/share/bash-completion",
        "/usr/share/zsh",
        "/usr/share/fish",
        "/usr/lib",
        "/usr/bin",
        "/usr/share/doc",
    ),
)


def named_for_us(machine: Machine) -> set[str]:
    """Return what bears our name where services leave things."""
    return set(machine.run("find", *PLACES, "-maxdepth", "3", "-name", "*synguard*").stdout.split())


def status(machine: Machine) -> dict[str, Any]:
    """Return what ``synguard status`` knows."""
    answer: dict[str, Any] = json.loads(machine.run("synguard", "status", "--format", "json").stdout)
    return answer


def restarted(machine: Machine) -> int:
    """Return how often systemd has started the service anew."""
    return int(machine.run("systemctl", "show", "--property", "NRestarts", "--value", "synguard").stdout)


def attachments(machine: Machine) -> str:
    """Return what hangs on the guarded interface: XDP programs, qdiscs and filters."""
    links = machine.run("ip", "-details", "link", "show", GUARDED).stdout
    return links + machine.run("tc", "filter", "show", "dev", GUARDED, "egress", check=False).stdout


def program_id(machine: Machine) -> int:
    """Return the id of the XDP program on the guarded interface."""
    found = re.search(r"prog/xdp id (\d+)", attachments(machine))
    assert found is not None
    return int(found[1])


def main_pid(machine: Machine) -> str:
    """Return the daemon's process id, as the machine counts."""
    return machine.run("systemctl", "show", "--property", "MainPID", "--value", "synguard").stdout.strip()
