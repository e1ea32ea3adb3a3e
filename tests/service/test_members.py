"""The history in everybody's hands: the service's, its group's, root's and strangers', in every order."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.service.installed import status
from tests.service.machine import Machine

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

FLOOD = "/srv/synguard/tests/service/silent_source.py"
MEMBER = ("setpriv", "--reuid", "member", "--regid", "member", "--init-groups", "--")
STRANGER = ("setpriv", "--reuid", "stranger", "--regid", "stranger", "--init-groups", "--")
STATE = "/var/lib/synguard"
NO_RESTART = "/run/systemd/system/synguard.service.d/no-restart.conf"


@pytest.fixture(scope="module")
def people(installed: Machine) -> Machine:
    """Add a user who is in the group and one who is not; a daemon that is killed stays dead."""
    installed.run("useradd", "--groups", "synguard", "member")
    installed.run("useradd", "stranger")
    installed.run("mkdir", "-p", NO_RESTART.rpartition("/")[0])
    installed.write(NO_RESTART, "[Service]\nRestart=no\n")
    installed.run("systemctl", "daemon-reload")
    return installed


def ask(machine: Machine, *who: str) -> list[dict[str, Any]]:
    """Return the alerts as somebody reads them."""
    said = machine.run(*who, "synguard", "alerts", "--format", "json").stdout
    found: list[dict[str, Any]] = json.loads(said)
    return found


def refused(machine: Machine, *command: str) -> subprocess.CompletedProcess[str]:
    """Run what must end with exit code 3."""
    done = machine.run(*command, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    return done


def flood(machine: Machine, source: str) -> None:
    """Flood from an address, until the alert is on disk."""
    machine.run("python3", FLOOD, source, "192.0.2.1")
    machine.poll("synguard", "alerts", "--source", source, "--format", "json", want='"kind"')
    machine.poll("synguard", "status", want="losses: none")


def files(machine: Machine) -> dict[str, str]:
    """Return owner, group and mode of what is in the history's directory, by name."""
    found = machine.run("find", STATE, "-mindepth", "1", "-printf", "%f %u:%g:%m\n").stdout
    return dict(line.split() for line in found.splitlines())


def is_the_services(machine: Machine) -> bool:
    """Tell whether all of it belongs to the service, and the group may read it."""
    return set(files(machine).values()) <= {"synguard:synguard:640"}


def is_written(machine: Machine) -> bool:
    """Tell whether the service has the history as it should."""
    return bool(status(machine)["history"]["state"] == "ok")


def test_while_it_runs_members_ask_and_strangers_do_not(people: Machine) -> None:
    """Members see what root sees, and may block; a stranger is told what it takes."""
    flood(people, "198.51.100.7")
    for who in (MEMBER, ()):
        assert [alert["source"] for alert in ask(people, *who)] == ["198.51.100.7"]
    people.run(*MEMBER, "synguard", "block", "add", "203.0.113.7")
    people.run(*MEMBER, "synguard", "block", "remove", "203.0.113.7")
    assert "member of its group" in refused(people, *STRANGER, "synguard", "alerts").stderr
    assert is_the_services(people)


def test_who_has_left_the_group_changes_nothing_any_more(people: Machine) -> None:
    """Not even from a session of before, in which the group still lets one in; to look is still possible."""
    people.run("gpasswd", "--delete", "member", "synguard")
    group = people.run("id", "-g", "synguard").stdout.strip()
    earlier = ("setpriv", "--reuid", "member", "--regid", "member", "--groups", group, "--", "synguard")
    assert len(people.run(*earlier, "alerts", "--format", "json").stdout) > 2
    # The accounts' earlier word is good for a moment.
    ended = ("sh", "-c", '"$@" 2>&1; echo "ended with $?"', "sh", *earlier, "respond", "off")
    said = people.poll(*ended, want="ended with 3")
    assert "change nothing" in said
    people.run("gpasswd", "--add", "member", "synguard")
    people.run("synguard", "respond", "dry-run")


def test_after_a_stop_members_read_without_writing(people: Machine) -> None:
    """Nothing appears beside the database, and nothing of it changes hands, whoever has read it."""
    people.run("systemctl", "stop", "synguard")
    before = files(people)
    assert list(before) == ["synguard.db"]
    for who in (MEMBER, ()):
        assert [alert["source"] for alert in ask(people, *who)] == ["198.51.100.7"]
        assert files(people) == before
    assert "sudo" in refused(people, *STRANGER, "synguard", "alerts").stderr
    people.run("systemctl", "start", "synguard")
    assert is_written(people)


def test_after_a_kill_members_read_what_came_last(people: Machine) -> None:
    """What the daemon had no time to fold into the database is read, too, and left as it is."""
    flood(people, "198.51.100.8")
    people.run("systemctl", "kill", "--signal=KILL", "synguard")
    people.poll("systemctl", "show", "--property", "ActiveState", "synguard", want="=failed")
    before = files(people)
    assert "synguard.db-wal" in before
    for who in (MEMBER, ()):
        assert "198.51.100.8" in {alert["source"] for alert in ask(people, *who)}
        assert files(people) == before
    people.run("systemctl", "reset-failed", "synguard")
    people.run("systemctl", "start", "synguard")
    assert is_written(people)
    assert is_the_services(people)


def test_root_first_on_an_empty_directory(people: Machine) -> None:
    """Root's question makes nothing there; the service finds its directory as it left it."""
    people.run("systemctl", "stop", "synguard")
    people.run("sh", "-c", f"rm {STATE}/*")
    for who in (MEMBER, ()):
        done = people.run(*who, "synguard", "alerts", check=False)
        assert (done.returncode, "no history" in done.stderr) == (1, True)
        assert files(people) == {}
    people.run("systemctl", "start", "synguard")
    assert is_written(people)
    assert is_the_services(people)


@pytest.mark.parametrize("end", ["INT", "KILL"])
def test_what_root_made_by_hand_the_service_writes(people: Machine, end: str) -> None:
    """Root's `synguard run` in the service's directories leaves it what it needs, also when it is killed."""
    people.run("systemctl", "stop", "synguard-probe")
    people.run("sh", "-c", f"rm {STATE}/*")
    by_hand = "synguard run > /tmp/by-hand 2>&1 & echo $! > /tmp/by-hand.pid"
    people.run("sh", "-c", by_hand)
    people.poll("cat", "/tmp/by-hand", want="daemon.ready", deadline_s=40)
    assert is_the_services(people)
    ended = f"kill -{end} $0; while kill -0 $0; do sleep 0.1; done"
    people.run("sh", "-c", ended, people.run("cat", "/tmp/by-hand.pid").stdout.strip())
    assert is_the_services(people)
    people.run("systemctl", "start", "synguard")
    assert is_written(people)
    assert is_the_services(people)
    assert [each["ingress"] for each in status(people)["interfaces"]] == ["xdp-native"]
