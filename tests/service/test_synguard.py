"""synguard as a service: installed, started, asked, stopped and removed, as an administrator would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from synguard.commit import commit_of
from synguard.observe.journal import message_id
from tests.service.machine import Machine

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

GUARDED = "guarded0"

LINKS = f"""
ip link add {GUARDED} type veth peer name far0
ip address add 192.0.2.1/24 dev {GUARDED}
ip link set {GUARDED} up
ip link set far0 up
ip route add default via 192.0.2.2
"""


#: Answers nobody.
SILENT = "198.51.100.7"
SILENT_SOURCE = "/srv/synguard/tests/service/silent_source.py"

PLACES = (
    *("/etc", "/opt", "/run", "/usr/local", "/var/lib", "/sys/fs/bpf", "/tmp", "/var/tmp"),
    *("/usr/share/bash-completion", "/usr/share/zsh", "/usr/share/fish"),
)


def named_for_us(machine: Machine) -> set[str]:
    """Return what bears our name where services leave things."""
    return set(machine.run("find", *PLACES, "-maxdepth", "3", "-name", "*synguard*").stdout.split())


@pytest.fixture(scope="module")
def found_before(machine: Machine) -> set[str]:
    """Return what bore our name before anything was installed."""
    return named_for_us(machine)


@pytest.fixture(scope="module")
def installed(machine: Machine, found_before: set[str]) -> Iterator[Machine]:
    """Install synguard where the default route leads over a veth; uninstall it at the end."""
    assert "/opt/synguard" not in found_before
    machine.run("sh", "-ec", LINKS)
    machine.run("make", "-C", "/srv/synguard", "install", network=True, timeout_s=240)
    yield machine
    machine.run("make", "-C", "/srv/synguard", "uninstall", network=True)


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


def test_install_starts_it_at_once_and_at_boot(installed: Machine) -> None:
    """After `make install` the service is active, and enabled for the next boot."""
    assert installed.run("systemctl", "is-active", "synguard").stdout.strip() == "active"
    assert installed.run("systemctl", "is-enabled", "synguard").stdout.strip() == "enabled"


def test_it_knows_which_commit_was_installed(installed: Machine) -> None:
    """Although an installation has no git."""
    assert f"(commit {commit_of() or 'unknown'}, " in installed.run("synguard", "--version").stdout


def test_the_default_configuration_guards_the_default_route(installed: Machine) -> None:
    """With nothing configured, the default route's interface is guarded, and by dry-run."""
    answer = status(installed)
    assert [(each["name"], each["attached"]) for each in answer["interfaces"]] == [(GUARDED, True)]
    assert answer["respond"] == "dry-run"
    assert "prog/xdp" in attachments(installed)


def test_it_keeps_a_history(installed: Machine) -> None:
    """The service writes its history where the default configuration says, and can be asked."""
    assert status(installed)["history"]["state"] == "ok"
    assert installed.exists("/var/lib/synguard/synguard.db")
    assert json.loads(installed.run("synguard", "alerts", "--format", "json").stdout) == []


@pytest.mark.parametrize(
    ("shell", "ask"),
    [
        (
            "bash",
            "source /usr/share/bash-completion/completions/synguard;"
            " COMP_LINE='synguard ale' COMP_POINT=12 COMP_WORDS=(synguard ale) COMP_CWORD=1;"
            " _synguard synguard; echo ${COMPREPLY[*]}",
        ),
        ("zsh", "autoload -U compinit; compinit -u -D; [[ $_comps[synguard] = _synguard ]] && echo alerts"),
        ("fish", "complete -C 'synguard ale'"),
    ],
)
def test_each_shell_finds_its_completion(installed: Machine, shell: str, ask: str) -> None:
    """After `make install` TAB works in a new bash, zsh and fish, with nothing else to do."""
    assert installed.run(shell, "-c", ask).stdout.split()[:1] == ["alerts"]


def test_the_group_owns_what_its_members_may_read(installed: Machine) -> None:
    """Socket and history belong to the group synguard, and are nothing to other users."""
    paths = ["/run/synguard/control.sock", "/var/lib/synguard/synguard.db"]
    for line in installed.run("stat", "-c", "%G %a", *paths).stdout.splitlines():
        group, mode = line.split()
        assert (group, mode[-1]) == ("synguard", "0")


def test_it_has_only_the_capabilities_it_needs(installed: Machine) -> None:
    """The daemon's effective capabilities are those that the unit lists and explains."""
    pid = installed.run("systemctl", "show", "--property", "MainPID", "--value", "synguard").stdout.strip()
    lines = installed.run("cat", f"/proc/{pid}/status").stdout.splitlines()
    effective = int(next(line for line in lines if line.startswith("CapEff")).split()[1], 16)
    net_admin, sys_admin, perfmon, bpf = 12, 21, 38, 39  # include/uapi/linux/capability.h
    assert effective == 1 << net_admin | 1 << sys_admin | 1 << perfmon | 1 << bpf


def test_it_can_do_all_that_it_may_be_told(installed: Machine) -> None:
    """Confined as it is: change its mode, block, and take a block back."""
    installed.run("synguard", "respond", "enforce")
    installed.run("synguard", "block", "add", "203.0.113.0/24", "--ttl", "5m")
    listed = json.loads(installed.run("synguard", "block", "list", "--format", "json").stdout)
    assert [block["target"] for block in listed] == ["203.0.113.0/24"]
    installed.run("synguard", "block", "remove", "203.0.113.0/24")
    installed.run("synguard", "respond", "dry-run")
    said = installed.run("journalctl", "--unit", "synguard", "--priority", "err", "--output", "cat").stdout
    assert "block." not in said


def test_the_journal_knows_priority_and_kind(installed: Machine) -> None:
    """A flood's alert is found by its priority, by its kind's id and by its source; nothing is said twice."""
    installed.run("ip", "neighbour", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", GUARDED)
    installed.run("python3", SILENT_SOURCE, SILENT, "192.0.2.1")
    found = [
        installed.poll("journalctl", "--unit", "synguard", *match, "--output", "json", want="alert.raised")
        for match in (
            ["--priority", "warning"],
            [f"MESSAGE_ID={message_id('alert.raised')}"],
            [f"SYNGUARD_SOURCE={SILENT}"],
        )
    ]
    raised = [
        entry
        for output in found
        for entry in map(json.loads, output.splitlines())
        if (entry.get("SYNGUARD_EVENT"), entry.get("SYNGUARD_SOURCE")) == ("alert.raised", SILENT)
    ]
    assert len(raised) == len(found)
    (entry,) = {entry["__CURSOR"]: entry for entry in raised}.values()
    assert (entry["PRIORITY"], entry["_SYSTEMD_UNIT"]) == ("4", "synguard.service")
    assert json.loads(entry["MESSAGE"])["source"] == SILENT
    asked = installed.run("synguard", "alerts", "--source", SILENT, "--format", "json").stdout
    assert [str(alert["id"]) for alert in json.loads(asked)] == [entry["SYNGUARD_ALERT_ID"]]


def test_it_is_confined(installed: Machine) -> None:
    """By systemd's own reckoning, 0 (confined) to 10 (free to do anything)."""
    said = installed.run("systemd-analyze", "security", "--no-pager", "synguard").stdout
    exposure = re.search(r"Overall exposure level for synguard.service: ([0-9.]+)", said)
    assert exposure is not None
    assert float(exposure[1]) <= 2.5


def test_a_killed_daemon_comes_back_and_guards_again(installed: Machine) -> None:
    """After kill -9 systemd starts it anew, and no leftover of the killed one is in its way."""
    pid = status(installed)["pid"]
    installed.run("systemctl", "kill", "--signal=KILL", "synguard")
    installed.poll("systemctl", "show", "--property", "NRestarts", "synguard", want="=1")
    installed.poll("systemctl", "show", "--property", "ActiveState", "synguard", want="=active")
    answer = status(installed)
    assert answer["pid"] != pid
    assert [each["attached"] for each in answer["interfaces"]] == [True]


def test_a_daemon_that_stands_still_is_started_anew(installed: Machine) -> None:
    """The watchdog is fed by the loop that reads the probe, and by nothing beside it."""
    pid, restarts = status(installed)["pid"], restarted(installed)
    installed.run("kill", "-STOP", str(pid))
    installed.poll("systemctl", "show", "--property", "NRestarts", "synguard", want=f"={restarts + 1}")
    installed.poll("systemctl", "show", "--property", "ActiveState", "synguard", want="=active")
    assert status(installed)["pid"] != pid
    assert "Watchdog timeout" in installed.run("journalctl", "--unit", "synguard", "--no-pager").stdout


def test_systemctl_status_says_how_it_fares(installed: Machine) -> None:
    """Which interfaces, how many SYNs, alerts and blocks."""
    said = installed.poll(
        "systemctl", "show", "--property", "StatusText", "--value", "synguard", want="SYN/s"
    )
    assert said.strip() == f"Guarding {GUARDED}: 0 SYN/s, 0 open alerts, 0 blocks"


def test_stopping_detaches_everything(installed: Machine) -> None:
    """After a stop nothing of ours hangs on the interface, and the stop counts as clean."""
    before = attachments(installed)
    installed.run("systemctl", "stop", "synguard")
    shown = installed.run("systemctl", "show", "--property", "Result", "--value", "synguard")
    assert shown.stdout.strip() == "success"
    after = attachments(installed)
    assert after != before
    assert "prog/xdp" not in after
    assert "bpf" not in after
    assert "clsact" not in installed.run("tc", "qdisc", "show", "dev", GUARDED).stdout


def test_an_upgrade_leaves_a_stopped_service_and_the_configuration_alone(installed: Machine) -> None:
    """Installing again keeps the edited configuration, and does not start what was stopped."""
    installed.run("sh", "-c", "echo '# edited' >> /etc/synguard/synguard.toml")
    installed.run("make", "-C", "/srv/synguard", "install", network=True, timeout_s=240)
    assert "# edited" in installed.run("cat", "/etc/synguard/synguard.toml").stdout
    state = installed.run("systemctl", "is-active", "synguard", check=False).stdout
    assert state.strip() == "inactive"


def test_a_wrong_configuration_is_said_and_not_retried(installed: Machine) -> None:
    """A wrong setting makes the service fail once, with the setting's name in the journal."""
    installed.run("cp", "/etc/synguard/synguard.toml", "/etc/synguard/kept")
    installed.run("sh", "-c", "echo '[detcet]' >> /etc/synguard/synguard.toml")
    assert installed.run("systemctl", "start", "synguard", check=False).returncode != 0
    shown = installed.run("systemctl", "show", "--property", "ExecMainStatus,NRestarts", "synguard").stdout
    assert set(shown.split()) == {"ExecMainStatus=2", "NRestarts=0"}
    assert "detcet" in installed.run("journalctl", "--unit", "synguard", "--no-pager").stdout
    installed.run("mv", "/etc/synguard/kept", "/etc/synguard/synguard.toml")
    installed.run("systemctl", "reset-failed", "synguard")


def test_uninstalling_keeps_only_what_it_says(installed: Machine, found_before: set[str]) -> None:
    """Uninstalling a running service stops it and leaves the configuration and the history alone."""
    installed.run("systemctl", "start", "synguard")
    said = installed.run("make", "-C", "/srv/synguard", "uninstall", network=True).stdout
    assert "kept /etc/synguard" in said
    assert "kept /var/lib/synguard" in said
    kept = {"/etc/synguard", "/etc/synguard/synguard.toml", "/var/lib/synguard"}
    found = {path for path in named_for_us(installed) if not path.startswith("/var/lib/synguard/")}
    assert found - found_before == kept
    assert "prog/xdp" not in attachments(installed)
