"""Numbers that no history could hold are refused in words, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synguard.errors import UsageError
from synguard.history.filter import AlertFilter
from synguard.history.query import get_alert
from synguard.history.questions import find_listener_series, find_responses, find_runs, find_totals

PATH = Path("/nonexistent/synguard.db")
HUGE = 10**24


@pytest.mark.parametrize(
    "ask",
    [
        lambda: AlertFilter(limit=HUGE),
        lambda: AlertFilter(after_id=HUGE),
        lambda: AlertFilter(after_id=-HUGE),
        lambda: AlertFilter(since_s=float("nan")),
        lambda: AlertFilter(until_s=1e300),
        lambda: AlertFilter.from_json({"since_s": -1e300}),
        lambda: get_alert(PATH, HUGE),
        lambda: find_totals(PATH, 0.0, float("inf")),
        lambda: find_listener_series(PATH, ["203.0.113.5:443"], -1e300, 0.0),
        lambda: find_responses(PATH, 0.0, 1.0, HUGE),
        lambda: find_responses(PATH, 0.0, 1e300),
        lambda: find_runs(PATH, float("nan"), 1.0),
    ],
)
def test_a_number_beyond_any_history_is_wrong_usage(ask: Callable[[], Any]) -> None:
    """Neither a crash nor a daemon's bug: the question makes no sense, and the message says which number."""
    with pytest.raises(UsageError, match=r"more than any history holds|is no moment"):
        ask()
