"""What a listener's sketch, filled by the probe, says of its sources: how many, and how many came once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from bench.scenario.model import Family
from synguard.model import ListenerReading
from synguard.probe import layout
from synguard.probe.probe import Probe
from tests.kernel.strangers import ASKED, Strangers
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

STANDARD_ERROR = 0.063
SECRETS = 5
EPOCH_MS = (1 << layout.SKETCH_EPOCH_SHIFT) / 10**6
#: Longer than the two banks remember.
APART_MS = 3000


class Crowd:
    """Sources that come to one server."""

    def __init__(self, wire: Wire, strangers: Strangers) -> None:
        self.wire = wire
        self.strangers = strangers
        self.family: Family = 4 if wire.version == 4 else 6

    def come(self, number: int, *, first: int = 0, times: int = 1) -> None:
        """Deliver attempts of so many sources, the first of which has that number, so many times."""
        for _ in range(times):
            self.strangers.come_again(self.family, first, number)

    def reading(self) -> ListenerReading:
        """Return what is known of the server now."""
        return self.wire.known_listener(ASKED[self.family])


@pytest.fixture
def crowd(xdp_wire: Wire, strangers: Strangers) -> Crowd:
    """Return who comes to a server that nobody has asked before."""
    return Crowd(xdp_wire, strangers)


@pytest.fixture
def secrets(probe: Probe) -> Iterator[list[tuple[int, int]]]:
    """Yield some secrets; afterwards the probe has its own again."""
    own = probe._secret
    draw = random.Random(SECRETS)  # noqa: S311  a test that fails must fail again
    yield [(draw.getrandbits(64), draw.getrandbits(64)) for _ in range(SECRETS)]
    probe._secret = own
    probe.set_clock(0)


@pytest.mark.parametrize("number", [1, 5, 30, 100, 300, 1000, 10_000, 100_000])
def test_distinct_sources_are_estimated_within_the_stated_error(
    crowd: Crowd, secrets: list[tuple[int, int]], number: int
) -> None:
    """Within four standard errors under each secret, and in the mean over secrets."""
    estimates = []
    for secret in secrets:
        crowd.wire.wait(APART_MS)
        crowd.wire.probe._secret = secret
        crowd.wire.at(crowd.wire.now_ns)
        crowd.come(number)
        estimates.append(crowd.reading().sources_estimated or 0)
    errors = [estimated / number - 1 for estimated in estimates]
    assert max(map(abs, errors)) <= 4 * STANDARD_ERROR
    assert abs(sum(errors) / SECRETS) <= 4 * STANDARD_ERROR / SECRETS**0.5


def test_every_source_that_comes_once_came_once(crowd: Crowd) -> None:
    """A flood of random sources shows as such; at most a few equal hashes are taken for one source."""
    crowd.come(5000)
    assert crowd.reading().sources_once_share == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("times", [2, 3, 5])
def test_of_sources_that_come_again_none_came_once(crowd: Crowd, times: int) -> None:
    """Whether a source comes twice or five times, in one epoch of the sketch or in two."""
    crowd.come(500, times=times)
    assert crowd.reading().sources_once_share == 0
    crowd.wire.wait(APART_MS)
    crowd.come(500)
    crowd.wire.wait(EPOCH_MS)
    crowd.come(500, times=times - 1)
    assert crowd.reading().sources_once_share == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("number", [256, 3000])
def test_the_share_that_came_once_is_that_of_all(crowd: Crowd, number: int, share: float) -> None:
    """Within four standard errors, where the others came twice."""
    crowd.come(number)
    crowd.come(round(number * (1 - share)))
    sampled = 256 if number > 2000 else 160
    spread = (share * (1 - share) / sampled) ** 0.5
    assert crowd.reading().sources_once_share == pytest.approx(share, abs=4 * spread)


def test_a_heavy_source_is_one_source(crowd: Crowd) -> None:
    """Half of all attempts from one address change neither how many there are nor how many came once."""
    crowd.come(1500)
    crowd.strangers.come_often(crowd.family, 1 << 20, 3000)
    crowd.come(1500, first=1500)
    reading = crowd.reading()
    assert reading.counts.attempts == 6000
    assert reading.sources_once_share == pytest.approx(1, abs=0.02)
    assert reading.sources_estimated == pytest.approx(3001, rel=4 * STANDARD_ERROR)


def test_a_few_sources_have_no_share(crowd: Crowd) -> None:
    """Seven sources are too few to speak of shares; of a hundred there is one."""
    assert crowd.wire.listener(ASKED[crowd.family]) is None
    crowd.come(7)
    assert crowd.reading().sources_once_share is None
    crowd.come(100)
    assert crowd.reading().sources_once_share is not None


def test_sources_of_two_seconds_ago_are_forgotten(crowd: Crowd) -> None:
    """Neither their number nor that they came again is known any more."""
    crowd.come(2000, times=2)
    crowd.wire.wait(2 * EPOCH_MS)
    assert crowd.reading().sources_estimated == 0
    crowd.come(100)
    reading = crowd.reading()
    assert reading.sources_estimated == pytest.approx(100, rel=4 * STANDARD_ERROR)
    assert reading.sources_once_share == pytest.approx(1, abs=0.02)


def test_two_cpus_see_one_set_of_sources(crowd: Crowd) -> None:
    """Who came once on each of two CPUs came twice, and is one source; the others stay what they are."""
    allowed = sorted(os.sched_getaffinity(0))
    try:
        for cpu, first in zip(allowed[:2], (0, 1000), strict=True):
            os.sched_setaffinity(0, {cpu})
            crowd.come(2000, first=first)
    finally:
        os.sched_setaffinity(0, allowed)
    reading = crowd.reading()
    assert reading.sources_estimated == pytest.approx(3000, rel=4 * STANDARD_ERROR)
    spread = (2 / 3 * (1 / 3) / 256) ** 0.5
    assert reading.sources_once_share == pytest.approx(2 / 3, abs=4 * spread)
