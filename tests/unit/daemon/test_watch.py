"""The daemon's loop: how often it reads."""

from __future__ import annotations

import pytest

from synguard.daemon.watch import pause_until_next


def test_reads_come_as_often_as_set_while_they_cost_little() -> None:
    """And half as often while nothing happens."""
    assert pause_until_next(0.05, 0.002, active=True) == 0.05
    assert pause_until_next(0.05, 0.002, active=False) == 0.1


def test_reads_that_cost_much_come_further_apart() -> None:
    """They take a twentieth of a core at most, as long as nothing leaves the rings unread meanwhile."""
    assert pause_until_next(0.05, 0.04, active=True) == pytest.approx(0.8)
    assert pause_until_next(0.05, 0.9, active=True) == 2.0
