"""The Debian package: built, judged, installed, upgraded, removed and purged, as an administrator would."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from synguard import __version__
from synguard.commit import commit_of
from tests.service.installed import (
    GUARDED,
    LINKS,
    attachments,
    main_pid,
    named_for_us,
    program_id,
    status,
)
from tests.service.machine import Machine

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]

NEWER = "9.9.9"
SETTINGS = "/etc/synguard/synguard.toml"


@pytest.fixture(scope="module")
def package(machine: Machine) -> str:
    """Build the package from the machine's checkout."""
    said = machine.run("make", "-C", "/srv/synguard", "deb", network=True, timeout_s=380).stdout
    found = machine.run("sh", "-c", f"ls /srv/synguard/dist/synguard_{__version__}_*.deb").stdout.strip()
    assert found.removeprefix("/srv/synguard/") in said
    return found


@pytest.fixture(scope="module")
def newer(machine: Machine, package: str) -> str:
    """Return a package of a higher version, with nothing else changed."""
    script = (
        'dpkg-deb --raw-extract "$0" /var/tmp/newer && '
        f'sed -i "s/^Version: .*/Version: {NEWER}/" /var/tmp/newer/DEBIAN/control && '
        "dpkg-deb --root-owner-group --build /var/tmp/newer /var/tmp/newer.deb"
    )
    machine.run("sh", "-ec", script, package, timeout_s=120)
    machine.run("rm", "-rf", "/var/tmp/newer")
    return "/var/tmp/newer.deb"


@pytest.fixture(scope="module")
def before(machine: Machine) -> set[str]:
    """Return what bore our name before anything was installed."""
    machine.run("sh", "-ec", LINKS)
    # Images of containers forbid packages to start services; a server does not.
    machine.run("rm", "-f", "/usr/sbin/policy-rc.d")
    return named_for_us(machine)


@pytest.fixture(scope="module")
def packaged(machine: Machine, package: str, before: set[str]) -> Iterator[Machine]:
    """Install the package; purge it at the end."""
    assert "/lib/systemd/system/synguard.service" not in before
    dpkg(machine, "--install", package)
    yield machine
    machine.run("dpkg", "--purge", "synguard", check=False)


def dpkg(machine: Machine, *arguments: str) -> str:
    """Run dpkg, which keeps settings files that were edited."""
    return machine.run("dpkg", "--force-confold", *arguments, timeout_s=120).stdout


def test_lintian_finds_no_error(machine: Machine, package: str) -> None:
    """Debian's own judge, with each exception named and reasoned."""
    machine.run("lintian", "--allow-root", "--fail-on", "error", package, timeout_s=120)


def test_it_guards_once_it_is_installed(packaged: Machine) -> None:
    """The service runs and starts at boot, as its own user, and is asked as ever; it knows its commit."""
    assert packaged.run("systemctl", "is-active", "synguard").stdout.strip() == "active"
    assert packaged.run("systemctl", "is-enabled", "synguard").stdout.strip() == "enabled"
    (interface,) = status(packaged)["interfaces"]
    assert (interface["name"], interface["ingress"]) == (GUARDED, "xdp-native")
    assert f"(commit {commit_of() or 'unknown'}, " in packaged.run("synguard", "--version").stdout
    owner = packaged.run("stat", "-c", "%U", "/var/lib/synguard/synguard.db").stdout
    assert owner.strip() == "synguard"


def test_make_install_leaves_a_packaged_one_alone(packaged: Machine) -> None:
    """Two installations would get into each other's way."""
    done = packaged.run("make", "-C", "/srv/synguard", "install", network=True, check=False)
    assert done.returncode != 0
    assert "apt remove synguard" in done.stderr


def test_an_upgrade_goes_on_with_probe_and_settings(packaged: Machine, newer: str) -> None:
    """Another daemon takes over the program that is attached, by the settings that were edited."""
    packaged.run("sed", "-i", "s/^min_attempts = .*/min_attempts = 41/", SETTINGS)
    daemon, program = main_pid(packaged), program_id(packaged)
    dpkg(packaged, "--install", newer)
    assert NEWER in packaged.run("dpkg-query", "--show", "synguard").stdout
    packaged.poll("systemctl", "is-active", "synguard", want="active")
    assert main_pid(packaged) not in (daemon, "0")
    assert program_id(packaged) == program
    assert "min_attempts = 41" in packaged.run("cat", SETTINGS).stdout
    assert json.loads(packaged.run("synguard", "alerts", "--format", "json").stdout) == []


def test_an_upgrade_starts_nothing_that_was_stopped(packaged: Machine, package: str) -> None:
    """Whoever stopped it had a reason."""
    packaged.run("systemctl", "stop", "synguard-probe")
    dpkg(packaged, "--install", package)
    assert packaged.run("systemctl", "is-active", "synguard", check=False).stdout.strip() == "inactive"
    assert "prog/xdp" not in attachments(packaged)
    packaged.run("systemctl", "start", "synguard")


def test_removing_it_keeps_settings_and_history(packaged: Machine) -> None:
    """Nothing of ours is left in the kernel, and nothing that a package brings."""
    dpkg(packaged, "--remove", "synguard")
    assert "prog/xdp" not in attachments(packaged)
    assert "clsact" not in packaged.run("tc", "qdisc", "show", "dev", GUARDED).stdout
    assert not packaged.exists("/usr/lib/synguard")
    assert not packaged.exists("/sys/fs/bpf/synguard")
    assert packaged.exists(SETTINGS)
    assert packaged.exists("/var/lib/synguard/synguard.db")


def test_purging_it_leaves_nothing_but_its_user(packaged: Machine, before: set[str]) -> None:
    """Settings, history and whatever else bears our name are gone."""
    dpkg(packaged, "--purge", "synguard")
    assert named_for_us(packaged) - before == set()
    assert packaged.run("id", "synguard", check=False).returncode == 0
