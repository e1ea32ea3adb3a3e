"""Structured tuples collide as chance does: sequential ports, addresses and both, through the real probe.

The model: each tuple is thrown into one of M = 2^18 buckets, all alike, independently. Only the key is random
in a hash, so what holds for chance must hold over keys; the keys here are drawn once and for all, so that a
test that fails must fail again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from synguard.probe.probe import Probe
from tests.kernel.series import Series, Steps, wipe
from tests.kernel.wire import Connection, MakeWire, Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

BUCKETS = 1 << 18
SLOTS = 7
KEYS = 100
#: So many keys share one look at the table: 0.94 tuples a bucket, of which two in all find no slot.
KEYS_A_LOOK = 5
TUPLES = 8192
CROWD = 1 << 20

STRUCTURES = {
    "ports": Steps(server_port=1),
    "addresses": Steps(address=1),
    "both": Steps(address=1, client_port=1),
}
#: An ISN names the series; the lowest byte says which of those in the table it is.
SERIES_ISN = 0xA5C39600


@dataclass(frozen=True, slots=True)
class Chance:
    """What a sum of random variables is expected to be."""

    mean: float
    deviation: float

    def __mul__(self, times: int) -> Chance:
        """Return the chance of the sum of so many independent ones."""
        return Chance(self.mean * times, self.deviation * math.sqrt(times))

    def agrees(self, value: float, deviations: float) -> bool:
        """Tell whether a value is so near to the mean."""
        return abs(value - self.mean) <= deviations * self.deviation


def pairs_by_chance(tuples: int) -> Chance:
    """Return how many pairs of so many tuples share a bucket.

    Each pair does with probability p = 1/M. Whether one pair does says nothing of another pair, also where
    they have a tuple in common, so the variances of all T(T-1)/2 pairs add up: to p(1-p) times their number.
    """
    pairs, probability = math.comb(tuples, 2), 1 / BUCKETS
    return Chance(pairs * probability, math.sqrt(pairs * probability * (1 - probability)))


def losses_by_chance(tuples: int) -> Chance:
    """Return how many of so many waiting handshakes find no room: max(X - 7, 0) of each bucket's X.

    X is binomial, of T tuples with probability 1/M. The X of all buckets are negatively associated (Joag-Dev
    and Proschan, 1983), and so are their increasing functions max(X - 7, 0): the variance of their sum is at
    most the sum of their variances. Terms beyond 40 tuples in a bucket are nothing.
    """
    probability = 1 / BUCKETS
    chances = {
        x: math.comb(tuples, x) * probability**x * (1 - probability) ** (tuples - x) for x in range(SLOTS, 40)
    }
    mean = math.fsum((x - SLOTS) * chance for x, chance in chances.items())
    square = math.fsum((x - SLOTS) ** 2 * chance for x, chance in chances.items())
    return Chance(BUCKETS * mean, math.sqrt(BUCKETS * (square - mean * mean)))


@pytest.fixture(scope="module")
def series(probe: Probe) -> Iterator[Series]:
    """Yield what plays segments by the ten thousand."""
    with Series.of(probe) as ready:
        yield ready


@pytest.fixture
def keys(probe: Probe) -> Iterator[Iterator[None]]:
    """Yield what gives the probe another key at each step; the old one comes back in the end."""
    draw, before = random.Random(100), probe._secret  # noqa: S311  a test that fails must fail again

    def give() -> Iterator[None]:
        while True:
            probe._secret = (draw.getrandbits(64), draw.getrandbits(64))
            probe._write_settings()
            yield

    yield give()
    probe._secret = before
    probe._write_settings()


def first_tuple(wire: Wire) -> Connection:
    """Return where the sequences begin: a bit before addresses and ports carry."""
    return replace(wire.connection(), client=wire.client() + 200, client_port=1024, server_port=1)


def colliding_pairs(probe: Probe, names: int) -> list[int]:
    """Return for each series in the table how many pairs of its tuples share a bucket."""
    _, _, values, _ = probe.maps["handshakes"]._batch(None, BUCKETS)
    words = np.frombuffer(values, "<u4")
    places = np.flatnonzero((words & 0xFFFFFF00) == SERIES_ISN)
    buckets = places // (len(words) // BUCKETS)
    loads = np.unique(buckets * 256 + (words[places] & 0xFF), return_counts=True)
    pairs = np.bincount(loads[0] % 256, weights=loads[1] * (loads[1] - 1) // 2, minlength=names)
    assert names * TUPLES - 12 <= len(places) <= names * TUPLES + 1, "hardly any tuple is without a slot"
    return [int(number) for number in pairs[:names]]


def look(wires: Sequence[Wire], series: Series, keys: Iterator[None]) -> list[list[int]]:
    """Play every structure in both IP versions under a few keys; return each key's colliding pairs."""
    wipe(wires[0].probe)
    plays = [(first_tuple(wire), steps) for wire in wires for steps in STRUCTURES.values()]
    for turn in range(KEYS_A_LOOK):
        next(keys)
        for number, (first, steps) in enumerate(plays, start=turn * len(plays)):
            series.play(replace(first, isn=SERIES_ISN + number), steps, TUPLES)
    pairs = colliding_pairs(wires[0].probe, KEYS_A_LOOK * len(plays))
    return [pairs[start : start + len(plays)] for start in range(0, len(pairs), len(plays))]


def test_structured_tuples_share_buckets_as_often_as_chance_has_it(
    make_wire: MakeWire, series: Series, keys: Iterator[None]
) -> None:
    """Over 100 keys as often, within 3.5 %; and under no single key much more or less often.

    8,192 tuples make 128 pairs by chance, give or take 11.3, and over 100 keys 12,798, give or take 113, of
    which four deviations are allowed. The number of pairs is nearly Poisson: that a single key's is off by
    six deviations is less likely than one in 10^7, and there are 600 of them.
    """
    wires = [make_wire("synguard_xdp", version) for version in (4, 6)]
    by_key = [row for _ in range(KEYS // KEYS_A_LOOK) for row in look(wires, series, keys)]
    chance = pairs_by_chance(TUPLES)
    totals = [sum(row[structure] for row in by_key) for structure in range(len(by_key[0]))]
    assert [total for total in totals if not (chance * KEYS).agrees(total, 4)] == []
    assert [pairs for row in by_key for pairs in row if not chance.agrees(pairs, 6)] == []


@pytest.mark.parametrize("structure", STRUCTURES)
def test_as_many_structured_handshakes_survive_as_chance_has_it(
    xdp_wire: Wire, series: Series, keys: Iterator[None], structure: str
) -> None:
    """Of 2^20 at the same moment 22,200 find no room: chance's number, give or take five times 218.

    Tuples whose 34 bits of hash are alike count as copies of each other, for their ISNs are the same here:
    N(N-1)/2 / 2^34, which is 32 by chance; above 70 would be less likely than one in 10^8.
    """
    wire = xdp_wire
    next(keys)
    wipe(wire.probe)
    with wire.counted() as moved:
        series.play(first_tuple(wire), STRUCTURES[structure], CROWD)
    counted = moved()
    assert 5 <= CROWD - counted["attempts"] <= 70
    assert losses_by_chance(counted["attempts"]).agrees(counted["handshakes_overwritten"], 5)


def test_the_loss_that_is_told_is_the_loss(xdp_wire: Wire, series: Series, keys: Iterator[None]) -> None:
    """Of 2^20 waiting handshakes the server answers all: each one is found, or was counted as overwritten."""
    wire = xdp_wire
    next(keys)
    wipe(wire.probe)
    first = first_tuple(wire)
    with wire.counted() as moved:
        for flags in ("S", "SA", "A"):
            series.play(first, STRUCTURES["addresses"], CROWD, flags)
    counted = moved()
    assert counted["answered"] == counted["completed"]
    assert counted["answered"] + counted["handshakes_overwritten"] == counted["attempts"]
