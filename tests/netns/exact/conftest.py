"""The stages on which handshakes are counted: IP version, role of the guarded, and tcp_syncookies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from bench.net.layout import Role
from bench.net.namespaces import Topology
from synguard.probe.probe import Groups, Probe, Sizes

from .stage import Ground, Stage


@pytest.fixture(scope="session")
def probe() -> Iterator[Probe]:
    """Load the probe once; every ground attaches the same programs."""
    loaded = Probe.load(Sizes(), Groups())
    yield loaded
    loaded.close()


@pytest.fixture(scope="module", params=["host", "gateway"])
def ground(
    probe: Probe, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    """Guard the server, or the gateway before it."""
    role: Role = request.param
    with Topology(role=role) as topology, Ground(probe, topology, tmp_path_factory.mktemp("claims")) as built:
        yield built


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request: pytest.FixtureRequest) -> int:
    """Return the IP version."""
    return int(request.param)


@pytest.fixture(params=[0, 1, 2], ids=["cookies0", "cookies1", "cookies2"])
def syncookies(request: pytest.FixtureRequest) -> int:
    """Return the server's tcp_syncookies: never, under load, always."""
    return int(request.param)


@pytest.fixture
def stage(ground: Ground, version: int, syncookies: int) -> Iterator[Stage]:
    """Set the stage for one test."""
    with contextlib.ExitStack() as stack:
        yield Stage.on(ground, version, syncookies, stack)
