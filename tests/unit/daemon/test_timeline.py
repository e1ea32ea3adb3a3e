"""A timeline that is told by two: in order, and bounded."""

from __future__ import annotations

import pytest

from synguard.daemon.timeline import merged
from synguard.detect.timeline import MOST_CHANGES
from synguard.model import Change


def changes(what: str, *at_s: float) -> list[Change]:
    """Return changes of one kind at these moments."""
    return [Change(moment_s, what, None, "x") for moment_s in at_s]


def test_changes_come_in_order_of_time() -> None:
    """Whoever told of them; of the same moment, what is given first comes first."""
    told = merged(changes("class", 1, 3), changes("response", 0, 3, 2))
    assert [(one.at_s, one.what) for one in told] == [
        (0, "response"), (1, "class"), (2, "response"), (3, "class"), (3, "response")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("severities", "others", "kept_severities", "kept_others"),
    [(80, 30, 70, 30), (5, 120, 0, 100), (50, 50, 50, 50)],
)
def test_the_oldest_severities_go_first(
    severities: int, others: int, kept_severities: int, kept_others: int
) -> None:
    """Of more than a hundred entries the newest of severity stay, and no other goes before all those did."""
    told = merged(changes("severity", *range(1000, 1000 + severities)), changes("impact", *range(others)))
    assert len(told) == MOST_CHANGES
    kept = {what: [one.at_s for one in told if one.what == what] for what in ("severity", "impact")}
    assert kept["severity"] == [*range(1000 + severities - kept_severities, 1000 + severities)]
    assert kept["impact"] == [*range(others - kept_others, others)]
