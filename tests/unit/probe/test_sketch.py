"""What a listener's sketch says of its sources, over many streams whose hashes are random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from synguard.probe import sketch

RUNS = 200
REGISTERS = 256
STANDARD_ERROR = 0.063
Numbers = npt.NDArray[np.int64]


def simulated(draw: np.random.Generator, times: Numbers) -> list[int]:
    """Return the registers of one CPU that saw sources so many times each, their hashes drawn at random."""
    places = draw.integers(0, REGISTERS, times.size)
    words = draw.integers(0, 2**32, times.size) | 1 << 31
    zeros = np.log2(words & -words).astype(np.int64)
    rarities = zeros << 9 | words >> zeros + 1 & 0x1FF
    registers = np.zeros(REGISTERS, np.int64)
    rising = np.argsort(rarities, kind="stable")
    # Of several values for one place the last one stays.
    registers[places[rising]] = rarities[rising] << 2 | np.minimum(times[rising], 3)
    return [int(register) for register in registers]


def once(number: int) -> Numbers:
    """Return so many sources that come once."""
    return np.ones(number, np.int64)


@pytest.mark.parametrize("number", [1, 5, 30, 100, 300, 3000, 10_000])
def test_estimates_are_unbiased(number: int) -> None:
    """The mean over 200 runs is the truth, within four standard errors of a mean; each one errs no more."""
    draw = np.random.default_rng(number)
    estimates = [sketch.read_sample([simulated(draw, once(number))]).distinct for _ in range(RUNS)]
    allowed = 4 * STANDARD_ERROR / RUNS**0.5 * number
    assert abs(np.mean(estimates) - number) <= allowed + 0.05
    assert np.std(estimates) <= 1.15 * STANDARD_ERROR * number


def test_estimates_of_very_many_are_within_their_error() -> None:
    """A hundred thousand sources are estimated as well as a thousand."""
    draw = np.random.default_rng(1)
    estimates = [sketch.read_sample([simulated(draw, once(100_000))]).distinct for _ in range(20)]
    assert np.mean(estimates) == pytest.approx(100_000, rel=4 * STANDARD_ERROR / 20**0.5)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("number", [30, 300, 5000])
def test_the_share_that_came_once_is_unbiased(number: int, share: float) -> None:
    """However often the others came, twice or a thousand times."""
    draw = np.random.default_rng(number)
    times = np.where(np.arange(number) < share * number, 1, draw.choice([2, 3, 1000], number))
    shares = [sketch.read_sample([simulated(draw, times)]).once_share for _ in range(RUNS)]
    known = [one for one in shares if one is not None]
    assert len(known) == RUNS
    sampled = min(number, REGISTERS)
    spread = (share * (1 - share) / sampled) ** 0.5
    assert np.mean(known) == pytest.approx(share, abs=4 * spread / RUNS**0.5)
    assert np.std(known) <= 1.2 * spread


def test_few_sources_have_no_share() -> None:
    """Seven sampled sources say nothing of the others, eight do."""
    rare = 5 << 2 | 1
    assert sketch.read_sample([[rare] * 7 + [0] * 249]).once_share is None
    assert sketch.read_sample([[rare] * 8 + [0] * 248]).once_share == 1.0


def test_nobody_is_nobody() -> None:
    """Without banks, and with empty ones, there are no sources and no share."""
    assert sketch.read_sample([]) == (0, None)
    assert sketch.read_sample([[0] * REGISTERS, [0] * REGISTERS]) == (0, None)


def test_banks_add_up_to_the_union_of_their_sources() -> None:
    """Two CPUs' sources that differ are as many as both have, and one that both saw once came twice."""
    draw = np.random.default_rng(2)
    banks = [simulated(draw, once(2000)) for _ in range(2)]
    both = sketch.read_sample(banks)
    assert both.distinct == pytest.approx(4000, rel=4 * STANDARD_ERROR)
    assert both.once_share == pytest.approx(1, abs=0.02)
    assert sketch.read_sample([banks[0], banks[0]]) == (sketch.read_sample(banks[:1]).distinct, 0.0)


def test_a_rarer_source_of_another_bank_takes_the_register() -> None:
    """Whoever is the rarest over all banks is the one in the sample, with what it came to alone."""
    rare, rarer = 3 << 9, 4 << 9
    seen_often, seen_once = [rare << 2 | 3] * REGISTERS, [rarer << 2 | 1] * REGISTERS
    assert sketch.read_sample([seen_often, seen_once]).once_share == 1.0
    assert sketch.read_sample([seen_often, seen_once]).distinct == sketch.read_sample([seen_once]).distinct


@pytest.mark.parametrize("number", [1, 30, 300, 500, 640, 800, 1000, 3000, 10_000])
def test_no_number_of_sources_is_estimated_with_a_bias(number: int) -> None:
    """The mean over many runs is the truth, within four standard errors of a mean; none errs more."""
    draw = np.random.default_rng(number)
    estimates = [sketch.read_sample([simulated(draw, once(number))]).distinct for _ in range(RUNS)]
    allowed = 4 * STANDARD_ERROR / RUNS**0.5 * number
    assert abs(np.mean(estimates) - number) <= allowed + 0.05
    assert np.std(estimates) <= 1.15 * STANDARD_ERROR * number
