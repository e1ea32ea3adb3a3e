"""Setting up a checkout: what `make run` does before it runs, on a machine that may be broken for it."""

from __future__ import annotations

import time

import pytest

from tests.service.machine import Machine

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]

VENV = "/srv/synguard/.venv"


def set_up(machine: Machine, variant: str = "run") -> str:
    """Set up the machine's checkout; return what was said."""
    return machine.run("/srv/synguard/.ci/setup", variant, network=True, timeout_s=240).stdout


def imports(machine: Machine, *modules: str) -> bool:
    """Tell whether the venv's Python finds synguard, bcc, a dependency and these modules."""
    code = f"import {', '.join(('bcc', 'nftables', 'structlog', 'synguard', *modules))}"
    return machine.run(f"{VENV}/bin/python3", "-B", "-c", code, check=False).returncode == 0


@pytest.fixture(scope="module")
def checkout(machine: Machine) -> Machine:
    """Set up a checkout that has no venv yet, and is another user's, as under sudo."""
    machine.run("rm", "-rf", VENV)
    machine.run("chown", "-R", "nobody:", "/srv/synguard")
    set_up(machine)
    return machine


def test_a_new_checkout_gets_a_venv_that_sees_bcc(checkout: Machine) -> None:
    """After set-up the venv's Python finds synguard, bcc and what else it needs."""
    assert imports(checkout)


def test_the_owner_of_the_checkout_owns_what_was_made(checkout: Machine) -> None:
    """Set-up by root leaves nothing in the checkout that its owner cannot remove."""
    made = [VENV, "/srv/synguard/synguard.egg-info"]
    foreign = checkout.run("find", *made, "-not", "-user", "nobody", "-not", "-type", "l")
    assert foreign.stdout == ""


def test_setting_up_again_takes_no_time(checkout: Machine) -> None:
    """Where nothing is missing, set-up says so in one line, within two seconds."""
    started_s = time.monotonic()
    assert set_up(checkout) == "setup: nothing is missing\n"
    assert time.monotonic() - started_s < 2


@pytest.mark.parametrize(
    "damage",
    [f"rm {VENV}/bin/python3", f"touch {VENV}/.unfinished", f"sed -i s,/srv/,/home/, {VENV}/bin/pip"],
    ids=["no interpreter", "half-made", "moved"],
)
def test_a_broken_venv_is_made_anew(checkout: Machine, damage: str) -> None:
    """A venv that is broken, half-made or was moved is replaced by a sound one, and that is said."""
    checkout.run("sh", "-c", damage)
    assert "making it anew" in set_up(checkout)
    assert imports(checkout)


def test_a_changed_dependency_is_installed(checkout: Machine) -> None:
    """After a change in pyproject.toml the venv is brought up to date, and not made anew."""
    checkout.run("sh", "-c", "echo '# changed' >> /srv/synguard/pyproject.toml")
    said = set_up(checkout)
    assert "installing synguard" in said
    assert "making" not in said


def test_without_root_missing_packages_are_named(checkout: Machine) -> None:
    """A user without root gets exit code 3, the missing packages and the command to use."""
    hide = "mount --bind /dev/null /var/lib/dpkg/status"
    ask = "setpriv --reuid nobody --clear-groups /srv/synguard/.ci/setup run"
    result = checkout.run("unshare", "--mount", "sh", "-c", f"{hide} && {ask}", check=False)
    assert result.returncode == 3
    assert "python3-bpfcc" in result.stderr
    assert "run 'sudo make run'" in result.stderr


def test_a_server_installed_for_the_bench_is_not_started(checkout: Machine) -> None:
    """Packages come without their services: nginx neither runs nor will at boot, and no policy is left."""
    policy = "/usr/sbin/policy-rc.d"
    checkout.run("sh", "-c", f"rm -f {policy} && apt-get -qq -y purge nginx-common")
    set_up(checkout, "bench")
    assert checkout.exists("/usr/sbin/nginx")
    assert checkout.run("systemctl", "is-active", "nginx", check=False).stdout == "inactive\n"
    assert checkout.run("systemctl", "is-enabled", "nginx", check=False).stdout == "disabled\n"
    assert not checkout.exists(policy)
    assert imports(checkout, "matplotlib")


def test_on_another_distribution_it_lists_what_is_needed(checkout: Machine) -> None:
    """Without apt nothing is tried: exit code 3 and the list of what is needed."""
    checkout.run("mv", "/usr/bin/apt-get", "/usr/bin/apt-get.away")
    result = checkout.run("/srv/synguard/.ci/setup", "run", check=False)
    checkout.run("mv", "/usr/bin/apt-get.away", "/usr/bin/apt-get")
    assert result.returncode == 3
    assert "not Debian or Ubuntu" in result.stderr
    assert "python3-bpfcc" in result.stderr
