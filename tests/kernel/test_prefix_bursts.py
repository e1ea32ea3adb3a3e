"""What a prefix knows of sources that come in bursts."""

from __future__ import annotations

import pytest

from synguard.probe.reader import ProbeReader
from tests.kernel.clients import Clients
from tests.kernel.test_prefixes import SLICE_MS, known_prefix, named, prefix_of, sources_of
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


def test_good_clients_in_bursts_do_not_hide_others(xdp_wire: Wire) -> None:
    """A browser opens six connections at once; its neighbours' half-open handshakes show all the same."""
    clients = Clients(xdp_wire)
    *good, other = sources_of(xdp_wire, 100)
    reader = ProbeReader(xdp_wire.probe)
    for source in good[:50]:
        for number in range(6):
            clients.handshake(source, number)
        xdp_wire.wait(SLICE_MS)
    for source in good[50:]:
        clients.open(source)
        xdp_wire.wait(50)
    assert list(named(xdp_wire, reader)) == [prefix_of(other)]


def test_a_burst_is_known_to_the_prefix_in_the_end(xdp_wire: Wire) -> None:
    """A prefix never has more completions than attempts, though its sources never come again."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 10)
    for source in sources:
        for number in range(100):
            clients.handshake(source, number)
        xdp_wire.wait(50)
    xdp_wire.wait(1000)
    clients.syn(sources[0], 200)
    counts = known_prefix(xdp_wire, sources[0]).counts
    assert counts.completed == 1000
    assert counts.attempts == 1001


@pytest.mark.parametrize("burst", [4, 12, 16, 40, 200])
def test_a_prefix_of_good_bursts_is_not_named(xdp_wire: Wire, burst: int) -> None:
    """However many handshakes come at once, when all of them complete within the slice."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 5)
    reader = ProbeReader(xdp_wire.probe)
    for turn in range(12):
        for source in sources:
            for number in range(turn * burst, turn * burst + burst):
                clients.handshake(source, number)
        xdp_wire.wait(SLICE_MS)
        assert named(xdp_wire, reader) == {}
