"""The stated loss: what the formula says at the edges, and what a bucket does by itself."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import deque
from pathlib import Path

import pytest

import synguard.probe
from synguard.probe.loss import (
    ADMITTED_FREELY,
    BUCKET_SLOTS,
    EPOCH_S,
    GREY_CELLS,
    GREY_LINES,
    HANDSHAKE_BUCKETS,
    KNOCKS,
    STRANGERS_A_KNOCK,
    greylist_loss,
    handshake_loss,
    known_from_syn_per_s,
    syns_before_entry,
)

ATTEMPTS = 200_000
BPF = Path(synguard.probe.__file__).parent / "bpf"


def defined(name: str) -> int:
    """Return what the probe's C defines a name as: a number, or 1 shifted by one."""
    text = "".join((BPF / header).read_text(encoding="utf-8") for header in ("maps.h", "admission.h"))
    found = re.search(rf"^#define {name}\s+(?:\(1 << (\d+)\)|(\d+))", text, re.MULTILINE)
    assert found is not None
    return 1 << int(found[1]) if found[1] else int(found[2])


def test_the_formulas_are_about_the_probes_own_tables() -> None:
    """Whoever changes a table's size or the doorkeeper's rule changes the stated loss."""
    assert defined("HANDSHAKE_BUCKETS") == HANDSHAKE_BUCKETS
    assert defined("BUCKET_SLOTS") == BUCKET_SLOTS
    assert defined("GREY_LINES") == GREY_LINES
    assert defined("GREY_CELLS") == GREY_CELLS
    assert defined("ADMITTED_FREELY") == ADMITTED_FREELY
    assert defined("KNOCKS_AT_LEAST") == KNOCKS
    assert (1 << defined("DOORKEEPER_EPOCH_SHIFT")) / 1e9 == EPOCH_S
    assert 1 << defined("SOURCE_CELL_BITS") - 3 == STRANGERS_A_KNOCK


def test_nothing_is_lost_where_nothing_comes_or_nobody_waits() -> None:
    """Without a flood, and without a wait, the loss is exactly 0."""
    for loss in (handshake_loss, greylist_loss):
        assert loss(0, 3600) == loss(10**9, 0) == 0


@pytest.mark.parametrize(
    ("attempts_per_s", "hold_s", "expected"),
    [
        # By decimal arithmetic of 60 digits: 1 less the chances of 0 to 6.
        (100_000, 0.1, 2.255785055452e-14),
        (1_000_000, 0.2, 1.536999105899e-05),
        (1_000_000, 1.0, 0.092273190111),
        (2_000_000, 1.0, 0.639303834895),
    ],
)
def test_the_chance_is_that_of_seven_newer_attempts(
    attempts_per_s: float, hold_s: float, expected: float
) -> None:
    """Far out in the tail as well as in the middle it is Poisson's distribution."""
    assert handshake_loss(attempts_per_s, hold_s) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("attempts_per_s", "hold_s", "expected"),
    [
        # By decimal arithmetic of 60 digits: 1 less the chances of 0 to 15.
        (100_000, 1.0, 1.61681793931e-18),
        (1_000_000, 1.0, 0.000172276325539),
        (1_700_000, 1.0, 0.0267020492765),
        (1_000_000, 3.0, 0.560388441937),
        (3_000_000, 3.0, 0.999999985482),
    ],
)
def test_a_greylisted_syn_is_forgotten_by_sixteen_newer_ones(
    attempts_per_s: float, hold_s: float, expected: float
) -> None:
    """A second after it came, and three, from a quiet flood to one that nothing outlives."""
    assert greylist_loss(attempts_per_s, hold_s) == pytest.approx(expected, rel=1e-9)


def test_only_the_product_of_rate_and_hold_time_counts() -> None:
    """Half the rate for twice the time loses the same."""
    assert handshake_loss(500_000, 2.0) == pytest.approx(handshake_loss(1_000_000, 1.0))


def test_the_loss_grows_from_nothing_to_all() -> None:
    """It never falls with the rate, and both ways of adding it up agree where they meet."""
    means = [step / 20 for step in range(1, 20_000)]
    losses = [handshake_loss(mean * HANDSHAKE_BUCKETS, 1.0) for mean in means]
    assert all(0 < before <= after <= 1 for before, after in itertools.pairwise(losses))
    assert losses[-1] == 1.0
    below, above = (handshake_loss((BUCKET_SLOTS + step) * HANDSHAKE_BUCKETS, 1.0) for step in (-1e-9, 1e-9))
    assert above == pytest.approx(below, abs=1e-8)


@pytest.mark.parametrize("mean", [2.0, 4.0, 8.0])
def test_a_bucket_that_gives_up_its_oldest_loses_as_much(mean: float) -> None:
    """Slot by slot, by the table's rule and random arrivals, the share overwritten is the formula's."""
    dice = random.Random(round(mean))  # noqa: S311  the same ones each time
    bucket: deque[float] = deque([-1e9] * BUCKET_SLOTS)
    moment, lost = 0.0, 0
    for _ in range(ATTEMPTS):
        # In units of the hold time.
        moment += dice.expovariate(mean)
        lost += moment - bucket.popleft() < 1.0
        bucket.append(moment)
    loss = handshake_loss(mean * HANDSHAKE_BUCKETS, 1.0)
    # Neighbours are lost together, so what strays is some times more than of independent ones.
    assert lost / ATTEMPTS == pytest.approx(loss, abs=10 * (loss / ATTEMPTS) ** 0.5)


def test_neither_a_rate_nor_a_time_is_negative() -> None:
    """Nonsense is refused instead of giving a loss below nothing."""
    for loss, (rate, hold_s) in itertools.product((handshake_loss, greylist_loss), ((-1, 1), (1, -1))):
        with pytest.raises(ValueError, match="below 0"):
            loss(rate, hold_s)


def test_in_quiet_times_every_source_is_known_at_once() -> None:
    """Up to 64 strangers an epoch, which are 238 a second, no SYN of anybody's is missing."""
    assert syns_before_entry(0.1, 0) == syns_before_entry(0.1, 230) == 0
    assert known_from_syn_per_s(230) == 0
    assert syns_before_entry(0.1, 240) == math.inf


@pytest.mark.parametrize(
    ("syn_per_s", "strangers_per_s", "expected"),
    [
        (200, 1000, 3),
        (200, 1_000_000, 3),
        (60, 1_000_000, 6),
        (100_000, 2_000_000, 3),
        (40, 1_000_000, math.inf),
    ],
)
def test_a_source_is_known_after_a_few_syns(
    syn_per_s: float, strangers_per_s: float, expected: float
) -> None:
    """Three are missing of one that is fast, a few more of one that is slow, all of one that is too slow."""
    assert syns_before_entry(syn_per_s, strangers_per_s) == expected


@pytest.mark.parametrize("strangers_per_s", [1000, 30_000, 100_000, 1_000_000, 10_000_000])
def test_whoever_is_fast_enough_gets_an_entry(strangers_per_s: float) -> None:
    """From the stated rate on a source is known within an epoch, and well below it never."""
    least = known_from_syn_per_s(strangers_per_s)
    for factor in (1.0, 1.1, 2.0, 100.0):
        assert syns_before_entry(factor * least, strangers_per_s) < factor * least * EPOCH_S
    assert syns_before_entry(0.5 * least, strangers_per_s) == math.inf
