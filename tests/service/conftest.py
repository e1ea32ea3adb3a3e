"""The machine that the service tests install on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.installed import LINKS, named_for_us
from tests.service.machine import Machine


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a machine of its own for a test module."""
    with Machine(tmp_path_factory.mktemp("machine")) as booted:
        yield booted


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
