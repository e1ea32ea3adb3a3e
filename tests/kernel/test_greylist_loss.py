"""How many greylisted SYNs the greylist's table forgets before they come again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from bench.cost.frames import Segment
from bench.cost.writer import Stream
from synguard.probe.loss import GREY_CELLS, GREY_LINES, greylist_loss
from synguard.probe.source_rules import SourceAction, SourceRules
from tests.kernel.conftest import SECRET
from tests.kernel.flood import NS_PER_S, Flood, own_flood

pytestmark = [pytest.mark.root, pytest.mark.kernel]

GOOD = 6 << 20
#: SYNs that wait at a time, and how often so many begin.
BATCHES = 8
BATCH = 2500
FOREVER_NS = 10**18


@pytest.fixture(scope="module")
def flood() -> Iterator[Flood]:
    """Yield floods through a probe of this module's own that greylists everybody."""
    with own_flood(SECRET) as through:
        SourceRules(through.probe).put({ip_network("0.0.0.0/0"): (SourceAction.GREYLIST, FOREVER_NS)})
        yield through


def test_the_table_is_as_large_as_the_formula_believes(flood: Flood) -> None:
    """Lines and cells are those of the loaded map."""
    info = flood.probe.maps["greylist"].info
    assert (info.max_entries, info.value_size) == (GREY_LINES, 4 * GREY_CELLS)


@pytest.mark.parametrize(
    ("syn_per_s", "hold_s"), [(1_700_000, 1.0), (2_000_000, 1.0), (3_000_000, 1.0), (1_000_000, 3.0)]
)
def test_the_loss_is_the_one_that_is_stated(flood: Flood, syn_per_s: int, hold_s: float) -> None:
    """Rate by hold time, as many are dropped once more as the formula says, to five standard deviations."""
    step_ns = round(hold_s * NS_PER_S / BATCHES)
    step_syns = round(syn_per_s * hold_s / BATCHES)
    for _ in range(2 * BATCHES):
        flood.wait_ns(step_ns)
        flood.strangers(4, step_syns)
    waiting: deque[Stream] = deque()
    admitted = 0
    for step in range(2 * BATCHES):
        if len(waiting) == BATCHES or step >= BATCHES:
            before = flood.reader.totals()["greylist_admitted"]
            flood.give(waiting.popleft(), BATCH)
            admitted += flood.reader.totals()["greylist_admitted"] - before
        if step < BATCHES:
            waiting.append(Stream(Segment.SYN, 4, flood.next_stranger, GOOD, BATCH, fresh_numbers=True))
            flood.next_stranger += BATCH
            flood.give(waiting[-1], BATCH)
        flood.wait_ns(step_ns // 2)
        flood.strangers(4, step_syns - BATCH)
        flood.wait_ns(step_ns - step_ns // 2)
    sent = BATCHES * BATCH
    forgotten = sent - admitted
    stated = greylist_loss(syn_per_s, hold_s)
    assert forgotten == pytest.approx(sent * stated, abs=5 * (sent * stated * (1 - stated)) ** 0.5 + 1)


def test_almost_nobody_is_taken_for_another(flood: Flood) -> None:
    """Of a flood of SYNs that never come again one in 100,000 is let in: 16 fingerprints of 20 bits."""
    before = flood.reader.totals()
    for _ in range(20):
        flood.wait_ns(NS_PER_S // 4)
        flood.strangers(4, 250_000)
    after = flood.reader.totals()
    moved = {name: after[name] - before[name] for name in ("greylist_admitted", "greylisted", "attempts")}
    assert moved["greylist_admitted"] + moved["greylisted"] == 5_000_000
    expected = 5_000_000 * GREY_CELLS / 2**20
    assert 0 < moved["greylist_admitted"] < expected + 5 * expected**0.5
