import pytest

from synguard.probe.reader import ProbeReader
from tests.kernel.clients import own_addresses
from tests.kernel.test_crowds import Crowd, crowd  # noqa: F401
from tests.kernel.test_prefixes import SOURCE_STEPS, prefix_of

pytestmark = [pytest.mark.root, pytest.mark.kernel, pytest.mark.usefixtures("one_cpu")]


@pytest.mark.parametrize("syn_per_s", [80, 100, 150])
def test_a_prefix_of_one_time_sources_is_told_of(crowd: Crowd, syn_per_s: int) -> None:
    """100 SYN/s of sources that come once, beside 1.1 million SYN/s."""
    first = own_addresses(crowd.wire)

    def attempt(number: int) -> None:
        crowd.clients.syn(first + number % 256 * SOURCE_STEPS[crowd.wire.version], number)

    for _ in range(3):
        crowd.epoch(syn_per_s, attempt)
    snapshot = ProbeReader(crowd.wire.probe).read(crowd.wire.now_ns, 0.0)
    assert prefix_of(first) in {reading.source for reading in snapshot.prefixes}
