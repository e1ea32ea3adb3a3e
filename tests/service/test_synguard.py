"""synguard as a service: installed, started, asked, stopped and removed, as an administrator would."""

from __future__ import annotations

import json
import time

import pytest

from synguard.commit import commit_of
from synguard.observe.journal import message_id
from tests.service.installed import (
    GUARDED,
    attachments,
    main_pid,
    named_for_us,
    program_id,
    restarted,
    status,
)
from tests.service.machine import Machine
from tests.service.silent_source import SYNS

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

#: Each answers nobody, and floods once: the same SYNs again would be retransmissions.
SILENT, BLOCKED, UNREAD = "198.51.100.7", "198.51.100.8", "198.51.100.9"
SILENT_SOURCE = "/srv/synguard/tests/service/silent_source.py"


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


def test_a_killed_daemon_comes_back_and_its_blocks_hold_meanwhile(installed: Machine) -> None:
    """After kill -9 systemd starts it anew within 2 s; not one SYN of a blocked source gets through."""
    installed.run("synguard", "respond", "enforce")
    installed.run("synguard", "block", "add", BLOCKED, "--ttl", "5m")
    before, attached = status(installed), program_id(installed)
    killed = "systemctl kill --signal=KILL synguard"
    installed.run("sh", "-c", f"python3 {SILENT_SOURCE} {BLOCKED} 192.0.2.1 & {killed}; wait")
    installed.poll("systemctl", "show", "--property", "NRestarts", "synguard", want="=1")
    installed.poll("systemctl", "show", "--property", "ActiveState", "synguard", want="=active")
    after = status(installed)
    assert after["pid"] != before["pid"]
    assert program_id(installed) == attached
    new = {
        name: after["totals"][name] - before["totals"][name]
        for name in ("attempts", "dropped_by_us", "answered")
    }
    assert new == {"attempts": SYNS, "dropped_by_us": SYNS, "answered": 0}
    installed.run("synguard", "block", "remove", BLOCKED)
    installed.run("synguard", "respond", "dry-run")
    assert min(away_s(installed) for _ in range(3)) < 2


def away_s(machine: Machine) -> float:
    """Kill the daemon, and return how long nobody reads the probe."""
    restarts = restarted(machine)
    killed_s = time.monotonic()
    machine.run("systemctl", "kill", "--signal=KILL", "synguard")
    machine.poll("systemctl", "show", "--property", "NRestarts", "synguard", want=f"={restarts + 1}")
    machine.poll("systemctl", "show", "--property", "ActiveState", "synguard", want="=active")
    shown = machine.run(
        *("systemctl", "show", "--property", "ActiveEnterTimestampMonotonic", "--value", "synguard")
    )
    return int(shown.stdout) / 1e6 - killed_s


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


def test_a_reload_takes_up_a_right_file_and_refuses_a_wrong_one(installed: Machine) -> None:
    """By the same daemon: systemctl tells of the wrong one, and so does the daemon if it is signalled."""
    pid = main_pid(installed)
    installed.run("cp", "/etc/synguard/synguard.toml", "/etc/synguard/kept")
    installed.run("sed", "-i", "s/^min_attempts = .*/min_attempts = 41/", "/etc/synguard/synguard.toml")
    installed.run("systemctl", "reload", "synguard")
    said = installed.poll("journalctl", "--unit", "synguard", "--output", "cat", want="config.reloaded")
    assert '"changed": {"detect.min_attempts": [40, 41]}' in said
    installed.run("sed", "-i", "s/^min_attempts = .*/min_attempts = -1/", "/etc/synguard/synguard.toml")
    refused = installed.run("systemctl", "reload", "synguard", check=False)
    assert refused.returncode != 0
    installed.run("systemctl", "kill", "--signal=HUP", "synguard")
    installed.poll("journalctl", "--unit", "synguard", "--output", "cat", want="config.refused")
    installed.poll(
        *("systemctl", "show", "--property", "StatusText", "--value", "synguard"),
        want="settings file is refused",
    )
    installed.poll("synguard", "status", "--config", "/etc/synguard/kept", want="detect.min_attempts")
    assert installed.run("systemctl", "is-active", "synguard").stdout.strip() == "active"
    assert main_pid(installed) == pid
    installed.run("mv", "/etc/synguard/kept", "/etc/synguard/synguard.toml")
    installed.run("systemctl", "reload", "synguard")
    installed.poll("journalctl", "--unit", "synguard", "--output", "cat", want="[41, 40]")


def test_a_restart_misses_nothing(installed: Machine) -> None:
    """The same program counts on while nobody reads it, and its counts go on."""
    before, attached = status(installed), program_id(installed)
    installed.run("systemctl", "stop", "synguard")
    installed.run("python3", SILENT_SOURCE, UNREAD, "192.0.2.1")
    assert program_id(installed) == attached
    installed.run("systemctl", "start", "synguard")
    assert program_id(installed) == attached
    assert status(installed)["totals"]["attempts"] - before["totals"]["attempts"] == SYNS
    said = installed.run("journalctl", "--unit", "synguard", "--output", "cat", "--no-pager").stdout
    assert "probe.kept" in said
    assert "systemctl stop synguard-probe" in said


def test_stopping_the_probe_detaches_everything(installed: Machine) -> None:
    """The daemon goes first; nothing of ours is left on the interface or pinned; both stops are clean."""
    before = attachments(installed)
    installed.run("systemctl", "stop", "synguard-probe")
    for unit in ("synguard", "synguard-probe"):
        shown = installed.run("systemctl", "show", "--property", "Result,ActiveState", unit).stdout
        assert set(shown.split()) == {"Result=success", "ActiveState=inactive"}
    after = attachments(installed)
    assert after != before
    assert "prog/xdp" not in after
    assert "bpf" not in after
    assert "clsact" not in installed.run("tc", "qdisc", "show", "dev", GUARDED).stdout
    assert not installed.exists("/sys/fs/bpf/synguard")


def test_an_upgrade_leaves_a_stopped_service_and_the_configuration_alone(installed: Machine) -> None:
    """Installing again keeps the edited configuration, and does not start what was stopped."""
    installed.run("sh", "-c", "echo '# edited' >> /etc/synguard/synguard.toml")
    installed.run("make", "-C", "/srv/synguard", "install", network=True, timeout_s=240)
    assert "# edited" in installed.run("cat", "/etc/synguard/synguard.toml").stdout
    state = installed.run("systemctl", "is-active", "synguard", check=False).stdout
    assert state.strip() == "inactive"


def test_a_wrong_configuration_is_said_and_not_retried(installed: Machine) -> None:
    """A wrong setting makes a unit fail once, with its name in the journal; a probe that is there goes on."""
    installed.run("cp", "/etc/synguard/synguard.toml", "/etc/synguard/kept")
    installed.run("sh", "-c", "echo '[detcet]' >> /etc/synguard/synguard.toml")
    assert installed.run("systemctl", "start", "synguard", check=False).returncode != 0
    assert "prog/xdp" not in attachments(installed)
    installed.run("mv", "/etc/synguard/kept", "/etc/synguard/synguard.toml")
    installed.run("systemctl", "start", "synguard")
    attached = program_id(installed)
    installed.run("cp", "/etc/synguard/synguard.toml", "/etc/synguard/kept")
    installed.run("sh", "-c", "echo '[detcet]' >> /etc/synguard/synguard.toml")
    assert installed.run("systemctl", "restart", "synguard", check=False).returncode != 0
    for unit in ("synguard", "synguard-probe"):
        said = installed.run("journalctl", "--unit", unit, "--no-pager").stdout
        assert "detcet" in said
    shown = installed.run("systemctl", "show", "--property", "ExecMainStatus,NRestarts", "synguard").stdout
    assert set(shown.split()) == {"ExecMainStatus=2", "NRestarts=0"}
    assert program_id(installed) == attached
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
