"""Good busy sources' prefix must not be named; a good burst must not be a credit."""

import pytest

from synguard.probe.reader import ProbeReader
from tests.kernel.clients import Clients
from tests.kernel.test_prefixes import SLICE_MS, named, sources_of
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


@pytest.mark.parametrize("burst", [4, 12, 16, 40, 200])
@pytest.mark.parametrize("complete_at_once", [True, False])
def test_a_prefix_of_good_bursts_is_not_named(xdp_wire: Wire, burst: int, complete_at_once: bool) -> None:
    """However many handshakes come at once, when all of them complete within the slice."""
    clients = Clients(xdp_wire)
    sources = sources_of(xdp_wire, 5)
    reader = ProbeReader(xdp_wire.probe)
    for turn in range(12):
        for source in sources:
            for number in range(turn * burst, turn * burst + burst):
                clients.open(source, number)
                if complete_at_once:
                    clients.ack(source, number)
            for number in range(turn * burst, turn * burst + burst):
                clients.ack(source, number)
        xdp_wire.wait(SLICE_MS)
        if complete_at_once:
            assert named(xdp_wire, reader) == {}, turn
    named(xdp_wire)
    for source in sources:
        clients.handshake(source, 50_000)
    for _ in range(3):
        xdp_wire.wait(SLICE_MS)
        for source in sources:
            clients.handshake(source, 50_001 + _)
        assert named(xdp_wire) == {}
