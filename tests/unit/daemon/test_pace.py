"""How often the daemon reads."""

from __future__ import annotations

import pytest

from synguard.daemon.pace import HURRIED_READS, STEADY_READS, Pace


def steady(spent_s: float, *, active: bool = True) -> float:
    """Return the pause after a read in which nothing begins."""
    return Pace(0.05).pause_s(spent_s, active=active, hurry=False)


def test_reads_come_as_often_as_set_while_they_cost_little() -> None:
    """And half as often while nothing happens."""
    assert steady(0.002) == 0.05
    assert steady(0.002, active=False) == 0.1


def test_reads_that_cost_much_come_further_apart() -> None:
    """They take a twentieth of a core at most, as long as nothing leaves the rings unread meanwhile."""
    assert steady(0.04) == pytest.approx(0.8)
    assert steady(0.9) == 2.0


def test_a_beginning_flood_is_read_twice_as_often_whatever_that_costs() -> None:
    """A quarter of a second of hurry is enough to judge it."""
    assert Pace(0.05).pause_s(0.04, active=True, hurry=True) == 0.025


def test_hurry_is_bounded_and_does_not_become_a_habit() -> None:
    """After a dozen hurried reads a hundred steady ones come first, however much there is to hurry about."""
    pace = Pace(0.05)
    pauses = [pace.pause_s(0.001, active=True, hurry=True) for _ in range(HURRIED_READS + STEADY_READS + 3)]
    hurried = [number for number, pause_s in enumerate(pauses) if pause_s == 0.025]
    assert hurried[:HURRIED_READS] == list(range(HURRIED_READS))
    assert hurried[HURRIED_READS:] == [HURRIED_READS + STEADY_READS + number for number in range(3)]
