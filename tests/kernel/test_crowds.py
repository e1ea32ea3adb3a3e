"""Repeat offenders, and prefixes of sources that come once, among 300,000 strangers an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import count

import pytest

from bench.scenario.model import Family
from synguard.endpoint import Address
from synguard.probe.probe import Sizes
from synguard.probe.reader import ProbeReader
from tests.kernel.clients import Clients, own_addresses
from tests.kernel.strangers import Strangers
from tests.kernel.test_prefixes import SOURCE_STEPS, known_prefix, prefix_of
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("one_cpu")]

EPOCH_NS = 1 << 28
#: So many strangers an epoch and CPU get an entry without having to knock.
FREE = 64
KNOWN = 23
FIRST_KNOWN: dict[int, Address] = {4: IPv4Address("244.0.0.0"), 6: IPv6Address("2004::")}
PREFIX_STEPS = {4: 1 << 8, 6: 1 << 80}
STRANGERS = 300_000


@dataclass(slots=True)
class Crowd:
    """Strangers, evenly over time; and those that are looked for among them."""

    wire: Wire
    strangers: Strangers
    clients: Clients
    numbers: count[int] = field(default_factory=lambda: count(1))

    def epoch(self, syn_per_s: int, attempt: Callable[[int], None], strangers: int = STRANGERS) -> int:
        """Let an epoch go by in which an attempt of those looked for comes so often; return how many came."""
        family: Family = 4 if self.wire.version == 4 else 6
        syns = syn_per_s * EPOCH_NS // 10**9
        begins_ns = (self.wire.now_ns // EPOCH_NS + 1) * EPOCH_NS
        for turn in range(syns):
            self.wire.at(begins_ns + turn * EPOCH_NS // syns)
            self.strangers.come(family, strangers // syns)
            attempt(next(self.numbers))
        return syns


@pytest.fixture
def crowd(xdp_wire: Wire, strangers: Strangers, request: pytest.FixtureRequest) -> Crowd:
    """Return a crowd that nobody has seen."""
    strangers.known_by(request.node.name)
    return Crowd(xdp_wire, strangers, Clients(xdp_wire))


@pytest.mark.parametrize("syn_per_s", [100, 200])
def test_a_repeat_offender_gets_its_entry_and_keeps_it(crowd: Crowd, syn_per_s: int) -> None:
    """It loses five SYNs at most, and from then on not one."""
    source = crowd.wire.client()
    sent = crowd.epoch(syn_per_s, lambda number: crowd.clients.syn(source, number))
    missing = sent - crowd.wire.known_source(source).counts.attempts
    assert missing <= 5
    for _ in range(4):
        sent += crowd.epoch(syn_per_s, lambda number: crowd.clients.syn(source, number))
        assert crowd.wire.known_source(source).counts.attempts == sent - missing
    named = {reading.source for reading in ProbeReader(crowd.wire.probe).read(crowd.wire.now_ns, 0.0).sources}
    assert crowd.wire.known_source(source).source in named


@pytest.mark.parametrize("syn_per_s", [100, 200, 300])
def test_a_prefix_of_one_time_sources_is_told_of(crowd: Crowd, syn_per_s: int) -> None:
    """Whose every source comes once, so that none has an entry; it loses twelve SYNs at most."""
    first = own_addresses(crowd.wire)

    def attempt(number: int) -> None:
        crowd.clients.syn(first + number % 256 * SOURCE_STEPS[crowd.wire.version], number)

    sent = crowd.epoch(syn_per_s, attempt)
    missing = sent - known_prefix(crowd.wire, first).counts.attempts
    assert missing <= 12
    for _ in range(3):
        sent += crowd.epoch(syn_per_s, attempt)
        assert known_prefix(crowd.wire, first).counts.attempts == sent - missing
    snapshot = ProbeReader(crowd.wire.probe).read(crowd.wire.now_ns, 0.0)
    assert prefix_of(first) in {reading.source for reading in snapshot.prefixes}


def test_strangers_push_out_nobody_who_goes_on(crowd: Crowd) -> None:
    """Those admitted freely could fill the table twice; who comes four times a second stays."""
    version = crowd.wire.version
    prefixes = [FIRST_KNOWN[version] + index * PREFIX_STEPS[version] for index in range(KNOWN)]

    def everybody(number: int) -> None:
        for prefix in prefixes:
            crowd.clients.syn(prefix + number * SOURCE_STEPS[version], number)

    crowd.epoch(4, everybody, strangers=0)
    epochs = 2 * Sizes().max_prefixes // FREE
    for _ in range(epochs):
        crowd.epoch(4, everybody, strangers=2 * FREE)
    assert {known_prefix(crowd.wire, prefix).counts.attempts for prefix in prefixes} == {1 + epochs}
    assert sum(1 for _ in crowd.wire.probe.maps["prefixes"].items()) <= Sizes().max_prefixes
