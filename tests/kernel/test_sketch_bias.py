import numpy as np
import pytest

from synguard.probe import sketch
from tests.unit.probe.test_sketch import RUNS, STANDARD_ERROR, once, simulated


@pytest.mark.parametrize("number", [1, 5, 30, 100, 300, 500, 640, 800, 1000, 1500, 3000, 10_000])
def test_estimates_are_unbiased(number: int) -> None:
    """The mean over 200 runs is the truth, within four standard errors of a mean; each one errs no more."""
    draw = np.random.default_rng(number)
    estimates = [sketch.read_sample([simulated(draw, once(number))]).distinct for _ in range(RUNS)]
    allowed = 4 * STANDARD_ERROR / RUNS**0.5 * number
    assert abs(np.mean(estimates) - number) <= allowed + 0.05
    assert np.std(estimates) <= 1.15 * STANDARD_ERROR * number
