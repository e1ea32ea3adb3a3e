"""The test machine itself: what it boots, what it keeps away from the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.service.machine import Machine

pytestmark = pytest.mark.service

SAME_SYSRQ = "old=$(cat /proc/sys/kernel/sysrq) && echo $old > /proc/sys/kernel/sysrq"

NOTIFYING_UNIT = """
[Service]
Type=notify
NotifyAccess=all
StateDirectory=ready
ExecStart=/bin/sh -c 'systemd-notify --ready --status="seen by systemctl"; exec sleep infinity'
"""


def test_systemd_is_up_with_no_unit_failed(machine: Machine) -> None:
    """Process 1 is a systemd that has finished booting, and nothing in it failed."""
    assert machine.run("systemctl", "is-system-running").stdout.strip() == "running"
    assert machine.run("cat", "/proc/1/comm").stdout.strip() == "systemd"


def test_a_notifying_service_starts_and_stops(machine: Machine) -> None:
    """A Type=notify unit is active once it says so, shows its status, and stops."""
    machine.write("/etc/systemd/system/ready.service", NOTIFYING_UNIT)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "ready")
    assert "seen by systemctl" in machine.run("systemctl", "status", "ready").stdout
    machine.run("systemctl", "stop", "ready")
    assert machine.run("systemctl", "is-active", "ready", check=False).stdout.strip() == "inactive"


def test_it_has_a_network_of_its_own(machine: Machine) -> None:
    """Only loopback exists in it, so that nothing in it can reach a real interface."""
    assert machine.run("ls", "/proc/sys/net/ipv4/conf").stdout.split() == ["all", "default", "lo"]


def test_what_it_writes_stays_in_it(machine: Machine) -> None:
    """Files made in its /tmp, /run, /etc and checkout never reach the real ones."""
    name = f"synguard-test-{os.getpid()}"
    for folder in ("/tmp", "/run", "/etc", "/srv/synguard"):
        machine.write(f"{folder}/{name}", "")
        assert machine.exists(f"{folder}/{name}")
    real = [Path(folder) / name for folder in ("/tmp", "/run", "/etc", Path(__file__).parents[2])]
    assert not [path for path in real if path.exists()]


def test_global_settings_of_the_kernel_are_out_of_reach(machine: Machine) -> None:
    """Neither sysctls that are not its network's nor sysfs can be written from it."""
    assert machine.run("sh", "-c", SAME_SYSRQ, check=False).returncode != 0
    assert machine.run("mkdir", "/sys/kernel/synguard-test", check=False).returncode != 0


def test_powering_off_leaves_nothing(tmp_path: Path) -> None:
    """After power-off its processes and cgroups are gone, and the real machine's mounts are as before."""
    mounts = _mounts_of(tmp_path)
    with Machine(tmp_path) as machine:
        cgroup = machine.cgroup
        assert cgroup.exists()
    assert not cgroup.exists()
    assert _mounts_of(tmp_path) == mounts == []
    assert not list(tmp_path.iterdir())


def _mounts_of(base: Path) -> list[str]:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [line for line in mounts if str(base) in line]
