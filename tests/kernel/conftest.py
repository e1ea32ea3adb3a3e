"""One loaded probe for the whole tier, and wires through it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from synguard.probe.probe import Groups, Probe, Sizes
from synguard.probe.programs import TC_INGRESS_PROGRAM, XDP_PROGRAM
from tests.kernel.series import wipe
from tests.kernel.strangers import Strangers
from tests.kernel.wire import ONLY_KEY, GatewayWire, MakeWire, Wire

#: The hashes' secret is fixed here, so that a test which fails fails again.
SECRET = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
#: Each test begins so much later than the one before: nothing of that is in any ring any more.
TEST_SPAN_NS = 200 * 10**9

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def probe() -> Iterator[Probe]:
    """Yield the probe at its default sizes."""
    loaded = Probe.load(Sizes(), Groups())
    loaded._secret = SECRET
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def all_strangers(probe: Probe) -> Iterator[Strangers]:
    """Yield strangers in front of the tier's probe; the clock is that of the test's wire."""
    with Strangers.through(probe) as strangers:
        yield strangers


@pytest.fixture(scope="module")
def strangers(probe: Probe, all_strangers: Strangers) -> Iterator[Strangers]:
    """Yield strangers for a module; then their handshakes are wiped out, which would look young to others."""
    yield all_strangers
    wipe(probe)


@pytest.fixture
def fresh_greylist(probe: Probe) -> Iterator[None]:
    """Leave no SYN in the greylist's table: its times wrap, so what is old may look young to others."""
    yield
    wipe(probe, "greylist")


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Stay on one CPU: each one counts strangers for itself."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.fixture
def make_wire(probe: Probe) -> Iterator[MakeWire]:
    """Return what makes a wire through an ingress program, of an IP version, in one role."""

    def make(program: str, version: int, role: type[Wire] = Wire) -> Wire:
        number = next(_numbers)
        return role(probe, program, version, number, number * TEST_SPAN_NS)

    yield make
    for name in ("listeners", "closed_buckets", "blocks", "listener_rules", "spared"):
        for key, _ in list(probe.maps[name].items()):
            probe.maps[name].delete(key)
    for name in ("candidates", "prefix_candidates"):
        while probe.maps[name].pop() is not None:
            pass
    probe.maps["dropped"].update(ONLY_KEY, bytes(probe.maps["dropped"].value_bytes))
    probe.set_block_lengths(())
    for rules in ("sources", "listeners"):
        probe.set_responding(rules, False)
    probe.set_clock(0)


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request: pytest.FixtureRequest) -> int:
    """Return the IP version."""
    return int(request.param)


@pytest.fixture(params=[XDP_PROGRAM, TC_INGRESS_PROGRAM], ids=["xdp", "tc"])
def ingress_program(request: pytest.FixtureRequest) -> str:
    """Return the name of each program that frames may come in by."""
    return str(request.param)


@pytest.fixture(params=[Wire, GatewayWire], ids=["host", "gateway"])
def wire(make_wire: MakeWire, version: int, ingress_program: str, request: pytest.FixtureRequest) -> Wire:
    """Return a wire for each role, each ingress program and each IP version."""
    return make_wire(ingress_program, version, request.param)


@pytest.fixture
def host_wire(make_wire: MakeWire, version: int, ingress_program: str) -> Wire:
    """Return a wire with one guarded interface, for each ingress program and each IP version."""
    return make_wire(ingress_program, version)


@pytest.fixture
def gateway_wire(make_wire: MakeWire, version: int, ingress_program: str) -> Wire:
    """Return a wire with two guarded interfaces, for each ingress program and each IP version."""
    return make_wire(ingress_program, version, GatewayWire)


@pytest.fixture
def xdp_wire(make_wire: MakeWire, version: int) -> Wire:
    """Return a wire through XDP for each IP version: for what does not depend on how frames arrive."""
    return make_wire(XDP_PROGRAM, version)


@pytest.fixture
def ipv4_wire(make_wire: MakeWire) -> Wire:
    """Return a wire through XDP for IPv4 alone."""
    return make_wire(XDP_PROGRAM, 4)


@pytest.fixture
def ipv6_wire(make_wire: MakeWire) -> Wire:
    """Return a wire through XDP for IPv6 alone."""
    return make_wire(XDP_PROGRAM, 6)
