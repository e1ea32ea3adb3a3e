"""What the service's user may do from inside its unit, and what is said where it may not start."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.service.installed import main_pid
from tests.service.machine import Machine

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

#: Numbers of include/uapi/linux/capability.h: CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF.
THREE = 1 << 12 | 1 << 38 | 1 << 39
DROP_IN = "/run/systemd/system/synguard.service.d/look-around.conf"
LOOK = "[Service]\nExecStartPost=/usr/bin/python3 /srv/synguard/tests/service/look_around.py\n"


@pytest.fixture(scope="module")
def seen(installed: Machine) -> dict[str, Any]:
    """Let a script look around inside the unit, as one of its own processes."""
    installed.run("sh", "-ec", "mkdir -p /home/somebody; echo secret > /home/somebody/letter")
    installed.run("mkdir", "-p", DROP_IN.rpartition("/")[0])
    installed.write(DROP_IN, LOOK)
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", "synguard")
    said = installed.poll("journalctl", "--unit", "synguard", "--output", "cat", want="look-around")
    found: dict[str, Any] = json.loads(re.findall(r"^look-around (.*)$", said, re.MULTILINE)[-1])
    installed.run("rm", DROP_IN)
    installed.run("systemctl", "daemon-reload")
    return found


def test_it_is_its_user_alone(installed: Machine, seen: dict[str, Any]) -> None:
    """Real, effective and saved user and group are the service's, and there is no other group."""
    user = int(installed.run("id", "-u", "synguard").stdout)
    group = int(installed.run("id", "-g", "synguard").stdout)
    assert user != 0
    assert seen["user"] == [[user] * 3, [group] * 3, [group]]


def test_it_has_three_capabilities(installed: Machine, seen: dict[str, Any]) -> None:
    """Permitted, effective, ambient, and the most that it could ever have: these, as the daemon's own."""
    assert set(seen["capabilities"].values()) == {THREE}
    status = installed.run("cat", f"/proc/{main_pid(installed)}/status").stdout
    masks = re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s*(\w+)$", status, re.MULTILINE)
    assert {int(mask, 16) for mask in masks} == {THREE}


def test_it_gains_no_privileges_and_its_calls_are_filtered(seen: dict[str, Any]) -> None:
    """No set-user-id program makes more of it, and a seccomp filter (mode 2) is on."""
    assert seen["confined"] == ["1", "2"]


def test_it_reads_nobody_elses_secrets(seen: dict[str, Any]) -> None:
    """Not the shadow file, nor homes, nor process 1's."""
    assert seen["read"] == []


def test_it_writes_what_is_its_own(seen: dict[str, Any]) -> None:
    """Its pins, its state, what is noted while it runs, and temporary files that nobody else sees."""
    assert seen["written"] == [
        *("/run/synguard", "/sys/fs/bpf/synguard", "/tmp", "/var/lib/synguard", "/var/tmp")
    ]
    assert seen["set"] == []


def test_it_sees_no_processes_but_its_own(seen: dict[str, Any]) -> None:
    """Others do not show in /proc, and can be neither signalled nor traced."""
    assert seen["owners"] == [seen["user"][0][0]]
    assert not {"signal", "trace"} & set(seen["done"])


def test_it_gets_no_further(seen: dict[str, Any]) -> None:
    """No packet leaves it, and neither namespaces, mounts, machine code nor root are to be had."""
    assert seen["done"] == []


@pytest.mark.parametrize("unit", ["synguard", "synguard-probe"])
def test_systemd_calls_it_confined(installed: Machine, unit: str) -> None:
    """By systemd's own reckoning, 0 (confined) to 10 (free to do anything)."""
    said = installed.run("systemd-analyze", "security", "--no-pager", unit).stdout
    exposure = re.search(rf"Overall exposure level for {unit}.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= 2.5


def test_its_directories_are_given_to_it(installed: Machine) -> None:
    """What an earlier version that ran as root left there belongs to the service's user after a start."""
    installed.run("systemctl", "stop", "synguard")
    installed.run("chown", "-R", "root:synguard", "/var/lib/synguard")
    installed.run("systemctl", "start", "synguard")
    owners = installed.run("sh", "-c", "stat -c '%U %G' /var/lib/synguard /var/lib/synguard/*").stdout
    assert set(owners.splitlines()) == {"synguard synguard"}
    asked = json.loads(installed.run("synguard", "status", "--format", "json").stdout)
    assert asked["history"]["state"] == "ok"
